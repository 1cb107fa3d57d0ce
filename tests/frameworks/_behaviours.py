"""What an agent is tried on, written once: turns of a script, and what any framework must make of them.

Rules:

* A behaviour is data. Frameworks and providers differ in their `Driver` alone, never in the script.
* What a driver hears is what its framework hands out; what was asked is told by the script.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from llmreplay import Usage, call, fail, respond, say, turn, use_script
from llmreplay.codecs import recognise
from llmreplay.environment import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay import Script
    from llmreplay.script import Step

QUESTION = "How is the weather in Paris and Oslo?"
DEGREES = {"Paris": 20, "Oslo": 8}


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


def get_weather(city: str, days: int) -> str:
    """Look at the weather of the next days."""
    return f"{DEGREES[city]} °C in {city}, {days} days"


PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
"""The parameters of the tool, for who does not read them off the function."""


@dataclass
class Heard:
    """What a framework hands out: the text and its pieces, the object, the calls, the tokens in and out."""

    text: str = ""
    deltas: list[str] = field(default_factory=list)
    object: Any = None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tokens: tuple[int, int] | None = None

    def says(self, piece: str) -> None:
        if piece:
            self.deltas.append(piece)
            self.text += piece

    def asks(self, name: str, arguments: Any) -> None:
        self.calls.append((name, json.loads(arguments) if isinstance(arguments, str) else dict(arguments)))

    def spends(self, tokens_in: int, tokens_out: int) -> None:
        before = self.tokens or (0, 0)
        self.tokens = (before[0] + tokens_in, before[1] + tokens_out)


class Driver:
    """One framework over one provider, behind one verb."""

    name: str
    wire: str
    ways: tuple[str, ...] = ("sync", "async", "stream", "async-stream")

    def streams(self, way: str) -> bool:
        """Whether the framework asks for a stream, whatever it hands out."""
        return way.endswith("stream")

    def counts(self, way: str) -> bool:
        """Whether the framework reports tokens."""
        return True

    def ask(
        self, way: str, heard: Heard, *, tools: bool = False, output: type[BaseModel] | None = None
    ) -> Any:
        """Ask the agent, and note what is heard, also if an error ends it; give what is to be waited for."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Behaviour:
    """What the model says, and what must come of it."""

    turns: tuple[Step, ...]
    text: str = ""
    object: Weather | None = None
    tools: bool = False
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    results: tuple[str, ...] = ()
    tokens: tuple[int, int] | None = None
    requests: int = 1


@dataclass(frozen=True)
class Seen:
    """What came of it, in the terms of `Behaviour`."""

    text: str
    object: Any
    calls: tuple[tuple[str, dict[str, Any]], ...]
    results: tuple[str, ...]
    tokens: tuple[int, int] | None
    requests: int
    wires: frozenset[str]
    streams: frozenset[bool]


def answer(fields: dict[str, Any], usage: Usage | None = None) -> Any:
    """The turn that gives an object in the way it is asked for: a call that is forced, or JSON."""

    def given(asked):
        forced = asked.tool_choice is not None and asked.tool_choice.mode in ("specific", "required")
        if asked.tools and (forced or asked.response_format is None):
            # The object's own tool is the last one offered, after those of the agent.
            return replace(call(asked.tool_names[-1], fields), usage=usage)
        return say(json.dumps(fields), usage=usage)

    return respond(given)


PARIS, OSLO = {"city": "Paris", "days": 3}, {"city": "Oslo", "days": 1}
FIRST, LAST = Usage(input_tokens=40, output_tokens=8), Usage(input_tokens=60, output_tokens=5)
WARM = say("It is warm.", usage=LAST)

ONE_TOOL = Behaviour(
    (call("get_weather", PARIS, usage=FIRST), WARM),
    text="It is warm.",
    tools=True,
    calls=(("get_weather", PARIS),),
    results=("20 °C in Paris, 3 days",),
    tokens=(100, 13),
    requests=2,
)
PARALLEL_TOOLS = Behaviour(
    (turn(call("get_weather", PARIS), call("get_weather", OSLO), usage=FIRST), WARM),
    text="It is warm.",
    tools=True,
    calls=(("get_weather", PARIS), ("get_weather", OSLO)),
    results=("20 °C in Paris, 3 days", "8 °C in Oslo, 1 days"),
    tokens=(100, 13),
    requests=2,
)
OBJECT = Behaviour(
    (answer({"city": "Paris", "degrees": 20}, LAST),),
    object=Weather(city="Paris", degrees=20),
    tokens=(60, 5),
)
TOOL_AND_OBJECT = Behaviour(
    (call("get_weather", PARIS, usage=FIRST), answer({"city": "Paris", "degrees": 20}, LAST)),
    object=Weather(city="Paris", degrees=20),
    tools=True,
    calls=(("get_weather", PARIS),),
    results=("20 °C in Paris, 3 days",),
    tokens=(100, 13),
    requests=2,
)
PIECES = ["Née", " à ", "Tromsø."]
TEXT = Behaviour((say("".join(PIECES), deltas=PIECES, usage=LAST),), text="".join(PIECES), tokens=(60, 5))
A_LIMIT_THAT_PASSES = Behaviour((fail("rate_limited"), WARM), text="It is warm.", tokens=(60, 5), requests=2)


def seen(driver: Driver, way: str, behaviour: Behaviour) -> Seen:
    """Play a behaviour, and tell what came of it."""
    heard = Heard()
    with use_script(*behaviour.turns) as script:
        play(driver, way, heard, behaviour)
    return Seen(
        heard.text if behaviour.object is None else "",
        heard.object,
        tuple(heard.calls),
        tuple(result.text for result in script.requests[-1].tool_results),
        heard.tokens,
        len(script.calls),
        *crossed(script),
    )


def crossed(script: Script) -> tuple[frozenset[str], frozenset[bool]]:
    """The wires that a script answered on, and whether streams were asked for."""
    return (
        frozenset(recognise(call.request) for call in script.calls),
        frozenset(request.stream for request in script.requests),
    )


def expected(driver: Driver, way: str, behaviour: Behaviour) -> Seen:
    """What must come of it."""
    return Seen(
        behaviour.text,
        behaviour.object,
        behaviour.calls,
        behaviour.results,
        behaviour.tokens if driver.counts(way) else None,
        behaviour.requests,
        frozenset({driver.wire}),
        frozenset({driver.streams(way)}),
    )


def play(driver: Driver, way: str, heard: Heard, behaviour: Behaviour = TEXT) -> None:
    """Run the agent of a driver to its end."""
    work = driver.ask(way, heard, tools=behaviour.tools, output=None if behaviour.object is None else Weather)
    if way.startswith("async"):
        asyncio.run(work)


def heard_of(driver: Driver, way: str, behaviour: Behaviour = TEXT) -> Heard:
    """What is heard in a session that is open already."""
    heard = Heard()
    play(driver, way, heard, behaviour)
    return heard


def error_of(driver: Driver, way: str, *turns: Step) -> tuple[Exception, Heard, Script]:
    """The error that a framework ends in, with what was heard before it."""
    heard = Heard()
    with use_script(*turns) as script, pytest.raises(Exception) as error:  # noqa: PT011  which one, the test says
        play(driver, way, heard)
    return error.value, heard, script


def pairs(drivers: list[Any], *, only: str = "") -> pytest.MarkDecorator:
    """Each driver in each of its ways, or in those that end so."""
    table = [(driver, way) for driver in drivers for way in driver.ways if way.endswith(only)]
    return pytest.mark.parametrize(("driver", "way"), table, ids=[f"{driver}-{way}" for driver, way in table])


@contextmanager
def a_loop_of_its_own() -> Iterator[None]:
    """A loop for sync verbs that start one, and leave it open, where there is none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all keys of providers, and all switches of frameworks, out of the environment."""
    for name in list(os.environ):
        if name in KEYS or name.startswith(("LANGSMITH_", "LANGCHAIN_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)

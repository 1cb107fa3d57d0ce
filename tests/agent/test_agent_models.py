"""The same agent over every model: a script, a recording and three providers, awaited and streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from llmreplay import (
    Agent,
    Cassette,
    Message,
    ProviderModel,
    ReplayModel,
    ScriptedModel,
    Usage,
    call,
    fail,
    load,
    say,
    turn,
    use_script,
)
from llmreplay.agent import AgentError, Hook, PromptError, RunFinished, Skip, Stop, TypedPromptFailed

PROVIDERS = ["openai", "anthropic", "gemini"]
STRICT = {"strict_except": ["tool-not-offered", "arguments"]}


class City(BaseModel):
    name: str
    people: int


def get_weather(city: str, days: int = 1) -> str:
    """Tell the weather of a city."""
    if city == "Atlantis":
        raise RuntimeError("no such place, and the password is 1234")
    return f"20 °C in {city} for {days} days"


class NotRome(Hook):
    def on_tool_call(self, turn, call):
        return Stop("not Rome") if call.arguments.get("city") == "Rome" else None

    def on_invalid_tool_call(self, turn, invalid):
        return Skip("we do not swim") if invalid.call.name == "swim" else None


def tokens(number: int) -> Usage:
    return Usage(input_tokens=10 * number, output_tokens=number)


def weather(number: int, id: str = "", **arguments: Any):  # noqa: A002  the name that turns have
    return call("get_weather", arguments, id=id or f"call_{number}", usage=tokens(number))


SCRIPTS: dict[str, tuple] = {
    "an answer": (say("Hello.", usage=tokens(1)),),
    "a tool and an answer": (weather(1, city="Paris"), say("It is warm.", usage=tokens(2))),
    "several tools, twice": (
        turn(
            say("Let me look."),
            call("get_weather", city="Paris", id="call_a"),
            call("get_weather", city="Oslo", days=2, id="call_b"),
            usage=tokens(1),
        ),
        weather(2, city="Bern"),
        say("Warm, cold, warm.", usage=tokens(3)),
    ),
    "a tool that fails, and arguments that do not fit": (
        weather(1, city="Atlantis"),
        weather(2, town="Paris"),
        say("I do not know.", usage=tokens(3)),
    ),
    "a call that a hook skips": (
        call("swim", city="Paris", id="call_1", usage=tokens(1)),
        say("A pity.", usage=tokens(2)),
    ),
    "an answer cut short": (say("It is", finish_reason="length", usage=tokens(1)),),
    "too many turns": tuple(weather(number, city="Paris") for number in range(1, 5)),
    "an unknown tool": (weather(1, city="Paris"), call("fly", city="Rome", id="call_2", usage=tokens(2))),
    "a stop": (weather(1, city="Paris"), weather(2, city="Rome")),
    "a limit of the provider": (weather(1, city="Paris"), fail(429, retry_after=2)),
    "a provider that is down": (weather(1, city="Paris"), fail(503)),
    "a connection that breaks": (weather(1, city="Paris"), fail("connection")),
    "a key that is wrong": (fail(401),),
}


@dataclass(frozen=True)
class Outcome:
    """Everything that a run leaves behind."""

    output: Any
    usage: Usage
    calls: list
    history: list[Message]
    error: tuple[Any, ...] | None

    @property
    def shared(self) -> tuple[Any, ...]:
        """What does not depend on the words of the provider."""
        return self.output, self.usage, self.calls, self.history, self.error and self.error[:5]


def spoken(messages: list[Message]) -> list[Message]:
    """Messages without the ids that providers give them."""
    return [message.model_copy(update={"id": None}) for message in messages]


async def run(model, *, streamed: bool, kind: Any = None) -> Outcome:
    agent = Agent(model, preamble="Be brief.", tools=[get_weather], max_turns=4, hooks=[NotRome()])
    history = [Message.user("Hi."), Message.assistant("Hello.")]
    request: Any = agent.prompt_typed(kind, "How is it?") if kind else agent.chat("How is it?", history)
    try:
        if streamed:
            async with request.stream() as events:
                async for event in events:
                    if isinstance(event, RunFinished):
                        details = event.response
        else:
            details = await request.extended_details()
    except AgentError as error:
        assert history == [Message.user("Hi."), Message.assistant("Hello.")]
        return Outcome(None, error.usage, [], [], _failure(error))
    calls = [(one.call_index, one.usage) for one in details.completion_calls]
    if kind is None:
        assert history[2:] == details.messages
    return Outcome(details.output, details.usage, calls, spoken(details.messages), None)


def _failure(error: AgentError) -> tuple[Any, ...]:
    prompt_error = error.prompt_error if isinstance(error, TypedPromptFailed) else error
    said = spoken(prompt_error.chat_history) if isinstance(prompt_error, PromptError) else None
    cause = error.completion_error
    kind = cause and cause.kind
    return type(error), error.status, error.retryable, kind, said, str(error), error.body, error.json()


async def over_a_provider(name: str, turns: tuple, path: Any, *, streamed: bool, kind: Any = None) -> Outcome:
    """Run the agent against a scripted provider, and keep what crossed the wire in a cassette."""
    with use_script(*turns, **STRICT) as script:
        async with ProviderModel(name, "a-model") as model:
            outcome = await run(model, streamed=streamed, kind=kind)
    Cassette(script.calls).save(path)
    return outcome


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("turns", SCRIPTS.values(), ids=SCRIPTS)
async def test_every_model_gives_the_same_history_usage_and_errors(turns, provider, streamed, tmp_path):
    with ScriptedModel(*turns, **STRICT) as scripted:
        expected = await run(scripted, streamed=False)
    with ScriptedModel(*turns, **STRICT) as scripted:
        assert await run(scripted, streamed=True) == expected

    path = tmp_path / "run.yaml"
    lived = await over_a_provider(provider, turns, path, streamed=streamed)
    with ReplayModel(load(path)) as model:
        replayed = await run(model, streamed=streamed)

    with ReplayModel(load(path)) as model:
        otherwise = await run(model, streamed=not streamed)

    assert lived.shared == expected.shared
    assert replayed == lived
    assert otherwise == lived


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "turns",
    [
        (say('{"name": "Paris", "people": 2}', usage=tokens(1)),),
        (weather(1, city="Paris"), say('{"name": "Paris", "people": 2}', usage=tokens(2))),
        (say("Paris.", usage=tokens(1)),),
        (fail(500),),
    ],
    ids=["a value", "a tool and a value", "no value", "an error"],
)
async def test_every_model_gives_the_same_values(turns, provider, streamed, tmp_path):
    with ScriptedModel(*turns, **STRICT) as scripted:
        expected = await run(scripted, streamed=streamed, kind=City)

    path = tmp_path / "run.yaml"
    lived = await over_a_provider(provider, turns, path, streamed=streamed, kind=City)
    with ReplayModel(load(path)) as model:
        replayed = await run(model, streamed=streamed, kind=City)

    assert lived.shared == expected.shared
    assert replayed == lived


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_wrapped_error_answers_for_what_the_provider_sent(provider):
    with use_script(*[fail(429, retry_after=2)] * 3):
        model = ProviderModel(provider, "a-model")
        errors = []
        for ask in (
            lambda agent: agent.prompt("Hi."),
            lambda agent: agent.prompt_typed(City, "Hi."),
            lambda agent: agent.extractor(City).extract("Hi."),
        ):
            with pytest.raises(AgentError) as error:
                await ask(Agent(model))
            errors.append(error.value)
        await model.aclose()

    for error in errors:
        assert (error.status, error.retryable) == (429, True)
        assert error.completion_error.retry_after == 2
        assert error.json() == error.body == error.completion_error.body
        assert "error" in error.json()
    assert [type(error).__name__ for error in errors] == [
        "CompletionFailed",
        "TypedPromptFailed",
        "ExtractionFailed",
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_serves_code_that_is_not_async(provider):
    with use_script(weather(1, city="Paris"), say("It is warm.")):
        agent = Agent(ProviderModel(provider, "a-model"), tools=[get_weather], max_turns=2)

        assert agent.prompt_sync("How is Paris?") == "It is warm."

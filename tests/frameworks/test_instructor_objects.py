"""One script, and instructor unmodified over OpenAI and Anthropic: objects, second tries, objects in part.

It needs an older SDK of OpenAI than the others, so `.ci/run` tests it in an environment of its own.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import Cassette, fail, use_cassette, use_script
from llmreplay.errors import ScriptExhausted
from tests.frameworks._behaviours import (
    LAST,
    OBJECT,
    QUESTION,
    Driver,
    Heard,
    Weather,
    answer,
    error_of,
    expected,
    heard_of,
    pairs,
    play,
    seen,
    without_keys,
)

if find_spec("instructor") is None:
    pytest.skip(
        "instructor needs an older openai: .ci/run tests it in an environment of its own",
        allow_module_level=True,
    )

import instructor
from instructor.core import InstructorRetryException

if TYPE_CHECKING:
    from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": QUESTION}]
WRONG, RIGHT = (
    answer({"city": "Paris", "degrees": "warm"}, LAST),
    answer({"city": "Paris", "degrees": 20}, LAST),
)


class Instructor(Driver):
    """`create` and `create_partial` of a client that instructor makes of an SDK's."""

    def __init__(self, name: str, provider: str, wire: str, mode: str) -> None:
        self.name, self.provider, self.wire, self.mode = f"instructor-{name}", provider, wire, mode

    def counts(self, way: str) -> bool:
        return not way.endswith("stream")

    def client(self, *, awaited: bool) -> Any:
        mode = instructor.Mode[self.mode]
        if self.provider == "anthropic":
            import anthropic

            made = anthropic.AsyncAnthropic() if awaited else anthropic.Anthropic()
            return instructor.from_anthropic(made, mode=mode)
        import openai

        return instructor.from_openai(openai.AsyncOpenAI() if awaited else openai.OpenAI(), mode=mode)

    def ask(
        self,
        way: str,
        heard: Heard,
        *,
        tools: bool = False,
        output: type[BaseModel] | None = None,
    ) -> Any:
        client = self.client(awaited=way.startswith("async"))
        options: dict[str, Any] = {
            "response_model": output or Weather,
            "messages": MESSAGES,
            "max_retries": 2,
        }
        options |= (
            {"model": "claude-haiku-4-5", "max_tokens": 100}
            if self.provider == "anthropic"
            else {"model": "gpt-5"}
        )
        if way == "async-stream":
            return self.parts(client.create_partial(**options), heard)
        if way == "async":
            return self.awaited(client.create_with_completion(**options), heard)
        if way == "sync":
            return self.whole(*client.create_with_completion(**options), heard)
        for part in client.create_partial(**options):
            self.part(part, heard)
        return None

    async def awaited(self, work: Any, heard: Heard) -> None:
        self.whole(*await work, heard)

    async def parts(self, stream: Any, heard: Heard) -> None:
        async for part in stream:
            self.part(part, heard)

    def whole(self, made: Any, raw: Any, heard: Heard) -> None:
        assert isinstance(made, Weather)  # of a class that instructor derives from it
        heard.object = Weather(**made.model_dump())
        usage = raw.usage
        if hasattr(usage, "prompt_tokens"):
            heard.spends(usage.prompt_tokens, usage.completion_tokens)
        else:
            heard.spends(usage.input_tokens, usage.output_tokens)

    def part(self, part: Any, heard: Heard) -> None:
        heard.deltas.append(str(part.model_dump(exclude_none=True)))
        heard.object = Weather.model_construct(**part.model_dump())


DRIVERS = [
    Instructor("tools", "openai", "openai_chat", "TOOLS"),
    Instructor("json", "openai", "openai_chat", "JSON"),
    Instructor("schema", "openai", "openai_chat", "JSON_SCHEMA"),
    Instructor("responses", "openai", "openai_responses", "RESPONSES_TOOLS"),
    Instructor("anthropic-tools", "anthropic", "anthropic_messages", "TOOLS"),
    Instructor("anthropic-json", "anthropic", "anthropic_messages", "JSON"),
]


@pytest.fixture(autouse=True)
def _a_machine_without_keys(monkeypatch):
    without_keys(monkeypatch)


@pairs(DRIVERS)
def test_an_object_is_of_the_type_that_was_asked_for(driver, way):
    assert seen(driver, way, OBJECT) == expected(driver, way, OBJECT)


@pairs(DRIVERS, only="sync")
def test_an_object_that_does_not_fit_is_asked_for_again(driver, way):
    with use_script(WRONG, RIGHT, strict_except=["arguments"]) as script:
        heard = heard_of(driver, way, OBJECT)

    assert heard.object == Weather(city="Paris", degrees=20)
    assert len(script.calls) == 2
    told = "\n".join([script.requests[1].prompt, *(one.text for one in script.requests[1].tool_results)])
    assert "Input should be a valid integer" in told


@pairs(DRIVERS, only="sync")
def test_an_object_that_never_fits_is_an_error_after_as_many_tries_as_were_told(driver, way):
    with (
        use_script(WRONG, WRONG, WRONG, strict_except=["arguments"]),
        pytest.raises(InstructorRetryException) as error,
    ):
        heard_of(driver, way, OBJECT)
    assert error.value.n_attempts == 3


@pairs(DRIVERS, only="stream")
@pytest.mark.parametrize("split", [None, "bytes"], ids=["whole", "bytes"])
def test_an_object_in_part_grows_field_by_field(driver, way, split):
    with use_script(RIGHT, split=split):
        parts = heard_of(driver, way, OBJECT).deltas

    assert list(dict.fromkeys(parts)) == ["{}", "{'city': 'Paris'}", "{'city': 'Paris', 'degrees': 20}"]


@pairs(DRIVERS)
def test_a_run_that_was_kept_is_replayed(driver, way, tmp_path):
    path = tmp_path / "run.yaml"
    with use_script(RIGHT) as script:
        first = heard_of(driver, way, OBJECT)
    Cassette(script.calls).save(path)

    with use_cassette(path):
        assert heard_of(driver, way, OBJECT) == first


@pairs(DRIVERS)
def test_a_limit_that_passes_is_waited_for_by_the_sdk_below(driver, way):
    with use_script(fail("rate_limited"), RIGHT) as script:
        assert heard_of(driver, way, OBJECT).object == Weather(city="Paris", degrees=20)
    assert len(script.calls) == 2


@pairs(DRIVERS)
@pytest.mark.parametrize(
    ("what", "kind", "attempts"),
    [("authentication", "AuthenticationError", 1), ("rate_limited", "RateLimitError", 3)],
)
def test_an_error_is_instructors_own_and_comes_from_the_sdks(driver, way, what, kind, attempts):
    error, _, script = error_of(driver, way, *[fail(what)] * attempts)

    assert type(error) is InstructorRetryException
    assert type(error.__cause__).__name__ == kind
    assert type(error.__cause__).__module__ == driver.provider
    assert len(script.calls) == attempts


@pairs(DRIVERS)
def test_a_call_too_many_fails_the_test_whatever_the_framework_makes_of_it(driver, way):
    with pytest.raises(ScriptExhausted), use_script():
        play(driver, way, Heard())

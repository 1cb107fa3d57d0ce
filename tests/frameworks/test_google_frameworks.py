"""One script, and pydantic-ai and langchain unmodified over Gemini: each hears what was written.

Both need an older SDK of Google than the others, so `.ci/run` tests them in an environment of their own.
"""

from __future__ import annotations

import importlib.util

import pytest

from llmreplay import Cassette, call, fail, use_cassette, use_script
from tests.frameworks._behaviours import (
    OBJECT,
    ONE_TOOL,
    PARALLEL_TOOLS,
    PARIS,
    PIECES,
    TEXT,
    TOOL_AND_OBJECT,
    Heard,
    error_of,
    expected,
    heard_of,
    pairs,
    play,
    seen,
    without_keys,
)
from tests.frameworks._langchain import ByHand, OwnAgent
from tests.frameworks._pydantic_ai import PydanticAI

if importlib.util.find_spec("langchain_google_genai") is None:
    pytest.skip(
        "they need an older google-genai: .ci/run tests them in an environment of their own",
        allow_module_level=True,
    )

AGENTS = [PydanticAI("google", "google:gemini-2.5-flash", "gemini"), OwnAgent("google", "gemini")]
EVERYONE = [*AGENTS, ByHand("google", "gemini")]
CASES = {"one tool": ONE_TOOL, "parallel tools": PARALLEL_TOOLS, "object": OBJECT, "text": TEXT}


@pytest.fixture(autouse=True)
def _a_machine_without_keys(monkeypatch):
    without_keys(monkeypatch)


@pairs(EVERYONE)
@pytest.mark.parametrize("case", CASES)
def test_what_is_heard_is_what_was_written(driver, way, case):
    assert seen(driver, way, CASES[case]) == expected(driver, way, CASES[case])


@pairs(AGENTS)
def test_an_object_may_come_after_the_calls_of_tools(driver, way):
    assert seen(driver, way, TOOL_AND_OBJECT) == expected(driver, way, TOOL_AND_OBJECT)


@pairs(EVERYONE, only="stream")
@pytest.mark.parametrize("split", [None, "bytes"], ids=["whole", "bytes"])
def test_a_stream_is_heard_in_the_pieces_that_are_written_however_its_bytes_are_cut(driver, way, split):
    with use_script(*TEXT.turns, split=split):
        assert heard_of(driver, way).deltas == PIECES


@pairs(EVERYONE)
def test_a_run_that_was_kept_is_replayed(driver, way, tmp_path):
    path = tmp_path / "run.yaml"
    with use_script(*PARALLEL_TOOLS.turns) as script:
        first = heard_of(driver, way, PARALLEL_TOOLS)
    Cassette(script.calls).save(path)

    with use_cassette(path):
        assert heard_of(driver, way, PARALLEL_TOOLS) == first


@pairs(EVERYONE)
def test_an_error_is_the_frameworks_own(driver, way):
    error, _, script = error_of(driver, way, fail("authentication"))

    # Google says with status 400 that a key is wrong, and langchain goes by the status.
    by_status = driver.name.startswith("langchain")
    assert type(error).__name__ == ("GoogleInvalidRequestError" if by_status else "ModelAuthenticationError")
    assert len(script.calls) == 1


@pairs(EVERYONE)
def test_a_call_too_many_fails_the_test_whatever_the_framework_makes_of_it(driver, way):
    with pytest.raises(BaseException) as error, use_script(call("get_weather", PARIS)):  # noqa: PT011  as told
        play(driver, way, Heard(), ONE_TOOL)

    told = "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])
    assert "The script has no turn left for this request." in told

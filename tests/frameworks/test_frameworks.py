"""One script, and pydantic-ai, langchain and openai-agents unmodified: each hears what was written.

litellm and instructor need an older SDK of OpenAI, and openai-agents an older websockets than others
here may have: the first two are tested by `.ci/run` in environments of their own, the last where it is.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

import pytest

from llmreplay import Cassette, call, cut, fail, say, use_cassette, use_script
from llmreplay.errors import LiveCallBlocked, ScriptExhausted, SwallowedRefusals
from tests.frameworks import _langchain, _openai_agents, _pydantic_ai
from tests.frameworks._behaviours import (
    A_LIMIT_THAT_PASSES,
    OBJECT,
    ONE_TOOL,
    PARALLEL_TOOLS,
    PARIS,
    PIECES,
    QUESTION,
    TEXT,
    TOOL_AND_OBJECT,
    Heard,
    Weather,
    a_loop_of_its_own,
    answer,
    error_of,
    expected,
    heard_of,
    pairs,
    play,
    seen,
    without_keys,
)

# langchain-openai dumps the SDK's answers, in which a parsed object is not of the declared type.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")

AGENTS = [*_pydantic_ai.DRIVERS, *_langchain.AGENTS, *_openai_agents.DRIVERS]
EVERYONE = [*AGENTS, *_langchain.LOOPS]


@pytest.fixture(autouse=True)
def _a_machine_without_keys(request, monkeypatch):
    without_keys(monkeypatch)
    driver = request.node.callspec.params.get("driver") if hasattr(request.node, "callspec") else None
    if isinstance(driver, _openai_agents.OpenAIAgents) and find_spec("agents") is None:
        pytest.skip("openai-agents is not installed")


# what was written is what is heard


@pairs(EVERYONE)
def test_a_tool_is_called_and_its_result_brought_back(driver, way):
    assert seen(driver, way, ONE_TOOL) == expected(driver, way, ONE_TOOL)


@pairs(EVERYONE)
def test_parallel_calls_keep_their_order_and_so_do_their_results(driver, way):
    assert seen(driver, way, PARALLEL_TOOLS) == expected(driver, way, PARALLEL_TOOLS)


@pairs(EVERYONE)
def test_an_object_is_of_the_type_that_was_asked_for(driver, way):
    assert seen(driver, way, OBJECT) == expected(driver, way, OBJECT)


@pairs(AGENTS)
def test_an_object_may_come_after_the_calls_of_tools(driver, way):
    assert seen(driver, way, TOOL_AND_OBJECT) == expected(driver, way, TOOL_AND_OBJECT)


@pairs(EVERYONE)
def test_a_text_is_heard(driver, way):
    assert seen(driver, way, TEXT) == expected(driver, way, TEXT)


@pairs(EVERYONE, only="stream")
@pytest.mark.parametrize("split", [None, "bytes"], ids=["whole", "bytes"])
def test_a_stream_is_heard_in_the_pieces_that_are_written_however_its_bytes_are_cut(driver, way, split):
    with use_script(*TEXT.turns, split=split):
        assert heard_of(driver, way).deltas == PIECES


@pairs(EVERYONE)
def test_a_run_that_was_kept_is_replayed(driver, way, tmp_path):
    """What a framework sends is the same on each run, but for ids that it makes up."""
    path = tmp_path / "run.yaml"
    with use_script(*PARALLEL_TOOLS.turns) as script:
        first = heard_of(driver, way, PARALLEL_TOOLS)
    Cassette(script.calls).save(path)

    with use_cassette(path) as cassette:
        assert heard_of(driver, way, PARALLEL_TOOLS) == first
    assert (cassette.usage.input_tokens, cassette.usage.output_tokens) == PARALLEL_TOOLS.tokens


# errors, as each framework has them


@pairs(EVERYONE)
def test_a_limit_that_passes_is_waited_for_by_the_sdk_below(driver, way):
    assert seen(driver, way, A_LIMIT_THAT_PASSES) == expected(driver, way, A_LIMIT_THAT_PASSES)


def named(driver, kind: str) -> str:
    """The name of the error that a framework makes of what its SDK raises."""
    if driver.name.startswith("pydantic-ai"):
        return f"pydantic_ai.Model{kind}"
    if driver.name.startswith("langchain"):
        library = "Anthropic" if driver.wire == "anthropic_messages" else "OpenAI"
        return f"langchain_{library.lower()}.{library}{kind}"
    return f"openai.API{kind}" if kind == "ConnectionError" else f"openai.{kind}"


def name_of(error: Exception) -> str:
    return f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}"


@pairs(EVERYONE)
@pytest.mark.parametrize(
    ("kind", "status", "attempts"), [("AuthenticationError", 401, 1), ("RateLimitError", 429, 3)]
)
def test_an_error_is_the_frameworks_own_and_has_its_status(driver, way, kind, status, attempts):
    what = "authentication" if status == 401 else "rate_limited"
    error, _, script = error_of(driver, way, *[fail(what)] * attempts)

    assert name_of(error) == named(driver, kind)
    assert error.status_code == status
    assert len(script.calls) == attempts


@pairs(EVERYONE, only="stream")
def test_a_stream_that_breaks_is_an_error_after_what_came(driver, way):
    error, heard, script = error_of(driver, way, cut(say("One two three four five six seven."), 6))

    raw = driver.name.startswith("langchain") and driver.wire == "anthropic_messages"
    assert name_of(error) == ("httpx2.RemoteProtocolError" if raw else named(driver, "ConnectionError"))
    assert heard.text.startswith("One two")
    assert not heard.text.endswith("seven.")
    assert len(script.calls) == 1


@pairs(EVERYONE)
def test_a_call_too_many_fails_the_test_whatever_the_framework_makes_of_it(driver, way):
    with pytest.raises(BaseException) as error, use_script(call("get_weather", PARIS)):  # noqa: PT011  see below
        play(driver, way, Heard(), ONE_TOOL)

    # langchain gathers its awaited calls, takes a refusal for an answer, and stumbles over it.
    hidden = way in hides(driver)
    assert type(error.value) is (AttributeError if hidden else ScriptExhausted)
    told = "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])
    assert "The script has no turn left for this request." in told
    assert "result 20 °C in Paris, 3 days" in told


def hides(driver) -> tuple[str, ...]:
    if isinstance(driver, _langchain.OwnAgent):
        return ("async", "async-stream")
    return ("async",) if isinstance(driver, _langchain.ByHand) else ()


# what is each framework's own

WRONG, RIGHT = answer({"city": "Paris", "degrees": "warm"}), answer({"city": "Paris", "degrees": 20})


@pairs(_pydantic_ai.DRIVERS, only="sync")
def test_pydantic_ai_asks_again_for_an_object_that_does_not_fit(driver, way):
    with use_script(WRONG, RIGHT, strict_except=["arguments"]) as script:
        assert heard_of(driver, way, OBJECT).object == Weather(city="Paris", degrees=20)

    asked = script.requests[1]
    told = asked.tool_results[0].text if asked.tool_results else asked.prompt
    assert "Input should be a valid integer" in told


@pairs(_pydantic_ai.DRIVERS, only="stream")
def test_pydantic_ai_cannot_take_back_a_stream_that_does_not_fit(driver, way):
    from pydantic_ai import UnexpectedModelBehavior

    with (
        use_script(WRONG, strict_except=["arguments"]),
        pytest.raises(UnexpectedModelBehavior, match="retries"),
    ):
        heard_of(driver, way, OBJECT)


def test_agents_of_pydantic_ai_that_run_at_once_have_a_queue_each():
    from pydantic_ai import Agent

    async def both():
        first, second = Agent("openai-chat:gpt-5"), Agent("anthropic:claude-sonnet-5-5")
        answers = await asyncio.gather(first.run("The news?"), second.run("The weather?"))
        return [one.output for one in answers]

    with use_script() as script:
        script.when(contains="weather").turns("Sunny.")
        script.when(contains="news").turns("None.")
        assert asyncio.run(both()) == ["None.", "Sunny."]


def test_a_batch_of_langchain_runs_in_threads_that_have_a_queue_each():
    with use_script() as script:
        script.when(contains="weather").turns("Sunny.")
        script.when(contains="news").turns("None.")
        answers = _langchain.model("openai_chat").batch(["The news?", "The weather?"])
    assert [answer.text for answer in answers] == ["None.", "Sunny."]


def test_what_openai_agents_would_trace_is_refused_and_told():
    tracing = pytest.importorskip("agents.tracing", reason="openai-agents is not installed")
    from agents import Agent, Runner
    from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor

    processor = BatchTraceProcessor(BackendSpanExporter(api_key="none"), schedule_delay=3600)
    tracing.set_trace_processors([processor])
    try:
        refused = pytest.raises(SwallowedRefusals, match=r"live call to api\.openai\.com was blocked")
        with refused, a_loop_of_its_own(), use_script("Hello."):
            assert Runner.run_sync(Agent("greeter", model="gpt-5"), QUESTION).final_output == "Hello."
            with pytest.raises(LiveCallBlocked):
                processor.force_flush()
    finally:
        tracing.set_trace_processors([])
        processor.shutdown(timeout=1)

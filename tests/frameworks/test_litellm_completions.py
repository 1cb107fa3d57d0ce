"""One script, and litellm unmodified over four wires: completions, streams, tools, objects, errors.

Rules:

* It needs an older SDK of OpenAI than the others, so `.ci/run` tests it in an environment of its own.
* Its awaited calls go over aiohttp, or, if it is told so, over httpx: both are tried.
"""

from __future__ import annotations

import gc
import os
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import Cassette, call, cut, fail, say, use_cassette, use_script
from llmreplay.errors import ScriptExhausted, SwallowedRefusals, UnmatchedRequest
from tests import wires
from tests.frameworks._behaviours import (
    A_LIMIT_THAT_PASSES,
    OBJECT,
    ONE_TOOL,
    PARALLEL_TOOLS,
    PARAMETERS,
    PARIS,
    PIECES,
    QUESTION,
    TEXT,
    Driver,
    Heard,
    error_of,
    expected,
    get_weather,
    heard_of,
    pairs,
    play,
    seen,
    without_keys,
)
from tests.loopback import Received, Reply, Server

if find_spec("litellm") is None:
    pytest.skip(
        "litellm needs an older openai: .ci/run tests it in an environment of its own",
        allow_module_level=True,
    )

# What it knows of models and of headers comes with it; without this it asks GitHub for newer ones.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"
import litellm
from litellm.exceptions import MidStreamFallbackError

if TYPE_CHECKING:
    from pydantic import BaseModel

litellm.suppress_debug_info = True

pytestmark = [
    # Its types are read-only where pydantic cannot see to that.
    pytest.mark.filterwarnings("ignore:Item .* is using the `ReadOnly` qualifier:UserWarning"),
    # Its models are not of the types that they declare when it logs them.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
    # It reads fields of models off their instances.
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
    # Its log is written from a loop of its own, which it leaves open.
    pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": get_weather.__doc__, "parameters": PARAMETERS},
}


class LiteLLM(Driver):
    """`completion` and `acompletion`, with the loop that people write around them."""

    def __init__(self, name: str, model: str, wire: str, *, aiohttp: bool = False, **options: Any) -> None:
        self.name = f"litellm-{name}" + ("-aiohttp" if aiohttp else "")
        self.model, self.wire, self.aiohttp, self.options = model, wire, aiohttp, options
        if aiohttp:
            self.ways = ("async", "async-stream")

    def patient(self) -> LiteLLM:
        """The same, but it tries again."""
        name = self.name.removeprefix("litellm-").removesuffix("-aiohttp")
        return LiteLLM(name, self.model, self.wire, aiohttp=self.aiohttp, num_retries=2)

    def ask(
        self, way: str, heard: Heard, *, tools: bool = False, output: type[BaseModel] | None = None
    ) -> Any:
        litellm.disable_aiohttp_transport = not self.aiohttp
        litellm.in_memory_llm_clients_cache.flush_cache()  # its clients belong to the loop they were made in
        options: dict[str, Any] = {"model": self.model, **self.options}
        if tools:
            options["tools"] = [TOOL]
        if output:
            options["response_format"] = output
        if way.endswith("stream"):
            options |= {"stream": True, "stream_options": {"include_usage": True}}
        turns = self.conversation(heard, output)
        if way.startswith("async"):
            return self.awaited(options, turns, heard)
        messages = next(turns)
        while messages is not None:
            answer: Any = litellm.completion(messages=messages, **options)
            if "stream" in options:
                answer = self.put_together([self.chunk(chunk, heard) for chunk in answer], messages)
            messages = turns.send(answer)
        return None

    async def awaited(self, options: Any, turns: Any, heard: Heard) -> None:
        try:
            messages = next(turns)
            while messages is not None:
                answer: Any = await litellm.acompletion(messages=messages, **options)
                if "stream" in options:
                    answer = self.put_together([self.chunk(chunk, heard) async for chunk in answer], messages)
                messages = turns.send(answer)
        finally:
            await litellm.close_litellm_async_clients()

    def chunk(self, chunk: Any, heard: Heard) -> Any:
        for choice in chunk.choices:
            heard.says(choice.delta.content or "")
        return chunk

    def put_together(self, chunks: list[Any], messages: Any) -> Any:
        return litellm.stream_chunk_builder(chunks, messages=messages)

    def conversation(self, heard: Heard, output: Any) -> Any:
        """What is asked, turn by turn, of what was answered."""
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        while True:
            answer: Any = yield list(messages)
            message = answer.choices[0].message
            heard.spends(answer.usage.prompt_tokens, answer.usage.completion_tokens)
            if not heard.deltas:
                heard.says(message.content or "")
            if output:
                heard.object = output.model_validate_json(message.content)
            messages.append(message.model_dump())
            for asked in message.tool_calls or []:
                heard.asks(asked.function.name, asked.function.arguments)
                result = get_weather(**heard.calls[-1][1])
                messages.append({"role": "tool", "tool_call_id": asked.id, "content": result})
            if not message.tool_calls:
                break
        yield None


MODELS = [
    ("chat", "openai/gpt-5", "openai_chat"),
    ("responses", "openai/responses/gpt-5", "openai_responses"),
    ("anthropic", "anthropic/claude-haiku-4-5", "anthropic_messages"),
    ("gemini", "gemini/gemini-2.5-flash", "gemini"),
]
DRIVERS = [LiteLLM(*model) for model in MODELS] + [LiteLLM(*model, aiohttp=True) for model in MODELS]
CASES = {
    "one tool": ONE_TOOL,
    "parallel tools": PARALLEL_TOOLS,
    "object": OBJECT,
    "text": TEXT,
}


@pytest.fixture(autouse=True, scope="module")
def _what_litellm_leaves_open():
    """Let go of the loop of its log, and of the sockets of its clients, which nobody can close."""
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(3):
            gc.collect()


@pytest.fixture(autouse=True)
def _a_machine_without_keys(request, monkeypatch):
    without_keys(monkeypatch)
    aiohttp = getattr(request.node.callspec.params.get("driver"), "aiohttp", False)
    if aiohttp and find_spec("llmreplay.intercept._aiohttp") is None:
        pytest.skip("llmreplay.intercept has no edge for aiohttp")


@pairs(DRIVERS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_heard_is_what_was_written(driver, way, case):
    assert seen(driver, way, CASES[case]) == expected(driver, way, CASES[case])


@pairs(DRIVERS, only="stream")
@pytest.mark.parametrize("split", [None, "bytes"], ids=["whole", "bytes"])
def test_a_stream_is_heard_in_the_pieces_that_are_written_however_its_bytes_are_cut(driver, way, split):
    with use_script(*TEXT.turns, split=split):
        assert heard_of(driver, way).deltas == PIECES


@pairs(DRIVERS)
def test_a_run_that_was_kept_is_replayed(driver, way, tmp_path):
    path = tmp_path / "run.yaml"
    with use_script(*PARALLEL_TOOLS.turns) as script:
        first = heard_of(driver, way, PARALLEL_TOOLS)
    Cassette(script.calls).save(path)

    with use_cassette(path):
        assert heard_of(driver, way, PARALLEL_TOOLS) == first


def provider(received: Received) -> Reply:
    """A provider here: it says where it is sunny, plain or in a stream."""
    if received.json.get("stream"):
        return Reply.sse(wires.openai_stream("Sunny in Paris.", usage=True), framing="close")
    return Reply.json(wires.openai_chat("Sunny in Paris."), framing="close")


@pytest.mark.parametrize("aiohttp", [False, True], ids=["httpx", "aiohttp"])
@pytest.mark.parametrize("way", ["sync", "stream", "async", "async-stream"])
def test_what_a_provider_here_said_is_recorded_replayed_and_nothing_else_is_asked(tmp_path, way, aiohttp):
    if aiohttp and not way.startswith("async"):
        pytest.skip("litellm asks over aiohttp only where it is awaited")
    path = tmp_path / "run.yaml"
    with Server({"/v1/chat/completions": provider}) as server:
        place = f"{server.url}/v1"
        driver = LiteLLM(
            "chat", "openai/gpt-5", "openai_chat", aiohttp=aiohttp, api_base=place, api_key="none"
        )
        with use_cassette(path, record="once") as cassette:
            first = heard_of(driver, way)
        assert len(cassette.calls) == len(server.requests) == 1

    assert first.text == "Sunny in Paris."
    with use_cassette(path):
        assert heard_of(driver, way) == first
    with (
        pytest.raises((SwallowedRefusals, UnmatchedRequest)),
        use_cassette(path, unused="ignore") as cassette,
    ):
        with pytest.raises((Exception, UnmatchedRequest)):
            heard_of(LiteLLM("chat", "openai/gpt-6", "openai_chat", aiohttp=aiohttp, **driver.options), way)
        assert len(cassette.refusals) == 1  # and it was not tried again


@pairs(DRIVERS)
def test_a_limit_that_passes_is_waited_for_if_litellm_is_told_to(driver, way):
    if driver.wire == "gemini" and way.endswith("stream"):
        pytest.skip("litellm opens a stream of Gemini when it is read, and then tries nothing again")
    patient = driver.patient()
    assert seen(patient, way, A_LIMIT_THAT_PASSES) == expected(driver, way, A_LIMIT_THAT_PASSES)


@pairs(DRIVERS)
@pytest.mark.parametrize(
    ("what", "kind", "status"),
    [("authentication", "AuthenticationError", 401), ("rate_limited", "RateLimitError", 429)],
)
def test_an_error_is_litellms_own_and_has_its_status(driver, way, what, kind, status):
    # Over OpenAI's chat API the SDK below tries again by itself.
    attempts = 3 if driver.wire == "openai_chat" and what == "rate_limited" else 1
    error, _, script = error_of(driver, way, *[fail(what)] * attempts)

    # A stream of Gemini is opened when it is read, and what happens then is an error of its stream.
    late = driver.wire == "gemini" and way.endswith("stream") and what == "rate_limited"
    assert type(error) is (MidStreamFallbackError if late else getattr(litellm, kind))
    assert error.status_code == status
    assert len(script.calls) == attempts


@pairs(DRIVERS, only="stream")
def test_a_stream_that_breaks_is_an_error_after_what_came(driver, way):
    error, heard, script = error_of(driver, way, cut(say("One two three four five six seven."), 6))

    assert type(error) is MidStreamFallbackError
    assert error.status_code == 500
    assert heard.text.startswith("One two")
    assert not heard.text.endswith("seven.")
    assert len(script.calls) == 1


@pairs(DRIVERS)
def test_a_call_too_many_fails_the_test_whatever_the_framework_makes_of_it(driver, way):
    with pytest.raises(ScriptExhausted), use_script(call("get_weather", PARIS)):
        play(driver, way, Heard(), ONE_TOOL)

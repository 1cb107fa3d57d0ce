"""SDKs that go over aiohttp: recorded live, replayed and scripted, and refused at once."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anthropic
import httpx2
import openai
import pytest
from google import genai

from llmreplay import UnmatchedRequest, Usage, call, cut, fail, load, say, turn, use_cassette, use_script
from tests import wires
from tests.loopback import Reply, Server, refused_port
from tests.sdks._drivers import DRIVERS, Driver, Google

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# google-genai makes a client of its own out of aiohttp's, which aiohttp does not like to see.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

WORDS = ["Né", "e ", "à ", "Tromsø"]


class GoogleOverAiohttp(Google):
    """google-genai's async client, which takes aiohttp where it is installed."""

    kinds = ("async",)

    @asynccontextmanager
    async def opened(self, kind: str, options: dict[str, Any]) -> AsyncIterator[Any]:
        client = genai.Client(api_key="none", **options).aio
        async with client:
            yield client

    def at(self, url: str) -> dict[str, Any]:
        return {"http_options": {"base_url": url}}

    def events(self) -> list[bytes]:
        return [
            b"data: " + json.dumps(answer(word, "STOP" if word is WORDS[-1] else None)).encode() + b"\r\n\r\n"
            for word in WORDS
        ]

    def body(self) -> Any:
        return answer("".join(WORDS), "STOP")


def answer(text: str, finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate]}


class OpenAIOverAiohttp(Driver):
    """openai with its own client over aiohttp: openai[aiohttp]."""

    @asynccontextmanager
    async def opened(self, kind: str, options: dict[str, Any]) -> AsyncIterator[Any]:
        http = openai.DefaultAioHttpClient(verify=False)  # without certificates to load
        async with openai.AsyncOpenAI(api_key="none", http_client=http, **options) as client:
            yield client

    def at(self, url: str) -> dict[str, Any]:
        return {"base_url": f"{url}/v1"}

    def events(self) -> list[bytes]:
        return wires.openai_stream(WORDS)

    def body(self) -> Any:
        return wires.openai_chat("".join(WORDS))


class AnthropicOverAiohttp(type(DRIVERS["anthropic"])):
    """anthropic with its own client over aiohttp: anthropic[aiohttp]."""

    @asynccontextmanager
    async def opened(self, kind: str, options: dict[str, Any]) -> AsyncIterator[Any]:
        http = anthropic.DefaultAioHttpClient(verify=False)  # without certificates to load
        async with anthropic.AsyncAnthropic(api_key="none", http_client=http, **options) as client:
            yield client

    def at(self, url: str) -> dict[str, Any]:
        return {"base_url": url}

    def events(self) -> list[bytes]:
        return wires.anthropic_stream(WORDS, ping=False)

    def body(self) -> Any:
        return wires.anthropic_message("".join(WORDS))


OVER_AIOHTTP: dict[str, Any] = {
    "google-genai": GoogleOverAiohttp(),
    "openai": OpenAIOverAiohttp(),
    "anthropic": AnthropicOverAiohttp(),
}
FIRST = turn(
    say("Let me look."),
    call("get_weather", city="Paris", days=3),
    call("get_weather", city="Oslo"),
    usage=Usage(input_tokens=12, output_tokens=7),
)
LAST = say("20 °C in Paris, 8 °C in Oslo.", usage=Usage(input_tokens=30, output_tokens=9))


@pytest.fixture(params=OVER_AIOHTTP)
def sdk(request: pytest.FixtureRequest) -> Any:
    """One SDK over aiohttp."""
    return OVER_AIOHTTP[request.param]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer_is_recorded_over_aiohttp_and_comes_again_offline(sdk, tmp_path, stream):
    tape = tmp_path / "tape.yaml"
    reply = Reply.sse(sdk.events()) if stream else Reply.json(sdk.body())
    with Server(reply) as server:
        options = sdk.at(server.url)
        with use_cassette(tape, record="rewrite"):
            live = sdk.says("async", stream=stream, **options)
        assert len(server.requests) == 1
    with use_cassette(tape):
        played = sdk.says("async", stream=stream, **options)

    assert live.text == played.text == "".join(WORDS)
    assert (live.finish, live.tokens) == (played.finish, played.tokens)
    (exchange,) = load(tape).exchanges
    assert exchange.provenance.edge == "aiohttp"
    assert exchange.decode().text == "".join(WORDS)


def test_a_stream_is_seen_live_while_it_is_recorded_and_comes_again_chunk_for_chunk(
    sdk, tmp_path, monkeypatch
):
    tape, events = tmp_path / "tape.yaml", sdk.events()

    # The server waits for the client to have read each event: whoever buffers waits for ever.
    def read(body: Any, *size: Any) -> bytes:
        data = real(body, *size)
        server.step()
        return data

    real = aiohttp.StreamReader._read_nowait_chunk
    with Server(Reply.sse(events, lockstep=True)) as server:
        options = sdk.at(server.url)
        with use_cassette(tape, record="rewrite"), monkeypatch.context() as patch:
            patch.setattr(aiohttp.StreamReader, "_read_nowait_chunk", read)
            live = sdk.says("async", stream=True, **options)
    with use_cassette(tape):
        played = sdk.says("async", stream=True, **options)

    assert live.deltas == played.deltas == WORDS
    assert [chunk.data for chunk in load(tape).exchanges[0].response.chunks] == events


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_live_call_is_refused_as_it_is_and_not_tried_again(sdk, tmp_path, stream):
    with Server(Reply.json(sdk.body())) as server:
        with use_cassette(tmp_path / "tape.yaml") as cassette:
            with pytest.raises(UnmatchedRequest):
                sdk.says("async", stream=stream, **sdk.at(server.url))
            assert len(cassette.refusals) == 1
            cassette.refusals.clear()
        assert server.connections == 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_conversation_with_tools_is_heard_as_it_was_written(sdk, stream):
    with use_script(FIRST, LAST) as script:
        first, last = sdk.converse("async", ["20 °C", "8 °C"], stream=stream)

    assert first.text == "Let me look."
    assert first.calls == [("get_weather", {"city": "Paris", "days": 3}), ("get_weather", {"city": "Oslo"})]
    assert (last.text, last.calls) == ("20 °C in Paris, 8 °C in Oslo.", [])
    assert (first.finish, last.finish) == sdk.finishes
    assert (first.tokens, last.tokens) == ((12, 7), (30, 9))
    assert [found.text for found in script.requests[1].tool_results] == ["20 °C", "8 °C"]


@pytest.mark.parametrize("split", ["bytes", (1, 5, 2), 7], ids=str)
def test_a_stream_is_read_the_same_however_its_bytes_are_cut(sdk, split):
    with use_script(FIRST, LAST, split=split):
        first, last = sdk.converse("async", ["20 °C", "8 °C"], stream=True)
    assert [asked["city"] for _, asked in first.calls] == ["Paris", "Oslo"]
    assert (last.text, last.tokens) == ("20 °C in Paris, 8 °C in Oslo.", (30, 9))


def test_a_stream_comes_in_the_pieces_that_are_written(sdk):
    with use_script(say("Née à Tromsø.", deltas=["Né", "e à ", "Tromsø."])):
        assert sdk.says("async", stream=True).deltas == ["Né", "e à ", "Tromsø."]


# What the SDKs make of what aiohttp raises, and how often they ask: openai and anthropic put httpx2's words
# between; google-genai tries once more where no connection could be made.
FAULTS = {
    "google-genai": {
        "eof": (aiohttp.ClientPayloadError, None),
        "reset": (aiohttp.ClientPayloadError, None),
        "timeout": (aiohttp.SocketTimeoutError, None),
    },
    "openai": {
        "eof": (openai.APIConnectionError, httpx2.ReadError),
        "reset": (openai.APIConnectionError, httpx2.ReadError),
        "timeout": (openai.APITimeoutError, httpx2.ReadTimeout),
    },
    "anthropic": {
        "eof": (httpx2.ReadError, aiohttp.ClientPayloadError),
        "reset": (httpx2.ReadError, aiohttp.ClientPayloadError),
        "timeout": (httpx2.ReadTimeout, aiohttp.SocketTimeoutError),
    },
}
ERRORS = {
    "google-genai": {
        "timeout": (aiohttp.SocketTimeoutError, 1),
        "connection": (aiohttp.ClientConnectorError, 2),
        "rate_limited": (genai.errors.ClientError, 1),
        "overloaded": (genai.errors.ServerError, 1),
        "invalid_request": (genai.errors.ClientError, 1),
    },
    "openai": {
        "timeout": (openai.APITimeoutError, 3),
        "connection": (openai.APITimeoutError, 3),  # as the client over aiohttp has it
        "rate_limited": (openai.RateLimitError, 3),
        "overloaded": (openai.InternalServerError, 3),
        "invalid_request": (openai.BadRequestError, 1),
    },
    "anthropic": {
        "timeout": (anthropic.APITimeoutError, 3),
        "connection": (anthropic.APIConnectionError, 3),
        "rate_limited": (anthropic.RateLimitError, 3),
        "overloaded": (anthropic.OverloadedError, 3),
        "invalid_request": (anthropic.BadRequestError, 1),
    },
}


@pytest.mark.parametrize("how", ["eof", "reset", "timeout"])
@pytest.mark.parametrize("name", OVER_AIOHTTP)
def test_a_stream_that_breaks_is_an_error_after_what_came(name, how):
    with use_script(cut("One two three four five six seven.", 5, how=how)) as script:
        heard, error = OVER_AIOHTTP[name].meets("async", stream=True)

    expected, cause = FAULTS[name][how]
    assert type(error) is expected
    assert cause is None or type(error.__cause__) is cause
    assert heard.text.startswith("One")
    assert heard.finish is None
    assert len(script.calls) == 1


@pytest.mark.parametrize("name", OVER_AIOHTTP)
def test_each_kind_of_error_is_the_sdks_own_after_as_many_attempts_as_it_makes(name, llm_clock):
    for what, (expected, attempts) in ERRORS[name].items():
        with use_script(*[fail(what)] * attempts) as script:
            _, error = OVER_AIOHTTP[name].meets("async")
        assert type(error) is expected, what
        assert len(script.calls) == attempts, what


@pytest.mark.parametrize("name", OVER_AIOHTTP)
def test_a_refused_connection_is_the_same_error_live_replayed_and_scripted(name, tmp_path, llm_clock):
    sdk, tape = OVER_AIOHTTP[name], tmp_path / "tape.yaml"
    with refused_port() as port:
        options = sdk.at(f"http://127.0.0.1:{port}")
        with use_cassette(tape, record="rewrite"):
            _, live = sdk.meets("async", **options)
    with use_cassette(tape):
        _, played = sdk.meets("async", **options)
    assert type(live) is type(played) is ERRORS[name]["connection"][0]
    assert type(live.__cause__) is type(played.__cause__)

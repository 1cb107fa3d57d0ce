"""The types of the public names, as a type checker sees them; never run, only checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import assert_type

import httpx

import llmreplay
from llmreplay import (
    AsyncRecordingTransport,
    Cassette,
    Chunk,
    CompletionError,
    CompletionModel,
    CompletionRequest,
    CompletionRequestBuilder,
    CompletionResponse,
    Exchange,
    Failure,
    ProviderModel,
    RecordingTransport,
    Refusal,
    ReplayModel,
    Request,
    Response,
    ScriptedModel,
    StreamEvent,
    UnmatchedRequest,
    Usage,
    fail,
    load,
    say,
    use_cassette,
)
from llmreplay.completion import Text, told


def a_cassette_is_loaded_and_asked() -> None:
    cassette = load(Path("x.yaml"))
    assert_type(cassette, Cassette)
    assert_type(cassette.exchanges, Sequence[Exchange])
    assert_type(cassette.exchanges[0], Exchange)
    assert_type(cassette.exchanges[:1], Sequence[Exchange])
    assert_type(cassette.calls, list[Exchange])
    assert_type(cassette.requests, list[CompletionRequest])
    assert_type(cassette.usage, Usage)
    assert_type(cassette.path, Path | None)
    cassette.before(2, llmreplay.fail("overloaded"), llmreplay.say("Hi"))
    cassette.cut(3, after=7, how="reset", again=True)
    cassette.cut(3, how="bang")  # type: ignore[arg-type]  # there is no such break
    cassette.save()
    cassette.save("y.yaml", format="vcr")
    cassette.save("y.har", format="har")
    cassette.save("y.json", format="nock")  # type: ignore[arg-type]  # it is only read
    assert_type(load("answer.sse", url="https://host/v1/responses"), Cassette)
    assert_type(load("answer.json", url="https://host/v1/responses", request=Path("asked.json")), Cassette)
    load("answer.json", "https://host")  # type: ignore[call-arg]  # by name only


def an_exchange_means_something(exchange: Exchange) -> None:
    assert_type(exchange.request, Request)
    assert_type(exchange.response, Response | None)
    assert_type(exchange.failure, Failure | None)
    assert_type(exchange.decode(), CompletionResponse)
    assert_type(exchange.decode_request(), CompletionRequest)
    assert_type(exchange.events(), list[StreamEvent])
    assert_type(exchange.request.header("x"), str | None)
    if exchange.response is not None:
        assert_type(exchange.response.chunks, tuple[Chunk, ...])
        assert_type(exchange.response.body, bytes)
    exchange.request = Request("GET", "https://host")  # type: ignore[misc]  # values are frozen


def usage_adds_up(one: Usage, other: Usage) -> None:
    assert_type(one + other, Usage)
    assert_type(one.input_tokens, int)


def a_block_is_replayed() -> None:
    with use_cassette(
        "x.yaml", record="new_episodes", split=(1, 5), ignore=["metadata"], redact=[r"x-\d+"]
    ) as cassette:
        assert_type(cassette, Cassette)
    use_cassette("x.yaml", record="sometimes")  # type: ignore[arg-type]  # no such mode
    use_cassette("x.yaml", spead=1)  # type: ignore[call-arg]  # no such option


async def an_async_block_is_replayed() -> None:
    async with use_cassette("x.yaml") as cassette:
        assert_type(cassette, Cassette)


@use_cassette("x.yaml")
def decorated(city: str) -> int:
    """Keep its signature."""
    return len(city)


def a_decorated_function_keeps_its_type() -> None:
    assert_type(decorated("Paris"), int)
    decorated(1)  # type: ignore[arg-type]  # it takes text


def transports_keep_their_type(inner: httpx.HTTPTransport, other: httpx.AsyncHTTPTransport) -> None:
    assert_type(RecordingTransport(inner), httpx.HTTPTransport)
    httpx.AsyncClient(transport=AsyncRecordingTransport(other))


def refusals_are_no_ordinary_exceptions(error: UnmatchedRequest) -> None:
    refusal: Refusal = error
    assert not isinstance(refusal, Exception)
    ordinary: Exception = error  # type: ignore[assignment]  # on purpose
    print(ordinary)  # noqa: T201  a use of it


def completion_errors_are_ordinary_exceptions(error: CompletionError) -> None:
    ordinary: Exception = error
    assert_type(error.retryable, bool)
    assert ordinary is error
    print(llmreplay.nothing)  # type: ignore[attr-defined]  # noqa: T201   # there is no such name


class OwnModel:
    """A model of the user's own, without a base class."""

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        """Answer."""
        return CompletionResponse(choice=[Text(text=request.prompt)])

    async def stream(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        """Answer in pieces."""
        for event in told(await self.completion(request)):
            yield event


def models_are_models(own: OwnModel) -> None:
    models: list[CompletionModel] = [
        own,
        ScriptedModel("Hi.", say("Hi."), fail(529)),
        ReplayModel("x.yaml", order="recorded", counts=["messages"], ignore=("tools",)),
        ProviderModel.from_env("openai/gpt-5.5", retries=2, timeout=None, base_url=None),
    ]
    assert_type(models[0], CompletionModel)
    ReplayModel("x.yaml", order="random")  # type: ignore[arg-type]  # no such order
    ProviderModel.from_env("openai/x", retry=1)  # type: ignore[call-arg]  # no such option


async def requests_are_built_and_sent(model: ScriptedModel) -> None:
    builder = model.completion_request("Hi.").preamble("Be brief.").temperature(0.5).stop("a", ["b"])
    assert_type(builder, CompletionRequestBuilder)
    assert_type(builder.build(), CompletionRequest)
    assert_type(await builder.send(), CompletionResponse)
    assert_type(builder.send_sync(), CompletionResponse)
    assert_type(builder.stream(), AsyncIterator[StreamEvent])
    assert_type(builder.stream_sync(), Iterator[StreamEvent])
    assert_type(model.completion_sync(builder.build()), CompletionResponse)
    assert_type(model.requests, list[CompletionRequest])
    assert_type(model.usage, Usage)
    builder.tool_choice("perhaps")  # type: ignore[arg-type]  # no such mode
    async with model.stream(builder.build()) as stream:
        assert_type(stream.response, CompletionResponse | None)
    with ReplayModel("x.yaml") as replayed:
        assert_type(replayed, ReplayModel)

"""Anthropic's own SDK reads what the codecs write: direct, through Vertex, and through Bedrock's `invoke`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import anthropic_messages, bedrock_invoke
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    Text,
    ToolCall,
    Usage,
)
from llmreplay.exchange import Request, Response

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")

TOOLS = [
    {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
]
ASKED: dict[str, Any] = {
    "model": "claude-test-1",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "How is the weather?"}],
    "tools": TOOLS,
}
CITATION = {
    "type": "char_location",
    "cited_text": "sunny",
    "document_index": 0,
    "document_title": "Weather",
    "start_char_index": 0,
    "end_char_index": 5,
    "file_id": None,
}
USAGE = Usage(
    input_tokens=120,
    output_tokens=17,
    cached_input_tokens=64,
    cache_creation_input_tokens=32,
    reasoning_tokens=5,
)
RICH = CompletionResponse(
    choice=[
        Reasoning(parts=[ReasoningPart(text="Look at both cities.", signature="c2lnbmVk")]),
        Reasoning(parts=[ReasoningPart(kind="redacted", text="RU5D")]),
        Text(text="It is sunny, says the page. ☀️", extra={"citations": [CITATION]}),
        ToolCall(id="toolu_1", name="get_weather", arguments={"city": "Paris", "days": [1, None]}),
        ToolCall(id="toolu_2", name="get_weather", arguments={}),
    ],
    finish_reason=FinishReason.TOOL_CALLS,
    usage=USAGE,
)


def response_of(response: Response) -> Any:
    return httpx2.Response(
        response.status,
        headers=list(response.headers),
        stream=Pieces([chunk.data for chunk in response.chunks]),
    )


class Pieces(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Any:
        yield from self.pieces


def answering(answer: Any, seen: list[Request] | None = None) -> Any:
    """Return a client whose requests are answered by `answer(codec, request)`."""

    def handle(sent: Any) -> Any:
        request = Request(sent.method, str(sent.url), tuple(sent.headers.items()), sent.read())
        if seen is not None:
            seen.append(request)
        return response_of(answer(codecs.codec_of(request), request))

    return httpx2.Client(transport=httpx2.MockTransport(handle))


def direct(client: Any) -> Any:
    return anthropic.Anthropic(api_key="key", http_client=client)


def vertex(client: Any) -> Any:
    return anthropic.AnthropicVertex(region="us-east5", project_id="p", access_token="t", http_client=client)


def bedrock(client: Any) -> Any:
    return anthropic.AnthropicBedrock(
        aws_region="us-east-1", aws_access_key="a", aws_secret_key="s", http_client=client
    )


CLIENTS = pytest.mark.parametrize("client", [direct, vertex, bedrock])
CODECS = {"direct": anthropic_messages, "vertex": anthropic_messages, "bedrock": bedrock_invoke}


def says(response: CompletionResponse) -> Any:
    return lambda codec, request: codec.encode_response(response, request)


def assert_rich(message: Any) -> None:
    thinking, redacted, text, first, second = message.content
    assert (thinking.type, thinking.thinking, thinking.signature) == (
        "thinking",
        "Look at both cities.",
        "c2lnbmVk",
    )
    assert (redacted.type, redacted.data) == ("redacted_thinking", "RU5D")
    assert text.text == "It is sunny, says the page. ☀️"
    assert [citation.cited_text for citation in text.citations] == ["sunny"]
    assert (first.id, first.name, first.input) == (
        "toolu_1",
        "get_weather",
        {"city": "Paris", "days": [1, None]},
    )
    assert second.input == {}
    assert message.stop_reason == "tool_use"
    assert message.role == "assistant"
    assert message.id
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
        24,
        64,
        32,
    )
    assert usage.output_tokens == 17
    assert usage.output_tokens_details.thinking_tokens == 5


@CLIENTS
def test_a_plain_message_is_parsed(client: Any) -> None:
    seen: list[Request] = []
    sdk = client(answering(says(RICH), seen))

    message = sdk.messages.create(**ASKED)

    assert_rich(message)
    assert codecs.codec_of(seen[0]) is CODECS[client.__name__].CODEC
    assert codecs.decode_request(seen[0]).model == "claude-test-1"
    assert message._request_id or client is bedrock


@CLIENTS
def test_a_streamed_message_is_parsed_event_by_event(client: Any) -> None:
    sdk = client(answering(says(RICH)))

    events = list(sdk.messages.create(**ASKED, stream=True))

    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert events[0].message.content == []
    assert events[0].message.usage.output_tokens == 1
    delta = events[-2]
    assert (delta.usage.input_tokens, delta.usage.output_tokens) == (24, 17)
    assert (delta.usage.cache_read_input_tokens, delta.usage.cache_creation_input_tokens) == (64, 32)
    pieces = [
        event.delta.partial_json
        for event in events
        if getattr(event, "delta", None)
        and event.type == "content_block_delta"
        and event.delta.type == "input_json_delta"
        and event.index == 3
    ]
    assert pieces[0] == ""
    assert json.loads("".join(pieces)) == {"city": "Paris", "days": [1, None]}


@pytest.mark.parametrize("client", [direct, vertex])
def test_the_stream_helper_accumulates_the_same_message(client: Any) -> None:
    sdk = client(answering(says(RICH)))

    with sdk.messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()

    assert text == "It is sunny, says the page. ☀️"
    assert_rich(message)


def test_a_refusal_says_why() -> None:
    refusing = CompletionResponse(choice=[Refusal(text="I will not.")])
    for stream in (False, True):
        sdk = direct(answering(says(refusing)))
        if stream:
            with sdk.messages.stream(**ASKED) as told:
                message = told.get_final_message()
        else:
            message = sdk.messages.create(**ASKED)

        assert message.stop_reason == "refusal"
        assert message.stop_details.explanation == "I will not."
        assert message.content == []


@pytest.mark.parametrize(
    "reason", ["pause_turn", "model_context_window_exceeded", "max_tokens", "stop_sequence"]
)
def test_every_stop_reason_is_parsed(reason: str) -> None:
    searching = ProviderContent(
        kind="server_tool_use",
        raw={"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    )
    kind = {"pause_turn": "pause_turn", "stop_sequence": "stop"}.get(reason, "length")
    turn = CompletionResponse(choice=[searching], finish_reason=FinishReason(kind), raw_finish_reason=reason)
    asked = {**ASKED, "stop_sequences": ["END"]}

    message = direct(answering(says(turn))).messages.create(**asked)
    with direct(answering(says(turn))).messages.stream(**asked) as stream:
        streamed = stream.get_final_message()

    for found in (message, streamed):
        assert found.stop_reason == reason
        assert found.stop_sequence == ("END" if reason == "stop_sequence" else None)
        assert found.content[0].type == "server_tool_use"
        assert found.content[0].input == {"query": "x"}


ERRORS = {
    "invalid_request": "BadRequestError",
    "authentication": "AuthenticationError",
    "quota_exhausted": "PaymentRequiredError",
    "permission_denied": "PermissionDeniedError",
    "not_found": "NotFoundError",
    "conflict": "ConflictError",
    "request_too_large": "ContentTooLargeError",
    "rate_limited": "RateLimitError",
    "server_error": "InternalServerError",
    "not_supported": "HTTPNotImplementedError",
    "overloaded": "OverloadedError",
    "content_filter": "BadRequestError",
}


@pytest.mark.parametrize("client", [direct, vertex])
@pytest.mark.parametrize(("kind", "error"), ERRORS.items())
def test_every_error_is_raised_as_the_class_of_the_sdk(client: Any, kind: Any, error: str) -> None:
    seen: list[Request] = []
    sdk = client(answering(lambda codec, request: codec.encode_error(kind, request), seen))

    with pytest.raises(anthropic.APIStatusError) as caught:
        sdk.messages.create(**ASKED)

    assert type(caught.value).__name__ == error
    assert caught.value.body["type"] == "error"
    assert caught.value.type == caught.value.body["error"]["type"]
    assert caught.value.request_id == caught.value.body["request_id"]
    retried = kind in {"conflict", "rate_limited", "server_error", "overloaded"}
    if kind == "not_supported":  # a status that the SDK tries again, unless it is told not to
        retried = client is vertex
    assert len(seen) == (3 if retried else 1)


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (408, "timeout", "RequestTimeoutError"),
        (504, "timeout", "GatewayTimeoutError"),
        (499, "cancelled", "ClientClosedRequestError"),
        (503, "overloaded", "ServiceUnavailableError"),
        (422, "invalid_request", "UnprocessableEntityError"),
        (413, "invalid_request", "ContentTooLargeError"),
        (418, "unknown", "APIStatusError"),
    ],
)
def test_an_error_with_a_status_of_its_own(status: int, kind: Any, error: str) -> None:
    client = answering(lambda codec, request: codec.encode_error(kind, request, status=status))

    with pytest.raises(anthropic.APIStatusError) as caught:
        anthropic.Anthropic(api_key="key", http_client=client, max_retries=0).messages.create(**ASKED)

    assert type(caught.value).__name__ == error


BEDROCK_ERRORS = {
    "invalid_request": "BadRequestError",
    "authentication": "PermissionDeniedError",
    "permission_denied": "PermissionDeniedError",
    "not_found": "NotFoundError",
    "request_too_large": "BadRequestError",
    "rate_limited": "RateLimitError",
    "quota_exhausted": "BadRequestError",
    "server_error": "InternalServerError",
    "overloaded": "ServiceUnavailableError",
}


@pytest.mark.parametrize(("kind", "error"), BEDROCK_ERRORS.items())
def test_every_error_of_bedrock_is_raised_by_its_status(kind: Any, error: str) -> None:
    sdk = bedrock(answering(lambda codec, request: codec.encode_error(kind, request)))

    with pytest.raises(anthropic.APIStatusError) as caught:
        sdk.messages.create(**ASKED)

    assert type(caught.value).__name__ == error


@CLIENTS
def test_an_error_in_a_stream_is_raised_with_the_status_of_the_stream(client: Any) -> None:
    def broken(codec: Any, request: Request) -> Response:
        whole = codec.encode_response(RICH, request)
        error = codec.encode_stream_error("overloaded", request)
        return Response.of(200, [*[chunk.data for chunk in whole.chunks[:4]], error], whole.headers)

    with pytest.raises(anthropic.APIStatusError) as caught:
        list(client(answering(broken)).messages.create(**ASKED, stream=True))

    assert caught.value.status_code == 200


def test_a_rejection_reaches_the_caller_as_the_api_says_it() -> None:
    def strict(codec: Any, request: Request) -> Response:
        rejection = codec.check(request)
        assert rejection is not None
        return rejection.response

    orphan = {"type": "tool_result", "tool_use_id": "toolu_9", "content": "x"}
    for client in (direct, vertex, bedrock):
        with pytest.raises(anthropic.BadRequestError, match="unexpected `tool_use_id` found") as caught:
            client(answering(strict)).messages.create(
                **{**ASKED, "messages": [{"role": "user", "content": [orphan]}]}
            )
        assert caught.value.response.headers["x-llmreplay-strict"] == "orphan-tool-result"

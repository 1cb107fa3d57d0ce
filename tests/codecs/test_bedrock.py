"""Bedrock's Converse, both ways, and Claude behind `invoke`: what the contract of all codecs does not ask."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreplay import codecs
from llmreplay.codecs import bedrock_converse, bedrock_invoke
from llmreplay.completion import (
    Audio,
    CompletionError,
    CompletionRequest,
    CompletionResponse,
    Document,
    Final,
    FinishReason,
    Image,
    Json,
    JsonError,
    Message,
    ProviderContent,
    ProviderError,
    ProviderTool,
    Reasoning,
    ReasoningPart,
    Refusal,
    RequestError,
    ResponseError,
    ResponseFormat,
    StreamError,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    UnknownEvent,
    Usage,
    Video,
)
from llmreplay.errors import UnknownWire
from llmreplay.exchange import Chunk, Exchange, Failure, Request, Response
from llmreplay.framing.eventstream import Frame, Header, event, exception, write

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
MODEL = "us.anthropic.claude-3-haiku-20240307-v1%3A0"
CONVERSE = f"{HOST}/model/{MODEL}/converse"
STREAM = f"{HOST}/model/{MODEL}/converse-stream"
INVOKE = f"{HOST}/model/{MODEL}/invoke"
INVOKE_STREAM = f"{HOST}/model/{MODEL}/invoke-with-response-stream"
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []}


def asked(url: str = CONVERSE, body: Any = None) -> Request:
    return Request("POST", url, body=json.dumps({"messages": []} if body is None else body).encode())


def plain(*content: Any, **more: Any) -> Exchange:
    body = {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
        **more,
    }
    return Exchange(asked(), Response.of(200, json.dumps(body).encode()))


def told(*events: tuple[str, Any], stop: str | None = "end_turn", measured: bool = True) -> bytes:
    frames = [("messageStart", {"role": "assistant"}), *events]
    if stop is not None:
        frames.append(("messageStop", {"stopReason": stop}))
    if measured:
        usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
        frames.append(("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}))
    return b"".join(write(event(name, json.dumps(data).encode())) for name, data in frames)


def delta(index: int, **delta: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def start(index: int, **start: Any) -> tuple[str, Any]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": start}


def stop(index: int) -> tuple[str, Any]:
    return "contentBlockStop", {"contentBlockIndex": index}


def streamed(body: bytes, url: str = STREAM, failure: Failure | None = None) -> Exchange:
    response = Response(200, (), (Chunk(body),), "cut" if failure else "complete", failure)
    return Exchange(asked(url, CLAUDE if "invoke" in url else None), response)


def chunks(*events: Any) -> bytes:
    wrapped = [{"bytes": b64encode(json.dumps(data).encode()).decode(), "p": "ab"} for data in events]
    return b"".join(write(event("chunk", json.dumps(data).encode())) for data in wrapped)


# ------------------------------------------------------------------------------------------- answers

BLOCKS: dict[str, tuple[Any, Any]] = {
    "text": ({"text": "Hi"}, Text(text="Hi")),
    "a tool call": (
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}, "type": "tool_use"}},
        ToolCall(id="t", name="f", arguments={"a": 1}, extra={"type": "tool_use"}),
    ),
    "a tool call without input": ({"toolUse": {"toolUseId": "t", "name": "f"}}, ToolCall(id="t", name="f")),
    "a tool that the provider runs": (
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}, "type": "server_tool_use"}},
        ProviderContent(
            kind="toolUse", raw={"toolUseId": "t", "name": "f", "input": {}, "type": "server_tool_use"}
        ),
    ),
    "the result of it": (
        {"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}},
        ProviderContent(kind="toolResult", raw={"toolUseId": "t", "content": [{"text": "x"}]}),
    ),
    "reasoning": (
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        Reasoning(parts=[ReasoningPart(text="hm", signature="s")]),
    ),
    "reasoning without a signature": (
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        Reasoning(parts=[ReasoningPart(text="hm")]),
    ),
    "sealed reasoning": (
        {"reasoningContent": {"redactedContent": "RU5D"}},
        Reasoning(parts=[ReasoningPart(kind="redacted", text="RU5D")]),
    ),
    "reasoning of a kind to come": (
        {"reasoningContent": {"other": 1}},
        ProviderContent(kind="reasoningContent", raw={"other": 1}),
    ),
    "cited text": (
        {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{"title": "T"}]}},
        Text(text="ab", extra={"citations": [{"title": "T"}]}),
    ),
    "citations of a kind to come": (
        {"citationsContent": {"content": [{"image": {}}], "citations": []}},
        ProviderContent(kind="citationsContent", raw={"content": [{"image": {}}], "citations": []}),
    ),
    "an image": (
        {"image": {"format": "png", "source": {"bytes": "aGk="}}},
        Image(data="aGk=", media_type="image/png"),
    ),
    "a sound": (
        {"audio": {"format": "mp3", "source": {"bytes": "aGk="}}},
        Audio(data="aGk=", media_type="audio/mp3"),
    ),
    "a film": (
        {"video": {"format": "mp4", "source": {"bytes": "aGk="}}},
        ProviderContent(kind="video", raw={"format": "mp4", "source": {"bytes": "aGk="}}),
    ),
    "something to come": ({"hologram": {"a": 1}}, ProviderContent(kind="hologram", raw={"a": 1})),
    "two things at once": ({"a": 1, "b": 2}, ProviderContent(kind="", raw={"a": 1, "b": 2})),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_content_block_is_read_as_what_it_is_and_written_as_it_was(name: str) -> None:
    block, expected = BLOCKS[name]
    exchange = plain(block)

    response = codecs.decode(exchange)

    assert response.choice == [expected]
    if name in {"cited text", "a tool call without input"}:  # which have another spelling
        return
    if name != "reasoning without a signature":  # which Claude never leaves out
        body = bedrock_converse.CODEC.encode_response(response, exchange.request).json
        assert body["output"]["message"]["content"] == [block]


def test_a_role_that_is_no_word_is_that_of_a_user() -> None:
    found = codecs.decode_request(asked(body={"messages": [{"role": ["assistant"], "content": []}]}))

    assert [message.role for message in found.messages] == ["user"]


def test_an_answer_says_what_it_can_of_itself() -> None:
    usage = {
        "inputTokens": 4,
        "outputTokens": 5,
        "totalTokens": 109,
        "cacheReadInputTokens": 60,
        "cacheWriteInputTokens": 40,
    }
    exchange = plain({"text": "Hi"}, usage=usage, serviceTier={"type": "flex"})
    headers = (("x-amzn-RequestId", "r-1"),)
    assert exchange.response is not None
    response = codecs.decode(Exchange(exchange.request, Response.of(200, exchange.response.body, headers)))

    assert response.model == "us.anthropic.claude-3-haiku-20240307-v1:0"
    assert (response.provider, response.request_id, response.service_tier) == ("bedrock", "r-1", "flex")
    assert response.response_id is None
    assert response.usage == Usage(
        input_tokens=104, output_tokens=5, cached_input_tokens=60, cache_creation_input_tokens=40
    )
    again = bedrock_converse.CODEC.encode_response(response, exchange.request).json
    assert again["usage"] == usage
    assert again["serviceTier"] == {"type": "flex"}


def test_a_router_says_which_model_it_chose() -> None:
    trace = {"promptRouter": {"invokedModelId": "m-2"}}

    assert codecs.decode(plain({"text": "Hi"}, trace=trace)).model == "m-2"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "malformed_tool_use"),
    ],
)
def test_every_stop_reason_is_read_and_written(raw: str, reason: str) -> None:
    for exchange in (plain({"text": "x"}, stopReason=raw), streamed(told(delta(0, text="x"), stop=raw))):
        response = codecs.decode(exchange)
        assert (response.finish_reason, response.raw_finish_reason) == (reason, raw)
        again = codecs.decode(
            Exchange(exchange.request, bedrock_converse.CODEC.encode_response(response, exchange.request))
        )
        assert again.raw_finish_reason == raw


def test_a_stop_reason_that_is_not_said_is_made_up() -> None:
    def spelled(**fields: Any) -> str:
        body = bedrock_converse.CODEC.encode_response(CompletionResponse(**fields), asked()).json
        return str(body["stopReason"])

    call = ToolCall(name="f")
    assert spelled(choice=[]) == "end_turn"
    assert spelled(choice=[call]) == "tool_use"
    assert spelled(choice=[call], finish_reason=FinishReason.STOP) == "tool_use"
    assert spelled(choice=[Refusal(text="No.")]) == "content_filtered"
    assert (
        spelled(choice=[], finish_reason=FinishReason("malformed_model_output")) == "malformed_model_output"
    )


def test_a_refusal_has_no_word_but_text() -> None:
    body = bedrock_converse.CODEC.encode_response(
        CompletionResponse(choice=[Refusal(text="No.")]), asked()
    ).json

    assert body["output"]["message"]["content"] == [{"text": "No."}]


def test_citations_of_an_answer_go_to_its_last_text() -> None:
    turn = CompletionResponse(choice=[Text(text="a"), Text(text="b")], citations=[{"title": "T"}])

    content = bedrock_converse.CODEC.encode_response(turn, asked()).json["output"]["message"]["content"]

    assert content[0] == {"text": "a"}
    assert content[1]["citationsContent"]["citations"] == [{"title": "T"}]


def test_only_claude_signs_what_it_thinks() -> None:
    turn = CompletionResponse(choice=[Reasoning(parts=[ReasoningPart(text="hm")])])
    nova = asked(f"{HOST}/model/amazon.nova-pro-v1%3A0/converse")

    def thought(request: Request) -> Any:
        body = bedrock_converse.CODEC.encode_response(turn, request).json
        return body["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]

    assert thought(nova) == {"text": "hm"}
    assert thought(asked())["signature"]


@pytest.mark.parametrize(
    ("turn", "url", "problem"),
    [
        (
            CompletionResponse(choice=[ToolCall.written("f", "{")]),
            CONVERSE,
            "only a stream can hold arguments",
        ),
        (CompletionResponse(choice=[Image(data="http://h", source="url")]), CONVERSE, "bytes or from S3"),
        (CompletionResponse(choice=[ProviderContent(kind="x", raw={})]), STREAM, "no word for 'x'"),
        (CompletionResponse(choice=[], others=[{"index": 1, "contents": []}]), CONVERSE, "not several"),
    ],
)
def test_what_the_wire_cannot_say_is_no_answer(turn: CompletionResponse, url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        bedrock_converse.CODEC.encode_response(turn, asked(url))


def test_broken_arguments_can_be_streamed() -> None:
    turn = CompletionResponse(choice=[ToolCall.written("f", '{"a": ', id="t")])

    for codec, url, body in ((bedrock_converse, STREAM, None), (bedrock_invoke, INVOKE_STREAM, CLAUDE)):
        request = asked(url, body)
        found = codecs.decode(Exchange(request, codec.CODEC.encode_response(turn, request)))
        assert found.choice == turn.choice
        assert found.tool_calls[0].arguments_raw == '{"a": '


# ------------------------------------------------------------------------------------------- streams


def test_a_stream_is_told_event_by_event() -> None:
    body = told(
        delta(0, reasoningContent={"text": "h"}),
        delta(0, reasoningContent={"text": "m"}),
        delta(0, reasoningContent={"signature": "s"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "RU5D"}),
        stop(1),
        delta(2, text="Hel"),
        delta(2, text="lo"),
        delta(2, citation={"title": "T"}),
        stop(2),
        start(3, toolUse={"toolUseId": "t", "name": "f"}),
        delta(3, toolUse={"input": '{"a"'}),
        delta(3, toolUse={"input": ": 1}"}),
        stop(3),
        stop="tool_use",
    )

    *_, last = codecs.events(streamed(body))

    assert isinstance(last, Final)
    response = last.response
    assert response.choice == [
        Reasoning(parts=[ReasoningPart(text="hm", signature="s")]),
        Reasoning(parts=[ReasoningPart(kind="redacted", text="RU5D")]),
        Text(text="Hello", extra={"citations": [{"title": "T"}]}),
        ToolCall(id="t", name="f", arguments={"a": 1}),
    ]
    assert response.citations == [{"title": "T"}]
    assert response.usage == Usage(input_tokens=10, output_tokens=5)
    assert response.raw[0] == {"messageStart": {"role": "assistant"}}
    assert codecs.usage(streamed(body)) == response.usage
    assert codecs.finished(streamed(body))


def test_a_tool_that_the_provider_runs_is_streamed_too() -> None:
    use = {"toolUseId": "t", "name": "search", "type": "server_tool_use"}
    body = told(
        start(0, toolUse=use),
        delta(0, toolUse={"input": '{"q": "x"}'}),
        stop(0),
        start(1, toolResult={"toolUseId": "t"}),
        delta(1, toolResult=[{"text": "a"}]),
        delta(1, toolResult=[{"json": {}}]),
        stop(1),
        start(2, image={"format": "png"}),
        delta(2, image={"source": {"bytes": "aGk="}}),
        delta(2, image={"error": {}}),
        stop(2),
        delta(3, hologram={}),
        stop(3),
    )

    assert codecs.decode(streamed(body)).choice == [
        ProviderContent(kind="toolUse", raw={**use, "input": {"q": "x"}}),
        ProviderContent(kind="toolResult", raw={"toolUseId": "t", "content": [{"text": "a"}, {"json": {}}]}),
        Image(data="aGk=", media_type="image/png"),
    ]


def test_deltas_without_their_begin_tell_nothing() -> None:
    body = told(delta(0, toolUse={"input": "{"}), delta(1, toolResult=[{}]), delta(2, text="x"))

    assert codecs.decode(streamed(body)).choice == [Text(text="x")]


def test_what_is_not_known_is_told_and_passed_over() -> None:
    events = codecs.events(streamed(told(("weather", {"p": "x"}), delta(0, text="Hi"))))

    assert UnknownEvent(name="weather", data={"p": "x"}) in events
    assert isinstance(events[-1], Final)


def test_a_stream_is_whole_without_its_usage_if_it_ended_in_good_order() -> None:
    body = told(delta(0, text="Hi"), measured=False)

    assert codecs.decode(streamed(body)).usage == Usage()
    assert not codecs.finished(streamed(body))
    with pytest.raises(CompletionError, match="connection"):
        codecs.decode(streamed(body, failure=Failure("ReadError", "reset", "body")))
    with pytest.raises(CompletionError, match="stream_truncated"):
        codecs.decode(streamed(told(delta(0, text="Hi"), stop=None, measured=False)))


def test_a_stream_that_ends_inside_a_frame_is_truncated() -> None:
    body = told(delta(0, text="Hi"))

    with pytest.raises(CompletionError, match="stream_truncated"):
        codecs.decode(streamed(body[: len(body) // 2]))
    with pytest.raises(CompletionError, match="stream_truncated"):
        codecs.decode(streamed(b""))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limited"),
        ("internalServerException", "server_error"),
        ("modelStreamErrorException", "server_error"),
        ("serviceUnavailableException", "overloaded"),
        ("modelTimeoutException", "timeout"),
        ("validationException", "invalid_request"),
        ("hologramException", "stream_error"),
    ],
)
def test_an_exception_in_a_stream_is_an_error_of_the_provider(name: str, kind: str) -> None:
    body = told(delta(0, text="Hi"), measured=False) + write(exception(name, b'{"message": "No."}'))

    with pytest.raises(ProviderError, match=f"{kind} 200: No.") as caught:
        codecs.decode(streamed(body))
    assert caught.value.code == name[0].upper() + name[1:]
    assert isinstance(codecs.events(streamed(body))[-1], StreamError)
    assert codecs.finished(streamed(body))


def test_an_exception_may_have_no_words_and_an_error_frame_has_headers() -> None:
    silent = told(stop=None, measured=False) + write(exception("throttlingException", b""))
    headers = (
        (":message-type", "error"),
        (":error-code", "ThrottlingException"),
        (":error-message", "Slow."),
    )
    spoken = write(Frame(tuple(Header(key, value) for key, value in headers)))

    with pytest.raises(ProviderError) as caught:
        codecs.decode(streamed(silent))
    assert caught.value.kind == "rate_limited"
    with pytest.raises(ProviderError, match="rate_limited 200: Slow"):
        codecs.decode(streamed(spoken))


def test_damage_is_an_error_that_names_its_place() -> None:
    body = bytearray(told(delta(0, text="Hi"), delta(0, text="Ho")))
    body[400] ^= 1

    with pytest.raises(JsonError, match=r"the checksum of a frame is wrong \(byte \d+ of the event stream\)"):
        codecs.decode(streamed(bytes(body)))
    *_, last = codecs.events(streamed(bytes(body)))
    assert isinstance(last, StreamError)
    assert codecs.usage(streamed(bytes(body))) == Usage()
    assert not codecs.finished(streamed(bytes(body)))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b"\xff"])
def test_an_event_that_is_no_object_is_an_error_and_the_stream_goes_on(payload: bytes) -> None:
    body = write(event("contentBlockDelta", payload)) + told(delta(0, text="Hi"))

    events = codecs.events(streamed(body))

    assert any(isinstance(found, StreamError) for found in events)
    with pytest.raises(JsonError, match="a frame of the stream is not JSON"):
        codecs.decode(streamed(body))


def test_a_stream_is_known_by_its_bytes_whatever_the_path_says() -> None:
    body = told(delta(0, text="Hi"))

    assert codecs.decode(streamed(body, CONVERSE)).text == "Hi"


def test_a_stream_that_was_asked_for_and_answered_with_json_is_read_as_json() -> None:
    exchange = plain({"text": "Hi"})

    assert codecs.decode(Exchange(asked(STREAM), exchange.response)).text == "Hi"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({}, ResponseError, "the body of the response has no content"),
        ([], ResponseError, "the body of the response has no content"),
        ({"output": {"message": {"content": "x"}}}, ResponseError, "has no content"),
        (
            {"message": "Slow down.", "__type": "ThrottlingException"},
            ProviderError,
            "rate_limited 200: Slow down.",
        ),
    ],
)
def test_a_body_without_content_is_an_error(body: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        codecs.decode(Exchange(asked(), Response.of(200, json.dumps(body).encode())))


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("ModelErrorException", 424, "server_error"),
        ("ModelNotReadyException", 429, "overloaded"),
        ("ExpiredTokenException", 403, "authentication"),
        ("ServiceQuotaExceededException", 400, "quota_exhausted"),
    ],
)
def test_the_header_names_the_exception(name: str, status: int, kind: str) -> None:
    headers = (("x-amzn-ErrorType", f"{name}:http://internal.amazon.com/coral/"),)
    for url in (CONVERSE, INVOKE):
        exchange = Exchange(asked(url), Response.of(status, b'{"message": "No."}', headers))
        with pytest.raises(ProviderError) as caught:
            codecs.decode(exchange)
        assert (caught.value.kind, caught.value.code, caught.value.message) == (kind, name, "No.")


def test_a_status_alone_is_enough_for_an_error() -> None:
    response = bedrock_converse.CODEC.encode_error("unknown", asked(), status=418, code="TeapotException")

    assert response.status == 418
    assert response.header("x-amzn-errortype").startswith("TeapotException:")  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------- invoke


def test_events_of_claude_are_unwrapped() -> None:
    start_of = {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 3, "output_tokens": 1}}
    body = chunks(
        {"type": "message_start", "message": start_of},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}},
    )
    exchange = streamed(body, INVOKE_STREAM)

    response = codecs.decode(exchange)

    assert (response.text, response.response_id, response.model) == ("Hi", "msg_1", "claude-x")
    assert response.provider == "bedrock"
    assert response.usage == codecs.usage(exchange) == Usage(input_tokens=3, output_tokens=4)
    assert codecs.finished(exchange)


def test_other_events_than_chunks_are_passed_over_and_errors_in_chunks_are_errors() -> None:
    other = write(event("weather", b'{"p": "x"}'))
    error = chunks({"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}})

    assert UnknownEvent(name="weather", data={"type": "weather", "p": "x"}) in codecs.events(
        streamed(other, INVOKE_STREAM)
    )
    with pytest.raises(ProviderError, match="overloaded 200: Busy"):
        codecs.decode(streamed(error, INVOKE_STREAM))


@pytest.mark.parametrize(
    "payload", [b"{}", b'{"bytes": 1}', b'{"bytes": "e30"}', b'{"bytes": "eA=="}', b"[]"]
)
def test_a_chunk_without_json_is_an_error(payload: bytes) -> None:
    body = write(event("chunk", payload))

    with pytest.raises(JsonError):
        codecs.decode(streamed(body, INVOKE_STREAM))
    assert codecs.usage(streamed(body, INVOKE_STREAM)) == Usage()


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "\n\nHuman: Hi", "max_tokens_to_sample": 9},
        {"schemaVersion": "messages-v1", "messages": [], "inferenceConfig": {}},
        {"inputText": "Hi"},
    ],
)
def test_other_models_behind_invoke_are_unknown(body: Any) -> None:
    request = asked(f"{HOST}/model/amazon.titan-text/invoke", body)
    exchange = Exchange(request, Response.of(200, b'{"results": []}'))

    for read in (codecs.decode, codecs.events):
        with pytest.raises(UnknownWire, match="decoded for Claude only"):
            read(exchange)
    with pytest.raises(UnknownWire):
        codecs.decode_request(request)
    stream = asked(f"{HOST}/model/amazon.titan-text/invoke-with-response-stream", body)
    with pytest.raises(UnknownWire):
        codecs.decode(Exchange(stream, Response.of(200, chunks({"a": 1}))))
    with pytest.raises(UnknownWire):
        bedrock_invoke.CODEC.encode_response(CompletionResponse(choice=[]), request)


def test_a_request_to_claude_without_its_body_is_one_to_claude() -> None:
    request = Request("POST", INVOKE_STREAM)
    body = chunks({"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"})

    assert codecs.decode(Exchange(request, Response.of(200, body))).response_id == "m"
    with pytest.raises(RequestError):
        codecs.decode_request(request)


def test_the_request_names_model_and_stream_in_its_path() -> None:
    request = codecs.decode_request(asked(INVOKE_STREAM, CLAUDE))

    assert request.model == "us.anthropic.claude-3-haiku-20240307-v1:0"
    assert request.stream
    assert request.extra == {"anthropic_version": "bedrock-2023-05-31"}
    with pytest.raises(RequestError, match="the request has none"):
        bedrock_invoke.CODEC.encode_request(CompletionRequest(messages=[]))


def test_the_models_of_bedrock_have_the_name_that_anthropic_gave_them() -> None:
    for named, expected in {
        MODEL: "claude-3-haiku-20240307",
        "anthropic.claude-v2": "claude-v2",
        "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fanthropic.claude-3-haiku-20240307-v1%3A0": (
            "claude-3-haiku-20240307"
        ),
        "my-alias": "my-alias",
    }.items():
        request = asked(f"{HOST}/model/{named}/invoke", CLAUDE)
        body = bedrock_invoke.CODEC.encode_response(CompletionResponse(choice=[]), request).json
        assert body["model"] == expected
        assert body["id"].startswith("msg_bdrk_")


# ------------------------------------------------------------------------------------------- requests

REQUEST = {
    "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "Look"},
                {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                {
                    "image": {
                        "format": "jpeg",
                        "source": {"s3Location": {"uri": "s3://b/k", "bucketOwner": "1"}},
                    }
                },
                {"video": {"format": "three_gp", "source": {"bytes": "aGk="}}},
                {"audio": {"format": "wav", "source": {"bytes": "aGk="}}},
                {"document": {"format": "pdf", "name": "d", "source": {"bytes": "aGk="}, "context": "c"}},
                {"document": {"format": "txt", "name": "d", "source": {"text": "hi"}}},
                {"document": {"name": "d", "source": {"content": [{"text": "hi"}]}}},
                {"video": {"format": "video/mp4", "source": {"bytes": "aGk="}}},
                {"guardContent": {"text": {"text": "x"}}},
                {"cachePoint": {"type": "default"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"text": ""},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"json": {"a": 1}}], "status": "success"}},
                {
                    "toolResult": {
                        "toolUseId": "t2",
                        "content": [
                            {"text": "x"},
                            {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                            {"document": {"format": "md", "name": "d", "source": {"bytes": "aGk="}}},
                            {"video": {"format": "mp4", "source": {"bytes": "aGk="}}},
                        ],
                        "status": "error",
                    }
                },
                {"toolResult": {"toolUseId": "t3", "content": "x"}},
            ],
        },
        {"role": "assistant", "content": [{"toolResult": {"toolUseId": "s", "content": []}}, {"text": "{"}]},
    ],
    "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]},
    "additionalModelRequestFields": {"top_k": 3, "thinking": {"type": "enabled"}},
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "F",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            },
            {"systemTool": {"name": "nova_grounding"}},
            {"cachePoint": {"type": "default"}},
        ],
        "toolChoice": {"tool": {"name": "f"}},
    },
    "outputConfig": {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "n", "description": "d"}},
        },
        "effort": "low",
    },
    "serviceTier": {"type": "flex"},
    "requestMetadata": {"team": "a"},
    "guardrailConfig": {"guardrailIdentifier": "g"},
}


def test_every_field_of_a_request_has_its_place() -> None:
    found = codecs.decode_request(asked(STREAM, REQUEST))

    system, user, model, results, last = found.messages
    assert system == Message(
        role="system",
        content=[Text(text="Be brief."), ProviderContent(kind="cachePoint", raw={"type": "default"})],
    )
    assert user.content == [
        Text(text="Look"),
        Image(data="aGk=", media_type="image/png"),
        Image(
            data="s3://b/k", source="url", media_type="image/jpeg", extra={"s3Location": {"bucketOwner": "1"}}
        ),
        Video(data="aGk=", media_type="video/3gpp"),
        Audio(data="aGk=", media_type="audio/wav"),
        Document(data="aGk=", media_type="application/pdf", name="d", extra={"context": "c"}),
        Document(data="hi", source="text", media_type="text/plain", name="d"),
        ProviderContent(kind="document", raw={"name": "d", "source": {"content": [{"text": "hi"}]}}),
        Video(data="aGk=", media_type="video/mp4", extra={"format": "video/mp4"}),
        ProviderContent(kind="guardContent", raw={"text": {"text": "x"}}),
        ProviderContent(kind="cachePoint", raw={"type": "default"}),
    ]
    assert [call.id for call in model.tool_calls] == ["t1", "t2"]
    first, second = results.tool_results
    assert first == ToolResult(id="t1", content=[Json(value={"a": 1})])
    assert (second.is_error, [inner.type for inner in second.content]) == (
        True,
        ["text", "image", "document", "provider"],
    )
    assert results.content[2] == ProviderContent(kind="toolResult", raw={"toolUseId": "t3", "content": "x"})
    assert last.content[0] == ProviderContent(kind="toolResult", raw={"toolUseId": "s", "content": []})
    assert found.tools == [
        ToolDefinition(name="f", description="F", parameters={"type": "object"}, strict=True),
        ProviderTool(kind="systemTool", config={"name": "nova_grounding"}),
        ProviderTool(kind="cachePoint", config={"type": "default"}),
    ]
    assert found.tool_choice == ToolChoice(mode="specific", names=["f"])
    assert found.response_format == ResponseFormat(
        type="json_schema", name="n", json_schema={"type": "object"}, description="d"
    )
    assert (found.max_tokens, found.temperature, found.top_p, found.top_k) == (9, 0.5, 0.25, 3)
    assert (found.stop, found.reasoning_effort, found.service_tier) == (["END"], "low", "flex")
    assert (found.metadata, found.stream) == ({"team": "a"}, True)
    assert found.extra == {
        "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
        "guardrailConfig": {"guardrailIdentifier": "g"},
    }


def test_a_request_that_was_read_is_written_as_it_was() -> None:
    found = codecs.decode_request(asked(STREAM, REQUEST))

    written = bedrock_converse.CODEC.encode_request(found)

    assert written.json == REQUEST
    assert written.url == STREAM
    assert written.header("accept") == "application/vnd.amazon.eventstream"


@pytest.mark.parametrize(
    "odd",
    [
        {"messages": "x"},
        {"toolConfig": {"tools": [{"a": 1, "b": 2}, {}], "toolChoice": {"hologram": {}}}},
        {"toolConfig": {"toolChoice": {"auto": {}}}, "messages": []},
        {
            "outputConfig": {
                "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}
            }
        },
        {"inferenceConfig": {"maxTokens": "9", "stopSequences": "x"}, "requestMetadata": 1, "system": 1},
        {"inferenceConfig": {}, "system": [], "toolConfig": {}},
    ],
)
def test_what_has_no_place_stays_as_it_came(odd: Any) -> None:
    found = codecs.decode_request(asked(CONVERSE, odd))

    assert isinstance(found, CompletionRequest)
    if "tools" not in odd.get("toolConfig", {}):
        assert bedrock_converse.CODEC.encode_request(found).json == odd


def wrote(**fields: Any) -> Any:
    fields = {"model": "m", "messages": [Message.user("Hi")], **fields}
    return bedrock_converse.CODEC.encode_request(CompletionRequest(**fields)).json


def test_results_and_what_the_user_says_with_them_are_one_message() -> None:
    call = ToolCall(id="a", name="f")
    history = [
        Message.user("x"),
        Message.assistant(call),
        Message.tool_result("a", [1]),
        Message.user("And?"),
    ]

    body = wrote(messages=history, user="me")

    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "[1]"}]}},
        {"text": "And?"},
    ]
    assert body["requestMetadata"] == {"user": "me"}


def test_documents_go_to_the_user() -> None:
    document = Document(data="hi", source="text", media_type="text/plain")
    written = {"document": {"format": "txt", "name": "document", "source": {"text": "hi"}}}

    assert wrote(documents=[document])["messages"][0]["content"] == [written, {"text": "Hi"}]
    assert wrote(documents=[document], messages=[])["messages"] == [{"role": "user", "content": [written]}]


def test_the_form_of_the_answer_is_json_in_a_string() -> None:
    form = wrote(output_schema={"type": "object"})["outputConfig"]["textFormat"]

    assert json.loads(form["structure"]["jsonSchema"]["schema"]) == {"type": "object"}
    assert "outputConfig" not in wrote(response_format=ResponseFormat(type="text"))
    assert "toolConfig" not in wrote(tool_choice=ToolChoice(mode="none"))
    assert wrote(tools=[ToolDefinition(name="f")])["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {
        "json": {"type": "object", "properties": {}}
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"model": None},
        {"seed": 1},
        {"n": 2},
        {"parallel_tool_calls": False},
        {"response_format": ResponseFormat(type="json_object")},
        {"tools": [ToolDefinition(name="f")], "tool_choice": ToolChoice(mode="none")},
        {"tool_choice": ToolChoice(mode="specific", names=["f", "g"])},
        {"messages": [Message.assistant(ToolCall.written("f", "{"))]},
        {"messages": [Message.user(Image(data="https://h/i.png", source="url"))]},
        {"messages": [Message.user(Image(data="f-1", source="file_id"))]},
    ],
)
def test_what_the_wire_has_no_word_for_is_no_request(fields: Any) -> None:
    with pytest.raises(RequestError):
        wrote(**fields)


# ------------------------------------------------------------------------------------------- anything

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["\ud800", "{"])
KEYS = st.sampled_from(
    [
        *(
            "output",
            "message",
            "content",
            "text",
            "toolUse",
            "toolResult",
            "reasoningContent",
            "citationsContent",
        ),
        *(
            "reasoningText",
            "redactedContent",
            "input",
            "name",
            "toolUseId",
            "type",
            "image",
            "source",
            "bytes",
        ),
        *(
            "citations",
            "stopReason",
            "usage",
            "inputTokens",
            "contentBlockIndex",
            "delta",
            "start",
            "citation",
        ),
        *(
            "messages",
            "role",
            "system",
            "toolConfig",
            "tools",
            "toolChoice",
            "inferenceConfig",
            "outputConfig",
        ),
    ]
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
EVENTS = st.sampled_from(
    [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "chunk",
    ]
)


def means(exchange: Exchange) -> None:
    try:
        assert codecs.decode(exchange).choices
    except CompletionError as error:
        assert str(error)  # noqa: PT017  an error is as good as an answer here
    assert codecs.events(exchange)
    codecs.usage(exchange)
    codecs.finished(exchange)


@given(body=JSON, status=st.sampled_from([200, 400, 500]))
@settings(max_examples=120, deadline=None)
def test_any_json_is_an_answer_or_an_error(body: Any, status: int) -> None:
    data = json.dumps(body).encode()
    means(Exchange(asked(), Response.of(status, data)))
    message = json.dumps({"output": {"message": {"content": [body]}}, "stopReason": body}).encode()
    means(Exchange(asked(), Response.of(status, message)))
    means(Exchange(asked(INVOKE, CLAUDE), Response.of(status, data)))


@given(events=st.lists(st.tuples(EVENTS, JSON), max_size=5))
@settings(max_examples=120, deadline=None)
def test_any_events_are_an_answer_or_an_error(events: list[tuple[str, Any]]) -> None:
    body = b"".join(write(event(name, json.dumps(data).encode())) for name, data in events)
    means(streamed(body))
    means(streamed(told(*events)))
    means(streamed(body, INVOKE_STREAM))
    means(streamed(chunks(*(data for _, data in events)), INVOKE_STREAM))


@given(body=st.dictionaries(KEYS, JSON, max_size=5))
@settings(max_examples=120, deadline=None)
def test_any_object_is_a_request(body: Any) -> None:
    request = asked(CONVERSE, body)
    assert codecs.decode_request(request).raw == json.loads(request.body)
    bedrock_converse.CODEC.check(request)
    try:
        bedrock_converse.CODEC.encode_request(codecs.decode_request(request))
    except RequestError as error:
        assert str(error)  # noqa: PT017  likewise

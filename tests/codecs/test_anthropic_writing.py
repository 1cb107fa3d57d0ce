"""Anthropic's messages, written: what the contract of all codecs does not ask."""

from __future__ import annotations

import json
from typing import Any

import pytest
from payloads import MESSAGES, asked, sse, told
from payloads import message as answer

from llmreplay import codecs
from llmreplay.codecs import anthropic_messages
from llmreplay.codecs._encoding import Cut
from llmreplay.codecs._spelling import respelled
from llmreplay.completion import (
    Audio,
    CompletionRequest,
    CompletionResponse,
    Document,
    FinishReason,
    Image,
    Json,
    Message,
    ProviderContent,
    ProviderError,
    ProviderTool,
    Reasoning,
    ReasoningPart,
    Refusal,
    RefusalDelta,
    RequestError,
    ResponseFormat,
    StreamOptions,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    Usage,
)
from llmreplay.exchange import Exchange, Response

CODEC: Any = anthropic_messages.CODEC
PROJECT = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
VERTEX = f"{PROJECT}/publishers/anthropic/models/claude@1:rawPredict"
BODY: dict[str, Any] = {"model": "claude-1", "max_tokens": 9, "messages": []}


def wrote(turn: CompletionResponse, *, url: str = MESSAGES, **fields: Any) -> Any:
    return CODEC.encode_response(turn, asked(url, {**BODY, **fields})).json


def frames(turn: CompletionResponse, **options: Any) -> list[tuple[str, Any]]:
    response = CODEC.encode_response(turn, asked(MESSAGES, {**BODY, "stream": True}), **options)
    lines = [chunk.data.decode().split("\n") for chunk in response.chunks]
    assert all(len(frame) == 4 for frame in lines)
    return [
        (frame[0].removeprefix("event: "), json.loads(frame[1].removeprefix("data: "))) for frame in lines
    ]


def says(*contents: Any, **fields: Any) -> CompletionResponse:
    return CompletionResponse(choice=list(contents), **fields)


# ------------------------------------------------------------------------------------------- answers


def test_a_message_has_everything_that_the_api_sends() -> None:
    assert wrote(says(Text(text="Hi"), usage=Usage(input_tokens=3, output_tokens=2))) == {
        "model": "claude-1",
        "id": wrote(says())["id"],
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 2,
            "service_tier": "standard",
        },
    }


def test_a_stream_has_its_events_in_the_order_of_the_api() -> None:
    turn = says(
        Reasoning(parts=[ReasoningPart(text="Let me", signature="sig")]),
        Text(text="Good day"),
        ToolCall(id="t", name="f", arguments={"city": "Paris"}),
        usage=Usage(input_tokens=30, output_tokens=9, cached_input_tokens=20),
    )

    told_so = frames(turn, cut=Cut(arguments=lambda text: [text[:5], text[5:]]))

    assert all(name == data["type"] for name, data in told_so)
    assert [name for name, _ in told_so] == [
        "message_start",
        *("content_block_start", "ping", *["content_block_delta"] * 3, "content_block_stop"),
        *("content_block_start", *["content_block_delta"] * 2, "content_block_stop"),
        *("content_block_start", *["content_block_delta"] * 3, "content_block_stop"),
        "message_delta",
        "message_stop",
    ]
    starts = [data["content_block"] for name, data in told_so if name == "content_block_start"]
    assert starts == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]
    deltas = [data["delta"] for name, data in told_so if name == "content_block_delta"]
    assert deltas == [
        {"type": "thinking_delta", "thinking": "Let"},
        {"type": "thinking_delta", "thinking": " me"},
        {"type": "signature_delta", "signature": "sig"},
        {"type": "text_delta", "text": "Good"},
        {"type": "text_delta", "text": " day"},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"cit'},
        {"type": "input_json_delta", "partial_json": 'y": "Paris"}'},
    ]
    _, start = told_so[0]
    assert (start["message"]["content"], start["message"]["stop_reason"]) == ([], None)
    assert (start["message"]["usage"]["input_tokens"], start["message"]["usage"]["output_tokens"]) == (10, 1)
    _, last = told_so[-2]
    assert last == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 20,
            "output_tokens": 9,
        },
    }


def test_a_stream_without_contents_has_no_ping() -> None:
    assert [name for name, _ in frames(says())] == ["message_start", "message_delta", "message_stop"]


def test_a_refusal_is_a_stop_reason_and_read_as_a_refusal() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "I will not."}
    plain_body = answer([{"type": "text", "text": "Well"}], "refusal", stop_details=details)
    events = told(({"type": "text", "text": "Well"}, []), stop="refusal")
    events[-2]["delta"]["stop_details"] = details

    request = asked(MESSAGES, BODY)
    whole = codecs.decode(Exchange(request, Response.of(200, json.dumps(plain_body).encode())))
    exchange = Exchange(request, Response.of(200, sse(*events, done=False)))

    assert whole.choice == [Text(text="Well"), Refusal(text="I will not.")]
    assert whole.finish_reason == FinishReason.CONTENT_FILTER
    assert codecs.decode(exchange).choice == whole.choice
    assert RefusalDelta(text="I will not.") in codecs.events(exchange)
    assert wrote(whole)["stop_details"]["explanation"] == "I will not."
    assert wrote(says(finish_reason=FinishReason.CONTENT_FILTER))["stop_details"] == {
        "type": "refusal",
        "category": None,
        "explanation": None,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "end_turn"),
        ({"choice": [ToolCall(name="f")]}, "tool_use"),
        ({"choice": [ToolCall(name="f")], "finish_reason": FinishReason.STOP}, "tool_use"),
        ({"finish_reason": FinishReason.LENGTH}, "max_tokens"),
        (
            {"finish_reason": FinishReason.LENGTH, "raw_finish_reason": "model_context_window_exceeded"},
            "model_context_window_exceeded",
        ),
        ({"finish_reason": FinishReason.STOP, "raw_finish_reason": "STOP"}, "end_turn"),
        ({"finish_reason": FinishReason("pause_turn")}, "pause_turn"),
    ],
)
def test_the_stop_reason_is_spelled_as_the_api_does(fields: Any, expected: str) -> None:
    assert wrote(CompletionResponse(**{"choice": [], **fields}))["stop_reason"] == expected


def test_the_stop_sequence_is_the_one_that_was_asked_for() -> None:
    stopped = says(finish_reason=FinishReason.STOP, raw_finish_reason="stop_sequence")

    assert wrote(stopped, stop_sequences=["END"])["stop_sequence"] == "END"
    assert wrote(stopped)["stop_sequence"] is None


def test_usage_of_the_provider_is_kept_where_it_says_the_same() -> None:
    details = {"input_tokens": 3, "output_tokens": 2, "server_tool_use": {"web_search_requests": 1}}
    usage = Usage(input_tokens=3, output_tokens=2, details=details)

    assert wrote(says(usage=usage))["usage"] == details
    changed = usage.model_copy(update={"output_tokens": 9})
    assert wrote(says(usage=changed, service_tier="priority"))["usage"]["service_tier"] == "priority"
    assert "server_tool_use" not in wrote(says(usage=changed))["usage"]


def test_what_the_provider_does_itself_is_written_as_it_is() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    quiet = {"type": "mcp_tool_use", "id": "m", "name": "f", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    sealed = Reasoning(parts=[ReasoningPart(kind="encrypted", text="E")])
    contents = [ProviderContent(kind=block["type"], raw=block) for block in (search, quiet, found)]  # type: ignore[arg-type]  # a name
    turn = says(*contents, ProviderContent(kind="odd", raw=None), sealed)

    blocks = wrote(turn)["content"]
    events = frames(turn)

    redacted = {"type": "redacted_thinking", "data": "E"}
    assert blocks == [search, quiet, found, {"type": "odd"}, redacted]
    starts = [data["content_block"] for name, data in events if name == "content_block_start"]
    assert starts == [{**search, "input": {}}, quiet, found, {"type": "odd"}, redacted]
    pieces = [data["delta"]["partial_json"] for name, data in events if name == "content_block_delta"]
    assert "".join(pieces) == '{"query": "x"}'


def test_arguments_are_written_as_the_model_wrote_them_unless_they_changed() -> None:
    written = ToolCall.written("f", '{"a":1}')
    changed = written.model_copy(update={"arguments": {"a": 2}})
    torn = ToolCall(name="f", arguments={"a": 3}, arguments_raw='{"a":')

    def streamed(call: ToolCall) -> str:
        deltas = [data["delta"] for name, data in frames(says(call)) if name == "content_block_delta"]
        return "".join(delta["partial_json"] for delta in deltas)

    assert streamed(written) == '{"a":1}'
    assert streamed(changed) == '{"a": 2}'
    assert streamed(torn) == '{"a": 3}'
    assert streamed(ToolCall.written("f", '{"a": ')) == '{"a": '


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        (says(ToolCall.written("f", "{")), "only a stream can hold arguments"),
        (says(ToolCall(name="f", arguments=[1])), "only a stream can hold arguments"),
        (says(Audio(data="x")), "no word for 'audio'"),
        (says(others=[{"index": 1, "contents": []}]), "not several"),
    ],
)
def test_what_the_wire_cannot_say_is_no_answer(turn: CompletionResponse, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        wrote(turn)


def test_citations_of_an_answer_go_to_its_last_text() -> None:
    content = wrote(says(Text(text="a"), Text(text="b"), citations=[{"cited_text": "b"}]))["content"]

    assert content == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "citations": [{"cited_text": "b"}]},
    ]


def test_vertex_marks_its_ids() -> None:
    response = CODEC.encode_response(says(ToolCall(name="f")), asked(VERTEX, BODY))

    assert response.json["id"].startswith("msg_vrtx_01")
    assert response.json["content"][0]["id"].startswith("toolu_vrtx_01")
    assert response.header("request-id").startswith("req_vrtx_01")
    assert codecs.decode(Exchange(asked(VERTEX, BODY), response)).provider == "vertex"


def test_a_proxy_of_vertex_is_known_by_the_path() -> None:
    url = "http://localhost:9/x/publishers/anthropic/models/claude@1:streamRawPredict"
    response = CODEC.encode_response(says(Text(text="Hi")), asked(url, {"messages": []}))

    assert response.header("content-type") == "text/event-stream; charset=utf-8"
    assert codecs.decode(Exchange(asked(url, {"messages": []}), response)).model == "claude@1"


# ------------------------------------------------------------------------------------------- errors


def test_an_error_has_the_body_of_the_api() -> None:
    response = CODEC.encode_error("rate_limited", asked(MESSAGES, BODY), retry_after=1.5)

    assert response.status == 429
    assert response.json == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "This request would exceed your account's rate limit.",
        },
        "request_id": response.header("request-id"),
    }
    assert (response.header("retry-after"), response.header("retry-after-ms")) == ("1.5", "1500")


def test_to_wait_for_no_time_is_to_try_again_at_once() -> None:
    response = CODEC.encode_error("overloaded", asked(MESSAGES, BODY), retry_after=0)

    assert (response.header("retry-after"), response.header("retry-after-ms")) == (None, "1")


def test_an_error_may_have_a_type_and_a_status_of_its_own() -> None:
    request = asked(MESSAGES, BODY)

    assert (
        CODEC.encode_error("invalid_request", request, code="odd_error").json["error"]["type"] == "odd_error"
    )
    unknown = CODEC.encode_error("unknown", request, status=418)
    assert (unknown.status, unknown.json["error"]["type"]) == (418, "api_error")
    with pytest.raises(ValueError, match="'timeout'"):
        CODEC.encode_error("timeout", request)
    late = CODEC.encode_error("timeout", request, status=408)
    assert late.json["error"]["type"] == "timeout_error"


def test_filtered_output_is_known_by_the_words_of_the_api() -> None:
    request = asked(MESSAGES, BODY)

    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, CODEC.encode_error("content_filter", request)))
    assert (caught.value.kind, caught.value.code) == ("content_filter", "invalid_request_error")


# ------------------------------------------------------------------------------------------- requests


def request_of(**fields: Any) -> Any:
    fields = {"model": "claude-1", "messages": [Message.user("Hi")], **fields}
    return CODEC.encode_request(CompletionRequest(**fields))


def body_of(**fields: Any) -> Any:
    return request_of(**fields).json


def test_the_least_request_has_what_the_api_cannot_do_without() -> None:
    request = request_of()

    assert request.url == "https://api.anthropic.com/v1/messages"
    assert request.header("anthropic-version") == "2023-06-01"
    assert request.json == {
        "model": "claude-1",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hi"}],
    }


@pytest.mark.parametrize("base", ["http://localhost:9", "http://localhost:9/", "http://localhost:9/v1"])
def test_a_base_url_is_taken_with_and_without_its_version(base: str) -> None:
    request = CODEC.encode_request(CompletionRequest(model="m", messages=[]), base_url=base)

    assert request.url == "http://localhost:9/v1/messages"


def test_vertex_has_the_model_in_the_path_and_the_version_in_the_body() -> None:
    for stream, action in ((False, "rawPredict"), (True, "streamRawPredict")):
        asking = CompletionRequest(model="claude@1", messages=[Message.user("Hi")], stream=stream)
        request = CODEC.encode_request(asking, base_url=PROJECT)

        assert request.url == f"{PROJECT}/publishers/anthropic/models/claude@1:{action}"
        assert request.json["anthropic_version"] == "vertex-2023-10-16"
        assert "model" not in request.json
        found = codecs.decode_request(request)
        assert (found.model, found.stream) == ("claude@1", stream)
        assert CODEC.encode_request(found, base_url=PROJECT).json == request.json


def test_every_content_has_its_block() -> None:
    contents = [
        Text(text="Look", extra={"cache_control": {"type": "ephemeral"}}),
        Image(data="aGk=", media_type="image/png"),
        Image(data="https://h/i", source="url"),
        Document(data="f", source="file_id", name="t", extra={"context": "c"}),
        Document(data="d", source="text"),
        Document(data="aGk=", source="base64"),
        ProviderContent(kind="search_result", raw={"type": "search_result"}),
    ]
    results = [
        ToolResult(id="a", content=[Text(text="x"), Json(value={"b": 1})], is_error=True),
        ToolResult(id="b", content=[], extra={"cache_control": {}}),
    ]
    messages = [
        Message(role="developer", content=[Text(text="A")]),
        Message.system("B"),
        Message(role="user", content=contents),
        Message.assistant(Refusal(text="No."), Reasoning(parts=[ReasoningPart(text="h", signature="s")])),
        Message(role="tool", content=results[:1]),
        Message(role="tool", content=results[1:]),
        Message(role="developer", content=[Text(text="C")]),
    ]

    body = body_of(messages=messages, documents=[Document(data="d", source="text")])

    assert body["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    given, user, model, tools, late = body["messages"]
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}
    assert given == {"role": "user", "content": [plain]}
    assert user["content"] == [
        {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://h/i"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "t", "context": "c"},
        plain,
        {"type": "document", "source": {"type": "base64", "data": "aGk="}},
        {"type": "search_result"},
    ]
    assert model["content"] == [
        {"type": "text", "text": "No."},
        {"type": "thinking", "thinking": "h", "signature": "s"},
    ]
    assert tools == {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [{"type": "text", "text": "x"}, {"type": "text", "text": '{"b":1}'}],
                "is_error": True,
            },
            {"type": "tool_result", "tool_use_id": "b", "cache_control": {}},
        ],
    }
    assert late == {"role": "system", "content": "C"}
    assert body_of(messages=[Message.system("A")])["messages"] == []


def test_every_option_has_its_place() -> None:
    body = body_of(
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        stop=["END"],
        stream=True,
        stream_options=StreamOptions(include_usage=True),
        service_tier="auto",
        user="me",
        tools=[
            ToolDefinition(name="f"),
            ProviderTool(kind="web_search_20250305", config={"name": "web_search"}),
        ],
        tool_choice=ToolChoice(mode="specific", names=["f"], extra={"odd": 1}),
        parallel_tool_calls=False,
        response_format=ResponseFormat(type="json_schema", name="n", json_schema={"type": "object"}),
        reasoning_effort="low",
        extra={"output_config": {"more": 1}, "thinking": {"type": "adaptive"}},
        n=1,
        store=False,
    )

    assert {key: value for key, value in body.items() if key not in {"model", "messages"}} == {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.25,
        "top_k": 3,
        "stop_sequences": ["END"],
        "stream": True,
        "service_tier": "auto",
        "metadata": {"user_id": "me"},
        "tools": [
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True, "odd": 1},
        "output_config": {
            "format": {"type": "json_schema", "schema": {"type": "object"}},
            "effort": "low",
            "more": 1,
        },
        "thinking": {"type": "adaptive"},
    }
    assert body_of(parallel_tool_calls=False)["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }
    assert "tool_choice" not in body_of(parallel_tool_calls=True)
    assert body_of(output_schema={"a": 1})["output_config"] == {
        "format": {"type": "json_schema", "schema": {"a": 1}}
    }
    assert "output_config" not in body_of(response_format=ResponseFormat(type="text"))


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"n": 2},
        {"logprobs": True},
        {"response_format": ResponseFormat(type="json_object")},
        {"tool_choice": ToolChoice(mode="specific", names=["f", "g"])},
        {"messages": [Message.assistant(ToolCall.written("f", "{"))]},
        {"messages": [Message.user(Audio(data="x"))]},
    ],
)
def test_what_the_wire_has_no_word_for_is_no_request(fields: Any) -> None:
    with pytest.raises(RequestError):
        body_of(**fields)


SPELLED: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
    {"messages": [{"role": "user", "content": "Hi"}], "system": [{"type": "text", "text": "A"}]},
    {"messages": [], "system": "", "tools": [], "stop_sequences": [], "stream": False, "temperature": None},
    {
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": False}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": ""}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}]}
                ],
            },
        ]
    },
    {"messages": [], "tools": [{"type": "custom", "name": "f", "input_schema": {}}]},
    {"messages": [], "tool_choice": {"type": "any", "disable_parallel_tool_use": False}},
    {"messages": [], "output_format": {"type": "json_schema", "schema": {}}},
    {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "x", "citations": None}]}]},
    {"messages": ["no message"]},
]


@pytest.mark.parametrize("body", SPELLED, ids=lambda body: json.dumps(body)[:60])
def test_a_request_that_was_read_keeps_its_spelling(body: dict[str, Any]) -> None:
    body = {"model": "m", "max_tokens": 9, **body}

    assert CODEC.encode_request(codecs.decode_request(asked(MESSAGES, body))).json == body


def test_what_changed_is_not_spelled_as_it_was() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
    }
    found = codecs.decode_request(asked(MESSAGES, body))

    changed = found.model_copy(update={"messages": [Message.user("b"), Message.user("c")], "max_tokens": 7})

    assert CODEC.encode_request(changed).json == {
        "model": "m",
        "max_tokens": 7,
        "messages": [{"role": "user", "content": "b"}, {"role": "user", "content": "c"}],
    }


@pytest.mark.parametrize(
    ("written", "raw", "expected"),
    [
        ("a", [{"text": "a"}], [{"text": "a"}]),
        ("a", [{"text": "a"}, {"text": "b"}], "a"),
        ("a", [{"type": "image"}], "a"),
        ("a", ["a"], "a"),
        ([{"type": "text", "text": "a"}], "a", "a"),
        ([{"type": "text", "text": "a", "x": 1}], "a", [{"type": "text", "text": "a", "x": 1}]),
        ('{"a": 1}', '{"a":1}', '{"a":1}'),
        ('{"a": 1}', '{"a":2}', '{"a": 1}'),
        ('{"a": 1}', "{", '{"a": 1}'),
        ([1, {"b": 1}], [1], [1, {"b": 1}]),
        ([{"b": 1}], [{"b": 1, "c": [], "d": 0}, 2], [{"b": 1, "c": []}]),
        (1, 2, 1),
    ],
)
def test_only_what_means_the_same_is_spelled_as_it_was(written: Any, raw: Any, expected: Any) -> None:
    assert respelled(written, raw) == expected

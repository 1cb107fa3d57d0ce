"""What Ollama says beside the common turns: prompts, lines or one object, results by name."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreplay import codecs
from llmreplay.codecs.ollama import CODEC
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
    Message,
    ProviderContent,
    ProviderError,
    Reasoning,
    ReasoningPart,
    RequestError,
    ResponseError,
    ResponseFormat,
    StreamError,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Video,
)
from llmreplay.exchange import Exchange, Failure, Request, Response

CHAT = "http://localhost:11434/api/chat"
GENERATE = "http://localhost:11434/api/generate"
JSON_TYPE, LINES = (
    (("content-type", "application/json; charset=utf-8"),),
    (("content-type", "application/x-ndjson"),),
)


def asked(url: str = CHAT, **body: Any) -> Request:
    return Request("POST", url, body=json.dumps({"model": "m", "messages": [], **body}).encode())


def answered(body: Any, url: str = CHAT, headers: Any = JSON_TYPE, **fields: Any) -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(asked(url, **fields), Response.of(200, data, headers))


def said(content: str = "", *, done: bool = False, **fields: Any) -> dict[str, Any]:
    ended = {"done_reason": "stop", "eval_count": 2} if done else {}
    return {
        "model": "m",
        "message": {"role": "assistant", "content": content, **fields},
        "done": done,
        **ended,
    }


def lines(*bodies: Any) -> bytes:
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


# ------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("headers", "fields", "count", "whole"),
    [
        (LINES, {"stream": True}, 1, False),
        (LINES, {}, 2, True),
        ((), {"stream": True}, 2, True),
        ((), {}, 2, True),
        ((), {}, 1, False),  # a stream is what is answered unless the request says otherwise
        (JSON_TYPE, {"stream": False}, 2, True),  # a recorder's content type may be wrong
    ],
)
def test_lines_are_told_from_one_object(headers: Any, fields: Any, count: int, *, whole: bool) -> None:
    body = lines(*[said("a"), said("b", done=True)][:count])
    exchange = answered(body, headers=headers, **fields)

    *events, last = codecs.events(exchange)
    assert isinstance(last, Final if whole else StreamError)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "ab"[:count]
    assert codecs.finished(exchange) is whole


@pytest.mark.parametrize(
    ("headers", "fields"), [((), {"stream": False}), (JSON_TYPE, {}), (JSON_TYPE, {"stream": True})]
)
def test_one_object_is_a_plain_answer(headers: Any, fields: Any) -> None:
    response = codecs.decode(answered(said("ab", done=True), headers=headers, **fields))

    assert (response.text, response.finish_reason, response.usage.output_tokens) == ("ab", "stop", 2)
    assert isinstance(response.raw, dict)


def test_a_line_that_was_cut_is_no_line() -> None:
    body = lines(said("a"), said("b", done=True))[:-4]

    with pytest.raises(CompletionError) as caught:
        codecs.decode(answered(body, headers=LINES))
    assert caught.value.kind == "stream_truncated"


def test_a_stream_that_is_done_is_whole_even_if_the_connection_is_not() -> None:
    failure = Failure("ReadError", "", "body")
    response = Response.of(200, lines(said("a", done=True)), LINES)
    cut = Response(200, LINES, response.chunks, "cut", failure)
    exchange = Exchange(asked(stream=True), cut)

    assert codecs.decode(exchange).text == "a"
    assert codecs.finished(exchange)


def test_the_flag_of_a_tool_is_not_that_of_the_stream() -> None:
    call = {"function": {"name": "f", "arguments": {"done": True}}}
    exchange = answered(lines(said(tool_calls=[call])), headers=LINES, stream=True)

    assert not codecs.finished(exchange)
    with pytest.raises(CompletionError):
        codecs.decode(exchange)


def test_calls_have_arguments_as_an_object_and_ids_or_none() -> None:
    calls = [
        {"id": "c", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}, "more": 1},
        {"function": {"name": "g"}},
    ]
    response = codecs.decode(answered(said(tool_calls=calls, done=True, thinking="Hm.")))

    assert response.choice == [
        Reasoning(parts=[ReasoningPart(text="Hm.")]),
        ToolCall(id="c", name="f", arguments={"a": 1}, extra={"more": 1}),
        ToolCall(name="g"),
    ]
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.TOOL_CALLS, "stop")


def test_thinking_and_text_are_one_content_each() -> None:
    body = lines(
        said(thinking="a"), said(thinking="b"), said("c"), said("", images=["aQ=="]), said("d", done=True)
    )
    response = codecs.decode(answered(body, headers=LINES))

    assert response.choice == [
        Reasoning(parts=[ReasoningPart(text="ab")]),
        Text(text="cd"),
        Image(data="aQ=="),
    ]


def test_an_answer_says_when_it_was_made() -> None:
    for spelled, second in (
        ("2026-01-01T00:00:00.123456789Z", 1_767_225_600),
        ("2026-01-01T01:00:00.5+01:00", 1_767_225_600),
        ("soon", None),
        (3, None),
    ):
        assert codecs.decode(answered({**said("a", done=True), "created_at": spelled})).created == second


def test_an_end_without_a_reason_or_counts_has_none() -> None:
    response = codecs.decode(answered({**said("a"), "done": True}))

    assert (response.finish_reason, response.usage.has_values) == (None, False)
    assert codecs.decode(answered({**said("a"), "done": True, "done_reason": "load"})).finish_reason == "load"


def test_images_of_the_model_come_back() -> None:
    turn = CompletionResponse(choice=[Text(text="See."), Image(data="aQ==")])
    for stream in (False, True):
        request = asked(stream=stream)
        assert codecs.decode(Exchange(request, CODEC.encode_response(turn, request))).choice == turn.choice


def test_an_answer_to_a_prompt_has_a_field_of_its_own() -> None:
    turn = CompletionResponse(choice=[Reasoning(parts=[ReasoningPart(text="Hm.")]), Text(text="So.")])
    for stream in (False, True):
        request = asked(GENERATE, prompt="Hi.", stream=stream)
        exchange = Exchange(request, CODEC.encode_response(turn, request))
        assert codecs.decode(exchange).choice == turn.choice
        assert b'"message"' not in exchange.response.body  # type: ignore[union-attr]


@pytest.mark.parametrize("body", [{}, [], {"message": "odd"}, {"response": 3}])
def test_a_body_without_a_message_is_no_answer(body: Any) -> None:
    with pytest.raises(ResponseError, match="no message"):
        codecs.decode(answered(body))


def test_errors_are_a_text_in_an_object_or_a_line() -> None:
    for exchange in (answered({"error": "No."}), answered(lines(said("a"), {"error": "No."}), headers=LINES)):
        with pytest.raises(ProviderError, match=r"No\.") as caught:
            codecs.decode(exchange)
        assert caught.value.kind in {"error_in_200", "stream_error"}
    missing = CODEC.encode_error("not_found", asked())
    assert missing.json == {"error": "model 'm' not found"}
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(asked(), CODEC.encode_error("request_too_large", asked())))
    assert caught.value.kind == "request_too_large"
    with pytest.raises(ValueError, match="quota_exhausted"):
        CODEC.encode_error("quota_exhausted", asked())
    assert CODEC.encode_error("quota_exhausted", asked(), status=402).status == 402


# ------------------------------------------------------------------------------------------ requests


BODY = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi.", "images": ["aQ=="]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"id": "c", "function": {"index": 0, "name": "f", "arguments": {"a": 1}, "more": 1}},
                {"function": {"name": "g", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "so", "tool_name": "f", "tool_call_id": "c"},
        {"role": "tool", "content": "so", "name": "g"},
        {"role": "tool", "content": "so"},
        {"role": "assistant"},
        {"role": "odd", "content": ["odd"], "images": []},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "It.", "parameters": {}}}],
    "format": {"type": "object"},
    "options": {"temperature": 0.5, "top_k": 3, "num_predict": 9, "stop": ["x"], "num_ctx": 64},
    "think": "high",
    "logprobs": True,
    "top_logprobs": 2,
    "keep_alive": None,
    "stream": False,
}


def test_every_field_of_a_request_has_its_place() -> None:
    found = codecs.decode_request(Request("POST", CHAT, body=json.dumps(BODY).encode()))

    assert (found.model, found.system, found.stream, found.reasoning_effort) == (
        "m",
        "Be brief.",
        False,
        "high",
    )
    assert (found.temperature, found.top_k, found.max_tokens, found.stop) == (0.5, 3, 9, ["x"])
    assert (found.logprobs, found.top_logprobs, found.tool_names) == (True, 2, ["f"])
    assert found.response_format == ResponseFormat(type="json_schema", json_schema={"type": "object"})
    assert found.extra == {"options": {"num_ctx": 64}, "keep_alive": None}
    _, user, assistant, *results, silent, odd = found.messages
    assert user.content == [Text(text="Hi."), Image(data="aQ==")]
    assert assistant.content == [
        Reasoning(parts=[ReasoningPart(text="Hm.")]),
        ToolCall(id="c", name="f", arguments={"a": 1}, extra={"function": {"more": 1}}),
        ToolCall(name="g"),
    ]
    assert [(message.tool_results[0].id, message.tool_results[0].name) for message in results] == [
        ("c", "f"),
        ("", "g"),
        ("", None),
    ]
    assert silent.content == odd.content == []
    assert CODEC.encode_request(found).json == BODY


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (CHAT, {}),
        (CHAT, {"messages": "odd", "tools": [], "format": "", "options": {}, "think": True, "stream": True}),
        (CHAT, {"messages": [], "format": "json", "options": {"stop": "x"}}),
        (
            GENERATE,
            {"prompt": "Hi.", "system": "Be brief.", "images": ["aQ=="], "template": "", "context": [1]},
        ),
        (GENERATE, {"prompt": "", "system": "", "raw": False}),
        (GENERATE, {"images": [3]}),
    ],
)
def test_what_a_request_leaves_out_or_spells_oddly_is_kept(url: str, body: dict[str, Any]) -> None:
    body = {"model": "m", **body}
    found = codecs.decode_request(Request("POST", url, body=json.dumps(body).encode()))
    defaults: dict[str, Any] = {"prompt": ""} if url == GENERATE else {"messages": []}

    again = CODEC.encode_request(found)
    assert again.url == url
    assert {**defaults, **again.json} == {**defaults, **body}


def test_messages_of_other_wires_find_their_words() -> None:
    request = CompletionRequest(
        model="m",
        messages=[
            Message(role="developer", content=[Text(text="Be brief.")]),
            Message(
                role="tool",
                content=[
                    ToolResult(id="c", name="f", content=[Text(text="so")]),
                    ToolResult(id="d", content=[Json(value={"a": 1})]),
                ],
            ),
        ],
        max_completion_tokens=5,
        output_schema={"type": "object"},
    )

    assert CODEC.encode_request(request, base_url="http://h:1/").json == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "tool", "content": "so", "tool_name": "f", "tool_call_id": "c"},
            {"role": "tool", "content": '{"a":1}', "tool_call_id": "d"},
        ],
        "format": {"type": "object"},
        "options": {"num_predict": 5},
        "stream": False,
    }


def test_what_no_message_can_say_is_an_error() -> None:
    for message in (
        Message.assistant(ToolCall.written("f", '{"a')),
        Message.user(Image(data="https://h/i", source="url")),
    ):
        with pytest.raises(RequestError):
            CODEC.encode_request(CompletionRequest(messages=[message]))
    with pytest.raises(RequestError):
        codecs.decode_request(Request("POST", CHAT, body=b"[]"))


# ------------------------------------------------------------------------------------- anything else


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "\ud800", "user", "json"])
)
KEYS = st.sampled_from(
    [
        *[
            "model",
            "message",
            "messages",
            "role",
            "content",
            "thinking",
            "images",
            "tool_calls",
            "function",
            "name",
        ],
        *[
            "arguments",
            "done",
            "done_reason",
            "response",
            "prompt",
            "system",
            "error",
            "logprobs",
            "created_at",
        ],
        *["eval_count", "options", "stop", "format", "think", "tools", "tool_name", "odd"],
    ]
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(body=JSON, url=st.sampled_from([CHAT, GENERATE]))
@settings(max_examples=200, deadline=None)
def test_any_json_is_an_answer_or_a_completion_error(body: Any, url: str) -> None:
    for exchange in (answered(body, url), answered(lines(body, body), url, LINES)):
        with contextlib.suppress(CompletionError):
            assert codecs.decode(exchange).choices
        assert codecs.events(exchange)
        codecs.usage(exchange)
        codecs.finished(exchange)


@given(body=st.dictionaries(KEYS, JSON, max_size=6), url=st.sampled_from([CHAT, GENERATE]))
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_request(body: Any, url: str) -> None:
    request = Request("POST", url, body=json.dumps(body).encode())
    found = codecs.decode_request(request)

    assert CODEC.check(request) is None
    with contextlib.suppress(RequestError):
        assert isinstance(CODEC.encode_request(found), Request)


def test_what_a_user_says_with_results_is_a_message_of_its_own() -> None:
    result = ToolResult(id="c", name="look", content=[Text(text="so"), Image(data="aQ==")])
    said = Message(role="user", content=[result, Text(text="And?")])

    assert CODEC.encode_request(CompletionRequest(messages=[said])).json["messages"] == [
        {"role": "tool", "content": "so", "images": ["aQ=="], "tool_name": "look", "tool_call_id": "c"},
        {"role": "user", "content": "And?"},
    ]


@pytest.mark.parametrize("content", [Document(data="x"), Audio(data="x"), Video(data="x")])
@pytest.mark.parametrize("inside", [False, True], ids=["said", "a result"])
def test_media_that_the_wire_does_not_take_are_never_left_out(content: Any, *, inside: bool) -> None:
    if inside and not isinstance(content, Document):
        content = ProviderContent(kind=content.type, raw={})
    message = Message.user(ToolResult(id="c", content=[content]) if inside else content)

    with pytest.raises(RequestError, match="cannot hold"):
        CODEC.encode_request(CompletionRequest(messages=[message]))

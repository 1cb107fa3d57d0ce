"""What Cohere says beside the common turns: plans, failures that look like answers, contents of tools."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreplay import codecs
from llmreplay.codecs.cohere import CODEC
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
    ProviderTool,
    Reasoning,
    ReasoningPart,
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
)
from llmreplay.exchange import Exchange, Request, Response

HOME = "https://api.cohere.com/v2/chat"


def asked(**body: Any) -> Request:
    return Request("POST", HOME, body=json.dumps({"model": "command", "messages": [], **body}).encode())


def answered(body: Any, status: int = 200) -> Exchange:
    return Exchange(asked(), Response.of(status, json.dumps(body).encode()))


def message(finish: str | None = "COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"id": "i", "finish_reason": finish, "message": {"role": "assistant", **fields}}


def streamed(*events: Any) -> Exchange:
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return Exchange(asked(stream=True), Response.of(200, body))


def event(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": fields}}


START = {"type": "message-start", "id": "i"}
END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}


# ------------------------------------------------------------------------------------------- answers


def test_a_plan_is_reasoning_that_remembers_what_it_was() -> None:
    plan = Reasoning(parts=[ReasoningPart(text="I will look.")], extra={"type": "tool_plan"})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    plain = codecs.decode(answered(message("TOOL_CALL", tool_plan="I will look.", tool_calls=[call])))
    told = codecs.decode(
        streamed(
            START,
            event("tool-plan-delta", tool_plan="I will "),
            event("tool-plan-delta", tool_plan="look."),
            event("tool-plan-delta"),
            event("tool-call-start", tool_calls={**call, "function": {"name": "f", "arguments": ""}}),
            event("tool-call-delta", tool_calls={"function": {"arguments": '{"a": 1}'}}),
            event("tool-call-end"),
            {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
        )
    )

    assert plain.choice == told.choice == [plan, ToolCall(id="c", name="f", arguments={"a": 1})]
    assert plain.finish_reason == FinishReason.TOOL_CALLS
    assert plain.model == told.model == "command"


def test_contents_keep_what_else_they_say() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm.", "more": 1},
        {"type": "text", "text": "Yes.", "more": 2},
        {"type": "odd", "odd": 3},
    ]
    response = codecs.decode(answered(message(content=content)))

    assert response.choice == [
        Reasoning(parts=[ReasoningPart(text="Hm.")], extra={"more": 1}),
        Text(text="Yes.", extra={"more": 2}),
        ProviderContent(kind="odd", raw=content[2]),
    ]


def test_a_number_that_comes_again_is_of_another_content() -> None:
    response = codecs.decode(
        streamed(
            START,
            event("content-start", content={"type": "thinking", "thinking": "a"}),
            event("content-delta", content={"thinking": "b"}),
            event("content-start", content={"type": "text", "text": ""}),
            event("content-delta", content={"text": "c"}),
            END,
        )
    )

    assert (response.reasoning_content, response.text) == ("ab", "c")


def test_citations_come_one_by_one_or_as_a_list() -> None:
    events = [event("citation-start", citations=found) for found in ({"text": "a"}, [{"text": "b"}], None)]

    assert codecs.decode(streamed(START, *events, END)).citations == [{"text": "a"}, {"text": "b"}]


def test_a_call_that_was_not_begun_is_begun_by_its_first_piece() -> None:
    piece = event("tool-call-delta", tool_calls={"function": {"arguments": "{}"}})
    response = codecs.decode(streamed(START, event("tool-call-end"), piece, END))

    assert response.tool_calls == [ToolCall(name="")]


@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [
        ({"finish_reason": "ERROR", "error": "boom"}, "stream_error", "boom"),
        ({"finish_reason": "ERROR"}, "stream_error", "the generation failed"),
        ({"finish_reason": "TIMEOUT"}, "timeout", "the generation took too long"),
        ({"error": "boom"}, "stream_error", "boom"),
    ],
)
def test_a_message_that_ends_in_an_error_is_one(end: dict[str, Any], kind: str, text: str) -> None:
    exchange = streamed(
        START, event("content-delta", content={"text": "a"}), {"type": "message-end", "delta": end}
    )
    with pytest.raises(ProviderError) as caught:
        codecs.decode(exchange)
    assert (caught.value.kind, caught.value.message) == (kind, text)
    assert isinstance(codecs.events(exchange)[-1], StreamError)


def test_a_plain_message_that_ends_in_an_error_is_one() -> None:
    with pytest.raises(ProviderError, match="the generation failed"):
        codecs.decode(answered(message("ERROR", content=[])))
    with pytest.raises(ProviderError, match=r"No\."):
        codecs.decode(answered({"error": "No."}))
    with pytest.raises(ResponseError, match="no message"):
        codecs.decode(answered({"id": "i"}))


def test_an_end_without_a_reason_has_none() -> None:
    response = codecs.decode(streamed(START, {"type": "message-end", "delta": {}}))

    assert (response.finish_reason, response.choice) == (None, [])
    assert codecs.decode(answered(message(None, content=[]))).finish_reason is None


def test_an_event_that_nobody_knows_is_told_and_passed_over() -> None:
    odd = {"type": "debug", "prompt": "x"}
    *events, last = codecs.events(streamed(START, odd, END))

    assert UnknownEvent(name="debug", data=odd) in events
    assert isinstance(last, Final)


def test_a_reason_of_cohere_is_written_as_it_was() -> None:
    for raw, reason, spelled in (
        ("STOP_SEQUENCE", "stop", "STOP_SEQUENCE"),
        (None, "length", "MAX_TOKENS"),
        (None, "content_filter", "ERROR"),
        (None, "ODD", "ODD"),
    ):
        turn = CompletionResponse(choice=[], finish_reason=FinishReason(reason), raw_finish_reason=raw)
        assert CODEC.encode_response(turn, asked()).json["finish_reason"] == spelled


def test_errors_have_ids_and_words_of_cohere() -> None:
    response = CODEC.encode_error("not_found", asked())

    assert response.json["message"].startswith("model 'command' not found")
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(asked(), response))
    assert caught.value.request_id == response.header("x-debug-trace-id")
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(asked(), CODEC.encode_error("request_too_large", asked())))
    assert caught.value.kind == "request_too_large"
    assert CODEC.encode_error("timeout", asked(), status=504).status == 504
    with pytest.raises(ValueError, match="timeout"):
        CODEC.encode_stream_error("timeout", asked())


# ------------------------------------------------------------------------------------------ requests


BODY = {
    "model": "command",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aQ==", "detail": "low"}},
                {"type": "odd", "odd": 1},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "So."}],
            "tool_plan": "Look.",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c",
            "content": [{"type": "document", "document": {"id": "1", "data": {"a": 1}}}],
        },
        {"role": "assistant", "tool_plan": "", "content": "Yes."},
        {"role": "odd", "content": [{"type": "text", "text": "x"}]},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "It.", "parameters": {}, "more": 1}},
        {"function": {"name": "g", "strict": True, "parameters": None}},
        {"type": "odd", "odd": 1},
    ],
    "tool_choice": "NONE",
    "temperature": 0.5,
    "p": 0.9,
    "k": 3,
    "max_tokens": 9,
    "stop_sequences": ["x"],
    "seed": 1,
    "logprobs": True,
    "response_format": {"type": "json_object", "schema": {"type": "object"}},
    "documents": ["d"],
    "thinking": {"type": "enabled"},
    "stream": True,
}


def test_every_field_of_a_request_has_its_place() -> None:
    request = Request("POST", HOME, body=json.dumps(BODY).encode())
    found = codecs.decode_request(request)

    assert (found.model, found.system, found.stream, found.logprobs) == ("command", "Be brief.", True, True)
    assert (found.temperature, found.top_p, found.top_k, found.max_tokens) == (0.5, 0.9, 3, 9)
    assert (found.stop, found.seed) == (["x"], 1)
    assert found.tool_choice == ToolChoice(mode="none")
    assert found.response_format == ResponseFormat(
        type="json_schema", json_schema={"type": "object"}, extra={"schema": {}}
    )
    assert found.tools == [
        ToolDefinition(name="f", description="It.", parameters={}, extra={"more": 1}),
        ToolDefinition(name="g", strict=True, extra={"type": None}),
        ProviderTool(kind="odd", config={"odd": 1}),
    ]
    _, user, assistant, tool, said, odd = found.messages
    assert user.content == [
        Text(text="Hi."),
        Image(data="aQ==", media_type="image/png", detail="low"),
        ProviderContent(kind="odd", raw={"type": "odd", "odd": 1}),
    ]
    assert [content.type for content in assistant.content] == ["reasoning", "text", "reasoning", "tool_call"]
    assert tool.tool_results[0].id == "c"
    assert (said.text, said.extra) == ("Yes.", {"tool_plan": ""})
    assert (odd.role, odd.extra) == ("user", {"role": "odd"})
    assert found.documents == [Document(data="d", source="text")]
    assert found.extra == {"thinking": {"type": "enabled"}}
    written = CODEC.encode_request(found)
    assert written.json == {
        **BODY,
        "tools": [
            *BODY["tools"][:1],
            {"function": {"name": "g", "strict": True, "parameters": None}},
            BODY["tools"][2],
        ],
    }  # type: ignore[index]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": "odd", "stream": "odd", "tool_choice": "AUTO", "response_format": "odd"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "stream": False},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "text"}},
        {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}},
    ],
)
def test_what_a_request_leaves_out_or_spells_oddly_is_kept(body: dict[str, Any]) -> None:
    found = codecs.decode_request(Request("POST", HOME, body=json.dumps(body).encode()))
    defaults = {"messages": [], "stream": False}

    assert {**defaults, **CODEC.encode_request(found).json} == {**defaults, **body, "stream": False}


def test_messages_of_other_wires_find_their_words() -> None:
    request = CompletionRequest(
        model="command",
        messages=[
            Message(role="developer", content=[Text(text="Be brief.")]),
            Message.user(Text(text="See."), Image(data="https://h/i", source="url")),
            Message(
                role="tool",
                content=[
                    ToolResult(id="c", content=[Text(text="so")]),
                    ToolResult(id="d", content=[Json(value={"a": 1})]),
                ],
            ),
        ],
        tools=[ToolDefinition(name="f")],
        tool_choice=ToolChoice(mode="specific", names=["f"]),
        max_completion_tokens=5,
        output_schema={"type": "object"},
    )
    body = CODEC.encode_request(request, base_url="http://proxy/v2/").json

    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See."},
                {"type": "image_url", "image_url": {"url": "https://h/i"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "so"},
        {
            "role": "tool",
            "tool_call_id": "d",
            "content": [{"type": "document", "document": {"data": {"a": 1}}}],
        },
    ]
    assert (body["tool_choice"], body["max_tokens"], body["stream"]) == ("REQUIRED", 5, False)
    assert body["response_format"] == {"type": "json_object", "json_schema": {"type": "object"}}
    assert CODEC.encode_request(request, base_url="http://proxy/v2/").url == "http://proxy/v2/chat"


@pytest.mark.parametrize(
    "content", [Document(data="x"), Audio(data="x"), ProviderContent(kind="odd", raw="odd")]
)
def test_what_no_message_can_say_is_an_error(content: Any) -> None:
    with pytest.raises(RequestError, match="cannot hold"):
        CODEC.encode_request(CompletionRequest(messages=[Message.user(content)]))


def test_a_request_that_is_no_object_is_none() -> None:
    with pytest.raises(RequestError):
        codecs.decode_request(Request("POST", HOME, body=b"[]"))


# ------------------------------------------------------------------------------------- anything else


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "\ud800", "text", "ERROR"])
)
KINDS = st.sampled_from(
    ["message-start", "content-start", "content-delta", "tool-call-delta", "message-end", "odd"]
)
KEYS = st.sampled_from(
    [
        *[
            "id",
            "type",
            "index",
            "delta",
            "message",
            "content",
            "text",
            "thinking",
            "tool_plan",
            "tool_calls",
        ],
        *[
            "function",
            "name",
            "arguments",
            "citations",
            "finish_reason",
            "usage",
            "tokens",
            "logprobs",
            "error",
        ],
        *["messages", "role", "tools", "response_format", "tool_choice", "tool_call_id", "odd"],
    ]
)
JSON = st.recursive(
    LEAVES | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(body=JSON, kind=KINDS, delta=JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_is_an_answer_or_a_completion_error(body: Any, kind: str, delta: Any) -> None:
    for exchange in (
        answered(body),
        answered({"message": body}),
        streamed(body, {"type": kind, "delta": delta}, END),
    ):
        with contextlib.suppress(CompletionError):
            assert codecs.decode(exchange).choices
        assert codecs.events(exchange)
        codecs.usage(exchange)


@given(body=st.dictionaries(KEYS, JSON, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_request(body: Any) -> None:
    request = Request("POST", HOME, body=json.dumps(body).encode())
    found = codecs.decode_request(request)

    assert CODEC.check(request) is None
    with contextlib.suppress(RequestError):
        assert isinstance(CODEC.encode_request(found), Request)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("It rains.", Document(data="It rains.", source="text")),
        ({"id": "log", "data": {"text": "It rains."}}, Document(data="It rains.", source="text", name="log")),
        (
            {"data": {"text": "It rains."}},
            Document(data="It rains.", source="text", extra={"data": {}}),
        ),
    ],
)
def test_a_document_that_is_a_text_is_read_and_written_as_it_was(given: Any, meant: Document) -> None:
    body = {"model": "m", "messages": [], "documents": [given], "stream": False}
    found = codecs.decode_request(Request("POST", HOME, body=json.dumps(body).encode()))

    assert found.documents == [meant]
    assert CODEC.encode_request(found).json == body


@pytest.mark.parametrize(
    "given", [{"data": {"title": "Log"}}, {"data": {"text": "x"}, "id": ["a"]}, {"data": {"text": 1}}, 7]
)
def test_documents_that_are_more_than_texts_stay_as_they_are_spelled(given: Any) -> None:
    body = {"model": "m", "messages": [], "documents": ["It rains.", given], "stream": False}
    found = codecs.decode_request(Request("POST", HOME, body=json.dumps(body).encode()))

    assert (found.documents, found.extra) == ([], {"documents": ["It rains.", given]})
    assert CODEC.encode_request(found).json == body
    more = found.model_copy(update={"documents": [Document(data="It snows.", source="text")]})
    assert CODEC.encode_request(more).json["documents"] == ["It rains.", given, "It snows."]


def test_what_a_user_says_with_results_is_a_message_of_its_own() -> None:
    said = Message(role="user", content=[ToolResult(id="c", content=[Text(text="so")]), Text(text="And?")])

    assert CODEC.encode_request(CompletionRequest(messages=[said])).json["messages"] == [
        {"role": "tool", "tool_call_id": "c", "content": "so"},
        {"role": "user", "content": "And?"},
    ]

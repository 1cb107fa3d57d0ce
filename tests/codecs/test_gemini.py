"""What Gemini says beside the common turns: media, searches, filters, spellings, streams that are arrays."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreplay import codecs
from llmreplay.codecs.gemini import CODEC
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
    TextDelta,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    Video,
)
from llmreplay.exchange import Exchange, Request, Response

HOME = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
VERTEX = (
    "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro"
)
PLAIN, SSE, ARRAY = (
    f"{HOME}:generateContent",
    f"{HOME}:streamGenerateContent?alt=sse",
    f"{HOME}:streamGenerateContent",
)


def asked(body: Any = None, url: str = PLAIN) -> Request:
    return Request("POST", url, body=json.dumps(body or {}).encode())


def answered(body: Any, url: str = PLAIN, status: int = 200) -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(asked(url=url), Response.of(status, data))


def candidate(*parts: Any, reason: Any = "STOP", **more: Any) -> dict[str, Any]:
    ended = {} if reason is None else {"finishReason": reason}
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **ended, **more}]}


def streamed(*bodies: Any) -> Exchange:
    return answered(b"".join(b"data: " + json.dumps(body).encode() + b"\r\n\r\n" for body in bodies), SSE)


# ------------------------------------------------------------------------------------------- answers


def test_parts_become_contents_in_their_order() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1+1"}}
    picture = {"inlineData": {"mimeType": "image/png", "data": "aQ=="}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "aQ=="}}
    response = codecs.decode(
        answered(candidate({"text": "a"}, {"text": "b"}, code, picture, sound, {"text": ""}, {}))
    )

    assert response.choice == [
        Text(text="ab"),
        ProviderContent(kind="executableCode", raw=code),
        Image(data="aQ==", media_type="image/png"),
        Audio(data="aQ==", media_type="audio/wav"),
    ]


def test_what_follows_a_signature_is_a_content_of_its_own() -> None:
    signed = {"text": "b", "thoughtSignature": "cw=="}
    thoughts = [{"text": "x", "thought": True, "thoughtSignature": "eA=="}, {"text": "y", "thought": True}]
    response = codecs.decode(
        streamed(*(candidate(part, reason=None) for part in [*thoughts, signed]), candidate({"text": "c"}))
    )

    assert response.choice == [
        Reasoning(parts=[ReasoningPart(text="x", signature="eA=="), ReasoningPart(text="y")]),
        Text(text="b", extra={"thoughtSignature": "cw=="}),
        Text(text="c"),
    ]


def test_a_signature_without_text_signs_the_text_before_it() -> None:
    last = candidate({"text": "", "thoughtSignature": "cw=="})
    response = codecs.decode(streamed(candidate({"text": "a"}, reason=None), last))

    assert response.choice == [Text(text="a", extra={"thoughtSignature": "cw=="})]


def test_a_call_is_whole_at_once_and_keeps_what_else_it_says() -> None:
    part = {
        "functionCall": {"name": "f", "args": {"a": 1}, "id": "i", "willContinue": False},
        "thoughtSignature": "cw==",
    }
    response = codecs.decode(answered(candidate(part, {"functionCall": {"name": "g"}})))

    assert response.finish_reason == FinishReason.TOOL_CALLS
    assert response.raw_finish_reason == "STOP"
    assert response.tool_calls == [
        ToolCall(
            id="i",
            name="f",
            arguments={"a": 1},
            signature="cw==",
            extra={"functionCall": {"willContinue": False}},
        ),
        ToolCall(name="g"),
    ]


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        (1, "stop"),
        (2, "length"),
    ],
)
def test_reasons_to_stop_are_words_or_numbers(reason: Any, meaning: str) -> None:
    response = codecs.decode(answered(candidate({"text": "a"}, reason=reason)))

    assert (response.finish_reason, response.raw_finish_reason) == (meaning, str(reason))


def test_a_blocked_prompt_has_a_reason_and_no_answer() -> None:
    body = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
    }

    for exchange in (answered(body), streamed(body)):
        response = codecs.decode(exchange)
        assert (response.choice, response.finish_reason, response.raw_finish_reason) == (
            [],
            "content_filter",
            "SAFETY",
        )
        assert response.usage.input_tokens == 3


def test_a_reason_that_is_unspecified_is_none() -> None:
    assert (
        codecs.decode(answered(candidate({"text": "a"}, reason="FINISH_REASON_UNSPECIFIED"))).finish_reason
        is None
    )


def test_citations_are_gathered_once() -> None:
    chunk, source = {"web": {"uri": "u"}}, {"uri": "s"}
    told = {
        "groundingMetadata": {"groundingChunks": [chunk]},
        "citationMetadata": {"citationSources": [source]},
    }
    response = codecs.decode(
        streamed(candidate({"text": "a"}, reason=None, **told), candidate({"text": "b"}, **told))
    )

    assert response.citations == [source, chunk]


def test_vertex_tells_when_it_answered() -> None:
    body = {**candidate({"text": "a"}), "createTime": "2026-01-01T00:00:01.5Z"}
    response = codecs.decode(answered(body, f"{VERTEX}:generateContent"))

    assert (response.created, response.provider) == (1_767_225_601, "vertex")
    assert codecs.decode(answered({**body, "createTime": "soon"})).created is None


def test_the_last_report_of_usage_is_the_whole_of_it() -> None:
    first = {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 21, "totalTokenCount": 30}}
    last = {"usageMetadata": {"promptTokenCount": 87, "thoughtsTokenCount": 78, "totalTokenCount": 165}}
    odd = {"usageMetadata": {"trafficType": "ON_DEMAND"}}
    exchange = streamed(
        {**candidate({"text": "a"}, reason=None), **first}, {**candidate({"text": "b"}), **last}, odd
    )
    response = codecs.decode(exchange)

    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (
        87,
        78,
        165,
    )
    assert response.usage.audit() == []
    assert codecs.usage(exchange) == response.usage


@pytest.mark.parametrize(
    "body", [{}, {"candidates": []}, [], [candidate({"text": "a"})], {"promptFeedback": {}}, 3]
)
def test_a_body_without_candidates_is_no_answer(body: Any) -> None:
    with pytest.raises(ResponseError, match="no candidates"):
        codecs.decode(answered(body))


def test_an_error_in_a_200_is_one() -> None:
    with pytest.raises(ProviderError) as caught:
        codecs.decode(answered({"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}))
    assert (caught.value.kind, caught.value.message) == ("overloaded", "Busy.")


# --------------------------------------------------------------------------------- streams as arrays


BODIES = [candidate({"text": "a, [b]"}, reason=None), candidate({"text": ' "c}'})]


def test_an_array_that_breaks_off_keeps_what_came() -> None:
    whole = json.dumps(BODIES, indent=2).encode()

    response = codecs.decode(answered(whole, ARRAY))
    assert response.text == 'a, [b] "c}'
    assert response.raw == BODIES
    *told, last = codecs.events(answered(whole[: len(whole) // 2], ARRAY))
    assert [event.text for event in told if isinstance(event, TextDelta)] == ["a, [b]"]
    assert isinstance(last, StreamError)
    assert last.error.kind == "stream_truncated"


def test_usage_is_found_in_an_array_that_breaks_off() -> None:
    report = {"usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 2}}
    body = json.dumps([{**BODIES[0], **report}, BODIES[1]]).encode()

    assert codecs.usage(answered(body[:-5], ARRAY)).input_tokens == 2
    assert codecs.usage(answered(b"[1] 2", ARRAY)).input_tokens == 0
    assert codecs.usage(answered(b'[{"a": nul},', ARRAY)).input_tokens == 0


def test_an_error_in_an_array_is_one() -> None:
    error = {"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}

    for bodies in ([error], [BODIES[0], error]):
        with pytest.raises(ProviderError) as caught:
            codecs.decode(answered(bodies, ARRAY))
        assert caught.value.kind == "overloaded"
    with pytest.raises(ProviderError) as caught:
        codecs.decode(answered(error, ARRAY))
    assert caught.value.kind == "overloaded"


@pytest.mark.parametrize("body", [b"[1]]", b'[{"a": nul}, {}]', b"[3]"])
def test_an_array_of_anything_else_is_an_error(body: bytes) -> None:
    with pytest.raises(CompletionError):
        codecs.decode(answered(body, ARRAY))


def test_nothing_at_all_is_a_stream_that_broke_off() -> None:
    for url in (ARRAY, SSE):
        with pytest.raises(CompletionError) as caught:
            codecs.decode(answered(b"", url))
        assert caught.value.kind == "stream_truncated"
    with pytest.raises(JsonError):
        codecs.decode(answered(b""))


# -------------------------------------------------------------------------------------------- errors


def test_a_daily_quota_is_spent_and_another_is_not() -> None:
    for window, kind in (("PerDay", "quota_exhausted"), ("PerMinute", "rate_limited")):
        violation = {"quotaId": f"Requests{window}PerProject"}
        details = [{"@type": "x", "violations": [violation]}, {"retryDelay": "7s"}]
        body = {"error": {"code": 429, "message": "No.", "status": "RESOURCE_EXHAUSTED", "details": details}}
        for shape in (body, [body]):
            with pytest.raises(ProviderError) as caught:
                codecs.decode(answered(shape, status=429))
            assert (caught.value.kind, caught.value.retry_after) == (kind, 7)
            assert caught.value.retryable is (kind == "rate_limited")


def test_errors_of_an_array_stream_are_in_a_list() -> None:
    response = CODEC.encode_error("rate_limited", asked(url=ARRAY), retry_after=1.5)

    assert response.json[0]["error"]["details"][-1]["retryDelay"] == "1.5s"
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(asked(url=ARRAY), response))
    assert (caught.value.kind, caught.value.retry_after) == ("rate_limited", 1.5)


def test_an_unknown_model_is_named_as_its_api_does() -> None:
    here = CODEC.encode_error("not_found", asked()).json["error"]["message"]
    there = CODEC.encode_error("not_found", asked(url=f"{VERTEX}:generateContent")).json["error"]["message"]

    assert here.startswith("models/gemini-2.5-flash is not found for API version v1beta, or")
    assert there == "Publisher Model `gemini-2.5-pro` not found."


def test_a_context_that_is_too_long_is_told_by_its_words() -> None:
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(asked(), CODEC.encode_error("request_too_large", asked())))
    assert caught.value.kind == "request_too_large"


def test_a_status_makes_an_answer_of_any_failure() -> None:
    response = CODEC.encode_error("timeout", asked(), status=504)

    assert (response.status, response.json["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert CODEC.encode_error("server_error", asked(), status=418).json["error"]["status"] == "UNKNOWN"
    assert CODEC.encode_error("server_error", asked(), code="ODD").json["error"]["status"] == "ODD"


# ------------------------------------------------------------------------------------------ requests


BODY = {
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "Hi."}, {"inlineData": {"mimeType": "video/mp4", "data": "aQ=="}}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Hm.", "thought": True, "thoughtSignature": "cw=="},
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}, "thoughtSignature": "cw=="},
            ],
        },
        {"parts": [{"functionResponse": {"name": "f", "id": "i", "response": {"result": "so"}}}]},
        {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1, "b": 2}}}]},
        {
            "role": "odd",
            "parts": [{"fileData": {"fileUri": "https://h/a.pdf", "mimeType": "application/pdf"}}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "f", "response": {"error": "no"}}}],
            "more": 1,
        },
        {"role": "user", "parts": "odd"},
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [
        {
            "functionDeclarations": [
                {"name": "f", "parametersJsonSchema": {"type": "object"}},
                {"name": "g", "behavior": "B"},
            ]
        },
        {"googleSearch": {}},
        {"functionDeclarations": [{"name": "h", "description": "", "parameters": {"type": "OBJECT"}}]},
        {"odd": 1},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
        "retrievalConfig": {},
    },
    "generationConfig": {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 9,
        "candidateCount": 2,
        "stopSequences": ["x"],
        "seed": 3,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
        "speechConfig": {},
    },
    "safetySettings": [],
    "serviceTier": "flex",
    "labels": {"team": "a"},
    "cachedContent": "c",
}


def test_every_field_of_a_request_has_its_place() -> None:
    found = codecs.decode_request(asked(BODY))

    assert (found.model, found.system, found.stream) == ("gemini-2.5-flash", "Be brief.", False)
    assert (found.temperature, found.top_p, found.top_k, found.max_tokens) == (0.5, 0.9, 40, 9)
    assert (found.n, found.stop, found.seed, found.reasoning_effort) == (2, ["x"], 3, "low")
    assert (found.service_tier, found.metadata) == ("flex", {"team": "a"})
    assert found.tool_choice == ToolChoice(mode="specific", names=["f"])
    assert found.response_format == ResponseFormat(
        type="json_schema", json_schema={"type": "OBJECT"}, extra={"responseSchema": {}}
    )
    assert found.tools == [
        ToolDefinition(name="f", parameters={"type": "object"}),
        ToolDefinition(name="g", extra={"behavior": "B"}),
        ProviderTool(kind="googleSearch", config={}),
        ToolDefinition(
            name="h",
            parameters={"type": "OBJECT"},
            extra={"functionDeclarations": [], "description": "", "parameters": {}},
        ),
        ProviderTool(kind="odd", config={"": 1}),
    ]
    _, user, model, result, function, odd, failed, empty = found.messages
    assert user.content == [Text(text="Hi."), Video(data="aQ==", media_type="video/mp4")]
    assert model.content == [
        Reasoning(parts=[ReasoningPart(text="Hm.", signature="cw==")]),
        ToolCall(id="i", name="f", arguments={"a": 1}, signature="cw=="),
    ]
    assert (result.role, result.tool_results[0].text, result.tool_results[0].id) == ("user", "so", "i")
    assert (function.role, function.tool_results[0].content) == ("function", [Json(value={"a": 1, "b": 2})])
    assert odd.content == [Document(data="https://h/a.pdf", source="url", media_type="application/pdf")]
    assert (failed.tool_results[0].is_error, failed.tool_results[0].text, failed.extra) == (
        True,
        "no",
        {"more": 1},
    )
    assert (empty.content, empty.extra) == ([], {"parts": "odd"})
    assert found.extra["generationConfig"] == {
        "thinkingConfig": {"includeThoughts": True},
        "speechConfig": {},
    }
    assert CODEC.encode_request(found).json == BODY


SNAKE = {
    "contents": [
        {
            "role": "user",
            "parts": [
                {"inline_data": {"mime_type": "image/png", "data": "aQ=="}},
                {"file_data": {"file_uri": "https://h/a", "mime_type": "image/png"}},
                {"function_response": {"name": "f", "response": {"output": "so"}}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"function_call": {"name": "f", "args": {}}, "thought_signature": "cw=="},
                {"text": "Hm.", "thought": True, "thought_signature": "cw=="},
            ],
        },
    ],
    "system_instruction": {"role": "user", "parts": [{"text": "Be brief."}]},
    "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
    "tool_config": {"function_calling_config": {"mode": "ANY"}},
    "generation_config": {
        "max_output_tokens": 9,
        "response_mime_type": "application/json",
        "response_json_schema": {"type": "object"},
        "thinking_config": {"thinking_level": "low"},
    },
}


def test_a_request_in_snake_case_means_the_same_and_stays_so() -> None:
    found = codecs.decode_request(asked(SNAKE))

    assert (found.max_tokens, found.reasoning_effort, found.tool_names) == (9, "low", ["f"])
    assert found.tool_choice == ToolChoice(mode="required")
    assert found.response_format is not None
    assert found.response_format.json_schema == {"type": "object"}
    image, linked, result = found.messages[-2].content
    assert isinstance(image, Image)
    assert isinstance(linked, Image)
    assert (image.media_type, linked.data, linked.source) == ("image/png", "https://h/a", "url")
    assert isinstance(result, ToolResult)
    assert result.text == "so"
    assert found.messages[-1].tool_calls[0].signature == "cw=="
    assert CODEC.encode_request(found).json == SNAKE


def test_a_changed_field_is_written_where_it_was_spelled() -> None:
    found = codecs.decode_request(asked(SNAKE)).model_copy(update={"max_tokens": 3})

    assert CODEC.encode_request(found).json["generation_config"]["max_output_tokens"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": [], "generationConfig": {}},
        {
            "contents": {"role": "user"},
            "tools": {},
            "systemInstruction": "odd",
            "toolConfig": {"functionCallingConfig": 3},
        },
        {
            "contents": [
                {"parts": [{"inlineData": {}}, {"fileData": {}}, {"text": 3}, {"functionCall": 1}, {}]}
            ]
        },
        {
            "contents": [],
            "generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}},
        },
        {"contents": [], "generationConfig": {"responseMimeType": "application/json"}},
        {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
        {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "stopSequences": []}},
    ],
)
def test_what_a_request_leaves_out_or_spells_oddly_is_kept(body: dict[str, Any]) -> None:
    found = codecs.decode_request(asked(body))

    assert {"contents": [], **CODEC.encode_request(found).json} == {"contents": [], **body}


def test_a_request_that_is_no_object_is_none() -> None:
    with pytest.raises(RequestError):
        codecs.decode_request(asked([1]))


def test_messages_of_other_wires_find_their_words() -> None:
    request = CompletionRequest(
        model="models/gemini-2.5-flash",
        messages=[
            Message(role="developer", content=[Text(text="Be brief.")]),
            Message(
                role="user",
                content=[Document(data="Once.", source="text"), Image(data="f", source="file_id")],
            ),
            Message.assistant(
                Refusal(text="No."), Reasoning(parts=[ReasoningPart(kind="encrypted", text="x")])
            ),
            Message(
                role="tool",
                content=[
                    ToolResult(id="i", content=[Text(text="no")], name="f", is_error=True),
                    ToolResult(id="j", content=[Json(value=[1])]),
                    ToolResult(
                        id="k",
                        content=[Text(text="a"), Json(value={}), Image(data="aQ==", media_type="image/png")],
                    ),
                    ToolResult(id="l", content=[Json(value={"a": 1})]),
                ],
            ),
            Message(role="user", content=[ProviderContent(kind="odd", raw={"odd": 1})]),
        ],
        max_completion_tokens=5,
        output_schema={"type": "object"},
        response_format=None,
    )
    body = CODEC.encode_request(request).json

    assert body["systemInstruction"] == {"role": "user", "parts": [{"text": "Be brief."}]}
    user, model, results, odd = body["contents"]
    assert user["parts"] == [
        {"inlineData": {"mimeType": "text/plain", "data": "T25jZS4="}},
        {"fileData": {"fileUri": "f"}},
    ]
    assert model["parts"] == [{"text": "No."}]
    assert [part["functionResponse"]["response"] for part in results["parts"]] == [
        {"error": "no"},
        {"output": [1]},
        {"output": "a{}"},
        {"a": 1},
    ]
    assert results["parts"][2]["functionResponse"]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "aQ=="}}
    ]
    assert odd["parts"] == [{"odd": 1}]
    assert body["generationConfig"] == {
        "maxOutputTokens": 5,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }


def test_json_beside_the_parts_is_a_text() -> None:
    user = Message.model_construct(
        role="user", content=[Json(value={"a": "é"})], name=None, id=None, extra={}
    )

    assert CODEC.encode_request(CompletionRequest(messages=[user])).json["contents"][0]["parts"] == [
        {"text": '{"a": "é"}'}
    ]


@pytest.mark.parametrize(
    "content",
    [ToolCall.written("f", '{"a'), ProviderContent(kind="odd", raw="odd")],
    ids=["arguments", "part"],
)
def test_what_no_part_can_say_is_an_error(content: Any) -> None:
    with pytest.raises(RequestError):
        CODEC.encode_request(CompletionRequest(messages=[Message.assistant(content)]))
    with pytest.raises(ValueError, match="object"):
        CODEC.encode_response(CompletionResponse(choice=[content]), asked())


def test_a_call_of_gemini_3_is_signed() -> None:
    calls = CompletionResponse(choice=[Text(text="a"), ToolCall(name="f"), ToolCall(name="g")])
    request = asked(url=PLAIN.replace("2.5-flash", "3-pro-preview"))
    plain = codecs.decode(Exchange(request, CODEC.encode_response(calls, request)))

    assert [bool(call.signature) for call in plain.tool_calls] == [True, False]
    given = CompletionResponse(choice=[ToolCall(name="f", signature="cw==")])
    again = codecs.decode(Exchange(request, CODEC.encode_response(given, request)))
    assert again.tool_calls[0].signature == "cw=="


# ------------------------------------------------------------------------------------- anything else


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "\ud800", "model", "STOP", "ANY"])
)
KEYS = st.sampled_from(
    [
        *[
            "candidates",
            "content",
            "parts",
            "text",
            "thought",
            "thoughtSignature",
            "functionCall",
            "functionResponse",
        ],
        *[
            "name",
            "args",
            "id",
            "inlineData",
            "data",
            "mimeType",
            "fileData",
            "fileUri",
            "finishReason",
            "index",
        ],
        *[
            "usageMetadata",
            "promptTokenCount",
            "promptFeedback",
            "blockReason",
            "error",
            "details",
            "violations",
        ],
        *["logprobsResult", "chosenCandidates", "topCandidates", "groundingMetadata", "groundingChunks"],
        *[
            "contents",
            "role",
            "tools",
            "functionDeclarations",
            "generationConfig",
            "systemInstruction",
            "toolConfig",
        ],
        *[
            "functionCallingConfig",
            "mode",
            "thinkingConfig",
            "responseMimeType",
            "response",
            "createTime",
            "odd",
        ],
    ]
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(body=JSON, url=st.sampled_from([PLAIN, SSE, ARRAY]), status=st.sampled_from([200, 200, 400, 429]))
@settings(max_examples=200, deadline=None)
def test_any_json_is_an_answer_or_a_completion_error(body: Any, url: str, status: int) -> None:
    for exchange in (answered(body, url, status), streamed(body, body)):
        with contextlib.suppress(CompletionError):
            assert codecs.decode(exchange).choices
        assert codecs.events(exchange)
        codecs.usage(exchange)


@given(body=st.dictionaries(KEYS, JSON, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_request_and_can_be_checked(body: Any) -> None:
    request = asked(body)
    found = codecs.decode_request(request)

    assert isinstance(found, CompletionRequest)
    CODEC.check(request)
    with contextlib.suppress(RequestError):
        assert isinstance(CODEC.encode_request(found), Request)


def test_an_array_is_told_as_its_events_are() -> None:
    response = CODEC.encode_response(CompletionResponse(choice=[Text(text="It is so.")]), asked(url=ARRAY))
    *_, last = codecs.events(Exchange(asked(url=ARRAY), response))

    assert isinstance(last, Final)
    assert [chunk.data[:1] for chunk in response.chunks] == [b"[", *[b","] * 3, b"]"]
    assert response.header("content-type") == "application/json; charset=UTF-8"
    assert len(response.json) == 4

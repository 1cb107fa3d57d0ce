"""Cohere's SDK reads what its codec writes, and raises what its errors are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import cohere as codec
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    LogProbs,
    Reasoning,
    ReasoningPart,
    Text,
    TokenLogProb,
    ToolCall,
    Usage,
)
from llmreplay.exchange import Request, Response

httpx = pytest.importorskip("httpx")
cohere = pytest.importorskip("cohere")

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = codec.CODEC
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather?"}]
CITATION = {
    "start": 0,
    "end": 3,
    "text": "Let",
    "type": "TEXT_CONTENT",
    "sources": [{"type": "tool", "id": "t:0"}],
}
TURN = CompletionResponse(
    choice=[
        Reasoning(parts=[ReasoningPart(text="Look it up.")]),
        Text(text="Let me look."),
        Reasoning(parts=[ReasoningPart(text="I will ask twice.")], extra={"type": "tool_plan"}),
        ToolCall(id="call_1", name="get_weather", arguments={"city": "Paris"}),
        ToolCall(id="call_2", name="get_weather", arguments={"city": "Oslo"}),
    ],
    usage=Usage(input_tokens=12, output_tokens=7, cached_input_tokens=4),
    finish_reason=FinishReason.TOOL_CALLS,
    citations=[CITATION],
    logprobs=LogProbs(content=[TokenLogProb(token="Let", logprob=-0.5)]),
)


def client(answer: Callable[[Request], Response], seen: list[Request] | None = None) -> Any:
    def handle(request: httpx.Request) -> httpx.Response:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        if seen is not None:
            seen.append(ours)
        response = answer(ours)
        pieces = (chunk.data for chunk in response.chunks)
        return httpx.Response(response.status, headers=list(response.headers), content=pieces)

    return cohere.ClientV2(api_key="none", httpx_client=httpx.Client(transport=httpx.MockTransport(handle)))


def test_a_plain_answer_is_read() -> None:
    seen: list[Request] = []
    answer = client(lambda request: CODEC.encode_response(TURN, request), seen).chat(
        model="command", messages=ASKED
    )

    message = answer.message
    assert [getattr(part, "thinking", None) or part.text for part in message.content] == [
        "Look it up.",
        "Let me look.",
    ]
    assert message.tool_plan == "I will ask twice."
    assert [(call.id, json.loads(call.function.arguments)) for call in message.tool_calls] == [
        ("call_1", {"city": "Paris"}),
        ("call_2", {"city": "Oslo"}),
    ]
    assert message.citations[0].sources[0].id == "t:0"
    assert answer.finish_reason == "TOOL_CALL"
    assert (answer.usage.tokens.input_tokens, answer.usage.billed_units.output_tokens) == (12, 7)
    assert answer.usage.cached_tokens == 4
    assert answer.logprobs[0].text == "Let"
    assert len(answer.id) == 36
    assert codecs.decode_request(seen[0]).prompt == "How is the weather?"


def test_a_stream_is_read_event_by_event() -> None:
    events = list(
        client(lambda request: CODEC.encode_response(TURN, request)).chat_stream(
            model="command", messages=ASKED
        )
    )

    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == [
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    ]
    deltas = [event.delta.message.content for event in events if event.type == "content-delta"]
    assert "".join(delta.thinking or "" for delta in deltas) == "Look it up."
    assert "".join(delta.text or "" for delta in deltas) == "Let me look."
    plan = [event.delta.message.tool_plan for event in events if event.type == "tool-plan-delta"]
    assert "".join(plan) == "I will ask twice."
    for index, city in enumerate(("Paris", "Oslo")):
        written = [
            event.delta.message.tool_calls.function.arguments
            for event in events
            if event.type == "tool-call-delta" and event.index == index
        ]
        assert json.loads("".join(written)) == {"city": city}
    assert events[-1].delta.finish_reason == "TOOL_CALL"
    assert events[-1].delta.usage.tokens.output_tokens == 7


def test_a_request_with_tools_is_understood() -> None:
    seen: list[Request] = []
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    asked = [
        {"role": "system", "content": "Be brief."},
        *ASKED,
        {
            "role": "assistant",
            "tool_plan": "Look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": {"sky": "blue"}}}],
        },
    ]
    client(lambda request: CODEC.encode_response(TURN, request), seen).chat(
        model="command",
        messages=asked,
        tools=[tool],
        tool_choice="REQUIRED",
        max_tokens=9,
        p=0.5,
        k=3,
        response_format={"type": "json_object", "json_schema": {"type": "object"}},
    )

    found = codecs.decode_request(seen[0])
    assert (found.system, found.tool_names, found.max_tokens, found.top_p, found.top_k) == (
        "Be brief.",
        ["get_weather"],
        9,
        0.5,
        3,
    )
    assert found.messages[2].tool_calls[0].name == "get_weather"
    assert found.messages[3].tool_results[0].id == "c1"
    assert CODEC.encode_request(found).json == seen[0].json


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("invalid_request", "BadRequestError"),
        ("authentication", "UnauthorizedError"),
        ("permission_denied", "ForbiddenError"),
        ("not_found", "NotFoundError"),
        ("request_too_large", "BadRequestError"),
        ("conflict", "ApiError"),
        ("rate_limited", "TooManyRequestsError"),
        ("quota_exhausted", "ApiError"),
        ("server_error", "InternalServerError"),
        ("not_supported", "NotImplementedError"),
        ("overloaded", "ServiceUnavailableError"),
    ],
)
def test_an_error_is_the_exception_of_its_kind(
    kind: Any, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    failing = client(lambda request: CODEC.encode_error(kind, request, message="No."))

    for call in (failing.chat, failing.chat_stream):
        with pytest.raises(cohere.core.ApiError) as caught:
            list(call(model="command", messages=ASKED))
        assert type(caught.value).__name__ == error
        assert "No." in str(caught.value.body)
    if kind != "not_supported":  # which it retries too, though no retry mends it
        assert all(seconds == 0.001 for seconds in slept)


def test_an_error_in_a_stream_is_its_last_event() -> None:
    def fail(request: Request) -> Response:
        whole = CODEC.encode_response(TURN, request)
        error = CODEC.encode_stream_error("server_error", request, message="Gone.")
        return Response.of(200, [*(chunk.data for chunk in whole.chunks[:3]), error], whole.headers)

    *_, last = client(fail).chat_stream(model="command", messages=ASKED)

    assert (last.type, last.delta.finish_reason, last.delta.error) == ("message-end", "ERROR", "Gone.")

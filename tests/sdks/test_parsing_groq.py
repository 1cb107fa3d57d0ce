"""The SDK of Groq reads what the chat codec writes for its host, and raises what its errors are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay.codecs import openai_chat
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    Reasoning,
    ReasoningPart,
    Text,
    ToolCall,
    Usage,
)
from llmreplay.exchange import Request, Response

httpx = pytest.importorskip("httpx")
groq = pytest.importorskip("groq")

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = openai_chat.CODEC
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather?"}]
USAGE = Usage(input_tokens=12, output_tokens=7, reasoning_tokens=3)
TURN = CompletionResponse(
    choice=[
        Reasoning(parts=[ReasoningPart(text="Look it up.")]),
        Text(text="Let me look."),
        ToolCall(id="call_1", name="get_weather", arguments={"city": "Paris"}),
        ToolCall(id="call_2", name="get_weather", arguments={"city": "Oslo"}),
    ],
    usage=USAGE,
    finish_reason=FinishReason.TOOL_CALLS,
)


def client(answer: Callable[[Request], Response], **options: Any) -> Any:
    def handle(request: httpx.Request) -> httpx.Response:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        response = answer(ours)
        return httpx.Response(response.status, headers=list(response.headers), content=response.body)

    served = httpx.Client(transport=httpx.MockTransport(handle))
    return groq.Groq(api_key="none", http_client=served, **{"max_retries": 0, **options})


def test_a_plain_answer_is_read() -> None:
    answer = client(lambda request: CODEC.encode_response(TURN, request)).chat.completions.create(
        model="m-1", messages=ASKED
    )

    message = answer.choices[0].message
    assert (message.content, message.reasoning) == ("Let me look.", "Look it up.")
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [
        {"city": "Paris"},
        {"city": "Oslo"},
    ]
    assert answer.usage.total_tokens == 19
    assert answer.x_groq.id.startswith("req_")
    assert answer.service_tier == "on_demand"


def test_a_stream_has_each_tool_call_whole_and_tells_usage_at_its_end() -> None:
    chunks = list(
        client(lambda request: CODEC.encode_response(TURN, request)).chat.completions.create(
            model="m-1", messages=ASKED, stream=True
        )
    )

    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Let me look."
    assert "".join(delta.reasoning or "" for delta in deltas) == "Look it up."
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert [(call.index, call.id, json.loads(call.function.arguments)) for call in calls] == [
        (0, "call_1", {"city": "Paris"}),
        (1, "call_2", {"city": "Oslo"}),
    ]
    assert chunks[0].x_groq.id == chunks[-1].x_groq.id
    assert chunks[-1].x_groq.usage.total_tokens == 19


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("invalid_request", "BadRequestError"),
        ("authentication", "AuthenticationError"),
        ("permission_denied", "PermissionDeniedError"),
        ("not_found", "NotFoundError"),
        ("request_too_large", "APIStatusError"),
        ("conflict", "ConflictError"),
        ("rate_limited", "RateLimitError"),
        ("quota_exhausted", "RateLimitError"),
        ("server_error", "InternalServerError"),
        ("overloaded", "InternalServerError"),
        ("content_filter", "BadRequestError"),
    ],
)
def test_an_error_is_the_exception_of_its_kind(kind: Any, error: str) -> None:
    with pytest.raises(groq.APIStatusError) as caught:
        client(lambda request: CODEC.encode_error(kind, request, message="No.")).chat.completions.create(
            model="m-1", messages=ASKED
        )

    assert type(caught.value).__name__ == error
    assert caught.value.body["error"]["message"] == "No."


def test_an_error_in_a_stream_is_raised_when_it_comes() -> None:
    def fail(request: Request) -> Response:
        whole = CODEC.encode_response(TURN, request)
        error = CODEC.encode_stream_error("server_error", request, message="Gone.")
        return Response.of(200, [*(chunk.data for chunk in whole.chunks[:3]), error], whole.headers)

    with pytest.raises(groq.APIError, match=r"Gone\."):
        list(client(fail).chat.completions.create(model="m-1", messages=ASKED, stream=True))


def test_a_retried_request_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)

    with pytest.raises(groq.InternalServerError):
        client(
            lambda request: CODEC.encode_error("overloaded", request), max_retries=2
        ).chat.completions.create(model="m-1", messages=ASKED)

    assert slept == [0.001, 0.001]

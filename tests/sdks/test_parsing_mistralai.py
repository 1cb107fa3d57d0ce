"""Mistral's SDK reads what its codec writes, and raises what its errors are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import mistral as codec
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

httpx2 = pytest.importorskip("httpx2")
mistralai = pytest.importorskip("mistralai.client")

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = codec.CODEC
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather?"}]
TURN = CompletionResponse(
    choice=[
        Reasoning(parts=[ReasoningPart(text="Look it up.")]),
        Text(text="Let me look."),
        ToolCall(name="get_weather", arguments={"city": "Paris"}),
        ToolCall(name="get_weather", arguments={"city": "Oslo"}),
    ],
    usage=Usage(input_tokens=12, output_tokens=7),
    finish_reason=FinishReason.TOOL_CALLS,
)


def client(answer: Callable[[Request], Response], seen: list[Request] | None = None, **options: Any) -> Any:
    def handle(request: httpx2.Request) -> httpx2.Response:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        if seen is not None:
            seen.append(ours)
        response = answer(ours)
        pieces = (chunk.data for chunk in response.chunks)
        return httpx2.Response(response.status, headers=list(response.headers), content=pieces)

    served = httpx2.Client(transport=httpx2.MockTransport(handle))
    return mistralai.Mistral(api_key="none", client=served, **options)


def contents(message: Any) -> tuple[str, str]:
    thinking = "".join(piece.text for part in message if part.type == "thinking" for piece in part.thinking)
    return thinking, "".join(part.text for part in message if part.type == "text")


def test_a_plain_answer_is_read() -> None:
    seen: list[Request] = []
    answer = client(lambda request: CODEC.encode_response(TURN, request), seen).chat.complete(
        model="m", messages=ASKED
    )

    message = answer.choices[0].message
    assert contents(message.content) == ("Look it up.", "Let me look.")
    cities = [json.loads(call.function.arguments) for call in message.tool_calls]
    assert cities == [{"city": "Paris"}, {"city": "Oslo"}]
    assert all(re.fullmatch(r"[a-zA-Z0-9]{9}", call.id) for call in message.tool_calls)
    assert [call.index for call in message.tool_calls] == [0, 1]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (12, 19)
    assert answer.object == "chat.completion"
    assert answer.created
    assert codecs.recognise(seen[0]) == "mistral"


def test_a_stream_is_read_chunk_by_chunk() -> None:
    events = client(lambda request: CODEC.encode_response(TURN, request)).chat.stream(
        model="m", messages=ASKED
    )
    chunks = [event.data for event in events]

    parts: list[Any] = []
    for chunk in chunks:
        said = chunk.choices[0].delta.content
        parts += said if isinstance(said, list) else []
    text = "".join(
        chunk.choices[0].delta.content for chunk in chunks if isinstance(chunk.choices[0].delta.content, str)
    )
    thinking, said = contents(parts)
    assert (thinking, said + text) == ("Look it up.", "Let me look.")
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].usage.total_tokens == 19


def test_a_length_is_what_it_says() -> None:
    turn = CompletionResponse(
        choice=[Text(text="It is")], finish_reason=FinishReason.LENGTH, raw_finish_reason="model_length"
    )
    answer = client(lambda request: CODEC.encode_response(turn, request)).chat.complete(
        model="m", messages=ASKED
    )

    assert answer.choices[0].finish_reason == "model_length"
    assert answer.choices[0].message.content == "It is"


def test_a_request_with_tools_is_understood() -> None:
    seen: list[Request] = []
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    call = {"id": "abcdefgh1", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    client(lambda request: CODEC.encode_response(TURN, request), seen).chat.complete(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            *ASKED,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "abcdefgh1", "name": "get_weather", "content": "sunny"},
        ],
        tools=[tool],
        tool_choice="any",
        random_seed=3,
        max_tokens=9,
    )

    found = codecs.decode_request(seen[0])
    assert (found.system, found.tool_names, found.seed, found.max_tokens) == (
        "Be brief.",
        ["get_weather"],
        3,
        9,
    )
    assert found.tool_choice is not None
    assert found.tool_choice.mode == "required"
    assert CODEC.check(seen[0]) is None
    assert CODEC.encode_request(found).json == seen[0].json


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("invalid_request", 400),
        ("authentication", 401),
        ("permission_denied", 403),
        ("not_found", 400),
        ("rate_limited", 429),
        ("server_error", 500),
        ("overloaded", 503),
    ],
)
def test_an_error_is_raised_with_its_status(kind: Any, status: int) -> None:
    failing = client(lambda request: CODEC.encode_error(kind, request, message="No."))

    for call in (failing.chat.complete, failing.chat.stream):
        with pytest.raises(mistralai.errors.SDKError) as caught:
            list(call(model="m", messages=ASKED))
        assert caught.value.status_code == status
        assert "No." in caught.value.body


def test_a_body_of_the_wrong_shape_is_an_error_of_its_own() -> None:
    failing = client(lambda request: CODEC.encode_error("invalid_request", request, status=422))

    with pytest.raises(mistralai.errors.HTTPValidationError) as caught:
        failing.chat.complete(model="m", messages=ASKED)
    assert caught.value.data.detail[0].msg == "Field required"


def test_an_error_in_a_stream_fails_the_reading_of_it() -> None:
    def fail(request: Request) -> Response:
        whole = CODEC.encode_response(TURN, request)
        error = CODEC.encode_stream_error("server_error", request, message="Gone.")
        return Response.of(200, [*(chunk.data for chunk in whole.chunks[:3]), error], whole.headers)

    with pytest.raises(mistralai.errors.ResponseValidationError):
        list(client(fail).chat.stream(model="m", messages=ASKED))


def test_a_conversation_it_would_not_take_is_refused_in_its_words() -> None:
    def answer(request: Request) -> Response:
        rejection = CODEC.check(request)
        assert rejection is not None
        return rejection.response

    call = {"id": "toolu_01", "function": {"name": "get_weather", "arguments": "{}"}}
    with pytest.raises(mistralai.errors.SDKError, match="Tool call id was toolu_01 but must be") as caught:
        client(answer).chat.complete(
            model="m",
            messages=[
                *ASKED,
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "toolu_01", "content": "sunny"},
            ],
        )
    assert json.loads(caught.value.body)["code"] == "3280"

"""The client of Hugging Face reads what the chat codec writes for its router, and raises its errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay.codecs import openai_chat
from llmreplay.completion import CompletionResponse, FinishReason, Text, ToolCall, Usage
from llmreplay.exchange import Request, Response

httpx2 = pytest.importorskip("httpx2")
huggingface_hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODEC = openai_chat.CODEC
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather?"}]
TEXT = CompletionResponse(
    choice=[Text(text="It is sunny in Paris.")],
    usage=Usage(input_tokens=12, output_tokens=7),
    finish_reason=FinishReason.STOP,
)
CALLS = CompletionResponse(
    choice=[
        ToolCall(id="call_1", name="get_weather", arguments={"city": "Paris"}),
        ToolCall(id="call_2", name="get_weather", arguments={"city": "Oslo"}),
    ],
    finish_reason=FinishReason.TOOL_CALLS,
)


class Server:
    """Answers with what it is told to."""

    answer: Callable[[Request], Response]

    def handle(self, request: Any) -> Any:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        response = self.answer(ours)
        return httpx2.Response(response.status, headers=list(response.headers), content=response.body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    huggingface_hub.set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(found.handle)))
    yield found
    huggingface_hub.close_session()
    huggingface_hub.set_client_factory(httpx2.Client)


def asking(**options: Any) -> Any:
    client = huggingface_hub.InferenceClient(base_url="https://router.huggingface.co/v1", api_key="hf_none")
    return client.chat.completions.create(model="m-1", messages=ASKED, **options)


def test_a_plain_text_is_read(server: Server) -> None:
    server.answer = lambda request: CODEC.encode_response(TEXT, request)

    answer = asking()

    assert answer.choices[0].message.content == "It is sunny in Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 19


def test_plain_tool_calls_are_read(server: Server) -> None:
    server.answer = lambda request: CODEC.encode_response(CALLS, request)

    calls = asking().choices[0].message.tool_calls

    assert [(call.id, call.function.name) for call in calls] == [
        ("call_1", "get_weather"),
        ("call_2", "get_weather"),
    ]
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]


def test_a_streamed_text_is_read(server: Server) -> None:
    server.answer = lambda request: CODEC.encode_response(TEXT, request)

    chunks = list(asking(stream=True))

    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == "It is sunny in Paris."
    assert chunks[-1].usage.total_tokens == 19


def test_streamed_tool_calls_are_read(server: Server) -> None:
    server.answer = lambda request: CODEC.encode_response(CALLS, request)

    deltas = [choice.delta for chunk in asking(stream=True) for choice in chunk.choices]

    pieces = [call for delta in deltas for call in delta.tool_calls or []]
    for index, city in enumerate(("Paris", "Oslo")):
        written = "".join(piece.function.arguments for piece in pieces if piece.index == index)
        assert json.loads(written) == {"city": city}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("authentication", "HfHubHTTPError"),
        ("permission_denied", "HfHubHTTPError"),
        ("not_found", "HfHubHTTPError"),
        ("rate_limited", "HfHubHTTPError"),
        ("quota_exhausted", "HfHubHTTPError"),
        ("server_error", "HfHubHTTPError"),
        ("overloaded", "HfHubHTTPError"),
        ("request_too_large", "HfHubHTTPError"),
        ("content_filter", "BadRequestError"),
    ],
)
def test_an_error_is_the_exception_of_its_status(server: Server, kind: Any, error: str) -> None:
    server.answer = lambda request: CODEC.encode_error(kind, request)

    with pytest.raises(errors.HfHubHTTPError) as caught:
        asking()

    assert type(caught.value).__name__ == error
    if kind != "rate_limited":  # of which the client says the same, whatever the server does
        assert caught.value.server_message


@pytest.mark.parametrize(
    ("kind", "error"), [("overloaded", "OverloadedError"), ("server_error", "GenerationError")]
)
def test_an_error_in_a_stream_is_raised_when_it_comes(server: Server, kind: Any, error: str) -> None:
    def fail(request: Request) -> Response:
        whole = CODEC.encode_response(TEXT, request)
        failing = CODEC.encode_stream_error(kind, request, message="Gone.")
        return Response.of(200, [*(chunk.data for chunk in whole.chunks[:3]), failing], whole.headers)

    server.answer = fail

    with pytest.raises(getattr(errors, error), match=r"Gone\."):
        list(asking(stream=True))

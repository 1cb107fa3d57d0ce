"""Ollama's SDK reads what its codec writes, and raises what its errors are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import ollama as codec
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    Image,
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
ollama = pytest.importorskip("ollama")

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = codec.CODEC
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather?"}]
SAID = [Reasoning(parts=[ReasoningPart(text="Look it up.")]), Text(text="<Let> me look \u2028 & see.")]
TURN = CompletionResponse(
    choice=[
        *SAID,
        ToolCall(name="get_weather", arguments={"city": "Paris"}),
        ToolCall(name="get_weather", arguments={"city": "Oslo"}),
    ],
    usage=Usage(input_tokens=12, output_tokens=7),
    finish_reason=FinishReason.TOOL_CALLS,
    logprobs=LogProbs(content=[TokenLogProb(token="<Let>", logprob=-0.5, bytes=[60])]),
)


def client(answer: Callable[[Request], Response], seen: list[Request] | None = None) -> Any:
    def handle(request: httpx.Request) -> httpx.Response:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        if seen is not None:
            seen.append(ours)
        response = answer(ours)
        pieces = (chunk.data for chunk in response.chunks)
        return httpx.Response(response.status, headers=list(response.headers), content=pieces)

    return ollama.Client(host="http://localhost:11434", transport=httpx.MockTransport(handle))


def test_a_plain_answer_is_read() -> None:
    seen: list[Request] = []
    answer = client(lambda request: CODEC.encode_response(TURN, request), seen).chat(
        model="m", messages=ASKED
    )

    assert (answer.message.role, answer.message.content) == ("assistant", "<Let> me look \u2028 & see.")
    assert answer.message.thinking == "Look it up."
    assert [call.function.arguments for call in answer.message.tool_calls] == [
        {"city": "Paris"},
        {"city": "Oslo"},
    ]
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (12, 7)
    assert answer.total_duration > answer.eval_duration > 0
    assert answer.model == "m"
    assert answer.created_at
    assert answer.logprobs[0].token == "<Let>"
    assert codecs.recognise(seen[0]) == "ollama"
    assert codecs.decode_request(seen[0]).prompt == "How is the weather?"


def test_a_stream_is_read_line_by_line() -> None:
    parts = list(
        client(lambda request: CODEC.encode_response(TURN, request)).chat(
            model="m", messages=ASKED, stream=True
        )
    )

    assert "".join(part.message.content for part in parts) == "<Let> me look \u2028 & see."
    assert "".join(part.message.thinking or "" for part in parts) == "Look it up."
    calls = [call.function.arguments for part in parts for call in part.message.tool_calls or []]
    assert calls == [{"city": "Paris"}, {"city": "Oslo"}]
    assert [part.done for part in parts[-2:]] == [False, True]
    assert parts[-1].eval_count == 7
    assert parts[0].eval_count is None


def test_a_prompt_is_answered_plain_and_streamed() -> None:
    seen: list[Request] = []
    turn = CompletionResponse(choice=SAID, usage=Usage(input_tokens=1, output_tokens=2))
    served = client(lambda request: CODEC.encode_response(turn, request), seen)

    plain = served.generate(
        model="m", prompt="Hi.", system="Be brief.", images=[b"png"], options={"temperature": 0.5}
    )
    parts = list(served.generate(model="m", prompt="Hi.", stream=True))

    assert (plain.response, plain.thinking, plain.done_reason) == (
        "<Let> me look \u2028 & see.",
        "Look it up.",
        "stop",
    )
    assert "".join(part.response for part in parts) == plain.response
    asked = codecs.decode_request(seen[0])
    assert (asked.prompt, asked.system, asked.temperature) == ("Hi.", "Be brief.", 0.5)
    assert isinstance(asked.messages[-1].content[1], Image)
    for request in seen:
        assert codecs.recognise(request) == "ollama_generate"
        again = CODEC.encode_request(codecs.decode_request(request))
        assert (again.url, again.json) == ("http://localhost:11434/api/generate", request.json)
    with pytest.raises(ValueError, match="no tool calls in an answer to a prompt"):
        CODEC.encode_response(TURN, seen[0])


def test_a_request_with_tools_is_understood() -> None:
    seen: list[Request] = []
    tool = {"type": "function", "function": {"name": "get_weather", "description": "It.", "parameters": {}}}
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    client(lambda request: CODEC.encode_response(TURN, request), seen).chat(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            *ASKED,
            {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
            {"role": "tool", "tool_name": "get_weather", "content": "sunny"},
        ],
        tools=[tool],
        think="high",
        format={"type": "object"},
        options={"num_predict": 9, "stop": ["x"], "num_ctx": 64},
    )

    found = codecs.decode_request(seen[0])
    assert (found.system, found.tool_names, found.max_tokens, found.stop) == (
        "Be brief.",
        ["get_weather"],
        9,
        ["x"],
    )
    assert (found.reasoning_effort, found.extra["options"]) == ("high", {"num_ctx": 64})
    assert found.response_format is not None
    assert found.response_format.json_schema == {"type": "object"}
    assert found.messages[2].tool_calls[0].arguments == {"city": "Paris"}
    assert found.messages[3].tool_results[0].name == "get_weather"
    assert CODEC.encode_request(found).json == seen[0].json


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("invalid_request", 400),
        ("authentication", 401),
        ("permission_denied", 403),
        ("not_found", 404),
        ("request_too_large", 400),
        ("rate_limited", 429),
        ("server_error", 500),
        ("overloaded", 503),
    ],
)
def test_an_error_is_raised_with_its_status(kind: Any, status: int) -> None:
    failing = client(lambda request: CODEC.encode_error(kind, request, message="No."))

    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as caught:
            list(failing.chat(model="m", messages=ASKED, stream=stream))
        assert (caught.value.status_code, caught.value.error) == (status, "No.")


def test_an_error_in_a_stream_is_raised_when_it_comes() -> None:
    def fail(request: Request) -> Response:
        whole = CODEC.encode_response(TURN, request)
        error = CODEC.encode_stream_error("server_error", request, message="Gone.")
        return Response.of(200, [*(chunk.data for chunk in whole.chunks[:3]), error], whole.headers)

    with pytest.raises(ollama.ResponseError, match=r"Gone\.") as caught:
        list(client(fail).chat(model="m", messages=ASKED, stream=True))
    assert caught.value.status_code == -1

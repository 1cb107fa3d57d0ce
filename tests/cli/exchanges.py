"""Exchanges that the tests of the command line put into cassettes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay import Chunk, Exchange, Failure, Request, Response
from llmreplay.exchange import Provenance
from tests import wires

if TYPE_CHECKING:
    from collections.abc import Iterable

OPENAI = "https://api.openai.com/v1/chat/completions"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream; charset=utf-8"),)
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
QUESTION = {"role": "user", "content": "What is the weather in Zürich?"}
CALL = {
    "id": "call_loopback_0",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'},
}


def asked(messages: Iterable[Any], url: str = OPENAI, **body: Any) -> Request:
    """A request of the chat wire, or of Anthropic's."""
    data = {"model": "gpt-loopback-1", "messages": list(messages), **body}
    return Request("POST", url, JSON, json.dumps(data, ensure_ascii=False).encode())


def answered(request: Request, body: Any, status: int = 200, **rest: Any) -> Exchange:
    """An exchange with a plain JSON answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return Exchange(request, Response(status, JSON, (Chunk(data),), delay=0.25, **rest))


def streamed(request: Request, events: Iterable[bytes], **rest: Any) -> Exchange:
    """An exchange with a streamed answer; each event is a chunk, 50 ms after the one before."""
    chunks = tuple(Chunk(event, 0.05) for event in events)
    return Exchange(request, Response(200, SSE, chunks, delay=0.4, **rest))


def two_turns() -> list[Exchange]:
    """A run of an agent: a call of a tool, streamed, and the answer."""
    first = asked([{"role": "system", "content": "Be brief."}, QUESTION], tools=[TOOL], stream=True)
    calls = [("get_weather", {"city": "Zürich"})]
    second = asked(
        [
            {"role": "system", "content": "Be brief."},
            QUESTION,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_loopback_0", "content": "4 °C\nsnow"},
        ],
        tools=[TOOL],
    )
    return [
        streamed(first, wires.openai_stream(calls=calls)),
        answered(second, wires.openai_chat("It is 4 °C.\nTake a coat.")),
    ]


def no_answer() -> Exchange:
    """An exchange that failed before there was a response."""
    return Exchange(asked([QUESTION]), failure=Failure("ConnectError", "refused", "connect", 0.1))


def imported(exchange: Exchange) -> Exchange:
    """The exchange as another recorder would have kept it: without boundaries."""
    return Exchange(exchange.request, exchange.response, None, Provenance("imported", boundaries=False))

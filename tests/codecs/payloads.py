"""Small payloads and exchanges for the tests of the codecs."""

from __future__ import annotations

import json
from typing import Any

from llmreplay.exchange import Chunk, Exchange, Failure, Request, Response

CHAT = "https://api.openai.com/v1/chat/completions"
MESSAGES = "https://api.anthropic.com/v1/messages"
STREAM = (("content-type", "text/event-stream"),)


def asked(url: str = CHAT, body: Any = None, method: str = "POST", headers: Any = ()) -> Request:
    """Return a request with a JSON body."""
    return Request(method, url, tuple(headers), b"" if body is None else json.dumps(body).encode())


def plain(body: Any, url: str = CHAT, status: int = 200, headers: Any = ()) -> Exchange:
    """Return an exchange whose response is JSON, or the bytes given."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(asked(url, {"model": "m", "messages": []}), Response.of(status, data, tuple(headers)))


def sse(*frames: Any, done: bool = True) -> bytes:
    """Return an event stream of JSON objects, named by their type if they have one."""
    lines = []
    for frame in frames:
        if isinstance(frame, dict) and isinstance(frame.get("type"), str):
            lines.append(f"event: {frame['type']}\n")
        lines.append(f"data: {frame if isinstance(frame, str) else json.dumps(frame)}\n\n")
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode("utf-8", "surrogatepass")


def streamed(
    body: bytes,
    url: str = CHAT,
    ended: Any = "complete",
    failure: Failure | None = None,
    size: int | None = None,
) -> Exchange:
    """Return an exchange whose response is a stream, in chunks of a size."""
    step = size or max(1, len(body))
    chunks = tuple(Chunk(body[at : at + step]) for at in range(0, len(body), step))
    request = asked(url, {"model": "m", "messages": [], "stream": True})
    return Exchange(request, Response(200, STREAM, chunks, ended, failure))


def chat(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [choice],
        **more,
    }


def delta(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a chunk of a chat completion; without a delta, one without choices."""
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m-1",
        "choices": choices,
        **more,
    }


def message(content: list[Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    """Return a message of Anthropic."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "content": content,
        "stop_reason": stop,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **more,
    }


def told(
    *blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str | None = "end_turn", last: bool = True
) -> list[Any]:
    """Return the events of a message: each block with its deltas."""
    start = message([], None, usage={"input_tokens": 10, "output_tokens": 1})
    events: list[Any] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": piece} for piece in deltas]
        events.append({"type": "content_block_stop", "index": index})
    if stop is not None:
        events.append(
            {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}}
        )
    return [*events, {"type": "message_stop"}] if last else events

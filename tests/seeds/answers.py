"""Exchanges of the chat wire, spelled by hand where a script does not say it, and replayed to a client."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import openai

from llmreplay import Cassette, Exchange, Request, Response, use_cassette

VLLM = "http://localhost:8000/v1"
XAI = "https://api.x.ai/v1"
OPENAI = "https://api.openai.com/v1"
HI: list[Any] = [{"role": "user", "content": "Hi."}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA}
TOOL: Any = {"type": "function", "function": FUNCTION}
HEAD = {"id": "chatcmpl-1", "created": 1750000000, "model": "m-1-2026"}


@cache
def client(base_url: str = VLLM, retries: int = 0) -> openai.OpenAI:
    """A client that is made once: it never opens a connection, and loads its certificates slowly."""
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=retries)


def ask(base_url: str = VLLM, **fields: Any) -> Any:
    """Ask through the SDK of OpenAI, whoever answers there."""
    return client(base_url).chat.completions.create(**{"model": "m-1", "messages": HI, **fields})


def plain(message: dict[str, Any] | None, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return the body of a plain answer; without a message, one without choices."""
    choice = {"index": 0, "message": {"role": "assistant", **(message or {})}, "finish_reason": finish}
    choices = [] if message is None else [choice]
    return {**HEAD, "object": "chat.completion", "choices": choices, **more}


def frame(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a chunk of a stream; without a delta, one without choices."""
    logprobs = {"logprobs": more.pop("logprobs")} if "logprobs" in more else {}
    choice = {"index": index, "delta": delta, "finish_reason": finish, **logprobs}
    choices = [] if delta is None else [choice]
    return {**HEAD, "object": "chat.completion.chunk", "choices": choices, **more}


def stream(*frames: Any, done: bool = True) -> bytes:
    """Return an event stream of these frames."""
    texts = [found if isinstance(found, str) else json.dumps(found) for found in frames]
    return "".join(f"data: {text}\n\n" for text in [*texts, *(["[DONE]"] if done else [])]).encode()


def exchange(body: Any, base_url: str = VLLM, status: int = 200, headers: Any = ()) -> Exchange:
    """Return what answers a request: JSON, or the bytes of a stream."""
    streamed = isinstance(body, bytes) and not body.lstrip().startswith(b"{")
    kind = "text/event-stream" if streamed else "application/json"
    asked = {"model": "m-1", "messages": HI, **({"stream": True} if streamed else {})}
    request = Request(
        "POST",
        f"{base_url}/chat/completions",
        (("content-type", "application/json"),),
        json.dumps(asked).encode(),
    )
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(request, Response.of(status, data, (("content-type", kind), *headers)))


def replayed(path: Any, *exchanges: Exchange) -> use_cassette:
    """Return a block in which requests are answered with these, in order, whatever they say."""
    Cassette(list(exchanges)).save(path)
    return use_cassette(path, ignore=["body"])

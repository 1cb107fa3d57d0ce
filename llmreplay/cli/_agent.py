"""The agent of the demo: a loop with one tool, written as any agent is, and two clients for it.

Rules:

* Nothing here knows llmreplay's sessions: the same code runs against a provider and a cassette.
* A client is asked for the deltas of one answer; the loop puts them together.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmreplay.cli._provider import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Ask = Callable[[list[dict[str, Any]]], Iterator[dict[str, Any]]]

__all__ = ["CLIENTS", "KEY", "get_weather", "run", "tell_nobody"]

KEY = "sk-demo-0123456789abcdefghijklmnopqrstuv"
"""A key that opens nothing: the embedded provider asks for none, and a recording must not hold it."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather of a city, now.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
_LONGEST = 5


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return {"Zürich": "4 °C with light snow", "København": "7 °C with rain"}.get(city, "11 °C with some sun")


def tell_nobody(_kind: str, _text: str) -> None:
    """Take what an agent tells, and keep it to oneself."""


def run(ask: Ask, instructions: str, question: str, tell: Callable[[str, str], None] = tell_nobody) -> str:
    """Ask until there is an answer, running the tools that are asked for; tell each token as it comes."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": instructions},
        {"role": "user", "content": question},
    ]
    for _ in range(_LONGEST):
        text = ""
        calls: dict[int, dict[str, str]] = {}
        for delta in ask(messages):
            if delta.get("content"):
                text += delta["content"]
                tell("text", delta["content"])
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(
                    piece["index"], {"id": piece.get("id") or "", "name": "", "arguments": ""}
                )
                for part in ("name", "arguments"):
                    more = piece["function"].get(part) or ""
                    call[part] += more
                    tell(part, more)
        if not calls:
            return text
        asked = {call.pop("id"): call for call in calls.values()}
        spelled = [{"id": name, "type": "function", "function": call} for name, call in asked.items()]
        messages.append({"role": "assistant", "content": text or None, "tool_calls": spelled})
        for name, call in asked.items():
            result = get_weather(**json.loads(call["arguments"]))
            tell("result", result)
            messages.append({"role": "tool", "tool_call_id": name, "content": result})
    raise RuntimeError(f"no answer after {_LONGEST} turns")


def _body(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": messages,
        "tools": TOOLS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@contextmanager
def _openai(url: str) -> Iterator[Ask]:
    """The official SDK, as it is."""
    from openai import DefaultHttpxClient, OpenAI  # noqa: PLC0415  optional, and slow to import

    # Without the environment: a proxy that is set there would be asked for 127.0.0.1 too.
    http_client = DefaultHttpxClient(trust_env=False)
    with OpenAI(base_url=url, api_key=KEY, max_retries=0, http_client=http_client) as client:

        def ask(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            with client.chat.completions.create(**_body(messages)) as stream:
                for chunk in stream:
                    for choice in chunk.choices:
                        yield choice.delta.model_dump()

        yield ask


@contextmanager
def _httpx(url: str) -> Iterator[Ask]:
    """No SDK: httpx, and a parser for server-sent events."""
    import httpx  # noqa: PLC0415  slow to import

    from llmreplay.framing.sse import SSEParser  # noqa: PLC0415

    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, trust_env=False) as client:

        def ask(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            with client.stream("POST", "chat/completions", json=_body(messages)) as response:
                response.raise_for_status()
                parser = SSEParser()
                for piece in response.iter_bytes():
                    for frame in parser.feed(piece):
                        if frame.data != "[DONE]":
                            for choice in json.loads(frame.data)["choices"]:
                                yield choice["delta"]

        yield ask


CLIENTS = {"openai": _openai, "httpx": _httpx}

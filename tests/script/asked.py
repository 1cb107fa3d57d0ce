"""Requests for scripts to answer, as OpenAI's chat API and Anthropic's have them."""

from __future__ import annotations

import json
from typing import Any

from llmreplay.exchange import Exchange, Request, Response

URL = "https://api.openai.com/v1/chat/completions"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def tool(name: str = "get_weather", parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters or WEATHER}}


def asking(*messages: Any, url: str = URL, **fields: Any) -> Request:
    """A request whose messages are given whole, or as what the user says."""
    spelled = [
        {"role": "user", "content": one} if isinstance(one, str) else one for one in messages or ["Hi"]
    ]
    body = {"model": "gpt-test", "messages": spelled, **fields}
    return Request("POST", url, (("content-type", "application/json"),), json.dumps(body).encode())


def called(call_id: str = "call_1", name: str = "get_weather", arguments: str = '{"city": "Paris"}') -> Any:
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(text: str, call_id: str = "call_1") -> Any:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def claude(*messages: Any, **fields: Any) -> Request:
    """A request to Anthropic."""
    return asking(*messages, url="https://api.anthropic.com/v1/messages", max_tokens=9, **fields)


def response(exchange: Exchange) -> Response:
    assert exchange.response is not None
    return exchange.response


def texts(exchange: Exchange, field: str = "content") -> list[str]:
    """The pieces that a streamed chat brings its text in, without the empty ones."""
    frames = [chunk.data.removeprefix(b"data: ") for chunk in response(exchange).chunks]
    choices = [json.loads(frame)["choices"] for frame in frames if frame.startswith(b"{")]
    return [piece for found in choices for choice in found if (piece := choice["delta"].get(field))]

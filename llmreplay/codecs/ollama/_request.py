"""Reading a request of Ollama's own wire: `/api/chat`, and `/api/generate` with one prompt.

https://github.com/ollama/ollama/blob/main/docs/api.md. A stream is what is answered unless the request
says otherwise. A request that was a prompt keeps the key `prompt` in `extra`, and is written as one again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._functions import read_tool
from llmreplay.codecs._json import boolean, integer, mapping, number, optional, take_each, text, without
from llmreplay.completion import (
    CompletionRequest,
    Image,
    Message,
    Reasoning,
    ReasoningPart,
    RequestError,
    ResponseFormat,
    Text,
    ToolCall,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Request

__all__ = ["OPTIONS", "TOP", "is_prompt", "read_request", "wants_stream"]

_ROLES: tuple[Any, ...] = ("system", "user", "assistant", "tool")


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return None  # stays as it is spelled
    return [text(item) for item in value] if isinstance(value, list) and value else None


OPTIONS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_k", "top_k", integer),
    ("num_predict", "max_tokens", integer),
    ("stop", "stop", _texts),
    ("seed", "seed", integer),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
)
TOP: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("model", "model", optional),
    ("logprobs", "logprobs", boolean),
    ("top_logprobs", "top_logprobs", integer),
)


def is_prompt(request: Request) -> bool:
    """Return whether a request has one prompt, rather than messages."""
    return request.path.rstrip("/").endswith("/generate")


def wants_stream(request: Request) -> bool:
    """Return whether a stream is to be answered; it is unless the request says otherwise."""
    return mapping(request.json).get("stream") is not False


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    _take(left, TOP, fields)
    if isinstance(body.get("options"), dict):
        options = dict(body["options"])
        _take(options, OPTIONS, fields)
        if options or not body["options"]:
            left["options"] = options
        else:
            del left["options"]
    if isinstance(body.get("think"), str):
        fields["reasoning_effort"] = text(left.pop("think"))
    form = _form(body.get("format"))
    if form is not None:
        fields["response_format"] = form
        del left["format"]
    if isinstance(body.get("stream"), bool):
        del left["stream"]
    messages = (
        _prompt(left) if is_prompt(request) else [_message(item) for item in take_each(left, "messages")]
    )
    tools = [read_tool(tool) for tool in take_each(left, "tools")]
    if body.get("tools") == []:
        left["tools"] = []
    return CompletionRequest(
        messages=messages, tools=tools, stream=wants_stream(request), extra=left, raw=body, **fields
    )


def _take(left: dict[str, Any], table: Any, fields: dict[str, Any]) -> None:
    for name, field, read in table:
        value = read(left.get(name))
        if value is not None:
            fields[field] = value
            del left[name]


def _prompt(left: dict[str, Any]) -> list[Message]:
    system = text(left.pop("system")) if left.get("system") and isinstance(left["system"], str) else ""
    contents = [Text(text=text(left["prompt"]))] if isinstance(left.get("prompt"), str) else []
    left["prompt"] = ""  # says that it was one
    asked = Message(role="user", content=[*contents, *_images(left)])
    return [Message.system(system), asked] if system else [asked]


def _images(left: dict[str, Any]) -> list[Image]:
    images = left.get("images")
    if not isinstance(images, list) or not images or not all(isinstance(item, str) for item in images):
        return []
    del left["images"]
    return [Image(data=text(item)) for item in images]


def _message(message: dict[str, Any]) -> Message:
    spelled = message.get("role")
    role: Any = spelled if spelled in _ROLES else "user"
    left = dict(message) if role != spelled else without(message, "role")
    said = message.get("content")
    contents: list[Any] = []
    if isinstance(message.get("thinking"), str) and role == "assistant":
        contents.append(Reasoning(parts=[ReasoningPart(text=text(left.pop("thinking")))]))
    if isinstance(said, str):
        contents += [Text(text=text(said))] if said else []
        del left["content"]
    elif "content" not in message:
        left["content"] = None  # is left out again
    contents += _images(left)
    if role == "assistant":
        contents += [_call(call) for call in take_each(left, "tool_calls")]
    if role == "tool":
        name = next((key for key in ("tool_name", "name") if isinstance(left.get(key), str)), None)
        tool = text(left.pop("tool_name")) if name == "tool_name" else text(left.get(name)) if name else None
        id_ = text(left.pop("tool_call_id")) if isinstance(left.get("tool_call_id"), str) else ""
        contents = [ToolResult(id=id_, name=tool, content=contents)]
    return Message(role=role, content=contents, extra=left)


def _call(call: dict[str, Any]) -> ToolCall:
    function = mapping(call.get("function"))
    given = function.get("arguments")
    inner = without(function, "name", "arguments", "index")
    return ToolCall(
        id=text(call.get("id")),
        name=text(function.get("name")),
        arguments={} if given is None else given,
        arguments_raw=json.dumps(given, ensure_ascii=False) if given else "",
        index=integer(function.get("index")),
        extra={**without(call, "id", "function"), **({"function": inner} if inner else {})},
    )


def _form(value: Any) -> ResponseFormat | None:
    if isinstance(value, dict):
        return ResponseFormat(type="json_schema", json_schema=value)
    return ResponseFormat(type="json_object") if value == "json" else None

"""A request of Ollama's own wire, read and written: `/api/chat`, and `/api/generate` with one prompt.

https://github.com/ollama/ollama/blob/main/docs/api.md. A stream is what is answered unless the request
says otherwise. A request that was a prompt keeps the key `prompt` in `extra`, and is written as one again.

What the wire has no word for is a `RequestError`, never dropped; see `llmreplay.codecs._unspoken`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._documents import with_documents
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._functions import read_tool, write_tools
from llmreplay.codecs._json import boolean, integer, mapping, number, optional, take_each, text, without
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, unspoken
from llmreplay.completion import (
    CompletionRequest,
    Image,
    Json,
    Message,
    Reasoning,
    ReasoningPart,
    Refusal,
    RequestError,
    ResponseFormat,
    Text,
    ToolCall,
    ToolResult,
)
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["is_prompt", "read_request", "wants_stream", "write_call", "write_request"]

_HOME = "http://localhost:11434"
_WIRE = "Ollama"
_UNSPOKEN = (
    "tool_choice",
    "parallel_tool_calls",
    "n",
    "logit_bias",
    "stream_options",
    "modalities",
    "audio",
    "search_parameters",
    "web_search_options",
    "deferred",
    "user",
    "metadata",
    "store",
    "service_tier",
)
_ROLES: tuple[Any, ...] = ("system", "user", "assistant", "tool")


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return None  # stays as it is spelled
    return [text(item) for item in value] if isinstance(value, list) and value else None


_OPTIONS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_k", "top_k", integer),
    ("num_predict", "max_tokens", integer),
    ("stop", "stop", _texts),
    ("seed", "seed", integer),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
)
_TOP: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
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


# ------------------------------------------------------------------------------------------ reading


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    _take(left, _TOP, fields)
    if isinstance(body.get("options"), dict):
        options = dict(body["options"])
        _take(options, _OPTIONS, fields)
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


# ------------------------------------------------------------------------------------------ writing


def write_request(request: CompletionRequest, base_url: str | None) -> Request:
    """Return the HTTP request; raise `RequestError` if the wire cannot say it."""
    refuse_unspoken(request, _UNSPOKEN, _WIRE)
    if by := [document.source for document in request.documents if document.source != "text"]:
        raise unspoken(f"documents by {by[0]}, only for texts", _WIRE)
    prompt = "prompt" in request.extra
    try:
        body = _body(request, prompt=prompt)
    except ValueError as problem:
        raise RequestError(str(problem)) from problem
    url = f"{(base_url or _HOME).rstrip('/')}/api/{'generate' if prompt else 'chat'}"
    return Request("POST", url, (("content-type", "application/json"),), compact(body))


def _body(request: CompletionRequest, *, prompt: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": request.model, **request.extra}
    for name, field, _ in _TOP[1:]:
        if getattr(request, field) is not None:
            body[name] = getattr(request, field)
    if prompt:
        body |= _write_prompt(request)
    else:
        written = [found for message in with_documents(request) for found in _write_message(message)]
        if written or "messages" not in body:
            body["messages"] = written
    if request.tools:
        body["tools"] = write_tools(request.tools)
    form = form_of(request, _WIRE)
    if form is not None and form.type != "text":
        body["format"] = _write_form(form)
    if request.reasoning_effort is not None:
        body["think"] = request.reasoning_effort
    options = _write_options(request, mapping(body.get("options")))
    if options:
        body["options"] = options
    if request.stream and "stream" not in mapping(request.raw or {"stream": True}):
        return body  # which did not have to ask for one
    return {**body, "stream": request.stream}


def _write_form(form: ResponseFormat) -> Any:
    if form.description is not None:
        raise unspoken("response_format.description", _WIRE)
    if form.json_schema is not None:
        return form.json_schema
    if form.type != "json_object":
        raise unspoken(f"response_format: {form.type!r} without a schema", _WIRE)
    return "json"


def _write_options(request: CompletionRequest, before: dict[str, Any]) -> dict[str, Any]:
    options = dict(before)
    limit = limit_of(request, _WIRE)
    for name, field, _ in _OPTIONS:
        value = limit if field == "max_tokens" else getattr(request, field)
        if value is not None and value != []:
            options[name] = value
    return options


def _write_prompt(request: CompletionRequest) -> dict[str, Any]:
    if request.documents:
        raise unspoken("documents beside a prompt", _WIRE)
    asked = [message for message in request.messages if message.role != "system"]
    if [message.role for message in asked] not in ([], ["user"]):
        raise unspoken("messages beside a prompt, only for the system and one of the user", _WIRE)
    contents = [item for message in request.messages for item in message.content]
    _refuse_others(contents, (Text, Image))
    images = [item for item in contents if isinstance(item, Image)]
    fields: dict[str, Any] = {"prompt": request.prompt}
    if request.system:
        fields["system"] = request.system
    if images:
        fields["images"] = [image.data for image in images]
    return fields


def _write_message(message: Message) -> list[dict[str, Any]]:
    """Return the messages that say one; each result of a tool is one of its own."""
    results = message.tool_results
    if results:
        others = [item for item in message.content if not isinstance(item, ToolResult)]
        rest = _write_message(Message(role="user", content=others)) if others else []
        return [*(_write_result(result, message) for result in results), *rest]
    _refuse_others(message.content, (Text, Refusal, Reasoning, Image, ToolCall))
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    written: dict[str, Any] = {"role": role}
    said = "".join(item.text for item in message.content if isinstance(item, (Text, Refusal)))
    if said or "content" not in message.extra:
        written["content"] = said
    thoughts = [item.text for item in message.content if isinstance(item, Reasoning) and item.parts]
    if thoughts:
        written["thinking"] = "\n".join(thoughts)
    images = [item for item in message.content if isinstance(item, Image)]
    if any(image.source != "base64" for image in images):
        raise ValueError("an image is sent as base64 on this wire")
    if images:
        written["images"] = [image.data for image in images]
    if message.tool_calls:
        written["tool_calls"] = [write_call(call, None) for call in message.tool_calls]
    left_out = ("content",) if message.extra.get("content", "") is None else ()
    return [{**written, **without(message.extra, *left_out)}]


def _refuse_others(contents: Sequence[Any], known: tuple[type, ...]) -> None:
    """Raise ValueError if a message holds what has no place in one."""
    for content in contents:
        if not isinstance(content, known):
            raise ValueError(f"a message of Ollama cannot hold this: {content!r}")  # noqa: TRY004  a value, as below


def _write_result(result: ToolResult, message: Message) -> dict[str, Any]:
    _refuse_others(result.content, (Text, Json))
    written: dict[str, Any] = {"role": "tool", "content": result.text}
    if result.name is not None and "name" not in message.extra:
        written["tool_name"] = result.name
    if result.id:
        written["tool_call_id"] = result.id
    return {**written, **message.extra}


def write_call(call: ToolCall, index: int | None) -> dict[str, Any]:
    """Return a tool call; its arguments are an object on this wire."""
    if not isinstance(call.arguments, dict):
        said = f"the arguments of a call are an object on this wire, not {call.arguments_raw!r}"
        raise ValueError(said)  # noqa: TRY004  it is the value of what a model said
    place = call.index if index is None else index
    function: dict[str, Any] = {} if place is None else {"index": place}
    function |= {"name": call.name, "arguments": call.arguments, **mapping(call.extra.get("function"))}
    written: dict[str, Any] = {"id": call.id} if call.id else {}
    return {**written, **without(call.extra, "function"), "function": function}

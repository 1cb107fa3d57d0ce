"""Writing a request of Ollama's own wire, from what `_request` reads of one.

A request that was a prompt has the key `prompt` in `extra`, and is written as one again. What the wire has
no word for is a `RequestError`, never dropped; see `llmreplay.codecs._unspoken`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._documents import with_documents
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._functions import write_tools
from llmreplay.codecs._json import mapping, without
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, unspoken
from llmreplay.codecs.ollama._request import OPTIONS, TOP
from llmreplay.completion import (
    CompletionRequest,
    Image,
    Json,
    Message,
    Reasoning,
    Refusal,
    RequestError,
    ResponseFormat,
    Text,
    ToolCall,
    ToolResult,
)
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["write_call", "write_request"]

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
    for name, field, _ in TOP[1:]:
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
    for name, field, _ in OPTIONS:
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
    fields: dict[str, Any] = {"prompt": request.prompt}
    if request.system:
        fields["system"] = request.system
    return {**fields, **_write_images(contents)}


def _write_message(message: Message) -> list[dict[str, Any]]:
    """Return the messages that say one; each result of a tool is one of its own."""
    results = message.tool_results
    if results:
        others: list[Any] = [item for item in message.content if not isinstance(item, ToolResult)]
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
    written |= _write_images(message.content)
    if message.tool_calls:
        written["tool_calls"] = [write_call(call, None) for call in message.tool_calls]
    left_out = ("content",) if message.extra.get("content", "") is None else ()
    return [{**written, **without(message.extra, *left_out)}]


def _refuse_others(contents: Sequence[Any], known: tuple[type, ...]) -> None:
    """Raise ValueError if a message holds what has no place in one."""
    for content in contents:
        if not isinstance(content, known):
            raise ValueError(f"a message of Ollama cannot hold this: {content!r}")  # noqa: TRY004  a value, as below


def _write_images(contents: Sequence[Any]) -> dict[str, list[str]]:
    images = [item for item in contents if isinstance(item, Image)]
    if any(image.source != "base64" for image in images):
        raise ValueError("an image is sent as base64 on this wire")
    return {"images": [image.data for image in images]} if images else {}


def _write_result(result: ToolResult, message: Message) -> dict[str, Any]:
    _refuse_others(result.content, (Text, Json, Image))
    written: dict[str, Any] = {"role": "tool", "content": result.text, **_write_images(result.content)}
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

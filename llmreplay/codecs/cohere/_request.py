"""Reading a request of Cohere's second chat API: every field has its place, or lies in `extra` as it came.

https://docs.cohere.com/reference/chat. What a model plans before it calls tools (`tool_plan`) is reasoning
here, that remembers in `extra` where it stood. Documents that are texts have a place beside the messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._functions import read_tool
from llmreplay.codecs._json import (
    boolean,
    integer,
    listed,
    mapping,
    number,
    optional,
    take_each,
    text,
    without,
)
from llmreplay.codecs.openai_chat._message import image
from llmreplay.completion import (
    CompletionRequest,
    Document,
    Message,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    RequestError,
    ResponseFormat,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Request

__all__ = ["FIELDS", "PLAN", "is_plan", "read_request"]

PLAN = {"type": "tool_plan"}
"""What reasoning remembers that was a plan."""

_ROLES: tuple[Any, ...] = ("system", "user", "assistant", "tool")
_CHOICES: dict[Any, Any] = {"REQUIRED": "required", "NONE": "none"}


def _texts(value: Any) -> list[str] | None:
    return [text(item) for item in value] if isinstance(value, list) and value else None


FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("model", "model", optional),
    ("temperature", "temperature", number),
    ("p", "top_p", number),
    ("k", "top_k", integer),
    ("max_tokens", "max_tokens", integer),
    ("stop_sequences", "stop", _texts),
    ("seed", "seed", integer),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
    ("logprobs", "logprobs", boolean),
)


def is_plan(content: Any) -> bool:
    """Return whether a content is what the model plans to do with tools."""
    return isinstance(content, Reasoning) and content.extra == PLAN


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    for name, field, read in FIELDS:
        value = read(body.get(name))
        if value is not None:
            fields[field] = value
            del left[name]
    if isinstance(body.get("tool_choice"), str) and body["tool_choice"] in _CHOICES:
        fields["tool_choice"] = ToolChoice(mode=_CHOICES[left.pop("tool_choice")])
    form = _form(body.get("response_format"))
    if form is not None:
        fields["response_format"] = form
        del left["response_format"]
    documents = _documents(body.get("documents"))
    if documents:
        del left["documents"]
    return CompletionRequest(
        messages=[_message(message) for message in take_each(left, "messages")],
        documents=documents,
        tools=[read_tool(tool) for tool in take_each(left, "tools")],
        stream=isinstance(body.get("stream"), bool) and left.pop("stream"),
        extra=left,
        raw=body,
        **fields,
    )


def _message(message: dict[str, Any]) -> Message:
    spelled = message.get("role")
    role: Any = spelled if spelled in _ROLES else "user"
    left = without(message, "content", *(("role",) if role == spelled else ()))
    contents = _contents(message.get("content"))
    if role == "tool":
        id_ = text(left.pop("tool_call_id", ""))
        return Message(role=role, content=[ToolResult(id=id_, content=contents)], extra=left)
    if role == "assistant":
        plan = text(left.get("tool_plan"))
        if plan:
            del left["tool_plan"]
            contents.append(Reasoning(parts=[ReasoningPart(text=plan)], extra=dict(PLAN)))
        contents += [_call(call) for call in take_each(left, "tool_calls")]
    return Message(role=role, content=contents, extra=left)


def _documents(given: Any) -> list[Document]:
    """Return the documents, if each is a text alone, and else none: they stay as they are spelled."""
    found = [_document(one) for one in listed(given)]
    return [one for one in found if one is not None] if all(found) else []


def _document(given: Any) -> Document | None:
    if isinstance(given, str):
        return Document(data=text(given), source="text")
    said = mapping(mapping(given).get("data"))
    if said.keys() != {"text"} or not isinstance(said["text"], str) or given.keys() - {"data", "id"}:
        return None
    name = optional(given.get("id"))
    if ("id" in given) != (name is not None):
        return None
    return Document(data=text(said["text"]), source="text", name=name, extra={} if name else {"data": {}})


def _contents(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [Text(text=text(content))]
    return [_part(mapping(part)) for part in listed(content) if part]


def _part(part: dict[str, Any]) -> Any:
    kind = text(part.get("type"))
    if kind == "text":
        return Text(text=text(part.get("text")), extra=without(part, "type", "text"))
    if kind == "thinking":
        thinking = [ReasoningPart(text=text(part.get("thinking")))]
        return Reasoning(parts=thinking, extra=without(part, "type", "thinking"))
    return image(part) if kind == "image_url" else ProviderContent(kind=kind, raw=part)


def _call(call: dict[str, Any]) -> ToolCall:
    function = mapping(call.get("function"))
    arguments, name = text(function.get("arguments")), text(function.get("name"))
    return ToolCall.written(
        name, arguments, id=text(call.get("id")), extra=without(call, "id", "type", "function")
    )


def _form(value: Any) -> ResponseFormat | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    left = without(value, "type")
    schema, kind = left.pop("json_schema", None), text(value["type"])
    if schema is None and isinstance(left.get("schema"), dict):  # its older name
        schema, left["schema"] = left["schema"], {}
    if schema is not None and kind == "json_object":
        kind = "json_schema"
    return ResponseFormat(type=kind, json_schema=schema, extra=left)

"""A request of Cohere's second chat API, read and written.

https://docs.cohere.com/reference/chat. What a model plans before it calls tools (`tool_plan`) is reasoning
here, that remembers in `extra` where it stood. Documents that are texts have a place beside the messages.

What the wire has no word for is a `RequestError`, never dropped; see `llmreplay.codecs._unspoken`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import compact
from llmreplay.codecs._functions import read_tool, write_tools
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
from llmreplay.codecs._spelling import respelled
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, unspoken
from llmreplay.codecs.openai_chat._message import image
from llmreplay.completion import (
    CompletionRequest,
    Document,
    Image,
    Json,
    Message,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    RequestError,
    ResponseFormat,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PLAN", "is_plan", "read_request", "write_call", "write_contents", "write_request"]

PLAN = {"type": "tool_plan"}
"""What reasoning remembers that was a plan."""

_HOME = "https://api.cohere.com"
_WIRE = "Cohere"
_UNSPOKEN = (
    "parallel_tool_calls",
    "n",
    "logit_bias",
    "top_logprobs",
    "reasoning_effort",
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
_CHOICES: dict[Any, Any] = {"REQUIRED": "required", "NONE": "none"}
_DEFAULTS = {"type": "function"}


def _texts(value: Any) -> list[str] | None:
    return [text(item) for item in value] if isinstance(value, list) and value else None


_FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
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


# ------------------------------------------------------------------------------------------ reading


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    for name, field, read in _FIELDS:
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


# ------------------------------------------------------------------------------------------ writing


def write_request(request: CompletionRequest, base_url: str | None) -> Request:
    """Return the HTTP request; raise `RequestError` if the wire cannot say it."""
    refuse_unspoken(request, _UNSPOKEN, _WIRE)
    try:
        body = respelled(_body(request), request.raw, _DEFAULTS)
    except ValueError as problem:
        raise RequestError(str(problem)) from problem
    base = (base_url or _HOME).rstrip("/").removesuffix("/v2")
    return Request("POST", f"{base}/v2/chat", (("content-type", "application/json"),), compact(body))


def _body(request: CompletionRequest) -> dict[str, Any]:
    body = dict(request.extra)
    for name, field, _ in _FIELDS:
        value = getattr(request, field)
        if value is not None and value != []:
            body[name] = value
    limit = limit_of(request, _WIRE)
    if limit is not None:
        body["max_tokens"] = limit
    if request.documents:
        body["documents"] = [_write_document(document) for document in request.documents]
    written = [found for message in request.messages for found in _write_message(message)]
    if written or "messages" not in body:
        body["messages"] = written
    if request.tools:
        body["tools"] = write_tools(request.tools)
    choice = _write_choice(request)
    if choice is not None:
        body["tool_choice"] = choice
    form = form_of(request, _WIRE)
    if form is not None:
        body["response_format"] = _write_form(form)
    return {**body, "stream": request.stream}


def _write_choice(request: CompletionRequest) -> str | None:
    choice = request.tool_choice
    if choice is None or (choice.mode == "auto" and not choice.names):  # what it does without being told
        return None
    if choice.names:
        raise unspoken(f"tool_choice of {', '.join(choice.names)}, only of all tools", _WIRE)
    return "NONE" if choice.mode == "none" else "REQUIRED"


def _write_form(form: ResponseFormat) -> dict[str, Any]:
    if form.description is not None:
        raise unspoken("response_format.description", _WIRE)
    if form.type != "json_schema":
        return {"type": form.type, **form.extra}
    if form.json_schema is None:
        raise unspoken("response_format without a schema", _WIRE)
    key = "schema" if "schema" in form.extra else "json_schema"
    return {"type": "json_object", **form.extra, key: form.json_schema}


def _write_message(message: Message) -> list[dict[str, Any]]:
    """Return the messages that say one; each result of a tool is one of its own."""
    results = message.tool_results
    if results:
        others = [item for item in message.content if not isinstance(item, ToolResult)]
        return [
            *(
                {
                    "role": "tool",
                    "tool_call_id": result.id,
                    "content": _spoken(result.content),
                    **message.extra,
                }
                for result in results
            ),
            *([{"role": "user", "content": _spoken(others)}] if others else []),
        ]
    written: dict[str, Any] = {
        "role": {"developer": "system", "function": "tool"}.get(message.role, message.role)
    }
    said = [item for item in message.content if not isinstance(item, ToolCall) and not is_plan(item)]
    if said or message.role != "assistant":
        written["content"] = _spoken(said)
    plan = "".join(item.text for item in message.content if isinstance(item, Reasoning) and is_plan(item))
    if plan:
        written["tool_plan"] = plan
    if message.tool_calls:
        written["tool_calls"] = [write_call(call) for call in message.tool_calls]
    return [{**written, **message.extra}]


def _write_document(document: Document) -> Any:
    if document.source != "text":
        raise unspoken(f"documents by {document.source}, only for texts", _WIRE)
    if document.name is None and not document.extra:
        return document.data
    named = {} if document.name is None else {"id": document.name}
    return {"data": {**mapping(document.extra.get("data")), "text": document.data}, **named}


def _spoken(contents: Sequence[Any]) -> Any:
    """Return contents: a string if there is nothing but one text."""
    if len(contents) == 1 and isinstance(contents[0], Text) and not contents[0].extra:
        return contents[0].text
    return write_contents(contents)


def write_contents(contents: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the contents of a message; raise ValueError if the wire has none for one."""
    return [part for content in contents for part in _write_part(content)]


def _write_part(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, (Text, Refusal)):
        extra = content.extra if isinstance(content, Text) else {}
        return [{"type": "text", "text": content.text, **extra}]
    if isinstance(content, Reasoning):
        return [
            {"type": "thinking", "thinking": part.text, **content.extra}
            for part in content.parts
            if part.kind in {"text", "summary"}
        ]
    if isinstance(content, Json):
        return [{"type": "document", "document": {"data": content.value}}]
    if isinstance(content, Image):
        url = content.data
        if content.source == "base64":
            url = f"data:{content.media_type or 'image/png'};base64,{content.data}"
        detail = {} if content.detail is None else {"detail": content.detail}
        return [{"type": "image_url", "image_url": {"url": url, **detail}, **content.extra}]
    if isinstance(content, ProviderContent) and isinstance(content.raw, dict):
        return [content.raw]
    raise ValueError(f"a message of Cohere cannot hold this: {content!r}")


def write_call(call: ToolCall) -> dict[str, Any]:
    """Return a tool call, with its arguments as the model wrote them."""
    arguments = call.arguments_raw or compact(call.arguments).decode("utf-8", "replace")
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function, **call.extra}

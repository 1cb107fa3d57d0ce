"""Writing a request of Cohere's second chat API, from what `_request` reads of one.

Documents that are texts have a place beside the messages; each result of a tool is a message of its own.
What the wire has no word for is a `RequestError`, never dropped; see `llmreplay.codecs._unspoken`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import compact
from llmreplay.codecs._functions import write_tools
from llmreplay.codecs._json import listed, mapping
from llmreplay.codecs._spelling import respelled
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, unspoken
from llmreplay.codecs.cohere._request import FIELDS, is_plan
from llmreplay.completion import (
    CompletionRequest,
    Document,
    Image,
    Json,
    Message,
    ProviderContent,
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

__all__ = ["write_call", "write_contents", "write_request"]

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
_DEFAULTS = {"type": "function"}


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
    for name, field, _ in FIELDS:
        value = getattr(request, field)
        if value is not None and value != []:
            body[name] = value
    limit = limit_of(request, _WIRE)
    if limit is not None:
        body["max_tokens"] = limit
    if request.documents:
        before = listed(request.extra.get("documents"))  # which are no texts
        body["documents"] = [*before, *(_write_document(document) for document in request.documents)]
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
    if choice.names and set(choice.names) != {getattr(tool, "name", None) for tool in request.tools}:
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

"""Writing a request of the Responses wire, from what `_request` reads of one.

Where the wire spells one thing in two ways (an input or a content as a text or as a list, the words
of the system as `instructions` or as an item, `stream` false or left out), a request that was read
keeps its own, which its `raw` tells.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._documents import as_text, with_documents
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._json import each, listed, mapping, without
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, unspoken
from llmreplay.codecs.openai_responses._items import write_call, write_reasoning
from llmreplay.codecs.openai_responses._request import FIELDS, LOGPROBS
from llmreplay.completion import (
    Audio,
    Document,
    Image,
    Json,
    Message,
    ProviderContent,
    ProviderTool,
    Reasoning,
    Refusal,
    RequestError,
    Text,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest, ResponseFormat, ToolChoice

__all__ = ["write_request"]

BASE_URL = "https://api.openai.com/v1"

_WIRE = "Responses"
_UNSPOKEN = (
    "n",
    "top_k",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "modalities",
    "audio",
    "search_parameters",
    "web_search_options",
    "deferred",
)


def write_request(request: CompletionRequest, base_url: str | None) -> Request:
    """Return the HTTP request of a completion; raise `RequestError` if the wire cannot say it."""
    refuse_unspoken(request, _UNSPOKEN, _WIRE)
    body = {key: value for key, name, _ in FIELDS if (value := getattr(request, name)) is not None}
    limit = limit_of(request, _WIRE)
    if limit is not None:
        body["max_output_tokens"] = limit
    body |= _conversation(request)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.stream or mapping(request.raw).get("stream") is False:
        body["stream"] = request.stream
    options = request.stream_options
    if options is not None and options.include_usage is False:  # it is always told
        raise unspoken("stream_options.include_usage: false", _WIRE)
    if options is not None and options.extra:
        body["stream_options"] = options.extra
    body |= request.extra
    body |= _merged(request)
    url = f"{(base_url or BASE_URL).rstrip('/')}/responses"
    headers = (("content-type", "application/json"), ("accept", "application/json"))
    return Request("POST", url, headers, compact(body))


def _conversation(request: CompletionRequest) -> dict[str, Any]:
    """Return the instructions and the input."""
    raw, messages = mapping(request.raw), list(with_documents(request))
    body: dict[str, Any] = {}
    if messages and _instructs(messages[0]) and ("instructions" in raw or not _opens_with_system(raw)):
        body["instructions"] = messages.pop(0).text
    if "input" in request.extra:  # which is none that could be read
        return body
    items = [item for message in messages for item in _items(message)]
    old = each(raw.get("input"))
    spelled = [*map(_as_read, items, old), *items[len(old) :]]
    alone = isinstance(raw.get("input"), str) and items == [{"role": "user", "content": raw["input"]}]
    return {**body, "input": raw["input"] if alone else spelled}


def _merged(request: CompletionRequest) -> dict[str, Any]:
    """Return the objects of which one field has a place of its own, and the rest lies in `extra`."""
    left = request.extra
    body: dict[str, Any] = {}
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort, **mapping(left.get("reasoning"))}
    form = form_of(request, _WIRE)
    if form is not None:
        body["text"] = {"format": _format(form), **mapping(left.get("text"))}
    if request.logprobs and LOGPROBS not in listed(left.get("include")):
        body["include"] = [*listed(left.get("include")), LOGPROBS]
    return body


def _instructs(message: Message) -> bool:
    plain = all(isinstance(content, Text) and not content.extra for content in message.content)
    return message.role == "system" and plain and not message.extra and message.name is None


def _opens_with_system(raw: dict[str, Any]) -> bool:
    return mapping(next(iter(listed(raw.get("input"))), None)).get("role") == "system"


def _as_read(item: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Return an item with its text as a list of one part, if that is how it was read."""
    for key in ("content", "output"):
        listed_as = each(raw.get(key))
        if len(listed_as) == 1 and listed_as[0] in [
            {"type": kind, "text": item.get(key)} for kind in ("input_text", "output_text")
        ]:
            return {**item, key: listed_as}
    return item


def _items(message: Message) -> list[dict[str, Any]]:
    """Return the items of a message: what is spoken together is one, and the first has its id."""
    items: list[dict[str, Any]] = []
    spoken: list[Any] = []
    owner = message
    for content in message.content:
        item = _item(content, message)
        if spoken and (item is not None or (isinstance(content, Text) and "id" in content.extra)):
            items.append(_spoken(owner, spoken))
            spoken, owner = [], message.model_copy(update={"id": None, "extra": {}})
        if item is None:
            spoken.append(content)
        else:
            items.append(item)
    if spoken or not items:
        items.append(_spoken(owner, spoken))
    return items


def _item(content: Any, message: Message) -> dict[str, Any] | None:
    """Return the item that a content is; None if it is a part of one."""
    if isinstance(content, ToolCall):
        return write_call(content)
    if isinstance(content, ToolResult):
        return _result(content)
    if isinstance(content, Reasoning):
        try:
            return write_reasoning(content)
        except ValueError as problem:
            raise RequestError(str(problem)) from problem
    if isinstance(content, ProviderContent) and message.role in {"assistant", "tool"}:
        return {"type": content.kind, **mapping(content.raw)}
    return None


def _spoken(message: Message, contents: list[Any]) -> dict[str, Any]:
    role: str = "user" if message.role in {"tool", "function"} else message.role
    if role != "assistant":
        return {"role": role, "content": _text_or_parts(contents), **message.extra}
    told = [content.extra for content in contents if isinstance(content, Text)]
    keys = ("id", "phase")  # of an answer, see `_items`
    own = {key: found[key] for found in told for key in keys if key in found}
    ids = {"id": message.id, **own} if message.id else own
    if not ids and told == [{}] and len(contents) == 1:
        return {"role": role, "content": contents[0].text, **message.extra}
    full = {"type": "message", "status": "completed"} if ids and not message.extra else {}
    parts = [_output_part(content, annotated=bool(ids)) for content in contents]
    return {**full, **ids, "role": role, "content": parts, **message.extra}


def _output_part(content: Any, *, annotated: bool) -> dict[str, Any]:
    if isinstance(content, Refusal):
        return {"type": "refusal", "refusal": content.text}
    if not isinstance(content, Text):
        raise RequestError(f"the Responses wire has no {content.type} of the model")
    annotations: dict[str, Any] = {"annotations": []} if annotated else {}
    own = without(content.extra, "id", "phase")
    return {"type": "output_text", "text": content.text, **annotations, **own}


def _text_or_parts(contents: list[Any]) -> str | list[dict[str, Any]]:
    if len(contents) == 1 and isinstance(contents[0], Text) and not contents[0].extra:
        return contents[0].text
    return [_part(content) for content in contents]


def _part(content: Any) -> dict[str, Any]:
    if isinstance(content, Json):
        return {"type": "input_text", "text": json.dumps(content.value, ensure_ascii=False)}
    if isinstance(content, ProviderContent):
        return {"type": content.kind, **mapping(content.raw)}
    if isinstance(content, Text):
        said = {"type": "input_text", "text": content.text}
    elif isinstance(content, Image):
        key = "file_id" if content.source == "file_id" else "image_url"
        said = {"type": "input_image", key: _url(content, "image/png")}
        if content.detail:
            said["detail"] = content.detail
    elif isinstance(content, Document):
        said = _document(content)
    elif isinstance(content, Audio) and content.source == "base64":
        form = {"format": content.media_type.removeprefix("audio/")} if content.media_type else {}
        return {"type": "input_audio", "input_audio": {"data": content.data, **form}, **content.extra}
    else:
        raise RequestError(f"the Responses wire has no {content.type} of the user")
    return {**said, **content.extra}


def _document(document: Document) -> dict[str, str]:
    if document.source == "text":
        return {"type": "input_text", "text": document.data if document.name is None else as_text(document)}
    key = {"file_id": "file_id", "url": "file_url"}.get(document.source, "file_data")
    said = {"type": "input_file", key: _url(document, None)}
    return {**said, "filename": document.name} if document.name else said


def _url(content: Image | Document, media_type: str | None) -> str:
    media_type = content.media_type or media_type
    if content.source != "base64" or media_type is None:
        return content.data
    return f"data:{media_type};base64,{content.data}"


def _result(result: ToolResult) -> dict[str, Any]:
    kind = "custom_tool_call_output" if result.extra.get("type") == "custom" else "function_call_output"
    output: Any = "" if not result.content else _text_or_parts(result.content)
    if all(isinstance(content, Json) for content in result.content):
        output = result.text
    return {"type": kind, "call_id": result.id, "output": output, **without(result.extra, "type")}


def _tool(tool: ToolDefinition | ProviderTool) -> dict[str, Any]:
    if isinstance(tool, ProviderTool):
        return {"type": tool.kind, **tool.config}
    fields = {"description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    given = {key: value for key, value in fields.items() if value is not None}
    return {"type": "function", "name": tool.name, **given, **tool.extra}


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.mode != "specific":
        return choice.mode
    if len(choice.names) == 1 and "mode" not in choice.extra:
        return {"type": "function", "name": choice.names[0], **choice.extra}
    tools = [{"type": "function", "name": name} for name in choice.names]
    return {"type": "allowed_tools", "mode": "required", "tools": tools, **choice.extra}


def _format(form: ResponseFormat) -> dict[str, Any]:
    fields = {
        "name": form.name,
        "schema": form.json_schema,
        "strict": form.strict,
        "description": form.description,
    }
    return {
        "type": form.type,
        **{key: value for key, value in fields.items() if value is not None},
        **form.extra,
    }

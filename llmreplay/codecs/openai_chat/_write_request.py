"""Writing a request of the chat wire: every field has its place, and `extra` goes back as it came.

What the vocabulary allows and the wire has no form for (a film without a URL, a tool result in a
message of the model) is a `RequestError`, never left out in silence; reasoning is left out where the
dialect shows none, since no such provider would read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._documents import as_text, with_documents
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._json import mapping, without
from llmreplay.codecs._spelling import respelled
from llmreplay.codecs._unspoken import form_of, unspoken
from llmreplay.codecs.openai_chat._dialects import DIALECTS, dialect_of
from llmreplay.codecs.openai_chat._message import write_call, write_image
from llmreplay.codecs.openai_chat._said import write_details
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
    ToolResult,
    Video,
)
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.codecs.openai_chat._dialects import Dialect
    from llmreplay.completion import (
        CompletionRequest,
        ResponseFormat,
        SearchParameters,
        StreamOptions,
        ToolChoice,
        ToolDefinition,
    )

__all__ = ["write_request"]

_API_VERSION = "2024-10-21"
"""Azure's last version of this wire that is no preview."""

_SAME = (
    "model",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "reasoning_effort",
    "modalities",
    "audio",
    "web_search_options",
    "deferred",
    "user",
    "metadata",
    "store",
    "service_tier",
)
"""Fields that have the same name and the same form on the wire."""

_WIRE = "chat"

_BESIDE = frozenset({"cache_control"})
"""What is said of a tool beside its function, rather than in it."""


def write_request(request: CompletionRequest, *, base_url: str | None = None) -> Request:
    """Return the HTTP request of a completion; raise `RequestError` if this wire cannot say it."""
    base = (base_url or DIALECTS["openai"].base_url).rstrip("/")
    dialect = dialect_of(Request("POST", f"{base}/chat/completions"))
    body = _body(request, dialect)
    if isinstance(request.raw, dict):
        body = respelled(body, request.raw, {"type": "function"})
    url = _url(base, dialect, request.model)
    return Request("POST", url, (("content-type", "application/json"),), compact(body))


def _url(base: str, dialect: Dialect, model: str | None) -> str:
    if dialect.name != "azure" or base.endswith("/v1"):
        return f"{base}/chat/completions"
    place = base if "/deployments/" in base else f"{base.removesuffix('/openai')}/openai/deployments/{model}"
    return f"{place}/chat/completions?api-version={_API_VERSION}"


def _body(request: CompletionRequest, dialect: Dialect) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(request, name) for name in _SAME}
    form = form_of(request, _WIRE)
    fields |= {
        "messages": [one for message in with_documents(request) for one in _messages(message, dialect)],
        "tools": [_tool(tool, dialect) for tool in request.tools] or None,
        "stop": request.stop or None,
        "stream": request.stream or None,
        "tool_choice": request.tool_choice and _tool_choice(request.tool_choice, dialect),
        "response_format": form and _response_format(form),
        "stream_options": request.stream_options and _options(request.stream_options),
        "search_parameters": request.search_parameters and _options(request.search_parameters),
    }
    return {**{name: value for name, value in fields.items() if value is not None}, **request.extra}


def _messages(message: Message, dialect: Dialect) -> list[dict[str, Any]]:
    """Return the messages that say this one: each tool result is a message of its own here."""
    named = {} if message.name is None else {"name": message.name}
    if message.role == "assistant":
        return [{"role": "assistant", **_assistant(message, dialect), **named, **message.extra}]
    results = [content for content in message.content if isinstance(content, ToolResult)]
    others = [content for content in message.content if not isinstance(content, ToolResult)]
    role = "function" if message.role == "function" else "tool"
    found = [{**_result(result, role), **message.extra} for result in results]
    if others or not results:
        written = {"role": message.role, "content": _content(others), **named, **message.extra}
        found.append(written)
    return found


def _result(result: ToolResult, role: str) -> dict[str, Any]:
    named = {} if result.name is None else {"name": result.name}
    content: Any = [
        Text(text=result.model_copy(update={"content": [piece]}).text) if isinstance(piece, Json) else piece
        for piece in result.content
    ]
    # xAI takes a result without the id of its call.
    id_ = {} if role == "function" or not result.id else {"tool_call_id": result.id}
    return {"role": role, "content": _content(content), **id_, **named, **result.extra}


def _content(contents: Sequence[Any]) -> Any:
    """Return a text alone as a string, and anything else as a list of parts."""
    if not contents:
        return ""
    first = contents[0]
    if len(contents) == 1 and isinstance(first, Text) and not first.extra:
        return first.text
    return [_part(content) for content in contents]


def _part(content: Any) -> dict[str, Any]:
    if isinstance(content, Text):
        return {"type": "text", "text": content.text, **content.extra}
    if isinstance(content, Image):
        return write_image(content)
    if isinstance(content, Audio):
        form = (content.media_type or "audio/wav").removeprefix("audio/")
        sound = {"data": content.data, "format": form}
        return {"type": "input_audio", "input_audio": sound, **content.extra}
    if isinstance(content, Video) and content.source == "url":
        return {"type": "video_url", "video_url": {"url": content.data}, **content.extra}
    if isinstance(content, Document):
        return _document(content)
    if isinstance(content, ProviderContent) and isinstance(content.raw, dict):
        return content.raw
    raise RequestError(
        f"a message of the chat wire cannot hold this: {content.type} ({type(content).__name__})"
    )


def _document(document: Document) -> dict[str, Any]:
    if document.source == "text":
        said = document.data if document.name is None else as_text(document)
        return {"type": "text", "text": said, **document.extra}
    if document.source == "url":
        raise unspoken("documents by url", _WIRE)
    named = {} if document.name is None else {"filename": document.name}
    if document.source == "file_id":
        return {"type": "file", "file": {"file_id": document.data, **named}, **document.extra}
    data = f"data:{document.media_type or 'application/pdf'};base64,{document.data}"
    return {"type": "file", "file": {"file_data": data, **named}, **document.extra}


def _assistant(message: Message, dialect: Dialect) -> dict[str, Any]:
    found: dict[str, Any] = {}
    parts: list[Any] = []
    for content in message.content:
        if isinstance(content, Reasoning):
            thought, part = _thought(content, dialect)
            found |= thought
            parts += part
        elif isinstance(content, Refusal):
            found["refusal"] = content.text
        elif isinstance(content, ToolCall):
            index = {} if content.index is None else {"index": content.index}
            found.setdefault("tool_calls", []).append({**write_call(content, content.id), **index})
        elif isinstance(content, Audio):
            found["audio"] = {"id": content.id}
        elif isinstance(content, Image):
            found.setdefault("images", []).append(write_image(content))
        else:
            parts.append(content)
    if parts:
        plain = all(isinstance(part, (Text, ProviderContent)) for part in parts)
        found["content"] = (
            _content(parts) if plain else [part if isinstance(part, dict) else _part(part) for part in parts]
        )
    return found


def _thought(content: Reasoning, dialect: Dialect) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what goes beside the content of a message, and what into it."""
    if dialect.contents:
        texts = [{"type": "text", "text": part.text} for part in content.parts if part.kind == "text"]
        return {}, [{"type": "thinking", "thinking": texts}]
    found: dict[str, Any] = dict.fromkeys(dialect.reasoning[:1], content.text) if content.text else {}
    if dialect.details:
        found["reasoning_details"] = write_details(content.parts)
    return found, []


def _tool(tool: ToolDefinition | ProviderTool, dialect: Dialect) -> dict[str, Any]:
    if isinstance(tool, ProviderTool):
        return {"type": tool.kind, **tool.config}
    function: dict[str, Any] = {"name": tool.name}
    for name in ("description", "parameters", "strict"):
        value = getattr(tool, name)
        if value is not None:
            function[name] = value
    function |= {key: value for key, value in tool.extra.items() if key not in _BESIDE}
    beside = {key: value for key, value in tool.extra.items() if key in _BESIDE}
    return {**({} if dialect.bare_tools else {"type": "function"}), "function": function, **beside}


def _tool_choice(choice: ToolChoice, dialect: Dialect) -> Any:
    if choice.mode != "specific":
        return dialect.required if choice.mode == "required" else choice.mode
    chosen = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if len(chosen) != 1 or "mode" in choice.extra:
        mode = choice.extra.get("mode", "required")
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": chosen}}
    return {"function": chosen[0]["function"]} if dialect.bare_choice else chosen[0]


def _response_format(form: ResponseFormat) -> dict[str, Any]:
    schema = {
        "name": form.name,
        "description": form.description,
        "schema": form.json_schema,
        "strict": form.strict,
    }
    told = {key: value for key, value in schema.items() if value is not None}
    return {"type": form.type, **({"json_schema": told} if told else {}), **form.extra}


def _options(options: StreamOptions | SearchParameters) -> dict[str, Any]:
    told = {key: value for key, value in options.model_dump(exclude={"extra"}).items() if value is not None}
    return {**told, **without(mapping(options.extra), *told)}

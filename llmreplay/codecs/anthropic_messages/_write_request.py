"""Writing a request of the messages wire, for Anthropic itself, Vertex or Bedrock.

Rules:

* The system prompt stands beside the messages; results of tools that follow each other are one
  message of the user, since all calls of a turn have to be answered in the next one.
* What the wire has no word for is a `RequestError`, never dropped; see `llmreplay.codecs._unspoken`.
* A request that was read is written as it was read, where two spellings mean the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmreplay.codecs._documents import with_documents
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._json import mapping, without
from llmreplay.codecs._spelling import respelled
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, schema_of, unspoken
from llmreplay.codecs.anthropic_messages._request import MODES
from llmreplay.codecs.anthropic_messages._write import thinking
from llmreplay.completion import (
    Document,
    Image,
    Json,
    ProviderContent,
    ProviderTool,
    Reasoning,
    Refusal,
    RequestError,
    Text,
    ToolCall,
    ToolResult,
)
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest, Message, ToolChoice, ToolDefinition

__all__ = ["MAX_TOKENS", "write_body", "write_url"]

MAX_TOKENS = 4096
"""What is asked for where the request does not say: the wire cannot do without."""

_BASE_URL = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_VERTEX_VERSION = "vertex-2023-10-16"
_DEFAULTS = {"type": "custom"}

_WIRE = "messages"
_UNSPOKEN = (
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "modalities",
    "audio",
    "search_parameters",
    "web_search_options",
    "deferred",
    "store",
    "stream_options",
)

_WORDS = {mode: word for word, mode in MODES.items()}


def write_url(request: CompletionRequest, body: dict[str, Any], base_url: str | None) -> Request:
    """Return the HTTP request of a body; a base URL below a project of Vertex is Vertex."""
    base = (base_url or _BASE_URL).rstrip("/")
    headers = (("content-type", "application/json"),)
    if "/projects/" not in base:
        base = base.removesuffix("/v1")
        return Request(
            "POST", f"{base}/v1/messages", (*headers, ("anthropic-version", _VERSION)), compact(body)
        )
    action = "streamRawPredict" if request.stream else "rawPredict"
    model = quote(request.model or "", safe="@")
    sent = {"anthropic_version": _VERTEX_VERSION, **body}
    sent.pop("model", None)
    return Request("POST", f"{base}/publishers/anthropic/models/{model}:{action}", headers, compact(sent))


def write_body(request: CompletionRequest) -> dict[str, Any]:
    """Return the body of a request; raise `RequestError` if the wire has no word for it."""
    refuse_unspoken(request, _UNSPOKEN, _WIRE)
    messages = with_documents(request, texts=False)
    leading = _leading(messages)
    limit = limit_of(request, _WIRE)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": MAX_TOKENS if limit is None else limit,
        "messages": _messages(messages[leading:]),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop_sequences": request.stop or None,
        "stream": request.stream or None,
        "service_tier": request.service_tier,
        "metadata": _metadata(request),
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _choice(request),
        **_configured(request),
    }
    system = [block for message in messages[:leading] for block in _contents(message)]
    if system:
        body["system"] = _alone(system)
    written = {key: value for key, value in body.items() if value is not None}
    return {**respelled(written, request.raw, _DEFAULTS), **without(request.extra, "output_config")}


def _leading(messages: list[Message]) -> int:
    for place, message in enumerate(messages):
        if message.role not in {"system", "developer"}:
            return place
    return len(messages)


def _messages(messages: list[Message]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    answering = False  # the message before holds results of tools, and takes more
    for message in messages:
        content = _contents(message)
        results = message.role in {"tool", "function"}
        if results and answering:
            written[-1]["content"] += content
            continue
        answering = results
        role = {"developer": "system", "tool": "user", "function": "user"}.get(message.role, message.role)
        written.append({"role": role, "content": _alone(content), **message.extra})
    return written


def _metadata(request: CompletionRequest) -> Any:
    """Return what is told of the user, whom the wire names among the metadata."""
    if request.user is None:
        return request.metadata
    if request.metadata is not None and not isinstance(request.metadata, dict):
        raise unspoken("user beside metadata that is no object", _WIRE)
    return {**mapping(request.metadata), "user_id": request.user}


def _alone(blocks: list[Any]) -> Any:
    """Return a single plain text as a string, all else as it is."""
    plain = len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and blocks[0]["type"] == "text"
    return blocks[0]["text"] if plain else blocks


def _contents(message: Message) -> list[dict[str, Any]]:
    return [block for content in message.content for block in _blocks(content)]


def _blocks(content: Any) -> list[dict[str, Any]]:  # noqa: PLR0911  one for each kind of content
    if isinstance(content, Text):
        return [{"type": "text", "text": content.text, **content.extra}]
    if isinstance(content, Refusal):
        return [{"type": "text", "text": content.text}]
    if isinstance(content, (Image, Document)):
        return [_medium(content.type, content)]
    if isinstance(content, ToolCall):
        if content.arguments_error is not None:
            raise RequestError(
                f"the messages wire cannot say arguments that are no JSON: {content.arguments_raw!r}"
            )
        block = {"type": "tool_use", "id": content.id, "name": content.name, "input": content.arguments}
        return [{**block, **content.extra}]
    if isinstance(content, ToolResult):
        return [_result(content)]
    if isinstance(content, Reasoning):
        return [thinking(part) for part in content.parts]
    if isinstance(content, Json):
        said = json.dumps(content.value, ensure_ascii=False, separators=(",", ":"))
        return [{"type": "text", "text": said}]
    if isinstance(content, ProviderContent):
        return [mapping(content.raw)]
    raise RequestError(f"the messages wire has no word for {content.type!r}")


def _result(result: ToolResult) -> dict[str, Any]:
    content = [block for inner in result.content for block in _blocks(inner)]
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": result.id}
    if content:
        block["content"] = _alone(content)
    if result.is_error:
        block["is_error"] = True
    return {**block, **result.extra}


def _medium(kind: str, medium: Image | Document) -> dict[str, Any]:
    source: dict[str, Any]
    if medium.source == "url":
        source = {"type": "url", "url": medium.data}
    elif medium.source == "file_id":
        source = {"type": "file", "file_id": medium.data}
    else:
        media_type = medium.media_type or ("text/plain" if medium.source == "text" else None)
        source = {"type": medium.source, "media_type": media_type, "data": medium.data}
        if media_type is None:
            del source["media_type"]
    title = {"title": medium.name} if isinstance(medium, Document) and medium.name else {}
    return {"type": kind, "source": source, **title, **medium.extra}


def _tool(tool: ToolDefinition | ProviderTool) -> dict[str, Any]:
    if isinstance(tool, ProviderTool):
        return {"type": tool.kind, **tool.config}
    written = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters,
        "strict": tool.strict,
    }
    return {**{key: value for key, value in written.items() if value is not None}, **tool.extra}


def _choice(request: CompletionRequest) -> dict[str, Any] | None:
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None:
        return None if parallel is not False else {"type": "auto", "disable_parallel_tool_use": True}
    written = {"type": _WORDS[choice.mode], **_named(choice)}
    if parallel is not None:
        written["disable_parallel_tool_use"] = not parallel
    return {**written, **choice.extra}


def _named(choice: ToolChoice) -> dict[str, Any]:
    if len(choice.names) > 1:
        raise unspoken(f"tool_choice of {len(choice.names)} names, only of one", _WIRE)
    return {"name": choice.names[0]} if choice.names else {}


def _configured(request: CompletionRequest) -> dict[str, Any]:
    """Return the form of the answer and the effort, in the place where they are said today."""
    config: dict[str, Any] = {}
    written: dict[str, Any] = {}
    form, schema = form_of(request, _WIRE), schema_of(request, _WIRE)
    if form is not None and schema is not None:
        if form.description is not None:
            raise unspoken("response_format.description", _WIRE)
        config["format"] = {"type": form.type, "schema": schema, **form.extra}
    if "output_format" in mapping(request.raw) and "format" in config:  # where the beta had it
        written["output_format"] = config.pop("format")
    if request.reasoning_effort is not None:
        config["effort"] = request.reasoning_effort
    config |= mapping(request.extra.get("output_config"))
    return {**written, **({"output_config": config} if config else {})}

"""Writing a request of the Gemini wire: what was read goes back as it was spelled.

What the wire has no word for is a `RequestError`, never dropped; see `llmreplay.codecs._unspoken`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmreplay.codecs._documents import with_documents
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._json import mapping
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, unspoken
from llmreplay.codecs.gemini._parts import write_part
from llmreplay.codecs.gemini._request import DECLARATIONS, GENERATION, JSON_TYPE, PARAMETERS, SCHEMAS, STREAM
from llmreplay.codecs.gemini._spelling import put, spelled
from llmreplay.completion import ProviderTool, RequestError
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest, Message

__all__ = ["write_request"]

_HOME = "https://generativelanguage.googleapis.com/v1beta"
_WIRE = "Gemini"
_UNSPOKEN = (
    "parallel_tool_calls",
    "logit_bias",
    "stream_options",
    "audio",
    "search_parameters",
    "web_search_options",
    "deferred",
    "user",
    "store",
)


def write_request(request: CompletionRequest, base_url: str | None) -> Request:
    """Return the HTTP request; raise `RequestError` if the wire cannot say it."""
    refuse_unspoken(request, _UNSPOKEN, _WIRE)
    if request.metadata is not None and not isinstance(request.metadata, dict):
        raise unspoken("metadata that is no object", _WIRE)
    try:
        body = _body(request)
    except ValueError as problem:
        raise RequestError(str(problem)) from problem
    action = f"{STREAM}?alt=sse" if request.stream else "generateContent"
    model = quote((request.model or "").removeprefix("models/"), safe="")
    url = f"{(base_url or _HOME).rstrip('/')}/models/{model}:{action}"
    return Request("POST", url, (("content-type", "application/json"),), compact(body))


def _body(request: CompletionRequest) -> dict[str, Any]:
    body = dict(request.extra)
    contents: list[dict[str, Any]] = []
    system: list[Message] = []
    before: Message | None = None
    for message in with_documents(request):
        if message.role in {"system", "developer"}:
            system.append(message)
            continue
        content = _content(message)
        if before is not None and before.role == message.role == "tool":
            contents[-1]["parts"] += content["parts"]  # all results of a turn are one content
        else:
            contents.append(content)
        before = message
    if contents or "contents" not in body:  # which could not be read
        put(body, "contents", contents)
    if system:
        parts = [part for message in system for part in _parts(message)]
        put(body, "systemInstruction", _with_role("user", parts, system[0]))
    put(body, "tools", _write_tools(request) or None)
    _write_object(body, "toolConfig", _write_choice(request, mapping(body.get(spelled(body, "toolConfig")))))
    config = mapping(body.get(spelled(body, "generationConfig")))
    _write_object(body, "generationConfig", _write_generation(request, config))
    put(body, "serviceTier", request.service_tier)
    put(body, "labels", request.metadata)
    return body


def _content(message: Message) -> dict[str, Any]:
    role = {"assistant": "model", "function": "function"}.get(message.role, "user")
    return _with_role(role, _parts(message), message)


def _parts(message: Message) -> list[dict[str, Any]]:
    return [part for content in message.content for part in write_part(content)]


def _with_role(role: str, parts: list[dict[str, Any]], message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": role, "parts": parts, **message.extra}
    if written["role"] is None:  # it was not given
        del written["role"]
    return written


def _write_object(body: dict[str, Any], camel: str, inner: dict[str, Any]) -> None:
    if inner or spelled(body, camel) in body:
        put(body, camel, inner)


def _write_generation(request: CompletionRequest, before: dict[str, Any]) -> dict[str, Any]:
    config = dict(before)
    for camel, field, _ in GENERATION:
        value = limit_of(request, _WIRE) if field == "max_tokens" else getattr(request, field)
        if value != []:
            put(config, camel, value)
    form = form_of(request, _WIRE)
    if form is not None:
        if form.description is not None:
            raise unspoken("response_format.description", _WIRE)
        if form.type == "json_schema" and form.json_schema is None:
            raise unspoken("response_format without a schema", _WIRE)
        media_type = {"json_schema": JSON_TYPE, "json_object": JSON_TYPE, "text": "text/plain"}.get(
            form.type, form.type
        )
        put(config, "responseMimeType", media_type)
        put(config, next(iter(form.extra), SCHEMAS[0]), form.json_schema)
    if request.reasoning_effort is not None:
        thinking = dict(mapping(config.get(spelled(config, "thinkingConfig"))))
        put(thinking, "thinkingLevel", request.reasoning_effort)
        put(config, "thinkingConfig", thinking)
    return config


def _write_choice(request: CompletionRequest, before: dict[str, Any]) -> dict[str, Any]:
    config = dict(before)
    choice = request.tool_choice
    if choice is not None:
        inner = dict(mapping(config.get(spelled(config, "functionCallingConfig"))))
        inner["mode"] = {"auto": "AUTO", "none": "NONE"}.get(choice.mode, "ANY")
        put(inner, "allowedFunctionNames", choice.names or None)
        put(config, "functionCallingConfig", inner)
    return config


def _write_tools(request: CompletionRequest) -> list[dict[str, Any]]:
    """Return the entries of `tools`: one for all functions, unless they remember lists of their own."""
    entries: list[dict[str, Any]] = []
    for tool in request.tools:
        if isinstance(tool, ProviderTool):
            entries.append({tool.kind: tool.config.get("", tool.config)})
            continue
        if tool.strict:
            raise unspoken(f"tools: strict, of {tool.name!r}", _WIRE)
        extra = dict(tool.extra)
        own = next((key for key in DECLARATIONS if key in extra), None)
        if own is not None:
            del extra[own]
        function = {"name": tool.name, **extra}
        put(function, "description", tool.description)
        if tool.parameters is not None:
            key = next((key for key in PARAMETERS if key in extra), "parametersJsonSchema")
            function[key] = tool.parameters
        last = next((key for key in DECLARATIONS if entries and key in entries[-1]), None)
        if own is not None or last is None:
            entries.append({own or DECLARATIONS[0]: [function]})
        else:
            entries[-1][last].append(function)
    return entries

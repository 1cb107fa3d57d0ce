"""Writing a request of the converse wire.

Rules:

* Turns alternate: results of tools, and what the user says with them, are one message.
* What the wire has no word for is a `RequestError`, never dropped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _aws
from llmreplay.codecs._encoding import compact
from llmreplay.codecs._json import mapping
from llmreplay.codecs._spelling import respelled
from llmreplay.codecs._unspoken import form_of, limit_of, refuse_unspoken, schema_of, unspoken
from llmreplay.codecs.bedrock_converse._blocks import write_block, write_reasoning
from llmreplay.codecs.bedrock_converse._request import MODES
from llmreplay.completion import ProviderTool, Reasoning, RequestError
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest, Message, ToolDefinition

__all__ = ["write_request"]

_WIRE = "converse"
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
    "parallel_tool_calls",
)

_DEFAULTS = {"status": "success"}
_WORDS = {mode: word for word, mode in MODES.items()}


def write_request(request: CompletionRequest, base_url: str | None) -> Request:
    """Return the HTTP request; raise `RequestError` if the wire has no word for it."""
    if request.model is None:
        raise RequestError("Bedrock names the model in the path, and the request has none")
    refuse_unspoken(request, _UNSPOKEN, _WIRE)
    action = "converse-stream" if request.stream else "converse"
    url = _aws.url_of(base_url, request.model, action)
    return Request("POST", url, _aws.request_headers(stream=request.stream), compact(_body(request)))


def _body(request: CompletionRequest) -> dict[str, Any]:
    leading = 0
    while leading < len(request.messages) and request.messages[leading].role in {"system", "developer"}:
        leading += 1
    extra = request.extra
    written: dict[str, Any] = {
        "messages": _messages(request, request.messages[leading:]),
        "system": [block for message in request.messages[:leading] for block in _contents(message)],
        "inferenceConfig": _given(
            maxTokens=limit_of(request, _WIRE),
            temperature=request.temperature,
            topP=request.top_p,
            stopSequences=request.stop or None,
        ),
        "additionalModelRequestFields": _given(top_k=request.top_k),
        "toolConfig": _tools(request),
        "outputConfig": _given(textFormat=_format(request), effort=request.reasoning_effort),
        "serviceTier": _given(type=request.service_tier),
        "requestMetadata": _metadata(request),
    }
    merged = {
        key: {**value, **extra[key]}
        if isinstance(value, dict) and isinstance(extra.get(key), dict)
        else value
        for key, value in written.items()
    }
    kept = {key: value for key, value in merged.items() if value}
    others = {key: value for key, value in extra.items() if key not in kept}
    return {**mapping(respelled(kept, request.raw, _DEFAULTS)), **others}


def _metadata(request: CompletionRequest) -> dict[str, Any]:
    """Return what is told of the request, and of the user among it."""
    if request.metadata is not None and not isinstance(request.metadata, dict):
        raise unspoken("metadata that is no object", _WIRE)
    return {**mapping(request.metadata), **_given(user=request.user)}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _messages(request: CompletionRequest, messages: list[Message]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    answering = False  # the message before holds results of tools: the user says no more but there
    for message in messages:
        role = message.role if message.role in {"assistant", "system"} else "user"
        content = _contents(message)
        results = message.role in {"tool", "function"}
        if answering and role == "user" and not message.extra:
            written[-1]["content"] += content
        else:
            written.append({"role": role, "content": content, **message.extra})
        answering = role == "user" and (results or answering)
    if request.documents:
        given = [write_block(document) for document in request.documents]
        place = next((place for place, found in enumerate(written) if found["role"] == "user"), None)
        if place is None:
            written.insert(0, {"role": "user", "content": given})
        else:
            written[place]["content"] = [*given, *written[place]["content"]]
    return written


def _contents(message: Message) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for content in message.content:
        if isinstance(content, Reasoning):
            blocks += [write_reasoning(part, None) for part in content.parts]
        else:
            blocks.append(write_block(content))
    return blocks


def _tools(request: CompletionRequest) -> dict[str, Any]:
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        if not request.tools:
            return {}
        raise unspoken("tool_choice: 'none'", _WIRE)
    if choice is not None and len(choice.names) > 1:
        raise unspoken(f"tool_choice of {len(choice.names)} names, only of one", _WIRE)
    written = _given(tools=[_tool(tool) for tool in request.tools] or None)
    if choice is not None:
        named = {"name": choice.names[0]} if choice.names else {}
        written["toolChoice"] = {_WORDS[choice.mode]: {**named, **choice.extra}}
    return written


def _tool(tool: ToolDefinition | ProviderTool) -> dict[str, Any]:
    if isinstance(tool, ProviderTool):
        return {tool.kind: tool.config}
    schema = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    spec = _given(
        name=tool.name, description=tool.description, inputSchema={"json": schema}, strict=tool.strict
    )
    return {"toolSpec": {**spec, **tool.extra}}


def _format(request: CompletionRequest) -> dict[str, Any] | None:
    form, schema = form_of(request, _WIRE), schema_of(request, _WIRE)
    if form is None or schema is None:
        return None
    name = None if request.response_format is None else form.name
    spelled = json.dumps(schema, ensure_ascii=False)
    inner = _given(schema=spelled, name=name, description=form.description)
    return {"type": "json_schema", "structure": {"jsonSchema": inner}}

"""Reading a request of the Gemini wire: every field has its place, or lies in `extra`.

The model and whether to stream are in the path, and the rest in the body:
https://ai.google.dev/api/generate-content. The tables serve both directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from llmreplay.codecs._json import (
    boolean,
    each,
    integer,
    mapping,
    number,
    optional,
    take_each,
    text,
    without,
)
from llmreplay.codecs.gemini._parts import read_part
from llmreplay.codecs.gemini._spelling import spelled, take
from llmreplay.completion import (
    CompletionRequest,
    Message,
    ProviderTool,
    RequestError,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Request

__all__ = [
    "DECLARATIONS",
    "GENERATION",
    "JSON_TYPE",
    "PARAMETERS",
    "SCHEMAS",
    "STREAM",
    "model_of",
    "read_request",
]

STREAM = "streamGenerateContent"
"""The action of a request that wants a stream."""

_ROLES: dict[Any, Any] = {"user": "user", "model": "assistant", "function": "function"}
_MODES: dict[Any, Any] = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
SCHEMAS = ("responseJsonSchema", "responseSchema")
JSON_TYPE = "application/json"
DECLARATIONS = ("functionDeclarations", "function_declarations")
PARAMETERS = ("parameters", "parameters_json_schema")


def _texts(value: Any) -> list[str] | None:
    return [text(item) for item in value] if isinstance(value, list) and value else None


GENERATION: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("temperature", "temperature", number),
    ("topP", "top_p", number),
    ("topK", "top_k", integer),
    ("maxOutputTokens", "max_tokens", integer),
    ("candidateCount", "n", integer),
    ("stopSequences", "stop", _texts),
    ("seed", "seed", integer),
    ("presencePenalty", "presence_penalty", number),
    ("frequencyPenalty", "frequency_penalty", number),
    ("responseLogprobs", "logprobs", boolean),
    ("logprobs", "top_logprobs", integer),
    ("responseModalities", "modalities", _texts),
)


def model_of(request: Request) -> str | None:
    """Return the model that the path names."""
    name = request.path.rpartition("/models/")[2].rpartition(":")[0]
    return unquote(name) or None


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    _read_object(left, "generationConfig", _read_generation, fields)
    _read_object(left, "toolConfig", _read_choice, fields)
    if tier := take(left, "serviceTier", optional):
        fields["service_tier"] = tier
    if isinstance(body.get("labels"), dict):  # Vertex
        fields["metadata"] = left.pop("labels")
    key = spelled(body, "systemInstruction")
    system = []
    if isinstance(body.get(key), dict) and "systemInstruction" in left:
        system = [_message(left.pop(key), role="system")]
    return CompletionRequest(
        model=model_of(request),
        messages=system + [_message(content) for content in take_each(left, "contents")],
        tools=_tools(take_each(left, "tools")),
        stream=request.path.endswith(f":{STREAM}"),
        extra=left,
        raw=body,
        **fields,
    )


def _message(content: dict[str, Any], role: Any = None) -> Message:
    spoken = content.get("role")
    extra = without(content, "role")
    if spoken not in (["user"] if role else [*_ROLES]):  # a list, since what came need not be hashable
        extra["role"] = spoken
    parts = [read_part(part) for part in take_each(extra, "parts")]
    spelled_role = _ROLES.get(spoken if isinstance(spoken, str) else "", "user")
    return Message(role=role or spelled_role, content=parts, extra=extra)


def _read_object(
    left: dict[str, Any],
    camel: str,
    read: Callable[[dict[str, Any], dict[str, Any]], None],
    fields: dict[str, Any],
) -> None:
    """Read an object of the body; what it says beyond the vocabulary stays, and so does an empty one."""
    key = spelled(left, camel)
    if not isinstance(left.get(key), dict):
        return
    inner = dict(left[key])
    read(inner, fields)
    if inner or key != camel or not left[key]:
        left[key] = inner
    else:
        del left[key]


def _read_generation(config: dict[str, Any], fields: dict[str, Any]) -> None:
    for camel, field, read in GENERATION:
        value = take(config, camel, read)
        if value is not None:
            fields[field] = value
    form = _read_form(config)
    if form is not None:
        fields["response_format"] = form
    thinking = config.get(key := spelled(config, "thinkingConfig"))
    if isinstance(thinking, dict):
        inner = dict(thinking)
        level = take(inner, "thinkingLevel", optional)
        if level is not None:
            fields["reasoning_effort"] = level
            config[key] = inner
            if not inner and key == "thinkingConfig":
                del config[key]


def _read_form(config: dict[str, Any]) -> ResponseFormat | None:
    """Take the form of the answer: a media type, and a schema by one of two names."""
    media_type = take(config, "responseMimeType", optional)
    if media_type is None:
        return None
    for name in SCHEMAS:
        key = spelled(config, name)
        if isinstance(config.get(key), dict) and media_type == JSON_TYPE:
            schema = config[key]
            if key == name:
                del config[key]
            extra: dict[str, Any] = {} if name == SCHEMAS[0] else {name: {}}
            return ResponseFormat(type="json_schema", json_schema=schema, extra=extra)
    return ResponseFormat(type={JSON_TYPE: "json_object", "text/plain": "text"}.get(media_type, media_type))


def _read_choice(config: dict[str, Any], fields: dict[str, Any]) -> None:
    key = spelled(config, "functionCallingConfig")
    inner = dict(mapping(config.get(key)))
    mode = optional(inner.get("mode"))
    if mode not in _MODES:
        return
    del inner["mode"]
    names = take(inner, "allowedFunctionNames", _texts)
    chosen: Any = "specific" if names and mode == "ANY" else _MODES[mode]
    fields["tool_choice"] = ToolChoice(mode=chosen, names=names or [])
    config[key] = inner
    if not inner and key == "functionCallingConfig":
        del config[key]


def _tools(entries: list[dict[str, Any]]) -> list[ToolDefinition | ProviderTool]:
    """Return the tools of all entries; the first function of a further list remembers that it is one."""
    found: list[ToolDefinition | ProviderTool] = []
    for key, value in [item for entry in entries for item in entry.items()]:
        if key not in DECLARATIONS or not isinstance(value, list):
            config = value if isinstance(value, dict) else {"": value}
            found.append(ProviderTool(kind=text(key), config=config))
            continue
        declared = [_tool(function) for function in each(value)]
        before = any(isinstance(tool, ToolDefinition) for tool in found)
        if declared and (before or key != DECLARATIONS[0]):
            extra = {key: [], **declared[0].extra}
            declared[0] = declared[0].model_copy(update={"extra": extra})
        found += declared
    return found


def _tool(function: dict[str, Any]) -> ToolDefinition:
    left = without(function, "name")
    description = optional(function.get("description"))
    if description is not None:
        del left["description"]  # an empty one stays
    parameters = left.pop("parametersJsonSchema", None)
    for name in PARAMETERS:
        if parameters is None and isinstance(function.get(name), dict):
            parameters, left[name] = function[name], {}
    return ToolDefinition(
        name=text(function.get("name")),
        description=description,
        parameters=parameters,
        extra=left,
    )

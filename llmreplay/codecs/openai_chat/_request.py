"""Reading a request of the chat wire: every field has its place, or lies in `extra` as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._json import (
    boolean,
    each,
    integer,
    listed,
    mapping,
    number,
    optional,
    take_each,
    text,
    without,
)
from llmreplay.codecs.openai_chat._deferred import promised
from llmreplay.codecs.openai_chat._message import READ, image, take
from llmreplay.completion import (
    Audio,
    CompletionRequest,
    Document,
    Image,
    Message,
    ProviderContent,
    ProviderTool,
    RequestError,
    ResponseFormat,
    SearchParameters,
    StreamOptions,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Request

__all__ = ["read_request"]

_NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_COUNTS = ("top_k", "max_tokens", "max_completion_tokens", "n", "seed", "top_logprobs")
_FLAGS = ("parallel_tool_calls", "logprobs", "deferred", "store")
_WORDS = ("model", "reasoning_effort", "user", "service_tier")
_OBJECTS = ("audio", "web_search_options", "metadata")
_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object.

    One that fetches an answer that was put off has no body, and no message: `extra` has the `request_id`.
    """
    name = promised(request)
    if name is not None:
        return CompletionRequest(messages=[], extra={"request_id": name})
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    for names, read in (
        (_NUMBERS, number),
        (_COUNTS, integer),
        (_FLAGS, boolean),
        (_WORDS, optional),
        (_OBJECTS, lambda value: value),
        (("tool_choice",), _tool_choice),
        (("response_format",), _response_format),
        (("stream_options",), _stream_options),
        (("search_parameters",), _search),
        (("logit_bias",), _bias),
        (("modalities",), _texts),
        (("stop",), _stop),
    ):
        for name in names:
            value = read(body.get(name))
            if value is not None:
                fields[name] = value
                del left[name]
    deployment = request.path.partition("/deployments/")[2].partition("/")[0]  # Azure names the model there
    fields.setdefault("model", deployment or None)
    return CompletionRequest(
        messages=[_message(message) for message in take_each(left, "messages")],
        tools=[_tool(tool) for tool in take_each(left, "tools")],
        stream=isinstance(body.get("stream"), bool) and left.pop("stream"),
        extra=left,
        raw=body,
        **fields,
    )


def _message(message: dict[str, Any]) -> Message:
    spelled = text(message.get("role"))
    role: Any = spelled if spelled in _ROLES else "user"
    name = optional(message.get("name"))
    if role == "assistant":
        assembly = Assembly()
        take(message, assembly, 0)
        extra = without(message, *READ, "name")
        contents = _as_numbered(assembly.contents(0), each(message.get("tool_calls")))
        return Message(role=role, content=contents, name=name, extra=extra)
    content = _contents(message.get("content"))
    if role in {"tool", "function"}:
        result = ToolResult(id=text(message.get("tool_call_id")), content=content, name=name)
        return Message(
            role=role, content=[result], extra=without(message, "role", "content", "tool_call_id", "name")
        )
    known = ("role", "content", "name") if role == spelled else ("content", "name")
    return Message(role=role, content=content, name=name, extra=without(message, *known))


def _as_numbered(contents: list[Any], calls: list[dict[str, Any]]) -> list[Any]:
    """Return the contents, with the numbers of the tool calls that the request itself gives, if any."""
    numbers = iter([integer(call.get("index")) for call in calls])
    return [
        content.model_copy(update={"index": next(numbers, None)})
        if isinstance(content, ToolCall)
        else content
        for content in contents
    ]


def _contents(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [Text(text=text(content))]
    return [
        Text(text=text(part)) if isinstance(part, str) else _part(mapping(part))
        for part in listed(content)
        if part
    ]


def _part(part: dict[str, Any]) -> Any:
    kind = text(part.get("type"))
    read = _PARTS.get(kind)
    if read is None:
        return ProviderContent(kind=kind, raw=part)
    return read(mapping(part.get(kind)), part, without(part, "type", kind))


def _text(_inner: dict[str, Any], part: dict[str, Any], extra: dict[str, Any]) -> Text:
    return Text(text=text(part.get("text")), extra=extra)


def _image(_inner: dict[str, Any], part: dict[str, Any], _extra: dict[str, Any]) -> Image:
    return image(part)


def _audio(inner: dict[str, Any], _part: dict[str, Any], extra: dict[str, Any]) -> Audio:
    form = optional(inner.get("format"))
    return Audio(data=text(inner.get("data")), media_type=form and f"audio/{form}", extra=extra)


def _video(inner: dict[str, Any], _part: dict[str, Any], extra: dict[str, Any]) -> Video:
    return Video(data=text(inner.get("url")), source="url", extra=extra)


def _file(inner: dict[str, Any], _part: dict[str, Any], extra: dict[str, Any]) -> Document:
    name, id_ = optional(inner.get("filename")), optional(inner.get("file_id"))
    if id_ is not None:
        return Document(data=id_, source="file_id", name=name, extra=extra)
    media, _, data = text(inner.get("file_data")).removeprefix("data:").rpartition(";base64,")
    return Document(data=data, media_type=media or None, name=name, extra=extra)


_PARTS: dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Any]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "video_url": _video,
    "file": _file,
}


def _tool(tool: dict[str, Any]) -> ToolDefinition | ProviderTool:
    function = mapping(tool.get("function"))
    if not function:
        return ProviderTool(kind=text(tool.get("type")), config=without(tool, "type"))
    return ToolDefinition(
        name=text(function.get("name")),
        description=optional(function.get("description")),
        parameters=function.get("parameters"),
        strict=boolean(function.get("strict")),
        extra={
            **without(tool, "type", "function"),
            **without(function, "name", "description", "parameters", "strict"),
        },
    )


def _tool_choice(value: Any) -> ToolChoice | None:
    if isinstance(value, str):
        words: dict[str, Any] = {"any": "required"}  # Mistral
        mode = words.get(value, value)
        return ToolChoice(mode=mode) if mode in {"auto", "none", "required"} else None
    if not isinstance(value, dict):
        return None
    allowed = mapping(value.get("allowed_tools"))
    if allowed:
        names = [text(mapping(tool.get("function")).get("name")) for tool in each(allowed.get("tools"))]
        extra = {"mode": allowed["mode"]} if "mode" in allowed else {}
        return ToolChoice(mode="specific", names=names, extra=extra)
    chosen = mapping(value.get("function") or value.get("custom")).get("name")
    return ToolChoice(mode="specific", names=[text(chosen)]) if isinstance(chosen, str) else None


def _response_format(value: Any) -> ResponseFormat | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    schema = mapping(value.get("json_schema"))
    return ResponseFormat(
        type=text(value["type"]),
        name=optional(schema.get("name")),
        json_schema=schema.get("schema"),
        strict=boolean(schema.get("strict")),
        description=optional(schema.get("description")),
        extra=without(value, "type", "json_schema"),
    )


def _stream_options(value: Any) -> StreamOptions | None:
    if not isinstance(value, dict):
        return None
    return StreamOptions(
        include_usage=boolean(value.get("include_usage")), extra=without(value, "include_usage")
    )


def _search(value: Any) -> SearchParameters | None:
    if not isinstance(value, dict):
        return None
    sources = value.get("sources")
    return SearchParameters(
        mode=optional(value.get("mode")),
        from_date=optional(value.get("from_date")),
        to_date=optional(value.get("to_date")),
        max_search_results=integer(value.get("max_search_results")),
        return_citations=boolean(value.get("return_citations")),
        sources=sources if isinstance(sources, list) else None,
        extra=without(value, *SearchParameters.model_fields),
    )


def _bias(value: Any) -> dict[str, float] | None:
    if not isinstance(value, dict) or any(number(bias) is None for bias in value.values()):
        return None
    return {text(token): bias for token, bias in value.items()}


def _texts(value: Any) -> list[str] | None:
    return [text(item) for item in value] if isinstance(value, list) else None


def _stop(value: Any) -> list[str] | None:
    return [text(value)] if isinstance(value, str) else _texts(value)

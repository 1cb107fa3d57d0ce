"""Reading a request of the messages wire: every field has its place, or lies in `extra` as it came."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

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
from llmreplay.codecs.anthropic_messages._blocks import begin
from llmreplay.completion import (
    CompletionRequest,
    Document,
    Image,
    Message,
    ProviderContent,
    ProviderTool,
    RequestError,
    ResponseFormat,
    Text,
    ToolChoice,
    ToolDefinition,
    ToolResult,
)

if TYPE_CHECKING:
    from llmreplay.exchange import Request

__all__ = ["MODES", "is_vertex", "model_of", "read_request", "wants_stream"]

MODES: dict[Any, Any] = {"auto": "auto", "any": "required", "none": "none", "tool": "specific"}


_INVOKED = re.compile(
    r"/model/(?P<bedrock>.+)/invoke(?:-with-response-stream)?/?|/models/(?P<vertex>[^/]+):\w+"
)


def is_vertex(request: Request) -> bool:
    """Return whether Vertex is asked, told by the path where the host is a proxy's."""
    return (
        request.path.rstrip("/").endswith((":rawPredict", ":streamRawPredict"))
        or "aiplatform" in request.host
    )


def model_of(request: Request) -> str | None:
    """Return the model that is asked: Vertex and Bedrock name it in the path."""
    named = optional(mapping(request.json).get("model"))
    found = _INVOKED.search(request.path)
    if named is not None or found is None:
        return named
    return optional(unquote(found["bedrock"] or found["vertex"]))


def wants_stream(request: Request) -> bool:
    """Return whether a stream is asked for: in the body, or by the path."""
    path = request.path.rstrip("/")
    asked = mapping(request.json).get("stream") is True
    return asked or path.endswith(("/invoke-with-response-stream", ":streamRawPredict"))


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    for name, field, read in (
        ("model", "model", optional),
        ("max_tokens", "max_tokens", integer),
        ("temperature", "temperature", number),
        ("top_p", "top_p", number),
        ("top_k", "top_k", integer),
        ("stop_sequences", "stop", _texts),
        ("service_tier", "service_tier", optional),
        ("metadata", "metadata", lambda value: value),
        ("output_format", "response_format", _format),
    ):
        value = read(body.get(name))
        if value is not None:
            fields[field] = value
            del left[name]
    if isinstance(body.get("tool_choice"), dict):
        _choose(left.pop("tool_choice"), fields)
    if isinstance(body.get("output_config"), dict):
        _configure(left, fields)
    fields.setdefault("model", model_of(request))
    system = left.pop("system") if isinstance(body.get("system"), (str, list)) else None
    messages = [Message(role="system", content=_contents(system))] if system else []
    if isinstance(body.get("stream"), bool):
        del left["stream"]
    return CompletionRequest(
        messages=messages + [_message(message) for message in take_each(left, "messages")],
        tools=[_tool(tool) for tool in take_each(left, "tools")],
        stream=wants_stream(request),
        extra=left,
        raw=body,
        **fields,
    )


def _message(message: dict[str, Any]) -> Message:
    extra = without(message, "role", "content")
    content = message.get("content")
    if message.get("role") != "assistant":
        role: Any = "system" if message.get("role") == "system" else "user"
        return Message(role=role, content=_contents(content), extra=extra)
    if isinstance(content, str):
        return Message(role="assistant", content=[Text(text=text(content))], extra=extra)
    assembly = Assembly()
    for index, block in enumerate(each(content)):
        begin(block, index, assembly)
    return Message(role="assistant", content=assembly.contents(0), extra=extra)


def _contents(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [Text(text=text(content))]
    return [_block(block) for block in each(content)]


def _block(block: dict[str, Any]) -> Any:
    kind = text(block.get("type"))
    if kind == "text":
        return Text(text=text(block.get("text")), extra=without(block, "type", "text"))
    if kind in {"image", "document"}:
        return _medium(kind, block)
    if kind == "tool_result":
        return ToolResult(
            id=text(block.get("tool_use_id")),
            content=_contents(block.get("content")),
            is_error=block.get("is_error") is True,
            extra=without(block, "type", "tool_use_id", "content", "is_error"),
        )
    return ProviderContent(kind=kind, raw=block)


def _medium(kind: str, block: dict[str, Any]) -> Image | Document | ProviderContent:
    source = mapping(block.get("source"))
    fields: dict[str, Any]
    if source.get("type") == "url":
        fields = {"data": text(source.get("url")), "source": "url"}
    elif source.get("type") == "file":
        fields = {"data": text(source.get("file_id")), "source": "file_id"}
    elif source.get("type") in {"base64", "text"}:
        fields = {"data": text(source.get("data")), "source": source["type"]}
    else:  # a document of content blocks
        return ProviderContent(kind=kind, raw=block)
    fields["media_type"] = optional(source.get("media_type"))
    if kind == "image":
        return Image(**fields, extra=without(block, "type", "source"))
    return Document(
        **fields, name=optional(block.get("title")), extra=without(block, "type", "source", "title")
    )


def _tool(tool: dict[str, Any]) -> ToolDefinition | ProviderTool:
    kind = tool.get("type")
    if kind not in {None, "custom"}:
        return ProviderTool(kind=text(kind), config=without(tool, "type"))
    return ToolDefinition(
        name=text(tool.get("name")),
        description=optional(tool.get("description")),
        parameters=tool.get("input_schema"),
        strict=boolean(tool.get("strict")),
        extra=without(tool, "type", "name", "description", "input_schema", "strict"),
    )


def _choose(choice: dict[str, Any], fields: dict[str, Any]) -> None:
    name = text(choice.get("name"))
    kind = text(choice.get("type"))
    extra = without(choice, "type", "name", "disable_parallel_tool_use")
    fields["tool_choice"] = ToolChoice(
        mode=MODES.get(kind, "auto"), names=[name] if name else [], extra=extra
    )
    alone = boolean(choice.get("disable_parallel_tool_use"))
    if alone is not None:
        fields["parallel_tool_calls"] = not alone


def _configure(left: dict[str, Any], fields: dict[str, Any]) -> None:
    """Take the form of the answer and the effort out of `output_config`."""
    config = left["output_config"]
    form, effort = _format(config.get("format")), optional(config.get("effort"))
    if form is not None:
        fields["response_format"] = form
    if effort is not None:
        fields["reasoning_effort"] = effort
    known = [name for name, found in (("format", form), ("effort", effort)) if found is not None]
    left["output_config"] = without(config, *known)
    if not left["output_config"]:
        del left["output_config"]


def _format(value: Any) -> ResponseFormat | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    return ResponseFormat(
        type=text(value["type"]), json_schema=value.get("schema"), extra=without(value, "type", "schema")
    )


def _texts(value: Any) -> list[str] | None:
    return [text(item) for item in listed(value)] if isinstance(value, list) else None

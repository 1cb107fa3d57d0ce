"""Reading a request of the converse wire: every field has its place, or lies in `extra` as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _aws
from llmreplay.codecs._json import (
    boolean,
    each,
    integer,
    mapping,
    number,
    optional,
    parse,
    take_each,
    text,
    without,
)
from llmreplay.codecs.bedrock_converse._blocks import read_block, sealed_block
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
    from llmreplay.exchange import Request

__all__ = ["MODES", "read_request"]

MODES: dict[str, Any] = {"auto": "auto", "any": "required", "tool": "specific"}


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    for outer, inner, field, read in (
        ("inferenceConfig", "maxTokens", "max_tokens", integer),
        ("inferenceConfig", "temperature", "temperature", number),
        ("inferenceConfig", "topP", "top_p", number),
        ("inferenceConfig", "stopSequences", "stop", _texts),
        ("additionalModelRequestFields", "top_k", "top_k", integer),
        ("outputConfig", "textFormat", "response_format", _format),
        ("outputConfig", "effort", "reasoning_effort", optional),
        ("serviceTier", "type", "service_tier", optional),
        ("toolConfig", "toolChoice", "tool_choice", _choice),
    ):
        value = read(mapping(left.get(outer)).get(inner))
        if value is not None:
            fields[field] = value
            _take(left, outer, inner)
    if isinstance(body.get("requestMetadata"), dict):
        fields["metadata"] = left.pop("requestMetadata")
    config = dict(mapping(left.get("toolConfig")))
    tools = take_each(config, "tools")
    if tools:
        left["toolConfig"] = config
        if not config:
            del left["toolConfig"]
    system = take_each(left, "system")
    messages = [Message(role="system", content=[read_block(block) for block in system])] if system else []
    return CompletionRequest(
        model=_aws.model_of(request),
        messages=messages + [_message(message) for message in take_each(left, "messages")],
        tools=[_tool(tool) for tool in tools],
        stream=_aws.wants_stream(request),
        extra=left,
        raw=body,
        **fields,
    )


def _take(left: dict[str, Any], outer: str, inner: str) -> None:
    left[outer] = without(left[outer], inner)
    if not left[outer]:
        del left[outer]


def _message(message: dict[str, Any]) -> Message:
    spelled = text(message.get("role"))
    role: Any = spelled if spelled in {"assistant", "system"} else "user"
    content = [read_block(block) for block in each(message.get("content"))]
    if role == "assistant":
        # Results there are of tools that the provider runs; and what no model says has no word.
        content = [
            sealed_block(block) if found.type in {"tool_result", "video", "document"} else found
            for found, block in zip(content, each(message.get("content")), strict=True)
        ]
    return Message(role=role, content=content, extra=without(message, "role", "content"))


def _tool(tool: dict[str, Any]) -> ToolDefinition | ProviderTool:
    spec = tool.get("toolSpec")
    if len(tool) != 1 or not isinstance(spec, dict):
        kind = text(next(iter(tool), ""))
        return ProviderTool(kind=kind, config=mapping(tool.get(kind)))
    return ToolDefinition(
        name=text(spec.get("name")),
        description=optional(spec.get("description")),
        parameters=mapping(spec.get("inputSchema")).get("json"),
        strict=boolean(spec.get("strict")),
        extra=without(spec, "name", "description", "inputSchema", "strict"),
    )


def _choice(value: Any) -> ToolChoice | None:
    choice = mapping(value)
    kind = next(iter(choice), "")
    if len(choice) != 1 or kind not in MODES:
        return None
    name = optional(mapping(choice[kind]).get("name"))
    return ToolChoice(
        mode=MODES[kind], names=[] if name is None else [name], extra=without(mapping(choice[kind]), "name")
    )


def _format(value: Any) -> ResponseFormat | None:
    """Return the form of the answer, whose schema is JSON in a string."""
    inner = mapping(mapping(mapping(value).get("structure")).get("jsonSchema"))
    try:
        schema = parse(inner["schema"]) if isinstance(inner.get("schema"), str) else None
    except ValueError:
        schema = None
    if schema is None or not isinstance(value.get("type"), str):
        return None
    return ResponseFormat(
        type=text(value["type"]),
        name=optional(inner.get("name")),
        json_schema=schema,
        description=optional(inner.get("description")),
    )


def _texts(value: Any) -> list[str] | None:
    return [text(item) for item in value] if isinstance(value, list) else None

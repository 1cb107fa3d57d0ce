"""Reading a request of the Responses wire: every field has its place, or lies in `extra` as it came.

Rules:

* What the model did before (reasoning, a message, calls) is one message of the assistant, in order;
  a result is a message of its own, as on the chat wire.
* `instructions` are the first message, from the system.
* A field that is read only in part stays in `extra` with the rest: `reasoning`, `text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import boolean, each, integer, mapping, number, optional, take_each, text, without
from llmreplay.codecs.openai_responses._items import read_item, read_parts
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
    StreamOptions,
    Text,
    ToolChoice,
    ToolDefinition,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Request

__all__ = ["FIELDS", "LOGPROBS", "read_request"]

LOGPROBS = "message.output_text.logprobs"
"""What `include` names to ask for probabilities."""

FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("model", "model", optional),
    ("max_output_tokens", "max_tokens", integer),
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_logprobs", "top_logprobs", integer),
    ("parallel_tool_calls", "parallel_tool_calls", boolean),
    ("store", "store", boolean),
    ("user", "user", optional),
    ("service_tier", "service_tier", optional),
    ("metadata", "metadata", lambda value: value),
)
"""Fields of the wire, what they are called here, and how they are read."""

_OUTPUTS = {"function_call_output": None, "custom_tool_call_output": "custom"}
_ROLES = {"system", "developer", "user", "assistant"}


def read_request(request: Request) -> CompletionRequest:
    """Return what a request means; raise `RequestError` if its body is no object."""
    body = request.json
    if not isinstance(body, dict):
        raise RequestError("the body of the request is not a JSON object", body=body)
    left = dict(body)
    fields: dict[str, Any] = {}
    for key, name, read in FIELDS:
        value = read(body.get(key))
        if value is not None:
            fields[name] = value
            del left[key]
    for key, name, read in (
        ("tool_choice", "tool_choice", _tool_choice),
        ("stream_options", "stream_options", _stream_options),
    ):
        value = read(body.get(key))
        if value is not None:
            fields[name] = value
            del left[key]
    fields["reasoning_effort"] = _inner(left, "reasoning", "effort", optional)
    fields["response_format"] = _inner(left, "text", "format", _format)
    if LOGPROBS in _texts(body.get("include")):
        fields["logprobs"] = True
    deployment = request.path.partition("/deployments/")[2].partition("/")[
        0
    ]  # Azure may name the model there
    fields.setdefault("model", deployment or None)
    messages = []
    if isinstance(body.get("instructions"), str):
        messages.append(Message.system(text(left.pop("instructions"))))
    return CompletionRequest(
        messages=messages + _messages(left),
        tools=[_tool(tool) for tool in take_each(left, "tools")],
        stream=isinstance(body.get("stream"), bool) and left.pop("stream"),
        extra=left,
        raw=body,
        **fields,
    )


def _inner(left: dict[str, Any], key: str, inner: str, read: Callable[[Any], Any]) -> Any:
    """Take one field out of an object; the object stays, unless nothing else was in it."""
    value = read(mapping(left.get(key)).get(inner))
    if value is not None:
        left[key] = without(left[key], inner)
        if not left[key]:
            del left[key]
    return value


def _messages(left: dict[str, Any]) -> list[Message]:
    given = left.get("input")
    if isinstance(given, str):
        del left["input"]
        return [Message.user(text(given))]
    messages: list[Message] = []
    for item in take_each(left, "input"):
        message = _message(item)
        before = messages[-1] if messages else None
        if before is not None and _goes_on(before, message):
            messages[-1] = before.model_copy(
                update={
                    "content": [*before.content, *message.content],
                    "id": before.id or message.id,
                    "extra": {**before.extra, **message.extra},
                }
            )
        else:
            messages.append(message)
    return messages


def _goes_on(before: Message, message: Message) -> bool:
    """Return whether an item belongs to what the model did before; two messages of it stay two."""
    if before.role != "assistant" or message.role != "assistant":
        return False
    return not (_speaks(before) and _speaks(message))


def _speaks(message: Message) -> bool:
    return any(content.type in {"text", "refusal"} for content in message.content) or bool(
        message.id or message.extra
    )


def _message(item: dict[str, Any]) -> Message:
    kind = optional(item.get("type"))
    if kind in _OUTPUTS:
        extra = without(item, "type", "call_id", "output")
        if _OUTPUTS[kind]:
            extra["type"] = _OUTPUTS[kind]
        result = ToolResult(id=text(item.get("call_id")), content=_contents(item.get("output")), extra=extra)
        return Message(role="tool", content=[result])
    if kind in {None, "message"}:
        return _spoken(item)
    if kind.endswith(("_output", "_approval_response")) and kind != "tool_search_output":
        return Message(role="tool", content=[ProviderContent(kind=kind, raw=item)])
    return Message(role="assistant", content=[read_item(item, whole=True)])


def _spoken(item: dict[str, Any]) -> Message:
    spelled = text(item.get("role"))
    role: Any = spelled if spelled in _ROLES else "user"
    known = ["content", "role"] if role == spelled else ["content"]
    if role != "assistant":
        return Message(role=role, content=_contents(item.get("content")), extra=without(item, *known))
    parts = read_parts(item, whole=True)
    if parts is None:
        return Message(role=role, content=[ProviderContent(kind="message", raw=item)])
    id_ = optional(item.get("id"))
    extra = without(item, *known, *(["id"] if id_ else []))
    return Message(role=role, content=list(parts), id=id_, extra=extra)


def _contents(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [Text(text=text(content))]
    return [_part(part) for part in each(content)]


def _part(part: dict[str, Any]) -> Any:
    kind = text(part.get("type"))
    read = _PARTS.get(kind)
    return ProviderContent(kind=kind, raw=part) if read is None else read(part)


def _text(part: dict[str, Any]) -> Text:
    return Text(text=text(part.get("text")), extra=without(part, "type", "text"))


def _image(part: dict[str, Any]) -> Image | ProviderContent:
    detail = optional(part.get("detail"))
    extra = without(part, "type", *(["detail"] if detail else []))
    if isinstance(part.get("image_url"), str):
        data, media = _data(extra.pop("image_url"))
        source: Any = "url" if media is None else "base64"
        return Image(data=data, source=source, media_type=media, detail=detail, extra=extra)
    if optional(part.get("file_id")) is None:
        return ProviderContent(kind="input_image", raw=part)
    return Image(data=text(extra.pop("file_id")), source="file_id", detail=detail, extra=extra)


def _file(part: dict[str, Any]) -> Document | ProviderContent:
    name = optional(part.get("filename"))
    extra = without(part, "type", *(["filename"] if name else []))
    for key, source in (("file_id", "file_id"), ("file_url", "url"), ("file_data", "base64")):
        if isinstance(part.get(key), str):
            spelled = text(extra.pop(key))
            data, media = _data(spelled) if key == "file_data" else (spelled, None)
            return Document(data=data, source=source, media_type=media, name=name, extra=extra)  # type: ignore[arg-type]  # three words of four
    return ProviderContent(kind="input_file", raw=part)


def _audio(part: dict[str, Any]) -> Audio:
    inner = mapping(part.get("input_audio"))
    form = optional(inner.get("format"))
    return Audio(
        data=text(inner.get("data")),
        media_type=form and f"audio/{form}",
        extra=without(part, "type", "input_audio"),
    )


def _data(url: str) -> tuple[str, str | None]:
    """Return the data of a `data:` URL and its type; of any other, the URL and None."""
    head, comma, data = url.partition(";base64,")
    return (
        (text(data), head.removeprefix("data:")) if comma and head.startswith("data:") else (text(url), None)
    )


_PARTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "input_text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _tool(tool: dict[str, Any]) -> ToolDefinition | ProviderTool:
    if tool.get("type") != "function":
        return ProviderTool(kind=text(tool.get("type")), config=without(tool, "type"))
    description, strict = optional(tool.get("description")), boolean(tool.get("strict"))
    read = {"name": True, "description": description, "parameters": tool.get("parameters"), "strict": strict}
    return ToolDefinition(
        name=text(tool.get("name")),
        description=description,
        parameters=tool.get("parameters"),
        strict=strict,
        extra=without(tool, "type", *(key for key, value in read.items() if value is not None)),
    )


def _tool_choice(value: Any) -> ToolChoice | None:
    if isinstance(value, str):
        return ToolChoice(mode=value) if value in {"auto", "none", "required"} else None  # type: ignore[arg-type]  # one of the words
    choice = mapping(value)
    if choice.get("type") == "function" and isinstance(choice.get("name"), str):
        return ToolChoice(
            mode="specific", names=[text(choice["name"])], extra=without(choice, "type", "name")
        )
    tools = each(choice.get("tools"))
    if choice.get("type") == "allowed_tools" and all(
        set(tool) == {"type", "name"} and tool["type"] == "function" for tool in tools
    ):
        names = [text(tool["name"]) for tool in tools]
        return ToolChoice(mode="specific", names=names, extra=without(choice, "type", "tools"))
    return None


def _format(value: Any) -> ResponseFormat | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    words = {key: optional(value.get(key)) for key in ("name", "description")}
    read = {**words, "schema": value.get("schema"), "strict": boolean(value.get("strict"))}
    return ResponseFormat(
        type=text(value["type"]),
        name=words["name"],
        json_schema=value.get("schema"),
        strict=boolean(value.get("strict")),
        description=words["description"],
        extra=without(value, "type", *(key for key, found in read.items() if found is not None)),
    )


def _stream_options(value: Any) -> StreamOptions | None:
    if not isinstance(value, dict):
        return None
    include = boolean(value.get("include_usage"))
    return StreamOptions(
        include_usage=include, extra=without(value, *(["include_usage"] if include is not None else []))
    )


def _texts(value: Any) -> list[str]:
    return [text(item) for item in value] if isinstance(value, list) else []

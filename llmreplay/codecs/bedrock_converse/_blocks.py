"""Content blocks of the converse wire, both ways: unions, of which one member is set.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html

A block that has no word in the vocabulary (`cachePoint`, `guardContent`, a tool that the provider
runs itself) is a `ProviderContent`: its kind is the name of the member, and its raw the value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import each, mapping, optional, text, without
from llmreplay.completion import (
    Audio,
    Document,
    Image,
    Json,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    RequestError,
    Text,
    ToolCall,
    ToolResult,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OURS", "image_of", "read_block", "sealed_block", "write_block", "write_reasoning"]

_MEDIA: dict[str, type[Image | Audio | Video | Document]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
    "document": Document,
}

_OFFICE = "application/vnd.openxmlformats-officedocument."
_FORMATS = {
    ("document", "pdf"): "application/pdf",
    ("document", "csv"): "text/csv",
    ("document", "doc"): "application/msword",
    ("document", "docx"): f"{_OFFICE}wordprocessingml.document",
    ("document", "xls"): "application/vnd.ms-excel",
    ("document", "xlsx"): f"{_OFFICE}spreadsheetml.sheet",
    ("document", "html"): "text/html",
    ("document", "txt"): "text/plain",
    ("document", "md"): "text/markdown",
    ("video", "three_gp"): "video/3gpp",
}
_SPELLED = {(kind, media): form for (kind, form), media in _FORMATS.items()}

OURS = "server_tool_use"
"""The type of a tool use that the provider answers itself."""


def read_block(block: dict[str, Any]) -> Any:
    """Return what a content block means."""
    read = _READ.get(next(iter(block), "")) if len(block) == 1 else None
    found = read(*block.values()) if read is not None else None
    return sealed_block(block) if found is None else found


def sealed_block(block: dict[str, Any]) -> ProviderContent:
    """Return a content block as something of the provider, whatever it is."""
    if len(block) != 1:
        return ProviderContent(kind="", raw=block)
    ((kind, value),) = block.items()
    return ProviderContent(kind=text(kind), raw=value)


def _text(value: Any) -> Any:
    return Text(text=text(value)) if isinstance(value, str) else None


def _medium(kind: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        source, form = mapping(mapping(value).get("source")), optional(mapping(value).get("format"))
        fields: dict[str, Any]
        if isinstance(source.get("bytes"), str):
            fields = {"data": text(source["bytes"])}
        elif isinstance(mapping(source.get("s3Location")).get("uri"), str):
            place = source["s3Location"]
            fields = {"data": text(place["uri"]), "source": "url"}
            owner = without(place, "uri")
            if owner:
                fields["extra"] = {"s3Location": owner}
        elif kind == "document" and isinstance(source.get("text"), str):
            fields = {"data": text(source["text"]), "source": "text"}
        else:
            return None
        extra = {**fields.pop("extra", {}), **without(value, "source", "format", "name")}
        if kind == "document":
            fields["name"] = optional(value.get("name"))
        media_type = form and _FORMATS.get((kind, form), f"{kind}/{form}")
        if form and "/" in form:  # which Bedrock refuses, and some clients send
            media_type, extra["format"] = form, form
        return _MEDIA[kind](**fields, media_type=media_type, extra=extra)

    return read


def _tool_use(value: Any) -> Any:
    use = mapping(value)
    if not isinstance(use.get("name"), str) or use.get("type") == OURS:
        return None
    given = use.get("input")
    return ToolCall(
        id=text(use.get("toolUseId")),
        name=text(use["name"]),
        arguments={} if given is None else given,
        arguments_raw=json.dumps(given, ensure_ascii=False) if given else "",
        extra=without(use, "toolUseId", "name", "input"),
    )


def _tool_result(value: Any) -> Any:
    result = mapping(value)
    if not isinstance(value, dict) or not isinstance(result.get("content", []), list):
        return None
    content = [_inner(block) for block in each(result.get("content"))]
    return ToolResult(
        id=text(result.get("toolUseId")),
        content=content,
        is_error=result.get("status") == "error",
        extra=without(result, "toolUseId", "content", "status"),
    )


def _inner(block: dict[str, Any]) -> Any:
    if block.keys() == {"json"}:
        return Json(value=block["json"])
    found = read_block(block)
    if isinstance(found, (Text, Image, Document, ProviderContent)):
        return found
    return sealed_block(block)


def _reasoning(value: Any) -> Any:
    inner = mapping(value)
    if isinstance(inner.get("redactedContent"), str):
        return Reasoning(parts=[ReasoningPart(kind="redacted", text=text(inner["redactedContent"]))])
    said = mapping(inner.get("reasoningText"))
    if not isinstance(said.get("text"), str):
        return None
    part = ReasoningPart(text=text(said["text"]), signature=optional(said.get("signature")))
    return Reasoning(parts=[part])


def _cited(value: Any) -> Any:
    pieces, found = each(mapping(value).get("content")), mapping(value).get("citations")
    if not isinstance(found, list) or any(piece.keys() != {"text"} for piece in pieces):
        return None
    return Text(text="".join(text(piece["text"]) for piece in pieces), extra={"citations": found})


_READ: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
    "citationsContent": _cited,
    **{kind: _medium(kind) for kind in _MEDIA},
}


def image_of(form: str | None, source: dict[str, Any]) -> Any:
    """Return the image that a stream told in two pieces."""
    return _medium("image")({"format": form, "source": source})


def write_block(content: Any) -> dict[str, Any]:  # noqa: PLR0911  one for each kind of content
    """Return the block of a content other than reasoning; raise `RequestError` if there is no word for it."""
    if isinstance(content, Text):
        cited = content.extra.get("citations")
        if cited is None:
            return {"text": content.text}
        return {"citationsContent": {"content": [{"text": content.text}], "citations": cited}}
    if isinstance(content, Refusal):
        return {"text": content.text}
    if isinstance(content, Json):
        return (
            {"json": content.value} if isinstance(content.value, dict) else {"text": _dumped(content.value)}
        )
    if isinstance(content, ToolCall):
        if content.arguments_error is not None:
            raise RequestError(
                f"the converse wire cannot say arguments that are no JSON: {content.arguments_raw!r}"
            )
        use = {"toolUseId": content.id, "name": content.name, "input": content.arguments, **content.extra}
        return {"toolUse": use}
    if isinstance(content, ToolResult):
        return {"toolResult": _write_result(content)}
    if isinstance(content, ProviderContent):
        return {content.kind: content.raw} if content.kind else mapping(content.raw)
    if content.type in _MEDIA:
        return {content.type: _write_medium(content)}
    raise RequestError(f"the converse wire has no word for {content.type!r}")


def write_reasoning(part: ReasoningPart, signature: str | None) -> dict[str, Any]:
    """Return the block of a piece of reasoning; `signature` is for a text that has none."""
    if part.kind in {"redacted", "encrypted"}:
        return {"reasoningContent": {"redactedContent": part.text}}
    vouched = signature if part.signature is None else part.signature
    own = {} if vouched is None else {"signature": vouched}
    return {"reasoningContent": {"reasoningText": {"text": part.text, **own}}}


def _write_result(result: ToolResult) -> dict[str, Any]:
    written: dict[str, Any] = {
        "toolUseId": result.id,
        "content": [write_block(inner) for inner in result.content],
    }
    if result.is_error:
        written["status"] = "error"
    return {**written, **result.extra}


def _write_medium(medium: Any) -> dict[str, Any]:
    kind = medium.type
    source: dict[str, Any]
    if medium.source == "url":
        if not medium.data.startswith("s3://"):
            raise RequestError(
                f"the converse wire takes {kind}s as bytes or from S3, not from {medium.data!r}"
            )
        source = {"s3Location": {"uri": medium.data, **mapping(medium.extra.get("s3Location"))}}
    elif medium.source == "base64":
        source = {"bytes": medium.data}
    elif kind == "document" and medium.source == "text":
        source = {"text": medium.data}
    else:
        raise RequestError(f"the converse wire has no word for {kind}s by {medium.source}")
    written: dict[str, Any] = {}
    if medium.media_type is not None:
        spelled = _SPELLED.get((kind, medium.media_type), medium.media_type.rpartition("/")[2])
        written["format"] = spelled
    if kind == "document":
        written["name"] = medium.name or "document"
    return {**written, "source": source, **without(medium.extra, "s3Location")}


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""The parts of a content, read and written: text, thoughts, media, function calls and responses.

A part is told by the key it has, not by a type. Its signature vouches for the thinking behind it: it
stays with a text in `extra`, and is the `signature` of a thought or a call.
https://ai.google.dev/api/caching#Part and https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import mapping, optional, string, text, without
from llmreplay.codecs._parts import Thought, Words
from llmreplay.codecs.gemini._spelling import put, snake, spelled, take
from llmreplay.completion import (
    Audio,
    Document,
    Image,
    Json,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Video,
)

if TYPE_CHECKING:
    from llmreplay.codecs._assembly import Assembly
    from llmreplay.completion import StreamEvent

__all__ = ["SIGNATURE", "read_part", "take_part", "write_part"]

SIGNATURE = "thoughtSignature"

_MEDIA: dict[str, type[Image | Audio | Video]] = {"image": Image, "audio": Audio, "video": Video}

_WRAPPERS = ("output", "error", "result", "return_value", "content")
"""Keys by which frameworks wrap a text, since the response of a function must be an object.

Google's own are the first two; the third is of google-genai, the fourth of pydantic-ai."""


# ------------------------------------------------------------------------------------------ reading


def take_part(part: dict[str, Any], assembly: Assembly, choice: int) -> list[StreamEvent]:
    """Add a part of an answer, whole or one of many that continue each other."""
    if isinstance(part.get("text"), str):
        return _said(part, assembly, choice)
    content = read_part(part)
    if not isinstance(content, ToolCall):
        return assembly.whole(choice, content) if part else []
    count = len(assembly.calls(choice))
    call, events = assembly.call(choice, ("call", count), id=content.id, name=content.name)
    call.signature, call.extra = content.signature, content.extra
    events += assembly.arguments(choice, call, content.arguments_raw)
    return events + assembly.ended(choice, call)


def _said(part: dict[str, Any], assembly: Assembly, choice: int) -> list[StreamEvent]:
    piece, signature = string(part["text"]), text(part.get(SIGNATURE))
    last = next(reversed(assembly.answer(choice).parts), None)
    if part.get("thought") is True:
        # What follows a signature is another part, which it does not vouch for.
        place = len(last.signatures) if isinstance(last, Thought) else 0
        return assembly.thought(choice, piece, part=place, signature=signature)
    if not piece and not signature:  # as at the end of many streams
        return []
    signed = isinstance(last, Words) and SIGNATURE in last.extra
    key = ("text", len(assembly.answer(choice).parts)) if signed else None
    return assembly.words(choice, piece, key=key, extra={SIGNATURE: signature} if signature else None)


def read_part(part: dict[str, Any]) -> Any:
    """Return what a part means; what is no part of ours is a content of the provider."""
    if isinstance(part.get("text"), str):
        return _text(part)
    for camel, read in _READERS.items():
        key = spelled(part, camel)
        if isinstance(part.get(key), dict):
            content = read(dict(part[key]), without(part, key), key)
            if content is not None:
                return content
    # The key that is not about the thinking says what it is.
    names = [key for key in part if key not in {"thought", SIGNATURE, snake(SIGNATURE)}]
    return ProviderContent(kind=text(names[0]) if names else "", raw=part)


def _text(part: dict[str, Any]) -> Text | Reasoning:
    said = text(part["text"])
    left = without(part, "text")
    if part.get("thought") is not True:
        return Text(text=said, extra=left)
    del left["thought"]
    signature = take(left, SIGNATURE, optional)
    return Reasoning(parts=[ReasoningPart(text=said, signature=signature)], extra=left)


def _extra(inner: dict[str, Any], left: dict[str, Any], key: str) -> dict[str, Any]:
    """Return what is left of a part; its own key stays if there is more below it, or in snake case."""
    return {**left, key: inner} if inner or "_" in key else left


def _call(inner: dict[str, Any], left: dict[str, Any], key: str) -> ToolCall:
    given = inner.pop("args", None)
    id_, name = text(inner.pop("id", "")), text(inner.pop("name", ""))
    signature = take(left, SIGNATURE, optional)
    written = json.dumps(given, ensure_ascii=False) if given else ""
    return ToolCall(
        id=id_,
        name=name,
        arguments={} if given is None else given,
        arguments_raw=written,
        signature=signature,
        extra=_extra(inner, left, key),
    )


def _result(inner: dict[str, Any], left: dict[str, Any], key: str) -> ToolResult:
    response = inner.get("response")
    content: Any = Json(value=response)
    wrapper = next(iter(response), "") if isinstance(response, dict) and len(response) == 1 else ""
    if wrapper in _WRAPPERS and isinstance(mapping(response)[wrapper], str):
        content = Text(text=text(mapping(response)[wrapper]))
        if wrapper not in {"output", "error"}:
            content = content.model_copy(update={"extra": {"response": wrapper}})
    name, id_ = optional(inner.get("name")), text(inner.get("id"))
    return ToolResult(
        id=id_,
        name=name,
        content=[content],
        is_error=isinstance(response, dict) and list(response) == ["error"],
        extra=_extra(without(inner, "id", "name", "response"), left, key),
    )


def _inline(inner: dict[str, Any], left: dict[str, Any], key: str) -> Any:
    if not isinstance(inner.get("data"), str):
        return None
    data = text(inner.pop("data"))
    media_type = take(inner, "mimeType", optional)
    return _medium(media_type)(data=data, media_type=media_type, extra=_extra(inner, left, key))


def _file(inner: dict[str, Any], left: dict[str, Any], key: str) -> Any:
    uri = take(inner, "fileUri", optional)
    if uri is None:
        return None
    media_type = take(inner, "mimeType", optional)
    return _medium(media_type)(data=uri, source="url", media_type=media_type, extra=_extra(inner, left, key))


def _medium(media_type: str | None) -> type[Image | Audio | Video | Document]:
    return _MEDIA.get((media_type or "").partition("/")[0], Document)


_READERS = {
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _inline,
    "fileData": _file,
}


# ------------------------------------------------------------------------------------------ writing


def write_part(content: Any) -> list[dict[str, Any]]:  # noqa: PLR0911  one return a content
    """Return the parts that say a content; raise ValueError if no part can.

    A refusal is a text here, and reasoning that only another provider can read is left out.
    """
    if isinstance(content, Refusal):
        return [{"text": content.text}]
    if isinstance(content, Text):
        return [{"text": content.text, **content.extra}]
    if isinstance(content, Reasoning):
        return [_thought(part, content.extra) for part in content.parts if part.kind in {"text", "summary"}]
    if isinstance(content, ToolCall):
        return [_write_call(content)]
    if isinstance(content, ToolResult):
        return [_write_result(content)]
    if isinstance(content, Json):
        return [{"text": json.dumps(content.value, ensure_ascii=False)}]
    if isinstance(content, ProviderContent):
        if not isinstance(content.raw, dict):
            raise ValueError(f"a part of Gemini is an object, not {content.raw!r}")  # noqa: TRY004  a value, as below
        return [content.raw]
    return [_write_medium(content)]


def _thought(part: ReasoningPart, extra: dict[str, Any]) -> dict[str, Any]:
    written = {"text": part.text, "thought": True, **extra}
    put(written, SIGNATURE, part.signature)
    return written


def _write_call(call: ToolCall) -> dict[str, Any]:
    if not isinstance(call.arguments, dict):
        said = f"the arguments of a call are an object on this wire, not {call.arguments_raw!r}"
        raise ValueError(said)  # noqa: TRY004  it is the value of what a model said
    written = dict(call.extra)
    inner = {"name": call.name, "args": call.arguments, **_inner(written, "functionCall")}
    put(inner, "id", call.id or None)
    put(written, "functionCall", inner)
    put(written, SIGNATURE, call.signature)
    return written


def _write_result(result: ToolResult) -> dict[str, Any]:
    written = dict(result.extra)
    inner: dict[str, Any] = {"name": result.name or "", **_inner(written, "functionResponse")}
    put(inner, "id", result.id or None)
    said = [content for content in result.content if isinstance(content, (Text, Json))]
    media = [part for content in result.content if content not in said for part in write_part(content)]
    if len(said) == 1 and isinstance(said[0], Json) and isinstance(said[0].value, (dict, type(None))):
        put(inner, "response", said[0].value)
    else:
        own = said[0].extra.get("response") if len(said) == 1 and isinstance(said[0], Text) else None
        wrapper = text(own) or ("error" if result.is_error else "output")
        inner["response"] = {wrapper: said[0].value if [*map(type, said)] == [Json] else result.text}  # type: ignore[union-attr]  # it is one
    if media:
        put(inner, "parts", media)
    put(written, "functionResponse", inner)
    return written


def _write_medium(content: Any) -> dict[str, Any]:
    written = dict(content.extra)
    if content.source in {"url", "file_id"}:
        inner = _inner(written, "fileData")
        put(inner, "fileUri", content.data)
        put(inner, "mimeType", content.media_type)
        put(written, "fileData", inner)
        return written
    data, media_type = content.data, content.media_type
    if content.source == "text":
        data, media_type = base64.b64encode(data.encode()).decode(), media_type or "text/plain"
    inner = _inner(written, "inlineData")
    put(inner, "mimeType", media_type)
    put(inner, "data", data)
    put(written, "inlineData", inner)
    return written


def _inner(written: dict[str, Any], camel: str) -> dict[str, Any]:
    """Return what `extra` holds below the key of a part."""
    return dict(mapping(written.get(spelled(written, camel))))

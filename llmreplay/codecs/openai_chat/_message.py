"""A message of a model, or the delta of one: the same keys, whole or in pieces, read and written.

Shapes beyond OpenAI's: reasoning as `reasoning_content` (DeepSeek, xAI, older vLLM), `reasoning`
(Groq, vLLM, OpenRouter) or `reasoning_details` (OpenRouter); contents as a list, reasoning among
them (Mistral); images beside the text (OpenRouter); whole tool calls in one delta (Groq, Mistral,
xAI); arguments as an object; several calls that all have index 0, told apart by their ids (Gemini);
every key of OpenAI's, empty where nothing was said (Snowflake); images as bare texts (xAI's API
description, `Delta.images`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import each, integer, listed, mapping, number, optional, string, text, without
from llmreplay.codecs._parts import Call
from llmreplay.completion import FinishReason, Image, LogProbs, ProviderContent, TokenLogProb, TopLogProb

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmreplay.codecs._assembly import Assembly
    from llmreplay.completion import StreamEvent, ToolCall

__all__ = ["FINISH", "READ", "image", "log_probs", "take", "write_call", "write_image", "write_log_probs"]

FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "function_call": FinishReason.TOOL_CALLS,
    "eos": FinishReason.STOP,  # Together
    "eos_token": FinishReason.STOP,  # Hugging Face
    "stop_sequence": FinishReason.STOP,
    "model_length": FinishReason.LENGTH,  # Mistral
    "max_tokens": FinishReason.LENGTH,
}
"""What the finish reasons of the wire mean; one that is not here means itself."""

READ = frozenset(
    {
        "role",
        "content",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "refusal",
        "tool_calls",
        "function_call",
        "audio",
        "images",
    }
)
"""The keys that `take` reads."""


def take(message: dict[str, Any], assembly: Assembly, choice: int) -> list[StreamEvent]:
    """Add a message, or a delta of it, to an answer."""
    events = _reasoning(message, assembly, choice)
    events += _content(message.get("content"), assembly, choice)
    if isinstance(message.get("refusal"), str):
        events += assembly.words(choice, message["refusal"], refused=True)
    for place, call in enumerate(each(message.get("tool_calls"))):
        events += _tool_call(call, place, assembly, choice)
    function = mapping(message.get("function_call"))
    if any(function.values()):
        events += _tool_call({"function": function}, 0, assembly, choice)
    sound = mapping(message.get("audio"))
    if any(sound.values()):
        data, transcript = text(sound.get("data")), text(sound.get("transcript"))
        events += assembly.sound(choice, id=optional(sound.get("id")), data=data, transcript=transcript)
    for item in listed(message.get("images")):
        if item and isinstance(item, (str, dict)):
            events += assembly.whole(choice, _drawn(item) if isinstance(item, str) else image(item))
    return events


def _reasoning(message: dict[str, Any], assembly: Assembly, choice: int) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    readable = False
    for place, detail in enumerate(each(message.get("reasoning_details"))):
        kind = text(detail.get("type")).removeprefix("reasoning.")
        part: Hashable = integer(detail.get("index"))
        part = place if part is None else part
        if kind == "encrypted":
            events += assembly.thought(choice, text(detail.get("data")), kind="encrypted", part=part)
            continue
        piece = detail.get("summary" if kind == "summary" else "text")
        kind = kind if kind == "summary" else "text"
        signature = text(detail.get("signature"))
        events += assembly.thought(choice, string(piece), kind=kind, part=part, signature=signature)
        readable = readable or bool(piece)
    if not readable:  # otherwise the same text, once more
        # vLLM sends both while it renames one to the other.
        plain = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(plain, str):
            events += assembly.thought(choice, plain)
    return events


def _content(content: Any, assembly: Assembly, choice: int) -> list[StreamEvent]:
    if isinstance(content, str):
        return assembly.words(choice, content)
    events: list[StreamEvent] = []
    for item in listed(content):
        part = mapping(item)
        kind = text(part.get("type"))
        if isinstance(item, str):
            events += assembly.words(choice, item)
        elif kind in {"text", "output_text"}:
            events += assembly.words(choice, string(part.get("text")))
        elif kind == "refusal":
            events += assembly.words(choice, text(part.get("refusal")), refused=True)
        elif kind == "thinking":
            thinking = part.get("thinking")
            pieces = (
                [thinking] if isinstance(thinking, str) else [piece.get("text") for piece in each(thinking)]
            )
            for piece in pieces:
                events += assembly.thought(choice, string(piece), signature=text(part.get("signature")))
        elif kind == "image_url":
            events += assembly.whole(choice, image(part))
        elif part:
            events += assembly.whole(choice, ProviderContent(kind=kind, raw=part))
    return events


def _tool_call(call: dict[str, Any], place: int, assembly: Assembly, choice: int) -> list[StreamEvent]:
    function = mapping(call.get("function"))
    custom = {} if any(function.values()) else mapping(call.get("custom"))
    id_, name = text(call.get("id")), text(function.get("name") or custom.get("name"))
    index = integer(call.get("index"))
    key = ("call", place if index is None else index)
    known = assembly.answer(choice).keyed.get(key)
    if index is None and not id_ and not name and assembly.calls(choice):
        known = assembly.calls(choice)[-1]  # a fragment that does not say of what
    events: list[StreamEvent] = []
    if not isinstance(known, Call) or (name and id_ and known.id not in {id_, ""}):
        known, events = assembly.call(choice, key, id=id_, name=name)
    known.id, known.name = known.id or id_, known.name or name
    known.extra.update(without(call, "id", "type", "index", "function", "custom"))
    signature = mapping(mapping(call.get("extra_content")).get("google")).get("thought_signature")
    known.signature = optional(signature) or known.signature
    arguments = function.get("arguments")
    if custom:
        arguments = text(custom.get("input"))
        known.extra["type"] = "custom"
        known.given = (known.given or "") + arguments
    elif arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return events + assembly.arguments(choice, known, arguments or "")


def image(item: dict[str, Any]) -> Image:
    """Return the image of an `image_url` part; the data of a `data:` URL is taken out of it."""
    place = item.get("image_url")
    details = mapping(place)
    url = text(place if isinstance(place, str) else details.get("url"))
    detail = optional(details.get("detail")) or optional(item.get("detail"))
    extra = without(item, "type", "image_url", "detail")
    if url.startswith("data:") and ";base64," in url:
        kind, _, data = url.removeprefix("data:").partition(";base64,")
        return Image(data=data, media_type=kind or None, detail=detail, extra=extra)
    return Image(data=url, source="url", detail=detail, extra=extra)


def _drawn(spelled: str) -> Image:
    """Return an image that is a text: its URL, or its data alone."""
    if spelled.startswith("data:") or "://" in spelled:
        return image({"image_url": spelled})
    return Image(data=text(spelled))


def log_probs(found: Any) -> LogProbs | None:
    """Return the probabilities of the tokens; None where there are none."""
    if not isinstance(found, dict):
        return None
    return LogProbs(content=_tokens(found.get("content")), refusal=_tokens(found.get("refusal")))


def _tokens(found: Any) -> list[TokenLogProb]:
    return [
        TokenLogProb(
            **_token(item), top_logprobs=[TopLogProb(**_token(top)) for top in each(item.get("top_logprobs"))]
        )
        for item in each(found)
    ]


def _token(item: dict[str, Any]) -> dict[str, Any]:
    spelled = item.get("bytes")
    whole = [found for byte in listed(spelled) if (found := integer(byte)) is not None]
    return {
        "token": text(item.get("token")),
        "logprob": number(item.get("logprob")) or 0.0,
        "bytes": whole if isinstance(spelled, list) else None,
    }


def write_call(call: ToolCall, id_: str) -> dict[str, Any]:
    """Return a tool call; its arguments as the model wrote them, where that is known and still true."""
    extra = without(call.extra, "type")
    if call.extra.get("type") == "custom":
        return {
            "id": id_,
            "type": "custom",
            "custom": {"name": call.name, "input": text(call.arguments)},
            **extra,
        }
    return {
        "id": id_,
        "type": "function",
        "function": {"name": call.name, "arguments": _arguments(call)},
        **extra,
    }


def _arguments(call: ToolCall) -> str:
    try:
        parsed: Any = json.loads(call.arguments_raw) if call.arguments_raw.strip() else {}
    except (ValueError, RecursionError):
        parsed = None
    if call.arguments_error is not None or (call.arguments_raw and parsed == call.arguments):
        return call.arguments_raw
    return json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))


def write_image(found: Image) -> dict[str, Any]:
    """Return the `image_url` part of an image."""
    url = (
        found.data if found.source == "url" else f"data:{found.media_type or 'image/png'};base64,{found.data}"
    )
    detail = {} if found.detail is None else {"detail": found.detail}
    return {"type": "image_url", "image_url": {"url": url, **detail}, **found.extra}


def write_log_probs(found: LogProbs | None) -> dict[str, Any] | None:
    """Return the probabilities of the tokens; None where there are none."""
    if found is None:
        return None
    refusal = [token.model_dump() for token in found.refusal]
    return {"content": [token.model_dump() for token in found.content], "refusal": refusal or None}

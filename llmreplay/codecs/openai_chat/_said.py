"""What an answer of the chat wire holds, sorted as the wire sorts it, and its pieces as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._usage import normalise
from llmreplay.codecs.openai_chat._message import write_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmreplay.codecs._encoding import Cut
    from llmreplay.codecs.openai_chat._dialects import Dialect
    from llmreplay.completion import (
        AssistantContent,
        Audio,
        Image,
        ReasoningPart,
        TokenLogProb,
        ToolCall,
        Usage,
    )

__all__ = [
    "Said",
    "cut_text",
    "grown",
    "sound_deltas",
    "write_detail",
    "write_details",
    "write_drawn",
    "write_sound",
    "write_thinking",
    "write_usage",
]

_EXPIRY = 3600
"""Seconds for which a sound can be given back by its id."""

_SOUND = 4096
"""Characters of base64 in one piece of a sound: a multiple of four, so that each can be decoded alone."""


@dataclass
class Said:
    """What an answer holds, by kind; a text that is None was not said, not even an empty one."""

    thoughts: list[ReasoningPart] = field(default_factory=list)
    text: str | None = None
    refusal: str | None = None
    calls: list[ToolCall] = field(default_factory=list)
    sound: Audio | None = None
    images: list[Image] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, contents: Sequence[AssistantContent]) -> Said:
        """Sort the contents of an answer."""
        said = cls()
        for content in contents:
            # By their words: to ask a class of pydantic's takes longer than all the rest.
            if content.type == "text":
                said.text = content.text if said.text is None else said.text + content.text
            elif content.type == "refusal":
                said.refusal = content.text if said.refusal is None else said.refusal + content.text
            elif content.type == "reasoning":
                said.thoughts += content.parts
            elif content.type == "tool_call":
                said.calls.append(content)
            elif content.type == "audio":
                said.sound = said.sound or content
            elif content.type == "image":
                said.images.append(content)
            else:
                said.parts.append(content.raw)
        return said

    @property
    def only_calls(self) -> bool:
        """Whether there is nothing but tool calls."""
        return self.text is None and self.refusal is None and not self.thoughts and not self.parts

    def content(self, dialect: Dialect) -> Any:
        """Return the content of a plain message."""
        parts = list(self.parts)
        if dialect.contents:
            parts = [write_thinking(part.text) for part in self.thoughts if part.kind == "text"] + parts
        if parts:
            return parts if self.text is None else [*parts, {"type": "text", "text": self.text}]
        return dialect.no_text if self.text is None and self.calls else self.text


def write_usage(usage: Usage, dialect: Dialect) -> dict[str, Any]:
    """Return the usage object: the one that was read, if it says the same, or a new one."""
    if usage.details and normalise("openai_chat", usage.details) == usage:
        return usage.details
    prompt, completion = usage.input_tokens, usage.output_tokens
    if dialect.beside:
        completion -= min(completion, usage.reasoning_tokens)
    inputs = dict.fromkeys(dialect.inputs, 0)
    outputs = dict.fromkeys(dialect.outputs, 0)
    for found, key, count in (
        (inputs, "text_tokens", prompt if "text_tokens" in inputs else 0),
        (inputs, "cached_tokens", usage.cached_input_tokens),
        (inputs, "cache_write_tokens", usage.cache_creation_input_tokens),
        (outputs, "reasoning_tokens", usage.reasoning_tokens),
    ):
        if count:
            found[key] = count
    found = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": usage.total_tokens}
    details = {"prompt_tokens_details": inputs, "completion_tokens_details": outputs}
    hits = {
        "prompt_cache_hit_tokens": usage.cached_input_tokens,
        "prompt_cache_miss_tokens": prompt - usage.cached_input_tokens,
    }
    return {
        **found,
        **{key: value for key, value in details.items() if value},
        **(hits if dialect.cache_hits else {}),
        **dialect.usage_more,
    }


def grown(usage: dict[str, Any], place: int, of: int) -> dict[str, Any]:
    """Return the usage as it is after so many frames."""
    if place == of:
        return usage
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"] * place // of
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def cut_text(text: str, tokens: list[TokenLogProb], cut: Cut) -> list[tuple[str, list[TokenLogProb]]]:
    """Cut a text: where its tokens are known, into these."""
    if tokens and "".join(token.token for token in tokens) == text:
        return [(token.token, [token]) for token in tokens]
    return [(piece, []) for piece in cut.text(text)]


def write_details(parts: Sequence[ReasoningPart]) -> list[dict[str, Any]]:
    """Return OpenRouter's `reasoning_details`."""
    return [write_detail(part, place) for place, part in enumerate(parts)]


def write_detail(part: ReasoningPart, place: int) -> dict[str, Any]:
    if part.kind not in {"text", "summary"}:
        return {
            "type": "reasoning.encrypted",
            "data": part.text,
            "format": "openai-responses-v1",
            "index": place,
        }
    form = "anthropic-claude-v1" if part.signature else "unknown"
    found: dict[str, Any] = {"type": f"reasoning.{part.kind}", "format": form, "index": place}
    if part.text:
        found[part.kind] = part.text
    if part.signature:
        found["signature"] = part.signature
    return found


def write_thinking(text: str) -> dict[str, Any]:
    """Return a part of Mistral's contents."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def write_sound(sound: Audio, created: int) -> dict[str, Any]:
    """Return the sound of a plain answer, with the time until which it can be given back by its id."""
    found = {"id": sound.id, "data": sound.data, "transcript": sound.transcript}
    told = {key: value for key, value in found.items() if value is not None}
    return {**told, "expires_at": created + _EXPIRY}


def sound_deltas(sound: Audio | None, created: int, cut: Cut) -> Iterator[dict[str, Any]]:
    """Yield a sound as a stream brings it: its id and words, its data in pieces, the end of its time."""
    if sound is None:
        return
    whole = write_sound(sound, created)
    words, data, expiry = whole.pop("transcript", ""), whole.pop("data"), whole.pop("expires_at")
    for piece in cut.text(words):
        yield {**whole, "transcript": piece}
        whole = {}
    for at in range(0, len(data), _SOUND):
        yield {**whole, "data": data[at : at + _SOUND]}
        whole = {}
    yield {**whole, "expires_at": expiry}


def write_drawn(image: Image, dialect: Dialect) -> Any:
    """Return an image that the model drew: an `image_url` part, or its text alone where that is the form."""
    if not dialect.bare_images:
        return write_image(image)
    if image.source == "base64" and image.media_type is None:
        return image.data
    return write_image(image)["image_url"]["url"]

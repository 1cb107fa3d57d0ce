"""Contents in the making: what has come of each, until it is whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import parse, text
from llmreplay.completion import Audio, ProviderContent, Reasoning, ReasoningPart, Refusal, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmreplay.completion import AssistantContent

__all__ = ["Call", "Part", "Provided", "Sound", "Thought", "Whole", "Words"]


@dataclass
class Words:
    """A text or a refusal in the making."""

    pieces: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    refused: bool = False

    def content(self) -> AssistantContent:
        """Return the content so far."""
        said = text("".join(self.pieces))
        return Refusal(text=said) if self.refused else Text(text=said, extra=self.extra)


@dataclass
class Thought:
    """Reasoning in the making: its parts by key, each with kind, pieces and signature."""

    parts: dict[Hashable, tuple[str, list[str]]] = field(default_factory=dict)
    signatures: dict[Hashable, str] = field(default_factory=dict)
    id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def content(self) -> AssistantContent:
        """Return the content so far."""
        parts = [
            ReasoningPart(kind=kind, text=text("".join(pieces)), signature=self.signatures.get(key))  # type: ignore[arg-type]  # one of four words
            for key, (kind, pieces) in self.parts.items()
        ]
        return Reasoning(parts=parts, id=self.id, extra=self.extra)


@dataclass
class Call:
    """A tool call in the making; `given` are arguments that came parsed."""

    index: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    given: Any = None
    signature: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def content(self) -> ToolCall:
        """Return the call so far."""
        fields: dict[str, Any] = {
            "id": self.id,
            "index": self.index,
            "signature": self.signature,
            "extra": self.extra,
        }
        written = text("".join(self.pieces))
        if self.given is not None:
            return ToolCall(name=self.name, arguments=self.given, arguments_raw=written, **fields)
        return ToolCall.written(self.name, written, **fields)


@dataclass
class Sound:
    """A sound in the making."""

    id: str | None = None
    data: list[str] = field(default_factory=list)
    transcript: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def content(self) -> AssistantContent:
        """Return the content so far."""
        said = "".join(self.transcript) or None
        return Audio(data="".join(self.data), id=self.id, transcript=said, extra=self.extra)


@dataclass
class Provided:
    """Something of the provider in the making; `pieces` are the JSON of its input."""

    kind: str
    raw: dict[str, Any]
    pieces: list[str] = field(default_factory=list)

    def content(self) -> AssistantContent:
        """Return the content so far; input that is not JSON stays as it was written."""
        written = "".join(self.pieces)
        if not written.strip():
            return ProviderContent(kind=self.kind, raw=self.raw)
        try:
            given = parse(written)
        except ValueError:
            given = written
        return ProviderContent(kind=self.kind, raw={**self.raw, "input": given})


@dataclass
class Whole:
    """Something that came at once."""

    value: AssistantContent

    def content(self) -> AssistantContent:
        """Return the content."""
        return self.value


Part = Words | Thought | Call | Sound | Provided | Whole

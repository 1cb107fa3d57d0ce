"""What a message can hold: text, media, tool calls and their results, reasoning, refusals."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from llmreplay.completion._value import Extra, Value

__all__ = [
    "AssistantContent",
    "Audio",
    "Document",
    "Image",
    "Json",
    "ProviderContent",
    "Reasoning",
    "ReasoningPart",
    "Refusal",
    "Source",
    "Text",
    "ToolCall",
    "ToolResult",
    "ToolResultContent",
    "UserContent",
    "Video",
]

Source = Literal["url", "base64", "file_id", "text"]
"""How `data` of a medium is to be read."""


class Text(Value):
    """Text that a user, a tool or a model wrote."""

    type: Literal["text"] = "text"
    text: str
    extra: Extra = Field(default_factory=dict)


class _Medium(Value):
    data: str
    source: Source = "base64"
    media_type: str | None = None
    extra: Extra = Field(default_factory=dict)


class Image(_Medium):
    """An image; `detail` is the resolution asked for (`low`, `high`, `auto`)."""

    type: Literal["image"] = "image"
    detail: str | None = None


class Audio(_Medium):
    """A sound; a model's own has an `id`, by which it can be sent back, and a transcript."""

    type: Literal["audio"] = "audio"
    id: str | None = None
    transcript: str | None = None


class Video(_Medium):
    """A film."""

    type: Literal["video"] = "video"


class Document(_Medium):
    """A document; `source` is `text` if `data` is its text."""

    type: Literal["document"] = "document"
    name: str | None = None


class Json(Value):
    """A result that is JSON rather than text."""

    type: Literal["json"] = "json"
    value: Any


class ToolCall(Value):
    """The model asks for a tool to be run.

    `arguments` are the parsed arguments, `{}` where the model wrote nothing, and None where what
    it wrote is no JSON: `arguments_error` then says why. `arguments_raw` is what it wrote. `index`
    is the place among the calls of the turn, where the wire tells it. `call_id` is a second id,
    on wires that have one; `signature` belongs to the reasoning that led to the call.
    """

    type: Literal["tool_call"] = "tool_call"
    id: str = ""
    name: str
    arguments: Any = Field(default_factory=dict)
    arguments_raw: str = ""
    arguments_error: str | None = None
    call_id: str | None = None
    index: int | None = None
    signature: str | None = None
    extra: Extra = Field(default_factory=dict)

    uncompared = frozenset({"arguments_raw", "index"})

    @classmethod
    def written(cls, name: str, arguments: str, **fields: Any) -> ToolCall:
        """Build a call from the arguments as the model wrote them, valid or not."""
        parsed: Any = {}
        error: str | None = None
        if arguments.strip():
            try:
                parsed = json.loads(arguments)
            except (ValueError, RecursionError) as problem:
                parsed, error = None, str(problem)
        return cls(name=name, arguments=parsed, arguments_raw=arguments, arguments_error=error, **fields)


class Refusal(Value):
    """The model says that it will not."""

    type: Literal["refusal"] = "refusal"
    text: str


class ReasoningPart(Value):
    """A piece of reasoning: readable (`text`, `summary`), or only to be sent back as it is.

    `text` is the data of an `encrypted` or `redacted` piece. `signature` vouches for a `text`.
    """

    kind: Literal["text", "summary", "encrypted", "redacted"] = "text"
    text: str = ""
    signature: str | None = None


class Reasoning(Value):
    """What the model thought before it answered."""

    type: Literal["reasoning"] = "reasoning"
    parts: list[ReasoningPart]
    id: str | None = None
    extra: Extra = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """The readable parts, one below the other."""
        return "\n".join(part.text for part in self.parts if part.kind in {"text", "summary"})


class ProviderContent(Value):
    """Something the provider did or said that has no word here, such as a search of its own.

    `kind` is the provider's word for it, and `raw` the whole of it.
    """

    type: Literal["provider"] = "provider"
    kind: str
    raw: Any


ToolResultContent = Annotated[Text | Image | Document | Json | ProviderContent, Field(discriminator="type")]


class ToolResult(Value):
    """What a tool gave back; `id` is that of the call, `name` that of the tool."""

    type: Literal["tool_result"] = "tool_result"
    id: str
    content: list[ToolResultContent]
    name: str | None = None
    is_error: bool = False
    extra: Extra = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the result; JSON in its compact form."""
        pieces = []
        for content in self.content:
            if isinstance(content, Text):
                pieces.append(content.text)
            elif isinstance(content, Json):
                pieces.append(json.dumps(content.value, ensure_ascii=False, separators=(",", ":")))
        return "".join(pieces)


UserContent = Annotated[
    Text | Image | Audio | Video | Document | ToolResult | ProviderContent, Field(discriminator="type")
]
"""What a message to the model can hold."""

AssistantContent = Annotated[
    Text | ToolCall | Reasoning | Refusal | Image | Audio | ProviderContent, Field(discriminator="type")
]
"""What a message of the model can hold."""

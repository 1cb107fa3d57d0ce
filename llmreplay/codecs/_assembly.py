"""The answers of a stream as they grow: pieces go in, events and whole contents come out.

Rules:

* Contents keep the order in which they began. Pieces of one kind that follow each other are one
  content, unless the wire numbers its contents: then its number (`key`) decides.
* An empty piece tells nothing; a text that stays empty is a content only if there is no other.
* A plain body is a stream of one piece, so that both are read by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from llmreplay.codecs._json import text
from llmreplay.codecs._parts import Call, Part, Provided, Sound, Thought, Whole, Words
from llmreplay.completion import (
    AudioDelta,
    Choice,
    ContentReceived,
    Finished,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmreplay.completion import AssistantContent, LogProbs, StreamEvent

__all__ = ["Assembly"]

_Grown = TypeVar("_Grown", Words, Thought, Sound)


@dataclass
class _Answer:
    parts: list[Part] = field(default_factory=list)
    keyed: dict[Hashable, Part] = field(default_factory=dict)
    raw_reason: str | None = None
    reason: FinishReason | None = None
    logprobs: LogProbs | None = None


class Assembly:
    """The answers of one response, by the number of the choice."""

    def __init__(self) -> None:
        self._answers: dict[int, _Answer] = {}

    def answer(self, choice: int) -> _Answer:
        """Return an answer, begun if it is not."""
        return self._answers.setdefault(choice, _Answer())

    def words(
        self,
        choice: int,
        piece: str,
        *,
        key: Hashable = None,
        refused: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> list[StreamEvent]:
        """Add a piece of text, or of a refusal."""
        if not piece and not extra and key is None and self.answer(choice).parts:
            return []  # or it would part what stands on both sides of it
        part = self._part(choice, key, Words(refused=refused))
        part.extra.update(extra or {})
        part.pieces.append(piece)
        if not piece:
            return []
        told = RefusalDelta if refused else TextDelta
        return [told(choice_index=choice, text=text(piece))]

    def thought(  # noqa: PLR0913  likewise
        self,
        choice: int,
        piece: str,
        *,
        kind: str = "text",
        key: Hashable = None,
        part: Hashable = None,
        signature: str = "",
    ) -> list[StreamEvent]:
        """Add a piece of reasoning to its content (`key`), and there to its `part`."""
        if not piece and not signature and key is None and self.answer(choice).parts:
            return []
        found = self._part(choice, key, Thought())
        place = (kind, part)
        if piece or place in found.parts or signature:
            found.parts.setdefault(place, (kind, []))[1].append(piece)
        if signature:
            found.signatures[place] = found.signatures.get(place, "") + text(signature)
        if not piece:
            return []
        if kind in {"text", "summary"}:
            return [ReasoningDelta(choice_index=choice, text=text(piece))]
        sealed = ReasoningPart(kind=kind, text=text(piece))  # type: ignore[arg-type]  # one of four words
        return [ContentReceived(choice_index=choice, content=Reasoning(parts=[sealed]))]

    def call(self, choice: int, key: Hashable, *, id: str, name: str) -> tuple[Call, list[StreamEvent]]:  # noqa: A002  the wires' word
        """Begin a tool call; it is given too, to be added to."""
        call = Call(sum(isinstance(part, Call) for part in self.answer(choice).parts), id, name)
        self.answer(choice).parts.append(call)
        self.answer(choice).keyed[key] = call
        return call, [ToolCallStart(choice_index=choice, index=call.index, id=id, name=name)]

    def arguments(self, choice: int, call: Call, piece: str) -> list[StreamEvent]:
        """Add a piece of the arguments of a tool call."""
        if not piece:
            return []
        call.pieces.append(piece)
        return [ToolCallDelta(choice_index=choice, index=call.index, arguments=text(piece))]

    def sound(self, choice: int, *, id: str | None, data: str, transcript: str) -> list[StreamEvent]:  # noqa: A002  likewise
        """Add a piece of sound."""
        part = self._part(choice, None, Sound())
        part.id = part.id or id
        part.data.append(data)
        part.transcript.append(transcript)
        return (
            [AudioDelta(choice_index=choice, data=data, transcript=transcript)] if data or transcript else []
        )

    def whole(self, choice: int, content: AssistantContent) -> list[StreamEvent]:
        """Add something that came at once."""
        self.answer(choice).parts.append(Whole(content))
        return [ContentReceived(choice_index=choice, content=content)]

    def provided(self, choice: int, kind: str, raw: dict[str, Any], *, key: Hashable) -> list[StreamEvent]:
        """Begin something of the provider."""
        part = Provided(kind, raw)
        self.answer(choice).parts.append(part)
        self.answer(choice).keyed[key] = part
        return []

    def received(self, choice: int, part: Provided) -> list[StreamEvent]:
        """End something of the provider."""
        return [ContentReceived(choice_index=choice, content=part.content())]

    def ended(self, choice: int, call: Call) -> list[StreamEvent]:
        """End a tool call."""
        return [ToolCallEnd(choice_index=choice, index=call.index, tool_call=call.content())]

    def finish(self, choice: int, raw: str, reason: FinishReason) -> list[StreamEvent]:
        """End an answer; one that asks for tools is not at a mere stop, whatever the wire says."""
        answer = self.answer(choice)
        again = answer.reason is not None
        calls = any(isinstance(part, Call) for part in answer.parts)
        answer.raw_reason = raw
        answer.reason = FinishReason.TOOL_CALLS if calls and reason == FinishReason.STOP else reason
        if again:
            return []
        return [Finished(choice_index=choice, finish_reason=answer.reason, raw_finish_reason=raw)]

    def calls(self, choice: int) -> list[Call]:
        """Return the tool calls of an answer, in order."""
        return [part for part in self.answer(choice).parts if isinstance(part, Call)]

    @property
    def finished(self) -> bool:
        """Whether there are answers, and all have an end."""
        return bool(self._answers) and all(answer.reason is not None for answer in self._answers.values())

    def choices(self) -> list[Choice]:
        """Return all answers, by their number."""
        return [
            Choice(
                index=index,
                contents=self.contents(index),
                finish_reason=answer.reason,
                raw_finish_reason=answer.raw_reason,
                logprobs=answer.logprobs,
            )
            for index, answer in sorted(self._answers.items())
        ]

    def contents(self, choice: int) -> list[Any]:
        """Return the contents of an answer, in order."""
        contents = [part.content() for part in self.answer(choice).parts]
        told = [content for content in contents if not isinstance(content, (Text, Refusal)) or content.text]
        told = [content for content in told if not isinstance(content, Reasoning) or content.parts]
        return told or [content for content in contents if isinstance(content, Text)][:1]

    def _part(self, choice: int, key: Hashable, fresh: _Grown) -> _Grown:
        """Return the content to go on with: by its key, else the last one, if it is of the same kind."""
        answer = self.answer(choice)
        known = answer.keyed.get(key) if key is not None else next(reversed(answer.parts), None)
        # A refusal does not go on with a text.
        if isinstance(known, type(fresh)) and vars(known).get("refused") == vars(fresh).get("refused"):
            return known
        if key is not None:
            answer.keyed[key] = fresh
        answer.parts.append(fresh)
        return fresh

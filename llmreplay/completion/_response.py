"""What a model answered."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from llmreplay.completion._contents import AssistantContent, Reasoning, Text, ToolCall
from llmreplay.completion._request import Message
from llmreplay.completion._usage import Usage
from llmreplay.completion._value import Raw, Value

__all__ = ["Choice", "CompletionResponse", "FinishReason", "LogProbs", "TokenLogProb", "TopLogProb"]


class FinishReason(StrEnum):
    """Why a model stopped; a reason that is none of these is spelled as the wire spells it.

    It compares as text: `response.finish_reason == "stop"`, `FinishReason("pause_turn")`.
    """

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"

    @classmethod
    def _missing_(cls, value: object) -> FinishReason | None:
        if not isinstance(value, str):
            return None
        other = str.__new__(cls, value)
        other._name_, other._value_ = "OTHER", value
        return other

    @property
    def truncated(self) -> bool:
        """Whether the answer is not all the model would have said."""
        return self in {"length", "content_filter"}


class TopLogProb(Value):
    """A token that could have been, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogProb(TopLogProb):
    """A token of the answer, and what could have been in its place."""

    top_logprobs: list[TopLogProb] = Field(default_factory=list)


class LogProbs(Value):
    """The probabilities of the tokens of the text, and of a refusal."""

    content: list[TokenLogProb] = Field(default_factory=list)
    refusal: list[TokenLogProb] = Field(default_factory=list)


class Choice(Value):
    """One of several answers, if several were asked for."""

    index: int = 0
    contents: list[AssistantContent]
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    logprobs: LogProbs | None = None


class CompletionResponse(Value):
    """What a model answered.

    `choice` holds the contents of the (first) answer, in order; it is empty where the model said
    nothing, as it may when it is cut short. `choices` holds all answers. `finish_reason` is None
    where the wire gave none, and `raw_finish_reason` is the wire's spelling.

    `raw` is the body as parsed; of a stream, the list of its data. `created` is in seconds since
    1970. `provider` is who answered, as far as the host tells.
    """

    choice: list[AssistantContent]
    usage: Usage = Usage()
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    others: list[Choice] = Field(default_factory=list)
    logprobs: LogProbs | None = None
    citations: list[Any] = Field(default_factory=list)
    response_id: str | None = None
    message_id: str | None = None
    request_id: str | None = None
    model: str | None = None
    provider: str | None = None
    created: int | None = None
    object: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    raw: Raw = None

    uncompared = frozenset({"raw"})

    @property
    def choices(self) -> list[Choice]:
        """All answers; `choice` and what belongs to it are the first."""
        first = Choice(
            index=0,
            contents=self.choice,
            finish_reason=self.finish_reason,
            raw_finish_reason=self.raw_finish_reason,
            logprobs=self.logprobs,
        )
        return [first, *self.others]

    @property
    def text(self) -> str:
        """The text of the answer; empty if there is none."""
        return "".join(content.text for content in self.choice if isinstance(content, Text))

    @property
    def content(self) -> str | None:
        """The text of the answer; None if there is none."""
        return self.text if any(isinstance(content, Text) for content in self.choice) else None

    @property
    def reasoning_content(self) -> str | None:
        """The readable reasoning; None if there is none."""
        pieces = [content.text for content in self.choice if isinstance(content, Reasoning)]
        return "\n".join(piece for piece in pieces if piece) or None

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools that the model asks for, in its order."""
        return [content for content in self.choice if isinstance(content, ToolCall)]

    @property
    def first_tool_call(self) -> ToolCall | None:
        """The first tool that the model asks for; None if there is none."""
        return next(iter(self.tool_calls), None)

    def assistant_message(self) -> Message:
        """Return the answer as a message, to go on with the conversation."""
        return Message.assistant(*self.choice, id=self.message_id)

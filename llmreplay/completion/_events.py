"""What a client is told while a model answers, in order."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from llmreplay.completion._contents import AssistantContent, Reasoning, Refusal, Text, ToolCall
from llmreplay.completion._errors import CompletionError  # noqa: TC001  pydantic reads the annotations
from llmreplay.completion._response import CompletionResponse, FinishReason  # noqa: TC001  likewise
from llmreplay.completion._usage import Usage  # noqa: TC001  likewise
from llmreplay.completion._value import Value

__all__ = [
    "AudioDelta",
    "ContentReceived",
    "Final",
    "Finished",
    "ReasoningDelta",
    "RefusalDelta",
    "Started",
    "StreamError",
    "StreamEvent",
    "TextDelta",
    "ToolCallDelta",
    "ToolCallEnd",
    "ToolCallStart",
    "UnknownEvent",
    "UsageReported",
    "told",
]


class StreamEvent(Value):
    """Something a client is told; `choice_index` says of which answer, if several were asked for."""

    choice_index: int = 0


class Started(StreamEvent):
    """The answer begins."""

    response_id: str | None = None
    model: str | None = None


class TextDelta(StreamEvent):
    """A piece of text."""

    text: str


class ReasoningDelta(StreamEvent):
    """A piece of readable reasoning."""

    text: str


class RefusalDelta(StreamEvent):
    """A piece of a refusal."""

    text: str


class AudioDelta(StreamEvent):
    """A piece of sound (base64), or of its transcript."""

    data: str = ""
    transcript: str = ""


class ToolCallStart(StreamEvent):
    """A tool call begins; `index` is its place among the calls of this answer."""

    index: int
    id: str
    name: str


class ToolCallDelta(StreamEvent):
    """A piece of the arguments of a tool call, as text."""

    index: int
    arguments: str


class ToolCallEnd(StreamEvent):
    """A tool call is complete."""

    index: int
    tool_call: ToolCall


class ContentReceived(StreamEvent):
    """Something came that is not told in pieces: an image, sealed reasoning, a search."""

    content: AssistantContent


class UsageReported(StreamEvent):
    """What was used so far; a later report replaces an earlier one."""

    usage: Usage


class Finished(StreamEvent):
    """One answer is at its end."""

    finish_reason: FinishReason
    raw_finish_reason: str


class StreamError(StreamEvent):
    """An error was reported, or a frame could not be read."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    error: CompletionError


class UnknownEvent(StreamEvent):
    """Something the vocabulary has no word for: `name` is the wire's, `data` all of it."""

    name: str
    data: Any = None


class Final(StreamEvent):
    """Everything is told; a stream that breaks off has none."""

    response: CompletionResponse


def told(response: CompletionResponse) -> list[StreamEvent]:
    """Return the events that a stream of this response could have consisted of."""
    events: list[StreamEvent] = [Started(response_id=response.response_id, model=response.model)]
    for choice in response.choices:
        calls = 0
        for content in choice.contents:
            if isinstance(content, ToolCall):
                events += _call(content, calls, choice.index)
                calls += 1
            else:
                events.append(_content(content, choice.index))
        if choice.finish_reason is not None:
            events.append(
                Finished(
                    choice_index=choice.index,
                    finish_reason=choice.finish_reason,
                    raw_finish_reason=choice.raw_finish_reason or choice.finish_reason,
                )
            )
    if response.usage.has_values:
        events.append(UsageReported(usage=response.usage))
    return [*events, Final(response=response)]


def _call(call: ToolCall, index: int, choice: int) -> list[StreamEvent]:
    return [
        ToolCallStart(choice_index=choice, index=index, id=call.id, name=call.name),
        ToolCallDelta(choice_index=choice, index=index, arguments=call.arguments_raw),
        ToolCallEnd(choice_index=choice, index=index, tool_call=call),
    ]


def _content(content: Any, choice: int) -> StreamEvent:
    if isinstance(content, Text):
        return TextDelta(choice_index=choice, text=content.text)
    if isinstance(content, Refusal):
        return RefusalDelta(choice_index=choice, text=content.text)
    if isinstance(content, Reasoning) and content.text:
        return ReasoningDelta(choice_index=choice, text=content.text)
    return ContentReceived(choice_index=choice, content=content)

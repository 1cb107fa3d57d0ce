"""What is told while an agent runs, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmreplay.agent._hook import ToolOutcome
    from llmreplay.agent._steps import CompletionCall, PromptResponse
    from llmreplay.completion import StreamEvent, ToolCall

__all__ = [
    "AgentEvent",
    "CallCompleted",
    "ModelEvent",
    "RunFinished",
    "ToolCommitted",
    "ToolReturned",
    "TurnRetried",
]


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Something that is told while an agent runs, in the turn of this number, from 0."""

    turn: int


@dataclass(frozen=True, slots=True)
class ModelEvent(AgentEvent):
    """The model says something: any event of its stream."""

    event: StreamEvent


@dataclass(frozen=True, slots=True)
class CallCompleted(AgentEvent):
    """A call of the model was answered, and counts."""

    call: CompletionCall


@dataclass(frozen=True, slots=True)
class TurnRetried(AgentEvent):
    """The answer of this turn does not stand; the model is asked again."""


@dataclass(frozen=True, slots=True)
class ToolCommitted(AgentEvent):
    """A tool was run, with these arguments. Told when all tools of the turn are done, as are results."""

    tool_call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolReturned(AgentEvent):
    """This came of a call of a tool: `outcome.result` for the model to read, `outcome.output` as it was."""

    outcome: ToolOutcome


@dataclass(frozen=True, slots=True)
class RunFinished(AgentEvent):
    """There is an answer; the last event. Of a typed prompt, `response.output` is the value."""

    response: PromptResponse[Any]

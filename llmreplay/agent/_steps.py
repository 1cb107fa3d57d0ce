"""What a run is made with, what it wants next, and what it gives in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from llmreplay.agent._output import Output  # noqa: TC001  pydantic reads the annotations
from llmreplay.completion import AssistantContent, CompletionRequest, Message, ToolCall, ToolChoice, Usage
from llmreplay.completion._value import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.agent._hook import RequestPatch

__all__ = [
    "CallModel",
    "CallTools",
    "CompletionCall",
    "Done",
    "PromptResponse",
    "RunSettings",
    "allowed_tools",
    "available_tools",
    "request_of",
]

T = TypeVar("T")


class CompletionCall(Value):
    """A call of the model that was answered: its number in the run, from 0, and its tokens."""

    call_index: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class PromptResponse(Generic[T]):
    """What came of a prompt.

    Attributes:
        output: The answer: the text of the last turn, or the value of a typed prompt.
        usage: The tokens of all calls of the model, also of turns that were retried.
        completion_calls: The same, call by call.
        messages: What was said: the prompt, and all turns; not the history before it.
        content: Everything that the last turn holds.
    """

    output: T
    usage: Usage
    completion_calls: list[CompletionCall] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    content: list[AssistantContent] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How often the model was called."""
        return len(self.completion_calls)


@dataclass(frozen=True, slots=True)
class CallModel:
    """The model is to be called, for the turn of this number, from 0."""

    turn: int
    request: CompletionRequest


@dataclass(frozen=True, slots=True)
class CallTools:
    """These tools are to be run, all of them; results are taken in any order."""

    turn: int
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """There is an answer."""

    response: PromptResponse[str]


class RunSettings(Value):
    """What an agent gives a run on its way; data alone, so that a run can be stored.

    Attributes:
        request: What every request has in common: tools, documents, temperature …; no messages.
        preamble: The system prompt.
        max_turns: How often the model may be called, at most.
        max_invalid_tool_call_retries: How often a hook may have a turn repeated for an invalid call.
        output: The value that the answer must be, if not just text.
    """

    request: CompletionRequest = CompletionRequest(messages=[])
    preamble: str | None = None
    max_turns: int = 1
    max_invalid_tool_call_retries: int = 0
    output: Output | None = None


def available_tools(settings: RunSettings) -> list[str]:
    """Return the names of all tools of the agent."""
    return settings.request.tool_names


def allowed_tools(settings: RunSettings, patch: RequestPatch) -> list[str]:
    """Return the names of the tools that the model may use in a turn."""
    choice = patch.tool_choice or settings.request.tool_choice
    if choice is not None and choice.mode == "none":
        return []
    named = [
        name for name in available_tools(settings) if patch.active_tools is None or name in patch.active_tools
    ]
    if choice is not None and choice.names:
        return [name for name in named if name in choice.names]
    return named


def request_of(
    settings: RunSettings, patch: RequestPatch, conversation: Sequence[Message]
) -> CompletionRequest:
    """Return the request for a turn; the last message of the conversation is the one that is sent."""
    common, output = settings.request, settings.output
    said = [settings.preamble if patch.preamble is None else patch.preamble, output and output.instructions]
    system = "\n\n".join(text for text in said if text)
    past = conversation[:-1] if patch.history is None else patch.history
    choice = patch.tool_choice or common.tool_choice
    active = patch.active_tools
    tools = [
        tool for tool in common.tools if tool.type == "provider" or active is None or tool.name in active
    ]
    if output is not None and output.mode == "tool":
        tools.append(output.tool)
        choice = choice or ToolChoice(mode="required")
    changes = {
        "messages": [*([Message.system(system)] if system else []), *past, conversation[-1]],
        "tools": tools,
        "tool_choice": choice,
        "documents": [*common.documents, *patch.extra_context],
        "extra": {**common.extra, **(patch.additional_params or {})},
    }
    for name in ("temperature", "max_tokens"):
        if (value := getattr(patch, name)) is not None:
            changes[name] = value
    if output is not None and output.mode == "native":
        changes["output_schema"] = output.json_schema
    return common.model_copy(update=changes)

"""Hooks: what code may see and change while an agent runs.

Rules:

* Every method may be sync or async, and may return None: go on as if nothing had been said.
* Several hooks are asked in their order. Patches are merged and rewritten values handed on; the first
  other outcome is the one that counts, and no further hook is asked.
* What a hook raises ends the run as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from llmreplay.completion import Document, Message, ToolChoice  # noqa: TC001  pydantic reads the annotations
from llmreplay.completion._value import Value

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from llmreplay.agent._tool_error import ToolError
    from llmreplay.completion import (
        CompletionRequest,
        CompletionResponse,
        TextDelta,
        ToolCall,
        ToolCallDelta,
        ToolResult,
    )

__all__ = [
    "Continue",
    "Fail",
    "Hook",
    "InvalidToolCall",
    "InvalidToolCallOutcome",
    "Repair",
    "RequestPatch",
    "Retry",
    "Rewrite",
    "Skip",
    "Stop",
    "ToolOutcome",
]


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on; the same as None."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run: `PromptCancelled` with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask the model again, with some feedback; without, the same again, as if it had not answered."""

    feedback: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """End the run with `UnknownToolCall`; what happens to an invalid call where no hook says otherwise."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Take a call for that of another tool."""

    tool_name: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Do not run the tool, and tell the model why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Go on with this: other arguments for a tool, or something else for the model to read of its result."""

    value: Any


class RequestPatch(Value):
    """What one call of the model has otherwise than the agent would; None leaves it as it is.

    `a | b` merges two: of most fields the later one counts; `active_tools` keep what both allow,
    `additional_params` are merged by key, and `extra_context` is what both add.

    Attributes:
        preamble: The system prompt.
        active_tools: The names of the tools that are offered, of those that the agent has.
        additional_params: Fields of the wire, added to those of the agent.
        extra_context: Documents, added to those of the agent.
        history: What stands before the message that is sent.
    """

    preamble: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    tool_choice: ToolChoice | None = None
    active_tools: list[str] | None = None
    additional_params: dict[str, Any] | None = None
    extra_context: list[Document] = Field(default_factory=list)
    history: list[Message] | None = None

    def __or__(self, later: RequestPatch) -> RequestPatch:
        said = {name: value for name, value in later if value is not None}
        if self.active_tools is not None and later.active_tools is not None:
            said["active_tools"] = [name for name in self.active_tools if name in later.active_tools]
        said["additional_params"] = {
            **(self.additional_params or {}),
            **(later.additional_params or {}),
        } or None
        said["extra_context"] = [*self.extra_context, *later.extra_context]
        return self.model_copy(update=said)


@dataclass(frozen=True, slots=True)
class InvalidToolCall:
    """A call of a tool that does not exist, or is not allowed now.

    Attributes:
        call: What the model asks for.
        available_tools: The names of all tools of the agent.
        allowed_tools: Those that the model may use in this turn.
        peers: The other calls of the turn.
    """

    call: ToolCall
    available_tools: tuple[str, ...]
    allowed_tools: tuple[str, ...]
    peers: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What came of a call of a tool.

    Attributes:
        call: What was run; its arguments are those after all hooks.
        output: What the function returned; None if it failed or was not run.
        error: How it failed; None if it did not.
        result: What the model reads.
        ran: Whether the function was called, rather than skipped.
    """

    call: ToolCall
    output: Any
    error: ToolError | None
    result: ToolResult
    ran: bool = True


InvalidToolCallOutcome = Continue | Fail | Retry | Repair | Skip | Stop


class Hook:
    """Base class: override what you need. Turns count from 0.

    The methods that return None always only look on.
    """

    def on_completion_call(
        self, turn: int, request: CompletionRequest
    ) -> RequestPatch | Continue | Stop | Awaitable[RequestPatch | Continue | Stop | None] | None:
        """The model is about to be asked. A `RequestPatch` holds for this call alone."""

    def on_completion_response(self, turn: int, response: CompletionResponse) -> Awaitable[None] | None:
        """The model has answered."""

    def on_model_turn_finished(
        self, turn: int, response: CompletionResponse
    ) -> Continue | Retry | Stop | Awaitable[Continue | Retry | Stop | None] | None:
        """An answer is to be used now. One that calls tools cannot be retried."""

    def on_invalid_tool_call(
        self, turn: int, invalid: InvalidToolCall
    ) -> InvalidToolCallOutcome | Awaitable[InvalidToolCallOutcome | None] | None:
        """The model calls what it was not given; `Retry` needs a feedback and a budget of its own."""

    def on_tool_call(
        self, turn: int, call: ToolCall
    ) -> Continue | Rewrite | Skip | Stop | Awaitable[Continue | Rewrite | Skip | Stop | None] | None:
        """A tool is about to be run; `Rewrite` gives it other arguments."""

    def on_tool_result(
        self, turn: int, outcome: ToolOutcome
    ) -> Continue | Rewrite | Stop | Awaitable[Continue | Rewrite | Stop | None] | None:
        """A tool was run; `Rewrite` gives the model something else to read."""

    def on_text_delta(
        self, turn: int, delta: TextDelta
    ) -> Continue | Stop | Awaitable[Continue | Stop | None] | None:
        """A piece of text came, in a stream."""

    def on_tool_call_delta(
        self, turn: int, delta: ToolCallDelta
    ) -> Continue | Stop | Awaitable[Continue | Stop | None] | None:
        """A piece of a tool call came, in a stream."""

    def on_stream_response_finish(self, turn: int, response: CompletionResponse) -> Awaitable[None] | None:
        """A stream came to its end."""

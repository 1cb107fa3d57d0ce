"""How a run of an agent fails, and what lies beneath: every error still answers for the provider's.

    AgentError                      `completion_error`, `status`, `body`, `json()`, `retryable`, `usage`
    ├── PromptError                 a prompt has no answer
    │   ├── CompletionFailed        a call of the model failed; `completion_error` is why
    │   ├── MaxTurnsError           the model wants more calls than it may have
    │   ├── PromptCancelled         a hook ended the run; `reason` is why
    │   ├── UnknownToolCall         the model asks for a tool that it was not given
    │   └── MemoryFailed            the conversation so far could not be loaded
    ├── StructuredOutputError       a typed prompt has no value
    │   ├── TypedPromptFailed       because the prompt has no answer: `prompt_error`
    │   ├── EmptyResponse           because the answer is empty
    │   └── DeserializationError    because the answer is no such value: `text`, `problem`
    └── ExtractionError             nothing was extracted
        ├── NoData                  the model did not submit anything
        ├── InvalidData             what it submitted is no such value: `data`, `problem`
        └── ExtractionFailed        because the prompt has no answer: `prompt_error`

These are ordinary exceptions, like `CompletionError`: they are what the code under test has to handle.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.completion import CompletionError, Message, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AgentError",
    "CompletionFailed",
    "DeserializationError",
    "EmptyResponse",
    "ExtractionError",
    "ExtractionFailed",
    "InvalidData",
    "MaxTurnsError",
    "MemoryFailed",
    "NoData",
    "PromptCancelled",
    "PromptError",
    "StructuredOutputError",
    "TypedPromptFailed",
    "UnknownToolCall",
]


class AgentError(Exception):
    """A run of an agent failed.

    Attributes:
        completion_error: How a call of the model failed, if that is what it comes from; else None.
        usage: The tokens of the calls that were answered before.
    """

    def __init__(
        self, message: str, *, completion_error: CompletionError | None = None, usage: Usage | None = None
    ) -> None:
        self.completion_error, self.usage = completion_error, usage or Usage()
        super().__init__(message)

    @property
    def status(self) -> int | None:
        """The HTTP status of the provider's answer; None where there was none."""
        return None if self.completion_error is None else self.completion_error.status

    @property
    def body(self) -> Any:
        """What the provider answered: parsed, where it is JSON, else text; None where there was nothing."""
        return None if self.completion_error is None else self.completion_error.body

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed when it is tried again."""
        return self.completion_error is not None and self.completion_error.retryable

    def json(self) -> Any:
        """Return the provider's answer as JSON, None where it is absent or empty.

        Raises ValueError if it is not JSON.
        """
        if self.body is None or self.body == "":
            return None
        return json.loads(self.body) if isinstance(self.body, str) else self.body

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between the processes of a distributed test run.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[AgentError], args: tuple[Any, ...], fields: dict[str, Any]) -> AgentError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class PromptError(AgentError):
    """A prompt has no answer.

    Attributes:
        chat_history: The whole conversation up to the failure, with the turn that led to it.
    """

    def __init__(self, message: str, *, chat_history: Sequence[Message] = (), **fields: Any) -> None:
        self.chat_history = list(chat_history)
        super().__init__(message, **fields)


class CompletionFailed(PromptError):
    """A call of the model failed; `completion_error` says how."""

    def __init__(self, completion_error: CompletionError, **fields: Any) -> None:
        super().__init__(str(completion_error), completion_error=completion_error, **fields)


class MaxTurnsError(PromptError):
    """The model wants more calls than it may have.

    Attributes:
        max_turns: How many it may have.
        prompt: The message that could not be sent any more; tools had run for it, if it holds results.
    """

    def __init__(self, max_turns: int, prompt: Message, **fields: Any) -> None:
        self.max_turns, self.prompt = max_turns, prompt
        super().__init__(
            f"there is no answer yet, and max_turns={max_turns} allows no further call of the model",
            **fields,
        )


class PromptCancelled(PromptError):
    """A hook ended the run; calls at the end of the history are then not answered."""

    def __init__(self, reason: str, **fields: Any) -> None:
        self.reason = reason
        super().__init__(f"the run was stopped: {reason}", **fields)


class UnknownToolCall(PromptError):
    """The model asks for a tool that it was not given, or may not use now. No tool of the turn ran.

    Attributes:
        tool_name: What it asks for.
        available_tools: The names of all tools of the agent.
        allowed_tools: Those that the model may use in this turn.
    """

    def __init__(
        self, tool_name: str, available_tools: Sequence[str], allowed_tools: Sequence[str], **fields: Any
    ) -> None:
        self.tool_name = tool_name
        self.available_tools, self.allowed_tools = list(available_tools), list(allowed_tools)
        allowed = ", ".join(allowed_tools) or "none"
        super().__init__(f"the model calls the tool {tool_name!r}; allowed are: {allowed}", **fields)


class MemoryFailed(PromptError):
    """The conversation so far could not be loaded; `__cause__` says why."""


class StructuredOutputError(AgentError):
    """A typed prompt has no value."""


class TypedPromptFailed(StructuredOutputError):
    """A typed prompt has no value, because it has no answer; `prompt_error` says why."""

    def __init__(self, prompt_error: PromptError) -> None:
        self.prompt_error = prompt_error
        super().__init__(
            str(prompt_error), completion_error=prompt_error.completion_error, usage=prompt_error.usage
        )


class EmptyResponse(StructuredOutputError):
    """A typed prompt has no value, because the answer is empty."""


class DeserializationError(StructuredOutputError):
    """The answer is no value of the type; `text` is the answer, `problem` what is wrong with it."""

    def __init__(self, text: str, problem: str, **fields: Any) -> None:
        self.text, self.problem = text, problem
        super().__init__(f"the answer is not of the type that was asked for: {problem}", **fields)


class ExtractionError(AgentError):
    """Nothing was extracted; `usage` is that of all attempts."""


class NoData(ExtractionError):
    """The model did not submit anything."""


class InvalidData(ExtractionError):
    """What the model submitted is no value of the type; `data` is that, `problem` what is wrong with it."""

    def __init__(self, data: Any, problem: str, **fields: Any) -> None:
        self.data, self.problem = data, problem
        super().__init__(f"what was submitted is not of the type that was asked for: {problem}", **fields)


class ExtractionFailed(ExtractionError):
    """Nothing was extracted, because the prompt has no answer; `prompt_error` says why."""

    def __init__(self, prompt_error: PromptError, **fields: Any) -> None:
        self.prompt_error = prompt_error
        super().__init__(str(prompt_error), completion_error=prompt_error.completion_error, **fields)

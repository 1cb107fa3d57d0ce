"""A prompt that is going to be sent: awaited, it gives its answer."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypedDict, TypeVar

from llmreplay.agent._drive import drive
from llmreplay.agent._errors import MemoryFailed, PromptError
from llmreplay.agent._events import RunFinished
from llmreplay.agent._run import AgentRun
from llmreplay.agent._steps import PromptResponse
from llmreplay.agent._stream import AgentStream
from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from llmreplay.agent._drive import Means
    from llmreplay.agent._events import AgentEvent
    from llmreplay.agent._hook import Hook
    from llmreplay.agent._reading import Reading
    from llmreplay.agent._steps import RunSettings
    from llmreplay.completion import Message

__all__ = ["ChatOptions", "DetailedRequest", "PromptOptions", "PromptRequest", "natural"]

T = TypeVar("T")


class ChatOptions(TypedDict, total=False):
    """What can be said of a prompt, by the names of the methods of `PromptRequest`."""

    max_turns: int
    tool_concurrency: int
    hooks: Sequence[Hook]
    conversation: str
    max_invalid_tool_call_retries: int


class PromptOptions(ChatOptions, total=False):
    """The same, where a conversation is not given anyway."""

    history: Sequence[Message]


@dataclass(frozen=True, slots=True, eq=False)
class PromptRequest(Awaitable[T]):
    """A prompt on its way: nothing happens until it is awaited, and each time it is, it is sent anew.

        answer = await agent.prompt("How is Paris?").max_turns(3)

    Every method returns another request, and changes nothing.
    """

    _prompt: str | Message | AgentRun
    _settings: RunSettings
    _means: Means
    _reading: Reading[T]
    _history: Sequence[Message] | None = None
    _extends: list[Message] | None = None
    _conversation: str | None = None

    def max_turns(self, count: int) -> Self:
        """Allow so many calls of the model, all in all; 0 allows none."""
        return self._having(max_turns=natural("max_turns", count))

    def max_invalid_tool_call_retries(self, count: int) -> Self:
        """Allow a hook to have so many turns repeated in which the model calls what it was not given."""
        return self._having(max_invalid_tool_call_retries=natural("max_invalid_tool_call_retries", count))

    def history(self, messages: Sequence[Message]) -> Self:
        """Say what was said before; the list stays as it is, and takes the place of the agent's memory."""
        return replace(self, _history=list(messages))

    def tool_concurrency(self, count: int) -> Self:
        """Run so many tools of a turn at the same time."""
        count = max(1, natural("tool_concurrency", count))
        return replace(self, _means=replace(self._means, tool_concurrency=count))

    def hooks(self, *hooks: Hook) -> Self:
        """Add hooks to those of the agent."""
        return replace(self, _means=replace(self._means, hooks=(*self._means.hooks, *hooks)))

    def conversation(self, name: str) -> Self:
        """Say which conversation of the agent's memory this belongs to."""
        if self._means.memory is None:
            raise OptionError("conversation", name, "an agent with a memory")
        return replace(self, _conversation=name)

    def extended_details(self) -> DetailedRequest[T]:
        """Ask for usage, messages and contents beside the answer."""
        return DetailedRequest(self)

    def stream(self) -> AgentStream[T]:
        """Tell what happens while it happens."""
        return AgentStream(self._events(streamed=True))

    def __await__(self) -> Generator[Any, None, T]:
        return self._answer().__await__()

    async def _answer(self) -> T:
        return (await self._details()).output

    async def _details(self) -> PromptResponse[T]:
        async with aclosing(self._events(streamed=False)) as events:
            async for event in events:
                if isinstance(event, RunFinished):
                    response: PromptResponse[T] = event.response
        return response

    async def _events(self, *, streamed: bool) -> AsyncGenerator[AgentEvent, None]:
        try:
            run = await self._begun()
            async with aclosing(drive(run, self._means, streamed=streamed)) as events:
                async for event in events:
                    yield self._finished(event) if isinstance(event, RunFinished) else event
        except PromptError as error:
            failure = self._reading.failed(error)
            if failure is error:
                raise
            raise failure from error

    async def _begun(self) -> AgentRun:
        if isinstance(self._prompt, AgentRun):
            return self._prompt
        history, memory, conversation = self._history, self._means.memory, None
        if history is None and memory is not None:
            conversation = self._conversation or "default"
            try:
                history = await memory.load(conversation)
            except Exception as error:
                raise MemoryFailed(
                    f"the conversation {conversation!r} could not be loaded: {error}"
                ) from error
        return AgentRun.start(self._prompt, self._settings, history=history or (), conversation=conversation)

    def _finished(self, event: RunFinished) -> RunFinished:
        plain = event.response
        response = PromptResponse(
            self._reading.read(plain), plain.usage, plain.completion_calls, plain.messages, plain.content
        )
        if self._extends is not None:
            self._extends.extend(plain.messages)
        return replace(event, response=response)

    def _having(self, **settings: Any) -> Self:
        if isinstance(self._prompt, AgentRun):
            raise OptionError(
                next(iter(settings)), settings, "a prompt that is not begun: a run keeps its settings"
            )
        return replace(self, _settings=self._settings.model_copy(update=settings))

    def _with(self, options: ChatOptions) -> Self:
        request, known = self, PromptOptions.__annotations__.keys()
        if unknown := sorted(options.keys() - known):
            raise OptionError("prompt", unknown, f"some of {', '.join(sorted(known))}")
        for name, value in options.items():
            several = name == "hooks"
            request = getattr(request, name)(*value) if several else getattr(request, name)(value)  # type: ignore[misc]  # hooks are several
        return request


@dataclass(frozen=True, slots=True, eq=False)
class DetailedRequest(Awaitable[PromptResponse[T]], Generic[T]):
    """A prompt on its way that gives a `PromptResponse`."""

    request: PromptRequest[T]

    def __await__(self) -> Generator[Any, None, PromptResponse[T]]:
        return self.request._details().__await__()  # noqa: SLF001  the same request, told in full


def natural(option: str, count: int) -> int:
    """Return a number that an option can be; raise `OptionError` if it is negative."""
    if count < 0:
        raise OptionError(option, count, "0 or more")
    return count

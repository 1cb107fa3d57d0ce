"""A run that is told while it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import anyio

from llmreplay.agent._events import AgentEvent, RunFinished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

    from llmreplay.agent._steps import PromptResponse

__all__ = ["AgentStream"]

T = TypeVar("T")


class AgentStream(AsyncIterator[AgentEvent], Generic[T]):
    """What is told while an agent runs, event by event; `RunFinished` is the last.

        async with agent.stream_prompt("How is Paris?") as events:
            async for event in events:
                ...
        print(events.response.output)

    Errors are those of the prompt that is awaited. It belongs to the task that reads it; `cancel`,
    `pause` and `resume` may be called by other tasks of the same loop.

    Attributes:
        response: What came of it, once it is there; None until then, and if it never is.
    """

    def __init__(self, events: AsyncGenerator[AgentEvent, None]) -> None:
        self.response: PromptResponse[T] | None = None
        self._events = events
        self._over = False
        self._scope: anyio.CancelScope | None = None
        self._paused: anyio.Event | None = None

    @property
    def paused(self) -> bool:
        """Whether nothing is done until `resume`."""
        return self._paused is not None

    def pause(self) -> None:
        """Do nothing more for now: whoever asks for the next event waits."""
        self._paused = self._paused or anyio.Event()

    def resume(self) -> None:
        """Go on."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.set()

    def cancel(self) -> None:
        """End the run: no further event is told, no history changes, and `response` stays None."""
        self._over = True
        if self._scope is not None:
            self._scope.cancel()

    async def aclose(self) -> None:
        """End the run, and let go of what the model holds."""
        self._over = True
        await self._events.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AgentEvent:
        with anyio.CancelScope() as self._scope:
            while self._paused is not None and not self._over:
                await self._paused.wait()
            if not self._over:
                event = await anext(self._events)
                if isinstance(event, RunFinished):
                    self.response = event.response
                return event
        await self.aclose()
        raise StopAsyncIteration

    async def text(self) -> str:
        """Go on to the end, and return the text of the answer; empty if the run was cancelled."""
        async for _ in self:
            pass
        return "" if self.response is None else str(self.response.output)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

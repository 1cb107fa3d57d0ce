"""A run that is told while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from llmreplay.agent._events import AgentEvent, RunFinished
from llmreplay.model import EventStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmreplay.agent._steps import PromptResponse

__all__ = ["AgentStream"]

T = TypeVar("T")


class AgentStream(EventStream[AgentEvent], Generic[T]):
    """What is told while an agent runs, event by event; `RunFinished` is the last.

        async with agent.stream_prompt("How is Paris?") as events:
            async for event in events:
                ...
        print(events.response.output)

    Errors are those of the prompt that is awaited. It belongs to the task that reads it; `cancel`,
    `pause` and `resume` may be called by other tasks of the same loop. A run that is cancelled changes
    no history, and has no `response`.

    Attributes:
        response: What came of it, once it is there; None until then, and if it never is.
    """

    def __init__(self, events: AsyncGenerator[AgentEvent, None]) -> None:
        super().__init__(events)
        self.response: PromptResponse[T] | None = None

    def _take(self, event: AgentEvent) -> None:
        if isinstance(event, RunFinished):
            self.response = event.response

    async def text(self) -> str:
        """Go on to the end, and return the text of the answer; empty if the run was cancelled."""
        async for _ in self:
            pass
        return "" if self.response is None else str(self.response.output)

"""Events as they come, for whoever reads, pauses or cancels them: what all our streams have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    import anyio

__all__ = ["EventStream"]

E = TypeVar("E")


class EventStream(AsyncIterator[E], Generic[E]):
    """Events, one by one, of an iterator that is closed with it.

    It may be awaited, which gives the stream itself, and closes itself at its end. It belongs to the
    task that reads it; `cancel`, `pause` and `resume` may be called by other tasks of the same loop.
    """

    def __init__(self, events: AsyncIterator[E]) -> None:
        self._events = events
        self._cancelled = self._closed = False
        self._scope: anyio.CancelScope | None = None
        self._paused: anyio.Event | None = None

    @property
    def paused(self) -> bool:
        """Whether nothing is read or done until `resume`."""
        return self._paused is not None

    def pause(self) -> None:
        """Read nothing more for now: whoever asks for the next event waits."""
        import anyio  # noqa: PLC0415  only who pauses or is async needs it

        self._paused = self._paused or anyio.Event()

    def resume(self) -> None:
        """Go on."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.set()

    def cancel(self) -> None:
        """End the stream: whoever waits for the next event is told that there is none."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def aclose(self) -> None:
        """Let go of what the events come from; the stream is over."""
        self._closed = True
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()

    def _take(self, event: E) -> None:
        """Note an event that is about to be told."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        import anyio  # noqa: PLC0415  likewise

        if self._closed:
            raise StopAsyncIteration
        with anyio.CancelScope() as self._scope:
            while self._paused is not None and not self._cancelled:
                await self._paused.wait()
            if not self._cancelled:
                try:
                    event = await anext(self._events)
                except StopAsyncIteration:
                    self._closed = True
                    raise
                self._take(event)
                return event
        await self.aclose()
        raise StopAsyncIteration

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

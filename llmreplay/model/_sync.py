"""Async code for callers that are not: with an event loop of its own, also inside a running one.

Rules:

* Inside a running loop the work goes to a thread of its own, and the caller waits for it, as anybody
  does who calls sync code there. The thread has a copy of the caller's context, so that it belongs to
  the same session.
* An iterator is read in one task from its first event to its last, one event at a time, as it is
  asked for: nothing is read ahead.
* What is opened for the length of the loop (`on_loop_end`) is closed in it.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import sys
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

__all__ = ["iterate_sync", "on_loop_end", "run_sync"]

T = TypeVar("T")

_closing: contextvars.ContextVar[tuple[asyncio.AbstractEventLoop, AsyncExitStack] | None]
_closing = contextvars.ContextVar("llmreplay_closing", default=None)


def run_sync(make: Callable[[], Awaitable[T]]) -> T:
    """Await what `make` returns, and return what it gives; exceptions come through as they are."""
    if not _in_loop():
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(_awaited(make), context=contextvars.copy_context())
    work = _Work(lambda _told, _wanted: _awaited(make))
    try:
        return cast("T", work.result())
    finally:
        work.stop()


def iterate_sync(make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """Yield what the iterator that `make` returns yields, each as it comes."""

    async def read(told: Callable[[Any], None], wanted: Callable[[], Awaitable[None]]) -> object:
        async with AsyncExitStack() as stack:
            _closing.set((asyncio.get_running_loop(), stack))
            events = make()
            close = getattr(events, "aclose", None)
            if close is not None:
                stack.push_async_callback(close)
            await wanted()
            async for event in events:
                told(event)
                await wanted()
        return _Work.OVER

    work = _Work(read)
    try:
        while (event := work.next()) is not _Work.OVER:
            yield cast("T", event)
    finally:
        work.stop()


def on_loop_end(close: Callable[[], Awaitable[Any]]) -> None:
    """Have something closed when the loop of `run_sync` or `iterate_sync` ends; elsewhere do nothing."""
    found = _closing.get()
    if found is not None and found[0] is asyncio.get_running_loop():
        found[1].push_async_callback(close)


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    async with AsyncExitStack() as stack:
        _closing.set((asyncio.get_running_loop(), stack))
        return await make()


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        return trio is not None and bool(trio.lowlevel.in_trio_run())
    return True


class _Work:
    """A coroutine in a thread of its own, which is asked for one thing after the other."""

    OVER = object()

    def __init__(
        self,
        make: Callable[[Callable[[Any], None], Callable[[], Awaitable[None]]], Awaitable[Any]],
    ) -> None:
        self._make = make
        self._told: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._demand: asyncio.Semaphore | None = None
        self._ready = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="llmreplay", daemon=True)
        self._thread.start()

    def result(self) -> Any:
        """Return what the coroutine gives."""
        value, error = self._told.get()
        if error is not None:
            raise error
        return value

    def next(self) -> Any:
        """Return the next thing that it tells, or `OVER`."""
        self._ready.wait()
        if self._thread.is_alive() and self._loop is not None and self._demand is not None:
            self._on_loop(self._demand.release)
        return self.result()

    def stop(self) -> None:
        """End the work, wherever it stands, and wait until what it held is let go."""
        self._ready.wait()
        if self._task is not None:
            self._on_loop(self._task.cancel)
        self._thread.join()

    def _on_loop(self, do: Callable[[], Any]) -> None:
        assert self._loop is not None  # noqa: S101  it is there before `_ready` is set
        try:
            self._loop.call_soon_threadsafe(do)
        except RuntimeError:  # the loop has ended meanwhile, and what it said last is in the queue
            return

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                value = runner.run(self._work())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            self._told.put((None, error))
        else:
            self._told.put((value, None))
        finally:
            self._ready.set()

    async def _work(self) -> Any:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._demand = asyncio.Semaphore(0)
        self._ready.set()
        return await self._make(lambda event: self._told.put((event, None)), self._wanted)

    async def _wanted(self) -> None:
        assert self._demand is not None  # noqa: S101  made before the work begins
        await self._demand.acquire()

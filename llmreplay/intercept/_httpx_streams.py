"""The bodies of httpx and httpx2: live ones that are noted on the way, recorded ones that are played.

Rules:

* A failure is noted by the name of its exception class, and raised on replay as the class of that name
  in the library that is in use.
* A client that was cancelled while it waited is given the time to be cancelled again before it is
  told that the recording ends.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import cache
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.exchange import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import ModuleType

    from llmreplay.exchange import Phase, Response
    from llmreplay.session import Replay, Take

__all__ = [
    "CANCELLED",
    "GRACE",
    "fail",
    "failure_as_error",
    "failure_of",
    "pause",
    "pause_async",
    "streams_of",
]

# What a client waits for beyond the recorded cancellation before it is told that the recording ends.
GRACE = 1.0
CANCELLED = ("CancelledError", "Cancelled")
_CONNECTING = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
_SENDING = ("WriteError", "WriteTimeout", "LocalProtocolError")


def fail(library: ModuleType, take: Take, error: BaseException, phase: Phase) -> None:
    if isinstance(error, Exception):
        failure = failure_of(library, error, phase)
        take.fail(failure.error, failure.message, failure.phase)
    elif type(error).__name__ in CANCELLED:
        take.cancel()
    elif isinstance(error, GeneratorExit):
        take.leave()
    else:
        # A refusal, a keyboard interrupt: nothing that the provider did.
        take.discard()


def failure_of(library: ModuleType, error: Exception, phase: Phase) -> Failure:
    """Return an exception of a library as a failure; without a response it says itself what was going on."""
    name = _name(library, error)
    return Failure(name, str(error), _phase(name, error) if phase == "headers" else phase)


def _name(library: ModuleType, error: Exception) -> str:
    """Return the name of the library's exception, or of the nearest one above a custom class."""
    for name, kind in ((kind.__name__, kind) for kind in type(error).__mro__):
        if getattr(library, name, None) is kind or getattr(builtins, name, None) is kind:
            return name
    return "TransportError"  # pragma: no cover  every exception has a built-in above it


def _phase(name: str, error: Exception) -> Phase:
    if name in _CONNECTING:
        return "tls" if "SSL" in str(error) or "certificate" in str(error).lower() else "connect"
    return "send" if name in _SENDING else "headers"


def failure_as_error(library: Any, failure: Failure, request: Any, replay: Replay) -> BaseException:
    """Return the recorded failure as an exception of the library in use."""
    if failure.error in CANCELLED:
        return replay.session.recording_ended(replay.exchange)
    for namespace in (library, builtins):
        kind = getattr(namespace, failure.error, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            options = {"request": request} if issubclass(kind, library.TransportError) else {}
            # Some cannot be made of a message alone.
            with suppress(TypeError):
                return kind(failure.message, **options)
    nearest = {"connect": library.ConnectError, "tls": library.ConnectError, "send": library.WriteError}
    told = f"{failure.error}: {failure.message}"
    error: Exception = nearest.get(failure.phase, library.ReadError)(told, request=request)
    return error


def pause(seconds: float) -> None:
    if seconds:
        sleep(seconds)


async def pause_async(seconds: float) -> None:
    # Under asyncio as under trio; with 0 the other tasks get their turn.
    import anyio  # noqa: PLC0415  a suite without async code needs none

    await anyio.sleep(seconds)


class _Streams(NamedTuple):
    """The streams of one library: live ones that are noted, recorded ones that are played."""

    sync_tee: Any
    async_tee: Any
    sync_whole: Any
    sync_replay: Any
    async_replay: Any


@cache
def streams_of(library: ModuleType) -> _Streams:  # noqa: C901  four small classes that share one base each
    """Return the streams of a library: its client insists that they derive from its own classes."""
    sync_base: Any = library.SyncByteStream
    async_base: Any = library.AsyncByteStream

    class SyncTee(sync_base):  # type: ignore[misc]  # the base is chosen at run time
        """Hands a live body on, and notes it on the way."""

        def __init__(self, take: Take, inner: Any) -> None:
            self._take, self._inner = take, inner

        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self._inner:
                    self._take.chunk(chunk)
                    yield chunk
            except BaseException as error:
                fail(library, self._take, error, "body")
                raise
            self._take.complete()

        def close(self) -> None:
            try:
                self._inner.close()
            finally:
                self._take.leave()

    class AsyncTee(async_base):  # type: ignore[misc]
        """Hands a live body on, and notes it on the way."""

        def __init__(self, take: Take, inner: Any) -> None:
            self._take, self._inner = take, inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            chunks = aiter(self._inner)
            try:
                async for chunk in chunks:
                    self._take.chunk(chunk)
                    yield chunk
            except BaseException as error:
                fail(library, self._take, error, "body")
                raise
            finally:
                # As httpx2 does: a generator that is left to the garbage collector ends who knows when.
                if isinstance(chunks, AsyncGenerator):
                    await chunks.aclose()
            self._take.complete()

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._take.leave()

    class SyncWhole(sync_base):  # type: ignore[misc]
        """Plays a body that came to its end, as it was cut, without waiting."""

        def __init__(self, response: Response) -> None:
            self._chunks = response.chunks

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self._chunks:
                yield chunk.data

    class SyncReplay(sync_base):  # type: ignore[misc]
        """Plays a recorded body as it came, to the end it had."""

        def __init__(self, request: Any, replay: Replay, response: Response) -> None:
            self._request, self._replay, self._response = request, replay, response

        def __iter__(self) -> Iterator[bytes]:
            for data, wait in self._replay.pieces():
                pause(wait)
                yield data
            if self._response.ended == "complete":
                return
            ended, failure = self._response.ended, self._response.failure
            if ended == "cut" and failure is not None:
                pause(self._replay.wait(failure.delay))
                raise failure_as_error(library, failure, self._request, self._replay)
            if ended == "closed" and not self._replay.missed_nothing():
                raise self._replay.session.recording_ended(self._replay.exchange)

    class AsyncReplay(async_base):  # type: ignore[misc]
        """Plays a recorded body as it came, to the end it had."""

        def __init__(self, request: Any, replay: Replay, response: Response) -> None:
            self._request, self._replay, self._response = request, replay, response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for data, wait in self._replay.pieces():
                await pause_async(wait)
                yield data
            ended, failure = self._response.ended, self._response.failure
            if ended == "cut" and failure is not None:
                await pause_async(self._replay.wait(failure.delay))
                raise failure_as_error(library, failure, self._request, self._replay)
            if ended == "closed" and not self._replay.missed_nothing():
                if failure is not None:
                    # The recorded client was cancelled while it waited here: so may this one be.
                    await pause_async(failure.delay + GRACE)
                raise self._replay.session.recording_ended(self._replay.exchange)

    return _Streams(SyncTee, AsyncTee, SyncWhole, SyncReplay, AsyncReplay)

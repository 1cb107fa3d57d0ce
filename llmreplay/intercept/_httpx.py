"""httpx and httpx2, sync and async: one edge for two libraries that differ only in name.

Rules:

* The methods of the transport *classes* are replaced, so that clients made earlier, SDK clients
  with a transport of their own and transports that wrap these are seen. A user's own fakes
  (`MockTransport`, `ASGITransport`, `WSGITransport`) are other classes, and left alone.
* What the transport yields is handed on at once and noted on the way: nothing is buffered, and the
  client's pace is the server's.
* On replay the response is made of the library's own classes, and a recorded failure is raised as
  the exception of that name in the library that is in use, whichever it was recorded with.
* An upgrade to another protocol (101) is passed through and never recorded.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from functools import cache
from http import HTTPStatus
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from llmreplay import session
from llmreplay.errors import LiveCallBlocked
from llmreplay.exchange import Exchange, Failure, Headers, Phase, Request
from llmreplay.session import PassOn, Replay, Take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import ModuleType

__all__ = ["AsyncRecordingTransport", "RecordingTransport", "install", "uninstall"]

LIBRARIES = ("httpx", "httpx2")

# What a client waits for beyond the recorded cancellation before it is told that the recording ends.
_GRACE = 1.0
_CANCELLED = ("CancelledError", "Cancelled")
_CONNECTING = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
_SENDING = ("WriteError", "WriteTimeout", "LocalProtocolError")

_patched: dict[tuple[type, str], tuple[Any, Any]] = {}


def install() -> None:
    """Put the edge into each of the libraries that is installed and does not have it yet."""
    for name in LIBRARIES:
        library = _library(name)
        if library is None:
            continue
        _patch(library.HTTPTransport, "handle_request", _sync_edge(library))
        _patch(library.AsyncHTTPTransport, "handle_async_request", _async_edge(library))


def uninstall() -> None:
    """Take the edge out, where nobody has put something else over it."""
    for (owner, method), (real, ours) in list(_patched.items()):
        if owner.__dict__.get(method) is ours:
            setattr(owner, method, real)
            del _patched[owner, method]


def _library(name: str) -> ModuleType | None:
    if name in sys.modules:
        return sys.modules[name]
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _patch(owner: type, method: str, edge: Any) -> None:
    # Under httpx2.alias_httpx() both names are one library: each class is taken once.
    if (owner, method) not in _patched:
        real = owner.__dict__[method]
        ours = edge(real)
        _patched[owner, method] = (real, ours)
        setattr(owner, method, ours)


def _sync_edge(library: ModuleType) -> Any:
    def edge(real: Any) -> Any:
        def handle_request(self: Any, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return real(self, request)
            return _answer(library, request, lambda: real(self, request), _from_network)

        return handle_request

    return edge


def _async_edge(library: ModuleType) -> Any:
    def edge(real: Any) -> Any:
        async def handle_async_request(self: Any, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return await real(self, request)
            return await _answer_async(library, request, lambda: real(self, request), _from_network)

        return handle_async_request

    return edge


def _answer(library: ModuleType, request: Any, send: Any, worth_keeping: Any) -> Any:
    request.read()
    decision = session.decide(_request(request), library.__name__)
    if isinstance(decision, Replay):
        return _replayed(library, request, decision)
    if isinstance(decision, PassOn):
        try:
            return send()
        except LiveCallBlocked as blocked:
            raise _after(decision, blocked) from None
    take = decision.take
    try:
        with session.forwarding():
            response = send()
    except BaseException as error:
        _fail(library, take, error, "headers")
        raise
    if not (decision.model_call or worth_keeping(response)):
        take.discard()
        return response
    return _noted(library, take, response, _streams(library).sync_tee)


async def _answer_async(library: ModuleType, request: Any, send: Any, worth_keeping: Any) -> Any:
    await request.aread()
    decision = session.decide(_request(request), library.__name__)
    if isinstance(decision, Replay):
        return await _replayed_async(library, request, decision)
    if isinstance(decision, PassOn):
        try:
            return await send()
        except LiveCallBlocked as blocked:
            raise _after(decision, blocked) from None
    take = decision.take
    try:
        with session.forwarding():
            response = await send()
    except BaseException as error:
        _fail(library, take, error, "headers")
        raise
    if not (decision.model_call or worth_keeping(response)):
        take.discard()
        return response
    return _noted(library, take, response, _streams(library).async_tee)


def _after(decision: PassOn, blocked: LiveCallBlocked) -> BaseException:
    return decision.refuse(blocked) if decision.refuse is not None else blocked


def _request(request: Any) -> Request:
    return Request(request.method, str(request.url), _headers(request.headers), request.content)


def _headers(headers: Any) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw)


# Recording


def _noted(library: ModuleType, take: Take, response: Any, tee: Any) -> Any:
    if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        take.discard()
        return response
    extensions = response.extensions
    take.head(
        response.status_code,
        _headers(response.headers),
        extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace"),
        extensions["reason_phrase"].decode("ascii", "replace") if "reason_phrase" in extensions else None,
    )
    return library.Response(
        response.status_code,
        headers=response.headers,
        stream=tee(take, response.stream),
        extensions=extensions,
    )


def _anything(_response: Any) -> bool:
    """Keep what a transport that was wrapped by hand answers, whatever it is made of."""
    return True


def _from_network(response: Any) -> bool:
    """Tell a response of the network from one of a mock below us, whose business it stays."""
    return "network_stream" in response.extensions


def _fail(library: ModuleType, take: Take, error: BaseException, phase: Phase) -> None:
    if isinstance(error, Exception):
        name = _name(library, error)
        if phase == "headers":
            phase = _phase(name, error)
        take.fail(name, str(error), phase)
    elif type(error).__name__ in _CANCELLED:
        take.cancel()
    elif isinstance(error, GeneratorExit):
        take.leave()
    else:
        # A refusal, a keyboard interrupt: nothing that the provider did.
        take.discard()


def _name(library: ModuleType, error: Exception) -> str:
    """Return the name of the library's exception, or of the nearest one above a custom class."""
    for kind in type(error).__mro__:
        if getattr(library, kind.__name__, None) is kind or getattr(builtins, kind.__name__, None) is kind:
            return kind.__name__
    return "TransportError"  # pragma: no cover  every exception has a built-in above it


def _phase(name: str, error: Exception) -> Phase:
    if name in _CONNECTING:
        return "tls" if "SSL" in str(error) or "certificate" in str(error).lower() else "connect"
    return "send" if name in _SENDING else "headers"


# Replaying


def _replayed(library: ModuleType, request: Any, replay: Replay) -> Any:
    exchange = replay.exchange
    if exchange.response is None:
        failure = _failure_of(exchange)
        _pause(replay.wait(failure.delay))
        raise _error(library, failure, request, replay)
    _pause(replay.wait(exchange.response.delay))
    return _response(library, exchange, _streams(library).sync_replay(request, replay))


async def _replayed_async(library: ModuleType, request: Any, replay: Replay) -> Any:
    exchange = replay.exchange
    if exchange.response is None:
        failure = _failure_of(exchange)
        await _pause_async(replay.wait(failure.delay))
        if failure.error in _CANCELLED:
            await _pause_async(failure.delay + _GRACE)
        raise _error(library, failure, request, replay)
    await _pause_async(replay.wait(exchange.response.delay))
    return _response(library, exchange, _streams(library).async_replay(request, replay))


def _failure_of(exchange: Exchange) -> Failure:
    if exchange.failure is None:  # pragma: no cover  an exchange has one of both
        raise ValueError("an exchange without a response has a failure")
    return exchange.failure


def _response(library: ModuleType, exchange: Exchange, stream: Any) -> Any:
    response = exchange.response
    if response is None:  # pragma: no cover  asked for by the callers
        raise ValueError("there is no response")
    extensions = {"http_version": response.http_version.encode("ascii", "replace")}
    if response.reason is not None:
        extensions["reason_phrase"] = response.reason.encode("ascii", "replace")
    headers = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in response.headers]
    return library.Response(response.status, headers=headers, stream=stream, extensions=extensions)


def _error(library: ModuleType, failure: Failure, request: Any, replay: Replay) -> BaseException:
    """Return the recorded failure as an exception of the library in use."""
    if failure.error in _CANCELLED:
        return replay.session.recording_ended(replay.exchange)
    kind = getattr(library, failure.error, None)
    if isinstance(kind, type) and issubclass(kind, library.TransportError):
        return kind(failure.message, request=request)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(failure.message)
        except TypeError:
            pass
    plain = getattr(builtins, failure.error, None)
    if isinstance(plain, type) and issubclass(plain, Exception):
        return plain(failure.message)
    nearest = {"connect": library.ConnectError, "tls": library.ConnectError, "send": library.WriteError}
    return nearest.get(failure.phase, library.ReadError)(f"{failure.error}: {failure.message}", request=request)


def _pause(seconds: float) -> None:
    if seconds:
        sleep(seconds)


async def _pause_async(seconds: float) -> None:
    # Under asyncio as under trio; with 0 the other tasks get their turn.
    import anyio  # noqa: PLC0415  a suite without async code needs none

    await anyio.sleep(seconds)


# Streams


class _Streams(NamedTuple):
    """The streams of one library: live ones that are noted, recorded ones that are played."""

    sync_tee: Any
    async_tee: Any
    sync_replay: Any
    async_replay: Any


@cache
def _streams(library: ModuleType) -> _Streams:  # noqa: C901  four small classes that share one base each
    """Return the streams of a library: its client insists that they derive from its own classes."""

    class SyncTee(library.SyncByteStream):  # type: ignore[misc]  the base is chosen at run time
        """Hands a live body on, and notes it on the way."""

        def __init__(self, take: Take, inner: Any) -> None:
            self._take, self._inner = take, inner

        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self._inner:
                    self._take.chunk(chunk)
                    yield chunk
            except BaseException as error:
                _fail(library, self._take, error, "body")
                raise
            self._take.complete()

        def close(self) -> None:
            self._inner.close()
            self._take.leave()

    class AsyncTee(library.AsyncByteStream):  # type: ignore[misc]
        """Hands a live body on, and notes it on the way."""

        def __init__(self, take: Take, inner: Any) -> None:
            self._take, self._inner = take, inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self._inner:
                    self._take.chunk(chunk)
                    yield chunk
            except BaseException as error:
                _fail(library, self._take, error, "body")
                raise
            self._take.complete()

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._take.leave()

    class SyncReplay(library.SyncByteStream):  # type: ignore[misc]
        """Plays a recorded body as it came, to the end it had."""

        def __init__(self, request: Any, replay: Replay) -> None:
            self._request, self._replay = request, replay

        def __iter__(self) -> Iterator[bytes]:
            for data, wait in self._replay.pieces():
                _pause(wait)
                yield data
            response = self._replay.exchange.response
            if response.ended == "cut":
                _pause(self._replay.wait(response.failure.delay))
                raise _error(library, response.failure, self._request, self._replay)
            if response.ended == "closed" and not self._replay.missed_nothing():
                raise self._replay.session.recording_ended(self._replay.exchange)

    class AsyncReplay(library.AsyncByteStream):  # type: ignore[misc]
        """Plays a recorded body as it came, to the end it had."""

        def __init__(self, request: Any, replay: Replay) -> None:
            self._request, self._replay = request, replay

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for data, wait in self._replay.pieces():
                await _pause_async(wait)
                yield data
            response = self._replay.exchange.response
            if response.ended == "cut":
                await _pause_async(self._replay.wait(response.failure.delay))
                raise _error(library, response.failure, self._request, self._replay)
            if response.ended == "closed" and not self._replay.missed_nothing():
                if response.failure is not None:
                    # The recorded client was cancelled while it waited here: so may this one be.
                    await _pause_async(response.failure.delay + _GRACE)
                raise self._replay.session.recording_ended(self._replay.exchange)

    return _Streams(SyncTee, AsyncTee, SyncReplay, AsyncReplay)


# Transports to put into a client by hand

T = TypeVar("T")


def RecordingTransport(inner: T) -> T:  # noqa: N802  it stands where a transport class would
    """Return a transport that records and replays what goes through a transport of your own.

    For stacks that do not end in the library's `HTTPTransport`. The library (httpx or httpx2) is that
    of `inner`; without an open session the request goes straight through.
    """
    return _recording(_owner(inner), "BaseTransport", inner)


def AsyncRecordingTransport(inner: T) -> T:  # noqa: N802
    """Return an async transport that records and replays what goes through a transport of your own."""
    return _recording(_owner(inner), "AsyncBaseTransport", inner)


def _owner(transport: object) -> ModuleType:
    for kind in type(transport).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in LIBRARIES:
            return importlib.import_module(name)
    raise TypeError(f"{type(transport).__name__} is no transport of httpx or httpx2")


def _recording(library: ModuleType, base_name: str, inner: Any) -> Any:
    base = getattr(library, base_name)
    if not isinstance(inner, base):
        raise TypeError(f"{type(inner).__name__} is no {library.__name__}.{base_name}")

    class Sync(base):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return inner.handle_request(request)
            return _answer(library, request, lambda: inner.handle_request(request), _anything)

        def close(self) -> None:
            inner.close()

    class Async(base):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return await inner.handle_async_request(request)
            return await _answer_async(library, request, lambda: inner.handle_async_request(request), _anything)

        async def aclose(self) -> None:
            await inner.aclose()

    return Async() if base_name.startswith("Async") else Sync()

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
* A request that is left to what lies below us is asked about once more when httpcore is about to
  connect or send: mocks below us do neither. The guard at the socket would miss a connection that
  is there already, and one to a proxy on this machine.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay import session
from llmreplay.errors import LiveCallBlocked
from llmreplay.exchange import Exchange, Failure, Headers, Request, Response
from llmreplay.intercept._httpx_streams import (
    CANCELLED,
    GRACE,
    fail,
    failure_as_error,
    pause,
    pause_async,
    streams_of,
)
from llmreplay.session import PassOn, Replay, Take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = ["LIBRARIES", "Below", "answer", "answer_async", "install", "uninstall"]

LIBRARIES = ("httpx", "httpx2")

# What an edge stands for, noted on the edge itself.
_REAL = "_llmreplay_real"
# What httpcore reports before a request leaves.
_LEAVING = ("connect_tcp.started", "send_request_headers.started")

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
    for (owner, method), (real, ours) in _patched.items():
        if owner.__dict__.get(method) is ours:
            setattr(owner, method, real)
    _patched.clear()


def _library(name: str) -> ModuleType | None:
    if name in sys.modules:
        return sys.modules[name]
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _patch(owner: type, method: str, edge: Any) -> None:
    there = owner.__dict__[method]
    # Under httpx2.alias_httpx() both names are one library: each class is taken once. Again if ours is
    # not on top: somebody has come over us, or was there before us and put back what he had found.
    if there is _patched.get((owner, method), (None, None))[1]:
        return
    if hasattr(there, _REAL):
        # Ours of an earlier session: somebody who came after us put it back when it had ended.
        real, ours = getattr(there, _REAL), there
    else:
        real, ours = there, edge(there)
        setattr(ours, _REAL, real)
    _patched[owner, method] = (real, ours)
    setattr(owner, method, ours)


def _sync_edge(library: ModuleType) -> Any:
    def edge(real: Any) -> Any:
        def handle_request(self: Any, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return real(self, request)
            return answer(library, request, partial(real, self, request), _network(self))

        return handle_request

    return edge


def _async_edge(library: ModuleType) -> Any:
    def edge(real: Any) -> Any:
        async def handle_async_request(self: Any, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return await real(self, request)
            return await answer_async(library, request, partial(real, self, request), _network(self))

        return handle_async_request

    return edge


class Below(NamedTuple):
    """What lies below an edge: what of it is kept, and whether it may leave this machine."""

    keeps: Callable[[Any], bool]
    leaves: bool


def _network(transport: Any) -> Below:
    # A Unix socket leads to this machine, whatever the name of the host.
    uds = getattr(getattr(transport, "_pool", None), "_uds", None)
    return Below(_from_network, leaves=uds is None)


def answer(library: ModuleType, request: Any, send: Any, below: Below) -> Any:
    """Return the response to a request of a library: recorded, or live through `send`."""
    request.read()
    decision = session.decide(_request(request), library.__name__)
    if isinstance(decision, Replay):
        return _replayed(library, request, decision)
    if isinstance(decision, PassOn):
        try:
            with _asked_again(request, decision, below, is_async=False):
                return send()
        except LiveCallBlocked as blocked:
            raise _after(decision, blocked) from None
    take = decision.take
    try:
        with session.forwarding():
            response = send()
    except BaseException as error:
        if not (decision.model_call or below.keeps(error)):
            take.discard()
        fail(library, take, error, "headers")
        raise
    if not (decision.model_call or below.keeps(response)):
        take.discard()
        return response
    return _noted(library, take, response, streams_of(library).sync_tee)


async def answer_async(library: ModuleType, request: Any, send: Any, below: Below) -> Any:
    """Return the response to a request of a library, as `answer` does."""
    await request.aread()
    decision = session.decide(_request(request), library.__name__)
    if isinstance(decision, Replay):
        return await _replayed_async(library, request, decision)
    if isinstance(decision, PassOn):
        try:
            with _asked_again(request, decision, below, is_async=True):
                return await send()
        except LiveCallBlocked as blocked:
            raise _after(decision, blocked) from None
    take = decision.take
    try:
        with session.forwarding():
            response = await send()
    except BaseException as error:
        if not (decision.model_call or below.keeps(error)):
            take.discard()
        fail(library, take, error, "headers")
        raise
    if not (decision.model_call or below.keeps(response)):
        take.discard()
        return response
    return _noted(library, take, response, streams_of(library).async_tee)


@contextmanager
def _asked_again(request: Any, decision: PassOn, below: Below, *, is_async: bool) -> Iterator[None]:
    """Refuse a request that was passed on if it is about to leave this machine after all."""
    host = request.url.host
    if not below.leaves or session.is_loopback(host):
        yield
        return
    extensions = request.extensions
    theirs = extensions.get("trace")

    def ask(event: str) -> None:
        if event.endswith(_LEAVING) and (blocked := session.block(host)) is not None:
            raise _after(decision, blocked)

    def trace(event: str, info: dict[str, Any]) -> Any:
        ask(event)
        return theirs(event, info) if theirs is not None else None

    async def trace_async(event: str, info: dict[str, Any]) -> None:
        ask(event)
        if theirs is not None:
            await theirs(event, info)

    request.extensions = {**extensions, "trace": trace_async if is_async else trace}
    try:
        yield
    finally:
        request.extensions = extensions


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


def _from_network(outcome: Any) -> bool:
    """Tell a response or an error of the network from one of a mock below us, whose business it stays."""
    if isinstance(outcome, Exception):
        return type(outcome.__cause__).__module__.partition(".")[0] in ("httpcore", "httpcore2")
    return isinstance(outcome, BaseException) or "network_stream" in outcome.extensions


# Replaying


def _replayed(library: ModuleType, request: Any, replay: Replay) -> Any:
    exchange = replay.exchange
    if exchange.response is None:
        failure = _failure_of(exchange)
        pause(replay.wait(failure.delay))
        raise failure_as_error(library, failure, request, replay)
    pause(replay.wait(exchange.response.delay))
    stream = streams_of(library).sync_replay(request, replay, exchange.response)
    return _response(library, exchange.response, stream)


async def _replayed_async(library: ModuleType, request: Any, replay: Replay) -> Any:
    exchange = replay.exchange
    if exchange.response is None:
        failure = _failure_of(exchange)
        await pause_async(replay.wait(failure.delay))
        if failure.error in CANCELLED:
            await pause_async(failure.delay + GRACE)
        raise failure_as_error(library, failure, request, replay)
    await pause_async(replay.wait(exchange.response.delay))
    stream = streams_of(library).async_replay(request, replay, exchange.response)
    return _response(library, exchange.response, stream)


def _failure_of(exchange: Exchange) -> Failure:
    if exchange.failure is None:  # pragma: no cover  an exchange has one of both
        raise ValueError("an exchange without a response has a failure")
    return exchange.failure


def _response(library: ModuleType, response: Response, stream: Any) -> Any:
    extensions = {"http_version": response.http_version.encode("ascii", "replace")}
    if response.reason is not None:
        extensions["reason_phrase"] = response.reason.encode("ascii", "replace")
    headers = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in response.headers
    ]
    return library.Response(response.status, headers=headers, stream=stream, extensions=extensions)

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

from contextlib import contextmanager
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay import session
from llmreplay.errors import LiveCallBlocked
from llmreplay.exchange import Failure, Headers, Request, Response
from llmreplay.intercept import _tls
from llmreplay.intercept._httpx_streams import (
    CANCELLED,
    GRACE,
    fail,
    failure_as_error,
    pause,
    pause_async,
    streams_of,
)
from llmreplay.intercept._libraries import Patches, when_imported
from llmreplay.session import PassOn, Replay, Take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = ["LIBRARIES", "Below", "answer", "answer_async", "install", "uninstall"]

LIBRARIES = ("httpx", "httpx2")

_REMEMBERED = 2048
# What httpcore reports before a request leaves.
_LEAVING = ("connect_tcp.started", "send_request_headers.started")

_patches = Patches()


def install() -> None:
    """Put the edge into each of the libraries, as soon as it is there."""
    for name in LIBRARIES:
        when_imported(name, _put_into)


def uninstall() -> None:
    """Take the edge out, where nobody has put something else over it."""
    _patches.take_out()


def _put_into(library: ModuleType) -> None:
    # Under httpx2.alias_httpx() both names are one library, whose own name the edge goes by.
    _patches.put(library.HTTPTransport, "handle_request", _sync_edge(library))
    _patches.put(library.AsyncHTTPTransport, "handle_async_request", _async_edge(library))
    _patches.put(library.HTTPTransport, "__init__", _tls.sharing(library))
    _patches.put(library.AsyncHTTPTransport, "__init__", _tls.sharing(library))


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
    return _INTERNET if uds is None else _MACHINE


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
    return tuple(map(_header, headers.raw))


# A client sends nearly the same headers each time.
@lru_cache(_REMEMBERED)
def _header(pair: tuple[bytes, bytes]) -> tuple[str, str]:
    return pair[0].decode("latin-1"), pair[1].decode("latin-1")


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


_INTERNET = Below(_from_network, leaves=True)
_MACHINE = Below(_from_network, leaves=False)


# Replaying


def _replayed(library: ModuleType, request: Any, replay: Replay) -> Any:
    outcome = replay.outcome
    streams = streams_of(library)
    if replay.at_once and isinstance(outcome, Response) and outcome.ended == "complete":
        return _response(library, outcome, streams.sync_whole(outcome))
    pause(replay.wait(outcome.delay))
    if isinstance(outcome, Failure):
        raise failure_as_error(library, outcome, request, replay)
    return _response(library, outcome, streams.sync_replay(request, replay, outcome))


async def _replayed_async(library: ModuleType, request: Any, replay: Replay) -> Any:
    outcome = replay.outcome
    await pause_async(replay.wait(outcome.delay))
    if isinstance(outcome, Failure):
        if outcome.error in CANCELLED:
            await pause_async(outcome.delay + GRACE)
        raise failure_as_error(library, outcome, request, replay)
    return _response(library, outcome, streams_of(library).async_replay(request, replay, outcome))


def _response(library: ModuleType, response: Response, stream: Any) -> Any:
    extensions = {"http_version": response.http_version.encode("ascii", "replace")}
    if response.reason is not None:
        extensions["reason_phrase"] = response.reason.encode("ascii", "replace")
    try:
        return library.Response(
            response.status, headers=response.headers, stream=stream, extensions=extensions
        )
    except UnicodeEncodeError:
        # The library takes text for ASCII.
        headers = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in response.headers
        ]
        return library.Response(response.status, headers=headers, stream=stream, extensions=extensions)

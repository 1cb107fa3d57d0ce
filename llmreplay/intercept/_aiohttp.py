"""aiohttp: each connection that a session asks for leads to the network, or to a recording.

Rules:

* `BaseConnector.connect` is replaced. Above it lie redirects, retries, cookies, middlewares and traces,
  which go their way and see what they always see; each hop is an exchange. Mocks that replace
  `ClientSession._request` (aioresponses) lie above it too, and answer before anybody asks us.
* The response is made by aiohttp in either case. Over a recorded one nothing is parsed or connected;
  a live one is noted as it arrives, and nothing is buffered.
* A request that is left to what lies below us is asked about once more when its name is about to be
  looked up, when a connection to a proxy is to be made, or one that is there already is taken.
  Mocks below us (aresponses) replace the look-up. The guard at the socket would miss a resolver
  written in C.
* A WebSocket is passed through and never recorded.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from llmreplay import session
from llmreplay.errors import LiveCallBlocked
from llmreplay.exchange import Request
from llmreplay.intercept._aiohttp_failures import as_error, is_of_the_connection, note_failure
from llmreplay.intercept._httpx_streams import pause_async
from llmreplay.intercept._libraries import Patches, when_imported
from llmreplay.session import Forward, PassOn, Replay, Take

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["install", "uninstall"]

LIBRARY = "aiohttp"

_Real = Callable[[list[Any]], Awaitable[Any]]

# What aiohttp tells of on the way to a connection.
_LOOKING_UP, _CONNECTING, _REUSING = "looking up", "connecting", "reusing"

_patches = Patches()
# Connections that a mock below us has made.
_mocked: WeakSet[Any] = WeakSet()


def install() -> None:
    """Put the edge into aiohttp, as soon as it is there."""
    when_imported(LIBRARY, _put_into)


def uninstall() -> None:
    """Take the edge out, where nobody has put something else over it."""
    _patches.take_out()


def _put_into(library: ModuleType) -> None:
    _patches.put(library.BaseConnector, "connect", _edge)


def _edge(real: Any) -> Any:
    async def connect(self: Any, req: Any, traces: list[Any], timeout: Any) -> Any:  # noqa: ASYNC109  aiohttp's own
        if session.current() is None or session.is_forwarding():
            return await real(self, req, traces, timeout)

        def connect_live(added: list[Any]) -> Awaitable[Any]:
            live: Awaitable[Any] = real(self, req, traces=[*traces, *added], timeout=timeout)
            return live

        return await _connect(self, req, connect_live)

    return connect


async def _connect(connector: Any, request: Any, real: _Real) -> Any:
    decision = session.decide(await _request(request), LIBRARY)
    if isinstance(decision, Replay):
        return await _replayed(connector, request, decision)
    if isinstance(decision, PassOn):
        return await _passed_on(connector, request, real, decision)
    return await _forwarded(connector, request, real, decision)


async def _replayed(connector: Any, request: Any, replay: Replay) -> Any:
    failure = replay.exchange.failure
    if failure is not None and is_of_the_connection(failure):
        await pause_async(replay.wait(failure.delay))
        error = as_error(failure, request)
        raise error from getattr(error, "os_error", None)
    from llmreplay.intercept._aiohttp_streams import connection_to  # noqa: PLC0415  brings asyncio

    return connection_to(connector, request, replay)


async def _passed_on(connector: Any, request: Any, real: _Real, decision: PassOn) -> Any:
    host = request.url.host
    if session.is_loopback(host) or not _leads_out(connector):
        return await real([])
    way = _Way(request)

    def ask(event: str) -> None:
        way.seen.add(event)
        # A name is not connected to before it has been looked up, by whoever does that. Of a connection
        # that is there already the answer is needed when it can be given back.
        if event == _REUSING or (event == _CONNECTING and way.has_a_look_up):
            return
        if (blocked := session.block(host)) is not None:
            raise blocked

    try:
        connection = await real([_trace(ask)])
        way.note(connection)
        reused = _REUSING in way.seen and connection.protocol not in _mocked
        if reused and (blocked := session.block(host)) is not None:
            connection.release()
            raise blocked
    except LiveCallBlocked as blocked:
        raise (blocked if decision.refuse is None else decision.refuse(blocked)) from None
    return connection


async def _forwarded(connector: Any, request: Any, real: _Real, decision: Forward) -> Any:
    take, way = decision.take, _Way(request, leads_out=_leads_out(connector))
    try:
        with session.forwarding():
            connection = await real([_trace(way.seen.add)])
    except BaseException as error:
        if way.is_a_mocks and not decision.model_call:
            take.discard()
        note_failure(take, error, "connect", request._timer)  # noqa: SLF001
        raise
    way.note(connection)
    if connection.protocol in _mocked and not decision.model_call:
        take.discard()
    else:
        _note(request, take)
    return connection


class _Way:
    """What happened on the way to a connection."""

    def __init__(self, request: Any, *, leads_out: bool = True) -> None:
        self.has_a_look_up = leads_out and request.proxy is None and _is_name(request.url.host)
        self.seen: set[str] = set()

    @property
    def is_a_mocks(self) -> bool:
        """Whether somebody below us took the place of the look-up."""
        return self.has_a_look_up and _CONNECTING in self.seen and _LOOKING_UP not in self.seen

    def note(self, connection: Any) -> None:
        """Remember a connection that a mock has made: it may be used again."""
        if self.is_a_mocks:
            _mocked.add(connection.protocol)


def _leads_out(connector: Any) -> bool:
    import aiohttp  # noqa: PLC0415  it is there: it asks

    # Other connectors lead to sockets on this machine, or are somebody's own.
    return isinstance(connector, aiohttp.TCPConnector)


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


async def _request(request: Any) -> Request:
    body = b"" if isinstance(request.body, bytes) else await _body(request)
    headers = tuple(
        (name, value)
        for name, value in request.headers.items()
        # What aiohttp compresses on the way is noted as it was given.
        if not (request.compress and name.lower() == "content-encoding")
    )
    return Request(request.method, str(request.url), headers, body)


async def _body(request: Any) -> bytes:
    payload = request.body
    try:
        body: bytes = await payload.as_bytes()
    except TypeError:
        # It can be written, but not looked at.
        collected = _Collected()
        await payload.write(collected)
        body = b"".join(collected.pieces)
        await request.update_body(body)
    else:
        if payload.consumed:  # it could be read once, and that was now
            await request.update_body(body)
            if hasattr(payload, "_value") and hasattr(payload._value, "close"):  # noqa: SLF001
                payload._value.close()  # noqa: SLF001  as aiohttp does with a file that it has sent
    return body


class _Collected:
    """A writer that keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        self.pieces.append(bytes(chunk))


@cache
def _events() -> Any:
    from aiohttp import TraceConfig  # noqa: PLC0415

    def telling(event: str) -> Any:
        async def tell(_session: Any, context: Any, _params: Any) -> None:
            context.tell(event)

        return tell

    config = TraceConfig()
    config.on_dns_resolvehost_start.append(telling(_LOOKING_UP))
    config.on_dns_cache_hit.append(telling(_LOOKING_UP))
    config.on_connection_reuseconn.append(telling(_REUSING))
    config.on_connection_create_start.append(telling(_CONNECTING))
    config.freeze()
    return config


def _trace(tell: Callable[[str], object]) -> Any:
    """Return a trace that tells what happens on the way to a connection."""
    from aiohttp.tracing import Trace  # noqa: PLC0415

    return Trace(None, _events(), SimpleNamespace(tell=tell))  # type: ignore[arg-type]  # it belongs to no client


# Recording


def _note(request: Any, take: Take) -> None:
    """Note what comes back for a request that is about to be sent, once."""
    send, timer = request.send, request._timer  # noqa: SLF001

    async def send_noted(connection: Any) -> Any:
        del request.send
        try:
            response = await send(connection)
        except BaseException as error:
            note_failure(take, error, "send", timer)
            raise
        start = response.start

        async def start_noted(connection: Any) -> Any:
            del response.start
            try:
                await start(connection)
            except BaseException as error:
                note_failure(take, error, "headers", timer)
                raise
            _note_response(request, response, take)
            return response

        response.start = start_noted
        return response

    request.send = send_noted


def _note_response(request: Any, response: Any, take: Take) -> None:
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS or "sec-websocket-key" in request.headers:
        take.discard()
        return
    from llmreplay.intercept._aiohttp_streams import note_body  # noqa: PLC0415  see `_replayed`

    version = response.version
    take.head(
        response.status,
        tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers),
        f"HTTP/{version.major}.{version.minor}",
        response.reason,
    )
    note_body(take, response)

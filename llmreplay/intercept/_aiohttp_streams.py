"""The bodies of aiohttp: live ones that are noted as they arrive, recorded ones that are played on demand.

Rules:

* A live body stays aiohttp's own reader, which gets a class that notes what it is fed. The client
  sees what it would see without us, and the delays are those of the network.
* A recorded body is fed a chunk at a time, and only when the reader has nothing left: who reads with
  `iter_any` sees each chunk by itself, however long it takes over one.
* A client that leaves has been told what it has read: what lay unread in a buffer is not recorded.
* A recorded answer comes over a connection that is none; aiohttp's request and response do not know.
"""

from __future__ import annotations

import asyncio
from functools import cache, partial
from http import HTTPStatus
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.intercept._aiohttp_failures import as_error, note_failure
from llmreplay.intercept._httpx_streams import CANCELLED, GRACE, pause_async

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.exchange import Failure, Headers, Response
    from llmreplay.session import Replay, Take

__all__ = ["connection_to", "note_body"]

_CODINGS = ("gzip", "deflate", "br", "zstd")  # those that aiohttp undoes
_CONTINUE = 100

# The take of each live body; its class has no room for it.
_takes: dict[int, tuple[Any, Take]] = {}


# Recording


def note_body(take: Take, response: Any) -> None:
    """Note the body of a live response, whose headers have just come, as it arrives."""
    from aiohttp.streams import EMPTY_PAYLOAD  # noqa: PLC0415  it is there: it has answered

    body = response.content
    if body is EMPTY_PAYLOAD:
        take.complete()
        return
    if body.total_compressed_bytes is not None:
        take.undone(response.headers["content-encoding"])
    # What came with the headers; nobody has read of it yet.
    for data in tuple(body._buffer):  # noqa: SLF001
        take.chunk(data)
    if body.is_eof():
        take.complete()
    elif (error := body.exception()) is not None:
        note_failure(take, error, "body", None)
    else:
        body.__class__ = _classes().noted
        _takes[id(body)] = (body, take)
        response.connection.add_callback(partial(_leave, body))


def _end(body: Any) -> Take | None:
    return _takes.pop(id(body), (None, None))[1]


def _leave(body: Any) -> None:
    if (take := _end(body)) is not None:
        take.leave(read=body._cursor)  # noqa: SLF001


# Replaying


def connection_to(connector: Any, request: Any, replay: Replay) -> Any:
    """Return a connection over which the answer of a recording comes."""
    classes = _classes()
    loop = asyncio.get_running_loop()
    return classes.connection(connector, request.connection_key, classes.line(loop, request, replay), loop)


class _Nowhere(asyncio.Transport):
    """Where a request goes that nobody receives."""

    def __init__(self) -> None:
        super().__init__()
        self._closing = False

    def write(self, data: Any) -> None:
        """Drop it: the request has been matched already."""

    def writelines(self, list_of_data: Any) -> None:
        """Drop them."""

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing comes that was not asked for."""

    resume_reading = pause_reading


class _Classes(NamedTuple):
    """Classes of ours, made of aiohttp's."""

    noted: Any
    line: Any
    connection: Any


@cache
def _classes() -> _Classes:  # noqa: C901  four small classes, each on a base of aiohttp's
    import aiohttp  # noqa: PLC0415
    from aiohttp.client_proto import ResponseHandler  # noqa: PLC0415
    from aiohttp.connector import Connection  # noqa: PLC0415
    from aiohttp.http import HttpVersion11, RawResponseMessage  # noqa: PLC0415
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415
    from aiohttp.http_parser import DeflateBuffer  # noqa: PLC0415
    from aiohttp.streams import EMPTY_PAYLOAD  # noqa: PLC0415
    from multidict import CIMultiDict, CIMultiDictProxy  # noqa: PLC0415

    class Noted(aiohttp.StreamReader):
        """A live body whose feeds are noted."""

        __slots__ = ()

        def feed_data(self, data: bytes, *size: int) -> bool:
            if data and (known := _takes.get(id(self))) is not None:
                known[1].chunk(bytes(data))
            return super().feed_data(data, *size)

        def feed_eof(self) -> None:
            if (take := _end(self)) is not None:
                take.complete()
            super().feed_eof()

        def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
            if type(exc) is aiohttp.ClientConnectionError:
                _leave(self)  # that is how a response is closed
            elif (take := _end(self)) is not None:
                note_failure(take, exc, "body", self._timer)
            super().set_exception(exc, *cause)

        async def _wait(self, func_name: str) -> None:
            try:
                await super()._wait(func_name)
            except (asyncio.CancelledError, TimeoutError) as error:
                # Either it was cancelled, or the clock of the whole request has struck.
                if self.exception() is None and (take := _end(self)) is not None:
                    note_failure(take, error, "body", self._timer)
                raise

    class Played(aiohttp.StreamReader):
        """A recorded body, which comes as it is asked for."""

        def __init__(self, line: Any, limit: int, replay: Replay, response: Response, **options: Any) -> None:
            super().__init__(line, limit, **options)
            self._line, self._replay, self._response = line, replay, response
            self._pieces: Iterator[tuple[bytes, float]] = replay.pieces()
            self._ahead: tuple[bytes, float] | None = None
            self._reading = False
            self._in_chunks = (response.header("transfer-encoding") or "").lower() == "chunked"
            encoding = (response.header("content-encoding") or "").lower()
            self._sink: Any = self
            if line.undoes and encoding in _CODINGS:
                self._sink = DeflateBuffer(self, encoding, max_decompress_size=limit)

        def begin(self) -> None:
            """Feed at once what comes whole and without a wait, as the network does."""
            few = [*islice(self._pieces, 2)]
            if self._response.ended == "complete" and few[1:] == [] and not any(wait for _, wait in few):
                if all(self._feed(data) for data, _ in few):
                    self._feed_end()
            else:
                self._pieces = chain(few, self._pieces)

        async def _wait(self, func_name: str) -> None:
            if self._reading:
                raise RuntimeError(
                    f"{func_name}() called while another coroutine is already waiting for incoming data"
                )
            self._reading = True
            try:
                with self._timer:
                    await self._play()
            finally:
                self._reading = False
            if self._exception is not None:
                raise self._exception

        async def wait_eof(self) -> None:
            """Wait for the end without reading."""
            while not self.is_eof():
                await self._wait("wait_eof")

        async def _play(self) -> None:
            # A client that is cancelled while it waits gets the piece when it asks again.
            self._ahead = self._ahead or next(self._pieces, None)
            if self._ahead is not None:
                data, wait = self._ahead
                await pause_async(wait)
                self._ahead = None
                self._feed(data)
                return
            ended, failure = self._response.ended, self._response.failure
            if ended == "cut" and failure is not None:
                await pause_async(self._replay.wait(failure.delay))
                self.set_exception(line_error(failure, self._line.request, self._replay))
            elif ended == "closed" and not self._replay.missed_nothing():
                if failure is not None:
                    # The recorded client was cancelled while it waited here: so may this one be.
                    await pause_async(failure.delay + GRACE)
                self.set_exception(self._replay.session.recording_ended(self._replay.exchange))
            else:
                self._feed_end()

        def _feed(self, data: bytes) -> bool:
            if self._in_chunks:
                self.begin_http_chunk_receiving()
            try:
                self._sink.feed_data(data, len(data))
            except HttpProcessingError as error:
                self.set_exception(aiohttp.ClientPayloadError(str(error)))
                return False
            if self._in_chunks:
                self.end_http_chunk_receiving()
            return True

        def _feed_end(self) -> None:
            try:
                self._sink.feed_eof()
            except HttpProcessingError as error:
                self.set_exception(aiohttp.ClientPayloadError(str(error)))

    def line_error(failure: Failure, request: Any, replay: Replay) -> BaseException:
        if failure.error in CANCELLED:
            return replay.session.recording_ended(replay.exchange)
        return as_error(failure, request)

    class Line(ResponseHandler):
        """The protocol of a connection that is none: the answer is what was recorded."""

        def __init__(self, loop: asyncio.AbstractEventLoop, request: Any, replay: Replay) -> None:
            super().__init__(loop)
            self.transport = _Nowhere()
            self.request, self._replay = request, replay
            self.undoes, self._limit, self._clock = True, 0, None
            self._go_on = request._continue is not None  # noqa: SLF001

        def set_response_params(self, **options: Any) -> None:
            self.undoes, self._limit = options["auto_decompress"], options["read_bufsize"]
            self._clock = options["timer"]

        def start_timeout(self) -> None:
            """Nothing comes late over this line but what came late when it was recorded."""

        async def read(self) -> Any:
            if self._go_on:
                self._go_on = False
                return self._message(_CONTINUE, (), None), EMPTY_PAYLOAD
            if (writing := self.request._writer) is not None:  # noqa: SLF001
                # The server answered what it had read.
                await asyncio.wait([writing])
            exchange, replay = self._replay.exchange, self._replay
            response, failure = exchange.response, exchange.failure
            if response is None:
                return await self._fail(failure)
            await pause_async(replay.wait(response.delay))
            body = Played(self, self._limit, replay, response, timer=self._clock, loop=self._loop)
            body.begin()
            return self._message(response.status, response.headers, response), body

        async def _fail(self, failure: Any) -> Any:
            await pause_async(self._replay.wait(failure.delay))
            if failure.error in CANCELLED:
                await pause_async(failure.delay + GRACE)
            raise line_error(failure, self.request, self._replay)

        def _message(self, status: int, headers: Headers, response: Response | None) -> Any:
            raw = tuple(
                (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
                for name, value in headers
            )
            told = CIMultiDict(
                (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
                for name, value in raw
            )
            return RawResponseMessage(
                version=HttpVersion11 if response is None else _version(response.http_version),
                code=status,
                reason=_phrase(status) if response is None or response.reason is None else response.reason,
                headers=CIMultiDictProxy(told),
                raw_headers=raw,
                should_close=False,
                compression=None,
                upgrade=False,
                chunked=False,
            )

    class OverNothing(Connection):
        """A connection that belongs to no pool."""

        def close(self) -> None:
            self._notify_release()
            self._protocol = None

        release = close

        def __del__(self, *_: Any) -> None:
            """Nothing is left open."""

    return _Classes(Noted, Line, OverNothing)


def _version(told: str) -> Any:
    from aiohttp.http import HttpVersion  # noqa: PLC0415

    major, _, minor = told.removeprefix("HTTP/").partition(".")
    return HttpVersion(int(major), int(minor or 0)) if major.isdigit() else HttpVersion(1, 1)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

"""What goes over an `http.client` connection: a live response noted on the way, a recorded one played.

Rules:

* A response that is recorded is handed on as it comes; it is noted below `http.client`, where its bytes
  are read, without the framing of HTTP/1.1.
* A recorded response is spoken by a socket that leads nowhere. The library in use parses it, with its own
  classes and to its own exceptions, as if it came from the network.
* A failure is noted by httpx's name for its kind, so that each library can meet it again in its own words.
"""

from __future__ import annotations

import http.client
import io
import re
from http import HTTPStatus
from time import sleep
from typing import TYPE_CHECKING, Any

from llmreplay.intercept._http_failures import error_of, told_of
from llmreplay.intercept._httpx_streams import CANCELLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmreplay.exchange import Failure, Headers, Response
    from llmreplay.session import Replay, Take

__all__ = ["PlayedSocket", "noting", "pause"]

# How the libraries say that the server closed the connection and said nothing.
_LEFT = re.compile(r"disconnected|closed connection", re.IGNORECASE)
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def pause(seconds: float) -> None:
    """Wait, if there is something to wait for."""
    if seconds:
        sleep(seconds)


# Recording


def noting(make: Callable[..., Any], take: Take) -> Callable[..., Any]:
    """Return what makes responses as `make` does, and notes what is read of them in a take."""

    def made(*args: Any, **options: Any) -> Any:
        response = make(*args, **options)
        begin = response.begin

        def noted() -> None:
            begin()
            _begun(response, take)

        response.begin = noted
        return response

    return made


def _begun(response: Any, take: Take) -> None:
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        take.discard()
        return
    version = "HTTP/1.0" if response.version == 10 else "HTTP/1.1"  # noqa: PLR2004  http.client's form of it
    take.head(response.status, tuple(response.headers.items()), version, response.reason)
    if response.length == 0:
        take.complete()
    else:
        body = _Unchunked() if response.chunked else _Counted(response.length)
        response.fp = _Noted(response.fp, take, body)


class _Noted:
    """The file that `http.client` reads a response from; what it gives is noted on the way."""

    def __init__(self, inner: Any, take: Take, body: _Unchunked | _Counted) -> None:
        self._inner, self._take, self._body = inner, take, body

    def read(self, size: int | None = -1) -> bytes:
        data = self._noted(lambda: self._inner.read(size), size)
        if size is None or size < 0 or len(data) < size:
            self._over()
        return data

    def read1(self, size: int = -1) -> bytes:
        return self._noted(lambda: self._inner.read1(size), size)

    def readline(self, size: int = -1) -> bytes:
        return self._noted(lambda: self._inner.readline(size), size)

    def readinto(self, buffer: Any) -> int:
        count = 0

        def read() -> bytes:
            nonlocal count
            count = self._inner.readinto(buffer)
            return bytes(memoryview(buffer)[:count])

        self._noted(read, len(buffer))
        return count

    def close(self) -> None:
        self._inner.close()
        self._take.leave()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _noted(self, read: Callable[[], bytes], wanted: int | None) -> bytes:
        try:
            data = read()
        except Exception as error:
            self._take.fail(*told_of(error, "body"))
            raise
        except BaseException:
            # A refusal, a keyboard interrupt: nothing that the provider did.
            self._take.discard()
            raise
        if data and (body := self._body.body_in(data)):
            self._take.chunk(body)
        if self._body.ended:
            self._take.complete()
        elif not data and wanted != 0:
            self._over()
        return data

    def _over(self) -> None:
        if (missing := self._body.missing) is None:
            self._take.complete()
        else:
            told = f"peer closed connection without sending complete message body ({missing})"
            self._take.fail("RemoteProtocolError", told, "body")


class _Counted:
    """A body of a known length, or, if that is None, one that ends with its connection."""

    def __init__(self, length: int | None) -> None:
        self._length, self._came = length, 0

    @property
    def ended(self) -> bool:
        return self._length is not None and self._came >= self._length

    @property
    def missing(self) -> str | None:
        """What is missing if nothing more comes."""
        if self._length is None:
            return None
        return f"received {self._came} bytes, expected {self._length}"

    def body_in(self, data: bytes) -> bytes:
        self._came += len(data)
        return data


class _Unchunked:
    """A body in HTTP chunks, read in pieces of any size."""

    missing = "incomplete chunked read"

    def __init__(self) -> None:
        self._line, self._left = b"", 0
        # What comes next: the size of a chunk, its data, the line end after it, or the trailer.
        self._next = "size"

    @property
    def ended(self) -> bool:
        return self._next == "nothing"

    def body_in(self, data: bytes) -> bytes:
        body = []
        while data and not self.ended:
            if self._next == "data":
                body.append(data[: self._left])
                data, self._left = data[self._left :], self._left - len(body[-1])
                if not self._left:
                    self._next = "line end"
                continue
            line, found, data = data.partition(b"\n")
            self._line += line + found
            if found:
                self._take_line(self._line.strip())
                self._line = b""
        return b"".join(body)

    def _take_line(self, line: bytes) -> None:
        if self._next == "line end":
            self._next = "size"
        elif self._next == "size":
            try:
                self._left = int(line.partition(b";")[0], 16)
            except ValueError:
                # No HTTP: who reads it will say so.
                self._next = "nothing"
            else:
                self._next = "data" if self._left else "trailer"
        elif not line:
            self._next = "nothing"


# Replaying


class PlayedSocket:
    """A socket that leads nowhere: it takes any request, and speaks one recorded answer."""

    def __init__(self, replay: Replay, method: str) -> None:
        self._answer = io.BufferedReader(_Spoken(_spoken(replay, method)))

    def makefile(self, *_: Any, **__: Any) -> Any:
        """Return the answer."""
        return self._answer

    def sendall(self, data: Any) -> None:
        """Take a part of the request."""

    def close(self) -> None:
        """Close nothing: the answer is closed by whoever reads it."""

    settimeout = setsockopt = shutdown = lambda *_: None


class _Spoken(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._rest or next(self._pieces, b"")
        count = min(len(piece), len(buffer))
        buffer[:count], self._rest = piece[:count], piece[count:]
        return count


def _spoken(replay: Replay, method: str) -> Iterator[bytes]:
    """Yield an exchange as a server speaks HTTP/1.1, to the end it had."""
    response, failure = replay.exchange.response, replay.exchange.failure
    if response is None:
        if failure is not None:  # an exchange has one of both
            pause(replay.wait(failure.delay))
            _break(failure, replay, framed=True)
        return
    pause(replay.wait(response.delay))
    chunked = "chunked" in (response.header("transfer-encoding") or "").lower()
    yield _head(response, method, chunked=chunked)
    if method == "HEAD" or response.status in _BODILESS:
        return
    for data, wait in replay.pieces():
        pause(wait)
        if data:
            yield b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
    if response.ended == "cut" and response.failure is not None:
        pause(replay.wait(response.failure.delay))
        _break(response.failure, replay, framed=chunked or response.header("content-length") is not None)
    elif response.ended == "closed" and not replay.missed_nothing():
        raise replay.session.recording_ended(replay.exchange)
    elif chunked:
        yield b"0\r\n\r\n"


def _head(response: Response, method: str, *, chunked: bool) -> bytes:
    version = response.http_version if response.http_version.startswith("HTTP/1.") else "HTTP/1.1"
    lines = [f"{version} {response.status} {_reason(response)}"]
    lines += [f"{name}: {value}" for name, value in _true(response, method, chunked=chunked)]
    text = "".join(" ".join(line.splitlines()) + "\r\n" for line in lines)
    return text.encode("latin-1", "replace") + b"\r\n"


def _true(response: Response, method: str, *, chunked: bool) -> Headers:
    """Leave a length away that does not tell where the body ends, as that of a body now decoded."""
    bodiless = method == "HEAD" or response.status in _BODILESS
    body = str(len(response.body))
    return tuple(
        (name, value)
        for name, value in response.headers
        if name.lower() != "content-length"
        or bodiless
        or (not chunked and (value == body or response.ended != "complete"))
    )


def _reason(response: Response) -> str:
    if response.reason is not None:
        return response.reason
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return ""


def _break(failure: Failure, replay: Replay, *, framed: bool) -> None:
    """Fail as a connection does: by an exception of its socket, or by saying no more."""
    if failure.error in CANCELLED:
        raise replay.session.recording_ended(replay.exchange)
    if failure.error != "RemoteProtocolError":
        raise error_of(failure)
    if failure.phase == "body":
        # Without a length or chunks, silence would be the end that was meant.
        if not framed:
            raise http.client.IncompleteRead(b"")
    elif failure.message and not _LEFT.search(failure.message):
        raise http.client.BadStatusLine(failure.message)

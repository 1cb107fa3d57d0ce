"""One exchange while it is being recorded.

Rules:

* A take has its place in the order of requests from the moment its request starts, however late
  its response ends.
* The edge reports what the transport delivered, as it came; content codings are undone at the end,
  so that recording adds nothing but a clock reading to each chunk.
* A take ends once. What is reported after that (a late error of a closed socket) is ignored.
* An edge that cannot tell where the transport's chunks end says so (`boundaries`): the body is then
  kept as one chunk, and the exchange says that its boundaries are not.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from time import perf_counter
from typing import TYPE_CHECKING

from llmreplay.exchange import Chunk, Ended, Exchange, Failure, Headers, Phase, Provenance, Request, Response
from llmreplay.framing import coding

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Take"]

# Tenths of a millisecond: finer than any network, and short to write.
_DIGITS = 4


class Take:
    """Collects what the transport delivers for one request, until it ends.

    With `coded` the body keeps its content coding, for whoever wants the bytes of the wire.
    """

    def __init__(
        self, request: Request, edge: str, done: Callable[[Exchange], None], *, coded: bool = False
    ) -> None:
        self.request = request
        self._coded = coded
        self._edge, self._done = edge, done
        self._at = datetime.now(UTC)
        self._last = perf_counter()
        self._lock = threading.Lock()
        self._head: tuple[int, Headers, str, str | None, float] | None = None
        self._chunks: list[Chunk] = []
        self._undone: str | None = None
        self._ended = False
        self.boundaries = True

    def head(
        self, status: int, headers: Headers, http_version: str = "HTTP/1.1", reason: str | None = None
    ) -> None:
        """Note the status line and the headers, which have just come."""
        self._head = (status, headers, http_version, _unusual(status, reason), self._waited())

    def chunk(self, data: bytes) -> None:
        """Note bytes of the body, which have just come."""
        self._chunks.append(Chunk(data, self._waited()))

    def undone(self, encoding: str) -> None:
        """Note that the library has undone this content coding before the chunks were reported."""
        self._undone = encoding

    def complete(self) -> None:
        """Note that the body has ended as the server meant it."""
        self._end("complete", None)

    def fail(self, error: str, message: str, phase: Phase) -> None:
        """Note that the connection failed: before a response, or in the middle of one."""
        self._end("cut", Failure(error, message, phase, self._waited()))

    def leave(self, read: int | None = None) -> None:
        """Note that the client closed the response without reading on.

        `read` is the number of bytes that the client took, where that may be less than what has come:
        chunks that it took nothing of are dropped.
        """
        if read is not None:
            self._drop_beyond(read)
        # A client that has all that was announced missed nothing.
        self._end("complete" if self._has_all() else "closed", None)

    def cancel(self) -> None:
        """Note that the client was cancelled while it waited."""
        phase: Phase = "headers" if self._head is None else "body"
        self._end("closed", Failure("CancelledError", "the client was cancelled", phase, self._waited()))

    def discard(self) -> None:
        """Forget this exchange: it is no business of a cassette."""
        with self._lock:
            self._ended = True

    def _drop_beyond(self, read: int) -> None:
        with self._lock:
            if self._ended:
                return
            begins = [0, *accumulate(len(chunk.data) for chunk in self._chunks)]
            self._chunks = [chunk for begin, chunk in zip(begins, self._chunks, strict=False) if begin < read]

    def _has_all(self) -> bool:
        announced = (
            next((value for name, value in self._head[1] if name.lower() == "content-length"), None)
            if self._head
            else None
        )
        return (
            announced is not None
            and announced.isdigit()
            and int(announced) == sum(len(chunk.data) for chunk in self._chunks)
        )

    def _whole(self) -> list[Chunk]:
        waited = round(sum(chunk.delay for chunk in self._chunks), _DIGITS)
        return [Chunk(b"".join(chunk.data for chunk in self._chunks), waited)] if self._chunks else []

    def _waited(self) -> float:
        now = perf_counter()
        waited, self._last = now - self._last, now
        return round(waited, _DIGITS)

    def _end(self, ended: Ended, failure: Failure | None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._done(self._exchange(ended, failure))

    def _exchange(self, ended: Ended, failure: Failure | None) -> Exchange:
        provenance = Provenance(
            at=self._at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            by=f"llmreplay {_own_version()}",
            client=self.request.header("user-agent"),
            edge=self._edge,
            boundaries=self.boundaries,
        )
        if self._head is None:
            failed = failure or Failure(
                "CancelledError", "the client left before the response began", "headers"
            )
            return Exchange(self.request, failure=failed, provenance=provenance)
        status, headers, http_version, reason, delay = self._head
        chunks = tuple(self._chunks if self.boundaries else self._whole())
        if self._undone is not None:
            headers, encoding = _decoded(headers), self._undone
        elif self._coded:
            encoding = None
        else:
            headers, chunks, encoding = _undo_coding(headers, chunks)
        response = Response(status, headers, chunks, ended, failure, delay, http_version, reason, encoding)
        return Exchange(self.request, response, provenance=provenance)


def _undo_coding(
    headers: Headers, chunks: tuple[Chunk, ...]
) -> tuple[Headers, tuple[Chunk, ...], str | None]:
    """Store what a coding hides, so that it can be read and searched; keep what cannot be undone."""
    encoding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
    if not chunks or not encoding or encoding.strip().lower() == "identity":
        return headers, chunks, None
    decoded = coding.decode([chunk.data for chunk in chunks], encoding)
    if decoded is None:
        return headers, chunks, None
    return (
        _decoded(headers),
        tuple(Chunk(data, chunk.delay) for data, chunk in zip(decoded, chunks, strict=True)),
        encoding,
    )


def _decoded(headers: Headers) -> Headers:
    return tuple(
        (name, value) for name, value in headers if name.lower() not in ("content-encoding", "content-length")
    )


def _unusual(status: int, reason: str | None) -> str | None:
    try:
        usual = HTTPStatus(status).phrase
    except ValueError:
        usual = ""
    return None if reason is None or reason == usual else reason


@cache
def _own_version() -> str:
    try:
        return version("llmreplay")
    except PackageNotFoundError:  # pragma: no cover  run from a source tree that was never installed
        return "0"

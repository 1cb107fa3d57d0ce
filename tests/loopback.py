"""An HTTP/1.1 server on 127.0.0.1 that puts on the wire exactly what a test says, faults included.

Rules:

* Threads and sockets only, so that sync, asyncio and trio tests use it alike. Nothing depends on luck:
  a test holds the server with a `Gate`, or with `lockstep` and `Server.step`, and never sleeps.
* One item of `Reply.chunks` is one HTTP chunk and one send, with TCP_NODELAY. The status line and the
  headers are one send before them.
* Every wait ends when the client leaves or the server closes. Closing joins all threads and raises what
  went wrong in them.

It stays one module, above the usual length, because a test reads it to learn what is sent when.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Gate", "Received", "Reply", "Route", "Server", "coder", "encode", "refused_port"]

Coding = Literal["gzip", "deflate", "br", "zstd"]

Framing = Literal["chunked", "length", "close", "raw"]
"""How a client finds the end of the body: chunked coding, content-length, or the end of the connection.
`raw` sends the chunks as they are, without a status line or headers."""

Ending = Literal["clean", "cut", "reset", "hang", "drop", "abort", "stall", "upgrade"]
"""What follows the chunks: the proper end; a promise of more, then a closed (`cut`) or reset connection;
silence (`hang`); an echo of all bytes (`upgrade`, after a 101). Three send nothing at all: `drop` closes,
`abort` resets, `stall` stays silent."""

_POLL = 0.02  # how soon a waiting connection notices that its client left; gates are noticed at once
_PATIENCE = 30.0  # a gate that nobody opens is a mistake in the test


@dataclass(frozen=True)
class Received:
    """A request as it came, with its whole body. `connection` counts the server's connections from 0."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @cached_property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Gate:
    """Holds a reply until the test opens it; once open, it stays open."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        """Let everything pass that waits here, now and later."""
        self._event.set()

    def wait(self, timeout: float) -> bool:
        """Wait for the gate to open; False if it did not."""
        return self._event.wait(timeout)


@dataclass(frozen=True)
class Reply:
    """What to put on the wire.

    `body` goes with a content-length, `chunks` go chunked, one send each; `framing` says otherwise. A
    function as `chunks` gives them one by one, and may never end. `coding` compresses: a body as a whole,
    chunks with a flush after each one and the trailer as a chunk of its own.

    `hold` is waited for before the first byte, `gates[k]` before chunk k, or before the ending if k is the
    number of chunks. `lockstep` makes every chunk but the first wait for a `Server.step`, and so does an
    ending that is not clean. `delay` is the seconds between two chunks.

    A header that is given replaces the one the server would add, even if it lies. `partial` is what still
    comes, before a `cut` or a `reset`, of the chunk that does not come.
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    chunks: Sequence[bytes] | Callable[[], Iterable[bytes]] = ()
    framing: Framing | None = None
    coding: Coding | None = None
    ending: Ending = "clean"
    partial: bytes = b""
    hold: Gate | None = None
    gates: Mapping[int, Gate] | None = None
    lockstep: bool = False
    delay: float = 0.0
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.body is not None and self.chunks:
            raise ValueError("a reply has a body or chunks, not both")
        if callable(self.chunks) and self.framing == "length":
            raise ValueError("the length of generated chunks is not known ahead")

    @classmethod
    def json(cls, value: Any, status: int = 200, **rest: Any) -> Reply:
        """A JSON body."""
        return cls(
            status, body=json.dumps(value, ensure_ascii=False).encode(), **_typed("application/json", rest)
        )

    @classmethod
    def sse(cls, chunks: Sequence[bytes] | Callable[[], Iterable[bytes]], **rest: Any) -> Reply:
        """A stream of server-sent events in the given chunks, which need not be whole events."""
        return cls(chunks=chunks, **_typed("text/event-stream; charset=utf-8", rest))

    @classmethod
    def endless(cls, delay: float = 0.005, **rest: Any) -> Reply:
        """Events numbered from 0, `data: {"n": 0}`, until the client leaves."""

        def numbered() -> Iterator[bytes]:
            number = 0
            while True:
                yield b'data: {"n": %d}\n\n' % number
                number += 1

        return cls.sse(numbered, delay=delay, **rest)

    @classmethod
    def upgrade(cls, protocol: str = "echo") -> Reply:
        """Switch protocols; from then on every byte comes back."""
        return cls(101, {"connection": "Upgrade", "upgrade": protocol}, framing="close", ending="upgrade")


Route = Reply | Callable[[Received], Reply] | Sequence[Reply]
"""What answers: one reply for ever, a function of the request, or replies for one request each."""


class Server:
    """Answers from `routes`, by path, or from one route whatever the path; 404 where there is none.

    Use it as a context manager. `requests` lists what was received, in order of arrival.
    """

    host = "127.0.0.1"

    def __init__(self, routes: Mapping[str, Route] | Route) -> None:
        self._routes = routes if isinstance(routes, Mapping) else {}
        self._default = None if isinstance(routes, Mapping) else routes
        self._queues: dict[int, deque[Reply]] = {}
        self._changed = threading.Condition()
        self._requests: list[Received] = []
        self._departures = 0
        self._walks: list[tuple[str, threading.Semaphore]] = []
        self._errors: list[Exception] = []
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((self.host, 0), backlog=128)
        self._bell, self._ear = socket.socketpair()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{self.host}:{self.port}"
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if not self._errors:
            return
        if error is None:
            raise self._errors[0]
        error.add_note(f"The loopback server failed too: {self._errors[0]!r}")

    @property
    def requests(self) -> tuple[Received, ...]:
        """The requests received so far."""
        with self._changed:
            return tuple(self._requests)

    @property
    def connections(self) -> int:
        """The number of connections accepted so far."""
        with self._changed:
            return len(self._threads) - 1

    def step(self, path: str | None = None) -> None:
        """Release the next chunk, or the ending, of the lockstep reply that began last (at `path`, if given).

        A step that nothing waits for is kept for that reply, and dropped if there is none under way.
        """
        with self._changed:
            for at, steps in reversed(self._walks):
                if path in (None, at):
                    steps.release()
                    return

    def wait_for_requests(self, count: int = 1, timeout: float = 10) -> None:
        """Wait until so many requests have come in whole. Blocks: from async code, call it in a thread."""
        self._wait(lambda: len(self._requests) >= count, timeout, f"{count} requests")

    def wait_for_departures(self, count: int = 1, timeout: float = 10) -> None:
        """Wait until so many clients have left before the end of their reply, and the server has noticed."""
        self._wait(lambda: self._departures >= count, timeout, f"{count} clients to leave")

    def close(self) -> None:
        """End all connections and threads; closing twice is closing once."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._bell.send(b"x")
        self._threads[0].join()
        with self._changed:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(10)
            if thread.is_alive():
                self._errors.append(RuntimeError(f"{thread.name} does not end"))
        for sock in (self._listener, self._bell, self._ear):
            sock.close()

    def _wait(self, met: Callable[[], bool], timeout: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(met, timeout):
                raise TimeoutError(f"waited {timeout} s for {what}")

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name=f"loopback-{self.port}-{len(self._threads)}")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._ear], [], [])
            if self._ear in ready:
                return
            sock, _ = self._listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._open.add(sock)
                self._start(self._serve, sock, len(self._threads) - 1)

    def _serve(self, sock: socket.socket, number: int) -> None:
        # The file is left first: a socket closes for good, and lingers or not, after its last file.
        with suppress(OSError), sock, sock.makefile("rb") as incoming:
            try:
                while (received := _receive(sock, incoming, number)) is not None:
                    reply = self._answer(received)
                    if not _Sending(self, sock, received, reply).run():
                        break
            except (_LeftError, OSError):
                if not self._closing.is_set():
                    with self._changed:
                        self._departures += 1
                        self._changed.notify_all()
            except Exception as error:  # whatever a test's function raises is shown by close
                self._errors.append(error)
            with (
                self._changed
            ):  # before the socket is closed, lest close() meet its number in another's hands
                self._open.discard(sock)

    def _answer(self, received: Received) -> Reply:
        with self._changed:
            self._requests.append(received)
            self._changed.notify_all()
            route = self._routes.get(received.path, self._default)
            if isinstance(route, Sequence):
                queue = self._queues.setdefault(id(route), deque(route))
                route = queue.popleft() if queue else None
        if route is None:
            return Reply(404, body=f"nothing answers {received.method} {received.path}".encode())
        return route if isinstance(route, Reply) else route(received)


class _LeftError(Exception):
    """The client is gone, or the server closes."""


class _Sending:
    """One reply on its way."""

    def __init__(self, server: Server, sock: socket.socket, received: Received, reply: Reply) -> None:
        self._server, self._sock, self._received, self._reply = server, sock, received, reply
        self._framing = reply.framing or ("chunked" if reply.body is None and reply.chunks else "length")
        if received.method == "HEAD" or reply.status in (204, 304):
            self._framing = "close"
        self._steps = threading.Semaphore(0)

    def run(self) -> bool:
        """Send it all; whether the connection may serve another request."""
        if not self._reply.lockstep:
            return self._send()
        walk = (self._received.path, self._steps)
        with self._server._changed:
            self._server._walks.append(walk)
        try:
            return self._send()
        finally:
            with self._server._changed:
                self._server._walks.remove(walk)

    def _send(self) -> bool:
        reply = self._reply
        if reply.hold is not None:
            self._until(reply.hold.wait, "hold")
        if reply.ending in ("drop", "abort", "stall"):
            return self._end()
        bodiless = self._received.method == "HEAD" or reply.status in (204, 304)
        pieces = () if bodiless else self._pieces()
        if self._framing != "raw":
            self._sock.sendall(self._head(pieces))
        count = 0
        for count, piece in enumerate(pieces, 1):
            self._before(count - 1)
            if not piece:
                raise ValueError(
                    f"chunk {count - 1} for {self._received.path} is empty: that would end the body"
                )
            self._sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if self._framing == "chunked" else piece)
        if reply.gates and count in reply.gates:
            self._until(reply.gates[count].wait, f"the gate of the ending, {count}")
        if reply.lockstep and reply.ending != "clean":
            self._until(self._step, "a step to the ending")
        if bodiless:
            return True
        return self._end()

    def _before(self, index: int) -> None:
        reply = self._reply
        if reply.gates and index in reply.gates:
            self._until(reply.gates[index].wait, f"gate {index}")
        if index and reply.lockstep:
            self._until(self._step, f"a step to chunk {index}")
        if index and reply.delay:
            self._until(_never, "the delay", reply.delay, may_pass=True)

    def _end(self) -> bool:
        ending = self._reply.ending
        if ending == "clean":
            if self._framing == "chunked":
                self._sock.sendall(b"0\r\n\r\n")
            return self._framing in ("chunked", "length") and self._received.header("connection") != "close"
        if ending in ("cut", "reset"):
            promise = b"%x\r\n" % (len(self._reply.partial) + 64) if self._framing == "chunked" else b""
            if promise or self._reply.partial:
                self._sock.sendall(promise + self._reply.partial)
        elif ending in ("hang", "stall"):
            self._until(_never, "the client to leave", float("inf"))
        elif ending == "upgrade":
            while data := self._sock.recv(65536):
                self._sock.sendall(data)
        if ending in ("reset", "abort"):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _pieces(self) -> Iterable[bytes]:
        reply = self._reply
        if reply.body is not None:
            return (
                ([encode(reply.coding, reply.body)] if reply.coding else [reply.body]) if reply.body else []
            )
        pieces: Iterable[bytes] = reply.chunks() if callable(reply.chunks) else reply.chunks
        if reply.coding:
            pieces = _coded(reply.coding, pieces)
        return list(pieces) if self._framing == "length" else pieces

    def _head(self, pieces: Iterable[bytes]) -> bytes:
        reply = self._reply
        given = list(reply.headers.items() if isinstance(reply.headers, Mapping) else reply.headers)
        added = {}
        if self._framing == "chunked":
            added["transfer-encoding"] = "chunked"
        elif self._framing == "length":
            more = len(reply.partial) + 64 if reply.ending in ("cut", "reset") else 0
            added["content-length"] = str(sum(map(len, pieces)) + more)
        if reply.coding:
            added["content-encoding"] = reply.coding
        names = {name.lower() for name, _ in given}
        given += [(name, value) for name, value in added.items() if name not in names]
        reason = reply.reason if reply.reason is not None else _phrase(reply.status)
        lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in given), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _step(self, timeout: float) -> bool:
        return self._steps.acquire(timeout=timeout)

    def _until(
        self,
        met: Callable[[float], bool],
        what: str,
        limit: float = _PATIENCE,
        *,
        may_pass: bool = False,
    ) -> None:
        """Wait for `met`; raises `_LeftError` as soon as nobody is there to be answered."""
        deadline = time.monotonic() + limit
        while not met(max(0.0, min(_POLL, deadline - time.monotonic()))):
            if self._server._closing.is_set() or _gone(self._sock):
                raise _LeftError
            if time.monotonic() >= deadline:
                if may_pass:
                    return
                raise TimeoutError(f"{self._received.path} waited {limit} s for {what}")


def encode(coding: Coding, data: bytes) -> bytes:
    """Compress a whole body."""
    compress, finish = coder(coding)
    return compress(data) + finish()


def coder(coding: Coding) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Give two functions: compress and flush a chunk, so that it can be read at once; finish the stream."""
    if coding in ("gzip", "deflate"):
        deflate = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        return (lambda data: deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)), deflate.flush
    if coding == "br":
        import brotli  # type: ignore[import-untyped]  # it has no stubs

        brotlis = brotli.Compressor()
        return (lambda data: brotlis.process(data) + brotlis.flush()), brotlis.finish
    import zstandard

    zstd = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return (lambda data: zstd.compress(data) + zstd.flush(block)), zstd.flush


def _coded(coding: Coding, pieces: Iterable[bytes]) -> Iterator[bytes]:
    compress, finish = coder(coding)
    for piece in pieces:
        yield compress(piece)
    yield finish()


@contextmanager
def refused_port() -> Iterator[int]:
    """Give a port that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind((Server.host, 0))
        yield bound.getsockname()[1]


def _typed(content_type: str, rest: dict[str, Any]) -> dict[str, Any]:
    headers = rest.pop("headers", ())
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.insert(0, ("content-type", content_type))
    return {**rest, "headers": tuple(pairs)}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Made Up"  # 529 and its like


def _never(timeout: float) -> bool:
    time.sleep(timeout)
    return False


def _gone(sock: socket.socket) -> bool:
    ready, _, _ = select.select([sock], [], [], 0)
    return bool(ready) and not sock.recv(1, socket.MSG_PEEK)


def _receive(sock: socket.socket, incoming: BinaryIO, connection: int) -> Received | None:
    """Read a request, or None where the client sends no more of them."""
    try:
        start = incoming.readline()
        if not start.endswith(b"\r\n"):
            return None
        method, target, _ = start.decode("latin-1").split(" ", 2)
        headers: list[tuple[str, str]] = []
        while line := incoming.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers.append((name.strip(), value.strip()))
        request = Received(method, target, tuple(headers), b"", connection)
        if (request.header("expect") or "").lower() == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Received(method, target, tuple(headers), _body(request, incoming), connection)
    except OSError:
        return None


def _body(request: Received, incoming: BinaryIO) -> bytes:
    if (request.header("transfer-encoding") or "").lower() != "chunked":
        return incoming.read(int(request.header("content-length") or 0))
    pieces = []
    while size := int(incoming.readline().split(b";")[0] or b"0", 16):
        pieces.append(incoming.read(size))
        incoming.readline()
    while incoming.readline().strip():
        pass  # trailers
    return b"".join(pieces)

"""The HTTP clients that the edges are tested with: the same verbs for each library, sync and async.

Rules:

* `EDGES` lists them; a test that takes `edge` runs with each. Another library is one more line there,
  and one more adapter if it has verbs of its own (`AioEdge`).
* Errors go by their names in httpx, which cassettes use too; `error` gives the library's own class.
* What a library does not have is skipped with the reason (`Edge.not_for`).
* Verbs are called from sync code and return when all is done: `read` one response, `together` several at
  the same time, `cancel` a task while it reads. A client is made and closed within each, unless one is given.
* What the library raises is in `Seen.error`. A refusal is let through: it is no error of a client.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import httpcore  # noqa: F401  imported late by httpx: lost again if that is in a run of pytester
import httpcore2  # noqa: F401  likewise, by httpx2
import httpx
import httpx2
import pytest
import trio
import trio.testing
import uvloop

from llmreplay import use_cassette

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CHAT = "/v1/chat/completions"
"""A path whose requests are calls of a model, and so recorded although the server is this machine."""

ELSEWHERE = "http://provider.invalid"
"""A host that is not this machine. A test reaches it through the loopback server, as through a proxy."""

PATIENCE = 10.0

leaves_generators = pytest.mark.filterwarnings(
    # httpx, and httpcore2 below httpx2, leave theirs to the garbage collector, which trio complains about
    "ignore:Async generator .* was garbage collected:ResourceWarning"
)


@dataclass(frozen=True)
class Seen:
    """What a client saw: a response, chunk by chunk, and the error that ended it or came in its place."""

    chunks: list[bytes] = field(default_factory=list)
    error: str | None = None
    message: str | None = None
    status: int | None = None
    reason: str | None = None
    http_version: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    history: tuple[int, ...] = ()
    raised: BaseException | None = None
    response: Any = None

    @property
    def told(self) -> tuple[list[bytes], str | None]:
        """The chunks, and the name of the error."""
        return self.chunks, self.error

    @property
    def body(self) -> bytes:
        """All chunks, joined."""
        return b"".join(self.chunks)


def nothing(*_: Any) -> None:
    """Do nothing, whatever happened."""


def until(met: Callable[[], Any]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.001)


@dataclass
class _Reading:
    """One request and what is seen of its response while it is read."""

    library: Any
    url: str
    request: dict[str, Any]
    on_chunk: Callable[[], Any] = nothing
    take: int | None = None
    how: str = "iter_bytes"
    chunks: list[bytes] = field(default_factory=list)
    error: Exception | None = None
    response: Any = None

    def read(self, client: Any) -> Seen:
        try:
            with client.stream(**self._asked()) as self.response:
                for chunk in getattr(self.response, self.how)():
                    if self._has_enough(chunk):
                        break
        except Exception as error:
            self.error = error
        return self.seen()

    async def aread(self, client: Any) -> Seen:
        try:
            async with (
                client.stream(**self._asked()) as self.response,
                aclosing(getattr(self.response, f"a{self.how}")()) as chunks,
            ):
                async for chunk in chunks:
                    if self._has_enough(chunk):
                        break
        except Exception as error:
            self.error = error
        return self.seen()

    def seen(self) -> Seen:
        response, error = self.response, self.error
        seen = Seen(self.chunks)
        if error is not None:
            seen = replace(seen, error=type(error).__name__, message=str(error), raised=error)
        if response is None:
            return seen
        return replace(
            seen,
            status=response.status_code,
            reason=response.reason_phrase,
            http_version=response.http_version,
            headers=tuple(response.headers.multi_items()),
            history=tuple(before.status_code for before in response.history),
            response=response,
        )

    def _has_enough(self, chunk: bytes) -> bool:
        self.chunks.append(chunk)
        self.on_chunk()
        return len(self.chunks) == self.take

    def _asked(self) -> dict[str, Any]:
        options: dict[str, Any] = {"method": "POST", "url": self.url, **self.request}
        if options["method"] == "POST" and not options.keys() & {"json", "content", "files", "data"}:
            options["json"] = {"model": "loopback", "messages": []}
        return options


@dataclass(frozen=True)
class Edge:
    """httpx or httpx2, in threads, under asyncio or under trio."""

    library: Any
    kind: str

    def __repr__(self) -> str:
        return f"{self.library.__name__}-{self.kind}"

    @property
    def is_async(self) -> bool:
        return self.kind != "sync"

    def error(self, name: str, _phase: str = "headers") -> type[Exception]:
        """The library's exception of a name."""
        return getattr(self.library, name)

    @property
    def noted_as(self) -> str:
        """The name by which a cassette knows the edge."""
        return self.library.__name__

    def response(self) -> type:
        """The class of what it hands out."""
        return self.library.Response

    def tells(self, seen: Seen, message: str) -> bool:
        """Whether the error that was seen says what it said in another library."""
        return seen.message == message

    def not_for(self, _test: str) -> str | None:
        """Why a test of the contract is not for this library, or None."""
        return None

    def patience(self, read: float) -> dict[str, Any]:
        """The options of a client that waits so long for bytes."""
        return {"timeout": self.library.Timeout(PATIENCE, read=read)}

    def transport(self) -> type:
        """The class that the edge is put into."""
        return self.library.AsyncHTTPTransport if self.is_async else self.library.HTTPTransport

    def method(self) -> str:
        """The method of it that is replaced."""
        return "handle_async_request" if self.is_async else "handle_request"

    def client(self, **options: Any) -> Any:
        """A client. Without certificates to load, it is made at once."""
        options = {"verify": False, "timeout": PATIENCE, "trust_env": False, **options}
        return self.library.AsyncClient(**options) if self.is_async else self.library.Client(**options)

    def run(self, function: Any, *arguments: Any) -> Any:
        """Run an async function in a loop of this edge's kind."""
        if self.kind == "trio":
            return trio.run(function, *arguments)
        return asyncio.run(function(*arguments))

    def read(
        self,
        url: str,
        on_chunk: Callable[[], Any] = nothing,
        *,
        client: Mapping[str, Any] | None = None,
        take: int | None = None,
        how: str = "iter_bytes",
        **request: Any,
    ) -> Seen:
        """Send a request, a model call unless told otherwise, and read the response as a stream.

        `on_chunk` is called after each chunk; after `take` chunks the client leaves.
        """
        reading = self._reading(self.library, url, request, on_chunk, take, how)
        if self.is_async:
            raw = self._raw() if how == "iter_raw" else {}
            return self.run(self._aread, reading, {**raw, **(client or {})})
        with self.client(**(client or {})) as made:
            return reading.read(made)

    def together(
        self, requests: Sequence[tuple[str, dict[str, Any]]], begun: Callable[[int], Any] = nothing
    ) -> list[Seen]:
        """Send requests at the same time through one client; `begun(k)` waits for k to begin in a thread."""
        readings = [self._reading(self.library, url, request) for url, request in requests]
        if self.is_async:
            return self.run(self._atogether, readings)
        with self.client() as client, ThreadPoolExecutor(len(requests)) as pool:
            futures = []
            for k, reading in enumerate(readings):
                futures.append(pool.submit(reading.read, client))
                begun(k)
            return [future.result() for future in futures]

    def cancel(
        self, url: str, ready: Callable[[list[bytes]], Any], on_chunk: Callable[[], Any] = nothing
    ) -> Seen:
        """Cancel the task that reads a response, as soon as it is `ready` by the chunks that it has seen."""
        reading = self._reading(self.library, url, {}, on_chunk)
        return self.run(self._acancel_trio if self.kind == "trio" else self._acancel, reading, ready)

    def _reading(self, *arguments: Any) -> _Reading:
        return _Reading(*arguments)

    def _raw(self) -> dict[str, Any]:
        """What a client needs in order to give bytes as they came."""
        return {}

    async def _aread(self, reading: _Reading, options: dict[str, Any]) -> Seen:
        async with self.client(**options) as client:
            return await reading.aread(client)

    async def _atogether(self, readings: list[_Reading]) -> list[Seen]:
        async with self.client() as client:
            if self.kind != "trio":
                return await asyncio.gather(*(reading.aread(client) for reading in readings))
            async with trio.open_nursery() as nursery:
                for reading in readings:
                    nursery.start_soon(reading.aread, client)
                    # trio starts the tasks of a nursery in any order it likes
                    await trio.testing.wait_all_tasks_blocked()
        return [reading.seen() for reading in readings]

    async def _acancel(self, reading: _Reading, ready: Callable[[list[bytes]], Any]) -> Seen:
        async with self.client() as client:
            task = asyncio.create_task(reading.aread(client))
            while not ready(reading.chunks):  # noqa: ASYNC110  what is waited for may happen in a thread
                await asyncio.sleep(0.001)
            task.cancel()
            (raised,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(raised, asyncio.CancelledError)
        return reading.seen()

    async def _acancel_trio(self, reading: _Reading, ready: Callable[[list[bytes]], Any]) -> Seen:
        async with self.client() as client, trio.open_nursery() as nursery:
            nursery.start_soon(reading.aread, client)
            while not ready(reading.chunks):  # noqa: ASYNC110
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        assert nursery.cancel_scope.cancelled_caught
        return reading.seen()


@dataclass
class _AioReading(_Reading):
    """The same over aiohttp."""

    async def aread(self, client: _AioClient) -> Seen:
        try:
            options = self._asked()
            method, url = options.pop("method"), options.pop("url")
            async with client.request(method, url, **options) as self.response:
                async for chunk in self.response.content.iter_any():
                    if self._has_enough(chunk):
                        break
        except Exception as error:
            self.error = error
        return self.seen()

    def seen(self) -> Seen:
        response, self.response = self.response, None
        seen = super().seen()
        if response is None:
            return seen
        return replace(
            seen,
            status=response.status,
            reason=response.reason,
            http_version=f"HTTP/{response.version.major}.{response.version.minor}",
            headers=tuple((name.lower(), value) for name, value in response.headers.items()),
            history=tuple(before.status for before in response.history),
            response=response,
        )


class _AioClient:
    """aiohttp's client with the verbs that these tests use."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(**self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @asynccontextmanager
    async def stream(self, method: str, url: str, **options: Any) -> Any:
        """A response to be read in the words of httpx."""
        async with self.request(method, url, **options) as response:
            yield _Streamed(response.status, response.content)

    def request(self, method: str, url: str, **options: Any) -> Any:
        """A request, to be entered."""
        if "content" in options:
            options["data"] = options.pop("content")
        if "files" in options:
            form = aiohttp.FormData(options.pop("data"))
            for name, (filename, data, kind) in options.pop("files").items():
                form.add_field(name, data, filename=filename, content_type=kind)
            options["data"] = form
        options["allow_redirects"] = options.pop("follow_redirects", False)
        return self._session.request(method, url, **options)

    async def post(self, url: str, **options: Any) -> Any:
        """A response that has been read."""
        async with self.request("POST", url, **options) as response:
            return _Whole(await response.read())

    async def get(self, url: str) -> Any:
        """A response that has been read."""
        async with self.request("GET", url) as response:
            return _Whole(await response.read())


@dataclass
class _Streamed:
    status_code: int
    _content: aiohttp.StreamReader

    async def aiter_raw(self) -> Any:
        async for chunk, _ in self._content.iter_chunks():
            yield chunk


@dataclass
class _Whole:
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


_AIOHTTP_LACKS = [
    (r"elapsed", "aiohttp does not measure responses"),
    (r"transport|users_own_fakes|taken_from_the_network", "aiohttp has no transports of one's own"),
    (
        r"its_phase|mid_stream_keeps|failure_of_tls|met_again_as_it|met_again_as_the|is_its_nearest|from_the_keyboard",
        "aiohttp has no transport of one's own that could fail so; see test_aiohttp",
    ),
    (
        r"trace_of_the_callers|an_upgrade|unix_socket|patch_below_us|are_the_librarys_own",
        "aiohttp has a way of its own; see test_aiohttp",
    ),
]


@dataclass(frozen=True, repr=False)
class AioEdge(Edge):
    """aiohttp, under asyncio or uvloop."""

    # By the name in httpx: what is raised instead of an answer, and in the middle of one.
    _ERRORS = {  # noqa: RUF012  a table
        "ConnectError": "ClientConnectorError",
        "ConnectTimeout": "ConnectionTimeoutError",
        "PoolTimeout": "ConnectionTimeoutError",
        "ProxyError": "ClientProxyConnectionError",
        "UnsupportedProtocol": "ClientConnectorError",
        "WriteTimeout": "ServerTimeoutError",
        "WriteError": "ClientOSError",
        "LocalProtocolError": "ClientConnectionError",
        "ReadTimeout": "SocketTimeoutError",
        "CloseError": "ClientOSError",
        "RemoteProtocolError": "ServerDisconnectedError",
        "NoHTTP": "ClientResponseError",
        "ReadError": "ClientOSError",
        "ConnectionAbortedError": "ClientOSError",
    }
    _ERRORS_IN_BODY = {  # noqa: RUF012
        "RemoteProtocolError": "ClientPayloadError",
        "ReadError": "ClientPayloadError",
        "DecodingError": "ClientPayloadError",
        "ReadTimeout": "SocketTimeoutError",
    }

    def response(self) -> type:
        """The class of what it hands out."""
        return aiohttp.ClientResponse

    def error(self, name: str, phase: str = "headers") -> type[Exception]:
        """aiohttp's exception for what is called so in httpx."""
        names = self._ERRORS_IN_BODY if phase == "body" else self._ERRORS
        return getattr(aiohttp, names[name])

    def tells(self, seen: Seen, message: str) -> bool:
        """Whether the message is in aiohttp's own, which has the address around it, or in its cause's."""
        told = f"{seen.message} {seen.raised.__cause__} {getattr(seen.raised, 'message', '')}"
        return message.removeprefix("[Errno 111] ") in told

    def not_for(self, test: str) -> str | None:
        """Why a test of the contract is not for aiohttp, or None."""
        return next((reason for pattern, reason in _AIOHTTP_LACKS if re.search(pattern, test)), None)

    def patience(self, read: float) -> dict[str, Any]:
        """The options of a client that waits so long for bytes."""
        return {"timeout": aiohttp.ClientTimeout(PATIENCE, sock_read=read)}

    def transport(self) -> type:
        """The class that the edge is put into."""
        return aiohttp.BaseConnector

    def method(self) -> str:
        """The method of it that is replaced."""
        return "connect"

    def client(self, **options: Any) -> Any:
        """A client."""
        return _AioClient(**{"timeout": aiohttp.ClientTimeout(PATIENCE), **options})

    def run(self, function: Any, *arguments: Any) -> Any:
        """Run an async function in a loop of this edge's kind."""
        if self.kind == "uvloop":
            return uvloop.run(function(*arguments))
        return asyncio.run(function(*arguments))

    def _reading(self, *arguments: Any) -> _Reading:
        return _AioReading(*arguments)

    def _raw(self) -> dict[str, Any]:
        return {"auto_decompress": False}


EDGES = [
    *(Edge(library, kind) for library in (httpx, httpx2) for kind in ("sync", "asyncio", "trio")),
    *(AioEdge(aiohttp, kind) for kind in ("asyncio", "uvloop")),
]
HTTPX_EDGES = [edge for edge in EDGES if edge.library is not aiohttp]
ASYNC_EDGES = [edge for edge in EDGES if edge.is_async]


def record(path: Path, **options: Any) -> use_cassette:
    """Record a cassette from the start."""
    return use_cassette(path, record="rewrite", **options)


def replay(path: Path, **options: Any) -> use_cassette:
    """Replay a cassette; all of it has to be asked for."""
    return use_cassette(path, **options)


def in_thread(function: Callable[[], Any]) -> Any:
    """Run a function in a thread that knows nothing of the context of this one."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    return results[0]

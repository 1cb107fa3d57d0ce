"""What is aiohttp's own: its ways to send, to read, to fail and to be watched, recorded and replayed."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import threading
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from llmreplay import (
    Cassette,
    Exchange,
    Failure,
    LiveCallBlocked,
    RecordingEnded,
    Request,
    Response,
    UnmatchedRequest,
    load,
)
from llmreplay.intercept import _aiohttp_failures
from tests.edges._clients import CHAT, ELSEWHERE, AioEdge, record, replay
from tests.loopback import Gate, Received, Reply, Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

PIECES = [b"data: caf\xc3", b"\xa9\n", b"\ndata: t", b"wo\n\n"]
TEXT = b"".join(PIECES)
BINARY = bytes(range(256)) * 3
JSON = {"model": "m", "messages": []}
EDGE = AioEdge(aiohttp, "asyncio")


def run(use: Callable[[aiohttp.ClientSession], Awaitable[Any]], **options: Any) -> Any:
    """Use a client, and close it."""

    async def main() -> Any:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10), **options) as client:
            return await use(client)

    return asyncio.run(main(), debug=False)


def twice(tape: Path, use: Callable[[aiohttp.ClientSession], Awaitable[Any]], **options: Any) -> list[Any]:
    """What a client gets bare, recorded and replayed."""
    bare = run(use, **options)
    with record(tape):
        live = run(use, **options)
    with replay(tape):
        return [bare, live, run(use, **options)]


def echo(received: Received) -> Reply:
    """What came, as far as a client decides it."""
    names = ("authorization", "cookie", "x-own", "x-default", "user-agent")
    headers = {name: received.header(name) for name in names}
    return Reply.json({"target": received.target, "body": received.body.decode("latin-1"), **headers})


# sending


SENDINGS: dict[str, dict[str, Any]] = {
    "json": {"json": JSON},
    "bytes": {"data": b'{"model": "m"}'},
    "text": {"data": "Zürich"},
    "pairs": {"data": {"a": "1", "b": "ü"}},
    "parameters": {"json": JSON, "params": {"q": "a b", "r": "ü&"}},
    "headers": {"json": JSON, "headers": {"X-Own": "1", "User-Agent": "me/1"}},
    "cookies": {"json": JSON, "cookies": {"a": "1"}},
    "compressed": {"json": JSON, "compress": "gzip"},
    "chunked": {"data": b"abc", "chunked": True},
    "nothing": {},
    "asked to go on": {"json": JSON, "expect100": True},
}


@pytest.mark.parametrize("how", SENDINGS)
def test_what_is_sent_arrives_as_without_us_and_matches(tape, how):
    async def use(client: aiohttp.ClientSession) -> Any:
        async with client.post("/v1/chat/completions", **SENDINGS[how]) as response:
            return await response.json()

    with Server(echo) as server:
        bare, live, played = twice(
            tape,
            use,
            base_url=server.url,
            headers={"X-Default": "d", "Authorization": "Bearer made-up"},
        )
        assert [received.body for received in server.requests[:1]] == [server.requests[1].body]
    assert bare == live
    assert played["body"] == live["body"]
    assert played["target"] == live["target"]
    with pytest.raises(UnmatchedRequest), replay(tape):
        run(lambda client: client.post(f"{server.url}{CHAT}", data=b"another"))


def test_what_aiohttp_compresses_is_recorded_as_it_was_given(tape):
    with Server(Reply.json({})) as server, record(tape):
        run(lambda client: client.post(server.url + CHAT, json=JSON, compress=True))
    request = load(tape).exchanges[0].request
    assert request.json == JSON
    assert request.header("content-encoding") is None


def uploads(folder: Path) -> dict[str, Callable[[], Any]]:
    def form(data: Any) -> aiohttp.FormData:
        made = aiohttp.FormData({"model": "m"})
        made.add_field("file", data, filename="a.wav", content_type="audio/wav")
        return made

    async def pieces() -> Any:
        yield BINARY[:100]
        yield BINARY[100:]

    def pipe() -> Any:
        reading, writing = os.pipe()
        os.write(writing, BINARY)
        os.close(writing)
        return os.fdopen(reading, "rb")

    (folder / "a.wav").write_bytes(BINARY)
    return {
        "form": lambda: form(BINARY),
        "form of a file": lambda: form(io.BytesIO(BINARY)),
        "file": lambda: (folder / "a.wav").open("rb"),
        "buffer": lambda: io.BytesIO(BINARY),
        "async generator": pieces,
        "pipe": pipe,
        "writes only": WritesOnly,
    }


class WritesOnly(aiohttp.Payload):
    """A body that can be written and not be looked at."""

    def __init__(self) -> None:
        super().__init__(BINARY, content_type="audio/wav")

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("it cannot be looked at")

    async def write(self, writer: Any) -> None:
        self._consumed = True
        await writer.write(BINARY[:300])
        await writer.write(BINARY[300:])


@pytest.mark.parametrize(
    "kind", ["form", "form of a file", "file", "buffer", "async generator", "pipe", "writes only"]
)
def test_an_upload_arrives_whole_and_matches(tape, tmp_path, kind):
    kinds = uploads(tmp_path)

    async def use(client: aiohttp.ClientSession) -> bytes:
        async with client.post(url, data=kinds[kind]()) as response:
            return await response.read()

    with Server(Reply(body=b"heard")) as server:
        url = f"{server.url}/v1/audio/transcriptions"
        with record(tape):
            assert run(use) == b"heard"
        assert BINARY in server.requests[0].body
    assert BINARY in load(tape).exchanges[0].request.body
    with replay(tape):
        assert run(use) == b"heard"
        assert len(server.requests) == 1


# receiving


async def read_all(response: aiohttp.ClientResponse) -> Any:
    return await response.read()


async def by_lines(response: aiohttp.ClientResponse) -> Any:
    return [line async for line in response.content]


async def exactly(response: aiohttp.ClientResponse) -> Any:
    got = [await response.content.readexactly(7), await response.content.readuntil(b"t")]
    with pytest.raises(asyncio.IncompleteReadError):
        await response.content.readexactly(1000)
    return got


async def in_sizes(response: aiohttp.ClientResponse) -> Any:
    return b"".join([piece async for piece in response.content.iter_chunked(5)])


async def at_its_end(response: aiohttp.ClientResponse) -> Any:
    await response.content.wait_eof()
    return [response.content.at_eof(), response.content.read_nowait(), response.content.at_eof()]


async def as_text(response: aiohttp.ClientResponse) -> Any:
    return [await response.text(), response.content_type, response.charset, response.get_encoding()]


@pytest.mark.parametrize("how", [read_all, by_lines, exactly, in_sizes, at_its_end, as_text])
def test_a_response_can_be_read_in_every_way(tape, how):
    async def use(client: aiohttp.ClientSession) -> Any:
        async with client.post(url, json=JSON) as response:
            return await how(response)

    with Server(Reply.sse(PIECES)) as server:
        url = server.url + CHAT
        bare, live, played = twice(tape, use)
    assert bare == live == played


@pytest.mark.parametrize(("framing", "ends"), [("chunked", True), ("length", False)])
def test_the_ends_of_http_chunks_are_told_again(tape, framing, ends):
    async def use(client: aiohttp.ClientSession) -> Any:
        seen = []
        async with client.post(url, json=JSON) as response:
            async for data, end in response.content.iter_chunks():
                seen.append((data, end))
                server.step()
        return seen

    with Server(Reply.sse(PIECES, lockstep=True, framing=framing)) as server:
        url = server.url + CHAT
        bare, live, played = twice(tape, use)
    assert with_their_ends(bare) == with_their_ends(live) == played == [(piece, ends) for piece in PIECES]


def with_their_ends(seen: list[tuple[bytes, bool]]) -> list[tuple[bytes, bool]]:
    """Put ends that came by themselves to their data: a network may part what was sent at once."""
    put: list[tuple[bytes, bool]] = []
    for data, end in seen:
        if data or not put:
            put.append((data, end))
        else:
            put[-1] = (put[-1][0], end)
    return put


def test_a_slow_reader_gets_each_chunk_by_itself(tape):
    async def use(client: aiohttp.ClientSession) -> Any:
        chunks = []
        async with client.post(url, json=JSON) as response:
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                for _ in range(20):
                    await asyncio.sleep(0)
        return chunks

    with Server(Reply.sse(PIECES, lockstep=True)) as server:
        url = server.url + CHAT
        with record(tape):
            EDGE.read(url, server.step, json=JSON)
    with replay(tape):
        assert run(use) == PIECES


def test_a_reader_that_is_cancelled_and_asks_again_misses_nothing(tape, monkeypatch):
    async def use(client: aiohttp.ClientSession) -> Any:
        chunks = []
        async with client.post(ELSEWHERE + CHAT, json=JSON) as response:
            while not response.content.at_eof():
                task = asyncio.create_task(response.content.readany())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                chunks.append(await response.content.readany())
        return chunks

    with Server(Reply.sse(PIECES, lockstep=True)) as server, record(tape):
        EDGE.read(ELSEWHERE + CHAT, server.step, client={"proxy": server.url}, json=JSON)
    with replay(tape):
        assert b"".join(run(use)) == TEXT


def test_two_readers_at_once_are_told_so(tape):
    async def use(client: aiohttp.ClientSession) -> None:
        async with client.post(url, json=JSON) as response:
            first = asyncio.create_task(response.content.readany())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="while another coroutine is already waiting"):
                await response.content.readany()
            await first

    with Server(Reply.sse(PIECES, lockstep=True)) as server:
        url = server.url + CHAT
        with record(tape):
            EDGE.read(url, server.step, json=JSON)
    with replay(tape):
        run(use)


def test_what_aiohttp_knows_of_a_response_is_the_same(tape):
    async def use(client: aiohttp.ClientSession) -> Any:
        async with client.post("/v1/chat/completions?a=1#f", json=JSON, allow_redirects=True) as response:
            return [
                response.status,
                response.reason,
                response.ok,
                response.method,
                str(response.url),
                str(response.real_url),
                str(response.request_info.url),
                response.raw_headers,
                [(str(each.url), each.status) for each in response.history],
                {name: cookie.value for name, cookie in response.cookies.items()},
                str(response.links["next"]["url"]),
                await response.json(),
                sorted(cookie.key for cookie in client.cookie_jar),
                response.connection,
                response.closed,
            ]

    headers = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("link", "<https://x.invalid/2>; rel=next")]
    with Server(
        lambda asked: (
            Reply(307, {"location": CHAT + "?b=1"})
            if "a=1" in asked.target
            else Reply.json({"asked": asked.json}, headers=headers, status=201, reason="Made")
        )
    ) as server:
        bare, live, played = twice(tape, use, base_url=server.url)
    assert bare == live
    kept = [7, 9, 12]  # cookies are secrets, which a cassette does not keep
    assert [value for at, value in enumerate(played) if at not in kept] == [
        value for at, value in enumerate(live) if at not in kept
    ]
    assert [exchange.response.status for exchange in load(tape).exchanges] == [307, 201]


def test_an_error_status_is_raised_where_the_client_wants_it(tape):
    async def use(client: aiohttp.ClientSession) -> Any:
        with pytest.raises(aiohttp.ClientResponseError) as raised:
            await client.post(url, json=JSON)
        return [raised.value.status, raised.value.message, str(raised.value)]

    with Server(Reply.json({"error": {}}, status=429)) as server:
        url = server.url + CHAT
        bare, live, played = twice(tape, use, raise_for_status=True)
    assert bare == live == played


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_turns_a_post_into_a_get_as_aiohttp_does(tape, status):
    def moved(asked: Received) -> Reply:
        if asked.path == CHAT:
            return Reply(status, {"location": f"{ELSEWHERE}/next"})
        return Reply.json({"method": asked.method})

    async def use(client: aiohttp.ClientSession) -> Any:
        async with client.post(ELSEWHERE + CHAT, json=JSON) as response:
            return await response.json()

    with Server(moved) as server:
        assert twice(tape, use, proxy=server.url) == [{"method": "GET"}] * 3
    assert [exchange.request.method for exchange in load(tape).exchanges] == ["POST", "GET"]


def test_a_middleware_sees_what_it_sees_without_us(tape):
    seen: list[tuple[str, int]] = []

    async def retrying(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        request.headers["X-Own"] = "1"
        response = await handler(request)
        seen.append((str(request.url), response.status))
        if response.status == 429:
            await response.read()
            response = await handler(request)
            seen.append((str(request.url), response.status))
        return response

    async def use(client: aiohttp.ClientSession) -> Any:
        seen.clear()
        async with client.post(url, json=JSON) as response:
            return [await response.json(), *seen]

    with Server([Reply.json({}, status=429), Reply.json({"n": 1})] * 2) as server:
        url = server.url + CHAT
        bare, live, played = twice(tape, use, middlewares=[retrying])
    assert bare == live == played == [{"n": 1}, (url, 429), (url, 200)]
    assert len(load(tape).exchanges) == 2


def test_a_trace_sees_what_it_sees_without_us_but_for_connections_that_are_none(tape):
    events: list[str] = []

    def config() -> aiohttp.TraceConfig:
        made = aiohttp.TraceConfig()
        for name in (
            "request_start",
            "connection_create_start",
            "request_headers_sent",
            "request_chunk_sent",
            "response_chunk_received",
            "request_end",
        ):

            async def note(_client: Any, _context: Any, _params: Any, name: str = name) -> None:
                events.append(name)

            getattr(made, f"on_{name}").append(note)
        return made

    async def use(client: aiohttp.ClientSession) -> Any:
        events.clear()
        async with client.post(url, json=JSON) as response:
            await response.read()
        return [*events]

    with Server(Reply.json({})) as server:
        url = server.url + CHAT
        bare = run(use, trace_configs=[config()])
        with record(tape):
            assert run(use, trace_configs=[config()]) == bare
        with replay(tape):
            played = run(use, trace_configs=[config()])
    assert played == [name for name in bare if name != "connection_create_start"]


def test_an_upload_is_tracked_to_its_end(tape):
    async def use(client: aiohttp.ClientSession) -> Any:
        tracker = aiohttp.UploadTracker()
        async with client.post(url, data=BINARY, upload_tracker=tracker) as response:
            await response.read()
        await tracker.upload_complete
        return tracker.bytes_written

    with Server(Reply.json({})) as server:
        url = server.url + CHAT
        assert twice(tape, use) == [len(BINARY)] * 3


# leaving


LEAVINGS = {
    "close": lambda response: response.close(),
    "release": lambda response: response.release(),
    "nothing": lambda _response: None,
}


@pytest.mark.parametrize("how", LEAVINGS)
def test_a_response_that_is_not_read_further_ends_where_it_was_left(tape, how):
    async def use(client: aiohttp.ClientSession) -> list[bytes]:
        response = await client.post(url, json=JSON)
        chunks = [await response.content.readany() for _ in range(2)]
        LEAVINGS[how](response)
        return chunks

    async def on(client: aiohttp.ClientSession) -> None:
        async with client.post(url, json=JSON) as response:
            for _ in range(2):
                with pytest.raises(RecordingEnded):
                    await response.read()
            raise response.content.exception()

    with Server(Reply.endless()) as server:
        url = server.url + CHAT
        with record(tape):
            live = run(use)
    response = load(tape).exchanges[0].response
    assert response.ended == "closed"
    assert b"".join(chunk.data for chunk in response.chunks) == b"".join(live)
    with replay(tape):
        assert b"".join(run(use)).startswith(live[0])
    with pytest.raises(RecordingEnded), replay(tape):
        run(on)


def test_what_lay_unread_is_not_recorded_of_a_client_that_left(tape):
    gate = Gate()

    async def use(client: aiohttp.ClientSession) -> bytes:
        async with client.post(url, json=JSON) as response:
            first = await response.content.read(6)
            gate.open()
            # Now the rest comes, and is not read.
            while response.content.total_bytes < len(TEXT):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            return first

    with Server(Reply.sse(PIECES, gates={1: gate}, ending="hang")) as server:
        url = server.url + CHAT
        with record(tape):
            assert run(use) == PIECES[0][:6]
    assert [chunk.data for chunk in load(tape).exchanges[0].response.chunks] == PIECES[:1]


def test_a_response_that_came_whole_and_was_not_read_is_recorded_whole(tape):
    async def use(client: aiohttp.ClientSession) -> int:
        response = await client.post(url, json=JSON)
        while not response.closed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return response.status

    with Server(Reply.json({"n": 1})) as server:
        url = server.url + CHAT
        with record(tape):
            run(use)
    with replay(tape):
        assert run(use) == 200
    assert load(tape).exchanges[0].response.json == {"n": 1}


def test_the_clock_of_a_whole_request_strikes_again_at_the_same_place(tape):
    def use(seconds: float) -> Callable[[aiohttp.ClientSession], Awaitable[Any]]:
        async def ask(client: aiohttp.ClientSession) -> Any:
            seen: list[Any] = []
            try:
                async with client.post(url, json=JSON, timeout=aiohttp.ClientTimeout(seconds)) as response:
                    seen.append(await response.content.readany())
                    await response.read()
            except TimeoutError as error:
                seen.append(type(error))
            return seen

        return ask

    for reply, before in ((Reply.sse([b"a"], ending="hang"), [b"a"]), (Reply(ending="stall"), [])):
        with Server(reply) as server:
            url = server.url + CHAT
            with record(tape):
                live = run(use(0.1))
        with replay(tape):
            # It strikes although the client has all the time of the world.
            assert run(use(10.0)) == live == [*before, TimeoutError]
        exchange = load(tape).exchanges[0]
        failure = exchange.failure or exchange.response.failure
        assert (failure.error, failure.message) == ("ReadTimeout", "the total time-out of the request")


# failing


def failed(error: BaseException, phase: Any = "headers") -> Failure | None:
    """How a failure is noted."""
    kept: list[Any] = []

    class Kept:
        def fail(self, *what: Any) -> None:
            kept.append(Failure(*what))

        def cancel(self) -> None:
            kept.append("cancelled")

        def discard(self) -> None:
            kept.append(None)

    _aiohttp_failures.note_failure(Kept(), error, phase, None)
    return kept[0]


KEY = ConnectionKey(
    host="127.0.0.1", port=1, is_ssl=False, ssl=True, **dict.fromkeys(ConnectionKey._fields[4:])
)
ASKED = aiohttp.RequestInfo(URL(ELSEWHERE), "GET", CIMultiDictProxy(CIMultiDict()), URL(ELSEWHERE))
CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
FAILURES: list[tuple[Exception, str, str, str]] = [
    (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), "connect", "ConnectError", "connect"),
    (
        aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
        "connect",
        "ConnectError",
        "connect",
    ),
    (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused")), "connect", "ProxyError", "connect"),
    (aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE), "connect", "ConnectError", "tls"),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL] bad")), "connect", "ConnectError", "tls"),
    (aiohttp.SocketTimeoutError("Timeout on reading data from socket"), "headers", "ReadTimeout", "headers"),
    (aiohttp.ServerDisconnectedError(), "headers", "RemoteProtocolError", "headers"),
    (aiohttp.ClientOSError(104, "reset"), "headers", "ReadError", "headers"),
    (aiohttp.ClientOSError(32, "Can not write request body for x"), "send", "WriteError", "send"),
    (aiohttp.ClientPayloadError("not completed"), "body", "RemoteProtocolError", "body"),
    (aiohttp.ClientPayloadError("<X>. ConnectionResetError(104)"), "body", "ReadError", "body"),
    (
        aiohttp.ClientPayloadError("400: Can not decode content-encoding: gzip"),
        "body",
        "DecodingError",
        "body",
    ),
    (aiohttp.SocketTimeoutError("Timeout on reading data from socket"), "body", "ReadTimeout", "body"),
    (ValueError("own"), "headers", "ValueError", "headers"),
    (ValueError("own"), "body", "ValueError", "body"),
]


@pytest.mark.parametrize(("error", "phase", "name", "noted"), FAILURES, ids=lambda value: str(value)[:40])
def test_a_failure_is_noted_in_the_words_of_all_and_met_again_in_aiohttps(error, phase, name, noted):
    failure = failed(error, phase)
    assert (failure.error, failure.phase) == (name, noted)

    class Asked:
        connection_key = KEY

    again = _aiohttp_failures.as_error(failure, Asked())
    assert type(again) is type(error)
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("UnsupportedProtocol", "x", "connect"), aiohttp.ClientConnectorError),
        (Failure("PoolTimeout", "x", "connect"), TimeoutError),
        (Failure("WriteTimeout", "x", "send"), aiohttp.ServerTimeoutError),
        (Failure("LocalProtocolError", "x", "send"), aiohttp.ClientConnectionError),
        (Failure("CloseError", "x"), aiohttp.ClientOSError),
        (Failure("SSEError", "x"), aiohttp.ClientOSError),
        (Failure("SSEError", "x", "body"), aiohttp.ClientPayloadError),
        (Failure("ReadError", "", "body"), aiohttp.ClientPayloadError),
        (Failure("ConnectionAbortedError", "x", "connect"), ConnectionAbortedError),
    ],
    ids=lambda value: getattr(value, "error", ""),
)
def test_a_failure_that_aiohttp_has_no_word_for_is_its_nearest(failure, kind):
    class Asked:
        connection_key = KEY

    again = _aiohttp_failures.as_error(failure, Asked())
    assert type(again) is kind
    assert str(again)


@pytest.mark.parametrize(
    ("error", "phase", "name"),
    [
        (aiohttp.ClientHttpProxyError(ASKED, (), status=407, message="no"), "connect", "ProxyError"),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), "connect", "ConnectError"),
        (TimeoutError("slow"), "connect", "ConnectTimeout"),
        (aiohttp.ClientConnectionError("Connector is closed."), "connect", "ConnectError"),
        (aiohttp.ClientConnectionError("Failed to send bytes"), "headers", "WriteError"),
        (aiohttp.ClientResponseError(ASKED, (), message="no HTTP"), "headers", "RemoteProtocolError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_other_failures_are_noted_in_the_words_of_all(error, phase, name):
    assert failed(error, phase).error == name


def test_what_the_provider_did_not_do_is_not_noted():
    assert failed(KeyboardInterrupt()) is None
    assert failed(asyncio.CancelledError()) == "cancelled"


def test_a_get_that_is_dropped_is_asked_again_by_aiohttp_and_again_on_replay(tape):
    async def use(client: aiohttp.ClientSession) -> Any:
        async with client.get(f"{ELSEWHERE}/v1/models") as response:
            return await response.json()

    with Server([Reply(ending="drop"), Reply.json({"n": 1})] * 2) as server:
        assert twice(tape, use, proxy=server.url) == [{"n": 1}] * 3
    first, second = load(tape).exchanges
    assert (first.failure.error, second.response.status) == ("RemoteProtocolError", 200)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_another_library_could_not_undo_aiohttp_undoes_on_replay(tape, coding):
    from tests.loopback import encode

    request = Request(
        "POST", ELSEWHERE + CHAT, (("content-type", "application/json"),), b'{"model":"m","messages":[]}'
    )
    coded = encode(coding, b"whole " * 1000)
    response = Response.of(200, [coded[:5], coded[5:]], (("content-encoding", coding),))
    Cassette([Exchange(request, response)]).save(tape)

    async def use(client: aiohttp.ClientSession) -> bytes:
        async with client.post(ELSEWHERE + CHAT, json=JSON) as response:
            return await response.read()

    with replay(tape):
        assert run(use) == b"whole " * 1000
    broken = Response.of(200, b"no such coding", (("content-encoding", coding),))
    Cassette([Exchange(request, broken)]).save(tape)
    with pytest.raises(aiohttp.ClientPayloadError), replay(tape):
        run(use)


# web sockets


@asynccontextmanager
async def web_socket_server(status: int = 101) -> Any:
    from aiohttp import web

    async def handle(request: web.Request) -> Any:
        if status != 101:
            return web.Response(status=status)
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        async for message in opened:
            await opened.send_str(f"{message.data}!")
        return opened

    app = web.Application()
    app.router.add_get(CHAT, handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}{CHAT}"
    await runner.cleanup()


@pytest.mark.parametrize("opened", [record, replay])
def test_a_web_socket_on_this_machine_passes_and_is_not_recorded(tape, opened):
    async def use(client: aiohttp.ClientSession) -> str:
        async with web_socket_server() as url, client.ws_connect(url) as sock:
            await sock.send_str("ping")
            return await sock.receive_str()

    with opened(tape) as cassette:
        assert run(use) == "ping!"
        assert cassette.calls == []
    assert not tape.exists()


def test_a_web_socket_to_elsewhere_is_recorded_in_no_case_and_refused_in_replay(tape):
    async def use(client: aiohttp.ClientSession) -> None:
        await client.ws_connect("ws://provider.invalid/v1/realtime")

    with pytest.raises(UnmatchedRequest), replay(tape):
        run(use)
    refusal = Reply(403)
    with Server(refusal) as server, record(tape) as cassette:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            run(use, proxy=server.url)
        assert cassette.calls == []


# neighbours


def to(server: Server) -> Any:
    """A look-up that leads every host to a server, as aresponses does."""

    async def resolve(_self: Any, host: str, _port: int, **_: Any) -> list[dict[str, Any]]:
        return [
            {
                "hostname": host,
                "host": server.host,
                "port": server.port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    return resolve


@pytest.mark.parametrize("opened", [record, replay])
def test_a_host_that_a_mock_below_us_answers_is_not_recorded(tape, monkeypatch, opened):
    async def use(client: aiohttp.ClientSession) -> list[bytes]:
        return [await (await client.get("http://mocked.invalid/weather")).read() for _ in range(2)]

    with Server(Reply(body=b"mock")) as server:
        monkeypatch.setattr(aiohttp.TCPConnector, "_resolve_host", to(server))
        with opened(tape) as cassette:
            assert run(use) == [b"mock"] * 2
        assert cassette.calls == []
        assert server.connections == 1


def test_a_call_of_a_model_that_a_mock_below_us_answers_is_recorded(tape, monkeypatch):
    async def use(client: aiohttp.ClientSession) -> bytes:
        async with client.post(ELSEWHERE + CHAT, json=JSON) as response:
            return await response.read()

    with Server(Reply(body=b"mock")) as server, monkeypatch.context() as patch:
        patch.setattr(aiohttp.TCPConnector, "_resolve_host", to(server))
        with record(tape):
            assert run(use) == b"mock"
    with replay(tape):
        assert run(use) == b"mock"


def test_an_error_that_a_mock_below_us_makes_is_not_recorded(tape, monkeypatch):
    async def refuse(_self: Any, _host: str, _port: int, **_: Any) -> Any:
        raise aiohttp.ClientConnectionError("mock")

    monkeypatch.setattr(aiohttp.TCPConnector, "_resolve_host", refuse)
    with record(tape) as cassette, pytest.raises(aiohttp.ClientConnectionError):
        run(lambda client: client.get("http://mocked.invalid/weather"))
    assert cassette.calls == []


@pytest.mark.parametrize("opened", [record, replay])
@pytest.mark.parametrize("order", ["mock first", "llmreplay first"])
def test_a_mock_of_the_whole_request_stays_above_us(tape, monkeypatch, opened, order):
    # As aioresponses: it replaces `ClientSession._request`, and passes on what it does not answer.
    real = aiohttp.ClientSession._request

    class Mocked:
        status = 418

    async def request(self: Any, method: str, url: Any, **options: Any) -> Any:
        return Mocked() if "mocked.invalid" in str(url) else await real(self, method, url, **options)

    async def use(client: aiohttp.ClientSession) -> Any:
        return await client._request("GET", "http://mocked.invalid/weather")

    if order == "mock first":
        monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
    with opened(tape) as cassette:
        monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
        assert run(use).status == 418
    assert cassette.calls == []


def test_a_unix_socket_passes(tape, tmp_path):
    path = str(tmp_path / "s")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhere"

    def serve() -> None:
        for _ in range(2):
            with listener.accept()[0] as sock:
                sock.recv(65536)
                sock.sendall(answer)

    async def use() -> bytes:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as client,
            client.get("http://docker/version") as response,
        ):
            return await response.read()

    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        with replay(tape):
            assert [asyncio.run(use()) for _ in range(2)] == [b"here"] * 2
        thread.join()


def test_an_address_that_is_no_model_is_refused_although_it_needs_no_look_up(tape):
    async def use(client: aiohttp.ClientSession) -> None:
        await client.get("http://192.0.2.1/weather")

    with pytest.raises(LiveCallBlocked), replay(tape, only="llm"):
        run(use)


def test_a_name_that_was_looked_up_before_the_session_is_no_way_out(tape, monkeypatch):
    async def main() -> None:
        resolver = Resolver()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, force_close=True)
        ) as client:
            async with client.get(f"http://provider.invalid:{server.port}/weather") as answer:
                assert answer.status == 200
            with replay(tape, only="llm"):
                await client.get(f"http://provider.invalid:{server.port}/weather")

    class Resolver(aiohttp.abc.AbstractResolver):
        """A resolver that does not use Python's sockets."""

        async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
            return await to(server)(None, host, port)

        async def close(self) -> None:
            """Nothing is open."""

    with Server(Reply(body=b"x")) as server, pytest.raises(LiveCallBlocked):
        asyncio.run(main())
    assert server.connections == 1


def test_aiohttp_that_is_imported_while_a_session_is_open_is_seen(tmp_path):
    import subprocess
    import sys

    program = f"""
import sys
from llmreplay import UnmatchedRequest, use_cassette
try:
    with use_cassette({str(tmp_path / "tape.yaml")!r}):
        assert not {{"aiohttp", "uvloop", "httpx2"}} & sys.modules.keys()
        import aiohttp, asyncio
        assert aiohttp.__spec__.loader.get_source("aiohttp")
        async def main():
            async with aiohttp.ClientSession() as client:
                await client.post("http://provider.invalid/v1/chat/completions", json={{}})
        asyncio.run(main())
except UnmatchedRequest:
    assert aiohttp.BaseConnector.connect.__module__ == "aiohttp.connector"
    assert not any("llmreplay" in type(finder).__module__ for finder in sys.meta_path)
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("refused\n", "")

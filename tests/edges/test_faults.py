"""What goes wrong on the wire is recorded, and goes wrong again on replay, in whichever library."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest

from llmreplay import AsyncRecordingTransport, RecordingEnded, RecordingTransport, load
from tests import wires
from tests.edges._clients import (
    CHAT,
    EDGES,
    HTTPX_EDGES,
    Edge,
    Seen,
    leaves_generators,
    nothing,
    record,
    replay,
)
from tests.loopback import Reply, Server, refused_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# httpx leaves its generators behind where a response breaks off, too.
pytestmark = leaves_generators

PIECES = [b"data: caf\xc3", b"\xa9\n", b"\ndata: t", b"wo\n\n"]


@dataclass(frozen=True)
class Fault:
    """A reply that goes wrong, what the client sees before, and the error that it meets."""

    name: str
    reply: Reply | None
    error: str
    phase: str
    chunks: tuple[bytes, ...] = ()
    patience: float = 10.0
    kind: str = ""

    def __repr__(self) -> str:
        return self.name

    def in_words_of(self, edge: Edge) -> type[Exception]:
        """The exception of a library for it."""
        return edge.error((self.kind if edge.library is aiohttp else "") or self.error, self.phase)

    def is_met_by(self, seen: Seen) -> bool:
        """Whether a client has seen what comes before it."""
        if self.name == "cut while coded":
            # No lockstep is possible, and aiohttp gives at once what has come at once.
            return seen.body == b"".join(self.chunks)
        return seen.chunks == list(self.chunks)

    @contextmanager
    def url(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Where it can be met, and what to do after each chunk."""
        if self.reply is None:
            with refused_port() as port:
                yield f"http://127.0.0.1:{port}{CHAT}", nothing
        else:
            with Server(self.reply) as server:
                yield server.url + CHAT, server.step


def stream(**rest: Any) -> Reply:
    return Reply.sse(PIECES, lockstep=True, **rest)


SEEN = tuple(PIECES)
# No answer ever comes, so that the time-out may be short.
FAULTS = [
    Fault("refused", None, "ConnectError", "connect"),
    Fault("time-out before the headers", Reply(ending="stall"), "ReadTimeout", "headers", patience=0.05),
    Fault("closed before the headers", Reply(ending="drop"), "RemoteProtocolError", "headers"),
    Fault("reset before the headers", Reply(ending="abort"), "ReadError", "headers"),
    Fault(
        "no HTTP",
        Reply(chunks=[b"nonsense\r\n\r\n"], framing="raw"),
        "RemoteProtocolError",
        "headers",
        kind="NoHTTP",
    ),
    Fault("cut in mid-stream", stream(ending="cut"), "RemoteProtocolError", "body", SEEN),
    Fault(
        "cut in an event", stream(ending="cut", partial=b"da"), "RemoteProtocolError", "body", (*SEEN, b"da")
    ),
    Fault(
        "cut short of its length", stream(ending="cut", framing="length"), "RemoteProtocolError", "body", SEEN
    ),
    Fault("cut at once", Reply.sse((), framing="chunked", ending="cut"), "RemoteProtocolError", "body"),
    Fault(
        "cut while coded",
        Reply.sse(PIECES, ending="cut", coding="gzip"),
        "RemoteProtocolError",
        "body",
        SEEN,
    ),
    Fault("reset in mid-stream", stream(ending="reset"), "ReadError", "body", SEEN),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_is_recorded_and_met_again_by_every_client(edge, tape, fault):
    with fault.url() as (url, on_chunk):
        patience = edge.patience(read=fault.patience)
        bare = edge.read(url, on_chunk, client=patience)
        with record(tape):
            live = edge.read(url, on_chunk, client=patience)

    assert fault.is_met_by(bare)
    assert fault.is_met_by(live)
    assert live.message == bare.message
    assert type(live.raised) is type(bare.raised) is fault.in_words_of(edge)
    exchange = load(tape).exchanges[0]
    failure = exchange.failure or exchange.response.failure
    assert (failure.error, failure.phase) == (fault.error, fault.phase)

    for other in EDGES:
        with replay(tape):
            played = other.read(url)
        assert fault.is_met_by(played)
        assert type(played.raised) is fault.in_words_of(other)
        if other.library is edge.library:
            assert played.message == live.message
        assert other.tells(played, failure.message)
        if other in HTTPX_EDGES:
            assert str(played.raised.request.url) == url


def test_a_fault_comes_after_the_same_bytes_however_they_are_cut(edge, tape):
    with Server(stream(ending="reset")) as server:
        url = server.url + CHAT
        with record(tape):
            edge.read(url, server.step)
    with replay(tape, split="bytes"):
        played = edge.read(url)
    assert played.chunks == [bytes([byte]) for byte in b"".join(PIECES)]
    assert type(played.raised) is edge.error("ReadError", "body")


# errors that no loopback server can bring about


def failing(edge: Edge, error: BaseException, after: int | None = None) -> Any:
    """A transport of one's own that fails: at once, or after some chunks."""
    library = edge.library
    pieces = PIECES[: after or 0]

    class Broken(library.SyncByteStream, library.AsyncByteStream):
        def __iter__(self) -> Any:
            yield from pieces
            raise error

        async def __aiter__(self) -> Any:
            for piece in pieces:
                yield piece
            raise error

    def answer() -> Any:
        if after is None:
            raise error
        return library.Response(200, stream=Broken())

    class Own(library.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            return answer()

    class AsyncOwn(library.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            return answer()

    return AsyncRecordingTransport(AsyncOwn()) if edge.is_async else RecordingTransport(Own())


def met(edge: Edge, tape: Any, error: BaseException, after: int | None = None) -> tuple[Seen, Any]:
    """What is seen of an error while it is recorded, and the failure in the cassette."""
    with record(tape):
        live = edge.read("http://127.0.0.1" + CHAT, client={"transport": failing(edge, error, after)})
    exchange = load(tape).exchanges[0]
    return live, exchange.failure or exchange.response.failure


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("ConnectTimeout", "connect"),
        ("PoolTimeout", "connect"),
        ("ProxyError", "connect"),
        ("UnsupportedProtocol", "connect"),
        ("WriteTimeout", "send"),
        ("WriteError", "send"),
        ("LocalProtocolError", "send"),
        ("ReadTimeout", "headers"),
        ("CloseError", "headers"),
    ],
)
def test_an_error_before_the_response_keeps_its_class_and_its_phase(edge, tape, name, phase):
    live, failure = met(edge, tape, edge.error(name)("It broke."))

    assert (failure.error, failure.message, failure.phase) == (name, "It broke.", phase)
    for other in EDGES:
        with replay(tape):
            played = other.read("http://127.0.0.1" + CHAT)
        assert played.chunks == live.chunks
        assert type(played.raised) is other.error(name)
        assert other.tells(played, "It broke.")


def test_a_time_out_in_mid_stream_keeps_its_class_and_what_came_before(edge, tape):
    live, failure = met(edge, tape, edge.error("ReadTimeout")("It broke."), after=2)

    assert live.told == (PIECES[:2], "ReadTimeout")
    assert failure.phase == "body"
    for other in EDGES:
        with replay(tape):
            played = other.read("http://127.0.0.1" + CHAT)
        assert played.chunks == live.chunks
        assert type(played.raised) is other.error("ReadTimeout", "body")


def test_a_certificate_that_is_refused_is_a_failure_of_tls(edge, tape):
    _, failure = met(edge, tape, edge.error("ConnectError")("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
    assert failure.phase == "tls"


@pytest.mark.parametrize("after", [None, 1], ids=["at once", "in mid-stream"])
def test_an_error_of_python_is_met_again_as_it_was(edge, tape, after):
    live, failure = met(edge, tape, ConnectionAbortedError("It broke."), after)

    assert failure.error == live.error == "ConnectionAbortedError"
    for other in EDGES:
        with replay(tape):
            played = other.read("http://127.0.0.1" + CHAT)
        assert played.chunks == live.chunks
        # aiohttp wraps what a socket raises before there is an answer.
        wrapped = other.library is aiohttp and after is None
        assert type(played.raised) is (aiohttp.ClientOSError if wrapped else ConnectionAbortedError)


def test_an_exception_class_of_ones_own_is_met_again_as_the_librarys_that_it_is(edge, tape):
    class OwnError(edge.error("ReadError")):
        pass

    live, failure = met(edge, tape, OwnError("It broke."))

    assert (live.error, failure.error) == ("OwnError", "ReadError")
    with replay(tape):
        assert type(edge.read("http://127.0.0.1" + CHAT).raised) is edge.error("ReadError")


def test_an_exception_that_the_other_library_does_not_know_is_its_nearest(tape):
    httpx2_edge = next(edge for edge in EDGES if edge.library.__name__ == "httpx2")
    httpx_edge = next(edge for edge in EDGES if edge.library.__name__ == "httpx")
    _, failure = met(httpx2_edge, tape, httpx2_edge.error("SSEError")("It broke."))

    assert failure.error == "SSEError"
    with replay(tape):
        played = httpx_edge.read("http://127.0.0.1" + CHAT)
    assert (type(played.raised), played.message) == (httpx_edge.error("ReadError"), "SSEError: It broke.")


def test_an_exception_that_is_none_of_a_transport_is_met_again_as_it_was(edge, tape):
    met(edge, tape, edge.error("InvalidURL")("It broke."))
    with replay(tape):
        played = edge.read("http://127.0.0.1" + CHAT)
    assert (type(played.raised), played.message) == (edge.error("InvalidURL"), "It broke.")


def test_an_exception_that_cannot_be_made_of_its_message_is_its_nearest(edge, tape):
    asked = edge.library.Request("POST", "http://127.0.0.1" + CHAT)
    error = edge.error("HTTPStatusError")("It broke.", request=asked, response=edge.library.Response(500))
    met(edge, tape, error)
    with replay(tape):
        played = edge.read("http://127.0.0.1" + CHAT)
    assert (type(played.raised), played.message) == (edge.error("ReadError"), "HTTPStatusError: It broke.")


def test_an_interrupt_from_the_keyboard_is_nothing_that_the_provider_did(edge, tape):
    with pytest.raises(KeyboardInterrupt), record(tape) as cassette:
        edge.read("http://127.0.0.1" + CHAT, client={"transport": failing(edge, KeyboardInterrupt())})
    assert cassette.calls == []


# retries below us, and by us


def test_a_fault_and_the_retry_after_it_are_two_exchanges(edge, tape):
    with Server([Reply(ending="drop"), Reply.json({"n": 2})]) as server:
        url = server.url + CHAT
        with record(tape):
            live = [edge.read(url).told for _ in range(2)]
    with replay(tape):
        played = [edge.read(url).told for _ in range(2)]
    assert played == live == [([], edge.error("RemoteProtocolError").__name__), ([b'{"n": 2}'], None)]


# clients that are cancelled


def test_a_client_cancelled_in_mid_stream_is_cancelled_again_at_the_same_place(async_edge, tape):
    edge = async_edge
    steps = iter(range(len(PIECES)))
    with Server(stream()) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.cancel(url, lambda chunks: len(chunks) == 2, lambda: next(steps) or server.step())
        server.wait_for_departures()
    response = load(tape).exchanges[0].response
    with replay(tape):
        played = edge.cancel(url, lambda chunks: len(chunks) == 2)

    assert live.chunks == played.chunks == PIECES[:2]
    assert (response.ended, response.failure.error, response.failure.phase) == (
        "closed",
        "CancelledError",
        "body",
    )


def test_a_client_cancelled_before_the_headers_is_cancelled_again_there(async_edge, tape):
    edge = async_edge
    with Server(Reply(ending="stall")) as server:
        url = server.url + CHAT
        with record(tape):
            edge.cancel(url, lambda _: server.requests)
        server.wait_for_departures()
    failure = load(tape).exchanges[0].failure
    with replay(tape) as cassette:
        played = edge.cancel(url, lambda _: cassette.calls)

    assert (played.chunks, played.status) == ([], None)
    assert (failure.error, failure.phase) == ("CancelledError", "headers")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that async clients are made to wait, which pass at once."""
    waits: list[float] = []
    real = anyio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr(anyio, "sleep", sleep)
    return waits


@pytest.mark.parametrize("when", ["in mid-stream", "before the headers"])
def test_a_client_that_is_not_cancelled_again_is_told_that_the_recording_ends(async_edge, tape, slept, when):
    early = when == "before the headers"
    with Server(Reply(ending="stall") if early else Reply.sse(PIECES, ending="hang")) as server:
        url = server.url + CHAT
        with record(tape):
            # aiohttp gives at once what has come at once.
            expected = b"" if early else b"".join(PIECES)
            async_edge.cancel(url, lambda chunks: server.requests and b"".join(chunks) == expected)
    exchange = load(tape).exchanges[0]
    failure = exchange.failure or exchange.response.failure
    slept.clear()

    with pytest.raises(RecordingEnded) as refused, replay(tape):
        async_edge.read(url)
    assert slept[-1] == failure.delay + 1.0  # it might have been cancelled meanwhile
    assert refused.value.request.url == url
    sync = next(edge for edge in EDGES if not edge.is_async)
    with pytest.raises(RecordingEnded), replay(tape):
        sync.read(url)


def test_a_time_out_of_the_callers_own_strikes_again(tape):
    edge = next(edge for edge in EDGES if edge.kind == "asyncio")

    async def impatient(url: str) -> Any:
        async with edge.client() as client, asyncio.timeout(0.05):
            await client.post(url, json={})

    with Server(Reply(ending="stall")) as server:
        url = server.url + CHAT
        with record(tape), pytest.raises(TimeoutError):
            asyncio.run(impatient(url))
    with replay(tape), pytest.raises(TimeoutError):
        asyncio.run(impatient(url))


# what a provider says in place of an answer


def test_an_error_event_inside_a_good_stream_is_played_as_it_came(edge, tape):
    events = [*wires.anthropic_stream("Hi", stop=False)[:-1], wires.anthropic_error_event(529)]
    with Server(Reply.sse(events, lockstep=True)) as server:
        url = server.url + "/v1/messages"
        asked = {"json": {"model": "m", "max_tokens": 1, "messages": []}}
        with record(tape):
            live = edge.read(url, server.step, **asked)
    with replay(tape):
        assert edge.read(url, **asked).told == live.told == (events, None)

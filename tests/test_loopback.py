"""The loopback server does to plain clients what its replies say, so that other tests may trust it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import httpx2
import openai
import pytest
import trio

from tests import wires
from tests.loopback import Gate, Received, Reply, Server, encode, refused_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECES = [b"data: caf\xc3", b"\xa9\n", b"\ndata: t", b"wo\n\n"]
CODINGS = ["gzip", "deflate", "br", "zstd"]

Read = tuple[list[bytes], str | None]

leaves_early = pytest.mark.filterwarnings(
    # httpx leaves its inner generators to the garbage collector, which trio complains about
    "ignore:Async generator .* was garbage collected:ResourceWarning"
)


class Plain:
    """Reads a path with httpx or httpx2, sync or async; tells the chunks it saw and the error it met."""

    def __init__(self, library: Any, kind: str) -> None:
        self.library, self.kind = library, kind

    def __repr__(self) -> str:
        return f"{self.library.__name__}-{self.kind}"

    def read(
        self,
        url: str,
        seen: Callable[[], None] = lambda: None,
        *,
        take: int | None = None,
        how: str = "iter_raw",
        patience: float = 10,
    ) -> Read:
        """Call `seen` after each chunk; leave after `take` chunks, or after `patience` seconds of silence."""
        # Without certificates to load, a client is made at once.
        options = {"verify": False, "timeout": self.library.Timeout(10, read=patience)}
        arguments = (options, url, seen, take, how)
        if self.kind == "sync":
            return self._read(*arguments)
        if self.kind == "asyncio":
            return asyncio.run(self._aread(*arguments))
        return trio.run(self._aread, *arguments)

    def _read(
        self, options: dict[str, Any], url: str, seen: Callable[[], None], take: int | None, how: str
    ) -> Read:
        got: list[bytes] = []
        try:
            with self.library.Client(**options) as client, client.stream("GET", url) as response:
                for chunk in getattr(response, how)():
                    got.append(chunk)
                    seen()
                    if len(got) == take:
                        break
        except self.library.TransportError as error:
            return got, type(error).__name__
        return got, None

    async def _aread(
        self, options: dict[str, Any], url: str, seen: Callable[[], None], take: int | None, how: str
    ) -> Read:
        got: list[bytes] = []
        try:
            async with self.library.AsyncClient(**options) as client, client.stream("GET", url) as response:
                async for chunk in getattr(response, f"a{how}")():
                    got.append(chunk)
                    seen()
                    if len(got) == take:
                        break
        except self.library.TransportError as error:
            return got, type(error).__name__
        return got, None


@pytest.fixture(
    params=[Plain(library, kind) for library in (httpx, httpx2) for kind in ("sync", "asyncio", "trio")],
    ids=repr,
)
def plain(request: pytest.FixtureRequest) -> Plain:
    return request.param


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param.Client(verify=False) as client:
        yield client


def loopback_threads(server: Server) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"loopback-{server.port}-")]


# chunks


def test_in_lockstep_the_client_sees_the_chunks_as_they_were_sent(plain: Plain) -> None:
    with Server(Reply.sse(PIECES, lockstep=True)) as server:
        assert plain.read(server.url, server.step) == (PIECES, None)


def test_content_length_bodies_go_out_in_pieces_too(plain: Plain) -> None:
    with Server(Reply.sse(PIECES, lockstep=True, framing="length")) as server:
        assert plain.read(server.url, server.step) == (PIECES, None)


def test_a_body_may_end_with_its_connection(plain: Plain) -> None:
    with Server(Reply.sse(PIECES, lockstep=True, framing="close")) as server:
        assert plain.read(server.url, server.step) == (PIECES, None)


def test_a_chunk_is_seen_before_the_gate_of_the_next_one_opens(plain: Plain) -> None:
    gates = [Gate() for _ in PIECES]
    waiting = iter(gates)
    opened = []

    def open_next() -> None:
        opened.append(len(opened))
        next(waiting).open()

    with Server(Reply.sse(PIECES, gates=dict(enumerate(gates, 1)))) as server:
        got, error = plain.read(server.url, open_next)

    assert (got, error) == (PIECES, None)
    assert len(opened) == len(PIECES)


def test_a_delay_is_kept_between_chunks_and_the_client_can_tell(client: Any) -> None:
    with Server(Reply.sse([b"one", b"two", b"three"], delay=0.03)) as server:
        response = client.get(server.url)

    assert response.content == b"onetwothree"
    assert response.elapsed.total_seconds() >= 0.06


def test_held_replies_are_answered_in_the_order_the_test_says(client: Any) -> None:
    gates = {"/first": Gate(), "/second": Gate()}
    order: list[str] = []

    def get(path: str) -> None:
        order.append(client.get(server.url + path).text)

    with Server(lambda received: Reply(body=received.path.encode(), hold=gates[received.path])) as server:
        threads = [threading.Thread(target=get, args=[path]) for path in gates]
        for thread in threads:
            thread.start()
        server.wait_for_requests(2)
        for path, thread in zip(reversed(gates), reversed(threads), strict=True):
            gates[path].open()
            thread.join()

    assert order == ["/second", "/first"]


def test_steps_can_be_given_to_one_path_of_several(client: Any) -> None:
    with (
        Server(
            {"/a": Reply.sse([b"1", b"2"], lockstep=True), "/b": Reply.sse([b"3", b"4"], lockstep=True)}
        ) as server,
        client.stream("GET", f"{server.url}/a") as a,
        client.stream("GET", f"{server.url}/b") as b,
    ):
        left, right = a.iter_raw(), b.iter_raw()
        assert (next(left), next(right)) == (b"1", b"3")
        server.step("/a")
        assert next(left) == b"2"
        server.step("/b")
        assert next(right) == b"4"


# codings


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_body_decodes(client: Any, coding: Any) -> None:
    _skip_if_not_decoded(client, coding)

    with Server(Reply.json({"word": "café" * 50}, coding=coding)) as server:
        response = client.get(server.url)

    assert response.headers["content-encoding"] == coding
    assert int(response.headers["content-length"]) < 100
    assert response.json() == {"word": "café" * 50}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_stream_is_flushed_with_every_chunk(plain: Plain, coding: Any) -> None:
    with plain.library.Client() as client:
        _skip_if_not_decoded(client, coding)

    gates = [Gate() for _ in PIECES]
    waiting = iter(gates)

    with Server(Reply.sse(PIECES, coding=coding, gates=dict(enumerate(gates, 1)))) as server:
        got, error = plain.read(server.url, lambda: next(waiting).open(), how="iter_bytes")

    assert (got, error) == (PIECES, None)


def test_a_coded_stream_ends_with_a_chunk_for_its_trailer(plain: Plain) -> None:
    with Server(Reply.sse(PIECES, coding="gzip", lockstep=True)) as server:
        got, error = plain.read(server.url, server.step)

    assert len(got) == len(PIECES) + 1
    assert error is None


def test_a_whole_coded_body_may_be_cut_anywhere(client: Any) -> None:
    data = encode("gzip", b"whole" * 20)
    reply = Reply(
        headers={"content-encoding": "gzip"}, chunks=[data[k : k + 3] for k in range(0, len(data), 3)]
    )

    with Server(reply) as server:
        assert client.get(server.url).content == b"whole" * 20


def _skip_if_not_decoded(client: Any, coding: str) -> None:
    if coding not in client.headers["accept-encoding"]:
        pytest.skip(f"this client does not decode {coding} here")


# faults


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_cut_is_a_protocol_error_after_what_had_come(plain: Plain, framing: Any) -> None:
    with Server(Reply.sse(PIECES, ending="cut", partial=b"da", lockstep=True, framing=framing)) as server:
        assert plain.read(server.url, server.step) == ([*PIECES, b"da"], "RemoteProtocolError")


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_reset_is_a_read_error_after_what_had_come(plain: Plain, framing: Any) -> None:
    with Server(Reply.sse(PIECES, ending="reset", lockstep=True, framing=framing)) as server:
        assert plain.read(server.url, server.step) == (PIECES, "ReadError")


@pytest.mark.parametrize(
    ("ending", "error"), [("drop", "RemoteProtocolError"), ("abort", "ReadError"), ("stall", "ReadTimeout")]
)
def test_no_byte_of_a_response_may_come(plain: Plain, ending: Any, error: str) -> None:
    with Server(Reply(ending=ending)) as server:
        assert plain.read(server.url, patience=0.1) == ([], error)


def test_a_stream_may_fall_silent(plain: Plain) -> None:
    with Server(Reply.sse(PIECES, ending="hang")) as server:
        assert plain.read(server.url, patience=0.3) == (PIECES, "ReadTimeout")
        server.wait_for_departures()


def test_what_is_no_http_is_a_protocol_error(plain: Plain) -> None:
    with Server(Reply(chunks=[b"220 mail.invalid ESMTP\r\n"], framing="raw")) as server:
        assert plain.read(server.url) == ([], "RemoteProtocolError")


def test_a_refused_port_is_a_connect_error_again_and_again(plain: Plain) -> None:
    with refused_port() as port:
        for _ in range(3):
            assert plain.read(f"http://{Server.host}:{port}") == ([], "ConnectError")


# clients that leave, and closing


@leaves_early
def test_an_endless_stream_stops_when_its_client_leaves(plain: Plain) -> None:
    with Server(Reply.endless()) as server:
        got, error = plain.read(server.url, take=3)
        server.wait_for_departures()

    assert (got, error) == ([b'data: {"n": %d}\n\n' % k for k in range(3)], None)


@leaves_early
def test_a_client_that_leaves_at_a_gate_is_noticed(plain: Plain) -> None:
    with Server(Reply.sse(PIECES, gates={1: Gate()})) as server:
        assert plain.read(server.url, take=1) == (PIECES[:1], None)
        server.wait_for_departures()


async def test_a_cancelled_task_is_a_departure() -> None:
    with Server(Reply(ending="stall")) as server:
        async with httpx2.AsyncClient() as client:
            task = asyncio.create_task(client.get(server.url))
            await asyncio.to_thread(server.wait_for_requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.to_thread(server.wait_for_departures)


@pytest.mark.parametrize(
    "reply",
    [Reply(ending="stall"), Reply.endless(delay=0), Reply.sse(PIECES, lockstep=True)],
    ids=["stall", "endless", "lockstep"],
)
def test_closing_frees_a_client_and_joins_every_thread(reply: Reply) -> None:
    with httpx.Client(timeout=10) as client, Server(reply) as server:
        stuck = threading.Thread(target=_read_all, args=[client, server.url])
        stuck.start()
        server.wait_for_requests()
        assert loopback_threads(server)
        server.close()
        stuck.join(5)

        assert not stuck.is_alive()
        assert not loopback_threads(server)


def test_a_client_that_reads_nothing_does_not_keep_the_server_from_closing() -> None:
    with (
        closing(httpx.Client()) as client,
        Server(Reply(chunks=lambda: iter(lambda: b"x" * 65536, b""))) as server,
        client.stream("GET", server.url),
    ):
        server.close()

    assert not loopback_threads(server)


def _read_all(client: httpx.Client, url: str) -> None:
    with pytest.raises(httpx.TransportError):
        client.get(url)


# requests and routes


def test_a_request_is_received_whole_with_its_headers(client: Any) -> None:
    with Server(Reply.json({})) as server:
        client.post(f"{server.url}/v1/things?q=1", json={"a": "é"}, headers=[("x-two", "1"), ("x-two", "2")])
        (received,) = server.requests

    assert (received.method, received.path, received.target) == ("POST", "/v1/things", "/v1/things?q=1")
    assert received.json == {"a": "é"}
    assert [value for name, value in received.headers if name.lower() == "x-two"] == ["1", "2"]
    assert received.header("CONTENT-TYPE") == "application/json"


def test_uploads_are_received_whole_however_they_are_framed(client: Any) -> None:
    blob = bytes(range(256)) * 4000

    with Server(Reply.json({})) as server:
        client.put(server.url, content=blob)
        client.put(server.url, content=(blob[k : k + 9999] for k in range(0, len(blob), 9999)))
        client.post(server.url, files={"file": ("a.bin", blob)}, data={"purpose": "test"})
        plain, chunked, multipart = server.requests

    assert plain.body == blob
    assert (chunked.body, chunked.header("transfer-encoding")) == (blob, "chunked")
    assert blob in multipart.body
    assert (multipart.header("content-type") or "").startswith("multipart/form-data")
    assert server.connections == 1


def test_a_connection_serves_several_requests_of_all_kinds(client: Any) -> None:
    routes = {
        "/json": Reply.json({"a": 1}),
        "/chunks": Reply.sse(PIECES),
        "/none": Reply(204),
        "/empty": Reply(404),
    }
    with Server(routes) as server:
        got = [client.request(*line.split()).status_code for line in _requests_for(server)]

    assert got == [200, 200, 200, 204, 404, 404]
    assert server.connections == 1
    assert {received.connection for received in server.requests} == {0}


def _requests_for(server: Server) -> list[str]:
    asked = ["GET /json", "HEAD /json", "GET /chunks", "DELETE /none", "GET /empty", "GET /elsewhere"]
    return [line.replace(" ", f" {server.url}") for line in asked]


def test_a_route_is_a_reply_a_function_or_a_queue(client: Any) -> None:
    def shout(received: Received) -> Reply:
        return Reply(body=received.body.upper())

    routes = {
        "/function": shout,
        "/queue": [Reply(529, headers={"retry-after-ms": "1"}), Reply.json("now")],
    }
    with Server(routes) as server:
        assert client.post(f"{server.url}/function", content=b"a").text == "A"
        answers = [client.get(f"{server.url}/queue") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [529, 200, 404]
    assert answers[0].headers["retry-after-ms"] == "1"
    assert answers[1].json() == "now"
    assert answers[2].text == "nothing answers GET /queue"


def test_headers_are_sent_as_given_and_replace_those_of_the_server(client: Any) -> None:
    reply = Reply(
        headers=(("set-cookie", "a=1"), ("set-cookie", "b=2"), ("Content-Length", "2"), ("x-empty", "")),
        body=b"no",
        reason="Fine",
    )
    with Server(reply) as server:
        response = client.get(server.url)

    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers.get_list("content-length") == ["2"]
    assert (response.reason_phrase, response.headers["x-empty"]) == ("Fine", "")


def test_an_upgraded_connection_echoes(client: Any) -> None:
    with (
        Server(Reply.upgrade("chat")) as server,
        client.stream("GET", server.url, headers={"connection": "upgrade", "upgrade": "chat"}) as response,
    ):
        stream = response.extensions["network_stream"]
        stream.write(b"\x00\xffhello")

        assert (response.status_code, response.headers["upgrade"]) == (101, "chat")
        assert stream.read(100, timeout=5) == b"\x00\xffhello"


def test_what_fails_in_a_route_is_raised_when_the_server_closes() -> None:
    def broken(received: Received) -> Reply:
        raise LookupError("no such reply")

    with (
        pytest.raises(LookupError, match="no such reply"),
        httpx.Client() as client,
        Server(broken) as server,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        client.get(server.url)


# the payloads of wires.py, read by the SDKs themselves


def test_openai_reads_the_chat_payloads() -> None:
    calls = [("weather", {"city": "Tromsø"}), ("weather", {"city": "Oslo"})]
    path = "/v1/chat/completions"
    replies = [
        Reply.json(wires.openai_chat("Ça va.")),
        Reply.json(wires.openai_chat(calls=calls)),
        Reply.sse(wires.awkward(wires.openai_stream("Ça va.", calls))),
        Reply.json(wires.openai_error(429), 429),
    ]
    ask: Any = {"model": "m", "messages": [{"role": "user", "content": "?"}]}

    with Server({path: replies}) as server, _openai(server) as client:
        said = client.chat.completions.create(**ask)
        called = client.chat.completions.create(**ask)
        with client.chat.completions.stream(**ask) as stream:
            streamed = stream.get_final_completion()
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**ask)

    assert (said.choices[0].message.content, said.usage.total_tokens) == ("Ça va.", 34)
    wanted = [("weather", '{"city": "Tromsø"}'), ("weather", '{"city": "Oslo"}')]
    for completion in (called, streamed):
        found = [call.function for call in completion.choices[0].message.tool_calls]
        assert [(function.name, function.arguments) for function in found] == wanted
    assert (streamed.choices[0].message.content, streamed.usage.total_tokens) == ("Ça va.", 34)
    assert caught.value.code == "rate_limit_exceeded"


def test_anthropic_reads_the_message_payloads() -> None:
    calls = [("weather", {"city": "Tromsø"}), ("clock", {})]
    replies = [
        Reply.json(wires.anthropic_message("Ça va.", calls)),
        Reply.sse(wires.awkward(wires.anthropic_stream("Ça va.", calls))),
        Reply.json(wires.anthropic_error(529), 529),
        Reply.sse([*wires.anthropic_stream("Ça va.")[:3], wires.anthropic_error_event()]),
    ]
    ask: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}

    with Server({"/v1/messages": replies}) as server, _anthropic(server) as client:
        said = client.messages.create(**ask)
        with client.messages.stream(**ask) as stream:
            streamed = stream.get_final_message()
        with pytest.raises(anthropic.APIStatusError) as refused:
            client.messages.create(**ask)
        with pytest.raises(anthropic.APIStatusError) as broken:
            list(client.messages.create(**ask, stream=True))

    for message in (said, streamed):
        text, weather, clock = message.content
        assert text.text == "Ça va."
        assert (weather.input, clock.input) == ({"city": "Tromsø"}, {})
        assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 13)
    assert (refused.value.status_code, refused.value.type) == (529, "overloaded_error")
    assert (broken.value.status_code, broken.value.type) == (200, "overloaded_error")


def test_awkward_chunks_end_inside_events_and_characters() -> None:
    events = wires.openai_stream(["né", "t"])
    chunks = wires.awkward(events)

    assert b"".join(chunks) == b"".join(events)
    assert len(chunks) == len(events) + 1
    assert chunks[1].endswith(b"n\xc3")
    assert not any(chunk.endswith(b"\n\n") for chunk in chunks[:-1])


def _openai(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def _anthropic(server: Server) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)

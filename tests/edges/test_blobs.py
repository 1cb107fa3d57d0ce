"""The edges that come through vcrpy's stubs: live while recorded, one chunk in a cassette, the same again."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httplib2
import pytest
import requests
import tornado.httpclient
import tornado.simple_httpclient
import urllib3

from llmreplay import (
    Cassette,
    Chunk,
    Exchange,
    Failure,
    LiveCallBlocked,
    RecordingEnded,
    Request,
    Response,
    UnmatchedRequest,
    load,
    say,
    use_script,
)
from llmreplay.intercept import _http_client
from tests import wires
from tests.edges._blob_clients import BLOB_EDGES
from tests.edges._clients import CHAT, EDGES, ELSEWHERE, record, replay
from tests.loopback import Reply, Server, refused_port

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [b"data: caf\xc3", b"\xa9\n", b"\ndata: t", b"wo\n\n"]
TEXT = b"".join(PIECES)
URL = "http://127.0.0.1:9" + CHAT
ASKED = b'{"model":"loopback","messages":[]}'
WHOLE = ("httplib2", "tornado")
STREAMING = [edge for edge in BLOB_EDGES if repr(edge) not in WHOLE]
URLLIB3 = next(edge for edge in BLOB_EDGES if edge.library is urllib3)
HTTP_CLIENT = next(edge for edge in BLOB_EDGES if edge.library is http.client)

every_blob = pytest.mark.parametrize("blob", BLOB_EDGES, ids=repr)
streaming = pytest.mark.parametrize("blob", STREAMING, ids=repr)


# what is recorded


@every_blob
def test_a_stream_is_recorded_as_one_chunk_and_says_so(blob, tape):
    with Server(Reply.sse(PIECES)) as server:
        url = server.url + CHAT
        bare = blob.read(url)
        with record(tape):
            live = blob.read(url)
    exchange = load(tape).exchanges[0]
    with replay(tape):
        played = blob.read(url)

    assert exchange.provenance.boundaries is False
    assert "boundaries: not kept" in tape.read_text(encoding="utf-8")
    assert [chunk.data for chunk in exchange.response.chunks] == [TEXT]
    assert live.told == bare.told
    assert (played.body, played.headers) == (TEXT, live.headers)


@streaming
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_client_sees_live_while_it_records_what_it_would_see_without_us(blob, tape, framing):
    if framing != "chunked" and repr(blob) in ("requests", "urllib3", "botocore"):
        pytest.skip("it waits for as much as it asks for, unless the body has chunks")
    # In lockstep the server waits for the client to have seen a chunk: whoever buffers waits for ever.
    with Server(Reply.sse(PIECES, lockstep=True, framing=framing)) as server, record(tape):
        live = blob.read(server.url + CHAT, server.step)
    assert live.body == TEXT
    assert len(live.chunks) >= len(PIECES)


@every_blob
def test_what_is_recorded_through_any_of_them_is_replayed_through_all(blob, tape):
    body = wires.openai_chat("Ça va")
    with Server(Reply.json(body)) as server:
        url = server.url + CHAT
        with record(tape):
            live = blob.read(url)
    for other in [*BLOB_EDGES, *EDGES]:
        with replay(tape):
            assert other.read(url).body == live.body


@streaming
@pytest.mark.parametrize("framed", [True, False], ids=["chunked", "unframed"])
def test_a_stream_of_httpx_is_replayed_with_its_chunks_where_http_has_chunks(blob, tape, framed):
    headers = (
        ("content-type", "text/event-stream"),
        *((("transfer-encoding", "chunked"),) if framed else ()),
    )
    chunks = tuple(Chunk(piece) for piece in PIECES)
    saved(tape, Response(200, headers, chunks))
    with replay(tape):
        played = blob.read(URL)
    assert played.body == TEXT
    if framed and blob.library in (urllib3, requests):
        assert played.chunks == PIECES
        with replay(tape, split=(5,)):
            assert blob.read(URL).chunks == [TEXT[k : k + 5] for k in range(0, len(TEXT), 5)]


@every_blob
def test_a_length_that_is_not_that_of_the_body_does_not_cut_it(blob, tape):
    # As in old cassettes whose bodies have been decoded since.
    for length in ("7", "70000"):
        saved(tape, Response.of(200, TEXT, (("content-length", length),)))
        with replay(tape):
            assert blob.read(URL).told == ([TEXT], None)


@every_blob
def test_a_response_of_http_2_is_replayed_as_http_1(blob, tape):
    saved(tape, Response(200, (), (Chunk(TEXT),), http_version="HTTP/2"))
    with replay(tape):
        played = blob.read(URL)
    assert (played.body, played.http_version) == (TEXT, "HTTP/1.1")


@every_blob
def test_a_response_without_a_body_is_complete(blob, tape):
    with Server(Reply(204, headers={"etag": '"1"'})) as server:
        url = server.url + CHAT
        with record(tape):
            live = blob.read(url)
    with replay(tape):
        played = blob.read(url)
    assert load(tape).exchanges[0].response.ended == "complete"
    assert (live.told, live.status) == (played.told, played.status)
    assert (played.body, played.status) == (b"", 204)


def saved(tape: Path, response: Response | None, failure: Failure | None = None) -> None:
    """A cassette of one exchange."""
    request = Request("POST", URL, (("content-type", "application/json"),), ASKED)
    Cassette([Exchange(request, response, failure)]).save(tape)


# pace


@every_blob
def test_at_speed_1_a_response_takes_the_time_it_took(blob, tape, monkeypatch):
    chunks = tuple(Chunk(piece, delay) for piece, delay in zip(PIECES, (0.5, 0.25, 0, 4.0), strict=True))
    headers = (("transfer-encoding", "chunked"),)
    saved(tape, Response(200, headers, chunks, "cut", Failure("ReadError", "gone", "body", 8.0), delay=2.0))
    slept: list[float] = []
    monkeypatch.setattr(_http_client, "sleep", slept.append)
    from tornado.ioloop import IOLoop

    later = IOLoop.call_later

    def at_once(self: Any, delay: float, *rest: Any, **options: Any) -> Any:
        if blob.library is tornado and delay:
            slept.append(delay)
        return later(self, 0, *rest, **options)

    monkeypatch.setattr(IOLoop, "call_later", at_once)
    with replay(tape, speed=2):
        assert blob.read(URL).error is not None
    assert sum(slept) == 7.375
    slept.clear()
    with replay(tape):
        blob.read(URL)
    assert slept == []


# faults


FAULTS: dict[str, tuple[Reply | None, str, str]] = {
    "refused": (None, "ConnectError", "connect"),
    "stalled": (Reply(ending="stall"), "ReadTimeout", "headers"),
    "dropped": (Reply(ending="drop"), "RemoteProtocolError", "headers"),
    "aborted": (Reply(ending="abort"), "ReadError", "headers"),
    "no HTTP": (Reply(chunks=[b"nonsense\r\n\r\n"], framing="raw"), "RemoteProtocolError", "headers"),
    "cut": (Reply.sse(PIECES, ending="cut"), "RemoteProtocolError", "body"),
    "cut short": (Reply.sse(PIECES, ending="cut", framing="length"), "RemoteProtocolError", "body"),
    "reset": (Reply.sse(PIECES, lockstep=True, ending="reset"), "ReadError", "body"),
    "silent": (Reply.sse(PIECES, ending="hang"), "ReadTimeout", "body"),
}


@pytest.mark.parametrize("fault", FAULTS)
@every_blob
def test_a_fault_is_recorded_and_met_again_in_the_same_words(blob, tape, fault):
    reply, error, phase = FAULTS[fault]
    if repr(blob) == "httplib2" and fault in ("dropped", "no HTTP"):
        pytest.skip("httplib2 asks again by itself: tested below")
    if repr(blob) in WHOLE and fault == "reset":
        pytest.skip("a body comes whole, and a reset needs a client that takes what came before it")
    patience = {"timeout": 0.2} if error == "ReadTimeout" else {}
    if reply is None:
        with refused_port() as port:
            url = f"http://127.0.0.1:{port}{CHAT}"
            with record(tape):
                live = blob.read(url)
            bare = blob.read(url)
    else:
        with Server(reply) as server:
            url = server.url + CHAT
            with record(tape):
                live = blob.read(url, server.step, client=patience)
            bare = blob.read(url, server.step, client=patience)
    exchange = load(tape).exchanges[0]
    with replay(tape):
        played = blob.read(url, client=patience)

    failure = exchange.failure or exchange.response.failure
    if fault != "cut short":  # some look at no length
        assert bare.error is not None
    assert (live.error, type(live.raised)) == (bare.error, type(bare.raised))
    assert (played.error, type(played.raised)) == (live.error, type(live.raised))
    if repr(blob) == "tornado":
        # It tells what failed, never how far it had come.
        assert exchange.response is None
    else:
        assert (failure.error, failure.phase) == (error, phase)
        assert played.body.startswith(live.body)
        if fault != "no HTTP" and played.raised is not None:
            assert isinstance(played.raised, blob.error(error, phase))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_httpx_recorded_is_met_in_the_words_of_each(tape, fault):
    reply, error, phase = FAULTS[fault]
    edge = EDGES[0]
    patience = edge.patience(read=0.2) if error == "ReadTimeout" else {}
    if reply is None:
        with refused_port() as port, record(tape):
            url = f"http://127.0.0.1:{port}{CHAT}"
            edge.read(url)
    else:
        with Server(reply) as server, record(tape):
            url = server.url + CHAT
            edge.read(url, server.step, client=patience)
    for blob in BLOB_EDGES:
        if repr(blob) == "httplib2" and fault in ("dropped", "no HTTP"):
            continue  # it asks again, and is refused: there is no second exchange
        with replay(tape):
            played = blob.read(url)
        if fault == "cut short" and repr(blob) in ("botocore", "urllib", "httpclient"):
            assert played.error is None  # they look at no length
        elif fault == "no HTTP":
            assert played.error is not None
        else:
            assert isinstance(played.raised, blob.error(error, phase)), blob


@pytest.mark.parametrize(
    ("error", "message", "phase", "expected"),
    [
        ("ConnectError", "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "tls", ssl.SSLCertVerificationError),
        ("ConnectError", "[SSL: WRONG_VERSION_NUMBER] wrong version", "tls", ssl.SSLError),
        ("ConnectError", "[Errno -2] Name or service not known", "connect", socket.gaierror),
        ("ConnectError", "All connection attempts failed", "connect", ConnectionRefusedError),
        ("ConnectTimeout", "timed out", "connect", TimeoutError),
        ("WriteError", "", "send", ConnectionResetError),
        ("ReadError", "[Errno 103] Software caused connection abort", "headers", ConnectionAbortedError),
        ("ConnectionAbortedError", "gone", "headers", ConnectionAbortedError),
        ("UnicodeDecodeError", "cannot be made of this", "headers", OSError),
        ("ProxyError", "no proxy", "headers", OSError),
    ],
)
def test_a_failure_of_any_kind_is_met_as_http_client_has_it(tape, error, message, phase, expected):
    saved(tape, None, Failure(error, message, phase))
    with replay(tape):
        played = HTTP_CLIENT.read(URL)
    assert type(played.raised) is expected
    assert message.rpartition("] ")[2].split(" (")[0] in str(played.raised)
    kinds = {
        socket.gaierror: urllib3.exceptions.NameResolutionError,
        ConnectionRefusedError: urllib3.exceptions.NewConnectionError,
        ssl.SSLCertVerificationError: urllib3.exceptions.SSLError,
        ssl.SSLError: urllib3.exceptions.SSLError,
        TimeoutError: urllib3.exceptions.ConnectTimeoutError,
    }
    with replay(tape):
        assert type(URLLIB3.read(URL).raised) is kinds.get(expected, urllib3.exceptions.ProtocolError)


def test_a_fault_that_a_library_tries_again_after_is_an_exchange_of_its_own(tape):
    def ask(url: str) -> bytes:
        with closing(httplib2.Http()) as client:
            return client.request(url, "POST", ASKED)[1]

    def ask_urllib3(url: str) -> bytes:
        with urllib3.PoolManager() as pool:
            retries = urllib3.Retry(3, allowed_methods=None, status_forcelist=[503])
            return pool.request("POST", url, body=ASKED, retries=retries).data

    replies = [Reply(ending="drop"), Reply(503, body=b""), Reply.json({"n": 3})]
    for function, expected in ((ask, [None, 503]), (ask_urllib3, [None, 503, 200])):
        with Server(replies) as server:
            url = server.url + CHAT
            with record(tape):
                live = function(url)
        exchanges = load(tape).exchanges
        assert [exchange.response and exchange.response.status for exchange in exchanges] == expected
        with replay(tape):
            assert function(url) == live


@streaming
def test_a_client_that_left_early_gets_as_far_again_and_no_further(blob, tape):
    with Server(Reply.endless()) as server:
        url = server.url + CHAT
        with record(tape):
            live = blob.read(url, take=3, headers={"connection": "close"})
    response = load(tape).exchanges[0].response
    assert response.ended == "closed"
    assert response.body.startswith(live.body)
    with replay(tape):
        assert blob.read(url, take=1).error is None
    with pytest.raises(RecordingEnded), replay(tape):
        blob.read(url)


@pytest.mark.parametrize("whole", [blob for blob in BLOB_EDGES if repr(blob) in WHOLE], ids=repr)
def test_a_library_that_reads_to_the_end_is_told_that_the_recording_ends(whole, tape):
    saved(tape, Response(200, (), (Chunk(TEXT),), "closed"))
    with pytest.raises(RecordingEnded), replay(tape):
        whole.read(URL)


@every_blob
def test_a_client_that_was_cancelled_is_no_failure_that_a_library_could_hide(blob, tape):
    saved(tape, None, Failure("CancelledError", "the client was cancelled", "headers"))
    with pytest.raises(RecordingEnded), replay(tape):
        blob.read(URL)


@every_blob
def test_a_coding_that_cannot_be_undone_stays_as_it_came(blob, tape):
    damaged = Reply(body=b"no gzip at all", headers={"content-encoding": "gzip"})
    with Server(damaged) as server:
        url = server.url + CHAT
        bare = blob.read(url)
        with record(tape):
            live = blob.read(url)
    with replay(tape):
        played = blob.read(url)
    assert (bare.error, bare.body) == (live.error, live.body)
    if repr(blob) != "tornado":  # it records what it made of it
        assert (played.error, played.body) == (live.error, live.body)
        assert load(tape).exchanges[0].response.body == b"no gzip at all"


# the stdlib's connections, in all the ways they are used


def in_parts(url: str, **options: Any) -> bytes:
    """A request that is put together by hand."""
    with closing(http.client.HTTPConnection(url.split("/")[2], **options)) as connection:
        connection.putrequest("POST", CHAT)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(ASKED)))
        connection.endheaders()
        connection.send(ASKED[:5])
        connection.send(ASKED[5:])
        return connection.getresponse().read()


def test_a_request_that_comes_in_parts_is_one_request(tape):
    with Server([Reply.json({"n": 1})]) as server:
        with record(tape):
            assert in_parts(server.url) == b'{"n": 1}'
        (received,) = server.requests
    assert received.body == ASKED
    with replay(tape):
        assert in_parts(server.url) == b'{"n": 1}'
    with pytest.raises(UnmatchedRequest), replay(tape):
        in_parts(server.url.replace("127.0.0.1", "localhost"))


def test_several_requests_over_one_connection_keep_it_open(tape):
    def ask(url: str) -> list[bytes]:
        with closing(http.client.HTTPConnection(url.split("/")[2])) as connection:
            answers = []
            for n in range(3):
                connection.request("POST", CHAT, b'{"q": %d}' % n, {"content-type": "application/json"})
                answers.append(connection.getresponse().read())
            with pytest.raises(http.client.ResponseNotReady):
                connection.getresponse()
            return answers

    with Server(lambda asked: Reply.json(asked.json)) as server:
        with record(tape):
            live = ask(server.url)
        assert server.connections == 1
    with replay(tape):
        assert ask(server.url) == live == [b'{"q": 0}', b'{"q": 1}', b'{"q": 2}']


@pytest.mark.parametrize("body", ["text", "file", "pieces", "strings"])
def test_a_body_of_any_kind_is_sent_and_matched(tape, tmp_path, body):
    path = tmp_path / "body"
    path.write_bytes(ASKED)

    def ask(url: str) -> bytes:
        with path.open("rb") as file, closing(http.client.HTTPConnection(url.split("/")[2])) as connection:
            bodies: dict[str, Any] = {
                "text": ASKED.decode(),
                "file": file,
                "pieces": iter([ASKED[:5], ASKED[5:]]),
                "strings": iter([ASKED.decode()]),
            }
            connection.request("POST", CHAT, bodies[body], {"content-type": "application/json"})
            return connection.getresponse().read()

    with Server([Reply.json({"n": 1})]) as server:
        with record(tape):
            live = ask(server.url)
        assert server.requests[0].body == ASKED
    with replay(tape):
        assert ask(server.url) == live


def test_a_class_of_ones_own_works_in_a_session_and_after_it(tape):
    with Server(Reply.json({"n": 1})) as server:
        host = server.url.split("/")[2]
        with record(tape):

            class Own(http.client.HTTPConnection):
                pass

            def ask() -> bytes:
                with closing(Own(host)) as connection:
                    connection.request("GET", "/own")
                    return connection.getresponse().read()

            assert ask() == b'{"n": 1}'
        assert ask() == b'{"n": 1}'
        assert len(server.requests) == 2


def test_https_connections_can_be_made_while_a_session_is_open(tape):
    classes = [http.client.HTTPSConnection]
    with replay(tape) as cassette:
        classes.append(http.client.HTTPSConnection)
        made = [kind(ELSEWHERE.partition("//")[2]) for kind in classes]
        for connection in made[1:]:
            with pytest.raises(UnmatchedRequest) as refused:
                connection.request("POST", CHAT, ASKED)
            assert refused.value.request.url == f"https://provider.invalid{CHAT}"
        with pytest.raises(LiveCallBlocked):
            made[0].request("POST", CHAT, ASKED)
        cassette.refusals.clear()


def test_a_connection_from_before_the_session_is_no_way_out(tape):
    with (
        Server(Reply.json({})) as server,
        closing(http.client.HTTPConnection(server.host, server.port)) as open_,
    ):
        open_.request("GET", f"{ELSEWHERE}/before")
        open_.getresponse().read()
        with pytest.raises(LiveCallBlocked), replay(tape):
            open_.request("GET", f"{ELSEWHERE}/weather")
        open_.close()
        with replay(tape):
            # What stays on this machine passes.
            open_.request("GET", "/here")
            assert open_.getresponse().read() == b"{}"
        assert len(server.requests) == 2


# pools, places and threads


class Unix(urllib3.connection.HTTPConnection):
    """A connection to a Unix socket, as docker's client has one."""

    path = ""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class UnixPool(urllib3.HTTPConnectionPool):
    def _new_conn(self) -> Any:
        return Unix("localhost", 80)


def test_a_pool_with_connections_of_its_own_is_left_alone(tape, tmp_path):
    Unix.path = str(tmp_path / "s")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(Unix.path)
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.recv(65536)
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with replay(tape), UnixPool("localhost") as pool:
            assert pool.request("GET", "/version").data == b"here"
        thread.join()


def test_a_pool_is_as_it_was_after_a_session_and_may_be_used_in_the_next(tape):
    with Server(lambda asked: Reply.json(asked.json)) as server, urllib3.PoolManager() as pool:
        url = server.url + CHAT

        def ask(n: int) -> bytes:
            return pool.request("POST", url, json={"q": n}).data

        assert ask(0) == b'{"q": 0}'
        with record(tape) as cassette:
            assert ask(1) == b'{"q": 1}'
        assert len(cassette.calls) == 1
        assert ask(2) == b'{"q": 2}'
        with replay(tape):
            assert ask(1) == b'{"q": 1}'
        assert ask(3) == b'{"q": 3}'
        assert len(server.requests) == 4


def test_a_session_of_requests_from_before_streams_as_ever_after_it(tape):
    with Server(Reply.sse(PIECES, lockstep=True)) as server, requests.Session() as client:
        url = server.url + CHAT

        def ask() -> list[bytes]:
            with client.post(url, json={}, stream=True) as response:
                return [piece for piece in response.iter_content(None) if [server.step()]]

        with record(tape):
            assert ask() == PIECES
        assert ask() == PIECES
    assert len(load(tape).exchanges) == 1


def test_connections_made_in_many_threads_at_once_are_all_seen(tape):
    def many(url: str) -> list[bytes]:
        answers: list[bytes] = [b""] * 24
        barrier = threading.Barrier(24)

        def ask(n: int) -> None:
            barrier.wait()
            asked = urllib.request.Request(url, b'{"q": %d}' % n, {"content-type": "application/json"})
            with urllib.request.urlopen(asked) as response:
                answers[n] = response.read()

        threads = [threading.Thread(target=ask, args=[n]) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    with Server(lambda asked: Reply.json(asked.json)) as server:
        url = server.url + CHAT
        with record(tape) as cassette:
            live = many(url)
        assert len(cassette.calls) == len(server.requests) == 24
    with replay(tape):
        assert many(url) == live


def test_a_script_answers_them(tape):
    for blob in BLOB_EDGES:
        with use_script(say("Ça va")) as script:
            answer = blob.read(URL, json={"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        assert "Ça va" in answer.body.decode()
        assert script.requests[0].prompt == "Hi"


def test_tornado_tells_what_vcrpys_stub_for_it_does_not_know(tape):
    saved(tape, Response.of(200, TEXT))
    import asyncio

    async def ask() -> Any:
        client = tornado.simple_httpclient.SimpleAsyncHTTPClient(force_instance=True)
        asked = tornado.httpclient.HTTPRequest(
            URL, "POST", {"content-type": "application/json"}, ASKED, streaming_callback=print
        )
        return await client.fetch(asked)

    with replay(tape), pytest.raises(Exception, match=r"not yet supported by VCR\.py"):
        asyncio.run(ask())


# what it costs


def program(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_vcrpy_is_not_imported_before_one_of_its_libraries_asks(tmp_path):
    told = program(f"""
import sys, urllib3, requests, httplib2
from llmreplay import Cassette, UnmatchedRequest, use_cassette
with use_cassette({str(tmp_path / "tape.yaml")!r}, record="once", network="allow"):
    urllib3.PoolManager()
    print("vcr" in sys.modules)
Cassette([]).save({str(tmp_path / "empty.yaml")!r})
try:
    with use_cassette({str(tmp_path / "empty.yaml")!r}):
        requests.post("http://provider.invalid/v1/chat/completions", json={{}})
except UnmatchedRequest:
    print("vcr" in sys.modules)
""")
    assert told.split() == ["False", "True"]


@pytest.mark.parametrize("late", ["requests", "urllib3", "httplib2", "botocore.httpsession", "vcr"])
def test_a_library_that_is_imported_while_a_session_is_open_is_seen(tmp_path, late):
    ask = {
        "requests": "requests.post(url, json={})",
        "urllib3": "urllib3.PoolManager().request('POST', url, json={})",
        "httplib2": "httplib2.Http().request(url, 'POST', b'{}')",
        "botocore.httpsession": "botocore.httpsession.URLLib3Session().send("
        "botocore.awsrequest.AWSRequest('POST', url, {}, b'{}').prepare())",
        "vcr": "__import__('urllib.request').request.urlopen(url, b'{}')",
    }[late]
    told = program(f"""
import sys
from llmreplay import Cassette, UnmatchedRequest, use_cassette
import llmreplay.use
url = "http://provider.invalid/v1/chat/completions"
Cassette([]).save({str(tmp_path / "empty.yaml")!r})
assert {late!r} not in sys.modules
for _ in range(2):
    try:
        with use_cassette({str(tmp_path / "empty.yaml")!r}):
            import {late}, http.client
            {ask}
    except UnmatchedRequest:
        print("refused")
print(http.client.HTTPConnection.__module__, http.client.HTTPConnection.__mro__[1].__name__)
import vcr.patch, vcr.stubs
print(vcr.patch._HTTPConnection is http.client.HTTPConnection)
print(vcr.stubs.VCRHTTPConnection._baseclass is http.client.HTTPConnection)
""")
    assert told.split() == ["refused", "refused", "http.client", "object", "True", "True"]


# beside vcrpy


def test_a_cassette_of_vcrpy_inside_ours_works_as_ever(tape, tmp_path):
    import vcr

    own = str(tmp_path / "vcr.yaml")
    with Server(lambda asked: Reply.json(asked.json)) as server:
        url = server.url + CHAT

        def ask(n: int) -> bytes:
            with urllib3.PoolManager() as pool:
                return pool.request("POST", url, json={"q": n}).data

        with record(tape) as cassette:
            ask(1)
            with vcr.use_cassette(own, record_mode="all") as theirs:
                ask(2)
            ask(3)
            assert len(theirs) == 1
        assert [exchange.request.json["q"] for exchange in cassette.calls] == [1, 3]
        with replay(tape):
            ask(1)
            with vcr.use_cassette(own, record_mode="none") as theirs:
                assert ask(2) == b'{"q": 2}'
            ask(3)
        assert len(server.requests) == 3


def test_a_cassette_of_vcrpy_around_ours_answers_what_is_not_a_models(tape, tmp_path):
    import vcr

    own = str(tmp_path / "vcr.yaml")

    def ask(url: str) -> bytes:
        with urllib3.PoolManager() as pool:
            return pool.request("POST", url, json={"q": 1}).data

    with Server(lambda asked: Reply.json({"path": asked.path})) as server:
        model, other = server.url + CHAT, server.url + "/other"
        with vcr.use_cassette(own, record_mode="all"), record(tape) as cassette:
            live = [ask(model), ask(other)]
        assert [exchange.request.url for exchange in cassette.calls] == [model]
    with vcr.use_cassette(own, record_mode="none", allow_playback_repeats=True):
        with replay(tape):
            assert [ask(model), ask(other)] == live
        # Without ours it answers all that it saw.
        assert ask(model) == live[0]
        with record(tape):
            assert ask(model) == live[0]
    assert load(tape).exchanges[0].response.body == live[0]


def test_what_a_cassette_of_vcrpy_around_ours_answers_for_another_host_is_its_own(tape, tmp_path):
    import vcr

    own = tmp_path / "vcr.yaml"
    own.write_text(
        "interactions:\n- request: {body: null, headers: {}, method: GET, uri: 'http://mocked.invalid/weather'}\n"
        "  response: {body: {string: sunny}, headers: {}, status: {code: 200, message: OK}}\nversion: 1\n",
        encoding="utf-8",
    )
    with vcr.use_cassette(str(own), record_mode="none"), record(tape) as cassette:
        assert URLLIB3.read("http://mocked.invalid/weather", method="GET").body == b"sunny"
    assert cassette.calls == []


# what happens between a request and its response


def refusing(server: socket.socket) -> None:
    """Reset a connection over which a request is still coming."""
    with server.accept()[0] as sock:
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("library", ["http.client", "urllib3"])
def test_a_server_that_closes_while_it_is_sent_to_is_a_failure_to_send(tape, library):
    body = b'{"q": "' + b"x" * 20_000_000 + b'"}'
    blob = HTTP_CLIENT if library == "http.client" else URLLIB3
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refusing, args=[server])
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}{CHAT}"
        with record(tape):
            live = blob.read(url, content=body)
        thread.join()
    failure = load(tape).exchanges[0].failure
    with replay(tape):
        played = blob.read(url, content=body)
    # urllib3 looks for an answer all the same, and fails at that.
    assert (failure.error, failure.phase) in [
        ("WriteError", "send"),
        ("ReadError", "headers"),
        ("RemoteProtocolError", "headers"),
    ]
    assert live.error is not None
    assert isinstance(played.raised, (ConnectionError, urllib3.exceptions.ProtocolError))


def test_a_client_that_closes_before_the_response_is_one_that_left(tape):
    with Server(Reply(ending="stall")) as server:
        with record(tape), closing(http.client.HTTPConnection(server.host, server.port)) as connection:
            connection.request("POST", CHAT, ASKED, {"content-type": "application/json"})
            server.wait_for_requests()
        server.wait_for_departures()
    (exchange,) = load(tape).exchanges
    assert exchange.failure.error == "CancelledError"


@pytest.mark.parametrize("place", ["connecting", "waiting", "reading"])
def test_an_interrupt_from_the_keyboard_is_nothing_that_the_provider_did(tape, monkeypatch, place):
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with (
        Server(Reply.sse(PIECES)) as server,
        pytest.raises(KeyboardInterrupt),
        record(tape) as cassette,
        closing(http.client.HTTPConnection(server.host, server.port)) as connection,
    ):
        if place == "connecting":
            monkeypatch.setattr(connection.real_connection, "_create_connection", interrupt)
        connection.request("POST", CHAT, ASKED)
        if place == "waiting":
            monkeypatch.setattr(http.client.HTTPResponse, "begin", interrupt)
        with closing(connection.getresponse()) as response:
            monkeypatch.setattr(response.fp._inner, "readline", interrupt)
            response.read()
    assert cassette.calls == []


def test_a_body_may_be_read_into_a_buffer(tape):
    def ask(url: str) -> tuple[int, bytes, int]:
        with closing(http.client.HTTPConnection(url.split("/")[2])) as connection:
            connection.request("POST", CHAT, ASKED, {"content-type": "application/json"})
            response, buffer = connection.getresponse(), bytearray(30)
            return response.readinto(buffer), bytes(buffer), response.readinto(buffer)

    with Server(Reply(body=TEXT)) as server, record(tape):
        live = ask(server.url)
    with replay(tape):
        assert ask(server.url) == live == (len(TEXT), TEXT.ljust(30, b"\0"), 0)


def test_a_change_of_protocols_passes_through_and_is_not_recorded(tape):
    with (
        Server(Reply.upgrade()) as server,
        record(tape) as cassette,
        closing(http.client.HTTPConnection(server.host, server.port)) as connection,
    ):
        connection.request("POST", CHAT, b"", {"connection": "upgrade", "upgrade": "echo"})
        with closing(connection.getresponse()) as response:
            assert response.status == 101
    assert cassette.calls == []


def test_chunks_that_are_none_are_met_again(tape):
    wrong = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n"
    with Server(Reply(chunks=[wrong], framing="raw")) as server:
        url = server.url + CHAT
        with record(tape):
            live = HTTP_CLIENT.read(url)
    assert isinstance(live.raised, (http.client.HTTPException, ValueError)) or live.body == b""
    assert load(tape).exchanges[0].response.body == b""

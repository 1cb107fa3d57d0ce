"""What an HTTP edge does with one exchange, with contexts and with the classes that it patches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial, partialmethod
from typing import Any

import httpx
import httpx2
import pytest

from llmreplay import AsyncRecordingTransport, RecordingTransport, UnmatchedRequest, load
from llmreplay.errors import UnusedExchanges
from llmreplay.session import open_sessions
from tests import wires
from tests.edges._clients import (
    CHAT,
    EDGES,
    ELSEWHERE,
    Edge,
    in_thread,
    leaves_generators,
    nothing,
    record,
    replay,
)
from tests.loopback import Coding, Received, Reply, Server

PIECES = [b"data: caf\xc3", b"\xa9\n", b"\ndata: t", b"wo\n\n"]
BINARY = bytes(range(256)) * 3
CODINGS: list[Coding] = ["gzip", "deflate", "br", "zstd"]


def proxy(server: Server) -> dict[str, Any]:
    """The options of a client that reaches every host through the server."""
    return {"proxy": server.url}


def patched() -> dict[str, Any]:
    """All that a session replaces, as it is now."""
    classes = [
        kind for library in (httpx, httpx2) for kind in (library.HTTPTransport, library.AsyncHTTPTransport)
    ]
    places = {f"{kind.__module__}.{kind.__name__}": dict(kind.__dict__) for kind in classes}
    return {**places, "socket": dict(socket.socket.__dict__), "getaddrinfo": socket.getaddrinfo}


# one exchange


def test_a_response_is_the_same_bare_recorded_and_replayed(edge, tape):
    body = wires.openai_chat("Ça va")
    reply = Reply.json(
        body, headers=[("x-request-id", "r1"), ("link", "<a>"), ("link", "<b>")], reason="Fine"
    )
    with Server(reply) as server:
        url = server.url + CHAT
        bare = edge.read(url)
        with record(tape):
            live = edge.read(url)
    with replay(tape):
        played = edge.read(url)

    for seen in (live, played):
        assert (seen.status, seen.reason, seen.http_version) == (200, "Fine", "HTTP/1.1")
        assert (seen.told, seen.headers) == (bare.told, bare.headers)
        assert type(seen.response) is edge.response()
    assert load(tape).exchanges[0].decode().text == "Ça va"
    assert load(tape).exchanges[0].provenance.edge == edge.noted_as


def test_elapsed_is_known_once_a_response_is_closed_and_not_before(edge, tape):
    def told(response: Any) -> list[str]:
        with contextlib.suppress(RuntimeError):
            return [f"known too early: {response.elapsed}"]
        return ["not known"]

    async def async_stream(url: str) -> list[str]:
        async with edge.client() as client, client.stream("POST", url, json={}) as response:
            before = told(response)
            await response.aread()
        return [*before, "known" if response.elapsed.total_seconds() >= 0 else ""]

    def stream(url: str) -> list[str]:
        if edge.is_async:
            return edge.run(async_stream, url)
        with edge.client() as client, client.stream("POST", url, json={}) as response:
            before = told(response)
            response.read()
        return [*before, "known" if response.elapsed.total_seconds() >= 0 else ""]

    with Server(Reply(body=b"{}")) as server:
        url = server.url + CHAT
        with record(tape):
            assert stream(url) == ["not known", "known"]
    with replay(tape):
        assert stream(url) == ["not known", "known"]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_stream_is_replayed_decoded_in_the_same_pieces(edge, tape, coding):
    if coding == "zstd" and edge.library is httpx2:
        pytest.importorskip("backports.zstd", reason="httpx2 decodes zstd with it before Python 3.14")
    with Server(Reply.sse(PIECES, coding=coding, lockstep=True)) as server:
        url = server.url + CHAT
        bare = edge.read(url, server.step)
        with record(tape):
            live = edge.read(url, server.step)
    with replay(tape):
        played = edge.read(url)

    assert bare.told == live.told == played.told == (PIECES, None)
    assert load(tape).exchanges[0].response.encoding == coding
    assert "content-encoding" in dict(live.headers)
    assert "content-encoding" not in dict(played.headers)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_body_is_replayed_decoded_whole(edge, tape, coding):
    if coding == "zstd" and edge.library is httpx2:
        pytest.importorskip("backports.zstd", reason="httpx2 decodes zstd with it before Python 3.14")
    with Server(Reply.json(wires.openai_chat("Ça va"), coding=coding)) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.read(url)
    with replay(tape):
        played = edge.read(url)

    assert played.told == live.told
    assert played.status == 200
    assert load(tape).exchanges[0].response.json["choices"][0]["message"]["content"] == "Ça va"


@leaves_generators
def test_what_is_said_to_be_coded_and_is_not_stays_as_it_came(edge, tape):
    damaged = Reply(body=b"no gzip at all", headers={"content-encoding": "gzip"})
    with Server(damaged) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.read(url, how="iter_raw")
    with replay(tape):
        played = edge.read(url, how="iter_raw")
    with replay(tape):
        decoded = edge.read(url)

    assert live.body == played.body == b"no gzip at all"
    assert type(decoded.raised) is edge.error("DecodingError", "body")


def test_binary_bodies_go_and_come_unchanged(edge, tape):
    with Server(lambda asked: Reply(body=asked.body[::-1])) as server:
        url = f"{ELSEWHERE}/speech"
        sent = {"content": BINARY, "headers": {"content-type": "application/octet-stream"}}
        with record(tape):
            live = edge.read(url, client=proxy(server), **sent)
    with replay(tape):
        played = edge.read(url, **sent)
    with pytest.raises(UnmatchedRequest), replay(tape):
        edge.read(url, **{**sent, "content": BINARY + b"!"})

    assert live.body == played.body == BINARY[::-1]
    assert load(tape).exchanges[0].request.body == BINARY


@pytest.mark.parametrize("address", [ELSEWHERE, ""], ids=["elsewhere", "this machine"])
def test_an_upload_matches_although_its_boundary_is_another(edge, tape, address):
    path = "/v1/audio/transcriptions"
    upload = {"files": {"file": ("a.wav", BINARY, "audio/wav")}, "data": {"model": "m"}}
    other = {**upload, "files": {"file": ("a.wav", BINARY[1:], "audio/wav")}}
    with Server(Reply.json({"text": "hello"})) as server:
        url = (address or server.url) + path
        with record(tape):
            live = edge.read(url, client=proxy(server), **upload)
        (received,) = server.requests
    with replay(tape):
        played = edge.read(url, **upload)
    with pytest.raises(UnmatchedRequest), replay(tape):
        edge.read(url, **other)

    assert BINARY in received.body
    assert live.body == played.body == b'{"text": "hello"}'


def test_an_upload_that_is_a_generator_is_sent_and_matched(edge, tape):
    async def pieces_async() -> Any:
        yield b'{"model": "m", '
        yield b'"messages": []}'

    def pieces() -> Any:
        yield b'{"model": "m", '
        yield b'"messages": []}'

    def content() -> Any:
        return pieces_async() if edge.is_async else pieces()

    with Server(Reply.json({})) as server:
        url = server.url + CHAT
        with record(tape):
            edge.read(url, content=content())
        (received,) = server.requests
    with replay(tape):
        assert edge.read(url, content=content()).body == b"{}"

    assert received.json == {"model": "m", "messages": []}


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("HEAD", Reply(body=b"never sent", headers={"etag": '"1"'})),
        ("DELETE", Reply(204, headers={"etag": '"1"'})),
        ("GET", Reply(304, headers={"etag": '"1"'})),
        ("GET", Reply(body=b"", headers={"etag": '"1"'})),
        ("POST", Reply(chunks=(), framing="chunked", headers={"etag": '"1"'})),
        ("HEAD", Reply(body=b"never sent", coding="gzip", headers={"etag": '"1"'})),
    ],
    ids=["HEAD", "204", "304", "empty", "no chunks", "HEAD of a coded body"],
)
def test_a_response_without_a_body_keeps_its_headers(edge, tape, method, reply):
    url = f"{ELSEWHERE}/thing"
    with Server(reply) as server:
        bare = edge.read(url, client=proxy(server), method=method)
        with record(tape):
            live = edge.read(url, client=proxy(server), method=method)
    with replay(tape):
        played = edge.read(url, method=method)

    assert bare.told == live.told == played.told == ([], None)
    assert bare.status == live.status == played.status
    assert bare.headers == live.headers == played.headers
    assert load(tape).exchanges[0].response.ended == "complete"


def test_a_redirect_is_two_exchanges(edge, tape):
    def moved(asked: Received) -> Reply:
        if asked.path == "/old" + CHAT:
            return Reply(307, {"location": CHAT})
        return Reply.json({"moved": asked.json})

    with Server(moved) as server:
        url = f"{server.url}/old{CHAT}"
        with record(tape):
            live = edge.read(url, follow_redirects=True)
    with replay(tape) as cassette:
        played = edge.read(url, follow_redirects=True)

    assert live.told == played.told == ([b'{"moved": {"model": "loopback", "messages": []}}'], None)
    assert live.history == played.history == (307,)
    assert [exchange.response.status for exchange in cassette.calls] == [307, 200]


def test_an_upgrade_passes_through_and_is_not_recorded(edge, tape):
    asked = {"headers": {"connection": "upgrade", "upgrade": "echo"}}

    async def switch_async(url: str) -> tuple[int, bytes]:
        async with edge.client() as client, client.stream("POST", url, **asked) as response:
            stream = response.extensions["network_stream"]
            await stream.write(b"ping")
            return response.status_code, await stream.read(4)

    def switch(url: str) -> tuple[int, bytes]:
        if edge.is_async:
            return edge.run(switch_async, url)
        with edge.client() as client, client.stream("POST", url, **asked) as response:
            stream = response.extensions["network_stream"]
            stream.write(b"ping")
            return response.status_code, stream.read(4)

    with Server(Reply.upgrade()) as server:
        with record(tape) as cassette:
            assert switch(server.url + CHAT) == (101, b"ping")
        assert cassette.calls == []
    assert not tape.exists()


# transports that are not patched


def custom(edge: Edge, answer: Any) -> Any:
    """A transport that ends in a function: none of the library's own."""
    if edge.is_async:

        class Own(edge.library.AsyncBaseTransport):
            async def handle_async_request(self, request: Any) -> Any:
                return answer(request)
    else:

        class Own(edge.library.BaseTransport):
            def handle_request(self, request: Any) -> Any:
                return answer(request)

    return Own()


def recording(edge: Edge, inner: Any) -> Any:
    return AsyncRecordingTransport(inner) if edge.is_async else RecordingTransport(inner)


def test_a_transport_of_ones_own_is_recorded_and_replayed_if_it_is_wrapped(edge, tape):
    asked = []

    def own(request: Any) -> Any:
        asked.append(str(request.url))
        return edge.library.Response(200, content=b"own", headers={"x-request-id": "r1"})

    transport = recording(edge, custom(edge, own))
    url = ELSEWHERE + CHAT
    assert edge.read(url, client={"transport": transport}).body == b"own"
    with record(tape):
        assert edge.read(url, client={"transport": transport}).body == b"own"
    with replay(tape):
        played = edge.read(url, client={"transport": transport})
    with pytest.raises(UnmatchedRequest), replay(tape):
        edge.read(f"{url}?again", client={"transport": transport})

    assert (played.body, dict(played.headers)["x-request-id"]) == (b"own", "r1")
    assert asked == [url, url]


def test_a_transport_is_known_although_an_sdk_writes_its_own_name_into_the_librarys_class(edge, monkeypatch):
    # openai and groq do, when they are imported.
    for name in ("BaseTransport", "AsyncBaseTransport"):
        monkeypatch.setattr(getattr(edge.library, name), "__module__", "openai")
    transport = recording(edge, custom(edge, lambda _request: edge.library.Response(200, content=b"own")))
    assert edge.read(ELSEWHERE, client={"transport": transport}).body == b"own"


def test_a_wrapped_transport_of_the_library_is_recorded_once(edge, tape):
    with Server(Reply.json({"n": 1})) as server:
        url = server.url + CHAT
        with record(tape) as cassette:
            made = recording(edge, edge.transport()(verify=False))
            assert edge.read(url, client={"transport": made}).status == 200
            assert edge.read(url).status == 200
    assert len(server.requests) == len(cassette.calls) == 2
    with replay(tape):
        made = recording(edge, edge.transport()(verify=False))
        assert edge.read(url, client={"transport": made}).body == b'{"n": 1}'
        assert edge.read(url).body == b'{"n": 1}'


def test_a_wrapped_transport_is_closed_with_its_client(edge):
    closed = []

    def close(self: Any) -> None:
        closed.append(self)

    async def aclose(self: Any) -> None:
        closed.append(self)

    inner = custom(edge, lambda _request: edge.library.Response(200))
    type(inner).close, type(inner).aclose = close, aclose
    edge.read(ELSEWHERE, client={"transport": recording(edge, inner)})
    assert closed == [inner]


@pytest.mark.parametrize("wrap", [RecordingTransport, AsyncRecordingTransport])
def test_only_a_transport_of_the_right_kind_can_be_wrapped(edge, wrap):
    wrong = edge.is_async is (wrap is RecordingTransport)
    with pytest.raises(TypeError, match="is no") if wrong else contextlib.nullcontext():
        wrap(custom(edge, nothing))
    with pytest.raises(TypeError, match="object is no transport of httpx or httpx2"):
        wrap(object())


def test_the_users_own_fakes_are_left_alone(edge, tape):
    async def asgi(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fake"})

    def wsgi(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"fake"]

    library = edge.library
    fakes = [
        library.MockTransport(lambda _request: library.Response(200, content=b"fake")),
        library.ASGITransport(asgi) if edge.is_async else library.WSGITransport(wsgi),
    ]
    for fake in fakes:
        with record(tape) as cassette:
            assert edge.read(ELSEWHERE + CHAT, client={"transport": fake}).body == b"fake"
            assert cassette.calls == []
        with replay(tape):
            assert edge.read(ELSEWHERE + CHAT, client={"transport": fake}).body == b"fake"


def test_a_client_made_before_the_session_is_seen(edge, tape):
    async def call_async(client: Any, url: str) -> bytes:
        return (await client.post(url, json={})).content

    def use(url: str) -> list[bytes]:
        async def run() -> list[bytes]:
            async with edge.client() as client:
                async with record(tape):
                    live = await call_async(client, url)
                async with replay(tape):
                    return [live, await call_async(client, url)]

        if edge.is_async:
            return edge.run(run)
        with edge.client() as client:
            with record(tape):
                live = client.post(url, json={}).content
            with replay(tape):
                return [live, client.post(url, json={}).content]

    with Server([Reply.json({"n": 1})]) as server:
        assert use(server.url + CHAT) == [b'{"n": 1}', b'{"n": 1}']
        assert len(server.requests) == 1


# contexts


def test_sessions_nest_and_the_innermost_answers(edge, tmp_path):
    outer, inner = tmp_path / "outer.yaml", tmp_path / "inner.yaml"
    with Server(lambda asked: Reply.json({"asked": asked.json["q"]})) as server:
        url = server.url + CHAT
        with record(outer) as first:
            edge.read(url, json={"q": 1})
            with record(inner) as second:
                edge.read(url, json={"q": 2})
            edge.read(url, json={"q": 3})
    assert [exchange.request.json["q"] for exchange in first.exchanges] == [1, 3]
    assert [exchange.request.json["q"] for exchange in second.exchanges] == [2]
    with replay(outer):
        assert edge.read(url, json={"q": 1}).body == b'{"asked": 1}'
        with replay(inner):
            assert edge.read(url, json={"q": 2}).body == b'{"asked": 2}'
        assert edge.read(url, json={"q": 3}).body == b'{"asked": 3}'


def test_threads_that_inherit_no_context_belong_to_the_session(edge, tape):
    async def in_executor(url: str) -> list[bytes]:
        loop = asyncio.get_running_loop()
        return [
            await loop.run_in_executor(None, lambda: edge.read(url, json={"q": 3}).body),
            await asyncio.to_thread(lambda: edge.read(url, json={"q": 4}).body),
        ]

    def everywhere(url: str) -> list[bytes]:
        with ThreadPoolExecutor(1) as pool:
            pooled = pool.submit(lambda: edge.read(url, json={"q": 1}).body).result()
        return [pooled, in_thread(lambda: edge.read(url, json={"q": 2}).body), *asyncio.run(in_executor(url))]

    with Server(lambda asked: Reply.json({"asked": asked.json["q"]})) as server:
        url = server.url + CHAT
        with record(tape):
            live = everywhere(url)
    with replay(tape):
        assert everywhere(url) == live == [b'{"asked": %d}' % n for n in (1, 2, 3, 4)]


def test_a_pool_that_is_older_than_the_session_belongs_to_it(edge, tape):
    with ThreadPoolExecutor(1) as pool, Server([Reply.json({"n": 1})]) as server:
        pool.submit(nothing).result()
        url = server.url + CHAT
        with record(tape):
            live = pool.submit(edge.read, url).result()
        with replay(tape):
            assert pool.submit(edge.read, url).result().told == live.told


def test_sessions_of_two_tasks_in_one_loop_stay_apart(async_edge, tmp_path):
    edge = async_edge
    paths = [tmp_path / f"{n}.yaml" for n in range(2)]

    async def call(client: Any, url: str, content: Any) -> Any:
        response = await client.post(url, json=content)
        return response.json()["q"]

    async def task(opened: Any, n: int, url: str, steps: Any) -> list[int]:
        # Each opens its session before either asks, and asks by turns.
        async with edge.client() as client, opened(paths[n]):
            await steps()
            answers = []
            for k in range(3):
                answers.append(await call(client, url, {"q": 10 * n + k}))
                await steps()
        return answers

    async def both(opened: Any, url: str) -> list[list[int]]:
        if edge.kind == "trio":
            import trio

            found: list[list[int]] = [[], []]

            async def noted(n: int) -> None:
                found[n] = await task(opened, n, url, trio.testing.wait_all_tasks_blocked)

            async with trio.open_nursery() as nursery:
                for n in range(2):
                    nursery.start_soon(noted, n)
            return found
        barrier = asyncio.Barrier(2)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task(opened, n, url, barrier.wait)) for n in range(2)]
        return [done.result() for done in tasks]

    asked = [[0, 1, 2], [10, 11, 12]]
    with Server(lambda received: Reply.json({"q": received.json["q"]})) as server:
        url = server.url + CHAT
        assert edge.run(both, record, url) == asked
    assert [[exchange.request.json["q"] for exchange in load(path).exchanges] for path in paths] == asked
    assert edge.run(both, replay, url) == asked


def test_a_session_that_has_ended_answers_nothing_more(edge, tape):
    with Server([Reply.json({"n": 1}), Reply.json({"n": 2})]) as server:
        url = server.url + CHAT
        with record(tape):
            edge.read(url)
        assert edge.read(url).body == b'{"n": 2}'
    assert len(load(tape).exchanges) == 1


# what is patched


def test_nothing_stays_patched_after_the_last_session(edge, tape):
    before = patched()
    with record(tape):
        assert patched() != before
        with record(tape.with_name("inner.yaml")):
            pass
        assert patched() != before
    assert patched() == before
    assert open_sessions() == 0


def test_nothing_stays_patched_after_a_session_that_fails(edge, tape):
    before = patched()
    with pytest.raises(ZeroDivisionError), record(tape):
        raise ZeroDivisionError
    assert patched() == before
    with Server(Reply.json({})) as server, record(tape):
        edge.read(server.url + CHAT)
    with pytest.raises(UnusedExchanges), replay(tape):
        pass
    assert patched() == before


def wrapping(edge: Edge, seen: list[str]) -> Any:
    """A patch by somebody else, over whatever is there now."""
    there = edge.transport().__dict__[edge.method()]

    async def patch_async(self: Any, request: Any, **options: Any) -> Any:
        seen.append(str(request.url))
        return await there(self, request, **options)

    def patch(self: Any, request: Any) -> Any:
        seen.append(str(request.url))
        return there(self, request)

    return patch_async if edge.is_async else patch


def test_a_patch_of_others_put_over_ours_meanwhile_survives(edge, tape, monkeypatch):
    real = edge.transport().__dict__[edge.method()]
    seen: list[str] = []
    with Server(Reply.json({"n": 1})) as server:
        url = server.url + CHAT
        with monkeypatch.context() as foreign:
            with record(tape):
                patch = wrapping(edge, seen)
                foreign.setattr(edge.transport(), edge.method(), patch)
                edge.read(url)
            assert edge.transport().__dict__[edge.method()] is patch
            assert edge.read(url).body == b'{"n": 1}'
            with replay(tape):
                assert edge.read(url).body == b'{"n": 1}'
            assert seen == [url, url]  # in replay we stand above it, and nothing goes down
            assert edge.transport().__dict__[edge.method()] is patch
        # The foreign patch has put ours back, which does nothing without a session.
        assert edge.read(url).body == b'{"n": 1}'
        assert len(server.requests) == 3
        with replay(tape):
            assert edge.read(url).body == b'{"n": 1}'
    assert edge.transport().__dict__[edge.method()] is real


def test_a_patch_of_others_that_came_before_ours_and_goes_before_it_leaves_no_gap(edge, tape, monkeypatch):
    real = edge.transport().__dict__[edge.method()]
    with Server([Reply.json({"n": 1})]) as server:
        url = server.url + CHAT
        foreign = pytest.MonkeyPatch()
        foreign.setattr(edge.transport(), edge.method(), wrapping(edge, []))
        with record(tape):
            edge.read(url)
            foreign.undo()
        assert edge.transport().__dict__[edge.method()] is real
        with replay(tape):
            assert edge.read(url).body == b'{"n": 1}'
        assert len(server.requests) == 1
    assert edge.transport().__dict__[edge.method()] is real


def test_a_patch_of_others_that_takes_ours_away_leaves_no_gap_for_the_next_session(edge, tape):
    with Server([Reply.json({"n": 1})]) as server:
        url = server.url + CHAT
        with record(tape):
            edge.read(url)
        foreign = pytest.MonkeyPatch()
        foreign.setattr(edge.transport(), edge.method(), wrapping(edge, []))
        with record(tape.with_name("outer.yaml")):
            foreign.undo()
            with replay(tape):
                assert edge.read(url).body == b'{"n": 1}'


def test_a_patch_of_the_socket_put_over_ours_meanwhile_survives(tape):
    before = patched()
    real = socket.getaddrinfo
    foreign = pytest.MonkeyPatch()
    with record(tape):
        there, there_connect = socket.getaddrinfo, socket.socket.connect
        foreign.setattr(socket, "getaddrinfo", partial(there))
        foreign.setattr(socket.socket, "connect", partialmethod(there_connect))
    foreign.undo()
    with record(tape):
        assert socket.getaddrinfo("127.0.0.1", 80)
    assert socket.getaddrinfo is real
    after = patched()
    # `connect` was inherited before; the foreign patch has put it into the class for good.
    after["socket"].pop("connect", None)
    before["socket"].pop("connect", None)
    assert after == before
    if "connect" in socket.socket.__dict__:
        del socket.socket.connect


def test_a_class_known_by_two_names_is_patched_once(tape, monkeypatch):
    # As after httpx2.alias_httpx().
    import sys

    monkeypatch.setitem(sys.modules, "httpx", httpx2)
    edge = next(edge for edge in EDGES if edge.library is httpx2)
    with Server(Reply.json({"n": 1})) as server:
        url = server.url + CHAT
        with record(tape) as cassette:
            edge.read(url)
        assert len(cassette.calls) == 1
    with replay(tape):
        assert edge.read(url).body == b'{"n": 1}'

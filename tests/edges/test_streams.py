"""Streams: live while they are recorded, the same on replay, at any pace, in any cut, to the end they had."""

from __future__ import annotations

import asyncio
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from llmreplay import (
    AsyncRecordingTransport,
    Cassette,
    Chunk,
    Exchange,
    Failure,
    RecordingEnded,
    RecordingTransport,
    Request,
    Response,
    load,
)
from llmreplay.errors import SwallowedRefusals
from llmreplay.intercept import _httpx_streams
from llmreplay.session import _take
from tests import wires
from tests.edges._clients import CHAT, EDGES, leaves_generators, record, replay, until
from tests.loopback import Gate, Received, Reply, Server

pytestmark = leaves_generators

PIECES = [b"data: caf\xc3", b"\xa9\n", b"\ndata: t", b"wo\n\n"]
TEXT = b"".join(PIECES)
URL = "http://127.0.0.1:9" + CHAT


# live while it is recorded


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_chunk_is_seen_before_the_next_one_is_sent_and_comes_again_as_it_was(edge, tape, framing):
    # In lockstep the server waits for the client to have seen a chunk: whoever buffers waits for ever.
    with Server(Reply.sse(PIECES, lockstep=True, framing=framing)) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.read(url, server.step, how="iter_raw")
    with replay(tape):
        played = edge.read(url, how="iter_raw")

    assert live.told == played.told == (PIECES, None)
    assert [chunk.data for chunk in load(tape).exchanges[0].response.chunks] == PIECES


def test_no_more_is_taken_from_the_network_than_the_client_asks_for(edge, tape):
    library, given = edge.library, []

    class Counted(library.SyncByteStream, library.AsyncByteStream):
        def __iter__(self) -> Any:
            for piece in PIECES:
                given.append(piece)
                yield piece

        async def __aiter__(self) -> Any:
            for piece in self:
                yield piece

    class Own(library.BaseTransport, library.AsyncBaseTransport):
        def handle_request(self, request: Any) -> Any:
            return library.Response(200, stream=Counted())

        async def handle_async_request(self, request: Any) -> Any:
            return library.Response(200, stream=Counted())

    wrap = AsyncRecordingTransport if edge.is_async else RecordingTransport
    taken = []
    with record(tape):
        live = edge.read(
            URL, lambda: taken.append(len(given)), client={"transport": wrap(Own())}, how="iter_raw"
        )
    assert live.told == (PIECES, None)
    assert taken == [1, 2, 3, 4]


def test_a_chunk_remembers_how_long_it_was_waited_for(edge, tape, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(_take, "perf_counter", lambda: now[0])

    with Server(Reply.sse(PIECES, lockstep=True)) as server, record(tape):

        def later() -> None:
            now[0] += 0.25
            server.step()

        edge.read(server.url + CHAT, later)
    exchange = load(tape).exchanges[0]
    assert [chunk.delay for chunk in exchange.response.chunks] == [0, 0.25, 0.25, 0.25]
    assert exchange.provenance.boundaries is True


# clients that stop reading


def test_a_client_that_left_early_gets_as_far_again_and_no_further(edge, tape):
    with Server(Reply.endless()) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.read(url, take=3)
        server.wait_for_departures()
    response = load(tape).exchanges[0].response

    assert (response.ended, response.failure) == ("closed", None)
    assert [chunk.data for chunk in response.chunks] == live.chunks
    for other in EDGES:
        with replay(tape):
            assert other.read(url, take=3).told == live.told
        seen = []
        with pytest.raises(RecordingEnded) as refused, replay(tape):
            other.read(url, lambda seen=seen: seen.append(1))
        assert len(seen) == 3
        assert f"recorded: {len(response.body)} bytes, then the client left" in str(refused.value)


def test_a_client_that_left_before_the_first_chunk_may_do_so_again(edge, tape):
    async def look_async(url: str) -> int:
        async with edge.client() as client, client.stream("POST", url, json={}) as response:
            return response.status_code

    def look(url: str) -> int:
        if edge.is_async:
            return edge.run(look_async, url)
        with edge.client() as client, client.stream("POST", url, json={}) as response:
            return response.status_code

    with Server(Reply.endless()) as server:
        url = server.url + CHAT
        with record(tape) as cassette:
            assert look(url) == 200
            assert len(cassette.calls) == 1
    with replay(tape):
        assert look(url) == 200
    assert load(tape).exchanges[0].response.chunks == ()
    with pytest.raises(RecordingEnded), replay(tape):
        edge.read(url, json={})


def test_a_client_that_left_after_the_last_event_may_read_to_the_end(edge, tape):
    # As the OpenAI SDK does: it leaves at [DONE].
    events = wires.openai_stream("Hi")
    with Server(Reply.sse(events, lockstep=True, ending="hang")) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.read(url, server.step, take=len(events))
    assert load(tape).exchanges[0].response.ended == "closed"
    with replay(tape):
        assert edge.read(url).told == live.told == (events, None)


def test_a_client_that_left_with_all_that_was_announced_had_it_all(edge, tape):
    with Server(Reply(body=b"whole")) as server:
        url = server.url + CHAT
        with record(tape):
            edge.read(url, take=1)
    assert load(tape).exchanges[0].response.ended == "complete"
    with replay(tape):
        assert edge.read(url).body == b"whole"


def test_a_stream_that_is_still_open_when_the_session_ends_is_one_that_was_left(tape):
    edge = EDGES[0]
    with Server(Reply.endless()) as server:
        url = server.url + CHAT
        with edge.client() as client:
            with record(tape):
                response = client.send(client.build_request("POST", url, json={}), stream=True)
                first = next(response.iter_raw())
            response.close()
    (chunk,) = load(tape).exchanges[0].response.chunks
    assert chunk.data == first
    assert load(tape).exchanges[0].response.ended == "closed"


def test_nothing_of_ours_is_left_to_the_garbage_collector_where_the_library_leaves_nothing(tape):
    # trio says which generators it had to end.
    edge = next(edge for edge in EDGES if edge.kind == "trio" and edge.library.__name__ == "httpx2")
    with warnings.catch_warnings(record=True) as warned, Server(Reply.endless()) as server:
        warnings.simplefilter("always")
        edge.read(server.url + CHAT, take=2)
        bare = [str(warning.message) for warning in warned]
        with record(tape):
            edge.read(server.url + CHAT, take=2)
    assert [str(warning.message) for warning in warned] == bare * 2


# pace


def timed(tape: Any, **ending: Any) -> None:
    """A cassette whose response took its time."""
    request = Request(
        "POST", URL, (("content-type", "application/json"),), b'{"model":"loopback","messages":[]}'
    )
    chunks = tuple(Chunk(piece, delay) for piece, delay in zip(PIECES, (0.5, 0.25, 0, 4.0), strict=True))
    response = Response(200, (("content-type", "text/event-stream"),), chunks, delay=2.0, **ending)
    Cassette([Exchange(request, response)]).save(tape)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that clients are made to wait, which pass at once."""
    waits: list[float] = []
    real = anyio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr(anyio, "sleep", sleep)
    monkeypatch.setattr(_httpx_streams, "sleep", waits.append)
    return waits


def test_at_speed_1_a_stream_takes_the_time_it_took(edge, tape, slept):
    timed(tape)
    with replay(tape, speed=1):
        assert edge.read(URL).told == (PIECES, None)
    assert [wait for wait in slept if wait] == [2.0, 0.5, 0.25, 4.0]


def test_at_speed_2_a_stream_takes_half_of_it(edge, tape, slept):
    timed(tape)
    with replay(tape, speed=2):
        assert edge.read(URL).told == (PIECES, None)
    assert [wait for wait in slept if wait] == [1.0, 0.25, 0.125, 2.0]


def test_at_speed_0_nothing_waits_and_tasks_give_way_before_each_chunk(edge, tape, slept):
    timed(tape)
    with replay(tape, speed=0):
        assert edge.read(URL).told == (PIECES, None)
    assert slept == ([0.0] * 5 if edge.is_async else [])


def test_a_fault_takes_its_time_too(edge, tape, slept):
    timed(tape, ended="cut", failure=Failure("ReadError", "gone", "body", 8.0))
    with replay(tape, speed=1):
        assert edge.read(URL).told == (PIECES, edge.error("ReadError", "body").__name__)
    assert slept[-1] == 8.0


def test_a_fault_before_the_response_takes_its_time_too(edge, tape, slept):
    request = Request("POST", URL, (), b'{"model":"loopback","messages":[]}')
    Cassette([Exchange(request, failure=Failure("ConnectTimeout", "slow", "connect", 3.0))]).save(tape)
    with replay(tape, speed=1):
        assert edge.read(URL).told == ([], edge.error("ConnectTimeout").__name__)
    assert slept == [3.0]


def test_a_stream_that_is_cut_anew_takes_as_long(edge, tape, slept):
    timed(tape)
    with replay(tape, speed=1, split=(len(TEXT),)):
        assert edge.read(URL).told == ([TEXT], None)
    assert sum(slept) == 6.75


def test_other_tasks_run_between_two_chunks_of_a_replay(async_edge, tape):
    edge = async_edge
    timed(tape)
    turns, at_chunk = [0], []

    async def others() -> None:
        while True:
            turns[0] += 1
            await anyio.lowlevel.checkpoint()

    async def read() -> None:
        async with edge.client() as client, client.stream("POST", URL, json=json) as response:
            at_chunk.extend([turns[0] async for _ in response.aiter_raw()])

    async def both() -> None:
        if edge.kind == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(others)
                await read()
                nursery.cancel_scope.cancel()
        else:
            task = asyncio.create_task(others())
            await read()
            task.cancel()

    json = {"model": "loopback", "messages": []}
    with replay(tape):
        edge.run(both)
    # Of two tasks that are ready, trio takes either one first.
    assert len(at_chunk) == len(PIECES)
    assert at_chunk[-1] - at_chunk[0] >= len(PIECES) - 2


# cuts


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (None, PIECES),
        ("bytes", [bytes([byte]) for byte in TEXT]),
        ((3,), [TEXT[k : k + 3] for k in range(0, len(TEXT), 3)]),
        (
            (1, 5, 2),
            [
                TEXT[0:1],
                TEXT[1:6],
                TEXT[6:8],
                TEXT[8:9],
                TEXT[9:14],
                TEXT[14:16],
                *[TEXT[16:17]],
                TEXT[17:22],
                TEXT[22:],
            ],
        ),
        ([1000], [TEXT]),
    ],
    ids=["as recorded", "bytes", "one size", "sizes", "whole"],
)
def test_a_stream_can_be_cut_anew(edge, tape, split, expected):
    timed(tape)
    with replay(tape, split=split):
        assert edge.read(URL).chunks == [piece for piece in expected if piece]


def test_a_seed_cuts_in_the_same_places_every_time(edge, tape):
    timed(tape)
    cuts = []
    for seed in (7, 7, 8):
        with replay(tape, split=seed):
            cuts.append(edge.read(URL).chunks)
    assert cuts[0] == cuts[1] != cuts[2]
    assert {b"".join(cut) for cut in cuts} == {TEXT}


def test_a_recording_that_was_left_ends_at_the_same_byte_however_it_is_cut(edge, tape):
    timed(tape, ended="closed")
    seen: list[int] = []
    with pytest.raises(RecordingEnded), replay(tape, split="bytes"):
        edge.read(URL, lambda: seen.append(1))
    assert len(seen) == len(TEXT)


# order and concurrency


def echo(received: Received) -> Reply:
    return Reply.json({"q": received.json["q"]})


def asked(url: str, questions: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(url, {"json": {"q": question}}) for question in questions]


def answers(seen: Any) -> list[Any]:
    return [one.body for one in seen]


def test_two_swapped_calls_of_one_endpoint_get_their_own_answers(edge, tape):
    with Server(echo) as server:
        url = server.url + CHAT
        with record(tape):
            for question in ("a", "b"):
                edge.read(url, json={"q": question})
    with replay(tape):
        assert [edge.read(url, json={"q": q}).body for q in ("b", "a")] == [b'{"q": "b"}', b'{"q": "a"}']


def test_fifty_shuffled_requests_at_once_get_their_own_answers(edge, tape):
    questions = [*range(50)]
    with Server(echo) as server:
        url = server.url + CHAT
        with record(tape):
            live = edge.together(asked(url, questions))
    shuffled = random.Random(4).sample(questions, 50)
    with replay(tape):
        played = edge.together(asked(url, shuffled))

    assert answers(live) == [b'{"q": %d}' % q for q in questions]
    assert answers(played) == [b'{"q": %d}' % q for q in shuffled]


def test_fifty_shuffled_requests_of_a_task_group_get_their_own_answers(tmp_path):
    async def group(edge: Any, url: str, questions: list[int]) -> list[Any]:
        async with edge.client() as client, asyncio.TaskGroup() as tasks:
            posts = [tasks.create_task(client.post(url, json={"q": q})) for q in questions]
        return [post.result().json()["q"] for post in posts]

    questions = [*range(50)]
    shuffled = random.Random(5).sample(questions, 50)
    for edge in [edge for edge in EDGES if edge.kind == "asyncio"]:
        tape = tmp_path / f"{edge}.yaml"
        with Server(echo) as server:
            url = server.url + CHAT
            with record(tape):
                assert asyncio.run(group(edge, url, questions)) == questions
        with replay(tape):
            assert asyncio.run(group(edge, url, shuffled)) == shuffled


def test_equal_requests_at_once_get_by_caller_what_they_got_although_it_came_out_of_order(edge, tape):
    # The server knows the callers by a header, which no match looks at. Their answers come backwards.
    gates = [Gate() for _ in range(6)]
    done: list[int] = []

    def held(received: Received) -> Reply:
        caller = int(received.header("x-caller") or 0)
        return Reply.json({"caller": caller}, hold=gates[caller])

    def backwards(cassette: Any) -> None:
        server.wait_for_requests(6)
        for caller in reversed(range(6)):
            gates[caller].open()
            until(lambda: len(cassette.calls) > len(done))
            done.append(caller)

    requests = [{"json": {"q": "same"}, "headers": {"x-caller": str(caller)}} for caller in range(6)]
    with Server(held) as server:
        url = server.url + CHAT
        with record(tape) as cassette:
            releasing = threading.Thread(target=backwards, args=[cassette])
            releasing.start()
            live = edge.together(
                [(url, request) for request in requests], lambda k: server.wait_for_requests(k + 1)
            )
            releasing.join()
    with replay(tape) as cassette:
        played = edge.together(
            [(url, request) for request in requests], lambda k: until(lambda: len(cassette.calls) > k)
        )

    assert done == [5, 4, 3, 2, 1, 0]
    assert answers(live) == answers(played) == [b'{"caller": %d}' % caller for caller in range(6)]


def test_streams_that_are_read_by_turns_do_not_mix(async_edge, tape):
    def numbered(received: Received) -> Reply:
        number = received.json["q"]
        return Reply.sse([b"%d-%d" % (number, k) for k in range(3)])

    async def by_turns(url: str) -> list[bytes]:
        async with (
            async_edge.client() as client,
            client.stream("POST", url, json={"q": 0}) as first,
            client.stream("POST", url, json={"q": 1}) as second,
            aclosing(first.aiter_raw()) as firsts,
            aclosing(second.aiter_raw()) as seconds,
        ):
            return [await anext(chunks) for _ in range(3) for chunks in (firsts, seconds)]

    with Server(numbered) as server:
        url = server.url + CHAT
        with record(tape):
            live = async_edge.run(by_turns, url)
    with replay(tape):
        assert async_edge.run(by_turns, url) == live == [b"0-0", b"1-0", b"0-1", b"1-1", b"0-2", b"1-2"]


def test_a_refusal_that_a_thread_pool_swallows_fails_the_session(edge, tape):
    with Server(echo) as server:
        url = server.url + CHAT
        with record(tape):
            edge.read(url, json={"q": 1})

    def careless() -> None:
        edge.read(url, json={"q": 1})
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: edge.read(url, json={"q": 2}))

    with pytest.raises(SwallowedRefusals, match="1 request had to be refused"), replay(tape):
        careless()

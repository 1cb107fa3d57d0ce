"""Responses that break off at a frame, or anywhere, whatever framing they have."""

from __future__ import annotations

import pytest

from llmreplay import Chunk, Response
from llmreplay.framing import eventstream
from llmreplay.framing.breaking import break_off, frame_ends

MESSAGES = [eventstream.write(eventstream.event("chunk", b'{"n":%d}' % n)) for n in range(3)]
FRAMED = {
    "text/event-stream": [
        b": hello\n\ndata: 1\n\n",
        b"event: a\r\ndata: 2\r\n\r\n",
        b": ping\n\ndata: 3\n\n",
    ],
    "text/event-stream; charset=utf-8": [b"data: 1\r\r", b"data: 2\n\n\n", b"data: 3"],
    "application/x-ndjson": [b'{"n": 1}\n', b'\n{"n": 2}\n', b'{"n": 3}'],
    "application/json": [b'[{"n": 1}', b',\r\n{"n": [2]}', b',\n{"n": 3}'],
    "application/vnd.amazon.eventstream": MESSAGES,
}


def answer(kind: str, *pieces: bytes) -> Response:
    return Response.of(200, pieces, (("content-type", kind),))


@pytest.mark.parametrize("kind", FRAMED)
@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_a_stream_breaks_off_after_as_many_frames_as_wanted(kind, after):
    frames = FRAMED[kind]
    whole = answer(kind, b"".join(frames))

    assert len(frame_ends(whole)) == 3
    broken = break_off(whole, after=after)
    assert broken.body.strip() == b"".join(frames[:after]).strip()
    assert (broken.ended, broken.failure.error) == ("cut", "RemoteProtocolError")


def test_the_boundaries_and_delays_before_the_break_stay():
    whole = Response(
        200,
        (("content-type", "text/event-stream"),),
        (Chunk(b"data: 1\n", 0.1), Chunk(b"\ndata: 2\n\n", 0.2)),
    )

    assert break_off(whole, after=1).chunks == (Chunk(b"data: 1\n", 0.1), Chunk(b"\n", 0.2))


@pytest.mark.parametrize(
    ("asked", "left"), [({"after_bytes": 3}, b'{"a'), ({}, b'{"a"'), ({"after": 1}, b'{"a"')]
)
def test_a_body_without_frames_breaks_off_by_bytes(asked, left):
    whole = answer("application/json", b'{"a": 1}')

    assert frame_ends(whole) == []
    assert break_off(whole, **asked).body == left


def test_an_array_that_is_malformed_has_the_frames_before_that():
    assert frame_ends(answer("application/json", b'[{"n": 1}, oops')) == [9]


@pytest.mark.parametrize("how", ["reset", "timeout", "end"])
def test_how_it_breaks_is_what_the_client_meets(how):
    whole = Response.of(200, b"data: 1\n\n", (("content-type", "text/event-stream"), ("content-length", "9")))
    broken = break_off(whole, after_bytes=2, how=how)

    if how == "end":
        assert (broken.ended, broken.failure, broken.header("content-length")) == ("complete", None, None)
    else:
        assert broken.failure.error == {"reset": "ReadError", "timeout": "ReadTimeout"}[how]
        assert broken.header("content-length") == "9"

"""Frames of AWS event streams out of bytes, however they are cut, and back; what botocore makes of them."""

from __future__ import annotations

import struct
from binascii import crc32
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay.framing.eventstream import (
    MAX_HEADERS,
    MAX_PAYLOAD,
    EventStreamError,
    EventStreamParser,
    Frame,
    Header,
    Kind,
    begins,
    event,
    exception,
    write,
)

ID = UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
EVERY_KIND = Frame(
    (
        Header("true", True, Kind.TRUE),
        Header("false", False, Kind.FALSE),
        Header("byte", -128, Kind.BYTE),
        Header("short", -2, Kind.SHORT),
        Header("integer", 2**31 - 1, Kind.INTEGER),
        Header("long", -(2**63), Kind.LONG),
        Header("bytes", b"\x00\xff", Kind.BYTES),
        Header("string", "Zoë ☀️"),
        Header("timestamp", 1_767_225_600_123, Kind.TIMESTAMP),
        Header("uuid", ID, Kind.UUID),
    ),
    b"payload \x00\xff",
)
STREAM = [
    event("messageStart", b'{"role":"assistant"}'),
    EVERY_KIND,
    Frame(),
    exception("throttlingException", b'{"message":"Slow down."}'),
]
BYTES = b"".join(write(frame) for frame in STREAM)

SIZES = {Kind.BYTE: 8, Kind.SHORT: 16, Kind.INTEGER: 32, Kind.LONG: 64, Kind.TIMESTAMP: 64}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
HEADERS = st.lists(
    st.one_of(
        st.builds(Header, NAMES, st.just(True), st.just(Kind.TRUE)),
        st.builds(Header, NAMES, st.just(False), st.just(Kind.FALSE)),
        st.builds(Header, NAMES, st.binary(max_size=40), st.just(Kind.BYTES)),
        st.builds(Header, NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        st.builds(Header, NAMES, st.uuids(), st.just(Kind.UUID)),
        *(
            st.builds(Header, NAMES, st.integers(-(2 ** (size - 1)), 2 ** (size - 1) - 1), st.just(kind))
            for kind, size in SIZES.items()
        ),
    ),
    max_size=5,
    unique_by=lambda header: header.name,
)
FRAMES = st.lists(st.builds(Frame, HEADERS.map(tuple), st.binary(max_size=60)), max_size=4)


def read(pieces: list[bytes]) -> list[Frame]:
    parser = EventStreamParser()
    found = []
    for piece in pieces:
        parser.receive(piece)
        while (frame := parser.next_frame()) is not None:
            found.append(frame)
    return found


def framed(
    headers: bytes = b"", payload: bytes = b"", *, total: int | None = None, size: int | None = None
) -> bytes:
    """Return a frame with sound checksums, whatever its lengths say."""
    length = 16 + len(headers) + len(payload) if total is None else total
    lengths = struct.pack("!II", length, len(headers) if size is None else size)
    body = lengths + struct.pack("!I", crc32(lengths)) + headers + payload
    return body + struct.pack("!I", crc32(body))


def problem(data: bytes) -> EventStreamError:
    with pytest.raises(EventStreamError) as caught:
        read([data])
    return caught.value


def test_frames_are_read_as_they_were_written() -> None:
    assert read([BYTES]) == STREAM


def test_the_bytes_of_a_frame_are_those_of_the_specification() -> None:
    assert write(Frame()) == bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
    assert write(Frame((Header("event-type", "x"),), b"{}")) == framed(b"\x0aevent-type\x07\x00\x01x", b"{}")


def test_a_stream_split_in_two_at_any_byte_gives_the_same_frames() -> None:
    for at in range(len(BYTES) + 1):
        assert read([BYTES[:at], BYTES[at:]]) == STREAM


def test_a_stream_in_single_bytes_gives_each_frame_with_its_last_one() -> None:
    parser, ends = EventStreamParser(), []
    for place in range(len(BYTES)):
        parser.receive(BYTES[place : place + 1])
        if parser.next_frame() is not None:
            ends.append(place + 1)

    lengths = [len(write(frame)) for frame in STREAM]
    assert ends == [sum(lengths[: count + 1]) for count in range(len(lengths))]
    assert parser.pending == 0


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 500), max_size=6))
def test_any_frames_come_back_however_the_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    data = b"".join(write(frame) for frame in frames)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]

    assert read([data[start:end] for start, end in pairwise(edges)]) == frames
    assert b"".join(write(frame) for frame in read([data])) == data


def test_more_bytes_needed_is_a_value_and_what_has_come_is_counted() -> None:
    parser = EventStreamParser()
    assert parser.next_frame() is None

    parser.receive(BYTES[:30])

    assert parser.next_frame() is None
    assert parser.pending == 30


def test_a_flipped_bit_is_never_read_as_a_frame() -> None:
    for at in range(len(write(STREAM[0]))):
        data = bytearray(BYTES)
        data[at] ^= 0x10

        assert 0 <= problem(bytes(data)).position < len(write(STREAM[0]))


def test_damage_is_found_behind_the_frames_before_it_and_stays() -> None:
    first, second = write(STREAM[0]), bytearray(write(STREAM[1]))
    second[-1] ^= 1
    parser = EventStreamParser()
    parser.receive(first + bytes(second) + first)

    assert parser.next_frame() == STREAM[0]
    for _ in range(2):
        with pytest.raises(EventStreamError, match="the checksum of a frame is wrong") as caught:
            parser.next_frame()
        assert caught.value.position == len(first) + len(second) - 4


def test_what_is_no_event_stream_is_known_after_twelve_bytes() -> None:
    error = problem(b"data: {}\n\ndata")

    assert error.problem == "the checksum of a prelude is wrong"
    assert str(error) == "the checksum of a prelude is wrong (byte 8 of the event stream)"
    assert not begins(b"data: {}\n\ndata")
    assert not begins(BYTES[:11])
    assert begins(BYTES[:12])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (framed(total=15), "15 bytes are too few for a frame"),
        (framed(size=1), "16 bytes are too few for a frame"),
        (framed(size=MAX_HEADERS + 1, total=MAX_HEADERS + 17), "headers of 131073 bytes are too long"),
        (framed(total=MAX_PAYLOAD + 17), "a frame of 25165841 bytes is too long"),
        (framed(b"\x01a\x0a"), "a header cannot be read: 10 is not a valid Kind"),
        (framed(b"\x01a"), "a header cannot be read: index out of range"),
        (framed(b"\x05a"), "a header cannot be read: 5 bytes are announced, and 1 are there"),
        (framed(b"\x01a\x07\x00\x05x"), "a header cannot be read: 5 bytes are announced, and 1 are there"),
        (framed(b"\x01a\x09\x00"), "a header cannot be read: 16 bytes are announced, and 1 are there"),
        (framed(b"\x01a\x04\x00"), "a header cannot be read: unpack_from requires"),
        (framed(b"\x01a\x07\x00"), "a header cannot be read: unpack_from requires"),
        (framed(b"\x01a\x07\x00\x01\xff"), "a header cannot be read: 'utf-8' codec"),
        (framed(b"\x01\xff\x00"), "a header cannot be read: 'utf-8' codec"),
        (framed(b"\x01a\x00\x01a\x01"), "the header 'a' comes twice"),
    ],
)
def test_lengths_and_headers_that_cannot_be_are_errors(data: bytes, expected: str) -> None:
    assert problem(data).problem.startswith(expected)


def test_an_error_of_a_header_names_where_the_header_begins() -> None:
    assert problem(write(Frame()) + framed(b"\x01a\x00\x01b\x63")).position == 16 + 12 + 3


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame((Header("a", "x"), Header("a", "y"))), "a header is given twice: a, a"),
        (Frame((Header("", "x"),)), "must have 1 to 255 bytes, not 0"),
        (Frame((Header("a" * 256, "x"),)), "must have 1 to 255 bytes, not 256"),
        (Frame((Header("a", "x" * 65536),)), "the header 'a' cannot be written"),
        (Frame((Header("a", 1),)), "1 is no string"),
        (Frame((Header("a", "x", Kind.BYTES),)), "'x' is no bytes"),
        (Frame((Header("a", "x", Kind.UUID),)), "'x' is no uuid"),
        (Frame((Header("a", True, Kind.FALSE),)), "True is no false"),
        (Frame((Header("a", True, Kind.LONG),)), "True is no long"),
        (Frame((Header("a", 128, Kind.BYTE),)), "the header 'a' cannot be written"),
        (Frame(payload=bytes(MAX_PAYLOAD + 1)), "is too long"),
    ],
)
def test_what_cannot_be_framed_is_refused(frame: Frame, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        write(frame)


def test_headers_that_are_too_long_together_are_refused() -> None:
    headers = tuple(Header(f"h{number}", "x" * 60_000) for number in range(3))

    with pytest.raises(ValueError, match="is too long"):
        write(Frame(headers))


def test_the_text_of_a_header_is_none_where_it_is_no_text() -> None:
    assert STREAM[0].text(":event-type") == "messageStart"
    assert STREAM[0].text(":exception-type") is None
    assert EVERY_KIND.text("long") is None


# botocore's own parser


def test_botocore_reads_what_is_written() -> None:
    buffer = pytest.importorskip("botocore.eventstream").EventStreamBuffer()
    for at in range(0, len(BYTES), 7):
        buffer.add_data(BYTES[at : at + 7])

    found = [(message.headers, message.payload) for message in buffer]

    def spelled(value: Any) -> Any:
        return value.bytes if isinstance(value, UUID) else value

    expected = [
        ({header.name: spelled(header.value) for header in frame.headers}, frame.payload) for frame in STREAM
    ]
    assert found == expected


def test_botocore_reads_an_exception_as_one() -> None:
    buffer = pytest.importorskip("botocore.eventstream").EventStreamBuffer()
    buffer.add_data(write(STREAM[-1]))

    assert next(buffer).to_response_dict()["status_code"] == 400


def test_the_examples_of_aws_are_read() -> None:
    # botocore reads only: these are the vectors that AWS publishes for all its SDKs.
    number = bytes.fromhex(
        "0000002b0000000e348bec7b086576656e742d696404 0000a00c 7b27666f6f273a27626172277d d3890285"
    )

    assert read([number]) == [Frame((Header("event-id", 40972, Kind.INTEGER),), b"{'foo':'bar'}")]
    assert read([bytes.fromhex("000000100000000005c248eb7d98c8ff")]) == [Frame()]


@given(frames=FRAMES)
def test_botocore_reads_the_same_frames_as_we_do(frames: list[Frame]) -> None:
    buffer = pytest.importorskip("botocore.eventstream").EventStreamBuffer()
    data = b"".join(write(frame) for frame in frames)
    buffer.add_data(data)

    assert [message.payload for message in buffer] == [frame.payload for frame in read([data])]


@given(junk=st.binary(max_size=80))
def test_any_bytes_are_frames_or_an_error(junk: bytes) -> None:
    try:
        read([junk])
    except EventStreamError as error:
        where = error.position
        assert 0 <= where <= len(junk)

"""Frames out of bytes, however they are cut, and back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay.framing.sse import Frame, FrameTooLong, SSEParser, write

HARD = (
    b"\xef\xbb\xbf: hello\r\nevent: a\r\ndata: one\r\ndata:two\r\n\r\n"
    b":\nid: 7\nretry: 1500\ndata:  \xf0\x9f\x8c\xa7 rain\n\n"
    b"event\rdata\r\rdata: last, caf\xc3\xa9 \xff\n"
)
HARD_FRAMES = [
    Frame(comment="hello"),
    Frame("one\ntwo", event="a"),
    Frame(comment=""),
    Frame(" 🌧 rain", id="7", retry=1500),
    Frame("", event=""),
    Frame("last, café \ufffd"),
]


def frames(pieces: list[bytes], **options: bool) -> list[Frame]:
    parser = SSEParser(**options)
    found = [frame for piece in pieces for frame in parser.feed(piece)]
    return found + parser.close()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_frame_has_the_same_fields_with_every_line_end(end: str) -> None:
    data = end.join(["event: ping", "id: 3", "retry: 20", "data: {}", "", ""]).encode()

    assert frames([data]) == [Frame("{}", event="ping", id="3", retry=20)]


def test_the_space_behind_the_colon_is_optional_and_only_one_is_dropped() -> None:
    assert frames([b"data:x\n\ndata: x\n\ndata:  x\n\n"]) == [Frame("x"), Frame("x"), Frame(" x")]


def test_several_data_lines_are_joined_by_line_feeds() -> None:
    assert frames([b"data: a\r\ndata\r\ndata: b\r\n\r\n"]) == [Frame("a\n\nb")]


def test_comments_are_dropped_unless_they_are_asked_for() -> None:
    data = b": WAITING\n\ndata: 1\n: between\ndata: 2\n\n"

    assert frames([data]) == [Frame("1\n2")]
    assert frames([data], comments=True) == [
        Frame(comment="WAITING"),
        Frame(comment="between"),
        Frame("1\n2"),
    ]


def test_a_byte_order_mark_is_dropped_in_front_and_nowhere_else() -> None:
    bom = b"\xef\xbb\xbf"

    assert frames([bom + b"data: a\n\n" + bom + b"data: b\n\n"]) == [Frame("a")]


def test_a_frame_without_data_is_none_and_leaves_nothing_behind() -> None:
    assert frames([b"event: ping\nid: 1\n\ndata: x\n\n"]) == [Frame("x")]


def test_fields_that_mean_nothing_are_ignored() -> None:
    data = b"colour: red\nretry: soon\nretry: 5\nretry: \xd9\xa3\nid: a\nid: b\0\ndata: x\n\n"

    assert frames([data]) == [Frame("x", id="a", retry=5)]


def test_a_frame_is_given_as_soon_as_its_blank_line_has_come() -> None:
    parser = SSEParser()

    assert parser.feed(b"data: a\r\n") == []
    assert parser.feed(b"\r") == [Frame("a")]
    assert parser.feed(b"\ndata: b") == []
    assert parser.feed(b"") == []
    assert parser.feed(b"\n\n") == [Frame("b")]
    assert parser.close() == []


def test_a_stream_that_ends_without_the_blank_line_still_gives_its_last_frame() -> None:
    assert frames([b"data: a\n\ndata: b\n"]) == [Frame("a"), Frame("b")]
    assert frames([b"data: a\n\ndata: b"]) == [Frame("a"), Frame("b")]


@given(st.lists(st.integers(min_value=0), max_size=30))
def test_however_the_bytes_are_split_the_frames_are_the_same(cuts: list[int]) -> None:
    assert frames(split(HARD, cuts), comments=True) == HARD_FRAMES


def test_byte_for_byte_gives_the_same_frames() -> None:
    assert frames([HARD[at : at + 1] for at in range(len(HARD))], comments=True) == HARD_FRAMES


@given(st.binary(max_size=60), st.lists(st.integers(min_value=0), max_size=8))
def test_no_bytes_break_the_parser_and_no_split_changes_what_it_finds(data: bytes, cuts: list[int]) -> None:
    assert frames(split(data, cuts), comments=True) == frames([data], comments=True)


@pytest.mark.parametrize("pieces", [[b"data: " + b"x" * 100], [b"data: 12345\n"] * 10, [b"x" * 10] * 10])
def test_a_frame_that_never_ends_is_an_error_that_names_the_limit(pieces: list[bytes]) -> None:
    parser = SSEParser(limit=99)

    with pytest.raises(FrameTooLong, match="longer than 99 bytes") as caught:
        list(map(parser.feed, pieces))
    assert caught.value.limit == 99


def test_the_limit_is_of_one_frame_and_not_of_the_stream() -> None:
    parser = SSEParser(limit=30)

    assert len([frame for _ in range(20) for frame in parser.feed(b"data: 1234567890\n\n")]) == 20


LINES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), max_size=20)


@given(
    st.builds(
        Frame,
        data=st.lists(LINES, min_size=1, max_size=3).map("\n".join),
        event=st.none() | LINES,
        id=st.none() | LINES,
        retry=st.none() | st.integers(min_value=0, max_value=10**9),
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_written_is_read_again(frame: Frame, end: str) -> None:
    assert frames([write(frame, end=end)]) == [frame]


def test_a_comment_is_written_as_its_lines() -> None:
    assert write(Frame(comment="a\nb")) == b": a\n: b\n"


@pytest.mark.parametrize("frame", [Frame("x", event="a\nb"), Frame("x", id="a\rb")])
def test_a_name_of_two_lines_cannot_be_written(frame: Frame) -> None:
    with pytest.raises(ValueError, match="must be one line"):
        write(frame)

"""JSON lines: every line, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay.framing.ndjson import NDJSONParser, write
from llmreplay.framing.sse import FrameTooLong

SIZES = (1, 5, 2, 13, 3, 8, 21)


def read(*pieces: bytes) -> list[str]:
    parser = NDJSONParser()
    return [line for piece in pieces for line in parser.feed(piece)] + parser.close()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n\r\n \n", []),
        (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']),
        (b'{"a":1}\r\n\r\n{"b":2}\r', ['{"a":1}', '{"b":2}']),
        (b'{"a":1}\n{"b":', ['{"a":1}', '{"b":']),
        (b'\xef\xbb\xbf{"a":1}\n', ['{"a":1}']),
        ('{"a":"é\u2028"}\n'.encode(), ['{"a":"é\u2028"}']),
        (b'{"a":"\xff"}\n', ['{"a":"\ufffd"}']),
    ],
)
def test_lines_are_the_same_however_they_are_cut(data: bytes, lines: list[str]) -> None:
    assert read(data) == lines
    assert read(*[data[at : at + 1] for at in range(len(data))]) == lines
    for at in range(len(data)):
        assert read(data[:at], data[at:]) == lines


def test_a_line_is_given_as_soon_as_its_end_has_come() -> None:
    parser = NDJSONParser()

    assert parser.feed(b'{"a":1}') == []
    assert parser.feed(b"\n{") == ['{"a":1}']
    assert parser.close() == ["{"]
    assert parser.close() == []


def test_a_line_without_end_is_refused() -> None:
    parser = NDJSONParser(limit=10)

    assert parser.feed(b"123456789\n123456789\n") == ["123456789"] * 2
    with pytest.raises(FrameTooLong, match="longer than 10 bytes"):
        parser.feed(b"12345678901")


def test_json_is_written_as_one_line() -> None:
    assert write(b"{}") == b"{}\n"
    with pytest.raises(ValueError, match="must be one line"):
        write(b"{\n}")


@given(lines=st.lists(st.text(min_size=1).map(repr)), sizes=st.lists(st.integers(1, 9), min_size=1))
def test_what_is_written_is_read(lines: list[str], sizes: list[int]) -> None:
    data = b"".join(write(line.encode("utf-8", "replace")) for line in lines)
    expected = [line.encode("utf-8", "replace").decode() for line in lines]
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size

    assert read(*pieces) == expected

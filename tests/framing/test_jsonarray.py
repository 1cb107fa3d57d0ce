"""A stream that is one JSON array: every element, however the bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay.framing.jsonarray import JSONArrayParser, NotAnArray, write
from llmreplay.framing.sse import FrameTooLong

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(['"', "\\", "[", "},"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def read(*pieces: bytes) -> list[str]:
    parser = JSONArrayParser()
    return [element for piece in pieces for element in parser.feed(piece)] + parser.close()


@pytest.mark.parametrize(
    ("data", "elements"),
    [
        (b"", []),
        (b" \r\n[ ]\n", []),
        (b'[{"a":1}]', ['{"a":1}']),
        (b'[{\n "a": [1, {}]\n}\n,\r\n{"b":2}\n]', ['{\n "a": [1, {}]\n}', '{"b":2}']),
        (b'[1, "a,]\\"", null,[]]', ["1", '"a,]\\""', "null", "[]"]),
        (b'[{"a":"}]\\\\"},{"b', ['{"a":"}]\\\\"}', '{"b']),
        (b'[{"a":1},{"b":"\\', ['{"a":1}', '{"b":"\\']),
        (b'\xef\xbb\xbf[{"a":1}]', ['{"a":1}']),
        ('[{"a":"é"}]'.encode(), ['{"a":"é"}']),
        (b'[{"a":"\xff"}]', ['{"a":"\ufffd"}']),
        (b"[,,]", []),
    ],
)
def test_elements_are_the_same_however_they_are_cut(data: bytes, elements: list[str]) -> None:
    assert read(data) == elements
    assert read(*[data[at : at + 1] for at in range(len(data))]) == elements
    for at in range(len(data)):
        assert read(data[:at], data[at:]) == elements


def test_an_element_is_given_as_soon_as_it_is_whole() -> None:
    parser = JSONArrayParser()

    assert parser.feed(b'[{"a":1') == []
    assert parser.feed(b"}") == ['{"a":1}']
    assert parser.feed(b",\r\n2") == []
    assert parser.feed(b"\n]\n") == ["2"]
    assert parser.close() == []


@pytest.mark.parametrize("data", [b'{"a":1}', b"<html>", b"[1]]", b"[1] 2", b'"[', b"\xef\xbb{"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnArray, match="no JSON array"):
        read(data)
    with pytest.raises(NotAnArray):
        read(*[data[at : at + 1] for at in range(len(data))])


def test_an_element_without_end_is_refused() -> None:
    parser = JSONArrayParser(limit=10)

    assert parser.feed(b'["12345678","12345678"') == ['"12345678"']
    with pytest.raises(FrameTooLong, match="longer than 10 bytes"):
        parser.feed(b',"12345678901"')


@given(values=st.lists(JSON, max_size=4), sizes=st.lists(st.integers(1, 9), min_size=1))
def test_what_is_written_is_read(values: list[Any], sizes: list[int]) -> None:
    data = b"".join(write(json.dumps(value, indent=1).encode() for value in values))
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size

    assert json.loads(data) == values
    assert [json.loads(element) for element in read(*pieces)] == values


def test_each_element_is_written_in_its_own_chunk() -> None:
    assert list(write([b"1", b"2"])) == [b"[1", b",\r\n2", b"]"]
    assert list(write([])) == [b"[]"]

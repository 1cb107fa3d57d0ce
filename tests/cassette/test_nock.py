"""Fixtures of nock are read as its recorder writes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from llmreplay import load
from llmreplay.cassette import _nock
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("recordings/weather.json")
WEATHER = {
    "scope": "https://api.example.com:443",
    "method": "POST",
    "path": "/v1/chat?a=1",
    "body": {"ask": "rain?"},
    "status": 200,
    "response": {"say": "yes"},
    "rawHeaders": ["Content-Type", "application/json", "Content-Length", "14", "X-A", "1", "X-A", "2"],
    "reqheaders": {"content-type": "application/json", "content-length": "16", "x-b": ["1", "2"]},
    "responseIsBinary": False,
}


def read(**changes: object) -> Exchange:
    [exchange] = _nock.read(json.dumps([{**WEATHER, **changes}]).encode(), PATH)
    return exchange


def body_of(response: object, **changes: object) -> bytes:
    answer = read(response=response, **{"rawHeaders": [], **changes}).response
    assert answer is not None
    return answer.body


def test_a_fixture_is_read_with_everything_in_it(tmp_path) -> None:
    path = tmp_path / "weather.json"
    path.write_text(json.dumps([WEATHER], indent=2), encoding="utf-8")

    cassette = load(path)

    assert cassette.format == "nock"
    assert list(cassette.exchanges) == [
        Exchange(
            Request(
                "POST",
                "https://api.example.com/v1/chat?a=1",
                (("content-type", "application/json"), ("content-length", "16"), ("x-b", "1"), ("x-b", "2")),
                b'{"ask": "rain?"}',  # spelled so that it is as long as it was
            ),
            Response(
                200,
                (
                    ("Content-Type", "application/json"),
                    ("Content-Length", "14"),
                    ("X-A", "1"),
                    ("X-A", "2"),
                ),
                (Chunk(b'{"say": "yes"}'),),
            ),
            provenance=Provenance("imported", boundaries=False),
        )
    ]


@pytest.mark.parametrize(
    ("stored", "body"),
    [
        ("text", b"text"),
        ("", b""),
        (None, b""),
        ("cafe", b"\xca\xfe"),
        ("6869", b"6869"),
        (["6869"], b'["6869"]'),
        ([1, 2], b"[1,2]"),
        (7, b"7"),
    ],
)
def test_a_body_is_text_json_or_bytes_in_hexadecimal(stored, body) -> None:
    assert body_of(stored) == body


def test_bytes_that_could_be_text_are_bytes_where_the_fixture_says_so() -> None:
    assert body_of("6869", responseIsBinary=True) == b"hi"


def test_a_compressed_body_is_a_list_of_hexadecimal() -> None:
    zipped = gzip.compress(b"rain", mtime=0).hex()
    exchange = read(
        response=[zipped[:10], zipped[10:]], rawHeaders={"content-encoding": "gzip", "x": ["1", "2"]}
    )

    assert exchange.response == Response(200, (("x", "1"), ("x", "2")), (Chunk(b"rain"),), encoding="gzip")


@pytest.mark.parametrize(
    ("scope", "url"),
    [
        ("http://h:80", "http://h/v1/chat?a=1"),
        ("http://h:8080", "http://h:8080/v1/chat?a=1"),
        ("https://h", "https://h/v1/chat?a=1"),
    ],
)
def test_a_port_that_goes_without_saying_is_not_said(scope, url) -> None:
    assert read(scope=scope).request.url == url


def test_what_is_missing_is_as_nock_has_it() -> None:
    data = b'[{"scope": "http://h", "path": "/", "response": "yes"}]'

    assert _nock.looks_like(data)
    [exchange] = _nock.read(data, PATH)
    assert exchange.request == Request("GET", "http://h/")
    assert exchange.response == Response(200, (), (Chunk(b"yes"),))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scope": None}, "a request has no scope"),
        ({"rawHeaders": ["Content-Type"]}, "headers are neither a mapping nor a list of names and values"),
        ({"status": "ok"}, "a response has the status 'ok'"),
    ],
)
def test_damage_costs_the_exchange_it_is_in_and_no_other(changes, problem) -> None:
    data = json.dumps([WEATHER, {**WEATHER, **changes}, WEATHER], indent=1).encode()
    line = [number for number, text in enumerate(data.splitlines(), 1) if text == b" {"][1]
    with pytest.raises(BrokenCassette) as caught:
        _nock.read(data, PATH)

    assert len(caught.value.good) == 2
    assert caught.value.problems == ((line, problem),)


def test_a_fixture_that_is_cut_short_keeps_what_is_whole() -> None:
    data = json.dumps([WEATHER, WEATHER], indent=1).encode()
    with pytest.raises(BrokenCassette, match="not JSON") as caught:
        _nock.read(data[:-40], PATH)
    assert len(caught.value.good) == 1
    with pytest.raises(BrokenCassette, match="not JSON: the file ends within the list"):
        _nock.read(b'[{"scope": "http://h", "path": "/", "response": ""}', PATH)
    with pytest.raises(BrokenCassette, match="the file is no list"):
        _nock.read(b"{}", PATH)


def test_no_other_file_is_taken_for_a_fixture() -> None:
    assert _nock.looks_like(b"[]")
    for other in (b'[{"a": 1}]', b'{"scope": 1}', b'[{"scope": "http://h"}]', b"interactions: []", b"[1]"):
        assert not _nock.looks_like(other)

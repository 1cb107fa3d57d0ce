"""Traces of httprr are read, as text and compressed."""

from __future__ import annotations

import gzip
from pathlib import Path
from textwrap import dedent

import pytest

from llmreplay import load
from llmreplay.cassette import _httprr
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("testdata/TestWeather.httprr")
URL = b"https://api.example.com/v1/chat"
ASK = b"POST %b HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 5\r\n\r\nrain?" % URL
SAY = b"HTTP/2.0 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nyes"


def trace(*pairs: tuple[bytes, bytes]) -> bytes:
    parts = [b"%d %d\n%b%b" % (len(asked), len(said), asked, said) for asked, said in pairs]
    return b"httprr trace v1\n" + b"".join(parts)


def broken(data: bytes) -> BrokenCassette:
    with pytest.raises(BrokenCassette) as caught:
        _httprr.read(data, PATH)
    assert caught.value.path == PATH
    return caught.value


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_trace_is_read_with_everything_in_it(tmp_path, compress) -> None:
    path = tmp_path / "weather.httprr"
    path.write_bytes(compress(trace((ASK, SAY), (ASK, SAY))))

    cassette = load(path)

    assert cassette.format == "httprr"
    assert (
        list(cassette.exchanges)
        == [
            Exchange(
                Request(
                    "POST",
                    "https://api.example.com/v1/chat",
                    (("Host", "api.example.com"), ("Content-Length", "5")),
                    b"rain?",
                ),
                Response(
                    200,
                    (("Content-Length", "3"), ("Content-Type", "text/plain")),
                    (Chunk(b"yes"),),
                    http_version="HTTP/2",
                ),
                provenance=Provenance("imported", boundaries=False),
            )
        ]
        * 2
    )


def test_a_path_alone_is_asked_of_the_host() -> None:
    [exchange] = _httprr.read(trace((b"GET /x?a=1 HTTP/1.1\r\nHost: h:8080\r\n\r\n", SAY)), PATH)

    assert exchange.request == Request("GET", "https://h:8080/x?a=1", (("Host", "h:8080"),))


def test_a_body_in_chunks_is_put_together() -> None:
    said = b"HTTP/1.1 299 Odd\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n2;x=1\r\n, \r\n0\r\n\r\n"
    [exchange] = _httprr.read(trace((ASK, said)), PATH)

    headers = (("Transfer-Encoding", "chunked"),)
    assert exchange.response == Response(299, headers, (Chunk(b"yes, "),), reason="Odd")


def test_a_compressed_body_is_decoded() -> None:
    body = gzip.compress(b"rain", mtime=0)
    said = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + body
    [exchange] = _httprr.read(trace((ASK, said)), PATH)

    assert exchange.response == Response(200, (), (Chunk(b"rain"),), encoding="gzip")


@pytest.mark.parametrize(
    ("asked", "said", "problem"),
    [
        (b"POST\r\n\r\n", SAY, "a request begins with 'POST'"),
        (ASK, b"200\r\n\r\n", "a response begins with '200'"),
        (ASK, b"HTTP/1.1 200 OK\r\n", "a response has no end of headers"),
        (
            ASK,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes",
            "the chunks of a response do not add up",
        ),
    ],
)
def test_damage_costs_the_exchange_it_is_in_and_no_other(asked, said, problem) -> None:
    error = broken(trace((ASK, SAY), (asked, said), (ASK, SAY)))

    assert len(error.good) == 2
    assert [told for _, told in error.problems] == [problem]
    assert error.line == 11


def test_a_trace_that_is_cut_short_keeps_what_is_whole() -> None:
    error = broken(trace((ASK, SAY), (ASK, SAY))[:-10])

    assert str(error) == dedent("""\
        testdata/TestWeather.httprr is a damaged trace of httprr.
          line 11: the file ends 10 bytes before the exchange does
          1 exchange could be read

        To fix this:
          * Damaged by an edit or a merge? Restore it: git checkout -- testdata/TestWeather.httprr
          * Otherwise delete the exchange at line 11, and record it again""")


def test_a_line_that_gives_no_sizes_ends_what_can_be_read() -> None:
    error = broken(trace((ASK, SAY)) + b"\n")

    assert len(error.good) == 1
    assert "expected the sizes of a request and a response, such as `120 2048`" in str(error)


def test_a_damaged_compression_is_told() -> None:
    whole = gzip.compress(trace((ASK, SAY)))

    assert _httprr.looks_like(whole[:-4])
    assert "not gzip" in str(broken(whole[:-4]))


def test_no_other_file_is_taken_for_a_trace() -> None:
    assert not _httprr.looks_like(b"http_interactions: []\n")
    assert not _httprr.looks_like(gzip.compress(b"something else altogether", mtime=0))
    assert not _httprr.looks_like(b"\x1f\x8bno gzip")
    assert _httprr.read(b"httprr trace v1\n", PATH) == []

"""The reader that needs no YAML gives what the YAML reader gives, or leaves it to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreplay import Chunk, Exchange, Failure, Request, Response
from llmreplay.cassette import _common_form, _document
from llmreplay.exchange import Provenance

REQUEST = Request("POST", "https://host/v1/chat/completions", (), b"response:\n\nrecorded:\n")
SOURCE = Provenance(at="2026-01-02T03:04:05.678Z", by="llmreplay 0.1.0", client="a client", edge="httpx2")

TEXT = st.text(
    st.one_of(st.sampled_from("\n\r\t |-:#'\"\\[]{}é😀"), st.characters(exclude_categories=["Cs"])),
    max_size=40,
)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9 :|-]{0,12}", fullmatch=True)
VALUES = st.text(st.one_of(st.sampled_from(' |-:#"\\\n'), st.characters(max_codepoint=255)), max_size=20)
BODIES = st.one_of(
    TEXT.map(str.encode),
    st.lists(
        st.sampled_from(
            ["data: {}\n\n", "    indented\n", "  tail: w6k=\n", "recorded:\n", "\r\n", "---\n", " \n"]
        )
    ).map(lambda lines: "".join(lines).encode()),
    st.binary(max_size=30),
)


@st.composite
def responses(draw):
    body = draw(BODIES)
    cut = draw(st.integers(0, len(body)))
    delays = st.sampled_from([0.0, 0.0001, 0.0412, 12.5])
    chunks = tuple(Chunk(piece, draw(delays)) for piece in (body[:cut], body[cut:]) if piece)
    headers = tuple(draw(st.lists(st.tuples(NAMES, VALUES), max_size=4)))
    return Response(200, headers, chunks, delay=draw(delays), encoding=draw(st.sampled_from([None, "gzip"])))


def read_without_yaml(exchange: Exchange) -> Response | None:
    text = _document.write(exchange)
    # Within a file, with documents before and after it.
    data = b"--- #\nresponse:\n" + text + b"--- #\nrecorded:\n"
    return _common_form.read(data, 16, 16 + len(text))


@settings(max_examples=600, deadline=None)
@given(responses(), st.sampled_from([Provenance(), SOURCE]))
def test_both_readers_give_the_same_for_whatever_is_written(response, provenance):
    exchange = Exchange(REQUEST, response, provenance=provenance)

    assert read_without_yaml(exchange) in (None, response)
    assert _document.read(_document.write(exchange)) == exchange


@pytest.mark.parametrize(
    "response",
    [
        Response.of(200, b'{"choices":[]}', (("content-type", "application/json"), ("age", "0"))),
        Response.of(200, b'{\n  "choices": [\n    1\n  ]\n}\n'),
        Response.of(200, b""),
        Response(
            200, (), (Chunk(b"data: 1\n", 0.05), Chunk(b"\ndata: caf\xc3"), Chunk(b"\xa9\n\n")), delay=0.1
        ),
        Response.of(200, b"data: 1\r\n\r\ndata: 2\r\n\r\n"),
        Response.of(200, b"a\n\n    b\n", (("vary", "Origin"), ("vary", "Accept"), ("x", 'a\\"b'))),
        Response.of(
            404, b"no", (("etag", 'W/"1"'), ("date", "Fri, 20 Nov 2026 10:00:00 GMT"), ("empty", ""))
        ),
        Response(200, (("a", "\t"),), (Chunk(b"x"),), encoding="gzip"),
    ],
)
def test_what_providers_send_is_read_without_yaml(response):
    assert read_without_yaml(Exchange(REQUEST, response, provenance=SOURCE)) == response


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(REQUEST, failure=Failure("ConnectError")),
        Exchange(REQUEST, Response(200, (), (Chunk(b"a"),), "cut", Failure("ReadError", phase="body"))),
        Exchange(REQUEST, Response(200, reason="Fine", http_version="HTTP/2")),
        Exchange(REQUEST, Response.of(200, bytes(range(256)))),
        Exchange(REQUEST, Response.of(200, b"cut in a character: caf\xc3")),
        Exchange(REQUEST, Response.of(200, b"x", (("many", "lines\nof text"),))),
        Exchange(REQUEST, Response.of(200, b"x", (("0", "a name that is no plain word"),))),
    ],
    ids=["failure", "cut", "reason", "bytes", "half a character", "lines in a header", "odd header"],
)
def test_what_is_not_common_is_left_to_yaml(exchange):
    assert read_without_yaml(exchange) is None
    assert _document.read(_document.write(exchange)) == exchange

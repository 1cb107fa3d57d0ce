"""The native format: what goes in comes out, and it reads like a conversation."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from llmreplay import Cassette, Chunk, Exchange, Failure, Request, Response, load
from llmreplay.cassette import _document, _yaml
from llmreplay.errors import BrokenCassette, SecretInCassette
from llmreplay.exchange import Provenance

if TYPE_CHECKING:
    from pathlib import Path

AWKWARD = "\n\r\t \x00\x85\u2028\ufeff\xa0:#-'\"\\|>&*!%@`{}[],?~=😀é"
TEXT = st.text(st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"])), max_size=60)
HEADER_TEXT = st.text(st.characters(max_codepoint=255, exclude_categories=["Cs"]), max_size=30)
HEADERS = st.lists(st.tuples(HEADER_TEXT, HEADER_TEXT), max_size=5).map(tuple)
BODIES = st.one_of(
    st.binary(max_size=80),
    TEXT.map(str.encode),
    st.lists(
        st.sampled_from(["data: {}\n\n", "data: é\r\n\r\n", ": ping\n", "event: x  \n", "---\n", "...\n"])
    ).map(
        lambda lines: "".join(lines).encode(),
    ),
)
DELAYS = st.one_of(
    st.just(0.0),
    st.floats(0, 1e6, allow_nan=False),
    st.integers(0, 10_000).map(lambda tenths: round(tenths / 10_000, 4)),
)


@st.composite
def chunked(draw):
    body = draw(BODIES)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    places = [0, *cuts, len(body)] if draw(st.booleans()) or body else [0]
    pieces = [body[start:end] for start, end in pairwise(places)]
    return tuple(Chunk(piece, draw(DELAYS)) for piece in pieces)


FAILURES = st.builds(
    Failure,
    st.sampled_from(["ConnectError", "ReadTimeout", "RemoteProtocolError", "CancelledError"]),
    TEXT,
    st.sampled_from(["connect", "tls", "send", "headers", "body"]),
    DELAYS,
)
PROVENANCES = st.builds(
    Provenance,
    st.sampled_from(["recorded", "scripted", "imported"]),
    st.none() | st.just("2026-01-02T03:04:05.678Z"),
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | st.sampled_from(["httpx", "httpx2"]),
    st.booleans(),
)


@st.composite
def responses(draw):
    ended = draw(st.sampled_from(["complete", "cut", "closed"]))
    failure = draw(FAILURES) if ended == "cut" else draw(st.none() | FAILURES) if ended == "closed" else None
    return Response(
        draw(st.integers(100, 599)),
        draw(HEADERS),
        draw(chunked()),
        ended,
        failure,
        draw(DELAYS),
        draw(st.sampled_from(["HTTP/1.1", "HTTP/2"])),
        draw(st.none() | TEXT),
        draw(st.none() | st.sampled_from(["gzip", "br"])),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4),
    max_leaves=12,
)


@st.composite
def requests(draw):
    headers = draw(HEADERS)
    body = draw(BODIES)
    if draw(st.booleans()):
        headers = (("content-type", "application/json"), *headers)
        options = draw(st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}]))
        body = json.dumps(draw(JSON), ensure_ascii=draw(st.booleans()), **options).encode()
    return Request(draw(st.sampled_from(["GET", "POST"])), "https://host/" + draw(TEXT), headers, body)


@st.composite
def exchanges(draw):
    response, failure = draw(st.one_of(st.tuples(responses(), st.none()), st.tuples(st.none(), FAILURES)))
    return Exchange(draw(requests()), response, failure, draw(PROVENANCES))


@settings(max_examples=400, deadline=None)
@given(exchanges())
def test_whatever_is_written_is_read_back_equal(exchange):
    assert _document.read(_document.write(exchange)) == exchange


@settings(max_examples=150, deadline=None)
@given(st.lists(exchanges(), max_size=4))
def test_whatever_is_saved_is_loaded_equal(tmp_path_factory, recorded):
    path = tmp_path_factory.mktemp("x") / "x.yaml"

    try:
        Cassette(recorded).save(path)
    except SecretInCassette:
        reject()  # such as a header that is named like a key: it is refused, and rightly so
    loaded = load(path)

    assert list(loaded.exchanges) == recorded
    assert loaded.edited == []


@settings(max_examples=400, deadline=None)
@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_json_written_as_yaml_is_the_same_json(value):
    assert _yaml.parse(_yaml.emit(value).encode()) == (value or None)


def chat(**extra) -> Request:
    body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": 'Say "hi":\nnow  '}], **extra}
    return Request(
        "POST",
        "https://api.openai.com/v1/chat/completions",
        (("content-type", "application/json"),),
        json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
    )


def stream(*pieces: bytes) -> Response:
    chunks = tuple(Chunk(piece, 0.05) for piece in pieces)
    return Response(200, (("content-type", "text/event-stream"),), chunks, delay=0.1023)


def test_a_document_reads_like_a_conversation():
    exchange = Exchange(chat(temperature=0.7), stream(b'data: {"a":1}\n', b"\ndata: caf\xc3", b"\xa9\n\n"))

    assert _document.write(exchange).decode() == (
        'request:\n  method: POST\n  url: "https://api.openai.com/v1/chat/completions"\n'.replace('"', "")
        + "  headers:\n"
        "    content-type: application/json\n"
        "  json:\n"
        "    model: gpt-5.5\n"
        "    messages:\n"
        "    - role: user\n"
        "      content: |-\n"
        '        Say "hi":\n'
        "        now  \n"
        "    temperature: 0.7\n"
        "response:\n"
        "  status: 200\n"
        "  headers:\n"
        "    content-type: text/event-stream\n"
        '  delay: "102.3 ms"\n'
        '  chunks: "14+50 11+50 3+50"\n'
        "  text: |+\n"
        '    data: {"a":1}\n'
        "\n"
        "    data: café\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"data: 1\r\n\r\ndata: 2\r\n\r\n", "newlines: crlf"),
        (b'{"spaced": "as requests does"}', "json_style: spaced"),
        ('{"é":1}'.encode(), "json:"),
        (b'{"\\u00e9":1}', "json_style: compact ascii"),
        (b'{"a":1,"a":2}', "text: |-"),
        (b'{"a":1.50}', "text: |-"),
        (b'{"lone":"\\ud800"}', "text: |-"),
        (b"caf\xc3", "tail: "),
        (bytes(range(256)), "base64: "),
        (b"one bell \x07 in a text that is otherwise plain", "\\u0007"),
    ],
)
def test_each_body_has_the_most_readable_form_that_keeps_its_bytes(body, shown):
    exchange = Exchange(
        Request("POST", "https://host/", (("content-type", "application/json"),), body), Response(200)
    )

    text = _document.write(exchange)

    assert shown in text.decode()
    assert _document.read(text).request.body == body


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "x.yaml"
    Cassette([Exchange(chat(seed=n), stream(b"data: %d\n\n" % n)) for n in range(3)]).save(path)
    return path


def test_a_loaded_cassette_parses_only_what_is_asked_for(saved, monkeypatch):
    parsed = []
    real = _document.read
    monkeypatch.setattr(_document, "read", lambda text: parsed.append(text) or real(text))

    cassette = load(saved)
    assert parsed == []

    assert cassette.exchanges[1].response.body == b"data: 1\n\n"
    assert len(parsed) == 1


def test_an_edited_document_is_read_anew_and_told(saved):
    saved.write_text(saved.read_text().replace("seed: 1", "seed: 11"))

    cassette = load(saved)

    assert cassette.edited == [2]
    assert cassette.exchanges[1].request.json["seed"] == 11


def test_a_file_with_windows_newlines_is_the_same_file(saved):
    before = load(saved).exchanges
    saved.write_bytes(saved.read_bytes().replace(b"\n", b"\r\n"))

    cassette = load(saved)

    assert cassette.exchanges == before
    assert cassette.edited == []


def test_documents_can_be_cut_apart_and_put_together_by_hand(saved):
    head, first, _, third = saved.read_text().removesuffix("...\n").split("---")
    saved.write_text(f"{head}---{third}---{first}...\n")

    cassette = load(saved)

    assert [exchange.request.json["seed"] for exchange in cassette.exchanges] == [2, 0]
    assert cassette.edited == []


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 0.95, 0.999])
def test_half_a_file_is_an_error_that_keeps_the_good_half(saved, share):
    data = saved.read_bytes()
    whole = data[: int(len(data) * share)].count(b"\n--- ") - 1
    saved.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(BrokenCassette) as caught:
        load(saved)

    assert len(caught.value.good) >= whole
    assert [exchange.request.json["seed"] for exchange in caught.value.good] == list(
        range(len(caught.value.good))
    )
    assert caught.value.path == saved
    assert "llmreplay check --fix" in str(caught.value)


def broken(path: Path, old: str, new: str) -> BrokenCassette:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BrokenCassette) as caught:
        load(path)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  status: 200", "  status: fine", "response.status is 'fine'; expected a number such as 200"),
        ("  method: POST\n", "", "request.method is missing; expected text"),
        ('chunks: "9+50"', 'chunks: "8+50"', "response.chunks add up to 8 bytes, and the body has 9"),
        ('chunks: "9+50"', 'chunks: "nine"', "response.chunks holds 'nine'; expected <bytes>+<milliseconds>"),
        ('delay: "102.3 ms"', "delay: soon", "response.delay is 'soon'; expected milliseconds"),
        (
            "  status: 200",
            "  status: 200\n  ended: badly",
            "response.ended is 'badly'; expected one of complete, cut, closed",
        ),
        ("  status: 200", "  status: 200\n  ended: cut", "a response that is cut needs a failure"),
        ("  text: |+", "  base64: |+", "response.base64 is no base64"),
        ("  text: |+", "  text: 7\n  other: |+", "response.text is 7; put it in quotes"),
        ("  json:\n", "  json_style: fancy\n  json:\n", "request.json_style is 'fancy'"),
        (
            "  headers:\n    content-type: text",
            "  headers: [1]\n  x:\n    content-type: text",
            "response.headers is [1]",
        ),
        ("request:\n", "request: 5\nrest:\n", "request is 5; expected names with their values"),
        ("    model: gpt-5.5", "    model: 'gpt-5.5", "line 10:"),
        ("response:\n", "<<<<<<< ours\nresponse:\n", "could not find expected ':'"),
    ],
)
def test_a_damaged_document_is_named_by_line_and_field(saved, old, new, problem):
    error = broken(saved, old, new)

    assert problem in str(error)
    assert [exchange.request.json["seed"] for exchange in error.good] == [1, 2]
    assert error.line is not None
    assert f"line {error.line}:" in str(error)


def test_the_line_of_a_syntax_error_is_that_of_the_file(saved):
    lines = saved.read_text().splitlines()
    at = lines.index("    seed: 1") + 1

    error = broken(saved, "    seed: 1", "    seed: [1")

    assert at <= error.line <= at + 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"llmreplay: 2\n...\n", "of format 2, and this llmreplay reads 1"),
        (b"llmreplay: 1\nstray: text\n...\n", "between the head and the first document"),
    ],
)
def test_a_head_that_is_not_known_is_told(tmp_path, data, problem):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)

    with pytest.raises(BrokenCassette, match=problem):
        load(path)


def test_an_empty_cassette_is_a_cassette(tmp_path):
    Cassette().save(tmp_path / "x.yaml")

    assert list(load(tmp_path / "x.yaml").exchanges) == []

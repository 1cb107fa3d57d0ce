"""Cassettes of cassetter are read, in YAML and in TOML; the texts here are what cassetter 0.16.1 writes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from llmreplay import load
from llmreplay.cassette import _cassetter, _vcr
from llmreplay.errors import BrokenCassette, CassetteError
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("cassettes/weather.yaml")
URL = "https://api.openai.com/v1/chat/completions?x=1"
JSON = (("content-type", "application/json"),)

REQUEST = """\
version: 1
interactions:
- request:
    method: POST
    uri: https://api.openai.com/v1/chat/completions?x=1
    headers:
      content-type:
      - application/json
    body:
      type: json
      content:
        model: m
        "n": 1.0
        z: null
        s: "12"
        t: "true"
        d: 2024-01-01
        u: |
          hé
        e: 0.00001
        big: 12345678901234567890
        "yes": "yes"
        l: []
        o: {}
  response:
    status: 200
    headers:
      content-type:
      - application/json
      x:
      - a
      - b
    body:
"""
TAIL = "  recorded_at: 2026-02-20T10:30:01Z\n"
OTHERS = """\
grpc_interactions:
- request:
    method: /a.b/C
    metadata: {}
    body:
      type: binary
      content: 0a0568656c6c6f
  response:
    status_code: 0
    metadata: {}
    body:
      type: binary
      content: 0a
  recorded_at: 2026-02-20T10:30:01Z
ws_interactions:
- uri: wss://x/y
  headers: {}
  frames:
  - direction: send
    frame_type: text
    body:
      type: text
      content: hi
    offset_ms: 0
  recorded_at: 2026-02-20T10:30:01Z
- uri: wss://x/z
  headers: {}
  frames: []
  recorded_at: 2026-02-20T10:30:01Z
"""


def cassette(body: str, rest: str = "") -> bytes:
    """A cassette with one interaction, whose response has this body."""
    lines = "".join(f"      {line}\n" for line in dedent(body).splitlines())
    return (REQUEST + lines + TAIL + rest).encode()


def body_of(body: str) -> bytes:
    [exchange] = _cassetter.read(cassette(body), PATH)
    assert exchange.response is not None
    return exchange.response.body


def test_an_interaction_is_read_with_everything_in_it(tmp_path) -> None:
    path = tmp_path / "weather.yaml"
    path.write_bytes(cassette("type: json\ncontent:\n  a:\n  - 1\n  - b: |-\n      x\n      y"))

    loaded = load(path)

    asked = (
        b'{"model":"m","n":1.0,"z":null,"s":"12","t":"true","d":"2024-01-01","u":"h\xc3\xa9\\n","e":1e-05,'
        b'"big":12345678901234567890,"yes":"yes","l":[],"o":{}}'
    )
    body = b'{"a":[1,{"b":"x\\ny"}]}'
    assert loaded.format == "cassetter"
    assert list(loaded.exchanges) == [
        Exchange(
            Request("POST", URL, JSON, asked),
            Response(200, (*JSON, ("x", "a"), ("x", "b")), (Chunk(body),)),
            provenance=Provenance("imported", "2026-02-20T10:30:01Z", boundaries=False),
        )
    ]


@pytest.mark.parametrize(
    ("stored", "body"),
    [
        ("type: none", b""),
        ('type: text\ncontent: "data: {\\"a\\":1}\\r\\n\\r\\n"', b'data: {"a":1}\r\n\r\n'),
        ("type: text\ncontent: a=b&c=d", b"a=b&c=d"),
        ("type: text\ncontent: 12", b"12"),
        ("type: binary\ncontent: >-\n  0001ff", b"\x00\x01\xff"),
        ("type: json\ncontent:\n- 1\n- 2", b"[1,2]"),
        ("type: json\ncontent: str", b'"str"'),
        ("type: json\ncontent: 12", b"12"),
        ("type: json\ncontent: true", b"true"),
        ("type: json\ncontent: null", b"null"),
        ("type: json\ncontent: {}", b"{}"),
    ],
)
def test_a_body_of_each_type_is_read(stored, body) -> None:
    assert body_of(stored) == body


def test_json_is_spelled_as_long_as_its_content_length_says() -> None:
    data = cassette("type: json\ncontent:\n  a: 1\n  b: 2").replace(
        b"      x:\n      - a\n      - b\n", b"      content-length:\n      - '16'\n"
    )

    [exchange] = _cassetter.read(data, PATH)

    assert exchange.response is not None
    assert exchange.response.body == b'{"a": 1, "b": 2}'


def test_a_coding_that_was_undone_is_not_told_to_the_client() -> None:
    data = cassette("type: json\ncontent:\n  g: 1").replace(
        b"      x:\n      - a\n      - b\n", b"      content-encoding:\n      - gzip\n"
    )

    [exchange] = _cassetter.read(data, PATH)

    assert exchange.response == Response(200, JSON, (Chunk(b'{"g":1}'),))


TOML = '''\
version = 1

[[interactions]]
recorded_at = "2026-02-20T10:30:01Z"

[interactions.request]
method = "POST"
uri = "https://api.openai.com/v1/chat/completions?x=1"
body_type = "json"
body_content = '{"model":"m","e":0.00001}'

[interactions.request.headers]
content-type = ["application/json"]

[interactions.response]
status = 200
body_type = "text"
body_content = """
data: {"a":1}\\r
\\r
data: [DONE]

"""

[interactions.response.headers]
content-type = ["application/json"]
x = [
    "a",
    "b",
]
'''


def test_toml_is_read_with_its_json_as_it_was_spelled(tmp_path) -> None:
    path = tmp_path / "weather.toml"
    path.write_text(TOML, encoding="utf-8")

    loaded = load(path)

    body = b'data: {"a":1}\r\n\r\ndata: [DONE]\n\n'
    assert loaded.format == "cassetter"
    assert list(loaded.exchanges) == [
        Exchange(
            Request("POST", URL, JSON, b'{"model":"m","e":0.00001}'),
            Response(200, (*JSON, ("x", "a"), ("x", "b")), (Chunk(body),)),
            provenance=Provenance("imported", "2026-02-20T10:30:01Z", boundaries=False),
        )
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (cassette("type: odd\ncontent: x"), "line 26: a body has the type 'odd' and no content of it"),
        (cassette("type: text"), "line 26: a body has the type 'text' and no content of it"),
        (cassette("type: binary\ncontent: xy"), "line 26: a body is not the hexadecimal it says it is"),
        (TOML.replace('body_type = "text"', 'body_type = "odd"').encode(), "a body has the type 'odd'"),
        (TOML.replace("status = 200", "status =").encode(), "not TOML: Invalid value (at line 16, column 9)"),
    ],
)
def test_what_cannot_be_read_is_damage(data, problem) -> None:
    assert _cassetter.looks_like(data)
    with pytest.raises(BrokenCassette) as caught:
        _cassetter.read(data, PATH)

    assert f"{PATH} is a damaged cassette of cassetter.\n  {problem}" in str(caught.value)


def test_other_protocols_in_the_file_are_left_out_and_counted() -> None:
    data = cassette("type: none", OTHERS)

    assert len(_cassetter.read(data, PATH)) == 1
    assert _cassetter.left_out(data) == ["1 gRPC interaction", "2 WebSocket interactions"]
    assert _cassetter.left_out(cassette("type: none")) == []


def test_a_cassette_of_other_protocols_alone_is_refused_for_what_it_is(tmp_path) -> None:
    path = tmp_path / "weather.yaml"
    path.write_text(f"version: 1\ninteractions: []\n{OTHERS}", encoding="utf-8")

    with pytest.raises(CassetteError) as caught:
        load(path)

    assert str(caught.value) == (
        f"{path} is a cassette of cassetter without an exchange over HTTP.\n"
        "  it holds 1 gRPC interaction\n  it holds 2 WebSocket interactions\n\n"
        "To fix this:\n  * Only HTTP is replayed: there is nothing to read."
    )


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_it_is_told_from_vcrpy_s_whatever_the_line_ends(eol) -> None:
    data = cassette("type: none").replace(b"\n", eol.encode())

    assert _cassetter.looks_like(data)
    assert not _vcr.looks_like(data)


def test_a_cassette_of_vcrpy_is_none_of_cassetter() -> None:
    data = (
        b"interactions:\n- request:\n    body: '{}'\n    headers: {}\n    method: POST\n    uri: http://h/\n"
    )

    assert not _cassetter.looks_like(data)
    assert _vcr.looks_like(data)

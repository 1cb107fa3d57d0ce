"""Cassettes of R's vcr are read, of its first version and of its second."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from textwrap import dedent

import pytest

from llmreplay import load
from llmreplay.cassette import _r_vcr, _ruby_vcr
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("tests/testthat/_vcr/weather.yml")
SECOND = """\
    http_interactions:
    - request:
        method: POST
        uri: https://api.example.com/v1/chat
        body:
          string: '{"ask":"rain?"}'
      response:
        status: 200
        headers:
          content-encoding: gzip
          content-length: '1097'
          content-type: application/json
          vary:
          - Origin
          - Referer
        body:
          string: |
            {"say": "yes"}
      recorded_at: 2026-05-24 20:06:22
    recorded_with: VCR-vcr/2.1.0
    """


def response_of(status: str, body: str) -> Response:
    text = "http_interactions:\n- request: {method: get, uri: 'https://h/x'}\n"
    text += f"  response:\n    status: {status}\n    headers: {{}}\n    body: {body}\n"
    response = _r_vcr.read(text.encode(), PATH)[0].response
    assert response is not None
    return response


def test_a_cassette_is_read_with_everything_in_it(tmp_path) -> None:
    path = tmp_path / "weather.yml"
    path.write_text(dedent(SECOND), encoding="utf-8")

    cassette = load(path)

    assert cassette.format == "r-vcr"
    assert list(cassette.exchanges) == [
        Exchange(
            Request("POST", "https://api.example.com/v1/chat", (), b'{"ask":"rain?"}'),
            Response(
                200,
                (
                    ("content-length", "15"),
                    ("content-type", "application/json"),
                    ("vary", "Origin"),
                    ("vary", "Referer"),
                ),
                (Chunk(b'{"say": "yes"}\n'),),
            ),
            provenance=Provenance("imported", "2026-05-24T20:06:22Z", boundaries=False),
        )
    ]


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("503", 503, None),
        ("{status_code: 200, category: Success, reason: OK, message: 'Success: (200) OK'}", 200, None),
        ("{status_code: 200, reason: Fine}", 200, "Fine"),
        ("{code: 404, message: Gone Fishing}", 404, "Gone Fishing"),
    ],
)
def test_a_status_is_a_number_or_a_mapping(status, code, reason) -> None:
    response = response_of(status, "{string: x}")

    assert (response.status, response.reason) == (code, reason)


def test_bytes_are_base64_as_they_are_or_compressed() -> None:
    plain, zipped = (base64.b64encode(data).decode() for data in (b"\xff\x00", zlib.compress(b"\xff\x00")))

    assert response_of("200", f"{{base64_string: '{plain}'}}").body == b"\xff\x00"
    assert response_of("200", f"{{raw_gzip: '{zipped}'}}").body == b"\xff\x00"
    assert response_of("200", "text").body == b"text"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{raw_gzip: 'AAAA'}", "a body is not the compressed one it says it is"),
        ("{base64_string: '!'}", "a body is not the base64 it says it is"),
        ("{file: yes, string: a.json}", "a body is neither"),
        ("{file: true, string: a.json}", "a body is in another file, which is not looked for"),
    ],
)
def test_a_body_that_is_not_there_is_damage(body, problem) -> None:
    if "yes" in body:  # YAML 1.1 has more words for true than JSON: this one is text, and the body is read
        assert response_of("200", body).body == b"a.json"
        return
    with pytest.raises(BrokenCassette, match=problem) as caught:
        response_of("200", body)
    assert caught.value.path == PATH


def test_the_recorder_or_the_status_tells_it_from_ruby_s() -> None:
    data = dedent(SECOND).encode()
    unsigned = data.replace(b"recorded_with: VCR-vcr/2.1.0\n", b"")
    ruby = data.replace(b"VCR-vcr/2.1.0", b"VCR 6.1.0")

    assert [_r_vcr.looks_like(file) for file in (data, unsigned, ruby)] == [True, True, False]
    assert not _ruby_vcr.looks_like(data)
    assert not _r_vcr.looks_like(b"interactions: []\n")

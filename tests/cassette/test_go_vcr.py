"""Cassettes of go-vcr are read, whichever version wrote them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from llmreplay import load
from llmreplay.cassette import _go_vcr, _vcr
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("testdata/weather.yaml")
SECOND = """\
    ---
    version: 2
    interactions:
        - id: 0
          request:
            proto: HTTP/1.1
            proto_major: 1
            proto_minor: 1
            content_length: 15
            host: api.example.com
            body: '{"ask":"rain?"}'
            form:
                alt:
                    - sse
            headers:
                Content-Type:
                    - application/json
            url: https://api.example.com/v1/chat?alt=sse
            method: POST
          response:
            proto: HTTP/2.0
            proto_major: 2
            proto_minor: 0
            content_length: -1
            uncompressed: true
            body: |+
                data: yes

            headers:
                Content-Type:
                    - text/event-stream
            status: 200 OK
            code: 200
            duration: 523.576583ms
    """
FIRST = """\
    ---
    version: 1
    interactions:
    - request:
        body: ""
        form: {city: [Oslo, Bergen], unit: [C]}
        headers: {Content-Type: [application/x-www-form-urlencoded]}
        url: https://api.example.com/weather
        method: POST
      response:
        body: !!binary /wA=
        headers: {Content-Length: ["7"]}
        status: 299 Odd
        code: 299
        duration: ""
    """


def test_a_cassette_of_the_second_version_is_read_with_everything_in_it(tmp_path) -> None:
    path = tmp_path / "weather.yaml"
    path.write_text(dedent(SECOND), encoding="utf-8")

    cassette = load(path)

    assert cassette.format == "go-vcr"
    assert list(cassette.exchanges) == [
        Exchange(
            Request(
                "POST",
                "https://api.example.com/v1/chat?alt=sse",
                (("Content-Type", "application/json"),),
                b'{"ask":"rain?"}',
            ),
            Response(
                200,
                (("Content-Type", "text/event-stream"),),
                (Chunk(b"data: yes\n\n"),),
                http_version="HTTP/2",
            ),
            provenance=Provenance("imported", boundaries=False),
        )
    ]


def test_a_cassette_of_the_first_version_is_read_and_a_form_is_its_body() -> None:
    [exchange] = _go_vcr.read(dedent(FIRST).encode(), PATH)

    assert exchange.request.body == b"city=Oslo&city=Bergen&unit=C"
    assert exchange.response == Response(299, (("Content-Length", "2"),), (Chunk(b"\xff\x00"),), reason="Odd")


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [("code: 404", 404, None), ("status: 404 Lost", 404, "Lost"), ("code: 404\n    status: ''", 404, None)],
)
def test_a_status_is_in_the_code_or_in_the_line(lines, status, reason) -> None:
    text = f"interactions:\n- request:\n    url: http://h/\n  response:\n    body: ''\n    {lines}\n"
    [exchange] = _go_vcr.read(text.encode(), PATH)

    assert exchange.request.method == "GET"
    assert exchange.response is not None
    assert (exchange.response.status, exchange.response.reason) == (status, reason)


def test_damage_costs_the_exchange_it_is_in_and_no_other() -> None:
    item = dedent(SECOND).partition("interactions:\n")[2]
    no_code = item.replace("        status: 200 OK\n        code: 200\n", "")
    with pytest.raises(BrokenCassette) as caught:
        _go_vcr.read((dedent(SECOND) + no_code).encode(), PATH)

    assert len(caught.value.good) == 1
    assert caught.value.line == 52
    assert caught.value.problems == ((52, "a response has no status code"),)


def test_what_is_no_yaml_leaves_the_exchanges_around_it() -> None:
    item = dedent(SECOND).partition("interactions:\n")[2]
    torn = dedent(SECOND) + item.replace("method: POST", "method: 'POST") + item
    with pytest.raises(BrokenCassette) as caught:
        _go_vcr.read(torn.encode(), PATH)

    assert len(caught.value.good) == 2


def test_it_is_told_from_vcrpy_s_by_its_url() -> None:
    for text in (FIRST, SECOND):
        data = dedent(text).encode()
        assert _go_vcr.looks_like(data)
        assert not _vcr.looks_like(data)
    for other in (
        b"interactions: []\n",
        b"interactions:\n- kind: message\n",
        b"interactions:\n- request:\n    method: GET\n    uri: http://h/\n",
        b"interactions:\n- request:\n    headers:\n      url: a\n  response:\n    url: b\n",
        b"version: 1\n",
    ):
        assert not _go_vcr.looks_like(other)

"""Cassettes of Ruby's VCR are read as its serializers write them."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from textwrap import dedent, indent

import pytest

from llmreplay import load
from llmreplay.cassette import _r_vcr, _ruby_vcr, _vcr
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("cassettes/weather.yml")
WEATHER = """\
    ---
    http_interactions:
    - request:
        method: post
        uri: https://api.example.com/v1/chat
        body:
          encoding: UTF-8
          string: '{"ask":"Ålesund?"}'
        headers:
          Content-Type:
          - application/json
          Authorization:
          - Bearer <KEY>
      response:
        status:
          code: 200
          message: OK
        headers:
          Content-Type:
          - application/json
          Set-Cookie:
          - a=1
          - b=2
        body:
          encoding: ASCII-8BIT
          string: !binary |-
            eyJzYXkiOiJyYWluIn0=
        http_version: '1.1'
      recorded_at: Mon, 14 Aug 2023 15:02:13 GMT
    recorded_with: VCR 6.1.0
    """


def read(text: str) -> list[Exchange]:
    return _ruby_vcr.read(dedent(text).encode(), PATH)


def response_of(rest: str) -> Response:
    """Read a response whose parts below the status are given as YAML."""
    text = (
        "http_interactions:\n- request: {method: post, uri: 'https://h/x', body: {string: ''}, headers: {}}\n"
    )
    text += "  response:\n    status: {code: 200, message: OK}\n" + indent(dedent(rest).strip("\n"), "    ")
    response = read(f"{text}\nrecorded_with: VCR 6.4.0\n")[0].response
    assert response is not None
    return response


def test_a_cassette_is_read_with_everything_in_it() -> None:
    assert read(WEATHER) == [
        Exchange(
            Request(
                "POST",
                "https://api.example.com/v1/chat",
                (("Content-Type", "application/json"), ("Authorization", "Bearer <KEY>")),
                '{"ask":"Ålesund?"}'.encode(),
            ),
            Response(
                200,
                (("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")),
                (Chunk(b'{"say":"rain"}'),),
            ),
            provenance=Provenance("imported", "2023-08-14T15:02:13Z", boundaries=False),
        )
    ]


def test_a_loaded_cassette_keeps_its_format_as_its_name(tmp_path) -> None:
    path = tmp_path / "weather.yml"
    path.write_text(dedent(WEATHER), encoding="utf-8")

    cassette = load(path)

    assert (cassette.format, len(cassette)) == ("ruby-vcr", 1)


def test_json_is_read_as_yaml_is() -> None:
    request = {"method": "get", "uri": "https://h/x", "body": {"string": ""}, "headers": {"A": ["1", "2"]}}
    response = {"status": {"code": 418, "message": "Short"}, "headers": None, "body": {"string": "tea"}}
    file = {
        "http_interactions": [{"request": request, "response": response}],
        "recorded_with": "VCR 6.4.0",
    }
    data = json.dumps(file).encode()

    assert _ruby_vcr.looks_like(data)
    [exchange] = _ruby_vcr.read(data, PATH)
    assert exchange.request == Request("GET", "https://h/x", (("A", "1"), ("A", "2")))
    assert exchange.response == Response(418, (), (Chunk(b"tea"),), reason="Short")


def test_a_body_that_was_kept_to_the_byte_is_decoded() -> None:
    zipped = base64.b64encode(gzip.compress(b"rain", mtime=0)).decode()

    response = response_of(
        f"headers: {{Content-Encoding: [gzip], Content-Length: ['24']}}\nbody: {{base64_string: '{zipped}'}}"
    )

    assert response == Response(200, (("Content-Length", "4"),), (Chunk(b"rain"),), encoding="gzip")


def test_a_stale_coding_and_a_wrong_length_are_put_right() -> None:
    response = response_of("headers: {content-encoding: br, content-length: '99'}\nbody: {string: rain}")

    assert response.headers == (("content-length", "4"),)
    assert response.encoding is None


@pytest.mark.parametrize("body", ["", "body: ~", "body: {string: ~}", "body: {encoding: UTF-8, string: ''}"])
def test_a_body_that_was_not_kept_is_empty(body) -> None:
    assert response_of(f"headers: {{}}\n{body}").chunks == ()


def test_tags_of_ruby_are_read_past_and_nothing_is_executed() -> None:
    response = response_of("""\
        headers: !ruby/hash:Net::Headers
          Server: [!ruby/object:Puma one]
        body: {string: !ruby/string:ActiveSupport::SafeBuffer rain}
        """)

    assert response == Response(200, (("Server", "one"),), (Chunk(b"rain"),))


def test_a_body_of_another_shape_is_damage_with_its_line() -> None:
    with pytest.raises(BrokenCassette) as caught:
        response_of("headers: {}\nbody: [1, 2]")

    assert caught.value.problems == ((4, "a body is neither text nor bytes"),)


def test_damage_costs_the_exchange_it_is_in_and_no_other() -> None:
    damaged = dedent(WEATHER).replace("uri: https://api.example.com/v1/chat", "uri: ''")
    second = dedent(WEATHER).partition("http_interactions:\n")[2]
    with pytest.raises(BrokenCassette) as caught:
        _ruby_vcr.read((damaged.replace("recorded_with: VCR 6.1.0\n", "") + second).encode(), PATH)

    assert len(caught.value.good) == 1
    assert str(caught.value) == dedent("""\
        cassettes/weather.yml is a damaged cassette of Ruby's VCR.
          line 4: a request has no uri
          1 exchange could be read

        To fix this:
          * Damaged by an edit or a merge? Restore it: git checkout -- cassettes/weather.yml
          * Otherwise delete the exchange at line 4, and record it again""")


def test_what_is_no_yaml_leaves_the_exchanges_around_it() -> None:
    text = dedent(WEATHER).removesuffix("recorded_with: VCR 6.1.0\n")
    item = text.partition("http_interactions:\n")[2]
    torn = text + item.replace("method: post", "method: 'post") + item

    with pytest.raises(BrokenCassette) as caught:
        _ruby_vcr.read(torn.encode(), PATH)

    assert len(caught.value.good) == 2
    assert "not YAML" in str(caught.value)


def test_a_file_without_a_mapping_or_a_list_is_told() -> None:
    for text, problem in (
        ("- http_interactions:\n", "the file is no mapping with `http_interactions`"),
        ("interactions: []\n", "the file has no `http_interactions`"),
        ("http_interactions: 5\n", "`http_interactions` is no list"),
        ('{"http_interactions": 5}', "the file has no `http_interactions` list"),
    ):
        with pytest.raises(BrokenCassette, match=problem):
            read(text)
    with pytest.raises(BrokenCassette, match="an interaction is no mapping"):
        read("http_interactions: [5]\n")


def test_no_other_format_is_taken_for_it() -> None:
    data = dedent(WEATHER).encode()

    assert _ruby_vcr.looks_like(data)
    assert not _r_vcr.looks_like(data)
    assert not _vcr.looks_like(data)
    assert not _ruby_vcr.looks_like(data.replace(b"VCR 6.1.0", b"VCR-vcr/2.1.0"))
    assert not _ruby_vcr.looks_like(b"interactions: []\n")
    assert not _ruby_vcr.looks_like(b"{}")

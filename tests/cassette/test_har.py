"""HTTP archives are read, of browsers and of Polly.JS, in JSON and in YAML."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
import yaml

from llmreplay import load
from llmreplay.cassette import _har
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Failure, Provenance, Request, Response

PATH = Path("recordings/weather.har")


def entry(request: dict | None = None, response: dict | None = None, **more: object) -> dict:
    asked = {
        "method": "POST",
        "url": "https://api.example.com/v1/chat",
        "httpVersion": "h2",
        "headers": [{"name": ":method", "value": "POST"}, {"name": "accept", "value": "*/*"}],
        "postData": {"mimeType": "text/plain", "text": "rain?"},
        "bodySize": 5,
    }
    answered = {
        "status": 200,
        "statusText": "OK",
        "httpVersion": "h2",
        "headers": [{"name": "set-cookie", "value": "a=1"}, {"name": "set-cookie", "value": "b=2"}],
        "content": {"size": 3, "mimeType": "text/plain", "text": "yes"},
    }
    return {
        "startedDateTime": "2024-12-27T21:51:21.755+01:00",
        "request": {**asked, **(request or {})},
        "response": {**answered, **(response or {})},
        **more,
    }


def archive(*entries: object) -> bytes:
    return json.dumps({"log": {"version": "1.2", "creator": {}, "entries": entries}}, indent=1).encode()


LINE_OF_SECOND = [
    number for number, line in enumerate(archive(entry(), entry()).splitlines(), 1) if line == b"   {"
][1]


def read(*entries: object) -> list[Exchange]:
    return _har.read(archive(*entries), PATH)


def answer(**response: object) -> Response:
    [exchange] = read(entry(response=response))
    assert exchange.response is not None
    return exchange.response


WHOLE = Exchange(
    Request("POST", "https://api.example.com/v1/chat", (("accept", "*/*"),), b"rain?"),
    Response(200, (("set-cookie", "a=1"), ("set-cookie", "b=2")), (Chunk(b"yes"),), http_version="HTTP/2"),
    provenance=Provenance("imported", "2024-12-27T20:51:21.755000Z", boundaries=False),
)


def test_json_is_read_with_everything_in_it(tmp_path) -> None:
    path = tmp_path / "weather.har"
    path.write_bytes(archive(entry()))

    cassette = load(path)

    assert cassette.format == "har"
    assert list(cassette.exchanges) == [WHOLE]


def test_yaml_is_read_as_json_is() -> None:
    data = yaml.safe_dump({"log": {"pages": [], "entries": [entry()], "version": "1.2"}}).encode()

    assert _har.looks_like(data)
    assert _har.read(data, PATH) == [WHOLE]


def test_an_entry_from_the_cache_is_left_out() -> None:
    assert read(entry(_fromCache="memory"), entry(_fromCache=None)) == [WHOLE]


def test_a_request_without_an_answer_is_a_failure() -> None:
    [told] = read(entry(response={"status": 0, "statusText": "", "_error": "net::ERR_ABORTED"}))
    [untold] = read(entry(response={"status": 0, "statusText": ""}))

    assert told.failure == Failure("ConnectError", "net::ERR_ABORTED", "connect")
    assert untold.failure == Failure("ConnectError", "no response", "connect")


def test_content_in_base64_is_read() -> None:
    text = base64.b64encode(b"\xff\x00").decode()

    assert answer(content={"size": 2, "encoding": "base64", "text": text}).body == b"\xff\x00"


def test_the_pieces_of_a_compressed_body_are_put_together() -> None:
    body = gzip.compress(b"rain", mtime=0)
    text = json.dumps([base64.b64encode(piece).decode() for piece in (body[:10], body[10:])])
    response = answer(
        headers=[{"name": "content-encoding", "value": "gzip"}, {"name": "content-length", "value": "24"}],
        content={"size": 24, "encoding": "base64", "text": text},
    )

    assert response.headers == (("content-length", "4"),)
    assert (response.body, response.encoding) == (b"rain", "gzip")


def test_a_parsed_body_is_spelled_as_long_as_it_was() -> None:
    value = {"ask": "rain?"}
    [spaced] = read(entry(request={"postData": {"textJSON": value}, "bodySize": 16}))

    assert spaced.request.body == b'{"ask": "rain?"}'
    assert answer(content={"size": 15, "textJSON": value}).body == b'{"ask":"rain?"}'


def test_a_form_is_written_as_the_wire_has_it() -> None:
    params = [{"name": "city", "value": "Å by"}, {"name": "unit"}, 5]
    [exchange] = read(entry(request={"postData": {"params": params}}))
    [nothing] = read(entry(request={"postData": None}))

    assert exchange.request.body == b"city=%C3%85+by&unit="
    assert nothing.request.body == b""


@pytest.mark.parametrize("content", [None, {}, {"size": 0}, {"size": -1}, {"size": 5, "text": None}])
def test_content_that_is_none_is_empty(content) -> None:
    assert answer(content=content, headers=None).chunks == ()


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        ({"content": {"size": 9}}, "a response had 9 bytes of content, and they were not kept"),
        ({"content": {"text": 5}}, "the text of a body is no text"),
        ({"content": {"encoding": "base64", "text": "!"}}, "a body is not the base64 it says it is"),
        (
            {"content": {"encoding": "base64", "text": "[1]"}},
            "a body is not the list of base64 it says it is",
        ),
        ({"headers": {"a": "b"}}, "headers are no list of names and values"),
        ({"status": None}, "a response has no status code"),
    ],
)
def test_damage_costs_the_exchange_it_is_in_and_no_other(response, problem) -> None:
    with pytest.raises(BrokenCassette) as caught:
        read(entry(), entry(response=response), entry())

    assert list(caught.value.good) == [WHOLE, WHOLE]
    assert [told for _, told in caught.value.problems] == [problem]
    assert caught.value.line == LINE_OF_SECOND


def test_yaml_that_is_torn_keeps_the_entries_around_it() -> None:
    text = yaml.safe_dump({"log": {"entries": [entry() for _ in range(3)], "version": "1.2"}})
    before, found, after = text.partition("method: POST")
    torn = f"{before}{found}{after.replace('method: POST', 'method: {', 1)}"
    with pytest.raises(BrokenCassette, match="not YAML") as caught:
        _har.read(torn.encode(), PATH)

    assert list(caught.value.good) == [WHOLE, WHOLE]


def test_an_archive_without_entries_is_told() -> None:
    with pytest.raises(BrokenCassette, match="the file has no `entries`"):
        _har.read(b"log:\n  version: 1\n", PATH)
    with pytest.raises(BrokenCassette, match="the file is no mapping with `entries`"):
        _har.read(b"log: 5\n", PATH)


def test_no_other_file_is_taken_for_an_archive() -> None:
    assert _har.looks_like(archive())
    for other in (
        b'{"log": {}}',
        b'{"entries": []}',
        b"log:\n  a: 1\n",
        b"entries: []\nlog:\n",
        b"log:\n  a:\n    entries: []\n",
        b"[]",
    ):
        assert not _har.looks_like(other)

"""LangChain's compressed cassettes are read, whose requests and responses are two lists."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmreplay import load
from llmreplay.cassette import _langchain
from llmreplay.errors import BrokenCassette, OptionError
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("cassettes/TestWeather.yaml.gz")
CHAT = "https://api.openai.com/v1/chat/completions"
HIDDEN = "**REDACTED**"


def request(uri: str = CHAT, value: str = "application/json", body: Any = b'{"model":"m"}') -> dict[str, Any]:
    return {"method": "POST", "uri": uri, "body": body, "headers": {"content-type": [value]}}


def response(body: Any = '{"answer":1}', **headers: Any) -> dict[str, Any]:
    return {
        "status": {"code": 200, "message": "OK"},
        "headers": headers or {"Content-Type": ["application/json"]},
        "body": {"string": body},
    }


def written(*pairs: tuple[dict[str, Any], dict[str, Any]]) -> bytes:
    """What `CustomSerializer` of langchain-tests 1.1.9 writes."""
    tree = {"requests": [asked for asked, _ in pairs], "responses": [answered for _, answered in pairs]}
    return gzip.compress(yaml.safe_dump(tree).encode("utf-8"), mtime=0)


def test_the_lists_are_paired(tmp_path) -> None:
    path = tmp_path / "TestWeather.yaml.gz"
    path.write_bytes(written((request(), response()), (request(body=None), response(b"\xff\x00"))))

    loaded = load(path)

    provenance = Provenance("imported", boundaries=False)
    kind = (("Content-Type", "application/json"),)
    assert loaded.format == "langchain"
    assert list(loaded.exchanges) == [
        Exchange(
            Request("POST", CHAT, (("content-type", "application/json"),), b'{"model":"m"}'),
            Response(200, kind, (Chunk(b'{"answer":1}'),)),
            provenance=provenance,
        ),
        Exchange(
            Request("POST", CHAT, (("content-type", "application/json"),)),
            Response(200, kind, (Chunk(b"\xff\x00"),)),
            provenance=provenance,
        ),
    ]


def test_what_was_redacted_is_read_as_it_stands_and_means_something_with_a_url(tmp_path) -> None:
    path = tmp_path / "TestWeather.yaml.gz"
    stream = (
        'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":'
        '{"role":"assistant","content":"Rain."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    hidden = {"content-type": HIDDEN, "content-encoding": HIDDEN, "content-length": HIDDEN}
    path.write_bytes(written((request(HIDDEN, HIDDEN), response(stream, **hidden))))

    [plain] = load(path).exchanges
    [told] = load(path, url=CHAT).exchanges

    assert (plain.request.url, told.request.url) == (HIDDEN, CHAT)
    assert plain.response == told.response
    assert told.response is not None
    assert dict(told.response.headers) == {"content-type": HIDDEN, "content-length": str(len(stream))}
    assert told.decode().text == "Rain."


def test_a_url_is_not_asked_of_a_file_that_tells_it(tmp_path) -> None:
    path = tmp_path / "TestWeather.yaml.gz"
    path.write_bytes(written((request(), response())))

    with pytest.raises(OptionError) as caught:
        load(path, url=CHAT)

    told = f"none: {path} has the format langchain, and tells where its requests went"
    assert str(caught.value) == f"url is '{CHAT}'; expected {told}"


def test_the_request_objects_of_vcrpy_are_read_and_nothing_is_executed() -> None:
    text = f"""\
requests:
- !!python/object:vcr.request.Request
  body: !!binary |
    e30=
  headers: !!python/object/apply:vcr.request.HeadersDict
    dictitems:
      accept: ['*/*']
  method: POST
  uri: {CHAT}
responses:
- body: {{string: 'yes'}}
  headers: {{}}
  status: {{code: 200, message: OK}}
"""
    [exchange] = _langchain.read(gzip.compress(text.encode(), mtime=0), PATH)

    assert exchange.request == Request("POST", CHAT, (("accept", "*/*"),), b"{}")
    assert exchange.response == Response(200, (), (Chunk(b"yes"),))


def test_uncompressed_it_is_read_too(tmp_path) -> None:
    path = tmp_path / "TestWeather.yaml"
    path.write_bytes(gzip.decompress(written((request(), response()))))

    assert len(load(path)) == 1


def test_an_ordinary_cassette_of_vcrpy_is_read_compressed(tmp_path) -> None:
    path = tmp_path / "weather.yaml.gz"
    tree = {"interactions": [{"request": request(), "response": response()}], "version": 1}
    path.write_bytes(gzip.compress(yaml.safe_dump(tree).encode(), mtime=0))

    assert load(path).exchanges[0].request.url == CHAT


@pytest.mark.parametrize(
    ("text", "problem", "good"),
    [
        ("requests: 1\nresponses: []\n", "line 1: `requests` is no list", 0),
        ("requests: [\nresponses: []\n", "line 3: not YAML:", 0),
        (
            yaml.safe_dump({"requests": [request(), request()], "responses": [response()]}),
            "line 1: there are 2 requests and 1 responses",
            1,
        ),
        (
            yaml.safe_dump({"requests": [{"method": "GET"}], "responses": [response()]}),
            "a request has no uri",
            0,
        ),
    ],
)
def test_what_cannot_be_read_is_damage(text, problem, good) -> None:
    data = gzip.compress(text.encode(), mtime=0)

    assert _langchain.looks_like(data)
    with pytest.raises(BrokenCassette) as caught:
        _langchain.read(data, PATH)
    assert problem in str(caught.value)
    assert len(caught.value.good) == good


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"hello", mtime=0),
        gzip.compress(b"requests: []", mtime=0)[:-5],
        b"\x1f\x8b\x08 no gzip",
        b"requests: []\n",
    ],
)
def test_other_files_are_none(data) -> None:
    assert not _langchain.looks_like(data)

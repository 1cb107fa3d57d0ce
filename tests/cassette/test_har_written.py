"""Archives (HAR 1.2) are written, to be opened by others and to be read back as they were."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay import Cassette, load, use_cassette
from llmreplay.cassette import _har, _har_write
from llmreplay.errors import BrokenCassette, CassetteError, OptionError, SecretInCassette
from llmreplay.exchange import Chunk, Exchange, Failure, Provenance, Request, Response
from llmreplay.redaction import Redaction

PATH = Path("recordings/weather.har")
URL = "https://api.example.com/v1/chat?stream=yes&tag=&tag=b%20c"
JSON = (("content-type", "application/json"),)

# What the specification of HAR 1.2 calls mandatory, and the types that it gives.
TEXT: dict[str, Any] = {"type": "string"}
SIZE: dict[str, Any] = {"type": "integer", "minimum": -1}
DURATION: dict[str, Any] = {"type": "number", "minimum": -1}


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    # Fields of one's own begin with an underscore.
    properties = required | optional
    own = {"^_": {}}
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "patternProperties": own,
        "additionalProperties": False,
    }


PAIRS = {"type": "array", "items": record({"name": TEXT, "value": TEXT})}
SCHEMA = record(
    {
        "log": record(
            {
                "version": {"const": "1.2"},
                "creator": record({"name": TEXT, "version": TEXT}),
                "entries": {
                    "type": "array",
                    "items": record(
                        {
                            "startedDateTime": {"type": "string", "format": "date-time"},
                            "time": {"type": "number", "minimum": 0},
                            "request": record(
                                {
                                    "method": TEXT,
                                    "url": TEXT,
                                    "httpVersion": TEXT,
                                    "cookies": {"type": "array", "maxItems": 0},
                                    "headers": PAIRS,
                                    "queryString": PAIRS,
                                    "headersSize": SIZE,
                                    "bodySize": SIZE,
                                },
                                postData=record({"mimeType": TEXT, "text": TEXT}),
                            ),
                            "response": record(
                                {
                                    "status": {"type": "integer"},
                                    "statusText": TEXT,
                                    "httpVersion": TEXT,
                                    "cookies": {"type": "array", "maxItems": 0},
                                    "headers": PAIRS,
                                    "content": record(
                                        {"size": SIZE, "mimeType": TEXT}, text=TEXT, encoding=TEXT
                                    ),
                                    "redirectURL": TEXT,
                                    "headersSize": SIZE,
                                    "bodySize": SIZE,
                                }
                            ),
                            "cache": {"type": "object", "maxProperties": 0},
                            "timings": record(
                                {"send": DURATION, "wait": DURATION, "receive": DURATION},
                                blocked=DURATION,
                                dns=DURATION,
                                connect=DURATION,
                                ssl=DURATION,
                            ),
                        }
                    ),
                },
            },
            pages={"type": "array", "maxItems": 0},
        )
    }
)  # fmt: skip

STREAM = Exchange(
    Request("POST", URL, JSON, b'{"prompt":"Z\xc3\xbcrich?"}'),
    Response(
        200,
        (("content-type", "text/event-stream"), ("x", "a"), ("y", "b"), ("x", "c")),
        (Chunk(b"data: \xc3", 0.0125), Chunk(b"\x85\n\n", 0.3)),
        ended="cut",
        failure=Failure("ReadError", "reset by peer", "body", 1.5),
        delay=0.25,
        http_version="HTTP/2",
        encoding="gzip",
    ),
    provenance=Provenance("recorded", "2026-03-01T10:00:00Z", "llmreplay 0.1.0", "OpenAI/Python", "httpx2"),
)
BYTES = Exchange(
    Request("POST", "https://h/upload", (), b"\xff\x00"),
    Response(302, (("location", "https://h/there"),), (Chunk(b"\x00\x01\xfe"),)),
)
NOTHING = Exchange(
    Request("GET", "https://h/"), failure=Failure("ConnectTimeout", "", "connect", 2.0)
)  # fmt: skip


def archive(*exchanges: Exchange) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(_har_write.write(exchanges))["log"]
    return log


def entry(exchange: Exchange) -> dict[str, Any]:
    [one] = archive(exchange)["entries"]
    assert isinstance(one, dict)
    return one


def test_an_archive_has_all_that_the_specification_wants_and_no_more() -> None:
    jsonschema.validate(json.loads(_har_write.write([STREAM, BYTES, NOTHING])), SCHEMA)
    jsonschema.validate(json.loads(_har_write.write([])), SCHEMA)


def test_a_stream_is_text_with_the_times_it_took() -> None:
    one = entry(STREAM)

    assert one["startedDateTime"] == "2026-03-01T10:00:00Z"
    assert one["timings"] == {
        "send": 0, "wait": 250, "receive": 1812.5, "blocked": -1, "dns": -1, "connect": -1, "ssl": -1
    }  # fmt: skip
    assert one["time"] == 2062.5
    assert one["request"]["queryString"] == [
        {"name": "stream", "value": "yes"},
        {"name": "tag", "value": ""},
        {"name": "tag", "value": "b c"},
    ]
    assert one["request"]["postData"] == {"mimeType": "application/json", "text": '{"prompt":"Zürich?"}'}
    assert one["response"]["content"] == {"size": 10, "mimeType": "text/event-stream", "text": "data: Å\n\n"}
    assert (one["response"]["bodySize"], one["response"]["_error"]) == (-1, "reset by peer")
    assert [pair["name"] for pair in one["response"]["headers"]] == ["content-type", "x", "y", "x"]
    assert one["_llmreplay"] == {
        "chunks": "7+12.5 3+300",
        "delay": "250",
        "ended": "cut",
        "failure": {"error": "ReadError", "message": "reset by peer", "phase": "body", "delay": "1500"},
        "http_version": "HTTP/2",
        "encoding": "gzip",
        "origin": "recorded",
        "at": "2026-03-01T10:00:00Z",
        "by": "llmreplay 0.1.0",
        "client": "OpenAI/Python",
        "edge": "httpx2",
    }


def test_what_is_no_url_has_no_query() -> None:
    assert entry(Exchange(Request("GET", "http://[::1?a=b"), BYTES.response))["request"]["queryString"] == []


def test_a_stream_replays_from_an_archive_with_its_chunks(tmp_path) -> None:
    path = tmp_path / "weather.har"
    whole = Response(
        200, (("content-type", "text/event-stream"),), (Chunk(b"data: \xc3"), Chunk(b"\x85\n\n"))
    )
    Cassette([Exchange(Request("GET", "https://api.example.com/stream"), whole)]).save(path, format="har")

    with (
        use_cassette(path),
        httpx2.Client(trust_env=False) as client,
        client.stream("GET", "https://api.example.com/stream") as response,
    ):
        assert list(response.iter_raw()) == [b"data: \xc3", b"\x85\n\n"]


def test_bytes_are_base64() -> None:
    one = entry(BYTES)

    assert one["request"]["postData"] == {
        "mimeType": "x-unknown",
        "text": base64.b64encode(b"\xff\x00").decode(),
        "_encoding": "base64",
    }
    assert one["response"]["content"] == {
        "size": 3,
        "mimeType": "x-unknown",
        "text": base64.b64encode(b"\x00\x01\xfe").decode(),
        "encoding": "base64",
    }
    assert one["response"]["redirectURL"] == "https://h/there"
    assert one["startedDateTime"] == "1970-01-01T00:00:00Z"


def test_a_request_that_got_no_response_has_the_status_0() -> None:
    one = entry(NOTHING)

    assert (one["response"]["status"], one["response"]["_error"]) == (0, "ConnectTimeout")
    assert (one["time"], one["timings"]["wait"]) == (2000, 2000)


def test_text_is_written_as_it_reads_and_half_a_character_as_an_escape() -> None:
    told = Exchange(Request("POST", "https://h/é"), Response.of(200, b"\xc3\xa9"))
    half = Exchange(Request("GET", "https://h/"), failure=Failure("ReadError", "\ud800"))

    assert "é" in _har_write.write([told]).decode()
    assert _har_write.write([told, half]).isascii()
    assert _har.read(_har_write.write([told, half]), PATH) == [told, half]


@pytest.mark.parametrize("exchange", [STREAM, BYTES, NOTHING])
def test_what_is_written_is_saved_and_loaded_as_it_was(tmp_path, exchange) -> None:
    path = tmp_path / "weather.har"
    Cassette([exchange]).save(path, format="har")

    assert load(path).format == "har"
    assert list(load(path).exchanges) == [exchange]


TEXTS = st.text(max_size=20)
LATIN = st.text(st.characters(max_codepoint=255), max_size=12)
BODY = st.one_of(st.binary(max_size=40), TEXTS.map(lambda text: text.encode("utf-8", "replace")))
DELAY = st.floats(0, 1e4, allow_nan=False)
HEADERS = st.lists(st.tuples(LATIN, LATIN), max_size=4).map(tuple)
REQUEST = st.builds(Request, st.sampled_from(["GET", "post"]), TEXTS.filter(bool), HEADERS, BODY)
FAILURE = st.builds(
    Failure,
    st.sampled_from(["ReadError", "ReadTimeout"]),
    TEXTS,
    st.sampled_from(["connect", "tls", "send", "headers", "body"]),
    DELAY,
)
ENDING = st.one_of(
    st.just(("complete", None)),
    st.tuples(st.just("cut"), FAILURE),
    st.tuples(st.just("closed"), st.none() | FAILURE),
)


@st.composite
def exchanges(draw) -> Exchange:
    provenance = Provenance(
        draw(st.sampled_from(["recorded", "scripted", "imported"])),
        draw(st.none() | TEXTS | st.just("2026-03-01T10:00:00Z")),
        draw(st.none() | TEXTS),
        draw(st.none() | TEXTS),
        draw(st.none() | TEXTS),
        draw(st.booleans()),
    )
    if draw(st.integers(0, 4)) == 0:
        return Exchange(draw(REQUEST), failure=draw(FAILURE), provenance=provenance)
    ended, failure = draw(ENDING)
    codings = [(), (("content-length", "7"),), (("content-encoding", "gzip"),), ((":status", "200"),)]
    response = Response(
        draw(st.sampled_from([100, 200, 204, 422, 529])),
        draw(HEADERS) + draw(st.sampled_from(codings)),
        tuple(draw(st.lists(st.builds(Chunk, BODY, DELAY), max_size=4))),
        ended,
        failure,
        draw(DELAY),
        draw(st.sampled_from(["HTTP/1.0", "HTTP/1.1", "HTTP/2", "h9"])),
        draw(st.none() | st.sampled_from(["OK", "", "Fine", "Ærlig"]) | TEXTS),
        draw(st.sampled_from([None, "gzip", "br"])),
    )
    return Exchange(draw(REQUEST), response, provenance=provenance)


@given(st.lists(exchanges(), max_size=3))
def test_whatever_is_written_is_read_back_as_it_was(written) -> None:
    data = _har_write.write(written)

    assert _har.looks_like(data)
    assert _har.read(data, PATH) == written


def test_a_body_edited_by_hand_is_one_chunk_and_its_length_is_put_right() -> None:
    response = Response.of(200, [b"It ", b"rains."], (("content-length", "9"),))
    data = _har_write.write([Exchange(BYTES.request, response)])

    [edited] = _har.read(data.replace(b"It rains.", b"It snows a lot."), PATH)

    assert edited.response == Response.of(200, b"It snows a lot.", (("content-length", "15"),))
    assert not edited.provenance.boundaries


@pytest.mark.parametrize(
    ("was", "edited", "problem"),
    [
        (b"7+12.5", b"7+soon", "_llmreplay has a delay 'soon'; expected milliseconds"),
        (b"7+12.5", b"a+1", "_llmreplay has a chunk 'a+1'; expected its size and delay, such as 13+0.5"),
        (b'"recorded"', b'"found"', "_llmreplay has origin: found; expected one of recorded, scripted,"),
        (b'"ReadError"', b'""', "_llmreplay has a failure without the name of its error"),
    ],
)  # fmt: skip
def test_what_was_edited_wrongly_is_named(was, edited, problem) -> None:
    with pytest.raises(BrokenCassette) as caught:
        _har.read(_har_write.write([STREAM]).replace(was, edited), PATH)

    assert problem in str(caught.value)


def test_a_secret_is_not_written(tmp_path) -> None:
    secret = "sk-proj-" + "Zq8Xv2Lk9" * 5
    cassette = Cassette([Exchange(Request("POST", "https://h/", (), secret.encode()), BYTES.response)])

    with pytest.raises(SecretInCassette):
        cassette.save(tmp_path / "x.har", format="har")
    assert not (tmp_path / "x.har").exists()


def test_an_archive_of_ours_is_written_over_and_one_of_a_browser_is_not(tmp_path) -> None:
    path, other = tmp_path / "weather.har", tmp_path / "browser.har"
    cassette = Cassette([STREAM])
    cassette.save(path, format="har")
    cassette.append(BYTES)
    cassette.save()
    again = load(path)
    again.append(NOTHING)
    again.save()
    other.write_text(path.read_text(encoding="utf-8").replace('"llmreplay"', '"Firefox"'), encoding="utf-8")

    assert (cassette.path, cassette.format) == (path, "har")
    assert list(load(path).exchanges) == [STREAM, BYTES, NOTHING]
    with pytest.raises(OptionError, match="has the format har, which is only read"):
        load(other).save()
    with pytest.raises(OptionError, match="has the format har, which is only read"):
        load(other).save(format="har")


def test_nothing_is_recorded_into_an_archive(tmp_path) -> None:
    path = tmp_path / "weather.har"
    Cassette([STREAM]).save(path, format="har")
    before = path.read_bytes()

    with pytest.raises(
        CassetteError, match="has the format har, which llmreplay reads and does not record to"
    ):
        load(path).commit([BYTES], "add", Redaction())
    assert path.read_bytes() == before


def test_entries_from_a_cache_are_counted() -> None:
    log = archive(STREAM, BYTES, NOTHING)
    for each in log["entries"][:2]:
        each["_fromCache"] = "disk"
    data = json.dumps({"log": log}).encode()

    assert _har.read(data, PATH) == [NOTHING]
    assert _har.left_out(data) == ["2 entries that a browser had in its cache"]
    assert _har.left_out(_har_write.write([STREAM])) == []

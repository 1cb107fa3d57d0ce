"""Files turn into files of other formats, and what became of them is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llmreplay import Cassette, load
from llmreplay.cassette import _har_write, conversion
from llmreplay.cassette.conversion import Redacted, TargetExists, convert
from llmreplay.errors import BrokenCassette, CassetteError
from llmreplay.exchange import Chunk, Exchange, Failure, Provenance, Request, Response
from llmreplay.redaction import Redaction

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-proj-" + "Zq8Xv2Lk9" * 5
URL = "https://api.openai.com/v1/chat/completions"
SSE = ("content-type", "text/event-stream")
STREAM = Exchange(
    Request("POST", URL, (("content-type", "application/json"),), b'{"model":"m"}'),
    Response(
        200,
        (SSE,),
        (Chunk(b"data: 1\n\n", 0.01), Chunk(b"data: 2\n\n", 0.3)),
        ended="closed",
        delay=0.25,
        http_version="HTTP/2",
        encoding="gzip",
    ),
    provenance=Provenance("recorded", "2026-03-01T10:00:00Z", "llmreplay 0.1.0", "OpenAI/Python", "httpx2"),
)
PLAIN = Exchange(Request("GET", "https://h/"), Response.of(200, b"yes"), provenance=Provenance("imported"))
FAILED = Exchange(Request("GET", "https://h/"), failure=Failure("ConnectError", "refused", "connect"))
ASK = b"GET http://h/ HTTP/1.1\r\nx-mine: 1\r\n\r\n"
SAY = b"HTTP/1.1 200 OK\r\n\r\nyes"
TRACE = b"httprr trace v1\n%d %d\n%b%b" % (len(ASK), len(SAY), ASK, SAY)


@pytest.fixture
def saved(tmp_path):
    """Save exchanges natively; returns the path."""

    def saved(*exchanges: Exchange) -> Path:
        path = tmp_path / "weather.yaml"
        Cassette(exchanges).save(path)
        return path

    return saved


@pytest.mark.parametrize("to", ["llmreplay", "vcr", "har"])
def test_a_file_turns_into_one_of_another_format_with_the_same_exchanges(saved, tmp_path, to) -> None:
    source, target = saved(STREAM, PLAIN, FAILED), tmp_path / "deep" / "weather.out"
    before = source.read_bytes()

    done = convert(source, target, to)

    assert list(load(target).exchanges) == [STREAM, PLAIN, FAILED]
    assert load(target).format == to
    assert source.read_bytes() == before
    assert (done.source, done.target, done.source_format, done.target_format) == (
        source, target, "llmreplay", to
    )  # fmt: skip
    assert (done.exchanges, done.lost, done.left_out, done.redacted) == (3, {}, (), Redacted())


@pytest.mark.parametrize(
    ("to", "beside_in", "beside"),
    [
        ("llmreplay", None, {}),
        (
            "vcr",
            "x-llmreplay",
            {
                "chunk boundaries": 1,
                "delays": 1,
                "how the stream ended": 1,
                "content coding": 1,
                "HTTP version": 1,
                "who recorded it": 2,
                "failure without a response": 1,
            },
        ),
        (
            "har",
            "_llmreplay",
            {
                "chunk boundaries": 1,
                "delays": 1,
                "how the stream ended": 1,
                "content coding": 1,
                "who recorded it": 2,
                "failure without a response": 1,
            },
        ),
    ],
)
def test_what_a_format_has_no_word_for_is_told(saved, tmp_path, to, beside_in, beside) -> None:
    done = convert(saved(STREAM, PLAIN, FAILED), tmp_path / "out", to)

    assert (done.beside_in, done.beside) == (beside_in, beside)


def test_what_is_read_back_otherwise_is_told_as_lost(saved, tmp_path) -> None:
    headers = (("x-request-id", "1"), ("date", "today"), ("x-request-id", "2"))
    mixed = Exchange(Request("GET", "https://h/"), Response(200, headers, (Chunk(b"yes"),)))

    assert convert(saved(mixed, PLAIN), tmp_path / "x.yaml", "vcr").lost == {"order of response headers": 1}
    assert convert(tmp_path / "weather.yaml", tmp_path / "x.har", "har").lost == {}


def test_every_part_that_differs_has_a_name() -> None:
    answered = STREAM.response
    assert answered is not None
    chunk = Chunk(answered.body)
    plain = Response(201, (), (chunk,))
    other = Exchange(Request("PUT", "https://other/", (), b"{}"), plain, provenance=Provenance("imported"))

    assert list(conversion._differing(STREAM, STREAM)) == []
    assert list(conversion._differing(STREAM, other)) == [
        "request method",
        "request URL",
        "request headers",
        "request body",
        "response status",
        "response headers",
        "chunks and delays",
        "how the stream ended",
        "content coding",
        "who recorded it",
    ]
    assert list(conversion._differing(PLAIN, FAILED)) == [
        "response status",
        "response body",
        "chunks and delays",
        "how the stream ended",
        "failure",
        "who recorded it",
    ]


def test_secrets_are_taken_out_and_counted(tmp_path) -> None:
    source, target = tmp_path / "old.yaml", tmp_path / "new.yaml"
    source.write_text(
        f"""\
interactions:
- request:
    method: POST
    uri: https://user:pass@api.openai.com/v1/chat/completions
    headers: {{Authorization: ['Bearer {SECRET}'], X-Mine: ['1'], user-agent: ['ua {SECRET}']}}
    body: '{{"prompt": "my key is {SECRET}"}}'
  response:
    status: {{code: 200, message: OK}}
    headers: {{set-cookie: [a=b], content-type: [application/json]}}
    body: {{string: '{{"prompt": "{SECRET}", "other": "{SECRET[:-1]}x"}}'}}
""",
        encoding="utf-8",
    )

    done = convert(source, target, "llmreplay")

    assert done.redacted == Redacted(
        2,
        {"request URL": 1, "request headers": 1, "request body": 1, "response body": 1},
        ("authorization", "set-cookie", "x-mine"),
    )
    assert SECRET.encode() not in target.read_bytes()
    assert b"pass@" not in target.read_bytes()
    assert Redaction().find(target.read_bytes()) == []


def test_a_message_of_a_failure_is_redacted_too(tmp_path) -> None:
    source = tmp_path / "old.har"
    source.write_bytes(_har_write.write([Exchange(PLAIN.request, failure=Failure("ReadError", SECRET))]))

    assert convert(source, tmp_path / "x.yaml", "vcr").redacted == Redacted(1, {"failure": 1})
    assert load(tmp_path / "x.yaml").exchanges[0].failure == Failure("ReadError", "[redacted-1]")


def test_placeholders_that_are_there_keep_their_numbers(saved, tmp_path) -> None:
    path = saved(Exchange(Request("POST", URL, (), b'{"a":"[redacted-3]"}'), Response.of(200, b"yes")))
    path.write_bytes(path.read_bytes().replace(b"yes", SECRET.encode()))

    done = convert(path, tmp_path / "x.yaml", "llmreplay")

    assert done.redacted.secrets == 1
    assert load(tmp_path / "x.yaml").exchanges[0].response == Response.of(200, b"[redacted-4]")


def test_a_file_that_is_there_is_written_over_only_if_told(saved, tmp_path) -> None:
    target = tmp_path / "x.yaml"
    target.write_bytes(b"mine")

    with pytest.raises(TargetExists) as caught:
        convert(saved(PLAIN), target, "vcr")
    assert str(caught.value).startswith(f"{target} exists, and was left as it is.")
    assert target.read_bytes() == b"mine"

    convert(tmp_path / "weather.yaml", target, "vcr", overwrite=True)
    assert list(load(target).exchanges) == [PLAIN]


def test_the_file_that_is_read_is_never_written_over(saved, tmp_path) -> None:
    source = saved(PLAIN)
    before = source.read_bytes()
    (tmp_path / "link.yaml").symlink_to(source)

    for target in (source, tmp_path / "." / "weather.yaml", tmp_path / "link.yaml"):
        with pytest.raises(TargetExists, match="is the file that is read, and is not written over"):
            convert(source, target, "vcr", overwrite=True)
    assert source.read_bytes() == before


def test_a_damaged_file_is_not_converted_in_part(tmp_path) -> None:
    source = tmp_path / "x.httprr"
    source.write_bytes(TRACE + TRACE.partition(b"\n")[2][:-1])

    with pytest.raises(BrokenCassette):
        convert(source, tmp_path / "x.yaml", "llmreplay")
    assert not (tmp_path / "x.yaml").exists()


def test_what_else_a_file_holds_is_told(tmp_path) -> None:
    log = json.loads(_har_write.write([PLAIN, STREAM]))
    log["log"]["entries"][1]["_fromCache"] = "memory"
    (tmp_path / "x.har").write_text(json.dumps(log), encoding="utf-8")

    done = convert(tmp_path / "x.har", tmp_path / "x.yaml", "llmreplay")

    assert (done.exchanges, done.left_out) == (1, ("1 entry that a browser had in its cache",))


def test_a_response_alone_is_converted_with_its_url(tmp_path) -> None:
    (tmp_path / "answer.json").write_bytes(b'{"a":1}')
    (tmp_path / "asked.json").write_bytes(b'{"model":"m"}')

    done = convert(
        tmp_path / "answer.json", tmp_path / "x.har", "har", url=URL, request=tmp_path / "asked.json"
    )

    assert (done.source_format, done.beside) == ("dump", {})
    assert load(tmp_path / "x.har").exchanges[0].request.body == b'{"model":"m"}'
    with pytest.raises(CassetteError, match="is no cassette"):
        convert(tmp_path / "answer.json", tmp_path / "y.har", "har")


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="needs signals")
def test_an_interruption_leaves_no_half_a_file(saved, tmp_path) -> None:
    source, target = saved(PLAIN), tmp_path / "out" / "x.yaml"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from llmreplay.cassette.conversion import convert\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGINT)\n"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), 'vcr')\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", code, source, target], capture_output=True, text=True, timeout=60, check=False
    )

    assert "KeyboardInterrupt" in result.stderr
    assert list(target.parent.iterdir()) == []

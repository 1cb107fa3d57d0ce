"""A cassette of a format that is only read: loaded, converted, and never written over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmreplay import Cassette, Exchange, Request, Response, load
from llmreplay.cassette import repair
from llmreplay.errors import BrokenCassette, CassetteError, OptionError
from llmreplay.redaction import Redaction

if TYPE_CHECKING:
    from pathlib import Path

ASK = b"GET http://h/ HTTP/1.1\r\n\r\n"
SAY = b"HTTP/1.1 200 OK\r\n\r\nyes"
TRACE = b"httprr trace v1\n%d %d\n%b%b" % (len(ASK), len(SAY), ASK, SAY)


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / "weather.httprr"
    file.write_bytes(TRACE)
    return file


def test_saved_elsewhere_it_becomes_native_with_the_same_exchanges(path, tmp_path) -> None:
    cassette = load(path)
    cassette.save(tmp_path / "weather.yaml")

    again = load(tmp_path / "weather.yaml")

    assert (cassette.format, again.format) == ("httprr", "llmreplay")
    assert list(again.exchanges) == list(cassette.exchanges)
    assert path.read_bytes() == TRACE


def test_saved_elsewhere_in_a_format_it_has_that_format(path, tmp_path) -> None:
    load(path).save(tmp_path / "weather.yaml", format="vcr")

    assert load(tmp_path / "weather.yaml").format == "vcr"


def test_it_is_not_saved_over_itself(path) -> None:
    cassette = load(path)
    expected = f"another path, since {path} has the format httprr, which is only read"

    with pytest.raises(OptionError) as caught:
        cassette.save()
    assert str(caught.value) == f"path is None; expected {expected}"
    with pytest.raises(OptionError):
        cassette.save(format="vcr")
    with pytest.raises(OptionError, match="expected another path"):
        cassette.save(path.parent / "." / path.name, format="llmreplay")
    assert path.read_bytes() == TRACE


@pytest.mark.parametrize("changes", ["add", "replace", "rewrite"])
@pytest.mark.parametrize("is_loaded", [True, False])
def test_nothing_is_recorded_into_it(path, changes, is_loaded) -> None:
    cassette = load(path) if is_loaded else Cassette(path=path)
    taken = [Exchange(Request("GET", "http://h/new"), Response.of(200, b"new"))]

    with pytest.raises(CassetteError) as caught:
        cassette.commit(taken, changes, Redaction())

    assert str(caught.value) == (
        f"{path} has the format httprr, which llmreplay reads and does not record to.\n\nTo fix this:\n"
        f"  * Convert it, and record to what you get: llmreplay convert {path} --out FOLDER"
    )
    assert path.read_bytes() == TRACE


def test_nothing_is_recorded_in_its_place_after_it_went_away(path) -> None:
    cassette = load(path)
    path.unlink()

    with pytest.raises(CassetteError, match="has the format httprr"):
        cassette.commit([], "add", Redaction())
    assert not path.exists()


def test_it_is_not_repaired_and_the_damage_is_told_if_there_is_any(path) -> None:
    with pytest.raises(CassetteError, match="which llmreplay reads and does not record to"):
        repair(path)
    path.write_bytes(TRACE[:-1])
    with pytest.raises(BrokenCassette, match="is a damaged trace of httprr"):
        repair(path)

    assert path.read_bytes() == TRACE[:-1]
    assert list(path.parent.glob("*.broken")) == []


@pytest.mark.parametrize(
    "data",
    [
        b'{"status": 200, "headers": {}, "body": "{}"}',
        b'{"id": "msg_1", "type": "message", "content": []}',
        b'data: {"choices": []}\n\ndata: [DONE]\n\n',
        b'{"type":"response.created"}\n{"type":"response.completed"}\n',
        b"version: 1\ninteractions:\n- kind: message\n  direction: received\n  data: {}\n",
        b"version: 1\ninteractions:\n- request_sample:\n    json: {}\n  response_sample: {}\n",
        b'{"request": {"method": "POST", "body": "x"}, "response": {"status": {"code": 200}}}',
        b"\x1f\x8b no gzip",
        b"",
    ],
)
def test_a_file_that_holds_no_exchanges_over_http_is_no_cassette(tmp_path, data) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)

    with pytest.raises(CassetteError) as caught:
        load(path)

    assert str(caught.value) == (
        f"{path} is no cassette that llmreplay reads.\n"
        "  known: the native format (a line `llmreplay: 1` at the top), vcrpy's (`interactions:`),\n"
        "  Ruby's VCR and R's vcr (`http_interactions:`), go-vcr (`interactions:` with a `url` each),\n"
        "  cassetter (`interactions:`, a `type` in each body), LangChain's (gzip of `requests:` and\n"
        "  `responses:`), httprr (`httprr trace v1`), nock (a JSON list with `scope`), HAR (`log` with\n"
        "  `entries`), Datadog's test agent (JSON with `request` and `response`)\n\nTo fix this:\n"
        f'  * Is it a response alone? Say where it came from: load("{path}", url="https://…")'
    )

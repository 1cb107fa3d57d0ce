"""Real traffic of Anthropic's messages and of Bedrock: what we make of it, and what we write back.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip. What the
messages mean is in `test_corpus.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.completion import CompletionError, Final
from llmreplay.errors import UnknownWire
from llmreplay.exchange import Exchange
from llmreplay.matching._keys import content
from tests.corpus import oracle

if TYPE_CHECKING:
    from llmreplay.exchange import Request

APIS = {"messages", "converse", "converse-stream", "invoke", "invoke-stream"}
WIRES = {"anthropic_messages", "bedrock_converse", "bedrock_invoke"}
OTHER_MODELS = ("amazon.nova", "anthropic_invoke_stream", "meta_invoke_error")
"""Files in which `invoke` asks a model other than Claude, or Claude in its form of 2023."""

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


CHOSEN = sorted(
    {
        (row["corpus"], row["file"])
        for row in oracle.rows("EXCHANGES.jsonl")
        if row["format"].startswith("vcrpy") and row["api"] in APIS and "/threads/" not in row["path"]
    }
)


@cache
def exchanges(place: tuple[str, str]) -> list[tuple[int, Exchange]]:
    from llmreplay.cassette._vcr import read

    path = Path(oracle.FOLDER or "").joinpath(*place)
    found = enumerate(read(path.read_bytes(), path))
    return [(index, exchange) for index, exchange in found if codecs.recognise(exchange.request) in WIRES]


def is_covered(place: tuple[str, str]) -> bool:
    return not any(part in place[1] for part in OTHER_MODELS)


COVERED = [place for place in CHOSEN if is_covered(place)]


@pytest.mark.parametrize("place", COVERED, ids="/".join)
def test_answers_of_bedrock_mean_what_an_independent_reader_found(place: tuple[str, str]) -> None:
    for index, exchange in exchanges(place):
        assert exchange.response is not None
        if codecs.recognise(exchange.request) == "anthropic_messages":
            continue
        try:
            response = codecs.decode(exchange)
        except CompletionError as error:
            kind = error.kind
            assert exchange.response.status >= 400
            assert kind in {"invalid_request", "authentication"}
            continue
        *_, last = codecs.events(exchange)
        assert isinstance(last, Final)
        assert last.response == response
        assert response.usage == codecs.usage(exchange)
        assert response.usage.audit() == []
        if exchange.response.body[:1] == b"\x00":
            assert codecs.finished(exchange)
        row = oracle.oracle().get((*place, index))
        if row is not None:
            assert oracle.found(response) == oracle.expected(row)


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_other_models_behind_invoke_are_unknown_and_their_errors_are_not(place: tuple[str, str]) -> None:
    if is_covered(place):
        return
    for _, exchange in exchanges(place):
        assert exchange.response is not None
        expected = CompletionError if exchange.response.status >= 400 else UnknownWire
        with pytest.raises(expected):
            codecs.decode(exchange)


def base_of(request: Request) -> str | None:
    if "/model/" in request.path:
        return request.url.partition("/model/")[0]
    return request.url.partition("/v1/")[0]


@pytest.mark.parametrize("place", COVERED, ids="/".join)
def test_requests_are_written_as_they_were_read(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        request = exchange.request
        if request.json is None:  # the recording left it out
            continue
        codec: Any = codecs.codec_of(request)
        written = codec.encode_request(codec.decode_request(request), base_url=base_of(request))
        assert content(written) == content(request)
        assert written.url == request.url.partition("?")[0]


@pytest.mark.parametrize("place", COVERED, ids="/".join)
def test_answers_are_written_to_mean_what_they_meant(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        if exchange.request.json is None or exchange.response is None or exchange.response.status >= 400:
            continue
        codec: Any = codecs.codec_of(exchange.request)
        response = codecs.decode(exchange)
        again = codecs.decode(Exchange(exchange.request, codec.encode_response(response, exchange.request)))
        for name in (
            "choice",
            "usage",
            "finish_reason",
            "raw_finish_reason",
            "citations",
            "model",
            "response_id",
        ):
            assert getattr(again, name) == getattr(response, name), name


@pytest.mark.parametrize("place", COVERED, ids="/".join)
def test_no_conversation_that_was_accepted_is_refused(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        if exchange.response is not None and exchange.response.status < 400:
            codec: Any = codecs.codec_of(exchange.request)
            assert codec.check(exchange.request) is None


RESULTS = {
    "anthropic_messages": "tool_result",
    "bedrock_invoke": "tool_result",
    "bedrock_converse": "toolResult",
}


def without_result(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the body without each of its results of tools, one at a time."""
    found = []
    for at, message in enumerate(body["messages"]):
        blocks = message["content"] if isinstance(message["content"], list) else []
        for place, block in enumerate(blocks):
            if message["role"] == "user" and (block.get("type") == kind or kind in block):
                rest = [*blocks[:place], *blocks[place + 1 :]]
                messages = list(body["messages"])
                messages[at : at + 1] = [{**message, "content": rest}] if rest else []
                found.append({**body, "messages": messages})
    return found


@pytest.mark.parametrize("place", COVERED, ids="/".join)
def test_a_conversation_that_lost_a_result_is_refused(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        request, wire = exchange.request, codecs.recognise(exchange.request) or ""
        if request.json is None or exchange.response is None or exchange.response.status >= 400:
            continue
        codec: Any = codecs.codec_of(request)
        for body in without_result(request.json, RESULTS[wire]):
            rejection = codec.check(replace(request, body=json.dumps(body).encode()))
            assert rejection is not None
            assert rejection.rule == "unanswered-tool-call"
            assert rejection.response.status == 400

"""Real traffic, recorded by others: what we make of it against what an independent reader found.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.completion import CompletionError, Final, RequestError, TextDelta
from llmreplay.exchange import Request
from tests.corpus import oracle

if TYPE_CHECKING:
    from llmreplay.exchange import Exchange

APIS = {"chat.completions", "messages"}

MODEL_CALLS = {
    "chat.completions",
    "messages",
    "responses",
    "completions",
    "generateContent",
    "streamGenerateContent",
    "interactions",
    "converse",
    "converse-stream",
    "invoke",
    "invoke-stream",
    "cohere.chat",
    "chat.v1",
    "ollama.chat",
    "ollama.generate",
    "embeddings",
    "embedContent",
    "count_tokens",
    "rerank",
    "images",
}

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


FILES = {place: found for place, found in oracle.files().items() if found[0]["format"].startswith("vcrpy")}
CHOSEN = [place for place, found in FILES.items() if any(row["api"] in APIS for row in found)]


def exchanges(place: tuple[str, str]) -> list[tuple[dict[str, Any], Exchange]]:
    from llmreplay.cassette._vcr import read

    path = Path(oracle.FOLDER or "").joinpath(*place)
    return [
        (row, exchange)
        for row, exchange in zip(FILES[place], read(path.read_bytes(), path), strict=True)
        if row["api"] in APIS and "/threads/" not in exchange.request.url
    ]


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_recorded_exchanges_mean_what_an_independent_reader_found(place: tuple[str, str]) -> None:
    disagreements, errors = [], []
    for row, exchange in exchanges(place):
        try:
            response = codecs.decode(exchange)
        except CompletionError as error:
            errors.append((row, error))
            continue
        assert response.usage == codecs.usage(exchange)
        told = oracle.oracle().get(oracle.key(row))
        if told is not None:
            ours, theirs = oracle.found(response), oracle.expected(told)
            disagreements += [(name, ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]]

    settled = oracle.settled(place[1])
    assert [item for item in disagreements if item[0] not in settled] == []
    for row, error in errors:
        assert error.kind != "unknown"
        assert row["status"] >= 400 or row["midstream_error"] or error.kind == "stream_truncated"


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_recorded_exchanges_are_told_as_they_are_decoded(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        *events, last = codecs.events(exchange)
        if isinstance(last, Final):
            texts = [event for event in events if isinstance(event, TextDelta) and event.choice_index == 0]
            assert last.response == codecs.decode(exchange)
            assert "".join(event.text for event in texts) == last.response.text


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_recorded_requests_are_decoded_and_leave_nothing_out(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        try:
            request = codecs.decode_request(exchange.request)
        except RequestError:
            assert exchange.request.json is None
            continue
        body = exchange.request.json
        system = 1 if body.get("system") else 0
        sent = [] if "messages" in request.extra else body["messages"]
        assert len(request.messages) == len(sent) + system
        assert len(request.tools) == len(body.get("tools") or [])
        assert all(request.extra[name] == body[name] for name in request.extra if name != "output_config")


def test_every_call_to_a_model_is_recognised_and_nothing_else() -> None:
    wrong = []
    for row in oracle.rows("EXCHANGES.jsonl"):
        request = Request(row["method"], f"https://{row['host']}{row['path']}")
        is_call = (
            row["api"] in MODEL_CALLS and row["method"].upper() == "POST" and "/threads/" not in row["path"]
        )
        if row["host"] and is_call is not codecs.is_llm_call(request):
            wrong.append((row["api"], row["method"], request.url, codecs.recognise(request)))

    elsewhere = {"openai_assistants", "huggingface", "replicate", "audio", "vertex_predict", "count_tokens"}
    assert [place for place in wrong if place[3] not in elsewhere] == []

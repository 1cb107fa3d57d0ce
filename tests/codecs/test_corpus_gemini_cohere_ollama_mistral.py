"""Real traffic of Gemini, Cohere, Ollama and Mistral: what we make of it, and what we write back.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs.gemini._spelling import spelled
from llmreplay.completion import CompletionError, Final, RequestError
from llmreplay.exchange import Request
from llmreplay.matching._keys import content
from tests.corpus import oracle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.exchange import Exchange

WIRES = {"gemini", "cohere", "ollama", "ollama_generate", "mistral"}
REWRITTEN = ("test_mistral_model_thinking_part",)
"""Requests with one thought in three pieces, which are written as one."""

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


def concerns(row: dict[str, Any]) -> bool:
    apis = {"generateContent", "streamGenerateContent", "cohere.chat", "ollama.chat", "ollama.generate"}
    return row["format"].startswith("vcrpy") and (row["api"] in apis or "mistral" in row["provider"])


CHOSEN = sorted({(row["corpus"], row["file"]) for row in oracle.rows("EXCHANGES.jsonl") if concerns(row)})


@cache
def exchanges(place: tuple[str, str]) -> list[tuple[int, Exchange]]:
    from llmreplay.cassette._vcr import read

    path = Path(oracle.FOLDER or "").joinpath(*place)
    found = enumerate(read(path.read_bytes(), path))
    return [(index, exchange) for index, exchange in found if codecs.recognise(exchange.request) in WIRES]


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_recorded_answers_mean_what_an_independent_reader_found(place: tuple[str, str]) -> None:
    for index, exchange in exchanges(place):
        assert exchange.response is not None
        if exchange.response.status >= 400:
            with pytest.raises(CompletionError) as caught:
                codecs.decode(exchange)
            assert caught.value.kind in {"invalid_request", "not_found"}
            continue
        response = codecs.decode(exchange)
        *_, last = codecs.events(exchange)
        assert isinstance(last, Final)
        assert last.response == response
        assert response.usage == codecs.usage(exchange)
        assert response.usage.audit() == []
        assert response.finish_reason is not None
        row = oracle.oracle().get((*place, index))
        if row is None:
            continue
        ours, theirs = oracle.found(response), oracle.expected(row)
        assert {name for name in ours if ours[name] != theirs[name]} <= oracle.settled(place[1]).keys()


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_recorded_requests_are_written_as_they_were_read(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        try:
            request = codecs.decode_request(exchange.request)
        except RequestError:
            assert exchange.request.json is None
            continue
        code: Any = codecs.codec_of(exchange.request)
        written = code.encode_request(request)
        same = content(written) == content(exchange.request)
        assert same is not any(part in place[1] for part in REWRITTEN) or not request.messages[1:]
        assert codecs.decode_request(written).stream == request.stream


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_recorded_answers_are_written_so_that_they_mean_the_same(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        try:
            response = codecs.decode(exchange)
        except CompletionError:
            continue
        code: Any = codecs.codec_of(exchange.request)
        written = code.encode_response(response, exchange.request)
        again = codecs.decode(type(exchange)(exchange.request, written))
        assert again.tool_calls == response.tool_calls
        assert (again.text, again.reasoning_content) == (response.text, response.reasoning_content)
        assert again.usage == response.usage
        assert again.finish_reason == response.finish_reason


def mutated(request: Request) -> Iterator[Request]:
    """Yield the request with one result of a tool, or one call of one, taken out."""
    body = request.json
    for name, keys in (("contents", ("functionCall", "functionResponse")), ("messages", ("tool_calls",))):
        for place, message in enumerate(body.get(name) or []):
            parts = message.get("parts") or []
            for number, part in enumerate(parts):
                if any(spelled(part, key) in part for key in keys):
                    rest = {**message, "parts": [*parts[:number], *parts[number + 1 :]]}
                    yield changed(request, name, place, [rest])
            calls = message.get("tool_calls") or []
            for number in range(len(calls)):
                rest = {**message, "tool_calls": [*calls[:number], *calls[number + 1 :]]}
                yield changed(request, name, place, [rest])
            if message.get("role") == "tool":
                yield changed(request, name, place, [])


def changed(request: Request, name: str, place: int, instead: list[Any]) -> Request:
    items = request.json[name]
    body = {**request.json, name: [*items[:place], *instead, *items[place + 1 :]]}
    return Request(request.method, request.url, request.headers, json.dumps(body).encode())


@pytest.mark.parametrize("place", CHOSEN, ids="/".join)
def test_no_recorded_request_is_rejected_and_each_damaged_one_is(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        code: Any = codecs.codec_of(exchange.request)
        assert exchange.response is not None
        if exchange.response.status < 400:
            assert code.check(exchange.request) is None
        if codecs.recognise(exchange.request) in {"gemini", "mistral"} and exchange.request.json is not None:
            for damaged in mutated(exchange.request):
                assert code.check(damaged) is not None

"""Real traffic of Gemini, Cohere, Ollama and Mistral: what we make of it, and what we write back.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs.gemini._spelling import spelled
from llmreplay.completion import CompletionError, Final, RequestError, Text, ToolCall
from llmreplay.exchange import Request
from llmreplay.matching._keys import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.completion import CompletionResponse
    from llmreplay.exchange import Exchange

FOLDER = os.environ.get("LLMREPLAY_CORPUS")
WIRES = {"gemini", "cohere", "ollama", "ollama_generate", "mistral"}
SETTLED = {
    "model_armor_prompt_template_text_gets_blocked": "finish",
    "test_mistral_model_thinking_part": "text",
}
"""Where the oracle is wrong: it does not see why a prompt was blocked, nor into lists of contents."""
REWRITTEN = ("test_mistral_model_thinking_part",)
"""Requests with one thought in three pieces, which are written as one."""

pytestmark = pytest.mark.skipif(FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


def rows(name: str) -> list[dict[str, Any]]:
    if FOLDER is None:
        return []
    with (Path(FOLDER) / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def concerns(row: dict[str, Any]) -> bool:
    apis = {"generateContent", "streamGenerateContent", "cohere.chat", "ollama.chat", "ollama.generate"}
    return row["format"].startswith("vcrpy") and (row["api"] in apis or "mistral" in row["provider"])


CHOSEN = sorted({(row["corpus"], row["file"]) for row in rows("EXCHANGES.jsonl") if concerns(row)})


@cache
def oracle() -> dict[tuple[str, str, int], dict[str, Any]]:
    return {(row["corpus"], row["file"], row["idx"]): row for row in rows("ORACLE.jsonl")}


@cache
def exchanges(place: tuple[str, str]) -> list[tuple[int, Exchange]]:
    from llmreplay.cassette._vcr import read

    path = Path(FOLDER or "").joinpath(*place)
    found = enumerate(read(path.read_bytes(), path))
    return [(index, exchange) for index, exchange in found if codecs.recognise(exchange.request) in WIRES]


def found(response: CompletionResponse) -> dict[str, Any]:
    contents = [content for choice in response.choices for content in choice.contents]
    text = "".join(content.text for content in contents if isinstance(content, Text))
    used = response.usage
    return {
        "finish": [choice.raw_finish_reason for choice in response.choices if choice.raw_finish_reason],
        "tools": [(content.name, content.arguments) for content in contents if isinstance(content, ToolCall)],
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "usage": (used.input_tokens, used.output_tokens, used.total_tokens),
    }


def expected(row: dict[str, Any]) -> dict[str, Any]:
    used = row["usage"] or {}
    if "prompt_tokens" in used:
        tokens = (used["prompt_tokens"], used["completion_tokens"], used["total_tokens"])
    else:
        asked = used.get("promptTokenCount", 0) + used.get("toolUsePromptTokenCount", 0)
        said = used.get("candidatesTokenCount", 0) + used.get("thoughtsTokenCount", 0)
        tokens = (asked, said, used.get("totalTokenCount", asked + said))
    return {
        "finish": [str(reason) for reason in row["finish"] if reason],
        "tools": [(name, json.loads(arguments or "{}")) for name, arguments in row["tools"]],
        "text": row["text_sha256"],
        "usage": tokens,
    }


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
        row = oracle().get((*place, index))
        if row is None:
            continue
        ours, theirs = found(response), expected(row)
        settled = {field for part, field in SETTLED.items() if part in place[1]}
        assert {name for name in ours if ours[name] != theirs[name]} <= settled
        if isinstance(response.raw, list):
            assert len(response.raw) == row["n_events"]


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

"""Real traffic, recorded by others: what we make of it against what an independent reader found.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.completion import CompletionError, Final, RequestError, Text, TextDelta, ToolCall
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from llmreplay.completion import CompletionResponse
    from llmreplay.exchange import Exchange

FOLDER = os.environ.get("LLMREPLAY_CORPUS")
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

OWN_TOOLS = ("tools", "a tool that the provider runs is no call for ours; the oracle lists it")
DOUBLED = ("text", "the oracle adds the old `text` to the delta, which doubles it")
SETTLED = {
    "together/cassettes/test_instrumentor/test_async_chat_stream": DOUBLED,
    "together/cassettes/test_instrumentor/test_chat_stream": DOUBLED,
    "completion_stream_multiple_choices_proxy": ("text", "the oracle mixes two answers, as they interleave"),
    "test_anthropic_code_execution_files": OWN_TOOLS,
    "test_pause_turn_web_search": OWN_TOOLS,
    "test_anthropic/test_web_search": OWN_TOOLS,
    "test_mistral_model_thinking_part": (
        "text",
        "the oracle reads no text where Mistral's content is a list",
    ),
}
"""Parts of file names where the oracle was found wrong by looking at the bytes: in what, and why."""

pytestmark = pytest.mark.skipif(FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


def rows(name: str) -> list[dict[str, Any]]:
    if FOLDER is None:
        return []
    with (Path(FOLDER) / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["corpus"], row["file"], row["idx"]


FILES: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
for row in rows("EXCHANGES.jsonl"):
    if row["format"].startswith("vcrpy"):
        FILES[row["corpus"], row["file"]].append(row)
ORACLE = {key(row): row for row in rows("ORACLE.jsonl")}
CHOSEN = [place for place, found in FILES.items() if any(row["api"] in APIS for row in found)]


def exchanges(place: tuple[str, str]) -> list[tuple[dict[str, Any], Exchange]]:
    from llmreplay.cassette._vcr import read

    path = Path(FOLDER or "").joinpath(*place)
    return [
        (row, exchange)
        for row, exchange in zip(FILES[place], read(path.read_bytes(), path), strict=True)
        if row["api"] in APIS and "/threads/" not in exchange.request.url
    ]


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments) if arguments else {}
    except ValueError:
        return None


def found(response: CompletionResponse) -> dict[str, Any]:
    contents = [content for choice in response.choices for content in choice.contents]
    text = "".join(content.text for content in contents if isinstance(content, Text))
    return {
        "finish": [choice.raw_finish_reason for choice in response.choices if choice.raw_finish_reason],
        "tools": [(content.name, content.arguments) for content in contents if isinstance(content, ToolCall)],
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "usage": (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens),
    }


def expected(row: dict[str, Any]) -> dict[str, Any]:
    usage = row["usage"] or {}
    if "prompt_tokens" in usage:
        tokens = (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"])
    else:
        inputs = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        asked, answered = sum(usage.get(name) or 0 for name in inputs), usage.get("output_tokens", 0)
        tokens = (asked, answered, asked + answered)
    return {
        "finish": [reason for reason in row["finish"] if reason],
        "tools": [(name, parsed(arguments)) for name, arguments in row["tools"]],
        "text": row["text_sha256"],
        "usage": tokens,
    }


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
        oracle = ORACLE.get(key(row))
        if oracle is not None:
            ours, theirs = found(response), expected(oracle)
            disagreements += [(name, ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]]

    settled = {field for part, (field, _) in SETTLED.items() if part in place[1]}
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
    for row in rows("EXCHANGES.jsonl"):
        request = Request(row["method"], f"https://{row['host']}{row['path']}")
        is_call = (
            row["api"] in MODEL_CALLS and row["method"].upper() == "POST" and "/threads/" not in row["path"]
        )
        if row["host"] and is_call is not codecs.is_llm_call(request):
            wrong.append((row["api"], row["method"], request.url, codecs.recognise(request)))

    elsewhere = {"openai_assistants", "huggingface", "replicate", "audio", "vertex_predict", "count_tokens"}
    assert [place for place in wrong if place[3] not in elsewhere] == []

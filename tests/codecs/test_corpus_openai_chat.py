"""Real chat traffic, there and back: requests keep their body, answers their meaning, rules reject nothing.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import _answer, embeddings, openai_chat
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.completion import CompletionError, ToolCall
from llmreplay.exchange import Exchange

if TYPE_CHECKING:
    from llmreplay.completion import CompletionResponse

FOLDER = os.environ.get("LLMREPLAY_CORPUS")
CODEC = openai_chat.CODEC

UNLIKE = {
    "test_mistral_model_thinking_part": "pieces of one thought are one piece here",
    "test_snowflake_thinking.yaml": "the id of a piece of reasoning has no place in the vocabulary",
}
"""Parts of names of files whose requests do not come back to the letter, and why."""

pytestmark = pytest.mark.skipif(FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


@cache
def exchanges(api: str) -> list[tuple[str, Exchange]]:
    from llmreplay.cassette._vcr import read

    files: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    with Path(FOLDER or "").joinpath("EXCHANGES.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["format"].startswith("vcrpy"):
                files[row["corpus"], row["file"]].append(row)
    found = []
    for place, rows in files.items():
        if any(row["api"] == api for row in rows):
            path = Path(FOLDER or "").joinpath(*place)
            for row, exchange in zip(rows, read(path.read_bytes(), path), strict=True):
                if row["api"] == api and "/threads/" not in exchange.request.url:
                    found.append((place[1], exchange))
    return found


def chats() -> list[tuple[str, Exchange]]:
    return [
        (file, exchange)
        for file, exchange in exchanges("chat.completions")
        if isinstance(exchange.request.json, dict)
    ]


def test_requests_that_are_read_and_written_have_the_same_body() -> None:
    unlike = []
    for file, exchange in chats():
        base = exchange.request.url.partition("/chat/completions")[0]
        request = CODEC.decode_request(exchange.request)
        if CODEC.encode_request(request, base_url=base).json != exchange.request.json:
            unlike.append(file)

    assert [file for file in unlike if not any(part in file for part in UNLIKE)] == []
    assert len(unlike) <= len(chats()) / 100


def test_requests_that_providers_took_are_accepted() -> None:
    taken = [
        exchange
        for _, exchange in chats()
        if exchange.response is not None and exchange.response.status < 400
    ]

    assert len(taken) > 150
    assert [exchange.request.url for exchange in taken if CODEC.check(exchange.request) is not None] == []


def test_conversations_from_which_an_answer_is_lost_are_rejected() -> None:
    checked = 0
    for _, exchange in chats():
        request = exchange.request
        body = request.json
        messages = body.get("messages") or []
        if not dialect_of(request).strict:
            continue
        for place, message in enumerate(messages):
            if message.get("role") == "tool" or (
                message.get("role") == "assistant" and message.get("tool_calls")
            ):
                kept = [*messages[:place], *messages[place + 1 :]]
                changed = json.dumps({**body, "messages": kept}).encode()
                mutated = type(request)(request.method, request.url, request.headers, changed)
                rejection = CODEC.check(mutated)
                assert rejection is not None
                assert rejection.rule in {"unanswered-tool-call", "orphan-tool-result"}
                checked += 1
    assert checked > 20


def meaning(response: CompletionResponse) -> Any:
    """Return what must not change: ids of tool calls are made up where there were none."""
    contents = [
        content.model_copy(update={"id": ""}) if isinstance(content, ToolCall) else content
        for choice in response.choices
        for content in choice.contents
    ]
    reasons = [choice.finish_reason for choice in response.choices]
    return contents, reasons, response.usage, response.logprobs, response.citations, response.response_id


def test_answers_that_are_read_and_written_mean_the_same() -> None:
    count, unlike = 0, []
    for file, exchange in chats():
        try:
            once = codecs.decode(exchange)
        except CompletionError:
            continue
        count += 1
        written = CODEC.encode_response(once, exchange.request)
        again = _answer.decode(CODEC, Exchange(exchange.request, written))
        ours, theirs = list(meaning(once)), list(meaning(again))
        if None in ours[1]:  # Snowflake gives no reason, and a proxy none for the second answer
            ours[1] = theirs[1]
        if once.response_id is None:
            ours[-1] = theirs[-1]
        streamed = (exchange.request.json or {}).get("stream") is True
        asked = ((exchange.request.json or {}).get("stream_options") or {}).get("include_usage") is True
        if streamed and not asked and not again.usage.has_values:
            ours[2] = theirs[2]
        if ours != theirs:
            unlike.append(file)

    assert count > 150
    assert unlike == []


def test_vectors_are_read_wherever_there_are_any() -> None:
    count = 0
    for _, exchange in exchanges("embeddings"):
        if exchange.response is None or exchange.response.status >= 400:
            continue
        vectors = embeddings.decode(exchange)
        assert vectors
        assert all(vectors)
        count += 1
    assert count > 10

"""What an independent reader found in the files of the corpus, and how what we make of them compares with it.

`LLMREPLAY_CORPUS` names the folder of the corpus; without it there are no rows, and tests skip. Where the
reader and we disagree, somebody looked at the bytes: `SETTLED` and `NO_ANSWER` say what was found.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmreplay.completion import Text, ToolCall

if TYPE_CHECKING:
    from llmreplay.completion import CompletionResponse

FOLDER = os.environ.get("LLMREPLAY_CORPUS")

FORMATS = {
    "vcrpy-yaml-v1": "vcr",
    "vcrpy-yaml-vNone": "vcr",
    "ruby-vcr": "ruby-vcr",
    "r-vcr": "r-vcr",
    "go-vcr-v2": "go-vcr",
    "httprr": "httprr",
    "nock": "nock",
    "har-yaml": "har",
    "dd-testagent": "test-agent",
}
"""What `MANIFEST.csv` calls the formats that `load` reads, and what `Cassette.format` does."""

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
    "model_armor_prompt_template_text_gets_blocked": (
        "finish",
        "the oracle does not see why a prompt was blocked",
    ),
}
"""Parts of file names where the oracle was found wrong by looking at the bytes: in what, and why."""

NO_ANSWER = {
    "test_litellm_aresponses_streaming_async": ("stream_truncated", "the body was never stored: it is empty"),
    "test_litellm_async_streaming_with_break": (
        "stream_truncated",
        "the client broke off, and what came later was never stored",
    ),
}
"""Parts of names of files with a status below 400 and no whole answer: the kind of error, and why."""

ODD_SUMS = {
    "test_compatible_api_with_tool_calls_without_id": "the total has thoughts in it, told nowhere else",
}
"""Parts of names of files whose usage does not add up on the wire, and why."""

OTHER_BODIES = {
    ("agent/recordings/defaultClient_631904893/recording.har.yaml", 30): (
        "the oracle takes the first of two pieces for the whole body"
    ),
}
"""Exchanges of which the oracle has another body than the file, and why."""


@cache
def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a file of the corpus; none without a corpus."""
    if FOLDER is None:
        return []
    with (Path(FOLDER) / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["corpus"], row["file"], row["idx"]


@cache
def oracle() -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return what the independent reader found, by exchange."""
    return {key(row): row for row in rows("ORACLE.jsonl")}


@cache
def files() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the rows of each file that `load` reads, in order."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows("EXCHANGES.jsonl"):
        if row["format"] in FORMATS:
            found.setdefault((row["corpus"], row["file"]), []).append(row)
    return found


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments) if arguments else {}
    except ValueError:
        return None


def found(response: CompletionResponse) -> dict[str, Any]:
    """Return what we make of an answer, in the words of the oracle."""
    contents = [content for choice in response.choices for content in choice.contents]
    text = "".join(content.text for content in contents if isinstance(content, Text))
    return {
        "finish": [choice.raw_finish_reason for choice in response.choices if choice.raw_finish_reason],
        "tools": [(content.name, content.arguments) for content in contents if isinstance(content, ToolCall)],
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "usage": (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens),
        "events": len(response.raw) if isinstance(response.raw, list) else 0,
    }


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the oracle says of an answer, its usage by the rules of inclusive buckets."""
    return {
        "finish": [str(reason) for reason in row["finish"] if reason],
        "tools": [(name, parsed(arguments)) for name, arguments in row["tools"]],
        "text": row["text_sha256"],
        "usage": tokens(row["usage"] or {}),
        "events": row["n_events"],
    }


def tokens(usage: dict[str, Any]) -> tuple[int, int, int]:
    """Return input, output and total, whatever the provider calls them."""

    def count(*names: str) -> int:
        return int(sum(usage.get(name) or 0 for name in names))

    if "prompt_tokens" in usage:
        asked, answered = count("prompt_tokens"), count("completion_tokens")
        reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        if usage.get("total_tokens") == asked + answered + reasoning:  # xAI counts it beside the rest
            answered += reasoning
    elif {"promptTokenCount", "candidatesTokenCount"} & usage.keys():
        asked = count("promptTokenCount", "toolUsePromptTokenCount")
        answered = count("candidatesTokenCount", "thoughtsTokenCount")
    elif "inputTokens" in usage:
        asked = count("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
        answered = count("outputTokens")
    else:
        asked = count("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        answered = count("output_tokens")
    totals = (usage.get(name) for name in ("total_tokens", "totalTokenCount", "totalTokens"))
    return asked, answered, next(filter(None, totals), asked + answered)


def settled(file: str) -> dict[str, str]:
    """Return in what the oracle is wrong about a file, and why."""
    return {field: reason for part, (field, reason) in SETTLED.items() if part in file}

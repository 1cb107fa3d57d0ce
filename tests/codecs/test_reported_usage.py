"""What a call used, by the rules of each provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payloads import CHAT, MESSAGES, asked, chat, delta, message, plain, sse, streamed, told

from llmreplay import codecs
from llmreplay.exchange import Exchange, Failure, Response

if TYPE_CHECKING:
    from llmreplay.completion import Usage

RESPONSES = "https://api.openai.com/v1/responses"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent?alt=sse"
COHERE = "https://api.cohere.com/v2/chat"
OLLAMA = "http://localhost:11434/api/chat"
CONVERSE = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse"
INVOKE = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke"
INTERACTIONS = "https://generativelanguage.googleapis.com/v1beta/interactions"
MISTRAL = "https://api.mistral.ai/v1/chat/completions"


def numbers(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cached_input_tokens,
        usage.cache_creation_input_tokens,
        usage.tool_use_prompt_tokens,
        usage.reasoning_tokens,
    )


@pytest.mark.parametrize(
    ("url", "raw", "expected"),
    [
        (CHAT, {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 5, 15, 0, 0, 0, 0)),
        (
            CHAT,
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 5, 15, 4, 3, 0, 3),
        ),
        (CHAT, {"prompt_tokens": 10, "total_tokens": 15}, (10, 5, 15, 0, 0, 0, 0)),
        (CHAT, {"total_tokens": 15}, (0, 0, 15, 0, 0, 0, 0)),
        (CHAT, {"prompt_tokens": 10, "completion_tokens": 5}, (10, 5, 15, 0, 0, 0, 0)),
        # xAI: reasoning beside the completion; the total tells.
        (
            CHAT,
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 18,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 8, 18, 0, 0, 0, 3),
        ),
        # Perplexity: citations too.
        (
            CHAT,
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 20,
                "citation_tokens": 3,
                "reasoning_tokens": 2,
            },
            (10, 10, 20, 0, 0, 0, 2),
        ),
        # Copilot: reasoning on top, but inside.
        (
            CHAT,
            {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6, "reasoning_tokens": 2},
            (1, 5, 6, 0, 0, 0, 2),
        ),
        (
            CHAT,
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8},
            (9, 1, 10, 8, 0, 0, 0),
        ),
        (
            MISTRAL,
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "prompt_tokens_details": {"audio_tokens": 7},
            },
            (17, 5, 22, 0, 0, 0, 0),
        ),
        (
            MISTRAL,
            {"prompt_tokens": 10, "completion_tokens": 5, "num_cached_tokens": 6},
            (10, 5, 15, 6, 0, 0, 0),
        ),
        (MISTRAL, {"prompt_tokens": 9, "prompt_token_details": {"cached_tokens": 2}}, (9, 0, 9, 2, 0, 0, 0)),
        (
            RESPONSES,
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "total_tokens": 15,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 5, 15, 4, 1, 0, 3),
        ),
        (
            MESSAGES,
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 20,
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 2},
            },
            (130, 5, 135, 100, 20, 0, 2),
        ),
        (
            CONVERSE,
            {"inputTokens": 10, "outputTokens": 5, "totalTokens": 25, "cacheReadInputTokens": 10},
            (20, 5, 25, 10, 0, 0, 0),
        ),
        (
            INVOKE,
            {"inputTokens": 1, "outputTokens": 2, "cacheWriteInputTokenCount": 3},
            (4, 2, 6, 0, 3, 0, 0),
        ),
        (
            INVOKE,
            {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3},
            (4, 2, 6, 3, 0, 0, 0),
        ),
        (INVOKE, {"prompt_tokens": 1, "completion_tokens": 2}, (1, 2, 3, 0, 0, 0, 0)),
        (
            COHERE,
            {
                "tokens": {"input_tokens": 100.0, "output_tokens": 7.0, "reasoning_tokens": 2},
                "billed_units": {"input_tokens": 10},
                "cached_tokens": 64,
            },
            (100, 7, 107, 64, 0, 0, 2),
        ),
        (
            INTERACTIONS,
            {
                "total_input_tokens": 10,
                "total_tool_use_tokens": 2,
                "total_output_tokens": 5,
                "total_thought_tokens": 3,
                "total_tokens": 20,
                "total_cached_tokens": 1,
            },
            (12, 8, 20, 1, 0, 2, 3),
        ),
        (
            "https://api.openai.com/v1/embeddings",
            {"prompt_tokens": 8, "total_tokens": 8},
            (8, 0, 8, 0, 0, 0, 0),
        ),
    ],
)
def test_usage_is_counted_by_the_rules_of_its_provider(
    url: str, raw: dict[str, object], expected: object
) -> None:
    usage = codecs.usage(plain({"usage": raw}, url))

    assert numbers(usage) == expected
    assert usage.details == raw


@pytest.mark.parametrize(
    ("url", "body", "expected"),
    [
        (
            GEMINI.replace("streamG", "g"),
            {
                "usageMetadata": {
                    "promptTokenCount": 10,
                    "toolUsePromptTokenCount": 2,
                    "candidatesTokenCount": 5,
                    "thoughtsTokenCount": 3,
                    "totalTokenCount": 20,
                    "cachedContentTokenCount": 4,
                }
            },
            (12, 8, 20, 4, 0, 2, 3),
        ),
        (OLLAMA, {"prompt_eval_count": 10, "eval_count": 5, "done": True}, (10, 5, 15, 0, 0, 0, 0)),
        (
            "https://api.cohere.com/v1/chat",
            {"meta": {"tokens": {"input_tokens": 3, "output_tokens": 4}}},
            (3, 4, 7, 0, 0, 0, 0),
        ),
        (
            "https://api.cohere.com/v2/embed",
            {"meta": {"billed_units": {"input_tokens": 3}}},
            (3, 0, 3, 0, 0, 0, 0),
        ),
    ],
)
def test_usage_is_found_wherever_its_provider_puts_it(
    url: str, body: dict[str, object], expected: object
) -> None:
    assert numbers(codecs.usage(plain(body, url))) == expected


def gemini(*reports: tuple[int, int]) -> list[dict[str, object]]:
    return [
        {"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": out, "totalTokenCount": total}}
        for out, total in reports
    ]


def test_the_last_report_of_a_stream_wins_even_if_it_is_lower() -> None:
    assert numbers(codecs.usage(streamed(sse(*gemini((50, 60), (5, 15)), done=False), GEMINI)))[:3] == (
        10,
        5,
        15,
    )


def test_a_stream_may_be_a_json_array_or_lines_of_json() -> None:
    array = json.dumps(gemini((1, 11), (5, 15))).encode()
    lines = b'{"message": {}, "done": false}\n{"done": true, "prompt_eval_count": 3, "eval_count": 4}\n{"cut'

    assert codecs.usage(plain(array, GEMINI)).output_tokens == 5
    assert numbers(codecs.usage(plain(lines, OLLAMA)))[:3] == (3, 4, 7)


def test_anthropic_keeps_what_the_start_knew_and_takes_the_rest_from_the_end() -> None:
    events = told()
    events[0]["message"]["usage"] = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}
    events[2]["usage"] = {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5}
    exchange = streamed(sse(*events, done=False), MESSAGES)

    assert numbers(codecs.usage(exchange))[:4] == (100, 5, 105, 90)
    assert codecs.decode(exchange).usage == codecs.usage(exchange)


def test_groq_says_it_three_times_and_it_counts_once() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    stream = sse(
        delta({"content": "a"}),
        delta({}, "stop", x_groq={"id": "r", "usage": usage}, usage=usage),
        delta(None, usage=usage),
    )
    exchange = streamed(stream, "https://api.groq.com/openai/v1/chat/completions")

    assert codecs.usage(exchange).total_tokens == 15
    assert codecs.decode(exchange).usage.total_tokens == 15


def test_the_terminal_event_of_responses_and_cohere_has_the_usage() -> None:
    completed = {"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}}
    end = {"type": "message-end", "delta": {"usage": {"tokens": {"input_tokens": 5, "output_tokens": 6}}}}

    assert numbers(codecs.usage(streamed(sse(completed, done=False), RESPONSES)))[:3] == (3, 4, 7)
    assert numbers(codecs.usage(streamed(sse(end), COHERE)))[:3] == (5, 6, 11)


def test_what_a_broken_stream_reported_so_far_still_counts() -> None:
    events = told(last=False, stop=None)
    exchange = streamed(
        sse(*events, done=False) + b"data: {oops usage", MESSAGES, "cut", Failure("ReadError")
    )

    assert numbers(codecs.usage(exchange))[:3] == (10, 1, 11)


@pytest.mark.parametrize(
    "exchange",
    [
        plain({"usage": {"prompt_tokens": 1}}, "https://example.org/usage"),
        plain({"usage": None}),
        plain({"usage": {"prompt_tokens": "many", "completion_tokens": True, "total_tokens": 1e300}}),
        plain({"usage": [1]}),
        plain(b""),
        plain(b"{oops"),
        plain({"error": {}}, status=500),
        Exchange(asked(CHAT, {}), failure=Failure("ConnectError")),
        Exchange(asked(CHAT, {}), Response(200)),
    ],
)
def test_usage_that_is_not_told_is_zero(exchange: Exchange) -> None:
    assert not codecs.usage(exchange).has_values


URLS = [CHAT, MESSAGES, RESPONSES, GEMINI, COHERE, OLLAMA, CONVERSE, INVOKE, INTERACTIONS, MISTRAL]
KEYS = [
    "usage",
    "usageMetadata",
    "tokens",
    "prompt_tokens",
    "input_tokens",
    "prompt_tokens_details",
    "message",
    "meta",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(URLS), JSON, st.booleans())
def test_usage_never_raises(url: str, body: object, stream: bool) -> None:  # noqa: FBT001  generated
    codecs.usage(streamed(sse(body), url) if stream else plain(body, url))


def test_a_usage_decoded_is_the_usage_reported() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    for exchange in (
        plain(chat({"content": "a"}, usage=usage)),
        plain(message([{"type": "text", "text": "a"}]), MESSAGES),
    ):
        assert codecs.decode(exchange).usage == codecs.usage(exchange)
        assert codecs.decode(exchange).usage.audit() == []

"""ai-lib-python, unmodified: what it counts and measures, by a clock that the test holds."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from ai_lib_python import AiClient

from llmreplay import Usage, respond, say, use_script

pytestmark = pytest.mark.usefixtures("ailib")

USAGE = Usage(input_tokens=12, output_tokens=7, cached_input_tokens=4, reasoning_tokens=2)
HI = say("One two.", usage=USAGE)


def after(seconds: float, said):
    """A provider that takes its time."""

    def answer(_request):
        time.sleep(seconds)  # by the clock of the test
        return said

    return respond(answer)


async def test_stats_tell_the_tokens_and_how_long_a_call_took(ailib_time):
    with use_script(after(2.5, HI)) as script:
        async with await AiClient.create("openai/gpt-4o") as client:
            response, stats = await client.chat().user("Hello").execute_with_stats()

    assert (stats.prompt_tokens, stats.completion_tokens, stats.total_tokens) == (12, 7, 19)
    assert stats.latency_ms == 2500.0
    assert ailib_time.slept == [2.5]
    assert stats.time_to_first_token_ms is None
    assert (stats.model, stats.provider) == ("openai/gpt-4o", "openai")
    assert stats.endpoint == "/chat/completions"
    assert uuid.UUID(stats.client_request_id).version == 4
    assert response.content == "One two."
    assert script.usage == USAGE


async def test_a_response_tells_its_tokens_in_its_providers_words():
    with use_script(HI, HI):
        async with await AiClient.create("openai/gpt-4o") as client:
            openai = await client.chat().user("Hello").execute()
        async with await AiClient.create("anthropic/claude-3-5-sonnet") as client:
            anthropic = await client.chat().user("Hello").max_tokens(99).execute()

    assert (openai.prompt_tokens, openai.completion_tokens, openai.total_tokens) == (12, 7, 19)
    assert openai.reasoning_tokens == 2
    # Anthropic counts what it read from its cache apart.
    assert (anthropic.input_tokens, anthropic.output_tokens, anthropic.cache_read_tokens) == (8, 7, 4)
    assert anthropic.cache_creation_tokens == 0


async def test_stats_of_a_stream_tell_the_time_to_its_first_token(ailib_time):
    with use_script(after(2.0, HI)):
        async with await AiClient.create("openai/gpt-4o") as client:
            chat = client.chat().user("Hello").param("stream_options", {"include_usage": True})
            events, stats = await chat.stream_with_stats()
            assert stats.time_to_first_token_ms is None
            count = 0
            async for _ in events:
                count += 1
                await asyncio.sleep(0.5)  # whoever reads takes its time too

    assert count == 4  # two words, the reason why it stops, and the tokens
    assert stats.time_to_first_token_ms == 2000.0
    assert stats.latency_ms == 4000.0
    assert (stats.prompt_tokens, stats.completion_tokens, stats.total_tokens) == (12, 7, 19)


async def test_stats_of_a_stream_that_breaks_are_closed_all_the_same(ailib_time):
    with use_script(after(1.0, HI)):
        async with await AiClient.create("openai/gpt-4o") as client:
            events, stats = await client.chat().user("Hello").stream_with_stats()
            await anext(events)
            await events.aclose()

    assert (stats.time_to_first_token_ms, stats.latency_ms) == (1000.0, 1000.0)
    assert stats.total_tokens is None

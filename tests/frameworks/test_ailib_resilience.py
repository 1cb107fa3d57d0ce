"""ai-lib-python, unmodified: retries, breakers, limits and fallbacks, in time that does not pass."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from ai_lib_python import AiClient
from ai_lib_python.errors import RemoteError
from ai_lib_python.resilience import (
    BackpressureConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    FallbackChain,
    JitterStrategy,
    RateLimiterConfig,
    ResilientConfig,
    RetryConfig,
)
from ai_lib_python.resilience.backpressure import BackpressureError
from ai_lib_python.resilience.rate_limiter import AdaptiveRateLimiter

from llmreplay import fail, say, use_cassette, use_script
from llmreplay.errors import ScriptExhausted, SwallowedRefusals
from tests import wires
from tests.loopback import Gate, Reply, Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ailib")

OPENAI, ANTHROPIC = "openai/gpt-4o", "anthropic/claude-3-5-sonnet"
PLAIN = RetryConfig(jitter=JitterStrategy.NONE)


async def client(model: str = OPENAI, *fallbacks: str, **config: Any) -> AiClient:
    builder = AiClient.builder().model(model).with_fallbacks(list(fallbacks))
    if config:
        builder.with_resilience(ResilientConfig(**config))
    return await builder.build()


async def ask(asked: AiClient, question: str = "Hello") -> str:
    response = await asked.chat().user(question).max_tokens(99).execute()
    return response.content


# --------------------------------------------------------------------------------------------- retries


async def test_a_retry_waits_twice_as_long_each_time_and_then_succeeds(ailib_time):
    faults = fail("rate_limited"), fail("overloaded"), fail("server_error")
    with use_script(*faults, "Hi there.") as script:
        async with await client(retry=PLAIN) as asked:
            assert await ask(asked) == "Hi there."

    assert ailib_time.slept == [1.0, 2.0, 4.0]
    assert len(script.calls) == 4


async def test_the_simple_option_for_retries_does_the_same(ailib_time):
    with use_script(fail("overloaded"), "Hi there."):
        asked = await AiClient.builder().model(OPENAI).retry(max_attempts=2, backoff=8.0).build()
        async with asked:
            assert await ask(asked) == "Hi there."

    (slept,) = ailib_time.slept
    assert 0 <= slept <= 8


async def test_a_retry_waits_as_long_as_the_provider_asks_for(ailib_time):
    with use_script(fail("rate_limited", retry_after=42), "Hi there."):
        async with await client(retry=PLAIN) as asked:
            assert await ask(asked) == "Hi there."

    assert ailib_time.slept == [42.0]


@pytest.mark.parametrize(("jitter", "least"), [(JitterStrategy.FULL, 0.0), (JitterStrategy.EQUAL, 0.5)])
async def test_jitter_stays_within_its_bounds_and_differs(ailib_time, jitter, least):
    config = RetryConfig(max_retries=8, min_delay_ms=1000, exponential_base=1.0, jitter=jitter)
    with use_script(*[fail("overloaded")] * 8, "Hi there."):
        async with await client(retry=config) as asked:
            await ask(asked)

    assert len(ailib_time.slept) == 8
    assert all(least <= slept <= 1.0 for slept in ailib_time.slept)
    assert len(set(ailib_time.slept)) > 1


async def test_a_wait_is_never_longer_than_its_limit(ailib_time):
    config = RetryConfig(max_retries=4, max_delay_ms=3000, jitter=JitterStrategy.NONE)
    with use_script(*[fail("overloaded")] * 4, "Hi there."):
        async with await client(retry=config) as asked:
            await ask(asked)

    assert ailib_time.slept == [1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("kind", ["invalid_request", "authentication", "not_found", "permission_denied"])
async def test_what_cannot_succeed_is_not_tried_again(ailib_time, kind):
    with use_script(fail(kind)) as script:
        async with await client(retry=PLAIN) as asked:
            with pytest.raises(RemoteError):
                await ask(asked)

    assert (len(script.calls), ailib_time.slept) == (1, [])


async def test_the_last_error_is_raised_when_all_attempts_failed(ailib_time):
    with use_script(fail("overloaded"), fail("overloaded"), fail("server_error")):
        async with await client(retry=RetryConfig(max_retries=2, jitter=JitterStrategy.NONE)) as asked:
            with pytest.raises(RemoteError) as error:
                await ask(asked)

    assert error.value.status_code == 500
    assert ailib_time.slept == [1.0, 2.0]


async def test_a_retry_for_which_no_turn_is_left_ends_the_test_and_is_not_retried(ailib_time):
    with pytest.raises(ScriptExhausted, match="no turn left"), use_script(fail("overloaded")):
        async with await client(OPENAI, ANTHROPIC, retry=PLAIN) as asked:
            await ask(asked)

    assert ailib_time.slept == [1.0]


async def test_an_agent_that_hides_a_call_too_many_fails_all_the_same(ailib_time):
    with pytest.raises(SwallowedRefusals, match="no turn left"), use_script(fail("overloaded")):
        async with await client(retry=PLAIN) as asked:
            with suppress(BaseException):
                await ask(asked)


# -------------------------------------------------------------------------------------- circuit breaker

BREAKER = CircuitBreakerConfig(failure_threshold=2, success_threshold=2, cooldown_seconds=30)


async def broken(asked: AiClient) -> None:
    """Fail until the circuit is open."""
    for _ in range(BREAKER.failure_threshold):
        with pytest.raises(RemoteError):
            await ask(asked)
    assert asked.circuit_state == "open"


async def test_a_circuit_opens_asks_nobody_while_it_cools_and_closes_after_successes(ailib_time):
    with use_script(fail("server_error"), fail("overloaded"), "One.", "Two.", "Three.") as script:
        async with await client(circuit_breaker=BREAKER) as asked:
            await broken(asked)
            with pytest.raises(CircuitOpenError) as refused:
                await ask(asked)
            assert refused.value.time_until_retry == 30.0
            assert len(script.calls) == 2

            await asyncio.sleep(29)
            with pytest.raises(CircuitOpenError) as refused:
                await ask(asked)
            assert refused.value.time_until_retry == 1.0

            await asyncio.sleep(1)
            assert await ask(asked) == "One."
            assert asked.circuit_state == "half_open"
            assert await ask(asked) == "Two."
            assert asked.circuit_state == "closed"
            assert await ask(asked) == "Three."
            stats = asked.get_resilience_stats()["circuit_breaker"]

    assert stats == {"state": "closed", "total_requests": 7, "failed_requests": 2, "rejected_requests": 2}
    assert ailib_time.slept == [29.0, 1.0]


async def test_a_failure_while_half_open_opens_the_circuit_again(ailib_time):
    with use_script(*[fail("server_error")] * 3) as script:
        async with await client(circuit_breaker=BREAKER) as asked:
            await broken(asked)
            await asyncio.sleep(30)
            with pytest.raises(RemoteError):
                await ask(asked)
            assert asked.circuit_state == "open"
            with pytest.raises(CircuitOpenError):
                await ask(asked)
            asked.reset_resilience()
            assert asked.circuit_state == "closed"

    assert len(script.calls) == 3


# -------------------------------------------------------------------------------- rate, and concurrency


async def test_a_rate_limit_spaces_calls_after_its_burst(ailib_time):
    config = RateLimiterConfig(requests_per_second=2, burst_size=2)
    with use_script(*["Hi."] * 5):
        async with await client(rate_limit=config) as asked:
            for _ in range(4):
                await ask(asked)
            assert ailib_time.slept == [0.5, 0.5]
            await asyncio.sleep(60)  # the bucket fills up to its burst, and no further
            assert asked.get_resilience_stats()["rate_limiter"] == {
                "available_tokens": 2.0,
                "is_limited": True,
            }
            await ask(asked)

    assert ailib_time.slept == [0.5, 0.5, 60.0]


async def test_an_adaptive_limit_follows_the_headers_of_a_scripted_answer(ailib_time):
    limits = {"x-ratelimit-limit-requests": "20", "x-ratelimit-remaining-requests": "0", "reset": "10s"}
    limiter = AdaptiveRateLimiter(header_config={"requests_reset": "reset"})
    with use_script(fail("rate_limited", headers=limits)) as script:
        async with await client() as asked:
            with pytest.raises(RemoteError):
                await ask(asked)
    limiter.update_from_headers(dict(script.calls[0].response.headers))

    assert limiter.get_server_state() == {"limit": 20, "remaining": 0, "reset": 10.0}
    assert await limiter.acquire() == 0.5
    assert ailib_time.slept == [0.5]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_backpressure_lets_only_so_many_calls_be_under_way(limit):
    # An answer that takes its time, so that calls are under way together if they may.
    with use_script(*[say("Hi.", latency=0.02)] * 5, speed=1):
        asked = await AiClient.builder().model(OPENAI).max_inflight(limit).build()
        async with asked:
            assert await asyncio.gather(*[ask(asked) for _ in range(5)]) == ["Hi."] * 5
            stats = asked.get_resilience_stats()["backpressure"]

    assert (stats["peak_inflight"], stats["total_acquired"]) == (limit, 5)
    assert asked.current_inflight == 0


async def test_who_waits_too_long_for_its_turn_is_rejected_without_a_call(tmp_path: Path):
    config = ResilientConfig(backpressure=BackpressureConfig(max_concurrent=1, queue_timeout=0.01))
    gate = Gate()
    reply = Reply.json(wires.openai_chat("Hi."), hold=gate)
    with Server(reply) as server, use_cassette(tmp_path / "hi.yaml", record="once") as cassette:
        builder = AiClient.builder().model(OPENAI).api_key("sk-made-up-for-a-test")
        async with await builder.base_url(server.url).with_resilience(config).build() as asked:
            first = asyncio.create_task(ask(asked))
            await asyncio.to_thread(server.wait_for_requests)
            with pytest.raises(BackpressureError):
                await ask(asked)
            gate.open()
            assert await first == "Hi."

    assert len(cassette.calls) == len(server.requests) == 1


async def test_the_defaults_for_production_work_together(ailib_time):
    with use_script(fail("rate_limited", retry_after=3), "Hi there."):
        async with await AiClient.builder().model(OPENAI).production_ready().build() as asked:
            assert asked.is_resilient
            assert await ask(asked) == "Hi there."
            assert asked.circuit_state == "closed"

    assert ailib_time.slept == [3.0]


# -------------------------------------------------------------------------------------------- fallbacks


async def test_where_one_provider_fails_the_next_one_answers():
    with use_script("Hi from B.") as script:
        script.when(model=OPENAI).turns(fail("overloaded"))
        async with await client(OPENAI, ANTHROPIC) as asked:
            assert await ask(asked) == "Hi from B."

    assert [call.request.host for call in script.calls] == ["api.openai.com", "api.anthropic.com"]
    assert [request.prompt for request in script.requests] == ["Hello", "Hello"]


async def test_each_provider_is_tried_in_order_with_a_key_of_its_own():
    last = "deepseek/deepseek-chat"
    with use_script(fail("quota_exhausted"), fail("connection"), "Hi from C.") as script:
        builder = AiClient.builder().model(OPENAI).with_fallbacks([ANTHROPIC, last])
        builder.api_key("key-a").api_key_for(ANTHROPIC, "key-b").api_key_for(last, "key-c")
        async with await builder.build() as asked:
            assert await ask(asked) == "Hi from C."

    first, second, third = (call.request for call in script.calls)
    assert first.header("authorization") == "Bearer key-a"
    assert second.header("x-api-key") == "key-b"
    assert third.header("authorization") == "Bearer key-c"


async def test_what_is_wrong_with_the_request_is_not_asked_of_another_provider():
    with use_script(fail("invalid_request")) as script:
        async with await client(OPENAI, ANTHROPIC) as asked:
            with pytest.raises(RemoteError) as error:
                await ask(asked)

    assert error.value.status_code == 400
    assert len(script.calls) == 1


async def test_retries_come_before_the_fallback(ailib_time):
    with use_script("Hi from B.") as script:
        script.when(model=OPENAI).turns(fail("overloaded"), fail("overloaded"))
        config = RetryConfig(max_retries=1, jitter=JitterStrategy.NONE)
        async with await client(OPENAI, ANTHROPIC, retry=config) as asked:
            assert await ask(asked) == "Hi from B."

    assert ailib_time.slept == [1.0]
    assert [request.model for request in script.requests] == [OPENAI, OPENAI, ANTHROPIC]


async def test_a_chain_by_hand_tells_who_answered_and_why_the_others_did_not():
    with use_script(fail("server_error"), "Hi from B.") as script:
        async with await client(OPENAI) as one, await client(ANTHROPIC) as other:
            chain = FallbackChain()
            chain.add_target("A", lambda: ask(one), weight=2).add_target("B", lambda: ask(other))
            result = await chain.execute()

    assert (result.value, result.target_used, result.targets_tried) == ("Hi from B.", "B", ["A", "B"])
    assert result.errors["A"].status_code == 500
    assert len(script.calls) == 2

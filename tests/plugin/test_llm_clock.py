"""The fixture `llm_clock`: sleeps of one test, of whatever kind it is, and of no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import wires
from tests.loopback import Reply, Server
from tests.plugin.conftest import AGENT

if TYPE_CHECKING:
    import pytest

    from tests.plugin.conftest import Project


def test_every_sleep_of_a_test_is_instant_and_listed(project: Project) -> None:
    project.tests(
        """
        import asyncio
        import time
        import anyio

        pause = time.sleep

        @pytest.fixture
        def waiting(llm_clock):
            time.sleep(10_000)

        def test_sync(waiting, llm_clock):
            time.sleep(20_000)
            assert llm_clock.slept == [10_000, 20_000]
            assert llm_clock.now == llm_clock.total == 30_000

        def test_by_name(llm_clock):
            pause(10_000)
            assert llm_clock.slept == [10_000]

        @pytest.mark.asyncio
        async def test_async(llm_clock):
            await asyncio.gather(asyncio.sleep(10_000), anyio.sleep(20_000))
            assert llm_clock.slept == [10_000, 20_000]

        @pytest.mark.anyio
        async def test_anyio(llm_clock, anyio_backend_name):
            await anyio.sleep(10_000)
            assert llm_clock.slept == [10_000]

        def test_it_is_over(request):
            assert type(time.sleep).__name__ == "builtin_function_or_method"
            assert pause is time.sleep
        """
    )

    project.run("-p", "no:randomly").assert_outcomes(passed=6)


def test_retries_are_recorded_and_replayed_without_their_waits(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    busy = Reply.json(wires.openai_error(429), 429, headers={"retry-after": "7"})
    answers = [busy, busy, Reply.json(wires.openai_chat("re hi"))]
    with Server(answers) as provider:
        project.write("agent.py", AGENT.format(url=provider.url))
        project.tests(
            """
            @pytest.mark.llm_cassette
            def test_it(llm_clock):
                assert ask_openai("hi") == "re hi"
                assert llm_clock.slept == [7, 7]
            """
        )

        project.record()
        project.run().assert_outcomes(passed=1)

    assert len(provider.requests) == 3


def test_without_the_fixture_the_module_is_not_even_imported(project: Project) -> None:
    project.tests(
        """
        import sys

        def test_it():
            assert "llmreplay.clock" not in sys.modules
        """
    )

    project.run_alone().assert_outcomes(passed=1)

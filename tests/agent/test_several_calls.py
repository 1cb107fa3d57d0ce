"""Several tools in one turn: their order, how many run at once, and that all of them count or none."""

from __future__ import annotations

import threading

import anyio
import pytest

from llmreplay import Agent, ScriptedModel, call, say, tool, turn
from llmreplay.agent import Hook, PromptCancelled, Stop
from llmreplay.errors import ScriptExhausted
from llmreplay.script import Script

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def cities(*names: str, then: str = "Done.", tool_name: str = "look") -> ScriptedModel:
    calls = [call(tool_name, city=name, id=f"call_{name}") for name in names]
    return ScriptedModel(turn(*calls), say(then), unused="ignore")


class Crew:
    """An async tool that notes who is at work, and ends in the order that it is told."""

    def __init__(self, *, together: int) -> None:
        self.together, self.at_work, self.most = together, 0, 0
        self.started: list[str] = []
        self.ended: list[str] = []
        self._all_here = anyio.Event()

    async def look(self, city: str) -> str:
        """Look at a city; those at work wait for each other, and the last to come leaves first."""
        self.started.append(city)
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        if len(self.started) % self.together == 0:
            done, self._all_here = self._all_here, anyio.Event()
            done.set()
        else:
            await self._all_here.wait()
        self.ended.append(city)
        self.at_work -= 1
        return f"seen {city}"


@BACKENDS
def test_results_are_told_in_the_order_of_the_calls(backend):
    model = cities("Paris", "Rome", "Oslo", "Bern")

    async def main() -> Crew:
        crew = Crew(together=2)
        await Agent(model, tools=[crew.look], max_turns=2, tool_concurrency=2).prompt("Look.")
        return crew

    crew = anyio.run(main, backend=backend)
    assert crew.started == ["Paris", "Rome", "Oslo", "Bern"]
    assert crew.ended[:2] == ["Rome", "Paris"]
    assert crew.most == 2
    (message,) = [message for message in model.requests[1].messages if message.role == "tool"]
    assert [result.text for result in message.tool_results] == [
        "seen Paris",
        "seen Rome",
        "seen Oslo",
        "seen Bern",
    ]


@pytest.mark.parametrize("limit", [0, 1])
async def test_tools_run_one_after_the_other_unless_told_otherwise(limit):
    crew = Crew(together=1)

    await Agent(
        cities("Paris", "Rome", "Oslo"), tools=[crew.look], max_turns=2, tool_concurrency=limit
    ).prompt("Go.")

    assert crew.most == 1
    assert crew.ended == ["Paris", "Rome", "Oslo"]


async def test_sync_functions_run_at_the_same_time_in_threads():
    barrier = threading.Barrier(3, timeout=20)

    def look(city: str) -> str:
        barrier.wait()
        return str(threading.get_ident())

    model = cities("Paris", "Rome", "Oslo")

    await Agent(model, tools=[look], max_turns=2, tool_concurrency=3).prompt("Go.")

    assert len({result.text for result in model.requests[1].tool_results}) == 3


async def test_equal_ids_are_answered_in_the_order_of_the_calls():
    script = Script(
        turn(call("look", city="Paris", id="x"), call("look", city="Rome", id="x")),
        say("Done."),
        strict=False,
    )
    model = ScriptedModel(script)

    await Agent(model, tools=[Crew(together=1).look], max_turns=2).prompt("Go.")

    results = model.requests[1].tool_results
    assert [(result.id, result.text) for result in results] == [("x", "seen Paris"), ("x", "seen Rome")]


async def test_one_failure_does_not_keep_the_others_from_running():
    def look(city: str) -> str:
        if city == "Rome":
            raise RuntimeError(city)
        return city

    model = cities("Paris", "Rome", "Oslo")

    await Agent(model, tools=[look], max_turns=2).prompt("Go.")

    assert [result.text for result in model.requests[1].tool_results] == ["Paris", "the tool failed", "Oslo"]
    assert [result.is_error for result in model.requests[1].tool_results] == [False, True, False]


class StopsAt(Hook):
    def __init__(self, *names: str, after: bool = False) -> None:
        self._names, self._after = names, after

    def on_tool_call(self, turn, call):
        return self._said(call) if not self._after else None

    def on_tool_result(self, turn, outcome):
        return self._said(outcome.call) if self._after else None

    def _said(self, call):
        return Stop(f"not {call.arguments['city']}") if call.arguments["city"] in self._names else None


@BACKENDS
def test_a_stop_lets_those_finish_that_run_and_begins_no_more(backend):
    model = cities("Paris", "Rome", "Oslo", "Bern")

    async def main() -> Crew:
        crew = Crew(together=2)
        agent = Agent(model, tools=[crew.look], max_turns=2, tool_concurrency=2)
        with pytest.raises(PromptCancelled) as error:
            await agent.prompt("Go.").hooks(StopsAt("Paris", "Rome", after=True))
        assert error.value.reason == "not Paris"
        assert [message.role for message in error.value.chat_history] == ["user", "assistant"]
        return crew

    crew = anyio.run(main, backend=backend)
    assert crew.started == ["Paris", "Rome"]
    assert crew.ended == ["Rome", "Paris"]
    assert len(model.requests) == 1


async def test_a_stop_before_a_call_keeps_the_results_before_it_from_being_told():
    crew = Crew(together=1)
    events = []

    with pytest.raises(PromptCancelled, match="not Rome"):
        async for event in Agent(
            cities("Paris", "Rome", "Oslo"), tools=[crew.look], max_turns=2, hooks=[StopsAt("Rome", "Oslo")]
        ).stream_prompt("Go."):
            events.append(type(event).__name__)  # noqa: PERF401  what came before the error counts

    assert crew.ended == ["Paris"]
    assert "ToolReturned" not in events


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_refusal_below_a_tool_goes_up_as_it_is(limit):
    inner = Agent(ScriptedModel(unused="ignore"))

    async def look(city: str) -> str:
        return await inner.prompt(city)

    with pytest.raises(ScriptExhausted):
        await Agent(cities("Paris", "Rome"), tools=[look], max_turns=2, tool_concurrency=limit).prompt("Go.")


@BACKENDS
def test_tools_at_work_are_cancelled_with_the_task(backend):
    left: list[str] = []

    async def main() -> None:
        here = anyio.Event()

        @tool
        async def look(city: str) -> str:
            try:
                if city == "Rome":
                    here.set()
                await anyio.sleep_forever()
            finally:
                left.append(city)
            return city

        history: list = []
        agent = Agent(cities("Paris", "Rome"), tools=[look], max_turns=2, tool_concurrency=2)
        async with anyio.create_task_group() as group:

            async def run() -> None:
                await agent.chat("Go.", history)

            group.start_soon(run)
            await here.wait()
            group.cancel_scope.cancel()
        assert history == []

    anyio.run(main, backend=backend)
    assert sorted(left) == ["Paris", "Rome"]

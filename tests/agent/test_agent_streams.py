"""Prompts that are told while they run: the same as those awaited; they can be paused and cancelled."""

from __future__ import annotations

import anyio
import pytest

from llmreplay import Agent, CompletionError, Message, ScriptedModel, Usage, call, cut, fail, say, tool, turn
from llmreplay.agent import (
    AgentStream,
    CallCompleted,
    CompletionFailed,
    Hook,
    ModelEvent,
    PromptError,
    Retry,
    RunFinished,
    ToolCommitted,
    ToolReturned,
    TurnRetried,
)
from llmreplay.completion import (
    ContentReceived,
    Final,
    Image,
    ReasoningDelta,
    ResponseError,
    StreamError,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    UnknownEvent,
    told,
)
from llmreplay.model import EventStream

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"20 °C in {city}"


def weather_model(**options) -> ScriptedModel:
    return ScriptedModel(
        turn(
            say("Let me look.", reasoning="Weather?"),
            call("get_weather", city="Paris", id="call_1"),
            usage=Usage(input_tokens=40, output_tokens=8),
        ),
        say("It is warm.", id="msg_2", usage=Usage(input_tokens=60, output_tokens=5)),
        **options,
    )


def agent(model) -> Agent:
    return Agent(model, tools=[get_weather], max_turns=2)


class Told:
    """A model of one's own that tells these events."""

    def __init__(self, *events) -> None:
        self.events, self.closed = events, 0

    async def completion(self, request):
        raise NotImplementedError

    async def stream(self, request):
        try:
            for event in self.events:
                yield event
        finally:
            self.closed += 1


async def test_everything_is_told_in_order():
    events = [event async for event in agent(weather_model()).stream_prompt("How is Paris?")]

    kinds = [type(event) for event in events if not isinstance(event, ModelEvent)]
    assert kinds == [CallCompleted, ToolCommitted, ToolReturned, CallCompleted, RunFinished]
    assert [event.turn for event in events if isinstance(event, CallCompleted)] == [0, 1]
    (committed,) = [event for event in events if isinstance(event, ToolCommitted)]
    assert committed.tool_call.arguments == {"city": "Paris"}
    said = [event.event for event in events if isinstance(event, ModelEvent) and event.turn == 0]
    firsts = [kind for place, kind in enumerate(map(type, said)) if kind not in map(type, said[:place])]
    wanted = {ReasoningDelta, TextDelta, ToolCallStart, ToolCallDelta, ToolCallEnd, Final}
    assert [kind for kind in firsts if kind in wanted] == [
        ReasoningDelta,
        TextDelta,
        ToolCallStart,
        ToolCallDelta,
        ToolCallEnd,
        Final,
    ]
    text = "".join(event.text for event in said if isinstance(event, TextDelta))
    assert text == "Let me look."


async def test_a_stream_has_the_answer_at_its_end():
    async with agent(weather_model()).stream_prompt("How is Paris?") as events:
        assert events.response is None
        async for _ in events:
            pass

    assert events.response == await agent(weather_model()).prompt("How is Paris?").extended_details()


async def test_a_streamed_chat_adds_to_the_history_at_its_end():
    streamed: list[Message] = []
    awaited: list[Message] = []
    sizes = set()

    async for event in agent(weather_model()).stream_chat("How is Paris?", streamed):
        if not isinstance(event, RunFinished):
            sizes.add(len(streamed))
    await agent(weather_model()).chat("How is Paris?", awaited)

    assert sizes == {0}
    assert streamed == awaited
    assert len(streamed) == 4


async def test_events_that_have_no_word_and_contents_of_all_kinds_pass_through():
    image = Image(data="aGk=")
    answer = next(event for event in told(say("ab").response()) if isinstance(event, Final)).response
    answer = answer.model_copy(update={"choice": [Text(text="a"), image, Text(text="b")]})
    events = [
        TextDelta(text="a"),
        UnknownEvent(name="ping", data={"n": 1}),
        ContentReceived(content=image),
        TextDelta(text="b"),
        Final(response=answer),
        Final(response=say("another").response()),
    ]
    model = Told(*events)

    async with Agent(model).stream_prompt("Hi.") as stream:
        heard = [event.event async for event in stream if isinstance(event, ModelEvent)]

    assert heard == events
    assert stream.response.output == "ab"
    assert stream.response.content == [Text(text="a"), image, Text(text="b")]
    assert model.closed == 1


async def test_an_error_that_a_stream_survives_is_told_and_nothing_more():
    problem = StreamError(error=ResponseError("a frame could not be read"))

    stream = Agent(Told(problem, *told(say("Hello.").response()))).stream_prompt("Hi.")

    heard = [event async for event in stream]
    assert heard[0] == ModelEvent(0, problem)
    assert stream.response.output == "Hello."


@pytest.mark.parametrize("after", [0, 1])
async def test_a_stream_without_an_end_is_an_error(after):
    model = Told(*[TextDelta(text="Hel")] * after)
    history: list[Message] = []

    with pytest.raises(CompletionFailed) as error:
        await Agent(model).stream_chat("Hi.", history).text()

    assert error.value.completion_error.kind == "stream_truncated"
    assert error.value.retryable
    assert history == []
    assert model.closed == 1


async def test_a_stream_that_only_tells_its_error_fails_with_it():
    error = ResponseError("nothing came")

    with pytest.raises(CompletionFailed) as failed:
        await Agent(Told(StreamError(error=error))).stream_prompt("Hi.").text()

    assert failed.value.completion_error is error


@pytest.mark.parametrize(
    "fault",
    [
        fail(429),
        fail("connection"),
        fail("overloaded", during=say("One two three four."), after=2),
        cut(say("One two three four."), after=2),
        cut(say("One two three four."), after=2, how="end"),
    ],
    ids=["status", "connection", "in the stream", "cut", "ends early"],
)
async def test_a_stream_that_fails_has_no_final_and_no_answer(fault):
    stream = Agent(ScriptedModel(fault)).stream_prompt("Hi.")
    heard = []

    with pytest.raises(CompletionFailed) as failed:
        async for event in stream:
            heard.append(event)  # noqa: PERF401  what came before the error counts

    assert isinstance(failed.value.__cause__, CompletionError)
    assert not any(isinstance(event, ModelEvent) and isinstance(event.event, Final) for event in heard)
    assert not any(isinstance(event, RunFinished | CallCompleted) for event in heard)
    assert stream.response is None
    assert failed.value.usage == Usage()


async def test_a_turn_that_is_retried_is_told():
    class Once(Hook):
        def on_model_turn_finished(self, turn, response):
            return Retry("Again.") if turn == 0 else None

    stream = Agent(ScriptedModel(say("One."), say("Two.")), max_turns=2, hooks=[Once()]).stream_prompt("Hi.")

    assert [event.turn async for event in stream if isinstance(event, TurnRetried)] == [0]


@BACKENDS
def test_a_stream_of_an_agent_is_one_as_that_of_a_model_is(backend):
    async def main() -> AgentStream:
        model = weather_model(unused="ignore")
        assert isinstance(model.stream(model.completion_request("Hi.").build()), EventStream)
        events = await agent(weather_model(unused="ignore")).stream_prompt("How is Paris?")
        assert isinstance(events, EventStream)
        await events.aclose()
        assert [event async for event in events] == []
        return events

    assert anyio.run(main, backend=backend).response is None


@BACKENDS
def test_a_cancelled_stream_ends_without_an_answer(backend):
    history: list[Message] = []

    async def main() -> AgentStream:
        model = weather_model(unused="ignore")
        async with agent(model).stream_chat("How is Paris?", history) as events:
            heard = 0
            async for event in events:
                heard += 1
                if isinstance(event, ModelEvent) and isinstance(event.event, TextDelta):
                    events.cancel()
                    count = heard
            assert heard == count
        assert len(model.requests) == 1
        return events

    assert anyio.run(main, backend=backend).response is None
    assert history == []


@BACKENDS
def test_another_task_can_cancel_a_stream_that_waits_for_a_tool(backend):
    left = []

    async def main() -> None:
        here = anyio.Event()

        async def get_weather(city: str) -> str:
            here.set()
            try:
                await anyio.sleep_forever()
            finally:
                left.append(city)
            return city

        stream = Agent(weather_model(unused="ignore"), tools=[get_weather], max_turns=2).stream_prompt("Go.")
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await here.wait()
                stream.cancel()

            group.start_soon(cancel)
            kinds = [type(event) async for event in stream]
        assert kinds[-1] is CallCompleted
        assert stream.response is None
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    anyio.run(main, backend=backend)
    assert left == ["Paris"]


@BACKENDS
def test_a_paused_stream_goes_on_when_it_is_resumed(backend):
    async def main() -> None:
        heard = []
        stream = agent(weather_model()).stream_prompt("How is Paris?")
        heard.append(await anext(stream))
        stream.pause()
        stream.pause()
        assert stream.paused
        async with anyio.create_task_group() as group:

            async def resume() -> None:
                await anyio.wait_all_tasks_blocked()
                assert len(heard) == 1
                stream.resume()

            group.start_soon(resume)
            async for event in stream:
                heard.append(event)  # noqa: PERF401  the other task looks at it
        assert not stream.paused
        assert stream.response.output == "It is warm."

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_paused_stream_can_be_cancelled(backend):
    async def main() -> None:
        stream = agent(weather_model(unused="ignore")).stream_prompt("How is Paris?")
        await anext(stream)
        stream.pause()
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await anyio.wait_all_tasks_blocked()
                stream.cancel()

            group.start_soon(cancel)
            assert [event async for event in stream] == []
        assert stream.response is None

    anyio.run(main, backend=backend)


async def test_a_stream_that_is_left_lets_go_of_the_model():
    model = Told(*told(say("One two three.").response()))

    async with Agent(model).stream_prompt("Hi.") as stream:
        await anext(stream)

    assert model.closed == 1
    assert [event async for event in stream] == []


def test_a_stream_needs_no_async():
    events = list(agent(weather_model()).stream_prompt_sync("How is Paris?"))

    assert isinstance(events[-1], RunFinished)
    assert events[-1].response.output == "It is warm."


def test_a_stream_without_async_raises_what_the_other_does():
    with pytest.raises(PromptError):
        list(Agent(ScriptedModel(fail(500))).stream_prompt_sync("Hi."))

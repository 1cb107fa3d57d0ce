"""A run as a value: driven by hand, stored with tools pending, and gone on with elsewhere."""

from __future__ import annotations

import pytest

from llmreplay import (
    Agent,
    CompletionResponse,
    Message,
    ScriptedModel,
    ToolCall,
    Usage,
    call,
    fail,
    say,
    turn,
)
from llmreplay.agent import (
    AgentRun,
    CallModel,
    CallTools,
    CompletionFailed,
    Done,
    Hook,
    ListMemory,
    MaxTurnsError,
    RequestPatch,
    RunSettings,
    Skip,
    UnknownToolCall,
)
from llmreplay.completion import CompletionRequest, Text, ToolDefinition, ToolResult
from llmreplay.errors import OptionError

LOOK = ToolDefinition(name="look", parameters={"type": "object"})


def settings(**changes) -> RunSettings:
    return RunSettings(**{"request": CompletionRequest(messages=[], tools=[LOOK]), "max_turns": 3, **changes})


def calls(*ids: str, name: str = "look") -> CompletionResponse:
    asked = [ToolCall(id=one, name=name, arguments={"city": one}) for one in ids]
    return CompletionResponse(choice=asked, usage=Usage(input_tokens=5))


def answer(text: str) -> CompletionResponse:
    return CompletionResponse(choice=[Text(text=text)], usage=Usage(output_tokens=7))


def result(call_id: str, text: str) -> ToolResult:
    return ToolResult(id=call_id, content=[Text(text=text)])


def again(run: AgentRun) -> AgentRun:
    return AgentRun.model_validate_json(run.model_dump_json())


def test_a_run_says_what_is_next_as_often_as_it_is_asked():
    run = AgentRun.start("Go.", settings(preamble="Be brief."))

    first = run.next_step()
    assert first == run.next_step() == CallModel(0, first.request)
    assert first.request.system == "Be brief."

    run.answered(calls("a", "b"))
    step = run.next_step()
    assert step == run.next_step()
    assert (step.turn, [one.id for one in step.calls]) == (0, ["a", "b"])

    run.returned([result("b", "B"), result("a", "A")])
    second = run.next_step()
    assert isinstance(second, CallModel)
    assert [one.text for one in second.request.tool_results] == ["A", "B"]

    run.answered(answer("Done."))
    done = run.next_step()
    assert done == run.next_step()
    assert isinstance(done, Done)
    assert done.response.output == "Done."
    assert done.response.usage == Usage(input_tokens=5, output_tokens=7)
    assert [message.role for message in done.response.messages] == ["user", "assistant", "tool", "assistant"]


def test_a_run_can_be_stored_and_read_at_every_step():
    stored, kept = (
        AgentRun.start("Go.", settings(), history=[Message.user("Hi.")]),
        AgentRun.start("Go.", settings(), history=[Message.user("Hi.")]),
    )
    moves = [
        lambda run: run.patched(RequestPatch(preamble="Shout.")),
        lambda run: run.answered(calls("a", "b")),
        lambda run: run.next_step(),
        lambda run: run.returned([result("a", "A"), result("b", "B")]),
        lambda run: run.answered(answer("Done.")),
        lambda run: run.next_step(),
    ]
    for move in moves:
        move(kept)
        move(stored)
        stored = again(stored)
        assert stored == kept
        assert stored.next_step() == kept.next_step()
    assert stored.next_step().response.output == "Done."


async def test_a_stored_run_goes_on_with_tools_pending():
    script = [
        call("look", city="Paris", id="a", usage=Usage(input_tokens=5)),
        say("Done.", usage=Usage(output_tokens=7)),
    ]
    model = ScriptedModel(*script)
    asked: list[str] = []

    def look(city: str) -> str:
        asked.append(city)
        return f"seen {city}"

    agent = Agent(model, tools=[look], max_turns=2)
    run = agent.start("Go.", history=[Message.user("Hi."), Message.assistant("Hello.")])
    run.answered(await model.completion(run.next_step().request))
    assert isinstance(run.next_step(), CallTools)
    text = run.model_dump_json()
    assert asked == []

    elsewhere = Agent(model, tools=[look])
    details = await elsewhere.resume(AgentRun.model_validate_json(text)).extended_details()

    assert asked == ["Paris"]
    assert details.output == "Done."
    assert details.usage == Usage(input_tokens=5, output_tokens=7)
    assert [message.role for message in details.messages] == ["user", "assistant", "tool", "assistant"]
    assert len(model.requests[1].messages) == 5


@pytest.mark.parametrize("streamed", [False, True], ids=["blocking", "streaming"])
async def test_pending_tools_may_be_answered_by_whoever_has_the_answer(streamed):
    model = ScriptedModel(call("ask_a_person", question="May I?", id="a"), say("Thank you."))

    def ask_a_person(question: str) -> str:
        raise AssertionError(question)

    agent = Agent(model, tools=[ask_a_person], max_turns=2)
    run = agent.start("Go.")
    run.answered(await model.completion(run.next_step().request))
    run = again(run)
    (pending,) = run.next_step().calls
    run.returned([result(pending.id, "You may.")])

    request = agent.resume(run)
    assert await (request.stream().text() if streamed else request) == "Thank you."

    assert model.requests[1].tool_results[0].text == "You may."
    assert model.requests[1].tool_results[0].name == "ask_a_person"


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "b", "c"], ["a", "a"], ["a", "x"]], ids=str)
def test_every_pending_call_is_answered_once(ids):
    run = AgentRun.start("Go.", settings())
    run.answered(calls("a", "b"))
    run.next_step()

    with pytest.raises(OptionError, match="one result for each of the calls 'a', 'b'"):
        run.returned([result(one, "x") for one in ids])

    assert isinstance(run.next_step(), CallTools)


def test_equal_ids_are_answered_in_the_order_of_the_calls():
    run = AgentRun.start("Go.", settings())
    run.answered(calls("a", "b", "a"))
    run.next_step()

    run.returned([result("a", "first"), result("a", "second"), result("b", "B")])

    assert [one.text for one in run.next_step().request.tool_results] == ["first", "B", "second"]


async def test_a_call_that_failed_can_be_made_again_without_running_the_tools_again():
    asked: list[str] = []

    def look(city: str) -> str:
        asked.append(city)
        return city

    agent = Agent(
        ScriptedModel(call("look", city="Paris"), fail(529), say("Done.")), tools=[look], max_turns=3
    )
    run = agent.start("Go.")

    with pytest.raises(CompletionFailed) as error:
        await agent.resume(run)
    assert error.value.retryable

    assert await agent.resume(run) == "Done."
    assert asked == ["Paris"]
    assert run.turn == 3
    assert [one.call_index for one in run.calls] == [0, 2]


async def test_a_failed_call_is_a_turn_too():
    agent = Agent(ScriptedModel(fail(529)))
    run = agent.start("Go.")

    with pytest.raises(CompletionFailed):
        await agent.resume(run)
    with pytest.raises(MaxTurnsError):
        await agent.resume(run)


async def test_a_run_that_is_done_gives_its_answer_again():
    agent = Agent(ScriptedModel(say("Done.")))
    run = agent.start("Go.", max_turns=1)

    assert [await agent.resume(run), await agent.resume(run)] == ["Done.", "Done."]


async def test_a_tool_that_the_agent_does_not_have_any_more_is_told_to_the_model():
    model = ScriptedModel(call("look", city="Paris", id="a"), say("Pity."))

    def look(city: str) -> str:
        return city

    run = Agent(model, tools=[look], max_turns=2).start("Go.")

    assert await Agent(model).resume(run) == "Pity."

    (told,) = model.requests[1].tool_results
    assert (told.text, told.is_error) == ("tool `look` not found", True)


def test_the_settings_of_a_run_are_its_own():
    agent = Agent(ScriptedModel(), max_turns=2)

    with pytest.raises(OptionError, match="a run keeps its settings"):
        agent.resume(agent.start("Go.")).max_turns(5)


def test_an_unresolved_invalid_call_fails_however_often_it_is_asked():
    run = AgentRun.start("Go.", settings())
    run.answered(calls("a", name="fly"))

    for one in (run, again(run)):
        with pytest.raises(UnknownToolCall) as error:
            one.next_step()
        assert [message.role for message in error.value.chat_history] == ["user", "assistant"]
        assert one.invalid.call.name == "fly"

    run.resolve(Skip("no"))
    assert run.invalid is None
    assert isinstance(run.next_step(), CallModel)


@pytest.mark.parametrize(
    "move",
    [
        lambda run: run.returned([]),
        lambda run: run.retry("x"),
        lambda run: run.resolve(Skip("x")),
        lambda run: (run.answered(answer("a")), run.answered(answer("b"))),
    ],
    ids=["results", "a retry", "a resolution", "a second answer"],
)
def test_what_the_run_does_not_wait_for_is_refused(move):
    run = AgentRun.start("Go.", settings())

    with pytest.raises(OptionError, match="expected a run"):
        move(run)


async def test_a_conversation_of_a_memory_is_kept_once_however_often_its_run_is_resumed():
    memory = ListMemory()
    agent = Agent(ScriptedModel(say("Done.")), memory=memory)
    run = AgentRun.start("Go.", settings(), conversation="home")

    await agent.resume(run)
    await agent.resume(run)

    assert [message.text for message in memory.conversations["home"]] == ["Go.", "Done."]


async def test_the_same_run_is_told_in_pieces_as_a_stream():
    class Never(Hook):
        def on_completion_call(self, turn, request):
            raise AssertionError("the answer is there already")

    agent = Agent(ScriptedModel(say("Done.")))
    run = agent.start("Go.")
    await agent.resume(run)

    assert await agent.resume(run).hooks(Never()).stream().text() == "Done."


def test_reasoning_of_a_turn_goes_back_with_its_calls():
    run = AgentRun.start("Go.", settings())
    spoken = turn(call("look", city="Paris", reasoning="Let me see."))
    run.answered(spoken.response())
    run.next_step()
    run.returned([result("", "A")])

    assert [one.type for one in run.next_step().request.messages[1].content] == ["reasoning", "tool_call"]

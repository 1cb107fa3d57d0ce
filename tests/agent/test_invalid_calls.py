"""Calls that the model may not make: tools that do not exist, and those that it may not use now."""

from __future__ import annotations

import pytest

from llmreplay import Agent, ScriptedModel, Usage, call, say, turn
from llmreplay.agent import (
    Continue,
    Fail,
    Hook,
    MaxTurnsError,
    PromptCancelled,
    Repair,
    RequestPatch,
    Retry,
    Skip,
    Stop,
    UnknownToolCall,
)
from llmreplay.completion import ToolChoice

PEER = "Tool not executed because another tool call in the same assistant turn was invalid."
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["blocking", "streaming"])


class Crew:
    """Two tools that note what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def look(self, city: str) -> str:
        self.asked.append(f"look {city}")
        return f"seen {city}"

    def book(self, city: str) -> str:
        self.asked.append(f"book {city}")
        return f"booked {city}"

    @property
    def tools(self) -> list:
        return [self.look, self.book]


class Says(Hook):
    def __init__(self, *outcomes) -> None:
        self._outcomes, self.asked = list(outcomes), []

    async def on_invalid_tool_call(self, turn, invalid):
        self.asked.append(invalid)
        return self._outcomes.pop(0)


def model(*turns) -> ScriptedModel:
    return ScriptedModel(*turns, strict_except=["tool-not-offered"], unused="ignore")


async def answer(request, *, streamed: bool) -> str:
    return await (request.stream().text() if streamed else request)


WRONG = turn(
    call("look", city="Paris", id="1"), call("fly", city="Rome", id="2"), usage=Usage(input_tokens=9)
)


@STREAMED
async def test_an_unknown_tool_ends_the_run_before_any_tool_ran(streamed):
    crew = Crew()

    with pytest.raises(UnknownToolCall) as error:
        await answer(Agent(model(WRONG), tools=crew.tools, max_turns=2).prompt("Go."), streamed=streamed)

    assert crew.asked == []
    failed = error.value
    assert (failed.tool_name, failed.available_tools, failed.allowed_tools) == (
        "fly",
        ["look", "book"],
        ["look", "book"],
    )
    assert [message.role for message in failed.chat_history] == ["user", "assistant"]
    assert failed.usage.total_tokens == 9
    assert str(failed) == "the model calls the tool 'fly'; allowed are: look, book"


@STREAMED
@pytest.mark.parametrize("outcome", [None, Continue(), Fail()], ids=str)
async def test_a_hook_may_leave_it_at_that(outcome, streamed):
    hook = Says(outcome)

    with pytest.raises(UnknownToolCall):
        await answer(
            Agent(model(WRONG), tools=Crew().tools, max_turns=2, hooks=[hook]).prompt("Go."),
            streamed=streamed,
        )

    (invalid,) = hook.asked
    assert (invalid.call.name, [peer.name for peer in invalid.peers]) == ("fly", ["look"])
    assert invalid.allowed_tools == invalid.available_tools == ("look", "book")


@STREAMED
async def test_a_retry_tells_the_model_and_asks_again(streamed):
    crew, said = Crew(), model(WRONG, call("look", city="Oslo"), say("Done."))
    agent = Agent(said, tools=crew.tools, max_turns=3, max_invalid_tool_call_retries=1)

    request = agent.prompt("Go.").hooks(Says(Retry("there is no flight")))
    assert await answer(request, streamed=streamed) == "Done."

    assert crew.asked == ["look Oslo"]
    assert [message.role for message in said.requests[1].messages] == ["user", "assistant", "tool"]
    assert [(one.id, one.text, one.is_error) for one in said.requests[1].tool_results] == [
        ("1", PEER, True),
        ("2", "there is no flight", True),
    ]


async def test_a_retried_turn_counts_as_a_turn_and_is_paid_for():
    agent = Agent(
        model(WRONG, say("Done.")), tools=Crew().tools, max_invalid_tool_call_retries=1, hooks=[Says(Retry())]
    )

    details = await agent.prompt("Go.", max_turns=2).extended_details()

    assert details.requests == 2
    assert details.usage.input_tokens == 9
    assert details.messages[2].tool_results[1].text == "tool `fly` cannot be called; these can: look, book"


async def test_a_retry_needs_a_turn_that_is_left():
    agent = Agent(
        model(WRONG), tools=Crew().tools, max_invalid_tool_call_retries=1, hooks=[Says(Retry("no"))]
    )

    with pytest.raises(MaxTurnsError):
        await agent.prompt("Go.")


@pytest.mark.parametrize("allowed", [0, 1])
async def test_there_are_no_more_retries_than_are_allowed(allowed):
    said = model(*[WRONG] * 3)
    agent = Agent(said, tools=Crew().tools, max_turns=9, max_invalid_tool_call_retries=allowed)

    with pytest.raises(UnknownToolCall):
        await agent.prompt("Go.").hooks(Says(*[Retry("no")] * 3))

    assert len(said.requests) == allowed + 1


@STREAMED
async def test_a_call_can_be_taken_for_that_of_another_tool(streamed):
    crew, said = Crew(), model(WRONG, say("Done."))
    agent = Agent(said, tools=crew.tools, max_turns=2)

    assert await answer(agent.prompt("Go.").hooks(Says(Repair("book"))), streamed=streamed) == "Done."

    assert crew.asked == ["look Paris", "book Rome"]
    assert [one.name for one in said.requests[1].messages[1].tool_calls] == ["look", "book"]
    assert [(one.name, one.text) for one in said.requests[1].tool_results] == [
        ("look", "seen Paris"),
        ("book", "booked Rome"),
    ]


async def test_a_repair_is_held_to_the_same_rule():
    crew = Crew()

    with pytest.raises(UnknownToolCall) as error:
        await Agent(model(WRONG), tools=crew.tools, max_turns=2).prompt("Go.").hooks(Says(Repair("swim")))

    assert error.value.tool_name == "swim"
    assert crew.asked == []


@STREAMED
async def test_a_skipped_call_keeps_all_tools_of_the_turn_from_running(streamed):
    crew, said = Crew(), model(WRONG, say("Done."))
    agent = Agent(said, tools=crew.tools, max_turns=2)

    assert await answer(agent.prompt("Go.").hooks(Says(Skip("not today"))), streamed=streamed) == "Done."

    assert crew.asked == []
    assert [one.text for one in said.requests[1].tool_results] == [PEER, "not today"]


@STREAMED
async def test_an_invalid_call_can_stop_the_run(streamed):
    with pytest.raises(PromptCancelled) as error:
        await answer(
            Agent(model(WRONG), tools=Crew().tools, max_turns=2)
            .prompt("Go.")
            .hooks(Says(Stop("no flights"))),
            streamed=streamed,
        )

    assert error.value.reason == "no flights"


async def test_each_invalid_call_of_a_turn_is_asked_about():
    crew = Crew()
    both = turn(call("fly", city="Rome"), call("swim", city="Oslo"))
    hook = Says(Repair("book"), Repair("look"))

    await Agent(model(both, say("Done.")), tools=crew.tools, max_turns=2, hooks=[hook]).prompt("Go.")

    assert [invalid.call.name for invalid in hook.asked] == ["fly", "swim"]
    assert crew.asked == ["book Rome", "look Oslo"]


async def test_the_first_hook_that_knows_what_to_do_decides():
    crew = Crew()
    silent, repairs, late = Says(None), Says(Repair("book")), Says(Stop("too late"))

    await Agent(
        model(WRONG, say("Done.")), tools=crew.tools, max_turns=2, hooks=[silent, repairs, late]
    ).prompt("Go.")

    assert crew.asked == ["look Paris", "book Rome"]
    assert late.asked == []


@STREAMED
@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        (ToolChoice(mode="none"), []),
        (ToolChoice(mode="specific", names=["book"]), ["book"]),
    ],
    ids=["none", "specific"],
)
async def test_a_tool_that_may_not_be_used_now_is_as_good_as_unknown(choice, allowed, streamed):
    crew = Crew()
    said = model(call("look", city="Paris"))

    with pytest.raises(UnknownToolCall) as error:
        await answer(
            Agent(said, tools=crew.tools, max_turns=2, tool_choice=choice).prompt("Go."), streamed=streamed
        )

    assert said.requests[0].tool_choice == choice
    assert (error.value.available_tools, error.value.allowed_tools) == (["look", "book"], allowed)
    assert crew.asked == []


@pytest.mark.parametrize(
    "choice",
    [ToolChoice(mode="auto"), ToolChoice(mode="required"), ToolChoice(mode="specific", names=["look"])],
    ids=str,
)
async def test_a_tool_that_may_be_used_is_run(choice):
    crew, said = Crew(), model(call("look", city="Paris"), say("Done."))

    assert await Agent(said, tools=crew.tools, max_turns=2, tool_choice=choice).prompt("Go.") == "Done."

    assert [request.tool_choice for request in said.requests] == [choice, choice]
    assert crew.asked == ["look Paris"]


async def test_a_tool_that_a_patch_takes_away_is_not_offered_and_not_allowed():
    class OnlyBook(Hook):
        def on_completion_call(self, turn, request):
            return RequestPatch(active_tools=["book"])

    said = model(call("look", city="Paris"))

    with pytest.raises(UnknownToolCall) as error:
        await Agent(said, tools=Crew().tools, max_turns=2, hooks=[OnlyBook()]).prompt("Go.")

    assert said.requests[0].tool_names == ["book"]
    assert error.value.allowed_tools == ["book"]


async def test_without_tools_every_call_is_unknown():
    with pytest.raises(UnknownToolCall, match="allowed are: none"):
        await Agent(model(call("look", city="Paris")), max_turns=2).prompt("Go.")

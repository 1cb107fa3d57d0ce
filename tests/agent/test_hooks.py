"""Hooks: the nine moments of a run, and what may be said at each."""

from __future__ import annotations

import inspect

import pytest

from llmreplay import Agent, Message, ScriptedModel, call, say, turn
from llmreplay.agent import (
    Continue,
    Hook,
    MaxTurnsError,
    PromptCancelled,
    RequestPatch,
    Retry,
    Rewrite,
    Skip,
    Stop,
    ToolReturned,
)
from llmreplay.completion import Document, Image, ToolChoice
from llmreplay.errors import OptionError

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["blocking", "streaming"])


def get_weather(city: str) -> str:
    return f"20 °C in {city}"


def weather_model(**options) -> ScriptedModel:
    return ScriptedModel(call("get_weather", city="Paris", id="call_1"), say("It is warm."), **options)


async def answer(request, *, streamed: bool) -> str:
    return await (request.stream().text() if streamed else request)


class Notes(Hook):
    """Notes every moment, and says what it was told to."""

    def __init__(self, **says) -> None:
        self._says, self.noted = says, []

    def _note(self, moment, turn, what):
        self.noted.append((moment, turn))
        said = self._says.get(moment)
        return said(turn, what) if callable(said) else said

    def on_completion_call(self, turn, request):
        return self._note("completion_call", turn, request)

    def on_completion_response(self, turn, response):
        return self._note("completion_response", turn, response)

    def on_model_turn_finished(self, turn, response):
        return self._note("model_turn_finished", turn, response)

    def on_invalid_tool_call(self, turn, invalid):
        return self._note("invalid_tool_call", turn, invalid)

    def on_tool_call(self, turn, call):
        return self._note("tool_call", turn, call)

    def on_tool_result(self, turn, outcome):
        return self._note("tool_result", turn, outcome)

    def on_text_delta(self, turn, delta):
        return self._note("text_delta", turn, delta)

    def on_tool_call_delta(self, turn, delta):
        return self._note("tool_call_delta", turn, delta)

    def on_stream_response_finish(self, turn, response):
        return self._note("stream_response_finish", turn, response)


class Async(Hook):
    """Says the same, in its own time."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        async def method(*args):
            return getattr(self._hook, name)(*args)

        return method


MOMENTS = [
    ("completion_call", 0),
    ("completion_response", 0),
    ("model_turn_finished", 0),
    ("tool_call", 0),
    ("tool_result", 0),
    ("completion_call", 1),
    ("completion_response", 1),
    ("model_turn_finished", 1),
]


@pytest.mark.parametrize("kind", [lambda hook: hook, Async], ids=["sync", "async"])
async def test_the_moments_of_a_run_come_in_order(kind):
    notes = Notes()

    await Agent(weather_model(), tools=[get_weather], max_turns=2, hooks=[kind(notes)]).prompt(
        "How is Paris?"
    )

    assert notes.noted == MOMENTS


async def test_a_stream_has_the_same_moments_and_three_of_its_own():
    notes = Notes()

    await (
        Agent(weather_model(), tools=[get_weather], max_turns=2, hooks=[notes])
        .stream_prompt("How is Paris?")
        .text()
    )

    own = {"text_delta", "tool_call_delta", "stream_response_finish"}
    assert [one for one in notes.noted if one[0] not in own] == MOMENTS
    assert {moment for moment, _ in notes.noted} == own | {moment for moment, _ in MOMENTS}
    assert notes.noted.index(("stream_response_finish", 0)) < notes.noted.index(("completion_response", 0))
    assert ("tool_call_delta", 0) in notes.noted
    assert ("text_delta", 1) in notes.noted


def test_there_are_nine_moments():
    moments = [name for name, _ in inspect.getmembers(Hook, inspect.isfunction) if name.startswith("on_")]
    assert len(moments) == 9


@STREAMED
async def test_a_hook_that_says_nothing_changes_nothing(streamed):
    model = weather_model()

    request = Agent(
        model, tools=[get_weather], max_turns=2, hooks=[Hook(), Notes(tool_call=Continue())]
    ).prompt("Hi.")

    assert await answer(request, streamed=streamed) == "It is warm."


@STREAMED
async def test_a_patch_holds_for_one_call_alone(streamed):
    model = weather_model()
    patch = RequestPatch(
        preamble="Shout.",
        temperature=0.9,
        max_tokens=5,
        tool_choice=ToolChoice(mode="required"),
        active_tools=["get_weather"],
        additional_params={"verbosity": "high"},
        extra_context=[Document(data="Paris is in France.", source="text")],
    )
    hook = Notes(completion_call=lambda turn, _: patch if turn == 0 else None)
    agent = Agent(
        model, preamble="Be brief.", tools=[get_weather, len_], max_turns=2, additional_params={"seed": 1}
    )

    await answer(agent.prompt("How is Paris?").hooks(hook), streamed=streamed)

    first, second = model.requests
    assert first.system == "Shout."
    assert (first.temperature, first.max_tokens, first.tool_choice) == (0.9, 5, ToolChoice(mode="required"))
    assert first.tool_names == ["get_weather"]
    assert first.extra == {"seed": 1, "verbosity": "high"}
    assert len(first.documents) == 1
    assert second.system == "Be brief."
    assert (second.temperature, second.max_tokens, second.tool_choice) == (None, None, None)
    assert second.tool_names == ["get_weather", "len_"]
    assert second.extra == {"seed": 1}
    assert second.documents == []


def len_(text: str) -> int:
    return len(text)


async def test_a_patched_history_stands_before_the_message_that_is_sent():
    model = ScriptedModel(say("Fine."))
    hook = Notes(
        completion_call=RequestPatch(history=[Message.user("Forget it."), Message.assistant("Yes.")])
    )

    details = await (
        Agent(model, hooks=[hook]).prompt("And now?").history([Message.user("Secret.")]).extended_details()
    )

    assert [message.text for message in model.requests[0].messages] == ["Forget it.", "Yes.", "And now?"]
    assert [message.text for message in details.messages] == ["And now?", "Fine."]


def test_patches_are_merged_by_these_rules():
    paris, rome = Document(data="Paris", source="text"), Document(data="Rome", source="text")
    first = RequestPatch(
        preamble="a",
        temperature=0.1,
        active_tools=["x", "y"],
        additional_params={"k": 1, "deep": {"a": 1}},
        extra_context=[paris],
        history=[Message.user("a")],
    )
    second = RequestPatch(
        temperature=0.2,
        max_tokens=5,
        active_tools=["y", "z"],
        additional_params={"deep": {"b": 2}},
        extra_context=[rome],
        history=[Message.user("b")],
    )

    assert first | second == RequestPatch(
        preamble="a",
        temperature=0.2,
        max_tokens=5,
        active_tools=["y"],
        additional_params={"k": 1, "deep": {"b": 2}},
        extra_context=[paris, rome],
        history=[Message.user("b")],
    )
    assert first | RequestPatch() == RequestPatch() | first == first
    assert (RequestPatch() | RequestPatch()) == RequestPatch()


async def test_the_patches_of_all_hooks_are_merged_in_their_order():
    model = ScriptedModel(say("Fine."))
    hooks = [
        Notes(completion_call=RequestPatch(preamble="a", max_tokens=1)),
        Notes(completion_call=RequestPatch(preamble="b")),
    ]

    await Agent(model, hooks=hooks).prompt("Hi.")

    assert (model.requests[0].system, model.requests[0].max_tokens) == ("b", 1)


@STREAMED
@pytest.mark.parametrize(
    ("moment", "calls"),
    [
        ("completion_call", 0),
        ("model_turn_finished", 1),
        ("tool_call", 1),
        ("tool_result", 1),
    ],
)
async def test_a_hook_can_stop_the_run_at_these_moments(moment, calls, streamed):
    model, late = weather_model(unused="ignore"), Notes()
    agent = Agent(model, tools=[get_weather], max_turns=2, hooks=[Notes(**{moment: Stop("enough")}), late])

    with pytest.raises(PromptCancelled) as error:
        await answer(agent.prompt("How is Paris?"), streamed=streamed)

    assert error.value.reason == "enough"
    assert error.value.chat_history[0] == Message.user("How is Paris?")
    assert len(model.requests) == calls
    assert (moment, 0) not in late.noted


@pytest.mark.parametrize("moment", ["text_delta", "tool_call_delta"])
async def test_a_delta_can_stop_a_stream(moment):
    model = weather_model(unused="ignore")
    agent = Agent(model, tools=[get_weather], max_turns=2, hooks=[Notes(**{moment: Stop("heard enough")})])

    with pytest.raises(PromptCancelled, match="heard enough"):
        await agent.stream_prompt("How is Paris?").text()


@STREAMED
async def test_an_answer_can_be_asked_for_again_with_feedback(streamed):
    model = ScriptedModel(say("Warm."), say("20 °C."))
    hook = Notes(model_turn_finished=lambda turn, _: Retry("In degrees.") if turn == 0 else None)

    assert (
        await answer(Agent(model, max_turns=2, hooks=[hook]).prompt("How is Paris?"), streamed=streamed)
        == "20 °C."
    )

    assert [message.text for message in model.requests[1].messages] == [
        "How is Paris?",
        "Warm.",
        "In degrees.",
    ]


@STREAMED
async def test_an_answer_can_be_asked_for_again_as_if_it_had_not_been_given(streamed):
    model = ScriptedModel(say("Um."), say("20 °C."))
    hook = Notes(model_turn_finished=lambda turn, _: Retry() if turn == 0 else None)
    history: list[Message] = []

    request = Agent(model, max_turns=2, hooks=[hook]).chat("How is Paris?", history)
    assert await answer(request, streamed=streamed) == "20 °C."

    assert model.requests[0].messages == model.requests[1].messages
    assert [message.text for message in history] == ["How is Paris?", "20 °C."]


async def test_to_ask_again_takes_a_turn():
    model = ScriptedModel(say("Um."))

    with pytest.raises(MaxTurnsError):
        await Agent(model, hooks=[Notes(model_turn_finished=Retry())]).prompt("How is Paris?")


async def test_a_turn_that_calls_tools_cannot_be_asked_for_again():
    agent = Agent(weather_model(unused="ignore"), tools=[get_weather], max_turns=2)

    with pytest.raises(OptionError, match="an answer without tool calls"):
        await agent.prompt("How is Paris?").hooks(Notes(model_turn_finished=Retry()))


@STREAMED
async def test_a_tool_can_be_given_other_arguments(streamed):
    model = weather_model()
    hooks = [
        Notes(tool_call=Rewrite({"city": "Rome"})),
        Notes(tool_call=lambda _, asked: Rewrite({"city": asked.arguments["city"] + "!"})),
    ]

    await answer(Agent(model, tools=[get_weather], max_turns=2, hooks=hooks).prompt("Go."), streamed=streamed)

    assert model.requests[1].tool_results[0].text == "20 °C in Rome!"
    assert model.requests[1].messages[1].tool_calls[0].arguments == {"city": "Paris"}


@STREAMED
async def test_a_skipped_call_is_answered_with_the_reason(streamed):
    model, notes = weather_model(), Notes()

    agent = Agent(model, tools=[get_weather], max_turns=2, hooks=[Notes(tool_call=Skip("not now")), notes])
    await answer(agent.prompt("Go."), streamed=streamed)

    assert model.requests[1].tool_results[0].text == "not now"
    assert ("tool_result", 0) not in notes.noted


async def test_a_skipped_call_leaves_its_peers_alone():
    def it(number: int) -> int:
        return number

    model = ScriptedModel(turn(call("it", number=1), call("it", number=2)), say("Done."))
    hook = Notes(tool_call=lambda _, asked: Skip("no") if asked.arguments["number"] == 1 else None)

    await Agent(model, tools=[it], max_turns=2, hooks=[hook]).prompt("Go.")

    assert [one.text for one in model.requests[1].tool_results] == ["no", "2"]


async def test_what_the_model_reads_can_be_rewritten_and_the_raw_result_stays():
    model = weather_model()
    hooks = [
        Notes(tool_result=Rewrite("it is warm")),
        Notes(tool_result=lambda _, outcome: Rewrite(outcome.result.text.upper())),
    ]
    agent = Agent(model, tools=[get_weather], max_turns=2, hooks=hooks)

    events = [event async for event in agent.stream_prompt("How is Paris?")]

    assert model.requests[1].tool_results[0].text == "IT IS WARM"
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert returned.outcome.output == "20 °C in Paris"
    assert returned.outcome.result.text == "IT IS WARM"


async def test_a_result_can_be_rewritten_as_anything_a_tool_may_return():
    model = weather_model()
    image = Image(data="aGk=", media_type="image/png")

    await Agent(model, tools=[get_weather], max_turns=2, hooks=[Notes(tool_result=Rewrite(image))]).prompt(
        "Go."
    )

    assert model.requests[1].tool_results[0].content == [image]


async def test_hooks_see_how_a_tool_failed():
    def get_weather(city: str) -> str:
        raise RuntimeError("out of order")

    seen = []
    hook = Notes(tool_result=lambda _, outcome: seen.append(outcome))

    await Agent(weather_model(), tools=[get_weather], max_turns=2, hooks=[hook]).prompt("Go.")

    (outcome,) = seen
    assert (outcome.error.kind, outcome.error.message) == ("other", "RuntimeError: out of order")
    assert isinstance(outcome.error.__cause__, RuntimeError)
    assert outcome.result.text == "the tool failed"


@STREAMED
async def test_what_a_hook_raises_ends_the_run_as_it_is(streamed):
    def fails(turn, request):
        raise KeyError("mistake")

    agent = Agent(ScriptedModel(unused="ignore"), hooks=[Notes(completion_call=fails)])

    with pytest.raises(KeyError, match="mistake"):
        await answer(agent.prompt("Hi."), streamed=streamed)

"""A model that says what it was told to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from llmreplay import (
    CompletionModel,
    FinishReason,
    Message,
    ScriptedModel,
    ToolDefinition,
    Usage,
    call,
    cut,
    fail,
    respond,
    say,
    spoil,
    turn,
)
from llmreplay.completion import (
    CompletionError,
    Final,
    HttpError,
    JsonError,
    ProviderError,
    Reasoning,
    ReasoningPart,
    Started,
    StreamError,
    Text,
    TextDelta,
    ToolCall,
)
from llmreplay.errors import (
    OptionError,
    ScriptExhausted,
    ScriptMistake,
    SwallowedRefusals,
    UnusedTurns,
)
from llmreplay.script import Script
from llmreplay.use import UnusedExchangesWarning

WEATHER = ToolDefinition(
    name="get_weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False},
)
USAGE = Usage(input_tokens=9, output_tokens=4, reasoning_tokens=1)


def asked(model, text="How is Paris?", *messages):
    return model.completion_request(text).messages(messages).tool(WEATHER)


def test_each_call_gets_one_turn_and_is_kept():
    model = ScriptedModel(call("get_weather", city="Paris", usage=USAGE), say("Sunny.", usage=USAGE))

    first = asked(model).send_sync()
    result = Message.tool_result(first.tool_calls[0].id, "20 C")
    second = (
        model.completion_request(result).messages([Message.user("?"), first.assistant_message()]).send_sync()
    )

    assert first.tool_calls[0].arguments == {"city": "Paris"}
    assert first.finish_reason == FinishReason.TOOL_CALLS
    assert second.text == "Sunny."
    assert [request.prompt for request in model.requests] == ["How is Paris?", "?"]
    assert model.requests[1].tool_results[0].text == "20 C"
    assert model.usage == USAGE + USAGE
    assert len(model.calls) == 2
    assert "answered: Sunny." in model.transcript()
    assert isinstance(model, CompletionModel)


def test_nothing_of_an_answer_is_lost():
    thought = Reasoning(
        id="rs_1", parts=[ReasoningPart(text="Hm.", signature="c2ln"), ReasoningPart(kind="summary")]
    )
    sure = turn(
        say("It is", reasoning=thought),
        call("get_weather", city="Paris", id="call_7"),
        finish_reason="pause_turn",
        usage=USAGE,
        citations=[{"url": "https://e.example"}],
        model="m-2",
        id="resp_1",
        choices=["Or not."],
    )

    response = asked(ScriptedModel(sure)).send_sync()

    assert response.choice == [thought, Text(text="It is"), sure.calls[0]]
    assert isinstance(response.choice[2], ToolCall)
    assert (response.finish_reason, response.usage, response.model) == ("pause_turn", USAGE, "m-2")
    assert (response.citations, response.response_id) == ([{"url": "https://e.example"}], "resp_1")
    assert response.others[0].contents == [Text(text="Or not.")]
    assert response.raw is None


def test_a_stream_says_the_same_in_pieces():
    model = ScriptedModel(say("It is sunny.", usage=USAGE), say("It is sunny.", deltas=["It is su", "nny."]))

    first, second = (list(asked(model).stream_sync()) for _ in range(2))

    assert [event.text for event in first if isinstance(event, TextDelta)] == ["It", " is", " sunny."]
    assert [event.text for event in second if isinstance(event, TextDelta)] == ["It is su", "nny."]
    assert isinstance(first[0], Started)
    assert first[-1].response.usage == USAGE
    assert [request.stream for request in model.requests] == [True, True]


def test_a_model_takes_a_script_that_is_shared_with_the_wire():
    script = Script("One.", "Two.")

    assert asked(ScriptedModel(script)).send_sync().text == "One."
    assert asked(ScriptedModel(script)).send_sync().text == "Two."
    assert len(script.requests) == 2


def test_turns_are_added_and_queues_serve_those_who_fit():
    model = ScriptedModel()
    model.when(contains="Oslo").turns("Rain.")
    model.turns("Sun.").turns(respond(lambda request: f"{request.prompt} again"))

    assert asked(model, "Paris").send_sync().text == "Sun."
    assert asked(model, "Oslo").send_sync().text == "Rain."
    assert asked(model, "Rome").send_sync().text == "Rome again"


async def test_tasks_that_ask_at_once_get_a_turn_each():
    model = ScriptedModel(*(str(number) for number in range(20)))

    found = await asyncio.gather(*(asked(model).send() for _ in range(20)))

    assert sorted(int(response.text) for response in found) == list(range(20))


# ---------------------------------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    ("fault", "kind", "class_", "status"),
    [
        (fail("invalid_request"), "invalid_request", ProviderError, 400),
        (fail("authentication"), "authentication", ProviderError, 401),
        (fail("quota_exhausted"), "quota_exhausted", ProviderError, 402),
        (fail("permission_denied"), "permission_denied", ProviderError, 403),
        (fail("not_found"), "not_found", ProviderError, 404),
        (fail("conflict"), "conflict", ProviderError, 409),
        (fail("request_too_large"), "request_too_large", ProviderError, 413),
        (fail("content_filter"), "content_filter", ProviderError, 400),
        (fail("rate_limited"), "rate_limited", ProviderError, 429),
        (fail("server_error"), "server_error", ProviderError, 500),
        (fail("not_supported"), "not_supported", ProviderError, 501),
        (fail("overloaded"), "overloaded", ProviderError, 503),
        (fail(529), "overloaded", ProviderError, 529),
        (fail("timeout"), "timeout", HttpError, None),
        (fail("connection"), "connection", HttpError, None),
        (cut("It is sunny."), "connection", HttpError, 200),
        (spoil("It is sunny."), "decode_error", JsonError, 200),
        (spoil("It is sunny.", "empty"), "decode_error", JsonError, 200),
    ],
)
def test_a_fault_is_the_error_that_it_is_anywhere(fault, kind, class_, status):
    model = ScriptedModel(fault)

    with pytest.raises(CompletionError) as caught:
        asked(model).send_sync()

    assert type(caught.value) is class_
    assert (caught.value.kind, caught.value.status) == (kind, status)


def test_an_error_says_what_it_was_told_to_say():
    model = ScriptedModel(fail("rate_limited", "Slow down.", code="tokens", retry_after=7))

    with pytest.raises(ProviderError) as caught:
        asked(model).send_sync()

    error = caught.value
    assert (error.message, error.code, error.retry_after, error.retryable) == (
        "Slow down.",
        "tokens",
        7,
        True,
    )


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (fail("overloaded", during=say("It is sunny."), after=3), "overloaded"),
        (cut(say("It is sunny."), after=3), "connection"),
        (cut(say("It is sunny."), after=3, how="end"), "stream_truncated"),
        (fail("rate_limited"), "rate_limited"),
        (fail("timeout"), "timeout"),
    ],
)
def test_a_stream_that_fails_tells_the_error_last_raises_it_and_has_no_final(fault, kind):
    found = []

    with pytest.raises(CompletionError) as caught:
        for event in asked(ScriptedModel(fault)).stream_sync():
            found.append(event)  # noqa: PERF402  the loop raises

    assert caught.value.kind == kind
    assert found[-1] == StreamError(error=caught.value)
    assert not any(isinstance(event, Final) for event in found)


def test_what_had_come_of_a_stream_that_broke_was_told():
    events = asked(ScriptedModel(cut(say("It is sunny."), after=3))).stream_sync()
    found = []

    with pytest.raises(CompletionError) as caught:
        for event in events:
            found.append(event)  # noqa: PERF402  the loop raises

    assert "".join(event.text for event in found if isinstance(event, TextDelta)) == "It is"
    assert found[-1] == StreamError(error=caught.value)
    assert not any(isinstance(event, Final) for event in found)


def test_a_frame_that_cannot_be_read_leaves_no_answer():
    events = asked(ScriptedModel(spoil(say("It is sunny.")))).stream_sync()

    with pytest.raises(JsonError):
        list(events)


# ---------------------------------------------------------------------------------- what is refused


def test_a_call_too_many_is_refused_and_shows_the_conversation():
    model = ScriptedModel("Sunny.")
    asked(model).send_sync()

    with pytest.raises(ScriptExhausted, match=r"user: How is Paris\?") as caught:
        asked(model, "How is Paris?").send_sync()

    assert not isinstance(caught.value, Exception)
    assert model.refusals == [caught.value]


def test_a_refusal_that_is_swallowed_fails_the_block():
    block = ScriptedModel()
    with pytest.raises(SwallowedRefusals, match="no turn left"), block, contextlib.suppress(BaseException):
        asked(block).send_sync()


def test_a_refusal_that_is_taken_note_of_does_not():
    with ScriptedModel() as model:
        with pytest.raises(ScriptExhausted):
            asked(model).send_sync()
        model.refusals.clear()


async def test_turns_that_nobody_asked_for_fail_the_block():
    with pytest.raises(UnusedTurns, match="1 turn of the script was never asked for"):
        async with ScriptedModel("One.", "Two.") as model:
            await asked(model).send()


def test_turns_that_nobody_asked_for_are_told_without_a_block_too():
    model = ScriptedModel("One.")

    with pytest.raises(UnusedTurns):
        model.finish()


def test_unused_turns_can_be_ignored_or_warned_of():
    with ScriptedModel("One.", unused="ignore"):
        pass
    with pytest.warns(UnusedExchangesWarning, match="never asked for"), ScriptedModel("One.", unused="warn"):
        pass


def test_a_block_that_fails_keeps_its_own_error():
    with pytest.raises(ZeroDivisionError), ScriptedModel("One.") as model:
        model.refusals.append(ScriptExhausted("no"))
        raise ZeroDivisionError


def test_a_call_of_a_tool_that_was_not_offered_is_a_mistake_of_the_script():
    with pytest.raises(ScriptMistake, match="get_wether"):
        asked(ScriptedModel(call("get_wether", city="Paris"))).send_sync()
    with pytest.raises(ScriptMistake, match="town"):
        asked(ScriptedModel(call("get_weather", town="Paris"))).send_sync()
    assert asked(ScriptedModel(call("get_wether"), strict=False)).send_sync().tool_calls


def test_a_conversation_that_no_provider_takes_is_not_taken_here():
    first = Message.assistant(ToolCall(id="call_1", name="get_weather"))
    model = ScriptedModel("One.", "Two.", strict_except=["orphan-tool-result"])

    with pytest.raises(ProviderError, match="'call_1'") as caught:
        asked(model, "And?", first).send_sync()
    assert asked(model, "And?", Message.tool_result("call_9", "20 C")).send_sync().text == "One."

    assert (caught.value.kind, caught.value.status) == ("invalid_request", 400)


def test_a_rule_that_is_none_is_refused():
    with pytest.raises(OptionError):
        ScriptedModel(strict_except=["orphans"])
    with pytest.raises(OptionError):
        ScriptedModel(speed=-1)


def test_turns_may_take_their_time():
    model = ScriptedModel(say("a b", latency=0.01, tokens_per_second=1000), speed=1)

    assert list(asked(model).stream_sync())[-1].response.text == "a b"


def test_a_stream_means_the_same_however_it_is_cut():
    said = say("Zoë 👋🏽 says hi.")

    whole, bytes_ = (asked(ScriptedModel(said, split=split)).stream_sync() for split in (None, "bytes"))

    assert list(whole) == list(bytes_)

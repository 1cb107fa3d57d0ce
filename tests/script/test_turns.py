"""What a model says and calls, as it is written by hand, and what of it means nothing."""

from __future__ import annotations

import json

import pytest

from llmreplay import FinishReason, Script, Usage, call, fail, respond, say, turn
from llmreplay.completion import LogProbs, Reasoning, ReasoningPart, Refusal, Text, TokenLogProb
from llmreplay.errors import OptionError, ScriptMistake
from tests.script.asked import asking, claude, response, texts, tool


def test_a_text_is_said_and_the_model_stops():
    answer = Script(say("Hello.")).answer(asking()).decode()

    assert (answer.text, answer.finish_reason, answer.model) == ("Hello.", FinishReason.STOP, "gpt-test")
    assert answer.usage == Usage()


def test_a_string_stands_for_say_of_it():
    assert Script("Hello.").answer(asking()).decode().text == "Hello."
    assert turn("Hello.") == turn(say("Hello.")) == say("Hello.")


def test_saying_nothing_is_an_empty_text():
    assert say().contents == (Text(text=""),)
    assert Script(say("")).answer(asking()).decode().text == ""


def test_what_a_real_answer_has_can_be_given_by_name():
    probable = LogProbs(content=[TokenLogProb(token="Hello.", logprob=-0.5)])
    usage = Usage(input_tokens=5, output_tokens=3, cached_input_tokens=2, reasoning_tokens=1)
    script = Script(
        say(
            "Hello.",
            usage=usage,
            finish_reason="length",
            model="gpt-other",
            id="chatcmpl-1",
            logprobs=probable,
        )
    )
    answer = script.answer(asking(logprobs=True)).decode()

    assert (answer.text, answer.finish_reason, answer.model) == ("Hello.", "length", "gpt-other")
    assert (answer.usage, answer.response_id, answer.logprobs) == (usage, "chatcmpl-1", probable)


def test_citations_are_in_the_answer_as_the_provider_spells_them():
    cited = {
        "start": 0,
        "end": 5,
        "text": "Hello",
        "type": "TEXT_CONTENT",
        "sources": [{"type": "tool", "id": "t:0"}],
    }
    request = asking(url="https://api.cohere.com/v2/chat")

    assert Script(say("Hello", citations=[cited])).answer(request).decode().citations == [cited]


def test_a_reason_of_the_providers_own_is_said_in_its_word():
    answer = Script(say("Wait.", finish_reason="pause_turn")).answer(claude())

    assert response(answer).json["stop_reason"] == "pause_turn"


def test_reasoning_is_a_text_or_a_value_with_all_that_it_can_have():
    sealed = Reasoning(parts=[ReasoningPart(text="Hm.", signature="c2ln")])
    script = Script(say("Yes.", reasoning="Hm."), say("No.", reasoning=sealed))
    thought = script.answer(claude()).decode()

    assert [type(content) for content in thought.choice] == [Reasoning, Text]
    assert thought.choice[0].text == "Hm."
    assert response(script.answer(claude())).json["content"][0] == {
        "type": "thinking",
        "thinking": "Hm.",
        "signature": "c2ln",
    }


def test_a_model_can_think_and_say_nothing():
    assert [type(content) for content in say(reasoning="Hm.").contents] == [Reasoning]


def test_a_refusal_is_said_in_place_of_a_text():
    assert say(refusal="I will not.").contents == (Refusal(text="I will not."),)
    answer = response(Script(say(refusal="I will not.")).answer(asking())).json

    assert answer["choices"][0]["message"]["refusal"] == "I will not."
    assert answer["choices"][0]["message"]["content"] is None


def test_a_call_has_its_arguments_by_name_and_an_id_that_is_made_up():
    answer = Script(call("get_weather", city="Zürich")).answer(asking(tools=[tool()])).decode()

    (asked,) = answer.tool_calls
    assert (asked.name, asked.arguments) == ("get_weather", {"city": "Zürich"})
    assert asked.id.startswith("call_")
    assert answer.finish_reason == FinishReason.TOOL_CALLS


def test_an_argument_whose_name_is_taken_goes_into_the_mapping():
    asked = call("find", {"id": 7, "usage": "low"}, id="call_x", model="m", page=2).calls[0]

    assert (asked.id, asked.arguments) == ("call_x", {"id": 7, "usage": "low", "page": 2})


def test_arguments_can_be_a_text_that_is_no_json():
    script = Script(call("get_weather", '{"city": "Par'))
    message = response(script.answer(asking(tools=[tool()]))).json["choices"][0]["message"]

    assert message["tool_calls"][0]["function"]["arguments"] == '{"city": "Par'


def test_a_turn_has_several_contents_in_their_order():
    both = turn(say("Let me look."), call("get_weather", city="Paris"), call("get_weather", city="Oslo"))
    answer = Script(both).answer(asking(tools=[tool()])).decode()

    assert answer.text == "Let me look."
    assert [asked.arguments["city"] for asked in answer.tool_calls] == ["Paris", "Oslo"]
    assert len({asked.id for asked in answer.tool_calls}) == 2
    assert both.reason == FinishReason.TOOL_CALLS


def test_what_belongs_to_the_whole_turn_is_given_by_it_or_by_one_of_its_parts():
    usage = Usage(input_tokens=1, output_tokens=1)

    assert turn(say("a"), call("f", usage=usage)).usage == usage
    assert turn(say("a", usage=usage), call("f", usage=usage), usage=Usage()).usage == Usage()
    assert turn(say("a", model="m"), finish_reason="stop", latency=2).latency == 2


def test_choices_are_the_further_answers_to_one_request():
    script = Script(turn("Heads.", choices=["Tails.", say("Edge.", finish_reason="length")]))
    answer = script.answer(asking(n=3)).decode()

    assert answer.text == "Heads."
    assert [(choice.index, choice.finish_reason) for choice in answer.others] == [(1, "stop"), (2, "length")]
    assert [choice.contents[0].text for choice in answer.others] == ["Tails.", "Edge."]


def test_a_turn_is_a_value_that_many_scripts_can_use():
    greeting = say("Hello.")

    assert [Script(greeting, greeting).answer(asking()).decode().text for _ in range(2)] == [
        "Hello.",
        "Hello.",
    ]
    assert greeting == say("Hello.")


# streams


def test_a_stream_is_what_the_request_asks_for():
    script = Script("Hello to all.", "Hello to all.")
    streamed, plain = script.answer(asking(stream=True)), script.answer(asking())

    assert response(streamed).header("content-type") == "text/event-stream; charset=utf-8"
    assert response(plain).header("content-type") == "application/json"
    assert streamed.decode().text == plain.decode().text == "Hello to all."
    assert texts(streamed) == ["Hello", " to", " all."]


def test_deltas_are_the_exact_pieces_of_the_text():
    script = Script(say("Hello.", deltas=["He", "", "llo", "."]))

    assert texts(script.answer(asking(stream=True))) == ["He", "llo", "."]


def test_deltas_are_of_the_text_and_not_of_the_reasoning():
    request = asking(url="https://api.deepseek.com/chat/completions", stream=True)
    exchange = Script(say("Hello.", reasoning="Greet them.", deltas=["Hel", "lo."])).answer(request)

    assert texts(exchange) == ["Hel", "lo."]
    assert texts(exchange, "reasoning_content") == ["Greet", " them."]


def test_deltas_of_one_part_are_not_those_of_another():
    parts = turn(say("One two.", deltas=["One t", "wo."]), "Three four.")
    exchange = Script(parts).answer(claude(stream=True))
    frames = [json.loads(chunk.data.partition(b"data: ")[2]) for chunk in response(exchange).chunks]

    assert [frame["delta"]["text"] for frame in frames if frame.get("delta", {}).get("text")] == [
        "One t",
        "wo.",
        "Three",
        " four.",
    ]


def test_arguments_come_in_fragments():
    script = Script(call("get_weather", city="Paris", days=3))
    exchange = script.answer(asking(stream=True, tools=[tool()]))
    pieces = [
        asked["function"]["arguments"]
        for found in texts(exchange, "tool_calls")
        for asked in found  # the calls in one delta
    ]

    assert len([piece for piece in pieces if piece]) > 1
    assert json.loads("".join(pieces)) == {"city": "Paris", "days": 3}


def test_usage_is_in_a_stream_only_if_it_is_asked_for():
    used = say("Hi.", usage=Usage(input_tokens=4, output_tokens=2))
    script = Script(used, used)
    silent = script.answer(asking(stream=True))
    told = script.answer(asking(stream=True, stream_options={"include_usage": True}))

    assert b"prompt_tokens" not in response(silent).body
    assert response(told).chunks[-1].data == b"data: [DONE]\n\n"
    assert json.loads(response(told).chunks[-2].data[6:])["choices"] == []
    assert script.usage == Usage(input_tokens=4, output_tokens=2)


def test_a_slow_first_token_and_a_pace_are_delays_of_the_chunks():
    script = Script(
        say("One two three.", latency=2.5, tokens_per_second=20), say("One.", tokens_per_second=4)
    )
    slow, paced = (response(script.answer(asking(stream=True))) for _ in range(2))

    assert slow.delay == 2.5
    assert [chunk.delay for chunk in slow.chunks] == [0.0, *[0.05] * (len(slow.chunks) - 1)]
    assert (paced.delay, paced.chunks[1].delay) == (0.0, 0.25)


def test_a_turn_takes_no_time_unless_it_says_so():
    answer = response(Script("One two three.").answer(asking(stream=True)))

    assert (answer.delay, {chunk.delay for chunk in answer.chunks}) == (0.0, {0.0})


# turns that are made of the request


def test_a_function_makes_a_turn_of_the_request():
    script = Script(respond(lambda request: f"You said: {request.prompt}"))

    assert script.answer(asking("Ahoy")).decode().text == "You said: Ahoy"


def test_a_function_can_make_a_call_a_fault_or_another_function():
    script = Script(
        respond(lambda request: call(request.tool_names[0], city="Oslo")),
        respond(lambda _: fail(429)),
        respond(lambda _: respond(lambda request: request.model)),
    )

    assert script.answer(asking(tools=[tool()])).decode().tool_calls[0].arguments == {"city": "Oslo"}
    assert response(script.answer(asking())).status == 429
    assert script.answer(asking()).decode().text == "gpt-test"


def test_what_a_function_raises_is_a_refusal_that_names_it():
    def look(request):
        raise AssertionError("the city is missing")

    with pytest.raises(ScriptMistake) as refused:
        Script(respond(look)).answer(asking())

    assert str(refused.value) == (
        "The script cannot answer this request.\n"
        "  request: POST https://api.openai.com/v1/chat/completions\n"
        "  problem: AssertionError: the city is missing\n"
        "\n"
        "To fix this:\n"
        "  * It is the turn, or its function, that this request or its provider cannot have: correct that."
    )
    assert isinstance(refused.value.__cause__, AssertionError)


def test_a_function_that_makes_no_turn_is_a_refusal_too():
    with pytest.raises(ScriptMistake, match="turn is None; expected say"):
        Script(respond(lambda _: None)).answer(asking())


# what means nothing

WRONG = [
    (turn, "turn is (); expected at least one content, such as say('Hello.')"),
    (lambda: turn(7), "turn is 7; expected say(…), call(…), turn(…) or a text"),
    (lambda: Script(None), "turn is None; expected say(…), call(…), turn(…) or a text"),
    (lambda: respond("text"), "respond is 'text'; expected a function of the CompletionRequest"),
    (
        lambda: say("Hello.", deltas=["Hel"]),
        "deltas is ['Hel']; expected pieces that are 'Hello.' when they are joined",
    ),
    (
        lambda: turn("a", "b", deltas=["c"]),
        "deltas is ['c']; expected pieces that are 'ab' when they are joined",
    ),
    (lambda: say("a", latency=-1), "latency is -1; expected seconds"),
    (lambda: say("a", tokens_per_second=0), "tokens_per_second is 0; expected more than 0, or None"),
    (
        lambda: turn(say("a", model="x"), say("b", model="y")),
        "model is ['x', 'y']; expected one value for the turn: give it to turn() itself",
    ),
    (
        lambda: turn("a", contents=()),
        (
            "turn is ['contents']; expected some of usage, finish_reason, citations, model, id, logprobs, "
            "latency, tokens_per_second, deltas"
        ),
    ),
    (
        lambda: call("f", "{}", city="Paris"),
        "arguments is '{}'; expected either text, or arguments by name",
    ),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_what_means_nothing_is_told_where_it_is_written(make, message):
    with pytest.raises(OptionError) as error:
        make()
    assert str(error.value) == message

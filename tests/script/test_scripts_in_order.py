"""Turns in order, one for each call, what was asked, and what a script has to say when it cannot go on."""

from __future__ import annotations

import contextlib
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from llmreplay import Script, Usage, call, codecs, cut, fail, respond, say, spoil, use_script
from llmreplay.errors import OptionError, ScriptExhausted, ScriptMistake, SwallowedRefusals, UnusedTurns
from tests.script.asked import URL, asking, called, claude, response, result, tool


def exhausted(script, request):
    with pytest.raises(ScriptExhausted) as refused:
        script.answer(request)
    return refused.value


def asked(url=URL, **fields):
    """Ask in a session as a client of HTTP does."""
    import httpx

    request = asking(url=url, **fields)
    return httpx.post(request.url, content=request.body, headers=dict(request.headers))


def test_turns_are_given_in_order_one_for_each_call():
    script = Script("one").turns("two", say("three"))

    assert [script.answer(asking()).decode().text for _ in range(3)] == ["one", "two", "three"]
    assert script.left == []


def test_a_turn_is_not_repeated_and_the_refusal_shows_the_conversation_and_the_request():
    script = Script(call("get_weather", city="Paris"))
    script.answer(asking("How is Paris?", tools=[tool()]))
    request = asking(
        {"role": "system", "content": "Be  brief,\nplease."},
        "How is Paris?",
        called(arguments='{"city": "Zürich"}'),
        result("20 °C"),
        {"role": "assistant", "content": ""},
        "x" * 300,
        tools=[tool()],
    )
    refusal = exhausted(script, request)

    assert str(refusal) == (
        "The script has no turn left for this request.\n"
        "  request: POST https://api.openai.com/v1/chat/completions, call 2 of this script\n"
        "  queue: every call\n"
        "  conversation:\n"
        "    system: Be brief, please.\n"
        "    user: How is Paris?\n"
        '    assistant: calls get_weather {"city": "Zürich"}\n'
        "    tool: result 20 °C\n"
        "    assistant: (nothing)\n"
        f"    user: {'x' * 200}…\n"
        "\n"
        "To fix this:\n"
        "  * The model should go on? Add a turn: script.turns(say(...))\n"
        "  * It was asked once too often? The conversation above says what brought it on."
    )
    assert refusal.request is request


def test_a_request_that_is_refused_is_no_call():
    script = Script()
    exhausted(script, asking())

    assert (script.calls, script.requests, script.transcript()) == ([], [], "")


# queues


def test_a_queue_serves_the_calls_that_fit_it_and_only_those():
    script = Script("main")
    script.when(contains="weather").turns("sunny", "rainy")

    said = [script.answer(asking(text)).decode().text for text in ("the weather?", "hello", "weather again")]
    assert said == ["sunny", "main", "rainy"]


CONDITIONS = [
    ({"model": "gpt-test"}, asking(), asking(model="gpt-other")),
    ({"contains": "Paris"}, asking("Hi", "to Paris"), asking({"role": "system", "content": "Paris"}, "Hi")),
    ({"system": "brief"}, asking({"role": "system", "content": "Be brief."}, "Hi"), asking("brief")),
    ({"system": "brief"}, claude(system="Be brief."), claude()),
    (
        {"tool_result": "20 °C"},
        asking("a", called(), result("It is 20 °C.")),
        asking("20 °C", called(), result("none")),
    ),
    ({"stream": True}, asking(stream=True), asking()),
    ({"stream": False}, asking(), asking(stream=True)),
    ({"fits": lambda request: request.temperature == 0.5}, asking(temperature=0.5), asking()),
    ({"model": "gpt-test", "contains": "Hi"}, asking("Hi"), asking("Ho")),
]


@pytest.mark.parametrize(("condition", "fitting", "other"), CONDITIONS)
def test_a_condition_tells_the_calls_of_a_queue_from_others(condition, fitting, other):
    script = Script("main")
    script.when(**condition).turns("queue")

    assert script.answer(other).decode().text == "main"
    assert script.answer(fitting).decode().text == "queue"


def test_an_empty_queue_is_exhausted_although_others_have_turns():
    script = Script("main")
    script.when(model="gpt-test", contains="weather").turns("sunny")
    script.when(stream=True).turns("a", "b")
    script.answer(asking("weather"))
    refusal = exhausted(script, asking("weather"))

    assert "queue: model='gpt-test', contains='weather'\n" in str(refusal)
    assert "  left elsewhere: 1 for every call, 2 for stream=True\n" in str(refusal)


def test_the_first_queue_that_fits_and_has_a_turn_serves():
    script = Script()
    first, second = script.when(contains="a").turns("1"), script.when(contains="b").turns("2")

    assert [script.answer(asking("ab")).decode().text for _ in range(2)] == ["1", "2"]
    assert (first.left, second.left) == (0, 0)


def test_a_queue_needs_a_condition():
    with pytest.raises(OptionError) as error:
        Script().when()
    assert str(error.value) == "when is None; expected at least one condition, such as contains='weather'"


def test_a_condition_is_told_by_the_name_of_its_function():
    def is_short(request):
        return True

    script = Script()
    script.when(fits=is_short).turns("x")

    assert script.left == [("fits=is_short", 1)]


def test_concurrent_agents_get_the_same_bytes_in_whatever_order_they_come():
    names = ["anna", "ben", "chloé"]

    def run(order):
        script = Script()
        for name in names:
            script.when(contains=name).turns(call("get_weather", city=name), say(name))
        answers = {}
        for name in order:
            request = asking(f"I am {name}.", tools=[tool()])
            answers.setdefault(name, []).append(response(script.answer(request)).body)
        return answers

    runs = [run([*order, *order[::-1]]) for order in itertools.permutations(names)]
    assert all(one == runs[0] for one in runs)


def test_the_same_question_asked_again_has_an_answer_with_other_ids():
    script = Script(call("get_weather", city="Oslo"), call("get_weather", city="Oslo"))
    first, second = (script.answer(asking(tools=[tool()])).decode().tool_calls[0].id for _ in range(2))

    assert first != second


def test_threads_never_get_one_turn_twice():
    script = Script(*map(str, range(60)))
    barrier = threading.Barrier(6)

    def ask(_):
        barrier.wait()
        return [script.answer(asking()).decode().text for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        said = [text for texts in pool.map(ask, range(6)) for text in texts]
    assert sorted(said, key=int) == list(map(str, range(60)))
    assert len(script.calls) == 60


# what was asked


def conversation():
    script = Script(
        call("get_weather", city="Paris", usage=Usage(input_tokens=10, output_tokens=4)),
        say("It is sunny.", usage=Usage(input_tokens=20, output_tokens=3)),
        fail(429, "Slow down."),
        fail("connection"),
        cut("One two three.", 0, how="end"),
    )
    script.answer(asking("How is Paris?", tools=[tool()]))
    script.answer(claude("How is Paris?", {"role": "assistant", "content": "Hm."}, "And?"))
    script.answer(asking("Hi"))
    script.answer(asking("Ho", model=""))
    script.answer(asking("Ha", stream=True))
    return script


def test_what_was_asked_is_kept_call_by_call():
    script = conversation()

    assert [request.prompt for request in script.requests] == ["How is Paris?", "And?", "Hi", "Ho", "Ha"]
    assert script.requests[0].tool_names == ["get_weather"]
    assert [exchange.origin for exchange in script.calls] == ["scripted"] * 5
    assert script.calls[1].request.host == "api.anthropic.com"


def test_results_of_tools_are_what_the_code_brought_back():
    script = Script("Sunny.")
    script.answer(asking("How is Paris?", called(), result("20 °C"), tools=[tool()]))

    assert [found.text for found in script.requests[0].tool_results] == ["20 °C"]


def test_usage_is_the_sum_of_all_calls():
    assert conversation().usage == Usage(input_tokens=30, output_tokens=7)
    assert Script().usage == Usage()


def test_a_transcript_reads_as_the_conversations_did():
    assert conversation().transcript() == (
        "call 1: gpt-test\n"
        "  user: How is Paris?\n"
        '  answered: calls get_weather {"city": "Paris"}\n'
        "call 2: gpt-test\n"
        "  user: How is Paris?\n"
        "  assistant: Hm.\n"
        "  user: And?\n"
        "  answered: It is sunny.\n"
        "call 3: gpt-test\n"
        "  user: Hi\n"
        "  answered: rate_limited 429: Slow down.\n"
        "call 4: a model\n"
        "  user: Ho\n"
        "  answered: connection: ConnectError (connect): [Errno 111] Connection refused\n"
        "call 5: gpt-test\n"
        "  user: Ha\n"
        "  answered: stream_truncated 200: the stream ended before the answer was complete"
    )


# conversations that a provider would not take


def test_a_conversation_that_breaks_a_rule_gets_the_providers_own_error_and_uses_no_turn():
    script = Script("Sunny.")
    answer = response(exchange := script.answer(asking("Hi", called(), "Well?", tools=[tool()])))

    assert answer.status == 400
    assert answer.header("x-llmreplay-strict") == "unanswered-tool-call"
    assert "must be followed by tool messages" in answer.json["error"]["message"]
    assert script.left == [("every call", 1)]
    assert script.calls == [exchange]


@pytest.mark.parametrize("rules", [{"strict": False}, {"strict_except": ["unanswered-tool-call"]}])
def test_rules_can_be_left_out_all_or_one_by_one(rules):
    script = Script("Sunny.", **rules)

    assert script.answer(asking("Hi", called(), "Well?", tools=[tool()])).decode().text == "Sunny."


def test_other_rules_hold_when_one_is_left_out():
    script = Script("Sunny.", strict_except=["orphan-tool-result"])

    assert response(script.answer(asking("Hi", called(), "Well?", tools=[tool()]))).status == 400


def test_exceptions_are_a_list_and_no_text():
    with pytest.raises(OptionError) as error:
        Script(strict_except="arguments")
    assert str(error.value) == "strict_except is 'arguments'; expected a list such as ['arguments']"


def test_a_rule_that_nobody_knows_is_told_with_those_that_are_known():
    with pytest.raises(
        OptionError, match=r"unanswered-tool-calls.*expected names of rules: unanswered-tool-call, "
    ):
        Script(strict_except=["unanswered-tool-calls", "arguments"])


ORPHANED = asking("Hi", called(), result("20 °C", "call_2"), tools=[tool()])
MISTRAL = "https://api.mistral.ai/v1/chat/completions"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (ORPHANED, ["orphan-tool-result", "unanswered-tool-call"]),
        (
            asking("Hi", called("call_1"), "Well?", url=MISTRAL, tools=[tool()]),
            ["unanswered-tool-call", "tool-call-id"],
        ),
    ],
    ids=["openai", "mistral"],
)
def test_a_rule_that_is_left_out_hides_no_other(request_, told):
    excepted = []
    for rule in told:
        script = Script("Sunny.", strict_except=excepted)
        assert response(script.answer(request_)).header("x-llmreplay-strict") == rule
        excepted.append(rule)

    assert Script("Sunny.", strict_except=excepted).answer(request_).decode().text == "Sunny."


# calls that no model could make


def mistake(script, request):
    with pytest.raises(ScriptMistake) as refused:
        script.answer(request)
    assert refused.value.request is request
    return str(refused.value)


REMEDIES = (
    "\n"
    "To fix this:\n"
    "  * Correct the turn; or the tool, if it is the tool that changed.\n"
    "  * Meant to be wrong? Script(strict=False), or strict_except=('tool-not-offered', 'arguments')"
)


def test_a_call_of_a_tool_that_is_not_offered_is_a_mistake_of_the_script():
    request = asking(tools=[tool("get_time"), tool("get_place")])

    assert mistake(Script(call("get_weather", city="Paris")), request) == (
        "The script calls 'get_weather', which the request does not offer.\n"
        "  request: POST https://api.openai.com/v1/chat/completions\n"
        "  offered: get_time, get_place\n" + REMEDIES
    )
    assert "  offered: none\n" in mistake(Script(call("get_weather", city="Paris")), asking())


@pytest.mark.parametrize(
    ("arguments", "told", "problem"),
    [
        ({"city": 7}, '{"city": 7}', "city: 7 is not of type 'string'"),
        ({}, "{}", "'city' is a required property"),
        ('["Zürich"]', '["Zürich"]', "['Zürich'] is not of type 'object'"),
        ({"city": "a", "days": "b"}, '{"city": "a", "days": "b"}', "days: 'b' is not of type 'integer'"),
    ],
)
def test_arguments_that_do_not_fit_the_schema_are_a_mistake_of_the_script(arguments, told, problem):
    request = asking(tools=[tool()])

    assert mistake(Script(call("get_weather", arguments)), request) == (
        "The script calls 'get_weather' with arguments that its schema does not take.\n"
        "  request: POST https://api.openai.com/v1/chat/completions\n"
        f"  arguments: {told}\n"
        f"  problem: {problem}\n" + REMEDIES
    )


def test_the_calls_of_every_choice_and_fault_are_looked_at():
    wrong = call("get_weather", city=7)
    for step in (cut(wrong), spoil(wrong), fail(500, during=wrong), respond(lambda _: wrong)):
        mistake(Script(step), asking(tools=[tool()]))
    from llmreplay import turn

    mistake(Script(turn("a", choices=[wrong])), asking(tools=[tool()], n=2))


@pytest.mark.parametrize(
    ("turn", "rule"),
    [(call("get_time"), "tool-not-offered"), (call("get_weather", city=7), "arguments")],
)
def test_what_is_meant_to_be_wrong_can_be_let_through(turn, rule):
    request = asking(tools=[tool()])

    assert Script(turn, strict=False).answer(request).decode().tool_calls == (
        Script(turn, strict_except=[rule]).answer(request).decode().tool_calls
    )
    mistake(Script(turn, strict_except=["message-order"]), request)


def test_arguments_that_are_no_json_are_meant_so():
    answer = Script(call("get_weather", '{"city": "Par')).answer(asking(tools=[tool()]))

    assert answer.decode().tool_calls[0].arguments_raw == '{"city": "Par'


def test_a_tool_of_the_providers_own_may_have_tools_that_nobody_sees():
    request = claude(tools=[{"type": "web_search_20250305", "name": "web_search"}])

    assert Script(call("anything", a=1)).answer(request).decode().tool_calls[0].name == "anything"


GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-test:generateContent"


def google(**parameters):
    declared = {"name": "find", "parameters": parameters}
    return asking(
        url=GEMINI, contents=[{"parts": [{"text": "Hi"}]}], tools=[{"functionDeclarations": [declared]}]
    )


def test_a_schema_in_googles_spelling_is_held_to():
    request = google(
        type="OBJECT",
        properties={
            "type": {"type": "STRING", "enum": ["a", "b"]},
            "many": {"type": "ARRAY", "items": {"type": "INTEGER", "nullable": True}},
            "any": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]},
        },
        required=["type"],
    )

    assert Script(call("find", type="a", many=[1, None], any=0.5)).answer(request).decode().tool_calls
    assert "type: 'c' is not one of ['a', 'b']" in mistake(Script(call("find", type="c")), request)
    assert "many.0: 'x' is not of type" in mistake(Script(call("find", type="a", many=["x"])), request)


@pytest.mark.parametrize("schema", [{"type": "no such type"}, {"properties": 7}, {"type": 7}])
def test_a_schema_that_is_none_is_not_held_against_the_script(schema):
    assert Script(call("get_weather", city=7)).answer(asking(tools=[tool(parameters=schema)])).decode()


def test_a_tool_without_a_schema_takes_anything():
    bare = {"type": "function", "function": {"name": "get_weather"}}

    assert Script(call("get_weather", city=7)).answer(asking(tools=[bare])).decode().tool_calls


# requests that no turn can answer


def test_a_call_of_a_model_on_a_wire_without_a_codec_is_refused():
    refusal = mistake(Script("a"), asking(url="https://api.openai.com/v1/moderations", input="x"))

    assert refusal.startswith("The script cannot answer this request.\n")
    assert "wire: moderations" in refusal


def test_a_request_that_means_nothing_is_refused():
    from llmreplay import Request

    refusal = mistake(Script("a"), Request("POST", URL, (), b"no JSON"))
    assert "  problem: RequestError: request_build: " in refusal


# a block of code


def test_left_over_turns_fail_the_block():
    with pytest.raises(UnusedTurns) as complaint, use_script("one", "two", "three") as script:
        script.when(contains="weather").turns("sunny")
        asked()

    assert str(complaint.value) == (
        "3 turns of the script were never asked for.\n"
        "  left: 2 for every call\n"
        "  left: 1 for contains='weather'\n"
        "\n"
        "To fix this:\n"
        "  * Asked no more on purpose? Take the turns out.\n"
        "  * Not needed by every run? unused='ignore'"
    )
    assert complaint.value.unused == (("every call", 2), ("contains='weather'", 1))


def test_left_over_turns_can_be_left():
    with use_script("one", "two", unused="ignore"):
        asked()


def test_a_refusal_that_the_code_swallows_fails_the_block():
    with pytest.raises(SwallowedRefusals, match="The script has no turn left"), use_script("one"):
        for _ in range(2):
            try:
                asked()
            except BaseException:
                continue


def test_a_function_that_fails_cannot_be_swallowed_either():
    with (
        pytest.raises(SwallowedRefusals, match="ZeroDivisionError"),
        use_script(respond(lambda _: 1 / 0)),
        contextlib.suppress(BaseException),
    ):
        asked()


def test_a_block_takes_a_script_that_was_made_before():
    script = Script("one", strict=False)
    with use_script(script) as given:
        assert given is script
        assert asked().json()["choices"][0]["message"]["content"] == "one"


def test_a_script_is_a_decorator_with_the_turns_anew_each_time():
    @use_script("one")
    def code():
        return asked().json()["choices"][0]["message"]["content"]

    assert (code(), code()) == ("one", "one")


def test_bytes_can_be_cut_anew():
    import httpx

    with use_script("Zoë ☀️", split="bytes"):
        request = asking(stream=True)
        with httpx.stream("POST", URL, content=request.body) as streamed:
            pieces = [*streamed.iter_raw()]
    assert {len(piece) for piece in pieces} == {1}
    assert "Zoë".encode() in b"".join(pieces)


def test_what_was_asked_is_put_into_words_when_somebody_looks(monkeypatch):
    read = []
    codec = codecs.codec_named("openai_chat")
    real = codec.decode_request
    monkeypatch.setattr(codec, "decode_request", lambda request: read.append(request) or real(request))
    script = Script("one", "two")
    script.answer(asking("a"))
    script.answer(asking("b"))
    assert read == []

    assert [request.prompt for request in script.requests] == ["a", "b"]
    assert script.requests[0] is script.requests[0]
    assert len(read) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"{", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused_at_once(body):
    script = Script("one")

    with pytest.raises(ScriptMistake, match="not a JSON object"):
        script.answer(replace(asking("a"), body=body))

    assert (script.requests, script.calls, script.left) == ([], [], [("every call", 1)])

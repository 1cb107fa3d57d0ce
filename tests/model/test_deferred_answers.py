"""Answers that xAI puts off: promised, awaited by the clock, fetched; and a script that plays along."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from llmreplay import Cassette, ProviderModel, Usage, call, fail, respond, say, use_cassette, use_script
from llmreplay.clock import Clock
from llmreplay.completion import HttpError, ProviderError, RequestError, ToolDefinition
from llmreplay.errors import ScriptExhausted, UnusedTurns
from llmreplay.script import Script

NOT_YET = say(finish_reason="deferred")
URL = "https://api.x.ai/v1/chat/completions"
WEATHER = ToolDefinition(name="get_weather", parameters={"type": "object"})


def put_off(**options):
    model = ProviderModel.from_env("xai/grok-4", headers={"x-team": "a"}, **options)
    return model.completion_request("How is Paris?").options(deferred=True)


def send(builder):
    return builder.send_sync()


def send_async(builder):
    return asyncio.run(builder.send())


both = pytest.mark.parametrize("ask", [send, send_async], ids=["sync", "async"])


@both
def test_an_answer_that_is_put_off_is_fetched(ask):
    usage = Usage(input_tokens=9, output_tokens=2)
    with use_script(say("Sunny.", usage=usage)) as script, Clock() as clock:
        answer = ask(put_off(api_key="k-1"))

    asked, fetched = (exchange.request for exchange in script.calls)
    promise = script.calls[0].response.json
    assert (answer.text, answer.finish_reason, answer.usage) == ("Sunny.", "stop", usage)
    assert asked.json["deferred"] is True
    assert promise.keys() == {"request_id"}
    assert (fetched.method, fetched.body) == ("GET", b"")
    assert fetched.url == f"https://api.x.ai/v1/chat/deferred-completion/{promise['request_id']}"
    assert (fetched.header("authorization"), fetched.header("x-team")) == ("Bearer k-1", "a")
    assert clock.slept == [1.0]
    assert script.usage == usage


@both
def test_an_answer_that_is_not_there_yet_is_asked_for_again_and_less_and_less_often(ask):
    with use_script(*[NOT_YET] * 5, "Sunny.") as script, Clock() as clock:
        answer = ask(put_off())

    assert answer.text == "Sunny."
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert [exchange.response.status for exchange in script.calls] == [200, 202, 202, 202, 202, 202, 200]


@both
def test_nobody_waits_for_an_answer_for_ever(ask):
    with use_script(*[NOT_YET] * 63) as script, Clock() as clock, pytest.raises(HttpError) as caught:
        ask(put_off())

    assert (caught.value.kind, caught.value.retryable) == ("timeout", True)
    assert "put off" in caught.value.message
    assert 600 <= clock.total < 620
    assert script.left == []


def test_an_error_answers_the_request_itself_or_whoever_fetches():
    with use_script(fail("rate_limited", "Slow.")) as script, pytest.raises(ProviderError, match=r"Slow\."):
        send(put_off())
    assert [exchange.request.method for exchange in script.calls] == ["POST"]

    steps = (NOT_YET, fail("server_error", "Ouch."))
    with use_script(*steps) as script, Clock(), pytest.raises(ProviderError, match=r"Ouch\."):
        send(put_off())
    assert [exchange.request.method for exchange in script.calls] == ["POST", "GET", "GET"]


@both
def test_fetching_is_tried_again_as_anything_else(ask):
    with use_script(NOT_YET, fail("server_error"), "Sunny.") as script, Clock():
        assert ask(put_off(retries=1)).text == "Sunny."

    assert [exchange.response.status for exchange in script.calls] == [200, 202, 500, 200]


def test_a_turn_is_made_of_what_was_asked_first_and_only_once():
    seen = []

    def answer(request):
        seen.append((request.prompt, request.tool_names))
        return call("get_weather")

    with use_script(respond(answer)), Clock():
        assert send(put_off().tool(WEATHER)).tool_calls[0].name == "get_weather"

    assert seen == [("How is Paris?", ["get_weather"])]


def test_a_queue_serves_the_request_and_whoever_fetches_its_answer():
    script = Script("Other.")
    script.when(contains="Paris").turns(NOT_YET, "Sunny.")

    with use_script(script), Clock():
        assert send(put_off()).text == "Sunny."
        assert ProviderModel.from_env("xai/grok-4").completion_request("Hi.").send_sync().text == "Other."


def test_a_stream_cannot_be_put_off():
    with use_script(), pytest.raises(RequestError, match="deferred"):
        list(put_off().stream_sync())


def test_an_answer_that_nobody_fetches_is_left_over():
    with pytest.raises(UnusedTurns, match="put off"), use_script("Sunny.") as script:
        httpx.post(URL, json={"model": "grok-4", "messages": [], "deferred": True})

    assert script.left == [("answers that were put off", 1)]


def test_an_answer_is_fetched_once():
    with pytest.raises(ScriptExhausted), use_script("Sunny."):
        promise = httpx.post(URL, json={"model": "grok-4", "messages": [], "deferred": True}).json()
        place = f"https://api.x.ai/v1/chat/deferred-completion/{promise['request_id']}"
        assert httpx.get(place).json()["choices"][0]["message"]["content"] == "Sunny."
        httpx.get(place)


@both
def test_what_was_recorded_of_an_answer_that_was_put_off_is_replayed(ask, tmp_path):
    with use_script(NOT_YET, "Sunny.") as script, Clock():
        ask(put_off())
    Cassette(script.calls).save(tmp_path / "xai.yaml")

    with use_cassette(tmp_path / "xai.yaml"), Clock() as clock:
        assert ask(put_off()).text == "Sunny."

    assert clock.slept == [1.0, 2.0]

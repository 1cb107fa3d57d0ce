"""Tests of an adapter of your own: once over a cassette, and once over a script.

The cassette was written by hand (`origin: scripted` says so in the file): the parrot does not exist. The
script stands behind a fake server of the wire, which is a dozen lines, so that each test says what the
model says, and the adapter speaks its own wire to the end.
"""

import json

import httpx
import pytest
from custom_adapter import ParrotModel

from llmreplay import (
    Agent,
    CompletionError,
    CompletionModel,
    CompletionRequest,
    Message,
    ScriptedModel,
    ToolCall,
    ToolDefinition,
    Usage,
    call,
    fail,
    say,
)
from llmreplay.completion import Final, TextDelta

WHO = {"keeper": "system", "you": "user", "parrot": "assistant"}
USAGE = Usage(input_tokens=9, output_tokens=4)


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"20 C in {city}"


def asked(body):
    """Return what the wire's request means."""
    messages = []
    for line in body["lines"]:
        if line["who"] == "trick":
            messages.append(Message.tool_result(line["id"], line["says"]))
            continue
        calls = [
            ToolCall(id=one["id"], name=one["name"], arguments=one["with"]) for one in line.get("tricks", ())
        ]
        message = Message(role=WHO[line["who"]], content=[*Message.user(line["says"]).content, *calls])
        messages.append(message)
    tools = [ToolDefinition(name=one["name"], parameters=one["takes"]) for one in body["tricks"]]
    return CompletionRequest(model=body["parrot"], messages=messages, tools=tools)


def parrots(script):
    """Return a server of the wire behind which a script speaks."""

    async def speak(request):
        body = json.loads(request.content)
        try:
            answer = await script.completion(asked(body))
        except CompletionError as error:
            if error.status is None:
                raise httpx.ConnectError(error.message) from error
            return httpx.Response(error.status, json={"squawk": error.message})
        tricks = [{"id": one.id, "name": one.name, "with": one.arguments} for one in answer.tool_calls]
        seeds = {"eaten": answer.usage.input_tokens, "given": answer.usage.output_tokens}
        if not body["chatter"]:
            return httpx.Response(200, json={"says": answer.text, "tricks": tricks, "seeds": seeds})
        pieces = [{"says": word} for word in answer.text.split(" ")] + [{"tricks": tricks, "seeds": seeds}]
        return httpx.Response(200, text="".join(f"{json.dumps(piece)}\n" for piece in pieces))

    return httpx.MockTransport(speak)


def test_an_adapter_is_a_model():
    assert isinstance(ParrotModel("polly"), CompletionModel)


@pytest.mark.llm_cassette("cassettes/parrot/weather.yaml")
def test_an_agent_talks_to_a_cassette(llm_cassette):
    agent = Agent(ParrotModel("polly"), preamble="Be brief.", tools=[weather], max_turns=2)

    assert agent.prompt_sync("How is Paris?") == "Polly says warm."

    assert llm_cassette.calls[1].request.json["lines"][-1]["says"] == "20 C in Paris"


async def test_an_agent_talks_to_a_script():
    with ScriptedModel(call("weather", city="Paris", usage=USAGE), say("Warm.", usage=USAGE)) as script:
        agent = Agent(ParrotModel("polly", transport=parrots(script)), tools=[weather], max_turns=2)
        response = await agent.prompt("How is Paris?").extended_details()

    assert (response.output, response.usage) == ("Warm.", USAGE + USAGE)
    assert script.requests[1].tool_results[0].text == "20 C in Paris"


def test_a_stream_says_the_same_in_pieces():
    with ScriptedModel(say("Polly says warm.", usage=USAGE)) as script:
        model = ParrotModel("polly", transport=parrots(script))
        *deltas, final = model.completion_request("How is it?").stream_sync()

    assert deltas == [TextDelta(text=word) for word in ("Polly", "says", "warm.")]
    assert isinstance(final, Final)
    assert final.response.usage == USAGE


@pytest.mark.parametrize(
    "kind", ["authentication", "rate_limited", "overloaded", "server_error", "connection"]
)
def test_an_error_of_the_wire_is_an_error_of_the_vocabulary(kind):
    with ScriptedModel(fail(kind)) as script:
        model = ParrotModel("polly", transport=parrots(script))
        with pytest.raises(CompletionError) as caught:
            model.completion_request("How is it?").send_sync()

    assert (caught.value.kind, caught.value.provider) == (kind, "parrot")


@pytest.mark.parametrize(
    ("body", "kind"), [('{"says": "War"}\n', "stream_truncated"), ('{"says": ', "decode_error")]
)
def test_an_answer_that_breaks_off_is_no_answer(body, kind):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))

    with pytest.raises(CompletionError) as caught:
        list(ParrotModel("polly", transport=transport).completion_request("How is it?").stream_sync())

    assert caught.value.kind == kind

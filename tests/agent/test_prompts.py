"""Prompts and chats of an agent, what they cost, and when they end."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmreplay import (
    Agent,
    CompletionError,
    Message,
    ScriptedModel,
    ToolCall,
    Usage,
    call,
    fail,
    say,
    tool,
    turn,
)
from llmreplay.agent import CompletionFailed, MaxTurnsError, PromptError
from llmreplay.completion import CompletionRequest, Document, ProviderError, ProviderTool, Text, told
from llmreplay.errors import OptionError


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"20 °C in {city}"


def weather_model(**options) -> ScriptedModel:
    return ScriptedModel(
        call("get_weather", city="Paris", id="call_1", usage=Usage(input_tokens=40, output_tokens=8)),
        say("It is warm.", id="msg_2", usage=Usage(input_tokens=60, output_tokens=5)),
        **options,
    )


def roles(messages) -> list[str]:
    return [message.role for message in messages]


async def test_a_prompt_gives_the_text_of_the_answer():
    agent = Agent(ScriptedModel(say("Hello.")))

    assert await agent.prompt("Hi.") == "Hello."


async def test_what_an_agent_is_told_is_in_every_request():
    model = weather_model()
    agent = Agent(
        model,
        preamble="Be brief.",
        tools=[get_weather],
        documents=[Document(data="Paris is in France.", source="text", name="atlas")],
        temperature=0.2,
        max_tokens=99,
        additional_params={"verbosity": "low"},
        request=CompletionRequest(messages=[], seed=7, extra={"logit": 1}),
        max_turns=2,
    )

    await agent.prompt("How is Paris?")

    for request in model.requests:
        assert request.system == "Be brief."
        assert request.tools == [get_weather.definition]
        assert [document.data for document in request.documents] == ["Paris is in France."]
        assert (request.temperature, request.max_tokens, request.seed) == (0.2, 99, 7)
        assert request.extra == {"logit": 1, "verbosity": "low"}
    assert roles(model.requests[1].messages) == ["system", "user", "assistant", "tool"]


async def test_a_chat_adds_the_prompt_and_all_turns_to_the_history():
    history = [Message.user("I am in Paris."), Message.assistant("Nice.")]
    agent = Agent(weather_model(), tools=[get_weather], max_turns=2)

    assert await agent.chat("How is it?", history) == "It is warm."

    assert roles(history) == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    assert history[2] == Message.user("How is it?")
    assert history[4].tool_results[0].text == "20 °C in Paris"
    assert history[5].text == "It is warm."


async def test_a_second_chat_goes_on_where_the_first_ended():
    model = ScriptedModel(say("Nice."), say("Paris."))
    agent, history = Agent(model), []

    await agent.chat("I am in Paris.", history)
    await agent.chat("Where am I?", history)

    assert [message.text for message in model.requests[1].messages] == [
        "I am in Paris.",
        "Nice.",
        "Where am I?",
    ]
    assert len(history) == 4


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("turns", "error"),
    [
        ([fail(500)], CompletionFailed),
        ([call("get_weather", city="Paris")], MaxTurnsError),
    ],
    ids=["the model fails", "too few turns"],
)
async def test_a_chat_that_fails_leaves_the_history_as_it_was(turns, error, streamed):
    history = [Message.user("I am in Paris."), Message.assistant("Nice.")]
    agent = Agent(ScriptedModel(*turns), tools=[get_weather])

    with pytest.raises(error):
        if streamed:
            await agent.stream_chat("How is it?", history).text()
        else:
            await agent.chat("How is it?", history)

    assert history == [Message.user("I am in Paris."), Message.assistant("Nice.")]


async def test_a_chat_that_is_cancelled_leaves_the_history_as_it_was():
    waiting = asyncio.Event()

    @tool
    async def wait() -> str:
        waiting.set()
        await asyncio.Event().wait()
        return "never"

    history: list[Message] = []
    agent = Agent(ScriptedModel(call("wait")), tools=[wait], max_turns=2)
    chat = asyncio.ensure_future(agent.chat("Wait.", history))
    await waiting.wait()
    chat.cancel()

    with pytest.raises(asyncio.CancelledError):
        await chat
    assert history == []


async def test_a_history_that_is_only_given_stays_as_it_is():
    history = [Message.user("I am in Paris."), Message.assistant("Nice.")]
    model = ScriptedModel(say("Paris."))

    answer = await Agent(model).prompt("Where am I?").history(history)

    assert answer == "Paris."
    assert len(model.requests[0].messages) == 3
    assert history == [Message.user("I am in Paris."), Message.assistant("Nice.")]


async def test_an_empty_turn_is_not_kept():
    history: list[Message] = []
    model = ScriptedModel(turn(say(""), finish_reason="length"))

    assert await Agent(model).chat("Hi.", history) == ""

    assert history == [Message.user("Hi.")]


async def test_a_prompt_may_be_a_message():
    model = ScriptedModel(say("A cat."))
    message = Message.user("What is it?", Document(data="Miaow.", source="text"))

    await Agent(model).prompt(message)

    assert model.requests[0].messages == [message]


async def test_the_tokens_of_all_calls_are_added_up():
    agent = Agent(weather_model(), tools=[get_weather], max_turns=2)

    details = await agent.prompt("How is Paris?").extended_details()

    assert details.output == "It is warm."
    assert details.usage == Usage(input_tokens=100, output_tokens=13)
    assert [(one.call_index, one.usage.total_tokens) for one in details.completion_calls] == [
        (0, 48),
        (1, 65),
    ]
    assert details.requests == 2
    assert roles(details.messages) == ["user", "assistant", "tool", "assistant"]
    assert details.content == [Text(text="It is warm.")]


async def test_details_hold_new_messages_alone():
    details = (
        await Agent(ScriptedModel(say("Fine.")))
        .prompt("And you?")
        .history([Message.user("Hi.")])
        .extended_details()
    )

    assert [message.text for message in details.messages] == ["And you?", "Fine."]


async def test_one_turn_is_all_there_is_unless_more_are_allowed():
    model = weather_model(unused="ignore")

    with pytest.raises(MaxTurnsError) as error:
        await Agent(model, tools=[get_weather]).prompt("How is Paris?")

    assert error.value.max_turns == 1
    assert roles(error.value.chat_history) == ["user", "assistant", "tool"]
    assert error.value.prompt.tool_results[0].text == "20 °C in Paris"
    assert error.value.usage.total_tokens == 48
    assert len(model.requests) == 1


async def test_no_turn_at_all_makes_no_call():
    model = ScriptedModel()

    with pytest.raises(MaxTurnsError) as error:
        await Agent(model).prompt("Hi.").max_turns(0)

    assert error.value.prompt == Message.user("Hi.")
    assert error.value.chat_history == [Message.user("Hi.")]
    assert model.requests == []


@pytest.mark.parametrize("allowed", [2, 3])
async def test_so_many_turns_and_no_more(allowed):
    model = ScriptedModel(*[call("get_weather", city="Paris")] * 3, unused="ignore")

    with pytest.raises(MaxTurnsError):
        await Agent(model, tools=[get_weather], max_turns=allowed).prompt("How is Paris?")

    assert len(model.requests) == allowed


async def test_a_call_that_fails_is_told_with_everything_the_provider_said():
    agent = Agent(
        ScriptedModel(
            call("get_weather", city="Paris", usage=Usage(input_tokens=40, output_tokens=8)),
            fail(429, retry_after=2),
        ),
        tools=[get_weather],
        max_turns=2,
    )

    with pytest.raises(PromptError) as error:
        await agent.prompt("How is Paris?")

    failed = error.value
    assert isinstance(failed, CompletionFailed)
    assert isinstance(failed.__cause__, CompletionError)
    assert failed.completion_error is failed.__cause__
    assert failed.completion_error.retry_after == 2
    assert (failed.status, failed.retryable) == (429, True)
    assert failed.body == failed.json() == failed.completion_error.body
    assert failed.usage.total_tokens == 48
    assert roles(failed.chat_history) == ["user", "assistant", "tool"]


class Down:
    """A model of one's own that answers every call with an error."""

    def __init__(self, body) -> None:
        self._body = body

    async def completion(self, request):
        raise ProviderError("down", kind="server_error", status=502, body=self._body)

    async def stream(self, request):
        raise ProviderError("down", kind="server_error", status=502, body=self._body)
        yield


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("body", "parsed"),
    [(None, None), ("", None), ({"a": 1}, {"a": 1}), ({}, {}), ('{"a": 1}', {"a": 1})],
    ids=repr,
)
async def test_what_the_provider_sent_can_be_had_as_json(body, parsed, streamed):
    prompt = Agent(Down(body)).prompt("Hi.")

    with pytest.raises(CompletionFailed) as error:
        await (prompt.stream().text() if streamed else prompt)

    assert (error.value.status, error.value.body, error.value.json()) == (502, body, parsed)


async def test_what_is_no_json_is_said_to_be_none():
    with pytest.raises(CompletionFailed) as error:
        await Agent(Down("<html>Bad gateway</html>")).prompt("Hi.")

    assert error.value.body == "<html>Bad gateway</html>"
    with pytest.raises(ValueError, match="Expecting value"):
        error.value.json()


async def test_errors_travel_between_processes():
    with pytest.raises(MaxTurnsError) as error:
        await Agent(ScriptedModel()).prompt("Hi.").max_turns(0)

    again = pickle.loads(pickle.dumps(error.value))

    assert type(again) is MaxTurnsError
    assert str(again) == str(error.value)
    assert (again.prompt, again.chat_history) == (error.value.prompt, error.value.chat_history)


async def test_a_prompt_is_sent_each_time_it_is_awaited():
    prompt = Agent(ScriptedModel(say("One."), say("Two."))).prompt("Hi.")

    assert [await prompt, await prompt] == ["One.", "Two."]


async def test_options_are_methods_and_keywords_alike():
    agent = Agent(weather_model(), tools=[get_weather])

    answer = await agent.prompt(
        "How is Paris?",
        max_turns=2,
        history=[],
        tool_concurrency=0,
        hooks=[],
        max_invalid_tool_call_retries=1,
    )

    assert answer == "It is warm."


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_turns": -1},
        {"tool_concurrency": -1},
        {"tools": [get_weather, get_weather]},
        {"tools": ["get_weather"]},
        {"output_schema": int, "output_mode": "loud"},
        {"output_schema": object()},
    ],
    ids=["turns", "concurrency", "twice the same tool", "a name as a tool", "a way of asking", "a schema"],
)
def test_an_option_that_means_nothing_is_refused(wrong):
    with pytest.raises(OptionError):
        Agent(ScriptedModel(), **wrong)


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(
        OptionError, match="some of conversation, history, hooks, max_invalid_tool_call_retries, max_turns"
    ):
        Agent(ScriptedModel()).prompt("Hi.", stream=True)


def test_a_conversation_needs_a_memory():
    with pytest.raises(OptionError, match="an agent with a memory"):
        Agent(ScriptedModel()).prompt("Hi.").conversation("home")


async def test_tools_of_the_provider_are_offered_and_not_run():
    search = ProviderTool(kind="web_search", config={"max_uses": 1})
    model = ScriptedModel(say("Found."))

    await Agent(model, tools=[search]).prompt("Search.")

    assert model.requests[0].tools == [search]


def test_everything_works_without_async():
    history: list[Message] = []

    assert (
        Agent(weather_model(), tools=[get_weather]).prompt_sync("How is Paris?", max_turns=2) == "It is warm."
    )
    assert Agent(ScriptedModel(say("Hello."))).chat_sync("Hi.", history) == "Hello."
    assert len(history) == 2


async def test_sync_calls_work_inside_a_running_loop():
    assert Agent(ScriptedModel(say("Hello."))).prompt_sync("Hi.") == "Hello."


class Parrot:
    """A model of one's own: nothing but the two methods."""

    async def completion(self, request):
        from llmreplay import CompletionResponse

        return CompletionResponse(choice=[Text(text=f"You said: {request.prompt}")], finish_reason="stop")

    async def stream(self, request):
        for event in told(await self.completion(request)):
            yield event


async def test_a_model_of_ones_own_is_enough_for_an_agent():
    agent = Agent(Parrot())

    assert await agent.prompt("Hi.") == "You said: Hi."
    assert await agent.stream_prompt("Hi.").text() == "You said: Hi."


async def test_an_agent_serves_many_prompts_at_once():
    agent = Agent(Parrot())
    questions = [f"Number {number}" for number in range(20)]

    answers = await asyncio.gather(*[agent.prompt(question) for question in questions])

    assert answers == [f"You said: {question}" for question in questions]


def test_an_agent_serves_many_threads():
    agent = Agent(Parrot())
    questions = [f"Number {number}" for number in range(8)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(agent.prompt_sync, questions))

    assert answers == [f"You said: {question}" for question in questions]


async def test_a_request_is_made_ready_by_the_agent_and_said_otherwise_by_the_caller():
    model = ScriptedModel(say("Short."), say("Short again."))
    agent = Agent(
        model,
        preamble="Be brief.",
        tools=[get_weather],
        temperature=0.2,
        documents=[Document(data="Paris is in France.", source="text")],
        additional_params={"verbosity": "low"},
    )
    history = [Message.user("Hi."), Message.assistant("Hello.")]

    builder = agent.completion("How is Paris?", history)
    assert builder.build().system == "Be brief."
    response = await builder.preamble("Be verbose.").temperature(0.9).send()

    assert response.text == "Short."
    (request,) = model.requests
    assert (request.system, request.temperature) == ("Be verbose.", 0.9)
    assert [message.text for message in request.messages] == ["Be verbose.", "Hi.", "Hello.", "How is Paris?"]
    assert request.tools == [get_weather.definition]
    assert len(request.documents) == 1
    assert request.extra == {"verbosity": "low"}
    events = [event async for event in agent.stream_completion("How is Paris?", history)]
    assert events[-1].response.text == "Short again."


async def test_a_single_request_runs_no_tool():
    response = (
        await Agent(weather_model(unused="ignore"), tools=[get_weather]).completion("How is Paris?").send()
    )

    assert [(one.name, one.arguments) for one in response.tool_calls] == [("get_weather", {"city": "Paris"})]
    assert all(isinstance(one, ToolCall) for one in response.choice)

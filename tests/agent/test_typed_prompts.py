"""Answers that are values: typed prompts, the ways of asking for them, and extractors."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from llmreplay import Agent, Message, ScriptedModel, Usage, call, fail, say, turn
from llmreplay.agent import (
    DeserializationError,
    EmptyResponse,
    ExtractionFailed,
    Hook,
    InvalidData,
    MaxTurnsError,
    NoData,
    PromptCancelled,
    Stop,
    StructuredOutputError,
    TurnRetried,
    TypedPromptFailed,
    UnknownToolCall,
)
from llmreplay.completion import ToolChoice
from llmreplay.errors import OptionError

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["blocking", "streaming"])


class City(BaseModel):
    """A city."""

    name: str
    people: int


PARIS = '{"name": "Paris", "people": 2}'


def look(city: str) -> str:
    return f"seen {city}"


async def details(request, *, streamed: bool):
    if not streamed:
        return await request.extended_details()
    async with request.stream() as events:
        async for _ in events:
            pass
    return events.response


@STREAMED
async def test_a_typed_prompt_gives_a_value(streamed):
    model = ScriptedModel(say(PARIS, usage=Usage(input_tokens=9)))

    told = await details(Agent(model).prompt_typed(City, "Which city?"), streamed=streamed)

    assert told.output == City(name="Paris", people=2)
    assert told.usage.input_tokens == 9
    schema = model.requests[0].output_schema
    assert schema["required"] == ["name", "people"]
    assert schema["properties"]["people"] == {"type": "integer"}


class Street(BaseModel):
    name: str
    city: City = Field(description="where it is")
    next: Street | None = Field(None, description="where it leads")
    other: list[Annotated[Street, Field(description="a crossing")]] = []
    houses: dict[str, int] = {}


async def test_a_schema_is_closed_as_providers_want_it():
    model = ScriptedModel(say('{"name": "Rue", "city": {"name": "Paris", "people": 2}}'))

    await Agent(model).prompt_typed(Street, "Which street?")

    street = model.requests[0].output_schema
    assert street["$defs"].keys() == {"City", "Street"}
    assert street["required"] == ["name", "city", "next", "other", "houses"]
    assert street["additionalProperties"] is False
    assert street["properties"]["city"] == {
        "type": "object",
        "title": "City",
        "description": "where it is",
        "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["name", "people"],
        "additionalProperties": False,
    }
    assert street["properties"]["next"] == {
        "anyOf": [{"$ref": "#/$defs/Street"}, {"type": "null"}],
        "description": "where it leads",
    }
    assert street["properties"]["other"]["items"] == {"$ref": "#/$defs/Street"}
    assert street["properties"]["houses"] == {"type": "object", "additionalProperties": {"type": "integer"}}


async def test_any_type_that_pydantic_knows_is_a_type():
    agent = Agent(ScriptedModel(say("[1, 2]"), say("7")))

    assert await agent.prompt_typed(list[int], "Which?") == [1, 2]
    assert await agent.prompt_typed(int, "Which?") == 7


@pytest.mark.parametrize(
    "text",
    [PARIS, f"Here it is:\n```json\n{PARIS}\n```\nAnything else?", f"  {PARIS}\n"],
    ids=["alone", "in prose", "in space"],
)
async def test_json_is_found_in_prose(text):
    assert await Agent(ScriptedModel(say(text))).prompt_typed(City, "Which?") == City(name="Paris", people=2)


@STREAMED
@pytest.mark.parametrize("text", ["", " \n"], ids=repr)
async def test_an_empty_answer_is_no_value(text, streamed):
    with pytest.raises(EmptyResponse):
        await details(
            Agent(ScriptedModel(say(text, finish_reason="length"))).prompt_typed(City, "?"), streamed=streamed
        )


@STREAMED
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Paris.", "no JSON in it (Expecting value: line 1 column 1 (char 0))"),
        ('{"name": "Paris"}', "people: Field required"),
        ('{"name": ', "Expecting value: line 1 column 10 (char 9)"),
        ("[]", "the whole: Input should be a valid dictionary or instance of City"),
    ],
    ids=["prose", "a field is missing", "cut short", "a list"],
)
async def test_an_answer_that_is_no_such_value_says_what_is_wrong(text, problem, streamed):
    agent = Agent(ScriptedModel(say(text, usage=Usage(output_tokens=3))))

    with pytest.raises(DeserializationError) as error:
        await details(agent.prompt_typed(City, "Which?"), streamed=streamed)

    assert (error.value.text, error.value.problem) == (text, problem)
    assert error.value.usage.output_tokens == 3
    assert error.value.json() is None


@STREAMED
async def test_a_typed_prompt_without_an_answer_says_why(streamed):
    with pytest.raises(TypedPromptFailed) as error:
        await details(Agent(ScriptedModel(fail(429))).prompt_typed(City, "Which?"), streamed=streamed)

    failed = error.value
    assert isinstance(failed, StructuredOutputError)
    assert failed.prompt_error is failed.__cause__
    assert failed.completion_error is failed.prompt_error.completion_error
    assert (failed.status, failed.retryable) == (429, True)
    assert failed.body == failed.json() == failed.completion_error.body


async def test_a_typed_prompt_that_was_stopped_has_nothing_of_a_provider():
    class Stops(Hook):
        def on_completion_call(self, turn, request):
            return Stop("enough")

    with pytest.raises(TypedPromptFailed) as error:
        await Agent(ScriptedModel(), hooks=[Stops()]).prompt_typed(City, "Which?")

    assert isinstance(error.value.prompt_error, PromptCancelled)
    assert (error.value.status, error.value.body, error.value.json(), error.value.retryable) == (
        None,
        None,
        None,
        False,
    )


async def test_a_typed_prompt_may_use_tools_before():
    model = ScriptedModel(call("look", city="Paris"), say(PARIS))

    value = await Agent(model, tools=[look]).prompt_typed(City, "Which?", max_turns=2)

    assert value.name == "Paris"
    assert [request.output_schema is not None for request in model.requests] == [True, True]
    assert model.requests[0].tool_names == ["look"]


def test_a_typed_prompt_needs_no_async():
    assert Agent(ScriptedModel(say(PARIS))).prompt_typed_sync(City, "Which?").people == 2


# -------------------------------------------------------------------------------------- the ways of asking


async def test_prompted_says_it_in_the_system_prompt():
    model = ScriptedModel(say(PARIS))

    await Agent(model, preamble="Be brief.").prompt_typed(City, "Which?", output_mode="prompted")

    assert model.requests[0].output_schema is None
    assert model.requests[0].system.startswith("Be brief.\n\nAnswer with JSON that fits this schema")
    assert '"people"' in model.requests[0].system


@STREAMED
async def test_a_tool_may_take_the_value_and_the_history_holds_it_as_text(streamed):
    model = ScriptedModel(
        call("look", city="Paris", id="1"),
        turn(
            say("Here:"),
            call("final_result", name="Paris", people=2, id="2"),
            call("look", city="Rome", id="3"),
        ),
    )
    asked: list[str] = []

    def look(city: str) -> str:
        asked.append(city)
        return city

    agent = Agent(model, tools=[look], max_turns=2)
    told = await details(agent.prompt_typed(City, "Which?", output_mode="tool"), streamed=streamed)

    assert told.output == City(name="Paris", people=2)
    assert asked == ["Paris"]
    assert model.requests[0].tool_names == ["look", "final_result"]
    assert model.requests[0].tool_choice == ToolChoice(mode="required")
    assert model.requests[0].output_schema is None
    assert told.messages[-1] == Message.assistant(PARIS)
    assert not any(message.tool_calls for message in told.messages[2:])


@STREAMED
async def test_a_value_that_does_not_fit_may_be_given_once_more(streamed):
    model = ScriptedModel(
        turn(call("final_result", name="Paris", id="1"), call("final_result", name="Rome", id="2")),
        call("final_result", name="Paris", people=2, id="3"),
        strict=False,
    )

    told = await details(
        Agent(model, max_turns=2).prompt_typed(City, "Which?", output_mode="tool"), streamed=streamed
    )

    assert told.output.people == 2
    first, second = model.requests[1].tool_results
    assert first.text == "failed to parse tool arguments: $: 'people' is a required property"
    assert first.is_error
    assert second.text.startswith("Tool not executed because")


async def test_a_value_that_never_fits_is_an_error_of_the_value():
    model = ScriptedModel(*[call("final_result", name="Paris")] * 2, strict=False)

    with pytest.raises(DeserializationError, match="people: Field required"):
        await Agent(model, max_turns=9).prompt_typed(City, "Which?", output_mode="tool")

    assert len(model.requests) == 2


async def test_without_a_turn_left_there_is_no_second_chance():
    model = ScriptedModel(call("final_result", "{"), strict=False)

    with pytest.raises(DeserializationError) as error:
        await Agent(model).prompt_typed(City, "Which?", output_mode="tool")

    assert error.value.text == "{"


async def test_a_model_that_only_talks_is_told_to_use_the_tool():
    model = ScriptedModel(say("Paris, I think."), call("final_result", name="Paris", people=2))

    agent = Agent(model, max_turns=2)
    events = [event async for event in agent.prompt_typed(City, "Which?", output_mode="tool").stream()]

    assert events[-1].response.output.name == "Paris"
    assert [event.turn for event in events if isinstance(event, TurnRetried)] == [0]
    assert model.requests[1].prompt == "Give the answer by calling the tool final_result."


async def test_a_text_that_is_the_value_is_taken_for_it():
    model = ScriptedModel(say(f"It is {PARIS}."))

    assert (await Agent(model, max_turns=2).prompt_typed(City, "Which?", output_mode="tool")).name == "Paris"


async def test_a_value_that_is_no_object_is_wrapped_in_one():
    model = ScriptedModel(call("final_result", value=[{"name": "Paris", "people": 2}]))

    value = await Agent(model).prompt_typed(list[City], "Which?", output_mode="tool")

    assert value == [City(name="Paris", people=2)]
    parameters = model.requests[0].tools[0].parameters
    assert parameters["required"] == ["value"]
    assert "City" in parameters["$defs"]


@pytest.mark.parametrize(("tools", "mode"), [([look], "tool"), ([], "native")], ids=["with tools", "without"])
async def test_an_agent_may_always_answer_with_a_value(tools, mode):
    answer = call("final_result", name="Paris", people=2) if mode == "tool" else say(PARIS)
    model = ScriptedModel(answer)

    assert await Agent(model, tools=tools, output_schema=City).prompt("Which?") == PARIS

    assert (model.requests[0].output_schema is not None) == (mode == "native")


async def test_a_schema_may_be_written_by_hand():
    model = ScriptedModel(say("[1]"))

    assert await Agent(model, output_schema={"type": "array"}, output_mode="native").prompt("Which?") == "[1]"

    assert model.requests[0].output_schema == {"type": "array"}


async def test_the_way_of_an_agent_is_that_of_its_typed_prompts():
    model = ScriptedModel(
        call("final_result", name="Paris", people=2), call("final_result", name="Rome", people=3)
    )

    assert (await Agent(model, output_mode="tool").prompt_typed(City, "Which?")).name == "Paris"
    assert (await Agent(model, tools=[look]).prompt_typed(City, "Which?", output_mode="auto")).name == "Rome"


def test_a_way_that_means_nothing_is_refused():
    with pytest.raises(OptionError, match="auto, tool, native or prompted"):
        Agent(ScriptedModel()).prompt_typed(City, "Which?", output_mode="loud")


async def test_the_tool_for_the_value_does_not_make_other_tools_known():
    model = ScriptedModel(call("fly", city="Paris"), strict=False)

    with pytest.raises(TypedPromptFailed) as error:
        await Agent(model).prompt_typed(City, "Which?", output_mode="tool")

    assert isinstance(error.value.prompt_error, UnknownToolCall)


# ----------------------------------------------------------------------------------------------- extractors


async def test_an_extractor_takes_what_is_submitted():
    model = ScriptedModel(call("submit", name="Paris", people=2, usage=Usage(input_tokens=9)))
    agent = Agent(model, preamble="You know cities.", tools=[look], temperature=0.1)

    found = await agent.extractor(City).extract_with_usage("Paris has two people.")

    assert found.data == City(name="Paris", people=2)
    assert found.usage.input_tokens == 9
    (request,) = model.requests
    assert request.tool_names == ["submit"]
    assert request.tool_choice == ToolChoice(mode="required")
    assert request.system.startswith("You know cities.\n\n")
    assert (request.temperature, request.prompt) == (0.1, "Paris has two people.")


def test_an_extractor_needs_no_async():
    extractor = Agent(ScriptedModel(call("submit", name="Paris", people=2))).extractor(City)

    assert extractor.extract_sync("Paris has two people.").people == 2


async def test_of_several_submissions_the_first_counts_and_other_tools_do_not():
    model = ScriptedModel(
        turn(
            call("look", city="Paris", id="0"),
            call("submit", name="Paris", people=2, id="1"),
            call("submit", name="Rome", people=3, id="2"),
        ),
        strict=False,
    )

    assert (await Agent(model).extractor(City).extract("Two cities.")).name == "Paris"


@pytest.mark.parametrize(
    "said", [say("There is none."), call("look", city="Paris")], ids=["text", "another tool"]
)
async def test_without_a_submission_there_is_no_data(said):
    with pytest.raises(NoData, match="nothing was submitted"):
        await Agent(ScriptedModel(said, strict=False)).extractor(City).extract("Nothing.")


async def test_an_extractor_tries_again_and_counts_all_attempts():
    tokens = Usage(input_tokens=5)
    model = ScriptedModel(
        say("None.", usage=tokens),
        call("submit", name="Paris", usage=tokens),
        fail(529),
        call("submit", name="Paris", people=2, usage=tokens),
        strict=False,
    )

    found = await Agent(model).extractor(City, retries=3).extract_with_usage("Paris has two people.")

    assert found.data.people == 2
    assert found.usage.input_tokens == 15
    assert [len(request.messages) for request in model.requests] == [2] * 4


async def test_if_all_attempts_fail_the_last_failure_tells_the_tokens_of_all():
    tokens = Usage(input_tokens=5)
    model = ScriptedModel(
        say("None.", usage=tokens), call("submit", name="Paris", usage=tokens), strict=False
    )

    with pytest.raises(InvalidData) as error:
        await Agent(model).extractor(City, retries=1).extract("Paris.")

    assert error.value.data == {"name": "Paris"}
    assert str(error.value).endswith("is not of the type that was asked for: people: Field required")
    assert error.value.problem == "people: Field required"
    assert (error.value.usage.input_tokens, error.value.retryable, error.value.body) == (10, False, None)


async def test_a_failure_that_will_not_pass_is_not_tried_again():
    model = ScriptedModel(fail(401), unused="ignore")

    with pytest.raises(ExtractionFailed) as error:
        await Agent(model).extractor(City, retries=5).extract("Paris.")

    assert (error.value.status, error.value.retryable) == (401, False)
    assert error.value.json() == error.value.body == error.value.prompt_error.body
    assert len(model.requests) == 1


async def test_an_extractor_may_be_told_what_was_said_before():
    model = ScriptedModel(call("submit", name="Paris", people=2))

    await Agent(model).extractor(City).extract("It has two.", history=[Message.user("Paris.")])

    assert [message.role for message in model.requests[0].messages] == ["system", "user", "user"]


async def test_a_typed_prompt_runs_out_of_turns_as_any_other():
    model = ScriptedModel(call("look", city="Paris"))

    with pytest.raises(TypedPromptFailed) as error:
        await Agent(model, tools=[look]).prompt_typed(City, "Which?")

    assert isinstance(error.value.prompt_error, MaxTurnsError)

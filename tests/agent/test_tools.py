"""Tools: what a model is told of a function, what the function is given, and what comes of it."""

from __future__ import annotations

import pickle
import threading
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from llmreplay import Agent, ScriptedModel, ToolDefinition, call, say, tool
from llmreplay.agent import Tool, ToolError
from llmreplay.completion import Image, Json, Text
from llmreplay.errors import OptionError


class Place(BaseModel):
    city: str = Field(description="its name")
    country: str = "FR"


@tool
def book(place: Place, when: date, nights: Annotated[int, Field(description="how many", ge=1)] = 1) -> str:
    """Book a room.

    Only in towns.

    Args:
        place: where it is to be,
            as near as can be
        when (date): the first night
        nights: this is said above

    Returns:
        what: was booked
    """
    return f"{nights} in {place.city} from {when:%d.%m.}"


async def results(function, *arguments, **options) -> list:
    """What the model reads of each call of a tool."""
    model = ScriptedModel(*[call("it", one) for one in arguments], say("Done."), strict_except=["arguments"])
    made = function if isinstance(function, Tool) else tool(name="it")(function)
    await Agent(model, tools=[made], max_turns=len(arguments) + 1, **options).prompt("Go.")
    return [request.tool_results[0] for request in model.requests[1:]]


def test_the_schema_is_that_of_the_parameters():
    definition = book.definition

    assert definition.name == "book"
    assert definition.description == "Book a room.\n\nOnly in towns."
    schema = definition.parameters
    assert schema["required"] == ["place", "when"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["place"] == {
        "$ref": "#/$defs/Place",
        "description": "where it is to be, as near as can be",
    }
    assert schema["properties"]["when"] == {
        "type": "string",
        "format": "date",
        "description": "the first night",
    }
    assert schema["properties"]["nights"] == {
        "type": "integer",
        "default": 1,
        "minimum": 1,
        "description": "how many",
    }
    assert schema["$defs"]["Place"]["properties"]["city"] == {"type": "string", "description": "its name"}


def test_a_tool_is_still_its_function():
    assert book(Place(city="Nice"), date(2026, 5, 1), nights=2) == "2 in Nice from 01.05."
    assert book.__doc__.startswith("Book a room.")
    assert repr(book) == "Tool('book')"


async def test_arguments_come_as_the_types_of_the_parameters():
    model = ScriptedModel(call("book", place={"city": "Nice"}, when="2026-05-01"), say("Done."))

    await Agent(model, tools=[book], max_turns=2).prompt("Go.")

    assert model.requests[1].tool_results[0].text == "1 in Nice from 01.05."


def test_a_tool_can_be_told_otherwise():
    @tool(name="reserve", description="Reserve a room.")
    def function() -> None:
        """Book."""

    assert (function.name, function.definition.description) == ("reserve", "Reserve a room.")
    assert function.definition.parameters == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def test_a_parameter_may_have_any_name():
    @tool
    def awkward(schema: str, json: str, _private: int, model_config: float, class_: str = "") -> str:
        return ""

    assert [*awkward.definition.parameters["properties"]] == [
        "schema",
        "json",
        "_private",
        "model_config",
        "class_",
    ]


async def test_any_callable_may_be_a_tool():
    class Counter:
        def __init__(self):
            self.count = 0

        def add(self, number: int, /, *, twice: bool = False, **more: int) -> int:
            """Add a number."""
            self.count += number * (2 if twice else 1) + sum(more.values())
            return self.count

        async def __call__(self, number: int = Field(3, description="what to add")) -> int:
            self.count += number
            return self.count

    counter = Counter()
    by_method, itself = Tool(counter.add, name="it"), Tool(counter, name="it")

    assert itself.definition.parameters["properties"]["number"]["default"] == 3
    assert [
        one.text for one in await results(by_method, {"number": 2, "twice": True}, {"number": 1, "three": 3})
    ] == [
        "4",
        "8",
    ]
    assert [one.text for one in await results(itself, {"number": 2}, {})] == ["10", "13"]


@pytest.mark.parametrize(
    ("output", "content"),
    [
        ("text", Text(text="text")),
        ({"a": [1, 2.5]}, Json(value={"a": [1, 2.5]})),
        (Place(city="Nice"), Json(value={"city": "Nice", "country": "FR"})),
        ([Place(city="Nice")], Json(value=[{"city": "Nice", "country": "FR"}])),
        (7, Json(value=7)),
        ([], Json(value=[])),
        (None, Text(text="null")),
        (Image(data="aGk=", media_type="image/png"), Image(data="aGk=", media_type="image/png")),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_a_tool_returns_is_what_the_model_reads(output, content):
    def it() -> Any:
        return output

    (result,) = await results(it, {})

    assert result.content == [content]
    assert not result.is_error


async def test_a_tool_may_return_several_contents():
    def it() -> list:
        return [Text(text="A cat:"), Image(data="aGk=")]

    (result,) = await results(it, {})

    assert result.content == [Text(text="A cat:"), Image(data="aGk=")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"place": ', "failed to parse tool arguments: Expecting value: line 1 column 11 (char 10)"),
        ("[1]", "failed to parse tool arguments: they are no object: [1]"),
        (
            {"place": {"city": "Nice"}},
            "failed to parse tool arguments: when: Field required",
        ),
        (
            {"place": {"city": 1}, "when": "2026-05-01", "nights": 0, "x": 1},
            (
                "failed to parse tool arguments: place.city: Input should be a valid string; "
                "nights: Input should be greater than or equal to 1; x: Extra inputs are not permitted"
            ),
        ),
    ],
    ids=["no JSON", "no object", "one is missing", "several are wrong"],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments, said):
    model = ScriptedModel(call("book", arguments), say("Sorry."), strict_except=["arguments"])

    answer = await Agent(model, tools=[book], max_turns=2).prompt("Go.")

    assert answer == "Sorry."
    (result,) = model.requests[1].tool_results
    assert (result.text, result.is_error) == (said, True)


async def test_null_is_taken_for_no_arguments():
    def it(city: str = "Paris") -> str:
        return city

    assert [one.text for one in await results(it, "null", "", {})] == ["Paris"] * 3


async def test_of_an_ordinary_exception_the_model_reads_only_that_it_failed():
    def it() -> str:
        raise ValueError("the password is 1234")

    (result,) = await results(it, {})

    assert (result.text, result.is_error) == ("the tool failed", True)


async def test_what_is_no_json_is_a_failure_of_the_tool():
    def it() -> object:
        return object()

    (result,) = await results(it, {})

    assert (result.text, result.is_error) == ("the tool failed", True)


async def test_an_error_that_is_meant_for_the_model_is_read_by_it():
    def it(city: str) -> str:
        if city == "Atlantis":
            raise ToolError("no such city", kind="not_found")
        raise ToolError(
            "SQL error 77", kind="provider", model_output="try again later", code="77", http_status=503
        )

    first, second = await results(it, {"city": "Atlantis"}, {"city": "Paris"})

    assert (first.text, first.is_error) == ("no such city", True)
    assert (second.text, second.is_error) == ("try again later", True)


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("timeout", True),
        ("rate_limited", True),
        ("network", True),
        ("invalid_args", False),
        ("cancelled", False),
        ("not_found", False),
        ("permission_denied", False),
        ("provider", None),
        ("other", None),
    ],
)
def test_the_kind_of_an_error_says_whether_to_try_again(kind, retryable):
    assert ToolError("x", kind=kind).retryable is retryable
    assert ToolError("x", kind=kind, retryable=True).retryable is True


def test_an_error_keeps_what_the_model_reads_out_of_its_own_text():
    error = ToolError("it broke", kind="other", model_output="a long secret", refusal=True)

    assert repr(error) == "ToolError('it broke', kind='other')"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.model_output, again.refusal) == ("it broke", "a long secret", True)


async def test_a_schema_may_be_written_by_hand():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    made = Tool.from_definition(ToolDefinition(name="it", parameters=schema), lambda n: n + 1)

    good, bad, none = await results(made, {"n": 1}, {"n": "x"}, "[]")

    assert good.text == "2"
    assert bad.text == "failed to parse tool arguments: $.n: 'x' is not of type 'integer'"
    assert none.text == "failed to parse tool arguments: they are no object: []"


async def test_one_tool_at_a_time_runs_where_it_is_called():
    def it() -> bool:
        return threading.current_thread() is threading.main_thread()

    (result,) = await results(it, {}, tool_concurrency=4)

    assert result.content == [Json(value=True)]


def starred(*cities: str) -> str:
    return ""


def unknown(city: Nowhere) -> str:  # noqa: F821  which is the point
    return ""


class Nothing:
    """A type that pydantic does not know."""


def strange(city: Nothing) -> str:
    return ""


@pytest.mark.parametrize("function", [starred, unknown, strange])
def test_a_function_that_no_object_can_fill_is_no_tool(function):
    with pytest.raises(OptionError, match="expected"):
        tool(function)

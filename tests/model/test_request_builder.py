"""A request, word by word: what each method says, and where it stands in the request."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, Field

from llmreplay import CompletionRequest, Message, ScriptedModel, ToolDefinition, say
from llmreplay.completion import Document, Final, ProviderTool, RequestError, ToolChoice, told
from llmreplay.errors import OptionError
from llmreplay.model import CompletionRequestBuilder

WEATHER = ToolDefinition(name="get_weather", parameters={"type": "object"})


class Place(BaseModel):
    city: str


SCHEMA = Place.model_json_schema()


def built(**said):
    """Build a request with one method each, by its name."""
    builder = CompletionRequestBuilder(None, "How is Paris?")
    for name, value in said.items():
        getattr(builder, name)(*value if isinstance(value, tuple) else (value,))
    return builder.build()


def test_the_preamble_is_the_first_message_and_the_prompt_the_last():
    request = built(
        message="Hello.",
        messages=[Message.assistant("Hi."), Message.user("Well?")],
        preamble="Be brief.",
    )

    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user", "user"]
    assert [message.text for message in request.messages] == [
        "Be brief.",
        "Hello.",
        "Hi.",
        "Well?",
        "How is Paris?",
    ]


def test_a_preamble_can_be_said_anew_and_taken_back():
    builder = CompletionRequestBuilder(None, "Hi.").preamble("One.").preamble("Two.")

    assert builder.build().system == "Two."
    assert builder.without_preamble().build().system == ""


def test_a_prompt_can_be_any_message():
    prompt = Message.tool_result("call_1", {"degrees": 20})

    assert CompletionRequestBuilder(None, prompt).build().messages == [prompt]


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("model", "gpt-5.5", "model", "gpt-5.5"),
        ("temperature", 0.2, "temperature", 0.2),
        ("top_p", 0.9, "top_p", 0.9),
        ("top_k", 40, "top_k", 40),
        ("max_tokens", 100, "max_tokens", 100),
        ("stop", "END", "stop", ["END"]),
        ("stop", (["a", "b"],), "stop", ["a", "b"]),
        ("stop", ("a", "b"), "stop", ["a", "b"]),
        ("tool_choice", "required", "tool_choice", ToolChoice(mode="required")),
        ("tool_choice", "none", "tool_choice", ToolChoice(mode="none")),
        (
            "tool_choice",
            ("specific", "get_weather"),
            "tool_choice",
            ToolChoice(mode="specific", names=["get_weather"]),
        ),
        ("tool_choice", ToolChoice(mode="auto"), "tool_choice", ToolChoice(mode="auto")),
        (
            "output_schema",
            Place,
            "output_schema",
            {**SCHEMA, "additionalProperties": False},
        ),
        ("output_schema", {"type": "object"}, "output_schema", {"type": "object"}),
        (
            "document",
            "It rains.",
            "documents",
            [Document(data="It rains.", source="text", media_type="text/plain")],
        ),
        ("tool", WEATHER, "tools", [WEATHER]),
        ("extra", {"seed": 7}, "extra", {"seed": 7}),
    ],
)
def test_each_word_has_its_place(name, value, field, expected):
    assert getattr(built(**{name: value}), field) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("seed", 7),
        ("frequency_penalty", 0.5),
        ("presence_penalty", 0.5),
        ("logit_bias", {"42": -1.0}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("parallel_tool_calls", False),
        ("max_completion_tokens", 9),
        ("reasoning_effort", "low"),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("web_search_options", {}),
        ("deferred", True),
        ("user", "ada"),
        ("metadata", {"a": "b"}),
        ("store", False),
        ("service_tier", "flex"),
    ],
)
def test_every_other_field_is_an_option(field, value):
    request = CompletionRequestBuilder(None, "Hi.").options(**{field: value}).build()

    assert getattr(request, field) == value


class Street(BaseModel):
    name: str
    number: int | None = None


class Address(BaseModel):
    street: Street = Field(description="Where.")
    city: str = "Paris"


def objects(schema):
    """Yield each object of a schema that has properties."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for inner in schema.values():
            yield from objects(inner)


def test_the_schema_of_a_model_is_one_that_a_strict_provider_takes():
    schema = built(output_schema=Address).output_schema

    found = list(objects(schema))
    assert len(found) >= 2
    assert all(one["required"] == list(one["properties"]) for one in found)
    assert all(one["additionalProperties"] is False for one in found)
    assert "default" not in json.dumps(schema)


def test_a_schema_that_is_written_by_hand_is_sent_as_it_is():
    by_hand = {"type": "object", "properties": {"city": {"type": "string", "default": "Paris"}}}

    assert built(output_schema=by_hand).output_schema == by_hand


def test_what_has_a_definition_is_a_tool():
    class Weather:
        definition = WEATHER

    assert built(tools=[Weather(), ProviderTool(kind="web_search", config={})]).tool_names == ["get_weather"]


def test_tools_of_the_provider_stand_among_the_others():
    builder = CompletionRequestBuilder(None, "Hi.").tool(WEATHER).provider_tool("web_search", max_uses=3)
    builder.provider_tools([ProviderTool(kind="code", config={})])

    assert builder.build().tools == [
        WEATHER,
        ProviderTool(kind="web_search", config={"max_uses": 3}),
        ProviderTool(kind="code", config={}),
    ]


def test_a_later_key_takes_the_place_of_an_earlier_one():
    builder = CompletionRequestBuilder(None, "Hi.").additional_params({"a": {"b": 1}, "c": 2})

    assert builder.additional_params(a=3).extra(d=4).build().extra == {"a": 3, "c": 2, "d": 4}


def test_documents_keep_their_order_and_names():
    builder = CompletionRequestBuilder(None, "Hi.").document("One.", name="1")
    builder.documents(["Two.", Document(data="JVBERi0=", media_type="application/pdf")])

    assert [(one.data, one.name) for one in builder.build().documents] == [
        ("One.", "1"),
        ("Two.", None),
        ("JVBERi0=", None),
    ]


def test_a_request_is_a_value_of_its_own_each_time():
    builder = CompletionRequestBuilder(None, "Hi.").tool(WEATHER).extra(a=1)
    first = builder.build()

    second = builder.tool(WEATHER).extra(a=2).temperature(1).build()

    assert (len(first.tools), first.extra, first.temperature) == (1, {"a": 1}, None)
    assert (len(second.tools), second.extra, second.temperature) == (2, {"a": 2}, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool", "get_weather"),
        ("tool_choice", "sometimes"),
        ("tool_choice", "specific"),
        ("tool_choice", ("auto", "get_weather")),
        ("output_schema", "place"),
        ("additional_params", [1]),
        ("messages", "Hello."),
        ("documents", "Hello."),
    ],
)
def test_a_word_that_means_nothing_is_refused(name, value):
    with pytest.raises(OptionError):
        built(**{name: value})


def test_an_option_that_is_no_field_is_refused():
    with pytest.raises(OptionError, match="temprature"):
        CompletionRequestBuilder(None, "Hi.").options(temprature=1)


def test_a_message_without_content_is_no_message():
    with pytest.raises(RequestError, match=r"messages\[0\] \(assistant\) has no content") as caught:
        built(message=Message(role="assistant", content=[]))

    assert caught.value.kind == "request_build"


def test_a_value_that_a_field_cannot_have_is_a_request_error():
    with pytest.raises(RequestError, match="temperature"):
        built(temperature="warm")


def test_a_request_without_a_model_can_be_built_and_not_sent():
    builder = CompletionRequestBuilder(None, "Hi.")

    with pytest.raises(OptionError, match="CompletionModel"):
        builder.send_sync()


async def test_to_send_is_to_build_and_to_ask():
    model = ScriptedModel("One.", "One.", "Two.", "Two.")
    builder = model.completion_request("Hi.").preamble("Be brief.").temperature(0.5)

    sent, asked = await builder.send(), await model.completion(builder.build())
    streamed = [event async for event in builder.stream()]
    told_again = [event async for event in model.stream(builder.build())]

    assert sent.text == asked.text == "One."
    assert streamed[-1].response.text == told_again[-1].response.text == "Two."
    first, second, third, fourth = model.requests
    assert first == second == builder.build()
    assert third == fourth == builder.build().model_copy(update={"stream": True})


def test_a_request_is_sent_by_code_that_is_not_async():
    model = ScriptedModel("One.", "Two.")

    assert model.completion_request("Hi.").send_sync().text == "One."
    assert isinstance(list(model.completion_request("Hi.").stream_sync())[-1], Final)


def test_a_model_of_the_users_own_is_sent_requests_too():
    class Own:
        async def completion(self, request: CompletionRequest):
            return say(request.prompt).response()

        async def stream(self, request: CompletionRequest):
            for event in told(say(request.prompt).response()):
                yield event

    builder = CompletionRequestBuilder(Own(), "Hi.")

    assert builder.send_sync().text == "Hi."
    assert list(builder.stream_sync())[-1].response.text == "Hi."

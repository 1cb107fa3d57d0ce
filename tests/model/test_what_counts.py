"""What of a request counts when a recorded answer is looked for: requests that say the same are the same."""

from __future__ import annotations

import pytest

from llmreplay import CompletionRequest, Message, ToolCall, ToolDefinition
from llmreplay.completion import (
    Audio,
    Document,
    Image,
    Json,
    ProviderContent,
    ProviderTool,
    Reasoning,
    ReasoningPart,
    Refusal,
    ResponseFormat,
    Text,
    ToolChoice,
    ToolResult,
)
from llmreplay.model._counting import checked_counts, counted


def request(*messages, **fields):
    return CompletionRequest(messages=list(messages), **fields)


def called(*ids, name="t", **fields):
    return Message.assistant(*(ToolCall(id=id_, name=name, **fields) for id_ in ids))


def same(one, other):
    return counted(one) == counted(other)


HELLO = Message.user("Hello.")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request(Message.user("A", "B")), request(Message.user("A"), Message.user(" B\n"))),
        (request(Message.user("A", ""), HELLO), request(Message.user("A\nHello."))),
        (
            request(Message.system("S"), HELLO),
            request(HELLO, Message(role="developer", content=[Text(text="S")])),
        ),
        (
            request(
                Message(
                    role="user", name="ada", id="1", extra={"a": 1}, content=[Text(text="A", extra={"b": 1})]
                )
            ),
            request(Message.user("A")),
        ),
        (
            request(HELLO, called("call_1"), Message.tool_result("call_1", "x")),
            request(HELLO, called("toolu_9"), Message.tool_result("toolu_9", "x")),
        ),
        (
            request(
                HELLO,
                called("a"),
                Message(role="user", content=[ToolResult(id="a", content=[Text(text="x")])]),
            ),
            request(HELLO, called("a"), Message.tool_result("a", "x")),
        ),
        (
            request(HELLO, called("a", "b"), Message.tool_result("b", "y"), Message.tool_result("a", "x")),
            request(HELLO, called("a", "b"), Message.tool_result("a", "x"), Message.tool_result("b", "y")),
        ),
        (
            request(HELLO, called("", name="f"), Message.tool_result("", "x", name="f")),
            request(HELLO, called("1", name="f"), Message.tool_result("1", "x")),
        ),
        (
            request(HELLO, called("a"), Message.tool_result("a", '{"b": 1}')),
            request(HELLO, called("a"), Message.tool_result("a", {"b": 1})),
        ),
        (
            request(HELLO, called("a"), Message.tool_result("a", {"result": "x"})),
            request(HELLO, called("a"), Message.tool_result("a", " x ")),
        ),
        (
            request(HELLO, called("a"), Message.tool_result("a", '{"output": {"b": 1}}')),
            request(HELLO, called("a"), Message.tool_result("a", {"b": 1})),
        ),
        (
            request(HELLO, called("a", arguments={"x": 1}, arguments_raw='{"x":1}', signature="s", index=0)),
            request(HELLO, called("b", arguments={"x": 1})),
        ),
        (
            request(
                HELLO,
                Message.assistant(
                    Reasoning(parts=[ReasoningPart(text="Hm.")]),
                    ProviderContent(kind="search", raw={}),
                    "Yes.",
                ),
            ),
            request(HELLO, Message.assistant("Yes.")),
        ),
        (request(HELLO, Message.assistant(Refusal(text="No."))), request(HELLO, Message.assistant("No."))),
        (request(HELLO, Message.assistant(Reasoning(parts=[]))), request(HELLO)),
        (
            request(Message.user(Image(data="x", media_type="image/png", detail="low"))),
            request(Message.user(Image(data="x"))),
        ),
        (
            request(HELLO, documents=[Document(data="d", source="text", name="n")]),
            request(Message.user("<file id: n>\nd\n</file>"), HELLO),
        ),
        (request(HELLO, tool_choice=ToolChoice(mode="auto")), request(HELLO)),
        (
            request(HELLO, tools=[ToolDefinition(name="b", parameters={}), ToolDefinition(name="a")]),
            request(HELLO, tools=[ToolDefinition(name="a", description="A."), ToolDefinition(name="b")]),
        ),
        (
            request(HELLO, output_schema={"title": "A"}),
            request(
                HELLO, response_format=ResponseFormat(type="json_schema", json_schema={"type": "object"})
            ),
        ),
        (
            request(
                HELLO, temperature=1, model="m", max_tokens=9, seed=1, user="u", extra={"a": 1}, stream=True
            ),
            request(HELLO),
        ),
    ],
)
def test_requests_that_say_the_same_are_the_same(one, other):
    assert same(one, other)
    assert same(counted(one), one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request(Message.user("A")), request(Message.user("B"))),
        (request(Message.user("A")), request(Message.assistant("A"))),
        (request(HELLO, called("a"), Message.tool_result("a", "x")), request(HELLO, called("a"))),
        (
            request(HELLO, called("a", "b"), Message.tool_result("a", "x"), Message.tool_result("b", "y")),
            request(HELLO, called("a", "b"), Message.tool_result("a", "y"), Message.tool_result("b", "x")),
        ),
        (
            request(HELLO, called("a"), Message.tool_result("a", {"b": 1})),
            request(HELLO, called("a"), Message.tool_result("a", {"b": 2})),
        ),
        (request(HELLO, called("a", arguments={"x": 1})), request(HELLO, called("a", arguments={"x": 2}))),
        (request(HELLO, called("a", name="f")), request(HELLO, called("a", name="g"))),
        (request(Message.user(Image(data="x"))), request(Message.user(Image(data="y")))),
        (request(Message.user(Audio(data="x"))), request(Message.user(Image(data="x")))),
        (request(HELLO, tools=[ToolDefinition(name="a")]), request(HELLO)),
        (
            request(HELLO, tools=[ProviderTool(kind="search", config={})]),
            request(HELLO, tools=[ProviderTool(kind="code", config={})]),
        ),
        (request(HELLO, tool_choice=ToolChoice(mode="none")), request(HELLO)),
        (request(HELLO, response_format=ResponseFormat(type="json_object")), request(HELLO)),
        (request(HELLO, response_format=ResponseFormat(type="text")), request(HELLO, output_schema={})),
    ],
)
def test_requests_that_say_something_else_are_not(one, other):
    assert not same(one, other)


def test_a_result_that_answers_no_call_stands_by_itself():
    found = counted(request(HELLO, Message.tool_result("lost", "x"))).messages

    assert found[1].tool_results[0].id == "call 0"


def test_media_in_a_result_count():
    shown = ToolResult(id="a", content=[Text(text="Look:"), Image(data="x"), Json(value=1)])
    one = request(HELLO, called("a"), Message(role="tool", content=[shown]))
    other = one.model_copy(
        update={"messages": [*one.messages[:2], Message.tool_result("a", "Look:1")]},
    )

    assert not same(one, other)


def test_what_counts_can_be_chosen():
    one, other = request(HELLO, temperature=1), request(Message.user("Bye."), temperature=1)

    assert counted(one, checked_counts(["temperature"])) == counted(other, checked_counts(["temperature"]))
    assert counted(one, checked_counts(["temperature"])) == CompletionRequest(messages=[], temperature=1)

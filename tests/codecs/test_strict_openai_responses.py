"""Conversations that OpenAI would not take on the Responses wire, in its words, and those that it would."""

from __future__ import annotations

from typing import Any

import pytest
from payloads import asked

from llmreplay import codecs
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.codecs.openai_responses import CODEC
from llmreplay.completion import ProviderError
from llmreplay.exchange import Exchange

OPENAI = "https://api.openai.com/v1/responses"
AZURE = "https://mine.openai.azure.com/openai/v1/responses"
DEEPSEEK = "https://api.deepseek.com/responses"
ELSEWHERE = "https://models.example.org/v1/responses"

USER = {"role": "user", "content": "Hi"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAA"}
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "status": "completed"}
AGAIN = {"role": "assistant", "content": "Hello."}


def call(name: str, kind: str = "function_call") -> dict[str, Any]:
    return {"type": kind, "call_id": name, "name": "f", "arguments": "{}"}


def output(name: str, kind: str = "function_call") -> dict[str, Any]:
    return {"type": f"{kind}_output", "call_id": name, "output": "x"}


CUSTOM = "custom_tool_call"
NO_FOLLOWER = "Item 'rs_1' of type 'reasoning' was provided without its required following item."

REJECTED = [
    ("unanswered-tool-call", [USER, call("a")], "No tool output found for function call a."),
    (
        "unanswered-tool-call",
        [USER, call("a"), call("b"), output("a")],
        "No tool output found for function call b.",
    ),
    ("unanswered-tool-call", [call("a", CUSTOM), USER], "No tool output found for custom tool call a."),
    (
        "orphan-tool-result",
        [USER, output("a")],
        "No tool call found for function call output with call_id a.",
    ),
    (
        "orphan-tool-result",
        [call("a"), output("a"), output("b")],
        "No tool call found for function call output with call_id b.",
    ),
    (
        "orphan-tool-result",
        [output("a", CUSTOM)],
        "No tool call found for custom tool call output with call_id a.",
    ),
    ("reasoning-order", [USER, THOUGHT], NO_FOLLOWER),
    ("reasoning-order", [USER, THOUGHT, USER], NO_FOLLOWER),
    ("reasoning-order", [USER, THOUGHT, AGAIN, USER], NO_FOLLOWER),
    ("reasoning-order", [call("a"), THOUGHT, output("a"), USER], NO_FOLLOWER),
]

ACCEPTED = [
    [],
    [USER],
    [call("a"), output("a"), USER],
    [call("a"), call("b"), output("b"), output("a")],
    [call("a"), AGAIN, output("a")],
    [{"type": "tool_search_call", "call_id": "a"}, output("a")],
    [{"type": "item_reference", "id": "fc_1"}, output("a")],
    [{"type": "item_reference", "id": "fc_1"}, THOUGHT],
    [USER, THOUGHT, SAID, USER],
    [USER, THOUGHT, call("a"), output("a")],
    [USER, THOUGHT, {"type": "web_search_call", "id": "ws_1"}, USER],
    [USER, THOUGHT, THOUGHT, SAID],
    [USER, {**THOUGHT, "id": None}, AGAIN],
    [USER, {**THOUGHT, "status": "incomplete"}, USER],
]


@pytest.mark.parametrize("url", [OPENAI, AZURE])
@pytest.mark.parametrize(("rule", "items", "message"), REJECTED)
def test_a_broken_conversation_is_rejected_as_openai_does(
    url: str, rule: str, items: Any, message: str
) -> None:
    request = asked(url, {"model": "m", "input": items})

    rejection = CODEC.check(request)

    assert rejection is not None
    assert (rejection.rule, rejection.message) == (rule, message)
    assert rejection.response.status == 400
    assert rejection.response.header(STRICT_HEADER) == rule
    assert rejection.response.json == {
        "error": {"message": message, "type": "invalid_request_error", "param": "input", "code": None}
    }
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert (caught.value.kind, caught.value.retryable) == ("invalid_request", False)


@pytest.mark.parametrize("items", ACCEPTED)
def test_a_sound_conversation_is_taken(items: Any) -> None:
    assert CODEC.check(asked(OPENAI, {"model": "m", "input": items})) is None


@pytest.mark.parametrize("key", ["previous_response_id", "conversation"])
def test_an_output_may_belong_to_what_the_server_keeps(key: str) -> None:
    request = asked(OPENAI, {"model": "m", "input": [output("a")], key: "x_1"})
    assert CODEC.check(request) is None
    unanswered = CODEC.check(asked(OPENAI, {"model": "m", "input": [call("a")], key: "x_1"}))
    assert unanswered is not None


@pytest.mark.parametrize("body", [None, {}, {"input": "Hi"}, {"input": 7}, {"input": [None, 7]}, []])
def test_what_is_no_conversation_breaks_no_rule(body: Any) -> None:
    assert CODEC.check(asked(OPENAI, body)) is None


@pytest.mark.parametrize(("rule", "items", "message"), REJECTED)
def test_who_has_no_known_rules_rejects_nothing(rule: str, items: Any, message: str) -> None:
    assert CODEC.check(asked(ELSEWHERE, {"model": "m", "input": items})) is None


def test_deepseek_wants_its_calls_answered_before_anything_else_is_said() -> None:
    request = asked(
        DEEPSEEK, {"model": "m", "input": [call("a"), AGAIN, call("b"), output("a"), output("b")]}
    )

    rejection = CODEC.check(request)

    assert rejection is not None
    assert rejection.message == "No tool output found for tool call a."
    assert rejection.response.json["error"]["code"] == "invalid_request_error"
    assert rejection.response.header("content-type") == "application/octet-stream"


@pytest.mark.parametrize(
    "items",
    [
        [call("a"), call("b"), output("b"), output("a"), USER],
        [THOUGHT, call("a"), THOUGHT, call("b"), output("a"), output("b")],
        [THOUGHT, AGAIN, USER],
        [output("a")],
    ],
)
def test_deepseek_takes_the_rest(items: Any) -> None:
    assert CODEC.check(asked(DEEPSEEK, {"model": "m", "input": items})) is None

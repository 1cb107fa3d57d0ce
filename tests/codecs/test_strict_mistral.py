"""The rules by which Mistral refuses a conversation: each with its text, and what it lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.codecs.mistral import CODEC
from llmreplay.completion import ProviderError
from llmreplay.exchange import Exchange, Request

URL = "https://api.mistral.ai/v1/chat/completions"
SYSTEM, USER = {"role": "system", "content": "s"}, {"role": "user", "content": "u"}
SAID = {"role": "assistant", "content": "a"}
LAST = "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
COUNT = "Not the same number of function calls and responses"
NAME = (
    "Function name was a b but must be a-z, A-Z, 0-9, or contain underscores and dashes, "
    "with a maximum length of 64."
)
ID = "Tool call id was {} but must be a-z, A-Z, 0-9, with a length of 9."


def calls(*ids: str, name: str = "f") -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [{"id": id_, "function": {"name": name, "arguments": "{}"}} for id_ in ids],
    }


def result(id_: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": "r"}


def asked(*messages: Any) -> Request:
    return Request("POST", URL, body=json.dumps({"model": "m", "messages": list(messages)}).encode())


BROKEN = [
    ("message-order", LAST, "3230", [USER, SAID]),
    (
        "message-order",
        "Unexpected role 'user' after role 'tool'",
        "3230",
        [USER, calls("a" * 9), result("a" * 9), USER],
    ),
    ("message-order", "Unexpected role 'tool' after role 'user'", "3230", [USER, result("a" * 9)]),
    (
        "message-order",
        "Unexpected role 'system' after role 'assistant'",
        "3230",
        [USER, SAID, SYSTEM, USER],
    ),
    ("unanswered-tool-call", COUNT, "3230", [USER, calls("a" * 9), USER]),
    ("unanswered-tool-call", COUNT, "3230", [USER, calls("a" * 9, "b" * 9), result("a" * 9)]),
    ("orphan-tool-result", COUNT, "3230", [USER, calls("a" * 9), result("a" * 9), result("b" * 9)]),
    ("tool-call-id", ID.format("call_1"), "3280", [USER, calls("call_1"), result("call_1")]),
    ("tool-call-id", ID.format("b" * 10), "3280", [USER, calls("a" * 9), result("b" * 10)]),
    (
        "tool-name",
        NAME,
        "3280",
        [USER, calls("a" * 9, name="a b"), result("a" * 9)],
    ),
]


@pytest.mark.parametrize(("rule", "text", "code", "messages"), BROKEN)
def test_a_broken_rule_is_answered_as_mistral_would(
    rule: str, text: str, code: str, messages: list[Any]
) -> None:
    request = asked(*messages)
    rejection = CODEC.check(request)

    assert rejection is not None
    assert (rejection.rule, rejection.message) == (rule, text)
    assert rejection.response.header(STRICT_HEADER) == rule
    assert rejection.response.header("mistral-correlation-id")
    assert rejection.response.json["object"] == "error"
    assert rejection.response.json["code"] == code
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert (caught.value.status, caught.value.kind, caught.value.message) == (400, "invalid_request", text)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [USER],
        [SAID],
        [SYSTEM, SYSTEM, USER, USER, SAID, SAID, USER],
        [USER, {**SAID, "prefix": True}],
        [USER, calls("a" * 9, "b" * 9), result("a" * 9), result("b" * 9)],
        [USER, calls("a" * 9), result("a" * 9), calls("c" * 9), result("c" * 9), SAID, USER],
        [{"role": "odd"}, USER, "odd", {"role": 3}],
    ],
)
def test_a_sound_conversation_passes(messages: list[Any]) -> None:
    assert CODEC.check(asked(*messages)) is None

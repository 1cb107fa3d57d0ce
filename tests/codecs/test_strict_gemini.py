"""The rules by which Gemini refuses a conversation: each with its text, and what it lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.codecs.gemini import CODEC
from llmreplay.completion import ProviderError
from llmreplay.exchange import Exchange, Request

HOME = "https://generativelanguage.googleapis.com/v1beta/models"
USER = {"role": "user", "parts": [{"text": "Hi."}]}
COUNT = (
    "Please ensure that the number of function response parts is equal to the number of function call parts "
    "of the function call turn."
)
CALL_ORDER = (
    "Please ensure that function call turn comes immediately after a user turn "
    "or after a function response turn."
)
RESPONSE_ORDER = "Please ensure that function response turn comes immediately after a function call turn."


def says(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def call(**more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "f", "args": {}, **more}}


def results(count: int = 1) -> dict[str, Any]:
    return {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}] * count}


def asked(*contents: Any, model: str = "gemini-2.5-flash", action: str = "generateContent") -> Request:
    return Request("POST", f"{HOME}/{model}:{action}", body=json.dumps({"contents": list(contents)}).encode())


BROKEN = [
    ("unanswered-tool-call", COUNT, [USER, says(call())]),
    ("unanswered-tool-call", COUNT, [USER, says(call()), USER]),
    ("unanswered-tool-call", COUNT, [USER, says(call(), call()), results()]),
    ("orphan-tool-result", COUNT, [USER, says(call()), results(2)]),
    ("unanswered-tool-call", COUNT, [USER, says({"function_call": {"name": "f"}}), USER]),
    ("message-order", CALL_ORDER, [says(call()), results()]),
    ("orphan-tool-result", RESPONSE_ORDER, [results(), says({"text": "a"}), USER]),
    ("orphan-tool-result", RESPONSE_ORDER, [USER, says({"text": "a"}), results()]),
    (
        "repeated-tool-call",
        "Request contains an invalid argument.",
        [USER, says(call(id="i"), call(id="i")), results(2)],
    ),
]


@pytest.mark.parametrize(("rule", "text", "contents"), BROKEN)
def test_a_broken_rule_is_answered_as_google_would(rule: str, text: str, contents: list[Any]) -> None:
    for action in ("generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent"):
        request = asked(*contents, action=action)
        rejection = CODEC.check(request)

        assert rejection is not None
        assert (rejection.rule, rejection.message) == (rule, text)
        assert rejection.response.header(STRICT_HEADER) == rule
        with pytest.raises(ProviderError) as caught:
            codecs.decode(Exchange(request, rejection.response))
        assert (caught.value.status, caught.value.code, caught.value.message) == (
            400,
            "INVALID_ARGUMENT",
            text,
        )


@pytest.mark.parametrize(
    "contents",
    [
        [],
        [USER],
        [USER, USER],
        [USER, says({"text": "a"}), USER],
        [says({"text": "a"}), USER],
        [USER, says(call()), results()],
        [USER, says(call(), call()), results(2), says(call()), results(), says({"text": "a"}), USER],
        [
            USER,
            says({"text": "a"}),
            says(call()),
            says(call()),
            results(),
            results(),
        ],  # turns of one role are one
        [USER, says(call(id="i"), call(id="j")), results(2)],
        [USER, says({"toolCall": {}}, {"toolResponse": {}}, {"text": "a"}), USER],  # Google's own tools
        ["odd", {"parts": "odd"}, {"role": 3}],
    ],
)
def test_a_sound_conversation_passes(contents: list[Any]) -> None:
    assert CODEC.check(asked(*contents)) is None


def test_a_call_of_gemini_3_has_to_be_signed() -> None:
    signed = {**call(), "thoughtSignature": "cw=="}
    snake = {**call(), "thought_signature": "cw=="}
    model = "gemini-3-pro-preview"
    before = [USER, says(call()), results(), says({"text": "a"})]  # a turn that is over does not count

    for contents in (
        [*before, USER, says(signed, call()), results(2)],
        [USER, says(snake), results(), says(signed), results()],
        [says({"text": "a"}), USER],
    ):
        assert CODEC.check(asked(*contents, model=model)) is None
    rejection = CODEC.check(
        asked(*before, USER, says(signed), results(), says(call()), results(), model=model)
    )
    assert rejection is not None
    assert rejection.rule == "reasoning-signature"
    assert rejection.message.endswith(
        "Additional data, function call `default_api:f` , position 8. Please refer to "
        "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
    )
    assert CODEC.check(asked(USER, says(call()), results(), model="gemini-2.5-pro")) is None

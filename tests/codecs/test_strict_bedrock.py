"""The rules by which Bedrock's Converse refuses a conversation: each with its text, and what it lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.completion import ProviderError
from llmreplay.exchange import Exchange, Request

URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-pro-v1%3A0/converse"
TOOLS = {"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}}
TEXT = {"text": "x"}


def says(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks or [TEXT])}


def use(name: str, **more: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": name, "name": "f", "input": {}, **more}}


def result(name: str, **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": name, "content": [TEXT], **more}}


def asked(*messages: dict[str, Any], **fields: Any) -> Request:
    return Request("POST", URL, body=json.dumps({"messages": list(messages), **fields}).encode())


EXCESS = (
    "The number of toolResult blocks at messages.{}.content exceeds the number of toolUse blocks "
    "of previous turn."
)
EXPECTED = "Expected toolResult blocks at messages.{}.content for the following Ids: {}"

BROKEN = {
    "a call without a result": (
        [says("user"), says("assistant", use("a")), says("user")],
        TOOLS,
        "unanswered-tool-call",
        EXPECTED.format(2, "a"),
    ),
    "results in two messages": (
        [
            says("user"),
            says("assistant", use("a"), use("b")),
            says("user", result("a")),
            says("user", result("b")),
        ],
        TOOLS,
        "unanswered-tool-call",
        EXPECTED.format(2, "b"),
    ),
    "a call at the end": (
        [says("user"), says("assistant", use("a"), use("b"))],
        TOOLS,
        "unanswered-tool-call",
        EXPECTED.format(2, "a, b"),
    ),
    "a result without a call": (
        [says("user"), says("assistant"), says("user", result("a"))],
        TOOLS,
        "orphan-tool-result",
        EXCESS.format(2),
    ),
    "one result too many": (
        [says("user"), says("assistant", use("a")), says("user", result("a"), result("a"))],
        TOOLS,
        "orphan-tool-result",
        EXCESS.format(2),
    ),
    "tools that are not there": (
        [says("user"), says("assistant", use("a")), says("user", result("a"))],
        {},
        "tool-config",
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_answered_in_the_words_of_bedrock(name: str) -> None:
    messages, fields, rule, message = BROKEN[name]
    request = asked(*messages, **fields)

    rejection = codecs.codec_of(request).check(request)  # type: ignore[attr-defined]

    assert (rejection.rule, rejection.message) == (rule, message)
    assert rejection.response.header(STRICT_HEADER) == rule
    assert rejection.response.json == {"message": message}
    assert rejection.response.header("x-amzn-errortype").startswith("ValidationException:")
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert (caught.value.status, caught.value.kind, caught.value.code) == (
        400,
        "invalid_request",
        "ValidationException",
    )


SOUND = {
    "nothing": ([], {}),
    "text": ([says("user"), says("assistant"), says("user")], {}),
    "each call has its result": (
        [
            says("user"),
            says("assistant", TEXT, use("a"), use("b")),
            says("user", result("b"), result("a", status="error"), TEXT),
            says("assistant"),
            says("user"),
        ],
        TOOLS,
    ),
    "calls with a type": (
        [says("user"), says("assistant", use("a", type="tool_use")), says("user", result("a"))],
        TOOLS,
    ),
    "a tool of the provider, answered where it is called": (
        [says("user"), says("assistant", use("s", type="server_tool_use"), result("s")), says("user")],
        TOOLS,
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_conversation_is_not_refused(name: str) -> None:
    messages, fields = SOUND[name]
    request = asked(*messages, **fields)

    assert codecs.codec_of(request).check(request) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages": 1}', b'{"messages": [1, {"content": [2]}, {}]}'])
def test_what_is_no_conversation_is_not_judged(body: bytes) -> None:
    request = Request("POST", URL, body=body)

    assert codecs.codec_of(request).check(request) is None  # type: ignore[attr-defined]

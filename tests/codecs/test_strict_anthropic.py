"""The rules by which Anthropic refuses a conversation: each with its text, and what it does not refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.codecs.anthropic_messages._signature import sign
from llmreplay.completion import CompletionResponse, ProviderError, Reasoning, ReasoningPart, ToolCall
from llmreplay.exchange import Exchange, Request

DIRECT = "https://api.anthropic.com/v1/messages"
VERTEX = "https://h/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-x/invoke"
PLACES = pytest.mark.parametrize("url", [DIRECT, VERTEX, BEDROCK], ids=["direct", "vertex", "bedrock"])

UNANSWERED = (
    "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each "
    "`tool_use` block must have a corresponding `tool_result` block in the next message."
)
ORPHAN = (
    "messages.{}.content.{}: unexpected `tool_use_id` found in `tool_result` blocks: {}. Each `tool_result` "
    "block must have a corresponding `tool_use` block in the previous message."
)
UNTHOUGHT = (
    "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When "
    "`thinking` is enabled, a final `assistant` message must start with a thinking block "
    "(preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include "
    "thinking blocks from previous turns. To avoid this requirement, disable `thinking`. Please "
    "consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": blocks[0] if isinstance(blocks[0], str) else list(blocks)}


def model(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": blocks[0] if isinstance(blocks[0], str) else list(blocks)}


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "f", "input": {}}


def result(name: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name, "content": "x"}


def thinking(text: str, signature: str = "of the provider") -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


TEXT = {"type": "text", "text": "x"}
ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
REFORMAT = (
    "Malformed input request: #: required key [max_tokens] not found, please reformat your input and "
    "try again."
)
OURS = thinking("So.", sign("So."))


def asked(*messages: dict[str, Any], url: str = DIRECT, **fields: Any) -> Request:
    body = {"model": "m", "max_tokens": 9, "messages": list(messages), **fields}
    return Request("POST", url, body=json.dumps(body).encode())


BROKEN: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str, str]] = {
    "a call without a result": (
        [user("x"), model(use("toolu_1")), user("and?")],
        {},
        "unanswered-tool-call",
        UNANSWERED.format(1, "toolu_1"),
    ),
    "one of two calls without a result": (
        [user("x"), model(TEXT, use("a"), use("b"), use("c")), user(result("b"))],
        {},
        "unanswered-tool-call",
        UNANSWERED.format(1, "a, c"),
    ),
    "a call at the end": (
        [user("x"), model(use("a"))],
        {},
        "unanswered-tool-call",
        UNANSWERED.format(1, "a"),
    ),
    "a result without a call": (
        [user("x"), model("y"), user(TEXT, result("a"))],
        {},
        "orphan-tool-result",
        ORPHAN.format(2, 1, "a"),
    ),
    "a result at the beginning": ([user(result("a"))], {}, "orphan-tool-result", ORPHAN.format(0, 0, "a")),
    "a result that comes too late": (
        [user("x"), model(use("a")), user(result("a")), model("y"), user(result("a"))],
        {},
        "orphan-tool-result",
        ORPHAN.format(4, 0, "a"),
    ),
    "thinking that was dropped": (
        [user("x"), model(use("a")), user(result("a"))],
        ENABLED,
        "reasoning-order",
        UNTHOUGHT.format("tool_use"),
    ),
    "thinking that was dropped rounds ago": (
        [
            user("x"),
            model(TEXT, use("a")),
            user(result("a")),
            model(thinking("y"), use("b")),
            user(result("b")),
        ],
        ENABLED,
        "reasoning-order",
        UNTHOUGHT.format("text"),
    ),
    "thinking of ours that was changed": (
        [user("x"), model({**OURS, "thinking": "Other."}), user("y")],
        {},
        "reasoning-signature",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ),
}


@PLACES
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_answered_in_the_words_of_the_api(name: str, url: str) -> None:
    messages, fields, rule, message = BROKEN[name]
    request = asked(*messages, url=url, **fields)

    rejection = codecs.codec_of(request).check(request)  # type: ignore[attr-defined]

    assert (rejection.rule, rejection.message) == (rule, message)
    assert rejection.response.header(STRICT_HEADER) == rule
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert (caught.value.status, caught.value.kind, caught.value.message) == (400, "invalid_request", message)
    code = "ValidationException" if url is BEDROCK else "invalid_request_error"
    assert caught.value.code == code


SOUND = {
    "nothing": ([], {}),
    "text": ([user("x"), model("y"), user("z")], {}),
    "each call has its result": (
        [user("x"), model(use("a"), use("b")), user(result("b"), result("a"), TEXT), model("y"), user("z")],
        {},
    ),
    "results in messages that follow each other": (
        [user("x"), model(use("a"), use("b")), user(result("a")), user(result("b"))],
        {},
    ),
    "calls in messages that follow each other": (
        [user("x"), model(use("a")), model(use("b")), user(result("a"), result("b"))],
        {},
    ),
    "a message of the system in between": (
        [user("x"), model(use("a")), {"role": "system", "content": [TEXT]}, user(result("a"))],
        {},
    ),
    "ids of others": ([user("x"), model(use("call_1|fc_2")), user(result("call_1|fc_2"))], {}),
    "a tool of the provider": (
        [
            user("x"),
            model({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
            user("y"),
        ],
        {},
    ),
    "thinking first": ([user("x"), model(thinking("y"), use("a")), user(result("a"))], ENABLED),
    "redacted thinking first": (
        [user("x"), model({"type": "redacted_thinking", "data": "E"}, use("a")), user(result("a"))],
        ENABLED,
    ),
    "thinking at the begin of a turn of many calls": (
        [user("x"), model(thinking("y"), use("a")), user(result("a")), model(use("b")), user(result("b"))],
        ENABLED,
    ),
    "no thinking in a turn that is over": (
        [user("x"), model(use("a")), user(result("a")), model("y"), user("z")],
        ENABLED,
    ),
    "adaptive thinking": (
        [user("x"), model(use("a")), user(result("a"))],
        {"thinking": {"type": "adaptive"}},
    ),
    "signatures of ours and of others": (
        [user("x"), model(OURS, thinking("changed"), thinking("none", "")), user("y")],
        ENABLED,
    ),
}


@PLACES
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_conversation_is_not_refused(name: str, url: str) -> None:
    messages, fields = SOUND[name]
    request = asked(*messages, url=url, **fields)

    assert codecs.codec_of(request).check(request) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages": 1}', b'{"messages": [1, {"content": [2]}, {}]}'])
def test_what_is_no_conversation_is_not_judged(body: bytes) -> None:
    request = Request("POST", DIRECT, body=body)

    assert codecs.codec_of(request).check(request) is None  # type: ignore[attr-defined]


def test_what_was_thought_here_has_to_come_back_as_it_was() -> None:
    request = asked(user("x"), **ENABLED)
    turn = CompletionResponse(
        choice=[Reasoning(parts=[ReasoningPart(text="Look.")]), ToolCall(id="a", name="f")]
    )
    codec: Any = codecs.codec_of(request)
    content = codec.encode_response(turn, request).json["content"]
    assert content[0]["signature"]

    assert codec.check(asked(user("x"), model(*content), user(result("a")), **ENABLED)) is None
    content[0]["thinking"] = "Look there."
    assert (
        codec.check(asked(user("x"), model(*content), user(result("a")), **ENABLED)).rule
        == "reasoning-signature"
    )


@pytest.mark.parametrize(
    ("url", "more", "told"),
    [
        (DIRECT, {}, "max_tokens: Field required"),
        (VERTEX, {"anthropic_version": "vertex-2023-10-16"}, "max_tokens: Field required"),
        (
            BEDROCK,
            {"anthropic_version": "bedrock-2023-05-31"},
            REFORMAT,
        ),
    ],
    ids=["direct", "vertex", "bedrock"],
)
def test_a_request_without_a_limit_is_refused_before_anything_else(
    url: str, more: dict[str, Any], told: str
) -> None:
    whole = asked(user("x"), model(use("a")), url=url, **more)
    request = Request("POST", url, body=json.dumps(without_limit(whole.json)).encode())
    code: Any = codecs.codec_of(request)

    rejection = code.check(request)

    assert (rejection.rule, rejection.message) == ("required-field", told)
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert (caught.value.kind, caught.value.status, caught.value.message) == ("invalid_request", 400, told)
    assert code.check(request, ["required-field"]).rule == "unanswered-tool-call"
    assert code.check(whole).rule == "unanswered-tool-call"


def without_limit(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "max_tokens"}


def test_what_other_models_are_asked_behind_invoke_needs_no_limit() -> None:
    nova = {"schemaVersion": "messages-v1", "messages": [user("x")], "inferenceConfig": {"maxTokens": 9}}
    request = Request("POST", BEDROCK, body=json.dumps(nova).encode())

    assert codecs.codec_of(request).check(request) is None  # type: ignore[attr-defined]


def test_a_message_of_the_system_behind_one_of_the_user_is_taken() -> None:
    request = asked(user("x"), {"role": "system", "content": "Be brief."}, model("y"), user("z"))

    assert codecs.codec_of(request).check(request) is None  # type: ignore[attr-defined]

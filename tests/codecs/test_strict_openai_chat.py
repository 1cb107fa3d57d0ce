"""What a provider of the chat wire would not take, rejected in its own words; what it takes, accepted."""

from __future__ import annotations

from typing import Any

import pytest
from payloads import CHAT, asked

from llmreplay import codecs
from llmreplay.codecs import openai_chat
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.completion import ProviderError
from llmreplay.exchange import Exchange, Request

AZURE = "https://mine.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
GROQ = "https://api.groq.com/openai/v1/chat/completions"
DEEPSEEK = "https://api.deepseek.com/chat/completions"
LENIENT = [
    "https://openrouter.ai/api/v1/chat/completions",
    "https://router.huggingface.co/v1/chat/completions",
    "http://localhost:11434/v1/chat/completions",
    "http://localhost:8000/v1/chat/completions",
    "https://api.x.ai/v1/chat/completions",
    "https://models.example.org/v1/chat/completions",
    DEEPSEEK,
]
PRECEEDING = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
    "'tool_calls'."
)
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: "
)


def user(text: str = "Hi.") -> dict[str, Any]:
    return {"role": "user", "content": text}


def calls(*ids: str, **more: Any) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": id_, "type": "function", "function": function} for id_ in ids],
        **more,
    }


def result(id_: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": "Sunny."}


SOUND = {
    "a question": [user()],
    "nothing": [],
    "calls that are answered": [user(), calls("a", "b"), result("a"), result("b"), user()],
    "answers in another order": [user(), calls("a", "b"), result("b"), result("a")],
    "calls twice": [user(), calls("a"), result("a"), calls("a"), result("a")],
    "an answer twice": [user(), calls("a"), result("a"), result("a")],
    "an old function": [
        user(),
        {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
        user(),
    ],
    "no calls": [user(), {"role": "assistant", "content": "So.", "tool_calls": []}, user()],
}
UNSOUND = {
    "a call at the end": (
        [user(), calls("a")],
        "unanswered-tool-call",
        UNANSWERED + "a",
        "messages.[1].role",
    ),
    "a call passed over": (
        [user(), calls("a"), user()],
        "unanswered-tool-call",
        UNANSWERED + "a",
        "messages.[2].role",
    ),
    "one of two calls": (
        [user(), calls("a", "b"), result("b"), user()],
        "unanswered-tool-call",
        UNANSWERED + "a",
        "messages.[3].role",
    ),
    "two calls": (
        [user(), calls("a", "b"), user()],
        "unanswered-tool-call",
        UNANSWERED + "a, b",
        "messages.[2].role",
    ),
    "an answer to nothing": ([user(), result("a")], "orphan-tool-result", PRECEEDING, "messages.[1].role"),
    "an answer to another": (
        [user(), calls("a"), result("b")],
        "orphan-tool-result",
        PRECEEDING,
        "messages.[2].role",
    ),
    "an answer too late": (
        [user(), calls("a"), result("a"), user(), result("a")],
        "orphan-tool-result",
        PRECEEDING,
        "messages.[4].role",
    ),
}
LONG = "tool_" + "x" * 45


def of(messages: list[dict[str, Any]], url: str = CHAT, **body: Any) -> Request:
    return asked(url, {"model": "m-1", "messages": messages, **body})


@pytest.mark.parametrize("messages", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("url", [CHAT, AZURE, GROQ, *LENIENT])
def test_a_sound_conversation_is_accepted(url: str, messages: list[dict[str, Any]]) -> None:
    assert openai_chat.CODEC.check(of(messages, url)) is None


@pytest.mark.parametrize(("messages", "rule", "text", "param"), UNSOUND.values(), ids=UNSOUND)
@pytest.mark.parametrize("url", [CHAT, AZURE, GROQ])
def test_a_conversation_that_is_not_is_rejected(
    url: str, messages: list[dict[str, Any]], rule: str, text: str, param: str
) -> None:
    request = of(messages, url)

    rejection = openai_chat.CODEC.check(request)

    assert rejection is not None
    assert (rejection.rule, rejection.message) == (rule, text)
    assert rejection.response.status == 400
    assert rejection.response.header(STRICT_HEADER) == rule
    error = rejection.response.json["error"]
    assert (error["message"], error["type"], error["param"]) == (text, "invalid_request_error", param)
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert (caught.value.kind, caught.value.retryable) == ("invalid_request", False)


@pytest.mark.parametrize("messages", [found[0] for found in UNSOUND.values()], ids=UNSOUND)
@pytest.mark.parametrize("url", LENIENT)
def test_who_is_lenient_rejects_nothing(url: str, messages: list[dict[str, Any]]) -> None:
    assert openai_chat.CODEC.check(of(messages, url)) is None


def test_an_id_of_more_than_forty_characters_is_too_long_for_openai_alone() -> None:
    messages = [user(), calls(LONG), result(LONG)]

    rejection = openai_chat.CODEC.check(of(messages))

    assert rejection is not None
    assert rejection.response.json["error"] == {
        "message": "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum "
        "length 40, but got a string with length 50 instead.",
        "type": "invalid_request_error",
        "param": "messages[1].tool_calls[0].id",
        "code": "string_above_max_length",
    }
    for url in (AZURE, GROQ, *LENIENT):
        assert openai_chat.CODEC.check(of(messages, url)) is None
    assert openai_chat.CODEC.check(of([user(), calls("x" * 40), result("x" * 40)])) is None


def test_deepseek_wants_its_thoughts_back_where_it_is_asked_to_think() -> None:
    dropped = [user(), calls("a"), result("a")]
    kept = [user(), calls("a", reasoning_content="So."), result("a")]
    thinking = {"thinking": {"type": "enabled"}}

    rejection = openai_chat.CODEC.check(of(dropped, DEEPSEEK, **thinking))

    assert rejection is not None
    assert rejection.rule == "reasoning-dropped"
    assert rejection.response.json["error"]["message"] == (
        "The `reasoning_content` in the thinking mode must be passed back to the API."
    )
    assert openai_chat.CODEC.check(of(kept, DEEPSEEK, **thinking)) is None
    assert openai_chat.CODEC.check(of(dropped, DEEPSEEK)) is None
    assert openai_chat.CODEC.check(of(dropped, CHAT)) is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"messages": 1},
        {"messages": [1, {}]},
        {"messages": [{"role": "assistant", "tool_calls": 1}]},
    ],
)
def test_what_is_no_conversation_is_for_others_to_judge(body: Any) -> None:
    assert openai_chat.CODEC.check(asked(CHAT, body)) is None

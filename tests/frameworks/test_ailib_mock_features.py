"""What ai-protocol-mock, the library's own mock server, is asked for by headers, said by a script.

It is asked over plain httpx, as its tests ask it, since the client of the library cannot set its headers.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from llmreplay import Usage, call, cut, fail, respond, say, spoil, turn, use_script

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.script import Step

URLS = {
    "openai": "https://api.openai.com/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/chat/completions",
    "anthropic": "https://api.anthropic.com/v1/messages",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.0-flash:generateContent",
}
USAGE = Usage(input_tokens=12, output_tokens=7)
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}},
}


@dataclass
class Agent:
    """Asks as often as it is told to, and runs the tools that it is asked to run."""

    provider: str = "openai"
    messages: list[dict[str, Any]] = field(default_factory=lambda: [{"role": "user", "content": "Hi"}])

    def ask(self, **fields: Any) -> httpx.Response:
        if self.provider == "gemini":
            body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        else:
            body = {"model": "some-model", "messages": self.messages, "tools": [TOOL], **fields}
        if self.provider == "anthropic":
            body = {"model": "some-model", "messages": self.messages, "max_tokens": 99}
        return httpx.post(URLS[self.provider], json=body)

    def message(self) -> dict[str, Any]:
        """The message of an answer, kept, with the results of its calls after it."""
        message = self.ask().json()["choices"][0]["message"]
        self.messages.append(message)
        for asked in message.get("tool_calls") or []:
            result = {"role": "tool", "tool_call_id": asked["id"], "content": asked["function"]["arguments"]}
            self.messages.append(result)
        return message

    def calls(self) -> list[str]:
        return [asked["function"]["arguments"] for asked in self.message()["tool_calls"]]

    def error(self) -> tuple[int, Any, Any]:
        response = self.ask()
        error = response.json()["error"]
        return response.status_code, error["code"], error["type"]

    def interrupted(self) -> tuple[int, str]:
        heard = []
        body = {"model": "some-model", "messages": self.messages, "stream": True}
        with httpx.stream("POST", URLS[self.provider], json=body) as response:
            try:
                heard.extend(response.iter_lines())
            except httpx.RemoteProtocolError as error:
                return len([line for line in heard if line.startswith("data: ")]), str(error)
        raise AssertionError("the stream was not interrupted")

    def usage(self, provider: str) -> dict[str, Any]:
        self.provider = provider
        body = self.ask().json()
        told = body["usageMetadata"] if provider == "gemini" else body["usage"]
        return {name: told[name] for name in _COUNTS[provider]}


_COUNTS = {
    "openai": ("prompt_tokens", "completion_tokens", "total_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount", "totalTokenCount"),
}
PARIS, OSLO = call("get_weather", city="Paris"), call("get_weather", city="Oslo")
IN_PARIS, IN_OSLO = '{"city": "Paris"}', '{"city": "Oslo"}'


@dataclass(frozen=True)
class Feature:
    """What the mock server is asked for, what a script says instead, and what a client sees of it."""

    turns: tuple[Step, ...]
    seen: Callable[[Agent], Any]
    expected: Any
    options: dict[str, Any] = field(default_factory=dict)


def sleeps(_request: Any) -> str:
    time.sleep(30)
    return "Late."


def takes_as_long(agent: Agent) -> bool:
    return agent.ask().elapsed.total_seconds() >= 0.05


def is_json(response: httpx.Response) -> bool:
    try:
        json.loads(response.content)
    except ValueError:
        return False
    return True


FEATURES = {
    "status": Feature((fail(418),), lambda agent: agent.ask().status_code, 418),
    "content": Feature((say("Mocked."),), lambda agent: agent.message()["content"], "Mocked."),
    "one-call": Feature((PARIS,), Agent.calls, [IN_PARIS]),
    "parallel-calls": Feature((turn(PARIS, OSLO),), Agent.calls, [IN_PARIS, IN_OSLO]),
    "recursive-calls": Feature(
        (PARIS, OSLO, say("Both are cold.")),
        lambda agent: [agent.calls(), agent.calls(), agent.message()["content"]],
        [[IN_PARIS], [IN_OSLO], "Both are cold."],
    ),
    "reasoning": Feature(
        (say("4", reasoning="2 and 2."),),
        lambda _: [(message := Agent("deepseek").message())["reasoning_content"], message["content"]],
        ["2 and 2.", "4"],
    ),
    "usage-of-openai": Feature(
        (say("Hi.", usage=USAGE),),
        lambda agent: agent.usage("openai"),
        {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19},
    ),
    "usage-of-anthropic": Feature(
        (say("Hi.", usage=USAGE),),
        lambda agent: agent.usage("anthropic"),
        {"input_tokens": 12, "output_tokens": 7},
    ),
    "usage-of-gemini": Feature(
        (say("Hi.", usage=USAGE),),
        lambda agent: agent.usage("gemini"),
        {"promptTokenCount": 12, "candidatesTokenCount": 7, "totalTokenCount": 19},
    ),
    "context-overflow": Feature(
        (fail("request_too_large"),), Agent.error, (400, "context_length_exceeded", "invalid_request_error")
    ),
    "content-filter": Feature(
        (fail("content_filter"),), lambda agent: agent.error()[:2], (400, "content_policy_violation")
    ),
    "rate-limit": Feature(
        (fail("rate_limited", retry_after=3),),
        lambda agent: [(answer := agent.ask()).status_code, answer.headers["retry-after"]],
        [429, "3"],
    ),
    "stream-interrupt": Feature(
        (cut(say("One two three."), after=2),),
        lambda agent: agent.interrupted()[0],
        2,
    ),
    "error-rate": Feature(
        (fail(500), say("Hi."), fail(500)),
        lambda agent: [agent.ask().status_code for _ in range(3)],
        [500, 200, 500],
    ),
    "delay": Feature((say("Late.", latency=0.05),), takes_as_long, expected=True, options={"speed": 1}),
    "delay-that-does-not-pass": Feature(
        (respond(sleeps),), lambda agent: agent.message()["content"], "Late."
    ),
    "wrong-content-type": Feature(
        (spoil(say("Hi."), "content_type"),),
        lambda agent: agent.ask().headers["content-type"],
        "text/html",
    ),
    "body-that-is-no-json": Feature((spoil(say("Hi.")),), lambda agent: is_json(agent.ask()), expected=False),
}


@pytest.mark.parametrize("name", FEATURES)
def test_a_script_does_what_the_mock_server_does(name, llm_clock):
    feature = FEATURES[name]
    with use_script(*feature.turns, **feature.options) as script:
        assert feature.seen(Agent()) == feature.expected

    assert len(script.calls) == len(feature.turns)
    assert llm_clock.slept == ([30.0] if name == "delay-that-does-not-pass" else [])

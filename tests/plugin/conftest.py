"""A project that uses llmreplay, with an agent, a provider on 127.0.0.1, and pytest to run its tests."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

# pytester forgets after each run what the run imported. What cannot be imported twice, or takes long,
# is imported here, and the rooms of llmreplay with it, so that all runs share one copy.
import anthropic
import httpx
import httpx2
import openai
import pytest

import llmreplay.codecs._usage
import llmreplay.environment
import llmreplay.use
import pytest_llmreplay._folders
import pytest_llmreplay._life
import pytest_llmreplay._options
import pytest_llmreplay._vcr
import pytest_llmreplay._vcr_network
import pytest_llmreplay._vcr_options
import pytest_llmreplay._verdict  # noqa: F401  see above
from llmreplay import load
from tests import wires
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    from pathlib import Path

# A suite of its own, which `test_vcr_suite` runs.
collect_ignore = ["vcr_suite"]

AGENT = """
import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import httpx

URL = "{url}"


def _body(text):
    return {{"model": "gpt-5.5", "messages": [{{"role": "user", "content": text}}]}}


def ask(text):
    answer = httpx.post(URL + "/v1/chat/completions", json=_body(text))
    return answer.json()["choices"][0]["message"]["content"]


async def ask_async(text):
    async with httpx.AsyncClient() as client:
        answer = await client.post(URL + "/v1/chat/completions", json=_body(text))
    return answer.json()["choices"][0]["message"]["content"]


def ask_openai(text):
    import openai

    with openai.OpenAI(base_url=URL + "/v1") as client:
        answer = client.chat.completions.create(**_body(text))
    return answer.choices[0].message.content


def ask_anthropic(text):
    import anthropic

    with anthropic.Anthropic(base_url=URL) as client:
        answer = client.messages.create(**_body(text), max_tokens=9)
    return answer.content[0].text


def careful(text, asking=ask):
    try:
        return asking(text)
    except Exception:
        return "fallback"


def pooled(text):
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, text)
    return "fallback" if asked.exception() else asked.result()
"""

# Plugins that have no part in this and take long to start.
WITHOUT = [
    f"-pno:{name}" for name in ("hypothesispytest", "pytest_httpx", "respx", "pytest_cov", "langsmith_plugin")
]

INI = """
[pytest]
pythonpath = .
asyncio_default_fixture_loop_scope = function
"""


class Project:
    """The project under test."""

    def __init__(self, pytester: pytest.Pytester, provider: Server) -> None:
        self.pytester, self.provider = pytester, provider
        self.root: Path = pytester.path
        self.voice = "re"
        self.write("agent.py", AGENT.format(url=provider.url))
        self.write("pytest.ini", INI)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def tests(self, text: str, name: str = "test_it.py") -> None:
        """Write a test module that knows the agent."""
        self.write(name, "import pytest\nfrom agent import *\n\n" + textwrap.dedent(text))

    def ini(self, *lines: str) -> None:
        self.write("pytest.ini", INI + "\n".join(lines))

    def run(self, *args: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*WITHOUT, *args)

    def run_alone(self, *args: str) -> pytest.RunResult:
        """Run in another process, where isolation matters."""
        return self.pytester.runpytest_subprocess(*WITHOUT, *args)

    def record(self, *args: str, **outcomes: int) -> pytest.RunResult:
        result = self.run("--llm-record=once", *args)
        result.assert_outcomes(**(outcomes or {"passed": 1}))
        return result

    def cassettes(self) -> set[str]:
        """The files under all folders named `cassettes`, relative to the root."""
        files = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*.yaml"))
        return {file for file in files if "cassettes/" in file}

    def cassette(self, name: str = "test_it/test_it") -> Path:
        return self.root / "cassettes" / f"{name}.yaml"

    def prompts(self, name: str = "test_it/test_it") -> list[str]:
        """What the exchanges of a cassette ask, in order."""
        return [request.messages[-1].text for request in load(self.cassette(name)).requests]

    def answers(self, name: str = "test_it/test_it") -> list[str]:
        return [exchange.decode().text for exchange in load(self.cassette(name)).exchanges]

    @property
    def asked(self) -> list[str]:
        """What the provider was asked."""
        return [request.json["messages"][-1]["content"] for request in self.provider.requests]


@pytest.fixture
def project(pytester, monkeypatch):
    for name in llmreplay.environment.KEYS:
        monkeypatch.delenv(name, raising=False)
    # A module that is written anew within a second must not be taken from its compiled file.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    voices: list[Project] = []

    def answer(received):
        text = f"{voices[0].voice} {received.json['messages'][-1]['content']}"
        if received.path.endswith("/messages"):
            return Reply.json(wires.anthropic_message(text))
        return Reply.json(wires.openai_chat(text))

    with Server(answer) as provider:
        voices.append(Project(pytester, provider))
        yield voices[0]


def told(result: pytest.RunResult) -> str:
    """The output of a run as one text."""
    return result.stdout.str() + result.stderr.str()


__all__ = ["Project", "anthropic", "httpx", "httpx2", "openai", "told"]


@pytest.fixture(autouse=True)
def nowhere_in_particular(monkeypatch):
    """Have reports as a terminal shows them: on a CI machine pytest prints its summary in full."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)

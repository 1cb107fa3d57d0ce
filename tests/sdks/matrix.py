"""Writes docs/sdks.md from a run of the tests in this folder: `python -m tests.sdks.matrix`.

Nothing in the page is written by hand: what an SDK is said to read, it has read in that run.
"""

from __future__ import annotations

import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "sdks.md"

SDKS = {
    "test_parsing_openai_chat": ("openai", "chat completions, and every provider that speaks them"),
    "test_parsing_openai_responses": ("openai", "responses"),
    "test_parsing_anthropic": ("anthropic", "messages, direct, on Vertex and on Bedrock"),
    "test_parsing_google_genai": ("google-genai", "generateContent"),
    "test_parsing_mistralai": ("mistralai", "chat"),
    "test_parsing_cohere": ("cohere", "chat, v2"),
    "test_parsing_groq": ("groq", "chat completions"),
    "test_parsing_huggingface": ("huggingface-hub", "chat completions of the router"),
    "test_parsing_ollama": ("ollama", "chat and generate"),
    "test_parsing_boto3": ("boto3", "Bedrock converse and invoke"),
    "test_boto3": ("boto3", "recorded from a server here, replayed, refused, scripted"),
    "test_sdks": ("openai, anthropic and groq", "recorded and replayed"),
    "test_over_aiohttp": (
        "google-genai, openai and anthropic",
        "over aiohttp: recorded, replayed and scripted",
    ),
    "test_cassette_faults": (
        "openai, anthropic, google-genai, mistralai, cohere, groq, ollama and huggingface-hub",
        "cassettes that go wrong on purpose",
    ),
    "test_scripts": (
        "openai, anthropic, google-genai, mistralai, cohere, groq, ollama, huggingface-hub and boto3",
        "scripted: conversations with tools, errors, faults, usage, strictness",
    ),
}
"""What each module drives: the SDK, and the wires it speaks there."""

_INTRODUCTION = """\
# SDKs

What the official SDKs, unmodified, make of the bytes that llmreplay writes and replays. The page is made by
`python -m tests.sdks.matrix` from a run of `tests/sdks`; the numbers are cases that passed.
"""


class _Outcomes:
    """What passed, by module and by test."""

    def __init__(self) -> None:
        self.passed: dict[str, Counter[str]] = {}
        self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file, _, test = report.nodeid.partition("::")
        self.failed += report.failed
        if report.when == "call" and report.passed:
            self.passed.setdefault(Path(file).stem, Counter())[test.partition("[")[0]] += 1


def page(passed: dict[str, Counter[str]]) -> str:
    """Return the page."""
    lines = [_INTRODUCTION, "| SDK | version | wire | cases |", "|---|---|---|---|"]
    for module, (sdk, wires) in SDKS.items():
        versions = ", ".join(version(name) for name in sdk.replace(" and ", ", ").split(", "))
        lines.append(f"| {sdk} | {versions} | {wires} | {passed[module].total()} |")
    for module, (sdk, wires) in SDKS.items():
        lines += ["", f"## {sdk}: {wires}", "", "| what | cases |", "|---|---|"]
        lines += [f"| {_sentence(test)} | {count} |" for test, count in sorted(passed[module].items())]
    return "\n".join(lines) + "\n"


def _sentence(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def main() -> int:
    """Run the tests, and write the page if all passed."""
    outcomes = _Outcomes()
    code = pytest.main(["-q", "-p", "no:randomly", "-p", "no:xdist", str(Path(__file__).parent)], [outcomes])
    if code or outcomes.failed:
        return int(code) or 1
    PAGE.write_text(page(outcomes.passed))
    return 0


if __name__ == "__main__":
    sys.exit(main())

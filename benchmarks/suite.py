"""1,000 tests with a small cassette each, against the same tests on a bare `MockTransport`.

Each test asks once, with a client that is built beforehand: the same on both sides, of which the bare tests
exchange the transport. Both sides are whole runs of pytest in processes of their own, by turns, without other
plugins, and with all modules compiled, as installed ones are; what is compared is their processor time. What
a test takes is told beside it: the run, less one that collects the same tests and runs none.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.rounds import Row, table
from llmreplay import Cassette, Exchange, Request, Response

if TYPE_CHECKING:
    import argparse

NAME = "suite"

_OURS = """
import httpx
import pytest

CLIENT = httpx.Client()


@pytest.mark.llm_cassette
@pytest.mark.parametrize("number", range({count}))
def test_it(number):
    body = {{"model": "m", "messages": [{{"role": "user", "content": f"question {{number}}"}}]}}
    answer = CLIENT.post("https://api.openai.com/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == f"answer {{number}}"
"""
_THEIRS = """
import json

import httpx
import pytest


def answer(request):
    number = json.loads(request.content)["messages"][0]["content"].split()[1]
    content = ANSWER.replace("NUMBER", number)
    return httpx.Response(200, content=content, headers={{"content-type": "application/json"}})


ANSWER = '''{answer}'''
# What building a client costs (TLS, and whatever httpcore finds to import) is its own, on either side.
CLIENT = httpx.Client()
CLIENT._transport = httpx.MockTransport(answer)


@pytest.mark.parametrize("number", range({count}))
def test_it(number):
    body = {{"model": "m", "messages": [{{"role": "user", "content": f"question {{number}}"}}]}}
    answered = CLIENT.post("https://api.openai.com/v1/chat/completions", json=body)
    assert answered.json()["choices"][0]["message"]["content"] == f"answer {{number}}"
"""
_ANSWER = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"m","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"answer NUMBER"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--tests", type=int, default=1000, help="tests on each side (default: 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side (default: 5)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure it."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        for place in (ours, theirs):
            place.mkdir()
            (place / "pytest.ini").write_text("[pytest]\n")
        (ours / "test_it.py").write_text(_OURS.format(count=arguments.tests))
        (theirs / "test_it.py").write_text(_THEIRS.format(count=arguments.tests, answer=_ANSWER))
        _record(ours / "cassettes" / "test_it", arguments.tests)
        for place in (ours, theirs):
            _pytest(place)  # compiles

        times: dict[str, list[float]] = {"ours": [], "theirs": [], "ours bare": [], "theirs bare": []}
        for number in range(arguments.rounds):
            sides = [("ours", ours), ("theirs", theirs)]
            for name, place in sides if number % 2 else sides[::-1]:
                times[name].append(_pytest(place))
                times[f"{name} bare"].append(_pytest(place, "--collect-only"))
    per_test = {
        name: median(one - bare for one, bare in zip(times[name], times[f"{name} bare"], strict=True))
        / arguments.tests
        for name in ("ours", "theirs")
    }
    ratio = median(mine / other for mine, other in zip(times["ours"], times["theirs"], strict=True))
    told = {name: f"{median(times[name]):.2f} s, {per_test[name] * 1e6:,.0f} µs a test" for name in per_test}
    row = Row(
        f"a run of {arguments.tests:,} tests, a cassette each",
        "the tests on `MockTransport`",
        told["ours"],
        told["theirs"],
        "≤ 1.40",
        f"{ratio:.2f}",
        ratio <= 1.4,
    )
    if not arguments.json:
        print(table([row]))
    return {"benchmark": NAME, "rows": [row.as_json()]}


def _record(folder: Path, count: int) -> None:
    """Make the cassettes, of what the tests would record."""
    for number in range(count):
        body = {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]}
        request = httpx.Request("POST", "https://api.openai.com/v1/chat/completions", json=body)
        sent = Request("POST", str(request.url), tuple(request.headers.items()), request.content)
        answer = _ANSWER.replace("NUMBER", str(number)).encode()
        exchange = Exchange(sent, Response.of(200, answer, (("content-type", "application/json"),)))
        Cassette([exchange]).save(folder / f"test_it[{number}].yaml")


def _pytest(place: Path, *arguments: str) -> float:
    """Run the tests of a folder, and return the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_llmreplay", *arguments]
    # What else is installed is not what is measured.
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
    alone["PYTHONPYCACHEPREFIX"] = str(place.parent / "compiled")
    subprocess.run(command, cwd=place, check=True, capture_output=True, env=alone)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

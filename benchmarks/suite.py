"""1,000 tests with a small cassette each, against the same tests on a bare `MockTransport`.

Each test builds an httpx client and asks once. Both sides are whole runs of pytest in processes of their own,
by turns; what is compared is the processor time of the run, less that of a run that collects the same tests
and runs none: starting Python and pytest is not what is measured. The whole time is told beside it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.rounds import Row, table

if TYPE_CHECKING:
    import argparse

NAME = "suite"

_OURS = """
import httpx
import pytest


@pytest.mark.llm_cassette
@pytest.mark.parametrize("number", range({count}))
def test_it(number):
    body = {{"model": "m", "messages": [{{"role": "user", "content": f"question {{number}}"}}]}}
    with httpx.Client({transport}) as client:
        answer = client.post("https://api.openai.com/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == f"answer {{number}}"
"""
_THEIRS = """
import json

import httpx
import pytest


def answer(request):
    number = json.loads(request.content)["messages"][0]["content"].split()[1]
    return httpx.Response(200, content=ANSWER.replace("NUMBER", number), headers={{"content-type": "application/json"}})


ANSWER = '''{answer}'''


@pytest.mark.parametrize("number", range({count}))
def test_it(number):
    body = {{"model": "m", "messages": [{{"role": "user", "content": f"question {{number}}"}}]}}
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        answered = client.post("https://api.openai.com/v1/chat/completions", json=body)
    assert answered.json()["choices"][0]["message"]["content"] == f"answer {{number}}"
"""
_ANSWER = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"m","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"answer NUMBER"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
)
_RECORDING = """
import httpx
import pytest
import llmreplay


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    def answer(request):
        import json

        number = json.loads(request.content)["messages"][0]["content"].split()[1]
        content = ANSWER.replace("NUMBER", number)
        return httpx.Response(200, content=content, headers={"content-type": "application/json"})

    client = httpx.Client
    transport = llmreplay.RecordingTransport(httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "Client", lambda **_: client(transport=transport))


ANSWER = '''%s'''
"""


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
        transport = "transport=httpx.HTTPTransport(verify=False)"
        (ours / "test_it.py").write_text(_OURS.format(count=arguments.tests, transport=transport))
        (theirs / "test_it.py").write_text(_THEIRS.format(count=arguments.tests, answer=_ANSWER))
        (ours / "conftest.py").write_text(_RECORDING % _ANSWER)
        _pytest(ours, "--llm-record=once")
        (ours / "conftest.py").unlink()

        times: dict[str, list[float]] = {"ours": [], "theirs": [], "ours bare": [], "theirs bare": []}
        for number in range(arguments.rounds):
            sides = [("ours", ours), ("theirs", theirs)]
            for name, place in sides if number % 2 else sides[::-1]:
                times[name].append(_pytest(place))
                times[f"{name} bare"].append(_pytest(place, "--collect-only"))
    net = [
        [whole - bare for whole, bare in zip(times[name], times[f"{name} bare"], strict=True)]
        for name in ("ours", "theirs")
    ]
    ratio = median(mine / other for mine, other in zip(*net, strict=True))
    per_test = [median(side) / arguments.tests * 1e6 for side in net]
    row = Row(
        f"{arguments.tests:,} tests, a cassette each",
        "the tests on `MockTransport`",
        f"{per_test[0]:,.0f} µs",
        f"{per_test[1]:,.0f} µs",
        "≤ 1.40×",
        f"{ratio:.2f}×",
        ratio <= 1.4,
    )
    whole = {name: round(median(times[name]), 2) for name in ("ours", "theirs")}
    if not arguments.json:
        print(table([row]))
        print(f"\nWhole runs: {whole['ours']} s and {whole['theirs']} s of processor time.")
    return {"benchmark": NAME, "rows": [row.as_json()], "whole_runs_s": whole}


def _pytest(place: Path, *arguments: str) -> float:
    """Run the tests of a folder, and return the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

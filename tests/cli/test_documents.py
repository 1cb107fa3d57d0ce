"""What README and docs quote is what the program says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmreplay import load
from tests.cli.exchanges import answered, asked

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CASSETTES = (ROOT / "docs" / "cassettes.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks(README + CASSETTES, "console"))
def test_a_quoted_command_says_what_is_quoted(run, block, monkeypatch, tmp_path):
    shutil.copytree(ROOT / "cassettes", tmp_path / "cassettes")
    monkeypatch.chdir(tmp_path)
    command, _, expected = block.removeprefix("$ llmreplay ").partition("\n")

    assert run(*command.split()).stdout == expected


def test_the_cassette_in_the_docs_is_one(run, tmp_path):
    (text,) = blocks(CASSETTES, "yaml")
    path = tmp_path / "hello.yaml"
    path.write_text(text, encoding="utf-8")

    assert run("check", path, "--strict").exit_code == 0
    assert load(path).exchanges[0].decode().text == "Hello."


def test_the_failure_in_the_readme_is_that_of_its_test(saved, tmp_path):
    test = next(block for block in blocks(README, "py") if "def test_" in block)
    (tmp_path / "test_capital.py").write_text(test.replace("France", "Spain"), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    body = {
        "model": "gpt-5",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}}],
    }
    asking = asked([{"role": "user", "content": "What is the capital of France?"}], model="gpt-5")
    saved(answered(asking, body), name="cassettes/test_capital/test_it_names_the_capital.yaml")

    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    said = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False
    )

    told = re.sub(r"cassette: \S+?/cassettes/", "cassette: …/cassettes/", said.stdout)
    lines = [line.rstrip() for line in told.split("\n")]
    quoted = next(block for block in blocks(README, "text") if "UnmatchedRequest" in block)
    assert quoted in "\n".join(lines)


def test_the_cassettes_of_this_repository_are_clean(run):
    assert run("check", ROOT / "cassettes", "--strict").exit_code == 0

"""The command line as a whole: help, version, output streams."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from llmreplay.cli._terminal import count, duration, size
from tests.cli.exchanges import two_turns


def llmreplay(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as users do."""
    return subprocess.run(
        [sys.executable, "-m", "llmreplay", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        check=False,
    )


def test_without_arguments_it_shows_its_help(run):
    bare, asked = run(), run("--help")

    assert bare.exit_code == asked.exit_code == 0
    assert bare.stdout.rstrip() == asked.stdout.rstrip()
    for command in ("demo", "show", "check", "convert"):
        assert command in bare.stdout


@pytest.mark.parametrize("command", ["demo", "show", "check", "convert"])
def test_every_command_tells_its_options_and_exit_codes(run, command):
    result = run(command, "-h")

    told = re.sub(r"\s+", " ", result.stdout)
    assert result.exit_code == 0
    assert "--no-color" in told
    assert "Exit code: 0" in told


def test_the_version_is_that_of_the_distribution(run):
    assert run("--version").stdout == f"llmreplay {version('llmreplay')}\n"


def test_an_unknown_option_is_a_wrong_argument(run):
    assert run("show", "--colour").exit_code == 2


def test_help_is_quick_because_nothing_heavy_is_imported():
    heavy = (
        "pydantic",
        "httpx",
        "httpx2",
        "openai",
        "yaml",
        "vcr",
        "llmreplay.cassette",
        "llmreplay.session",
    )
    code = f"import sys, llmreplay.cli; print([name for name in {heavy!r} if name in sys.modules])"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert result.stdout == "[]\n"


def test_it_runs_as_a_module_with_data_on_stdout_alone(saved):
    path = saved(*two_turns())
    path.write_bytes(path.read_bytes()[:-300])

    shown, checked = llmreplay("show", path, "--json"), llmreplay("check", path, "--json")

    assert (shown.returncode, checked.returncode) == (1, 1)
    assert len(json.loads(shown.stdout)) == 1
    assert "is damaged" in shown.stderr
    assert json.loads(checked.stdout)["problems"] == 1
    assert checked.stderr == ""


def test_a_terminal_that_knows_only_ascii_is_no_obstacle(saved):
    result = llmreplay("show", saved(*two_turns()), PYTHONUTF8="0", PYTHONIOENCODING="ascii")

    assert result.returncode == 0
    assert "Z\\xfcrich" in result.stdout


def test_a_reader_that_leaves_early_is_no_failure_of_ours(saved):
    path = saved(*two_turns() * 400)
    command = [sys.executable, "-m", "llmreplay", "show", str(path), "--json"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        told = process.stderr.read()

    assert b"Traceback" not in told


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (count(1, "exchange"), "1 exchange"),
        (count(1200, "token"), "1,200 tokens"),
        (count(2, "query", "queries"), "2 queries"),
        (duration(0), "0 ms"),
        (duration(0.0124), "12 ms"),
        (duration(0.9996), "1.0 s"),
        (size(1), "1 byte"),
        (size(999), "999 bytes"),
        (size(3400), "3.4 kB"),
        (size(1_250_000), "1.2 MB"),
    ],
)
def test_numbers_are_said_as_people_read_them(said, expected):
    assert said == expected

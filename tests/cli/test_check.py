"""`llmreplay check`."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from llmreplay import Cassette, load
from llmreplay.cli._check import _check
from llmreplay.redaction import Redaction
from tests import wires
from tests.cli.exchanges import QUESTION, answered, asked, two_turns

SECRET = "sk-proj-" + "Zq8Xv2Lk9" * 5


def edit(path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_clean_cassette_passes(run, saved):
    result = run("check", saved(*two_turns()))

    assert result.exit_code == 0
    assert result.stdout == "1 cassette with 2 exchanges checked: no problem\n"
    assert result.stderr == ""


def test_a_secret_is_a_problem_and_is_not_printed(run, saved):
    path = saved(*two_turns())
    edit(path, "Be brief.", f"My key is {SECRET}.")

    result = run("check", path)

    assert result.exit_code == 1
    line = path.read_text(encoding="utf-8")[: path.read_text(encoding="utf-8").index(SECRET)].count("\n") + 1
    assert f"{path}:{line}: secret: " in result.stdout
    assert SECRET not in result.stdout + result.stderr
    assert result.stdout.endswith("1 cassette with 2 exchanges checked: 2 problems, 2 warnings\n")


def test_the_values_of_the_environment_are_secrets_too(run, saved):
    path = saved(*two_turns())

    assert run("check", path, WEATHER_API_KEY="Take a coat.").exit_code == 1


def test_an_edit_by_hand_is_a_warning(run, saved):
    path = saved(*two_turns())
    edit(path, "Take a coat.", "Take a hat!.")

    result = run("check", path)

    assert result.exit_code == 0
    told = "edited: exchange 2 was edited by hand since it was recorded: fine; --fix takes it in"
    assert re.fullmatch(rf"{re.escape(str(path))}:\d+: {re.escape(told)}", result.stdout.split("\n")[0])
    assert result.stdout.endswith("1 cassette with 2 exchanges checked: no problem, 1 warning\n")
    assert run("check", path, "--strict").exit_code == 1


def test_fix_takes_an_edit_in(run, saved):
    path = saved(*two_turns())
    edit(path, "Take a coat.", "Take a hat!.")

    result = run("check", path, "--fix")

    assert result.exit_code == 0
    assert result.stdout == (
        f"{path}: fixed: 1 hand edit taken in\n1 cassette with 2 exchanges checked: no problem\n"
    )
    assert load(path).edited == []
    assert "Take a hat" in load(path).exchanges[1].decode().text


def test_a_damaged_cassette_is_a_problem_with_its_line(run, saved):
    path = saved(*two_turns())
    edit(path, "  status: 200\n", "  status: fine\n")

    result = run("check", path)

    assert result.exit_code == 1
    assert f"{path}:" in result.stdout.split(": broken\n")[0]
    assert "response.status is 'fine'; expected a number such as 200" in result.stdout
    assert f"llmreplay check --fix {path}" in result.stdout


def test_fix_keeps_what_can_be_read_of_a_damaged_cassette(run, saved):
    path = saved(*two_turns())
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])

    result = run("check", path, "--fix")

    assert result.exit_code == 0
    kept = path.with_name("weather.yaml.broken")
    assert f"{path}: fixed: 1 exchange kept; the damaged file is now {kept}\n" in result.stdout
    assert kept.read_bytes() == whole[:-300]
    assert len(load(path).exchanges) == 1
    assert run("check", path).exit_code == 0


def test_fix_leaves_a_file_alone_of_which_nothing_can_be_read(run, tmp_path):
    path = tmp_path / "future.yaml"
    path.write_text("llmreplay: 99\n--- \nnew: format\n")

    result = run("check", path, "--fix")

    assert result.exit_code == 1
    assert path.read_text().startswith("llmreplay: 99\n")
    assert list(tmp_path.iterdir()) == [path]


def test_fix_writes_no_secret_anew(run, saved):
    path = saved(*two_turns())
    edit(path, "Be brief.", f"My key is {SECRET}.")
    before = path.read_bytes()

    result = run("check", path, "--fix")

    assert result.exit_code == 1
    assert "not fixed: the secrets in it have to be taken out first" in result.stdout
    assert path.read_bytes() == before


def test_a_document_that_was_written_broken_is_found_although_its_digest_holds(run, saved):
    from llmreplay.cassette._native import opening
    from llmreplay.matching import key

    first, _ = two_turns()
    text = b"request: nothing\n"
    path = saved()
    path.write_bytes(b"llmreplay: 1\n" + opening(text, key(first.request)) + text + b"...\n")

    result = run("check", path)

    assert result.exit_code == 1
    assert f"{path}:3: broken\n" in result.stdout
    assert "expected names with their values" in result.stdout
    assert run("check", path, "--fix").exit_code == 1


def test_a_folder_is_searched_and_other_files_are_passed_over(run, saved, tmp_path):
    for place in ("a/b", "node_modules", ".hidden"):
        (tmp_path / place).mkdir(parents=True)
    saved(*two_turns(), name="a/b/one.yaml")
    Cassette(two_turns()).save(tmp_path / "a/two.yml", format="vcr")
    saved(*two_turns(), name="node_modules/three.yaml")
    saved(*two_turns(), name=".hidden/four.yaml")
    (tmp_path / "settings.yaml").write_text("some: settings\n")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("llmreplay: 1\n")
    (tmp_path / "nowhere.yaml").symlink_to(tmp_path / "none")

    result = run("check", tmp_path, tmp_path / "a")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "2 cassettes with 4 exchanges checked: no problem\n"


def test_a_cassette_that_lost_its_head_is_found_in_a_folder(run, saved, tmp_path):
    path = saved(*two_turns())
    path.write_bytes(path.read_bytes().partition(b"llmreplay: 1\n")[2])

    result = run("check", tmp_path)

    assert result.exit_code == 1
    assert f"{path}:1: broken: the head `llmreplay: 1` is missing\n" in result.stdout


def test_an_archive_in_a_folder_is_searched_too(run, tmp_path):
    path = tmp_path / "weather.har"
    Cassette(two_turns()).save(path, format="har")
    edit(path, "Be brief.", f"My key is {SECRET}.")

    result = run("check", tmp_path)

    assert result.exit_code == 1
    assert f"{path}:" in result.stdout
    assert ": secret: " in result.stdout


def test_a_folder_without_cassettes_is_worth_a_word(run, tmp_path):
    result = run("check", tmp_path)

    assert result.exit_code == 0
    assert result.stderr == f"No cassette in {tmp_path}.\n"
    assert result.stdout == "0 cassettes with 0 exchanges checked: no problem\n"
    assert run("check", tmp_path, "--strict").exit_code == 1


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\x89PNG", b"just: yaml\n"], ids=["empty", "binary", "other"]
)
def test_a_named_file_has_to_be_a_cassette(run, tmp_path, content):
    path = tmp_path / "x.bin"
    path.write_bytes(content)

    result = run("check", path)

    assert result.exit_code == 1
    assert f"{path}: not a cassette: this is no cassette that llmreplay reads\n" in result.stdout


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_problem(run, saved):
    path = saved()
    path.chmod(0)

    result = run("check", path)

    assert result.exit_code == 1
    assert f"{path}: unreadable: " in result.stdout


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read by anyone")
def test_a_file_that_cannot_be_read_is_a_problem(run):
    result = run("check", "/proc/self/mem")

    assert result.exit_code == 1
    assert "/proc/self/mem: unreadable: /proc/self/mem cannot be read" in result.stdout


def test_a_path_that_does_not_exist_is_a_wrong_argument(run, saved, tmp_path):
    result = run("check", saved(*two_turns()), tmp_path / "none.yaml", tmp_path / "nor this")

    assert result.exit_code == 2
    missing = [tmp_path / "none.yaml", tmp_path / "nor this"]
    assert result.stderr == "".join(f"There is no file or folder {path}.\n" for path in missing)
    assert result.stdout == ""


def test_a_file_that_vanishes_meanwhile_is_passed_over(tmp_path):
    assert _check(tmp_path / "gone.yaml", Redaction(), named=False, fix=False) is None


def test_quiet_prints_problems_only(run, saved):
    path = saved(*two_turns())
    edit(path, "Take a coat.", "Take a hat!.")

    assert run("check", path, "--quiet").stdout == ""
    edit(path, "Be brief.", f"My key is {SECRET}.")
    assert {line.split(": ")[1] for line in run("check", path, "-q").stdout.splitlines()} == {"secret"}


def test_json_tells_the_same_to_a_program(run, saved):
    path = saved(*two_turns())
    edit(path, "Take a coat.", f"Take {SECRET}.")

    result = run("check", path, "--json")

    data = json.loads(result.stdout)
    (file,) = data["files"]
    assert result.exit_code == 1
    assert (data["exchanges"], data["problems"], data["warnings"]) == (2, 1, 1)
    assert (file["path"], file["exchanges"], file["fixed"]) == (str(path), 2, [])
    assert file["problems"][0].keys() == {"kind", "line", "message"}
    assert file["problems"][0]["kind"] == "secret"
    assert file["warnings"][0]["kind"] == "edited"
    assert file["warnings"][0]["line"] == load(path).line(2)


def test_a_large_tree_shows_its_progress_on_a_terminal(run, saved, tmp_path):
    exchange = answered(asked([QUESTION]), wires.openai_chat("Snow."))
    for number in range(21):
        saved(exchange, name=f"{number}.yaml")

    shown = run("check", tmp_path, FORCE_COLOR="1", TERM="xterm-256color", COLUMNS="80")

    assert "checking" in shown.stderr
    assert "21 cassettes with 21 exchanges checked: no problem" in shown.stdout
    assert run("check", tmp_path).stderr == ""

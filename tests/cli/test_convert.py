"""`llmreplay convert`."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from llmreplay import Cassette, load
from tests.cli.exchanges import OPENAI, two_turns

SECRET = "sk-proj-" + "Zq8Xv2Lk9" * 5
ASK = b"GET http://h/ HTTP/1.1\r\nx-mine: 1\r\n\r\n"
SAY = b"HTTP/1.1 200 OK\r\n\r\nyes"
TRACE = b"httprr trace v1\n%d %d\n%b%b" % (len(ASK), len(SAY), ASK, SAY)
ANSWER = b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Rain."}}]}\n'


@pytest.fixture
def folder(tmp_path):
    """A folder with recordings of two tools, one below the other, and a file that is none."""
    below = tmp_path / "in" / "deep"
    below.mkdir(parents=True)
    Cassette(two_turns()).save(tmp_path / "in" / "weather.yml", format="vcr")
    (below / "trace.httprr").write_bytes(TRACE)
    (below / "package.json").write_text("{}", encoding="utf-8")
    return tmp_path / "in"


def found(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_keeps_its_layout(run, folder, tmp_path):
    out = tmp_path / "out"

    result = run("convert", folder, "--out", out)

    assert result.exit_code == 0
    assert result.stdout == (
        f"{folder}/weather.yml → {out}/weather.yaml: vcr, 2 exchanges\n"
        f"{folder}/deep/trace.httprr → {out}/deep/trace.yaml: httprr, 1 exchange\n"
        "  redacted: without 1 header\n"
        "2 files with 3 exchanges converted to llmreplay: no problem, 1 file passed over\n"
    )
    assert result.stderr == ""
    assert found(out) == ["deep/trace.yaml", "weather.yaml"]
    assert list(load(out / "weather.yaml").exchanges) == list(load(folder / "weather.yml").exchanges)


@pytest.mark.parametrize(("to", "ending"), [("llmreplay", "yaml"), ("vcr", "yaml"), ("har", "har")])
def test_the_format_is_chosen(run, folder, tmp_path, to, ending):
    result = run("convert", folder / "weather.yml", "--to", to, "-o", tmp_path / "out")

    assert result.exit_code == 0
    assert load(tmp_path / "out" / f"weather.{ending}").format == to


def test_what_the_format_has_no_word_for_is_told(run, folder, tmp_path):
    result = run("convert", folder / "weather.yml", "--to", "har", "-o", tmp_path / "out")

    told = "only llmreplay reads, in _llmreplay: chunk boundaries (1), delays (2), who recorded it (2)"
    assert result.stdout.split("\n")[1] == f"  {told}"


def test_json_tells_all_to_a_program(run, folder, tmp_path):
    out = tmp_path / "out"
    (folder / "broken.httprr").write_bytes(TRACE[:-1])

    result = run("convert", folder, "--to", "vcr", "--out", out, "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    [broken, vcr, trace] = told.pop("files")
    assert broken["path"] == str(folder / "broken.httprr")
    assert broken["problem"]["kind"] == "broken"
    assert "is a damaged trace of httprr" in broken["problem"]["message"]
    assert (vcr["format"], vcr["exchanges"], vcr["problem"]) == ("vcr", 2, None)
    assert trace == {
        "path": str(folder / "deep" / "trace.httprr"),
        "target": str(out / "deep" / "trace.yaml"),
        "format": "httprr",
        "exchanges": 1,
        "redacted": {"secrets": 0, "places": {}, "headers": ["x-mine"]},
        "beside": {},
        "lost": {},
        "left_out": [],
        "problem": None,
    }
    assert told == {
        "converted": 2,
        "exchanges": 3,
        "secrets": 0,
        "problems": 1,
        "passed_over": 1,
        "interrupted": False,
    }
    assert found(out) == ["deep/trace.yaml", "weather.yaml"]


def test_a_file_that_cannot_be_read_stops_no_other(run, folder, tmp_path):
    (folder / "a.httprr").write_bytes(TRACE[:-1])

    result = run("convert", folder, "--out", tmp_path / "out", "--quiet")

    assert result.exit_code == 1
    assert result.stdout.startswith(
        f"{folder}/a.httprr: broken: {folder}/a.httprr is a damaged trace of httprr.\n"
    )
    assert "converted" not in result.stdout
    assert found(tmp_path / "out") == ["deep/trace.yaml", "weather.yaml"]


def test_secrets_do_not_reach_the_disk(run, folder, tmp_path):
    path = folder / "weather.yml"
    path.write_text(path.read_text(encoding="ascii").replace("Be brief.", f"Key: {SECRET}"), encoding="ascii")

    result = run("convert", path, "--out", tmp_path / "out")

    assert result.exit_code == 0
    assert "  redacted: 1 secret; request body (2)\n" in result.stdout
    assert result.stdout.endswith("converted to llmreplay: no problem, 1 secret redacted\n")
    assert SECRET not in (tmp_path / "out" / "weather.yaml").read_text(encoding="utf-8") + result.stdout
    assert SECRET in path.read_text(encoding="ascii")


def test_the_values_of_the_environment_are_secrets_too(run, folder, tmp_path):
    result = run("convert", folder / "weather.yml", "--out", tmp_path, WEATHER_API_KEY="Take a coat.")

    assert "response body (1)" in result.stdout
    assert "Take a coat." not in (tmp_path / "weather.yaml").read_text(encoding="utf-8")


def test_nothing_is_written_over_without_being_told(run, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "weather.yaml").write_bytes(b"mine")

    kept = run("convert", folder, "--out", out)

    assert kept.exit_code == 1
    assert f"{folder}/weather.yml: exists: {out}/weather.yaml exists, and was left as it is.\n" in kept.stdout
    assert "1 problem" in kept.stdout
    assert (out / "weather.yaml").read_bytes() == b"mine"
    assert run("convert", folder, "--out", out, "--force").exit_code == 0
    assert len(load(out / "weather.yaml")) == 2


def test_the_file_that_is_read_is_never_written_over(run, tmp_path):
    Cassette(two_turns()).save(tmp_path / "weather.yaml")
    before = (tmp_path / "weather.yaml").read_bytes()

    result = run("convert", tmp_path / "weather.yaml", "--to", "vcr", "--out", tmp_path, "--force")

    assert result.exit_code == 1
    assert "is the file that is read, and is not written over" in result.stdout
    assert (tmp_path / "weather.yaml").read_bytes() == before


def test_two_files_never_become_one(run, folder, tmp_path):
    Cassette(two_turns()).save(folder / "weather.yaml")

    result = run("convert", folder, "--out", tmp_path / "out", "--force")

    told = f"{folder}/weather.yaml was written to {tmp_path}/out/weather.yaml: give this one another --out"
    assert result.exit_code == 1
    assert f"{folder}/weather.yml: in the way: {told}\n" in result.stdout


def test_what_was_converted_before_is_not_converted_again(run, folder):
    for _ in range(2):
        result = run("convert", folder, "--out", folder / "new", "--force")

        assert result.exit_code == 0
        assert "2 files with 3 exchanges converted" in result.stdout
    assert found(folder / "new") == ["deep/trace.yaml", "weather.yaml"]


def test_a_file_named_twice_is_converted_once(run, folder, tmp_path):
    result = run("convert", folder, folder / "weather.yml", "--out", tmp_path / "out")

    assert result.exit_code == 0
    assert "2 files with 3 exchanges converted" in result.stdout


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("a.yaml.gz", "a.yaml"),
        ("a.har.yaml", "a.yaml"),
        ("a.HTTPRR", "a.yaml"),
        ("gpt-4.1", "gpt-4.1.yaml"),
        (".json", ".json.yaml"),
    ],
)
def test_known_endings_make_room_for_the_new_one(run, tmp_path, name, becomes):
    (tmp_path / name).write_bytes(TRACE)

    assert run("convert", tmp_path / name, "--out", tmp_path / "out").exit_code == 0
    assert found(tmp_path / "out") == [becomes]


def test_a_response_alone_is_converted_with_a_url(run, folder, tmp_path):
    (folder / "answer.json").write_bytes(ANSWER)
    (folder / "deep" / "package.json").unlink()
    (tmp_path / "asked.json").write_bytes(b'{"model":"m"}')

    result = run("convert", folder, "--out", tmp_path / "out", "--url", OPENAI)
    options = ("--url", OPENAI, "--request", tmp_path / "asked.json")
    one = run("convert", folder / "answer.json", "-o", tmp_path / "one", *options)

    assert (result.exit_code, one.exit_code) == (0, 0)
    assert "3 files with 4 exchanges converted" in result.stdout
    assert load(tmp_path / "out" / "answer.yaml").exchanges[0].decode().text == "Rain."
    assert load(tmp_path / "one" / "answer.yaml").exchanges[0].request.body == b'{"model":"m"}'
    assert run("show", tmp_path / "one" / "answer.yaml").exit_code == 0


def test_text_files_are_looked_at_only_with_a_url(run, tmp_path):
    (tmp_path / "answer.sse").write_bytes(b'data: {"choices":[]}\n\n')

    without = run("convert", tmp_path, "--out", tmp_path / "out")
    with_url = run("convert", tmp_path, "--out", tmp_path / "out", "--url", OPENAI)

    assert (without.exit_code, without.stderr) == (0, f"No cassette in {tmp_path}.\n")
    assert "0 files with 0 exchanges converted to llmreplay: no problem\n" in without.stdout
    assert "1 file with 1 exchange converted" in with_url.stdout


def test_a_url_that_no_file_needs_is_worth_a_word(run, folder, tmp_path):
    result = run("convert", folder / "weather.yml", "--out", tmp_path / "out", "--url", OPENAI)

    assert result.exit_code == 0
    assert result.stderr == "--url was not needed: every file tells where its requests went.\n"


def test_a_request_for_a_file_that_tells_it_is_a_problem(run, folder, tmp_path):
    path = folder / "weather.yml"

    result = run("convert", path, "-o", tmp_path / "out", "--url", OPENAI, "--request", path)

    assert result.exit_code == 1
    assert "has the format vcr, with its requests" in result.stdout


def test_a_file_that_is_named_has_to_be_a_cassette(run, folder, tmp_path):
    result = run("convert", folder / "deep" / "package.json", "--out", tmp_path / "out")

    assert result.exit_code == 1
    assert "package.json is no cassette that llmreplay reads.\n" in result.stdout
    assert "nock (a JSON list with `scope`)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["{in}/none.yaml"], "There is no file or folder {in}/none.yaml.\n"),
        (["{in}", "--url", "api.openai.com"], "--url is api.openai.com; expected where the request went,"),
        (["{in}", "--url", "http://[::1"], "--url is http://[::1; expected where the request went,"),
        (["{in}", "--url", OPENAI, "--request", "{in}/weather.yml"], "--request is the body of one request:"),
        (["{in}/weather.yml", "--request", "{in}/weather.yml"], "--request is the body of one request:"),
        (["{in}/weather.yml", "--url", OPENAI, "--request", "{in}/none"], "There is no file {in}/none.\n"),
        (["{in}", "--out", "{in}/weather.yml"], "--out is {in}/weather.yml, which is no folder.\n"),
    ],
)
def test_misuse_writes_nothing(run, folder, tmp_path, arguments, fact):
    given = [each.replace("{in}", str(folder)) for each in arguments]

    result = run("convert", "--out", tmp_path / "out", *given)

    assert result.exit_code == 2
    assert fact.replace("{in}", str(folder)) in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_a_problem(run, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "deep").write_bytes(b"a file where a folder has to be")

    result = run("convert", folder, "--out", out)

    assert result.exit_code == 1
    assert f"{folder}/deep/trace.httprr: not written: {out}/deep/trace.yaml: " in result.stdout
    assert found(out) == ["deep", "weather.yaml"]


def test_ctrl_c_leaves_whole_files_and_says_so(folder, tmp_path):
    code = (
        "import os, signal, sys\n"
        "from llmreplay.cassette import _store\n"
        "write, written = os.fsync, []\n"
        "def fsync(handle):\n"
        "    written.append(handle)\n"
        "    write(handle)\n"
        "    if len(written) == 3:\n"  # a file and its folder are flushed; this is the second file
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "os.fsync = fsync\n"
        "from llmreplay.cli import main\n"
        "main()\n"
    )
    out = tmp_path / "out"

    result = subprocess.run(
        [sys.executable, "-c", code, "convert", folder, "--out", out],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert result.returncode == 130
    assert result.stderr == "Interrupted: what was converted by then is whole.\n"
    assert "1 file with 2 exchanges converted" in result.stdout
    assert found(out) == ["weather.yaml"]
    assert len(load(out / "weather.yaml")) == 2


@pytest.mark.skipif(os.name == "nt" or not hasattr(signal, "SIGINT"), reason="needs a terminal")
def test_progress_is_shown_on_a_terminal_only(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.httprr").write_bytes(TRACE)
    arguments = [sys.executable, "-m", "llmreplay", "convert", str(tmp_path), "-q", "--out"]
    outside, inside = pty.openpty()
    with os.fdopen(outside, "rb", buffering=0) as terminal:
        subprocess.run([*arguments, str(tmp_path / "a")], stderr=inside, timeout=60, check=True)
        os.close(inside)
        shown = b""
        while data := _read(terminal):
            shown += data
    piped = subprocess.run([*arguments, str(tmp_path / "b")], capture_output=True, timeout=60, check=True)

    assert b"converting" in shown
    assert b"7/7" in shown
    assert (piped.stdout, piped.stderr) == (b"", b"")


def _read(terminal) -> bytes:
    try:
        return terminal.read(4096)
    except OSError:  # Linux says so where the other end was closed
        return b""

"""A suite that was written for pytest-recording passes unchanged, and what it records stays vcrpy's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.vcr_suite import echo

SUITE = Path(__file__).parent / "vcr_suite"
# Plugins that have no part in this.
WITHOUT = [f"-pno:{name}" for name in ("hypothesispytest", "pytest_httpx", "respx", "asyncio", "randomly")]
# Those in which stock vcrpy sees what our files do not hold: a secret.
SECRET = (
    "test_headers_are_kept_without_a_filter",
    "test_parameters_are_kept_without_a_filter",
    "test_recorded_headers_match",
    "test_the_nearest_marker_wins",
)
STOCK = """
import sys
from pathlib import Path

import requests
import vcr

played = 0
for path in sorted(Path(sys.argv[1]).rglob("*.yaml")):
    with vcr.use_cassette(str(path), record_mode="none") as cassette:
        for request, response in list(cassette.data):
            got = requests.request(request.method, request.uri, data=request.body, allow_redirects=False)
            assert got.status_code == response["status"]["code"], path
            played += 1
        assert cassette.all_played
print(played, "played")
"""


def run(folder: Path, url: str, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "VCR_SUITE_URL": url, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", *WITHOUT, *args]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def outcomes(result: subprocess.CompletedProcess[str]) -> dict[str, int]:
    last = result.stdout.rstrip().rpartition("\n")[2]
    return {name: int(number) for number, name in re.findall(r"(\d+) (passed|failed|skipped|errors?)", last)}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The suite, recorded, with the address that its server had, and what came of the run."""
    folder = tmp_path_factory.mktemp("recorded") / "suite"
    shutil.copytree(SUITE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pytest.ini").write_text("[pytest]\nllm_vcr = true\npythonpath = .\n", encoding="utf-8")
    with echo.serving() as server:
        result = run(folder, server.url, "--record-mode=once")
    return folder, server.url, result


@pytest.fixture
def suite(recorded, tmp_path):
    """A copy of its own, and the address: the server is gone."""
    folder, url, _ = recorded
    shutil.copytree(folder, tmp_path / "suite")
    return tmp_path / "suite", url


def test_it_passes_while_it_is_recorded(recorded):
    _, _, result = recorded

    assert outcomes(result) == {"passed": 146, "skipped": 1}, result.stdout


def test_it_passes_when_the_server_is_gone(suite):
    result = run(*suite)

    assert outcomes(result) == {"passed": 147}, result.stdout


def test_it_passes_in_two_processes(suite):
    result = run(*suite, "-n", "2")

    assert outcomes(result) == {"passed": 147}, result.stdout


def test_stock_vcrpy_plays_what_it_recorded(suite):
    folder, _ = suite
    program = folder / "stock.py"
    program.write_text(STOCK, encoding="utf-8")
    files = list((folder / "cassettes").rglob("*.yaml"))

    result = subprocess.run(
        [sys.executable, program, folder / "cassettes"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[0]) >= len(files) > 50


def test_no_file_holds_a_secret_that_no_filter_took_out(suite):
    folder, _ = suite
    files = [path for path in folder.rglob("*.*") if path.suffix in (".yaml", ".json", ".lines")]
    of_these = [path for path in files if any(name in path.name for name in SECRET)]

    texts = [path.read_text(encoding="utf-8") for path in of_these]

    assert len(of_these) == len(SECRET)
    for text in texts:
        request = text.partition("response:")[0]
        assert "redacted-1" in request
        assert not re.search(r"Bearer me|something-long-enough|abcdef", request)

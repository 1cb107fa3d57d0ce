"""The blocks of README and docs run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def blocks(language: str) -> list:
    return [
        pytest.param(code, id=f"{page.name}:{page.read_text().count(chr(10), 0, found.start(2)) + 1}")
        for page in PAGES
        for found in _BLOCK.finditer(page.read_text())
        if found[1] == language
        for code in [found[2]]
    ]


@pytest.mark.parametrize("code", blocks("python"))
def test_a_python_block_runs(code, tmp_path):
    """Each in a folder and a process of its own; one with tests in it is run by pytest."""
    file = tmp_path / "test_block.py"
    file.write_text(code)
    is_test = re.search(r"^(async )?def test_", code, re.MULTILINE)
    command = [
        sys.executable,
        *(["-m", "pytest", "-q", "-p", "no:cacheprovider"] if is_test else []),
        str(file),
    ]

    run = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_shows_python_that_runs():
    assert any("README.md" in block.id for block in blocks("python"))

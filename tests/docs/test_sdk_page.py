"""docs/sdks.md tells of tests that are there, module by module."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_features import functions
from tests.sdks import matrix


def sections() -> dict[str, str]:
    text = matrix.PAGE.read_text()
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("module", matrix.SDKS)
def test_every_test_of_an_sdk_is_in_the_page_and_nothing_else(module):
    sdk, wires = matrix.SDKS[module]
    told = set(re.findall(r"^\| (.+?) \| \d+ \|$", sections()[f"{sdk}: {wires}"], re.MULTILINE))
    path = matrix.PAGE.parent.parent / "tests" / "sdks" / f"{module}.py"
    there = {name for name in functions(path) if name.startswith("test_")}

    assert told <= {matrix._sentence(name) for name in there}
    assert len(told) >= len(there) * 0.9, "made anew by python -m tests.sdks.matrix"


def test_every_module_of_sdk_tests_is_in_the_page():
    folder = matrix.PAGE.parent.parent / "tests" / "sdks"

    assert {path.stem for path in folder.glob("test_*.py")} == set(matrix.SDKS)

"""docs/features.md names tests that exist; the plugin `tests.features` sees to it that they ran."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.features import FEATURES, features

if TYPE_CHECKING:
    from pathlib import Path

ROOT = FEATURES.parent.parent


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(
    ("row", "node_id"), [(row, node) for row, nodes in features().items() for node in nodes]
)
def test_a_test_that_a_row_names_exists(row, node_id):
    file, _, name = node_id.partition("::")

    assert (ROOT / file).is_file()
    assert name.split("::")[-1].partition("[")[0] in functions(ROOT / file)


def test_every_feature_and_promise_has_one_row():
    counts = {"P": 11, "S0": 47, "S1": 19, "S2": 18, "S3": 12, "S4": 12, "C": 10}

    assert set(features()) == {f"{group}.{n}" for group, count in counts.items() for n in range(1, count + 1)}

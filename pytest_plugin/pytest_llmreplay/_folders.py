"""Folders that hold cassettes and nothing else: pytest need not ask about every file in them.

It asks its plugins about each, which takes as long for a thousand cassettes as to run a hundred tests.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["has_only_cassettes"]

_HEAD = b"# llmreplay cassette"
# What may lie beside cassettes: what a failed run left, and journals.
_ENDINGS = (".yaml", ".broken", ".journal", ".tmp")


def has_only_cassettes(folder: Path) -> bool:
    """Tell whether all files of a folder may be cassettes, and one of them is one of ours."""
    first = ""
    for where, _, names in os.walk(folder):
        if not all(name.endswith(_ENDINGS) for name in names):
            return False
        first = first or next((os.path.join(where, name) for name in names if name.endswith(".yaml")), "")  # noqa: PTH118  a thousand paths
    try:
        with open(first, "rb") as file:  # noqa: PTH123
            return file.read(len(_HEAD)) == _HEAD
    except OSError:
        return False

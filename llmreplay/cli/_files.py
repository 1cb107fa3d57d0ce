"""The files that a command was given: by their names, and found in folders.

Rules:

* In a folder, hidden folders and those of tools are passed over, and so are pipes and links to nowhere.
* A folder is walked in one order on every machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["below"]

_PASSED_OVER = frozenset({"node_modules", "__pycache__"})


def below(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files below a folder whose names end in one of these."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER and not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(endings) and (found := Path(place, name)).is_file():
                yield found

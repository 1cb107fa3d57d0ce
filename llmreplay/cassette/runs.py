"""Which run of tests has begun to record a cassette, for its other processes to know.

A mark lives in the temporary folder of the machine, beside the lock of the cassette. It is the name of
the run, and it is good as long as nobody else records.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from llmreplay.cassette import _store

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["began", "begin"]


def begin(path: Path, run: str) -> None:
    """Note that a run begins to record a cassette; to be done before the file is there."""
    with suppress(OSError):  # without the mark, each process starts over for itself
        _store.place_of(path, "run").write_text(run, encoding="utf-8")


def began(path: Path, run: str) -> bool:
    """Tell whether this run records a cassette already, in whatever process."""
    try:
        return _store.place_of(path, "run").read_text(encoding="utf-8") == run
    except OSError:
        return False

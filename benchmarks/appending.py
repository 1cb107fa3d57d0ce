"""To add one exchange to a cassette of 10,000, against one of 10.

A step is what a session does at its end: take the lock, see that nobody else has written, and append. The
file is on the disk when it is over (`fsync`), which is not processor time and is told beside it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import samples
from benchmarks.rounds import Row, compare, table
from llmreplay import load
from llmreplay.redaction import Redaction

if TYPE_CHECKING:
    import argparse

    from llmreplay import Cassette

NAME = "append"

_LARGE, _SMALL = 10_000, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=60, help="exchanges added on each side (default: 60)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure it."""
    with tempfile.TemporaryDirectory() as folder:
        large, small = (_cassette(Path(folder), size) for size in (_LARGE, _SMALL))
        new = list(samples.exchanges(samples.raw_requests(_LARGE + arguments.rounds)[_LARGE:]))
        redaction = Redaction()
        waited: dict[int, list[float]] = {_LARGE: [], _SMALL: []}

        def add(cassette: Cassette, size: int, number: int) -> None:
            begun = time.perf_counter()
            cassette.commit([new[number]], "add", redaction)
            waited[size].append(time.perf_counter() - begun)

        found = compare(
            lambda number: add(large, _LARGE, number),
            lambda number: add(small, _SMALL, number),
            steps=arguments.rounds,
            turn=5,
        )
        assert len(load(Path(folder) / f"{_LARGE}.yaml")) == _LARGE + arguments.rounds
    row: Row = found.row(f"append to a cassette of {_LARGE:,}", f"to one of {_SMALL}", 1.2)
    disk = {size: round(median(times) * 1e3, 2) for size, times in waited.items()}
    if not arguments.json:
        print(table([row]))
        print(f"\nWith the disk: {disk[_LARGE]} ms and {disk[_SMALL]} ms.")
    return {"benchmark": NAME, "rows": [row.as_json()], "with_disk_ms": disk}


def _cassette(folder: Path, size: int) -> Cassette:
    path = folder / f"{size}.yaml"
    samples.cassette(path, samples.exchanges(samples.raw_requests(size)))
    return load(path)

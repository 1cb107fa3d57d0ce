"""Runs every benchmark that has targets, and writes what they found into docs/performance.md.

Each runs in a process of its own, so that none pays for what another has imported or kept.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.rounds import Row, table

if TYPE_CHECKING:
    import argparse

NAME = "all"

TABLES = ("replay", "first-token", "vcrpy", "load", "import", "clients", "script", "append", "suite")
"""The benchmarks, in the order of the page."""

_PAGE = Path("docs/performance.md")
_BEGIN, _END = "<!-- figures: python -m benchmarks all --write -->\n", "<!-- end of figures -->\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--write", action="store_true", help=f"put the table into {_PAGE}")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run them one after the other."""
    before = os.getloadavg()
    found = {}
    for name in TABLES:
        print(f"{name} …", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", name, "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[name] = json.loads(done.stdout)["rows"]
    rows = [Row(**row) for name in TABLES for row in found[name]]
    told = f"{table(rows)}\n\n{_machine(before)}\n"
    if arguments.write:
        page = _PAGE.read_text()
        head, _, rest = page.partition(_BEGIN)
        _, _, tail = rest.partition(_END)
        _PAGE.write_text(f"{head}{_BEGIN}\n{told}\n{_END}{tail}")
    if not arguments.json:
        print(told)
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}


def _machine(before: tuple[float, float, float]) -> str:
    after = os.getloadavg()
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average {before[0]:.2f} before and {after[0]:.2f} after."
    )

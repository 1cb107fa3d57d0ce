"""What `import llmreplay` and the plugin add to a pytest run that does not use them.

Each import has a process of its own, in which pytest is there already, and is measured by the processor time
it takes and the modules it brings.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.rounds import Row, table

if TYPE_CHECKING:
    import argparse

NAME = "import"

_PROGRAM = """
import sys, time, json, pytest
before, start = set(sys.modules), time.process_time()
import {module}
spent = time.process_time() - start
print(json.dumps([spent * 1e3, sorted(set(sys.modules) - before)]))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=21, help="processes for each import (default: 21)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure both imports, and those of the peer if it is installed."""
    peer, name = "pytest_recording.plugin", "pytest-recording"
    there = importlib.util.find_spec("pytest_recording") is not None
    measured: dict[str, list[float]] = {}
    brought: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(arguments.rounds + 1):
            for module in ("pytest_llmreplay", "llmreplay", *([peer] if there else [])):
                spent, brought[module] = _import(module, cache)
                if number:
                    measured.setdefault(module, []).append(spent)
    told = f"{name} {importlib.metadata.version(name)}" if there else f"{name}, not installed here"
    theirs = f"{median(measured[peer]):.1f} ms, {len(brought[peer])} modules" if there else "-"
    rows = []
    for module, what in (("pytest_llmreplay", "load of the plugin"), ("llmreplay", "`import llmreplay`")):
        spent, modules = median(measured[module]), brought[module]
        rows.append(
            Row(
                f"{what} on top of pytest",
                told,
                f"{spent:.1f} ms, {len(modules)} module{'s' if len(modules) != 1 else ''}",
                theirs,
                "≤ 2 ms, no module but itself",
                f"{spent:.1f} ms",
                spent <= 2 and modules == [module],
            )
        )
    if not arguments.json:
        print(table(rows))
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}


def _import(module: str, cache: str) -> tuple[float, list[str]]:
    program = _PROGRAM.format(module=module)
    # An installed package has its bytecode; one that is run from its sources gets it here.
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    spent, modules = json.loads(done.stdout)
    return spent, modules

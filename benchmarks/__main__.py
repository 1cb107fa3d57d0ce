"""Measures llmreplay: `python -m benchmarks <name>`, run from the root of the repository.

A benchmark is a module here with `NAME`, a docstring whose first line is its help, `add_arguments(parser)`
and `run(arguments)`, which returns its figures as JSON values and prints them unless `--json` is given.
`all` runs those that have rows with a target, and `all --write` puts their tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from typing import Any, Protocol

from benchmarks import (
    appending,
    clients,
    everything,
    first_token,
    imports,
    loading,
    replay,
    scripts,
    suite,
    vcrpy,
)


class Benchmark(Protocol):
    NAME: str
    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> dict[str, Any]: ...


BENCHMARKS: tuple[Benchmark, ...] = (
    first_token,
    replay,
    vcrpy,
    loading,
    imports,
    clients,
    scripts,
    appending,
    suite,
    everything,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure llmreplay.")
    commands = parser.add_subparsers(required=True, metavar="name")
    for benchmark in BENCHMARKS:
        about = (benchmark.__doc__ or "").splitlines()[0]
        command = commands.add_parser(benchmark.NAME, help=about, description=about)
        command.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
        benchmark.add_arguments(command)
        command.set_defaults(run=benchmark.run)
    arguments = parser.parse_args()

    before = os.getloadavg()
    figures = arguments.run(arguments)
    machine: dict[str, Any] = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_before": [round(load, 2) for load in before],
        "load_after": [round(load, 2) for load in os.getloadavg()],
    }
    if arguments.json:
        print(json.dumps({**figures, "machine": machine}, indent=2))
    else:
        print(f"Python {machine['python']}, {machine['cpus']} CPUs, load {before[0]:.2f} before,", end=" ")
        print(f"{machine['load_after'][0]:.2f} after.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

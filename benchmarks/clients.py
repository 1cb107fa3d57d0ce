"""What it takes to build an SDK client while a session only replays.

The peer is the same constructor outside of a session. Nearly all of its time is the TLS context, which is
made anew for every client.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from statistics import median
from typing import TYPE_CHECKING, Any

import anthropic
import openai

from benchmarks import samples
from benchmarks.rounds import Row, table
from llmreplay import use_script

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

NAME = "clients"

_CLIENTS: dict[str, Callable[[], Any]] = {
    f"openai {openai.__version__} `OpenAI()`": lambda: openai.OpenAI(api_key=samples.KEY),
    f"openai {openai.__version__} `AsyncOpenAI()`": lambda: openai.AsyncOpenAI(api_key=samples.KEY),
    f"anthropic {anthropic.__version__} `Anthropic()`": lambda: anthropic.Anthropic(api_key=samples.KEY),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=20, help="clients of each kind (default: 20)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every kind of client."""
    rows = [_row(name, build, arguments.rounds) for name, build in _CLIENTS.items()]
    if not arguments.json:
        print(table(rows))
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}


def _row(name: str, build: Callable[[], Any], rounds: int) -> Row:
    """Build clients in and out of a session by turns; the first of each is not counted."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        for replaying in (True, False) if number % 2 else (False, True):
            with use_script() if replaying else nullcontext():
                before = time.process_time()
                build()
                times[replaying].append(time.process_time() - before)
    ours, theirs = (median(times[replaying][1:]) for replaying in (True, False))
    return Row(
        f"building {name} in replay",
        "the same live",
        f"{ours * 1e3:.2f} ms",
        f"{theirs * 1e3:.2f} ms",
        "< 1 ms",
        f"{ours * 1e3:.2f} ms",
        ours < 1e-3,
    )

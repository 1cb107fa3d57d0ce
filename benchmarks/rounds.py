"""How two sides are compared: in small steps that take turns, in processor time, by the median.

Rules:

* Both sides do the same work in one process, a few steps each before the other has its turn, so that what
  else goes on in the machine hits both. Which side is first changes from turn to turn.
* A turn gives one ratio. What is told is the median of the ratios, with the quarters around it.
* Time is that of the process (`process_time`): waiting for a core does not count.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Comparison", "Row", "compare", "table"]


@dataclass(frozen=True)
class Row:
    """A line of a table: what was measured against what, and whether the target was met."""

    what: str
    peer: str
    ours: str
    theirs: str
    target: str
    reached: str
    met: bool
    spread: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Two sides measured by turns; seconds of processor time for one step of each."""

    ours: float
    theirs: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times as long we take, by the median."""
        return median(self.ratios)

    @property
    def spread(self) -> str:
        """The quarters around the median."""
        if len(self.ratios) < 2:
            return ""
        low, _, high = quantiles(self.ratios, n=4)
        return f"{low:.2f} to {high:.2f}"

    def row(self, what: str, peer: str, limit: float, *, unit: str = "µs") -> Row:
        """Return the row of a comparison that must not take more than `limit` times as long."""
        scale = {"µs": 1e6, "ms": 1e3}[unit]
        return Row(
            what,
            peer,
            f"{self.ours * scale:,.1f} {unit}",
            f"{self.theirs * scale:,.1f} {unit}",
            f"≤ {limit:.2f}",
            f"{self.ratio:.2f}",
            self.ratio <= limit,
            self.spread,
        )


def compare(
    ours: Callable[[int], object], theirs: Callable[[int], object], *, steps: int, turn: int = 25
) -> Comparison:
    """Run steps `0 … steps-1` on both sides, `turn` of them before the other side has its turn."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number, start in enumerate(range(0, steps, turn)):
        places = range(start, min(start + turn, steps))
        for we in (True, False) if number % 2 else (False, True):
            side = ours if we else theirs
            before = time.process_time()
            for place in places:
                side(place)
            times[we].append((time.process_time() - before) / len(places))
    ratios = tuple(one / other for one, other in zip(times[True], times[False], strict=True))
    return Comparison(median(times[True]), median(times[False]), ratios)


def table(rows: list[Row]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [
        "| what | peer | llmreplay | peer | target | reached | middle half |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mark = "" if row.met else " (missed)"
        lines.append(
            f"| {row.what} | {row.peer} | {row.ours} | {row.theirs} | {row.target} | **{row.reached}**{mark} "
            f"| {row.spread} |"
        )
    return "\n".join(lines)

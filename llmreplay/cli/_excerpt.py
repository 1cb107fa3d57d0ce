"""The first exchange of a cassette, short enough to be read at a glance."""

from __future__ import annotations

__all__ = ["excerpt"]

_FOLDED = ("headers:", "tools:")
_EVENTS = 2
_WIDTH = 96


def excerpt(text: str) -> list[str]:
    """Return the first exchange of a cassette, with what is long folded away."""
    lines: list[str] = []
    fold: str | None = None
    events = 0
    for line in text.partition("\n---")[0].split("\n") + text.split("\n---", 2)[1].split("\n")[1:]:
        if fold is not None and line.startswith((f"{fold} ", f"{fold}-")):
            continue
        fold = None
        if line.strip() in _FOLDED:
            fold = line[: len(line) - len(line.lstrip())]
            lines.append(f"{line} …")
            continue
        events = events + line.startswith("    data:") if line.startswith(" ") or not line else 0
        if line and events <= _EVENTS:
            lines.append(f"{line[:_WIDTH]}…" if len(line) > _WIDTH else line)
        elif line and events == _EVENTS + 1:
            lines.append("    …")
    return lines

"""What the commands print with: consoles, texts that are safe to print, numbers as people read them.

Rules:

* Text from a cassette is printed as text: it holds neither markup nor commands for the terminal.
* Lines are wrapped for a terminal only: what is piped keeps its lines, so that it can be searched.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.style import StyleType

__all__ = ["NoColor", "block", "console", "count", "duration", "harmless", "print_json", "size", "tell"]

NoColor = Annotated[bool, typer.Option("--no-color", help="Print without colours, as NO_COLOR=1 does.")]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PICTURES = 0x2400
_C0 = 0x20
_NARROWEST = 40


def console(*, no_color: bool = False, stderr: bool = False) -> Console:
    """Return a console that adds nothing of its own to what is printed."""
    return Console(
        file=sys.stderr if stderr else sys.stdout,
        no_color=True if no_color else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def harmless(text: str) -> str:
    """Return a text with its control characters made visible, so that a terminal obeys none."""
    return _CONTROL.sub(_visible, text.replace("\r\n", "\n"))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_PICTURES + code) if code < _C0 else f"\\u{code:04x}"


def tell(to: Console, text: str, style: StyleType = "") -> None:
    """Print a text as it is, in one style."""
    to.print(Text(harmless(text), style))


def block(
    to: Console, label: str, text: str, *, style: StyleType = "", label_style: StyleType = "bold"
) -> None:
    """Print a text of any number of lines behind a label, indented as one column."""
    margin = "   "
    lines = list(_lines(to, Text(harmless(text), style), len(margin) + 11))
    for place, line in enumerate(lines or [Text()]):
        head = Text(margin).append(f"{label if place == 0 else '':<11}", label_style)
        to.print(head.append_text(line) if line.plain else Text(head.plain.rstrip(), label_style))


def _lines(to: Console, text: Text, indent: int) -> Iterator[Text]:
    for line in text.split("\n", allow_blank=True):
        if to.is_terminal:
            yield from line.wrap(to, max(to.width - indent, _NARROWEST)) or [Text()]
        else:
            yield line


def print_json(value: object) -> None:
    """Print a value for a program, always in ASCII: whatever the terminal's encoding, it can be read."""
    import json  # noqa: PLC0415  one command in two needs it

    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def count(number: int, noun: str, plural: str = "") -> str:
    """Say how many: `1 exchange`, `2 exchanges`, `1,200 tokens`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Say how long: `0 ms`, `12 ms`, `1.4 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"  # noqa: PLR2004  what rounds to 1 s


def size(number: int) -> str:
    """Say how big: `312 bytes`, `3.4 kB`, `1.2 MB`."""
    if number < 1000:  # noqa: PLR2004  decimal units
        return count(number, "byte")
    return f"{number / 1e3:.1f} kB" if number < 1e6 else f"{number / 1e6:.1f} MB"  # noqa: PLR2004

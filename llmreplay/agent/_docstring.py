"""What a docstring says of a function and of its parameters (google convention)."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["described"]

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Attributes|Warnings?):\s*$"
)
_PARAMETERS = frozenset({"Args", "Arguments", "Parameters"})
_PARAMETER = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def described(function: Callable[..., Any]) -> tuple[str | None, dict[str, str]]:
    """Return what a function does, without the sections of its docstring, and what its parameters are."""
    sections: dict[str, list[str]] = {"": []}
    now = ""
    for line in (inspect.getdoc(function) or "").splitlines():
        if found := _SECTION.match(line):
            now = "Args" if found[1] in _PARAMETERS else found[1]
            sections.setdefault(now, [])
        else:
            sections[now].append(line)
    return "\n".join(sections[""]).strip() or None, _parameters(sections.get("Args", []))


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        started = _PARAMETER.match(line)  # what is indented goes on with the parameter before
        if started:
            name = started[1]
            found[name] = [started[2]]
        elif name and line.strip():
            found[name].append(line.strip())
    return {key: " ".join(filter(None, text)) for key, text in found.items()}

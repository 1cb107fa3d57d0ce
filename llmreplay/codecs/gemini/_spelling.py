"""Names of fields, which Google reads in camel case and in snake case, and writes in camel case.

What was spelled in snake case stays in `extra` by that name, and is written there again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["put", "snake", "spelled", "take"]

_Read = TypeVar("_Read")
_CAPITAL = re.compile(r"[A-Z]")


def snake(camel: str) -> str:
    """Return a name in snake case."""
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", camel)


def spelled(source: dict[str, Any], camel: str) -> str:
    """Return the name by which a field is there; that in camel case if it is not."""
    return camel if camel in source or snake(camel) not in source else snake(camel)


def take(left: dict[str, Any], camel: str, read: Callable[[Any], _Read | None]) -> _Read | None:
    """Read a field, and take it away if it is in camel case and makes sense."""
    key = spelled(left, camel)
    value = read(left.get(key))
    if value is not None and key == camel:
        del left[key]
    return value


def put(target: dict[str, Any], camel: str, value: Any) -> None:
    """Write a field, as it was spelled if it was; None is not written."""
    if value is not None:
        target[spelled(target, camel)] = value

"""Reading JSON of which nothing is certain: each function gives a value of its type, whatever came.

Providers leave keys out, write null for an empty list, and numbers as floats. A codec that reads
through these never fails on the shape of a body, and says itself what it cannot do without.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = [
    "boolean",
    "each",
    "integer",
    "listed",
    "mapping",
    "number",
    "optional",
    "parse",
    "string",
    "take_each",
    "text",
    "without",
]


def parse(data: str | bytes) -> Any:
    """Return the parsed JSON; raise ValueError where it is none, or too deep."""
    try:
        return json.loads(data)
    except RecursionError as problem:
        raise ValueError("the JSON is nested too deeply") from problem


def mapping(value: Any) -> dict[str, Any]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """Return a list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def each(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; an empty list for anything else."""
    return [item for item in listed(value) if isinstance(item, dict)]


def take_each(source: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Take a list of objects out of an object; leave there what is anything else."""
    found = source.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return []
    del source[key]
    return found


def text(value: Any) -> str:
    """Return a string that can be encoded; an empty one for anything else."""
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair is valid JSON, and no text.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def string(value: Any) -> str:
    """Return a piece of a string, which may begin or end with half a surrogate pair."""
    return value if isinstance(value, str) else ""


def optional(value: Any) -> str | None:
    """Return a string; a number as one, since codes and ids come as either; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return text(str(value)) or None


def integer(value: Any) -> int | None:
    """Return a whole number; None for anything else."""
    found = number(value)
    return None if found is None else int(found)


def number(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < 2**63 else None


def boolean(value: Any) -> bool | None:
    """Return a truth value; None for anything else."""
    return value if isinstance(value, bool) else None


def without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return an object without these keys."""
    return {key: item for key, item in value.items() if key not in keys}

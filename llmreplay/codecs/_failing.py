"""What providers answer to each kind of error: a status, their own word for it, and their usual text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmreplay.completion import ErrorKind

__all__ = ["Failing", "failing"]


class Failing(NamedTuple):
    """How a provider reports one kind of error; `word` is its code, type or status."""

    status: int
    message: str
    word: str = ""


_ANY = Failing(500, "The request failed.")


def failing(
    kind: ErrorKind, table: Mapping[str, Failing], provider: str, status: int | None = None
) -> Failing:
    """Return how a provider reports a kind of error.

    Raises ValueError if it has no answer for it, unless a status is given: then it is one.
    """
    found = table.get(kind)
    if found is None and status is None:
        raise ValueError(f"{provider} has no answer for {kind!r}: it is a failure, or told in another way")
    return found or _ANY._replace(status=status or _ANY.status)

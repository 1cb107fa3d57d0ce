"""What may not reach the disk, made when it is first needed.

A session whose requests are spelled as they were recorded needs no redaction, and most are such.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.redaction import Redaction

__all__ = ["Rules", "nothing_of_the_environment"]

_making = threading.Lock()


class Rules:
    """The redaction of a session: one that is there, or the way to make it, which is gone once."""

    __slots__ = ("_made",)

    def __init__(self, made: Redaction | Callable[[], Redaction] | None) -> None:
        self._made = made or _usual

    def __call__(self) -> Redaction:
        """Return the redaction; it is the same one each time, since it numbers what it finds."""
        if callable(self._made):
            with _making:
                if callable(self._made):
                    self._made = self._made()
        return self._made


def _usual() -> Redaction:
    from llmreplay.redaction import Redaction  # noqa: PLC0415  see above

    return Redaction()


def nothing_of_the_environment() -> Redaction:
    """Return rules that know no secret by its value: for what never reaches the disk."""
    from llmreplay.redaction import Redaction  # noqa: PLC0415

    return Redaction(environ={})

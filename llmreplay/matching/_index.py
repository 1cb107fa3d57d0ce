"""Which recorded request is equal to one that came: a look-up, not a search.

Rules:

* Each exchange is given out once; equal ones in the order of recording.
* The exact key decides first. The loose keys are put in order only when one is asked for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmreplay.matching._keys import Key

__all__ = ["Index"]


@dataclass
class Index:
    """Where the exchanges are that have not been played yet, by the keys of their requests."""

    keys: Sequence[Key]
    played: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exact: dict[str, deque[int]] = {}
        for at, key in enumerate(self.keys):
            self._exact.setdefault(key.exact, deque()).append(at)
        self._loose: dict[str, deque[int]] | None = None

    def take(self, exact: str, loose: Callable[[], str]) -> int | None:
        """Return the first unplayed exchange whose request is equal, and call it played."""
        at = self._next(self._exact.get(exact))
        if at is None:
            if self._loose is None:
                self._loose = {}
                for place, key in enumerate(self.keys):
                    self._loose.setdefault(key.loose, deque()).append(place)
            at = self._next(self._loose.get(loose()))
        if at is not None:
            self.played.add(at)
        return at

    def put_back(self, at: int) -> None:
        """Take it that an exchange was not played after all; it is the next of its equals."""
        self.played.discard(at)
        self._exact[self.keys[at].exact].appendleft(at)
        if self._loose is not None:
            self._loose[self.keys[at].loose].appendleft(at)

    def _next(self, waiting: deque[int] | None) -> int | None:
        while waiting:
            at = waiting.popleft()
            if at not in self.played:
                return at
        return None

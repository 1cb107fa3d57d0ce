"""Which recorded request is equal to one that came: a look-up, not a search.

Rules:

* Each exchange is given out once; equal ones in the order of recording.
* The exact key decides first. The loose keys are put in order only when one is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmreplay.matching._keys import Key

__all__ = ["Index"]


@dataclass
class Index:
    """Where the exchanges are that have not been played yet, by the keys of their requests.

    `verbatim` has their keys as they are spelled, None where that is not known.
    """

    keys: Sequence[Key]
    played: set[int] = field(default_factory=set)
    verbatim: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        self._exact = _Chains([key.exact for key in self.keys])
        self._loose: _Chains | None = None
        spelled = zip(self.verbatim, self.keys, strict=False)
        self._exact_of = {one: key.exact for one, key in spelled if one is not None}

    def take_verbatim(self, verbatim: str) -> int | None:
        """Return what `take` would for a request that is spelled as a recorded one; None if none is."""
        exact = self._exact_of.get(verbatim)
        return None if exact is None else self._taken(self._exact.next(exact, self.played))

    def take(self, exact: str, loose: Callable[[], str]) -> int | None:
        """Return the first unplayed exchange whose request is equal, and call it played."""
        at = self._exact.next(exact, self.played)
        if at is None:
            if self._loose is None:
                self._loose = _Chains([key.loose for key in self.keys])
            at = self._loose.next(loose(), self.played)
        return self._taken(at)

    def put_back(self, at: int) -> None:
        """Take it that an exchange was not played after all; it is the next of its equals."""
        self.played.discard(at)
        self._exact.put_back(self.keys[at].exact, at)
        if self._loose is not None:
            self._loose.put_back(self.keys[at].loose, at)

    def _taken(self, at: int | None) -> int | None:
        if at is not None:
            self.played.add(at)
        return at


class _Chains:
    """For each key its first place that may still wait, and for each place the next one of its key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._first: dict[str, int] = {}
        self._after = [len(keys)] * len(keys)
        for at in reversed(range(len(keys))):
            self._after[at] = self._first.get(keys[at], len(keys))
            self._first[keys[at]] = at

    def next(self, key: str, played: set[int]) -> int | None:
        """Return the first place of a key that has not been played."""
        at = self._first.get(key, len(self._after))
        while at < len(self._after) and at in played:
            at = self._after[at]
        if at == len(self._after):
            return None
        self._first[key] = at
        return at

    def put_back(self, key: str, at: int) -> None:
        self._first[key] = min(at, self._first[key])

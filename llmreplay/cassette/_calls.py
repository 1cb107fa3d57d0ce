"""The exchanges of a session: what was asked, with the answer it got, put together when somebody looks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Exchange, Failure, Response

__all__ = ["Call"]

_making = threading.RLock()


class Call:
    """One exchange of a session: the exchange, or what is kept to make it of, and the way to do it.

    A session may play thousands of exchanges of which nobody looks at one: until then, it only keeps
    where each stands in the cassette. `number` is that place, from 1; 0 if it is in none.
    """

    __slots__ = ("_make", "kept", "number")

    def __init__(self, kept: Any, number: int = 0, make: Callable[[Any], Exchange] | None = None) -> None:
        self.kept = kept
        self.number = number
        self._make = make

    @property
    def exchange(self) -> Exchange:
        """The exchange; it is the same one each time."""
        if self._make is not None:
            with _making:
                if self._make is not None:
                    self.kept, self._make = self._make(self.kept), None
        exchange: Exchange = self.kept
        return exchange

    @property
    def outcome(self) -> Response | Failure:
        """What came of the request."""
        outcome = self.exchange.response or self.exchange.failure
        if outcome is None:  # pragma: no cover  an exchange has one of both
            raise ValueError("an exchange has either a response or a failure")
        return outcome

    def holds(self, exchange: Exchange) -> bool:
        """Tell whether it is this exchange, without making one."""
        return self.kept is exchange

"""The exchanges of a session: what was asked, with the answer it got, put together when somebody looks."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.cassette._entries import Entry
    from llmreplay.exchange import Exchange, Failure, Headers, Request, Response
    from llmreplay.redaction import Redaction

__all__ = ["Call", "Played"]

_making = threading.RLock()


class Call:
    """One exchange of a session.

    `number` is its place in the cassette, from 1; 0 if it is in none.
    """

    __slots__ = ("_exchange", "number")

    def __init__(self, exchange: Exchange, number: int = 0) -> None:
        self._exchange = exchange
        self.number = number

    @property
    def exchange(self) -> Exchange:
        """The exchange; it is the same one each time."""
        return self._exchange

    @property
    def outcome(self) -> Response | Failure:
        """What came of the request."""
        outcome = self.exchange.response or self.exchange.failure
        if outcome is None:  # pragma: no cover  an exchange has one of both
            raise ValueError("an exchange has either a response or a failure")
        return outcome

    def holds(self, exchange: Exchange) -> bool:
        """Tell whether it is this exchange, without making one."""
        return self._exchange is exchange


class Played(Call):
    """An exchange that was played from a cassette, of which little is kept until somebody looks.

    A session may play thousands. Of a request that is spelled as the recorded one, only the headers are
    its own: the rest is in the file, and need not be in memory too. `rules` redact them. `wire` is what it
    spoke to a model. The session is not known here: that would be a circle, left to the garbage collector
    test by test.
    """

    __slots__ = ("_entry", "_kept", "_made", "_request", "_rules", "wire")

    def __init__(
        self,
        entry: Entry,
        number: int,
        wire: str | None,
        request: Request | Headers,
        rules: Callable[[], Redaction],
    ) -> None:
        self.number = number
        self.wire = wire
        self._entry = entry
        self._request = request
        self._rules = rules
        self._made: Exchange | None = None
        self._kept: Response | Failure | None = None

    def keep(self, outcome: Response | Failure) -> None:
        """Keep what came of the request in memory: it will be asked for."""
        self._kept = outcome

    @property
    def exchange(self) -> Exchange:
        """The exchange; it is the same one each time."""
        with _making:
            if self._made is None:
                request = self._request
                if isinstance(request, tuple):
                    request = self._rules().request(replace(self._entry.asked(), headers=request))
                self._made = self._entry.answer(request)
        return self._made

    @property
    def outcome(self) -> Response | Failure:
        """What came of the request, read from the file unless it was kept."""
        return self._kept or self._entry.outcome()

    def holds(self, exchange: Exchange) -> bool:
        """Tell whether it is this exchange, without making one."""
        return self._made is exchange

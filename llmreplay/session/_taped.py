"""A session that leaves its decisions to a tape: a recorder with manners of its own, such as vcrpy's.

Rules:

* The tape says what is played, what is recorded and what is none of its business, for every request
  alike: calls of models and others, to this machine or not.
* What the tape raises goes up to the client as it is. Nothing is held against the test at the end.
* The body that a tape is given keeps its content coding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from llmreplay.cassette import Call, Cassette
from llmreplay.exchange import Exchange
from llmreplay.session._decisions import Forward, PassOn, Replay, Split
from llmreplay.session._rules import nothing_of_the_environment
from llmreplay.session._session import Session
from llmreplay.session._take import Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.exchange import Request

__all__ = ["Keep", "Tape", "TapedSession"]

Keep = Callable[[Exchange], object]
"""What is done with an exchange that has been recorded."""


class Tape(Protocol):
    """A recorder: what answers a request, or what is done with the answer it gets."""

    def ask(self, request: Request, edge: str) -> Exchange | Keep | None:
        """Return what is played, or what is done with what comes; None leaves the request alone."""
        ...


class TapedSession(Session):
    """A tape in use.

    Args:
        tape: who decides; it is asked by one thread at a time.
        speed: 0 plays without waiting, 1 as fast as recorded.
        split: cuts replayed bodies anew; see `Split`.
    """

    def __init__(self, tape: Tape, *, speed: float = 0.0, split: Split | Sequence[int] = None) -> None:
        super().__init__(
            Cassette(),
            speed=speed,
            split=split,
            unused="ignore",
            network="allow",
            redaction=nothing_of_the_environment,
        )
        self.tape = tape

    @property
    def records(self) -> bool:
        """True: a tape may record at any time, so that no provider key is made up for it."""
        return True

    def decide(self, request: Request, edge: str) -> Replay | Forward | PassOn:
        """Say what becomes of a request; raises what the tape does."""
        with self._lock:
            try:
                told = self.tape.ask(request, edge)
            except Exception:
                self.tally.refused += 1
                raise
            if told is None:
                return PassOn()
            if isinstance(told, Exchange):
                return self._play(Call(told))
            keep, number = told, self._reserve()

        def done(exchange: Exchange) -> None:
            with self._lock:
                self._takes.pop(number, None)
                if not self._finished:
                    self.tally.recorded += 1
                    keep(exchange)

        take = self._takes[number] = Take(request, edge, done, coded=True)
        # Whatever lies below is recorded, as a model's answer is.
        return Forward(take, model_call=True)

    def finish(self, *, failed: bool = False) -> None:  # noqa: ARG002  the tape is whose it is, and saves itself
        """End the session: what is still under way is recorded as far as it came."""
        for take in list(self._takes.values()):
            take.leave()
        self.closed = self._finished = True
        self.refusals.clear()

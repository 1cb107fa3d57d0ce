"""Answers that a script has put off: who asked for them, and which turn is kept for whoever fetches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmreplay.codecs.openai_chat._deferred import DEFERRED, is_deferred, promised
from llmreplay.script._turns import Turn

if TYPE_CHECKING:
    from llmreplay.exchange import Exchange, Request
    from llmreplay.script._asked import Asked

__all__ = ["Promise", "Promises"]


@dataclass(slots=True)
class Promise:
    """An answer that was put off; its turn is None once that has said "not yet"."""

    name: str
    asked: Asked
    turn: Turn | None


class Promises:
    """The answers that were put off, by the id that was given for them."""

    def __init__(self) -> None:
        self._kept: dict[str, Promise] = {}

    @property
    def left(self) -> int:
        """How many turns are kept that nobody has fetched."""
        return sum(promise.turn is not None for promise in self._kept.values())

    def of(self, request: Request) -> Promise | None:
        """Return the promise that a request wants kept; None if it asks for something else."""
        return self._kept.get(promised(request) or "")

    def take(self, exchange: Exchange, asked: Asked, turn: Turn) -> None:
        """Keep a turn, if an exchange has promised it."""
        answer = exchange.decode()
        if is_deferred(answer) and answer.request_id is not None:
            self._kept[answer.request_id] = Promise(answer.request_id, asked, turn)

    def told(self, promise: Promise, step: Any) -> None:
        """Note what is told to whoever fetches: an answer is told once, "not yet" and errors may be more."""
        promise.turn = None
        if isinstance(step, Turn) and step.finish_reason != DEFERRED:
            del self._kept[promise.name]

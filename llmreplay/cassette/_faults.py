"""What goes wrong on purpose when a recorded exchange is asked for.

Rules:

* Faults before an exchange do not use it up: it is answered when it is asked for again.
* The file and the exchanges as recorded are untouched; faults live as long as the cassette in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from llmreplay.cassette._entries import Entry
    from llmreplay.exchange import Exchange, Request
    from llmreplay.framing.breaking import How
    from llmreplay.script import Script, Step

__all__ = ["Faults"]


@dataclass(frozen=True, slots=True)
class _Cut:
    after: int | None
    after_bytes: int | None
    how: How
    again: bool

    def of(self, exchange: Exchange) -> Exchange:
        if exchange.response is None:  # pragma: no cover  refused when the cut was made
            return exchange
        from llmreplay.framing.breaking import break_off  # noqa: PLC0415  few cassettes have faults

        response = break_off(exchange.response, after=self.after, after_bytes=self.after_bytes, how=self.how)
        return replace(exchange, response=response)


class Faults:
    """The faults of one cassette, by the place of the exchange that they belong to."""

    def __init__(self) -> None:
        self.replayed = True
        self._before: dict[int, Script] = {}
        self._cuts: dict[int, _Cut] = {}

    def before(self, at: int, steps: tuple[Step, ...]) -> None:
        """Keep what comes before an exchange; see `Cassette.before`."""
        from llmreplay.script import Script  # noqa: PLC0415  a room beside this one, see the import-linter contract

        self._refuse_unless_replayed("before")
        if not steps:
            raise OptionError("before", None, "at least one fault, such as fail('overloaded')")
        self._before.setdefault(at, Script(strict=False)).turns(*steps)

    def cut(  # noqa: PLR0913  what a break can say
        self,
        at: int,
        exchange: Exchange,
        after: int | None,
        after_bytes: int | None,
        how: How,
        *,
        again: bool,
    ) -> None:
        """Keep how the answer of an exchange breaks off; see `Cassette.cut`."""
        from llmreplay.framing.breaking import How  # noqa: PLC0415  see above

        self._refuse_unless_replayed("cut")
        if how not in get_args(How):
            raise OptionError("how", how, f"one of {', '.join(get_args(How))}")
        for option, count in (("after", after), ("after_bytes", after_bytes)):
            if count is not None and count < 0:
                raise OptionError(option, count, "0 or more")
        if after is not None and after_bytes is not None:
            raise OptionError("after_bytes", after_bytes, "either events or bytes")
        if exchange.response is None:
            raise OptionError("cut", at + 1, "an exchange with a response; this one failed before it had any")
        self._cuts[at] = _Cut(after, after_bytes, how, again)

    def concern(self, at: int) -> bool:
        """Tell whether there is a fault that belongs to the exchange at a place."""
        return at in self._before or at in self._cuts

    def interruption(self, at: int, request: Request, entry: Entry) -> Exchange | None:
        """Return what is answered in place of an exchange that stays to be asked for."""
        if (script := self._before.get(at)) is not None and script.left:
            return script.answer(request)
        if (cut := self._cuts.get(at)) is not None and cut.again:
            del self._cuts[at]
            return cut.of(entry.answer(request))
        return None

    def broken(self, at: int, exchange: Exchange) -> Exchange:
        """Return an exchange as it is answered: broken off where that is wanted."""
        cut = self._cuts.get(at)
        return exchange if cut is None else cut.of(exchange)

    def _refuse_unless_replayed(self, option: str) -> None:
        if not self.replayed:
            raise OptionError(
                option, None, "record='none', 'once' with a file, or 'new_episodes': nothing is replayed here"
            )

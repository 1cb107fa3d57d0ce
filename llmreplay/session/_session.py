"""One cassette in use: what answers each request, and all that is held against the test at the end.

Rules:

* A request that a codec recognises is a call of a model, and is always decided here. Other HTTP is
  recorded and replayed too (`only="llm"` leaves it alone), except to this machine; where nothing
  recorded answers it, it is passed on to whatever lies below (a mock, a local server), and refused
  at the socket if it would leave the machine.
* Each exchange is played once; equal requests get theirs in the order of recording.
* Every refusal is kept, so that `finish` can report the ones that the code under test swallowed.
* All changes of state happen under one lock: threads and tasks may ask at the same time.

It is longer than most modules since that state is one: what was played, taken and refused is decided on,
written and judged together. Decisions, takes, reports and contexts are modules of their own.
"""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from llmreplay import codecs
from llmreplay.cassette import Call, Played
from llmreplay.errors import (
    LiveCallBlocked,
    LLMReplayError,
    OptionError,
    RecordingEnded,
    Refusal,
    SwallowedRefusals,
    UncleanFinish,
    UndecidedRequest,
    UnmatchedRequest,
    UnusedExchanges,
    UnusedTurns,
)
from llmreplay.exchange import Response
from llmreplay.matching import Index, exact_key, loose_key, parse_ignore, verbatim_key
from llmreplay.session import _report
from llmreplay.session._decisions import Forward, PassOn, Replay, Split, checked_speed, checked_split
from llmreplay.session._rules import Rules
from llmreplay.session._take import Take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from llmreplay.cassette import Cassette
    from llmreplay.exchange import Exchange, Failure, Request
    from llmreplay.redaction import Redaction

RecordMode = Literal["none", "once", "new_episodes", "all", "rewrite"]
"""Replay only; record what has no cassette yet; add what is missing; ask everything anew, keeping
what was not asked; or start over."""

Unused = Literal["fail", "warn", "ignore"]
"""What exchanges that nobody asked for do to a session that only replays."""

_RECORD, _UNUSED, _NETWORK = get_args(RecordMode), get_args(Unused), ("block", "allow")

R = TypeVar("R", bound=Refusal)

# How many recorded requests are looked at closely to say which one was meant.
_COMPARED = 8

# How many answers are kept, to count their tokens; those of a longer session are read once more.
_KEPT = 16


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


class Answerer(Protocol):
    """Something that makes up the answer to a model call, as a script does."""

    def answer(self, request: Request) -> Exchange:
        """Return the exchange to be played; raises a `Refusal` if there is none."""
        ...

    @property
    def left(self) -> list[tuple[str, int]]:
        """What is left, by the name of its queue, with how many turns."""
        ...


@dataclass(slots=True)
class Tally:
    """What a session did, in numbers."""

    replayed: int = 0
    recorded: int = 0
    refused: int = 0


class Session:
    """One cassette in use, from the first request to `finish`.

    Args:
        cassette: what is replayed, and recorded to.
        record: what may go to the network; see `RecordMode`.
        fresh: the cassette had no file when the session began.
        speed: 0 plays without waiting, 1 as fast as recorded, 2 twice as fast.
        split: cuts replayed bodies anew; see `Split`.
        ignore: places of a request that do not count; see `llmreplay.matching.parse_ignore`.
        unused: what exchanges that nobody asked for do to a session that only replays.
        only: `"llm"` leaves all HTTP alone that is no call of a model.
        allowed_hosts: hosts that may be reached at any time; nothing of them is recorded.
        network: `"allow"` takes away the guard at the socket.
        redaction: what may not reach the disk, or how to make it when it is first needed.
        remedy: how a person records anew, as a command or a line of code.
        script: answers model calls in place of the cassette.
        share_tls: lets clients that are built while nothing may go live share one TLS context.
        skip: places in the cassette that are no business of this session.
    """

    def __init__(  # noqa: PLR0913  the options of use_cassette, each by name
        self,
        cassette: Cassette,
        *,
        record: RecordMode = "none",
        fresh: bool = False,
        speed: float = 0.0,
        split: Split | Sequence[int] = None,
        ignore: Iterable[str] = (),
        unused: Unused = "fail",
        only: Literal["llm"] | None = None,
        allowed_hosts: Iterable[str] = (),
        network: Literal["block", "allow"] = "block",
        redaction: Redaction | Callable[[], Redaction] | None = None,
        remedy: str = "",
        script: Answerer | None = None,
        share_tls: bool = True,
        skip: Iterable[int] = (),
    ) -> None:
        self.cassette = cassette
        self.record = _one_of("record", record, _RECORD)
        self.unused = _one_of("unused", unused, _UNUSED)
        self.network = _one_of("network", network, _NETWORK)
        if only not in (None, "llm"):
            raise OptionError("only", only, "'llm' or None")
        self.speed, self.split, self.only = checked_speed(speed), checked_split(split), only
        self.ignore = parse_ignore(ignore)
        self.allowed_hosts = frozenset(host.lower() for host in _listed("allowed_hosts", allowed_hosts))
        self._rules = Rules(redaction)
        self.fresh = fresh
        self.remedy = remedy
        self.script = script
        self.share_tls = share_tls
        self.parent: Session | None = None
        self.closed = False
        self.tally = Tally()
        self.aside: Path | None = None
        self.refusals: list[Refusal] = []
        cassette._refusals = self.refusals  # noqa: SLF001  a test may clear what it expected
        self._lock = threading.RLock()
        self._records_everything = record in ("all", "rewrite") or (record == "once" and fresh)
        self._records_misses = self._records_everything or record == "new_episodes"
        keys = [] if self._records_everything else cassette.keys(self.ignore, self._rules)
        self._index = Index(keys, verbatim=cassette.verbatim_keys() if keys else ())
        self._index.played.update(skip)
        self._next = 0
        self._finished = self._told = False
        self._takes: dict[int, Take] = {}
        self._taken: dict[int, Exchange] = {}
        self._calls: dict[int, Call] = {}
        cassette._faults.replayed = not self._records_everything  # noqa: SLF001  else no fault is ever met
        cassette._calls = self._calls  # noqa: SLF001  the cassette shows what this session did

    @property
    def redaction(self) -> Redaction:
        """What may not reach the disk."""
        return self._rules()

    @property
    def records(self) -> bool:
        """Whether calls of models may go to the network, to be recorded."""
        return self._records_misses

    @property
    def live(self) -> bool:
        """Whether requests of this session may go to the network."""
        return self._records_misses or self.network == "allow"

    @property
    def shares_tls(self) -> bool:
        """Whether clients that are built now may share a TLS context: nothing may go live."""
        return self.share_tls and not (self.live or self.allowed_hosts)

    @property
    def replayed(self) -> list[Exchange]:
        """The exchanges that were played, in order."""
        return [call.exchange for number, call in sorted(self._calls.items()) if number not in self._taken]

    @property
    def tokens(self) -> int:
        """The tokens of the calls of models that were answered from the cassette as it was recorded."""
        played = (call for call in self._calls.values() if isinstance(call, Played))
        spoken = ((call.wire, call.outcome) for call in played if call.wire is not None)
        return sum(codecs.tokens(wire, found) for wire, found in spoken if isinstance(found, Response))

    def allows(self, host: str) -> bool:
        """Tell whether a host may be reached although nothing is recorded."""
        name = host.strip("[]").lower()
        return any(name == allowed or name.endswith(f".{allowed}") for allowed in self.allowed_hosts)

    def decide(self, request: Request, edge: str) -> Replay | Forward | PassOn:
        """Say what becomes of a request; raises a `Refusal` if nothing may."""
        try:
            return self._decided(request, edge)
        except Exception as error:
            # From here an ordinary exception would go up through the SDK, which hides it.
            message = _report.undecided(request, error, self._where())
            raise self.refuse(UndecidedRequest(message, request=request)) from error

    def _decided(self, request: Request, edge: str) -> Replay | Forward | PassOn:
        wire = codecs.recognise(request)
        called = wire is not None
        allowed = bool(self.allowed_hosts) and self.allows(request.host)
        if allowed or (not called and (self.only == "llm" or is_loopback(request.host))):
            return PassOn()
        if self.script is not None:
            return self._scripted(request) if called else PassOn()
        if self._records_everything:
            return self._forward(request, edge, model_call=called)
        verbatim = verbatim_key(request)
        with self._lock:
            at = self._index.take_verbatim(verbatim)
            if at is not None:
                return self._played(at, request, wire)
        return self._compared(request, edge, wire)

    def _compared(self, request: Request, edge: str, wire: str | None) -> Replay | Forward | PassOn:
        """Decide about a request that is not spelled as a recorded one: its meaning counts."""
        shown = self.redaction.request(request)
        with self._lock:
            at = self._index.take(exact_key(shown, self.ignore), lambda: loose_key(shown, self.ignore))
            if at is not None:
                return self._played(at, request, wire, shown)
        if self._records_misses:
            return self._forward(request, edge, model_call=wire is not None)
        if wire is not None:
            raise self._unmatched(shown)
        return PassOn(lambda blocked: self._unmatched_after_all(shown, blocked))

    def _played(self, at: int, request: Request, wire: str | None, shown: Request | None = None) -> Replay:
        """Answer a request from a place; without `shown` it is spelled as the one recorded there."""
        if self.cassette.interferes(at):
            return self._interfered(at, shown or self.redaction.request(request))
        entry = self.cassette.entry(at)
        call = Played(entry, at + 1, wire, request.headers if shown is None else shown, self._rules)
        outcome = entry.outcome()
        if self.tally.replayed < _KEPT:
            call.keep(outcome)
        return self._play(call, outcome)

    def _interfered(self, at: int, request: Request) -> Replay:
        try:
            fault = self.cassette.interruption(at, request)
        except Refusal as refusal:
            raise self.refuse(refusal)  # noqa: B904  it is the same one, kept
        if fault is None:
            return self._play(Call(self.cassette.answer(at, request), at + 1))
        self._index.put_back(at)
        return self._play(Call(fault))

    def refuse(self, refusal: R) -> R:
        """Keep a refusal, so that no `except` of the code under test can hide it."""
        with self._lock:
            self.refusals.append(refusal)
            self.tally.refused += 1
        return refusal

    def block(self, host: str) -> LiveCallBlocked:
        """Return the refusal of a connection that would leave this machine."""
        message = _report.blocked(host, self._where(), self.remedy)
        return self.refuse(LiveCallBlocked(message, host=host))

    def recording_ended(self, exchange: Exchange) -> RecordingEnded:
        """Return the refusal to a client that reads on where the recorded one had left."""
        number = next((call.number for call in self._calls.values() if call.holds(exchange)), None)
        message = _report.recording_ended(exchange, number, self._where(), self.remedy)
        return self.refuse(RecordingEnded(message, request=exchange.request))

    def finish(self, *, failed: bool = False) -> None:
        """End the session: write what was recorded, then raise what there is to complain of.

        A `failed` session writes its recording beside the cassette (`….failed.yaml`), never over it,
        and does not complain of unused exchanges, since it may not have got to them.
        """
        for take in list(self._takes.values()):
            take.leave()
        self.closed = self._finished = True
        try:
            self._write(failed=failed)
        except LLMReplayError as error:
            if complaint := self.complaint(failed=True):
                error.add_note(str(complaint))
            raise
        complaint = self.complaint(failed=failed)
        if complaint is not None:
            raise complaint

    def acknowledge(self, error: BaseException | None = None) -> None:
        """Take as told: the refusals that an error is or holds, or, without one, everything."""
        if error is None:
            self.refusals.clear()
            self._told = True
        else:
            self.refusals[:] = [refusal for refusal in self.refusals if not _holds(error, refusal)]

    def complaint(self, *, failed: bool = False) -> UncleanFinish | None:
        """Return what there is to complain of: swallowed refusals first, unused exchanges next."""
        lenient = failed or self._told or self.unused != "fail"
        left = [] if lenient else self.leftovers()
        unused = [exchange for _, exchange in left]
        if self.refusals:
            message = _report.swallowed(self.refusals, left)
            return SwallowedRefusals(message, refusals=self.refusals, unused=unused)
        if unused:
            message = _report.unused(left, len(self._index.keys), self._where(), self.remedy)
            return UnusedExchanges(message, unused=unused)
        if self.script is not None and self.script.left and not lenient:
            return UnusedTurns(_report.unused_turns(self.script.left), unused=self.script.left)
        return None

    @property
    def played(self) -> frozenset[int]:
        """The places in the cassette, from 0, of the exchanges that were played."""
        return frozenset(self._index.played)

    def leftovers(self) -> list[tuple[int, Exchange]]:
        """Return the exchanges that a replaying session did not play, with their numbers from 1."""
        if self._records_misses or self.script is not None:
            return []
        exchanges = self.cassette.exchanges
        return [
            (at + 1, exchanges[at]) for at in range(len(self._index.keys)) if at not in self._index.played
        ]

    def unused_told(self) -> str | None:
        """Return in a line what was never asked for; None if nothing was left over."""
        if self.script is not None:
            turns = ", ".join(f"{count} for {queue}" for queue, count in self.script.left)
            return f"turns of a script that were never asked for: {turns}" if turns else None
        numbers = ", ".join(str(number) for number, _ in self.leftovers())
        return (
            f"{self.cassette.path}: recorded exchanges that were never asked for: {numbers}"
            if numbers
            else None
        )

    def _scripted(self, request: Request) -> Replay:
        if self.script is None:  # pragma: no cover  asked by the caller
            raise ValueError("there is no script")
        try:
            return self._play(Call(self.script.answer(request)))
        except Refusal as refusal:
            self.refuse(refusal)
            raise

    def _reserve(self) -> int:
        number = self._next
        self._next += 1
        return number

    def _play(self, call: Call, outcome: Response | Failure | None = None) -> Replay:
        with self._lock:
            self._calls[self._next] = call
            self._next += 1
            self.tally.replayed += 1
        return Replay(call, outcome or call.outcome, self, self.speed, self.split)

    def _forward(self, request: Request, edge: str, *, model_call: bool) -> Forward:
        with self._lock:
            number = self._reserve()
            take = self._takes[number] = Take(request, edge, lambda exchange: self._keep(number, exchange))
        return Forward(take, model_call)

    def _keep(self, number: int, exchange: Exchange) -> None:
        with self._lock:
            self._takes.pop(number, None)
            if not self._finished:
                self._calls[number], self._taken[number] = Call(exchange), exchange
                self.tally.recorded += 1

    def _write(self, *, failed: bool) -> None:
        if not self._taken:
            return
        for number in sorted(self._taken):
            exchange = self.redaction.exchange(self._taken[number])
            self._calls[number], self._taken[number] = Call(exchange), exchange
        taken = [self._taken[number] for number in sorted(self._taken)]
        if failed and self.cassette.path is not None:
            from llmreplay.cassette import Cassette  # noqa: PLC0415  only a failed recording needs another

            beside = Cassette(path=self.cassette.path.with_suffix(f".failed{self.cassette.path.suffix}"))
            beside.commit(taken, "rewrite", self.redaction)
            self.aside = beside.path
            return
        changes: dict[str, Literal["add", "replace", "rewrite"]] = {"all": "replace", "rewrite": "rewrite"}
        self.cassette.commit(taken, changes.get(self.record, "add"), self.redaction)

    def _unmatched(self, request: Request) -> UnmatchedRequest:
        from llmreplay.matching.explanation import explain  # noqa: PLC0415  for a miss alone

        with self._lock:
            total = len(self._index.keys)
            places = self.cassette.nearest(request, self._index.played, _COMPARED) if total else []
            recorded = [
                (self.redaction.request(self.cassette.entry(at).asked()), at in self._index.played)
                for at in places
            ]
        numbers = [at + 1 for at in places]
        mismatch = explain(request, recorded, self.ignore, numbers=numbers, total=total)
        message = _report.unmatched(request, mismatch, self._where(), self.remedy)
        return self.refuse(UnmatchedRequest(message, request=request, mismatch=mismatch))

    def _unmatched_after_all(self, request: Request, blocked: BaseException) -> UnmatchedRequest:
        """Tell of a request rather than of the connection that the guard blocked for it."""
        with self._lock:
            self.refusals[:] = [refusal for refusal in self.refusals if refusal is not blocked]
        return self._unmatched(request)

    def _where(self) -> str:
        missing = ", no such file yet" if self.fresh else ""
        return f"cassette: {self.cassette.path or 'without a path'} (record={self.record}{missing})"


def _holds(error: BaseException, wanted: BaseException) -> bool:
    if error is wanted:
        return True
    return isinstance(error, BaseExceptionGroup) and any(_holds(inner, wanted) for inner in error.exceptions)


def _one_of(option: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise OptionError(option, value, f"one of {', '.join(allowed)}")
    return value


def _listed(option: str, values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise OptionError(option, values, f"a list such as [{values!r}]")
    return list(values)

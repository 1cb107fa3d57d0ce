"""One cassette in use: what answers each request, and all that is held against the test at the end.

Rules:

* A request that a codec recognises is a call of a model, and is always decided here. Other HTTP is
  recorded and replayed too (`only="llm"` leaves it alone), except to this machine; where nothing
  recorded answers it, it is passed on to whatever lies below (a mock, a local server), and refused
  at the socket if it would leave the machine.
* Each exchange is played once; equal requests get theirs in the order of recording.
* Every refusal is kept, so that `finish` can report the ones that the code under test swallowed.
* All changes of state happen under one lock: threads and tasks may ask at the same time.
"""

from __future__ import annotations

import ipaddress
import random
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from llmreplay import codecs
from llmreplay.errors import (
    LiveCallBlocked,
    LLMReplayError,
    OptionError,
    RecordingEnded,
    Refusal,
    SwallowedRefusals,
    UncleanFinish,
    UnmatchedRequest,
    UnusedExchanges,
    render,
)
from llmreplay.exchange import Exchange, Request, Response
from llmreplay.matching import exact_key, explain, loose_key, parse_ignore
from llmreplay.redaction import Redaction
from llmreplay.session._take import Take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from llmreplay.cassette import Cassette
    from llmreplay.matching import Key, Mismatch

RecordMode = Literal["none", "once", "new_episodes", "all", "rewrite"]
"""Replay only; record what has no cassette yet; add what is missing; ask everything anew, keeping
what was not asked; or start over."""

Unused = Literal["fail", "warn", "ignore"]
R = TypeVar("R", bound=Refusal)

Split = Literal["bytes"] | int | tuple[int, ...] | None
"""How a replayed body is cut: as recorded (None), byte by byte, in the given sizes over and over, or
at places chosen by a seed."""

_LOCAL_NAMES = frozenset({"localhost", "testserver"})
_SEEDED_SIZES = (1, 16)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
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


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer to a request is this exchange, played at a pace and cut as wanted."""

    exchange: Exchange
    session: Session
    speed: float = 0.0
    split: Split = None

    def wait(self, delay: float) -> float:
        """Return how long to wait where the recording waited `delay` seconds."""
        return delay / self.speed if self.speed else 0.0

    def pieces(self) -> Iterator[tuple[bytes, float]]:
        """Yield the body in pieces, each with the seconds to wait before it."""
        response = self.exchange.response
        if response is None:
            return
        if self.split is None:
            for chunk in response.chunks:
                yield chunk.data, self.wait(chunk.delay)
            return
        yield from self._cut(response)

    def _cut(self, response: Response) -> Iterator[tuple[bytes, float]]:
        """Cut the body anew; a piece waits for all chunks that it takes its bytes from."""
        sizes = _sizes(self.split)
        arrivals: list[tuple[int, float]] = []
        end = 0
        for chunk in response.chunks:
            end += len(chunk.data)
            arrivals.append((end, self.wait(chunk.delay)))
        waiting = deque(arrivals)
        body, start = response.body, 0
        while start < len(body):
            stop = min(start + next(sizes), len(body))
            wait, ready = 0.0, 0
            while waiting and ready < stop:
                ready, delay = waiting[0]
                wait += delay
                if ready <= stop:
                    waiting.popleft()
                else:
                    waiting[0] = (ready, 0.0)
            yield body[start:stop], wait
            start = stop

    def missed_nothing(self) -> bool:
        """Tell whether the recorded client, which left early, had been told everything."""
        return codecs.finished(self.exchange)


def _sizes(split: Split) -> Iterator[int]:
    if split == "bytes":
        return cycle((1,))
    if isinstance(split, tuple):
        return cycle(split)
    chance = random.Random(split)  # noqa: S311  a seed that makes a test repeatable
    return iter(lambda: chance.randint(*_SEEDED_SIZES), 0)


@dataclass(frozen=True, slots=True)
class Forward:
    """The request goes to the network, and what comes back is noted in the take."""

    take: Take
    model_call: bool


@dataclass(frozen=True, slots=True)
class PassOn:
    """The request is left to whatever lies below; `refuse` is called if that is the network."""

    refuse: Callable[[BaseException], Refusal] | None = None


@dataclass(slots=True)
class Tally:
    """What a session did, in numbers."""

    replayed: int = 0
    recorded: int = 0
    refused: int = 0


@dataclass
class _Index:
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

    def _next(self, waiting: deque[int] | None) -> int | None:
        while waiting:
            at = waiting.popleft()
            if at not in self.played:
                return at
        return None


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
        redaction: what may not reach the disk.
        remedy: how a person records anew, as a command or a line of code.
        script: answers model calls in place of the cassette.
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
        redaction: Redaction | None = None,
        remedy: str = "",
        script: Answerer | None = None,
    ) -> None:
        self.cassette = cassette
        self.record = _one_of("record", record, RecordMode)
        self.unused = _one_of("unused", unused, Unused)
        self.network = _one_of("network", network, Literal["block", "allow"])
        if only not in (None, "llm"):
            raise OptionError("only", only, "'llm' or None")
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 <= speed < float("inf"):
            raise OptionError("speed", speed, "0 (do not wait), 1 (as recorded) or another factor")
        self.speed, self.split, self.only = float(speed), _checked_split(split), only
        self.ignore = parse_ignore(ignore)
        self.allowed_hosts = frozenset(host.lower() for host in _listed("allowed_hosts", allowed_hosts))
        self.redaction = redaction or Redaction()
        self.fresh = fresh
        self.remedy = remedy
        self.script = script
        self.parent: Session | None = None
        self.closed = False
        self.tally = Tally()
        self.aside: Path | None = None
        self.refusals: list[Refusal] = []
        self.replayed: list[Exchange] = []
        self._lock = threading.RLock()
        self._records_everything = record in ("all", "rewrite") or (record == "once" and fresh)
        self._records_misses = self._records_everything or record == "new_episodes"
        self._index = _Index([] if self._records_everything else cassette.keys(self.ignore, self.redaction))
        self._next = 0
        self._finished = self._told = False
        self._takes: dict[int, Take] = {}
        self._taken: dict[int, Exchange] = {}
        cassette._calls = self._calls = {}  # noqa: SLF001  the cassette shows what this session did

    @property
    def live(self) -> bool:
        """Whether requests of this session may go to the network."""
        return self._records_misses or self.network == "allow"

    def allows(self, host: str) -> bool:
        """Tell whether a host may be reached although nothing is recorded."""
        name = host.strip("[]").lower()
        return any(name == allowed or name.endswith(f".{allowed}") for allowed in self.allowed_hosts)

    def decide(self, request: Request, edge: str) -> Replay | Forward | PassOn:
        """Say what becomes of a request; raises a `Refusal` if nothing may."""
        called = codecs.is_llm_call(request)
        if self.allows(request.host) or (not called and (self.only == "llm" or is_loopback(request.host))):
            return PassOn()
        if called and self.script is not None:
            return self._play(self.script.answer(request))
        if self._records_everything:
            return self._forward(request, edge, model_call=called)
        shown = self.redaction.request(request)
        with self._lock:
            at = self._index.take(exact_key(shown, self.ignore), lambda: loose_key(shown, self.ignore))
            if at is not None:
                return self._play(self.cassette.exchanges[at])
        if self._records_misses:
            return self._forward(request, edge, model_call=called)
        if called:
            raise self._unmatched(shown)
        return PassOn(lambda blocked: self._unmatched_after_all(shown, blocked))

    def refuse(self, refusal: R) -> R:
        """Keep a refusal, so that no `except` of the code under test can hide it."""
        with self._lock:
            self.refusals.append(refusal)
            self.tally.refused += 1
        return refusal

    def block(self, host: str) -> LiveCallBlocked:
        """Return the refusal of a connection that would leave this machine."""
        message = render(
            f"A live call to {host} was blocked.",
            [self._where(), "something below llmreplay's HTTP edges tried to connect, or it looked the name up"],
            [
                f"Meant to go out? Allow it: allowed_hosts=[{host!r}], or pytest --llm-network=allow",
                *self._record_again("Part of the recording?"),
            ],
        )
        return self.refuse(LiveCallBlocked(message, host=host))

    def recording_ended(self, exchange: Exchange) -> RecordingEnded:
        """Return the refusal to a client that reads on where the recorded one had left."""
        number = next((n for n, known in enumerate(self.cassette.exchanges, 1) if known is exchange), None)
        received = len(exchange.response.body) if exchange.response else 0
        evidence = [
            _asked(exchange.request),
            self._where() + (f", exchange {number}" if number else ""),
            f"recorded: {received} bytes, then the client left",
        ]
        message = render(
            "The recording ends here: the client that was recorded stopped reading.",
            evidence,
            ["Read no further than the recording, or record what comes next.", *self._record_again("Changed on purpose?")],
        )
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
        unused = [] if failed or self._told or self.unused != "fail" else self.leftovers()
        if self.refusals:
            evidence: list[str] = []
            for number, refusal in enumerate(self.refusals, 1):
                evidence += ["", *f"{number}. {refusal}".split("\n")]
            if unused:
                evidence += ["", *_unused_lines(unused)]
            fact = f"{_count(len(self.refusals), 'request')} had to be refused, and the code under test hid it."
            acknowledge = "Refused on purpose? Say so: cassette.refusals.clear()"
            return SwallowedRefusals(
                render(fact, evidence[1:], [acknowledge]),
                refusals=self.refusals,
                unused=[exchange for _, exchange in unused],
            )
        if unused:
            return UnusedExchanges(
                render(
                    f"{len(unused)} of {_count(len(self._index.keys), 'recorded exchange')} "
                    f"{'was' if len(unused) == 1 else 'were'} never asked for.",
                    [self._where(), *_unused_lines(unused)],
                    [
                        *self._record_again("Asked no more on purpose?"),
                        "Not needed by every run? unused='ignore', or pytest --llm-unused=ignore",
                    ],
                ),
                unused=[exchange for _, exchange in unused],
            )
        return None

    def leftovers(self) -> list[tuple[int, Exchange]]:
        """Return the exchanges that a replaying session did not play, with their numbers from 1."""
        if self._records_misses or self.script is not None:
            return []
        exchanges = self.cassette.exchanges
        return [(at + 1, exchanges[at]) for at in range(len(self._index.keys)) if at not in self._index.played]

    def _reserve(self) -> int:
        number = self._next
        self._next += 1
        return number

    def _play(self, exchange: Exchange) -> Replay:
        with self._lock:
            self._calls[self._reserve()] = exchange
            self.tally.replayed += 1
            self.replayed.append(exchange)
        return Replay(exchange, self, self.speed, self.split)

    def _forward(self, request: Request, edge: str, *, model_call: bool) -> Forward:
        with self._lock:
            number = self._reserve()
            take = self._takes[number] = Take(request, edge, lambda exchange: self._keep(number, exchange))
        return Forward(take, model_call)

    def _keep(self, number: int, exchange: Exchange) -> None:
        with self._lock:
            self._takes.pop(number, None)
            if not self._finished:
                self._calls[number] = self._taken[number] = exchange
                self.tally.recorded += 1

    def _write(self, *, failed: bool) -> None:
        if not self._taken:
            return
        for number in sorted(self._taken):
            self._calls[number] = self._taken[number] = self.redaction.exchange(self._taken[number])
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
        with self._lock:
            recorded = [] if self._records_everything else [
                (self.redaction.request(exchange.request), at in self._index.played)
                for at, exchange in enumerate(self.cassette.exchanges)
            ]
        mismatch = explain(request, recorded, self.ignore)
        remedies = self._record_again("Changed on purpose?" if recorded else "Not recorded yet?")
        varying = _body_path(mismatch)
        if varying:
            remedies.append(f'Changes on every run? Ignore it: ignore=["{varying}"]')
        message = render(
            "No recorded exchange answers this request.",
            [_asked(request), self._where(), *mismatch.evidence()],
            remedies,
        )
        return self.refuse(UnmatchedRequest(message, request=request, mismatch=mismatch))

    def _unmatched_after_all(self, request: Request, blocked: BaseException) -> UnmatchedRequest:
        """Tell of a request rather than of the connection that the guard blocked for it."""
        with self._lock:
            self.refusals[:] = [refusal for refusal in self.refusals if refusal is not blocked]
        return self._unmatched(request)

    def _where(self) -> str:
        missing = ", no such file yet" if self.fresh else ""
        return f"cassette: {self.cassette.path or 'without a path'} (record={self.record}{missing})"

    def _record_again(self, when: str) -> list[str]:
        return [f"{when} Record again: {self.remedy}"] if self.remedy else []


def _holds(error: BaseException, wanted: BaseException) -> bool:
    if error is wanted:
        return True
    return isinstance(error, BaseExceptionGroup) and any(_holds(inner, wanted) for inner in error.exceptions)


def _asked(request: Request) -> str:
    return f"request: {request.method} {request.url} ({len(request.body)} bytes)"


def _unused_lines(unused: Sequence[tuple[int, Exchange]]) -> list[str]:
    return [f"unused: exchange {number}, {exchange.request.method} {exchange.request.url}" for number, exchange in unused]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _body_path(mismatch: Mismatch) -> str | None:
    """Return where the nearest request differs, if it is one place of the body that merely changed."""
    if mismatch.nearest is None or len(mismatch.nearest.differences) != 1:
        return None
    difference = mismatch.nearest.differences[0]
    return difference.path if difference.what == "changed" and not difference.path.startswith("url.") else None


def _checked_split(split: Split | Sequence[int]) -> Split:
    if split is None or split == "bytes":
        return split
    if isinstance(split, int) and not isinstance(split, bool):
        return split
    if isinstance(split, Sequence) and not isinstance(split, str) and split and all(_is_size(size) for size in split):
        return tuple(split)
    raise OptionError("split", split, "None, 'bytes', sizes such as (1, 5, 2), or a seed such as 7")


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0


def _one_of(option: str, value: Any, choices: object) -> Any:
    allowed = get_args(choices)
    if value not in allowed:
        raise OptionError(option, value, f"one of {', '.join(allowed)}")
    return value


def _listed(option: str, values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise OptionError(option, values, f"a list such as [{values!r}]")
    return list(values)

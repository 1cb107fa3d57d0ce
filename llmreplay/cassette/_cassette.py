"""A cassette: recorded exchanges in order, the file they are kept in, and the calls made with it.

Rules:

* Exchanges of a native file are parsed when they are asked for, one by one.
* Whatever is written is searched for secrets first; a hit is refused, and nothing is written.
* What another process added to the file since it was read is kept.
* A file of a format that is only read (`_reading.FOREIGN`) is never written over; nor is an archive (HAR)
  of which llmreplay does not know all that is in it.

It is longer than most modules: what is known of the file (`_before`, `_stamp`, `_end`) is set when it is
read and relied on when it is written, and the two are to be read side by side. Formats, entries, faults and
the disk are modules of their own.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from llmreplay import codecs
from llmreplay.cassette import _native, _store
from llmreplay.cassette._entries import Entry, Exchanges
from llmreplay.cassette._faults import Faults
from llmreplay.cassette._reading import (
    FOREIGN,
    bytes_of,
    content_of,
    format_of,
    read,
    read_whole,
    refuse_foreign,
)
from llmreplay.errors import (
    BrokenCassette,
    CassetteNotFound,
    LLMReplayError,
    OptionError,
    SecretInCassette,
    render,
)
from llmreplay.matching import Ignore, Key, key

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Sequence

    from llmreplay.cassette._calls import Call
    from llmreplay.completion import CompletionRequest, Usage
    from llmreplay.errors import Refusal
    from llmreplay.exchange import Exchange, Request
    from llmreplay.framing.breaking import How
    from llmreplay.redaction import Redaction
    from llmreplay.script import Step

__all__ = ["Cassette", "Format", "anew", "load", "repair"]

Format = Literal["llmreplay", "vcr", "har"]
"""The formats a cassette can be written in."""

FORMATS: tuple[Format, ...] = get_args(Format)

watchers: list[Callable[[Path], object]] = []
"""Who is told of each file that is loaded."""

_PLACEHOLDER = re.compile(rb"redacted-(\d+)")

Changes = Literal["add", "replace", "rewrite"]
"""What new exchanges do to a file: join the old ones, take the place of equal ones, or of all."""


class Cassette:
    """Recorded exchanges, in the order in which their requests began.

    `exchanges` is the content. `calls` are the exchanges of the session that the cassette is used
    in, in the order of its requests, whether they were replayed or recorded: what the code under
    test asked, with the answer it got. Of a cassette that was only loaded, they are its content.
    """

    def __init__(
        self, exchanges: Iterable[Exchange] = (), *, path: str | os.PathLike[str] | None = None
    ) -> None:
        self.path = path if path is None or isinstance(path, Path) else Path(path)
        self.format: str = "llmreplay"
        self._entries = [Entry(exchange) for exchange in exchanges]
        self._calls: dict[int, Call] | None = None
        self._refusals: list[Refusal] = []
        self._faults = Faults()
        self._read_from: bytes | None = None
        # What the file held when it was opened, and what was added to the cassette since.
        self._before: list[Entry] = []
        self._added: list[Entry] = []
        self._stamp: _store.Stamp | None = None
        self._end: int | None = None

    def __repr__(self) -> str:
        return f"<Cassette {self.path or 'without a path'}: {len(self._entries)} exchanges>"

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """All exchanges, parsed as they are asked for."""
        return Exchanges(self._entries)

    @property
    def calls(self) -> list[Exchange]:
        """The exchanges of this session, in the order in which their requests began."""
        if self._calls is None:
            return list(self.exchanges)
        return [self._calls[number].exchange for number in sorted(self._calls)]

    @property
    def requests(self) -> list[CompletionRequest]:
        """What the model was asked, call by call; HTTP that is no model call is left out."""
        return [call.decode_request() for call in self.calls if codecs.is_llm_call(call.request)]

    @property
    def refusals(self) -> list[Refusal]:
        """What this session refused and nobody has taken note of; clear it where that was meant."""
        return self._refusals

    @property
    def usage(self) -> Usage:
        """The tokens of all calls together."""
        from llmreplay.completion import Usage  # noqa: PLC0415  a replay that asks for no usage needs no pydantic

        return sum((codecs.usage(call) for call in self.calls), Usage())

    @property
    def edited(self) -> list[int]:
        """The numbers, from 1, of the exchanges whose text was edited after it was written."""
        return [number for number, entry in enumerate(self._entries, 1) if entry.edited]

    @property
    def first_placeholder(self) -> Callable[[], int]:
        """What gives the first number that no placeholder of the file has, once it is needed."""
        return partial(_first_placeholder, self._read_from or b"")

    def line(self, number: int) -> int:
        """Return the line of the file in which an exchange (from 1) begins; 0 if it is in no file."""
        return self._entries[number - 1].line

    def answer(self, at: int, request: Request) -> Exchange:
        """Return what answers a request that equals the one recorded at a place, with that request.

        The recorded request is not parsed.
        """
        return self._faults.broken(at, self._entries[at].answer(request))

    def before(self, number: int, *faults: Step) -> None:
        """Have something go wrong before an exchange (from 1) is answered: `cassette.before(2, fail(529))`.

        Whoever asks for that exchange gets the faults first, one each time it asks, in its provider's own
        form, and the recorded answer when it asks again. Faults are what a script is made of: `fail`,
        `cut`, `spoil`, or any other turn.
        """
        self._faults.before(self._numbered("before", number), faults)

    def cut(
        self,
        number: int,
        after: int | None = None,
        *,
        after_bytes: int | None = None,
        how: How = "eof",
        again: bool = False,
    ) -> None:
        """Have the answer of an exchange (from 1) break off: `cassette.cut(3, after=7)`.

        Args:
            number: which exchange.
            after: how many events of its stream come first; half of the bytes, if neither is told.
            after_bytes: how many bytes of it come first.
            how: what the client meets then; see `llmreplay.cut`.
            again: whoever asks again gets the whole answer; else the exchange is used up.
        """
        at = self._numbered("cut", number)
        self._faults.cut(at, self.exchanges[at], after, after_bytes, how, again=again)

    def interruption(self, at: int, request: Request) -> Exchange | None:
        """Return what goes wrong before the exchange at a place is answered, if anything (still) does."""
        return self._faults.interruption(at, request, self._entries[at])

    def _numbered(self, option: str, number: int) -> int:
        if type(number) is not int or not 1 <= number <= len(self):
            raise OptionError(option, number, f"the number of an exchange, from 1 to {len(self)}")
        return number - 1

    def interferes(self, at: int) -> bool:
        """Tell whether something goes wrong with the exchange at a place, before it or in it."""
        return self._faults.concern(at)

    def entry(self, at: int) -> Entry:
        """Return what stands at a place, which can be asked for its request or its answer alone."""
        return self._entries[at]

    def nearest(self, request: Request, played: Collection[int], most: int) -> list[int]:
        """Return the places of the exchanges whose requests look most like this one, at most so many.

        No more than these need be parsed to tell how they differ.
        """
        from llmreplay.cassette import _likeness  # noqa: PLC0415  for a miss alone

        return _likeness.nearest(self._entries, request, played, most)

    def append(self, exchange: Exchange) -> None:
        """Add an exchange at the end."""
        self._added.append(Entry(exchange))
        self._entries.append(self._added[-1])

    def keys(self, ignore: Ignore, redaction: Callable[[], Redaction]) -> list[Key]:
        """Return what each request is looked up by, redacted as live ones are before they are.

        Nothing of a native file is parsed if `ignore` is empty, and no redaction is asked for.
        """
        if not ignore:
            return [entry.known_keys or entry.keys(redaction()) for entry in self._entries]
        rules = redaction()
        return [key(rules.request(entry.exchange.request), ignore) for entry in self._entries]

    def verbatim_keys(self) -> list[str | None]:
        """Return the key of each request as it is spelled, None where it is not known without parsing."""
        return [entry.verbatim for entry in self._entries]

    def redact(self, redaction: Redaction | None = None) -> None:
        """Take every secret out, and every header that is not on the list of those worth keeping."""
        rules = redaction or _rules()
        self._entries = [Entry(rules.exchange(entry.exchange)) for entry in self._entries]
        self._before, self._added, self._end = list(self._entries), [], None

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        format: Format | None = None,  # noqa: A002  the name users know
    ) -> None:
        """Write the cassette, atomically: to its own path, or to another.

        Without a format it is written as it was read, or natively if its format is only read; a file of
        such a format is not written over. An archive (`har`) is written over if llmreplay wrote it.

        Raises `SecretInCassette` if something in it looks like a secret (`redact` takes it out), and
        `CassetteError` if an exchange holds what the format cannot.
        """
        target = self.path if path is None else Path(path)
        if target is None:
            raise OptionError("path", None, "a path, since this cassette was not loaded from one")
        only_read = self.format in FOREIGN and not _is_our_archive(self.path)
        if only_read and self.path is not None and same(target, self.path):
            expected = f"another path, since {self.path} has the format {self.format}, which is only read"
            raise OptionError("path", None if path is None else str(path), expected)
        chosen = format or ("llmreplay" if only_read else self.format)
        if chosen not in FORMATS:
            raise OptionError("format", format, "llmreplay, vcr or har")
        with _store.locked(target):
            _store.mend(target)
            self._write(target, chosen, _rules())
        if path is None or self.path is None:
            self.path, self.format = target, chosen

    def refuse_if_only_read(self) -> None:
        """Raise `CassetteError` if the file has a format that is never written."""
        if self.path is not None:
            refuse_foreign(self.path, self.format, format_of(bytes_of(self.path)))

    def commit(self, taken: Sequence[Exchange], changes: Changes, redaction: Redaction) -> None:
        """Bring new exchanges into the file, together with what others have written to it since.

        Only what was in the file when this cassette was opened makes room for new exchanges. To add some
        costs the same however many there are.

        Raises `CassetteError` if the file has a format that is only read.
        """
        if self.path is None:
            raise OptionError("path", None, "a path to record to")
        with _store.locked(self.path):
            _store.mend(self.path)
            kept, since = self._before, frozenset[int]()
            if _store.stamp(self.path) != self._stamp:
                kept, since = self._read_again(self.path)
            refuse_foreign(self.path, self.format)
            new = [*self._added, *(Entry(exchange) for exchange in taken)]
            if changes == "rewrite":
                kept = [entry for entry in kept if id(entry) in since]
            elif changes == "replace":
                made = {entry.keys(redaction).exact for entry in new}
                kept = [one for one in kept if id(one) in since or one.keys(redaction).exact not in made]
            self._entries = [*kept, *new]
            if changes == "add" and self._end is not None:
                self._append(self.path, self._end, new, redaction)
            else:
                self._write(self.path, self.format, redaction)
            self._before, self._added = list(self._entries), []

    def _read_again(self, path: Path) -> tuple[list[Entry], frozenset[int]]:
        """Return what is in the file now, and which of it (by identity) others have put there since."""
        data = bytes_of(path)
        refuse_foreign(path, format_of(data))
        entries, name = ([], "") if data is None else read(path, data)
        self._end = _end_of(data, name, entries)
        # Of other formats nobody can tell when an exchange came.
        known = {entry.text for entry in self._before} | {None}
        return entries, frozenset(id(entry) for entry in entries if entry.text not in known)

    def _append(self, path: Path, at: int, new: list[Entry], redaction: Redaction) -> None:
        pieces = [entry.document(redaction) for entry in new]
        for number, piece in enumerate(pieces):
            if redaction.find(piece):
                before = (bytes_of(path) or b"")[:at] + b"".join(pieces[:number])
                _refuse_secrets(path, piece, before.count(b"\n"), redaction)
        data = b"".join([*pieces, _native.END])
        _store.append(path, at, data)
        self._stamp, self._end = _store.stamp(path), at + len(data) - len(_native.END)

    def _write(self, target: Path, chosen: str, redaction: Redaction) -> None:
        data = self._spelled(target, chosen, redaction)
        _store.replace(target, data)
        if target == self.path:
            self._read_from = data
            self._stamp, self._end = _store.stamp(target), _end_of(data, chosen, ())
            self._before, self._added = list(self._entries), []

    def _spelled(self, target: Path, chosen: str, redaction: Redaction) -> bytes:
        """Return the file, searched for secrets."""
        if chosen != "llmreplay":
            from llmreplay.cassette import _har_write, _vcr  # noqa: PLC0415  a replay writes nothing

            data = _vcr.write(self.exchanges) if chosen == "vcr" else _har_write.write(self.exchanges)
            _refuse_secrets(target, data, 0, redaction)
            return data
        pieces = [_native.HEAD]
        line = _native.HEAD.count(b"\n")
        for entry in self._entries:
            # What stands in a file as it was written has been searched already.
            known = entry.text is not None and not entry.edited and entry.line
            piece = entry.document(redaction)
            if not known:
                _refuse_secrets(target, piece, line, redaction)
            pieces.append(piece)
            line += piece.count(b"\n")
        return b"".join([*pieces, _native.END])


def load(
    path: str | os.PathLike[str], *, url: str | None = None, request: str | os.PathLike[str] | None = None
) -> Cassette:
    """Read a cassette in any format that llmreplay knows.

    These are its own; vcrpy's as found in the wild; and, to be read only, those of Ruby's VCR, R's vcr,
    go-vcr, cassetter, httprr, nock, LangChain (gzipped) and Datadog's test agent, and HTTP archives (HAR),
    which can be written too. `Cassette.format` says which it is.

    Args:
        path: The file.
        url: Where the request went, for a file that does not tell: one that is only a response (JSON,
            server-sent events, JSON lines, an AWS event stream, what `curl -i` prints), which becomes one
            exchange, or a cassette whose URLs were redacted.
        request: A file with the body of the request, for a response alone. Without it the request has no
            body: the exchange can be looked at and decoded, and no real request equals it.

    Raises `CassetteNotFound`, `BrokenCassette` (with the exchanges that could be read in `good`), or
    `CassetteError` if the file is no cassette; `OptionError` if the URL is none, or the file tells it.
    """
    place = path if isinstance(path, Path) else Path(path)
    for watch in watchers:
        watch(place)
    stamp, data = _whole(place)
    if data is None:
        raise CassetteNotFound(
            render(
                f"There is no cassette {place}.",
                remedies=["Record it: record='once', or pytest --llm-record=once"],
            ),
            path=place,
        )
    cassette = Cassette(path=place)
    if url is None and request is None:
        cassette._entries, cassette.format = read(place, data)  # noqa: SLF001  a cassette is made here
    else:
        from llmreplay.cassette import _dump  # noqa: PLC0415  for few files

        exchanges, cassette.format = _dump.located(place, data, url, request)
        cassette._entries = [Entry(exchange) for exchange in exchanges]  # noqa: SLF001
    cassette._read_from = data  # noqa: SLF001
    cassette._before = list(cassette._entries)  # noqa: SLF001
    cassette._stamp, cassette._end = stamp, _end_of(data, cassette.format, cassette._entries)  # noqa: SLF001
    return cassette


def anew(path: Path) -> Cassette:
    """Return an empty cassette that will take the place of what is in a file now, and of nothing later."""
    cassette = Cassette(path=path)
    cassette._stamp = _store.stamp(path)  # noqa: SLF001  a cassette is made here
    with suppress(LLMReplayError):  # what is damaged makes room too
        cassette._before = load(path)._before  # noqa: SLF001
    return cassette


def _whole(path: Path) -> tuple[_store.Stamp | None, bytes | None]:
    """Return a file's stamp and content, without the half of what somebody is adding to it."""
    stamp, data = content_of(path)
    if data is not None and not _native.is_whole(data) and _native.looks_like(data):
        # Whoever writes holds the lock; whoever died over it has left a journal.
        with suppress(OSError), _store.locked(path):
            _store.mend(path)
            stamp, data = content_of(path)
    return stamp, data


def _end_of(data: bytes | None, name: str, entries: Iterable[Entry]) -> int | None:
    """Return where the end of a native file stands that can be added to; None if there is no such."""
    if data is None or name != "llmreplay" or not data.endswith(b"\n" + _native.END):
        return None
    if any(entry.edited for entry in entries):
        # What was edited is searched for secrets, and gets new keys, when the whole file is written.
        return None
    return len(data) - len(_native.END)


def repair(path: str | os.PathLike[str], redaction: Redaction | None = None) -> tuple[int, Path | None]:
    """Write a file anew from what can be read of it, with fresh keys and digests.

    Returns how many exchanges it holds, and the path that the file was kept under if it was damaged.
    Raises `BrokenCassette` if nothing can be read of it, and `SecretInCassette` as `Cassette.save` does;
    the file is then as it was. Raises `CassetteError` if the file has a format that is only read.
    """
    place = Path(path)
    with _store.locked(place):
        _store.mend(place)
        data = bytes_of(place) or b""
        if (name := format_of(data)) in FOREIGN:
            read(place, data)  # what is wrong with it comes first
            refuse_foreign(place, name)
        cassette = Cassette(path=place)
        damaged: BrokenCassette | None = None
        try:
            entries, cassette.format = read(place, data)
            # Digests tell that a document is as it was written, not that it was written well.
            entries = read_whole(place, entries)
        except BrokenCassette as error:
            if not error.good:
                raise
            damaged = error
            entries = [Entry(exchange) for exchange in error.good]
            cassette.format = "llmreplay" if _native.looks_like(data) else "vcr"
        for entry in entries:
            if entry.edited:
                entry.edited, entry.text = False, None
        cassette._entries = entries  # noqa: SLF001  a cassette is made here
        written = cassette._spelled(place, cassette.format, redaction or _rules())  # noqa: SLF001
        aside: Path | None = None
        if damaged is not None:
            aside = place.with_name(f"{place.name}.broken")
            _store.replace(aside, data)
        _store.replace(place, written)
    return len(cassette), aside


def _first_placeholder(data: bytes) -> int:
    start = data.find(b"redacted-")
    numbers = _PLACEHOLDER.findall(data, start) if start >= 0 else []
    return max(map(int, numbers), default=0) + 1


def _rules() -> Redaction:
    from llmreplay.redaction import Redaction  # noqa: PLC0415  a replay seldom needs it

    return Redaction()


def _refuse_secrets(path: Path, data: bytes, line: int, redaction: Redaction) -> None:
    found = redaction.find(data)
    if found:
        places = [f"line {line + finding.line}: {finding.kind}" for finding in found]
        raise SecretInCassette(
            render(
                f"{path} was not written: something in it looks like a secret.",
                places,
                [
                    "Take it out: cassette.redact() before cassette.save().",
                    "Missed by redaction? Tell it the pattern: use_cassette(..., redact=[r'my-key-\\w+']).",
                ],
            ),
            path=path,
            places=places,
        )


def _is_our_archive(path: Path | None) -> bool:
    from llmreplay.cassette import _har_write  # noqa: PLC0415

    return path is not None and _har_write.is_ours(bytes_of(path))


def same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()

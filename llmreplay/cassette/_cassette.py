"""A cassette: recorded exchanges in order, the file they are kept in, and the calls made with it.

Rules:

* Exchanges of a native file are parsed when they are asked for, one by one.
* Whatever is written is searched for secrets first; a hit is refused, and nothing is written.
* What another process added to the file since it was read is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from llmreplay import codecs
from llmreplay.cassette import _document, _native, _store, _vcr
from llmreplay.errors import (
    BrokenCassette,
    CassetteError,
    CassetteNotFound,
    OptionError,
    SecretInCassette,
    render,
)
from llmreplay.matching import Ignore, Key, key
from llmreplay.redaction import Redaction

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from llmreplay.completion import CompletionRequest, Usage
    from llmreplay.errors import Refusal
    from llmreplay.exchange import Exchange, Request

__all__ = ["Cassette", "Format", "load", "repair"]

Format = Literal["llmreplay", "vcr"]
"""The formats a cassette can be written in."""

_PLACEHOLDER = re.compile(rb"redacted-(\d+)")

Changes = Literal["add", "replace", "rewrite"]
"""What new exchanges do to a file: join the old ones, take the place of equal ones, or of all."""


class _Entry:
    """One exchange: parsed, or still the text of its document."""

    __slots__ = ("_exchange", "_keys", "edited", "line", "path", "text")

    def __init__(self, exchange: Exchange | None = None, document: _native.Document | None = None) -> None:
        self._exchange = exchange
        self._keys: Key | None = None
        self.path: Path | None = None
        self.text: bytes | None = None
        self.line, self.edited = 0, False
        if document is not None:
            self.text, self.line, self.edited = document.text, document.line, document.edited
            if document.exact is not None and document.loose is not None:
                self._keys = Key(document.exact, document.loose)

    @property
    def exchange(self) -> Exchange:
        if self._exchange is None:
            try:
                self._exchange = _document.read(self.text or b"")
            except _document.Damaged as error:
                raise self._broken(error) from None
        return self._exchange

    def answer(self, request: Request) -> Exchange:
        if self._exchange is not None or self.text is None:
            return replace(self.exchange, request=request)
        try:
            return _document.read_answer(self.text, request)
        except _document.Damaged as error:
            raise self._broken(error) from None

    def _broken(self, error: _document.Damaged) -> BrokenCassette:
        return _broken(self.path, [(self.line + error.line + 1, error.problem)], [], 1)

    def keys(self, redaction: Redaction) -> Key:
        """Return the keys as the file has them, or of the request as it would be redacted."""
        if self._keys is None:
            self._keys = key(redaction.request(self.exchange.request))
        return self._keys

    def document(self, redaction: Redaction) -> bytes:
        """Return the document with its opening line."""
        if self.text is None:
            try:
                self.text = _document.write(self.exchange)
            except _document.Damaged as error:
                raise CassetteError(str(error), path=self.path) from None
        return _native.opening(self.text, self.keys(redaction)) + self.text


class _Exchanges(Sequence["Exchange"]):
    """The exchanges of a cassette, each parsed when it is first asked for."""

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, at: int) -> Exchange: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Exchange]: ...
    def __getitem__(self, at: int | slice) -> Exchange | Sequence[Exchange]:
        if isinstance(at, slice):
            return [entry.exchange for entry in self._entries[at]]
        return self._entries[at].exchange

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes as exchanges are added

    def __repr__(self) -> str:
        return repr(list(self))


class Cassette:
    """Recorded exchanges, in the order in which their requests began.

    `exchanges` is the content. `calls` are the exchanges of the session that the cassette is used
    in, in the order of its requests, whether they were replayed or recorded: what the code under
    test asked, with the answer it got. Of a cassette that was only loaded, they are its content.
    """

    def __init__(
        self, exchanges: Iterable[Exchange] = (), *, path: str | os.PathLike[str] | None = None
    ) -> None:
        self.path = None if path is None else Path(path)
        self.format: Format = "llmreplay"
        self._entries = [_Entry(exchange) for exchange in exchanges]
        self._calls: dict[int, Exchange] | None = None
        self._refusals: list[Refusal] = []
        self._read_from: bytes | None = None

    def __repr__(self) -> str:
        return f"<Cassette {self.path or 'without a path'}: {len(self._entries)} exchanges>"

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """All exchanges, parsed as they are asked for."""
        return _Exchanges(self._entries)

    @property
    def calls(self) -> list[Exchange]:
        """The exchanges of this session, in the order in which their requests began."""
        if self._calls is None:
            return list(self.exchanges)
        return [self._calls[number] for number in sorted(self._calls)]

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
    def placeholders(self) -> int:
        """How many secrets the file has placeholders for; a new one gets the next number."""
        numbers = _PLACEHOLDER.findall(self._read_from or b"")
        return max(map(int, numbers), default=0)

    def line(self, number: int) -> int:
        """Return the line of the file in which an exchange (from 1) begins; 0 if it is in no file."""
        return self._entries[number - 1].line

    def answer(self, at: int, request: Request) -> Exchange:
        """Return what answers a request that equals the one recorded at a place, with that request.

        The recorded request is not parsed.
        """
        return self._entries[at].answer(request)

    def append(self, exchange: Exchange) -> None:
        """Add an exchange at the end."""
        self._entries.append(_Entry(exchange))

    def keys(self, ignore: Ignore, redaction: Redaction) -> list[Key]:
        """Return what each request is looked up by, redacted as live ones are before they are.

        Nothing of a native file is parsed if `ignore` is empty.
        """
        if not ignore:
            return [entry.keys(redaction) for entry in self._entries]
        return [key(redaction.request(entry.exchange.request), ignore) for entry in self._entries]

    def redact(self, redaction: Redaction | None = None) -> None:
        """Take every secret out, and every header that is not on the list of those worth keeping."""
        rules = redaction or Redaction()
        self._entries = [_Entry(rules.exchange(entry.exchange)) for entry in self._entries]

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        format: Format | None = None,  # noqa: A002  the name users know
    ) -> None:
        """Write the cassette, atomically: to its own path, or to another.

        Raises `SecretInCassette` if something in it looks like a secret (`redact` takes it out), and
        `CassetteError` if an exchange holds what the format cannot.
        """
        target = self.path if path is None else Path(path)
        if target is None:
            raise OptionError("path", None, "a path, since this cassette was not loaded from one")
        chosen = format or self.format
        if chosen not in ("llmreplay", "vcr"):
            raise OptionError("format", format, "llmreplay or vcr")
        with _store.locked(target):
            self._write(target, chosen, Redaction())
        if path is None or self.path is None:
            self.path, self.format = target, chosen

    def commit(self, taken: Sequence[Exchange], changes: Changes, redaction: Redaction) -> None:
        """Bring new exchanges into the file, together with what others have written to it since."""
        if self.path is None:
            raise OptionError("path", None, "a path to record to")
        with _store.locked(self.path):
            on_disk = _bytes_of(self.path)
            if changes == "rewrite":
                self._entries = []
            elif on_disk != self._read_from:
                self._entries = [] if on_disk is None else _read(self.path, on_disk)[0]
            new = [_Entry(exchange) for exchange in taken]
            if changes == "replace":
                replaced = {entry.keys(redaction).exact for entry in new}
                self._entries = [
                    entry for entry in self._entries if entry.keys(redaction).exact not in replaced
                ]
            self._entries += new
            self._write(self.path, self.format, redaction)

    def _write(self, target: Path, chosen: Format, redaction: Redaction) -> None:
        data = self._spelled(target, chosen, redaction)
        _store.replace(target, data)
        if target == self.path:
            self._read_from = data

    def _spelled(self, target: Path, chosen: Format, redaction: Redaction) -> bytes:
        """Return the file, searched for secrets."""
        if chosen == "vcr":
            data = _vcr.write(self.exchanges)
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


def load(path: str | os.PathLike[str]) -> Cassette:
    """Read a cassette in any format that llmreplay knows: its own, and vcrpy's as found in the wild.

    Raises `CassetteNotFound`, `BrokenCassette` (with the exchanges that could be read in `good`), or
    `CassetteError` if the file is no cassette.
    """
    place = Path(path)
    data = _bytes_of(place)
    if data is None:
        raise CassetteNotFound(
            render(
                f"There is no cassette {place}.",
                remedies=["Record it: record='once', or pytest --llm-record=once"],
            ),
            path=place,
        )
    cassette = Cassette(path=place)
    cassette._entries, cassette.format = _read(place, data)  # noqa: SLF001  a cassette is made here
    cassette._read_from = data  # noqa: SLF001
    return cassette


def repair(path: str | os.PathLike[str], redaction: Redaction | None = None) -> tuple[int, Path | None]:
    """Write a file anew from what can be read of it, with fresh keys and digests.

    Returns how many exchanges it holds, and the path that the file was kept under if it was damaged.
    Raises `BrokenCassette` if nothing can be read of it, and `SecretInCassette` as `Cassette.save` does;
    the file is then as it was.
    """
    place = Path(path)
    with _store.locked(place):
        data = _bytes_of(place) or b""
        cassette = Cassette(path=place)
        damaged: BrokenCassette | None = None
        try:
            entries, cassette.format = _read(place, data)
            # Digests tell that a document is as it was written, not that it was written well.
            entries = _read_whole(place, entries)
        except BrokenCassette as error:
            if not error.good:
                raise
            damaged = error
            entries = [_Entry(exchange) for exchange in error.good]
            cassette.format = "llmreplay" if _native.looks_like(data) else "vcr"
        for entry in entries:
            if entry.edited:
                entry.edited, entry.text = False, None
        cassette._entries = entries  # noqa: SLF001  a cassette is made here
        written = cassette._spelled(place, cassette.format, redaction or Redaction())  # noqa: SLF001
        aside: Path | None = None
        if damaged is not None:
            aside = place.with_name(f"{place.name}.broken")
            _store.replace(aside, data)
        _store.replace(place, written)
    return len(cassette), aside


def _read_whole(path: Path, entries: list[_Entry]) -> list[_Entry]:
    good: list[_Entry] = []
    bad: list[tuple[int, str]] = []
    for entry in entries:
        try:
            _ = entry.exchange
        except BrokenCassette as error:
            bad += error.problems
        else:
            good.append(entry)
    if bad:
        raise _broken(path, bad, good, len(entries))
    return good


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CassetteError(f"{path} cannot be read: {error.strerror or error}", path=path) from error


def _read(path: Path, data: bytes) -> tuple[list[_Entry], Format]:
    if _native.looks_like(data):
        return _read_native(path, data), "llmreplay"
    if _vcr.looks_like(data):
        return [_Entry(exchange) for exchange in _vcr.read(data, path)], "vcr"
    raise CassetteError(
        render(
            f"{path} is no cassette that llmreplay reads.",
            ["known: the native format (a line `llmreplay: 1` at the top) and vcrpy's (`interactions:`)"],
        ),
        path=path,
    )


def _read_native(path: Path, data: bytes) -> list[_Entry]:
    try:
        documents, cut_short = _native.split(data)
    except _document.Damaged as error:
        raise _broken(path, [(error.line + 1, error.problem)], [], 1) from None
    good: list[_Entry] = []
    bad: list[tuple[int, str]] = []
    for document in documents:
        entry = _Entry(document=document)
        entry.path = path
        try:
            if document.edited:
                entry._exchange = _document.read(document.text)  # noqa: SLF001  an entry is made here
        except _document.Damaged as error:
            bad.append((document.line + error.line + 1, error.problem))
        else:
            good.append(entry)
    if cut_short is not None:
        bad.append((cut_short.line + 1, cut_short.problem))
        # Text that just stops may still be YAML: the last document counts only if it is as it was written.
        if good and documents[-1].edited and good[-1].text is documents[-1].text:
            good.pop()
    if bad:
        raise _broken(path, bad, good, len(documents))
    return good


def _broken(path: Path | None, bad: list[tuple[int, str]], good: list[_Entry], total: int) -> BrokenCassette:
    evidence = [f"line {line}: {problem}" for line, problem in bad]
    evidence.append(f"{len(good)} of {total} exchanges can be read")
    return BrokenCassette(
        render(
            f"{path} is damaged.",
            evidence,
            [
                f"Edit line {bad[0][0]}, or take the file back from version control.",
                f"Keep what can be read: llmreplay check --fix {path} (the damaged file stays beside it).",
            ],
        ),
        path=path,
        line=bad[0][0],
        good=[entry.exchange for entry in good],
        problems=bad,
    )


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

"""The entries of a cassette: each an exchange, or still the text of its document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from llmreplay.cassette import _document, _native
from llmreplay.errors import BrokenCassette, CassetteError, render
from llmreplay.matching import Key, key

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange, Request
    from llmreplay.redaction import Redaction

__all__ = ["Entry", "Exchanges", "broken"]


class Entry:
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
        return broken(self.path, [(self.line + error.line + 1, error.problem)], [], 1)

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


class Exchanges(Sequence["Exchange"]):
    """The exchanges of a cassette, each parsed when it is first asked for."""

    def __init__(self, entries: list[Entry]) -> None:
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


def broken(path: Path | None, bad: list[tuple[int, str]], good: list[Entry], total: int) -> BrokenCassette:
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

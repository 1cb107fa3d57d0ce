"""The entries of a cassette: each an exchange, or still the text of its document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from llmreplay.cassette import _common_form, _document, _native
from llmreplay.cassette._calls import Call
from llmreplay.errors import BrokenCassette, CassetteError, render
from llmreplay.exchange import Request
from llmreplay.matching import Key, key, verbatim_key

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange, Failure, Response
    from llmreplay.redaction import Redaction

__all__ = ["Entry", "Exchanges", "broken"]


class Entry:
    """One exchange: parsed, or still the text of its document."""

    __slots__ = ("_document", "_exchange", "_keys", "_text", "_verbatim", "edited", "line", "path")

    def __init__(self, exchange: Exchange | None = None, document: _native.Document | None = None) -> None:
        self._exchange = exchange
        self._document = document
        self._text: bytes | None = None
        self._keys: Key | None = None
        self._verbatim: str | None = None
        self.path: Path | None = None
        self.line, self.edited = 0, False
        if document is not None:
            self._keys, self._verbatim = document.key, document.verbatim
            self.line, self.edited = document.line, document.edited

    @property
    def text(self) -> bytes | None:
        """The text of the document, cut out of the file each time it is asked for."""
        return self._text if self._document is None else self._document.text

    @text.setter
    def text(self, text: bytes | None) -> None:
        self._document, self._text = None, text

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

    def outcome(self) -> Response | Failure:
        """Return what came of the request, which is not parsed."""
        document = self._document
        if self._exchange is None and document is not None and not self.edited:
            found = _common_form.read(document.data, document.start, document.end)
            if found is not None:
                return found
        return Call(self._exchange or self.answer(_NOBODY)).outcome

    @property
    def request_text(self) -> bytes | None:
        """The text of the document up to the response; all of it where there is none."""
        if self._document is None:
            return self._text
        data, start, stop = self._document[:3]
        end = data.find(b"\nresponse:\n", start, stop)
        return data[start : stop if end < 0 else end + 1]

    def asked(self) -> Request:
        """Return the recorded request; it is not kept in memory for that."""
        if self._exchange is not None:
            return self._exchange.request
        try:
            return _document.read_request(self.text or b"")
        except _document.Damaged as error:
            raise self._broken(error) from None

    def _broken(self, error: _document.Damaged) -> BrokenCassette:
        return broken(self.path, [(self.line + error.line + 1, error.problem)], [], 1)

    @property
    def known_keys(self) -> Key | None:
        """The keys as the file has them, or as they were computed before."""
        return self._keys

    def keys(self, redaction: Redaction) -> Key:
        """Return the keys as the file has them, or of the request as it would be redacted."""
        if self._keys is None:
            shown = redaction.request(self.exchange.request)
            self._keys, self._verbatim = key(shown), verbatim_key(shown)
        return self._keys

    @property
    def verbatim(self) -> str | None:
        """The key of the request as it is spelled, where it is known without parsing."""
        return self._verbatim

    def document(self, redaction: Redaction) -> bytes:
        """Return the document with its opening line."""
        if self.text is None:
            try:
                self.text = _document.write(self.exchange)
            except _document.Damaged as error:
                raise CassetteError(str(error), path=self.path) from None
        keys, text = self.keys(redaction), self.text or b""
        return _native.opening(text, keys, self._verbatim) + text


_NOBODY = Request("", "")


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

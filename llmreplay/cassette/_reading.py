"""What a file holds, whatever its format: the entries of a cassette, or what is wrong with it.

Formats of others are modules of their own, imported when a file may be one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmreplay.cassette import _document, _native, _store
from llmreplay.cassette._entries import Entry, broken
from llmreplay.errors import BrokenCassette, CassetteError, render

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FOREIGN", "bytes_of", "content_of", "format_of", "read", "read_whole", "refuse_foreign"]

FOREIGN = {
    "ruby-vcr": "_ruby_vcr",
    "r-vcr": "_r_vcr",
    "go-vcr": "_go_vcr",
    "httprr": "_httprr",
    "nock": "_nock",
    "har": "_har",
    "cassetter": "_cassetter",
    "test-agent": "_test_agent",
    "langchain": "_langchain",
    "dump": "_dump",
}
"""The formats that are never recorded to, with the module of each, imported when a file may be one."""

_READERS = {"vcr": "_vcr", **FOREIGN}


def bytes_of(path: Path) -> bytes | None:
    """Return the content of a file, None if there is none; raises `CassetteError` if it cannot be read."""
    return content_of(path)[1]


def content_of(path: Path) -> tuple[_store.Stamp | None, bytes | None]:
    """Return what tells a file from a changed one, and its content; None for both if there is none."""
    try:
        return _store.content(path)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        raise CassetteError(f"{path} cannot be read: {error.strerror or error}", path=path) from error


def read(path: Path, data: bytes) -> tuple[list[Entry], str]:
    """Return the entries of a file and the name of its format; raises `CassetteError` if it is none."""
    known = format_of(data)
    if known == "llmreplay":
        return _read_native(path, data), known
    if known is not None:
        return [Entry(exchange) for exchange in _reader(known).read(data, path)], known
    raise CassetteError(
        render(
            f"{path} is no cassette that llmreplay reads.",
            [
                "known: the native format (a line `llmreplay: 1` at the top), vcrpy's (`interactions:`),",
                "Ruby's VCR and R's vcr (`http_interactions:`), go-vcr (`interactions:` with a `url` each),",
                "cassetter (`interactions:`, a `type` in each body), LangChain's (gzip of `requests:` and",
                "`responses:`), httprr (`httprr trace v1`), nock (a JSON list with `scope`), HAR (`log` with",
                "`entries`), Datadog's test agent (JSON with `request` and `response`)",
            ],
            [f'Is it a response alone? Say where it came from: load("{path}", url="https://…")'],
        ),
        path=path,
    )


def format_of(data: bytes | None) -> str | None:
    """Return the name of the format that a file has; None if it is none that is known."""
    if data is None:
        return None
    if _native.looks_like(data):
        return "llmreplay"
    return next((name for name in _READERS if _reader(name).looks_like(data)), None)


def _reader(name: str) -> Any:
    return import_module(f"llmreplay.cassette.{_READERS[name]}")


def refuse_foreign(path: Path, *names: str | None) -> None:
    """Raise `CassetteError` if one of these formats is only read."""
    for name in FOREIGN.keys() & names:
        raise CassetteError(
            render(
                f"{path} has the format {name}, which llmreplay reads and does not record to.",
                remedies=[f"Convert it, and record to what you get: llmreplay convert {path} --out FOLDER"],
            ),
            path=path,
        )


def _read_native(path: Path, data: bytes) -> list[Entry]:
    try:
        documents, cut_short = _native.split(data)
    except _document.Damaged as error:
        raise broken(path, [(error.line + 1, error.problem)], [], 1) from None
    good: list[Entry] = []
    bad: list[tuple[int, str]] = []
    for document in documents:
        entry = Entry(document=document)
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
        if good and documents[-1].edited and good[-1].line == documents[-1].line:
            good.pop()
    if bad:
        raise broken(path, bad, good, len(documents))
    return good


def read_whole(path: Path, entries: list[Entry]) -> list[Entry]:
    """Parse every entry; raises `BrokenCassette` with those that can be."""
    good: list[Entry] = []
    bad: list[tuple[int, str]] = []
    for entry in entries:
        try:
            _ = entry.exchange
        except BrokenCassette as error:
            bad += error.problems
        else:
            good.append(entry)
    if bad:
        raise broken(path, bad, good, len(entries))
    return good

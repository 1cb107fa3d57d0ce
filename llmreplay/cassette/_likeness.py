"""Which recorded requests look most like one that nobody answers, told without parsing them.

Rules:

* Documents are compared by the lines of their requests, as they stand in the file; exchanges without
  a document by the texts in their bodies. A line that both have counts, wherever it stands.
* It only says which ones are worth a closer look (`llmreplay.matching.explain`).
"""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING

from llmreplay.cassette import _document
from llmreplay.exchange import Exchange, Failure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llmreplay.cassette._entries import Entry
    from llmreplay.exchange import Request

__all__ = ["nearest"]

_NEXT_KEY = re.compile(rb"^  (?! )", re.MULTILINE)


def nearest(entries: Sequence[Entry], request: Request, played: Collection[int], most: int) -> list[int]:
    """Return the places of at most so many entries, in order: the likest ones, unplayed ones first."""
    if len(entries) <= most:
        return list(range(len(entries)))
    lines, texts = _lines(_spelled(request)), _texts(request)
    ranked = []
    for at, entry in enumerate(entries):
        text = entry.request_text
        ours, theirs = (texts, _texts(entry.asked())) if text is None else (lines, _lines(text))
        likeness = len(ours & theirs) / (len(ours) + len(theirs))
        ranked.append((-likeness, at in played, at))
    return sorted(at for _, _, at in heapq.nsmallest(most, ranked))


def _spelled(request: Request) -> bytes:
    try:
        return _document.write(Exchange(request, failure=Failure("")))
    except _document.Damaged:
        return request.body


def _lines(request: bytes) -> set[bytes]:
    """Return the lines of a request; its headers do not count, as they do not in matching."""
    head, _, rest = request.partition(b"\n  headers:\n")
    body = _NEXT_KEY.search(rest)
    return {*head.split(b"\n"), *(rest[body.start() :].split(b"\n") if body else ())}


def _texts(request: Request) -> set[bytes]:
    return {request.url.encode("utf-8", "surrogatepass"), *request.body.split(b'"')}

r"""Texts that a body holds in pieces: joined for the search, mapped back for the edit.

Rules:

* A stream spells a text over many events. The strings of one JSON path (and index) are one text.
* Base64 may be wrapped over lines. Joined, it can be decoded.
* JSON may spell plain characters as `\u002d`. Read, they are searched like any other.
* An edit that spans pieces puts its text where the first begins and empties the others.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from llmreplay.redaction._rewrite import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["View", "streamed", "unescaped", "wrapped"]


class View:
    """A text put together from pieces of a body."""

    __slots__ = ("_ends", "_pieces", "text")

    def __init__(
        self, text: bytes, pieces: Sequence[tuple[int, int]], lengths: Sequence[int] | None = None
    ) -> None:
        self.text = text
        self._pieces = pieces
        self._ends = list(accumulate(lengths or [end - start for start, end in pieces]))

    @classmethod
    def joining(cls, data: bytes, pieces: Sequence[tuple[int, int]]) -> View:
        """Join pieces of a body as they are."""
        return cls(b"".join([data[start:end] for start, end in pieces]), pieces)

    def body_spans(self, start: int, end: int) -> list[tuple[int, int]]:
        """Say which spans of the body hold `start:end` of this text, adjacent ones as one."""
        spans: list[tuple[int, int]] = []
        index = bisect_right(self._ends, start)
        while index < len(self._ends):
            first = self._ends[index - 1] if index else 0
            if first >= end:
                break
            low, high = self._pieces[index]
            if high - low == self._ends[index] - first:
                low, high = low + max(0, start - first), min(high, low + end - first)
            if spans and spans[-1][1] == low:
                spans[-1] = (spans[-1][0], high)
            else:
                spans.append((low, high))
            index += 1
        return spans

    def edits(self, start: int, end: int, text: bytes) -> Iterator[Edit]:
        """Replace `start:end` of this text in the body."""
        for low, high in self.body_spans(start, end):
            yield Edit(low, high, text)
            text = b""


_STREAMED = frozenset(
    (
        "arguments",
        "code",
        "completion",
        "content",
        "delta",
        "generated_text",
        "input",
        "output",
        "output_text",
        "partial_json",
        "plan",
        "reasoning",
        "reasoning_content",
        "reasoning_text",
        "refusal",
        "response",
        "result",
        "summary",
        "text",
        "thinking",
        "thought",
        "token",
        "tool_plan",
        "transcript",
    )
)
"""Keys under which a provider sends a text piece by piece."""

_INDEX = frozenset(
    ("content_index", "contentBlockIndex", "index", "item_id", "output_index", "summary_index")
)
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_EVENT = re.compile(rb"^[ \t]*+(?:data:)?[ \t]*+(\{.*\})[ \t,\]]*\r?$", re.MULTILINE)

_Path = tuple[Any, ...]


def streamed(body: bytes) -> list[View]:
    """Return the texts that a stream of JSON events spells piece by piece."""
    groups: dict[_Path, list[tuple[int, int]]] = {}
    events = [match.span(1) for match in _EVENT.finditer(body)]
    if len(events) < 2 and (body.lstrip()[:1] == b"[" or b'"logprobs"' in body):  # noqa: PLR2004  one is no stream
        events = [(0, len(body))]
    for start, end in events:
        for path, piece in _pieces(body, start, end):
            groups.setdefault(path, []).append(piece)
    return [View.joining(body, pieces) for pieces in groups.values() if len(pieces) > 1]


def _pieces(body: bytes, start: int, end: int) -> Iterator[tuple[_Path, tuple[int, int]]]:
    """Yield the strings of an event that may be part of a longer text, with their paths."""
    try:
        # latin-1 keeps one character a byte; json must only tell us the structure
        event = json.loads(body[start:end].decode("latin-1"), strict=False)
        paths = list(_walk(event, ()))
    except (ValueError, RecursionError):
        return
    strings = list(_STRING.finditer(body, start, end))
    if len(strings) != len(paths):  # a key that is there twice
        return
    for path, string in zip(paths, strings, strict=True):
        if path is not None and string.end(1) > string.start(1):
            yield path, string.span(1)


def _walk(value: Any, path: _Path) -> Iterator[_Path | None]:
    """Yield, for each string of a JSON value in the order of the text, its path, or None."""
    if isinstance(value, dict):
        marks = tuple(
            (key, value[key]) for key in value if key in _INDEX and isinstance(value[key], int | str)
        )
        if not path and isinstance(value.get("type"), str):
            marks = (*marks, value["type"])
        for key, item in value.items():
            yield None
            yield from _walk(item, (*path, *marks, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            if not path:
                yield from _walk(item, ())
            else:
                numbered = isinstance(item, dict) and "index" in item
                known = item["index"] if numbered else None if "logprobs" in path else position
                yield from _walk(item, (*path, known if isinstance(known, int) else None))
    elif isinstance(value, str):
        names = [step for step in path[-3:] if isinstance(step, str)]
        yield path if names and names[-1] in _STREAMED and "top_logprobs" not in path else None


_WRAPPED = re.compile(
    rb"[A-Za-z0-9+/_-]{40,}+"
    rb"(?:(?:(?:\\r)?\\n|\r?\n[ \t]*+)[A-Za-z0-9+/_-]{40,}+(?=[=\s\\\"'<)]|\Z))*+"
    rb"(?:(?:(?:\\r)?\\n|\r?\n[ \t]*+)[A-Za-z0-9+/_-]++(?=[=\s\\\"'<)]|\Z))?+={0,2}+"
)
"""Lines of base64, of which only the last may be short."""


def wrapped(data: bytes, start: int) -> tuple[View, int] | None:
    """Join the base64 that is wrapped over lines from `start` on; None where it is not."""
    match = _WRAPPED.match(data, start)
    if match is None:
        return None
    pieces: list[tuple[int, int]] = []
    position = start
    for line in re.split(rb"((?:\\r)?\\n|\r?\n[ \t]*)", match.group()):
        if line[:1] not in (b"\\", b"\r", b"\n"):
            pieces.append((position, position + len(line)))
        position += len(line)
    if len(pieces) == 1:
        return None
    return View.joining(data, pieces), match.end()


_ESCAPE = re.compile(rb"(?<!\\)\\u00([2-7][0-9A-Fa-f])")


def unescaped(data: bytes) -> View | None:
    """Read the JSON escapes of printable ASCII characters; None where there is none."""
    pieces: list[tuple[int, int]] = []
    lengths: list[int] = []
    text: list[bytes] = []
    position = 0
    for match in _ESCAPE.finditer(data):
        character = bytes([int(match[1], 16)])
        if character in b'"\\\x7f':
            continue
        pieces += ((position, match.start()), match.span())
        lengths += (match.start() - position, 1)
        text += (data[position : match.start()], character)
        position = match.end()
    if not pieces:
        return None
    pieces.append((position, len(data)))
    lengths.append(len(data) - position)
    return View(b"".join([*text, data[position:]]), pieces, lengths)

r"""A stream that is one JSON array: bytes to its elements as they come, and elements to bytes.

Rules:

* Elements are found by their brackets alone, and given as text: whether one is JSON is for its reader to
  say. Each is given as soon as its last bracket has come, or what ends it if it has none.
* A stream that ends inside an element gives what came of it on `close`.
* What is no array, or goes on behind its end, raises `NotAnArray`.
* However the bytes are split, the elements are the same.

Google writes its streams so where `alt=sse` is not asked for: `[` and the first element, `,\r\n` before
each other one, `]` in a chunk of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmreplay.framing.sse import MAX_FRAME, FrameTooLong

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["JSONArrayParser", "NotAnArray", "write"]

_BOM = b"\xef\xbb\xbf"
_BOM_BEGUN = (_BOM[:1], _BOM[:2])
_STRUCTURE = re.compile(rb'["\[\]{},]')
_STRING_END = re.compile(rb'["\\]')


class NotAnArray(ValueError):
    """The bytes are no JSON array, or go on behind its end."""

    def __init__(self, found: bytes) -> None:
        self.found = found
        super().__init__(f"the stream is no JSON array: {found[:40]!r}")


class JSONArrayParser:
    """Turns the bytes of a JSON array into its elements, however they are cut.

    An element of more than `limit` bytes raises `FrameTooLong`; after that, and after `NotAnArray`, what
    comes later is not to be trusted.
    """

    def __init__(self, *, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._data = bytearray()  # what is not given yet
        self._at = 0  # how far that has been looked through
        self._depth = 0  # of brackets, that of the array itself included
        self._quoted = False
        self._ended = False

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes, and return the elements that are complete with them."""
        self._data += data
        elements: list[str] = []
        if not self._depth and not self._ended:
            self._open()
        while self._depth:
            mark = self._next()
            if not mark or not self._step(mark, elements):
                break
        if self._ended and self._data.strip():
            raise NotAnArray(bytes(self._data.strip()))
        if len(self._data) > self._limit:
            raise FrameTooLong(self._limit)
        return elements

    def close(self) -> list[str]:
        """Return what came of the last element, if the array has no end."""
        rest, self._data, self._at = self._data.strip(), bytearray(), 0
        return [rest.decode("utf-8", "replace")] if self._depth and rest else []

    def _open(self) -> None:
        if bytes(self._data[:3]) in _BOM_BEGUN:
            return
        begun = self._data.removeprefix(_BOM).lstrip()
        if begun and not begun.startswith(b"["):
            raise NotAnArray(bytes(begun))
        if begun:
            self._depth, self._data = 1, begun[1:]

    def _next(self) -> bytes:
        """Return the next byte that tells something, and stand behind it; nothing if there is none."""
        found = (_STRING_END if self._quoted else _STRUCTURE).search(self._data, self._at)
        self._at = len(self._data) if found is None else found.end()
        return b"" if found is None else found[0]

    def _step(self, mark: bytes, elements: list[str]) -> bool:
        """Go past a bracket, a comma, a quote or a backslash; False if a byte is missing to do so."""
        if mark == b"\\":
            if self._at == len(self._data):
                self._at -= 1
                return False
            self._at += 1
        elif mark == b'"':
            self._quoted = not self._quoted
        elif mark in b"{[":
            self._depth += 1
        elif mark == b",":
            if self._depth == 1:
                self._give(self._at - 1, elements)
        else:
            self._depth -= 1
            if self._depth == 1:
                self._give(self._at, elements)
            elif not self._depth:
                self._ended = True
                self._give(self._at - 1, elements)
        return True

    def _give(self, end: int, elements: list[str]) -> None:
        element = self._data[:end].strip()
        del self._data[: self._at]
        self._at = 0
        if element:
            elements.append(element.decode("utf-8", "replace"))


def write(elements: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of an array, as Google flushes them: one chunk an element, and one for the end."""
    before = b"["
    for element in elements:
        yield before + element
        before = b",\r\n"
    yield b"[]" if before == b"[" else b"]"

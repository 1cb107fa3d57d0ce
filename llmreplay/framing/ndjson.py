r"""JSON lines: bytes to lines as they come, and values to lines.

Rules:

* A line ends in LF, CRLF or CR; no line end can stand inside JSON, so the lines need no JSON to be found.
* Lines of nothing but whitespace are none. A byte order mark in front is dropped, and bytes that are no
  UTF-8 become U+FFFD.
* What stands behind the last line end is given on `close`: whether it is whole is for its reader to say.
* However the bytes are split, the lines are the same, and each is given as soon as its end has come.
"""

from __future__ import annotations

import re

from llmreplay.framing.sse import MAX_FRAME, FrameTooLong

__all__ = ["NDJSONParser", "write"]

_LINE_END = re.compile(rb"[\r\n]")
_BOM = b"\xef\xbb\xbf"


class NDJSONParser:
    """Turns the bytes of a stream of JSON lines into those lines, however they are cut.

    A line of more than `limit` bytes raises `FrameTooLong`, and what comes later is not to be trusted.
    """

    def __init__(self, *, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._line: list[bytes] = []  # a line whose end has not come
        self._size = 0
        self._begun = False

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes, and return the lines that are complete with them."""
        first, *rest = _LINE_END.split(data)
        self._keep(first)
        lines: list[str] = []
        for piece in rest:
            lines += self._end()
            self._keep(piece)
        return lines

    def close(self) -> list[str]:
        """Return the last line, if the stream ended without its line end."""
        return self._end()

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise FrameTooLong(self._limit)
        if data:
            self._line.append(data)

    def _end(self) -> list[str]:
        line = b"".join(self._line)
        self._line.clear()
        self._size = 0
        if not self._begun:
            self._begun = bool(line)
            line = line.removeprefix(_BOM)
        return [line.decode("utf-8", "replace")] if line.strip() else []


def write(data: bytes) -> bytes:
    """Return JSON as a line; raises ValueError if it has more than one."""
    if _LINE_END.search(data):
        raise ValueError(f"a line of JSON must be one line, not {data[:80]!r}")
    return data + b"\n"

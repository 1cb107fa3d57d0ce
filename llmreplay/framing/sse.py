"""Server-sent events: bytes to frames as they come, and frames to bytes.

Rules:

* The parser follows the WHATWG HTML standard, section 9.2.6: lines end in CRLF, CR or LF, the
  space behind the colon is optional, a byte order mark in front is dropped, bytes that are no
  UTF-8 become U+FFFD, and a frame without a data line is none.
* It departs from it in one point: a stream that ends without the blank line still gives its last
  frame, on `close`. Providers forget that line, and whether the frame is whole is for the reader
  of its data to say.
* However the bytes are split, the frames are the same, and each is given as soon as its blank
  line has come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_FRAME", "Frame", "FrameTooLong", "SSEParser", "write"]

MAX_FRAME = 64 * 1024 * 1024
"""Bytes that a frame may have, unless the parser is told otherwise: images come as one frame."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_TEXT_LINE_END = re.compile(r"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class FrameTooLong(ValueError):
    """A frame is longer than the parser allows; the stream is not one, or has no end."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"a frame of the event stream is longer than {limit} bytes")


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, or one comment line: then `comment` is its text, and the rest is empty.

    `event` and `id` are None where the frame does not give them; `retry` is in milliseconds.
    """

    data: str = ""
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None


class SSEParser:
    """Turns the bytes of an event stream into frames, however they are cut.

    With `comments`, comment lines are given too, each at its place. A frame of more than `limit`
    bytes raises `FrameTooLong`, and what comes later is not to be trusted.
    """

    def __init__(self, *, comments: bool = False, limit: int = MAX_FRAME) -> None:
        self._comments, self._limit = comments, limit
        self._line: list[bytes] = []  # a line whose end has not come
        self._size = 0  # bytes of the frame so far
        self._after_cr = False
        self._begun = False
        self._start()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes, and return the frames that are complete with them."""
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        frames: list[Frame] = []
        if b"\n" not in data and b"\r" not in data:
            self._keep(data)
            return frames
        first, *lines = _LINE_END.split(data)
        self._after_cr = data[-1:] == b"\r"
        self._keep(first)
        for line in lines:
            self._take(b"".join(self._line), frames)
            self._line.clear()
            self._keep(line)
        return frames

    def close(self) -> list[Frame]:
        """Return the last frame, if the stream ended without its blank line."""
        frames: list[Frame] = []
        if self._line:
            self._take(b"".join(self._line), frames)
            self._line.clear()
        self._take(b"", frames)
        return frames

    def _start(self) -> None:
        self._data: list[str] = []
        self._event: str | None = None
        self._id: str | None = None
        self._retry: int | None = None
        self._size = 0

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise FrameTooLong(self._limit)
        if data:
            self._line.append(data)

    def _take(self, line: bytes, frames: list[Frame]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                frames.append(Frame("\n".join(self._data), self._event, self._id, self._retry))
            self._start()
            return
        name, colon, rest = line.partition(b":")
        value = rest.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            self._id = self._id if "\0" in value else value
        elif name == b"retry":
            self._retry = int(value) if value.isascii() and value.isdigit() else self._retry
        elif not name and colon and self._comments:
            frames.append(Frame(comment=value))


def write(frame: Frame, *, end: str = "\n") -> bytes:
    r"""Return the bytes of a frame; `end` is the end of a line: `\n`, `\r\n` or `\r`.

    Raises ValueError if the event name or the id has more than one line. Lines of the data may
    end as they like: a reader sees `\n`.
    """
    if frame.comment is not None:
        lines = [f": {line}" for line in _TEXT_LINE_END.split(frame.comment)]
        return (end.join(lines) + end).encode()
    lines = []
    for name, value in (("event", frame.event), ("id", frame.id)):
        if value is None:
            continue
        if "\n" in value or "\r" in value:
            raise ValueError(f"the {name} of a frame must be one line, not {value!r}")
        lines.append(f"{name}: {value}")
    if frame.retry is not None:
        lines.append(f"retry: {frame.retry}")
    lines += [f"data: {line}" for line in _TEXT_LINE_END.split(frame.data)]
    return (end.join(lines) + end + end).encode()

"""AWS event streams: bytes to frames as they come, and frames to bytes.

https://smithy.io/2.0/aws/amazon-eventstream.html: a prelude (length of the whole, length of the
headers, their CRC-32), headers with typed values, a payload, and the CRC-32 of all before it.

Rules:

* Both checksums are checked, the first before the rest of the frame is waited for: bytes that are no
  event stream are known after twelve.
* `EventStreamParser.next_frame` has three outcomes: a frame, None (more bytes are needed), or an
  `EventStreamError` that names the byte. After an error the same error comes again: where the next
  frame begins is not known.
* What is read is written back to the byte: a header keeps the type it came with.
"""

from __future__ import annotations

import struct
from binascii import crc32
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MAX_HEADERS",
    "MAX_PAYLOAD",
    "EventStreamError",
    "EventStreamParser",
    "Frame",
    "Header",
    "Kind",
    "begins",
    "event",
    "exception",
    "write",
]

MAX_HEADERS = 128 * 1024
"""Bytes that the headers of a frame may have."""

MAX_PAYLOAD = 24 * 1024 * 1024
"""Bytes that the payload of a frame may have."""

_PRELUDE = struct.Struct("!III")
_LENGTHS = struct.Struct("!II")
_CRC = struct.Struct("!I")
_OVERHEAD = _PRELUDE.size + _CRC.size
_MAX_NAME = 255


class Kind(IntEnum):
    """The types of a header's value, by their number on the wire."""

    TRUE = 0
    FALSE = 1
    BYTE = 2
    SHORT = 3
    INTEGER = 4
    LONG = 5
    BYTES = 6
    STRING = 7
    TIMESTAMP = 8  # milliseconds since 1970
    UUID = 9


_NUMBERS = {
    Kind.BYTE: struct.Struct("!b"),
    Kind.SHORT: struct.Struct("!h"),
    Kind.INTEGER: struct.Struct("!i"),
    Kind.LONG: struct.Struct("!q"),
    Kind.TIMESTAMP: struct.Struct("!q"),
}
_LENGTH = struct.Struct("!H")
_UUID_SIZE = 16


class EventStreamError(ValueError):
    """Bytes are no event stream, or damaged. `position` is that of the first bad byte, from 0."""

    def __init__(self, problem: str, position: int) -> None:
        self.problem, self.position = problem, position
        super().__init__(f"{problem} (byte {position} of the event stream)")


@dataclass(frozen=True, slots=True)
class Header:
    """One header; the Python type of the value follows from its kind."""

    name: str
    value: bool | int | bytes | str | UUID
    kind: Kind = Kind.STRING


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the stream."""

    headers: tuple[Header, ...] = ()
    payload: bytes = b""

    def text(self, name: str) -> str | None:
        """Return the text of a header; None if there is none of that name, or it is no text."""
        for header in self.headers:
            if header.name == name:
                return header.value if isinstance(header.value, str) else None
        return None


def event(kind: str, payload: bytes, content_type: str = "application/json") -> Frame:
    """Return the frame of an event, with its headers in the order in which AWS sends them."""
    return _frame(":event-type", kind, payload, content_type, "event")


def exception(kind: str, payload: bytes, content_type: str = "application/json") -> Frame:
    """Return the frame of an exception, which ends a stream."""
    return _frame(":exception-type", kind, payload, content_type, "exception")


def _frame(name: str, kind: str, payload: bytes, content_type: str, message_type: str) -> Frame:
    headers = ((name, kind), (":content-type", content_type), (":message-type", message_type))
    return Frame(tuple(Header(key, value) for key, value in headers), payload)


def begins(data: bytes) -> bool:
    """Return whether bytes begin an event stream, told from the checksum of the first prelude."""
    if len(data) < _PRELUDE.size:
        return False
    checksum: int = _CRC.unpack_from(data, _LENGTHS.size)[0]
    return crc32(data[: _LENGTHS.size]) == checksum


class EventStreamParser:
    """Turns the bytes of an event stream into frames, however they are cut."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # of the first byte of `_data` in the stream
        self._length: tuple[int, int] | None = None  # of the frame that is coming, and its headers
        self._error: EventStreamError | None = None

    @property
    def pending(self) -> int:
        """Bytes of a frame that has not come whole."""
        return len(self._data)

    def receive(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data += data

    def next_frame(self) -> Frame | None:
        """Return the next frame, or None if more bytes are needed; raise `EventStreamError`."""
        if self._error is not None:
            raise self._error
        try:
            return self._next()
        except EventStreamError as problem:
            self._error = problem
            raise

    def _next(self) -> Frame | None:
        if self._length is None:
            if len(self._data) < _PRELUDE.size:
                return None
            self._length = self._prelude()
        total, headers = self._length
        if len(self._data) < total:
            return None
        end = total - _CRC.size
        checksum: int = _CRC.unpack_from(self._data, end)[0]
        if crc32(self._data[:end]) != checksum:
            raise EventStreamError("the checksum of a frame is wrong", self._at + end)
        payload = _PRELUDE.size + headers
        frame = Frame(
            _read_headers(bytes(self._data[_PRELUDE.size : payload]), self._at + _PRELUDE.size),
            bytes(self._data[payload:end]),
        )
        del self._data[:total]
        self._at += total
        self._length = None
        return frame

    def _prelude(self) -> tuple[int, int]:
        total, headers, checksum = _PRELUDE.unpack_from(self._data)
        if crc32(self._data[: _LENGTHS.size]) != checksum:
            raise EventStreamError("the checksum of a prelude is wrong", self._at + _LENGTHS.size)
        if headers > MAX_HEADERS:
            raise EventStreamError(f"headers of {headers} bytes are too long", self._at + 4)
        if total < _OVERHEAD + headers:
            raise EventStreamError(f"{total} bytes are too few for a frame", self._at)
        if total - _OVERHEAD - headers > MAX_PAYLOAD:
            raise EventStreamError(f"a frame of {total} bytes is too long", self._at)
        return total, headers


def _read_headers(data: bytes, position: int) -> tuple[Header, ...]:
    found: dict[str, Header] = {}
    at = 0
    while at < len(data):
        start = at
        try:
            header, at = _read_header(data, at)
        except (IndexError, ValueError, struct.error) as problem:  # ValueError: an unknown type, or no UTF-8
            raise EventStreamError(f"a header cannot be read: {problem}", position + start) from problem
        if header.name in found:
            raise EventStreamError(f"the header {header.name!r} comes twice", position + start)
        found[header.name] = header
    return tuple(found.values())


def _read_header(data: bytes, at: int) -> tuple[Header, int]:
    size = data[at]
    name = _take(data, at + 1, size).decode()
    at += 1 + size
    kind = Kind(data[at])
    at += 1
    if kind in {Kind.TRUE, Kind.FALSE}:
        return Header(name, kind is Kind.TRUE, kind), at
    if kind in _NUMBERS:
        form = _NUMBERS[kind]
        return Header(name, form.unpack_from(data, at)[0], kind), at + form.size
    if kind is Kind.UUID:
        return Header(name, UUID(bytes=_take(data, at, _UUID_SIZE)), kind), at + _UUID_SIZE
    (size,) = _LENGTH.unpack_from(data, at)
    value = _take(data, at + _LENGTH.size, size)
    return Header(name, value.decode() if kind is Kind.STRING else value, kind), at + _LENGTH.size + size


def _take(data: bytes, at: int, size: int) -> bytes:
    taken = data[at : at + size]
    if len(taken) < size:
        raise ValueError(f"{size} bytes are announced, and {len(taken)} are there")
    return taken


def write(frame: Frame) -> bytes:
    """Return the bytes of a frame, with both checksums.

    Raises ValueError if a header cannot be written (a value that does not fit its kind, a name or
    value that is too long, a name given twice), or if headers or payload are too long.
    """
    names = [header.name for header in frame.headers]
    if len(set(names)) < len(names):
        raise ValueError(f"a header is given twice: {', '.join(names)}")
    headers = b"".join(_written(frame.headers))
    if len(headers) > MAX_HEADERS or len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(f"a frame with {len(headers)} + {len(frame.payload)} bytes is too long")
    lengths = _LENGTHS.pack(_OVERHEAD + len(headers) + len(frame.payload), len(headers))
    body = b"".join([lengths, _CRC.pack(crc32(lengths)), headers, frame.payload])
    return body + _CRC.pack(crc32(body))


def _written(headers: Iterable[Header]) -> Iterable[bytes]:
    for header in headers:
        name = header.name.encode()
        if not 0 < len(name) <= _MAX_NAME:
            raise ValueError(f"the name of a header must have 1 to {_MAX_NAME} bytes, not {len(name)}")
        try:
            value = _value(header)
        except (TypeError, struct.error) as problem:
            raise ValueError(f"the header {header.name!r} cannot be written: {problem}") from problem
        yield bytes([len(name)]) + name + bytes([header.kind]) + value


def _value(header: Header) -> bytes:
    kind, value = header.kind, header.value
    if kind in {Kind.TRUE, Kind.FALSE} and value is (kind is Kind.TRUE):
        return b""
    if kind in _NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        return _NUMBERS[kind].pack(value)
    if kind is Kind.UUID and isinstance(value, UUID):
        return value.bytes
    if kind is Kind.STRING and isinstance(value, str):
        value = value.encode()
    elif kind is not Kind.BYTES or not isinstance(value, bytes):
        raise TypeError(f"{value!r} is no {kind.name.lower()}")
    return _LENGTH.pack(len(value)) + value

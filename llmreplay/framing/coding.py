"""Content codings (`gzip`, `deflate`, `br`, `zstd`), undone piece by piece.

Rules:

* What can be decoded so far is given at once: a stream that was cut gives what had arrived, and the
  cut itself is no error. Damage is a `CodingError`.
* What follows the end of a coded stream is its next member (gzip, zstd) or padding, which is ignored;
  after `br` it is damage, as it is to every client.
* `br` and `zstd` need a library. Without it the coding is unknown, and the bytes stay as they are.
"""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["CodingError", "Decoder", "decode", "decoder", "is_coded"]

_GZIP_MAGIC = (b"\x1f\x8b",)
_ZSTD_MAGIC = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))
_DEFLATE_HEADER = 2
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_BROTLI_LIBRARIES = ("brotli", "brotlicffi")
_ZSTD_LIBRARIES = ("compression.zstd", "backports.zstd", "zstandard")


class CodingError(ValueError):
    """Bytes are not what their content coding says."""


class Decoder(Protocol):
    """Undoes one content coding, or a list of them, as the bytes arrive."""

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decode to; raises `CodingError` if they are damaged."""
        ...

    def finish(self) -> bytes:
        """Return what is left once no more bytes come; a cut stream is no error."""
        ...


class _Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Members:
    """Streams laid end to end, each begun by one of `magic`; without `magic`, one stream only."""

    def __init__(self, new: Callable[[], Any], error: type[Exception], magic: Sequence[bytes] = ()) -> None:
        self._new, self._error, self._magic = new, error, magic
        self._stream = new()
        self._between = b""

    def feed(self, data: bytes) -> bytes:
        pieces = []
        while data:
            if self._stream.eof and not self._next_member_begins(data):
                break
            data, self._between = self._between + data, b""
            try:
                pieces.append(self._stream.decompress(data))
            except self._error as error:
                raise CodingError(str(error)) from error
            data = self._stream.unused_data
        return b"".join(pieces)

    def finish(self) -> bytes:
        return b""

    def _next_member_begins(self, data: bytes) -> bool:
        seen = self._between + data
        if seen.startswith(tuple(self._magic)):
            self._stream = self._new()
            return True
        # Too little to tell yet; anything else is padding, and all that follows it too.
        undecided = any(magic.startswith(seen) for magic in self._magic)
        self._between = seen if undecided else seen[:4]
        return False


class _Deflate:
    """`deflate` is zlib by the book and bare deflate from some servers; two bytes tell them apart."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: _Members | None = None

    def feed(self, data: bytes) -> bytes:
        if self._inner is None:
            self._head += data
            if len(self._head) < _DEFLATE_HEADER:
                return b""
            window = zlib.MAX_WBITS if _is_zlib(self._head) else -zlib.MAX_WBITS
            self._inner = _Members(lambda: zlib.decompressobj(window), zlib.error)
            data = self._head
        return self._inner.feed(data)

    def finish(self) -> bytes:
        return b""


class _Brotli:
    def __init__(self, library: Any) -> None:
        self._stream, self._error = library.Decompressor(), library.error

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        if self._stream.is_finished():
            raise CodingError("bytes follow the end of the brotli stream")
        try:
            return bytes(self._stream.process(data))
        except self._error as error:
            raise CodingError(str(error)) from error

    def finish(self) -> bytes:
        return b""


class _Chain:
    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> bytes:
        for each in self._decoders:
            data = each.feed(data)
        return data

    def finish(self) -> bytes:
        data = b""
        for each in self._decoders:
            data = each.feed(data) + each.finish()
        return data


def decoder(content_encoding: str) -> Decoder | None:
    """Return what undoes a `content-encoding` header, a list from right to left.

    None if a coding is unknown, or the library for it is not installed.
    """
    decoders = []
    for coding in reversed(_codings(content_encoding)):
        new = _DECODERS.get(coding)
        found = new() if new else None
        if found is None:
            return None
        decoders.append(found)
    if not decoders:
        return _Identity()
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def decode(chunks: Iterable[bytes], content_encoding: str) -> list[bytes] | None:
    """Undo a coding chunk by chunk: one piece comes out for each that goes in, empty ones included.

    None if it cannot be undone, because the coding is unknown, its library is missing or the bytes are
    damaged: keep them as they are then, with their header.
    """
    undo = decoder(content_encoding)
    if undo is None:
        return None
    try:
        pieces = [undo.feed(chunk) for chunk in chunks]
        rest = undo.finish()
    except CodingError:
        return None
    if rest:
        pieces[-1:] = [b"".join([*pieces[-1:], rest])]
    return pieces


def is_coded(body: bytes, content_encoding: str) -> bool:
    """Tell a coded body from one that was stored decoded under a header that went stale."""
    codings = _codings(content_encoding)
    if not codings or not body:
        return False
    outermost = codings[-1]
    if outermost in ("gzip", "x-gzip"):
        return body.startswith(_GZIP_MAGIC)
    if outermost == "zstd":
        return body.startswith(_ZSTD_MAGIC)
    if outermost == "deflate" and _is_zlib(body):
        return True
    # Bare deflate, brotli and unknown codings have no magic number, but no coding writes text.
    return not _is_text(body) and (decoder(outermost) is None or decode([body], outermost) is not None)


def _codings(content_encoding: str) -> list[str]:
    names = (name.strip().lower() for name in content_encoding.split(","))
    return [name for name in names if name not in ("", "identity")]


def _gzip() -> Decoder:
    return _Members(lambda: zlib.decompressobj(_GZIP_WINDOW), zlib.error, _GZIP_MAGIC)


def _brotli() -> Decoder | None:
    library = _first_installed(_BROTLI_LIBRARIES)
    return None if library is None else _Brotli(library)


def _zstd() -> Decoder | None:
    library = _first_installed(_ZSTD_LIBRARIES)
    if library is None:
        return None
    new = library.ZstdDecompressor
    if hasattr(new, "decompressobj"):  # zstandard has its own spelling
        return _Members(lambda: new().decompressobj(), library.ZstdError, _ZSTD_MAGIC)
    return _Members(new, library.ZstdError, _ZSTD_MAGIC)


_DECODERS: dict[str, Callable[[], Decoder | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def _first_installed(names: Iterable[str]) -> Any | None:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _is_zlib(head: bytes) -> bool:
    """Recognise a zlib header (RFC 1950, 2.2): method 8, window up to 32 KiB, check bits."""
    if len(head) < _DEFLATE_HEADER:
        return False
    method_and_window, flags = head[0], head[1]
    return (
        method_and_window & 0x0F == 8  # noqa: PLR2004  the numbers of the RFC
        and method_and_window >> 4 <= 7  # noqa: PLR2004
        and (method_and_window << 8 | flags) % 31 == 0
    )


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True

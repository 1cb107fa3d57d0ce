"""Reads the traces of httprr, the recorder of the Go project, as text or compressed (`.httprr.gz`).

A trace is the line `httprr trace v1`, and for each exchange a line with the sizes of its two parts in bytes,
the request and the response as HTTP/1.1 has them. Rules:

* The sizes rule; where they do not add up, what came before is kept, and the rest is damage.
* A body in chunks is put together: Go cut them anew when it wrote the file.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING

from llmreplay.cassette._foreign import Trouble, broken, imported, request_of, response_of, version_of

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange, Headers

__all__ = ["looks_like", "read"]

_HEAD = b"httprr trace v1\n"
_GZIP = b"\x1f\x8b"
_SIZES = re.compile(rb"(\d+) (\d+)\n")
_REQUEST_LINE = re.compile(r"(\S+) (\S+) HTTP/\d(?:\.\d)?")
_STATUS_LINE = re.compile(r"(HTTP/\d(?:\.\d)?) (\d{3}) ?(.*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)[^\r\n]*\r\n")
_WHAT = "trace of httprr"


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a trace of httprr."""
    if not data.startswith(_GZIP):
        return data.startswith(_HEAD)
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, len(_HEAD)) == _HEAD
    except zlib.error:
        return False


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a trace of httprr.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise broken(path, _WHAT, [(None, f"not gzip: {error}")], []) from None
    good: list[Exchange] = []
    problems: list[tuple[int | None, str]] = []
    at = len(_HEAD)
    while at < len(data):
        line = data.count(b"\n", 0, at) + 1
        sizes = _SIZES.match(data, at)
        if sizes is None:
            problems.append((line, "expected the sizes of a request and a response, such as `120 2048`"))
            break
        middle = sizes.end() + int(sizes[1])
        at = middle + int(sizes[2])
        if at > len(data):
            problems.append((line, f"the file ends {at - len(data)} bytes before the exchange does"))
            break
        try:
            good.append(_exchange(data[sizes.end() : middle], data[middle:at]))
        except Trouble as trouble:
            problems.append((line, str(trouble)))
    if problems:
        raise broken(path, _WHAT, problems, good)
    return good


def _exchange(asked: bytes, answered: bytes) -> Exchange:
    opening, headers, body = _message(asked, "request")
    request = _REQUEST_LINE.fullmatch(opening)
    if request is None:
        raise Trouble(f"a request begins with {opening!r}")
    method, target = request[1], request[2]
    if target.startswith("/"):
        target = f"https://{_value(headers, 'host')}{target}"
    opening, answer_headers, answer_body = _message(answered, "response")
    status = _STATUS_LINE.fullmatch(opening)
    if status is None:
        raise Trouble(f"a response begins with {opening!r}")
    return imported(
        request_of(method, target, headers, body),
        response_of(method, int(status[2]), status[3], version_of(status[1]), answer_headers, answer_body),
        None,
    )


def _message(data: bytes, what: str) -> tuple[str, Headers, bytes]:
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        raise Trouble(f"a {what} has no end of headers")
    opening, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name, value.strip()) for name, _, value in pairs)
    if "chunked" in _value(headers, "transfer-encoding").lower():
        body = _put_together(body, what)
    return opening, headers, body


def _value(headers: Headers, wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _put_together(body: bytes, what: str) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while (chunk := _CHUNK.match(body, at)) is not None:
        size = int(chunk[1], 16)
        if not size:
            return b"".join(pieces)
        pieces.append(body[chunk.end() : chunk.end() + size])
        at = chunk.end() + size + len(b"\r\n")
    raise Trouble(f"the chunks of a {what} do not add up")

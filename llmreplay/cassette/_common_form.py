"""The common form of a recorded response, read without a YAML parser.

Rules:

* What is read here is what `_document.write` wrote and nobody has edited since: a status, headers,
  a delay, chunks, and a body of text. Whatever else a document holds (a failure, base64, a header
  of many lines), it is left to the YAML parser: `read` returns None.
* Both readers give the same for every document. `_document.write` makes sure of it, each time.
"""

from __future__ import annotations

import json
import re

from llmreplay.exchange import Chunk, Headers, Response

__all__ = ["read"]

_PARTS = re.compile(
    rb"response:\n  status: (\d+)\n"
    rb"(?:  headers:\n((?:(?:    |  - )[^\n]*\n)+))?"
    rb"(?:  encoding: ([a-z]+)\n)?"
    rb"(?:  delay: \"(\d+(?:\.\d+)?) ms\"\n)?"
    rb"(?:  chunks: \"?([\d+. ]+)\"?\n)?"
    rb"(?:(  newlines: crlf\n)?  text: \|2?([-+]?)\n)?"
)
_INDENTED = re.compile(rb"\n    ")
_NEXT_HEADER = re.compile(r"\n(?:    (?! )|  - )")
_TAIL = b"\n  tail: "
_LONGEST_TAIL = 24


def read(data: bytes, start: int, stop: int) -> Response | None:
    """Return the response of the document at `start:stop`, None if it does not have the common form."""
    # Nested text is indented: at the start of a line this word can only be the key.
    parts = _PARTS.match(data, data.find(b"\nresponse:\n", start, stop) + 1, stop)
    if parts is None:
        return None
    status, lines, encoding, delay, sizes, crlf, keep = parts.groups()
    end = data.rfind(b"\nrecorded:\n", parts.end() - 1, stop) + 1 or stop
    body = b""
    if keep is not None:
        # The indentation of each line is taken away; the first has the newline that stands before it.
        block = data[parts.end() - 1 : end]
        if _TAIL in block[-_LONGEST_TAIL:]:
            return None
        # For many short matches this is twice as fast as bytes.replace.
        body = _INDENTED.sub(b"\n", block)[1 : -1 if keep == b"-" else None]
        if crlf is not None:
            body = body.replace(b"\n", b"\r\n")
    elif end != parts.end():
        return None
    headers = _headers(lines) if lines else ()
    chunks = _chunks(sizes, body) if sizes else (Chunk(body),) if body else ()
    if headers is None or chunks is None:
        return None
    return Response(
        int(status),
        headers,
        chunks,
        delay=float(delay + b"e-3") if delay else 0.0,
        encoding=encoding.decode() if encoding else None,
    )


def _headers(lines: bytes) -> Headers | None:
    text = lines.decode()[4:-1]
    if lines.startswith(b"  -") or "\\" in text or ": |" in text or text[0] == '"' or '\n    "' in text:
        return _awkward_headers(text)
    pairs = [line.partition(": ") for line in text.split("\n    ")]
    return tuple([(name, value[1:-1] if value[:1] == '"' else value) for name, _, value in pairs])


def _awkward_headers(text: str) -> Headers | None:
    """Return headers that are a list of single pairs, or have escapes or blocks of one line in them."""
    headers: list[tuple[str, str]] = []
    for entry in _NEXT_HEADER.split(text):
        name, _, value = entry.partition(": ")
        if value.startswith("|-\n"):
            value = value[3:].lstrip(" ")
        elif value.startswith('"'):
            try:
                value = json.loads(value)
            except ValueError:
                return None
        if name.startswith('"') or "\n" in value or value.startswith("|"):
            return None
        headers.append((name, value))
    return tuple(headers)


def _chunks(sizes: bytes, body: bytes) -> tuple[Chunk, ...] | None:
    chunks: list[Chunk] = []
    at = 0
    for spelled in sizes.split():
        size, _, wait = spelled.partition(b"+")
        end = at + int(size)
        chunks.append(Chunk(body[at:end], float(wait + b"e-3") if wait != b"0" else 0.0))
        at = end
    return tuple(chunks) if at == len(body) else None

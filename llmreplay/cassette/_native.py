"""The native cassette format: YAML, a short head, then one document an exchange.

    # llmreplay cassette …
    llmreplay: 1
    --- # <exact key>.<loose key>.<verbatim key> <digest>
    request: …
    response: …
    recorded: …
    ...

Rules:

* A document is read only when it is asked for. The opening line holds the three keys of its request
  (`llmreplay.matching`) and a digest of the text below it; a document whose digest differs was
  edited by hand, and is read at once to compute its keys anew.
* A file ends with the line `...`; one that does not has lost its end.
* Nested text is always indented, so that `---` at the start of a line always opens a document.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from llmreplay.cassette._document import Damaged
from llmreplay.matching import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["END", "HEAD", "VERSION", "Document", "digest", "is_whole", "looks_like", "opening", "split"]

VERSION = 1
HEAD = b"# llmreplay cassette: one document an exchange, made to be read in review\nllmreplay: 1\n"
END = b"...\n"

_HEAD = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:#[^\n]*\n|[ \t]*\n)*llmreplay: *(\S+)[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_OPENING = re.compile(rb" # ([0-9a-f]{16})\.([0-9a-f]{16})(?:\.([0-9a-f]{16}))? ([0-9a-f]{16})")
_SPACE = b" \t\n\r\v\f"

_HEAD_WITHIN = 4096


class Document(NamedTuple):
    """One exchange as it stands in a file: where its text is, and the keys if they hold.

    `line` is the number, from 0, of the first line of its text. `verbatim` is missing in files of older
    versions.
    """

    data: bytes
    start: int
    end: int
    line: int
    key: Key | None = None
    verbatim: str | None = None

    @property
    def text(self) -> bytes:
        """The text, cut out of the file."""
        return self.data[self.start : self.end]

    @property
    def edited(self) -> bool:
        """Whether the text is not what was written."""
        return self.key is None


def looks_like(data: bytes) -> bool:
    """Tell whether this is a file in the native format."""
    return _HEAD.match(data[:_HEAD_WITHIN].replace(b"\r\n", b"\n")) is not None


def is_whole(data: bytes) -> bool:
    """Tell whether a file has its end."""
    return _end(data) is not None


def _end(data: bytes) -> int | None:
    """Return where the line `...` is that ends a file; None if there is none."""
    end = len(data)
    while end and data[end - 1] in _SPACE:
        end -= 1
    return end - len(b"...") if data.endswith(b"\n...", 0, end) else None


def split(data: bytes) -> tuple[list[Document], Damaged | None]:
    """Cut a file into its documents without parsing any.

    Raises `Damaged` if the head is unknown; returns it, with the documents, if the end is missing.
    """
    if b"\r" in data:
        # Only a checkout turns newlines into these: what is written here never holds a carriage return.
        data = data.replace(b"\r\n", b"\n")
    head = _HEAD.match(data)
    if head is None:
        raise Damaged("this is not a llmreplay cassette: its head is missing")
    if head[1] != str(VERSION).encode():
        raise Damaged(
            f"the file is of format {head[1].decode(errors='replace')}, and this llmreplay reads {VERSION}"
        )
    end, cut_short = _end(data), None
    if end is None or end < head.end():
        missing = "the file does not end with the line `...`: it was cut short, or the line was deleted"
        end, cut_short = len(data), Damaged(missing, data.count(b"\n"))
    opened = data.find(b"\n---", head.end() - 1, end)
    if data[head.end() : end if opened < 0 else opened].strip():
        raise Damaged(
            "there is text between the head and the first document", data.count(b"\n", 0, head.end())
        )
    return list(_documents(data, opened, end)), cut_short


def _documents(data: bytes, opened: int, end: int) -> Iterator[Document]:
    """Yield the documents; `opened` is the end of the line before the first."""
    view = memoryview(data)
    line = counted = 0
    while opened >= 0:
        until = data.find(b"\n---", opened + 4, end)
        stop = end if until < 0 else until + 1
        start = data.find(b"\n", opened + 4, stop) + 1
        if 0 < start < stop:
            line += data.count(b"\n", counted, start)
            counted = start
            keys = _OPENING.fullmatch(data, opened + 4, start - 1)
            if keys is not None and keys[4].decode() == digest(view[start:stop]):
                exact, loose = keys[1].decode(), keys[2].decode()
                # Few requests have two keys: one string will do for the others.
                key = Key(exact, exact if exact == loose else loose)
                yield Document(data, start, stop, line, key, keys[3].decode() if keys[3] else None)
            elif data[start:stop].strip():
                yield Document(data, start, stop, line)
        opened = until


def digest(text: bytes | memoryview) -> str:
    """Return the digest that tells an untouched document from an edited one."""
    return blake2b(text, digest_size=8).hexdigest()


def opening(text: bytes, key: Key, verbatim: str | None = None) -> bytes:
    """Return the line that opens a document."""
    keys = f"{key.exact}.{key.loose}.{verbatim}" if verbatim else f"{key.exact}.{key.loose}"
    return f"--- # {keys} {digest(text)}\n".encode()

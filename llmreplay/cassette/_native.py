"""The native cassette format: YAML, a short head, then one document an exchange.

    # llmreplay cassette …
    llmreplay: 1
    --- # <exact key>.<loose key> <digest>
    request: …
    response: …
    recorded: …
    ...

Rules:

* A document is read only when it is asked for. The opening line holds the two keys of its request
  (`llmreplay.matching`) and a digest of the text below it; a document whose digest differs was
  edited by hand, and is read at once to compute its keys anew.
* A file ends with the line `...`; one that does not has lost its end.
* Nested text is always indented, so that `---` at the start of a line always opens a document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from llmreplay.cassette._document import Damaged

if TYPE_CHECKING:
    from llmreplay.matching import Key

__all__ = ["END", "HEAD", "VERSION", "Document", "digest", "looks_like", "opening", "split"]

VERSION = 1
HEAD = b"# llmreplay cassette: one document an exchange, made to be read in review\nllmreplay: 1\n"
END = b"...\n"

_HEAD = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:#[^\n]*\n|[ \t]*\n)*llmreplay: *(\S+)[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_OPENING = re.compile(rb" # ([0-9a-f]{16})\.([0-9a-f]{16}) ([0-9a-f]{16})")

_HEAD_WITHIN = 4096


@dataclass(frozen=True, slots=True)
class Document:
    """One exchange as it stands in a file: its text, the line it begins at, and the keys if they hold."""

    text: bytes
    line: int = 0
    exact: str | None = None
    loose: str | None = None
    edited: bool = False


def looks_like(data: bytes) -> bool:
    """Tell whether this is a file in the native format."""
    return _HEAD.match(data[:_HEAD_WITHIN].replace(b"\r\n", b"\n")) is not None


def split(data: bytes) -> tuple[list[Document], Damaged | None]:
    """Cut a file into its documents without parsing any.

    Raises `Damaged` if the head is unknown; returns it, with the documents, if the end is missing.
    """
    if b"\r\n" in data:
        # Only a checkout turns newlines into these: what is written here never holds a carriage return.
        data = data.replace(b"\r\n", b"\n")
    head = _HEAD.match(data)
    if head is None:
        raise Damaged("this is not a llmreplay cassette: its head is missing")
    if head[1] != str(VERSION).encode():
        raise Damaged(
            f"the file is of format {head[1].decode(errors='replace')}, and this llmreplay reads {VERSION}"
        )
    documents = b"\n" + data[head.end() :]
    cut_short = None
    if documents.rstrip().endswith(b"\n..."):
        documents = documents[: documents.rindex(b"\n...") + 1]
    else:
        missing = "the file does not end with the line `...`: it was cut short, or the line was deleted"
        cut_short = Damaged(missing, data.count(b"\n"))
    between, *pieces = documents.split(b"\n---")
    line = data.count(b"\n", 0, head.end())
    if between.strip():
        raise Damaged("there is text between the head and the first document", line)
    line += between.count(b"\n") + 1
    found = []
    for number, piece in enumerate(pieces, 1):
        rest, _, text = piece.partition(b"\n")
        if number != len(pieces):
            text += b"\n"
        keys = _OPENING.fullmatch(rest)
        if keys is not None and keys[3].decode() == digest(text):
            found.append(Document(text, line, keys[1].decode(), keys[2].decode()))
        elif text.strip():
            found.append(Document(text, line, edited=True))
        line += piece.count(b"\n") + 1
    return found, cut_short


def digest(text: bytes) -> str:
    """Return the digest that tells an untouched document from an edited one."""
    return blake2b(text, digest_size=8).hexdigest()


def opening(text: bytes, key: Key) -> bytes:
    """Return the line that opens a document."""
    return f"--- # {key.exact}.{key.loose} {digest(text)}\n".encode()

"""Reads the compressed cassettes of LangChain (`.yaml.gz`), and any other vcrpy cassette that was gzipped.

Looked at: `CustomSerializer` and `CustomPersister` of langchain-tests 1.1.9, and the `conftest.py` of
langchain-openai. The file is gzip of YAML with two lists, `requests` and `responses`, side by side, in
vcrpy's shapes. Rules:

* LangChain's own suites write `**REDACTED**` for the URL and for every header. Such an exchange is read
  as it stands; `load(path, url=...)` says where it went.
* The same YAML uncompressed is read too.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING

from llmreplay.cassette import _vcr
from llmreplay.cassette._foreign import broken, exchanges_of
from llmreplay.cassette._vcr_tree import Parsed, Table, parse

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange

__all__ = ["looks_like", "read"]

_GZIP = b"\x1f\x8b"
_LISTS = (re.compile(rb"^requests:", re.MULTILINE), re.compile(rb"^responses:", re.MULTILINE))
_WHAT = "compressed vcrpy cassette"


def looks_like(data: bytes) -> bool:
    """Tell whether a file is such a cassette; what is compressed has to be taken out for it."""
    if not data.startswith(_GZIP):
        return _is_pair(data)
    try:
        text = _taken_out(data)
    except (EOFError, zlib.error):
        return False
    return _is_pair(text) or _vcr.looks_like(text)


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a compressed cassette.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    text = _taken_out(data) if data.startswith(_GZIP) else data
    if not _is_pair(text):
        return _vcr.read(text, path)
    asked, answered = (parse(text, (name,)) for name in ("requests", "responses"))
    if asked.problems or answered.problems:
        # The same damage is found from both lists.
        raise broken(path, _WHAT, list(dict.fromkeys(asked.problems + answered.problems)), [])
    requests, responses = len(asked.interactions), len(answered.interactions)
    paired = Parsed()
    if requests != responses:
        paired.problems.append((1, f"there are {requests} requests and {responses} responses"))
    for (line, request), (_, response) in zip(asked.interactions, answered.interactions, strict=False):
        pair = Table(line)
        pair["request"], pair["response"] = request, response
        paired.interactions.append((line, pair))
    return exchanges_of(paired, path, _WHAT, _vcr.exchange)


def _is_pair(text: bytes) -> bool:
    return all(form.search(text) for form in _LISTS)


def _taken_out(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except gzip.BadGzipFile as error:
        raise zlib.error(str(error)) from None

"""Reads the cassettes of Ruby's VCR, as its YAML and JSON serializers write them.

Rules:

* Ruby's tags are read past: `!binary` is base64, `!ruby/…` is the text or the mapping it stands before.
* A response without a body, as VCR keeps of a stream that was handed on piece by piece, has an empty one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._foreign import (
    exchanges_of,
    headers_of,
    imported,
    instant,
    needed,
    part_of,
    request_of,
    response_of,
    status_of,
    text_or_bytes,
    version_of,
)
from llmreplay.cassette._vcr_tree import parse, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange

__all__ = ["interactions", "looks_like", "read", "recorder"]

_YAML = re.compile(rb"^http_interactions:", re.MULTILINE)
_JSON = re.compile(rb'"http_interactions"\s*:\s*\[')
_RECORDER = re.compile(rb'^(?:recorded_with:|.*"recorded_with"\s*:) *"?([^"\n]*)"?', re.MULTILINE)


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a cassette of Ruby's VCR."""
    return interactions(data) and b"vcr/" not in recorder(data)


def interactions(data: bytes) -> bool:
    """Tell whether a file has the list that VCR and its namesake in R begin with."""
    begin = _JSON if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" else _YAML
    return begin.search(data) is not None


def recorder(data: bytes) -> bytes:
    """Return what a file says it was recorded with; nothing if it does not say."""
    found = _RECORDER.findall(data)
    return bytes(found[-1]) if found else b""


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a cassette of Ruby's VCR.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    return exchanges_of(parse(data, ("http_interactions",)), path, "cassette of Ruby's VCR", _exchange)


def _exchange(tree: dict[str, Any]) -> Exchange:
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    method = needed(asked, "method")
    status, message = status_of(answered)
    return imported(
        request_of(method, needed(asked, "uri"), headers_of(asked), text_or_bytes(asked.get("body"), asked)),
        response_of(
            method,
            status,
            message,
            version_of(text_of(answered.get("http_version"))),
            headers_of(answered),
            text_or_bytes(answered.get("body"), answered),
        ),
        instant(text_of(tree.get("recorded_at"))),
    )

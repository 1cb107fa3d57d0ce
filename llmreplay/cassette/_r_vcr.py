"""Reads the cassettes of R's vcr, which are like those of Ruby's.

Rules:

* Up to version 1 a status is a mapping (`status_code`, `reason`), from version 2 on a number.
* Bytes are base64, as they are (`base64_string`) or compressed (`raw_gzip`).
* The bytes of an upload are not in the file, only the names of its fields: such a request has no body.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from llmreplay.cassette import _ruby_vcr
from llmreplay.cassette._foreign import (
    Trouble,
    base64_of,
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
from llmreplay.cassette._vcr_tree import meaning, parse, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange

__all__ = ["looks_like", "read"]

_STATUS = re.compile(rb"^ +(?:status: *\d|status_code:)", re.MULTILINE)
_ANY_WINDOW = zlib.MAX_WBITS | 32  # R's memCompress writes zlib and calls it gzip: take either


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a cassette of R's vcr."""
    if not _ruby_vcr.interactions(data):
        return False
    recorder = _ruby_vcr.recorder(data)
    return b"vcr/" in recorder or (not recorder and _STATUS.search(data) is not None)


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a cassette of R's vcr.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    return exchanges_of(parse(data, ("http_interactions",)), path, "cassette of R's vcr", _exchange)


def _exchange(tree: dict[str, Any]) -> Exchange:
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    method = needed(asked, "method")
    status, message = _status(answered)
    headers, body = headers_of(answered), _body(answered)
    return imported(
        request_of(method, needed(asked, "uri"), headers_of(asked), _body(asked)),
        response_of(
            method, status, message, version_of(text_of(answered.get("http_version"))), headers, body
        ),
        instant(text_of(tree.get("recorded_at"))),
    )


def _status(part: dict[str, Any]) -> tuple[int, str | None]:
    status = part.get("status")
    if not isinstance(status, dict) or "status_code" not in status:
        return status_of(part)
    reason = status.get("reason")
    code, _ = status_of(part, status["status_code"])
    return code, None if meaning(reason) is None else text_of(reason)


def _body(part: dict[str, Any]) -> bytes:
    body = part.get("body")
    if not isinstance(body, dict):
        return text_or_bytes(body, part)
    if meaning(body.get("file")) is True:
        raise Trouble("a body is in another file, which is not looked for", part)
    if meaning(body.get("raw_gzip")) is None:
        return text_or_bytes(body, part)
    try:
        return zlib.decompress(base64_of(body["raw_gzip"], part), _ANY_WINDOW)
    except zlib.error as error:
        raise Trouble(f"a body is not the compressed one it says it is: {error}", part) from None

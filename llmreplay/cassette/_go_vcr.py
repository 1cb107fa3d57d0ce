"""Reads the cassettes of go-vcr, versions 1 to 4.

Rules:

* Requests have a `url`, where vcrpy's have a `uri`: that tells the two formats apart.
* `form` repeats what is in the query or in the body; it is the body only where no other was kept.
* `duration` is the time of the whole exchange, which says nothing of its chunks: it is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from llmreplay.cassette._foreign import (
    exchanges_of,
    headers_of,
    imported,
    needed,
    part_of,
    request_of,
    response_of,
    status_of,
    text_or_bytes,
    values_of,
    version_of,
)
from llmreplay.cassette._vcr_tree import meaning, parse, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange

__all__ = ["looks_like", "read"]

_INTERACTIONS = re.compile(rb"^interactions:[ \t]*\n", re.MULTILINE)
_REQUEST = re.compile(rb"^ *(?:- +)?request: *\n( +)", re.MULTILINE)
_FORM = "application/x-www-form-urlencoded"


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a cassette of go-vcr."""
    begin = _INTERACTIONS.search(data)
    request = _REQUEST.search(data, begin.end()) if begin else None
    if request is None:
        return False
    keys = re.compile(rb"^(?: {0,%d}\S| {%d}url:())" % (len(request[1]) - 1, len(request[1])), re.MULTILINE)
    found = keys.search(data, request.end() - len(request[1]))
    return found is not None and found[1] is not None


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a cassette of go-vcr.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    parsed = parse(data, opens="id|request|response")
    return exchanges_of(parsed, path, "cassette of go-vcr", _exchange)


def _exchange(tree: dict[str, Any]) -> Exchange:
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    method = text_of(asked.get("method")) or "GET"  # as Go has it
    status, message = _status(answered)
    headers, body = headers_of(answered), text_or_bytes(answered.get("body"), answered)
    return imported(
        request_of(method, needed(asked, "url"), headers_of(asked), _asked_body(asked)),
        response_of(method, status, message, version_of(text_of(answered.get("proto"))), headers, body),
        None,
    )


def _status(part: dict[str, Any]) -> tuple[int, str | None]:
    line = part.get("status")
    said = None if meaning(line) is None else text_of(line)
    code, _ = status_of(part, part["code"] if meaning(part.get("code")) is not None else said)
    phrase = re.sub(r"^\s*\d{3}\s*", "", said or "")
    return code, phrase or None


def _asked_body(part: dict[str, Any]) -> bytes:
    body, form = text_or_bytes(part.get("body"), part), part.get("form")
    kind = next((value for name, value in headers_of(part) if name.lower() == "content-type"), "")
    if body or not isinstance(form, dict) or not kind.lower().startswith(_FORM):
        return body
    return urlencode([(name, value) for name, values in form.items() for value in values_of(values)]).encode()

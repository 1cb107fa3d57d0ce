"""Reads the files of Datadog's test agent (`ddapm-test-agent`), one exchange each, in JSON.

Looked at: the cassettes of dd-trace-py. A file is one object with a `request` (`method`, `url`, `headers`,
`body`) and a `response` (`status`, `headers`, `body`); bodies are text, and were decoded before.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._foreign import (
    broken,
    exchanges_of,
    headers_of,
    imported,
    needed,
    part_of,
    request_of,
    response_of,
    status_of,
    text_or_bytes,
)
from llmreplay.cassette._vcr_tree import Parsed

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange

__all__ = ["looks_like", "read"]

_BEGINNING = re.compile(rb'\s*\{\s*"request"\s*:\s*\{\s*"method"\s*:\s*"[A-Za-z]+"\s*,\s*"url"\s*:')
_RESPONSE = re.compile(rb'"response"\s*:\s*\{\s*"status"\s*:')
_WHAT = "cassette of the test agent"


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is of the test agent."""
    return _BEGINNING.match(data) is not None and _RESPONSE.search(data) is not None


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the one exchange of a file; raises `BrokenCassette` if it cannot be read."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise broken(path, _WHAT, [(line, f"not JSON: {getattr(error, 'msg', error)}")], []) from None
    return exchanges_of(Parsed([(1, tree)]), path, _WHAT, _exchange)


def _exchange(tree: dict[str, Any]) -> Exchange:
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    method = needed(asked, "method")
    status, message = status_of(answered)
    body = text_or_bytes(answered.get("body"), answered)
    return imported(
        request_of(method, needed(asked, "url"), headers_of(asked), text_or_bytes(asked.get("body"), asked)),
        response_of(method, status, message, "HTTP/1.1", headers_of(answered), body),
        None,
    )

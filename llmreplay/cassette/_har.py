"""Reads HTTP archives (HAR 1.2), as browsers, proxies and Polly.JS write them, in JSON or in YAML.

Rules:

* An entry that a browser took from its cache (`_fromCache`) never crossed the wire, and is left out.
* Content is stored without its coding, or by Polly.JS with it, in base64 and in pieces.
* A parsed body (`textJSON`) is spelled again as long as its `bodySize` says.
* Content that has a size and was not kept is damage: an empty body would answer in its place.
* The status 0 is a request that got no response.
* What llmreplay wrote itself (`_har_write`) is read back as it was.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from llmreplay.cassette._foreign import (
    Trouble,
    base64_of,
    bytes_of,
    exchanges_of,
    imported,
    instant,
    json_bytes,
    latin,
    may_have_body,
    needed,
    part_of,
    request_of,
    response_of,
    status_of,
    version_of,
)
from llmreplay.cassette._har_write import OURS
from llmreplay.cassette._restored import Kept
from llmreplay.cassette._vcr_tree import meaning, parse, text_of
from llmreplay.exchange import Failure, Request

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange, Headers, Response

__all__ = ["left_out", "looks_like", "read"]

_JSON = re.compile(rb'\s*\{\s*"log"\s*:\s*\{')
_YAML = re.compile(rb"(?:(?:---|#)[^\n]*\n|[ \t]*\n)*log:[ \t]*\n( +)")
_JSON_ENTRIES = re.compile(rb'"entries"\s*:\s*\[')
_OPENS = "_id|_order|cache|connection|pageref|request|startedDateTime|_[a-z]+"


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is an HTTP archive."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if _JSON.match(data):
        return _JSON_ENTRIES.search(data) is not None
    begin = _YAML.match(data)
    return begin is not None and re.search(rb"^%bentries:" % begin[1], data, re.MULTILINE) is not None


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of an HTTP archive.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    return exchanges_of(parse(data, ("log", "entries"), _OPENS), path, "HTTP archive", _exchange)


def _exchange(tree: dict[str, Any]) -> Exchange | None:
    if meaning(tree.get("_fromCache")):
        return None
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    method = needed(asked, "method")
    ours = tree.get(OURS)
    if isinstance(ours, dict):
        request = Request(method, needed(asked, "url"), _all_headers(asked), _sent(asked))
        return _restored(Kept(OURS, ours, answered, None), request, answered)
    request = request_of(method, needed(asked, "url"), _headers(asked), _sent(asked))
    return imported(request, _answer(answered, method), instant(text_of(tree.get("startedDateTime"))))


def left_out(data: bytes) -> list[str]:
    """Say which entries of an archive are no exchanges."""
    cached = sum(
        1
        for _, tree in parse(data, ("log", "entries"), _OPENS).interactions
        if isinstance(tree, dict) and meaning(tree.get("_fromCache"))
    )
    return (
        [f"{cached} {'entry' if cached == 1 else 'entries'} that a browser had in its cache"]
        if cached
        else []
    )


def _restored(kept: Kept, request: Request, part: dict[str, Any]) -> Exchange:
    if kept.failed:
        return kept.exchange(request, None, (), b"")
    status, _ = status_of(part)
    message, version = text_of(part.get("statusText")), text_of(part.get("httpVersion")) or "HTTP/1.1"
    headers, body = _all_headers(part), _content(part, request.method, status)
    plain = response_of(request.method, status, message, version, headers, body)
    return kept.exchange(request, plain, headers, body)


def _answer(part: dict[str, Any], method: str) -> Response | Failure:
    if meaning(part.get("status")) in (0, "0"):
        said = text_of(part.get("_error")) or text_of(part.get("statusText")) or "no response"
        return Failure("ConnectError", said, "connect")
    status, _ = status_of(part)
    message, version = text_of(part.get("statusText")), version_of(text_of(part.get("httpVersion")))
    return response_of(method, status, message, version, _headers(part), _content(part, method, status))


def _headers(part: dict[str, Any]) -> Headers:
    """Return the headers without the pseudo-headers of HTTP/2."""
    return tuple(pair for pair in _all_headers(part) if pair[0] and not pair[0].startswith(":"))


def _all_headers(part: dict[str, Any]) -> Headers:
    """Read the list of names and values."""
    stored = part.get("headers")
    if meaning(stored) is None:
        return ()
    if not isinstance(stored, list) or not all(isinstance(item, dict) for item in stored):
        raise Trouble("headers are no list of names and values", part)
    pairs = [(text_of(item.get("name")) or "", text_of(item.get("value")) or "") for item in stored]
    return tuple((latin(name), latin(value)) for name, value in pairs)


def _sent(part: dict[str, Any]) -> bytes:
    data = part.get("postData")
    if not isinstance(data, dict):
        return b""
    if "textJSON" in data:
        return json_bytes(data["textJSON"], text_of(part.get("bodySize")))
    if meaning(data.get("text")):
        return _decoded(data, part)
    params = [item for item in data.get("params") or [] if isinstance(item, dict)]
    return urlencode(
        [(text_of(item.get("name")) or "", text_of(item.get("value")) or "") for item in params]
    ).encode()


def _content(part: dict[str, Any], method: str, status: int) -> bytes:
    content: Any = part.get("content")
    content = content if isinstance(content, dict) else {}
    if "textJSON" in content:
        return json_bytes(content["textJSON"], text_of(content.get("size")))
    if "text" in content:
        return _decoded(content, part)
    size = meaning(content.get("size"))
    if isinstance(size, int) and size > 0 and may_have_body(method, status):
        raise Trouble(f"a response had {size} bytes of content, and they were not kept", part)
    return b""


def _decoded(stored: dict[str, Any], part: dict[str, Any]) -> bytes:
    text = stored["text"]
    if meaning(text) is None:
        return b""
    if not isinstance(text, str | bytes):
        raise Trouble("the text of a body is no text", part)
    if text_of(stored.get("encoding", stored.get("_encoding"))) != "base64":
        return bytes_of(text)
    if (text_of(text) or "").startswith("["):
        return _pieces(str(text), part)
    return base64_of(text, part)


def _pieces(text: str, part: dict[str, Any]) -> bytes:
    """Read the pieces that Polly.JS keeps of a body with a coding: a JSON list of base64."""
    try:
        return b"".join(base64.b64decode(piece, validate=True) for piece in json.loads(text))
    except (ValueError, TypeError):
        raise Trouble("a body is not the list of base64 it says it is", part) from None

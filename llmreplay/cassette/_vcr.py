"""Reads vcrpy's cassettes as they are in the wild; `write` stands in `_vcr_write`.

Rules:

* Everything a serializer or a filter made of a body is understood: text, bytes, `{string: …}`, JSON in
  place of text (pydantic-ai's `parsed_body`), the parts of an iterator, the old httpx shape (`content`).
* Bodies are given decoded, under headers that are true of them, as `_foreign` has it.
* What llmreplay wrote itself is read back as it was: what vcrpy has no word for is in `x-llmreplay`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._foreign import (
    Trouble,
    base64_of,
    bytes_of,
    exchanges_of,
    headers_of,
    imported,
    instant,
    json_bytes,
    may_have_body,
    needed,
    part_of,
    request_of,
    response_of,
    status_of,
    version_of,
)
from llmreplay.cassette._restored import Kept
from llmreplay.cassette._vcr_tree import Plain, meaning, parse, text_of
from llmreplay.cassette._vcr_write import OURS, write
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange, Response

__all__ = ["exchange", "looks_like", "plain_response", "read", "write"]

_BEFORE_1_0 = re.compile(rb"^- +request: *!!python/object:vcr\.", re.MULTILINE)
_INTERACTIONS = re.compile(
    rb"^interactions:[^\n]*\n?((?:[ \t]*(?:#[^\n]*)?\n)* *- +(?=[a-z]))?", re.MULTILINE
)
_NO_INTERACTIONS = (b"interactions:", b"interactions: []", b"interactions: null")
_JSON_LIST = re.compile(rb'"interactions"\s*:\s*\[\s*(\])?')
_JSON_URI = re.compile(rb'[^\\]"uri"\s*:')


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a vcrpy cassette, of its YAML or its JSON serializer."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] == b"{":
        items = _JSON_LIST.search(data)
        return items is not None and (items[1] is not None or _JSON_URI.search(data, items.end()) is not None)
    begin = _INTERACTIONS.search(data)
    if begin is None:
        return _BEFORE_1_0.search(data) is not None
    if begin[1] is None:
        return b" ".join(data[begin.start() :].split()).removesuffix(b" version: 1") in _NO_INTERACTIONS
    # Other recorders begin their files alike: go-vcr's requests have a `url`, cassetter's bodies a `type`,
    # and some have no request at all.
    indent = begin.end() - data.rindex(b"\n", 0, begin.end()) - 1
    part = re.compile(rb"^(?: {%d}| *- +)(?:request|response): *(?:!![^\n]*)?\n( +)" % indent, re.MULTILINE)
    request = part.search(data, begin.start())
    if request is None:
        return False
    deeper = len(request[1])
    end = re.compile(rb"^ {0,%d}\S" % (deeper - 1), re.MULTILINE).search(data, request.end())
    keys = re.compile(rb"^ {%d}(?:uri|(url|proto|form|host)):" % deeper, re.MULTILINE)
    within = request.end() - deeper, end.start() if end else len(data)
    found = keys.search(data, *within)
    if found is not None and found[1] is not None:
        return False
    typed = re.compile(rb"^ {%d}body: *\r?\n +type: *(?:json|text|binary|none) *\r?$" % deeper, re.MULTILINE)
    return typed.search(data, *within) is None


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a vcrpy cassette.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    return exchanges_of(parse(data), path, "vcrpy cassette", exchange)


def exchange(tree: dict[str, Any]) -> Exchange:
    """Build the exchange of an interaction; raises `Trouble` if it lacks something."""
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    ours = answered.get(OURS)
    stamps = (instant(text_of(part.get("recorded_at"))) for part in (tree, asked, answered))
    at = next(filter(None, stamps), None)
    if not isinstance(ours, dict):
        request = _request(asked)
        return imported(request, plain_response(answered, request.method), at)

    request = Request(needed(asked, "method"), needed(asked, "uri"), headers_of(asked), _stored_body(asked))
    kept = Kept(OURS, ours, answered, at)
    plain = None if kept.failed else plain_response(answered, request.method)
    return kept.exchange(request, plain, headers_of(answered), _stored_body(answered))


def _request(part: dict[str, Any]) -> Request:
    return request_of(needed(part, "method"), needed(part, "uri"), headers_of(part), _stored_body(part))


def plain_response(part: dict[str, Any], method: str) -> Response:
    """Build the response to a request of that method as anybody would read it; raises `Trouble`."""
    status, message = status_of(part)
    if not {"body", "parsed_body", "content"} & part.keys() and may_have_body(method, status):
        raise Trouble("a response has no body", part)
    version = version_of(text_of(part.get("http_version")))
    return response_of(method, status, message, version, headers_of(part), _stored_body(part))


def _stored_body(part: dict[str, Any]) -> bytes:
    headers = {name.lower(): value for name, value in reversed(headers_of(part))}
    is_json = "json" in headers.get("content-type", "").lower()
    stored = part.get("body", part.get("content"))
    if "parsed_body" in part and (meaning(part["parsed_body"]) is not None or stored is None):
        parsed: Any = part["parsed_body"]
        is_json = is_json or not isinstance(parsed, str | bytes) or isinstance(parsed, Plain)
        return json_bytes(parsed, headers.get("content-length")) if is_json else bytes_of(parsed)
    if isinstance(stored, dict) and stored.keys() <= {"string", "base64_string", "encoding"}:
        if "base64_string" in stored:
            return base64_of(stored["base64_string"], part)
        stored = stored.get("string")
    if stored is None or (isinstance(stored, Plain) and meaning(stored) is None):
        return b""
    if isinstance(stored, list) and _are_pieces(stored, is_json=is_json):
        return b"".join(bytes_of(piece) for piece in stored)
    return (
        bytes_of(stored)
        if isinstance(stored, str | bytes)
        else json_bytes(stored, headers.get("content-length"))
    )


def _are_pieces(values: list[Any], *, is_json: bool) -> bool:
    """Tell the pieces of an iterator, as aiohttp and requests send them, from a JSON array."""
    if not all(isinstance(value, str | bytes) for value in values):
        return False
    return not is_json or any(isinstance(value, bytes) for value in values)

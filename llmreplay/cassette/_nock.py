"""Reads the fixtures of nock, as its recorder and nock-back write them in JSON.

Rules:

* A body that was JSON stands parsed, and is spelled again as long as its `content-length` says.
* Bytes are hexadecimal: one string if they are no text, and a list of them if they had a content coding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._foreign import (
    Trouble,
    bytes_of,
    exchanges_of,
    imported,
    json_bytes,
    latin,
    needed,
    request_of,
    response_of,
    status_of,
    values_of,
)
from llmreplay.cassette._vcr_tree import parse, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange, Headers

__all__ = ["looks_like", "read"]

_SCOPE = re.compile(rb'\s*\[\s*(?:\]\s*$|\{[^{}]*?"scope"\s*:)')
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_DEFAULT_PORT = re.compile(r"^(https://.*):443$|^(http://.*):80$")


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a fixture of nock."""
    found = _SCOPE.match(data.removeprefix(b"\xef\xbb\xbf"))
    return found is not None and (b'"response"' in data or found[0].rstrip().endswith(b"]"))


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a fixture of nock.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    return exchanges_of(parse(data, ()), path, "fixture of nock", _exchange)


def _exchange(tree: dict[str, Any]) -> Exchange:
    scope, path = needed(tree, "scope"), needed(tree, "path")
    method = text_of(tree.get("method")) or "GET"  # as nock has it
    asked = _headers(tree.get("reqheaders"))
    answered = _headers(tree.get("rawHeaders", tree.get("headers")))
    status, _ = status_of(tree, tree.get("status", 200))
    body = _body(tree.get("response"), answered, binary=tree.get("responseIsBinary") is True)
    return imported(
        request_of(method, _without_port(scope) + path, asked, _body(tree.get("body"), asked)),
        response_of(method, status, None, "HTTP/1.1", answered, body),
        None,
    )


def _without_port(scope: str) -> str:
    found = _DEFAULT_PORT.match(scope)
    return scope if found is None else found[1] or found[2]


def _headers(stored: Any) -> Headers:
    """Read a mapping, or the flat list of names and values that Node has."""
    if isinstance(stored, dict):
        pairs = list(stored.items())
    elif isinstance(stored, list) and len(stored) % 2 == 0:
        pairs = [(text_of(name) or "", value) for name, value in zip(stored[::2], stored[1::2], strict=True)]
    elif not stored:
        pairs = []
    else:
        raise Trouble("headers are neither a mapping nor a list of names and values")
    return tuple((latin(name), latin(value)) for name, values in pairs for value in values_of(values))


def _body(stored: Any, headers: Headers, *, binary: bool = False) -> bytes:
    said = {name.lower(): value for name, value in reversed(headers)}
    if stored is None:
        return b""
    if isinstance(stored, list) and "content-encoding" in said and all(map(_is_hex, stored)):
        return bytes.fromhex("".join(stored))
    if not isinstance(stored, str):
        return json_bytes(stored, said.get("content-length"))
    if _is_hex(stored) and (binary or not _is_text(bytes.fromhex(stored))):
        return bytes.fromhex(stored)
    return bytes_of(stored)


def _is_hex(text: Any) -> bool:
    return isinstance(text, str) and _HEX.fullmatch(text) is not None


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

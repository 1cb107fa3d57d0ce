"""Reads the cassettes of cassetter, in YAML and in TOML.

Looked at: what cassetter 0.16.1 writes. Each body names its `type`: `json` (the value itself; in TOML its
text), `text`, `binary` (hexadecimal) or `none`. Rules:

* JSON is spelled again as long as its `content-length` says; cassetter keeps no spelling.
* gRPC calls and WebSockets, which may stand in the same file, are no exchanges: `left_out` counts them.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._foreign import (
    Trouble,
    broken,
    bytes_of,
    exchanges_of,
    headers_of,
    imported,
    instant,
    json_bytes,
    needed,
    part_of,
    request_of,
    response_of,
    status_of,
)
from llmreplay.cassette._vcr_tree import Parsed, parse, text_of
from llmreplay.errors import CassetteError, render

if TYPE_CHECKING:
    from pathlib import Path

    from llmreplay.exchange import Exchange

__all__ = ["left_out", "looks_like", "read"]

_TYPED = re.compile(
    rb"^interactions:[ \t]*\r?\n( *)- request:[ \t]*\r?\n(?:\1    [^\n]*\n)*?"
    rb"\1    body:[ \t]*\r?\n\1      type: *(?:json|text|binary|none)[ \t]*\r?$",
    re.MULTILINE,
)
_OTHERS = re.compile(rb"^(grpc|ws)_interactions:[ \t]*\r?\n((?:[ -][^\n]*\n?)*)", re.MULTILINE)
_ITEM = re.compile(rb"^- ", re.MULTILINE)
_NONE = re.compile(rb"^interactions: \[\][ \t]*\r?\n(?=(?:grpc|ws)_interactions:)", re.MULTILINE)
_TOML = re.compile(
    rb"^\[\[interactions\]\][^\n]*\n(?:(?!\[)[^\n]*\n)*\[interactions\.request\]", re.MULTILINE
)
_WHAT = "cassette of cassetter"


def looks_like(data: bytes) -> bool:
    """Tell by a glance whether a file is a cassette of cassetter."""
    return any(form.search(data) for form in (_TYPED, _NONE, _TOML))


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a cassette of cassetter.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest. Raises
    `CassetteError` if it holds no exchange over HTTP.
    """
    if _NONE.search(data):
        others = [f"it holds {told}" for told in left_out(data)]
        fact = f"{path} is a cassette of cassetter without an exchange over HTTP."
        raise CassetteError(
            render(fact, others, ["Only HTTP is replayed: there is nothing to read."]), path=path
        )
    parsed = _parse_toml(data, path) if _TOML.search(data) else parse(data)
    return exchanges_of(parsed, path, _WHAT, _exchange)


def left_out(data: bytes) -> list[str]:
    """Say what else is in the file."""
    names = {b"grpc": "gRPC", b"ws": "WebSocket"}
    found = [(names[match[1]], len(_ITEM.findall(match[2]))) for match in _OTHERS.finditer(data)]
    return [f"{count} {name} interaction{'' if count == 1 else 's'}" for name, count in found if count]


def _parse_toml(data: bytes, path: Path) -> Parsed:
    try:
        items = tomllib.loads(data.decode("utf-8-sig")).get("interactions")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise broken(path, _WHAT, [(None, f"not TOML: {error}")], []) from None
    return Parsed([(None, item) for item in items]) if isinstance(items, list) else Parsed()


def _exchange(tree: dict[str, Any]) -> Exchange:
    asked, answered = part_of(tree, "request"), part_of(tree, "response")
    method = needed(asked, "method")
    status, _ = status_of(answered)
    return imported(
        request_of(method, needed(asked, "uri"), headers_of(asked), _body(asked)),
        response_of(method, status, None, "HTTP/1.1", headers_of(answered), _body(answered)),
        instant(text_of(tree.get("recorded_at"))),
    )


def _body(part: dict[str, Any]) -> bytes:
    stored = part.get("body")
    if isinstance(stored, dict):
        kind, content = text_of(stored.get("type")), stored.get("content")
    else:
        kind, content = text_of(part.get("body_type")), part.get("body_content")
        if kind == "json":  # in TOML, its text as it was spelled
            kind = "text"
    if kind == "none":
        return b""
    if kind == "json":
        lengths = [value for name, value in headers_of(part) if name.lower() == "content-length"]
        return json_bytes(content, lengths[0] if lengths else None)
    if not isinstance(content, str | bytes) or kind not in ("text", "binary"):
        raise Trouble(f"a body has the type {kind!r} and no content of it", part)
    if kind == "text":
        return bytes_of(str(content) if isinstance(content, str) else content)
    try:
        return bytes.fromhex(text_of(content) or "")
    except ValueError:
        raise Trouble("a body is not the hexadecimal it says it is", part) from None

"""Makes an exchange of a file that holds a response and does not say to what: `load(path, url=...)`.

Such a file is a body, as `curl` saves it, or a response with its status and headers, as `curl -i` prints
it or as a JSON object with `status`, `headers` and `body`. Rules:

* A body alone is taken for a 200; JSON, event streams (of text and of AWS) and JSON lines are told apart
  by their bytes, and anything else is refused: a guess would pass a wrong file for an answer.
* Bytes are kept, with one exception: lines of JSON where the wire of the URL sends no such lines are the
  events of a stream that somebody took out of their frames, and are put back into them. What was not
  written down (`[DONE]`, ids) is not made up.
* The request is a POST to that URL, with the body that `request` names, or none: then the exchange can be
  looked at and decoded, but no real request equals it.
* A file of a known format tells where its requests went. Where that was redacted, the URL takes its place.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmreplay import codecs
from llmreplay.cassette import _reading
from llmreplay.cassette._foreign import (
    bytes_of,
    headers_of,
    imported,
    json_bytes,
    latin,
    response_of,
    version_of,
)
from llmreplay.errors import CassetteError, OptionError, render
from llmreplay.exchange import Request
from llmreplay.framing import eventstream, jsonarray

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from llmreplay.exchange import Exchange, Headers, Response

__all__ = ["located", "looks_like", "read"]

_STATUS_LINE = re.compile(rb"(HTTP/\d(?:\.\d)?) (\d{3})(?: ([^\r\n]*))?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_EVENT_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?::|(?:data|event|id|retry)(?::|\r?\n))")
_EVENT_NAME = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)
_ENVELOPE = frozenset({"status", "status_code", "headers", "body"})
_INFORMATIONAL = 200
_LINES = frozenset({"ollama", "ollama_generate", "cohere_v1"})
_JSON, _SSE, _NDJSON = "application/json", "text/event-stream", "application/x-ndjson"
_AWS = "application/vnd.amazon.eventstream"


def looks_like(data: bytes) -> bool:  # noqa: ARG001  asked of all formats alike
    """Tell that no file is known for a dump by itself."""
    return False


def located(
    place: Path, data: bytes, url: str | None, request: str | os.PathLike[str] | None
) -> tuple[list[Exchange], str]:
    """Return the exchanges of a file that does not tell where its requests went, and its format.

    Raises `OptionError` if there is no URL, or if the file tells what was given.
    """
    if url is None:
        raise OptionError("url", None, "where the request went, since its body was given")
    _check(url)
    known = _reading.format_of(data)
    if known is None:
        asked = b"" if request is None else _reading.bytes_of(Path(request))
        if asked is None:
            raise OptionError("request", str(request), "a file with the body of the request")
        return [read(data, place, url, asked)], "dump"
    if request is not None:
        raise OptionError("request", str(request), f"none: {place} has the format {known}, with its requests")
    exchanges = [entry.exchange for entry in _reading.read(place, data)[0]]
    nowhere = ["://" not in each.request.url or not each.request.host for each in exchanges]
    if not any(nowhere):
        expected = f"none: {place} has the format {known}, and tells where its requests went"
        raise OptionError("url", url, expected)
    return [
        replace(each, request=replace(each.request, url=url)) if lacking else each
        for each, lacking in zip(exchanges, nowhere, strict=True)
    ], known


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        expected = "where the request went, such as https://api.openai.com/v1/chat/completions"
        raise OptionError("url", url, expected)


def read(data: bytes, path: Path, url: str, asked: bytes = b"") -> Exchange:
    """Return the exchange that a dump is the response of; raises `CassetteError` if it is none."""
    if not data.strip():
        raise CassetteError(render(f"{path} is empty, so it is no response."), path=path)
    headers: Headers = (("content-type", _JSON),) if asked else ()
    request = Request("POST", url, headers, asked)
    response = _printed(data) or _wrapped(data)
    if response is None:
        kind, body = _told(data, request)
        if kind is None:
            known = "known: JSON, server-sent events, JSON lines, AWS event streams, and what curl -i prints"
            evidence = [known, *_damage(data)]
            raise CassetteError(render(f"{path} is no response that llmreplay knows.", evidence), path=path)
        response = response_of("POST", 200, None, "HTTP/1.1", (("content-type", kind),), body)
    return imported(request, response, None)


def _printed(data: bytes) -> Response | None:
    """Read what `curl -i` prints: heads, of which the last counts, and the body."""
    found = None
    while (line := _STATUS_LINE.match(data)) is not None:
        end = _HEAD_END.search(data, line.end() - 2)
        if end is None:
            return None
        found, lines, data = line, data[line.end() : end.start()], data[end.end() :]
        if int(line[2]) >= _INFORMATIONAL:
            break
    if found is None:
        return None
    pairs = (text.partition(":") for text in lines.decode("latin-1").splitlines())
    headers = tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon)
    message = found[3].decode("latin-1").strip() if found[3] else None
    return response_of("POST", int(found[2]), message, version_of(found[1].decode()), headers, data)


def _wrapped(data: bytes) -> Response | None:
    """Read a JSON object of a status, headers and a body."""
    tree = _parsed(data)
    if not isinstance(tree, dict) or not tree.keys() <= _ENVELOPE or "body" not in tree:
        return None
    status = tree.get("status", tree.get("status_code"))
    if type(status) is not int or not isinstance(tree.get("headers", {}), dict):
        return None
    headers = tuple((latin(name), value) for name, value in headers_of(tree))
    length = next((value for name, value in headers if name.lower() == "content-length"), None)
    stored = tree["body"]
    body = bytes_of(stored) if isinstance(stored, str) else json_bytes(stored, length)
    return response_of("POST", status, None, "HTTP/1.1", headers, body)


def _told(data: bytes, request: Request) -> tuple[str | None, bytes]:
    """Return the content type of a body, None if there is none to tell, and its bytes on the wire."""
    if eventstream.begins(data):
        return _AWS, data
    if _EVENT_FIELD.match(data):
        return _SSE, data
    if _parsed(data) is not None:
        return _JSON, data
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    values = [_parsed(line) for line in lines]
    if not all(isinstance(value, dict) for value in values):
        return None, data
    return _framed(lines, values, data, request)


def _damage(data: bytes) -> list[str]:
    """Say where what begins like lines of JSON ceases to be."""
    lines = [(number, _parsed(line)) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    odd = [number for number, value in lines if not isinstance(value, dict)]
    return [f"line {odd[0]} is no JSON object"] if len(odd) < len(lines) else []


def _framed(lines: list[bytes], values: list[Any], data: bytes, request: Request) -> tuple[str, bytes]:
    """Put lines of JSON into the frames in which the wire of a request sends them."""
    wire = codecs.recognise(request)
    if wire is None or wire in _LINES:
        return _NDJSON, data
    if wire == "bedrock_converse":
        events = [eventstream.event(*_named(value)) for value in values]
        return _AWS, b"".join(map(eventstream.write, events))
    if wire == "bedrock_invoke":
        chunks = (json.dumps({"bytes": base64.b64encode(line).decode()}).encode() for line in lines)
        return _AWS, b"".join(eventstream.write(eventstream.event("chunk", chunk)) for chunk in chunks)
    if wire == "gemini" and ("alt", "sse") not in request.query:
        return _JSON, b"".join(jsonarray.write(lines))
    return _SSE, b"".join(_events(lines, values))


def _named(value: dict[str, Any]) -> tuple[str, bytes]:
    """Return the name of an AWS event and its payload, of which one object was made."""
    if len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        return next(iter(value)), json_bytes(inner, None)
    return "chunk", json_bytes(value, None)


def _events(lines: Iterable[bytes], values: Iterable[dict[str, Any]]) -> Iterable[bytes]:
    for line, value in zip(lines, values, strict=True):
        # Where events have names on the wire, the objects repeat them: SDKs go by the name of the event.
        name = value.get("type", value.get("event_type"))
        if isinstance(name, str) and _EVENT_NAME.fullmatch(name):
            yield f"event: {name}\n".encode()
        yield b"data: " + line.strip() + b"\n\n"


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None

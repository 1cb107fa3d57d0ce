"""Reads vcrpy's cassettes as they are in the wild; `write` stands in `_vcr_write`.

Rules:

* Everything a serializer or a filter made of a body is understood: text, bytes, `{string: …}`, JSON in
  place of text (pydantic-ai's `parsed_body`), the parts of an iterator, the old httpx shape (`content`).
* Bodies are given decoded. A `content-encoding` goes with its coding, whoever undid it; where it cannot
  be undone, bytes and header stay. A `content-length` that is wrong of the stored body is put right, or
  dropped where a `transfer-encoding` overrules it (RFC 9112, 6.3).
* What llmreplay wrote itself is read back as it was, and corrected nowhere, as long as the chunk sizes
  in `x-llmreplay` add up to the body.
* A broken interaction is reported with its line, and costs no other.

A little long, since each of its functions settles one part of an interaction, and is of use nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

from llmreplay.cassette._vcr_tree import Plain, Table, meaning, parse, text_of
from llmreplay.cassette._vcr_write import OURS, PROVENANCE, phrase, write
from llmreplay.errors import BrokenCassette, render
from llmreplay.exchange import Chunk, Ended, Exchange, Failure, Phase, Provenance, Request, Response
from llmreplay.framing.coding import decode, is_coded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmreplay.exchange import Headers

__all__ = ["looks_like", "read", "write"]

_BEFORE_1_0 = re.compile(rb"^- +request: *!!python/object:vcr\.", re.MULTILINE)
_INTERACTIONS = re.compile(
    rb"^interactions:[^\n]*\n?((?:[ \t]*(?:#[^\n]*)?\n)* *- +(?=[a-z]))?", re.MULTILINE
)
_NO_INTERACTIONS = (b"interactions:", b"interactions: []", b"interactions: null")
_JSON_LIST = re.compile(rb'"interactions"\s*:\s*\[\s*(\])?')
_JSON_URI = re.compile(rb'[^\\]"uri"\s*:')
_SPELLINGS: tuple[dict[str, Any], ...] = ({"separators": (",", ":")}, {}, {"indent": 2})
_SHOWN = 10


class _Trouble(ValueError):
    """An interaction lacks something, or has it in a shape that means nothing."""

    def __init__(self, problem: str, part: Any = None) -> None:
        self.line: int | None = part.line if isinstance(part, Table) else None
        super().__init__(problem)


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
    # Other recorders begin their files alike: go-vcr's requests have a `url`, some have no request at all.
    indent = begin.end() - data.rindex(b"\n", 0, begin.end()) - 1
    part = re.compile(rb"^(?: {%d}| *- +)(?:request|response): *(?:!![^\n]*)?\n( +)" % indent, re.MULTILINE)
    request = part.search(data, begin.start())
    if request is None:
        return False
    deeper = len(request[1])
    end = re.compile(rb"^ {0,%d}\S" % (deeper - 1), re.MULTILINE).search(data, request.end())
    keys = re.compile(rb"^ {%d}(?:uri|(url|proto|form|host)):" % deeper, re.MULTILINE)
    found = keys.search(data, request.end() - deeper, end.start() if end else len(data))
    return found is None or found[1] is None


def read(data: bytes, path: Path) -> list[Exchange]:
    """Return the exchanges of a vcrpy cassette.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    parsed = parse(data)
    good, problems = [], list(parsed.problems)
    for line, tree in parsed.interactions:
        try:
            good.append(_exchange(tree))
        except _Trouble as trouble:
            problems.append((trouble.line or line, str(trouble)))
        except (ValueError, RecursionError) as error:
            problems.append((line, f"an interaction means nothing: {error}"))
    if problems:
        raise _broken(path, sorted(problems, key=lambda problem: problem[0] or 0), good)
    return good


def _broken(path: Path, problems: list[tuple[int | None, str]], good: list[Exchange]) -> BrokenCassette:
    evidence = [f"line {line}: {problem}" if line else problem for line, problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        evidence.append(f"and {len(problems) - _SHOWN} more")
    evidence.append(f"{len(good)} exchange{'' if len(good) == 1 else 's'} could be read")
    line = problems[0][0]
    remedies = [
        f"Damaged by an edit or a merge? Restore it: git checkout -- {path}",
        f"Otherwise delete the exchange{f' at line {line}' if line else ''}, and record it again",
    ]
    message = render(f"{path} is a damaged vcrpy cassette.", evidence, remedies)
    return BrokenCassette(message, path=path, line=line, good=good)


def _exchange(tree: Any) -> Exchange:
    if not isinstance(tree, dict):
        raise _Trouble("an interaction is no mapping with `request` and `response`")
    asked, answered = _part(tree, "request"), _part(tree, "response")
    ours = answered.get(OURS)
    at = _instant(tree, asked, answered)
    if not isinstance(ours, dict):
        request = _request(asked)
        response = _response(answered, request.method)
        return Exchange(request, response, provenance=Provenance("imported", at, boundaries=False))

    request = Request(_text(asked, "method"), _text(asked, "uri"), _headers(asked), _stored_body(asked))
    known: dict[str, Any] = {"at": at} | {name: text_of(ours[name]) for name in PROVENANCE if name in ours}
    provenance = Provenance("imported", boundaries=meaning(ours.get("boundaries")) is not False, **known)
    if "failure" in ours and "ended" not in ours:
        return Exchange(request, failure=_failure(ours, answered), provenance=provenance)
    response, restored = _restored(answered, ours, request.method)
    if not restored:
        provenance = replace(provenance, boundaries=False)
    return Exchange(request, response, provenance=provenance)


def _part(tree: dict[str, Any], name: str) -> dict[str, Any]:
    part = tree.get(name)
    if not isinstance(part, dict):
        what = f"an interaction has no {name}" if meaning(part) is None else f"the {name} is no mapping"
        raise _Trouble(what, tree)
    return part


def _text(part: dict[str, Any], name: str) -> str:
    text = text_of(part.get(name))
    if not text:
        raise _Trouble(f"a request has no {name}", part)
    return text


def _request(part: dict[str, Any]) -> Request:
    headers, body, _ = _undone(_headers(part), _stored_body(part))
    # aiohttp's callers spell methods as they like, and the wire has them in capitals.
    return Request(_text(part, "method").upper(), _text(part, "uri"), headers, body)


def _response(part: dict[str, Any], method: str) -> Response:
    status, message = _status(part)
    if not {"body", "parsed_body", "content"} & part.keys() and _may_have_body(method, status):
        raise _Trouble("a response has no body", part)
    headers, body, undone = _undone(_headers(part), _stored_body(part))
    if body or _may_have_body(method, status):
        headers = _with_true_length(headers, len(body))
    return Response(
        status,
        headers,
        (Chunk(body),) if body else (),
        http_version=_version(part),
        reason=None if not message or message == phrase(status) else message,
        encoding=undone,
    )


def _restored(part: dict[str, Any], ours: dict[str, Any], method: str) -> tuple[Response, bool]:
    """Return a response that llmreplay wrote, and whether its chunks are still those of its body."""
    plain = _response(part, method)
    known = replace(
        plain,
        ended=_one_of(Ended, ours, "ended", "complete", part),
        failure=_failure(ours, part) if "failure" in ours else None,
        delay=_seconds(ours.get("delay", "0"), part),
        http_version=text_of(ours.get("http_version")) or plain.http_version,
        reason=text_of(ours["reason"]) if "reason" in ours else plain.reason,
        encoding=text_of(ours.get("encoding")) or plain.encoding,
    )
    body = _stored_body(part)
    chunks, at = [], 0
    for chunk in str(ours.get("chunks", "")).split():
        size, _, delay = chunk.partition("+")
        if not size.isdecimal():
            raise _Trouble(f"{OURS} has a chunk {chunk!r}; expected its size and delay, such as 13+0.5", part)
        chunks.append(Chunk(body[at : at + int(size)], _seconds(delay or "0", part)))
        at += int(size)
    if "chunks" not in ours or at != len(body):
        return known, False  # edited by hand: the body counts, and its headers are put right
    encoding = text_of(ours.get("encoding"))
    return replace(known, headers=_headers(part), chunks=tuple(chunks), encoding=encoding), True


def _failure(ours: dict[str, Any], part: Any) -> Failure:
    failure: Any = ours["failure"] if isinstance(ours["failure"], dict) else {}
    error = text_of(failure.get("error"))
    if not error:
        raise _Trouble(f"{OURS} has a failure without the name of its error", part)
    phase = _one_of(Phase, failure, "phase", "headers", part)
    return Failure(
        error, text_of(failure.get("message")) or "", phase, _seconds(failure.get("delay", "0"), part)
    )


def _one_of(values: Any, tree: dict[str, Any], name: str, default: str, part: Any) -> Any:
    value = text_of(tree.get(name, default))
    if value not in get_args(values):
        raise _Trouble(f"{OURS} has {name}: {value}; expected one of {', '.join(get_args(values))}", part)
    return value


def _status(part: dict[str, Any]) -> tuple[int, str | None]:
    status: Any = part.get("status", part.get("status_code"))
    message = None
    if isinstance(status, dict):
        status, message = status.get("code"), status.get("message")
    if meaning(status) is None:
        raise _Trouble("a response has no status code", part)
    digits = re.match(r"\s*(\d{3})\b", text_of(status) or "")
    if digits is None:
        raise _Trouble(f"a response has the status {text_of(status)!r}", part)
    return int(digits[1]), None if meaning(message) is None else text_of(message)


def _version(part: dict[str, Any]) -> str:
    """Spell a version, which is HTTP/2, HTTP/2.0 or 20, as h11 and h2 do."""
    version = re.fullmatch(r"(?:HTTP/)?([123])(?:\.?([01]))?", text_of(part.get("http_version")) or "")
    if version is None:
        return "HTTP/1.1"
    return f"HTTP/1.{version[2] or 1}" if version[1] == "1" else f"HTTP/{version[1]}"


def _headers(part: dict[str, Any]) -> Headers:
    headers = part.get("headers")
    if isinstance(headers, dict):
        pairs = list(headers.items())
    elif isinstance(headers, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in headers):  # noqa: PLR2004  name, value
        pairs = [(text_of(name) or "", value) for name, value in headers]
    elif meaning(headers) is None:
        pairs = []
    else:
        raise _Trouble("headers are no mapping", part)
    return tuple((_latin(name), _latin(value)) for name, values in pairs for value in _values(values))


def _values(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for value in tree:
            yield from _values(value)
    elif (text := text_of(tree)) is not None:
        yield text


def _latin(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("latin-1")
    return text


def _stored_body(part: dict[str, Any]) -> bytes:
    headers = {name.lower(): value for name, value in reversed(_headers(part))}
    is_json = "json" in headers.get("content-type", "").lower()
    stored = part.get("body", part.get("content"))
    if "parsed_body" in part and (meaning(part["parsed_body"]) is not None or stored is None):
        parsed: Any = part["parsed_body"]
        is_json = is_json or not isinstance(parsed, str | bytes) or isinstance(parsed, Plain)
        return _json(parsed, headers.get("content-length")) if is_json else _bytes(parsed)
    if isinstance(stored, dict) and stored.keys() <= {"string", "base64_string", "encoding"}:
        if "base64_string" in stored:
            return _base64(stored["base64_string"], part)
        stored = stored.get("string")
    if stored is None or (isinstance(stored, Plain) and meaning(stored) is None):
        return b""
    if isinstance(stored, list) and _are_pieces(stored, is_json=is_json):
        return b"".join(_bytes(piece) for piece in stored)
    return _bytes(stored) if isinstance(stored, str | bytes) else _json(stored, headers.get("content-length"))


def _are_pieces(values: list[Any], *, is_json: bool) -> bool:
    """Tell the pieces of an iterator, as aiohttp and requests send them, from a JSON array."""
    if not all(isinstance(value, str | bytes) for value in values):
        return False
    return not is_json or any(isinstance(value, bytes) for value in values)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _base64(tree: Any, part: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode("".join((text_of(tree) or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise _Trouble("a body is not the base64 it says it is", part) from None


def _json(tree: Any, length: str | None) -> bytes:
    """Spell JSON as the wire had it, as far as the length recorded of it tells; else compact."""
    value = meaning(tree)
    compact = _spelled(value, "", _SPELLINGS[0], escaped=False)
    if length is None or str(len(compact)) == length:
        return compact
    for end, style, escaped in product(("", "\n"), _SPELLINGS, (False, True)):
        spelled = _spelled(value, end, style, escaped=escaped)
        if str(len(spelled)) == length:
            return spelled
    return compact


def _spelled(value: Any, end: str, style: dict[str, Any], *, escaped: bool) -> bytes:
    return (json.dumps(value, ensure_ascii=escaped, **style) + end).encode("utf-8", "surrogatepass")


def _undone(headers: Headers, body: bytes) -> tuple[Headers, bytes, str | None]:
    """Undo the content coding of a body, if it still has one; say which was undone."""
    coding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
    if not coding:
        return headers, body, None
    without = tuple(pair for pair in headers if pair[0].lower() != "content-encoding")
    if not is_coded(body, coding):
        return without, body, None
    pieces = decode([body], coding)
    return (headers, body, None) if pieces is None else (without, b"".join(pieces), coding.strip().lower())


def _with_true_length(headers: Headers, length: int) -> Headers:
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if all(value.strip() == str(length) for value in lengths):
        return headers
    if any(name.lower() == "transfer-encoding" for name, _ in headers):
        return tuple(pair for pair in headers if pair[0].lower() != "content-length")
    return tuple(
        (name, str(length) if name.lower() == "content-length" else value) for name, value in headers
    )


def _may_have_body(method: str, status: int) -> bool:
    return method.upper() != "HEAD" and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def _instant(*parts: dict[str, Any]) -> str | None:
    """Return when an interaction was recorded, in UTC, if a recorder on top of vcrpy noted it."""
    for part in parts:
        text = text_of(part.get("recorded_at"))
        try:
            at = datetime.fromisoformat(text or "")
        except ValueError:
            continue
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return None


def _seconds(milliseconds: Any, part: Any) -> float:
    try:
        return float(Decimal(str(milliseconds)).scaleb(-3))
    except InvalidOperation:
        raise _Trouble(f"{OURS} has a delay {milliseconds!r}; expected milliseconds", part) from None

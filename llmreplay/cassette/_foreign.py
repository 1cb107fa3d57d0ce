"""What readers of foreign formats do alike: bodies without their coding, headers that are true, one error.

Rules:

* Bodies are given decoded. A `content-encoding` goes with its coding, whoever undid it; where it cannot
  be undone, bytes and header stay. A `content-length` that is wrong of the stored body is put right, or
  dropped where a `transfer-encoding` overrules it (RFC 9112, 6.3).
* A body is one chunk, and a reason phrase is kept only where it is unusual.
* A broken exchange is reported with its line, and costs no other.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._vcr_tree import Parsed, Plain, Table, meaning, text_of
from llmreplay.cassette._vcr_write import phrase
from llmreplay.errors import BrokenCassette, render
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response
from llmreplay.framing.coding import decode, is_coded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmreplay.exchange import Failure, Headers

__all__ = [
    "Trouble",
    "base64_of",
    "broken",
    "bytes_of",
    "exchanges_of",
    "headers_of",
    "imported",
    "instant",
    "json_bytes",
    "latin",
    "may_have_body",
    "needed",
    "part_of",
    "request_of",
    "response_of",
    "status_of",
    "text_or_bytes",
    "undone",
    "values_of",
    "version_of",
    "with_true_length",
]

_SPELLINGS: tuple[dict[str, Any], ...] = ({"separators": (",", ":")}, {}, {"indent": 2})
_SHOWN = 10


class Trouble(ValueError):
    """An exchange lacks something, or has it in a shape that means nothing."""

    def __init__(self, problem: str, part: Any = None) -> None:
        self.line: int | None = part.line if isinstance(part, Table) else None
        super().__init__(problem)


def exchanges_of(
    parsed: Parsed, path: Path, what: str, build: Callable[[dict[str, Any]], Exchange | None]
) -> list[Exchange]:
    """Build the exchange of each interaction, None where it has none worth keeping.

    Raises `BrokenCassette` if anything in the file cannot be read; its `good` has the rest.
    """
    good, problems = [], list(parsed.problems)
    for line, tree in parsed.interactions:
        try:
            exchange = build(_mapping(tree))
        except Trouble as trouble:
            problems.append((trouble.line or line, str(trouble)))
        except (ValueError, RecursionError) as error:
            problems.append((line, f"an interaction means nothing: {error}"))
        else:
            good += [] if exchange is None else [exchange]
    if problems:
        raise broken(path, what, sorted(problems, key=lambda problem: problem[0] or 0), good)
    return good


def _mapping(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise Trouble("an interaction is no mapping with `request` and `response`")
    return tree


def part_of(tree: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the request or the response of an interaction."""
    part = tree.get(name)
    if not isinstance(part, dict):
        what = f"an interaction has no {name}" if meaning(part) is None else f"the {name} is no mapping"
        raise Trouble(what, tree)
    return part


def needed(part: dict[str, Any], name: str) -> str:
    """Return a text that no request is without."""
    text = text_of(part.get(name))
    if not text:
        raise Trouble(f"a request has no {name}", part)
    return text


def status_of(part: dict[str, Any], stored: Any = None) -> tuple[int, str | None]:
    """Return the status code of a response, or of what was `stored` in its place, and its phrase."""
    status: Any = part.get("status", part.get("status_code")) if stored is None else stored
    message = None
    if isinstance(status, dict):
        status, message = status.get("code"), status.get("message")
    if meaning(status) is None:
        raise Trouble("a response has no status code", part)
    digits = re.match(r"\s*(\d{3})\b", text_of(status) or "")
    if digits is None:
        raise Trouble(f"a response has the status {text_of(status)!r}", part)
    return int(digits[1]), None if meaning(message) is None else text_of(message)


def headers_of(part: dict[str, Any]) -> Headers:
    """Return headers that are a mapping, of values or of lists of them, or a list of pairs."""
    headers = part.get("headers")
    if isinstance(headers, dict):
        pairs = list(headers.items())
    elif isinstance(headers, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in headers):  # noqa: PLR2004  name, value
        pairs = [(text_of(name) or "", value) for name, value in headers]
    elif meaning(headers) is None:
        pairs = []
    else:
        raise Trouble("headers are no mapping", part)
    return tuple((latin(name), latin(value)) for name, values in pairs for value in values_of(values))


def values_of(tree: Any) -> Iterator[str]:
    """Yield what a header with one value or a list of them says."""
    if isinstance(tree, list):
        for value in tree:
            yield from values_of(value)
    elif (text := text_of(tree)) is not None:
        yield text


def latin(text: str) -> str:
    """Return text as a header can hold it: bytes of UTF-8 that are read as latin-1."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("latin-1")
    return text


def bytes_of(text: str | bytes) -> bytes:
    """Return the bytes of a body that was stored as text or as bytes."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def base64_of(tree: Any, part: dict[str, Any]) -> bytes:
    """Return the bytes of a body that was stored in base64."""
    try:
        return base64.b64decode("".join((text_of(tree) or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise Trouble("a body is not the base64 it says it is", part) from None


def json_bytes(tree: Any, length: str | None) -> bytes:
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


def undone(headers: Headers, body: bytes) -> tuple[Headers, bytes, str | None]:
    """Undo the content coding of a body, if it still has one; say which was undone."""
    coding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
    if not coding:
        return headers, body, None
    without = tuple(pair for pair in headers if pair[0].lower() != "content-encoding")
    if not is_coded(body, coding):
        return without, body, None
    pieces = decode([body], coding)
    return (headers, body, None) if pieces is None else (without, b"".join(pieces), coding.strip().lower())


def with_true_length(headers: Headers, length: int) -> Headers:
    """Return headers whose `content-length`, if there is one, is that of the body."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if all(value.strip() == str(length) for value in lengths):
        return headers
    if any(name.lower() == "transfer-encoding" for name, _ in headers):
        return tuple(pair for pair in headers if pair[0].lower() != "content-length")
    return tuple(
        (name, str(length) if name.lower() == "content-length" else value) for name, value in headers
    )


def may_have_body(method: str, status: int) -> bool:
    """Tell whether a response may have a body (RFC 9110, 6.4.1)."""
    return method.upper() != "HEAD" and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def instant(text: str | None) -> str | None:
    """Return when something was recorded, in UTC, from ISO 8601 or the form of mails, if it is either."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  it brings sockets, for few files

    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text or "")
        except ValueError:
            continue
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return None


def broken(
    path: Path, what: str, problems: list[tuple[int | None, str]], good: list[Exchange]
) -> BrokenCassette:
    """Report what cannot be read in a file, with what can."""
    evidence = [f"line {line}: {problem}" if line else problem for line, problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        evidence.append(f"and {len(problems) - _SHOWN} more")
    evidence.append(f"{len(good)} exchange{'' if len(good) == 1 else 's'} could be read")
    line = problems[0][0]
    remedies = [
        f"Damaged by an edit or a merge? Restore it: git checkout -- {path}",
        f"Otherwise delete the exchange{f' at line {line}' if line else ''}, and record it again",
    ]
    message = render(f"{path} is a damaged {what}.", evidence, remedies)
    known = [(at or 1, problem) for at, problem in problems]
    return BrokenCassette(message, path=path, line=line, good=good, problems=known)


def version_of(text: str | None) -> str:
    """Spell a version, which is HTTP/2, HTTP/2.0, h2 or 20, as h11 and h2 do."""
    version = re.fullmatch(r"(?:HTTP/|h)?([123])(?:\.?([01]))?", text or "", re.IGNORECASE)
    if version is None:
        return "HTTP/1.1"
    return f"HTTP/1.{version[2] or 1}" if version[1] == "1" else f"HTTP/{version[1]}"


def request_of(method: str, url: str, headers: Headers, body: bytes) -> Request:
    """Build a request: the method in capitals, as the wire has it, and the body without a coding."""
    without, decoded, _ = undone(headers, body)
    return Request(method.upper(), url, without, decoded)


def response_of(  # noqa: PLR0913, PLR0917  the parts of a response
    method: str, status: int, message: str | None, version: str, headers: Headers, body: bytes
) -> Response:
    """Build the response to a request of that method, from its body as it was stored."""
    headers, decoded, coding = undone(headers, body)
    if decoded or may_have_body(method, status):
        headers = with_true_length(headers, len(decoded))
    return Response(
        status,
        headers,
        (Chunk(decoded),) if decoded else (),
        http_version=version,
        reason=None if not message or message == phrase(status) else message,
        encoding=coding,
    )


def text_or_bytes(body: Any, part: dict[str, Any]) -> bytes:
    """Return a body that is text, bytes, or a mapping with one of them (`string`, `base64_string`)."""
    stored = body
    if isinstance(body, dict):
        if meaning(body.get("base64_string")) is not None:
            return base64_of(body["base64_string"], part)
        stored = body.get("string")
    if stored is None or (isinstance(stored, Plain) and meaning(stored) is None):
        return b""
    if not isinstance(stored, str | bytes):
        raise Trouble("a body is neither text nor bytes", part)
    return bytes_of(stored)


def imported(request: Request, answer: Response | Failure, at: str | None) -> Exchange:
    """Put together what another recorder kept; chunks and delays it did not."""
    provenance = Provenance("imported", at, boundaries=False)
    if isinstance(answer, Response):
        return Exchange(request, answer, provenance=provenance)
    return Exchange(request, failure=answer, provenance=provenance)

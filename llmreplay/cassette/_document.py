"""One exchange as a document of the native format, both ways.

Rules:

* Nothing is lost. A request body is written as YAML only if exactly its bytes come back; text as a
  literal block, or quoted; other bytes as base64. Each document is read back before it is used,
  by both readers.
* `chunks: 13+2 1+50.1` is the size in bytes of each chunk and the milliseconds waited for it.
"""

from __future__ import annotations

import base64
import binascii
import json
import reprlib
from decimal import Decimal
from typing import Any, cast, get_args

from llmreplay.cassette import _common_form, _yaml
from llmreplay.exchange import (
    Chunk,
    Ended,
    Exchange,
    Failure,
    Headers,
    Origin,
    Phase,
    Provenance,
    Request,
    Response,
)

__all__ = ["Damaged", "end_of_request", "read", "read_answer", "read_request", "write"]

# How the bytes of a JSON body are spelled: separators, and whether beyond ASCII is escaped.
_JSON_STYLES: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "spaced": {"ensure_ascii": False},
    "compact ascii": {"separators": (",", ":")},
    "spaced ascii": {},
}
_BASE64_LINE = 100
_UTF8_LONGEST = 4


class Damaged(ValueError):
    """A document does not hold an exchange; `line` counts from 0 within it."""

    def __init__(self, problem: str, line: int = 0) -> None:
        self.problem, self.line = problem, line
        super().__init__(problem)


# Writing


def write(exchange: Exchange) -> bytes:
    """Return the text of an exchange's document, which `read` restores to an equal one."""
    for body_as in (_readable, _plain, _verbatim):
        try:
            text = _yaml.emit(_document(exchange, body_as)).encode()
            if read(text) == exchange and _common_form.read(text, 0, len(text)) in (None, exchange.response):
                return text
        except (_yaml.Unspeakable, RecursionError, Damaged):
            continue
    raise Damaged(
        "this exchange cannot be written: a method, URL, header or message is no text that YAML can hold"
    )


def _document(exchange: Exchange, body_as: Any) -> dict[str, Any]:
    request = exchange.request
    document: dict[str, Any] = {
        "request": {
            "method": request.method,
            "url": request.url,
            **_headers(request.headers),
            **body_as(request.body, request.header("content-type")),
        },
    }
    if exchange.response is not None:
        document["response"] = _response(exchange.response, body_as)
    if exchange.failure is not None:
        document["failure"] = _failure(exchange.failure)
    source = exchange.provenance
    recorded: dict[str, Any] = {
        "at": source.at,
        "by": source.by,
        "client": source.client,
        "edge": source.edge,
        "origin": None if source.origin == "recorded" else source.origin,
        "boundaries": None if source.boundaries else "not kept",
    }
    recorded = {name: value for name, value in recorded.items() if value is not None}
    if recorded:
        document["recorded"] = recorded
    return document


def _response(response: Response, body_as: Any) -> dict[str, Any]:
    sizes = " ".join(f"{len(chunk.data)}+{_milliseconds(chunk.delay)}" for chunk in response.chunks)
    # One chunk that came with the headers, or no body at all, is what a reader expects anyway.
    plain = f"{len(response.body)}+0" if response.body else ""
    return {
        "status": response.status,
        **({"reason": response.reason} if response.reason is not None else {}),
        **({"http_version": response.http_version} if response.http_version != "HTTP/1.1" else {}),
        **_headers(response.headers),
        **({"encoding": response.encoding} if response.encoding is not None else {}),
        **({"delay": f"{_milliseconds(response.delay)} ms"} if response.delay else {}),
        **({"chunks": sizes} if sizes != plain else {}),
        **({"ended": response.ended} if response.ended != "complete" else {}),
        **({"failure": _failure(response.failure)} if response.failure else {}),
        **body_as(response.body, None),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "error": failure.error,
        "phase": failure.phase,
        **({"message": failure.message} if failure.message else {}),
        **({"delay": f"{_milliseconds(failure.delay)} ms"} if failure.delay else {}),
    }


def _headers(headers: Headers) -> dict[str, Any]:
    if not headers:
        return {}
    unique = dict(headers)
    if len(unique) == len(headers):
        return {"headers": unique}
    return {"headers": [{name: value} for name, value in headers]}


def _readable(body: bytes, content_type: str | None) -> dict[str, Any]:
    written = _as_json(body) if body and content_type is not None and "json" in content_type else None
    return written or _plain(body)


def _plain(body: bytes, _content_type: str | None = None) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return _as_text(body.decode())
    except UnicodeDecodeError as error:
        # A stream may be cut in the middle of a character: the rest of it is still text.
        if len(body) - error.start < _UTF8_LONGEST and error.start:
            return {
                **_as_text(body[: error.start].decode()),
                "tail": base64.b64encode(body[error.start :]).decode(),
            }
        return _verbatim(body)


def _as_json(body: bytes) -> dict[str, Any] | None:
    try:
        text = body.decode()
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list):
        return None
    for style, options in _JSON_STYLES.items():
        if json.dumps(value, **options) == text:
            return {**({"json_style": style} if style != "compact" else {}), "json": value}
    return None


def _as_text(text: str) -> dict[str, Any]:
    if "\r\n" in text and text.count("\r\n") == text.count("\n") == text.count("\r"):
        bare = text.replace("\r\n", "\n")
        if _yaml.writable_as_block(bare):
            return {"newlines": "crlf", "text": _yaml.Literal(bare)}
    if _yaml.writable_as_block(text) or _yaml.quotable(text):
        return {"text": _yaml.Literal(text)}
    return _verbatim(text.encode())


def _verbatim(body: bytes, _content_type: str | None = None) -> dict[str, Any]:
    coded = base64.b64encode(body).decode()
    lines = [coded[start : start + _BASE64_LINE] for start in range(0, len(coded), _BASE64_LINE)]
    return {"base64": _yaml.Literal("\n".join(lines))} if body else {}


def _milliseconds(seconds: float) -> str:
    # In decimal, so that float(f"{text}e-3") gives exactly the same number back.
    return f"{Decimal(repr(seconds)).scaleb(3).normalize():f}"


# Reading


def read(text: bytes) -> Exchange:
    """Return the exchange of a document; raises `Damaged`, naming the field or the line."""
    document = _parsed(text)
    return _answered(_read_request(document), document)


def read_request(text: bytes) -> Request:
    """Return the request of a document, of which the rest is not parsed."""
    return _read_request(_parsed(text[: end_of_request(text) or None]))


def _read_request(document: dict[str, Any]) -> Request:
    request = _mapping(document.get("request"), "request")
    return Request(
        _text(request, "method", "request"),
        _text(request, "url", "request"),
        _read_headers(request.get("headers"), "request"),
        _read_body(request, "request"),
    )


def end_of_request(text: bytes) -> int:
    """Return where the request of a document ends; 0 if that cannot be told without parsing it."""
    # Nested text is indented: at the start of a line these words can only be the keys.
    ends = (text.find(b"\nresponse:\n"), text.find(b"\nfailure:\n"))
    return max(ends) + 1 if text.startswith(b"request:\n") else 0


def read_answer(text: bytes, request: Request) -> Exchange:
    """Return the exchange of a document with a request that equals its own, which is not parsed."""
    start = end_of_request(text)
    try:
        return _answered(request, _parsed(text[start:]))
    except Damaged as error:
        raise Damaged(error.problem, error.line + text.count(b"\n", 0, start)) from None


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        return _mapping(_yaml.parse(text), "the document")
    except _yaml.SyntaxTrouble as error:
        raise Damaged(error.problem, error.line) from None


def _answered(request: Request, document: dict[str, Any]) -> Exchange:
    try:
        return Exchange(
            request,
            _read_response(document["response"]) if "response" in document else None,
            _read_failure(document["failure"], "failure") if "failure" in document else None,
            _read_provenance(_mapping(document.get("recorded", {}), "recorded")),
        )
    except Damaged:
        raise
    except ValueError as error:
        raise Damaged(str(error)) from None


def _read_response(value: Any) -> Response:
    response = _mapping(value, "response")
    status = response.get("status")
    if not isinstance(status, int):
        raise Damaged(f"response.status is {status!r}; expected a number such as 200")
    body = _read_body(response, "response")
    return Response(
        status,
        _read_headers(response.get("headers"), "response"),
        _read_chunks(response.get("chunks"), body),
        _one_of(response.get("ended", "complete"), Ended, "response.ended"),
        _read_failure(response["failure"], "response.failure") if "failure" in response else None,
        _read_delay(response.get("delay"), "response.delay"),
        str(response.get("http_version", "HTTP/1.1")),
        response.get("reason"),
        response.get("encoding"),
    )


def _read_chunks(value: Any, body: bytes) -> tuple[Chunk, ...]:
    if value is None:
        return (Chunk(body),) if body else ()
    chunks: list[Chunk] = []
    at = 0
    for spelled in str(value).split():
        size, _, wait = spelled.partition("+")
        try:
            end = at + int(size)
            chunks.append(Chunk(body[at:end], _seconds(wait or "0")))
        except ValueError:
            raise Damaged(f"response.chunks holds {spelled!r}; expected <bytes>+<milliseconds>") from None
        at = end
    if at != len(body):
        raise Damaged(
            f"response.chunks add up to {at} bytes, and the body has {len(body)}; "
            "after an edit of the body, delete the line `chunks` or correct it",
        )
    return tuple(chunks)


def _read_failure(value: Any, where: str) -> Failure:
    failure = _mapping(value, where)
    return Failure(
        _text(failure, "error", where),
        str(failure.get("message", "")),
        _one_of(failure.get("phase", "headers"), Phase, f"{where}.phase"),
        _read_delay(failure.get("delay"), f"{where}.delay"),
    )


def _read_provenance(recorded: dict[str, Any]) -> Provenance:
    at = recorded.get("at")
    return Provenance(
        _one_of(recorded.get("origin", "recorded"), Origin, "recorded.origin"),
        at if at is None or isinstance(at, str) else str(at),
        recorded.get("by"),
        recorded.get("client"),
        recorded.get("edge"),
        recorded.get("boundaries") != "not kept",
    )


def _read_headers(value: Any, where: str) -> Headers:
    if value is None:
        return ()
    groups = [value] if isinstance(value, dict) else value
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise Damaged(f"{where}.headers is {value!r}; expected names with their values")
    pairs = [pair for group in groups for pair in group.items()]
    return tuple((str(name), item if isinstance(item, str) else str(item)) for name, item in pairs)


def _read_body(part: dict[str, Any], where: str) -> bytes:
    if "json" in part:
        style = part.get("json_style", "compact")
        if style not in _JSON_STYLES:
            raise Damaged(f"{where}.json_style is {style!r}; expected one of {', '.join(_JSON_STYLES)}")
        return json.dumps(part["json"], **_JSON_STYLES[style]).encode()
    if "base64" in part:
        return _read_base64(part["base64"], f"{where}.base64")
    text = part.get("text", "")
    if not isinstance(text, str):
        raise Damaged(f"{where}.text is {text!r}; put it in quotes")
    if part.get("newlines") == "crlf":
        text = text.replace("\n", "\r\n")
    tail = _read_base64(part["tail"], f"{where}.tail") if "tail" in part else b""
    return text.encode() + tail


def _read_base64(value: Any, where: str) -> bytes:
    try:
        return base64.b64decode("".join(str(value).split()), validate=True)
    except binascii.Error as error:
        raise Damaged(f"{where} is no base64: {error}") from None


def _read_delay(value: Any, where: str) -> float:
    if value is None:
        return 0.0
    try:
        return _seconds(str(value).removesuffix("ms").strip())
    except ValueError:
        raise Damaged(f"{where} is {value!r}; expected milliseconds such as `12.5 ms`") from None


def _seconds(milliseconds: str) -> float:
    return float(f"{milliseconds}e-3")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        found = "missing" if value is None else reprlib.repr(value)
        raise Damaged(f"{where} is {found}; expected names with their values")
    return value


def _text(part: dict[str, Any], name: str, where: str) -> str:
    value = part.get(name)
    if not isinstance(value, str):
        raise Damaged(f"{where}.{name} is {'missing' if value is None else repr(value)}; expected text")
    return value


def _one_of(value: Any, choices: Any, where: str) -> Any:
    allowed = get_args(choices)
    if value not in allowed:
        raise Damaged(f"{where} is {value!r}; expected one of {', '.join(allowed)}")
    return cast("Any", value)

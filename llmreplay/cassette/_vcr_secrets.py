"""Requests of vcrpy's without their secrets, and requests whose secrets do not count.

Rules:

* What a user's filter has put into a request stays, and what stood in a file too, unless it looks like a
  secret. All else goes by its name as well.
* A placeholder is as good as any secret that stands in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]  # vcrpy has no types

from llmreplay.exchange import Request
from llmreplay.framing.coding import decode
from llmreplay.redaction import PLACEHOLDERS, is_credential

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmreplay.redaction import Redaction

__all__ = ["FROM_FILE", "SENT", "has_placeholders", "hidden", "in_neutral", "last_number"]

SENT = "_llmreplay_sent"
"""What a request carries on its way through hooks and copies: its address, body and headers as sent."""

FROM_FILE = "file"
"""What it carries instead if it was read from a file."""

_NUMBER = re.compile(r"redacted-(\d+)")
_ANY_PLACEHOLDER = "[redacted]"


def hidden(request: VcrRequest, sent: Any, redaction: Redaction, by_looks: Redaction) -> VcrRequest:
    """Return a request without its secrets.

    Args:
        request: the request after the user's filters.
        sent: its address, body and headers before them; `"file"` for one that was read from a file;
            None if that is not known.
        redaction: the rules for what nobody has decided about yet.
        by_looks: the rules for what a filter, or a file, has decided about.
    """
    if sent == FROM_FILE:
        untouched = dict.fromkeys(("uri", "body"), False)
        own: dict[str, Any] | None = {}
    elif sent is None:
        untouched, own = dict.fromkeys(("uri", "body"), True), None
    else:
        untouched = {"uri": request.uri == sent[0], "body": request.body == sent[1]}
        own = sent[2]
    headers = {
        name: redaction.secret(value)
        if isinstance(value, str) and is_credential(name) and (own is None or own.get(name) == value)
        else by_looks.text(value)
        if isinstance(value, str)
        else value
        for name, value in request.headers.items()
    }
    rules = {True: redaction, False: by_looks}
    uri = rules[untouched["uri"]].request(Request(request.method, request.uri)).url
    body = request.body
    if isinstance(body, bytes | bytearray) and body:
        body = _hidden_body(bytes(body), headers, rules[untouched["body"]])
    hidden = VcrRequest(request.method, uri, body, headers)
    if request._was_iter or request._was_file:  # noqa: SLF001  how it is spelled in a file
        hidden = VcrRequest(request.method, uri, request.body, headers)
    return hidden


def _hidden_body(body: bytes, headers: dict[str, Any], rules: Redaction) -> bytes:
    about = {name.lower(): name for name in headers}
    coding = headers.get(about.get("content-encoding", ""))
    plain = decode([body], coding) if coding else None
    told = body if plain is None else b"".join(plain)
    kind = headers.get(about.get("content-type", ""), "")
    shown = rules.request(Request("POST", "http://localhost/", (("content-type", str(kind)),), told)).body
    if shown == told:
        return body
    if plain is not None:
        del headers[about["content-encoding"]]
    length = about.get("content-length")
    if length is not None and headers[length] == str(len(body)):
        headers[length] = str(len(shown))
    return shown


def last_number(requests: Iterable[VcrRequest]) -> int:
    """Return the highest number of a placeholder in some requests; 0 if there is none."""
    texts = (repr((one.uri, one.body, one.headers)) for one in requests if has_placeholders(one))
    return max((int(number) for text in texts for number in _NUMBER.findall(text)), default=0)


def _texts(request: VcrRequest) -> Iterator[str]:
    yield request.uri
    yield from (value for value in request.headers.values() if isinstance(value, str))
    if isinstance(body := request.body, bytes | bytearray) and b"redacted-" in body:
        yield body.decode("utf-8", "surrogateescape")


def has_placeholders(request: VcrRequest) -> bool:
    """Tell whether secrets have been taken out of a request."""
    return any("redacted-" in text for text in _texts(request))


def in_neutral(request: VcrRequest) -> VcrRequest:
    """Return a request in which all secrets have one spelling: their numbers are of one run."""
    body = request.body
    if isinstance(body, bytes | bytearray) and b"redacted-" in body:
        text = bytes(body).decode("utf-8", "surrogateescape")
        body = PLACEHOLDERS.sub(_ANY_PLACEHOLDER, text).encode("utf-8", "surrogateescape")
    headers = {
        name: PLACEHOLDERS.sub(_ANY_PLACEHOLDER, value) if isinstance(value, str) else value
        for name, value in request.headers.items()
    }
    return VcrRequest(request.method, PLACEHOLDERS.sub(_ANY_PLACEHOLDER, request.uri), body, headers)

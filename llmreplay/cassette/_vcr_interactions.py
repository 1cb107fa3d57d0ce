"""vcrpy's requests and responses, as its hooks, matchers and serializers see them, and ours.

Rules:

* They are what vcrpy's own stubs make: header names of httpx in lower case, no body as None except by
  httpx, bodies in the content coding in which they came, except by urllib3, which has undone it under a
  header that tells of it. A client gets such a body in its coding again.
* What vcrpy has no word for stays with the response, out of sight of everybody's hooks: chunk sizes,
  delays, how it ended, who recorded it. In the file it stands in `x-llmreplay`.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]  # vcrpy has no types

from llmreplay.cassette._foreign import headers_of, with_true_length
from llmreplay.cassette._kept import kept, phrase, speakable
from llmreplay.cassette._restored import Kept
from llmreplay.cassette._vcr import plain_response
from llmreplay.cassette._vcr_write import OURS
from llmreplay.exchange import Chunk, Exchange, Request, Response
from llmreplay.framing.coding import decode, is_coded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmreplay.exchange import Headers
    from llmreplay.redaction import Redaction

__all__ = ["Answer", "answer_of", "exchange_of", "request_of", "without_secrets"]

_HTTPX = ("httpx", "httpx2")
_DECODED = ("urllib3", "botocore")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Answer(dict[str, Any]):
    """A response in vcrpy's form, with what we keep beside it.

    `extra` tells that it came from a cassette that is only read.
    """

    def __init__(
        self, response: Mapping[str, Any], kept: dict[str, Any] | None = None, *, extra: bool = False
    ) -> None:
        super().__init__(response)
        given = self.pop(OURS, None)
        self.kept: dict[str, Any] | None = kept or (given if isinstance(given, dict) else None)
        self.extra = extra

    def spelled(self) -> dict[str, Any]:
        """Return it as it stands in a file."""
        return {**self, OURS: self.kept} if self.kept else dict(self)


def request_of(request: Request, edge: str) -> VcrRequest:
    """Return a request as vcrpy's stub for that library would make it."""
    body = request.body if request.body or edge in _HTTPX else None
    return VcrRequest(request.method, request.url, body, _named(request.headers, edge))


def answer_of(exchange: Exchange, edge: str) -> Answer:
    """Return the response of an exchange, which has one, as vcrpy's stub for that library would."""
    response = exchange.response
    if response is None:
        raise ValueError("vcrpy has no word for a failure without a response")
    if edge in _DECODED:
        response = _without_coding(response)
    headers: dict[str, list[str]] = {}
    for name, value in response.headers:
        headers.setdefault(str(name).lower() if edge in _HTTPX else str(name), []).append(str(value))
    message = response.reason if speakable(response.reason) else phrase(response.status)
    status = {"code": response.status, "message": message}
    told = {"status": status, "headers": headers, "body": {"string": response.body}}
    return Answer(told, kept(replace(exchange, response=response)))


def exchange_of(request: Request, answer: Mapping[str, Any]) -> Exchange:
    """Return the exchange that is played when an answer is given to a request; raises `Trouble`."""
    part = dict(answer)
    ours = getattr(answer, "kept", None)
    headers, body = headers_of(part), _body(part)
    if ours is None:
        return Exchange(request, _played(part, request.method, headers, body))
    plain = plain_response(part, request.method)
    played = Kept(OURS, ours, part, None).exchange(request, plain, headers, body)
    if ours.get("boundaries") is not False and not played.provenance.boundaries and plain is not None:
        # A hook has changed the body: there is one chunk, as vcrpy would play it.
        response = _played(part, request.method, headers, body)
        return Exchange(request, response, provenance=played.provenance)
    if played.response is None:
        return played
    return replace(played, response=_coded_again(played.response))


def without_secrets(answer: Answer, redaction: Redaction) -> Answer:
    """Return an answer without what looks like a secret; its body keeps its coding if there is none in it."""
    part = dict(answer)
    headers = {
        name: [redaction.text(value) if isinstance(value, str) else value for value in values]
        if isinstance(values, list)
        else values
        for name, values in part.get("headers", {}).items()
    }
    hidden = Answer({**part, "headers": headers}, answer.kept, extra=answer.extra)
    body = _body(part)
    if not body:
        return hidden
    response = exchange_of(Request("GET", "http://localhost/"), answer).response
    if response is None:  # pragma: no cover  an answer is a response
        return hidden
    response = _without_coding(response)
    redacted = redaction.exchange(
        Exchange(Request("GET", "http://localhost/"), Response(response.status, (), response.chunks))
    ).response
    if redacted is None or redacted.body == response.body:
        return hidden
    if response.body != body:
        headers = {name: values for name, values in headers.items() if name.lower() != "content-encoding"}
    length = str(len(redacted.body))
    headers = {
        name: [length] if name.lower() == "content-length" else values for name, values in headers.items()
    }
    form = answer.kept
    if form is not None and "chunks" in form:
        cut = kept(Exchange(Request("GET", "/"), Response(response.status, (), redacted.chunks)))
        form = {**form, "chunks": cut["chunks"]}
    return Answer({**part, "headers": headers, "body": {"string": redacted.body}}, form, extra=answer.extra)


def _body(part: dict[str, Any]) -> bytes:
    stored = part.get("body")
    body = stored.get("string") if isinstance(stored, dict) else stored
    return body if isinstance(body, bytes) else (body or "").encode() if isinstance(body, str | None) else b""


def _played(part: dict[str, Any], method: str, headers: Headers, body: bytes) -> Response:
    plain = plain_response(part, method)
    if not body or not _coding(headers):
        return plain
    return _coded_again(replace(plain, headers=headers, chunks=(Chunk(body),), encoding=None))


def _coding(headers: Headers) -> str:
    return ", ".join(value for name, value in headers if name.lower() == "content-encoding").strip().lower()


def _coded_again(response: Response) -> Response:
    """Return a response whose body has the coding that its headers tell of."""
    coding, body = _coding(response.headers), response.body
    if not coding or not body or is_coded(body, coding):
        return response
    without = tuple(pair for pair in response.headers if pair[0].lower() != "content-encoding")
    if coding not in ("gzip", "deflate"):
        return replace(response, headers=with_true_length(without, len(body)))
    packer = zlib.compressobj(wbits=_GZIP_WINDOW if coding == "gzip" else zlib.MAX_WBITS)
    packed = packer.compress(body) + packer.flush()
    delay = sum(chunk.delay for chunk in response.chunks)
    headers = with_true_length(response.headers, len(packed))
    return replace(response, headers=headers, chunks=(Chunk(packed, delay),))


def _without_coding(response: Response) -> Response:
    coding = _coding(response.headers)
    pieces = decode([chunk.data for chunk in response.chunks], coding) if coding else None
    if pieces is None:
        return response
    chunks = tuple(Chunk(data, chunk.delay) for data, chunk in zip(pieces, response.chunks, strict=True))
    return replace(response, chunks=chunks)


def _named(headers: Headers, edge: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, value in headers:
        # A name of aiohttp's is of a class of its own, which no serializer writes.
        named[str(name).lower() if edge in _HTTPX else str(name)] = str(value)
    return named

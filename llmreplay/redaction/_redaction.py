"""Turning an exchange into one that may be committed.

Rules:

* Headers by allow-list, bodies by shape, by name, by value; `find` checks what is about to be written.
* One placeholder form, `[redacted-N]`; a secret has the same N wherever and whenever it is met.
* What is not a secret stays byte for byte, chunk for chunk. Redacting twice changes nothing.
* A `content-length` that was right stays right.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from llmreplay.errors import OptionError
from llmreplay.exchange import Exchange, Headers, Request, Response
from llmreplay.framing import coding
from llmreplay.redaction._fields import form_values, url_secrets
from llmreplay.redaction._frames import is_event_stream, rewrite_frames
from llmreplay.redaction._headers import AllowList
from llmreplay.redaction._placeholder import Numbering, is_only_placeholders, placeholder
from llmreplay.redaction._rewrite import Edit, apply, cut_places, cut_up, difference, move
from llmreplay.redaction._search import Hit, Search
from llmreplay.redaction._values import forms_of
from llmreplay.redaction._views import streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from llmreplay.exchange import Failure
    from llmreplay.redaction._views import View

__all__ = ["Finding", "Redaction"]

_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")
_QUOTED_PLACEHOLDER = re.compile(r"%5[Bb](redacted-\d+)%5[Dd]")
_HOST = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_FORM = re.compile(rb"[\w.%+*~\[\]-]{1,200}=[^\s{}\"<>]*")
_MEMORY = 4096
_ROUNDS = 8


class Finding(NamedTuple):
    """A place where a secret stands: what kind it is, on which line and in which column, from 1."""

    kind: str
    line: int
    column: int


class Redaction:
    """Takes secrets out of exchanges, and finds those that are left.

    Safe to use from many threads; one object numbers the secrets of all exchanges it sees.

    Args:
        patterns: What else is secret: regular expressions, of which the match (or its group named
            "secret", or its first group) is redacted, and functions from text to text. A function is
            given every text that is stored, and should change nothing in what it has changed before.
        environ: Where to look for secret values; `os.environ` if None. Every variable counts whose
            name ends in KEY, TOKEN, SECRET or PASSWORD, with any value of 8 characters or more.
        keep_headers: Names of headers to store besides those of the allow-list. Credentials are
            never stored.
        first: The number of the first placeholder.

    Raises:
        OptionError: A pattern is not a regular expression.
    """

    def __init__(
        self,
        *,
        patterns: Iterable[str | re.Pattern[str] | Callable[[str], str]] = (),
        environ: Mapping[str, str] | None = None,
        keep_headers: Iterable[str] = (),
        first: int = 1,
    ) -> None:
        expressions: list[re.Pattern[str]] = []
        self._functions: list[Callable[[str], str]] = []
        for pattern in patterns:
            if isinstance(pattern, str | re.Pattern):
                expressions.append(_compiled(pattern))
            elif callable(pattern):
                self._functions.append(pattern)
            else:
                raise OptionError("patterns", pattern, "regular expressions, or functions from text to text")
        self._expressions, self._forms = expressions, forms_of(environ)
        self._names = True
        self._search = Search(self._expressions, self._forms)
        self._numbering = Numbering(first)
        kept = tuple(keep_headers)
        self._request_headers = AllowList("request", kept)
        self._response_headers = AllowList("response", kept)
        # Texts of headers and URLs that hold no secret: each request of a client repeats them.
        self._harmless: set[str] = set()

    def by_looks(self) -> Redaction:
        """Return the rules without those that go by names: of fields, of parameters.

        Both number their secrets together. It is for whoever decides about names himself.
        """
        other = copy(self)
        search = Search(self._expressions, self._forms, names=False)
        vars(other).update(_names=False, _search=search, _harmless=set())
        return other

    def text(self, text: str) -> str:
        """Return what may be stored of a text, such as the value of a header."""
        return self._text(text)

    def secret(self, text: str) -> str:
        """Return the placeholder of a text that is secret whatever it looks like."""
        if is_only_placeholders(data := text.encode("utf-8", "surrogateescape"), 0, len(data)):
            return text
        return placeholder(self._numbering.of(data))

    def request(self, request: Request) -> Request:
        """Return what may be stored of a request, and what is compared with what was stored.

        A body that came in a content coding is returned without it, since a secret hides in it.
        """
        url = self._url(request.url)
        headers = self._headers(request.headers, self._request_headers)
        body, coded = request.body, request.header("content-encoding")
        if coded and body:
            plain = coding.decode([body], coded)
            if plain is not None:
                body = b"".join(plain)
                headers = tuple(pair for pair in headers if pair[0].lower() != "content-encoding")
        if body:
            body = self._body(body, is_form=self._names and _is_form(request, body))[0]
        headers = _with_length(headers, request.body, body)
        return Request(request.method, url, headers, body)

    def exchange(self, exchange: Exchange) -> Exchange:
        """Return what may be stored of an exchange: its request, response and failures."""
        request = self.request(exchange.request)
        response = self._response(exchange.response) if exchange.response else None
        provenance = exchange.provenance
        if provenance.client:
            provenance = replace(provenance, client=self._text(provenance.client))
        return Exchange(request, response, self._failure(exchange.failure), provenance)

    def find(self, data: bytes) -> list[Finding]:
        """Name the places in some bytes, such as a file about to be written, where a secret stands.

        Functions given as patterns are not asked: they rewrite, they cannot point.
        """
        runs = self._search.runs(data)
        places = {hit.start: hit.kind for hit in self._search.hits(data, runs)}
        plain = sorted(places)
        for view in (*streamed(data), *self._search.views(data, runs)):
            for hit in self._search.hits(view.text):
                spans = view.body_spans(hit.start, hit.end)
                if not any(_any_between(plain, start, end) for start, end in spans):
                    places.setdefault(spans[0][0], hit.kind)
        findings: list[Finding] = []
        line, line_start, position = 1, 0, 0
        for place in sorted(places):
            line += data.count(b"\n", position, place)
            line_start = data.rfind(b"\n", 0, place) + 1
            findings.append(Finding(places[place], line, place - line_start + 1))
            position = place
        return findings

    def _response(self, response: Response) -> Response:
        body = response.body
        places = cut_places(response.chunks)
        new = body
        if body:
            framed = rewrite_frames(body, places, self._stream) if is_event_stream(body) else None
            if framed:
                new, places = framed
            else:
                new, steps = self._stream(body)
                for edits in steps:
                    places = move(places, edits)
        headers = _with_length(self._headers(response.headers, self._response_headers), body, new)
        chunks = cut_up(new, places, response.chunks) if new is not body else response.chunks
        return replace(response, headers=headers, chunks=chunks, failure=self._failure(response.failure))

    def _failure(self, failure: Failure | None) -> Failure | None:
        return (
            replace(failure, message=self._text(failure.message)) if failure and failure.message else failure
        )

    def _headers(self, headers: Headers, allowed: AllowList) -> Headers:
        return tuple(
            (name, self._url(value) if name.lower() == "location" else self._text(value))
            for name, value in headers
            if allowed.keeps(name)
        )

    def _stream(self, body: bytes) -> tuple[bytes, list[list[Edit]]]:
        return self._body(body, is_stream=True)

    def _body(
        self,
        body: bytes,
        *,
        is_form: bool = False,
        is_stream: bool = False,
    ) -> tuple[bytes, list[list[Edit]]]:
        """Redact a body; return it with the edits made, step by step, each on the outcome of the last."""
        steps: list[list[Edit]] = []

        def carry_out(edits: list[Edit]) -> None:
            nonlocal body
            if edits:
                body = apply(body, edits)
                steps.append(edits)

        for function in self._functions:
            carry_out(difference(body, _call(function, body)))
        if is_form:
            values = [span for span in form_values(body) if not is_only_placeholders(body, *span)]
            carry_out(
                self._edits(Hit(start, end, "", unquote_to_bytes(body[start:end])) for start, end in values)
            )
        if is_stream:
            carry_out(sorted(edit for view in streamed(body) for edit in self._view_edits(view)))
        # What is replaced may bring something else to light, so look until nothing is found.
        for _ in range(_ROUNDS):
            runs = self._search.runs(body)
            views = (list(self._view_edits(view)) for view in self._search.views(body, runs))
            edits = next(filter(None, views), None) or self._edits(self._search.hits(body, runs))
            if not edits:
                break
            carry_out(edits)
        return body, steps

    def _edits(self, hits: Iterable[Hit]) -> list[Edit]:
        return [Edit(hit.start, hit.end, self._replacement(hit)) for hit in hits]

    def _view_edits(self, view: View) -> Iterator[Edit]:
        for hit in self._search.hits(view.text):
            yield from view.edits(hit.start, hit.end, self._replacement(hit))

    def _replacement(self, hit: Hit) -> bytes:
        if hit.inner:
            return hit.inner.encode(apply(hit.inner.data, self._edits(hit.inner.hits)))
        text = placeholder(self._numbering.of(hit.secret))
        return (text.replace("[", "%5B").replace("]", "%5D") if hit.percent else text).encode()

    def _text(self, text: str) -> str:
        """Redact a header or a message."""
        if text in self._harmless:
            return text
        new = self._redacted(text)
        self._remember(text, new)
        return new

    def _url(self, url: str) -> str:
        """Redact a URL: no user, no password, no secret parameter. It can still be split."""
        if url in self._harmless:
            return url
        new = _QUOTED_PLACEHOLDER.sub(r"[\1]", _USERINFO.sub(r"\1", url))
        host = _HOST.match(new)
        if host:
            address = self._redacted(host.group()).replace("[redacted-", "%5Bredacted-")
            address = re.sub(r"(%5Bredacted-\d+)\]", r"\1%5D", address)
            new = address + self._redacted(new[host.end() :], strict_url=True)
        else:
            new = self._redacted(new, strict_url=True)
        self._remember(url, new)
        return new

    def _redacted(self, text: str, *, strict_url: bool = False) -> str:
        try:
            data, spelling = text.encode("latin-1"), "latin-1"
        except UnicodeEncodeError:
            data, spelling = text.encode("utf-8", "surrogateescape"), "utf-8"
        if strict_url and self._names:
            spans = [
                span
                for span in url_secrets(data, 0, len(data), strict=True)
                if not is_only_placeholders(data, *span[:2])
            ]
            data = apply(
                data,
                self._edits(
                    Hit(start, end, "", unquote_to_bytes(data[start:end])) for start, end, _ in spans
                ),
            )
        return self._body(data)[0].decode(spelling, "surrogateescape")

    def _remember(self, text: str, new: str) -> None:
        if text == new:
            if len(self._harmless) >= _MEMORY:
                self._harmless.clear()
            self._harmless.add(text)


def _any_between(places: Sequence[int], start: int, end: int) -> bool:
    index = bisect_left(places, start)
    return index < len(places) and places[index] < end


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise OptionError("patterns", pattern, f"a regular expression ({error})") from error
    if not isinstance(compiled.pattern, str):
        raise OptionError("patterns", pattern, "a regular expression for text, not for bytes")
    return compiled


def _call(function: Callable[[str], str], body: bytes) -> bytes:
    new = function(body.decode("utf-8", "surrogateescape"))
    if not isinstance(new, str):
        raise OptionError("patterns", function, "a function that returns text")
    return new.encode("utf-8", "surrogateescape")


def _is_form(request: Request, body: bytes) -> bool:
    kind = (request.header("content-type") or "").lower()
    return kind.startswith("application/x-www-form-urlencoded") and bool(_FORM.match(body))


def _with_length(headers: Headers, old: bytes, new: bytes) -> Headers:
    """Correct a content length that was right before."""
    if len(old) == len(new):
        return headers
    return tuple(
        (
            name,
            str(len(new)) if name.lower() == "content-length" and value.strip() == str(len(old)) else value,
        )
        for name, value in headers
    )

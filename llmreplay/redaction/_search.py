"""Finding every secret in some bytes: by shape, by name, by value, by the user's patterns, in base64.

The order of work is the order of cost. One pass marks the long runs of key-like characters; shapes,
URLs, base64 and the values of the environment are looked for only there. A few short words stand for
all names of fields. A text with none of it is done after those two passes.

Rules:

* Hits do not overlap. The longer one wins, and base64 yields to anything in plain sight.
* A placeholder is no secret, so a redacted text has no hits.
* Base64 is read two layers deep. Runs without a hit are not touched.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, NamedTuple

from llmreplay.redaction._fields import fields, url_secrets
from llmreplay.redaction._placeholder import is_only_placeholders
from llmreplay.redaction._shapes import (
    BEARER,
    LONG,
    PRIVATE_KEY,
    RUN,
    SHAPES,
    basic_credentials,
    kind_of,
    looks_like_words,
    may_hold_shapes,
)
from llmreplay.redaction._views import View, unescaped, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmreplay.redaction._values import Form

__all__ = ["Hit", "Inner", "Runs", "Search"]

Runs = list[tuple[int, int]]

_MARK = bytes(0x61 if byte in RUN else 0x20 for byte in range(256))
_LONG_RUN = b"a" * LONG
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}+={0,2}+")
_BASE64_WORD = re.compile(rb"[A-Za-z0-9+/_-]++={0,2}+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN_TEXT = re.compile(rb"[\x20-\x7e]{8}")
_KEY_BODY = re.compile(rb"[A-Za-z0-9+/=]{24}")
_BASIC = re.compile(rb"(?:[Bb]asic|BASIC)(?:[ +]|%20)$")
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]++=*+")
_DEPTH = 2
_WRAP = 40
_BACKSLASH = 0x5C
_LONG_FOR_SHAPES = 512
_BEFORE_CREDENTIALS = frozenset(b" +0")
_MEMORY = 8192
_REMEMBERED = 256


class Inner(NamedTuple):
    """What a run of base64 holds: its bytes, the secrets in them, and how it was spelled."""

    data: bytes
    hits: list[Hit]
    url_safe: bool
    padded: bool

    def encode(self, data: bytes) -> bytes:
        """Spell other bytes the same way."""
        text = binascii.b2a_base64(data, newline=False)
        if self.url_safe:
            text = text.translate(_TO_URL_SAFE)
        return text if self.padded else text.rstrip(b"=")


class Hit(NamedTuple):
    """A secret at `start:end`. `percent` asks for a placeholder without brackets."""

    start: int
    end: int
    kind: str
    secret: bytes
    percent: bool = False
    inner: Inner | None = None


class Search:
    """Looks for secrets. Knows the user's patterns and the values of the environment.

    Without `names`, what is secret only by the name of its field or parameter is left alone.
    """

    def __init__(
        self, patterns: Sequence[re.Pattern[str]], forms: Sequence[Form], *, names: bool = True
    ) -> None:
        self._patterns = patterns
        self._names = names
        self._direct = [form for form in forms if not form.in_a_run]
        self._in_runs = [form for form in forms if form.in_a_run]
        # By depth, runs in which nothing was found: what a conversation repeats is looked at once.
        # Adding to a set and testing it are atomic.
        self._harmless: tuple[set[bytes], ...] = tuple(set() for _ in range(_DEPTH + 1))

    def runs(self, data: bytes) -> Runs:
        """Mark the long runs of key-like characters; `hits` and `views` look there."""
        return _runs(data)

    def hits(self, data: bytes, runs: Runs | None = None, *, depth: int = _DEPTH) -> list[Hit]:
        """Return the secrets in some bytes, in order, reading base64 so many layers deep."""
        runs = self.runs(data) if runs is None else runs
        found = list(self._by_name(data)) if self._names else []
        if self._patterns:
            found += self._by_pattern(data)
        if b"-----BEGIN" in data:
            found += _private_keys(data)
        for form in self._direct:
            if form.text in data:
                found += self._by_value(data, form, depth)
        if runs:
            found += self._in_runs_of(data, runs, depth)
        return _settle(data, found) if found else []

    def views(self, data: bytes, runs: Runs) -> Iterator[View]:
        """Yield the texts that the bytes hold in another form: wrapped base64, escaped JSON."""
        done = 0
        for start, end in runs:
            if end - start >= _WRAP and start >= done and data[end : end + 1] in (b"\n", b"\r", b"\\"):
                joined = wrapped(data, start)
                if joined:
                    view, done = joined
                    yield view
        if b"\\u00" in data:
            plain = unescaped(data)
            if plain:
                yield plain

    def _by_name(self, data: bytes) -> Iterator[Hit]:
        for start, end in fields(data):
            yield Hit(start, end, "field named like a secret", data[start:end])

    def _by_value(self, data: bytes, form: Form, depth: int) -> Iterator[Hit]:
        start = data.find(form.text)
        while start >= 0:
            hit = Hit(start, start + len(form.text), f"value of ${form.variable}", form.secret)
            if form.encoded and depth:
                hit = self._blob_around(data, hit, depth)
            yield hit
            start = data.find(form.text, max(start + len(form.text), hit.end))

    def _by_pattern(self, data: bytes) -> Iterator[Hit]:
        text = data.decode("utf-8", "surrogateescape")
        for pattern in self._patterns:
            group: int | str = "secret" if "secret" in pattern.groupindex else min(1, pattern.groups)
            characters = position = 0
            for match in pattern.finditer(text):
                start, end = match.span(group)
                if end <= start:
                    continue
                secret = match[group].encode("utf-8", "surrogateescape")
                position += len(text[characters:start].encode("utf-8", "surrogateescape"))
                characters = start
                yield Hit(position, position + len(secret), "pattern", secret)

    def _in_runs_of(self, data: bytes, runs: Runs, depth: int) -> Iterator[Hit]:
        suspects: list[bytes] = []
        harmless = self._harmless[depth]
        for start, end in runs:
            if start and data[start - 1] in _BEFORE_CREDENTIALS:
                yield from _after_scheme(data, start)
            run = data[start:end]
            if run in harmless:
                continue
            hits = [
                *_in_plain_sight(data, start, end, names=self._names),
                *self._in_base64(data, start, end, depth),
            ]
            if hits or any(form.run in run for form in self._in_runs):
                suspects.append(run)
                yield from hits
            elif len(run) <= _REMEMBERED:
                if len(harmless) >= _MEMORY:
                    harmless.clear()
                harmless.add(run)
        if suspects:
            for form in self._in_runs:
                if any(form.run in run for run in suspects):
                    yield from self._by_value(data, form, depth)

    def _in_base64(self, data: bytes, start: int, end: int, depth: int) -> Iterator[Hit]:
        for match in _BASE64.finditer(data, start, end) if depth else ():
            blob = self._blob(data, *match.span(), depth)
            if blob:
                yield blob

    def _blob(self, data: bytes, start: int, end: int, depth: int) -> Hit | None:
        """Look into base64 that begins at `start`."""
        text = data[start:end].rstrip(b"=")
        url_safe = b"-" in text or b"_" in text
        standard = text.translate(_URL_SAFE) if url_safe else text
        if len(standard) % 4 == 1:
            standard = standard[:-1]
        decoded = binascii.a2b_base64(standard + b"=" * (-len(standard) % 4))
        if not _PLAIN_TEXT.search(decoded):
            return None
        hits = self.hits(decoded, depth=depth - 1)
        if not hits:
            return None
        inner = Inner(decoded, hits, url_safe, padded=data[end - 1 : end] == b"=" or len(text) % 4 == 0)
        return Hit(start, end, f"{hits[0].kind}, in base64", b"", inner=inner)

    def _blob_around(self, data: bytes, hit: Hit, depth: int) -> Hit:
        """Turn a hit on an encoded value into one on the base64 around it, where that can be read."""
        low, high = hit.start, hit.end
        while low and data[low - 1] in _BASE64_CHARACTERS:
            low -= 1
        word = _BASE64_WORD.match(data, low)
        high = word.end() if word else high
        for offset in range(4):
            blob = self._blob(data, low + offset, high, depth) if high - low - offset > 4 else None  # noqa: PLR2004  one quantum
            if blob:
                return blob
        return hit


_BASE64_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")


def _runs(data: bytes) -> Runs:
    """Mark the long runs of characters that hold keys together."""
    marked = data.translate(_MARK)
    runs: Runs = []
    start = marked.find(_LONG_RUN)
    while start >= 0:
        end = marked.find(b" ", start + LONG)
        if end < 0:
            end = len(data)
        escaped = start and data[start - 1] == _BACKSLASH
        runs.append((_after_escape(data, start) if escaped else start, end))
        start = marked.find(_LONG_RUN, end)
    return runs


def _after_escape(data: bytes, start: int) -> int:
    r"""Skip what belongs to an escape before a run: the "n" of `\nsk-…`."""
    if data[start] in b"nrtbf/":
        return start + 1
    return start + 5 if data[start : start + 1] == b"u" else start


def _in_plain_sight(data: bytes, start: int, end: int, *, names: bool) -> Iterator[Hit]:
    """Find what a run shows without being decoded: shapes, and URLs with secrets in them."""
    run = data[start:end]
    if len(run) < _LONG_FOR_SHAPES or may_hold_shapes(run):
        # in the run alone: what stands before it may be the letter of an escape
        for match in SHAPES.finditer(run):
            kind = kind_of(match)
            if kind:
                yield Hit(start + match.start(), start + match.end(), kind, match.group())
    if names and (b"://" in run or b"?" in run or b"&" in run):
        for first, last, in_host in url_secrets(data, start, end):
            yield Hit(first, last, "secret in a URL", data[first:last], percent=in_host)


def _after_scheme(data: bytes, start: int) -> Iterator[Hit]:
    """Find the credentials that stand after "Bearer" or "Basic"."""
    before = data[max(0, start - 9) : start]
    bearer, basic = BEARER.search(before), _BASIC.search(before)
    if not bearer and not basic:
        return
    token = _TOKEN.match(data, start)
    if not token or len(token.group()) < LONG:
        return
    if bearer and not looks_like_words(token.group()):
        yield Hit(*token.span(), "bearer token", token.group())
    elif basic and basic_credentials(token.group()):
        yield Hit(*token.span(), "basic credentials", token.group())


def _private_keys(data: bytes) -> Iterator[Hit]:
    for match in PRIVATE_KEY.finditer(data):
        if match.group().endswith(b"-----") or _KEY_BODY.search(match.group()):
            yield Hit(*match.span(), "private key", match.group())


def _settle(data: bytes, found: Iterable[Hit]) -> list[Hit]:
    """Drop what is no secret, and decide between hits on the same place."""
    settled: list[Hit] = []
    blobs: list[Hit] = []
    for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
        if hit.inner:
            blobs.append(hit)
        elif is_only_placeholders(data, hit.start, hit.end):
            continue
        elif not settled or settled[-1].end <= hit.start:
            settled.append(hit)
        elif settled[-1].end < hit.end:
            first = settled.pop()
            settled.append(first._replace(end=hit.end, secret=data[first.start : hit.end]))
    return _between(settled, blobs)


def _between(plain: list[Hit], blobs: list[Hit]) -> list[Hit]:
    """Add the base64 that does not overlap with anything in plain sight."""
    settled: list[Hit] = []
    index = 0
    for blob in blobs:
        while index < len(plain) and plain[index].start < blob.end:
            settled.append(plain[index])
            index += 1
        if not settled or settled[-1].end <= blob.start:
            settled.append(blob)
    return settled + plain[index:]

"""Secrets known by the name of the field that holds them: JSON, YAML, forms, headers, code, URLs.

Rules:

* A name is a secret's by how it *ends* (`api_key`, `OPENAI_API_KEY`, `clientSecret`), never because
  it contains "token": `max_tokens`, `next_page_token` and `"token": "Hello"` are left alone.
* A quoted value is a secret whatever it says, but for types, templates and masks (`"string"`,
  `"${KEY}"`, `"***"`). A bare one must look like a secret, since prompts hold code and prose.
* Quotes may be escaped to any depth, as in JSON within JSON.
* Each look goes on where the value before ended, so that time is proportional to size.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmreplay.redaction._shapes import looks_like_words

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fields", "form_values", "url_secrets"]

_Span = tuple[int, int]
_SHORTEST, _SHORTEST_PASSWORD = 8, 6

_TAILS = (b"key", b"token", b"secret", b"pass", b"authorization")
"""What every name of a secret ends in, or nearly: the cheap test before the exact one."""

_NAMES = (
    b"apikey",
    b"accesskey",
    b"secretkey",
    b"privatekey",
    b"accountkey",
    b"subscriptionkey",
    b"signingkey",
    b"encryptionkey",
    b"masterkey",
    b"authkey",
    b"servicerolekey",
    b"accesstoken",
    b"refreshtoken",
    b"authtoken",
    b"sessiontoken",
    b"securitytoken",
    b"bearertoken",
    b"apitoken",
    b"bottoken",
    b"clientsecret",
    b"apisecret",
    b"appsecret",
    b"consumersecret",
    b"webhooksecret",
    b"signingsecret",
    b"sharedsecret",
    b"jwtsecret",
    b"password",
    b"passwd",
    b"passphrase",
    b"authorization",
)
_MAY_HOLD_SPACES = (b"password", b"passwd", b"passphrase", b"secret")

_NAME_BACKWARDS = re.compile(rb"[A-Za-z0-9_.-]{1,80}+")
_ID_TOKEN = re.compile(rb"(?:^|[a-z0-9](?=I)|[_.-])(?:id[_-]?token|idToken|IdToken)$|^ID_TOKEN$|_ID_TOKEN$")
_ENVIRONMENT = re.compile(rb"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET)")

_REST_OF_PASS = re.compile(rb"word|wd|phrase")

_OPENER = re.compile(
    rb"(?P<name>\\*[\"'`])?"
    rb"(?:(?<=\")(?:[^\S\r\n]*;[^\r\n]{0,200})?(?:\r?\n[^\r\n:\"]{1,40}:[^\r\n]{0,200}){0,4}+"
    rb"\r?\n[ \t]*\r?\n[ \t]*(?P<part>)"
    rb"|\s*,\s*\\*[\"']value\\*[\"']\s*:\s*"
    rb"|[\s\\]*(?:=>|:=|[:=>]|%3[dDaA])(?:[^\S\n]*[|>][+-]?\d?\n|[^\S\n]*\n\s*+-[ \t])?\s*+"
    rb"(?:\\\n\s*+\\?\s*+)?(?:\[\s*+)?)"
    rb"(?P<value>\\*[\"'`])?"
)
"""What stands between the name of a field and its value, in all the notations at once.

In order: a part of a multipart form; a name and a value in a list, as HAR writes headers; a JSON
member, a YAML entry (plain, a list of one, block text), an assignment, a header, an XML tag.
"""

_SCHEME = re.compile(
    rb"(?i)(?:bearer|basic|token|apikey|api-key|key|negotiate|digest|aws4-hmac-sha256)(?:\s++|\+|%20)"
)
_SIMPLE_STRING = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)
_SINGLE_QUOTED = re.compile(rb"(?:[^'\"\n\\]|\\[^\"\n]|'')*+")
_BACKTICKED = re.compile(rb"[^`\"\n\\]*+")
_QUOTE = re.compile(rb'(\\*+)"')
_LINE = re.compile(rb"[^\r\n]*+")
_BARE = re.compile(rb"(?:[^\s\"'`\\,;&<>{}()\[\]|#=:%]|%(?!3[dD]|26))++={0,2}+")

_SIMPLE_PASSWORD = re.compile(rb"(?=.{0,80}\d)[A-Za-z][A-Za-z0-9!@$%^*+~-]{5,80}")

_NO_SECRET = re.compile(
    rb"(?is)\W*+(?:(?:string|str|text|none|null|nil|true|false|undefined|optional|required"
    rb"|redacted|scrubbed|filtered|removed|hidden|masked|bearer|basic)\W*+)?(?!.)"
    rb"|[<$%{]+.*|\[redacted.*|\W*(?:os\.|process\.env|env\.|self\.|config\.|settings\.).*"
    rb"|(?:your|insert|enter)[-_ ].*"
)
"""A quoted value that is a type, a template, a mask or a hint, rather than a secret."""


def fields(data: bytes) -> Iterator[_Span]:
    """Yield where the values of fields named like secrets stand."""
    lowered = data.lower()
    for tail in _TAILS:
        position = lowered.find(tail)
        while position >= 0:
            end = position + len(tail)
            if tail == b"pass":
                rest = _REST_OF_PASS.match(lowered, end)
                end = rest.end() if rest else end
            compact = _compact(lowered, end)
            named = compact.endswith(_NAMES) or _is_named_otherwise(data, end)
            span = _value(data, end, compact) if named else None
            if span:
                yield span
                end = max(end, span[1])
            position = lowered.find(tail, end)


def _name(data: bytes, end: int) -> bytes:
    match = _NAME_BACKWARDS.match(data[max(0, end - 80) : end][::-1])
    name = match.group()[::-1] if match else b""
    return name[2:] if data[end - len(name) - 1 : end - len(name)] == b"%" else name


def _compact(lowered: bytes, end: int) -> bytes:
    return lowered[max(0, end - 40) : end].replace(b"_", b"").replace(b"-", b"").replace(b".", b"")


def _is_named_otherwise(data: bytes, end: int) -> bool:
    name = _name(data, end)
    return bool(_ID_TOKEN.search(name) or _ENVIRONMENT.fullmatch(name))


def _value(data: bytes, end: int, compact: bytes) -> _Span | None:
    """Find the value that follows the name which ends at `end`."""
    opener = _OPENER.match(data, end)
    if opener is None:
        return None
    start = opener.end()
    if opener["part"] is not None:
        return _trimmed(data, start, _end_of(_LINE, data, start))
    if opener["value"]:
        stop = _closing(data, start, opener["value"])
        return _quoted(data, start, stop, spaces=compact.endswith(_MAY_HOLD_SPACES))
    if opener["name"]:
        return None
    return _bare(data, start, password=compact.endswith((b"password", b"passwd", b"passphrase")))


def _end_of(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    match = pattern.match(data, start)
    return match.end() if match else start


def _closing(data: bytes, start: int, opener: bytes) -> int:
    """Find where a quoted value ends, or the text where its end was cut off."""
    depth = len(opener) - 1
    if opener.endswith(b"'"):
        return _end_of(_SINGLE_QUOTED, data, start)
    if opener.endswith(b"`"):
        return _end_of(_BACKTICKED, data, start)
    if depth == 0:
        return _end_of(_SIMPLE_STRING, data, start)
    for quote in _QUOTE.finditer(data, start):
        count = len(quote[1])
        whole, rest = divmod(count + 1, depth + 1)
        if count < depth or (rest == 0 and whole % 2 == 1):
            return quote.end() - 1 - min(count, depth)
    return len(data)


def _quoted(data: bytes, start: int, stop: int, *, spaces: bool) -> _Span | None:
    scheme = _SCHEME.match(data, start, stop)
    if scheme:
        start = scheme.end()
    value = data[start:stop]
    if not value or _NO_SECRET.fullmatch(value):
        return None
    if not spaces and value.count(b" ") > 1 and looks_like_words(value.replace(b" ", b".").rstrip(b".")):
        return None
    return start, stop


def _bare(data: bytes, start: int, *, password: bool) -> _Span | None:
    scheme = _SCHEME.match(data, start, start + 24)
    if scheme:
        start = scheme.end()
    end = _end_of(_BARE, data, start)
    value = data[start:end].rstrip(b".:")
    end = start + len(value)
    if data[end : end + 1] in (b"(", b"[", b"{") or value.isdigit() or _NO_SECRET.fullmatch(value):
        return None
    if looks_like_words(value) and not (password and _SIMPLE_PASSWORD.fullmatch(value)):
        return None
    return (start, end) if len(value) >= (_SHORTEST_PASSWORD if password else _SHORTEST) else None


def _trimmed(data: bytes, start: int, end: int) -> _Span | None:
    return (start, end) if data[start:end].strip() else None


_QUERY_NAMES = frozenset(
    b"key apikey accesstoken token idtoken refreshtoken authtoken sig signature xamzsignature xamzcredential"
    b" xamzsecuritytoken xgoogsignature xgoogcredential subscriptionkey ocpapimsubscriptionkey clientsecret"
    b" password passwd secret sessiontoken apitoken clientassertion".split()
)
_ALWAYS = _QUERY_NAMES - {b"key", b"token", b"secret", b"signature", b"password", b"passwd", b"sig"}
_USERINFO = re.compile(rb"(?:\\?/){2}([^\s/@:\\\"'<>]{0,200}+):([^\s/@\\\"'<>{}$]{1,500}+)@")
_PARAMETER = re.compile(
    rb"(?:[?&;#]|\\u0026|%26|%3[Ff])(?:amp;)?([A-Za-z0-9_.-]{2,40}+)(?:=|%3[Dd])([^&\s\"'<>\\;#]++)"
)


def url_secrets(
    data: bytes, start: int, end: int, *, strict: bool = False
) -> Iterator[tuple[int, int, bool]]:
    """Yield the passwords and secret parameters in URLs within a span, and whether it is in the host part.

    `strict` takes any value of a parameter with a secret's name; otherwise `key=value` may be prose.
    """
    for match in _USERINFO.finditer(data, start, end):
        password = match[2]
        if not _NO_SECRET.fullmatch(password) and password.lower() not in (
            b"password",
            b"pass",
            b"pwd",
            b"secret",
        ):
            yield match.start(2), match.end(2), True
    for match in _PARAMETER.finditer(data, start, end):
        compact = match[1].lower().replace(b"_", b"").replace(b"-", b"")
        if compact not in _QUERY_NAMES or (not strict and _NO_SECRET.fullmatch(match[2])):
            continue
        plain = len(match[2]) < _SHORTEST or looks_like_words(match[2])
        if strict or compact in _ALWAYS or not plain:
            yield match.start(2), match.end(2), False


def form_values(body: bytes) -> Iterator[_Span]:
    """Yield the values of secret names in a body that is a form, whatever they say."""
    position = 0
    for pair in body.split(b"&"):
        name, _, value = pair.partition(b"=")
        compact = name.strip().lower().replace(b"_", b"").replace(b"-", b"")
        if value and (compact in _QUERY_NAMES or compact.endswith(_NAMES)):
            yield position + len(name) + 1, position + len(pair)
        position += len(pair) + 1

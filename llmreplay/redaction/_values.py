"""Secrets known by their value: what the environment holds, in every spelling a wire may give it.

Rules:

* Which variables count is for `llmreplay.environment` to say.
* A value is known as it is, escaped as in JSON (up to three times: the arguments of a tool may hold
  JSON again), percent-encoded, and within base64 at each of its three alignments.
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from llmreplay.environment import SHORTEST, secrets
from llmreplay.redaction._shapes import LONG, RUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Form", "forms_of"]

_ESCAPE = re.compile(rb"\\+(?:u[0-9a-f]{4}|[nrtbf/])?")
_RUNS = re.compile(rb"[" + re.escape(RUN) + rb"]+")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{40,}")


class Form(NamedTuple):
    """One spelling of a secret value.

    `encoded` says that it stands within base64. `run` is the longest run of key-like characters in
    it, where that is long enough for the text to be looked for among such runs only.
    """

    text: bytes
    secret: bytes
    variable: str
    encoded: bool
    run: bytes

    @property
    def in_a_run(self) -> bool:
        """Whether it need not be looked for outside of long runs."""
        return len(self.run) >= LONG


def forms_of(environ: Mapping[str, str] | None) -> tuple[Form, ...]:
    """Return every spelling of every secret value, the longest first."""
    return _forms(tuple(secrets(environ).items()))


@lru_cache(maxsize=8)  # one process has one environment, and many sessions
def _forms(named: tuple[tuple[str, str], ...]) -> tuple[Form, ...]:
    forms: dict[bytes, Form] = {}
    for variable, value in named:
        secret = value.encode("utf-8", "surrogateescape")
        for text, encoded in _spellings(value, secret):
            forms.setdefault(text, Form(text, secret, variable, encoded, _longest_run(text)))
        for line in value.split() if "\n" in value.strip() else ():
            if _KEY_LINE.fullmatch(line):
                # a key of many lines may be indented
                text = line.encode()
                forms.setdefault(text, Form(text, text, variable, False, text))
    return tuple(sorted(forms.values(), key=lambda form: -len(form.text)))


def _spellings(value: str, secret: bytes) -> Iterator[tuple[bytes, bool]]:
    yield secret, False
    if value.strip() != value and len(value.strip()) >= SHORTEST:
        yield value.strip().encode("utf-8", "surrogateescape"), False
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        twice = json.dumps(once, ensure_ascii=ascii_only)[1:-1]
        thrice = json.dumps(twice, ensure_ascii=ascii_only)[1:-1]
        for text in (once, once.replace("/", "\\/"), _without_markup(once), twice, thrice):
            yield text.encode("utf-8", "surrogateescape"), False
    for text in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield text.encode(), False
        yield re.sub("%[0-9A-F]{2}", lambda escape: escape.group().lower(), text).encode(), False
    for shift in range(3):
        # the first and last characters depend on their neighbours: only those between are certain
        inside = base64.b64encode(bytes(shift) + secret)[(shift * 8 + 5) // 6 :].rstrip(b"=")
        if (shift + len(secret)) % 3:
            inside = inside[:-1]
        yield inside, True
        yield inside.translate(bytes.maketrans(b"+/", b"-_")), True


def _longest_run(text: bytes) -> bytes:
    return max(_RUNS.findall(_ESCAPE.sub(b" ", text)), key=len, default=b"")


def _without_markup(text: str) -> str:
    """Spell a JSON string as encoders do that protect HTML, such as Go's."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

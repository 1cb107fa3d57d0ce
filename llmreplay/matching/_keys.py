"""What two requests must share to be the same question.

Rules:

* Method, scheme, host, port, path, query and body count. Headers do not: SDKs fill them with their
  own version, the retry they are at, and the platform.
* In a JSON body the order of keys and the spelling of numbers do not count (0.7 is 0.699999988, the
  same 32-bit float), in a multipart body the boundary, in a form and in the query the order.
* The *exact* key takes generated ids as they are spelled; the *loose* key takes them only as equal
  or different: each is replaced by the number of its first appearance. A request is looked up by
  its exact key first, so that loosening never takes the answer of another request.
* Before both comes the *verbatim* key: a request that is spelled as a recorded one, byte for byte, has
  the exact key of that one, and need not be parsed for it.
* What was redacted is equal to whatever else was redacted.
* `ignore` widens both keys, path by path.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmreplay.exchange import Request

__all__ = [
    "GENERATED",
    "Ignore",
    "Key",
    "content",
    "exact_key",
    "key",
    "loose_key",
    "parse_ignore",
    "verbatim_key",
]

GENERATED = re.compile(
    r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
    # A random UUID without its dashes, told from a digest by its version: openai-agents has one in each run.
    r"|(?<![0-9a-f])[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}(?![0-9a-f])"
    r"|\b(?:call|toolu|srvtoolu|tooluse|chatcmpl|cmpl|msg|resp|rs|fc|run|req|gen|item|thread|step|batch|file|pyd_ai|lc)"
    r"[_-]+(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{8,}",
)
"""Ids that an SDK, a framework or a provider makes up: UUIDs, and the prefixes of known APIs."""

_SINGLE_PRECISION_BELOW = 1e6


class Key(NamedTuple):
    """Two digests of a request, 16 hexadecimal digits each."""

    exact: str
    loose: str


@dataclass(frozen=True, slots=True)
class Ignore:
    """Places of a request that do not count; see `parse_ignore`."""

    url: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    whole_body: bool = False
    body: tuple[tuple[str | int, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.url or self.query or self.whole_body or self.body)


NOTHING = Ignore()

_URL_PARTS = ("scheme", "host", "port", "path", "query")
_STEP = re.compile(
    r"\.?(?P<any>\*\*)|\[(?:(?P<each>\*)|(?P<index>-?\d+)|\"(?P<quoted>[^\"]*)\")\]|\.?(?P<name>[^.\[\]*]+|\*)"
)


def parse_ignore(paths: Iterable[str]) -> Ignore:
    """Read the paths of an `ignore` option.

    `messages[*].content`, `tools[0].description`, `metadata.*`, `**.timestamp` (at any depth) and
    `["odd.name"]` lead into a JSON body, also written with a leading `body.`. `body` is all of it.
    `url.host`, `url.path`, `url.port`, `url.scheme`, `url.query` and `url.query.NAME` are the parts
    of the address, `url` all of it, and `method` the method. Raises `OptionError`.
    """
    if paths == ():
        return NOTHING
    url: set[str] = set()
    query: set[str] = set()
    body: list[tuple[str | int, ...]] = []
    whole_body = False
    for path in [paths] if isinstance(paths, str) else paths:
        head, _, rest = path.partition(".")
        if path == "method":
            url.add("method")
        elif path == "url":
            url.update(_URL_PARTS)
        elif path == "body":
            whole_body = True
        elif head == "url":
            part, _, name = rest.partition(".")
            if part not in _URL_PARTS or (name and part != "query"):
                raise OptionError(
                    "ignore", path, "url.host, url.path, url.port, url.scheme, url.query or url.query.NAME"
                )
            query.add(name) if name else url.add(part)
        else:
            body.append(_steps(rest if head == "body" else path, path))
    return Ignore(frozenset(url), frozenset(query), whole_body, tuple(body))


def _steps(spelled: str, path: str) -> tuple[str | int, ...]:
    steps: list[str | int] = []
    at = 0
    while at < len(spelled):
        found = _STEP.match(spelled, at)
        if found is None:
            break
        if found["index"] is not None:
            steps.append(int(found["index"]))
        elif found["any"]:
            steps.append("**")
        else:
            steps.append(found["each"] or (found["quoted"] if found["quoted"] is not None else found["name"]))
        at = found.end()
    if not steps or at < len(spelled):
        raise OptionError(
            "ignore", path, "a path such as messages[*].content, metadata.user_id or url.query.api-version"
        )
    return tuple(steps)


def key(request: Request, ignore: Ignore = NOTHING) -> Key:
    """Return both keys of a request."""
    text = canonical(request, ignore)
    return Key(_digest(text), _digest(_loosened(text)))


def exact_key(request: Request, ignore: Ignore = NOTHING) -> str:
    """Return the exact key alone; most look-ups need no other."""
    return _digest(canonical(request, ignore))


def loose_key(request: Request, ignore: Ignore = NOTHING) -> str:
    """Return the loose key alone."""
    return _digest(_loosened(canonical(request, ignore)))


def verbatim_key(request: Request) -> str:
    """Return the key of a request as it is spelled: of equal ones, every byte of the body is the same.

    It needs no parsing. That of a recorded request is of what was left of it by redaction, so that it
    tells nothing of a secret; a request that has one is found by its exact key.
    """
    address = f"{request.method}\n{request.url}\n".encode("utf-8", "surrogatepass")
    return blake2b(address + request.body, digest_size=8).hexdigest()


def canonical(request: Request, ignore: Ignore = NOTHING) -> str:
    """Spell a request so that two that ask the same are spelled the same."""
    skip = ignore.url
    parts = request.parts
    address = [
        "" if "method" in skip else request.method.upper(),
        "" if "scheme" in skip else parts.scheme,
        "" if "host" in skip else request.host,
        "" if "port" in skip else str(request.port),
        "" if "path" in skip else unquote(request.path),
    ]
    if parts.query and "query" not in skip:
        address += [f"{name}={value}" for name, value in sorted(request.query) if name not in ignore.query]
    text = "\n".join([*address, "", "" if ignore.whole_body else _spelled(content(request, ignore))])
    if "redacted-" not in text:
        return text
    from llmreplay.redaction import PLACEHOLDERS  # noqa: PLC0415  few requests held a secret

    return PLACEHOLDERS.sub("[redacted]", text)


def content(request: Request, ignore: Ignore = NOTHING) -> Any:
    """Return what the body says: a JSON value, or text where it is not JSON."""
    body = request.body
    if not body:
        return None
    content_type = (request.header("content-type") or "").lower()
    if content_type.startswith("multipart/"):
        return _without_boundary(body, content_type)
    if content_type.startswith("application/x-www-form-urlencoded"):
        return _form(body)
    if body.lstrip()[:1] in (b"{", b"["):
        try:
            value = json.loads(body, parse_float=_number)
        except (ValueError, RecursionError):
            return body.decode("latin-1")
        for steps in ignore.body:
            value = _pruned(value, steps)
        return value
    return body.decode("latin-1")


def _form(body: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(body.decode("latin-1"), keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return fields


def _spelled(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"text:{value}"
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _number(spelled: str) -> float | int:
    """Read a JSON number so that equal numbers are equal, however many digits they were given."""
    number = float(spelled)
    if abs(number) < _SINGLE_PRECISION_BELOW:
        number = float(struct.unpack("f", struct.pack("f", number))[0])
    return int(number) if number.is_integer() else number


def _without_boundary(body: bytes, content_type: str) -> str:
    _, _, rest = content_type.partition("boundary=")
    boundary = rest.partition(";")[0].strip().strip('"')
    text = body.decode("latin-1")
    # The header was lowered to find the name; in the body the boundary has its own case.
    return re.sub(re.escape(f"--{boundary}"), "--boundary", text, flags=re.IGNORECASE) if boundary else text


def _loosened(text: str) -> str:
    seen: dict[str, str] = {}
    return GENERATED.sub(lambda found: seen.setdefault(found[0], f"<id {len(seen) + 1}>"), text)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _pruned(value: Any, steps: Sequence[str | int]) -> Any:  # noqa: PLR0911  one a kind of step
    """Return a JSON value without what a path leads to; items of a list leave a null behind."""
    if not steps:
        return None
    step, rest = steps[0], steps[1:]
    if step == "**":
        below = _pruned(value, rest) if rest else None
        if isinstance(below, dict):
            return {name: _pruned(item, steps) for name, item in below.items()}
        return [_pruned(item, steps) for item in below] if isinstance(below, list) else below
    if isinstance(value, dict) and isinstance(step, str):
        chosen = value.keys() if step == "*" else {step} & value.keys()
        if not rest:
            return {name: item for name, item in value.items() if name not in chosen}
        return {name: _pruned(item, rest) if name in chosen else item for name, item in value.items()}
    if isinstance(value, list) and (step == "*" or isinstance(step, int)):
        index = step + len(value) if isinstance(step, int) and step < 0 else step
        return [_pruned(item, rest) if step == "*" or at == index else item for at, item in enumerate(value)]
    return value

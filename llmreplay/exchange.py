"""What crossed the wire, as frozen values: requests, responses in chunks, failures, exchanges.

Rules:

* Bytes stay bytes. Nothing here knows a provider, a file format or an HTTP client; stdlib only.
* Header names and values are text, decoded as latin-1, in wire order, with duplicates kept.
* Delays are seconds since the event before: since the request for the first byte of a response,
  since the headers for the first chunk, since the chunk before for every other.
* What an exchange *means* is derived by `llmreplay.codecs`, never stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmreplay.completion import CompletionRequest, CompletionResponse, StreamEvent

__all__ = [
    "Chunk",
    "Ended",
    "Exchange",
    "Failure",
    "Headers",
    "Origin",
    "Phase",
    "Provenance",
    "Request",
    "Response",
]

Headers = tuple[tuple[str, str], ...]

Origin = Literal["recorded", "scripted", "imported"]
"""Where an exchange comes from: a live run, a script, or a file of another tool."""

Ended = Literal["complete", "cut", "closed"]
"""How a response ended: as the server meant, by an error, or because the client stopped reading."""

Phase = Literal["connect", "tls", "send", "headers", "body"]
"""What was going on when an exchange failed."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


def _first(headers: Headers, name: str) -> str | None:
    wanted = name.lower()
    for key, value in headers:
        if key.lower() == wanted:
            return value
    return None


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Request:
    """A request as the client sent it, with the whole body."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case, or None."""
        return _first(self.headers, name)

    @cached_property
    def parts(self) -> SplitResult:
        """The URL, split as `urllib.parse.urlsplit` does."""
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        """The host name in lower case, without brackets; empty if the URL has none."""
        try:
            return self.parts.hostname or ""
        except ValueError:
            return ""

    @property
    def port(self) -> int | None:
        """The port, or the default one of the scheme; None if neither is known."""
        try:
            return self.parts.port or _DEFAULT_PORTS.get(self.parts.scheme)
        except ValueError:
            return None

    @property
    def path(self) -> str:
        """The path as spelled on the wire, percent-encoding included."""
        return self.parts.path or "/"

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The query parameters, decoded, in order, blank values included."""
        return tuple(parse_qsl(self.parts.query, keep_blank_values=True))

    @cached_property
    def json(self) -> Any:
        """The body parsed as JSON, or None where it is not JSON."""
        return _parse_json(self.body)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that the transport delivered at once, and the seconds waited for them."""

    data: bytes
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no response, or no more of it.

    `error` is the name of the client library's exception class (`ConnectError`, `ReadTimeout`,
    `RemoteProtocolError` …), so that the library in use on replay can raise its own class of that
    name. `delay` is the seconds waited for it. A cancelled client is `CancelledError`.
    """

    error: str
    message: str = ""
    phase: Phase = "headers"
    delay: float = 0.0


@dataclass(frozen=True)
class Response:
    """A response as the client received it, cut where the network or the client cut it.

    `chunks` hold the body without its content coding; `encoding` names the coding that was undone
    (`gzip`, `br` …). `failure` is set if `ended` is `cut`, and may be if it is `closed`: a client
    that was cancelled, rather than one that had read enough.
    """

    status: int
    headers: Headers = ()
    chunks: tuple[Chunk, ...] = ()
    ended: Ended = "complete"
    failure: Failure | None = None
    delay: float = 0.0
    http_version: str = "HTTP/1.1"
    reason: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if (self.ended == "cut") != (self.failure is not None) and self.ended != "closed":
            raise ValueError(
                f"a response that is {self.ended} {'needs a' if self.ended == 'cut' else 'has no'} failure"
            )

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case, or None."""
        return _first(self.headers, name)

    @cached_property
    def body(self) -> bytes:
        """All chunks, joined."""
        return b"".join([chunk.data for chunk in self.chunks])

    @cached_property
    def json(self) -> Any:
        """The body parsed as JSON, or None where it is not JSON."""
        return _parse_json(self.body)

    @classmethod
    def of(cls, status: int, body: bytes | Iterable[bytes], headers: Headers = ()) -> Response:
        """Build a complete response from its body, or from the pieces of it, without delays."""
        pieces = (body,) if isinstance(body, bytes) else tuple(body)
        return cls(status, headers, tuple(Chunk(piece) for piece in pieces))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an exchange comes from.

    `at` is an ISO 8601 instant in UTC, `by` the program that wrote the exchange with its version,
    `client` the user agent of the SDK, `edge` the HTTP library it was taken from. `boundaries` is
    False where chunk boundaries and delays were not kept, as in imports.
    """

    origin: Origin = "recorded"
    at: str | None = None
    by: str | None = None
    client: str | None = None
    edge: str | None = None
    boundaries: bool = True


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it: a response, or a failure without one."""

    request: Request
    response: Response | None = None
    failure: Failure | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if (self.response is None) == (self.failure is None):
            raise ValueError("an exchange has either a response or a failure")

    @property
    def origin(self) -> Origin:
        """Where the exchange comes from: `recorded`, `scripted` or `imported`."""
        return self.provenance.origin

    def decode(self) -> CompletionResponse:
        """Say what the response means.

        Raises `CompletionError` where the provider or the network reported an error, and
        `UnknownWire` if no codec knows the endpoint.
        """
        from llmreplay import codecs  # noqa: PLC0415  one room up, see the import-linter contract

        return codecs.decode(self)

    def decode_request(self) -> CompletionRequest:
        """Say what the request means; raises `UnknownWire` if no codec knows the endpoint."""
        from llmreplay import codecs  # noqa: PLC0415

        return codecs.decode_request(self.request)

    def events(self) -> list[StreamEvent]:
        """Return what the client was told, in order; a plain response gives the same events."""
        from llmreplay import codecs  # noqa: PLC0415

        return codecs.events(self)

"""What all codecs share when they write: ids, deltas, and the HTTP around a body.

Rules:

* The full wire form is written, never the least that one SDK tolerates.
* The same answer to the same request is the same bytes, on every machine: ids come from a digest of
  the request and the number of the turn, and the clock stands at `CREATED`.
* A stream is one chunk a frame, as a provider flushes it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from llmreplay.completion import RETRYABLE
from llmreplay.exchange import Chunk, Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from llmreplay.codecs._rules import Rule
    from llmreplay.completion import CompletionRequest, CompletionResponse, ErrorKind
    from llmreplay.exchange import Request

__all__ = [
    "CREATED",
    "STRICT_HEADER",
    "Cut",
    "Encoder",
    "Ids",
    "Rejection",
    "compact",
    "fragments",
    "json_response",
    "retry_headers",
    "stream_response",
    "words",
]

CREATED = 1_767_225_600
"""The second at which everything that is written here was made: 2026-01-01, midnight UTC."""

STRICT_HEADER = "x-llmreplay-strict"
"""The header that tells a rejection of `check` from an error that a provider or a script sent."""

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
HEXADECIMAL = "0123456789abcdef"

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+")
_FRAGMENT = 8


class Ids:
    """Ids that look generated and are always the same: the n-th one for a request and a turn."""

    def __init__(self, request: Request, turn: int = 0) -> None:
        asked = request.body + request.url.encode("utf-8", "surrogateescape")
        self._seed = blake2b(asked + b"%d" % turn).digest()
        self._count = 0

    def new(self, prefix: str, length: int, alphabet: str = ALPHANUMERIC) -> str:
        """Return the next id: a prefix, and so many characters of an alphabet."""
        self._count += 1
        digest = b""
        while len(digest) < length:
            digest += blake2b(self._seed + b"%d %d" % (self._count, len(digest))).digest()
        return prefix + digest[:length].translate(_letters(alphabet)).decode()


@cache
def _letters(alphabet: str) -> bytes:
    """Return the letter of an alphabet that each byte stands for."""
    return bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(256))


def words(text: str) -> list[str]:
    """Cut a text into words, each with the space before it, as tokens come."""
    return _WORD.findall(text)


def fragments(text: str, size: int = _FRAGMENT) -> list[str]:
    """Cut a text into pieces of one size, the last may be shorter."""
    return [text[start : start + size] for start in range(0, len(text), size)]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a stream is cut into deltas: its text, and the arguments of its tool calls.

    Where a provider always sends arguments whole (Gemini, Groq, Ollama), they are sent whole.
    """

    text: Callable[[str], Sequence[str]] = words
    arguments: Callable[[str], Sequence[str]] = fragments


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that the provider itself would not take: which rule it breaks, and the answer to it."""

    rule: Rule
    message: str
    response: Response


class Encoder(Protocol):
    """Writes the bytes of one wire, both what a client sends and what a provider answers."""

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        """Return the HTTP request of a completion, without credentials.

        `base_url` stands for the provider's own. Raises `RequestError` if the wire cannot say it.
        """
        ...

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        """Return the answer as the request wants it, JSON or a stream.

        `turn` counts from 0, and makes the ids of one answer differ from those of the next.
        """
        ...

    def encode_error(  # noqa: PLR0913  what an error can say, each by name
        self,
        kind: ErrorKind,
        request: Request,
        *,
        status: int | None = None,
        message: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> Response:
        """Return the provider's own status, body and headers for a kind of error.

        Retryable ones carry `retry-after-ms: 1` as well unless `retry_after` (seconds) is given: SDKs
        then retry at once. Headers that this wire has for request ids are there too.
        """
        ...

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
        """Return the frame by which the provider reports an error in a stream that had begun."""
        ...

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        """Return why the provider would not take this conversation, with its own answer; None if it would.

        Rules that are `excepted` are left out; see `llmreplay.codecs._rules`.
        """
        ...


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def compact(value: Any) -> bytes:
    """Spell JSON as most providers do: compact, in UTF-8."""
    return _COMPACT.encode(value).encode("utf-8", "surrogatepass")


def json_response(
    value: Any, status: int = 200, headers: Headers = (), content_type: str = "application/json"
) -> Response:
    """Return a JSON answer in one chunk."""
    body = compact(value)
    own: Headers = (("content-type", content_type), ("content-length", str(len(body))))
    return Response(status, (*own, *headers), (Chunk(body),))


def retry_headers(kind: ErrorKind, retry_after: float | None = None) -> Headers:
    """Return the headers that say when to try again: at once where a second attempt may succeed.

    `retry-after: 0` is never sent: the SDKs of OpenAI and Anthropic ignore it, and wait in full.
    """
    if retry_after:
        seconds = f"{retry_after:f}".rstrip("0").rstrip(".")
        return (("retry-after", seconds), ("retry-after-ms", str(max(1, round(retry_after * 1000)))))
    return (("retry-after-ms", "1"),) if kind in RETRYABLE else ()


def stream_response(
    frames: Iterable[bytes],
    headers: Headers = (),
    content_type: str = "text/event-stream; charset=utf-8",
) -> Response:
    """Return a streamed answer, one chunk a frame."""
    own: Headers = (("content-type", content_type), ("transfer-encoding", "chunked"))
    return Response(200, (*own, *headers), tuple(Chunk(frame) for frame in frames))

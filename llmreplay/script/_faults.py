"""What goes wrong on purpose: errors of the provider, streams that break, bodies that are no answer.

Rules:

* A fault is rendered by the codec of the request, as an answer is: the provider's own status, body
  and headers, or its own event in a stream.
* What SDKs retry, they retry at once (`retry-after-ms: 1`) unless the error says how long to wait;
  where nothing is answered at all, they wait as they do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from llmreplay.completion import ErrorKind
from llmreplay.errors import OptionError
from llmreplay.exchange import Chunk, Failure, Headers, Response
from llmreplay.framing.breaking import How, break_off
from llmreplay.script._turns import Respond, Turn, as_turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmreplay.codecs._encoding import Encoder
    from llmreplay.exchange import Request

__all__ = ["Cut", "Fail", "How", "Spoil", "Step", "cut", "cut_off", "fail", "failed", "spoil", "spoilt"]

_NO_ANSWER: dict[str, Failure] = {
    "timeout": Failure("ReadTimeout", "The read operation timed out", "headers"),
    "connection": Failure("ConnectError", "[Errno 111] Connection refused", "connect"),
}
_BY_STATUS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "authentication",
    402: "quota_exhausted",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "request_too_large",
    422: "invalid_request",
    429: "rate_limited",
    499: "cancelled",
    500: "server_error",
    501: "not_supported",
    502: "server_error",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_LOWEST, _HIGHEST, _SERVER = 400, 599, 500
_RETRIED = frozenset({408, 409, 429})


@dataclass(frozen=True, slots=True)
class Fail:
    """An error of the provider, or of the network."""

    kind: ErrorKind
    status: int | None = None
    message: str | None = None
    code: str | None = None
    retry_after: float | None = None
    headers: Headers = ()
    during: Turn | Respond | None = None
    after: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """A turn whose answer breaks off."""

    turn: Turn | Respond
    after: int | None
    after_bytes: int | None
    how: How


Spoiling = Literal["malformed", "content_type", "empty"]


@dataclass(frozen=True, slots=True)
class Spoil:
    """A turn whose answer is none that a client can read."""

    turn: Turn | Respond
    how: Spoiling


Step = Turn | Respond | Fail | Cut | Spoil | str
"""What a script is made of."""


def fail(  # noqa: PLR0913  what an error can say, each by name
    what: str | int,
    message: str | None = None,
    *,
    code: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
    during: Turn | Respond | str | None = None,
    after: int = 1,
) -> Fail:
    """Return the provider's own error: `fail("rate_limited", retry_after=2)`, or `fail(529)`.

    Args:
        what: a kind (see `llmreplay.completion.ErrorKind`) or a status. `timeout` and `connection` are
            failures of the network, without an answer.
        message: what the error says; the provider's usual text if left out.
        code: the provider's code, where its errors have one.
        status: another status than the provider's usual one for this kind.
        retry_after: seconds that the provider asks to wait; without it, SDKs retry at once.
        headers: further headers of the answer.
        during: a turn in whose stream the error comes as an event, in a response of status 200; a call
            that asks for no stream gets the error itself.
        after: how many events of that stream come first.
    """
    kind: Any = what
    if isinstance(what, int) and not isinstance(what, bool):
        if not _LOWEST <= what <= _HIGHEST:
            raise OptionError("fail", what, "a status from 400 to 599, or a kind such as 'rate_limited'")
        kind, status = (
            _BY_STATUS.get(what, "server_error" if what >= _SERVER else "invalid_request"),
            status or what,
        )
    elif what not in get_args(ErrorKind):
        raise OptionError("fail", what, f"a status, or one of {', '.join(get_args(ErrorKind))}")
    if retry_after is not None and retry_after < 0:
        raise OptionError("retry_after", retry_after, "seconds")
    if after < 0:
        raise OptionError("after", after, "0 or more")
    return Fail(
        cast("ErrorKind", kind),
        status,
        message,
        code,
        retry_after,
        tuple((headers or {}).items()),
        None if during is None else _broken(during),
        after,
    )


def cut(
    turn: Turn | Respond | str,
    after: int | None = None,
    *,
    after_bytes: int | None = None,
    how: How = "eof",
) -> Cut:
    """Return a turn whose answer breaks off `after` so many events of its stream, or so many bytes.

    Without either, and where an answer is no stream and has no events, it breaks off in the middle.
    See `How`.
    """
    if how not in get_args(How):
        raise OptionError("how", how, f"one of {', '.join(get_args(How))}")
    for option, count in (("after", after), ("after_bytes", after_bytes)):
        if count is not None and count < 0:
            raise OptionError(option, count, "0 or more")
    if after is not None and after_bytes is not None:
        raise OptionError("after_bytes", after_bytes, "either events or bytes")
    return Cut(_broken(turn), after, after_bytes, how)


def spoil(turn: Turn | Respond | str, how: Spoiling = "malformed") -> Spoil:
    """Return a turn whose answer is none: JSON that is no JSON, a page under text/html, or nothing at all."""
    if how not in get_args(Spoiling):
        raise OptionError("how", how, f"one of {', '.join(get_args(Spoiling))}")
    return Spoil(_broken(turn), how)


def _broken(turn: Turn | Respond | str) -> Turn | Respond:
    return turn if isinstance(turn, Respond) else as_turn(turn)


def failed(fault: Fail, request: Request, encoder: Encoder, whole: Response | None) -> Response | Failure:
    """Render an error; `whole` is the answer it comes during, if it comes during one."""
    if whole is not None and _streams(whole):
        # The next frame is the provider's own report, and the last.
        frame = encoder.encode_stream_error(fault.kind, request, message=fault.message)
        return replace(whole, chunks=(*whole.chunks[: fault.after], Chunk(frame)))
    if fault.status is None and fault.kind in _NO_ANSWER:
        failure = _NO_ANSWER[fault.kind]
        return replace(failure, message=fault.message or failure.message)
    response = encoder.encode_error(
        # With a status it is an answer after all: as a proxy gives it, in the provider's words.
        "server_error" if fault.kind in _NO_ANSWER else fault.kind,
        request,
        status=fault.status,
        message=fault.message,
        code=fault.code,
        retry_after=fault.retry_after,
    )
    headers = response.headers
    if _tried_again(response.status) and response.header("retry-after-ms") is None:
        headers = (*headers, ("retry-after-ms", "1"))
    mine = {name.lower() for name, _ in fault.headers}
    kept = tuple(pair for pair in headers if pair[0].lower() not in mine)
    return replace(response, headers=(*kept, *fault.headers))


def _tried_again(status: int) -> bool:
    """Whether SDKs retry a status, although a second attempt may be as vain as the first."""
    return status in _RETRIED or status >= _SERVER


def cut_off(fault: Cut, whole: Response) -> Response:
    """Break an answer off."""
    return break_off(whole, after=fault.after, after_bytes=fault.after_bytes, how=fault.how)


def _streams(whole: Response) -> bool:
    """Whether an answer has events: one whose length is told beforehand has none."""
    return whole.header("content-length") is None


def spoilt(fault: Spoil, whole: Response) -> Response:
    """Make an answer unreadable."""
    bare = tuple(pair for pair in whole.headers if pair[0].lower() not in ("content-length", "content-type"))
    kind = tuple(pair for pair in whole.headers if pair[0].lower() == "content-type")
    if fault.how == "empty":
        return replace(whole, headers=(*bare, *kind), chunks=())
    if fault.how == "content_type":
        page = Chunk(b"<html><body>upstream connect error</body></html>")
        return replace(whole, headers=(*bare, ("content-type", "text/html")), chunks=(page,))
    return replace(whole, headers=(*bare, *kind), chunks=tuple(_garbled(whole.chunks)))


def _garbled(chunks: tuple[Chunk, ...]) -> list[Chunk]:
    """Break the JSON of each frame, or of the body: what a proxy does that cuts and joins."""
    return [Chunk(chunk.data.replace(b'":', b'"', 1), chunk.delay) for chunk in chunks]

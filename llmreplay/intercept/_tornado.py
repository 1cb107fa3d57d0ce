"""tornado's HTTP clients, through vcrpy's stub for them: a body comes whole.

Rules:

* vcrpy's stub asks a cassette; here it is given one that knows a single answer, which a session chose.
* What fails comes as tornado's own response 599, with the exception that it holds for that.
* vcrpy's stub knows no `streaming_callback`, `header_callback` and `body_producer`, and says so in a
  response 599; requests that are passed on keep them.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from socket import gaierror
from ssl import SSLError
from typing import TYPE_CHECKING, Any

from llmreplay import session
from llmreplay.exchange import Request
from llmreplay.intercept._http_failures import error_of, told_of
from llmreplay.intercept._httpx_streams import CANCELLED
from llmreplay.session import Forward, PassOn, Replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Failure, Phase, Response

__all__ = ["edge"]

# The header in which tornado tells of a coding that it has undone.
_UNDONE = "x-consumed-content-encoding"
# tornado's status for what has none.
_FAILED = 599


class _Answer:
    """What vcrpy's stub asks of a cassette, for one request that has been decided."""

    write_protected = False

    def __init__(self, decision: Replay | Forward) -> None:
        self._decision = decision

    def can_play_response_for(self, _: object) -> bool:
        return isinstance(self._decision, Replay)

    def play_response(self, _: object) -> dict[str, Any]:
        response = self._decision.exchange.response if isinstance(self._decision, Replay) else None
        if response is None:  # pragma: no cover  asked by the caller
            raise ValueError("there is no response")
        return {
            "status": {"code": response.status, "message": _reason(response)},
            "headers": [(name, [value]) for name, value in response.headers],
            "body": {"string": response.body},
        }

    def append(self, _: object, response: dict[str, Any]) -> None:
        if isinstance(self._decision, Forward):
            take, status = self._decision.take, response["status"]
            headers = tuple((name, value) for name, values in response["headers"] for value in values)
            take.head(status["code"], headers, reason=status["message"])
            for coding in (value for name, value in headers if name.lower() == _UNDONE):
                take.undone(coding)
            if response["body"]["string"]:
                take.chunk(response["body"]["string"])
            take.complete()


def edge(real: Any) -> Any:
    """Return `fetch_impl` that asks a session first."""

    def fetch_impl(self: Any, request: Any, callback: Callable[[Any], Any]) -> Any:
        if session.current() is None or session.is_forwarding():
            return real(self, request, callback)
        asked = _request(request)
        decision = session.decide(asked, "tornado")
        if isinstance(decision, PassOn):
            if not session.is_loopback(asked.host) and (blocked := session.block(asked.host)) is not None:
                # Further down it would be lost in a task of tornado's that nobody waits for.
                raise decision.refuse(blocked) if decision.refuse is not None else blocked
            return real(self, request, callback)
        if isinstance(decision, Forward):
            decision.take.boundaries = False
            return _stub(decision, partial(_failing, real, decision))(self, request, callback)
        return _play(self, decision, request, callback)

    return fetch_impl


def _stub(decision: Replay | Forward, real: Any) -> Any:
    from vcr.stubs.tornado_stubs import (  # type: ignore[import-untyped]  # noqa: PLC0415  see `_vcrpy`
        vcr_fetch_impl,
    )

    return vcr_fetch_impl(_Answer(decision), real)


def _request(request: Any) -> Request:
    headers = request.headers.copy()
    if request.user_agent:
        headers.setdefault("User-Agent", request.user_agent)
    return Request(request.method, request.url, tuple(headers.get_all()), request.body or b"")


def _failing(real: Any, forward: Forward, client: Any, request: Any, callback: Callable[[Any], Any]) -> None:
    """Send a request; what fails is noted before vcrpy's stub takes it for a response."""

    def noted(response: Any) -> None:
        if isinstance(response.error, Exception) and response.code == _FAILED:
            forward.take.fail(*_told_of(response.error))
        callback(response)

    # tornado follows redirects by requests of its own, which are part of this one.
    with session.forwarding():
        real(client, request, noted)


def _told_of(error: Exception) -> tuple[str, str, Phase]:
    from tornado.httputil import HTTPInputError  # noqa: PLC0415  tornado is there
    from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError  # noqa: PLC0415

    told = error.message if isinstance(error, HTTPStreamClosedError | HTTPTimeoutError) else str(error)
    told = str(told)
    if isinstance(error, HTTPTimeoutError):
        connecting = "connecting" in told
        return ("ConnectTimeout", told, "connect") if connecting else ("ReadTimeout", told, "headers")
    if isinstance(error, HTTPStreamClosedError | HTTPInputError):
        return "RemoteProtocolError", told, "headers"
    connecting = isinstance(error, ConnectionRefusedError | gaierror | SSLError)
    return told_of(error, "connect" if connecting else "headers")


def _play(client: Any, replay: Replay, request: Any, callback: Callable[[Any], Any]) -> None:
    response, failure = replay.exchange.response, replay.exchange.failure
    if response is not None:
        failure = response.failure if response.ended == "cut" else None
        waits = [response.delay, *(chunk.delay for chunk in response.chunks)]
    else:
        waits = []
    if failure is not None:
        waits.append(failure.delay)
    wait = sum(replay.wait(delay) for delay in waits)
    error = _error(replay, response, failure)
    play = (
        partial(_stub(replay, None), client, request, callback)
        if error is None
        else partial(_fail, client, request, callback, error)
    )
    # The other tasks get their turn, as they do where something is waited for.
    client.io_loop.call_later(wait, play)


def _error(replay: Replay, response: Response | None, failure: Failure | None) -> BaseException | None:
    left = response is not None and response.ended == "closed" and not replay.missed_nothing()
    if left or (failure is not None and failure.error in CANCELLED):
        return replay.session.recording_ended(replay.exchange)
    if failure is None:
        return None
    from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError  # noqa: PLC0415  tornado is there

    if failure.error == "RemoteProtocolError":
        return HTTPStreamClosedError(failure.message or "Stream closed")
    if failure.error.endswith("Timeout"):
        return HTTPTimeoutError(failure.message or "Timeout during request")
    return error_of(failure)


def _fail(client: Any, request: Any, callback: Callable[[Any], Any], error: BaseException) -> None:
    from tornado.httpclient import HTTPResponse  # noqa: PLC0415

    took = client.io_loop.time() - request.start_time
    callback(HTTPResponse(request, _FAILED, error=error, request_time=took))


def _reason(response: Response) -> str:
    if response.reason is not None:
        return response.reason
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return "Unknown"

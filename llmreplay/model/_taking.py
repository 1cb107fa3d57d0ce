"""One attempt to be answered: what has come over HTTP so far, and what it means.

Rules:

* A failure is noted as a recording would note it, and decoded by the same functions.
* Nothing is told of an attempt that is followed by another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _answer
from llmreplay.completion import CompletionError, RequestError, StreamError
from llmreplay.exchange import Chunk, Exchange, Failure, Response
from llmreplay.intercept._httpx_streams import failure_of
from llmreplay.model._session import raised

if TYPE_CHECKING:
    import httpx

    from llmreplay.completion import CompletionResponse, StreamEvent
    from llmreplay.exchange import Headers, Request
    from llmreplay.model._retries import Attempts

__all__ = ["Taking", "built"]


class Taking:
    """One attempt: what has come of the answer, and what it means."""

    def __init__(self, codec: Any, request: Request) -> None:
        self._codec, self.request = codec, request
        self._status = 0
        self._headers: Headers = ()
        self._chunks: list[Chunk] = []
        self._failure: Failure | None = None
        self._reading: _answer.Reading | None = None
        self._errors: list[CompletionError] = []
        self.begun = False

    @property
    def error(self) -> CompletionError | None:
        """What went wrong with a stream first."""
        return self._errors[0] if self._errors else None

    def head(self, response: httpx.Response) -> None:
        """Note the status and the headers."""
        self._status = response.status_code
        self._headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw
        )

    def note(self, data: bytes) -> None:
        """Note a piece of the body."""
        self._chunks.append(Chunk(data))

    def failed(self, error: httpx.HTTPError) -> None:
        """Note that there is no answer, or no more of it; raise `RequestError` if it was never sent."""
        import httpx  # noqa: PLC0415  libraries of others come when they are used

        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError) and not self._status:
            raise RequestError(f"the request cannot be sent to {self.request.url}: {error}") from error
        self._failure = failure_of(httpx, error, "body" if self._status else "headers")

    def answer(self) -> CompletionResponse | CompletionError:
        """Return the answer, or the error that there is in its place."""
        try:
            return _answer.decode(self._codec, self._exchange())
        except CompletionError as error:
            return error

    def told(self, data: bytes, attempts: Attempts) -> list[StreamEvent]:
        """Return what a piece of the body tells."""
        if self._reading is None:
            good = 200 <= self._status < 300  # noqa: PLR2004  the statuses of answers
            self._reading = _answer.Reading(
                self._codec, self.request, self._response(), stream=None if good else False
            )
        return self._to_tell(self._reading.feed(data), attempts)

    def end(self, attempts: Attempts) -> list[StreamEvent]:
        """Return what the end of the answer tells, whole or broken off."""
        exchange = self._exchange()
        if self._reading is None or exchange.response is None:
            return self._to_tell(_answer.events(self._codec, exchange), attempts)
        return self._to_tell(self._reading.close(exchange.response), attempts)

    def _to_tell(self, events: list[StreamEvent], attempts: Attempts) -> list[StreamEvent]:
        """Return the events to tell: not the error of an attempt that is followed by another."""
        found = raised(events, self._errors)
        if (
            not self.begun
            and found
            and isinstance(found[0], StreamError)
            and not attempts.ends(found[0].error)
        ):
            return []
        self.begun = self.begun or bool(found)
        return found

    def _exchange(self) -> Exchange:
        if not self._status:
            return Exchange(self.request, failure=self._failure)
        return Exchange(self.request, self._response(whole=True))

    def _response(self, *, whole: bool = False) -> Response:
        if not whole:
            return Response(self._status, self._headers)
        ended: Any = "complete" if self._failure is None else "cut"
        return Response(self._status, self._headers, tuple(self._chunks), ended, self._failure)


def built(client: Any, request: Request) -> Any:
    """Return a request of httpx; raise `RequestError` if it can be none."""
    import httpx  # noqa: PLC0415  likewise

    try:
        return client.build_request(
            request.method, request.url, headers=list(request.headers), content=request.body
        )
    except (httpx.InvalidURL, ValueError, TypeError) as problem:
        raise RequestError(f"the request cannot be sent to {request.url}: {problem}") from problem

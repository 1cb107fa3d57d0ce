"""respx beside llmreplay: a script behind a respx route, and respx routes for clients built on httpx2.

    respx_mock.post(path="/v1/chat/completions").mock(side_effect=side_effect(script))

    with respx.mock(using="llmreplay-httpx2") as respx_mock: ...

Rules:

* Importing this module imports respx, and registers the mocker; nothing else of llmreplay does.
* respx knows httpx alone: what a route raises or returns is turned into httpx2's words at its edge, so
  that SDKs on httpx2 see their own exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from respx.mocks import HTTPCoreMocker

from llmreplay.exchange import Failure, Request, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from llmreplay.session import Answerer

__all__ = ["HTTPX2Mocker", "side_effect"]


def side_effect(script: Answerer) -> Callable[[httpx.Request], httpx.Response]:
    """Return a side effect for a respx route that answers from a script.

    It works for sync and async clients. Refusals of the script are raised as they are; turns that are
    left over are yours to look at (`script.left`), since there is no session that ends.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
        )
        exchange = script.answer(Request(request.method, str(request.url), headers, request.read()))
        if exchange.response is None:
            raise _error(exchange.failure, request)
        response = exchange.response
        kept = [(name, value) for name, value in response.headers if name.lower() != "transfer-encoding"]
        return httpx.Response(response.status, headers=kept, stream=_Both(response, request))

    return answer


def _error(failure: Failure | None, request: httpx.Request) -> Exception:
    told = failure or Failure("TransportError")
    kind = getattr(httpx, told.error, httpx.TransportError)
    error: Exception = kind(told.message, request=request)
    return error


class _Both(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body for clients of both kinds, cut where it is cut."""

    def __init__(self, response: Response, request: httpx.Request) -> None:
        self._response, self._request = response, request

    def __iter__(self) -> Iterator[bytes]:
        yield from (chunk.data for chunk in self._response.chunks)
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._response.chunks:
            yield chunk.data
        self._end()

    def _end(self) -> None:
        if self._response.ended == "cut":
            raise _error(self._response.failure, self._request)


_Mocker: Any = HTTPCoreMocker  # respx types only half of it


class HTTPX2Mocker(_Mocker):  # type: ignore[misc]  # see above
    """Routes of respx for httpx2: `respx.mock(using="llmreplay-httpx2")`.

    The name is ours, so that other packages may bring a mocker for httpx2 too.
    """

    name = "llmreplay-httpx2"
    targets = [target.replace("httpcore.", "httpcore2.", 1) for target in HTTPCoreMocker.targets]  # noqa: RUF012  respx's own form

    @classmethod
    def _send_sync_request(cls, httpx_request: Any, **options: Any) -> Any:
        try:
            return super()._send_sync_request(httpx_request, **options)
        except httpx.TransportError as error:
            raise _in_words_of_httpx2(error) from error

    @classmethod
    async def _send_async_request(cls, httpx_request: Any, **options: Any) -> Any:
        try:
            return await super()._send_async_request(httpx_request, **options)
        except httpx.TransportError as error:
            raise _in_words_of_httpx2(error) from error

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: Any, target: Any, **options: Any) -> Any:
        """Return the response with a stream that breaks in httpx2's words."""
        response = super().from_sync_httpx_response(httpx_response, target, **options)
        response.stream = _Reworded(httpx_response.stream)
        return response

    @classmethod
    async def from_async_httpx_response(cls, httpx_response: Any, target: Any, **options: Any) -> Any:
        """Return the response with a stream that breaks in httpx2's words."""
        response = await super().from_async_httpx_response(httpx_response, target, **options)
        response.stream = _Reworded(httpx_response.stream)
        return response


def _in_words_of_httpx2(error: httpx.TransportError) -> Exception:
    import httpcore2  # noqa: PLC0415  only with httpx2 there

    for kind in type(error).__mro__:
        word = getattr(httpcore2, kind.__name__, None)
        if isinstance(word, type) and issubclass(word, Exception):
            reworded: Exception = word(str(error))
            return reworded
    return httpcore2.NetworkError(str(error))


class _Reworded:
    """A stream of httpx, read by httpcore2: sync or async, as it is asked."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._inner
        except httpx.TransportError as error:
            raise _in_words_of_httpx2(error) from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                yield piece
        except httpx.TransportError as error:
            raise _in_words_of_httpx2(error) from error

    def close(self) -> None:
        """Close the stream, if it is one that is closed this way."""
        if hasattr(self._inner, "close"):
            self._inner.close()

    async def aclose(self) -> None:
        """Close the stream, if it is one that is closed this way."""
        if hasattr(self._inner, "aclose"):
            await self._inner.aclose()

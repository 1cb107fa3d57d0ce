"""An exchange as an answer or an error: what is the same for all wires.

A stream is told by its body rather than its headers: content types are missing or wrong in
recordings, and gateways answer a request for a stream with the JSON of an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmreplay.codecs import _errors
from llmreplay.completion import CompletionError, FinishReason, StreamError, told
from llmreplay.exchange import Chunk, Exchange
from llmreplay.framing.eventstream import begins

if TYPE_CHECKING:
    from llmreplay.codecs._base import Codec, StreamDecoder
    from llmreplay.completion import CompletionResponse, StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["Reading", "decode", "events"]

_ENOUGH = 64

_STREAM_PATHS = ("/converse-stream", "/invoke-with-response-stream")

# Only what was cut short, or withheld, may be no answer at all; of a stream that is all there is to tell.
_SAYS_SOMETHING = (FinishReason.STOP, FinishReason.TOOL_CALLS)

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\xef\xbb\xbf")


def decode(codec: Codec, exchange: Exchange) -> CompletionResponse:
    """Return the answer of an exchange; raise `CompletionError` if it has none."""
    response = exchange.response
    if response is None or not _is_stream(codec, response, exchange.request):
        return _plain(codec, exchange)
    decoder = codec.decode_stream(response, exchange.request)
    for chunk in response.chunks:
        decoder.feed(chunk.data)
    decoder.close()
    problem = _stream_error(decoder, response, codec.provider(exchange.request))
    if problem is not None:
        raise problem
    assert decoder.response is not None  # noqa: S101  or there was an error
    return decoder.response


def events(codec: Codec, exchange: Exchange) -> list[StreamEvent]:
    """Return what the client was told, in order."""
    response = exchange.response
    if response is None:
        return _told(codec, exchange)
    stream = _is_stream(codec, response, exchange.request)
    reading = Reading(codec, exchange.request, response, stream=stream)
    found = [event for chunk in response.chunks for event in reading.feed(chunk.data)]
    return found + reading.close(response)


class Reading:
    """Reads an answer as its bytes come, stream or not; `head` is the response without its body.

    Whether it is a stream is told by how the body begins, unless that is known: until then, nothing is
    told. A body that is none is told at its end.
    """

    def __init__(self, codec: Codec, request: Request, head: Response, *, stream: bool | None = None) -> None:
        self._codec, self._request, self._head = codec, request, head
        self._stream = stream
        self._start: list[bytes] = []
        self._decoder: StreamDecoder | None = codec.decode_stream(head, request) if stream else None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, and return what they tell."""
        if self._decoder is not None:
            return self._decoder.feed(data)
        if self._stream is None:
            self._start.append(data)
            start = b"".join(self._start)
            # Enough to tell: the first line of a frame, or as much as is looked at.
            if len(start) >= _ENOUGH or b"\n" in start.lstrip() or b"\r" in start.lstrip():
                return self._begin(start)
        return []

    def close(self, response: Response) -> list[StreamEvent]:
        """Take the end, with the whole response; the last event is a `Final` or a `StreamError`."""
        found: list[StreamEvent] = []
        if self._stream is None:
            found = self._begin(response.body)
        if self._decoder is None:
            return _told(self._codec, Exchange(self._request, response))
        found += self._decoder.close()
        problem = _stream_error(self._decoder, response, self._codec.provider(self._request))
        if problem is not None and problem is not self._decoder.error:
            found.append(StreamError(error=problem))
        return found

    def _begin(self, start: bytes) -> list[StreamEvent]:
        head = replace(self._head, chunks=(Chunk(start),), ended="closed", failure=None)
        self._stream = _is_stream(self._codec, head, self._request)
        if not self._stream:
            return []
        self._decoder = self._codec.decode_stream(self._head, self._request)
        return self._decoder.feed(start)


def _told(codec: Codec, exchange: Exchange) -> list[StreamEvent]:
    try:
        return told(_plain(codec, exchange))
    except CompletionError as error:
        return [StreamError(error=error)]


def _plain(codec: Codec, exchange: Exchange) -> CompletionResponse:
    provider, response = codec.provider(exchange.request), exchange.response
    if response is None:
        assert exchange.failure is not None  # noqa: S101  an exchange has one or the other
        raise _errors.failed(exchange.failure, provider)
    if response.ended == "cut" and response.failure is not None:  # even if the body came whole
        raise _errors.broken(response.failure, response, provider)
    if response.status >= 400:  # noqa: PLR2004  the statuses of errors
        raise codec.decode_error(response, exchange.request)
    if response.json is None and response.status != 202:  # noqa: PLR2004  "not yet", which has no body
        raise (
            _errors.left(response, provider)
            if response.ended == "closed"
            else _errors.not_json(response, provider)
        )
    answer = codec.decode_response(response, exchange.request)
    if not answer.choice and answer.finish_reason in _SAYS_SOMETHING:
        raise _errors.no_answer(
            f"the answer is empty, and ends with {answer.finish_reason}", response, provider
        )
    return answer


def _stream_error(decoder: StreamDecoder, response: Response, provider: str | None) -> CompletionError | None:
    """Return what the client met: an error in the stream, or an end that came too early."""
    if decoder.error is not None:
        return decoder.error
    if decoder.response is not None:
        return None
    if response.failure is not None:
        return _errors.broken(response.failure, response, provider)
    return (
        _errors.left(response, provider)
        if response.ended == "closed"
        else _errors.truncated(response, provider)
    )


def _is_stream(codec: Codec, response: Response, request: Request) -> bool:
    if not 200 <= response.status < 300:  # noqa: PLR2004  the statuses of answers
        return False
    # A wire whose streams look like plain bodies tells them apart itself, or leaves it to what follows.
    own = getattr(codec, "is_stream", None)
    told_by_codec: bool | None = own(response, request) if own else None
    if told_by_codec is not None:
        return told_by_codec
    start = response.body[:_ENOUGH].lstrip()
    if start[:1] in {b"{", b"["}:
        return False
    if start.startswith(_FIELDS) or begins(response.body):
        return True
    kind = response.header("content-type") or ""
    if "eventstream" in kind or request.path.endswith(_STREAM_PATHS):
        return True
    return "event-stream" in kind or (not start and b'"stream":true' in request.body.replace(b" ", b""))

"""What a codec is: the translation of one wire, without a socket.

A wire is one module beside this one, with a `CODEC`, and a line in the table of `llmreplay.codecs`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from llmreplay.codecs import _errors
from llmreplay.codecs._json import parse
from llmreplay.completion import CompletionError, Final, JsonError, StreamError
from llmreplay.framing.jsonarray import NotAnArray
from llmreplay.framing.sse import Frame, FrameTooLong, SSEParser

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest, CompletionResponse, StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["Codec", "EventStreamDecoder", "StreamDecoder", "TextParser"]


class StreamDecoder(Protocol):
    """Decodes a stream as its bytes come."""

    @property
    def error(self) -> CompletionError | None:
        """The first error that the stream reported, or that its frames have."""
        ...

    @property
    def response(self) -> CompletionResponse | None:
        """The answer, once `close` has found it whole."""
        ...

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, and return what they tell."""
        ...

    def close(self) -> list[StreamEvent]:
        """Take the end of the stream; the last event is a `Final` if the answer is whole."""
        ...


class Codec(Protocol):
    """Translates the bodies of one wire."""

    @property
    def name(self) -> str:
        """The name of the wire."""
        ...

    def provider(self, request: Request) -> str | None:
        """Return who answers, as far as the host tells."""
        ...

    def decode_request(self, request: Request) -> CompletionRequest:
        """Return what a request means; raise `RequestError` if its body is none of this wire."""
        ...

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        """Return what a plain 2xx response means; raise `CompletionError` if it is no answer."""
        ...

    def decode_stream(self, response: Response, request: Request) -> StreamDecoder:
        """Return a decoder for the body of a streamed 2xx response."""
        ...

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        """Return the error that a response with a status of 400 or more reports."""
        ...


class TextParser(Protocol):
    """Cuts a stream into the texts of its objects: lines, or the elements of an array."""

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes, and return the texts that are complete with them."""
        ...

    def close(self) -> list[str]:
        """Return what is left at the end of the stream."""
        ...


class _Frames:
    """The texts of a stream as the frames of an event stream."""

    def __init__(self, parser: TextParser) -> None:
        self._parser = parser

    def feed(self, data: bytes) -> list[Frame]:
        return [Frame(text) for text in self._parser.feed(data)]

    def close(self) -> list[Frame]:
        return [Frame(text) for text in self._parser.close()]


class EventStreamDecoder(ABC):
    """What the decoders of all event streams share: frames, their JSON, and the errors in them.

    A frame that is no JSON is an error, and the stream goes on behind it; at the end of a stream it
    is merely cut off. An error that the provider reports leaves no answer.

    Streams that are no event streams bring their own parser.
    """

    def __init__(self, response: Response, provider: str | None, parser: TextParser | None = None) -> None:
        self.error: CompletionError | None = None
        self.response: CompletionResponse | None = None
        self._http, self._provider = response, provider
        self._parser: SSEParser | _Frames = SSEParser() if parser is None else _Frames(parser)
        self._raw: list[Any] = []
        self._done = False
        self._reported = False
        self._lost = False  # where frames begin

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, and return what they tell."""
        if self._lost:
            return []
        try:
            frames = self._parser.feed(data)
        except (FrameTooLong, NotAnArray) as problem:
            self._lost = True
            return [self._failed(JsonError(str(problem), status=self._http.status, provider=self._provider))]
        return [event for frame in frames for event in self._frame(frame, last=False)]

    def close(self) -> list[StreamEvent]:
        """Take the end of the stream; the last event is a `Final` if the answer is whole."""
        if self._lost:
            return []
        events = [event for frame in self._parser.close() for event in self._frame(frame, last=True)]
        if self._whole() and not self._reported:
            self.response = self._answer()
            events.append(Final(response=self.response))
        return events

    @abstractmethod
    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        """Return what an object of the stream tells."""

    @abstractmethod
    def _whole(self) -> bool:
        """Return whether the wire's terminal has come."""

    @abstractmethod
    def _answer(self) -> CompletionResponse:
        """Return the answer, from all that has come."""

    def _frame(self, frame: Frame, *, last: bool) -> list[StreamEvent]:  # noqa: PLR0911  one return a kind
        if frame.data == "[DONE]":
            self._done = True
            return []
        if not frame.data.strip():
            return []
        try:
            data = parse(frame.data)
        except ValueError as problem:
            if last:
                return []
            message = f"a frame of the stream is not JSON: {problem}"
            return [
                self._failed(
                    JsonError(message, status=self._http.status, body=frame.data, provider=self._provider)
                )
            ]
        self._raw.append(data)
        if frame.event == "error" or not isinstance(data, dict) or data.get("error"):
            return [self._told(data)]
        if data.get("object") == "error":  # Mistral and its like
            return [self._told(data)]
        return self._object(data)

    def _told(self, body: Any) -> StreamEvent:
        """Keep an error that the provider reports in the stream."""
        self._reported = True
        return self._failed(_errors.reported(body, self._http, self._provider, otherwise="stream_error"))

    def _failed(self, error: CompletionError) -> StreamEvent:
        self.error = self.error or error
        return StreamError(error=error)

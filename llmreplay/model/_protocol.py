"""What a model is to the code that uses one: an answer, or a stream of events that ends with one.

Rules:

* Whoever has `completion` and `stream` is a model; `Model` adds what can be had from these two.
* A stream that was whole ends with a `Final`. One that failed raises a `CompletionError`, which it may
  have told before as a `StreamError`; it has no `Final`, and neither has one that was cancelled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from llmreplay.completion import CompletionError, Final, HttpError, StreamError, Usage
from llmreplay.model._event_stream import EventStream
from llmreplay.model._sync import iterate_sync, run_sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from llmreplay.completion import CompletionRequest, CompletionResponse, Message, StreamEvent
    from llmreplay.model._builder import CompletionRequestBuilder

__all__ = ["CompletionModel", "CompletionStream", "Model", "collected"]


@runtime_checkable
class CompletionModel(Protocol):
    """Something that answers completion requests: a provider, a script, a recording, or your own."""

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        """Return the answer; raise `CompletionError` if there is none."""
        ...

    def stream(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        """Return what is told while the model answers; an async generator function is enough."""
        ...


class CompletionStream(EventStream["StreamEvent"]):
    """What is told while a model answers, event by event.

        async with model.stream(request) as events:
            async for event in events:
                ...
        print(events.response.text, events.usage)

    It may be awaited, which gives the stream itself, and closes itself at its end. It belongs to the
    task that reads it; `cancel`, `pause` and `resume` may be called by other tasks of the same loop.

    Attributes:
        response: The whole answer, once it has come; None until then, and if it never does.
    """

    def __init__(self, events: AsyncIterator[StreamEvent]) -> None:
        super().__init__(events)
        self.response: CompletionResponse | None = None

    @property
    def usage(self) -> Usage:
        """The tokens of the answer; all zero until it is whole."""
        return Usage() if self.response is None else self.response.usage

    def _take(self, event: StreamEvent) -> None:
        if isinstance(event, Final):
            self.response = event.response


class Model(ABC):
    """A model with all that follows from `completion` and `stream`: base class of ours, and for yours."""

    @abstractmethod
    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        """Return the answer; raise `CompletionError` if there is none."""

    @abstractmethod
    def stream(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        """Return what is told while the model answers, in order; raise `CompletionError` where it fails."""

    def completion_request(self, prompt: str | Message) -> CompletionRequestBuilder:
        """Return a request in the making that ends with this prompt, to be sent to this model."""
        from llmreplay.model._builder import CompletionRequestBuilder  # noqa: PLC0415  it knows models

        return CompletionRequestBuilder(self, prompt)

    def completion_sync(self, request: CompletionRequest) -> CompletionResponse:
        """Return the answer, without an event loop or inside a running one, which waits meanwhile."""
        return run_sync(lambda: self.completion(request))

    def stream_sync(self, request: CompletionRequest) -> Iterator[StreamEvent]:
        """Return what is told while the model answers, as it comes; else like `completion_sync`."""
        return iterate_sync(lambda: self.stream(request))


async def collected(stream: AsyncIterator[StreamEvent]) -> CompletionResponse:
    """Read a stream to its end, and return the answer.

    Raises what the stream raises; where it ends without a `Final`, the first error that it told, or an
    `HttpError` of kind `stream_truncated`.
    """
    response: CompletionResponse | None = None
    told: CompletionError | None = None
    async for event in stream:
        if isinstance(event, Final):
            response = event.response
        elif isinstance(event, StreamError):
            told = told or event.error
    if response is not None:
        return response
    raise told or HttpError("the stream ended before the answer was complete", kind="stream_truncated")

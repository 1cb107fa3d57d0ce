"""A model that a session answers: what a script and a recording have in common.

Rules:

* The session is that of the wire level: one decision for each request, every refusal kept, everything
  that nobody asked for held against the test. No edge is installed, since nothing goes to a network.
* An exchange is decoded as it is anywhere else; a stream is told at its pace, and every failure is
  told as a `StreamError` before it is raised.
* Whoever reads on where the recorded client had left is refused, as on the wire.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from llmreplay import codecs, use
from llmreplay.codecs import _answer
from llmreplay.codecs.vocabulary import CODEC
from llmreplay.completion import CompletionError, Final, StreamError
from llmreplay.model._protocol import CompletionStream, Model
from llmreplay.session import Replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from llmreplay.completion import CompletionRequest, CompletionResponse, StreamEvent, Usage
    from llmreplay.errors import Refusal
    from llmreplay.exchange import Exchange, Request
    from llmreplay.session import Session

__all__ = ["SessionModel", "raised"]

_EDGE = "model"
_CANCELLED = ("CancelledError", "Cancelled")


class SessionModel(Model):
    """A model that a session answers.

    As a context manager, sync or async, it holds against the block what a session would: requests that
    were refused and nobody was told, turns or exchanges that nobody asked for. `finish` does the same
    without a block.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._played: list[Exchange] = []

    @property
    def session(self) -> Session:
        """What decides on each request, and keeps what happened."""
        return self._session

    @property
    def refusals(self) -> list[Refusal]:
        """What was refused and nobody has taken note of; clear it where that was meant."""
        return self._session.refusals

    @property
    @abstractmethod
    def requests(self) -> list[CompletionRequest]:
        """What the model was asked, call by call."""

    @property
    def calls(self) -> list[Exchange]:
        """The exchanges that answered, call by call."""
        return list(self._played)

    @property
    def usage(self) -> Usage:
        """The tokens of all calls together."""
        from llmreplay.completion import Usage  # noqa: PLC0415  the name is a type above

        return sum((codecs.usage(call) for call in self.calls), Usage())

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        """Return the next answer; raise the `CompletionError` that stands there, or a `Refusal`."""
        replay, exchange = self._decided(request, stream=False)
        await _pause(replay, exchange)
        self._refuse_if_it_ends_here(replay, exchange)
        return exchange.decode()

    def stream(self, request: CompletionRequest) -> CompletionStream:
        """Return the next answer as a stream; what is no stream is told as one."""
        return CompletionStream(self._events(request))

    def finish(self) -> None:
        """Raise what there is to complain of: swallowed refusals first, then what was never asked for."""
        use.finish(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        use.leave(self._session, error, use.finish)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    async def _events(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        replay, exchange = self._decided(request, stream=True)
        failure: list[CompletionError] = []
        await _pause(replay, exchange)
        if exchange.response is None:
            self._refuse_if_it_ends_here(replay, exchange)
            for event in raised(exchange.events(), failure):
                yield event
        else:
            reading = _answer.Reading(codecs.codec_of(exchange.request), exchange.request, exchange.response)
            for data, wait in replay.pieces():
                await _sleep(wait)
                for event in raised(reading.feed(data), failure):
                    yield event
            self._refuse_if_it_ends_here(replay, exchange)
            for event in raised(reading.close(exchange.response), failure):
                yield event
        if failure:
            raise failure[0]

    def _decided(self, request: CompletionRequest, *, stream: bool) -> tuple[Replay, Exchange]:
        asked = self._wire(request.model_copy(update={"stream": stream}))
        decision = self._session.decide(asked, _EDGE)
        assert isinstance(decision, Replay)  # noqa: S101  a model call that is not recorded is replayed
        exchange = self._meant(decision)
        self._played.append(exchange)
        return decision, exchange

    def _meant(self, replay: Replay) -> Exchange:
        """Return the exchange that answers, as it is to be decoded."""
        return replay.exchange

    def _wire(self, request: CompletionRequest) -> Request:
        return CODEC.encode_request(request)

    def _refuse_if_it_ends_here(self, replay: Replay, exchange: Exchange) -> None:
        response = exchange.response
        failure = exchange.failure if response is None else response.failure
        left = response is not None and response.ended == "closed" and not codecs.finished(exchange)
        if left or (failure is not None and failure.error in _CANCELLED):
            raise self._session.recording_ended(replay.exchange)


def raised(events: list[StreamEvent], failure: list[CompletionError]) -> list[StreamEvent]:
    """Return the events to tell, and note the first error: of a stream that failed, no `Final` is told."""
    told: list[StreamEvent] = []
    for event in events:
        if isinstance(event, StreamError):
            failure.append(event.error)
        if not (failure and isinstance(event, Final)):
            told.append(event)
    return told


async def _pause(replay: Replay, exchange: Exchange) -> None:
    start: Any = exchange.failure if exchange.response is None else exchange.response
    await _sleep(replay.wait(start.delay))


async def _sleep(seconds: float) -> None:
    import anyio  # noqa: PLC0415  it takes a while to come, and `import llmreplay` needs none

    await anyio.sleep(seconds)

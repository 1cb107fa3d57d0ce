"""A script: turns in order, one for each call of the model, and everything that was asked.

Rules:

* One turn a call, never repeated. Out of turns is a refusal that shows the conversation so far.
* A queue made with `when` serves the calls that fit it, and only those; the first that fits serves.
* What the provider would not take of a conversation it does not take here either: the answer is the
  provider's own, tagged, and no turn is used. What the script itself does wrong (a tool that was not
  offered, arguments that its schema does not take) is told as a mistake of the script.
* The same script and requests give the same bytes, in whatever order threads come: what is made up
  for an answer depends on its request, and on how often this one was asked before.
* An answer that is put off (xAI's `deferred`) is one call: its turn is taken by the request that is
  promised it, and told to the one that fetches it. A turn of `finish_reason="deferred"` is "not yet", and
  leaves the next one to whoever asks again.
* What goes wrong in a script is a refusal: SDKs take any `Exception` below them for a bad connection.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmreplay import codecs
from llmreplay.codecs._encoding import Cut as Cutting
from llmreplay.codecs._rules import RULES
from llmreplay.completion import CompletionRequest, Usage
from llmreplay.errors import OptionError, ScriptExhausted, ScriptMistake, UnknownWire, render
from llmreplay.exchange import Chunk, Exchange, Failure, Provenance, Response
from llmreplay.script._asked import Asked
from llmreplay.script._calls import MISTAKES, check_calls
from llmreplay.script._faults import Cut, Fail, Spoil, cut_off, failed, spoilt
from llmreplay.script._promises import Promises
from llmreplay.script._transcript import conversation, told
from llmreplay.script._turns import Respond, Turn, as_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmreplay.codecs._encoding import Encoder
    from llmreplay.exchange import Request
    from llmreplay.script._faults import Step

__all__ = ["Queue", "Script"]

_SCRIPTED = Provenance("scripted")


@dataclass(eq=False)
class Queue:
    """Turns for the calls that fit a condition; the script's own queue fits all."""

    condition: str = "every call"
    fits: Callable[[CompletionRequest], bool] = lambda _request: True
    _turns: deque[Any] = field(default_factory=deque)

    def turns(self, *turns: Step) -> Queue:
        """Add turns at the end."""
        self._turns.extend(_step(one) for one in turns)
        return self

    @property
    def left(self) -> int:
        """How many turns nobody has asked for yet."""
        return len(self._turns)


def _step(one: Any) -> Any:
    return one if isinstance(one, Respond | Fail | Cut | Spoil) else as_turn(one)


class Script:
    """What the model is going to say, turn by turn, and what it was asked.

    `strict` checks conversations as the provider would, and the script's own tool calls; False leaves
    both out, and names of rules (`strict_except=["unanswered-tool-call"]`) leave out these.
    """

    def __init__(self, *turns: Step, strict: bool = True, strict_except: Iterable[str] = ()) -> None:
        if isinstance(strict_except, str):
            raise OptionError("strict_except", strict_except, f"a list such as [{strict_except!r}]")
        self._strict, self._excepted = strict, frozenset(strict_except)
        if unknown := sorted(self._excepted - {*RULES, *MISTAKES}):
            raise OptionError("strict_except", unknown, f"names of rules: {', '.join([*RULES, *MISTAKES])}")
        self._lock = threading.RLock()
        self._queues: list[Queue] = []
        self._main = Queue().turns(*turns)
        self._asked: list[tuple[Asked, Exchange]] = []
        self._seen: Counter[tuple[str, bytes]] = Counter()
        self._promises = Promises()

    def turns(self, *turns: Step) -> Script:
        """Add turns at the end."""
        self._main.turns(*turns)
        return self

    def when(  # noqa: PLR0913  conditions, each by name
        self,
        *,
        model: str | None = None,
        contains: str | None = None,
        system: str | None = None,
        tool_result: str | None = None,
        stream: bool | None = None,
        fits: Callable[[CompletionRequest], bool] | None = None,
    ) -> Queue:
        """Return a queue of its own for the calls that fit all conditions: sub-agents, concurrent calls.

        Args:
            model: the name of the model.
            contains: a text in one of the user's messages.
            system: a text in the system prompt.
            tool_result: a text in the results that the call brings back.
            stream: whether a stream is asked for.
            fits: any other condition, of the `CompletionRequest`.
        """
        tests: list[tuple[str, Callable[[CompletionRequest], bool]]] = []
        if model is not None:
            tests.append((f"model={model!r}", lambda request: request.model == model))
        if contains is not None:
            tests.append((f"contains={contains!r}", lambda request: _user_says(request, contains)))
        if system is not None:
            tests.append((f"system={system!r}", lambda request: system in request.system))
        if tool_result is not None:
            tests.append((f"tool_result={tool_result!r}", lambda request: _brings(request, tool_result)))
        if stream is not None:
            tests.append((f"stream={stream!r}", lambda request: request.stream == stream))
        if fits is not None:
            tests.append((f"fits={getattr(fits, '__name__', fits)}", fits))
        if not tests:
            raise OptionError("when", None, "at least one condition, such as contains='weather'")
        told = ", ".join(name for name, _ in tests)
        queue = Queue(told, lambda request: all(test(request) for _, test in tests))
        with self._lock:
            self._queues.append(queue)
        return queue

    @property
    def requests(self) -> list[CompletionRequest]:
        """What the model was asked, call by call."""
        return [asked.request for asked, _ in self._asked]

    @property
    def calls(self) -> list[Exchange]:
        """What crossed the wire, call by call."""
        return [exchange for _, exchange in self._asked]

    @property
    def usage(self) -> Usage:
        """The tokens of all calls together."""
        return sum((codecs.usage(call) for call in self.calls), Usage())

    @property
    def left(self) -> list[tuple[str, int]]:
        """The queues that have turns nobody asked for, with how many."""
        queued = [(queue.condition, queue.left) for queue in [self._main, *self._queues] if queue.left]
        unfetched = self._promises.left
        return [*queued, ("answers that were put off", unfetched)] if unfetched else queued

    def transcript(self) -> str:
        """Return the conversations so far, for a person to read."""
        return "\n".join(
            told(asked.request, exchange, number) for number, (asked, exchange) in enumerate(self._asked, 1)
        )

    def answer(self, request: Request) -> Exchange:
        """Return the next turn for a request, in the form of its wire.

        Raises `ScriptExhausted` or `ScriptMistake`.
        """
        try:
            return self._answered(request)
        except Exception as error:
            raise _unanswerable(request, error) from error

    def _answered(self, request: Request) -> Exchange:
        codec = _codec(request)
        asked = Asked(request, codec)
        with self._lock:
            promise = self._promises.of(request)
            if promise is None and self._strict and (rejected := codec.check(request, self._excepted)):
                return self._keep(asked, rejected.response)
            first = asked if promise is None else promise.asked
            step = (promise and promise.turn) or self._next(request, first)
            if promise is not None:
                self._promises.told(promise, step)
            number = self._seen[request.url, request.body]
            self._seen[request.url, request.body] += 1
        while asked.deferred and isinstance(step, Respond):  # whose turn is made once, and told later
            step = _step(step.function(asked.request))
        exchange = self._keep(asked, self._rendered(step, request, first, codec, number))
        if asked.deferred and isinstance(step, Turn):
            with self._lock:
                self._promises.take(exchange, asked, step)
        return exchange

    def _next(self, request: Request, asked: Asked) -> Any:
        fitting = [queue for queue in self._queues if queue.fits(asked.request)] or [self._main]
        for queue in fitting:
            if queue.left:
                return queue._turns.popleft()  # noqa: SLF001  a queue is emptied by its script
        raise self._exhausted(request, asked.request, fitting[0].condition)

    def _keep(self, asked: Asked, answer: Response | Failure) -> Exchange:
        if isinstance(answer, Failure):
            exchange = Exchange(asked.raw, failure=answer, provenance=_SCRIPTED)
        else:
            exchange = Exchange(asked.raw, answer, provenance=_SCRIPTED)
        asked.settle()
        with self._lock:
            self._asked.append((asked, exchange))
        return exchange

    def _rendered(
        self, step: Any, request: Request, asked: Asked, codec: Encoder, number: int
    ) -> Response | Failure:
        if isinstance(step, Turn):
            return self._spoken(step, request, asked, codec, number)
        if isinstance(step, Respond):
            return self._rendered(_step(step.function(asked.request)), request, asked, codec, number)
        if isinstance(step, Fail):
            whole = None
            if step.during is not None:
                whole = self._rendered(step.during, request, asked, codec, number)
            return failed(step, request, codec, whole if isinstance(whole, Response) else None)
        whole = self._rendered(step.turn, request, asked, codec, number)
        if isinstance(whole, Failure):
            return whole
        return cut_off(step, whole) if isinstance(step, Cut) else spoilt(step, whole)

    def _spoken(self, turn: Turn, request: Request, asked: Asked, codec: Encoder, number: int) -> Response:
        if self._strict and (made := [call for choice in (turn, *turn.others) for call in choice.calls]):
            check_calls(made, asked.request, request, self._excepted)
        response = codec.encode_response(turn.response(), request, turn=number, cut=Cutting(text=turn.pieces))
        pace = 1 / turn.tokens_per_second if turn.tokens_per_second else 0.0
        if not turn.latency and not pace:
            return response
        chunks = tuple(Chunk(chunk.data, pace if at else 0.0) for at, chunk in enumerate(response.chunks))
        return replace(response, delay=turn.latency, chunks=chunks)

    def _exhausted(self, request: Request, asked: CompletionRequest, condition: str) -> ScriptExhausted:
        evidence = [
            f"request: {request.method} {request.url}, call {len(self._asked) + 1} of this script",
            f"queue: {condition}",
            "conversation:",
            *(f"  {line}" for line in conversation(asked)),
        ]
        if self.left:
            evidence.append(
                "left elsewhere: " + ", ".join(f"{count} for {name}" for name, count in self.left)
            )
        remedies = [
            "The model should go on? Add a turn: script.turns(say(...))",
            "It was asked once too often? The conversation above says what brought it on.",
        ]
        message = render("The script has no turn left for this request.", evidence, remedies)
        return ScriptExhausted(message, request=request)


def _codec(request: Request) -> Any:
    codec = codecs.codec_of(request)
    if not hasattr(codec, "encode_response"):
        raise UnknownWire(
            f"a script has no turns for {request.method} {request.url} ({codecs.recognise(request)})"
        )
    return codec


def _unanswerable(request: Request, error: Exception) -> ScriptMistake:
    message = render(
        "The script cannot answer this request.",
        [f"request: {request.method} {request.url}", f"problem: {type(error).__name__}: {error}"],
        ["It is the turn, or its function, that this request or its provider cannot have: correct that."],
    )
    return ScriptMistake(message, request=request)


def _user_says(request: CompletionRequest, text: str) -> bool:
    return any(text in message.text for message in request.messages if message.role == "user")


def _brings(request: CompletionRequest, text: str) -> bool:
    return any(text in result.text for result in request.tool_results)

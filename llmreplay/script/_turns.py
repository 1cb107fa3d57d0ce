"""What a model says in one turn, written by hand.

Rules:

* A turn is a frozen value: it can be used in many scripts. What it leaves open (ids, the model's
  name, the finish reason) the codec fills in, the same on every run.
* A string stands for `say` of it wherever a turn is expected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import words
from llmreplay.completion import (
    AssistantContent,
    Choice,
    CompletionRequest,
    CompletionResponse,
    FinishReason,
    LogProbs,
    Reasoning,
    ReasoningPart,
    Refusal,
    Text,
    ToolCall,
    Usage,
)
from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Respond", "Turn", "as_turn", "call", "respond", "say", "turn"]


_OF_THE_WHOLE = (
    "usage",
    "finish_reason",
    "citations",
    "model",
    "id",
    "logprobs",
    "latency",
    "tokens_per_second",
    "deltas",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model says in answer to one call.

    `latency` is the seconds before the response begins, `tokens_per_second` the pace of its deltas;
    both are told to a client that replays in time (`speed=1`), and cost nothing otherwise. `deltas`
    are the pieces that the text of a stream comes in; None leaves that to the provider's ways.
    """

    contents: tuple[AssistantContent, ...] = ()
    usage: Usage | None = None
    finish_reason: str | None = None
    citations: tuple[Any, ...] = ()
    model: str | None = None
    id: str | None = None
    logprobs: LogProbs | None = None
    others: tuple[Turn, ...] = ()
    latency: float = 0.0
    tokens_per_second: float | None = None
    deltas: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.latency < 0:
            raise OptionError("latency", self.latency, "seconds")
        if self.tokens_per_second is not None and self.tokens_per_second <= 0:
            raise OptionError("tokens_per_second", self.tokens_per_second, "more than 0, or None")

    def pieces(self, text: str) -> Sequence[str]:
        """Cut a text of this turn into what a stream brings it in."""
        return self.deltas if self.deltas is not None and "".join(self.deltas) == text else words(text)

    @property
    def calls(self) -> list[ToolCall]:
        """The tools that the model asks for in this turn."""
        return [content for content in self.contents if content.type == "tool_call"]

    @property
    def reason(self) -> FinishReason:
        """Why the model stops: as told, or as its contents have it."""
        if self.finish_reason is not None:
            return FinishReason(self.finish_reason)
        return FinishReason.TOOL_CALLS if self.calls else FinishReason.STOP

    def response(self) -> CompletionResponse:
        """Return the turn as a model's answer, of no provider."""
        return CompletionResponse(
            choice=list(self.contents),
            usage=self.usage or Usage(),
            finish_reason=self.reason,
            others=[
                Choice(
                    index=number,
                    contents=list(other.contents),
                    finish_reason=other.reason,
                    logprobs=other.logprobs,
                )
                for number, other in enumerate(self.others, 1)
            ],
            logprobs=self.logprobs,
            citations=list(self.citations),
            response_id=self.id,
            message_id=self.id,
            model=self.model,
        )


@dataclass(frozen=True, slots=True)
class Respond:
    """A turn that is made when the request is known."""

    function: Callable[[CompletionRequest], Any]


def say(  # noqa: PLR0913  what an answer can have, each by name
    text: str = "",
    *,
    reasoning: str | Reasoning | None = None,
    refusal: str | None = None,
    usage: Usage | None = None,
    finish_reason: str | None = None,
    citations: Iterable[Any] = (),
    model: str | None = None,
    id: str | None = None,  # noqa: A002  the name users know
    logprobs: LogProbs | None = None,
    latency: float = 0.0,
    tokens_per_second: float | None = None,
    deltas: Sequence[str] | None = None,
) -> Turn:
    """Return a turn in which the model says something.

    Args:
        text: what it says.
        reasoning: what it thinks before: text, or a `Reasoning` with signatures and sealed parts.
        refusal: what it says instead, if it will not.
        usage: the tokens it reports; none are made up.
        finish_reason: `stop`, `length`, `content_filter`, or the provider's own word.
        citations: sources, as the provider spells them.
        model: the model's name; that of the request if left out.
        id: the id of the answer; made up if left out.
        logprobs: the probabilities of the tokens.
        latency: seconds before the response begins.
        tokens_per_second: the pace of a stream.
        deltas: the exact pieces of a stream; joined they must be the text.
    """
    if deltas is not None and "".join(deltas) != text:
        raise _no_deltas_of(text, deltas)
    contents: list[AssistantContent] = [*_thought(reasoning)]
    if text or (refusal is None and not contents):
        contents.append(Text(text=text))
    if refusal is not None:
        contents.append(Refusal(text=refusal))
    return Turn(
        tuple(contents),
        usage,
        finish_reason,
        tuple(citations),
        model,
        id,
        logprobs,
        latency=latency,
        tokens_per_second=tokens_per_second,
        deltas=None if deltas is None else tuple(deltas),
    )


def call(  # noqa: PLR0913  likewise
    name: str,
    /,
    arguments: Mapping[str, Any] | str | None = None,
    *,
    id: str | None = None,  # noqa: A002
    reasoning: str | Reasoning | None = None,
    usage: Usage | None = None,
    model: str | None = None,
    latency: float = 0.0,
    tokens_per_second: float | None = None,
    **more: Any,
) -> Turn:
    """Return a turn in which the model asks for a tool: `call("get_weather", city="Paris")`.

    Arguments go by name. One whose name is taken here (`id`, `usage` …) goes into `arguments`, which
    may also be text: what a model writes that is no JSON, or not what the tool takes.
    """
    if isinstance(arguments, str):
        if more:
            raise OptionError("arguments", arguments, "either text, or arguments by name")
        asked = ToolCall.written(name, arguments, id=id or "")
    else:
        given = {**(arguments or {}), **more}
        asked = ToolCall(
            name=name, arguments=given, arguments_raw=json.dumps(given, ensure_ascii=False), id=id or ""
        )
    return Turn(
        (*_thought(reasoning), asked),
        usage,
        model=model,
        latency=latency,
        tokens_per_second=tokens_per_second,
    )


def turn(
    *parts: Turn | str,
    choices: Sequence[Turn | str] = (),
    **fields: Any,
) -> Turn:
    """Return one turn of several contents: `turn(say("Let me look."), call(…), call(…))`.

    What belongs to the whole answer (`usage`, `finish_reason`, `model`, `latency` …) is given here, or
    by one of the parts; token counts are not added up. `choices` are the further answers of `n > 1`.
    """
    pieces = [as_turn(part) for part in parts]
    if not pieces:
        raise OptionError("turn", parts, "at least one content, such as say('Hello.')")
    whole: dict[str, Any] = {}
    for name in _OF_THE_WHOLE:
        told = [value for value in (getattr(piece, name) for piece in pieces) if value]
        if len(told) > 1 and name not in fields:
            raise OptionError(name, told, "one value for the turn: give it to turn() itself")
        whole.update({name: told[0]} if told else {})
    if unknown := sorted(fields.keys() - set(_OF_THE_WHOLE)):
        raise OptionError("turn", unknown, f"some of {', '.join(_OF_THE_WHOLE)}")
    contents = tuple(content for piece in pieces for content in piece.contents)
    others = tuple(as_turn(choice) for choice in choices)
    made = replace(Turn(contents, others=others), **{**whole, **fields})
    texts = [content.text for content in contents if isinstance(content, Text)]
    if made.deltas is not None and "".join(made.deltas) not in (*texts, "".join(texts)):
        raise _no_deltas_of("".join(texts), made.deltas)
    return made


def respond(function: Callable[[CompletionRequest], Any]) -> Respond:
    """Return a turn that a function makes of the request: it returns a turn, a fault or a text."""
    if not callable(function):
        raise OptionError("respond", function, "a function of the CompletionRequest")
    return Respond(function)


def as_turn(part: Turn | str) -> Turn:
    """Take a text for what it stands for."""
    if isinstance(part, str):
        return say(part)
    if not isinstance(part, Turn):
        raise OptionError("turn", part, "say(…), call(…), turn(…) or a text")
    return part


def _no_deltas_of(text: str, deltas: Sequence[str]) -> OptionError:
    return OptionError("deltas", list(deltas), f"pieces that are {text!r} when they are joined")


def _thought(reasoning: str | Reasoning | None) -> list[Reasoning]:
    if reasoning is None:
        return []
    return [Reasoning(parts=[ReasoningPart(text=reasoning)]) if isinstance(reasoning, str) else reasoning]

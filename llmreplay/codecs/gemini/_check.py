"""The rules of a conversation that Gemini holds to, with its own words.

Turns of one role that follow each other are one turn: recorded requests with several were accepted.
Texts: gemini-cli#7410, gemini-cli#26956 and #11814 (a conversation that begins with a call), lobehub#7298,
paws#103 (positions count from 1), watt-mind/coach#280.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.codecs._json import each, mapping, text
from llmreplay.codecs._rules import Rule, first
from llmreplay.codecs.gemini._parts import SIGNATURE
from llmreplay.codecs.gemini._spelling import spelled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Broken", "broken_rule"]

_COUNT = (
    "Please ensure that the number of function response parts is equal to the number of function call parts "
    "of the function call turn."
)
_CALL_ORDER = (
    "Please ensure that function call turn comes immediately after a user turn "
    "or after a function response turn."
)
_RESPONSE_ORDER = "Please ensure that function response turn comes immediately after a function call turn."
_SIGNATURE = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
    "work correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
    "function call `default_api:{name}` , position {position}. Please refer to "
    "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
)
_TWICE = "Request contains an invalid argument."


class Broken(NamedTuple):
    """A rule that a conversation breaks, and what Google says to it."""

    rule: Rule
    message: str


class _Turn(NamedTuple):
    model: bool
    position: int  # of its last content, from 1
    parts: list[dict[str, Any]]

    def calls(self) -> list[dict[str, Any]]:
        return [part for part in self.parts if _of(part, "functionCall")]

    def responses(self) -> int:
        return sum(bool(_of(part, "functionResponse")) for part in self.parts)


def broken_rule(body: Any, excepted: Collection[str], *, signed: bool) -> Broken | None:
    """Return the first rule that a request breaks; `signed` if calls must be signed."""
    turns = _turns(each(mapping(body).get("contents")))
    return first([*_broken(turns), *(_unsigned(turns) if signed else ())], excepted)


def _broken(turns: list[_Turn]) -> Iterator[Broken]:
    for place, turn in enumerate(turns):
        before = turns[place - 1] if place else None
        after = turns[place + 1] if place + 1 < len(turns) else None
        calls = turn.calls() if turn.model else []
        if calls:
            if before is None:
                yield Broken("message-order", _CALL_ORDER)
            answered = 0 if after is None else after.responses()
            if len(calls) != answered:
                missing = len(calls) > answered
                yield Broken("unanswered-tool-call" if missing else "orphan-tool-result", _COUNT)
            ids = [found for call in calls if (found := text(_of(call, "functionCall").get("id")))]
            if len(set(ids)) < len(ids):
                yield Broken("repeated-tool-call", _TWICE)
        elif not turn.model and turn.responses() and (before is None or not before.calls()):
            yield Broken("orphan-tool-result", _RESPONSE_ORDER)


def _unsigned(turns: list[_Turn]) -> Iterator[Broken]:
    """Tell the calls of the current turn that is not signed; what is before it does not count."""
    asked = [place for place, turn in enumerate(turns) if not turn.model and not turn.responses()]
    for turn in turns[asked[-1] if asked else 0 :]:
        for call in turn.calls()[:1] if turn.model else ():
            if not call.get(spelled(call, SIGNATURE)):
                name = text(_of(call, "functionCall").get("name"))
                yield Broken("reasoning-signature", _SIGNATURE.format(name=name, position=turn.position))


def _turns(contents: list[dict[str, Any]]) -> list[_Turn]:
    turns: list[_Turn] = []
    for position, content in enumerate(contents, 1):
        model, parts = content.get("role") == "model", each(content.get("parts"))
        if turns and turns[-1].model == model:
            turns[-1] = _Turn(model, position, turns[-1].parts + parts)
        else:
            turns.append(_Turn(model, position, parts))
    return turns


def _of(part: dict[str, Any], camel: str) -> dict[str, Any]:
    return mapping(part.get(spelled(part, camel)))

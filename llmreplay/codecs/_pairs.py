"""What is true of conversations with every provider: each call has its result, and each result its call.

Rules:

* Ids are only equal or different; calls of one id (or of none) are answered one by one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.codecs._rules import Rule
    from llmreplay.completion import CompletionRequest

__all__ = ["Broken", "broken_pairs"]


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a conversation breaks, and what is said of it."""

    rule: Rule
    message: str


def broken_pairs(asked: CompletionRequest) -> Iterator[Broken]:
    """Yield each call that has no result before the model speaks again, and each result without a call."""
    waiting: Counter[str] = Counter()
    for place, message in enumerate(asked.messages):
        results = message.tool_results
        if not results and waiting:
            yield _unanswered(place, waiting)
            waiting.clear()
        for result in results:
            if waiting[result.id] > 0:
                waiting[result.id] -= 1
            else:
                said = (
                    f"messages[{place}] has a result of {result.id!r}, which no call before it has for an id"
                )
                yield Broken("orphan-tool-result", said)
        waiting = +waiting + Counter(call.id for call in message.tool_calls)
    if waiting:
        yield _unanswered(len(asked.messages), waiting)


def _unanswered(place: int, waiting: Counter[str]) -> Broken:
    ids = ", ".join(map(repr, waiting.elements()))
    return Broken("unanswered-tool-call", f"tool calls have no result before messages[{place}]: {ids}")

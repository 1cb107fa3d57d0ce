"""The rules of a conversation that providers hold to, by names that are the same for all of them.

Rules:

* A name says what is wrong, not how a provider says it: `strict_except` works for any of them.
* A wire tells every rule that is broken, in the order of its provider, which tells the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["RULES", "Rule", "first"]

Rule = Literal[
    "unanswered-tool-call",
    "orphan-tool-result",
    "repeated-tool-call",
    "tool-call-id",
    "tool-name",
    "tool-config",
    "message-order",
    "reasoning-dropped",
    "reasoning-signature",
    "reasoning-order",
    "required-field",
]
"""What a conversation can do wrong.

A call without a result, a result without a call, two calls of one id; an id or a name of a form that the
provider does not take; tools used that are not configured; a message of the wrong role for its place;
reasoning that had to come back and did not, or changed, or not where it belongs; a field left out that the
provider cannot do without.
"""

RULES: tuple[Rule, ...] = get_args(Rule)


class _Broken(Protocol):
    @property
    def rule(self) -> Rule: ...


B = TypeVar("B", bound=_Broken)


def first(found: Iterable[B | None], excepted: Collection[str]) -> B | None:
    """Return the first broken rule that is not excepted."""
    return next((broken for broken in found if broken is not None and broken.rule not in excepted), None)

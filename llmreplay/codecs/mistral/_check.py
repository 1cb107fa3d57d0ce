"""The rules of a conversation that Mistral holds to, with its own words.

They are those of Mistral's own open validator (mistral-common, serving mode), in its order: the last
message, the order of roles, the number of results, ids and names. Bodies: litellm#17761, datapizza-ai#98.
"""

from __future__ import annotations

import re
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.codecs._json import each, mapping, text
from llmreplay.codecs._rules import Rule, first

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Broken", "broken_rule"]

_FOLLOWS = {
    "system": {"system", "user", "assistant"},
    "user": {"system", "user", "assistant"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}
_ID = re.compile(r"[a-zA-Z0-9]{9}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_ORDER = ("invalid_request_message_order", "3230")
_CALL = ("invalid_function_call", "3280")


class Broken(NamedTuple):
    """A rule that a conversation breaks: what Mistral says to it, with the type and code of that."""

    rule: Rule
    message: str
    type: str
    code: str


def broken_rule(body: Any, excepted: Collection[str]) -> Broken | None:
    """Return the first rule that a request breaks."""
    messages = each(mapping(body).get("messages"))
    return first(chain(_last(messages), _order(messages), _count(messages), _spelling(messages)), excepted)


def _last(messages: list[dict[str, Any]]) -> Iterator[Broken]:
    last = messages[-1] if len(messages) > 1 else {}
    if last.get("role") != "assistant" or last.get("prefix") is True:
        return
    message = "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
    yield Broken("message-order", message, *_ORDER)


def _order(messages: list[dict[str, Any]]) -> Iterator[Broken]:
    for before, message in pairwise(messages):
        role, previous = text(message.get("role")), text(before.get("role"))
        if role in _FOLLOWS and role not in _FOLLOWS.get(previous, _FOLLOWS):
            yield Broken("message-order", f"Unexpected role '{role}' after role '{previous}'", *_ORDER)


def _count(messages: list[dict[str, Any]]) -> Iterator[Broken]:
    waiting = 0
    for message in [*messages, {"role": "assistant"}]:  # as if it answered
        if message.get("role") == "tool":
            waiting -= 1
        elif message.get("role") == "assistant":
            if waiting:
                said = "Not the same number of function calls and responses"
                yield Broken("unanswered-tool-call" if waiting > 0 else "orphan-tool-result", said, *_ORDER)
            waiting = len(each(message.get("tool_calls")))


def _spelling(messages: list[dict[str, Any]]) -> Iterator[Broken]:
    for message in messages:
        calls = each(message.get("tool_calls")) if message.get("role") == "assistant" else []
        ids = [text(call.get("id")) for call in calls]
        if message.get("role") == "tool":
            ids.append(text(message.get("tool_call_id")))
        for id_ in ids:
            if not _ID.fullmatch(id_):
                said = f"Tool call id was {id_} but must be a-z, A-Z, 0-9, with a length of 9."
                yield Broken("tool-call-id", said, *_CALL)
        for call in calls:
            name = text(mapping(call.get("function")).get("name"))
            if not _NAME.fullmatch(name):
                said = (
                    f"Function name was {name} but must be a-z, A-Z, 0-9, or contain underscores and dashes, "
                    "with a maximum length of 64."
                )
                yield Broken("tool-name", said, *_CALL)

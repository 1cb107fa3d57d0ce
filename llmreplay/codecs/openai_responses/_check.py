"""What OpenAI would not take of a conversation on the Responses wire, with its words for that.

Rules and texts: public reports (GhidrAssist#78, continue#10092, OmniRoute#8946) and recordings; a
DeepSeek recording for its own. Only what one request shows is judged: what an earlier response
holds (`previous_response_id`, `conversation`, `item_reference`) may answer everything. Providers
whose rules are not known, or that are lenient, reject nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.codecs._encoding import STRICT_HEADER, Ids, Rejection, json_response
from llmreplay.codecs._json import each, mapping, optional, text
from llmreplay.codecs._rules import Rule, first
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.codecs.openai_chat._write import request_headers
from llmreplay.codecs.openai_responses._write_errors import error_body

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llmreplay.exchange import Request

__all__ = ["check"]


class _Found(NamedTuple):
    """A rule, the provider's message, the parameter it names, and its code."""

    rule: Rule
    message: str
    param: str | None
    code: str | None


_CALLS = {"function_call": "function call", "custom_tool_call": "custom tool call"}
_ANSWERS = {f"{kind}_output": f"{words} output" for kind, words in _CALLS.items()}


def check(request: Request, excepted: Collection[str] = ()) -> Rejection | None:
    """Return why the provider would not take this conversation; None if it would."""
    body, dialect = mapping(request.json), dialect_of(request)
    items = each(body.get("input"))
    kind = dialect.json_type
    if dialect.name == "deepseek":
        found = first(_interleaved(items), excepted)
        kind = "application/octet-stream"  # as recorded
    elif dialect.strict:
        found = first(_problems(body, items), excepted)
    else:
        found = None
    if found is None:
        return None
    rule, message, param, code = found
    headers = (*request_headers(dialect, Ids(request)), (STRICT_HEADER, rule))
    answer = json_response(error_body(message, code=code, param=param), 400, headers, kind)
    return Rejection(rule, message, answer)


def _problems(body: dict[str, Any], items: list[dict[str, Any]]) -> Iterator[_Found]:
    elsewhere = body.get("previous_response_id") or body.get("conversation")
    referred = any(item.get("type") == "item_reference" for item in items)
    if not elsewhere and not referred:
        yield from _orphans(items)
    if not referred:
        yield from _unanswered(items)
        yield from _followers(items)


def _unanswered(items: list[dict[str, Any]]) -> Iterator[_Found]:
    """Each call has its output, wherever it stands."""
    answered = {text(item.get("call_id")) for item in items if text(item.get("type")) in _ANSWERS}
    for item in items:
        words, id_ = _CALLS.get(text(item.get("type"))), text(item.get("call_id"))
        if words and id_ not in answered:
            said = f"No tool output found for {words} {id_}."
            yield _Found("unanswered-tool-call", said, "input", None)


def _orphans(items: list[dict[str, Any]]) -> Iterator[_Found]:
    """Each output has its call: a function's, or any other that has a `call_id` (a tool search)."""
    asked = {
        text(item.get("call_id"))
        for item in items
        if "call_id" in item and not text(item.get("type")).endswith("_output")
    }
    for item in items:
        words, id_ = _ANSWERS.get(text(item.get("type"))), text(item.get("call_id"))
        if words and id_ not in asked:
            said = f"No tool call found for {words} with call_id {id_}."
            yield _Found("orphan-tool-result", said, "input", None)


def _followers(items: list[dict[str, Any]]) -> Iterator[_Found]:
    """What the model thought is followed by what it said or did then: the item itself, not a new one.

    That another item *needs* its reasoning, only the server knows that made both.
    """
    for item, follower in zip(items, [*items, {}][1:], strict=True):
        if (
            item.get("type") != "reasoning"
            or not optional(item.get("id"))
            or item.get("status") == "incomplete"
        ):
            continue
        kind = optional(follower.get("type"))
        spoken = kind in {None, "message"}
        recreated = spoken and not optional(follower.get("id"))
        if recreated or (kind is not None and kind.endswith("_output")):
            message = (
                f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
            )
            yield _Found("reasoning-order", message, "input", None)


def _interleaved(items: list[dict[str, Any]]) -> Iterator[_Found]:
    """DeepSeek: calls that are made together are answered before anything else is said."""
    waiting: dict[str, None] = {}
    for item in [*items, {}]:
        kind = text(item.get("type"))
        if kind == "function_call":
            waiting[text(item.get("call_id"))] = None
        elif kind == "function_call_output":
            waiting.pop(text(item.get("call_id")), None)
        elif kind != "reasoning" and waiting:
            first = next(iter(waiting))
            message = f"No tool output found for tool call {first}."
            yield _Found("unanswered-tool-call", message, None, "invalid_request_error")

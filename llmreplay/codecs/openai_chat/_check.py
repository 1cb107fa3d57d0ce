"""What a provider of the chat wire would not take of a conversation, with the words it has for that.

Rules and texts: public reports of OpenAI's answers (CLIProxyAPI#2798 and others), and of DeepSeek's
(modelparams.dev#29). Providers whose rules are not known, or that are lenient, reject nothing here:
OpenRouter takes its own ids of fifty characters, Ollama has none.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.codecs._encoding import STRICT_HEADER, Ids, Rejection, json_response
from llmreplay.codecs._json import each, mapping, optional, text
from llmreplay.codecs._rules import Rule, first
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.codecs.openai_chat._write import request_headers
from llmreplay.codecs.openai_chat._write_errors import body_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llmreplay.exchange import Request

__all__ = ["check"]

_ID_LENGTH = 40

_ORPHAN = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
    "'tool_calls'."
)
_UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: {}"
)
_TOO_LONG = (
    "Invalid '{}': string too long. Expected a string with maximum length {}, but got a string with length "
    "{} instead."
)
_DROPPED = "The `reasoning_content` in the thinking mode must be passed back to the API."


class _Found(NamedTuple):
    """A rule, the provider's message, the parameter it names, and its code."""

    rule: Rule
    message: str
    param: str | None
    code: str | None


def check(request: Request, excepted: Collection[str] = ()) -> Rejection | None:
    """Return why the provider would not take this conversation; None if it would."""
    dialect = dialect_of(request)
    body = mapping(request.json)
    messages = each(body.get("messages"))
    if dialect.strict:
        problems = chain(_pairs(messages), _ids(messages) if dialect.name == "openai" else ())
    else:
        problems = chain(_thoughts(body, messages) if dialect.name == "deepseek" else ())
    found = first(problems, excepted)
    if found is None:
        return None
    rule, message, param, code = found
    headers = (*request_headers(dialect, Ids(request)), (STRICT_HEADER, rule))
    answer = body_of(request, message, code=code, param=param)
    return Rejection(rule, message, json_response(answer, 400, headers, dialect.json_type))


def _pairs(messages: list[dict[str, Any]]) -> Iterator[_Found]:
    """Each call is answered right behind its message, and nothing else is answered."""
    waiting: dict[str, None] = {}
    answered: set[str] = set()
    for place, message in enumerate(messages):
        if message.get("role") == "tool":
            id_ = text(message.get("tool_call_id"))
            if id_ not in waiting and id_ not in answered:
                yield _Found("orphan-tool-result", _ORPHAN, f"messages.[{place}].role", None)
            waiting.pop(id_, None)
            answered.add(id_)
            continue
        yield from _unanswered(waiting, place)
        calls = each(message.get("tool_calls")) if message.get("role") == "assistant" else []
        waiting = dict.fromkeys(text(call.get("id")) for call in calls)
        answered = set()
    yield from _unanswered(waiting, len(messages) - 1)


def _unanswered(waiting: dict[str, None], place: int) -> Iterator[_Found]:
    if waiting:
        said = _UNANSWERED.format(", ".join(waiting))
        yield _Found("unanswered-tool-call", said, f"messages.[{place}].role", None)


def _ids(messages: list[dict[str, Any]]) -> Iterator[_Found]:
    """Ids of tool calls have forty characters at most: OpenAI's own rule, others have none."""
    for place, message in enumerate(messages):
        if "tool_calls" not in message and "tool_call_id" not in message:
            continue
        named = [
            (f"tool_calls[{number}].id", call.get("id"))
            for number, call in enumerate(each(message.get("tool_calls")))
        ]
        for name, given in (*named, ("tool_call_id", message.get("tool_call_id"))):
            if len(id_ := optional(given) or "") > _ID_LENGTH:
                param = f"messages[{place}].{name}"
                said = _TOO_LONG.format(param, _ID_LENGTH, len(id_))
                yield _Found("tool-call-id", said, param, "string_above_max_length")


def _thoughts(body: dict[str, Any], messages: list[dict[str, Any]]) -> Iterator[_Found]:
    """A request that asks DeepSeek to think gives back what it thought before it called tools."""
    if mapping(body.get("thinking")).get("type") != "enabled":
        return
    for message in messages:
        calls = message.get("role") == "assistant" and message.get("tool_calls")
        if calls and not isinstance(message.get("reasoning_content"), str):
            yield _Found("reasoning-dropped", _DROPPED, None, "invalid_request_error")

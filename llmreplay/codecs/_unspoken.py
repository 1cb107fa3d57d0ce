"""What a request says and a wire has no word for: refused by name, never left out in silence.

Rules:

* Each wire names the fields that it has no place for; whatever of them a request sets is told at once.
* What asks for nothing but what the wire does anyway is granted: one answer, no probabilities, nothing
  put off or kept, calls that may come several at a time, tools if the model likes, usage in a stream.
* Where two fields have one place (`max_tokens` and `max_completion_tokens`, `output_schema` and
  `response_format`), both may be set if they say the same.
* `name` and `strict` of a form are granted: the name is a label that OpenAI alone demands, and every other
  wire holds an answer to its schema as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.completion import RequestError, ResponseFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmreplay.completion import CompletionRequest

__all__ = ["form_of", "limit_of", "refuse_unspoken", "schema_of", "unspoken"]

_GRANTED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "deferred": (False,),
    "store": (False,),
    "parallel_tool_calls": (True,),
}
"""Values that ask for what every wire does without being told."""


def unspoken(what: str, wire: str) -> RequestError:
    """Return the error that says what a wire has no word for."""
    return RequestError(f"the {wire} wire has no word for {what}")


def refuse_unspoken(request: CompletionRequest, names: Iterable[str], wire: str) -> None:
    """Raise `RequestError` if a request sets a field that a wire has no word for."""
    found = [name for name in names if _asks(request, name)]
    if found:
        raise unspoken(", ".join(found), wire)


def _asks(request: CompletionRequest, name: str) -> bool:
    value = getattr(request, name)
    if value is None or value == [] or value in _GRANTED.get(name, ()):
        return False
    if name == "tool_choice":
        return bool(value.mode != "auto" or value.names)
    if name == "stream_options":
        return value.include_usage is False or bool(value.extra)
    return True


def limit_of(request: CompletionRequest, wire: str) -> int | None:
    """Return the limit of an answer in tokens, for a wire that has one place for it."""
    both = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(both) > 1:
        raise unspoken("max_completion_tokens beside another max_tokens", wire)
    return next(iter(both), None)


def form_of(request: CompletionRequest, wire: str) -> ResponseFormat | None:
    """Return the form that an answer must have, whichever field says it."""
    form, schema = request.response_format, request.output_schema
    if schema is None:
        return form
    if form is None:
        return ResponseFormat(type="json_schema", name="output", json_schema=schema, strict=True)
    if form.json_schema != schema:
        raise unspoken("output_schema beside another response_format", wire)
    return form


def schema_of(request: CompletionRequest, wire: str) -> Any:
    """Return the schema of an answer, for a wire that knows no other form of one; None if it is free."""
    form = form_of(request, wire)
    if form is None or form.type == "text":
        return None
    if form.type != "json_schema":
        raise unspoken(f"response_format: {form.type!r}", wire)
    if form.json_schema is None:
        raise unspoken("response_format without a schema", wire)
    return form.json_schema

"""Calls in a script that no model could make: tools that were not offered, arguments that do not fit.

Rules:

* A schema that is none is not held against the script: what it means, only its provider knows.
* Google spells types in capitals, and null as `nullable`; both mean what JSON schema says otherwise.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from llmreplay.completion import ToolDefinition
from llmreplay.errors import ScriptMistake, render

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest, ToolCall
    from llmreplay.exchange import Request

__all__ = ["MISTAKES", "check_calls"]

MISTAKES = ("tool-not-offered", "arguments")
"""What a script can do wrong, by the names that `strict_except` knows."""

_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})


def check_calls(
    made: list[ToolCall], asked: CompletionRequest, request: Request, excepted: frozenset[str]
) -> None:
    """Refuse a scripted call of a tool that was not offered, or with arguments that it does not take.

    Raises `ScriptMistake`.
    """
    if any(not isinstance(tool, ToolDefinition) for tool in asked.tools):
        # Tools of the provider's own may be called by names that the request does not have.
        return
    offered = {tool.name: tool for tool in asked.tools if isinstance(tool, ToolDefinition)}
    for scripted in made:
        tool = offered.get(scripted.name)
        if tool is None:
            if "tool-not-offered" not in excepted:
                raise _mistake(
                    f"calls {scripted.name!r}, which the request does not offer",
                    [f"offered: {', '.join(offered) or 'none'}"],
                    request,
                )
        elif scripted.arguments_error is None and "arguments" not in excepted:
            problem = _does_not_fit(scripted.arguments, tool.parameters)
            if problem:
                told = json.dumps(scripted.arguments, ensure_ascii=False)
                raise _mistake(
                    f"calls {scripted.name!r} with arguments that its schema does not take",
                    [f"arguments: {told}", f"problem: {problem}"],
                    request,
                )


def _mistake(what: str, evidence: list[str], request: Request) -> ScriptMistake:
    message = render(
        f"The script {what}.",
        [f"request: {request.method} {request.url}", *evidence],
        [
            "Correct the turn; or the tool, if it is the tool that changed.",
            "Meant to be wrong? Script(strict=False), or strict_except=('tool-not-offered', 'arguments')",
        ],
    )
    return ScriptMistake(message, request=request)


def _does_not_fit(arguments: Any, schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    validator = _validator(json.dumps(schema, sort_keys=True))
    if validator is None:
        return None
    error = min(validator.iter_errors(arguments), key=lambda error: list(map(str, error.path)), default=None)
    if error is None:
        return None
    place = ".".join(map(str, error.path))
    return f"{place}: {error.message}" if place else str(error.message)


@cache
def _validator(schema: str) -> Any:
    """Return what checks arguments; None if this is no schema."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415  only scripts with tools need it
    from jsonschema.validators import validator_for  # noqa: PLC0415

    parsed = _in_json_schema(json.loads(schema))
    kind = validator_for(parsed)
    try:
        kind.check_schema(parsed)
    except SchemaError:
        return None
    return kind(parsed)


def _in_json_schema(schema: Any) -> Any:
    """Spell a schema of Google's as JSON schema does."""
    if isinstance(schema, list):
        return [_in_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    spelled = {key: _in_json_schema(value) for key, value in schema.items()}
    type_ = schema.get("type")
    if isinstance(type_, str) and type_ in _TYPES:
        type_ = type_.lower()
        spelled["type"] = [type_, "null"] if schema.get("nullable") is True else type_
    return spelled

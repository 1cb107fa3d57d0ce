"""Calls of a script, for a person to read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest
    from llmreplay.exchange import Exchange

__all__ = ["conversation", "told"]

_SHOWN = 200


def conversation(asked: CompletionRequest) -> list[str]:
    """Return what was said so far, a line each."""
    lines = []
    for message in asked.messages:
        said = [message.text] if message.text else []
        said += [
            f"calls {one.name} {json.dumps(one.arguments, ensure_ascii=False)}" for one in message.tool_calls
        ]
        said += [f"result {one.text}" for one in message.tool_results]
        lines += [f"{message.role}: {_short(text)}" for text in said or ["(nothing)"]]
    return lines


def told(asked: CompletionRequest, exchange: Exchange, number: int) -> str:
    """Return one call with its answer."""
    lines = [f"call {number}: {asked.model or 'a model'}", *(f"  {line}" for line in conversation(asked))]
    try:
        answer = exchange.decode()
    except Exception as error:  # noqa: BLE001  whatever the answer was, it is told
        return "\n".join([*lines, f"  answered: {error}"])
    lines += [f"  answered: {_short(answer.text)}"] if answer.text else []
    lines += [
        f"  answered: calls {one.name} {json.dumps(one.arguments, ensure_ascii=False)}"
        for one in answer.tool_calls
    ]
    return "\n".join(lines)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _SHOWN else f"{one_line[:_SHOWN]}…"

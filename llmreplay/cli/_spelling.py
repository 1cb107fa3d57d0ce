"""What the account of an exchange holds, in the words that people read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.cli._terminal import count, duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["error", "failure", "spelled", "tokens"]


def spelled(content: dict[str, Any]) -> str:
    """Return what a message holds, in words: texts as they are, calls with their arguments."""
    spell = _SPELLERS.get(content["type"], _medium)
    return spell(content)


def _refusal(content: dict[str, Any]) -> str:
    return f"refuses: {content['text']}"


def _reasoning(content: dict[str, Any]) -> str:
    parts = [part["text"] for part in content.get("parts", ()) if part["kind"] in {"encrypted", "redacted"}]
    sealed = [f"[{count(sum(map(len, parts)), 'character')} of sealed reasoning]"] if parts else []
    readable = [content["text"]] if content["text"] else []
    return "\n".join([*readable, *sealed])


def _tool_call(content: dict[str, Any]) -> str:
    if "arguments_error" in content:
        return f"{content['name']} {content['arguments_raw']}\n(no JSON: {content['arguments_error']})"
    return f"{content['name']} {_json(content['arguments'])}"


def _tool_result(content: dict[str, Any]) -> str:
    error = " (error)" if content["is_error"] else ""
    parts = "\n".join(spelled(part) for part in content["content"])
    return f"{content.get('name') or content['id']}{error} → {parts}"


def _medium(content: dict[str, Any]) -> str:
    if content["source"] in {"url", "file_id", "text"}:
        told = content["data"]
    else:
        told = f"{count(len(content['data']), 'character')} of base64"
    facts = [content["type"], content.get("media_type"), content.get("name"), told, content.get("transcript")]
    return f"[{', '.join(str(fact) for fact in facts if fact)}]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_SPELLERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "text": lambda content: str(content["text"]),
    "refusal": _refusal,
    "reasoning": _reasoning,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "json": lambda content: _json(content["value"]),
    "provider": lambda content: f"[{content['kind']}] {_json(content['raw'])}",
}


def error(told: dict[str, Any]) -> str:
    """Return what the code under test was told went wrong."""
    status = "" if told["status"] is None else f" {told['status']}"
    facts = [
        f"code {told['code']}" if told["code"] else "",
        "may be retried" if told["retryable"] else "",
        f"after {duration(told['retry_after'])}" if told["retry_after"] is not None else "",
    ]
    more = ", ".join(fact for fact in facts if fact)
    return f"{told['kind']}{status}: {told['message']}" + (f" ({more})" if more else "")


def failure(told: dict[str, Any]) -> str:
    """Return why there was no response, or no more of it."""
    message = f": {told['message']}" if told["message"] else ""
    return f"{told['error']} ({told['phase']}){message}"


def tokens(usage: dict[str, Any]) -> str:
    """Say what was used: input and output, and of these the parts that are not zero."""
    parts = {
        "cached": usage["cached_input_tokens"],
        "written to the cache": usage["cache_creation_input_tokens"],
        "of tool prompts": usage["tool_use_prompt_tokens"],
        "reasoning": usage["reasoning_tokens"],
    }
    more = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
    told = f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out"
    return f"{told} ({more})" if more else told

"""Reading the content blocks of a message, whole or in deltas.

Blocks are numbered, so that deltas of several may interleave. A tool that Anthropic runs itself
(`server_tool_use`, `web_search_tool_result`, `mcp_tool_use` …) is a content of the provider: nobody
has to answer it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import listed, string, text, without
from llmreplay.codecs._parts import Call, Provided, Thought, Words

if TYPE_CHECKING:
    from llmreplay.codecs._assembly import Assembly
    from llmreplay.completion import StreamEvent

__all__ = ["begin", "end", "grow"]


def begin(block: dict[str, Any], index: int, assembly: Assembly) -> list[StreamEvent]:
    """Begin a content block, with what it already holds; a plain message has all of it here."""
    kind = text(block.get("type"))
    assembly.answer(0).keyed.pop(index, None)  # a number that comes again is of another block
    if kind == "text":
        # In streams the citations are there, empty or null, and grow by deltas.
        extra = {key: value for key, value in without(block, "type", "text").items() if value}
        return assembly.words(0, text(block.get("text")), key=index, extra=extra)
    if kind == "thinking":
        thinking, signature = text(block.get("thinking")), text(block.get("signature"))
        return assembly.thought(0, thinking, key=index, signature=signature)
    if kind == "redacted_thinking":
        return assembly.thought(0, text(block.get("data")), kind="redacted", key=index)
    if kind == "tool_use":
        call, events = assembly.call(0, index, id=text(block.get("id")), name=text(block.get("name")))
        call.extra.update(without(block, "type", "id", "name", "input"))
        given = block.get("input")
        if given:  # in streams it is empty here, and comes in deltas
            return events + assembly.arguments(0, call, json.dumps(given, ensure_ascii=False))
        return events
    return assembly.provided(0, kind, block, key=index)


def grow(delta: dict[str, Any], index: int, assembly: Assembly) -> list[StreamEvent]:
    """Add a delta to a content block."""
    part = assembly.answer(0).keyed.get(index)
    kind = text(delta.get("type"))
    if kind == "text_delta":
        return assembly.words(0, string(delta.get("text")), key=index)
    if kind == "thinking_delta":
        return assembly.thought(0, string(delta.get("thinking")), key=index)
    if kind == "signature_delta" and isinstance(part, Thought):
        return assembly.thought(0, "", key=index, signature=text(delta.get("signature")))
    if kind == "citations_delta" and isinstance(part, Words):
        part.extra["citations"] = [*listed(part.extra.get("citations")), delta.get("citation")]
        return []
    if kind == "input_json_delta" and isinstance(part, Call):
        return assembly.arguments(0, part, string(delta.get("partial_json")))
    if isinstance(part, Provided):
        if kind == "input_json_delta":
            part.pieces.append(string(delta.get("partial_json")))
        else:
            part.raw = {**part.raw, **without(delta, "type")}
    return []


def end(index: int, assembly: Assembly) -> list[StreamEvent]:
    """End a content block."""
    part = assembly.answer(0).keyed.get(index)
    if isinstance(part, Call):
        return assembly.ended(0, part)
    return assembly.received(0, part) if isinstance(part, Provided) else []

"""Tools and calls as OpenAI spelled them first, and Cohere and Ollama after it: `{type, function}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import boolean, mapping, optional, text, without
from llmreplay.completion import ProviderTool, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_tool", "write_tools"]

_KNOWN = ("name", "description", "parameters", "strict")


def read_tool(tool: dict[str, Any]) -> ToolDefinition | ProviderTool:
    """Return what a tool means; one without a function is the provider's own."""
    function = mapping(tool.get("function"))
    if not function:
        return ProviderTool(kind=text(tool.get("type")), config=without(tool, "type"))
    known = {
        key: value
        for key in ("description", "strict")
        if (value := _READ[key](function.get(key))) is not None
    }
    taken = {"name", "parameters", *known}
    extra = {**without(tool, "type", "function"), **without(function, *taken)}
    if "type" not in tool:
        extra["type"] = None
    return ToolDefinition(
        name=text(function.get("name")), parameters=function.get("parameters"), extra=extra, **known
    )


_READ: dict[str, Any] = {"description": optional, "strict": boolean}


def write_tools(tools: Sequence[ToolDefinition | ProviderTool]) -> list[dict[str, Any]]:
    """Return the tools of a request; what was left out of one is left out again."""
    written: list[dict[str, Any]] = []
    for tool in tools:
        if isinstance(tool, ProviderTool):
            written.append({"type": tool.kind, **tool.config})
            continue
        function: dict[str, Any] = {"name": tool.name, **without(tool.extra, "type")}
        for key in _KNOWN[1:]:
            value = getattr(tool, key)
            if value is not None:
                function[key] = value
        kind = {} if "type" in tool.extra else {"type": "function"}
        written.append({**kind, "function": function})
    return written

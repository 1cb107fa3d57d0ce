"""Answers that are values: how a model is asked for one, and how it is read from what it says."""

from __future__ import annotations

import json
from typing import Any, Literal

from llmreplay.agent._schema import misfit
from llmreplay.completion import ToolCall, ToolDefinition
from llmreplay.completion._value import Value

__all__ = ["OUTPUT_TOOL", "Output", "OutputMode", "json_in"]

OutputMode = Literal["auto", "tool", "native", "prompted"]
"""How a model is asked for a value.

`native` is the provider's own structured output, `tool` a tool that takes the value, `prompted` a
sentence in the system prompt. `auto` is `tool` for an agent with tools, since not every provider takes
a schema beside tools, and `native` for one without.
"""

OUTPUT_TOOL = "final_result"
"""The tool by which a model gives its answer in the mode `tool`."""


class Output(Value):
    """The value that an answer must be: its JSON Schema, and how the model is asked for it.

    `tool_name` is the tool that takes it, in the mode `tool`; `corrections` is how often it may be given
    again there, if it does not fit.
    """

    mode: Literal["tool", "native", "prompted"]
    json_schema: dict[str, Any]
    tool_name: str = OUTPUT_TOOL
    corrections: int = 1

    @property
    def instructions(self) -> str | None:
        """What the system prompt says of it."""
        if self.mode != "prompted":
            return None
        schema = json.dumps(self.json_schema, ensure_ascii=False)
        return f"Answer with JSON that fits this schema, and with nothing else:\n{schema}"

    @property
    def tool(self) -> ToolDefinition:
        """The tool that takes the value; what is no object is wrapped in one, as arguments are objects."""
        parameters = self.json_schema
        if self._wrapped:
            inner = {key: value for key, value in parameters.items() if key != "$defs"}
            parameters = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
            if "$defs" in self.json_schema:  # references start at the root
                parameters["$defs"] = self.json_schema["$defs"]
        return ToolDefinition(
            name=self.tool_name, description="Give the final answer.", parameters=parameters
        )

    def submitted(self, call: ToolCall) -> tuple[str, str | None]:
        """Return the value that a call of the tool submits, as JSON, and what is wrong with it."""
        if call.arguments_error is not None:
            return call.arguments_raw, call.arguments_error
        problem = misfit(call.arguments, self.tool.parameters)
        value = call.arguments["value"] if self._wrapped and problem is None else call.arguments
        return json.dumps(value, ensure_ascii=False), problem

    @property
    def _wrapped(self) -> bool:
        return self.json_schema.get("type") != "object" and "$ref" not in self.json_schema


def json_in(text: str) -> Any:
    """Return the JSON that a text is, or else the first in it; raise ValueError if there is none."""
    try:
        return json.loads(text)
    except ValueError as problem:
        start = min((at for at in map(text.find, "{[") if at >= 0), default=-1)
        if start < 0:
            raise ValueError(f"no JSON in it ({problem})") from problem
        value, _ = json.JSONDecoder().raw_decode(text, start)
        return value

"""The tools of one turn, run in the order of the calls, some at a time.

Rules:

* All or nothing: if a hook stops one call, or something other than an `Exception` goes up, the calls
  that run are let finish, the others are not begun, and no result of the turn is told.
* Of several that stop, the first in the order of the calls gives the reason.
* One at a time, sync functions run where they are called, in the event loop; more at a time, each in a
  thread of its own, since they would otherwise wait for each other.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_core import to_jsonable_python

from llmreplay.agent._hook import Rewrite, Skip, Stop, ToolOutcome
from llmreplay.agent._tool import unparsed
from llmreplay.agent._tool_error import ToolError
from llmreplay.completion import Document, Image, Json, ProviderContent, Text, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from llmreplay.agent._hook import Hook
    from llmreplay.agent._tool import Tool
    from llmreplay.completion import ToolCall

__all__ = ["run_tools", "settled"]


async def settled(outcome: Any | Awaitable[Any]) -> Any:
    """Return what a method gives that may be sync or async."""
    return await outcome if inspect.isawaitable(outcome) else outcome


async def run_tools(
    calls: Sequence[ToolCall],
    turn: int,
    tools: Mapping[str, Tool[..., Any]],
    hooks: Sequence[Hook],
    limit: int,
) -> list[ToolOutcome] | Stop:
    """Return what came of each call, in their order; or the outcome of the hook that stopped them."""
    at_once = min(limit, len(calls))
    ends: dict[int, ToolOutcome | Stop | BaseException] = {}
    todo = iter(enumerate(calls))

    async def work() -> None:
        for place, call in todo:
            try:
                ends[place] = await _run(call, turn, tools.get(call.name), hooks, in_thread=at_once > 1)
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001  raised below, when all others are done
                ends[place] = error
            if not all(isinstance(end, ToolOutcome) for end in ends.values()):
                return

    if at_once > 1:
        async with anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(work)
    else:
        await work()
    return _together([ends[place] for place in sorted(ends)])


def _together(ends: list[ToolOutcome | Stop | BaseException]) -> list[ToolOutcome] | Stop:
    """Return all outcomes, or the first that is none."""
    outcomes: list[ToolOutcome] = []
    for end in ends:
        if isinstance(end, BaseException):
            raise end
        if isinstance(end, Stop):
            return end
        outcomes.append(end)
    return outcomes


async def _run(
    call: ToolCall, turn: int, tool: Tool[..., Any] | None, hooks: Sequence[Hook], *, in_thread: bool
) -> ToolOutcome | Stop:
    for hook in hooks:
        said = await settled(hook.on_tool_call(turn, call))
        if isinstance(said, Stop):
            return said
        if isinstance(said, Skip):
            result = ToolResult(id=call.id, name=call.name, content=[Text(text=said.reason)])
            return ToolOutcome(call, None, None, result, ran=False)
        if isinstance(said, Rewrite):
            call = _rewritten(call, said.value)
    outcome = await _outcome(call, tool, in_thread=in_thread)
    for hook in hooks:
        said = await settled(hook.on_tool_result(turn, outcome))
        if isinstance(said, Stop):
            return said
        if isinstance(said, Rewrite):
            content = _content(said.value)
            outcome = replace(outcome, result=outcome.result.model_copy(update={"content": content}))
    return outcome


async def _outcome(call: ToolCall, tool: Tool[..., Any] | None, *, in_thread: bool) -> ToolOutcome:
    output: Any = None
    try:
        if tool is None:
            raise ToolError(f"tool `{call.name}` not found", kind="not_found")  # noqa: TRY301  told like the others
        if call.arguments_error is not None:
            raise unparsed(call.arguments_error)
        output = await tool.run(call.arguments, in_thread=in_thread)
        content = _readable(output)
    except ToolError as error:
        said = Text(text=error.model_output)
        result = ToolResult(id=call.id, name=call.name, content=[said], is_error=True)
        return ToolOutcome(call, None, error, result)
    return ToolOutcome(call, output, None, ToolResult(id=call.id, name=call.name, content=content))


def _rewritten(call: ToolCall, arguments: Any) -> ToolCall:
    raw = json.dumps(arguments, ensure_ascii=False)
    return call.model_copy(update={"arguments": arguments, "arguments_raw": raw, "arguments_error": None})


def _readable(output: Any) -> list[Any]:
    try:
        return _content(output)
    except ValueError as error:  # pydantic's, for what is no JSON
        raise ToolError.from_error(error) from error


def _content(output: Any) -> list[Any]:
    """Return what a tool gave as the model reads it: text as it is, media as they are, all else as JSON."""
    several = output if isinstance(output, list | tuple) else [output]
    if several and all(isinstance(one, Text | Image | Document | Json | ProviderContent) for one in several):
        return list(several)
    if isinstance(output, str):
        return [Text(text=output)]
    value = to_jsonable_python(output)
    return [Text(text="null") if value is None else Json(value=value)]

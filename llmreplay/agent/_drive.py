"""Driving a run: its model, tools and hooks are called here, and what happens is told.

One driver serves both ways of asking. `streamed` decides only how the model is called; history, usage,
errors and hooks are those of the run, so that both ways have the same.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmreplay.agent._batch import run_tools, settled
from llmreplay.agent._events import (
    AgentEvent,
    CallCompleted,
    ModelEvent,
    RunFinished,
    ToolCommitted,
    ToolReturned,
    TurnRetried,
)
from llmreplay.agent._hook import Continue, RequestPatch, Retry, Stop
from llmreplay.agent._steps import CallModel, CallTools, Done
from llmreplay.completion import (
    CompletionError,
    Final,
    HttpError,
    StreamError,
    TextDelta,
    ToolCallDelta,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from llmreplay.agent._hook import Hook
    from llmreplay.agent._memory import Memory
    from llmreplay.agent._run import AgentRun
    from llmreplay.agent._tool import Tool
    from llmreplay.completion import CompletionRequest, CompletionResponse
    from llmreplay.model import CompletionModel

__all__ = ["Means", "drive"]

_log = logging.getLogger("llmreplay.agent")


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is driven with."""

    model: CompletionModel
    tools: Mapping[str, Tool[..., Any]]
    hooks: tuple[Hook, ...] = ()
    tool_concurrency: int = 1
    memory: Memory | None = None


async def drive(run: AgentRun, means: Means, *, streamed: bool) -> AsyncGenerator[AgentEvent, None]:
    """Tell what happens until there is an answer; raise `PromptError` if there is none."""
    asked = False
    while True:
        step = run.next_step()
        if isinstance(step, Done):
            await _remember(run, means.memory)
            yield RunFinished(run.turn - 1, step.response)
            return
        if isinstance(step, CallTools):
            asked = False
            outcomes = await run_tools(
                step.calls, step.turn, means.tools, means.hooks, means.tool_concurrency
            )
            if isinstance(outcomes, Stop):
                raise run.stopped(outcomes.reason)
            run.returned([outcome.result for outcome in outcomes])
            for outcome in outcomes:
                if outcome.ran:
                    yield ToolCommitted(step.turn, outcome.call)
                yield ToolReturned(step.turn, outcome)
            continue
        if asked:  # and asked again, without tools between
            yield TurnRetried(step.turn - 1)
        asked = True
        async with aclosing(_turn(run, step, means, streamed=streamed)) as events:
            async for event in events:
                yield event


async def _turn(
    run: AgentRun, step: CallModel, means: Means, *, streamed: bool
) -> AsyncGenerator[AgentEvent, None]:
    turn = step.turn
    request = await _patched(run, step, means)
    try:
        if streamed:
            async with aclosing(_Told(means.model, request)) as told:
                async for event in told:
                    await _notice(run, turn, event, means)
                    yield ModelEvent(turn, event)
            response = told.response()
            for hook in means.hooks:
                await settled(hook.on_stream_response_finish(turn, response))
        else:
            response = await means.model.completion(request)
    except CompletionError as error:
        raise run.errored(error) from error
    yield CallCompleted(turn, run.answered(response))
    await _decide(run, turn, response, means)


class _Told:
    """The events of a stream, and the answer that they end with."""

    def __init__(self, model: CompletionModel, request: CompletionRequest) -> None:
        self._events = model.stream(request)
        self._response: CompletionResponse | None = None
        self._error: CompletionError | None = None

    def __aiter__(self) -> _Told:
        return self

    async def __anext__(self) -> Any:
        event = await anext(self._events)
        if isinstance(event, Final) and self._response is None:
            self._response = event.response
        elif isinstance(event, StreamError):
            self._error = self._error or event.error
        return event

    async def aclose(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()

    def response(self) -> CompletionResponse:
        """Return the answer; a stream without one failed, whether it said so or not."""
        if self._response is not None:
            return self._response
        raise self._error or HttpError(
            "the stream ended before the answer was complete", kind="stream_truncated"
        )


async def _patched(run: AgentRun, step: CallModel, means: Means) -> CompletionRequest:
    patch = RequestPatch()
    for hook in means.hooks:
        said = await settled(hook.on_completion_call(step.turn, step.request))
        if isinstance(said, Stop):
            raise run.stopped(said.reason)
        if isinstance(said, RequestPatch):
            patch |= said
    run.patched(patch)
    again = run.next_step()
    return again.request if isinstance(again, CallModel) else step.request


async def _notice(run: AgentRun, turn: int, event: Any, means: Means) -> None:
    for hook in means.hooks:
        said = None
        if isinstance(event, TextDelta):
            said = await settled(hook.on_text_delta(turn, event))
        elif isinstance(event, ToolCallDelta):
            said = await settled(hook.on_tool_call_delta(turn, event))
        if isinstance(said, Stop):
            raise run.stopped(said.reason)


async def _decide(run: AgentRun, turn: int, response: CompletionResponse, means: Means) -> None:
    for hook in means.hooks:
        await settled(hook.on_completion_response(turn, response))
    for hook in means.hooks:
        said = await settled(hook.on_model_turn_finished(turn, response))
        if isinstance(said, Stop):
            raise run.stopped(said.reason)
        if isinstance(said, Retry):
            run.retry(said.feedback)
            return
    while (invalid := run.invalid) is not None:
        outcome = None
        for hook in means.hooks:
            outcome = await settled(hook.on_invalid_tool_call(turn, invalid))
            if outcome is not None and not isinstance(outcome, Continue):
                break
        run.resolve(outcome)


async def _remember(run: AgentRun, memory: Memory | None) -> None:
    conversation, run.conversation = run.conversation, None
    if memory is None or conversation is None:
        return
    try:
        await memory.append(conversation, run.messages)
    except Exception:  # noqa: BLE001  the answer stands, whatever becomes of it
        _log.warning("the conversation %r could not be stored", conversation, exc_info=True)

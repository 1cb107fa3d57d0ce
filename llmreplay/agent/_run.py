"""The loop of an agent, without any input or output: a value that knows what is to be done next.

    run = AgentRun.start("How is Paris?", settings)
    while not isinstance(step := run.next_step(), Done):
        match step:
            case CallModel(request=request):
                run.answered(await model.completion(request))
            case CallTools(calls=calls):
                run.returned([await result_of(call) for call in calls])
    print(step.response.output)

Rules:

* Whoever drives it calls the model and the tools; blocking and streaming are the same run.
* `next_step` may be asked any number of times. Between steps the run can be stored
  (`run.model_dump_json()`) and read again (`AgentRun.model_validate_json(text)`), also with tools pending.
* A turn is one call of the model: `max_turns` counts them all, first, retried and failed ones.
* What a model asks for and may not have is decided before any tool of the turn runs.

It stays one module, above the usual length: the phases and what leads from one to the next are read together.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from llmreplay.agent._errors import CompletionFailed, MaxTurnsError, PromptCancelled, UnknownToolCall
from llmreplay.agent._hook import InvalidToolCall, Repair, RequestPatch, Retry, Skip, Stop
from llmreplay.agent._output import json_in
from llmreplay.agent._schema import misfit
from llmreplay.agent._steps import (
    CallModel,
    CallTools,
    CompletionCall,
    Done,
    PromptResponse,
    RunSettings,
    allowed_tools,
    available_tools,
    request_of,
)
from llmreplay.agent._tool import unparsed
from llmreplay.completion import Message, Reasoning, Text, ToolCall, ToolResult, Usage
from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.agent._hook import InvalidToolCallOutcome
    from llmreplay.agent._output import Output
    from llmreplay.completion import AssistantContent, CompletionError, CompletionResponse

__all__ = ["PEER", "AgentRun"]

PEER = "Tool not executed because another tool call in the same assistant turn was invalid."
"""What the model reads of the calls beside one that was invalid."""


class AgentRun(BaseModel):
    """A prompt on its way to an answer.

    Attributes:
        settings: What the agent gave it.
        history: What was said before; it stays as it is.
        messages: What this run says: the prompt, and all turns that stand.
        calls: The calls of the model that were answered.
        turn: How often the model was called.
        phase: `ask` the model, `heard` its answer, `tools` are pending, or `done`.
        conversation: Under which name the agent's memory is to keep it; None if it is not to.
        patch: What the next call of the model has otherwise.
        answer: What the model said last, while it is decided on, its tools are pending, or it is the last.
        retries: How many turns were repeated for an invalid call.
        corrections: How often the value of `settings.output` was asked for again.
        submitted: Whether the answer came by the tool of `settings.output`.
    """

    settings: RunSettings
    history: list[Message] = Field(default_factory=list)
    messages: list[Message]
    calls: list[CompletionCall] = Field(default_factory=list)
    turn: int = 0
    phase: Literal["ask", "heard", "tools", "done"] = "ask"
    conversation: str | None = None
    patch: RequestPatch = RequestPatch()
    answer: Message | None = None
    retries: int = 0
    corrections: int = 0
    submitted: bool = False

    @classmethod
    def start(
        cls,
        prompt: str | Message,
        settings: RunSettings | None = None,
        *,
        history: Sequence[Message] = (),
        conversation: str | None = None,
    ) -> AgentRun:
        """Begin a run; nothing is called yet."""
        first = Message.user(prompt) if isinstance(prompt, str) else prompt
        return cls(
            settings=settings or RunSettings(),
            history=list(history),
            messages=[first],
            conversation=conversation,
        )

    # ------------------------------------------------------------------------------------- what is next

    def next_step(self) -> CallModel | CallTools | Done:
        """Return what is to be done now.

        Raises:
            MaxTurnsError: The model would have to be called once too often.
            UnknownToolCall: It asked for a tool that it may not use, and nobody resolved that.
        """
        if self.phase == "heard":
            self._decide()
        if self.phase == "tools":
            return CallTools(self.turn - 1, tuple(self._answer.tool_calls))
        if self.phase == "done":
            return Done(self._response())
        if self.turn >= self.settings.max_turns:
            raise MaxTurnsError(
                self.settings.max_turns, self.messages[-1], chat_history=self.chat_history, usage=self.usage
            )
        return CallModel(self.turn, request_of(self.settings, self.patch, self.chat_history))

    @property
    def usage(self) -> Usage:
        """The tokens of all calls that were answered."""
        return sum((call.usage for call in self.calls), Usage())

    @property
    def chat_history(self) -> list[Message]:
        """The whole conversation so far, with an answer that is not decided on yet."""
        heard = [self._answer] if self.phase == "heard" and _says_something(self._answer) else []
        return [*self.history, *self.messages, *heard]

    @property
    def invalid(self) -> InvalidToolCall | None:
        """The first call of the answer that the model may not make; None if there is none."""
        if self.phase != "heard" or self._submission is not None:
            return None
        calls = self._answer.tool_calls
        allowed = allowed_tools(self.settings, self.patch)
        for place, call in enumerate(calls):
            if call.name not in allowed:
                return InvalidToolCall(
                    call,
                    tuple(available_tools(self.settings)),
                    tuple(allowed),
                    (*calls[:place], *calls[place + 1 :]),
                )
        return None

    # ------------------------------------------------------------------------------- what has happened

    def patched(self, patch: RequestPatch) -> None:
        """Have the next call of the model otherwise, it alone; a later patch takes the place of this one."""
        self.patch = patch

    def answered(self, response: CompletionResponse) -> CompletionCall:
        """Take the answer of the model; `next_step` decides what follows from it."""
        self._expect("ask")
        call = CompletionCall(call_index=self.turn, usage=response.usage)
        self.calls.append(call)
        self.turn += 1
        self.answer, self.phase = response.assistant_message(), "heard"
        return call

    def errored(self, error: CompletionError) -> CompletionFailed:
        """Take note that the call of the model failed, and return what the run fails with.

        The run stays where it is: `next_step` calls the model again, if there are turns left.
        """
        self._expect("ask")
        self.turn += 1
        self.patch = RequestPatch()
        return CompletionFailed(error, chat_history=self.chat_history, usage=self.usage)

    def stopped(self, reason: str) -> PromptCancelled:
        """Return what a run fails with that is to end here."""
        return PromptCancelled(reason, chat_history=self.chat_history, usage=self.usage)

    def retry(self, feedback: str | None = None) -> None:
        """Ask the model again: with the answer and some feedback, or as if it had not answered."""
        self._expect("heard")
        if self._answer.tool_calls:
            raise OptionError("Retry", feedback, "an answer without tool calls")
        if feedback is not None:
            self._keep(self._answer)
            self.messages.append(Message.user(feedback))
        self._ask()

    def resolve(self, outcome: InvalidToolCallOutcome | None) -> None:
        """Say what becomes of the `invalid` call.

        Raises:
            UnknownToolCall: Nothing, or what is said does not help.
            PromptCancelled: The run is to end.
        """
        found = self.invalid
        if found is None:
            raise OptionError("resolve", outcome, "a run with an invalid tool call")
        allowed = found.allowed_tools
        if isinstance(outcome, Stop):
            raise self.stopped(outcome.reason)
        if isinstance(outcome, Repair) and outcome.tool_name in allowed:
            self._rename(found.call, outcome.tool_name)
        elif isinstance(outcome, Skip):
            self._reject(found.call, outcome.reason)
        elif isinstance(outcome, Retry) and self.retries < self.settings.max_invalid_tool_call_retries:
            self.retries += 1
            offered = ", ".join(allowed) or "none"
            self._reject(
                found.call,
                outcome.feedback or f"tool `{found.call.name}` cannot be called; these can: {offered}",
            )
        else:
            raise self._unknown(outcome.tool_name if isinstance(outcome, Repair) else found.call.name)

    def returned(self, results: Sequence[ToolResult]) -> None:
        """Take the results of the pending calls: one for each, told apart by their ids.

        Equal ids are answered in the order of the calls. Raises `OptionError` if one is missing or too many.
        """
        self._expect("tools")
        by_id: defaultdict[str, deque[ToolResult]] = defaultdict(deque)
        for result in results:
            by_id[result.id].append(result)
        calls = self._answer.tool_calls
        if sorted(result.id for result in results) != sorted(call.id for call in calls):
            asked = ", ".join(repr(call.id) for call in calls)
            raise OptionError(
                "results", [result.id for result in results], f"one result for each of the calls {asked}"
            )
        ordered = [by_id[call.id].popleft().model_copy(update={"name": call.name}) for call in calls]
        self.messages.append(Message(role="tool", content=list(ordered)))
        self._ask()

    # -------------------------------------------------------------------------------------- decisions

    @property
    def _answer(self) -> Message:
        assert self.answer is not None  # noqa: S101  it is there in every phase that asks for it
        return self.answer

    @property
    def _output(self) -> Output:
        assert self.settings.output is not None  # noqa: S101  likewise
        return self.settings.output

    @property
    def _submission(self) -> ToolCall | None:
        output = self.settings.output
        if output is None or output.mode != "tool":
            return None
        return next((call for call in self._answer.tool_calls if call.name == output.tool_name), None)

    def _decide(self) -> None:
        if (found := self.invalid) is not None:
            raise self._unknown(found.call.name)
        submission = self._submission
        if submission is not None:
            self._submit(submission)
        elif self._answer.tool_calls:
            self._keep(self._answer)
            self.phase = "tools"
        elif self._may_correct and not self._fits(self._answer.text):
            self.corrections += 1
            self._keep(self._answer)
            self.messages.append(
                Message.user(f"Give the answer by calling the tool {self._output.tool_name}.")
            )
            self._ask()
        else:
            self._finish(self._answer)

    def _submit(self, submission: ToolCall) -> None:
        """Take the answer out of the call that submits it: no call stays without a result."""
        text, problem = self._output.submitted(submission)
        if problem is not None and self._may_correct:
            self.corrections += 1
            self._reject(submission, str(unparsed(problem)))
            return
        self.submitted = True
        thoughts = [content for content in self._answer.content if isinstance(content, Reasoning)]
        self._finish(Message.assistant(*thoughts, Text(text=text), id=self._answer.id))

    @property
    def _may_correct(self) -> bool:
        """Whether a model that submits its answer by a tool may do so once more."""
        output = self.settings.output
        return (
            output is not None
            and output.mode == "tool"
            and self.corrections < output.corrections
            and self.turn < self.settings.max_turns
        )

    def _fits(self, text: str) -> bool:
        try:
            return misfit(json_in(text), self._output.json_schema) is None
        except ValueError:
            return False

    def _reject(self, bad: ToolCall, said: str) -> None:
        """Answer all calls of the turn without running any."""
        results = [
            ToolResult(
                id=call.id, name=call.name, content=[Text(text=said if call is bad else PEER)], is_error=True
            )
            for call in self._answer.tool_calls
        ]
        self._keep(self._answer)
        self.messages.append(Message(role="tool", content=list(results)))
        self._ask()

    def _rename(self, bad: ToolCall, name: str) -> None:
        content = [
            one.model_copy(update={"name": name}) if one is bad else one for one in self._answer.content
        ]
        self.answer = self._answer.model_copy(update={"content": content})

    def _finish(self, answer: Message) -> None:
        self.answer = answer
        self._keep(answer)
        self.phase, self.patch = "done", RequestPatch()

    def _keep(self, answer: Message) -> None:
        if _says_something(answer):
            self.messages.append(answer)

    def _ask(self) -> None:
        self.phase, self.answer, self.patch = "ask", None, RequestPatch()

    def _expect(self, phase: str) -> None:
        if self.phase != phase:
            raise OptionError(
                "run", self.phase, f"a run in the phase {phase!r}: next_step() says what it wants"
            )

    def _unknown(self, name: str) -> UnknownToolCall:
        return UnknownToolCall(
            name,
            available_tools(self.settings),
            allowed_tools(self.settings, self.patch),
            chat_history=self.chat_history,
            usage=self.usage,
        )

    def _response(self) -> PromptResponse[str]:
        content: list[AssistantContent] = list(self._answer.content)  # type: ignore[arg-type]  # a model's message holds no other
        return PromptResponse(
            output=self._answer.text,
            usage=self.usage,
            completion_calls=list(self.calls),
            messages=list(self.messages),
            content=content,
        )


def _says_something(message: Message) -> bool:
    return any(not isinstance(content, Text) or content.text for content in message.content)

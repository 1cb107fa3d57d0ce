"""An agent: a model, what it is told, and the tools that it has.

It is a small loop to test with and to learn from, not a framework: everything that happens is in
`AgentRun`, and everything that is sent can be read in `script.requests`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from llmreplay.agent._drive import Means
from llmreplay.agent._extractor import Extractor
from llmreplay.agent._output import Output
from llmreplay.agent._prompt import ChatOptions, PromptOptions, PromptRequest, natural
from llmreplay.agent._reading import AsText, Typed
from llmreplay.agent._run import AgentRun
from llmreplay.agent._schema import schema_of
from llmreplay.agent._steps import RunSettings
from llmreplay.agent._tool import as_tool
from llmreplay.codecs._schemas import closed
from llmreplay.completion import CompletionRequest, Message, ProviderTool, ToolChoice
from llmreplay.errors import OptionError
from llmreplay.model import CompletionRequestBuilder, iterate_sync, run_sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence

    from llmreplay.agent._events import AgentEvent
    from llmreplay.agent._hook import Hook
    from llmreplay.agent._memory import Memory
    from llmreplay.agent._output import OutputMode
    from llmreplay.agent._reading import Reading
    from llmreplay.agent._stream import AgentStream
    from llmreplay.agent._tool import Tool
    from llmreplay.completion import Document, StreamEvent
    from llmreplay.model import CompletionModel

__all__ = ["Agent"]

T = TypeVar("T")


class Agent:
    """Answers prompts with a model, and runs the tools that the model asks for.

        agent = Agent(model, preamble="Be brief.", tools=[get_weather], max_turns=3)
        answer = await agent.prompt("How is Paris?")

    It never changes, and may be used by many prompts at the same time.

    Args:
        model: anything with `completion` and `stream`.
        preamble: the system prompt.
        tools: typed functions, tools made with `@tool`, and tools that the provider runs itself.
        documents: what the model is to know.
        temperature: how freely the model chooses its words.
        max_tokens: how long an answer may be.
        tool_choice: whether the model may, must or must not use tools, or which.
        additional_params: fields of the wire that have no name here.
        request: all other fields that every request is to have: `CompletionRequest(messages=[], seed=7)`.
        max_turns: how often the model may be called for a prompt; one tool and an answer take 2.
        max_invalid_tool_call_retries: how many turns hooks may have repeated in which the model calls
            what it was not given.
        tool_concurrency: how many tools of a turn run at the same time.
        hooks: what sees and changes a run on its way.
        memory: where conversations are kept.
        output_schema: the value that answers must be: a type, or a JSON Schema.
        output_mode: how the model is asked for such a value.
    """

    def __init__(  # noqa: PLR0913  what an agent can have, each by name
        self,
        model: CompletionModel,
        *,
        preamble: str | None = None,
        tools: Iterable[Callable[..., Any] | Tool[..., Any] | ProviderTool] = (),
        documents: Iterable[Document] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
        tool_choice: ToolChoice | None = None,
        additional_params: Mapping[str, Any] | None = None,
        request: CompletionRequest | None = None,
        max_turns: int = 1,
        max_invalid_tool_call_retries: int = 0,
        tool_concurrency: int = 1,
        hooks: Iterable[Hook] = (),
        memory: Memory | None = None,
        output_schema: Any = None,
        output_mode: OutputMode = "auto",
    ) -> None:
        given = [one if isinstance(one, ProviderTool) else as_tool(one) for one in tools]
        own = [one for one in given if not isinstance(one, ProviderTool)]
        if len({one.name for one in own}) < len(own):
            raise OptionError("tools", [one.name for one in own], "tools with names of their own")
        common = request or CompletionRequest(messages=[])
        said = {"temperature": temperature, "max_tokens": max_tokens, "tool_choice": tool_choice}
        changes = {
            **{name: value for name, value in said.items() if value is not None},
            "messages": [],
            "tools": [
                *common.tools,
                *(one if isinstance(one, ProviderTool) else one.definition for one in given),
            ],
            "documents": [*common.documents, *documents],
            "extra": {**common.extra, **(additional_params or {})},
        }
        self._mode: OutputMode = output_mode
        if self._mode == "auto":
            self._mode = "tool" if own else "native"
        self._settings = RunSettings(
            request=common.model_copy(update=changes),
            preamble=preamble,
            max_turns=natural("max_turns", max_turns),
            max_invalid_tool_call_retries=natural(
                "max_invalid_tool_call_retries", max_invalid_tool_call_retries
            ),
            output=None if output_schema is None else output_of(output_schema, self._mode),
        )
        self._typed_mode: OutputMode = "native" if output_mode == "auto" else output_mode
        concurrency = max(1, natural("tool_concurrency", tool_concurrency))
        self._means = Means(model, {one.name: one for one in own}, tuple(hooks), concurrency, memory)

    # --------------------------------------------------------------------------------------- prompts

    def prompt(self, prompt: str | Message, **options: Unpack[PromptOptions]) -> PromptRequest[str]:
        """Return a prompt that gives the text of the answer when it is awaited.

        Options are also methods of what is returned: `agent.prompt("Hi.").max_turns(3)`.

        Raises, when it is awaited:
            PromptError: There is no answer.
        """
        return self._request(prompt, AsText(), options)

    def chat(
        self, prompt: str | Message, history: list[Message], **options: Unpack[ChatOptions]
    ) -> PromptRequest[str]:
        """Return a prompt that goes on with a conversation.

        When there is an answer, the prompt and all turns are added to `history`; if there is none, it
        stays as it is.
        """
        request = self._request(prompt, AsText(), options).history(history)
        return replace(request, _extends=history)

    def prompt_typed(
        self,
        kind: type[T],
        prompt: str | Message,
        *,
        output_mode: OutputMode | None = None,
        **options: Unpack[PromptOptions],
    ) -> PromptRequest[T]:
        """Return a prompt that gives a value: of a pydantic model, or any type that pydantic knows.

        Args:
            kind: the type.
            prompt: what is asked.
            output_mode: how the model is asked for it; `native`, unless the agent says otherwise.
            **options: as of `prompt`.

        Raises, when it is awaited:
            StructuredOutputError: There is no such value.
        """
        mode = output_mode or self._typed_mode
        if mode == "auto":
            mode = "tool" if self._means.tools else "native"
        request = self._request(prompt, Typed(kind), options)
        return request._having(output=output_of(kind, mode))  # noqa: SLF001  a setting of ours alone

    def extractor(self, kind: type[T], *, retries: int = 0) -> Extractor[T]:
        """Return what takes values of a type out of texts, with the model and the preamble of this agent."""
        means = Means(self._means.model, {}, self._means.hooks)
        return Extractor(kind, self._settings, means, natural("retries", retries))

    def stream_prompt(self, prompt: str | Message, **options: Unpack[PromptOptions]) -> AgentStream[str]:
        """Return what `prompt` would give, told while it happens."""
        return self.prompt(prompt, **options).stream()

    def stream_chat(
        self, prompt: str | Message, history: list[Message], **options: Unpack[ChatOptions]
    ) -> AgentStream[str]:
        """Return what `chat` would give, told while it happens; `history` grows at the end."""
        return self.chat(prompt, history, **options).stream()

    # ---------------------------------------------------------------------------------- single requests

    def completion(self, prompt: str | Message, history: Iterable[Message] = ()) -> CompletionRequestBuilder:
        """Return a single request of this agent, in the making: everything can still be said otherwise."""
        settings = self._settings
        common = settings.request
        builder = CompletionRequestBuilder(self._means.model, prompt).messages(history)
        if settings.preamble is not None:
            builder.preamble(settings.preamble)
        builder.documents(common.documents).tools(common.tools).additional_params(common.extra)
        added = {"messages", "documents", "tools", "extra"}
        return builder.options(
            **{name: value for name, value in common if name not in added and name in common.model_fields_set}
        )

    def stream_completion(
        self, prompt: str | Message, history: Iterable[Message] = ()
    ) -> AsyncIterator[StreamEvent]:
        """Return the stream of a single request of this agent."""
        return self.completion(prompt, history).stream()

    # --------------------------------------------------------------------------------------------- runs

    def start(
        self, prompt: str | Message, *, history: Sequence[Message] = (), max_turns: int | None = None
    ) -> AgentRun:
        """Begin a run that can be driven by hand, stored, and gone on with: see `AgentRun`."""
        settings = self._settings
        if max_turns is not None:
            settings = settings.model_copy(update={"max_turns": natural("max_turns", max_turns)})
        return AgentRun.start(prompt, settings, history=history)

    def resume(self, run: AgentRun) -> PromptRequest[str]:
        """Go on with a run where it stands, with the model, tools and hooks of this agent."""
        return PromptRequest(run, run.settings, self._means, AsText())

    # ----------------------------------------------------------------------------------- without async

    def prompt_sync(self, prompt: str | Message, **options: Unpack[PromptOptions]) -> str:
        """Do what `prompt` does, for callers that are not async."""
        return run_sync(lambda: self.prompt(prompt, **options))

    def chat_sync(self, prompt: str | Message, history: list[Message], **options: Unpack[ChatOptions]) -> str:
        """Do what `chat` does, for callers that are not async."""
        return run_sync(lambda: self.chat(prompt, history, **options))

    def prompt_typed_sync(
        self,
        kind: type[T],
        prompt: str | Message,
        *,
        output_mode: OutputMode | None = None,
        **options: Unpack[PromptOptions],
    ) -> T:
        """Do what `prompt_typed` does, for callers that are not async."""
        return run_sync(lambda: self.prompt_typed(kind, prompt, output_mode=output_mode, **options))

    def stream_prompt_sync(
        self, prompt: str | Message, **options: Unpack[PromptOptions]
    ) -> Iterator[AgentEvent]:
        """Do what `stream_prompt` does, for callers that are not async."""
        return iterate_sync(lambda: self.stream_prompt(prompt, **options))

    def _request(self, prompt: str | Message, reading: Reading[T], options: ChatOptions) -> PromptRequest[T]:
        return PromptRequest(prompt, self._settings, self._means, reading)._with(options)  # noqa: SLF001  it is made here


def output_of(kind: Any, mode: OutputMode) -> Output:
    """Return how a value of a type is asked for; a schema written by hand is sent as it is."""
    if mode not in {"tool", "native", "prompted"}:
        raise OptionError("output_mode", mode, "auto, tool, native or prompted")
    schema = schema_of(kind)
    made = mode == "native" and not isinstance(kind, dict)
    return Output(mode=mode, json_schema=closed(schema) if made else schema)

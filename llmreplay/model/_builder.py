"""A request in the making, word by word, for one model.

Rules:

* Each method changes the builder and returns it; `build` may be called again, and gives a new value.
* What is said once more is said anew (`temperature`, `preamble` …); messages, documents, tools and the
  keys of `extra` are added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from llmreplay.codecs._schemas import closed
from llmreplay.completion import (
    CompletionRequest,
    Document,
    Message,
    ProviderTool,
    RequestError,
    ToolChoice,
    ToolDefinition,
)
from llmreplay.errors import OptionError
from llmreplay.model._messages import refuse_empty
from llmreplay.model._sync import iterate_sync, run_sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from pydantic import BaseModel

    from llmreplay.completion import CompletionResponse, StreamEvent
    from llmreplay.model._protocol import CompletionModel

__all__ = ["CompletionRequestBuilder"]

Mode = Literal["auto", "none", "required", "specific"]


class CompletionRequestBuilder:
    """A request in the making.

        response = await (
            model.completion_request("How is the weather in Paris?")
            .preamble("Be brief.")
            .tool(weather)
            .temperature(0.2)
            .send()
        )

    Args:
        model: who is to answer; `build` alone needs none.
        prompt: the last message: a text of the user, or any message.
    """

    def __init__(self, model: CompletionModel | None, prompt: str | Message) -> None:
        self._model, self._prompt = model, _message(prompt)
        self._preamble: str | None = None
        self._history: list[Message] = []
        self._documents: list[Document] = []
        self._tools: list[ToolDefinition | ProviderTool] = []
        self._extra: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}

    def preamble(self, text: str) -> Self:
        """Say what the model is to know beforehand: a system message in front of all others."""
        self._preamble = text
        return self

    def without_preamble(self) -> Self:
        """Take the preamble back."""
        self._preamble = None
        return self

    def model(self, name: str | None) -> Self:
        """Ask for another model than the one that answers by itself; None leaves it to that."""
        return self.options(model=name)

    def message(self, message: str | Message) -> Self:
        """Add a message to those before the prompt."""
        self._history.append(_message(message))
        return self

    def messages(self, messages: Iterable[str | Message]) -> Self:
        """Add messages to those before the prompt."""
        for message in _several("messages", messages):
            self.message(message)
        return self

    def document(self, document: str | Document, *, name: str | None = None) -> Self:
        """Add a document that the model is to know; a text is one of its own."""
        if isinstance(document, str):
            document = Document(data=document, source="text", media_type="text/plain", name=name)
        self._documents.append(document)
        return self

    def documents(self, documents: Iterable[str | Document]) -> Self:
        """Add documents that the model is to know."""
        for document in _several("documents", documents):
            self.document(document)
        return self

    def tool(self, tool: Any) -> Self:
        """Offer a tool: a definition, or whatever has one as its `definition`."""
        found = tool if isinstance(tool, ToolDefinition | ProviderTool) else getattr(tool, "definition", None)
        if not isinstance(found, ToolDefinition | ProviderTool):
            raise OptionError(
                "tool", tool, "a ToolDefinition, a ProviderTool or an object with a `definition`"
            )
        self._tools.append(found)
        return self

    def tools(self, tools: Iterable[Any]) -> Self:
        """Offer tools."""
        for tool in _several("tools", tools):
            self.tool(tool)
        return self

    def provider_tool(self, kind: str, /, **config: Any) -> Self:
        """Offer a tool that the provider runs itself: `provider_tool("web_search", max_uses=3)`."""
        return self.tool(ProviderTool(kind=kind, config=config))

    def provider_tools(self, tools: Iterable[ProviderTool]) -> Self:
        """Offer tools that the provider runs itself."""
        return self.tools(tools)

    def additional_params(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """Say what only this provider knows; a key that was given before gets the later value."""
        if params is not None and not isinstance(params, Mapping):
            raise OptionError("additional_params", params, "an object, such as {'seed': 7}")
        self._extra |= {**(params or {}), **more}
        return self

    def extra(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """Say the same as `additional_params`, under the name that the field has."""
        return self.additional_params(params, **more)

    def temperature(self, value: float | None) -> Self:
        """Say how freely the model chooses its words."""
        return self.options(temperature=value)

    def top_p(self, value: float | None) -> Self:
        """Have the model choose among the likeliest words that make up this probability."""
        return self.options(top_p=value)

    def top_k(self, value: int | None) -> Self:
        """Have the model choose among so many words."""
        return self.options(top_k=value)

    def max_tokens(self, value: int | None) -> Self:
        """Say how long the answer may be, in tokens."""
        return self.options(max_tokens=value)

    def stop(self, *texts: str | Iterable[str]) -> Self:
        """Say where the model stops: one text, or several; none takes them back."""
        found = [one for text in texts for one in ([text] if isinstance(text, str) else text)]
        return self.options(stop=found)

    def tool_choice(self, choice: Mode | ToolChoice | None, *names: str) -> Self:
        """Say whether tools may (`auto`), must (`required`) or must not (`none`) be used, or which.

        `tool_choice("specific", "get_weather")` leaves the model these tools alone.
        """
        if choice is None or isinstance(choice, ToolChoice):
            return self.options(tool_choice=choice)
        if choice not in get_args(Mode):
            raise OptionError("tool_choice", choice, f"one of {', '.join(get_args(Mode))}, or a ToolChoice")
        if (choice == "specific") != bool(names):
            raise OptionError(
                "tool_choice", choice, "'specific' with the names of tools, or another word alone"
            )
        return self.options(tool_choice=ToolChoice(mode=choice, names=list(names)))

    def output_schema(self, schema: type[BaseModel] | dict[str, Any] | None) -> Self:
        """Say what form the answer must have: a pydantic model, or a JSON Schema.

        The schema of a model is closed, as strict providers want it: every field, and no other. One that
        is written by hand is sent as it is.
        """
        from pydantic import BaseModel  # noqa: PLC0415  for the one comparison

        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return self.options(output_schema=closed(schema.model_json_schema()))
        if schema is not None and not isinstance(schema, dict):
            raise OptionError("output_schema", schema, "a pydantic model class or a JSON Schema")
        return self.options(output_schema=schema)

    def options(self, **fields: Any) -> Self:
        """Say any other field of the `CompletionRequest`, by its name: `options(seed=7, n=2)`."""
        known = CompletionRequest.model_fields.keys() - _OWN
        for name in fields:
            if name not in known:
                raise OptionError("options", name, f"one of {', '.join(sorted(known))}")
        self._fields |= fields
        return self

    def build(self) -> CompletionRequest:
        """Return the request: preamble, messages, prompt.

        Raises `RequestError` if a message has no content, or a field a value that it cannot have.
        """
        system = [] if self._preamble is None else [Message.system(self._preamble)]
        messages = [*system, *self._history, self._prompt]
        refuse_empty(messages)
        try:
            return CompletionRequest(
                messages=messages,
                documents=list(self._documents),
                tools=list(self._tools),
                extra=dict(self._extra),
                **self._fields,
            )
        except ValueError as problem:
            raise RequestError(f"the request cannot be built: {problem}") from problem

    async def send(self) -> CompletionResponse:
        """Ask the model: `model.completion(builder.build())`."""
        return await self._whom().completion(self.build())

    def stream(self) -> AsyncIterator[StreamEvent]:
        """Ask the model for a stream: `model.stream(builder.build())`."""
        return self._whom().stream(self.build())

    def send_sync(self) -> CompletionResponse:
        """Ask the model, from code that is not async."""
        model, request = self._whom(), self.build()
        own = getattr(model, "completion_sync", None)
        if own is not None:
            return cast("CompletionResponse", own(request))
        return run_sync(lambda: model.completion(request))

    def stream_sync(self) -> Iterator[StreamEvent]:
        """Ask the model for a stream, from code that is not async."""
        model, request = self._whom(), self.build()
        own = getattr(model, "stream_sync", None)
        return (
            cast("Iterator[StreamEvent]", own(request))
            if own
            else iterate_sync(lambda: model.stream(request))
        )

    def _whom(self) -> CompletionModel:
        if self._model is None:
            raise OptionError("model", None, "a CompletionModel to send the request to")
        return self._model


_OWN = frozenset({"messages", "documents", "tools", "extra"})
"""Fields that are added to, and have methods of their own."""


def _message(message: str | Message) -> Message:
    return Message.user(message) if isinstance(message, str) else message


def _several(option: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(values, str | Mapping):
        raise OptionError(option, values, f"a list such as [{values!r}]")
    return list(values)

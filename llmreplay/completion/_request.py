"""What a model was asked: messages, tools, and how to answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from llmreplay.completion._contents import (
    AssistantContent,
    Audio,
    Document,
    Image,
    Json,
    ProviderContent,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    UserContent,
    Video,
)
from llmreplay.completion._value import Extra, Raw, Value

__all__ = [
    "CompletionRequest",
    "Message",
    "ProviderTool",
    "ResponseFormat",
    "Role",
    "SearchParameters",
    "StreamOptions",
    "ToolChoice",
    "ToolDefinition",
]

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
"""Who speaks. `developer` is what newer OpenAI models call `system`, `function` an older `tool`."""

_Content = Annotated[
    Text | Image | Audio | Video | Document | ToolResult | ToolCall | Reasoning | Refusal | ProviderContent,
    Field(discriminator="type"),
]


class Message(Value):
    """One message of a conversation, with everything it holds, in order."""

    role: Role
    content: list[_Content]
    name: str | None = None
    id: str | None = None
    extra: Extra = Field(default_factory=dict)

    @classmethod
    def system(cls, text: str) -> Message:
        """What the developer tells the model."""
        return cls(role="system", content=[Text(text=text)])

    @classmethod
    def user(cls, *contents: str | UserContent) -> Message:
        """What the user says: texts, media, documents."""
        return cls(role="user", content=[_content(content) for content in contents])

    @classmethod
    def assistant(cls, *contents: str | AssistantContent, id: str | None = None) -> Message:  # noqa: A002  the wires' word
        """What the model says: texts, tool calls, reasoning."""
        return cls(role="assistant", content=[_content(content) for content in contents], id=id)

    @classmethod
    def tool_result(
        cls,
        id: str,  # noqa: A002  the wires' word
        content: Any,
        *,
        name: str | None = None,
        is_error: bool = False,
    ) -> Message:
        """What a tool gave back: text, or anything else as JSON."""
        value = Text(text=content) if isinstance(content, str) else Json(value=content)
        result = ToolResult(id=id, content=[value], name=name, is_error=is_error)
        return cls(role="tool", content=[result])

    @property
    def text(self) -> str:
        """The text of the message, without reasoning and tool results."""
        return "".join(content.text for content in self.content if isinstance(content, Text))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls of the message."""
        return [content for content in self.content if isinstance(content, ToolCall)]

    @property
    def tool_results(self) -> list[ToolResult]:
        """The tool results of the message."""
        return [content for content in self.content if isinstance(content, ToolResult)]


def _content(content: Any) -> Any:
    return Text(text=content) if isinstance(content, str) else content


class ToolDefinition(Value):
    """A tool that the model may ask for; `parameters` is the JSON Schema of its arguments."""

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None
    extra: Extra = Field(default_factory=dict)


class ProviderTool(Value):
    """A tool that the provider runs itself, or defines: `kind` is its word, `config` the rest."""

    type: Literal["provider"] = "provider"
    kind: str
    config: Extra


class ToolChoice(Value):
    """Whether the model may, must or must not use tools; `names` are the only ones it may use."""

    mode: Literal["auto", "none", "required", "specific"]
    names: list[str] = Field(default_factory=list)
    extra: Extra = Field(default_factory=dict)


class ResponseFormat(Value):
    """The form the answer must have: `text`, `json_object`, `json_schema`, or a wire's own word."""

    type: str
    name: str | None = None
    json_schema: Any = None
    strict: bool | None = None
    description: str | None = None
    extra: Extra = Field(default_factory=dict)


class StreamOptions(Value):
    """What a stream should tell beside the answer."""

    include_usage: bool | None = None
    extra: Extra = Field(default_factory=dict)


class SearchParameters(Value):
    """How the model may search before it answers (xAI)."""

    mode: str | None = None
    from_date: str | None = None
    to_date: str | None = None
    max_search_results: int | None = None
    return_citations: bool | None = None
    sources: list[Any] | None = None
    extra: Extra = Field(default_factory=dict)


class CompletionRequest(Value):
    """What a model was asked. None means that the request does not say.

    Fields of the wire that have no name here lie in `extra`. `raw` is the body, as parsed; it does
    not count in comparisons.
    """

    model: str | None = None
    messages: list[Message]
    documents: list[Document] = Field(default_factory=list)
    tools: list[Annotated[ToolDefinition | ProviderTool, Field(discriminator="type")]] = Field(
        default_factory=list
    )
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: list[str] = Field(default_factory=list)
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    output_schema: Any = None
    reasoning_effort: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    modalities: list[str] | None = None
    audio: Any = None
    search_parameters: SearchParameters | None = None
    web_search_options: Any = None
    deferred: bool | None = None
    user: str | None = None
    metadata: Any = None
    store: bool | None = None
    service_tier: str | None = None
    extra: Extra = Field(default_factory=dict)
    raw: Raw = None

    uncompared = frozenset({"raw"})

    @property
    def system(self) -> str:
        """What the developer told the model, one message below the other."""
        return "\n".join(message.text for message in self.messages if message.role in {"system", "developer"})

    @property
    def prompt(self) -> str:
        """The text of the last user message; empty if there is none."""
        for message in reversed(self.messages):
            if message.role == "user" and message.text:
                return message.text
        return ""

    @property
    def tool_results(self) -> list[ToolResult]:
        """What tools gave back since the model spoke last, in order."""
        results: list[ToolResult] = []
        for message in reversed(self.messages):
            if message.role == "assistant":
                break
            results = [*message.tool_results, *results]
        return results

    @property
    def tool_names(self) -> list[str]:
        """The names of the tools that the model may ask for."""
        return [tool.name for tool in self.tools if isinstance(tool, ToolDefinition)]

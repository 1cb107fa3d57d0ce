"""The official SDKs behind the same verbs: a conversation with tools, plain or streamed, sync or async.

Rules:

* A driver is written once for both kinds: `settled` awaits what has to be awaited, and a sync SDK runs
  without an event loop.
* Nothing is ever connected, so clients are kept, whatever loop they run in.
* What is heard is what the SDK hands out, put together as everyone does; nothing of llmreplay is used.
"""

# ruff: noqa: RUF012  the options of a class are told once, and nobody changes them

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import botocore.config
import cohere
import groq
import huggingface_hub
import mistralai.client as mistralai
import ollama
import openai
from google import genai

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

QUESTION = "How is the weather in Paris and Oslo?"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
FUNCTION = {"name": "get_weather", "description": "Look at the weather.", "parameters": SCHEMA}


@dataclass
class Heard:
    """An answer: its text, its calls with their ids, why it ends, the tokens in and out."""

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    finish: str | None = None
    tokens: tuple[int, int] | None = None
    deltas: list[str] = field(default_factory=list)

    def says(self, text: str | None) -> None:
        if text:
            self.text += text
            self.deltas.append(text)

    def asks(self, name: str, arguments: Any, call_id: Any = None) -> None:
        self.calls.append((name, json.loads(arguments) if isinstance(arguments, str) else dict(arguments)))
        self.ids.append(call_id)

    @property
    def written(self) -> list[dict[str, Any]]:
        """The calls as chat APIs have them in a message."""
        return [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id_, (name, arguments) in zip(self.ids, self.calls, strict=True)
        ]


async def settled(value: Any) -> Any:
    """Wait for a value if it is one to be waited for."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> Any:
    """Iterate over a stream of either kind."""
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield event
    else:
        for event in stream:
            yield event


def run(work: Coroutine[Any, Any, Any], *, loop: bool) -> Any:
    """Run what a driver does: in an event loop, or, where nothing is ever waited for, without one."""
    if loop:
        return asyncio.run(work)
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a sync SDK has nothing to wait for")


_kept: dict[Any, Any] = {}


class Driver:
    """An SDK that speaks OpenAI's chat wire; others say what is different."""

    module: Any = openai
    names = ("OpenAI", "AsyncOpenAI")
    options: dict[str, Any] = {"api_key": "none"}
    model = "test-1"
    stream_options: dict[str, Any] = {"stream_options": {"include_usage": True}}
    finishes = ("tool_calls", "stop")
    wire = "openai_chat"
    has_ids = True
    kinds: tuple[str, ...] = ("sync", "async")

    def client(self, kind: str, **more: Any) -> Any:
        return getattr(self.module, self.names[kind == "async"])(**{**self.options, **more})

    def kept(self, kind: str, options: dict[str, Any]) -> Any:
        """A client that is made once: it never opens a connection, and loads its certificates slowly."""
        key = (type(self), kind, *sorted(options.items()))
        if key not in _kept:
            _kept[key] = self.client(kind, **options)
        return _kept[key]

    @asynccontextmanager
    async def opened(self, kind: str, options: dict[str, Any]) -> AsyncIterator[Any]:
        """A client for as long as it is needed."""
        yield self.kept(kind, options)

    def conversation(self) -> list[Any]:
        return [{"role": "user", "content": QUESTION}]

    def results(self, heard: Heard, results: list[str]) -> list[Any]:
        """What follows on a call: the call itself, and what came of it."""
        told = [
            {"role": "tool", "tool_call_id": call_id, "content": result}
            for call_id, result in zip(heard.ids, results, strict=True)
        ]
        return [{"role": "assistant", "content": heard.text, "tool_calls": heard.written}, *told]

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        more = {"stream": True, **self.stream_options} if stream else {}
        return client.chat.completions.create(
            model=self.model, messages=messages, tools=[{"type": "function", "function": FUNCTION}], **more
        )

    async def ask(
        self, client: Any, messages: list[Any], *, stream: bool, heard: Heard | None = None
    ) -> Heard:
        """Ask, and hear what is said; `heard` keeps it although the answer breaks off."""
        heard = heard if heard is not None else Heard()
        answer = await settled(self.asked(client, messages, stream=stream))
        if stream:
            await self.streamed(answer, heard)
        else:
            self.whole(answer, heard)
        return heard

    def whole(self, answer: Any, heard: Heard) -> None:
        message = answer.choices[0].message
        heard.says(message.content)
        for call in message.tool_calls or []:
            heard.asks(call.function.name, call.function.arguments, call.id)
        heard.finish = answer.choices[0].finish_reason
        heard.tokens = self.tokens(answer.usage)

    async def streamed(self, stream: Any, heard: Heard) -> None:
        calls: dict[int, list[Any]] = {}
        async for event in each(stream):
            chunk = getattr(event, "data", event)
            for choice in chunk.choices:
                heard.says(choice.delta.content)
                heard.finish = choice.finish_reason or heard.finish
                for call in choice.delta.tool_calls or []:
                    kept = calls.setdefault(call.index, [None, "", ""])
                    kept[0] = kept[0] or call.id
                    kept[1] += call.function.name or ""
                    kept[2] += call.function.arguments or ""
            heard.tokens = self.tokens(self.usage_of(chunk)) or heard.tokens
        for call_id, name, arguments in calls.values():
            heard.asks(name, arguments, call_id)

    def usage_of(self, chunk: Any) -> Any:
        return chunk.usage

    def tokens(self, usage: Any) -> tuple[int, int] | None:
        return usage and (usage.prompt_tokens, usage.completion_tokens)

    def converse(self, kind: str, results: list[str], *, stream: bool, **options: Any) -> list[Heard]:
        """Ask, bring the results of the tools, and hear the answer."""

        async def go() -> list[Heard]:
            async with self.opened(kind, options) as client:
                messages = self.conversation()
                first = await self.ask(client, messages, stream=stream)
                second = await self.ask(client, [*messages, *self.results(first, results)], stream=stream)
            return [first, second]

        return run(go(), loop=kind == "async")

    def says(self, kind: str, *messages: Any, stream: bool = False, **options: Any) -> Heard:
        """Ask once."""
        heard, error = self.meets(kind, *messages, stream=stream, **options)
        if error is not None:
            raise error
        return heard

    def meets(
        self, kind: str, *messages: Any, stream: bool = False, **options: Any
    ) -> tuple[Heard, Exception | None]:
        """Ask once; give what was heard, and the error that ended it."""
        heard = Heard()

        async def go() -> Exception | None:
            async with self.opened(kind, options) as client:
                try:
                    await self.ask(client, list(messages) or self.conversation(), stream=stream, heard=heard)
                except Exception as error:  # which one it is, the test says
                    return error
            return None

        return heard, run(go(), loop=kind == "async")


class Azure(Driver):
    names = ("AzureOpenAI", "AsyncAzureOpenAI")
    options = {
        "api_key": "none",
        "azure_endpoint": "https://test.openai.azure.com",
        "api_version": "2024-10-21",
    }


class XAI(Driver):
    options = {"api_key": "none", "base_url": "https://api.x.ai/v1"}


class VLLM(Driver):
    options = {"api_key": "none", "base_url": "http://localhost:8000/v1"}


class Groq(Driver):
    module = groq
    names = ("Groq", "AsyncGroq")
    stream_options = {}

    def usage_of(self, chunk: Any) -> Any:
        return chunk.x_groq and chunk.x_groq.usage


class HuggingFace(Driver):
    module = huggingface_hub
    names = ("InferenceClient", "AsyncInferenceClient")
    options = {"api_key": "hf_none", "base_url": "https://router.huggingface.co/v1"}


class Mistral(Driver):
    module = mistralai
    names = ("Mistral", "Mistral")
    wire = "mistral"

    def client(self, kind: str, **more: Any) -> Any:
        client = super().client(kind, **more)
        client.is_async = kind == "async"
        return client

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        verb = ("stream" if stream else "complete") + ("_async" if client.is_async else "")
        return getattr(client.chat, verb)(
            model=self.model, messages=messages, tools=[{"type": "function", "function": FUNCTION}]
        )


class Cohere(Driver):
    module = cohere
    names = ("ClientV2", "AsyncClientV2")
    finishes = ("TOOL_CALL", "COMPLETE")
    wire = "cohere"

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        verb = client.chat_stream if stream else client.chat
        return verb(model=self.model, messages=messages, tools=[{"type": "function", "function": FUNCTION}])

    def whole(self, answer: Any, heard: Heard) -> None:
        for part in answer.message.content or []:
            heard.says(part.text)
        for call in answer.message.tool_calls or []:
            heard.asks(call.function.name, call.function.arguments, call.id)
        heard.finish, heard.tokens = answer.finish_reason, self.tokens(answer.usage)

    async def streamed(self, stream: Any, heard: Heard) -> None:
        calls: dict[int, list[Any]] = {}
        async for event in each(stream):
            if event.type == "content-delta":
                heard.says(event.delta.message.content.text)
            elif event.type == "tool-call-start":
                call = event.delta.message.tool_calls
                calls[event.index] = [call.id, call.function.name, call.function.arguments]
            elif event.type == "tool-call-delta":
                calls[event.index][2] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end":
                heard.finish = event.delta.finish_reason
                heard.tokens = event.delta.usage and self.tokens(event.delta.usage)
        for call_id, name, arguments in calls.values():
            heard.asks(name, arguments, call_id)

    def tokens(self, usage: Any) -> tuple[int, int] | None:
        return usage and (usage.tokens.input_tokens, usage.tokens.output_tokens)


class Ollama(Driver):
    module = ollama
    names = ("Client", "AsyncClient")
    options = {"host": "http://localhost:11434"}
    finishes = ("stop", "stop")
    wire = "ollama"
    has_ids = False

    def results(self, heard: Heard, results: list[str]) -> list[Any]:
        asked = [{"function": {"name": name, "arguments": arguments}} for name, arguments in heard.calls]
        told = [{"role": "tool", "tool_name": name, "content": results.pop(0)} for name, _ in heard.calls]
        return [{"role": "assistant", "content": heard.text, "tool_calls": asked}, *told]

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        return client.chat(
            model=self.model,
            messages=messages,
            tools=[{"type": "function", "function": FUNCTION}],
            stream=stream,
        )

    def whole(self, answer: Any, heard: Heard) -> None:
        heard.says(answer.message.content)
        for call in answer.message.tool_calls or []:
            heard.asks(call.function.name, call.function.arguments)
        if answer.done:
            heard.finish, heard.tokens = answer.done_reason, (answer.prompt_eval_count, answer.eval_count)

    async def streamed(self, stream: Any, heard: Heard) -> None:
        async for part in each(stream):
            self.whole(part, heard)


class Responses(Driver):
    finishes = ("completed", "completed")
    wire = "openai_responses"

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        return client.responses.create(
            model=self.model,
            input=messages,
            tools=[{"type": "function", **FUNCTION, "strict": False}],
            **({"stream": True} if stream else {}),
        )

    def results(self, heard: Heard, results: list[str]) -> list[Any]:
        items: list[Any] = [{"role": "assistant", "content": heard.text}]
        for call_id, (name, arguments) in zip(heard.ids, heard.calls, strict=True):
            spelled = json.dumps(arguments)
            items += [{"type": "function_call", "call_id": call_id, "name": name, "arguments": spelled}]
        return items + [
            {"type": "function_call_output", "call_id": call_id, "output": result}
            for call_id, result in zip(heard.ids, results, strict=True)
        ]

    def whole(self, answer: Any, heard: Heard) -> None:
        heard.says(answer.output_text)
        self.ended(answer, heard)

    def ended(self, answer: Any, heard: Heard) -> None:
        for item in answer.output:
            if item.type == "function_call":
                heard.asks(item.name, item.arguments, item.call_id)
        heard.finish, heard.tokens = answer.status, self.tokens(answer.usage)

    async def streamed(self, stream: Any, heard: Heard) -> None:
        async for event in each(stream):
            if event.type == "response.output_text.delta":
                heard.says(event.delta)
            elif event.type == "response.completed":
                self.ended(event.response, heard)

    def tokens(self, usage: Any) -> tuple[int, int] | None:
        return usage and (usage.input_tokens, usage.output_tokens)


class Anthropic(Driver):
    module = anthropic
    names = ("Anthropic", "AsyncAnthropic")
    finishes = ("tool_use", "end_turn")
    wire = "anthropic_messages"

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        return client.messages.create(
            model=self.model,
            max_tokens=100,
            messages=messages,
            tools=[{"name": FUNCTION["name"], "input_schema": SCHEMA}],
            stream=stream,
        )

    def results(self, heard: Heard, results: list[str]) -> list[Any]:
        asked = [
            {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
            for call_id, (name, arguments) in zip(heard.ids, heard.calls, strict=True)
        ]
        told = [
            {"type": "tool_result", "tool_use_id": call_id, "content": result}
            for call_id, result in zip(heard.ids, results, strict=True)
        ]
        said = [{"type": "text", "text": heard.text}]
        return [{"role": "assistant", "content": [*said, *asked]}, {"role": "user", "content": told}]

    def whole(self, answer: Any, heard: Heard) -> None:
        for block in answer.content:
            if block.type == "text":
                heard.says(block.text)
            elif block.type == "tool_use":
                heard.asks(block.name, block.input, block.id)
        heard.finish = answer.stop_reason
        heard.tokens = (answer.usage.input_tokens, answer.usage.output_tokens)

    async def streamed(self, stream: Any, heard: Heard) -> None:
        calls: dict[int, list[Any]] = {}
        async for event in each(stream):
            if event.type == "content_block_start" and event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.id, event.content_block.name, ""]
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                heard.says(event.delta.text)
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                calls[event.index][2] += event.delta.partial_json
            elif event.type == "message_delta":
                heard.finish = event.delta.stop_reason
                heard.tokens = (event.usage.input_tokens, event.usage.output_tokens)
        for call_id, name, arguments in calls.values():
            heard.asks(name, arguments, call_id)


class Google(Driver):
    """Sync only: the async client goes over aiohttp, see test_over_aiohttp."""

    finishes = ("STOP", "STOP")
    wire = "gemini"
    has_ids = False
    kinds = ("sync",)

    def client(self, kind: str, **more: Any) -> Any:
        return genai.Client(api_key="none", **more)

    def conversation(self) -> list[Any]:
        return [{"role": "user", "parts": [{"text": QUESTION}]}]

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        verb = client.models.generate_content_stream if stream else client.models.generate_content
        declared = {"name": FUNCTION["name"], "parameters": {**SCHEMA, "type": "OBJECT"}}
        return verb(
            model="gemini-2.5-flash",
            contents=messages,
            config={
                "tools": [{"function_declarations": [declared]}],
                "automatic_function_calling": {"disable": True},
            },
        )

    def results(self, heard: Heard, results: list[str]) -> list[Any]:
        asked = [{"function_call": {"name": name, "args": arguments}} for name, arguments in heard.calls]
        told = [
            {"function_response": {"name": name, "response": {"output": result}}}
            for (name, _), result in zip(heard.calls, results, strict=True)
        ]
        return [{"role": "model", "parts": [{"text": heard.text}, *asked]}, {"role": "user", "parts": told}]

    def whole(self, answer: Any, heard: Heard) -> None:
        (candidate,) = answer.candidates
        for part in candidate.content.parts or []:
            heard.says(part.text)
            if part.function_call:
                heard.asks(part.function_call.name, part.function_call.args)
        heard.finish = candidate.finish_reason and candidate.finish_reason.value
        used = answer.usage_metadata
        heard.tokens = used and (used.prompt_token_count, used.candidates_token_count)

    async def streamed(self, stream: Any, heard: Heard) -> None:
        async for chunk in each(stream):
            self.whole(chunk, heard)


class Bedrock(Driver):
    """boto3, which is sync only; it tries nothing again here, since it sleeps for seconds before it does."""

    module = boto3
    options = {"region_name": "us-east-1", "aws_access_key_id": "none", "aws_secret_access_key": "none"}
    finishes = ("tool_use", "end_turn")
    wire = "bedrock_converse"
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    kinds = ("sync",)

    def client(self, kind: str, **more: Any) -> Any:
        once = botocore.config.Config(retries={"total_max_attempts": 1})
        return boto3.client("bedrock-runtime", **{**self.options, "config": once, **more})

    def conversation(self) -> list[Any]:
        return [{"role": "user", "content": [{"text": QUESTION}]}]

    def asked(self, client: Any, messages: list[Any], *, stream: bool) -> Any:
        verb = client.converse_stream if stream else client.converse
        tool = {"name": FUNCTION["name"], "inputSchema": {"json": SCHEMA}}
        return verb(modelId=self.model, messages=messages, toolConfig={"tools": [{"toolSpec": tool}]})

    def results(self, heard: Heard, results: list[str]) -> list[Any]:
        asked = [
            {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}
            for call_id, (name, arguments) in zip(heard.ids, heard.calls, strict=True)
        ]
        told = [
            {"toolResult": {"toolUseId": call_id, "content": [{"text": result}]}}
            for call_id, result in zip(heard.ids, results, strict=True)
        ]
        said = [{"text": heard.text}]
        return [{"role": "assistant", "content": [*said, *asked]}, {"role": "user", "content": told}]

    def whole(self, answer: Any, heard: Heard) -> None:
        for block in answer["output"]["message"]["content"]:
            heard.says(block.get("text"))
            if call := block.get("toolUse"):
                heard.asks(call["name"], call["input"], call["toolUseId"])
        heard.finish, heard.tokens = answer["stopReason"], self.tokens(answer["usage"])

    async def streamed(self, stream: Any, heard: Heard) -> None:
        calls: dict[int, list[Any]] = {}
        for event in stream["stream"]:
            ((kind, told),) = event.items()
            if kind == "contentBlockStart" and (call := told["start"].get("toolUse")):
                calls[told["contentBlockIndex"]] = [call["toolUseId"], call["name"], ""]
            elif kind == "contentBlockDelta":
                heard.says(told["delta"].get("text"))
                if call := told["delta"].get("toolUse"):
                    calls[told["contentBlockIndex"]][2] += call["input"]
            elif kind == "messageStop":
                heard.finish = told["stopReason"]
            elif kind == "metadata":
                heard.tokens = self.tokens(told["usage"])
        for call_id, name, arguments in calls.values():
            heard.asks(name, arguments, call_id)

    def tokens(self, usage: Any) -> tuple[int, int] | None:
        return usage and (usage["inputTokens"], usage["outputTokens"])


DRIVERS: dict[str, Driver] = {
    "openai-chat": Driver(),
    "openai-responses": Responses(),
    "azure": Azure(),
    "xai": XAI(),
    "vllm": VLLM(),
    "anthropic": Anthropic(),
    "google-genai": Google(),
    "mistralai": Mistral(),
    "cohere": Cohere(),
    "groq": Groq(),
    "ollama": Ollama(),
    "huggingface": HuggingFace(),
    "boto3": Bedrock(),
}

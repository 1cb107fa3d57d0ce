"""What an answer of the converse wire means, whole or as its events come.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html

A stream ends with `metadata`, which tells the usage; it is whole without, if `messageStop` has come
and the connection ended in good order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _aws, _errors
from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._json import each, integer, listed, mapping, optional, parse, string, text, without
from llmreplay.codecs._parts import Call, Provided, Words
from llmreplay.codecs._usage import normalise
from llmreplay.codecs.bedrock_converse._blocks import OURS, image_of, read_block, sealed_block
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    Image,
    Reasoning,
    Started,
    Text,
    ToolCall,
    UnknownEvent,
    UsageReported,
)

if TYPE_CHECKING:
    from llmreplay.completion import StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["FINISH", "NAME", "PROVIDER", "ConverseStream", "answer"]

NAME = "bedrock_converse"
PROVIDER = "bedrock"

FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
}


class _Answer:
    """What bodies or events have said so far."""

    def __init__(self, response: Response, request: Request) -> None:
        self.assembly = Assembly()
        self._response, self._request = response, request
        self._usage: dict[str, Any] = {}
        self._told: dict[str, Any] = {}

    def stopped(self, raw: str) -> list[StreamEvent]:
        """Take the stop reason."""
        return self.assembly.finish(0, raw, FINISH.get(raw) or FinishReason(raw)) if raw else []

    def measured(self, body: dict[str, Any]) -> list[StreamEvent]:
        """Take what stands beside the message: usage, service tier, the trace."""
        self._told = {**self._told, **body}
        usage = mapping(body.get("usage"))
        if not usage:
            return []
        self._usage = usage
        return [UsageReported(usage=normalise(NAME, usage))]

    def response(self, raw: Any) -> CompletionResponse:
        """Return the response, from all that has been said."""
        self.assembly.answer(0)  # which may have begun with nothing
        first, *_ = self.assembly.choices()
        texts = [content for content in first.contents if isinstance(content, Text)]
        router = mapping(mapping(self._told.get("trace")).get("promptRouter"))
        return CompletionResponse(
            choice=first.contents,
            usage=normalise(NAME, self._usage),
            finish_reason=first.finish_reason,
            raw_finish_reason=first.raw_finish_reason,
            citations=[cited for content in texts for cited in listed(content.extra.get("citations"))],
            request_id=_errors.request_id(self._response),
            model=optional(router.get("invokedModelId")) or _aws.model_of(self._request),
            provider=PROVIDER,
            service_tier=optional(mapping(self._told.get("serviceTier")).get("type")),
            raw=raw,
        )


class ConverseStream(_aws.AwsStreamDecoder):
    """Reads the events of a converse stream; each is kept as `{name: data}`."""

    def __init__(self, response: Response, request: Request) -> None:
        super().__init__(response, PROVIDER)
        self._so_far = _Answer(response, request)
        self._model = _aws.model_of(request)
        self._images: dict[int, str | None] = {}
        self._measured = False

    def _read(self, kind: str, payload: bytes) -> Any:
        data = parse(payload)
        if not isinstance(data, dict):
            raise ValueError(f"{kind} is no object")  # noqa: TRY004  one error for all that cannot be read
        return {kind: data}

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:  # noqa: PLR0911  one for each event
        ((kind, event),) = data.items()
        index = integer(event.get("contentBlockIndex")) or 0
        if kind == "messageStart":
            return [Started(model=self._model)]
        if kind == "contentBlockStart":
            return self._begin(mapping(event.get("start")), index)
        if kind == "contentBlockDelta":
            return self._grow(mapping(event.get("delta")), index)
        if kind == "contentBlockStop":
            return self._end(index)
        if kind == "messageStop":
            return self._so_far.stopped(text(event.get("stopReason")))
        if kind == "metadata":
            self._measured = True
            return self._so_far.measured(event)
        return [UnknownEvent(name=kind, data=event)]

    def _begin(self, start: dict[str, Any], index: int) -> list[StreamEvent]:
        assembly = self._so_far.assembly
        assembly.answer(0).keyed.pop(index, None)  # a number that comes again is of another block
        kind = next(iter(start), "")
        begun = mapping(start.get(kind))
        if kind == "toolUse" and begun.get("type") != OURS:
            call, events = assembly.call(
                0, index, id=text(begun.get("toolUseId")), name=text(begun.get("name"))
            )
            call.extra.update(without(begun, "toolUseId", "name"))
            return events
        if kind == "image":
            self._images[index] = optional(begun.get("format"))
            return []
        return assembly.provided(0, text(kind), begun, key=index)

    def _grow(self, delta: dict[str, Any], index: int) -> list[StreamEvent]:
        assembly = self._so_far.assembly
        part = assembly.answer(0).keyed.get(index)
        kind = next(iter(delta), "")
        grown = delta.get(kind)
        if kind == "text":
            return assembly.words(0, string(grown), key=index)
        if kind == "reasoningContent":
            return self._think(mapping(grown), index)
        if kind == "toolUse":
            piece = string(mapping(grown).get("input"))
            if isinstance(part, Call):
                return assembly.arguments(0, part, piece)
            if isinstance(part, Provided):
                part.pieces.append(piece)
        elif kind == "toolResult" and isinstance(part, Provided):
            part.raw = {**part.raw, "content": [*listed(part.raw.get("content")), *listed(grown)]}
        elif kind == "citation":
            events = assembly.words(0, "", key=index)
            words = assembly.answer(0).keyed.get(index)
            if isinstance(words, Words):
                words.extra["citations"] = [*listed(words.extra.get("citations")), grown]
            return events
        elif kind == "image":
            image = image_of(self._images.get(index), mapping(mapping(grown).get("source")))
            return assembly.whole(0, image) if isinstance(image, Image) else []
        return []

    def _think(self, delta: dict[str, Any], index: int) -> list[StreamEvent]:
        assembly = self._so_far.assembly
        if "redactedContent" in delta:
            return assembly.thought(0, text(delta["redactedContent"]), kind="redacted", key=index)
        signature = text(delta.get("signature"))
        return assembly.thought(0, string(delta.get("text")), key=index, signature=signature)

    def _end(self, index: int) -> list[StreamEvent]:
        assembly = self._so_far.assembly
        part = assembly.answer(0).keyed.get(index)
        if isinstance(part, Call):
            return assembly.ended(0, part)
        return assembly.received(0, part) if isinstance(part, Provided) else []

    def _whole(self) -> bool:
        return self._so_far.assembly.finished and (self._measured or self._http.ended != "cut")

    def _answer(self) -> CompletionResponse:
        return self._so_far.response(self._raw)


def answer(response: Response, request: Request) -> CompletionResponse:
    """Return what a plain response means; raise `CompletionError` if it is no answer."""
    body = mapping(response.json)
    content = mapping(mapping(body.get("output")).get("message")).get("content")
    if not isinstance(content, list):
        if isinstance(body.get("message"), str) or body.get("__type"):
            raise _errors.reported(body, response, PROVIDER, otherwise="error_in_200")
        raise _errors.no_answer("the body of the response has no content", response, PROVIDER)
    found = _Answer(response, request)
    for index, block in enumerate(each(content)):
        _take(block, index, found.assembly)
    found.stopped(text(body.get("stopReason")))
    found.measured(body)
    return found.response(body)


def _take(block: dict[str, Any], index: int, assembly: Assembly) -> None:
    """Add a whole block."""
    content = read_block(block)
    if isinstance(content, Text):
        assembly.words(0, content.text, key=index, extra=content.extra)
    elif isinstance(content, ToolCall):
        call, _ = assembly.call(0, index, id=content.id, name=content.name)
        call.given, call.extra = content.arguments, content.extra
        assembly.arguments(0, call, json.dumps(content.arguments, ensure_ascii=False))
    elif isinstance(content, Reasoning):
        for part in content.parts:
            assembly.thought(0, part.text, kind=part.kind, key=index, signature=part.signature or "")
    elif content.type in {"image", "audio", "provider"}:
        assembly.whole(0, content)
    else:
        assembly.whole(0, sealed_block(block))

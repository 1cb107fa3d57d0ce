"""What an exchange says, as plain data that is printed for people or written for programs.

Rules:

* Nothing is guessed: of a wire that no codec decodes there is only what HTTP says, and the usage.
* A conversation is told once. The messages that a request repeats from an earlier exchange, and the
  answer that it gives back, are counted and left out.
* What came before an error is told too, beside the error.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from llmreplay import codecs
from llmreplay.completion import (
    CompletionError,
    ContentReceived,
    Message,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallEnd,
)
from llmreplay.errors import UnknownWire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmreplay.completion import StreamEvent
    from llmreplay.exchange import Exchange, Failure, Headers, Request, Response

__all__ = ["Known", "describe", "wire_bytes"]

_DELTAS: tuple[tuple[type[StreamEvent], str], ...] = (
    (TextDelta, "text"),
    (ReasoningDelta, "reasoning"),
    (RefusalDelta, "refusal"),
)


class Known:
    """The conversations that were told so far, each known by what its messages are up to a point."""

    def __init__(self) -> None:
        self._told: dict[int, int] = {}

    def longest(self, messages: list[Message]) -> tuple[int, int | None]:
        """Return how many of these messages were told before, and in which exchange."""
        best: tuple[int, int | None] = (0, None)
        for length, mark in enumerate(_marks(messages), 1):
            if mark in self._told:
                best = (length, self._told[mark])
        return best

    def add(self, number: int, messages: list[Message], answer: Message | None) -> None:
        """Take the messages of an exchange, and its answer, as told."""
        for mark in _marks([*messages, answer] if answer is not None else messages):
            self._told[mark] = number


def _marks(messages: Iterable[Message]) -> Iterable[int]:
    mark = 0
    for message in messages:
        mark = hash((mark, _identity(message)))
        yield mark


def _identity(message: Message) -> str:
    """Return what makes two messages one, however an SDK spells it when it sends an answer back."""
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    others = [
        _content(content)
        for content in message.content
        if content.type not in {"text", "reasoning", "tool_call"}
    ]
    for other in others:
        other.pop("extra", None)
    return json.dumps([message.role, message.text, calls, others], sort_keys=True, default=str)


def describe(exchange: Exchange, number: int, known: Known, line: int | None = None) -> dict[str, Any]:
    """Return what an exchange says, with the messages that are not known yet; then they are."""
    request, response = exchange.request, exchange.response
    source = exchange.provenance
    told: dict[str, Any] = {
        "number": number,
        "line": line,
        "method": request.method,
        "url": request.url,
        "wire": codecs.recognise(request),
        "decoded": False,
        "provider": None,
        "model": None,
        "stream": None,
        "status": response.status if response else None,
        "ended": response.ended if response else None,
        "finished": codecs.finished(exchange),
        "failure": _failure(exchange.failure or (response.failure if response else None)),
        "timing": _timing(response) if response and source.boundaries else None,
        "chunks": len(response.chunks) if response and source.boundaries else None,
        "request": {"content_type": request.header("content-type"), "bytes": len(request.body)},
        "response": _size(response) if response else None,
        "recorded": {
            "at": source.at,
            "by": source.by,
            "client": source.client,
            "edge": source.edge,
            "origin": source.origin,
        },
        "tools": [],
        "messages": [],
        "repeated": 0,
        "repeated_from": None,
        "answers": [],
        "partial": False,
        "usage": None,
        "error": None,
    }
    usage = codecs.usage(exchange)
    if usage.has_values:
        told["usage"] = {name: value for name, value in usage if name != "details"}
    try:
        codec = codecs.codec_of(request)
    except UnknownWire:
        return told
    told["decoded"], told["provider"] = True, codec.provider(request)
    messages = _asked(exchange, told, known)
    answer = _answered(exchange, told)
    known.add(number, messages, answer)
    return told


def _asked(exchange: Exchange, told: dict[str, Any], known: Known) -> list[Message]:
    try:
        request = exchange.decode_request()
    except CompletionError as error:
        told["error"] = _error(error)
        return []
    repeated, where = known.longest(request.messages)
    told.update(
        model=request.model,
        stream=request.stream,
        tools=[tool.name if tool.type == "function" else tool.kind for tool in request.tools],
        messages=[_message(message, request.messages) for message in request.messages[repeated:]],
        repeated=repeated,
        repeated_from=where,
    )
    return request.messages


def _answered(exchange: Exchange, told: dict[str, Any]) -> Message | None:
    """Say what was answered; return it as a message, if it is whole."""
    try:
        response = exchange.decode()
    except CompletionError as error:
        told["error"] = told["error"] or _error(error)
        contents = _before_the_end(exchange)
        told["partial"] = bool(contents)
        told["answers"] = [{"index": 0, "contents": contents, "finish_reason": None}] if contents else []
        return None
    told["model"] = response.model or told["model"]
    told["answers"] = [
        {
            "index": choice.index,
            "contents": [_content(content) for content in choice.contents],
            "finish_reason": None if choice.finish_reason is None else str(choice.finish_reason),
        }
        for choice in response.choices
    ]
    return response.assistant_message()


def _before_the_end(exchange: Exchange) -> list[dict[str, Any]]:
    """Return what the client had been told of the first answer when it broke off."""
    contents: list[dict[str, Any]] = []
    for event in exchange.events():
        if event.choice_index:
            continue
        for kind, name in _DELTAS:
            if isinstance(event, kind):
                if not contents or contents[-1]["type"] != name:
                    contents.append({"type": name, "text": ""})
                contents[-1]["text"] += event.model_dump()["text"]
        if isinstance(event, ToolCallEnd):
            contents.append(_content(event.tool_call))
        if isinstance(event, ContentReceived):
            contents.append(_content(event.content))
    return contents


def _message(message: Message, all_of_them: list[Message]) -> dict[str, Any]:
    names = {call.id: call.name for other in all_of_them for call in other.tool_calls}
    contents = [_content(content) for content in message.content]
    for content in contents:
        if content["type"] == "tool_result":
            content.setdefault("name", names.get(content["id"]))
    return {"role": message.role, **({"name": message.name} if message.name else {}), "contents": contents}


def _content(content: Any) -> dict[str, Any]:
    data: dict[str, Any] = content.model_dump(exclude_none=True)
    if not data.get("extra", True):
        del data["extra"]
    if data["type"] == "reasoning":
        data["text"] = content.text
    if data["type"] == "tool_result":
        data["text"] = content.text
        data["content"] = [_content(part) for part in content.content]
    return data


def _error(error: CompletionError) -> dict[str, Any]:
    names = ("kind", "status", "code", "message", "retryable", "retry_after", "request_id")
    return {name: getattr(error, name) for name in names}


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    told = {"error": failure.error, "phase": failure.phase, "message": failure.message}
    return {**told, "ms": _ms(failure.delay)}


def _timing(response: Response) -> dict[str, Any]:
    first = response.delay + (response.chunks[0].delay if response.chunks else 0.0)
    end = response.delay + sum(chunk.delay for chunk in response.chunks)
    end += response.failure.delay if response.failure else 0.0
    return {"first_byte_ms": _ms(response.delay), "first_chunk_ms": _ms(first), "total_ms": _ms(end)}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _size(response: Response) -> dict[str, Any]:
    return {"content_type": response.header("content-type"), "bytes": len(response.body)}


def wire_bytes(exchange: Exchange) -> dict[str, Any]:
    """Return what crossed the wire: headers as pairs, bodies as text, or as base64 if they are no text."""
    request, response = exchange.request, exchange.response
    return {
        "request": _head(request, request.headers) | _spelled(request.body),
        "response": None
        if response is None
        else _head(response, response.headers)
        | {"chunks": [{"ms": _ms(chunk.delay), **_spelled(chunk.data)} for chunk in response.chunks]},
    }


def _head(part: Request | Response, headers: Headers) -> dict[str, Any]:
    pairs = [list(pair) for pair in headers]
    return {"content_type": part.header("content-type"), "bytes": len(part.body), "headers": pairs}


def _spelled(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}

"""What the events of a message mean, as they come; a plain message is the same at once.

A stream is whole when `message_stop` has come, or when the stop reason has come and the connection
ended in good order: no SDK waits for `message_stop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _errors
from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._base import EventStreamDecoder
from llmreplay.codecs._json import each, integer, listed, mapping, optional, text
from llmreplay.codecs._usage import merge, normalise, report
from llmreplay.codecs.anthropic_messages._blocks import begin, end, grow
from llmreplay.completion import CompletionResponse, FinishReason, Started, Text, UnknownEvent, UsageReported

if TYPE_CHECKING:
    from llmreplay.completion import StreamEvent
    from llmreplay.exchange import Response

__all__ = ["FINISH", "NAME", "MessageStream", "answer"]

NAME = "anthropic_messages"

FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
}


class MessageStream(EventStreamDecoder):
    """Reads the events of a message; a plain message is read as the events it would have been."""

    def __init__(self, response: Response, provider: str | None) -> None:
        super().__init__(response, provider)
        self._assembly = Assembly()
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._stopped = False

    def whole(self, message: dict[str, Any]) -> CompletionResponse:
        """Return what a plain message means."""
        self._object({"type": "message_start", "message": message})
        for index, block in enumerate(each(message.get("content"))):
            begin(block, index, self._assembly)
        self._object({"type": "message_delta", "delta": message})
        return self._answer().model_copy(update={"raw": message})

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        kind, index = text(data.get("type")), integer(data.get("index")) or 0
        if kind == "message_start":
            # A second one in a stream is a gateway that tries again: what came before is void.
            self._assembly, self._message = Assembly(), mapping(data.get("message"))
            began = Started(
                response_id=optional(self._message.get("id")), model=optional(self._message.get("model"))
            )
            return [began, *self._used(data)]
        if kind == "content_block_start":
            return begin(mapping(data.get("content_block")), index, self._assembly)
        if kind == "content_block_delta":
            return grow(mapping(data.get("delta")), index, self._assembly)
        if kind == "content_block_stop":
            return end(index, self._assembly)
        if kind == "message_delta":
            delta = mapping(data.get("delta"))
            self._message = {
                **self._message,
                **{key: value for key, value in delta.items() if value is not None},
            }
            raw = text(delta.get("stop_reason"))
            events = self._refused(delta) if raw == "refusal" else []
            events += self._assembly.finish(0, raw, FINISH.get(raw) or FinishReason(raw)) if raw else []
            return events + self._used(data)
        self._stopped = self._stopped or kind == "message_stop"
        return [] if kind in {"ping", "message_stop"} else [UnknownEvent(name=kind, data=data)]

    def _refused(self, delta: dict[str, Any]) -> list[StreamEvent]:
        explanation = text(mapping(delta.get("stop_details")).get("explanation"))
        return self._assembly.words(0, explanation, refused=True) if explanation else []

    def _used(self, data: dict[str, Any]) -> list[StreamEvent]:
        found = report(NAME, data)
        if not found:
            return []
        self._usage = merge(self._usage, found)
        return [UsageReported(usage=normalise(NAME, self._usage))]

    def _whole(self) -> bool:
        if not self._message:
            return False
        return self._stopped or (self._assembly.finished and (self._done or self._http.ended != "cut"))

    def _answer(self) -> CompletionResponse:
        self._assembly.answer(0)  # which may have begun with nothing
        answer, *_ = self._assembly.choices()
        texts = [content for content in answer.contents if isinstance(content, Text)]
        return CompletionResponse(
            choice=answer.contents,
            usage=normalise(NAME, self._usage),
            finish_reason=answer.finish_reason,
            raw_finish_reason=answer.raw_finish_reason,
            citations=[citation for content in texts for citation in listed(content.extra.get("citations"))],
            response_id=optional(self._message.get("id")),
            message_id=optional(self._message.get("id")),
            request_id=_errors.request_id(self._http),
            model=optional(self._message.get("model")),
            provider=self._provider,
            object=optional(self._message.get("type")),
            service_tier=optional(self._usage.get("service_tier")),
            raw=self._raw,
        )


def answer(response: Response, provider: str | None) -> CompletionResponse:
    """Return what a plain response means; raise `CompletionError` if it is no message."""
    body = response.json
    if mapping(body).get("error") or mapping(body).get("type") == "error":
        raise _errors.reported(body, response, provider, otherwise="error_in_200")
    if not isinstance(mapping(body).get("content"), list):
        raise _errors.no_answer("the body of the response has no content", response, provider)
    return MessageStream(response, provider).whole(body)

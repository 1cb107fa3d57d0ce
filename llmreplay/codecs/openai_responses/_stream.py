"""Reading a stream of events: what is told as it comes, and the answer from the items at its end.

Rules:

* Events are told from the deltas. What a `done` or the terminal event knows beyond them is told
  then, once: gateways leave deltas out.
* The answer is read from whole items, not from the deltas: an encrypted reasoning differs between
  `output_item.added` and `output_item.done`.
* An event that is known and lacks what makes it one is an error; one that is not known is passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _errors
from llmreplay.codecs._base import EventStreamDecoder
from llmreplay.codecs._json import each, integer, listed, mapping, optional, string, text
from llmreplay.codecs._usage import normalise, report
from llmreplay.codecs.openai_responses._items import WRITTEN, read_item, read_output
from llmreplay.completion import (
    CompletionResponse,
    ContentReceived,
    Finished,
    FinishReason,
    ProviderContent,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    UnknownEvent,
    UsageReported,
)

if TYPE_CHECKING:
    from llmreplay.completion import StreamEvent
    from llmreplay.exchange import Response

__all__ = ["FINISH", "PIECES", "TERMINALS", "Stream", "answer"]

NAME = "openai_responses"

FINISH = {
    "completed": FinishReason.STOP,
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""The status of an answer, or why it is incomplete, and what that means."""

PIECES: dict[str, tuple[str, str, str]] = {
    "output_text": ("content", "content_index", "text"),
    "refusal": ("content", "content_index", "refusal"),
    "reasoning_text": ("content", "content_index", "text"),
    "reasoning_summary_text": ("summary", "summary_index", "text"),
    "function_call_arguments": ("", "", "arguments"),
    "custom_tool_call_input": ("", "", "input"),
}
"""What comes in pieces: the list of the item it is in, the number of its part, and the key of the whole."""

TERMINALS = frozenset({"response.completed", "response.incomplete", "response.failed"})

_TOLD = {"output_text": TextDelta, "refusal": RefusalDelta}
_LIFECYCLE = frozenset({"response.created", "response.queued", "response.in_progress"})
_PARTS = frozenset(
    {
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.output_text.annotation.added",
    }
)
"""Events that say what others say too."""

_SPELLED = {
    "output_text": "output_text",
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}
"""The type of a part, and the name of its pieces."""


def answer(
    response: dict[str, Any], output: list[Any], http: Response, provider: str | None, *, raw: Any
) -> CompletionResponse:
    """Return the answer of a `response` object whose output is these items."""
    said = read_output(each(output))
    found, reason = ending(response)
    if reason == FinishReason.STOP and any(isinstance(content, ToolCall) for content in said.contents):
        reason = FinishReason.TOOL_CALLS
    return CompletionResponse(
        choice=said.contents,
        usage=normalise(NAME, report(NAME, response)),
        finish_reason=reason,
        raw_finish_reason=found,
        logprobs=said.logprobs,
        citations=said.citations,
        response_id=optional(response.get("id")),
        message_id=said.message_id,
        request_id=_errors.request_id(http),
        model=optional(response.get("model")),
        provider=provider,
        created=integer(response.get("created_at")),
        object=optional(response.get("object")),
        service_tier=optional(response.get("service_tier")),
        raw=raw,
    )


def ending(response: dict[str, Any]) -> tuple[str | None, FinishReason | None]:
    """Return how a `response` object says that it ended, and what that means."""
    why = text(mapping(response.get("incomplete_details")).get("reason"))
    found = why or text(response.get("status"))
    if not found:
        return None, None
    return found, FINISH.get(found) or FinishReason(found)


class Stream(EventStreamDecoder):
    """Reads the events of a response."""

    def __init__(self, response: Response, provider: str | None) -> None:
        super().__init__(response, provider)
        self._started = False
        self._items: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str, int], list[str]] = {}
        self._calls: dict[int, int] = {}  # the number of a call, by the number of its item
        self._ended: set[str] = set()  # items of which all is told
        self._last: dict[str, Any] | None = None

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        kind = text(data.get("type"))
        what, _, step = kind.removeprefix("response.").rpartition(".")
        if kind == "error":
            return [self._told(data)]
        if kind in _LIFECYCLE or kind in TERMINALS:
            response = data.get("response")
            if not isinstance(response, dict):
                return [self._no_event(kind, "response")]
            return self._begin(response) + (self._end(response, data) if kind in TERMINALS else [])
        if what == "output_item" and step in {"added", "done"}:
            return self._item(data, kind, done=step == "done")
        if what in PIECES and step in {"delta", "done"}:
            return self._piece(data, kind, what, done=step == "done")
        return [] if kind in _PARTS else [UnknownEvent(name=kind, data=data)]

    def _no_event(self, kind: str, key: str) -> StreamEvent:
        message = f"an event `{kind}` of the stream has no {key}"
        return self._failed(_errors.no_answer(message, self._http, self._provider))

    def _begin(self, response: dict[str, Any]) -> list[StreamEvent]:
        if self._started:
            return []
        self._started = True
        return [Started(response_id=optional(response.get("id")), model=optional(response.get("model")))]

    def _item(self, data: dict[str, Any], kind: str, *, done: bool) -> list[StreamEvent]:
        item = data.get("item")
        if not isinstance(item, dict):
            return [self._no_event(kind, "item")]
        index = integer(data.get("output_index")) or 0
        self._items[index] = item
        return self._whole_item(index, item) if done else self._call(index, item)

    def _call(self, index: int, item: dict[str, Any]) -> list[StreamEvent]:
        """Begin a call, if that is what the item is, and it has not begun."""
        if text(item.get("type")) not in WRITTEN or index in self._calls:
            return []
        self._calls[index] = len(self._calls)
        name, id_ = text(item.get("name")), text(item.get("call_id"))
        return [ToolCallStart(index=self._calls[index], id=id_, name=name)]

    def _piece(self, data: dict[str, Any], kind: str, what: str, *, done: bool) -> list[StreamEvent]:
        _, number, key = PIECES[what]
        found = data.get(key if done else "delta")
        if not isinstance(found, str):
            return [self._no_event(kind, key if done else "delta")]
        index = integer(data.get("output_index")) or 0
        place = (index, what, integer(data.get(number)) or 0)
        return self._rest(place, found) if done else self._grow(place, found)

    def _grow(self, place: tuple[int, str, int], piece: str) -> list[StreamEvent]:
        index, what, _ = place
        self._pieces.setdefault(place, []).append(piece)
        if not piece:
            return []
        if what in _TOLD:
            return [_TOLD[what](text=text(piece))]
        if what.startswith("reasoning"):
            return [ReasoningDelta(text=text(piece))]
        kind = "function_call" if what == "function_call_arguments" else "custom_tool_call"
        began = self._call(index, {"type": kind, **self._items.get(index, {})})
        return [*began, ToolCallDelta(index=self._calls.get(index, 0), arguments=text(piece))]

    def _rest(self, place: tuple[int, str, int], whole: str) -> list[StreamEvent]:
        """Tell what the pieces have not told of something that is whole now."""
        told = "".join(self._pieces.get(place, []))
        return self._grow(place, whole[len(told) :]) if whole.startswith(told) and whole != told else []

    def _whole_item(self, index: int, item: dict[str, Any]) -> list[StreamEvent]:
        name = optional(item.get("id")) or optional(item.get("call_id")) or f"#{index}"
        if name in self._ended:
            return []
        self._ended.add(name)
        events = self._call(index, item)
        for key in ("summary", "content"):
            for number, part in enumerate(each(item.get(key))):
                what = _SPELLED.get(text(part.get("type")), "")
                if what and PIECES[what][0] == key:
                    events += self._rest((index, what, number), string(part.get(PIECES[what][2])))
        content = None if item.get("type") == "message" else read_item(item)
        if isinstance(content, ToolCall):
            written = WRITTEN[text(item.get("type"))]
            what = f"{text(item.get('type'))}_{written}"
            events += self._rest((index, what, 0), string(item.get(written)))
            number = self._calls[index]
            events.append(ToolCallEnd(index=number, tool_call=content.model_copy(update={"index": number})))
        elif isinstance(content, Reasoning):
            sealed = [part for part in content.parts if part.kind == "encrypted"]
            if sealed:
                events.append(ContentReceived(content=Reasoning(parts=sealed, id=content.id)))
        elif isinstance(content, ProviderContent):
            events.append(ContentReceived(content=content))
        return events

    def _end(self, response: dict[str, Any], data: dict[str, Any]) -> list[StreamEvent]:
        if "failed" in {data["type"].removeprefix("response."), text(response.get("status"))} or response.get(
            "error"
        ):
            said = {} if response.get("error") else {"message": "the response failed"}
            return [self._told({**said, **response})]
        self._last = response
        events = [
            event for index, item in enumerate(self._output()) for event in self._whole_item(index, item)
        ]
        found, reason = ending(response)
        if found and reason is not None:
            if reason == FinishReason.STOP and self._calls:
                reason = FinishReason.TOOL_CALLS
            events.append(Finished(finish_reason=reason, raw_finish_reason=found))
        usage = report(NAME, response)
        return [*events, UsageReported(usage=normalise(NAME, usage))] if usage else events

    def _output(self) -> list[dict[str, Any]]:
        """Return the items of the answer: those of its end, or those that came before it."""
        return each(mapping(self._last).get("output")) or [
            self._grown(index) for index in sorted(self._items)
        ]

    def _grown(self, index: int) -> dict[str, Any]:
        """Return an item as it came, with its pieces if it never came whole."""
        item = dict(self._items[index])
        for (at, what, number), pieces in sorted(self._pieces.items()):
            parts, _, key = PIECES[what]
            if at != index:
                continue
            if not parts:
                item[key] = item.get(key) or "".join(pieces)
            elif number >= len(listed(item.get(parts))):
                kind = {name: kind for kind, name in _SPELLED.items()}[what]
                item[parts] = [*listed(item.get(parts)), {"type": kind, key: "".join(pieces)}]
        return item

    def _whole(self) -> bool:
        return self._last is not None

    def _answer(self) -> CompletionResponse:
        return answer(mapping(self._last), self._output(), self._http, self._provider, raw=self._raw)

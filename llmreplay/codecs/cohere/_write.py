"""Writing an answer of Cohere's second chat API: one object, or an event for each piece of it.

Order of events, as recorded: message-start; each content with its start, deltas and end; the plan in
deltas; each call with its start, deltas and end; citations; message-end with the usage; `[DONE]`, which
alone has no name. Of a call, `tool_calls` is an object there rather than a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import Ids, compact, json_response, stream_response
from llmreplay.codecs.cohere._request import is_plan
from llmreplay.codecs.cohere._write_request import write_call, write_contents
from llmreplay.completion import Reasoning, ToolCall
from llmreplay.framing.sse import Frame, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.codecs._encoding import Cut
    from llmreplay.completion import CompletionResponse, LogProbs
    from llmreplay.exchange import Headers, Request, Response

__all__ = ["FINISH", "event", "trace", "uuid", "write_response"]

FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
"""Why Cohere stops, in its words and in ours; `ERROR` and `TIMEOUT` are no answers."""

_SPELLED = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "content_filter": "ERROR"}
_HEX = "0123456789abcdef"


def trace(request: Request, turn: int = 0) -> Headers:
    """Return the header that has Cohere's id of a request."""
    return (("x-debug-trace-id", Ids(request, turn).new("", 32, _HEX)),)


def uuid(ids: Ids) -> str:
    """Return a new id of Cohere's, which are random UUIDs."""
    made = ids.new("", 32, _HEX)
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-a{made[17:20]}-{made[20:]}"


def event(data: dict[str, Any]) -> bytes:
    """Return the bytes of an event, named by its type."""
    return write(Frame(compact(data).decode("utf-8", "replace"), event=data["type"]))


def write_response(response: CompletionResponse, request: Request, turn: int, cut: Cut) -> Response:
    """Return the answer as the request wants it."""
    written = _Written(response, request, turn)
    asked = request.json
    if isinstance(asked, dict) and asked.get("stream") is True:
        frames = [event(data) for data in written.events(cut)]
        return stream_response([*frames, write(Frame("[DONE]"))], trace(request, turn), "text/event-stream")
    return json_response(written.whole(), headers=trace(request, turn))


class _Written:
    """An answer, with what was not said about it made up."""

    def __init__(self, response: CompletionResponse, request: Request, turn: int) -> None:
        ids = Ids(request, turn)
        self._id = response.response_id or uuid(ids)
        self._response = response
        self._contents = write_contents(
            [item for item in response.choice if not isinstance(item, ToolCall) and not is_plan(item)]
        )
        self._plan = "".join(
            item.text for item in response.choice if isinstance(item, Reasoning) and is_plan(item)
        )
        self._calls = [
            write_call(
                call if call.id else call.model_copy(update={"id": ids.new(f"{call.name}_", 12, _ALPHABET)})
            )
            for call in response.tool_calls
        ]
        raw, reason = response.raw_finish_reason or "", response.finish_reason or "stop"
        self._finish = raw if raw in FINISH else _SPELLED.get(reason, str(reason))

    def whole(self) -> dict[str, Any]:
        """Return the answer as one object."""
        message: dict[str, Any] = {"role": "assistant"}
        if self._contents or not self._calls:
            message["content"] = self._contents
        if self._plan:
            message["tool_plan"] = self._plan
        if self._calls:
            message["tool_calls"] = self._calls
        if self._response.citations:
            message["citations"] = self._response.citations
        body: dict[str, Any] = {"id": self._id, "finish_reason": self._finish}
        body |= {"message": message, "usage": self._usage()}
        if self._response.logprobs is not None:
            body["logprobs"] = _log_probs(self._response.logprobs)
        return body

    def events(self, cut: Cut) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream."""
        start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield {"id": self._id, **_event("message-start", {"message": start})}
        items = [] if self._response.logprobs is None else _log_probs(self._response.logprobs)
        for index, part in enumerate(self._contents):
            kind = "thinking" if part["type"] == "thinking" else "text"
            yield _event("content-start", {"message": {"content": {**part, kind: ""}}}, index)
            for piece in cut.text(part.get(kind, "")):
                delta = _event("content-delta", {"message": {"content": {kind: piece}}}, index)
                yield {**delta, "logprobs": items.pop(0)} if items and kind == "text" else delta
            yield _event("content-end", None, index)
        for piece in cut.text(self._plan):
            yield _event("tool-plan-delta", {"message": {"tool_plan": piece}})
        for index, call in enumerate(self._calls):
            begun = {**call, "function": {**call["function"], "arguments": ""}}
            yield _event("tool-call-start", {"message": {"tool_calls": begun}}, index)
            for piece in cut.arguments(call["function"]["arguments"]):
                function = {"function": {"arguments": piece}}
                yield _event("tool-call-delta", {"message": {"tool_calls": function}}, index)
            yield _event("tool-call-end", None, index)
        for index, citation in enumerate(self._response.citations):
            yield _event("citation-start", {"message": {"citations": citation}}, index)
            yield _event("citation-end", None, index)
        yield _event("message-end", {"finish_reason": self._finish, "usage": self._usage()})

    def _usage(self) -> dict[str, Any]:
        used = self._response.usage
        counts = {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens}
        thought = {"reasoning_tokens": used.reasoning_tokens} if used.reasoning_tokens else {}
        written: dict[str, Any] = {"billed_units": counts, "tokens": {**counts, **thought}}
        if used.cached_input_tokens:
            written["cached_tokens"] = used.cached_input_tokens
        return written


_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def _event(kind: str, delta: dict[str, Any] | None, index: int | None = None) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, **({} if delta is None else {"delta": delta})}


def _log_probs(found: LogProbs) -> list[dict[str, Any]]:
    return [
        {"text": token.token, "token_ids": [place], "logprobs": [token.logprob]}
        for place, token in enumerate(found.content)
    ]

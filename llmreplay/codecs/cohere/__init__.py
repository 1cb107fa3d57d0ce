"""Cohere's second chat API, direct or behind a proxy.

https://docs.cohere.com/reference/chat and https://docs.cohere.com/v2/docs/streaming

A stream is whole when `message-end` has come. An answer that ended with `ERROR` or `TIMEOUT` is none: its
status says nothing of it, and Cohere's own SDK raises nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _errors
from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._base import Codec, EventStreamDecoder
from llmreplay.codecs._encoding import Cut, Encoder, Ids, Rejection, json_response, retry_headers
from llmreplay.codecs._failing import Failing, failing
from llmreplay.codecs._json import each, integer, listed, mapping, number, optional, string, text, without
from llmreplay.codecs._parts import Call, Thought, Words
from llmreplay.codecs._usage import merge, normalise, report
from llmreplay.codecs.cohere._request import PLAN, read_request
from llmreplay.codecs.cohere._write import FINISH, event, trace, uuid, write_response
from llmreplay.codecs.cohere._write_request import write_request
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    LogProbs,
    ProviderContent,
    Started,
    TokenLogProb,
    UnknownEvent,
    UsageReported,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, ErrorKind, StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]

_NAME = _PROVIDER = "cohere"
_FAILED = {"ERROR": "the generation failed", "TIMEOUT": "the generation took too long"}

_FAILURES: dict[str, Failing] = {
    "invalid_request": Failing(400, "invalid request: all elements in history must have a message"),
    "authentication": Failing(401, "invalid api token"),
    "quota_exhausted": Failing(
        402,
        "Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment "
        "to continue",
    ),
    "permission_denied": Failing(403, "you do not have access to this resource"),
    "not_found": Failing(404, "model '{model}' not found, make sure the correct model ID was used"),
    "conflict": Failing(409, "the request conflicts with the state of the resource"),
    "request_too_large": Failing(
        400, "too many tokens: the total number of tokens in the prompt exceeds the limit of 128000"
    ),
    "rate_limited": Failing(
        429,
        "You are using a Trial key, which is limited to 20 API calls / minute. "
        "Please wait and try again later.",
    ),
    "server_error": Failing(500, "internal server error, this has been reported to our developers"),
    "not_supported": Failing(501, "this is not implemented"),
    "overloaded": Failing(503, "the service is overloaded, please try again later"),
}
"""https://docs.cohere.com/v2/reference/errors, and the classes of Cohere's SDK."""


class _Stream(EventStreamDecoder):
    """Reads the events of a message; a plain message is read as the events it would have been."""

    def __init__(self, response: Response, request: Request) -> None:
        super().__init__(response, _PROVIDER)
        self._model = optional(mapping(request.json).get("model"))  # which the answer does not name
        self._assembly = Assembly()
        self._id: str | None = None
        self._usage: dict[str, Any] = {}
        self._citations: list[Any] = []
        self._begun = self._ended = False

    def whole(self, body: dict[str, Any]) -> CompletionResponse:
        """Return what a plain body means."""
        message = mapping(body.get("message"))
        self._object({"type": "message-start", "id": body.get("id")})
        for index, part in enumerate(each(message.get("content"))):
            self._content(part, index, begins=True)
        self._plan(message)
        for index, call in enumerate(each(message.get("tool_calls"))):
            self._call(call, index, begins=True)
        self._citations += listed(message.get("citations"))
        self._log_probs(each(body.get("logprobs")))
        self._object({"type": "message-end", "delta": without(body, "message")})
        if self.error is not None:
            raise self.error
        return self._answer().model_copy(update={"raw": body})

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:  # noqa: PLR0911  one return an event
        kind, index = text(data.get("type")), integer(data.get("index")) or 0
        delta = mapping(data.get("delta"))
        message = mapping(delta.get("message"))
        if kind == "message-start":
            self._begun, self._id = True, optional(data.get("id"))
            return [Started(response_id=self._id, model=self._model)]
        if kind in {"content-start", "content-delta"}:
            self._log_probs([mapping(data["logprobs"])] if data.get("logprobs") else [])
            return self._content(mapping(message.get("content")), index, begins=kind == "content-start")
        if kind == "tool-plan-delta":
            return self._plan(message)
        if kind in {"tool-call-start", "tool-call-delta"}:
            return self._call(mapping(message.get("tool_calls")), index, begins=kind == "tool-call-start")
        if kind == "tool-call-end":
            call = self._assembly.answer(0).keyed.get(("call", index))
            return self._assembly.ended(0, call) if isinstance(call, Call) else []
        if kind == "citation-start":
            found = message.get("citations")
            self._citations += found if isinstance(found, list) else [found] if found else []
            return []
        if kind == "message-end":
            return self._end(delta)
        return [] if kind in {"content-end", "citation-end"} else [UnknownEvent(name=kind, data=data)]

    def _content(self, part: dict[str, Any], index: int, *, begins: bool) -> list[StreamEvent]:
        known = self._assembly.answer(0).keyed
        if begins:
            known.pop(index, None)  # a number that comes again is of another content
        kind = text(part.get("type"))
        if "thinking" in part or kind == "thinking" or isinstance(known.get(index), Thought):
            events = self._assembly.thought(0, string(part.get("thinking")), key=index)
            found = known[index]
            if isinstance(found, Thought):
                found.extra.update(without(part, "type", "thinking", "text"))
            return events
        if kind in {"", "text"}:
            events = self._assembly.words(0, string(part.get("text")), key=index)
            found = known[index]
            if isinstance(found, Words):
                found.extra.update(without(part, "type", "text"))
            return events
        return self._assembly.whole(0, ProviderContent(kind=kind, raw=part))

    def _plan(self, message: dict[str, Any]) -> list[StreamEvent]:
        piece = string(message.get("tool_plan"))
        if not piece:
            return []
        events = self._assembly.thought(0, piece, key="plan")
        plan = self._assembly.answer(0).keyed["plan"]
        if isinstance(plan, Thought):
            plan.extra = dict(PLAN)
        return events

    def _call(self, call: dict[str, Any], index: int, *, begins: bool) -> list[StreamEvent]:
        function = mapping(call.get("function"))
        known = self._assembly.answer(0).keyed.get(("call", index))
        events: list[StreamEvent] = []
        if begins or not isinstance(known, Call):
            id_, name = text(call.get("id")), text(function.get("name"))
            known, events = self._assembly.call(0, ("call", index), id=id_, name=name)
            known.extra.update(without(call, "id", "type", "function"))
        return events + self._assembly.arguments(0, known, string(function.get("arguments")))

    def _log_probs(self, items: list[dict[str, Any]]) -> None:
        firsts = [number(next(iter(listed(item.get("logprobs"))), None)) or 0.0 for item in items]
        tokens = [
            TokenLogProb(token=text(item.get("text")), logprob=first)
            for item, first in zip(items, firsts, strict=True)
        ]
        if tokens:
            answer = self._assembly.answer(0)
            answer.logprobs = LogProbs(content=[*(answer.logprobs or LogProbs()).content, *tokens])

    def _end(self, delta: dict[str, Any]) -> list[StreamEvent]:
        raw = text(delta.get("finish_reason"))
        found = report(_NAME, {"usage": delta.get("usage")})
        self._usage = merge(self._usage, found)
        events: list[StreamEvent] = [UsageReported(usage=normalise(_NAME, self._usage))] if found else []
        if raw in _FAILED or delta.get("error"):
            said = optional(delta.get("error")) or _FAILED.get(raw, raw)
            word = {"type": "timeout_error"} if raw == "TIMEOUT" else {}
            return [*events, self._told({"error": {"message": said, **word}})]
        self._ended = True
        if not raw:
            return events
        reason = FinishReason(FINISH.get(raw, raw))
        return self._assembly.finish(0, raw, reason) + events

    def _whole(self) -> bool:
        return self._ended

    def _answer(self) -> CompletionResponse:
        self._assembly.answer(0)  # which may have begun with nothing
        answer, *_ = self._assembly.choices()
        return CompletionResponse(
            choice=answer.contents,
            usage=normalise(_NAME, self._usage),
            finish_reason=answer.finish_reason,
            raw_finish_reason=answer.raw_finish_reason,
            logprobs=answer.logprobs,
            citations=self._citations,
            response_id=self._id,
            request_id=_errors.request_id(self._http),
            model=self._model,
            provider=self._provider,
            raw=self._raw,
        )


class _Cohere(Codec, Encoder):
    name = _NAME

    def provider(self, request: Request) -> str:  # noqa: ARG002  nobody else speaks it
        return _PROVIDER

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        body = mapping(response.json)
        if body.get("error"):
            raise _errors.reported(body, response, _PROVIDER, otherwise="error_in_200")
        if not isinstance(body.get("message"), dict):
            raise _errors.no_answer("the body of the response has no message", response, _PROVIDER)
        return _Stream(response, request).whole(body)

    def decode_stream(self, response: Response, request: Request) -> _Stream:
        return _Stream(response, request)

    def decode_error(self, response: Response, request: Request) -> CompletionError:  # noqa: ARG002  likewise
        return _errors.refused(response, _PROVIDER)

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        return write_request(request, base_url)

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        return write_response(response, request, turn, cut)

    def encode_error(  # noqa: PLR0913  what an error can say, each by name
        self,
        kind: ErrorKind,
        request: Request,
        *,
        status: int | None = None,
        message: str | None = None,
        code: str | None = None,  # noqa: ARG002  there is nothing but a text
        retry_after: float | None = None,
    ) -> Response:
        known = failing(kind, _FAILURES, "Cohere", status)
        said = known.message.replace("{model}", text(mapping(request.json).get("model")))
        body = {"id": uuid(Ids(request)), "message": said if message is None else message}
        headers = (*trace(request), *retry_headers(kind, retry_after))
        return json_response(body, status or known.status, headers)

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:  # noqa: ARG002  likewise
        known = failing(kind, _FAILURES, "Cohere")
        delta = {"finish_reason": "ERROR", "error": message or known.message}
        return event({"type": "message-end", "delta": delta})

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:  # noqa: ARG002  its own words are not known
        return None


CODEC = _Cohere()

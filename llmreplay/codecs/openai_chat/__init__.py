"""Chat completions as OpenAI defined them, and as everyone since speaks them.

https://platform.openai.com/docs/api-reference/chat; for dialects see `_dialects` and `_message`.

A stream is whole when `[DONE]` has come, or when each answer has a finish reason and the connection
ended in good order: not everyone sends `[DONE]` (Perplexity), and recorders
trim it (xAI).

An answer that xAI defers is at first a promise: no contents, the finish reason `deferred`, and as
`request_id` the id by which it is fetched from `/chat/deferred-completion/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from llmreplay.codecs import _errors
from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._base import Codec, EventStreamDecoder
from llmreplay.codecs._encoding import Cut, Encoder, Rejection
from llmreplay.codecs._json import each, integer, listed, mapping, optional, text
from llmreplay.codecs._usage import merge, normalise, report
from llmreplay.codecs.openai_chat import _check
from llmreplay.codecs.openai_chat._deferred import DEFERRED
from llmreplay.codecs.openai_chat._dialects import provider_of
from llmreplay.codecs.openai_chat._message import FINISH, log_probs, take
from llmreplay.codecs.openai_chat._request import read_request
from llmreplay.codecs.openai_chat._write import write_response
from llmreplay.codecs.openai_chat._write_errors import write_error, write_stream_error
from llmreplay.codecs.openai_chat._write_request import write_request
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    LogProbs,
    Started,
    UsageReported,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, ErrorKind, StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]


_NOT_YET = 202
"""The status of an answer that xAI has promised, and not finished."""


class _Answers:
    """What bodies or chunks have said so far."""

    def __init__(self, response: Response, provider: str | None) -> None:
        self._response, self._provider = response, provider
        self._assembly = Assembly()
        self._usage: dict[str, Any] = {}
        self._top: dict[str, Any] = {}
        self._citations: list[Any] = []
        self._started = False

    @property
    def finished(self) -> bool:
        """Whether each answer has its end."""
        return self._assembly.finished

    def take(self, body: dict[str, Any], part: str) -> list[StreamEvent]:
        """Add a body (`part` is `message`) or a chunk (`delta`)."""
        self._top.update({key: value for key, value in body.items() if value not in (None, "", [], {})})
        events: list[StreamEvent] = []
        if not self._started:
            self._started = True
            events.append(Started(response_id=optional(body.get("id")), model=optional(body.get("model"))))
        for place, choice in enumerate(each(body.get("choices"))):
            index = integer(choice.get("index"))
            events += self._choice(choice, max(0, place if index is None else index), part)
        found = report("openai_chat", body)
        if found:
            self._usage = merge(self._usage, found)
            events.append(UsageReported(usage=normalise("openai_chat", self._usage)))
        return events

    def _choice(self, choice: dict[str, Any], index: int, part: str) -> list[StreamEvent]:
        message = mapping(choice.get(part))
        answer = self._assembly.answer(index)
        events = take(message, self._assembly, index)
        self._citations += listed(message.get("annotations"))
        more = log_probs(choice.get("logprobs"))
        if more is not None:
            before = answer.logprobs or LogProbs()
            answer.logprobs = LogProbs(
                content=before.content + more.content, refusal=before.refusal + more.refusal
            )
        raw = text(choice.get("finish_reason"))
        if raw:
            if answer.reason is None:
                for call in self._assembly.calls(index):
                    events += self._assembly.ended(index, call)
            events += self._assembly.finish(index, raw, FINISH.get(raw) or FinishReason(raw))
        return events

    def response(self, raw: Any) -> CompletionResponse:
        """Return the response, from all that has been said."""
        first, *others = self._assembly.choices()
        top = self._top
        return CompletionResponse(
            choice=first.contents,
            usage=normalise("openai_chat", self._usage),
            finish_reason=first.finish_reason,
            raw_finish_reason=first.raw_finish_reason,
            logprobs=first.logprobs,
            others=others,
            citations=[*listed(top.get("citations")), *self._citations],
            response_id=optional(top.get("id")),
            request_id=_errors.request_id(self._response),
            model=optional(top.get("model")),
            provider=self._provider,
            created=integer(top.get("created")),
            object=optional(top.get("object")),
            system_fingerprint=optional(top.get("system_fingerprint")),
            service_tier=optional(top.get("service_tier")),
            raw=raw,
        )


class _Stream(EventStreamDecoder):
    def __init__(self, response: Response, provider: str | None) -> None:
        super().__init__(response, provider)
        self._answers = _Answers(response, provider)
        self._any = False

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        choices = each(data.get("choices"))
        self._any = self._any or bool(choices)
        events = self._answers.take(data, "delta")
        # OpenRouter reports an error beside the delta, and then still finishes.
        return events + [self._told(choice) for choice in choices if choice.get("error")]

    def _whole(self) -> bool:
        return self._any and (self._done or (self._answers.finished and self._http.ended != "cut"))

    def _answer(self) -> CompletionResponse:
        return self._answers.response(self._raw)


class _OpenAIChat:
    name = "openai_chat"

    def provider(self, request: Request) -> str | None:
        return provider_of(request)

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        body, provider = response.json, provider_of(request)
        choices = each(mapping(body).get("choices"))
        if not choices and (response.status == _NOT_YET or mapping(request.json).get("deferred") is True):
            promise = optional(mapping(body).get("request_id"))
            if promise is not None or body is None:
                reason = FinishReason(DEFERRED)
                return CompletionResponse(
                    choice=[], finish_reason=reason, request_id=promise, provider=provider, raw=body
                )
        if not choices:
            if mapping(body).get("error") or mapping(body).get("object") == "error":
                raise _errors.reported(body, response, provider, otherwise="error_in_200")
            raise _errors.no_answer("the body of the response has no choices", response, provider)
        for choice in choices:
            if choice.get("error"):
                raise _errors.reported(choice, response, provider, otherwise="error_in_200")
        answers = _Answers(response, provider)
        answers.take(body, "message")
        return answers.response(body)

    def decode_stream(self, response: Response, request: Request) -> _Stream:
        return _Stream(response, provider_of(request))

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        return _errors.refused(response, provider_of(request))

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        return write_request(request, base_url=base_url)

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        return write_response(response, request, turn=turn, cut=cut)

    def encode_error(  # noqa: PLR0913  what an error can say, each by name
        self,
        kind: ErrorKind,
        request: Request,
        *,
        status: int | None = None,
        message: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> Response:
        return write_error(kind, request, status=status, message=message, code=code, retry_after=retry_after)

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
        return write_stream_error(kind, request, message=message)

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        return _check.check(request, excepted)


class _Chat(Codec, Encoder, Protocol):
    """Reads and writes."""


CODEC: _Chat = _OpenAIChat()

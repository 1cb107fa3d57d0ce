"""Contents as Google's Gemini defined them: AI Studio and Vertex, whatever the version in the path.

https://ai.google.dev/api/generate-content and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference

The path says the model, and whether a stream is wanted; `alt=sse` whether it is an event stream, or one
JSON array. A stream has no terminal: it is whole when each answer has a reason to stop and the connection
ended in good order. A prompt that is blocked has no answers, but a reason.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _errors
from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._base import Codec, EventStreamDecoder
from llmreplay.codecs._encoding import STRICT_HEADER, Cut, Encoder, Rejection
from llmreplay.codecs._json import each, integer, listed, mapping, number, optional, text
from llmreplay.codecs._usage import latest, normalise, report
from llmreplay.codecs.gemini._check import broken_rule
from llmreplay.codecs.gemini._failures import error_frame, error_response, is_vertex, refused, rejected
from llmreplay.codecs.gemini._finish import FINISH, UNSPECIFIED
from llmreplay.codecs.gemini._parts import take_part
from llmreplay.codecs.gemini._request import STREAM, model_of, read_request
from llmreplay.codecs.gemini._write import signs_calls, write_response
from llmreplay.codecs.gemini._write_request import write_request
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    LogProbs,
    Started,
    TokenLogProb,
    TopLogProb,
    UsageReported,
)
from llmreplay.framing.jsonarray import JSONArrayParser

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, ErrorKind, StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]

_NAME = "gemini"


class _Stream(EventStreamDecoder):
    """Reads the objects of a stream; a plain body is a stream of one object."""

    def __init__(self, response: Response, provider: str | None, *, array: bool = False) -> None:
        super().__init__(response, provider, JSONArrayParser() if array else None)
        self._assembly = Assembly()
        self._about: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._citations: list[Any] = []
        self._begun = self._answered = False

    def whole(self, body: dict[str, Any]) -> CompletionResponse:
        """Return what a plain body means."""
        self._object(body)
        return self._answer().model_copy(update={"raw": body})

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        names = ("responseId", "modelVersion", "createTime")
        self._about.update({name: data[name] for name in names if data.get(name)})
        events: list[StreamEvent] = []
        if not self._begun:
            self._begun = True
            id_, model = optional(data.get("responseId")), optional(data.get("modelVersion"))
            events.append(Started(response_id=id_, model=model))
        blocked = optional(mapping(data.get("promptFeedback")).get("blockReason"))
        if blocked is not None:
            self._answered = True
            events += self._assembly.finish(0, blocked, FinishReason.CONTENT_FILTER)
        for place, candidate in enumerate(each(data.get("candidates"))):
            self._answered = True
            index = integer(candidate.get("index"))
            events += self._candidate(candidate, max(0, place if index is None else index))
        found = report(_NAME, data)
        if found:
            self._usage = latest(_NAME, self._usage, found)
            events.append(UsageReported(usage=normalise(_NAME, self._usage)))
        return events

    def _candidate(self, candidate: dict[str, Any], index: int) -> list[StreamEvent]:
        answer = self._assembly.answer(index)
        events: list[StreamEvent] = []
        for part in each(mapping(candidate.get("content")).get("parts")):
            events += take_part(part, self._assembly, index)
        quoted = mapping(candidate.get("citationMetadata"))
        found = mapping(candidate.get("groundingMetadata"))
        for citation in (
            *listed(quoted.get("citationSources")),
            *listed(quoted.get("citations")),
            *listed(found.get("groundingChunks")),
        ):
            if citation not in self._citations:  # a stream may repeat them
                self._citations.append(citation)
        more = _log_probs(candidate.get("logprobsResult"))
        if more is not None:
            answer.logprobs = LogProbs(content=[*(answer.logprobs or LogProbs()).content, *more])
        raw = optional(candidate.get("finishReason")) or ""
        if raw not in UNSPECIFIED:
            events += self._assembly.finish(index, raw, FINISH.get(raw) or FinishReason(raw))
        return events

    def _whole(self) -> bool:
        return self._answered and self._assembly.finished and self._http.ended != "cut"

    def _answer(self) -> CompletionResponse:
        self._assembly.answer(0)  # which may have begun with nothing
        first, *others = self._assembly.choices()
        return CompletionResponse(
            choice=first.contents,
            usage=normalise(_NAME, self._usage),
            finish_reason=first.finish_reason,
            raw_finish_reason=first.raw_finish_reason,
            logprobs=first.logprobs,
            others=others,
            citations=self._citations,
            response_id=optional(self._about.get("responseId")),
            request_id=_errors.request_id(self._http),
            model=optional(self._about.get("modelVersion")),
            provider=self._provider,
            created=_second(self._about.get("createTime")),
            service_tier=optional(self._usage.get("serviceTier")),
            raw=self._raw,
        )


def _log_probs(found: Any) -> list[TokenLogProb] | None:
    """Return the tokens of an answer, each with those that could have been in its place."""
    if not isinstance(found, dict):
        return None
    tops = [each(item.get("candidates")) for item in each(found.get("topCandidates"))]
    chosen = each(found.get("chosenCandidates"))
    return [
        TokenLogProb(
            **_token(token),
            top_logprobs=[TopLogProb(**_token(top)) for top in (tops[place] if place < len(tops) else [])],
        )
        for place, token in enumerate(chosen)
    ]


def _token(item: dict[str, Any]) -> dict[str, Any]:
    return {"token": text(item.get("token")), "logprob": number(item.get("logProbability")) or 0.0}


def _second(value: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(text(value)).timestamp())
    except (ValueError, OverflowError):
        return None


class _Gemini(Codec, Encoder):
    name = _NAME

    def provider(self, request: Request) -> str:
        return "vertex" if is_vertex(request) else "google"

    def is_stream(self, response: Response, request: Request) -> bool | None:
        """Return whether a body is a stream that is a JSON array, or the empty one; None if it is neither."""
        begun = response.body[:64].lstrip()[:1]
        return True if begun in {b"[", b""} and request.path.endswith(f":{STREAM}") else None

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        body, provider = response.json, self.provider(request)
        top = mapping(body)
        if top.get("error"):
            raise _errors.reported(body, response, provider, otherwise="error_in_200")
        if not each(top.get("candidates")) and not mapping(top.get("promptFeedback")).get("blockReason"):
            raise _errors.no_answer("the body of the response has no candidates", response, provider)
        return _Stream(response, provider).whole(top)

    def decode_stream(self, response: Response, request: Request) -> _Stream:
        array = response.body[:64].lstrip().startswith(b"[")
        return _Stream(response, self.provider(request), array=array)

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        return refused(response, self.provider(request))

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
        code: str | None = None,
        retry_after: float | None = None,
    ) -> Response:
        return error_response(
            kind, request, status=status, message=message, code=code, retry_after=retry_after
        )

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
        return error_frame(kind, request, message)

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        broken = broken_rule(request.json, excepted, signed=signs_calls(model_of(request)))
        if broken is None:
            return None
        answer = rejected(broken.message, request, ((STRICT_HEADER, broken.rule),))
        return Rejection(broken.rule, broken.message, answer)


CODEC = _Gemini()

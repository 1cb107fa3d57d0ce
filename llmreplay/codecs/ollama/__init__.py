"""Ollama's own wire: `/api/chat` and `/api/generate`, plain or as JSON lines.

https://github.com/ollama/ollama/blob/main/docs/api.md

A stream is what is answered unless the request says otherwise, and looks like a plain body until its
second line: the content type tells them apart, or that lines follow, or what was asked for. It is whole
when a line says `done`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _errors
from llmreplay.codecs._assembly import Assembly
from llmreplay.codecs._base import Codec, EventStreamDecoder
from llmreplay.codecs._encoding import Cut, Encoder, Rejection, retry_headers
from llmreplay.codecs._failing import Failing, failing
from llmreplay.codecs._json import each, listed, mapping, optional, string, text, without
from llmreplay.codecs._usage import merge, normalise, report
from llmreplay.codecs.ollama._request import read_request, wants_stream
from llmreplay.codecs.ollama._write import spelled, write_body, write_response
from llmreplay.codecs.ollama._write_request import write_request
from llmreplay.codecs.openai_chat._message import log_probs
from llmreplay.completion import CompletionResponse, FinishReason, Image, LogProbs, Started, UsageReported
from llmreplay.framing import ndjson

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, ErrorKind, StreamEvent
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]

_NAME = "ollama"
_PROVIDER = "ollama"
_SECOND_LINE = re.compile(rb"\}\s*[\r\n]\s*\{")
_FRACTION = re.compile(r"\.\d+")

_FINISH = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}

_FAILURES: dict[str, Failing] = {
    "invalid_request": Failing(400, "invalid request"),
    "authentication": Failing(401, "unauthorized"),
    "permission_denied": Failing(403, "this model requires a subscription, upgrade for access"),
    "not_found": Failing(404, "model '{model}' not found"),
    "request_too_large": Failing(400, "the input length exceeds the context length"),
    "rate_limited": Failing(429, "too many requests"),
    "server_error": Failing(500, "an error was encountered while running the model"),
    "overloaded": Failing(503, "server busy, please try again.  maximum pending requests exceeded"),
}
"""https://github.com/ollama/ollama/blob/main/server/routes.go; quotas are those of its cloud, as 429."""


class _Stream(EventStreamDecoder):
    """Reads the lines of a stream; a plain body is a stream of one line."""

    def __init__(self, response: Response) -> None:
        super().__init__(response, _PROVIDER, ndjson.NDJSONParser())
        self._assembly = Assembly()
        self._about: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._begun = False

    def whole(self, body: dict[str, Any]) -> CompletionResponse:
        """Return what a plain body means."""
        self._object(body)
        return self._answer().model_copy(update={"raw": body})

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        self._about.update({name: data[name] for name in ("model", "created_at") if data.get(name)})
        events: list[StreamEvent] = []
        if not self._begun:
            self._begun = True
            events.append(Started(model=optional(data.get("model"))))
        message = mapping(data.get("message"))
        for source, name in ((message, "content"), (data, "response")):
            thinking, said = string(source.get("thinking")), string(source.get(name))
            if thinking:
                events += self._assembly.thought(0, thinking, key="thinking")
            if said:
                events += self._assembly.words(0, said, key="content")
        for image in listed(message.get("images")):
            events += self._assembly.whole(0, Image(data=text(image)))
        for call in each(message.get("tool_calls")):
            events += self._call(call)
        more = log_probs({"content": data.get("logprobs")}) if data.get("logprobs") else None
        if more is not None:
            answer = self._assembly.answer(0)
            answer.logprobs = LogProbs(content=[*(answer.logprobs or LogProbs()).content, *more.content])
        return events + (self._end(data) if data.get("done") is True else [])

    def _call(self, call: dict[str, Any]) -> list[StreamEvent]:
        function = mapping(call.get("function"))
        count = len(self._assembly.calls(0))
        found, events = self._assembly.call(
            0, ("call", count), id=text(call.get("id")), name=text(function.get("name"))
        )
        found.extra.update(without(call, "id", "type", "function"))
        given = function.get("arguments")
        if given is not None:
            written = spelled(given).decode("utf-8", "surrogatepass")
            events += self._assembly.arguments(0, found, text(written))
        return events + self._assembly.ended(0, found)

    def _end(self, data: dict[str, Any]) -> list[StreamEvent]:
        self._done = True
        raw = text(data.get("done_reason"))
        events = self._assembly.finish(0, raw, _FINISH.get(raw) or FinishReason(raw)) if raw else []
        found = report(_NAME, data)
        if not found:
            return events
        self._usage = merge(self._usage, found)
        return [*events, UsageReported(usage=normalise(_NAME, self._usage))]

    def _whole(self) -> bool:
        return self._done

    def _answer(self) -> CompletionResponse:
        self._assembly.answer(0)  # which may have begun with nothing
        answer, *_ = self._assembly.choices()
        return CompletionResponse(
            choice=answer.contents,
            usage=normalise(_NAME, self._usage),
            finish_reason=answer.finish_reason,
            raw_finish_reason=answer.raw_finish_reason,
            logprobs=answer.logprobs,
            model=optional(self._about.get("model")),
            provider=self._provider,
            created=_second(self._about.get("created_at")),
            raw=self._raw,
        )


def _second(value: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(_FRACTION.sub("", text(value))).timestamp())
    except (ValueError, OverflowError):
        return None


class _Ollama(Codec, Encoder):
    name = _NAME

    def provider(self, request: Request) -> str:  # noqa: ARG002  whoever it runs for
        return _PROVIDER

    def is_stream(self, response: Response, request: Request) -> bool | None:
        """Return whether a body is lines rather than one object."""
        kind = response.header("content-type") or ""
        if "ndjson" in kind or _SECOND_LINE.search(response.body):
            return True
        return wants_stream(request) and "json" not in kind

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:  # noqa: ARG002  likewise
        body = mapping(response.json)
        if body.get("error"):
            raise _errors.reported(body, response, _PROVIDER, otherwise="error_in_200")
        if not isinstance(body.get("message"), dict) and not isinstance(body.get("response"), str):
            raise _errors.no_answer("the body of the response has no message", response, _PROVIDER)
        return _Stream(response).whole(body)

    def decode_stream(self, response: Response, request: Request) -> _Stream:  # noqa: ARG002  likewise
        return _Stream(response)

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
        known = failing(kind, _FAILURES, "Ollama", status)
        said = known.message.replace("{model}", text(mapping(request.json).get("model")))
        body = {"error": said if message is None else message}
        return write_body(body, status or known.status, retry_headers(kind, retry_after))

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:  # noqa: ARG002  likewise
        known = failing(kind, _FAILURES, "Ollama")
        return ndjson.write(spelled({"error": message or known.message}))

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:  # noqa: ARG002  it takes nearly everything
        return None


CODEC = _Ollama()

"""A wire of our own, whose format is the vocabulary itself: for models that have no wire, and lose nothing.

A `CompletionRequest` goes to an address that does not exist, and a `CompletionResponse` comes back, or
its events, or an error by its attributes. `ScriptedModel` and `ReplayModel` speak it, so that scripts,
matching and sessions are the same for a model that is a value as for one behind an SDK.

Rules:

* What is None or empty by default is left out; all else is there, by the names of the vocabulary.
* `raw` of a request is not sent, since it is what another wire said; `raw` of a response is.
* A stream is one server-sent event for each `StreamEvent`, named as its class is; the last is `final`.
* Conversations are held to what is true of every provider: each call has its result, each result its call.

It stays one module, a little above the usual length: what it writes is what it reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from llmreplay.codecs import _errors
from llmreplay.codecs._base import Codec, EventStreamDecoder
from llmreplay.codecs._encoding import (
    STRICT_HEADER,
    Cut,
    Encoder,
    Ids,
    Rejection,
    compact,
    json_response,
    retry_headers,
    stream_response,
)
from llmreplay.codecs._failing import Failing, failing
from llmreplay.codecs._json import boolean, mapping, number, optional, text
from llmreplay.codecs._pairs import broken_pairs
from llmreplay.codecs._rules import first
from llmreplay.completion import (
    CompletionError,
    CompletionRequest,
    CompletionResponse,
    ErrorKind,
    Final,
    HttpError,
    JsonError,
    ProviderError,
    ReasoningDelta,
    RefusalDelta,
    RequestError,
    ResponseError,
    StreamError,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UnknownEvent,
    told,
)
from llmreplay.completion._value import Value
from llmreplay.exchange import Request
from llmreplay.framing import sse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pydantic.fields import FieldInfo

    from llmreplay.exchange import Response

__all__ = ["CODEC", "CONTENT_TYPE", "URL"]

_HOME = "https://model.llmreplay.invalid/v1"
URL = f"{_HOME}/completion"
"""Where requests go: a name that can belong to nobody (RFC 2606)."""

CONTENT_TYPE = "application/vnd.llmreplay+json"
"""By which a request is known at any other address."""

_ERRORS: dict[str, type[CompletionError]] = {
    kind.__name__: kind for kind in (HttpError, JsonError, RequestError, ResponseError, ProviderError)
}

_FAILURES: dict[str, Failing] = {
    "invalid_request": Failing(400, "The request is invalid."),
    "authentication": Failing(401, "The key is wrong."),
    "quota_exhausted": Failing(402, "The quota is used up."),
    "permission_denied": Failing(403, "This key may not do that."),
    "not_found": Failing(404, "There is no such model."),
    "conflict": Failing(409, "Another request is in the way."),
    "request_too_large": Failing(413, "The prompt is longer than the model can read."),
    "content_filter": Failing(400, "The prompt was stopped by a filter."),
    "rate_limited": Failing(429, "Too many requests."),
    "server_error": Failing(500, "The model failed."),
    "not_supported": Failing(501, "The model cannot do that."),
    "overloaded": Failing(503, "The model is overloaded."),
}


class _Stream(EventStreamDecoder):
    """Reads events; the last one brings the whole answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response, None)
        self._final: CompletionResponse | None = None

    def _frame(self, frame: sse.Frame, *, last: bool) -> list[StreamEvent]:
        self._name = frame.event or ""
        return super()._frame(frame, last=last)

    def _object(self, data: dict[str, Any]) -> list[StreamEvent]:
        kind = _EVENTS.get(self._name)
        if kind is None:
            return [UnknownEvent(name=self._name, data=data)]
        try:
            event = kind.model_validate(data)
        except ValidationError as problem:
            message = f"an event of the stream is none: {_first(problem)}"
            return [self._failed(ResponseError(message, status=self._http.status, body=data))]
        if isinstance(event, Final):
            self._final = event.response
            return []
        return [event]

    def _told(self, body: Any) -> StreamEvent:
        self._reported = True
        said = mapping(mapping(body).get("error"))
        kind = _ERRORS.get(text(said.get("type")), ProviderError)
        base = _errors.reported(body, self._http, None, otherwise="stream_error")
        return self._failed(_as_said(said, base, kind))

    def _whole(self) -> bool:
        return self._final is not None

    def _answer(self) -> CompletionResponse:
        assert self._final is not None  # noqa: S101  asked when the answer is whole
        return self._final


class _Vocabulary(Codec, Encoder):
    name = "vocabulary"

    def provider(self, request: Request) -> None:
        """Return None: whoever answers says so in the answer."""

    def decode_request(self, request: Request) -> CompletionRequest:
        body = request.json
        try:
            return CompletionRequest.model_validate({**mapping(body), "raw": body})
        except ValidationError as problem:
            raise RequestError(f"the body is no completion request: {_first(problem)}", body=body) from None

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:  # noqa: ARG002  all is said in the answer
        body = response.json
        if mapping(body).get("error"):
            raise self._reported(body, response, "error_in_200")
        try:
            return CompletionResponse.model_validate(body)
        except ValidationError as problem:
            raise _errors.no_answer(f"the body is no answer: {_first(problem)}", response, None) from None

    def decode_stream(self, response: Response, request: Request) -> _Stream:  # noqa: ARG002  likewise
        return _Stream(response)

    def decode_error(self, response: Response, request: Request) -> CompletionError:  # noqa: ARG002  likewise
        said = mapping(mapping(response.json).get("error"))
        kind = _ERRORS.get(text(said.get("type")), ProviderError)
        return _as_said(said, _errors.refused(response, None), kind)

    def _reported(self, body: Any, response: Response, otherwise: ErrorKind) -> CompletionError:
        said = mapping(mapping(body).get("error"))
        kind = _ERRORS.get(text(said.get("type")), ProviderError)
        return _as_said(said, _errors.reported(body, response, None, otherwise), kind)

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        body = _spelled(request.model_copy(update={"raw": None}))
        url = URL if base_url is None else f"{base_url.rstrip('/')}/completion"
        try:
            return Request("POST", url, (("content-type", CONTENT_TYPE),), compact(body))
        except (TypeError, ValueError) as problem:
            raise RequestError(f"the request holds what is no JSON: {problem}") from problem

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        asked = mapping(request.json)
        whole = _completed(response, Ids(request, turn), optional(asked.get("model")))
        if asked.get("stream") is not True:
            return json_response(_spelled(whole))
        frames = [_written(event) for one in told(whole) for event in _pieces(one, cut)]
        return stream_response(frames)

    def encode_error(  # noqa: PLR0913  what an error can say, each by name
        self,
        kind: ErrorKind,
        request: Request,  # noqa: ARG002  an error is the same whatever was asked
        *,
        status: int | None = None,
        message: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> Response:
        known = failing(kind, _FAILURES, "this wire", status)
        error = {"kind": kind, "message": known.message if message is None else message, "code": code}
        headers = retry_headers(kind, retry_after)
        return json_response({"error": _given(error)}, status or known.status, headers)

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:  # noqa: ARG002  likewise
        said = message or failing(kind, _FAILURES, "this wire").message
        return sse.write(
            sse.Frame(compact({"error": {"kind": kind, "message": said}}).decode(), "stream_error")
        )

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        try:
            asked = self.decode_request(request)
        except RequestError:
            return None
        broken = first(broken_pairs(asked), excepted)
        if broken is None:
            return None
        response = self.encode_error("invalid_request", request, message=broken.message)
        header = (STRICT_HEADER, broken.rule)
        tagged = json_response(response.json, response.status, (header,))
        return Rejection(broken.rule, broken.message, tagged)


# --------------------------------------------------------------------------------------------- reading


def _as_said(said: dict[str, Any], base: CompletionError, kind: type[CompletionError]) -> CompletionError:
    """Return an error with what its body says of itself, and what HTTP says of it elsewhere."""
    spelled = text(said.get("kind"))
    fields = {name: value for name, value in base.__dict__.items() if name not in {"message", "retryable"}}
    delay = number(said.get("retry_after"))
    return kind(
        text(said.get("message")) or base.message,
        **{
            **fields,
            "kind": spelled if spelled in get_args(ErrorKind) else base.kind,
            "code": optional(said.get("code")) if said else base.code,
            "request_id": optional(said.get("request_id")) or base.request_id,
            "retry_after": base.retry_after if delay is None else delay,
            "provider": optional(said.get("provider")),
            "retryable": boolean(said.get("retryable")),
        },
    )


def _first(problem: ValidationError) -> str:
    found = problem.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"]))
    return f"{place}: {found['msg']}" if place else found["msg"]


# --------------------------------------------------------------------------------------------- writing


def _event_name(kind: type[StreamEvent]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


_EVENTS = {
    _event_name(kind): kind
    for kind in StreamEvent.__subclasses__()
    if kind not in {StreamError, UnknownEvent}
}
"""Events by the names of their frames; errors are told by their key, as on other wires."""


def _spelled(value: Any) -> Any:
    """Return a value as JSON has it, without what is None or empty by default."""
    if isinstance(value, Value):
        return {
            name: _spelled(found)
            for name, field in type(value).model_fields.items()
            if not _left_open(field, found := getattr(value, name))
        }
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return value


def _left_open(field: FieldInfo, found: Any) -> bool:
    if found is None:
        return field.default is None
    return found in ([], {}) and field.default_factory is type(found)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _completed(response: CompletionResponse, ids: Ids, model: str | None) -> CompletionResponse:
    """Return an answer with the ids that it leaves open, and the model that was asked."""

    def whole(content: Any) -> Any:
        if not isinstance(content, ToolCall):
            return content
        written = content.arguments_raw
        if not written and content.arguments_error is None:
            written = compact(content.arguments).decode("utf-8", "surrogatepass")
        return content.model_copy(update={"id": content.id or ids.new("call_", 24), "arguments_raw": written})

    return response.model_copy(
        update={
            "choice": [whole(content) for content in response.choice],
            "others": [
                other.model_copy(update={"contents": [whole(content) for content in other.contents]})
                for other in response.others
            ],
            "response_id": response.response_id or ids.new("resp_", 24),
            "model": response.model or model,
        }
    )


def _pieces(event: StreamEvent, cut: Cut) -> Iterator[StreamEvent]:
    """Cut an event into those that a model would have told it in."""
    if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
        for piece in cut.text(event.text) or [event.text]:
            yield event.model_copy(update={"text": piece})
    elif isinstance(event, ToolCallDelta):
        for piece in cut.arguments(event.arguments) or [event.arguments]:
            yield event.model_copy(update={"arguments": piece})
    else:
        yield event


def _written(event: StreamEvent) -> bytes:
    return sse.write(sse.Frame(compact(_spelled(event)).decode("utf-8", "replace"), _event_name(type(event))))


CODEC = _Vocabulary()

"""What the wires behind AWS Bedrock share: event streams, exceptions, and the names of both.

https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and the service model of
botocore (`bedrock-runtime`), which has the status of each exception.

An error is named by the header `x-amzn-errortype`, without which boto3 knows only its status; in a
stream it is a frame of its own, whose name begins with a small letter.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from llmreplay.codecs._aws_frames import parsed
from llmreplay.codecs._base import EventStreamDecoder
from llmreplay.codecs._encoding import (
    HEXADECIMAL,
    Ids,
    compact,
    json_response,
    retry_headers,
    stream_response,
)
from llmreplay.codecs._failing import Failing, failing
from llmreplay.codecs._json import mapping, text
from llmreplay.completion import Final, JsonError
from llmreplay.framing import eventstream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmreplay.completion import ErrorKind, StreamEvent
    from llmreplay.exchange import Headers, Request, Response

__all__ = [
    "BASE_URL",
    "AwsStreamDecoder",
    "encode_error",
    "encode_stream_error",
    "event_stream",
    "model_of",
    "request_headers",
    "request_id",
    "url_of",
    "wants_stream",
]

BASE_URL = "https://bedrock-runtime.us-east-1.amazonaws.com"

_EXCEPTIONS = {
    "invalid_request": Failing(400, "The request is not valid.", "ValidationException"),
    "authentication": Failing(
        403, "The security token included in the request is invalid.", "UnrecognizedClientException"
    ),
    "permission_denied": Failing(
        403, "You don't have access to the model with the specified model ID.", "AccessDeniedException"
    ),
    "not_found": Failing(
        404,
        "Could not resolve the foundation model from the provided model identifier.",
        "ResourceNotFoundException",
    ),
    "request_too_large": Failing(400, "Input is too long for requested model.", "ValidationException"),
    "rate_limited": Failing(
        429, "Too many requests, please wait before trying again.", "ThrottlingException"
    ),
    "quota_exhausted": Failing(
        400, "Your request exceeds the service quota for your account.", "ServiceQuotaExceededException"
    ),
    "server_error": Failing(
        500,
        "The system encountered an unexpected error during processing. Try your request again.",
        "InternalServerException",
    ),
    "overloaded": Failing(503, "Bedrock is unable to process your request.", "ServiceUnavailableException"),
}

_LATE = {"timeout": Failing(408, "The model timed out.", "ModelTimeoutException")}
"""Kinds that are a failure of the client's own, unless a status says otherwise."""

_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class AwsStreamDecoder(EventStreamDecoder):
    """Reads a stream in the framing of AWS; what its frames hold is for the wire to say."""

    def __init__(self, response: Response, provider: str | None) -> None:
        super().__init__(response, provider)
        self._frames = eventstream.EventStreamParser()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, and return what they tell."""
        if self._lost:
            return []
        self._frames.receive(data)
        events: list[StreamEvent] = []
        try:
            while (frame := self._frames.next_frame()) is not None:
                events += self._told_by(frame)
        except eventstream.EventStreamError as problem:
            self._lost = True
            events.append(self._unreadable(str(problem), None))
        return events

    def close(self) -> list[StreamEvent]:
        """Take the end of the stream; the last event is a `Final` if the answer is whole."""
        if self._lost or self._reported or not self._whole():
            return []
        self.response = self._answer()
        return [Final(response=self.response)]

    @abstractmethod
    def _read(self, kind: str, payload: bytes) -> Any:
        """Return the JSON that an event tells; raise ValueError if it cannot be read."""

    def _told_by(self, frame: eventstream.Frame) -> list[StreamEvent]:
        kind = frame.text(":message-type")
        if kind == "error":
            return [
                self._told({"__type": frame.text(":error-code"), "message": frame.text(":error-message")})
            ]
        if kind == "exception":
            name = frame.text(":exception-type") or ""
            return [self._told({"__type": name[:1].upper() + name[1:], **mapping(parsed(frame.payload))})]
        try:
            data = self._read(frame.text(":event-type") or "", frame.payload)
        except ValueError as problem:
            said = f"a frame of the stream is not JSON: {problem}"
            return [self._unreadable(said, frame.payload.decode("utf-8", "replace"))]
        self._raw.append(data)
        if not isinstance(data, dict) or data.get("error"):
            return [self._told(data)]
        return self._object(data)

    def _unreadable(self, message: str, body: str | None) -> StreamEvent:
        return self._failed(JsonError(message, status=self._http.status, body=body, provider=self._provider))


def model_of(request: Request) -> str | None:
    """Return the model, which Bedrock names in the path."""
    named = request.path.rpartition("/model/")[2].rpartition("/")[0]
    return text(unquote(named)) or None


def wants_stream(request: Request) -> bool:
    """Return whether a request asks for a stream, which Bedrock tells by the path."""
    return request.path.rstrip("/").endswith("-stream")


def url_of(base_url: str | None, model: str, action: str) -> str:
    """Return the address of a model's action."""
    return f"{(base_url or BASE_URL).rstrip('/')}/model/{quote(model, safe='')}/{action}"


def request_headers(*, stream: bool = False) -> Headers:
    """Return the headers of a request, without its signature."""
    accept = "application/vnd.amazon.eventstream" if stream else "application/json"
    return (("content-type", "application/json"), ("accept", accept))


def event_stream(events: Iterable[tuple[str, dict[str, Any]]], headers: Headers = ()) -> Response:
    """Return a streamed answer, one chunk an event, each padded with `p` as AWS does."""
    frames = []
    for name, data in events:
        payload = compact(data)
        # The length hides how long a token is; here it is what the bytes make of it.
        padding = _PADDING[: sum(payload) % len(_PADDING) + 1]
        frames.append(eventstream.write(eventstream.event(name, compact({**data, "p": padding}))))
    return stream_response(frames, headers, "application/vnd.amazon.eventstream")


def request_id(request: Request, turn: int = 0) -> tuple[str, str]:
    """Return the header that names a request."""
    digits = Ids(request, turn).new("", 32, HEXADECIMAL)
    return "x-amzn-requestid", "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _exception(kind: ErrorKind, status: int | None = None) -> Failing:
    table = _EXCEPTIONS if status is None else {**_EXCEPTIONS, **_LATE}
    return failing(kind, table, "Bedrock", status)


def encode_error(  # noqa: PLR0913  see `Encoder.encode_error`
    kind: ErrorKind,
    request: Request,
    *,
    status: int | None = None,
    message: str | None = None,
    code: str | None = None,
    retry_after: float | None = None,
) -> Response:
    """Return the exception for a kind of error; see `Encoder.encode_error`."""
    found = _exception(kind, status)
    name = code or found.word or "InternalServerException"
    own: Headers = (
        request_id(request),
        ("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        *retry_headers(kind, retry_after),
    )
    said = found.message if message is None else message
    return json_response({"message": said}, status or found.status, own)


def encode_stream_error(kind: ErrorKind, message: str | None = None) -> bytes:
    """Return the frame of the exception for a kind of error."""
    found = _exception(kind)
    name = found.word[:1].lower() + found.word[1:]
    payload = compact({"message": found.message if message is None else message})
    return eventstream.write(eventstream.exception(name, payload))

"""Claude behind Bedrock's `invoke`: the messages of Anthropic, in the envelope of AWS.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html

The path names the model and says whether a stream is wanted; each event of a stream is the base64 of
one of Anthropic's, in a `chunk`. Errors are those of Bedrock. What other models take and give here
is a wire of their own: it raises `UnknownWire`, but for errors, which are the same for all.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _aws, _errors
from llmreplay.codecs._aws_frames import unwrapped
from llmreplay.codecs._base import Codec
from llmreplay.codecs._encoding import STRICT_HEADER, Cut, Encoder, Rejection, compact, json_response
from llmreplay.codecs._json import mapping, parse, without
from llmreplay.codecs.anthropic_messages._check import broken_rule
from llmreplay.codecs.anthropic_messages._request import read_request
from llmreplay.codecs.anthropic_messages._stream import MessageStream, answer
from llmreplay.codecs.anthropic_messages._write import Written
from llmreplay.codecs.anthropic_messages._write_request import write_body
from llmreplay.completion import RequestError
from llmreplay.errors import UnknownWire, render
from llmreplay.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, CompletionResponse, ErrorKind
    from llmreplay.exchange import Headers, Response

__all__ = ["CODEC"]

_VERSION = "bedrock-2023-05-31"
_PROVIDER = "bedrock"
_REQUIRED = (
    "Malformed input request: #: required key [{}] not found, please reformat your input and try again."
)


class _InvokedStream(_aws.AwsStreamDecoder, MessageStream):
    """Reads the events of a message out of the chunks that hold them."""

    def _read(self, kind: str, payload: bytes) -> Any:
        data = parse(payload)
        return parse(unwrapped(data)) if kind == "chunk" else {"type": kind, **mapping(data)}


class _BedrockInvoke(Codec, Encoder):
    name = "bedrock_invoke"

    def provider(self, request: Request) -> str | None:  # noqa: ARG002  whoever is asked
        return _PROVIDER

    def decode_request(self, request: Request) -> CompletionRequest:
        if isinstance(request.json, dict):
            _expect_messages(request)
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        _expect_messages(request)
        return answer(response, _PROVIDER)

    def decode_stream(self, response: Response, request: Request) -> _InvokedStream:
        _expect_messages(request)
        return _InvokedStream(response, _PROVIDER)

    def decode_error(self, response: Response, request: Request) -> CompletionError:  # noqa: ARG002  likewise
        return _errors.refused(response, _PROVIDER)

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        if request.model is None:
            raise RequestError("Bedrock names the model in the path, and the request has none")
        action = "invoke-with-response-stream" if request.stream else "invoke"
        body = {"anthropic_version": _VERSION, **without(write_body(request), "model", "stream")}
        url = _aws.url_of(base_url, request.model, action)
        return Request("POST", url, _aws.request_headers(), compact(body))

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        _expect_messages(request)
        written = Written(response, request, turn, tag="bdrk_")
        named = _aws.request_id(request, turn)
        if _aws.wants_stream(request):
            chunks = (("chunk", {"bytes": b64encode(compact(data)).decode()}) for data in written.events(cut))
            return _aws.event_stream(chunks, (named, ("x-amzn-bedrock-content-type", "application/json")))
        asked, answered = written.counts()
        headers: Headers = (
            named,
            ("x-amzn-bedrock-input-token-count", str(asked)),
            ("x-amzn-bedrock-output-token-count", str(answered)),
        )
        return json_response(written.message(), headers=headers)

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
        return _aws.encode_error(
            kind, request, status=status, message=message, code=code, retry_after=retry_after
        )

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:  # noqa: ARG002  the frame needs none
        return _aws.encode_stream_error(kind, message)

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        body = mapping(request.json)
        claude = "anthropic_version" in body  # others have messages too, and no such limit
        broken = broken_rule(body, excepted, _REQUIRED if claude else None)
        if broken is None:
            return None
        answered = self.encode_error("invalid_request", request, message=broken.message)
        marked = replace(answered, headers=(*answered.headers, (STRICT_HEADER, broken.rule)))
        return Rejection(broken.rule, broken.message, marked)


def _expect_messages(request: Request) -> None:
    """Raise `UnknownWire` if the body is that of another model, which is told by what it asks with."""
    body = mapping(request.json)
    if "messages" in body and "inferenceConfig" not in body and "schemaVersion" not in body:
        return
    if not body and "claude" in (_aws.model_of(request) or ""):  # the recording left the body out
        return
    raise UnknownWire(
        render(
            "No codec knows what this exchange means.",
            [f"request: {request.method} {request.url}", "wire: bedrock_invoke, decoded for Claude only"],
        )
    )


CODEC = _BedrockInvoke()

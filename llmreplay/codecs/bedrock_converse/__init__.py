"""Bedrock's `converse` and `converse-stream`: one wire for all models of AWS.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html

The path names the model and says whether a stream is wanted. An answer has no id but that of the
request, and names no model unless a router chose it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmreplay.codecs import _aws, _errors
from llmreplay.codecs._base import Codec
from llmreplay.codecs._encoding import STRICT_HEADER, Cut, Encoder, Rejection, json_response
from llmreplay.codecs.bedrock_converse._check import broken_rule
from llmreplay.codecs.bedrock_converse._request import read_request
from llmreplay.codecs.bedrock_converse._stream import NAME, PROVIDER, ConverseStream, answer
from llmreplay.codecs.bedrock_converse._write import events, message
from llmreplay.codecs.bedrock_converse._write_request import write_request

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, CompletionResponse, ErrorKind
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]


class _BedrockConverse(Codec, Encoder):
    name = NAME

    def provider(self, request: Request) -> str | None:  # noqa: ARG002  whoever is asked
        return PROVIDER

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        return answer(response, request)

    def decode_stream(self, response: Response, request: Request) -> ConverseStream:
        return ConverseStream(response, request)

    def decode_error(self, response: Response, request: Request) -> CompletionError:  # noqa: ARG002  likewise
        return _errors.refused(response, PROVIDER)

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
        headers = (_aws.request_id(request, turn),)
        if _aws.wants_stream(request):
            return _aws.event_stream(events(response, request, turn, cut), headers)
        return json_response(message(response, request, turn), headers=headers)

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
        broken = broken_rule(request.json, excepted)
        if broken is None:
            return None
        answered = self.encode_error("invalid_request", request, message=broken.message)
        marked = replace(answered, headers=(*answered.headers, (STRICT_HEADER, broken.rule)))
        return Rejection(broken.rule, broken.message, marked)


CODEC = _BedrockConverse()

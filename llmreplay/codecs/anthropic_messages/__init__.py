"""Messages as Anthropic defined them, direct or behind Vertex; Bedrock's `invoke` wraps the same.

https://docs.claude.com/en/api/messages, https://docs.claude.com/en/docs/build-with-claude/streaming
and https://docs.claude.com/en/api/claude-on-vertex-ai

Vertex names model and version elsewhere: the model in the path, with the action `rawPredict` or
`streamRawPredict`, and `anthropic_version` in the body.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmreplay.codecs import _errors
from llmreplay.codecs._base import Codec
from llmreplay.codecs._encoding import (
    STRICT_HEADER,
    Cut,
    Encoder,
    Ids,
    Rejection,
    json_response,
    retry_headers,
    stream_response,
)
from llmreplay.codecs.anthropic_messages._check import broken_rule
from llmreplay.codecs.anthropic_messages._request import is_vertex, read_request, wants_stream
from llmreplay.codecs.anthropic_messages._stream import NAME, MessageStream, answer
from llmreplay.codecs.anthropic_messages._write import Written, event
from llmreplay.codecs.anthropic_messages._write_errors import error_body, error_of
from llmreplay.codecs.anthropic_messages._write_request import write_body, write_url
from llmreplay.completion import RETRYABLE

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.completion import CompletionError, CompletionRequest, CompletionResponse, ErrorKind
    from llmreplay.exchange import Headers, Request, Response

__all__ = ["CODEC"]


class _AnthropicMessages(Codec, Encoder):
    name = NAME

    def provider(self, request: Request) -> str | None:
        return "vertex" if is_vertex(request) else "anthropic"

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        return answer(response, self.provider(request))

    def decode_stream(self, response: Response, request: Request) -> MessageStream:
        return MessageStream(response, self.provider(request))

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        return _errors.refused(response, self.provider(request))

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        return write_url(request, write_body(request), base_url)

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        written = Written(response, request, turn, tag="vrtx_" if is_vertex(request) else "")
        headers = self._headers(request, turn)
        if wants_stream(request):
            return stream_response([event(data) for data in written.events(cut)], headers)
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
        headers, found = self._headers(request), error_of(kind, status)
        body = error_body(found, message, code, request_id=headers[0][1])
        # Anthropic itself says whether to try again, on every error; its SDK obeys that before the status.
        advice = () if is_vertex(request) else (("x-should-retry", str(kind in RETRYABLE).lower()),)
        own = (*headers, *advice, *retry_headers(kind, retry_after))
        return json_response(body, status or found.status, own)

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
        return event(error_body(error_of(kind), message, None, request_id=self._headers(request)[0][1]))

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        broken = broken_rule(request.json, excepted)
        if broken is None:
            return None
        answered = self.encode_error("invalid_request", request, message=broken.message)
        marked = replace(answered, headers=(*answered.headers, (STRICT_HEADER, broken.rule)))
        return Rejection(broken.rule, broken.message, marked)

    def _headers(self, request: Request, turn: int = 0) -> Headers:
        prefix = "req_vrtx_01" if is_vertex(request) else "req_01"
        return (("request-id", Ids(request, turn).new(prefix, 22)),)


CODEC = _AnthropicMessages()

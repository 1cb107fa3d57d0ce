"""Responses as OpenAI defined them, and as Azure, xAI, DeepSeek, OpenRouter and Bedrock speak them.

https://platform.openai.com/docs/api-reference/responses and …/responses-streaming

A stream is whole when `response.completed` or `response.incomplete` has come: it holds the whole
answer. Gateways leave the output out there, and the items count that came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmreplay.codecs import _errors
from llmreplay.codecs._base import Codec
from llmreplay.codecs._encoding import Cut, Encoder
from llmreplay.codecs._json import mapping, text
from llmreplay.codecs.openai_chat._dialects import provider_of
from llmreplay.codecs.openai_responses import _check
from llmreplay.codecs.openai_responses._request import read_request
from llmreplay.codecs.openai_responses._stream import Stream, answer
from llmreplay.codecs.openai_responses._write import write_response
from llmreplay.codecs.openai_responses._write_errors import write_error, write_stream_error
from llmreplay.codecs.openai_responses._write_request import write_request

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmreplay.codecs._encoding import Rejection
    from llmreplay.completion import CompletionError, CompletionRequest, CompletionResponse, ErrorKind
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]


class _OpenAIResponses:
    name = "openai_responses"

    def provider(self, request: Request) -> str | None:
        return provider_of(request)

    def decode_request(self, request: Request) -> CompletionRequest:
        return read_request(request)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        body, provider = mapping(response.json), provider_of(request)
        status = text(body.get("status"))
        if body.get("error") or status == "failed":
            raise _errors.reported(response.json, response, provider, otherwise="error_in_200")
        if not isinstance(body.get("output"), list):
            raise _errors.no_answer("the body of the response has no output", response, provider)
        if status in {"queued", "in_progress", "cancelled"}:
            raise _errors.no_answer(f"the response is {status}, and no answer yet", response, provider)
        return answer(body, body["output"], response, provider, raw=response.json)

    def decode_stream(self, response: Response, request: Request) -> Stream:
        return Stream(response, provider_of(request))

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        return _errors.refused(response, provider_of(request))

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
        return write_error(kind, request, status=status, message=message, code=code, retry_after=retry_after)

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
        return write_stream_error(kind, request, message)

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        return _check.check(request, excepted)


class _Responses(Codec, Encoder, Protocol):
    """Reads and writes."""


CODEC: _Responses = _OpenAIResponses()

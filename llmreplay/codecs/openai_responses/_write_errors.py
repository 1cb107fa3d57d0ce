"""Writing errors of the Responses wire, as a status and a body, or as an event of a stream.

OpenAI's own words where they differ from those of the chat wire: an unknown model is a 400 here, and
a prompt that is flagged has the code `invalid_prompt`. Sources: recorded bodies (`not_found`), the
source of Codex (`server_is_overloaded`), reports of users (the others). Providers with a form of
their own say the same on both wires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.codecs._encoding import Ids, json_response, retry_headers
from llmreplay.codecs._json import mapping, optional
from llmreplay.codecs.openai_chat import _write_errors as chat
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.codecs.openai_chat._write import request_headers
from llmreplay.codecs.openai_responses._write_stream import frame

if TYPE_CHECKING:
    from llmreplay.completion import ErrorKind
    from llmreplay.exchange import Request, Response

__all__ = ["error_body", "write_error", "write_stream_error"]

_FIRST = 2
"""The number of an event that follows on `response.created` and `response.in_progress`."""


class _Words(NamedTuple):
    """What OpenAI says of one kind of error."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None


_WORDS: dict[str, _Words] = {
    "invalid_request": _Words(400, "Missing required parameter: 'input'.", code="missing_required_parameter"),
    "authentication": _Words(
        401,
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    ),
    "permission_denied": _Words(
        403,
        "You have insufficient permissions for this operation.",
        type="permission_error",
        code="missing_scope",
    ),
    "not_found": _Words(
        400, "The requested model '{model}' does not exist.", code="model_not_found", param="model"
    ),
    "request_too_large": _Words(
        400,
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        code="context_length_exceeded",
        param="input",
    ),
    "conflict": _Words(
        409,
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
        code="conversation_locked",
    ),
    "rate_limited": _Words(
        429,
        "Rate limit reached for {model} on requests per min (RPM): Limit 500, Used 500, Requested 1. "
        "Please try again in 120ms.",
        type="requests",
        code="rate_limit_exceeded",
    ),
    "quota_exhausted": _Words(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        type="insufficient_quota",
        code="insufficient_quota",
    ),
    "server_error": _Words(
        500,
        "An error occurred while processing your request. You can retry your request.",
        type="server_error",
        code="server_error",
    ),
    "overloaded": _Words(
        503,
        "Our servers are currently overloaded. Please try again later.",
        type="service_unavailable_error",
        code="server_is_overloaded",
    ),
    "not_supported": _Words(501, "This is not supported.", type="not_supported_error"),
    "content_filter": _Words(
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again "
        "with a different prompt.",
        code="invalid_prompt",
    ),
}

_ANY = _Words(500, "The request failed.", type="server_error")


def write_error(  # noqa: PLR0913  what an error can say, each by name
    kind: ErrorKind,
    request: Request,
    *,
    status: int | None = None,
    message: str | None = None,
    code: str | None = None,
    retry_after: float | None = None,
) -> Response:
    """Return the provider's own status, body and headers; raise ValueError if it has none for this kind."""
    dialect = dialect_of(request)
    if dialect.errors != "openai" and kind in _WORDS:
        return chat.write_error(
            kind, request, status=status, message=message, code=code, retry_after=retry_after
        )
    words = _words(kind, request, status)
    body = error_body(message or words.message, words.type, code or words.code, words.param)
    headers = (*request_headers(dialect, Ids(request)), *retry_headers(kind, retry_after))
    return json_response(body, words.status, headers, dialect.json_type)


def write_stream_error(kind: ErrorKind, request: Request, message: str | None) -> bytes:
    """Return the `error` event that ends a stream.

    The error is nested, as OpenAI sends it (its documentation has it flat), and SDKs raise on it.
    """
    words = _words(kind, request, None)
    error = error_body(message or words.message, words.type, code=words.code, param=words.param)
    event = {"type": "error", "sequence_number": _FIRST, **error}
    return frame(event, named=dialect_of(request).name != "openrouter")


def error_body(
    message: str,
    type: str = "invalid_request_error",  # noqa: A002  the wire's word
    code: str | None = None,
    param: str | None = None,
) -> dict[str, Any]:
    """Return the body of an error in OpenAI's form."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def _words(kind: ErrorKind, request: Request, status: int | None) -> _Words:
    words = _WORDS.get(kind)
    if words is None and status is None:
        raise ValueError(f"{kind} is a failure, not an answer: there is no status for it")
    model = optional(mapping(request.json).get("model")) or "model"
    found = words or _ANY
    return found._replace(message=found.message.replace("{model}", model), status=status or found.status)

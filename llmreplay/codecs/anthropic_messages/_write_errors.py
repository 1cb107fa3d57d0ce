"""How Anthropic reports an error: its status, its type, and its usual words.

https://docs.claude.com/en/api/errors; the types are those of the SDK as well. In a stream the same
body is the data of an `error` event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._failing import Failing, failing

if TYPE_CHECKING:
    from llmreplay.completion import ErrorKind

__all__ = ["error_body", "error_of"]

_ANSWERS = {
    "invalid_request": Failing(400, "Invalid request.", "invalid_request_error"),
    "authentication": Failing(401, "invalid x-api-key", "authentication_error"),
    "quota_exhausted": Failing(
        402,
        "Your credit balance is too low to access the Anthropic API. "
        "Please go to Plans & Billing to upgrade or purchase credits.",
        "billing_error",
    ),
    "permission_denied": Failing(
        403, "Your API key does not have permission to use the specified resource.", "permission_error"
    ),
    "not_found": Failing(404, "The requested resource could not be found.", "not_found_error"),
    "conflict": Failing(409, "The request conflicts with the state of the resource.", "conflict_error"),
    "request_too_large": Failing(413, "Request exceeds the maximum size", "request_too_large"),
    "rate_limited": Failing(429, "This request would exceed your account's rate limit.", "rate_limit_error"),
    "server_error": Failing(500, "Internal server error", "api_error"),
    "not_supported": Failing(501, "This feature is not supported.", "not_supported_error"),
    "overloaded": Failing(529, "Overloaded", "overloaded_error"),
    # Told by its words alone: other words are any request that is not valid.
    "content_filter": Failing(400, "Output blocked by content filtering policy", "invalid_request_error"),
}

_LATE = {
    "timeout": Failing(504, "The request timed out while processing.", "timeout_error"),
    "cancelled": Failing(499, "Client closed request.", "api_error"),
}
"""Kinds that are a failure of the client's own, unless a status says otherwise."""


def error_of(kind: ErrorKind, status: int | None = None) -> Failing:
    """Return how a kind of error is reported; raise ValueError if it is no answer."""
    return failing(kind, _ANSWERS if status is None else {**_ANSWERS, **_LATE}, "Anthropic", status)


def error_body(found: Failing, message: str | None, code: str | None, request_id: str) -> dict[str, Any]:
    """Return the body of an error, which is the data of an `error` event too."""
    said = found.message if message is None else message
    error = {"type": code or found.word or "api_error", "message": said}
    return {"type": "error", "error": error, "request_id": request_id}

"""How a call to a model fails, as the code under test would see it.

    CompletionError
    ├── HttpError        no usable HTTP answer: no connection, a timeout, a broken stream
    ├── JsonError        the answer, or a frame of it, is not JSON
    ├── RequestError     the request is none that the wire knows
    ├── ResponseError    JSON, but not a completion
    └── ProviderError    the provider reported it: a status, an error in a 200, an error in a stream

These are ordinary exceptions, not `LLMReplayError`: they are what a test is about.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

__all__ = [
    "RETRYABLE",
    "CompletionError",
    "ErrorKind",
    "HttpError",
    "JsonError",
    "ProviderError",
    "RequestError",
    "ResponseError",
]

ErrorKind = Literal[
    "invalid_request",
    "authentication",
    "permission_denied",
    "not_found",
    "request_too_large",
    "conflict",
    "rate_limited",
    "quota_exhausted",
    "server_error",
    "overloaded",
    "not_supported",
    "timeout",
    "connection",
    "cancelled",
    "content_filter",
    "error_in_200",
    "stream_error",
    "stream_truncated",
    "decode_error",
    "response_schema",
    "request_build",
    "unknown",
]
"""What went wrong. `request_too_large` is also a prompt that exceeds the context of the model."""

RETRYABLE: frozenset[ErrorKind] = frozenset(
    {"conflict", "rate_limited", "server_error", "overloaded", "timeout", "connection", "stream_truncated"}
)
"""Kinds of which a second attempt may succeed."""


class CompletionError(Exception):
    """A call to a model failed.

    Attributes:
        kind: What went wrong, in one word.
        message: What the provider or the network said.
        status: The HTTP status, None where there was none.
        code: The provider's own code or type for it.
        request_id: The provider's id of the request.
        retry_after: Seconds to wait, where the provider asks for it.
        body: What was received: parsed, where it is JSON, else as text.
        provider: Who answered, as far as the host tells.
        retryable: Whether a second attempt may succeed.
    """

    default_kind: ErrorKind = "unknown"

    def __init__(  # noqa: PLR0913  one keyword an attribute
        self,
        message: str,
        *,
        kind: ErrorKind | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        body: Any = None,
        provider: str | None = None,
    ) -> None:
        self.message, self.kind = message, kind or self.default_kind
        self.status, self.code, self.request_id = status, code, request_id
        self.retry_after, self.body, self.provider = retry_after, body, provider
        self.retryable = self.kind in RETRYABLE if retryable is None else retryable
        super().__init__(message)

    def __str__(self) -> str:
        status = "" if self.status is None else f" {self.status}"
        return f"{self.kind}{status}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between the processes of a distributed test run.
        fields = {key: value for key, value in self.__dict__.items() if key != "message"}
        return partial(type(self), **fields), (self.message,)


class HttpError(CompletionError):
    """There is no usable HTTP answer: no connection, a timeout, a stream that broke."""

    default_kind = "connection"


class JsonError(CompletionError):
    """The answer, or a frame of it, is not JSON."""

    default_kind = "decode_error"


class RequestError(CompletionError):
    """The request is none that the wire knows."""

    default_kind = "request_build"


class ResponseError(CompletionError):
    """The answer is JSON, but not a completion."""

    default_kind = "response_schema"


class ProviderError(CompletionError):
    """The provider reported an error: by a status, in a 200, or in a stream."""

    default_kind = "unknown"

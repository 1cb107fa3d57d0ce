"""What went wrong, from a status, the body of an error in any of its shapes, or a broken connection.

Rules:

* The provider's own word beats the status, where it says more: OpenAI reports an unknown model as
  404 or 400, xAI a bad key as 400, and an exhausted quota is a 429 that no retry mends.
* Prose is the last resort, and only where providers have no word: for 400 and 500.
* An error inside a 200 has the kind that its code says, else `error_in_200` or `stream_error`.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._error_bodies import read
from llmreplay.completion import ErrorKind, HttpError, JsonError, ProviderError, ResponseError

if TYPE_CHECKING:
    from llmreplay.exchange import Failure, Response

__all__ = [
    "broken",
    "failed",
    "left",
    "no_answer",
    "not_json",
    "refused",
    "reported",
    "request_id",
    "truncated",
]

_BY_STATUS: dict[int, ErrorKind] = {
    401: "authentication",
    402: "quota_exhausted",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "request_too_large",
    429: "rate_limited",
    498: "authentication",  # Cohere: an invalid token
    499: "cancelled",
    501: "not_supported",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BY_WORD: dict[str, ErrorKind] = {
    "insufficient_quota": "quota_exhausted",
    "servicequotaexceededexception": "quota_exhausted",
    "billing_error": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "enforced_spend_limit_reached": "quota_exhausted",
    "exceeded_current_quota_error": "quota_exhausted",
    "context_length_exceeded": "request_too_large",
    "exceed_context_size_error": "request_too_large",
    "request_too_large": "request_too_large",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "invalid_prompt": "content_filter",  # OpenAI's Responses: a prompt that is flagged
    "responsibleaipolicyviolation": "content_filter",
    "authentication_error": "authentication",
    "api_key_invalid": "authentication",
    "invalid_api_key": "authentication",
    "unauthenticated": "authentication",
    "unrecognizedclientexception": "authentication",
    "expiredtokenexception": "authentication",
    "invalidsignatureexception": "authentication",
    "permission_error": "permission_denied",
    "permission_denied": "permission_denied",
    "accessdeniedexception": "permission_denied",
    "model_not_found": "not_found",
    "not_found": "not_found",
    "not_found_error": "not_found",
    "notfounderror": "not_found",
    "invalid_model": "not_found",
    "resourcenotfoundexception": "not_found",
    "rate_limit_error": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "resource_exhausted": "rate_limited",
    "throttlingexception": "rate_limited",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "modelnotreadyexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "unavailable": "overloaded",
    "deadline_exceeded": "timeout",
    "modeltimeoutexception": "timeout",
    "timeout_error": "timeout",
    "modelerrorexception": "server_error",
    "modelstreamerrorexception": "server_error",
    "not_supported_error": "not_supported",
    "service_unavailable_error": "overloaded",  # DeepSeek
    "too_many_requests_error": "rate_limited",  # Cerebras
    # xAI spells the codes of gRPC as sentences
    "some requested entity was not found": "not_found",
    "some resource has been exhausted": "rate_limited",
    "the caller does not have permission to execute the specified operation": "permission_denied",
    "the service is currently unavailable": "overloaded",
    "unimplemented": "not_supported",
}
"""Codes, types and statuses of providers, in lower case, that say more than an HTTP status."""

_BY_GENERAL_WORD: dict[str, ErrorKind] = {
    "api_error": "server_error",
    "generation": "server_error",  # text-generation-inference, in a stream
    "internal error": "server_error",  # xAI
    "internal": "server_error",
    "internal_server_error": "server_error",
    "internalserverexception": "server_error",
    "server_error": "server_error",
    "invalid_argument": "invalid_request",
    "invalid_request_error": "invalid_request",
    "validationexception": "invalid_request",
}
"""Words that say no more than a status; for errors that have none."""

_PROSE: tuple[tuple[re.Pattern[str], ErrorKind], ...] = (
    (
        re.compile(
            r"context (?:length|window|size)|maximum prompt length|prompt is too long|too large to process"
            r"|too many tokens|token count .{0,40}exceeds|input is too long",
            re.IGNORECASE,
        ),
        "request_too_large",
    ),
    (re.compile(r"(?:incorrect|invalid) api key|api key not valid", re.IGNORECASE), "authentication"),
    (re.compile(r"blocked by content filtering policy", re.IGNORECASE), "content_filter"),
    (re.compile(r"credit balance is too low", re.IGNORECASE), "quota_exhausted"),
    (
        re.compile(
            r"\bmodel\b.{0,80}\b(?:does not exist|not found)|^invalid model\b", re.IGNORECASE | re.DOTALL
        ),
        "not_found",
    ),
)

_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "mistral-correlation-id",
    "x-debug-trace-id",
    "x-ds-trace-id",
)


def refused(response: Response, provider: str | None) -> ProviderError:
    """Return the error of a response whose status is 400 or more."""
    return _provider_error(_body(response), response, provider, "unknown", response.status)


def reported(body: Any, response: Response, provider: str | None, otherwise: ErrorKind) -> ProviderError:
    """Return the error that a response with a good status holds; `otherwise` if its code says nothing."""
    return _provider_error(body, response, provider, otherwise, None)


def not_json(response: Response, provider: str | None) -> JsonError:
    """Return the error of a body that is not JSON."""
    what = "empty" if not response.body.strip() else "not JSON"
    return JsonError(f"the body of the response is {what}", **_place(response, provider))


def no_answer(message: str, response: Response, provider: str | None) -> ResponseError:
    """Return the error of a body that is JSON, but no answer of a model."""
    return ResponseError(message, **_place(response, provider))


def failed(failure: Failure, provider: str | None) -> HttpError:
    """Return the error of a request that got no response."""
    return HttpError(_sentence(failure), kind=_failure_kind(failure), provider=provider)


def broken(failure: Failure, response: Response, provider: str | None) -> HttpError:
    """Return the error of a response that broke off."""
    return HttpError(
        _sentence(failure), kind=_failure_kind(failure), **_place(response, provider, body=False)
    )


def truncated(response: Response, provider: str | None) -> HttpError:
    """Return the error of a stream that ended, in good order, before it was complete."""
    message = "the stream ended before the answer was complete"
    return HttpError(message, kind="stream_truncated", **_place(response, provider, body=False))


def left(response: Response, provider: str | None) -> HttpError:
    """Return the error of a response whose client stopped reading before it was complete."""
    message = "the client stopped reading before the answer was complete"
    return HttpError(message, kind="cancelled", **_place(response, provider, body=False))


def _sentence(failure: Failure) -> str:
    said = f": {failure.message}" if failure.message else ""
    return f"{failure.error} ({failure.phase}){said}"


def _failure_kind(failure: Failure) -> ErrorKind:
    # Class names of httpx, aiohttp, requests, urllib3 and botocore; httpx's ConnectTimeout is one too.
    if "timeout" in failure.error.lower() or "timedout" in failure.error.lower():
        return "timeout"
    return "cancelled" if "cancel" in failure.error.lower() else "connection"


def _body(response: Response) -> Any:
    found = response.json
    return found if found is not None else response.body.decode("utf-8", "replace") or None


def _place(response: Response, provider: str | None, *, body: bool = True) -> dict[str, Any]:
    return {
        "status": response.status,
        "request_id": request_id(response),
        "body": _body(response) if body else None,
        "provider": provider,
    }


def request_id(response: Response) -> str | None:
    """Return the provider's id of a request, from the headers of its response."""
    return next((found for name in _REQUEST_IDS if (found := response.header(name))), None)


def _provider_error(
    body: Any, response: Response, provider: str | None, otherwise: ErrorKind, status: int | None
) -> ProviderError:
    told = read(body)
    error_type = (response.header("x-amzn-errortype") or "").partition(":")[0]
    words = (error_type, *told.words) if error_type else told.words
    advice = (response.header("x-should-retry") or "").lower()
    delay = _retry_after(response)
    return ProviderError(
        told.message or (response.reason or f"HTTP status {response.status}"),
        kind=_kind(words, told.message, status or told.status, otherwise),
        status=response.status,
        code=next((word for word in words if not word.isdigit()), words[0] if words else None),
        request_id=request_id(response) or told.request_id,
        retry_after=told.delay if delay is None else delay,
        retryable={"true": True, "false": False}.get(advice),
        body=body,
        provider=provider,
    )


def _kind(words: tuple[str, ...], message: str, status: int | None, otherwise: ErrorKind) -> ErrorKind:
    for word in words:
        if (kind := _BY_WORD.get(word.lower())) is not None:
            return kind
    if status in {None, 400, 422, 500}:
        for pattern, kind in _PROSE:
            if pattern.search(message):
                return kind
    if status is not None and status >= 400:  # noqa: PLR2004  the statuses of errors
        return _BY_STATUS.get(status, "invalid_request" if status < 500 else "server_error")  # noqa: PLR2004
    for word in words:
        if (kind := _BY_GENERAL_WORD.get(word.lower())) is not None:
            return kind
    return otherwise


def _retry_after(response: Response) -> float | None:
    """Return the seconds to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        value = (response.header(name) or "").strip()
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", value):
            return float(value) / unit
    at = _instant(response.header("retry-after"))
    if at is None:
        return None
    now = _instant(response.header("date"))
    return max(0.0, at - (time.time() if now is None else now))


def _instant(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value or "").timestamp()
    except (ValueError, OverflowError):
        return None

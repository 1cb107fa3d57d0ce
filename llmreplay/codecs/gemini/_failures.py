"""Errors as Google writes them: a code, a status, and details that say more.

Where a stream was asked for without `alt=sse`, the error is in a list, as the stream would have been.
Shapes: https://cloud.google.com/apis/design/errors and recorded exchanges.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _errors
from llmreplay.codecs._encoding import retry_headers
from llmreplay.codecs._failing import Failing, failing
from llmreplay.codecs._json import each, listed, mapping, text
from llmreplay.codecs.gemini._request import STREAM, model_of
from llmreplay.exchange import Chunk, Response

if TYPE_CHECKING:
    from llmreplay.completion import ErrorKind, ProviderError
    from llmreplay.exchange import Headers, Request

__all__ = ["error_frame", "error_response", "is_array", "is_vertex", "refused", "rejected"]


_FAILURES: dict[str, Failing] = {
    "invalid_request": Failing(400, "Request contains an invalid argument.", "INVALID_ARGUMENT"),
    "authentication": Failing(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
    "permission_denied": Failing(403, "The caller does not have permission", "PERMISSION_DENIED"),
    "not_found": Failing(
        404,
        "models/{model} is not found for API version {version}, or is not supported for generateContent. "
        "Call ListModels to see the list of available models and their supported methods.",
        "NOT_FOUND",
    ),
    "request_too_large": Failing(
        400,
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        "INVALID_ARGUMENT",
    ),
    "conflict": Failing(409, "The operation was aborted.", "ABORTED"),
    "rate_limited": Failing(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "RESOURCE_EXHAUSTED",
    ),
    "quota_exhausted": Failing(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "RESOURCE_EXHAUSTED",
    ),
    "server_error": Failing(
        500,
        "An internal error has occurred. Please retry or report in "
        "https://developers.generativeai.google/guide/troubleshooting",
        "INTERNAL",
    ),
    "overloaded": Failing(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
    "not_supported": Failing(501, "Operation is not implemented, or supported, or enabled.", "UNIMPLEMENTED"),
}

_VERTEX: dict[str, Failing] = {
    "authentication": Failing(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential.",
        "UNAUTHENTICATED",
    ),
    "not_found": Failing(404, "Publisher Model `{model}` not found.", "NOT_FOUND"),
    "rate_limited": Failing(429, "Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED"),
}
"""What Vertex says in another way."""

_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The words of statuses, https://cloud.google.com/apis/design/errors#error_codes"""

_DAILY = "PerDay"
"""What the id of a quota holds that waiting a moment does not mend."""


def is_vertex(request: Request) -> bool:
    """Return whether Vertex answers, rather than AI Studio."""
    return request.host.endswith("aiplatform.googleapis.com") or "/publishers/" in request.path


def is_array(request: Request) -> bool:
    """Return whether a request wants a stream that is a JSON array."""
    return request.path.endswith(f":{STREAM}") and ("alt", "sse") not in request.query


def refused(response: Response, provider: str) -> ProviderError:
    """Return the error of a response whose status is 400 or more; a daily quota is one that is spent."""
    error = _errors.refused(response, provider)
    body = response.json
    outer = mapping(next(iter(listed(body)), None)) if isinstance(body, list) else mapping(body)
    for detail in each(mapping(outer.get("error")).get("details")):
        for violation in each(detail.get("violations")):
            if error.kind == "rate_limited" and _DAILY in text(violation.get("quotaId")):
                error.kind, error.retryable = "quota_exhausted", False
    return error


def error_response(  # noqa: PLR0913  what an error can say, each by name
    kind: ErrorKind,
    request: Request,
    *,
    status: int | None,
    message: str | None,
    code: str | None,
    retry_after: float | None,
) -> Response:
    """Return Google's status, body and headers for a kind of error."""
    known = _known(kind, request, status)
    spelled = status or known.status
    error = {
        "code": spelled,
        "message": known.message if message is None else message,
        "status": code or (known.word if spelled == known.status else "") or _WORDS.get(spelled, "UNKNOWN"),
    }
    details = _details(kind, request, retry_after)
    if details:
        error["details"] = details
    return _response(spelled, error, request, retry_headers(kind, retry_after))


def error_frame(kind: ErrorKind, request: Request, message: str | None) -> bytes:
    """Return the frame by which an error is reported in a stream."""
    known = _known(kind, request, None)
    body = {"error": {"code": known.status, "message": message or known.message, "status": known.word}}
    if is_array(request):
        return b",\r\n" + json.dumps([body], indent=2).removeprefix("[\n  ").encode()
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ": ")).encode() + b"\r\n\r\n"


def rejected(message: str, request: Request, headers: Headers) -> Response:
    """Return the 400 of a request that Google would not take."""
    return _response(400, {"code": 400, "message": message, "status": _WORDS[400]}, request, headers)


def _known(kind: ErrorKind, request: Request, status: int | None) -> Failing:
    own = _VERTEX if is_vertex(request) else {}
    known = failing(kind, {**_FAILURES, **own}, "Gemini", status)
    version = request.path.split("/")[1] if request.path.startswith("/v") else "v1beta"
    names = {"{model}": model_of(request) or "", "{version}": version}
    message = known.message
    for name, value in names.items():
        message = message.replace(name, value)
    return known._replace(message=message)


def _details(kind: ErrorKind, request: Request, retry_after: float | None) -> list[dict[str, Any]]:
    """Return what says more than the status: a bad key, a quota, when to try again."""
    details: list[dict[str, Any]] = []
    if kind == "authentication" and not is_vertex(request):
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
        )
    if kind == "quota_exhausted" or (kind == "rate_limited" and not is_vertex(request)):
        window = "PerDay" if kind == "quota_exhausted" else "PerMinute"
        violation = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": f"GenerateRequests{window}PerProjectPerModel-FreeTier",
            "quotaDimensions": {"location": "global", "model": model_of(request) or ""},
        }
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
    if retry_after is not None:
        delay = f"{retry_after:.9f}".rstrip("0").rstrip(".")
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{delay}s"})
    return details


def _response(status: int, error: dict[str, Any], request: Request, headers: Headers) -> Response:
    body: Any = [{"error": error}] if is_array(request) else {"error": error}
    data = json.dumps(body, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass") + b"\n"
    own: Headers = (
        ("content-type", "application/json; charset=UTF-8"),
        ("content-length", str(len(data))),
    )
    return Response(status, (*own, *headers), (Chunk(data),))

"""Which headers may be stored: an allow-list for each direction.

Rules:

* A name is kept because an SDK acts on it or a test may assert on it, and it identifies no account.
* A credential is never kept, whatever the user adds.
* Order, case and duplicates of what is kept stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AllowList", "is_credential"]

_BOTH = (
    "accept",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "transfer-encoding",
)

_REQUEST = (
    *_BOTH,
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "api-version",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "openai-beta",
    "prefer",
    "range",
    "user-agent",
    "x-amz-target",
    "x-amzn-bedrock-accept",
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-trace",
    "x-client-name",
    "x-fern-language",
    "x-fern-sdk-name",
    "x-fern-sdk-version",
    "x-goog-api-client",
    "x-title",
)

_RESPONSE = (
    *_BOTH,
    "accept-ranges",
    "age",
    "allow",
    "api-supported-versions",
    "apim-request-id",
    "cmp-upstream-response-duration",
    "deprecation",
    "etag",
    "expires",
    "fireworks-server-processing-time",
    "last-modified",
    "link",
    "location",
    "mistral-correlation-id",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server",
    "server-timing",
    "sunset",
    "trailer",
    "vary",
    "warning",
    "www-authenticate",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-compute-time",
    "x-content-type-options",
    "x-debug-trace-id",
    "x-envoy-upstream-service-time",
    "x-error-code",
    "x-error-message",
    "x-generation-id",
    "x-inference-time",
    "x-kong-request-id",
    "x-ms-client-request-id",
    "x-ms-error-code",
    "x-ms-region",
    "x-ms-request-id",
    "x-queue-time",
    "x-request-id",
    "x-should-retry",
    "x-total-tokens",
)

_FAMILIES = {
    "request": ("x-stainless-",),
    "response": (
        "anthropic-fast-",
        "anthropic-priority-",
        "anthropic-ratelimit-",
        "ratelimit",
        "x-amzn-bedrock-",
        "x-compute-",
        "x-groq-",
        "x-prompt-",
        "x-ratelimit-",
        "x-rate-limit-",
    ),
}

_CREDENTIAL = re.compile(
    r"^(?:proxy-)?authori[sz]ation$|cookie|secret|passw|credential|signature"
    r"|(?:^|[-_])(?:[a-z]*key|[a-z]*token|jwt|auth)(?:$|[-_])"
)
"""A name like that of a key, a token or a secret: never kept.

`x-ratelimit-remaining-tokens` counts tokens, and `x-total-tokens` too: a plural is a number.
"""


def is_credential(name: str) -> bool:
    """Tell whether a header of this name, in any case, holds a credential."""
    return bool(_CREDENTIAL.search(name.lower()))


class AllowList:
    """The header names that may be stored, for requests or for responses."""

    __slots__ = ("_families", "_names")

    def __init__(self, direction: str, extra: Iterable[str] = ()) -> None:
        wanted = {name.strip().lower() for name in extra}
        names = _REQUEST if direction == "request" else _RESPONSE
        self._names = frozenset(names) | {name for name in wanted if not _CREDENTIAL.search(name)}
        self._families = _FAMILIES[direction]

    def keeps(self, name: str) -> bool:
        """Whether a header of this name, in any case, may be stored."""
        lower = name.lower()
        if lower in self._names:
            return True
        return lower.startswith(self._families) and not _CREDENTIAL.search(lower)

"""An answer that xAI puts off: the promise of one, and the request that fetches it.

https://docs.x.ai/docs/guides/deferred-chat-completions: a request with `deferred` is answered by a
`request_id`, and `GET /chat/deferred-completion/ID` by 202 without a body until the answer is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from llmreplay.exchange import Request

if TYPE_CHECKING:
    from llmreplay.completion import CompletionResponse

__all__ = ["DEFERRED", "fetching", "is_deferred", "promised"]

DEFERRED = "deferred"
"""The finish reason of an answer that will be given later, to who asks for it by its id."""

_PLACE = "/chat/deferred-completion/"


def is_deferred(answer: CompletionResponse) -> bool:
    """Return whether an answer is none yet."""
    return answer.finish_reason == DEFERRED and not answer.choice


def promised(request: Request) -> str | None:
    """Return the id of the answer that a request fetches; None if it asks for something else."""
    if request.method != "GET":
        return None
    place, found, name = request.path.rpartition(_PLACE)
    return unquote(name) if place or found else None


def fetching(asked: Request, name: str) -> Request:
    """Return the request that fetches what another was promised, with the headers of that."""
    base = asked.url.partition("?")[0].rstrip("/").removesuffix("/chat/completions")
    headers = tuple(pair for pair in asked.headers if pair[0].lower() != "content-type")
    return Request("GET", f"{base}{_PLACE}{quote(name, safe='')}", headers)

"""What the formats of others have no word for, as the mapping that is kept beside the response in them.

Rules:

* Defaults are left out, and what a format can say itself is said there and not again.
* `_restored` is the way back.
"""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmreplay.exchange import Exchange, Failure, Response

__all__ = ["PROVENANCE", "kept", "milliseconds", "phrase", "speakable"]

PROVENANCE = ("at", "by", "client", "edge")


def kept(exchange: Exchange) -> dict[str, Any]:
    """Return what vcrpy and HAR cannot hold of an exchange, of text and booleans."""
    response, failure, provenance = exchange.response, exchange.failure, exchange.provenance
    form: dict[str, Any] = {} if response is None else _of_response(response)
    if failure is not None:
        form["failure"] = _failure(failure)
    if not provenance.boundaries:
        form["boundaries"] = False
    if provenance.origin != "imported":
        form["origin"] = provenance.origin
    return form | {name: value for name in PROVENANCE if (value := getattr(provenance, name)) is not None}


def phrase(status: int) -> str:
    """Return the standard reason phrase of a status, empty if there is none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def speakable(reason: str | None) -> bool:
    """Tell whether a phrase can stand where a status has its phrase."""
    # Stock vcrpy encodes the phrase as ASCII, and takes an empty one for none.
    return bool(reason) and str(reason).isascii()


def milliseconds(seconds: float) -> str:
    """Spell seconds as milliseconds, so that exactly the same number comes back."""
    return format(Decimal(repr(seconds)).scaleb(3).normalize(), "f")


def _of_response(response: Response) -> dict[str, Any]:
    form: dict[str, Any] = {
        "chunks": " ".join(f"{len(chunk.data)}+{milliseconds(chunk.delay)}" for chunk in response.chunks)
    }
    if response.delay:
        form["delay"] = milliseconds(response.delay)
    if response.ended != "complete":
        form["ended"] = response.ended
    if response.failure is not None:
        form["failure"] = _failure(response.failure)
    if response.http_version != "HTTP/1.1":
        form["http_version"] = response.http_version
    if response.encoding is not None:
        form["encoding"] = response.encoding
    standard = response.reason == phrase(response.status)
    if response.reason is not None and (standard or not speakable(response.reason)):
        form["reason"] = response.reason
    return form


def _failure(failure: Failure) -> dict[str, str]:
    form = {"error": failure.error, "message": failure.message, "phase": failure.phase}
    return form | ({"delay": milliseconds(failure.delay)} if failure.delay else {})

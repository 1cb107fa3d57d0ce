"""Reading the bodies of errors, of which there are as many shapes as providers.

Shapes seen: `{error: {message, type, code}}`, `{type: error, error, request_id}`, `{error: text}`,
`{code, error: text}`, `{detail}`, `{id, message}`, `{message, type, code}`,
`{error: {code, status, details}}`, one of these in a list, HTML, plain text, nothing.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from llmreplay.codecs._json import each, integer, listed, mapping, optional, text

__all__ = ["Told", "read"]


class Told(NamedTuple):
    """What the body of an error says, whatever its shape."""

    message: str
    words: tuple[str, ...]  # the most telling first
    status: int | None
    request_id: str | None
    delay: float | None


def read(body: Any) -> Told:
    """Return what the body of an error says; nothing of it has to be there."""
    if isinstance(body, list) and body:
        body = body[0]  # Gemini wraps the errors of its streams
    if not isinstance(body, dict):
        return Told(" ".join(text(body).split())[:500], (), None, None, None)
    error = body.get("error")
    inner = error if isinstance(error, dict) else {} if error is None else {"message": error}
    details = each(inner.get("details"))
    words = [
        *(
            source.get(key)
            for source in (inner, body)
            for key in ("code", "type", "status", "__type", "error_type")
        ),
        mapping(inner.get("details")).get("error_code"),  # Anthropic's finer codes
        mapping(inner.get("innererror")).get("code"),
        *(detail.get("reason") for detail in details),
    ]
    spelled = tuple(found for word in words if (found := optional(word)) and found != "error")
    places = ((inner, "code"), (inner, "status_code"), (body, "code"), (body, "raw_status_code"))
    numbers = (integer(source.get(key)) for source, key in places)
    return Told(
        message=_message(inner) or _message(body),
        words=tuple(dict.fromkeys(spelled)),
        status=next((number for number in numbers if number is not None and 400 <= number < 600), None),  # noqa: PLR2004  the statuses of errors
        request_id=optional(body.get("request_id")) or (None if inner else optional(body.get("id"))),
        delay=next(
            (delay for detail in details if (delay := _seconds(detail.get("retryDelay"))) is not None), None
        ),
    )


def _message(source: dict[str, Any]) -> str:
    for key in ("message", "Message", "detail", "msg", "error_description"):
        found = source.get(key)
        if isinstance(found, str) and found:
            return text(found)
        if isinstance(found, dict):
            return _message(found)
        if isinstance(found, list):  # FastAPI: one entry a field
            places = (".".join(str(step) for step in listed(item.get("loc"))) for item in each(found))
            messages = (_message(item) for item in each(found))
            return "; ".join(
                f"{place}: {said}" if place else said for place, said in zip(places, messages, strict=True)
            )
    return ""


def _seconds(value: Any) -> float | None:
    """Return the seconds of a protobuf duration such as `7s` or `0.25s`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", text(value))
    return float(found[1]) if found else None

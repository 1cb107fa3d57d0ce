"""How long ago the exchanges of a cassette were recorded, and how old they may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmreplay.errors import CassetteTooOld, OptionError, render

if TYPE_CHECKING:
    from llmreplay.cassette._cassette import Cassette

__all__ = ["refuse_older", "span"]

_SPAN = re.compile(r"(\d+) ?([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def span(value: str | timedelta) -> timedelta:
    """Return a span of time that is spelled as `"90d"`, `"12h"` or `"2w"`; raises `OptionError`."""
    if isinstance(value, timedelta):
        found = value
    else:
        match = _SPAN.fullmatch(str(value).strip())
        if match is None:
            raise OptionError("max_age", value, "a span of time such as '12h', '90d' or '8w', or a timedelta")
        found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found <= timedelta(0):
        raise OptionError("max_age", value, "more than nothing")
    return found


def refuse_older(cassette: Cassette, limit: timedelta, remedy: str) -> None:
    """Raise `CassetteTooOld` if an exchange was recorded longer ago than the limit."""
    now = datetime.now(UTC)
    old = [
        (number, now - at)
        for number, exchange in enumerate(cassette.exchanges, 1)
        if (at := _instant(exchange.provenance.at)) is not None and now - at > limit
    ]
    if not old:
        return
    number, oldest = max(old, key=lambda pair: pair[1])
    raise CassetteTooOld(
        render(
            f"{cassette.path} is older than it may be.",
            [
                f"oldest: exchange {number}, recorded {_told(oldest)} ago",
                f"allowed: {_told(limit)}",
                f"too old: {len(old)} of {len(cassette)} exchanges",
            ],
            [
                f"Record again, and look at what has changed: {remedy}",
                "Old is fine here? Give max_age a longer span.",
            ],
        ),
        path=cassette.path,
    )


def _told(span: timedelta) -> str:
    number, unit = (span.days, "day") if span.days else (round(span.total_seconds() / 3600), "hour")
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _instant(at: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(at or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

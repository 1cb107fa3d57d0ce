"""What a call used, as a value of the vocabulary; `_counts` knows the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _counts
from llmreplay.codecs._counts import latest, merge, report
from llmreplay.codecs._json import mapping
from llmreplay.completion import Usage

if TYPE_CHECKING:
    from llmreplay.exchange import Response

__all__ = ["NOTHING", "latest", "merge", "normalise", "report", "reported"]

NOTHING = Usage()


def reported(wire: str, response: Response) -> Usage:
    """Return what a response says was used, whole or broken off; all zero if it does not say."""
    return normalise(wire, _counts.reported(wire, response))


def normalise(wire: str, raw: dict[str, Any]) -> Usage:
    """Return the seven numbers of a wire's usage object; all zero for an empty one."""
    if not raw:
        return NOTHING
    # Our own wire keeps there what another one said.
    details = mapping(raw.get("details")) if wire == "vocabulary" else raw
    return Usage(**_counts.counted(wire, raw), details=details)

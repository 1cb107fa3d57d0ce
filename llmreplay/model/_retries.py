"""Trying again: which errors, how often, and how long to wait before.

Rules:

* Only what may succeed a second time (`retryable`) is tried again, and nothing unless it is wanted.
* A provider that says how long to wait is obeyed, unless that is longer than a minute; else the waits
  double, from half a second to eight.
* Sleeps go by `llm_clock`, as those of SDKs do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from llmreplay.completion import CompletionError

__all__ = ["Attempts", "checked_retries"]

_FIRST, _LONGEST = 0.5, 8.0
_PATIENCE = 60.0


def checked_retries(retries: int) -> int:
    """Return a number of retries; raise `OptionError` if it is none."""
    if type(retries) is not int or retries < 0:
        raise OptionError("retries", retries, "0 or more")
    return retries


class Attempts:
    """The attempts that are left for one request."""

    def __init__(self, retries: int) -> None:
        self._left, self._next = retries, _FIRST

    def ends(self, error: CompletionError) -> bool:
        """Say whether an error is to be raised, rather than waited for."""
        return not (self._left and error.retryable and (error.retry_after or 0.0) <= _PATIENCE)

    def wait(self, error: CompletionError) -> None:
        """Wait for the next attempt; raise the error if there is none."""
        time.sleep(self._pause(error))

    async def wait_async(self, error: CompletionError) -> None:
        """Wait for the next attempt; raise the error if there is none."""
        import anyio  # noqa: PLC0415  it takes a while to come

        await anyio.sleep(self._pause(error))

    def _pause(self, error: CompletionError) -> float:
        if self.ends(error):
            raise error
        self._left -= 1
        if error.retry_after is not None:
            return error.retry_after
        own, self._next = self._next, min(self._next * 2, _LONGEST)
        return own

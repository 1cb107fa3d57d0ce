"""Waiting: for a second attempt after an error, and for an answer that was put off.

Rules:

* Only what may succeed a second time (`retryable`) is tried again, and nothing unless it is wanted.
* A provider that says how long to wait is obeyed, unless that is longer than a minute; else the waits
  double, from half a second to eight.
* An answer that was put off is asked for after a second, then less and less often, to every ten; after
  ten minutes of waiting nobody does any more.
* Sleeps go by `llm_clock`, as those of SDKs do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmreplay.codecs.openai_chat._deferred import fetching, is_deferred
from llmreplay.completion import HttpError
from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from llmreplay.completion import CompletionError, CompletionResponse
    from llmreplay.exchange import Request

__all__ = ["Attempts", "Deferral", "checked_retries"]

_FIRST, _LONGEST = 0.5, 8.0
_PATIENCE = 60.0
_SOON, _SELDOM, _LIMIT = 1.0, 10.0, 600.0


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


class Deferral:
    """The waits for an answer that its provider may put off."""

    def __init__(self, asked: Request) -> None:
        self._asked, self._next, self._waited = asked, _SOON, 0.0
        self._fetch: Request | None = None

    def again(self, answer: CompletionResponse) -> Request | None:
        """Return the request by which the answer is to be fetched; None if it is there."""
        if not is_deferred(answer):
            return None
        if self._fetch is None and answer.request_id:
            self._fetch = fetching(self._asked, answer.request_id)
        return self._fetch

    def wait(self) -> None:
        """Wait until it is worth to ask again; raise `HttpError` if that was done for too long."""
        time.sleep(self._pause())

    async def wait_async(self) -> None:
        """Wait until it is worth to ask again; raise `HttpError` if that was done for too long."""
        import anyio  # noqa: PLC0415  likewise

        await anyio.sleep(self._pause())

    def _pause(self) -> float:
        if self._waited >= _LIMIT:
            raise HttpError(
                f"the answer was put off, and not there after {_LIMIT:.0f} seconds", kind="timeout"
            )
        own, self._next = self._next, min(self._next * 2, _SELDOM)
        self._waited += own
        return own

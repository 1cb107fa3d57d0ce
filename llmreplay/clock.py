"""Sleeps that take no time and are listed: those of SDKs, of retry libraries, and of your own code.

    with Clock() as clock:
        agent("What is the weather in Paris?")
    assert clock.slept == [7.0]

Rules:

* The clock belongs to the process, as `time.sleep` does: every thread and task sleeps by it. Of clocks
  inside each other the innermost lists.
* A sleep gives the others their turn once, and is over. One of no seconds or without end is none: it
  is what it was, and is not listed.
* The time that the rest of the process sees is left alone: event loops and sockets count their
  timeouts by `time.monotonic`, and a real timeout must neither fire early nor be lost. Only what the
  retry libraries in `_GIVE_UP` measure includes what was slept: those that give up after so many
  seconds, and after nothing else, would go on for ever.
* Whoever sleeps until something else has happened sleeps for real: a lock on a file, a child process,
  and llmreplay itself, which waits in the place of the provider when it replays at a pace.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

__all__ = ["Clock"]

_WAITERS = frozenset(
    {"_pytest", "anyio", "execnet", "filelock", "llmreplay", "multiprocessing", "subprocess"}
)
"""Packages whose sleeps are real: what they wait for is not that time passes."""

_RETRIES = "llmreplay.model._retries"
"""The one place of ours that waits as an SDK does."""

_LEFT_ALONE = _WAITERS | {"asyncio", "time", "trio"}
"""Packages that keep the functions they have imported by name."""

_GIVE_UP = {
    "tenacity": "time",  # stamina and google-genai retry with it
    "mistralai.client.utils.retries": "time",
    "backoff._sync": "datetime",
    "backoff._async": "datetime",
}
"""Modules that stop to retry after a time, and the module of the standard library that they ask for it."""

_lock = threading.Lock()
_clocks: list[Clock] = []  # the innermost is the last
_real: dict[str, Callable[..., Any]] = {}  # what sleeps where, without a clock
_undo: list[tuple[dict[str, Any], str, Any, Any]] = []  # namespace, name, what was there, what is there
_passed = 0.0  # virtual seconds in the life of the process, for what retry libraries measure


class Clock:
    """Makes all sleeps instant for the length of a block, and lists them.

    Attributes:
        slept: The seconds of each sleep, in the order in which they began.
        now: Virtual seconds since the clock began; sleeps that overlap count once.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 0.0

    @property
    def total(self) -> float:
        """The sum of what was slept, in seconds."""
        return math.fsum(self.slept)

    def __enter__(self) -> Self:
        with _lock:
            if self in _clocks:
                raise RuntimeError("this clock is running: make another one for the block inside")
            if not _clocks:
                _install()
            _clocks.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _lock:
            _clocks.remove(self)
            if not _clocks:
                _uninstall()


# --------------------------------------------------------------------------------------------- sleeps


def _time_sleep(seconds: float, /) -> None:
    if not _is_skipped(seconds, sys._getframe(1)):  # noqa: SLF001  who sleeps
        _real["time"](seconds)
        return
    with _passing(seconds):
        _real["time"](0)


async def _asyncio_sleep(delay: float, result: Any = None) -> Any:
    if not _is_skipped(delay, sys._getframe(1)):  # noqa: SLF001  likewise
        return await _real["asyncio"](delay, result)
    with _passing(delay):
        await _real["asyncio"](0)
    return result


async def _anyio_sleep(delay: float) -> None:
    if not _is_skipped(delay, sys._getframe(1)):  # noqa: SLF001  likewise
        await _real["anyio"](delay)
        return
    with _passing(delay):
        await _real["anyio"](0)


async def _trio_sleep(seconds: float) -> None:
    if not _is_skipped(seconds, sys._getframe(1)):  # noqa: SLF001  likewise
        await _real["trio"](seconds)
        return
    with _passing(seconds):
        await _real["trio"](0)


_SLEEPS: dict[str, Callable[..., Any]] = {
    # Not bound to the instance where a class keeps it as an attribute: the built-in one is not either.
    "time": staticmethod(_time_sleep),
    "asyncio": _asyncio_sleep,
    "anyio": _anyio_sleep,
    "trio": _trio_sleep,
}
"""What stands for `sleep` of these modules. Whoever keeps it when no clock is on sleeps for real."""


def _is_skipped(seconds: float, caller: FrameType) -> bool:
    if not _clocks or not 0 < seconds < math.inf:
        return False
    name = caller.f_globals.get("__name__")
    return name == _RETRIES or _package(name) not in _WAITERS


def _package(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


@contextmanager
def _passing(seconds: float) -> Iterator[None]:
    """List a sleep, and let its time have passed at the end of the block."""
    global _passed  # noqa: PLW0603  the time belongs to the process
    with _lock:
        if _clocks:  # the last may have ended just now, in another thread
            _clocks[-1].slept.append(float(seconds))
            _watch()  # since they may have been imported meanwhile
        end, ends = _passed + seconds, [(clock, clock.now + seconds) for clock in _clocks]
    yield
    with _lock:
        _passed = max(_passed, end)
        for clock, over in ends:
            clock.now = max(clock.now, over)


# -------------------------------------------------------------------------- what retry libraries measure


class _Time:
    """The module `time`, in which what was slept since has passed."""

    def __init__(self) -> None:
        self._since = _passed

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        return time.monotonic() + _passed - self._since

    def time(self) -> float:
        return time.time() + _passed - self._since


class _Datetime:
    """The module `datetime`, in which what was slept since has passed."""

    def __init__(self) -> None:
        since = _passed

        class Moment(dt.datetime):
            """A moment; only `now` differs."""

            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> Self:
                return super().now(tz) + dt.timedelta(seconds=_passed - since)

        self.datetime = Moment

    def __getattr__(self, name: str) -> Any:
        return getattr(dt, name)


def _watch() -> None:
    """Have the retry libraries that are there measure virtual time from now on."""
    for name, asked in _GIVE_UP.items():
        there = _namespace(sys.modules.get(name))
        if asked == "time" and there.get(asked) is time:
            _put(there, asked, _Time())
        elif asked == "datetime" and there.get(asked) is dt:
            _put(there, asked, _Datetime())


# ------------------------------------------------------------------------------------------ in and out


def _install() -> None:
    """Put the sleeps in place, also where they were imported by name."""
    import anyio  # noqa: PLC0415  SDKs sleep with it, and may import it only later

    modules = {"time": time, "asyncio": asyncio, "anyio": anyio, "trio": sys.modules.get("trio")}
    by_id: dict[int, Any] = {}
    for name, module in modules.items():
        before = getattr(module, "sleep", None)  # anyio looks it up only now
        # One of ours is there if somebody put it back after the last clock had ended.
        if before is None or before is _SLEEPS[name]:
            continue
        _real[name] = before
        by_id[id(before)] = _SLEEPS[name]
        there = _namespace(module)
        there["sleep"] = before
        _put(there, "sleep", _SLEEPS[name])
    for name, module in list(sys.modules.items()):
        if _package(name) in _LEFT_ALONE:
            continue
        there = _namespace(module)
        for key in [key for key, value in list(there.items()) if id(value) in by_id]:
            _put(there, key, by_id[id(there[key])])
    _watch()


def _uninstall() -> None:
    for there, name, before, ours in reversed(_undo):
        if there.get(name) is ours:
            there[name] = before
    _undo.clear()


def _put(there: dict[str, Any], name: str, ours: Any) -> None:
    _undo.append((there, name, there[name], ours))
    there[name] = ours


def _namespace(module: object) -> dict[str, Any]:
    """Return what a module holds; empty for what stands among the modules and is none."""
    found = getattr(module, "__dict__", None)
    return found if isinstance(found, dict) else {}

"""Which session a request belongs to, and what all open sessions together say about it.

Rules:

* A task, or a thread that inherited its context, belongs to the session that was opened in it. Any
  other thread of the process belongs to the session opened last: pools and executors copy nothing.
* A context may outlive its session (a loop that is shared by tests): a closed session counts as its
  parent, and without an open one the thread counts as any other.
* Sessions nest. The innermost decides; what it passes on, the next one decides.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from llmreplay.session._decisions import PassOn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.errors import LiveCallBlocked
    from llmreplay.exchange import Request
    from llmreplay.session._decisions import Forward, Replay
    from llmreplay.session._session import Session

__all__ = ["block", "current", "decide", "enter", "forwarding", "is_forwarding", "leave", "open_sessions"]

_of_context: ContextVar[Session | None] = ContextVar("llmreplay_session", default=None)
_forwarding: ContextVar[bool] = ContextVar("llmreplay_forwarding", default=False)
_open: list[Session] = []
_lock = threading.Lock()


def current() -> Session | None:
    """Return the innermost open session of this context, or the one opened last in the process."""
    session = _of_context.get()
    while session is not None and session.closed:
        session = session.parent
    return session or (_open[-1] if _open else None)


def enter(session: Session) -> None:
    """Make a session the innermost one."""
    session.parent = current()
    with _lock:
        _open.append(session)
    _of_context.set(session)


def leave(session: Session) -> None:
    """Take a session out, wherever it stands."""
    session.closed = True
    with _lock:
        if session in _open:
            _open.remove(session)
    # The context of the entry may be another one, or already gone: then `current` passes it over.
    if _of_context.get() is session:
        _of_context.set(session.parent)


def open_sessions() -> int:
    """Return how many sessions are open in the process."""
    return len(_open)


def decide(request: Request, edge: str) -> Replay | Forward | PassOn:
    """Ask the open sessions, the innermost first; raises a `Refusal`."""
    session = current()
    passed: PassOn | None = None
    while session is not None:
        if not session.closed:
            decision = session.decide(request, edge)
            if not isinstance(decision, PassOn):
                return decision
            if passed is None or passed.refuse is None:
                passed = decision
        session = session.parent
    return passed or PassOn()


def block(host: str) -> LiveCallBlocked | None:
    """Return the refusal of a connection to a host, or None if an open session lets it pass."""
    innermost = current()
    if innermost is None:
        return None
    concerned = set(_open)
    if _of_context.get() is not None:
        session: Session | None = innermost
        concerned = set()
        while session is not None:
            concerned.add(session)
            session = session.parent
    if any(not session.closed and (session.live or session.allows(host)) for session in concerned):
        return None
    return innermost.block(host)


@contextmanager
def forwarding() -> Iterator[None]:
    """Mark that a request is on its way down, so that no edge below decides on it again."""
    token = _forwarding.set(True)
    try:
        yield
    finally:
        _forwarding.reset(token)


def is_forwarding() -> bool:
    """Tell whether a request of this task is on its way down."""
    return _forwarding.get()

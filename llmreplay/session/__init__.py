"""The one decision for each request: replayed, forwarded to be recorded, passed on, or refused.

decide(request, edge)       asks the sessions that are open, the innermost first
Session                     one cassette (or script) in use, and all that happened to it
TapedSession                a tape in use, which decides by its own manners
Take                        one exchange while it is being recorded
current()                   the session of this task, thread or process
"""

from __future__ import annotations

from llmreplay.session._context import (
    block,
    current,
    decide,
    enter,
    forwarding,
    is_forwarding,
    leave,
    open_sessions,
)
from llmreplay.session._decisions import Forward, PassOn, Replay, Split
from llmreplay.session._rules import nothing_of_the_environment
from llmreplay.session._session import (
    Answerer,
    RecordMode,
    Session,
    Tally,
    Unused,
    is_loopback,
)
from llmreplay.session._take import Take
from llmreplay.session._taped import Keep, Tape, TapedSession

__all__ = [
    "Answerer",
    "Forward",
    "Keep",
    "PassOn",
    "RecordMode",
    "Replay",
    "Session",
    "Split",
    "Take",
    "Tally",
    "Tape",
    "TapedSession",
    "Unused",
    "block",
    "current",
    "decide",
    "enter",
    "forwarding",
    "is_forwarding",
    "is_loopback",
    "leave",
    "nothing_of_the_environment",
    "open_sessions",
]

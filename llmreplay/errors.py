"""Every way llmreplay fails, and what each failure tells its reader.

    LLMReplayError                  misuse of llmreplay itself: an ordinary exception
    ├── OptionError                 an option has a value that means nothing
    ├── MissingDependency           an optional library is needed and not installed
    ├── CassetteError               a cassette cannot be used; names file and line
    │   ├── CassetteNotFound        there is no such file
    │   ├── CassetteTooOld          it was recorded longer ago than is allowed
    │   ├── BrokenCassette          the file is damaged; `.good` keeps what could be read
    │   └── SecretInCassette        a secret would reach the disk: nothing was written
    ├── UnknownWire                 no codec knows what this exchange means
    └── UncleanFinish               what a finished session has to complain of
        ├── SwallowedRefusals       requests were refused, and the code under test hid it
        ├── UnusedExchanges         recorded exchanges were never asked for
        └── UnusedTurns             turns of a script were never asked for

    Refusal                         a request that must not be answered: a BaseException, since
    │                               SDKs retry and agents catch every ordinary exception
    ├── UnmatchedRequest            no recorded exchange answers it
    ├── LiveCallBlocked             it would have left this machine
    ├── RecordingEnded              the client reads on where the recording stops
    ├── UndecidedRequest            something failed while an answer was looked for
    ├── ScriptExhausted             the script has no turn left
    └── ScriptMistake               the script says what no model could say here

Every message has the same form: the fact, the evidence, and how to mend it. Attributes hold the
same for machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = [
    "BrokenCassette",
    "CassetteError",
    "CassetteNotFound",
    "CassetteTooOld",
    "LLMReplayError",
    "LiveCallBlocked",
    "MissingDependency",
    "OptionError",
    "RecordingEnded",
    "Refusal",
    "ScriptExhausted",
    "ScriptMistake",
    "SecretInCassette",
    "SwallowedRefusals",
    "UncleanFinish",
    "UndecidedRequest",
    "UnknownWire",
    "UnmatchedRequest",
    "UnusedExchanges",
    "UnusedTurns",
    "render",
]


def render(fact: str, evidence: Iterable[str] = (), remedies: Iterable[str] = ()) -> str:
    """Lay out a failure: one line of fact, indented evidence, and a list of remedies."""
    lines = [fact, *(f"  {line}" if line else "" for line in evidence)]
    steps = list(remedies)
    if steps:
        lines += ["", "To fix this:", *(f"  * {step}" for step in steps)]
    return "\n".join(lines)


class LLMReplayError(Exception):
    """Base of every error that reports a misuse of llmreplay."""


class OptionError(LLMReplayError, ValueError):
    """An option has a value that means nothing."""

    def __init__(self, option: str, value: object, expected: str) -> None:
        self.option, self.value, self.expected = option, value, expected
        super().__init__(f"{option} is {value!r}; expected {expected}")


class MissingDependency(LLMReplayError, ImportError):
    """An optional library is needed and not installed."""

    def __init__(self, library: str, purpose: str, extra: str | None = None) -> None:
        self.library, self.purpose = library, purpose
        wanted = f"llmreplay[{extra}]" if extra else library
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install '{wanted}'")


class CassetteError(LLMReplayError):
    """A cassette cannot be read or written."""

    def __init__(self, message: str, *, path: Path | None = None, line: int | None = None) -> None:
        self.path, self.line = path, line
        super().__init__(message)


class CassetteNotFound(CassetteError, FileNotFoundError):
    """There is no cassette at this path."""


class CassetteTooOld(CassetteError):
    """A cassette was recorded longer ago than is allowed."""


class BrokenCassette(CassetteError):
    """A cassette is damaged.

    `good` holds the exchanges that could be read, in order; `problems` the lines, from 1, with what
    is wrong there.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path | None = None,
        line: int | None = None,
        good: Sequence[Any] = (),
        problems: Sequence[tuple[int, str]] = (),
    ) -> None:
        self.good, self.problems = tuple(good), tuple(problems)
        super().__init__(message, path=path, line=line)


class SecretInCassette(CassetteError):
    """A secret would have reached the disk. `places` name where, never what."""

    def __init__(self, message: str, *, path: Path | None = None, places: Sequence[str] = ()) -> None:
        self.places = tuple(places)
        super().__init__(message, path=path)


class UnknownWire(LLMReplayError):
    """No codec knows what this exchange means."""


class UncleanFinish(LLMReplayError, AssertionError):
    """What a finished session has to complain of."""

    def __init__(self, message: str, *, refusals: Sequence[Refusal] = (), unused: Sequence[Any] = ()) -> None:
        self.refusals, self.unused = tuple(refusals), tuple(unused)
        super().__init__(message)


class SwallowedRefusals(UncleanFinish):
    """Requests were refused, and the code under test went on as if nothing had happened."""


class UnusedExchanges(UncleanFinish):
    """Recorded exchanges were never asked for."""


class UnusedTurns(UncleanFinish):
    """Turns of a script were never asked for."""


class Refusal(BaseException):
    """A request that must not be answered.

    Not an `Exception`: the anthropic and groq SDKs turn any of those from a transport into a
    connection error after two retries, and agents write `except Exception`.
    """

    def __init__(self, message: str, *, request: Any = None) -> None:
        self.request = request
        super().__init__(message)


class UnmatchedRequest(Refusal):
    """No recorded exchange answers this request. `mismatch` says which is nearest, and why."""

    def __init__(self, message: str, *, request: Any = None, mismatch: Any = None) -> None:
        self.mismatch = mismatch
        super().__init__(message, request=request)


class LiveCallBlocked(Refusal):
    """A request would have left this machine while llmreplay replays."""

    def __init__(self, message: str, *, request: Any = None, host: str | None = None) -> None:
        self.host = host
        super().__init__(message, request=request)


class RecordingEnded(Refusal):
    """The client reads on where the recording stops, because the recorded client had left."""


class UndecidedRequest(Refusal):
    """Something failed while an answer was looked for: a damaged document, a function of the user's.

    SDKs would take an ordinary exception for a broken connection, and hide it.
    """


class ScriptExhausted(Refusal):
    """The script has no turn left for this request."""


class ScriptMistake(Refusal):
    """The script says what no model could say here.

    It calls a tool that was not offered, or with arguments that the tool does not take; or a function
    of it raised, which SDKs would take for a broken connection.
    """

"""Opening a session around a block of code: `use_cassette`, `use_script`.

Rules:

* A session is opened, the edges are installed, and both are undone however the block ends.
* A block that raises is a failed one: its recording never takes the place of a good one, and what
  was refused is added to the exception as a note, since it may well be the cause.
* While no call of a model may go to the network, provider keys that are not set get a dummy value,
  so that SDK clients can be built on a machine that has none.

It is longer than most modules for the options: each is told where users look for it, in the two classes.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from llmreplay import environment, intercept
from llmreplay import session as sessions
from llmreplay.cassette import Cassette, age, anew, load
from llmreplay.errors import CassetteNotFound, LLMReplayError, OptionError
from llmreplay.session import RecordMode, Session, Split, Unused, nothing_of_the_environment

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from types import TracebackType

    from llmreplay.redaction import Redaction
    from llmreplay.script import Script, Step

__all__ = [
    "UnusedExchangesWarning",
    "close",
    "finish",
    "leave",
    "open_script",
    "open_session",
    "resume",
    "suspend",
    "use_cassette",
    "use_script",
]

T = TypeVar("T")

F = TypeVar("F", bound="Callable[..., Any]")

observers: list[Callable[[Session], object]] = []
"""Who is told of each session that ends."""


class UnusedExchangesWarning(UserWarning):
    """Recorded exchanges were never asked for, and `unused="warn"` was chosen."""


class _Block(ABC, Generic[T]):
    """A session for the length of a block: sync, async, or the run of a function."""

    def __init__(self) -> None:
        self._session: Session | None = None

    @abstractmethod
    def _open(self) -> tuple[Session, T]:
        """Open the session, and return it with what the block is given."""

    @abstractmethod
    def _another(self) -> _Block[T]:
        """Return a block like this one."""

    def __enter__(self) -> T:
        if self._session is not None:
            name = type(self).__name__
            raise OptionError(name, self, "one block at a time; make another one for the next")
        self._session, given = self._open()
        return given

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            leave(session, error, close)

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Run a function, sync or async, in a session of its own each time."""
        replayed: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def replayed(*args: Any, **kwargs: Any) -> Any:
                async with self._another():
                    return await function(*args, **kwargs)

        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = type(self).__name__
            raise TypeError(f"{name} cannot wrap a generator: use it as a context manager inside")
        else:

            @functools.wraps(function)
            def replayed(*args: Any, **kwargs: Any) -> Any:
                with self._another():
                    return function(*args, **kwargs)

        return replayed  # type: ignore[no-any-return]  # wraps keeps the signature


class use_cassette(_Block[Cassette]):  # noqa: N801  used as a function is
    """Replay a cassette, or record one, for the length of a block.

        with use_cassette("weather.yaml") as cassette:
            agent("What is the weather in Paris?")
        assert cassette.usage.output_tokens == 42

    It is a sync and an async context manager, and a decorator for functions of both kinds.

    Args:
        path: the cassette; any format that `llmreplay.load` reads can be replayed.
        record: `none` replays only; `once` records if there is no such file; `new_episodes` records
            what is missing; `all` asks everything anew; `rewrite` starts the file over.
        speed: 0 plays responses without waiting, 1 as fast as they were recorded, 2 twice as fast.
        split: cuts replayed bodies anew, to prove a parser right: `"bytes"`, sizes such as
            `(1, 5, 2)`, or a seed.
        ignore: places of a request that do not count, such as `"messages[*].content"`.
        unused: what recorded exchanges that nobody asked for do: `fail`, `warn` or `ignore`.
        only: `"llm"` leaves all HTTP alone that is no call of a model.
        allowed_hosts: hosts that may be reached live; nothing of them is recorded.
        network: `"allow"` lets connections pass that llmreplay does not see as HTTP.
        max_age: how old a recorded exchange may be that is replayed, such as `"90d"` or a `timedelta`;
            hours, days and weeks are `h`, `d`, `w`. What does not say when it was recorded has no age.
        redact: patterns of your own secrets, or functions from text to text.
        keep_headers: headers to record beyond those that are known to matter.
        share_tls: while nothing may go live, lets clients of httpx and httpx2 that are built share one TLS
            context, which saves 20 ms each; `False` gives each its own.
    """

    def __init__(  # noqa: PLR0913  options, each by name
        self,
        path: str | os.PathLike[str],
        *,
        record: RecordMode = "none",
        speed: float = 0.0,
        split: Split | Sequence[int] = None,
        ignore: Iterable[str] = (),
        unused: Unused = "fail",
        only: Literal["llm"] | None = None,
        allowed_hosts: Iterable[str] = (),
        network: Literal["block", "allow"] = "block",
        max_age: str | timedelta | None = None,
        redact: Iterable[str | re.Pattern[str] | Callable[[str], str]] = (),
        keep_headers: Iterable[str] = (),
        share_tls: bool = True,
    ) -> None:
        super().__init__()
        self._path = Path(path)
        if isinstance(redact, str):
            raise OptionError("redact", redact, f"a list such as [{redact!r}]")
        self._options: dict[str, Any] = {
            "record": record,
            "speed": speed,
            "split": split,
            "ignore": (ignore,) if isinstance(ignore, str) else tuple(ignore),
            "unused": unused,
            "only": only,
            "allowed_hosts": allowed_hosts if isinstance(allowed_hosts, str) else tuple(allowed_hosts),
            "network": network,
            "max_age": max_age,
            "redact": tuple(redact),
            "keep_headers": tuple(keep_headers),
            "share_tls": share_tls,
        }

    def _open(self) -> tuple[Session, Cassette]:
        session = open_session(self._path, **self._options)
        return session, session.cassette

    def _another(self) -> use_cassette:
        return use_cassette(self._path, **self._options)


class use_script(_Block["Script"]):  # noqa: N801  likewise
    """Answer model calls from turns written by hand, for the length of a block.

        with use_script(call("get_weather", city="Paris"), say("Sunny.")) as script:
            assert agent("How is Paris?") == "Sunny."
        assert script.requests[1].tool_results[0].text == "20 °C"

    Whatever SDK or framework the code uses is answered in its provider's own wire format. Other HTTP is
    left to whatever lies below, and refused if it would leave this machine. Turns that nobody asked for
    fail the block. It is a sync and an async context manager, and a decorator for functions of both kinds.

    Args:
        turns: what the model says, one turn for each call; see `say`, `call`, `turn`, `fail`, `cut`,
            `spoil` and `respond`; a text stands for `say` of it. Or one `Script`.
        strict: answer as the provider would where a conversation breaks its rules, and refuse turns that
            no model could give; `strict_except` names rules to leave out.
        speed: 0 plays answers without waiting, 1 with the latency and pace that the turns tell.
        split: cuts answers anew, to prove a parser right: `"bytes"`, sizes such as `(1, 5, 2)`, or a seed.
        unused: what turns that nobody asked for do: `fail`, `warn` or `ignore`.
        allowed_hosts: hosts that may be reached live.
        network: `"allow"` lets connections pass that llmreplay does not see as HTTP.
        share_tls: lets clients share a TLS context, as for `use_cassette`.
    """

    def __init__(  # noqa: PLR0913  options, each by name
        self,
        *turns: Step | Script,
        strict: bool = True,
        strict_except: Iterable[str] = (),
        speed: float = 0.0,
        split: Split | Sequence[int] = None,
        unused: Unused = "fail",
        allowed_hosts: Iterable[str] = (),
        network: Literal["block", "allow"] = "block",
        share_tls: bool = True,
    ) -> None:
        super().__init__()
        self._turns: tuple[Any, ...] = turns
        self._rules: dict[str, Any] = {"strict": strict, "strict_except": strict_except}
        self._options: dict[str, Any] = {
            "speed": speed,
            "split": split,
            "unused": unused,
            "allowed_hosts": allowed_hosts,
            "network": network,
            "share_tls": share_tls,
        }

    def _open(self) -> tuple[Session, Script]:
        from llmreplay.script import Script  # noqa: PLC0415  brings pydantic, which a replay does not need

        first = self._turns[0] if self._turns else None
        script = (
            first
            if len(self._turns) == 1 and isinstance(first, Script)
            else Script(*self._turns, **self._rules)
        )
        return open_script(script, **self._options), script

    def _another(self) -> use_script:
        return use_script(*self._turns, **self._rules, **self._options)


def open_session(  # noqa: PLR0913  the options of use_cassette that are no business of the session
    path: Path,
    *,
    record: RecordMode = "none",
    redact: Iterable[str | re.Pattern[str] | Callable[[str], str]] = (),
    keep_headers: Iterable[str] = (),
    max_age: str | timedelta | None = None,
    remedy: str = "",
    **options: Any,
) -> Session:
    """Open a session on a cassette and install the edges; `close` undoes both.

    A cassette that does not exist is an empty one: in mode `none` every request is refused, and the
    refusal says that there is nothing recorded yet.
    """
    fresh, limit = False, None if max_age is None else age.span(max_age)
    if record == "rewrite":
        cassette = anew(path)
    else:
        try:
            cassette = load(path)
        except CassetteNotFound:
            cassette, fresh = Cassette(path=path), True
    if record in ("new_episodes", "all", "rewrite"):
        cassette.refuse_if_only_read()
    remedy = remedy or f'use_cassette("{path}", record="rewrite")'
    first = cassette.first_placeholder
    rules = functools.partial(_rules, tuple(redact), environment.secrets(), tuple(keep_headers), first)
    if limit is not None and record in ("none", "once", "new_episodes"):
        age.refuse_older(cassette, limit, remedy)
    session = Session(
        cassette,
        record=record,
        fresh=fresh,
        # Patterns that mean nothing are told of at once.
        redaction=rules() if redact or keep_headers else rules,
        remedy=remedy,
        **options,
    )
    return _opened(session)


def _rules(
    redact: tuple[str | re.Pattern[str] | Callable[[str], str], ...],
    secrets: dict[str, str],
    keep_headers: tuple[str, ...],
    first: Callable[[], int],
) -> Redaction:
    from llmreplay.redaction import Redaction  # noqa: PLC0415  a replay seldom needs it

    return Redaction(patterns=redact, environ=secrets, keep_headers=keep_headers, first=first())


def open_script(script: Script, **options: Any) -> Session:
    """Open a session on a script and install the edges; `close` undoes both."""
    return _opened(Session(Cassette(), script=script, redaction=nothing_of_the_environment, **options))


_resumed: set[Session] = set()
"""Sessions for which the edges are installed: a model that is a value has one that needs none."""


def _opened(session: Session) -> Session:
    resume(session)
    return session


def resume(session: Session) -> None:
    """Let a session decide what is asked from here on."""
    intercept.install()
    try:
        if not session.records:
            environment.lend()
        session.closed = False
        sessions.enter(session)
        _resumed.add(session)
    except BaseException:  # pragma: no cover  neither of them fails
        intercept.uninstall()
        raise


def suspend(session: Session) -> None:
    """Take a session out, to be resumed or finished; one that was never let in stays as it is."""
    if session not in _resumed:
        return
    _resumed.discard(session)
    sessions.leave(session)
    intercept.uninstall()
    if not session.records:
        environment.take_back()


def close(session: Session, *, failed: bool = False) -> None:
    """End a session, write what it recorded, and raise what there is to complain of."""
    suspend(session)
    finish(session, failed=failed)


def finish(session: Session, *, failed: bool = False) -> None:
    """End a session for which no edge was installed, as `close` does."""
    for observe in observers:
        observe(session)
    session.finish(failed=failed)
    if session.unused == "warn" and not failed and (told := session.unused_told()):
        warnings.warn(told, UnusedExchangesWarning, stacklevel=4)


def leave(session: Session, error: BaseException | None, end: Callable[..., None]) -> None:
    """End the session of a block with `close` or `finish`; what it complains of is a note of its error."""
    if error is None:
        end(session)
        return
    session.acknowledge(error)
    try:
        end(session, failed=True)
    except LLMReplayError as complaint:
        error.add_note(str(complaint))
    if session.aside is not None:
        kept = f"What this run recorded is kept in {session.aside}; {session.cassette.path} is as it was."
        error.add_note(kept)

"""Opening a session around a block of code: `use_cassette`.

Rules:

* A session is opened, the edges are installed, and both are undone however the block ends.
* A block that raises is a failed one: its recording never takes the place of a good one, and what
  was refused is added to the exception as a note, since it may well be the cause.
* While no call of a model may go to the network, provider keys that are not set get a dummy value,
  so that SDK clients can be built on a machine that has none.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmreplay import intercept
from llmreplay import session as sessions
from llmreplay.cassette import Cassette, load
from llmreplay.errors import CassetteNotFound, LLMReplayError, OptionError
from llmreplay.redaction import Redaction
from llmreplay.session import RecordMode, Session, Split, Unused

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

__all__ = ["DUMMY_KEY", "UnusedExchangesWarning", "close", "open_session", "use_cassette"]

F = TypeVar("F", bound="Callable[..., Any]")

DUMMY_KEY = "llmreplay-dummy-key"
"""What a provider key is set to while nothing may go to the network and it has no value."""

_KEYS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "MISTRAL_API_KEY",
    "COHERE_API_KEY",
    "CO_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
    "FIREWORKS_API_KEY",
    "PERPLEXITY_API_KEY",
    "CEREBRAS_API_KEY",
    "HF_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


class UnusedExchangesWarning(UserWarning):
    """Recorded exchanges were never asked for, and `unused="warn"` was chosen."""


class use_cassette:  # noqa: N801  used as a function is
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
        redact: patterns of your own secrets, or functions from text to text.
        keep_headers: headers to record beyond those that are known to matter.
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
        redact: Iterable[str | re.Pattern[str] | Callable[[str], str]] = (),
        keep_headers: Iterable[str] = (),
    ) -> None:
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
            "redact": tuple(redact),
            "keep_headers": tuple(keep_headers),
        }
        self._session: Session | None = None

    def __enter__(self) -> Cassette:
        if self._session is not None:
            raise OptionError(
                "use_cassette", self._path.name, "one block at a time; make another one for the next"
            )
        self._session = open_session(self._path, **self._options)
        return self._session.cassette

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if error is None:
            close(session)
            return
        session.acknowledge(error)
        try:
            close(session, failed=True)
        except LLMReplayError as complaint:
            error.add_note(str(complaint))
        if session.aside is not None:
            error.add_note(f"What this run recorded is kept in {session.aside}; {self._path} is as it was.")

    async def __aenter__(self) -> Cassette:
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
        path, options = self._path, self._options
        replayed: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def replayed(*args: Any, **kwargs: Any) -> Any:
                async with use_cassette(path, **options):
                    return await function(*args, **kwargs)

        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("use_cassette cannot wrap a generator: use it as a context manager inside")
        else:

            @functools.wraps(function)
            def replayed(*args: Any, **kwargs: Any) -> Any:
                with use_cassette(path, **options):
                    return function(*args, **kwargs)

        return replayed  # type: ignore[no-any-return]  # wraps keeps the signature


def open_session(
    path: Path,
    *,
    record: RecordMode = "none",
    redact: Iterable[str | re.Pattern[str] | Callable[[str], str]] = (),
    keep_headers: Iterable[str] = (),
    remedy: str = "",
    **options: Any,
) -> Session:
    """Open a session on a cassette and install the edges; `close` undoes both.

    A cassette that does not exist is an empty one: in mode `none` every request is refused, and the
    refusal says that there is nothing recorded yet.
    """
    fresh = False
    if record == "rewrite":
        cassette = Cassette(path=path)
    else:
        try:
            cassette = load(path)
        except CassetteNotFound:
            cassette, fresh = Cassette(path=path), True
    session = Session(
        cassette,
        record=record,
        fresh=fresh,
        redaction=Redaction(patterns=redact, keep_headers=keep_headers, first=cassette.placeholders + 1),
        remedy=remedy or f'use_cassette("{path}", record="rewrite")',
        **options,
    )
    intercept.install()
    try:
        if not session.records:
            _dummies.lend()
        sessions.enter(session)
    except BaseException:  # pragma: no cover  neither of them fails
        intercept.uninstall()
        raise
    return session


def close(session: Session, *, failed: bool = False) -> None:
    """End a session, write what it recorded, and raise what there is to complain of."""
    sessions.leave(session)
    intercept.uninstall()
    if not session.records:
        _dummies.take_back()
    session.finish(failed=failed)
    if session.unused == "warn" and not failed and (left := session.leftovers()):
        numbers = ", ".join(str(number) for number, _ in left)
        told = f"{session.cassette.path}: recorded exchanges that were never asked for: {numbers}"
        warnings.warn(told, UnusedExchangesWarning, stacklevel=3)


class _Dummies:
    """Provider keys that are lent a dummy value while at least one session only replays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._borrowers = 0
        self._before: dict[str, str | None] = {}

    def lend(self) -> None:
        with self._lock:
            self._borrowers += 1
            if self._borrowers == 1:
                self._before = {name: os.environ.get(name) for name in _KEYS if not os.environ.get(name)}
                os.environ.update(dict.fromkeys(self._before, DUMMY_KEY))

    def take_back(self) -> None:
        with self._lock:
            self._borrowers -= 1
            if self._borrowers == 0:
                for name, value in self._before.items():
                    if os.environ.get(name) == DUMMY_KEY:
                        del os.environ[name]
                        if value is not None:
                            os.environ[name] = value
                self._before = {}


_dummies = _Dummies()

"""The life of a test's session: from its fixture, over what pytest makes of the test, to its teardown.

Rules:

* Imported when the first test asks for a session, and then it brings `llmreplay`.
* The edges stay in place from one test to the next, for as long as each asks for a session. Without one
  that is open they do nothing; the first test that asks for none has them taken out before its set-up.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

from llmreplay import intercept, use
from llmreplay.errors import LLMReplayError
from pytest_llmreplay import _COUNTS, _HOLDS, _KEPT, _OUTCOMES, _OWNERS, _RECORDED, _SESSIONS, _options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmreplay import Script
    from llmreplay.session import Session

__all__ = ["OF_MANY", "begin", "close", "let_go", "open_cassette", "open_script"]

# What a mode does to a file that an earlier test of the same run has recorded: tests may share one.
_LATER = {"rewrite": "all", "once": "new_episodes"}

OF_MANY: WeakSet[Session] = WeakSet()
"""Sessions that the tests of a wider scope share: their life is for `_shared` to end."""

_OVERRIDES_NOTHING = pytest.StashKey[bool]()


def open_cassette(item: pytest.Item) -> Session:
    """Open the session of a test on its cassette; a test that cannot have one fails."""
    __tracebackhide__ = True
    try:
        path, options, scope = _options.of(item, _redact_of(item), item.config.stash[_OWNERS])
        _mind_the_run(item.config, path, options)
        if scope == "function":
            session = use.open_session(path, **options)
        else:
            from pytest_llmreplay import _shared  # noqa: PLC0415  few tests share a cassette

            session = _shared.resume(item, path, options, scope, partial(_done, item.config, None))
            OF_MANY.add(session)
    except (LLMReplayError, pytest.UsageError) as misuse:
        told = f"{item.nodeid} cannot use its cassette: {misuse}"
    else:
        _hold(item.config)
        return begin(item, session)
    pytest.fail(told, pytrace=False)


def open_script(item: pytest.Item, script: Script) -> Session:
    """Open the session of a test on a script."""
    session = use.open_script(script, **_options.of_network(item.config))
    _hold(item.config)
    return begin(item, session)


def begin(item: pytest.Item, session: Session) -> Session:
    """Let a test answer for a session that was opened for it."""
    sessions = item.stash.setdefault(_SESSIONS, [])
    if not sessions:
        item.stash[_OUTCOMES] = []
        _guard_teardown(item)
    sessions.append(session)
    return session


def close(item: pytest.Item, session: Session) -> None:
    """End the session of a test, account for it, and fail the teardown if there is still a complaint."""
    __tracebackhide__ = True
    sessions = item.stash[_SESSIONS]
    sessions.remove(session)
    if not sessions:
        del vars(item)["addfinalizer"]
    complaint = ""
    failed = not _went_well(item.stash[_OUTCOMES], session)
    if session in OF_MANY:
        from pytest_llmreplay import _shared  # noqa: PLC0415  see `open_cassette`

        if complaint := _shared.suspend(item, session, failed=failed):
            pytest.fail(complaint, pytrace=False)
        return
    try:
        use.close(session, failed=failed)
    except LLMReplayError as error:
        complaint = str(error)
    _done(item.config, item, session, complaint)


def let_go(config: pytest.Config) -> None:
    """Take out the edges that were left in place for the next test."""
    config.stash[_HOLDS] = False
    intercept.release()


def _hold(config: pytest.Config) -> None:
    if not config.stash[_HOLDS]:
        config.stash[_HOLDS] = True
        intercept.hold()


def _redact_of(item: pytest.Item) -> Iterable[Any]:
    """Return what the fixture `llm_redact` gives; it costs nothing where nobody has overridden it."""
    parent: Any = item.parent
    ours = parent.stash.get(_OVERRIDES_NOTHING, None)
    if ours is None:
        try:
            # Tests of one parent see the same fixtures.
            defined = vars(item.session)["_fixturemanager"].getfixturedefs("llm_redact", item)
        except (AttributeError, KeyError):  # pragma: no cover  another pytest
            defined = ()
        ours = parent.stash[_OVERRIDES_NOTHING] = len(defined or ()) == 1
    if ours:
        patterns: list[str] = item.config.getini("llm_redact")
        return patterns
    overridden: Iterable[Any] = vars(item)["_request"].getfixturevalue("llm_redact")
    return overridden


def _mind_the_run(config: pytest.Config, path: Any, options: dict[str, Any]) -> None:
    """Let a test add to a file that another one of this run has begun, rather than start it over."""
    mode = options["record"]
    if mode not in _LATER:
        return
    from llmreplay.cassette import runs  # noqa: PLC0415  a replay needs none of it

    # Under xdist a run has a name.
    run = getattr(config, "workerinput", {}).get("testrunuid")
    # In this order: a file that this run has made was not there without its mark.
    there, began = path.exists(), run is not None and runs.began(path, run)
    if path in config.stash[_RECORDED] or began:
        options["record"] = _LATER[mode]
    elif run and (mode == "rewrite" or not there):
        runs.begin(path, run)
        # Another process may make the file before this one looks for it.
        options["record"] = "new_episodes" if mode == "once" else mode


def _done(config: pytest.Config, item: pytest.Item | None, session: Session, complaint: str) -> None:
    """Account for a session that is over, and raise what it has to complain of."""
    __tracebackhide__ = True
    counts, tally = config.stash[_COUNTS], session.tally
    counts["replayed" if session.script is None else "scripted"] += tally.replayed
    counts["recorded"] += tally.recorded
    counts["refused"] += tally.refused
    counts["tokens"] += session.tokens
    path = session.cassette.path
    if session.aside is not None:
        told = f"The test did not pass: what it recorded is kept in {session.aside}; {path} is as it was."
        if item is None:
            config.stash[_KEPT].append(told.replace("The test", "A test that shares its cassette"))
        else:
            item.add_report_section("teardown", "llmreplay", told)
    elif tally.recorded and path is not None:
        config.stash[_RECORDED].add(path)
    if complaint:
        pytest.fail(complaint, pytrace=False)


def _went_well(outcomes: list[str], session: Session) -> bool:
    """Tell whether what a test recorded may take the place of what was recorded before."""
    # The last outcome is the test's own, after those of its subtests. No outcome: the set-up failed.
    if not outcomes or "failed" in outcomes:
        return False
    path = session.cassette.path
    # A failure that was expected is recorded, or it could never be replayed; but not over anything.
    return outcomes[-1] == "passed" or (outcomes[-1] == "xfailed" and path is not None and not path.exists())


def _guard_teardown(item: pytest.Item) -> None:
    """Let a refusal in a teardown be an ordinary failure: pytest stops at any other BaseException.

    It would drop the fixtures that it has not torn down yet, and the next test would stumble over them.
    """
    add = item.addfinalizer

    def addfinalizer(finalizer: Callable[[], object]) -> None:
        def guarded() -> None:
            __tracebackhide__ = True
            try:
                finalizer()
            except BaseException as error:
                from pytest_llmreplay import _verdict, failed  # noqa: PLC0415  few teardowns fail

                if _verdict.stops_pytest(error):
                    failed(item, error)
                    raise _verdict.failure(error) from None
                raise

        add(guarded)

    vars(item)["addfinalizer"] = addfinalizer

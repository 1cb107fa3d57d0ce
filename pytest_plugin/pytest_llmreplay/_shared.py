"""Cassettes that the tests of a class, a module, a package or a whole run take from, one after the other.

Rules:

* Each exchange is played once for all of them together; what nobody asked for is told at the end of the
  last one, if every test of the scope has run in this process.
* What a test swallowed is held against that test. What the tests recorded is written at the end, beside
  the cassette if one of them failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import use
from llmreplay.errors import LLMReplayError
from pytest_llmreplay import _DESELECTED, _options
from pytest_llmreplay._life import OF_MANY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmreplay.session import Session

__all__ = ["SCOPES", "judge", "resume", "suspend"]

SCOPES: dict[str, type[pytest.Collector]] = {
    "class": pytest.Class,
    "module": pytest.Module,
    "package": pytest.Package,
    "session": pytest.Session,
}


@dataclass(eq=False)
class _Shared:
    session: Session
    options: dict[str, Any]
    tests: set[str] = field(default_factory=set)
    failed: bool = False


_SHARED = pytest.StashKey[dict["Path", _Shared]]()


def resume(
    item: pytest.Item, path: Path, options: dict[str, Any], scope: str, done: Callable[[Session, str], None]
) -> Session:
    """Return the session that a test shares with others of its scope; the first one opens it.

    `done` is told of it when it is over, with what it has to complain of.
    """
    node = item.getparent(SCOPES[scope])
    if node is None:
        raise pytest.UsageError(
            f"the marker llm_cassette has scope={scope!r}, and this test is in no {scope}"
        )
    shared = node.stash.setdefault(_SHARED, {})
    one = shared.get(path)
    if one is None:
        one = _Shared(use.open_session(path, **options), options)
        # Until the last test is over nobody can say what is left.
        one.session.unused = "ignore"
        shared[path] = one
        node.addfinalizer(partial(_finish, node, path, scope, done))
    elif differing := sorted(
        name for name in {*options, *one.options} - {"remedy"} if options.get(name) != one.options.get(name)
    ):
        raise pytest.UsageError(
            f"{path} is shared by the tests of a {scope}, and this one has other options: "
            + ", ".join(differing)
        )
    else:
        use.resume(one.session)
    one.tests.add(item.nodeid)
    return one.session


def suspend(item: pytest.Item, session: Session, *, failed: bool) -> str:
    """Take a shared session out after a test, and return what it has to complain of."""
    use.suspend(session)
    for _, one in _all(item):
        if one.session is session:
            one.failed = one.failed or failed
    complaint = session.complaint(failed=True)
    session.refusals.clear()
    return "" if complaint is None else str(complaint)


def judge(session: Session) -> None:
    """Take what was told of a test as told, and go on."""
    if session in OF_MANY:
        session.refusals.clear()
    else:
        session.acknowledge()


def _all(item: pytest.Item) -> list[tuple[Path, _Shared]]:
    return [pair for node in item.listchain() for pair in node.stash.get(_SHARED, {}).items()]


def _finish(node: pytest.Collector, path: Path, scope: str, done: Callable[[Session, str], None]) -> None:
    __tracebackhide__ = True
    one = node.stash[_SHARED].pop(path)
    if _is_whole(node, path, scope, one):
        one.session.unused = one.options["unused"]
    complaint = ""
    try:
        use.finish(one.session, failed=one.failed)
    except LLMReplayError as error:
        complaint = str(error)
    done(one.session, complaint)


def _is_whole(node: pytest.Collector, path: Path, scope: str, one: _Shared) -> bool:
    """Tell whether every test that shares a cassette has run here, and passed."""
    config = node.config
    named = any("::" in argument for argument in config.args)
    if one.failed or named or config.stash.get(_DESELECTED, False):
        return False
    return all(
        item.nodeid in one.tests
        for item in node.session.items
        if node in item.listchain() and _options.shares(item, path, scope)
    )

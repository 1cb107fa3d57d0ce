"""How a failure reads: the refusals that were swallowed before it, and no frames of the SDK below it.

Rules:

* What a failure shows anyway (it is a refusal, holds one, or came of one) is not told again.
* A refusal is raised at the bottom of an SDK and an HTTP client, whose dozens of frames say nothing
  about the test: the traceback ends at the last line of the project. `--full-trace` shows them all.
"""

from __future__ import annotations

import os
import sysconfig
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

import llmreplay
from llmreplay.errors import LLMReplayError, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.session import Session

__all__ = ["failure", "stops_pytest", "tell"]


def tell(session: Session, error: BaseException, config: pytest.Config) -> None:
    """Make an error that fails a test tell all that the session has to say, once."""
    shown = list(_shown(error))
    for one in shown:
        session.acknowledge(one)
        if isinstance(one, Refusal | LLMReplayError) and not config.getoption("fulltrace"):
            one.__traceback__ = _upto_the_project(one.__traceback__, config.rootpath)
    complaint = session.complaint(failed=True)
    if complaint is not None and not isinstance(error, pytest.skip.Exception):
        error.add_note(f"\n{complaint}")
    session.acknowledge()


def stops_pytest(error: BaseException) -> bool:
    """Tell whether an error in a teardown would end it, without having to end the run."""
    return not isinstance(
        error, Exception | pytest.fail.Exception | pytest.skip.Exception | KeyboardInterrupt
    )


def failure(error: BaseException) -> BaseException:
    """Return a failure as pytest knows it that reads as an error does."""
    parts = [str(one) for one in _shown(error) if isinstance(one, Refusal)] or [str(error)]
    return pytest.fail.Exception("\n\n".join(parts)).with_traceback(error.__traceback__)


def _shown(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that pytest shows with it: its parts, its cause, what it came of."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting.append(one.__cause__ if one.__suppress_context__ else one.__context__)


def _upto_the_project(traceback: TracebackType | None, root: Path) -> TracebackType | None:
    entries: list[TracebackType] = []
    at = traceback
    while at is not None:
        entries.append(at)
        at = at.tb_next
    while entries and not _of_the_project(entries[-1], root):
        entries.pop()
    upto: TracebackType | None = None
    for entry in reversed(entries):
        upto = TracebackType(upto, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    # Without any line of the project there is nothing better to show.
    return upto or traceback


def _of_the_project(entry: TracebackType, root: Path) -> bool:
    file = entry.tb_frame.f_code.co_filename
    if not file.startswith("<") and not file.startswith(_libraries()):
        return True
    # The project itself may be installed beside the libraries, as tox does.
    package = str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    return package not in _OURS and any((folder / package).is_dir() for folder in (root, root / "src"))


_OURS = ("llmreplay", "pytest_llmreplay")


@cache
def _libraries() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    installed = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    ours = {str(Path(file).parent) for file in (__file__, llmreplay.__file__)}
    return tuple(f"{folder}{os.sep}" for folder in installed | ours)

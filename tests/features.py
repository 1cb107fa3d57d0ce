"""Holds docs/features.md against what really ran: a pytest plugin of this suite.

A run of the whole suite fails if a test that the table names did not pass. What needs the corpus may
be skipped where there is none.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FEATURES = Path(__file__).parent.parent / "docs" / "features.md"
_ROW = re.compile(r"^\| (\w+\.\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def features() -> dict[str, list[str]]:
    """Return the tests of each row, by its id; none where it is not there yet."""
    return {row: re.findall(r"`([^`]+)`", shown) for row, shown in _ROW.findall(FEATURES.read_text())}


def pytest_configure(config: pytest.Config) -> None:
    # A worker's own notes are not used: the controller hears of every worker's tests.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Shown(config))


class _Shown:
    """What ran, and whether that shows every feature that the table says is there."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._outcomes.setdefault(report.nodeid.partition("[")[0], set()).add(report.outcome)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        config = self._config
        options = config.option
        chosen = config.args != config.getini("testpaths") or options.keyword or options.markexpr
        if chosen or options.collectonly or session.exitstatus != 0:
            return
        missing = list(self._missing())
        if missing:
            reporter = config.pluginmanager.get_plugin("terminalreporter")
            for line in missing:
                reporter.write_line(f"docs/features.md: {line}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _missing(self) -> Iterator[str]:
        for row, tests in features().items():
            for test in tests:
                seen = self._outcomes.get(test.partition("[")[0], set())
                if "passed" not in seen and not (
                    seen == {"skipped"} and "LLMREPLAY_CORPUS" not in os.environ
                ):
                    yield f"{row} names {test}, which {'was ' + ', '.join(seen) if seen else 'did not run'}"

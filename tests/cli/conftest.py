"""What the tests of the command line share: running it, and saving cassettes to run it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from llmreplay import Cassette, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Callable[..., Any]:
    """Run `llmreplay` in this process, with the given arguments."""

    def run(*arguments: object, **environment: str) -> Any:
        from llmreplay.cli import app

        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def saved(tmp_path) -> Callable[..., Any]:
    """Save exchanges as a cassette; returns its path."""

    def saved(*exchanges: Exchange, name: str = "weather.yaml"):
        path = tmp_path / name
        Cassette(exchanges).save(path)
        return path

    return saved

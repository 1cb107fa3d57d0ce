"""Libraries are taken when they are imported, and given back; imports go their way."""

from __future__ import annotations

import importlib
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay.intercept import _libraries
from llmreplay.intercept._libraries import Patches, stop_watching, when_imported
from tests.edges._clients import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "llmreplay_tests_late_library"
SOURCE = "class Client:\n    def send(self):\n        return 'real'\n"


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a library lies that nobody has imported yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{NAME}.py").write_text(SOURCE)
    yield tmp_path
    stop_watching()
    sys.modules.pop(NAME, None)


def edge(real: Any) -> Any:
    def send(self: Any) -> str:
        return f"ours over {real(self)}"

    return send


def test_a_library_is_told_of_when_its_import_has_ended():
    told: list[str] = []
    when_imported(NAME, lambda module: told.append(module.Client().send()))
    assert told == []
    assert importlib.import_module(NAME)
    assert told == ["real"]
    importlib.import_module(NAME)
    assert told == ["real"]


def test_a_library_that_is_there_is_told_of_at_once():
    module = importlib.import_module(NAME)
    told: list[Any] = []
    when_imported(NAME, told.append)
    assert told == [module]


def test_a_library_is_told_of_again_if_it_is_imported_anew():
    told: list[Any] = []
    when_imported(NAME, told.append)
    importlib.import_module(NAME)
    del sys.modules[NAME]
    importlib.import_module(NAME)
    assert len({id(module) for module in told}) == 2


def test_an_import_that_fails_is_told_of_when_it_succeeds(library):
    (library / f"{NAME}.py").write_text("raise ImportError('broken')")
    told: list[Any] = []
    when_imported(NAME, told.append)
    with pytest.raises(ImportError, match="broken"):
        importlib.import_module(NAME)
    assert told == []
    (library / f"{NAME}.py").write_text(SOURCE + "# mended\n")
    importlib.invalidate_caches()
    importlib.import_module(NAME)
    assert len(told) == 1


def test_a_library_that_is_not_installed_is_not_found_by_us():
    when_imported("llmreplay_tests_no_such_library", pytest.fail)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("llmreplay_tests_no_such_library")


def test_a_loader_that_serves_other_modules_too_is_left_as_it_was(library, monkeypatch):
    with zipfile.ZipFile(library / "packed.zip", "w") as packed:
        packed.writestr("llmreplay_tests_packed.py", "import llmreplay_tests_beside as beside")
        packed.writestr("llmreplay_tests_beside.py", "")
    monkeypatch.syspath_prepend(str(library / "packed.zip"))
    told: list[str] = []
    when_imported("llmreplay_tests_packed", lambda module: told.append(module.__name__))
    module = importlib.import_module("llmreplay_tests_packed")
    assert told == ["llmreplay_tests_packed"]
    assert "exec_module" not in vars(module.__spec__.loader)
    for name in ("llmreplay_tests_packed", "llmreplay_tests_beside"):
        del sys.modules[name]


def test_nobody_is_told_after_the_watch_has_ended():
    when_imported(NAME, pytest.fail)
    spec = _libraries._finder.find_spec(NAME, None)
    stop_watching()
    stop_watching()
    assert _libraries._finder not in sys.meta_path
    assert importlib.import_module(NAME)
    spec.loader.exec_module(sys.modules[NAME])  # found before, run after


def test_imports_are_watched_while_a_session_is_open_and_no_longer(tape):
    with record(tape):
        with record(tape.with_name("inner.yaml")):
            pass
        assert sys.meta_path.count(_libraries._finder) == 1
    assert _libraries._finder not in sys.meta_path


def test_a_method_is_replaced_once_and_put_back():
    client = importlib.import_module(NAME).Client
    real, patches = client.send, Patches()
    for _ in range(2):
        patches.put(client, "send", edge)
    assert client().send() == "ours over real"
    patches.take_out()
    assert client.send is real


def test_a_method_that_was_inherited_is_inherited_again():
    client = type("Child", (importlib.import_module(NAME).Client,), {})
    patches = Patches()
    patches.put(client, "send", edge)
    assert client().send() == "ours over real"
    patches.take_out()
    assert "send" not in vars(client)

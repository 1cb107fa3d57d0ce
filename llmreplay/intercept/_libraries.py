"""Client libraries that an edge is put into: those that are there now, and those that are imported later.

Rules:

* No library is imported in order to be patched. One that the code under test imports while a session
  is open is told of as soon as its import has ended, before anybody can make a request with it.
* Each class is taken once, by whatever name its library is known, and taken again if somebody has
  come over us, or was there before us and put back what he had found.
* On the way out only what is still ours is put back.
"""

from __future__ import annotations

import importlib
import sys
import threading
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["REAL", "Patches", "stop_watching", "untouched", "when_imported"]

# What an edge stands for, noted on the edge itself.
REAL = "_llmreplay_real"


_all: list[Patches] = []


class Patches:
    """The methods that one edge has replaced."""

    def __init__(self) -> None:
        self._put: dict[tuple[Any, str], tuple[Any, Any]] = {}
        _all.append(self)

    def put(self, owner: Any, method: str, edge: Callable[[Any], Any]) -> None:
        """Replace a method of a class by what `edge` makes of it, unless that is done already.

        The same goes for another attribute, and for one of a module.
        """
        there = getattr(owner, method)
        if there is self._put.get((owner, method), (None, None))[1]:
            return
        # A class may inherit from ours: that does not make it ours.
        if REAL in getattr(there, "__dict__", ()):
            # Ours of an earlier session: somebody who came after us put it back when it had ended.
            real, ours = getattr(there, REAL), there
        else:
            real, ours = there, edge(there)
            setattr(ours, REAL, real)
        self._put[owner, method] = (real, ours)
        setattr(owner, method, ours)

    @property
    def stand(self) -> bool:
        """Whether each is where it was put."""
        return all(getattr(owner, method) is put[1] for (owner, method), put in self._put.items())

    def take_out(self) -> None:
        """Put everything back, where nobody has put something else over it."""
        for (owner, method), (real, ours) in self._put.items():
            if owner.__dict__.get(method) is not ours:
                continue
            if any(base.__dict__.get(method) is real for base in getattr(owner, "__mro__", ())[1:]):
                delattr(owner, method)  # it was inherited
            else:
                setattr(owner, method, real)
        self._put.clear()


def when_imported(name: str, patch: Callable[[ModuleType], None]) -> None:
    """Call `patch` with a library: now if it is there, else once it has been imported."""
    _finder.awaited[name] = patch
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    library = sys.modules.get(name)
    if library is not None:
        if library is not _whole.get(name):
            # It may be half imported by another thread: this waits for the rest.
            library = _whole[name] = importlib.import_module(name)
        patch(library)


def untouched() -> bool:
    """Tell whether all is as it was left: every edge, and the libraries that are there or are waited for."""
    modules = sys.modules
    return (
        _finder in sys.meta_path
        and all(modules.get(name) is _whole.get(name) for name in _finder.awaited)
        and all(patches.stand for patches in _all)
    )


def stop_watching() -> None:
    """Let imports go their way again."""
    _finder.awaited.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


class _Finder(MetaPathFinder):
    """Finds nothing of its own: it asks the others, and has itself told when the import has ended."""

    def __init__(self) -> None:
        self.awaited: dict[str, Callable[[ModuleType], None]] = {}
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.awaited or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            found = (
                finder.find_spec(fullname, path, target)
                for finder in [*sys.meta_path]
                if hasattr(finder, "find_spec")
            )
            spec = next((spec for spec in found if spec is not None), None)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            self._told_by(spec.loader, fullname)
        return spec

    def _told_by(self, loader: Any, name: str) -> None:
        real = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            real(module)
            # A loader may serve others too, as that of an archive does.
            if module.__name__ == name:
                del loader.exec_module
                if name in self.awaited:
                    self.awaited[name](module)
                    _whole[name] = module

        loader.exec_module = exec_module


_finder = _Finder()
# Libraries that are known to be imported to the end.
_whole: dict[str, ModuleType] = {}

"""Cassettes that no test uses, and exchanges that none asked for, over a whole run and all its processes.

Rules:

* A cassette is used if a session was opened on it, or if it was loaded, by whatever means.
* Looked at are the folders `cassettes` beside the tests that were collected, and `llm_cassette_dir`.
* Where a part of the tests was left out, nothing can be told, and that is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from llmreplay.session import Session

__all__ = ["Account"]

_ENDINGS = frozenset({".yaml", ".yml", ".json", ".har"})
_ASIDE = (".failed", ".broken")


class Account:
    """What the tests of a run used, as far as this process has seen; those of others are added."""

    def __init__(self, config: pytest.Config) -> None:
        from llmreplay import use  # noqa: PLC0415  this run asked for it
        from llmreplay.cassette import watchers  # noqa: PLC0415

        self._config = config
        self._total: dict[str, int] = {}
        self._played: dict[str, set[int]] = {}
        self._files: set[str] = set()
        self._left_out = 0
        use.observers.append(self._ended)
        watchers.append(self._loaded)

    def close(self) -> None:
        """Look no further."""
        from llmreplay import use  # noqa: PLC0415
        from llmreplay.cassette import watchers  # noqa: PLC0415

        use.observers.remove(self._ended)
        watchers.remove(self._loaded)

    def _loaded(self, path: Path) -> None:
        self._played.setdefault(str(path.resolve()), set())

    def _ended(self, session: Session) -> None:
        path = session.cassette.path
        if path is None or session.script is not None:
            return
        place = str(path.resolve())
        played = self._played.setdefault(place, set())
        if session.records:  # what was recorded now was asked for
            self._total[place] = 0
        elif self._total.setdefault(place, len(session.cassette)):
            played.update(session.played)

    def collected(self, items: Iterable[pytest.Item]) -> None:
        """Note the files that tests were collected from."""
        self._files.update(str(item.path) for item in items)

    def deselected(self, count: int) -> None:
        """Note that some of them will not run."""
        self._left_out += count

    def sent(self) -> dict[str, Any]:
        """Return all of it as another process can be told."""
        return {
            "total": self._total,
            "played": {place: sorted(played) for place, played in self._played.items()},
            "files": sorted(self._files),
            "left_out": self._left_out,
        }

    def add(self, sent: dict[str, Any]) -> None:
        """Add what another process has seen."""
        for place, total in sent["total"].items():
            self._total[place] = min(total, self._total.get(place, total))
        for place, played in sent["played"].items():
            self._played.setdefault(place, set()).update(played)
        self._files.update(sent["files"])
        self._left_out = max(self._left_out, sent["left_out"])

    def told(self) -> list[str]:
        """Return what there is to tell, line by line; nothing if everything was used."""
        if self._is_partial():
            return ["whether cassettes are orphaned is told when all tests run"]
        root = self._config.rootpath
        lines = [
            f"{_short(path, root)}: no test uses this cassette"
            for path in self._there()
            if str(path.resolve()) not in self._played
        ]
        for place, total in sorted(self._total.items()):
            left = [str(at + 1) for at in range(total) if at not in self._played[place]]
            if left:
                lines.append(
                    f"{_short(Path(place), root)}: no test asks for exchange {', '.join(left)} of {total}"
                )
        return lines

    def accuses(self) -> bool:
        """Tell whether something was used by no test, as far as that can be told."""
        return not self._is_partial() and bool(self.told())

    def _is_partial(self) -> bool:
        return bool(self._left_out) or any("::" in argument for argument in self._config.args)

    def _there(self) -> Iterator[Path]:
        configured: str = self._config.getini("llm_cassette_dir")
        folders: set[Path] = set()
        if configured and not self._of_files():
            folders.add(self._config.rootpath / configured)
        for file in map(Path, self._files):
            beside = file.parent / "cassettes"
            # Of a run of some files, the others of the same folder are not known.
            folders.add(beside / file.stem if self._of_files() else beside)
        for folder in sorted(folders):
            yield from (
                path
                for path in sorted(folder.rglob("*"))
                if path.suffix in _ENDINGS and path.is_file() and not path.stem.endswith(_ASIDE)
            )

    def _of_files(self) -> bool:
        return any(Path(argument).suffix == ".py" for argument in self._config.args)


def _short(path: Path, root: Path) -> str:
    try:
        return str(path.resolve().relative_to(root.resolve()))
    except ValueError:
        return str(path)

"""`llmreplay check`: whether cassettes may be committed, and whether they can be replayed.

Rules:

* Every exchange is read, and the bytes of every file are searched for secrets; what a secret is, is
  never printed, only where it stands.
* A file that was edited by hand is fine, and worth a word. A secret or a damaged file is a problem.
* In a folder, files that are no cassettes are passed over. A file that is named has to be one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from llmreplay.cli._files import below
from llmreplay.cli._terminal import NoColor, console, count, print_json, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from llmreplay.cassette import Cassette
    from llmreplay.redaction import Redaction

__all__ = ["check"]

_ENDINGS = (".yaml", ".yml", ".json", ".har")
_MANY = 20
# What opens a document of the native format: it tells a cassette that has lost its head.
_OPENING = re.compile(rb"^--- # (?:[0-9a-f]{16}\.){1,2}[0-9a-f]{16} [0-9a-f]{16}$", re.MULTILINE)


@dataclass
class _Finding:
    """Something to be said of a file; `line` counts from 1, None if it is the whole of it."""

    kind: str
    message: str
    line: int | None = None


@dataclass
class _Checked:
    """What was found in a file."""

    path: Path
    exchanges: int = 0
    problems: list[_Finding] = field(default_factory=list)
    warnings: list[_Finding] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "path": str(self.path),
            "exchanges": self.exchanges,
            "problems": [_data(finding) for finding in self.problems],
            "warnings": [_data(finding) for finding in self.warnings],
            "fixed": self.fixed,
        }


def _data(finding: _Finding) -> dict[str, Any]:
    return {"kind": finding.kind, "line": finding.line, "message": finding.message}


def check(  # noqa: PLR0913  options of a command, each by name
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Cassettes, and folders to search for them.", show_default=False),
    ],
    *,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Refresh what was edited by hand; keep what can be read of a damaged file."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for problems.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for a program; see below.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")] = False,
    no_color: NoColor = False,
) -> None:
    """Find secrets, damage and hand edits in cassettes; made for CI.

    Folders are searched for cassettes named *.yaml, *.yml, *.json or *.har;
    hidden folders and other files are passed over. Problems are secrets, and files that
    cannot be read. The values of environment variables named like a secret are
    searched for too. An exchange that was edited by hand since it was recorded
    is fine: it is a warning, which --fix takes away.

    [bold]--fix[/] writes edited files anew, and damaged ones from what can be read of
    them; the damaged file stays beside, as NAME.broken. It takes out no secrets:
    in Python, cassette = llmreplay.load(path); cassette.redact(); cassette.save().

    [bold]--json[/] writes an object:
      files        [{path, exchanges, problems, warnings, fixed}], where problems
                   and warnings are [{kind, line, message}]; kind is secret,
                   broken, unreadable, not a cassette, edited or not fixed
      exchanges, problems, warnings     how many in all

    Exit code: 0 if there is no problem, or none is left after --fix; 1 if there
    is one; 2 if a path does not exist.
    """
    out, err = console(no_color=no_color), console(no_color=no_color, stderr=True)
    missing = [path for path in paths if not path.exists()]
    for path in missing:
        tell(err, f"There is no file or folder {path}.", "red")
    if missing:
        raise typer.Exit(2)
    files = _files(paths)
    checked = [one for one in _all_checked(err, files, fix=fix) if one is not None]
    problems = sum(len(one.problems) for one in checked)
    warnings = sum(len(one.warnings) for one in checked)
    exchanges = sum(one.exchanges for one in checked)
    if as_json:
        numbers = {"exchanges": exchanges, "problems": problems, "warnings": warnings}
        print_json({"files": [one.data() for one in checked], **numbers})
    else:
        _report(out, checked, quiet=quiet and not strict)
        if not quiet:
            _sum_up(out, len(checked), exchanges, problems, warnings)
    if not checked and not quiet:
        tell(err, f"No cassette in {', '.join(str(path) for path in paths)}.", "yellow")
    raise typer.Exit(1 if problems or (strict and (warnings or not checked)) else 0)


def _files(paths: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Return each file once, with whether it was named."""
    files: dict[Path, bool] = {}
    for path in paths:
        if path.is_dir():
            for found in below(path, _ENDINGS):
                files.setdefault(found, False)
        else:
            files[path] = True
    return list(files.items())


def _all_checked(err: Console, files: list[tuple[Path, bool]], *, fix: bool) -> Iterator[_Checked | None]:
    from llmreplay.redaction import Redaction  # noqa: PLC0415  compiles many patterns

    redaction = Redaction()
    for path, named in _with_progress(err, files):
        yield _check(path, redaction, named=named, fix=fix)


def _with_progress(err: Console, files: list[tuple[Path, bool]]) -> Iterable[tuple[Path, bool]]:
    if not err.is_terminal or len(files) <= _MANY:
        yield from files
        return
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield from progress.track(files)


def _check(path: Path, redaction: Redaction, *, named: bool, fix: bool) -> _Checked | None:
    """Check a file; None if it is no cassette, and nobody said it was."""
    from llmreplay.cassette import load  # noqa: PLC0415  brings the codecs
    from llmreplay.errors import BrokenCassette, CassetteError  # noqa: PLC0415

    checked = _Checked(path)
    cassette: Cassette | None = None
    try:
        cassette = load(path)
        checked.exchanges = len(cassette)
    except BrokenCassette as error:
        checked.exchanges = len(error.good)
        checked.problems.append(_Finding("broken", str(error), error.line))
    except CassetteError as error:
        finding = _no_cassette(path, error, named=named)
        checked.problems += [finding] if finding is not None else []
        return checked if finding is not None else None
    if cassette is not None:
        checked.problems += _unreadable(cassette)
        for number in cassette.edited:
            told = f"exchange {number} was edited by hand since it was recorded: fine; --fix takes it in"
            checked.warnings.append(_Finding("edited", told, cassette.line(number)))
    if fix and (checked.warnings or (checked.problems and checked.exchanges)):
        return _fixed(checked, redaction)
    checked.problems += _secrets(path, redaction)
    return checked


def _no_cassette(path: Path, error: Exception, *, named: bool) -> _Finding | None:
    """Say why a file that cannot be loaded should have been a cassette; None if nobody said so."""
    from llmreplay.errors import CassetteNotFound  # noqa: PLC0415

    if isinstance(error, CassetteNotFound):  # it went away since the folder was searched
        return None
    if isinstance(error.__cause__, OSError):
        return _Finding("unreadable", str(error))
    if _OPENING.search(path.read_bytes()):
        return _Finding("broken", "the head `llmreplay: 1` is missing", 1)
    return _Finding("not a cassette", "this is no cassette that llmreplay reads") if named else None


def _secrets(path: Path, redaction: Redaction) -> Iterator[_Finding]:
    for found in redaction.find(path.read_bytes()):
        yield _Finding("secret", found.kind, found.line)


def _unreadable(cassette: Cassette) -> Iterator[_Finding]:
    """Read each exchange: a document that nobody edited is otherwise read when it is asked for."""
    from llmreplay.errors import BrokenCassette  # noqa: PLC0415

    for number in range(len(cassette)):
        try:
            _ = cassette.exchanges[number]
        except BrokenCassette as error:
            yield _Finding("broken", str(error), error.line)


def _fixed(checked: _Checked, redaction: Redaction) -> _Checked:
    """Write the file anew, and check what was written."""
    from llmreplay.cassette import repair  # noqa: PLC0415
    from llmreplay.errors import BrokenCassette, CassetteError, SecretInCassette  # noqa: PLC0415

    try:
        kept, aside = repair(checked.path, redaction)
    except SecretInCassette:
        checked.problems += _secrets(checked.path, redaction)
        checked.warnings.append(_Finding("not fixed", "the secrets in it have to be taken out first"))
        return checked
    except BrokenCassette:
        checked.warnings.append(_Finding("not fixed", "nothing of it can be written anew"))
        return checked
    except CassetteError as error:
        checked.warnings.append(_Finding("not fixed", str(error).partition("\n")[0]))
        return checked
    again = _check(checked.path, redaction, named=True, fix=False) or checked
    if aside is not None:
        again.fixed.append(f"{count(kept, 'exchange')} kept; the damaged file is now {aside}")
    if checked.warnings and not again.warnings:
        again.fixed.append(f"{count(len(checked.warnings), 'hand edit')} taken in")
    return again


def _report(out: Console, checked: Iterable[_Checked], *, quiet: bool) -> None:
    for one in checked:
        for finding in one.problems:
            _tell(out, one.path, finding, "red")
        if quiet:
            continue
        for finding in one.warnings:
            _tell(out, one.path, finding, "yellow")
        for told in one.fixed:
            tell(out, f"{one.path}: fixed: {told}", "green")


def _tell(out: Console, path: Path, finding: _Finding, style: str) -> None:
    place = str(path) if finding.line is None else f"{path}:{finding.line}"
    # A failure begins with the fact, which is said by then; evidence and remedies follow.
    fact, _, rest = finding.message.partition("\n")
    tell(out, f"{place}: {finding.kind}{'' if rest else ': ' + fact}", style)
    if rest:
        tell(out, rest)


def _sum_up(out: Console, files: int, exchanges: int, problems: int, warnings: int) -> None:
    found = [count(problems, "problem")] if problems else ["no problem"]
    found += [count(warnings, "warning")] if warnings else []
    style = "bold red" if problems else "bold yellow" if warnings else "bold green"
    checked = f"{count(files, 'cassette')} with {count(exchanges, 'exchange')} checked"
    tell(out, f"{checked}: {', '.join(found)}", style)

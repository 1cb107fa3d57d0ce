"""`llmreplay convert`: cassettes of others as cassettes of ours, or of vcrpy, or as HTTP archives.

Rules:

* A file is written whole or not at all, and over another only with `--force`; one that cannot be
  converted stops no other.
* What is written is redacted as a recording is. There is no switch for that: whoever wants the secrets
  has them in the file that was read.
* What could not be kept is told file by file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from llmreplay.cli._converted import Outcome, Source, numbers, report, sum_up
from llmreplay.cli._files import below
from llmreplay.cli._terminal import NoColor, console, print_json, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from llmreplay.cassette import Format
    from llmreplay.cassette.conversion import Conversion

__all__ = ["convert"]

_ENDINGS = (".yaml", ".yml", ".json", ".har", ".httprr", ".toml")
_DUMPS = (".sse", ".txt", ".ndjson", ".jsonl")
_SUFFIX = {"llmreplay": ".yaml", "vcr": ".yaml", "har": ".har"}
_MANY = 5
_INTERRUPTED = 130


class _Format(StrEnum):
    """The formats that are written, as typer takes a choice."""

    LLMREPLAY = "llmreplay"
    VCR = "vcr"
    HAR = "har"


@dataclass(frozen=True)
class _Wish:
    """What every file is to become, and what is known of those that do not tell."""

    to: Format
    url: str | None
    request: Path | None
    force: bool


def convert(  # noqa: PLR0913  options of a command, each by name
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="IN", help="Files, and folders to search for them.", show_default=False),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="The folder to write to.", show_default=False),
    ],
    to: Annotated[_Format, typer.Option("--to", help="The format to write.")] = _Format.LLMREPLAY,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where the request went, for files that do not tell."),
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(
            "--request", metavar="FILE", help="The body of the request, for a file that is a response alone."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write over files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for a program; see below.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")] = False,
    no_color: NoColor = False,
) -> None:
    r"""Convert recordings of other tools to cassettes, and cassettes for other tools.

    Read are cassettes of llmreplay, vcrpy, Ruby's VCR, R's vcr, go-vcr,
    cassetter, httprr, nock, LangChain (.yaml.gz) and Datadog's test agent, and
    HTTP archives (HAR). In folders, files are looked at that are named *.yaml,
    *.yml, *.json, *.har, *.httprr or *.toml, also with .gz behind it; what is
    no cassette is passed over. A file keeps its place below DIR, with the
    ending .yaml or .har. The files that are read are left as they are.

    [bold]--url[/] turns a file that is a response alone into one exchange: JSON,
    server-sent events, JSON lines, an AWS event stream, what curl -i prints. In
    folders, *.sse, *.txt, *.ndjson and *.jsonl are then looked at too. The
    request is a POST with the body in --request; without one, the exchange can
    be shown and decoded, but no real request equals it. Cassettes whose URLs
    were redacted get the URL too.

    What is written is redacted as recordings are: a secret becomes
    \[redacted-1], and headers are kept by an allow-list. Told of each file are
    what was redacted; what the format has no word for, and stands in a field
    (x-llmreplay, _llmreplay) that only llmreplay reads; and what was lost.

    [bold]--json[/] writes an object:
      files        [{path, target, format, exchanges, redacted, beside, lost,
                   left_out, problem}], where redacted is {secrets, places,
                   headers}; beside and lost are {what: in how many exchanges};
                   left_out is what else the file holds. With a problem there are
                   only path and problem: {kind, message}; kind is exists, broken,
                   not a cassette, secret, not written or in the way
      converted, exchanges, secrets, problems, passed_over    how many in all
      interrupted  whether Ctrl-C ended it before the last file

    Exit code: 0 if all were converted; 1 if one was not; 2 if a path does not
    exist or an option means nothing; 130 after Ctrl-C: what was written by then
    is whole.
    """
    printed, err = console(no_color=no_color), console(no_color=no_color, stderr=True)
    files = list(_files(sources, out, to.value, with_dumps=url is not None))
    _refuse_misuse(err, _misuse(sources, out, files, url, request))
    wish = _Wish(to.value, url, request, force)
    seen: list[Outcome | None] = []
    interrupted = False
    try:
        for outcome in _all_converted(err, files, wish):
            seen.append(outcome)
            if outcome is not None and not as_json:
                report(printed, outcome, quiet=quiet)
    except KeyboardInterrupt:
        interrupted = True
    outcomes = [outcome for outcome in seen if outcome is not None]
    totals = numbers(outcomes, len(seen) - len(outcomes))
    if as_json:
        print_json({"files": [each.data() for each in outcomes], **totals, "interrupted": interrupted})
    elif not quiet:
        sum_up(printed, to.value, totals)
    if interrupted:
        tell(err, "Interrupted: what was converted by then is whole.", "yellow")
        raise typer.Exit(_INTERRUPTED)
    if not quiet:
        _wonder(err, sources, outcomes, url)
    raise typer.Exit(1 if totals["problems"] else 0)


def _wonder(err: Console, sources: Sequence[Path], outcomes: Sequence[Outcome], url: str | None) -> None:
    """Say what is no problem, and hardly meant."""
    if not outcomes:
        tell(err, f"No cassette in {', '.join(str(path) for path in sources)}.", "yellow")
    elif url is not None and all(each.done is not None and not each.used_url for each in outcomes):
        tell(err, "--url was not needed: every file tells where its requests went.", "yellow")


def _refuse_misuse(err: Console, facts: list[str]) -> None:
    for fact in facts:
        tell(err, fact, "red")
    if facts:
        raise typer.Exit(2)


def _misuse(
    sources: Sequence[Path], out: Path, files: Sequence[Source], url: str | None, request: Path | None
) -> list[str]:
    facts = [f"There is no file or folder {path}." for path in sources if not path.exists()]
    if out.exists() and not out.is_dir():
        facts.append(f"--out is {out}, which is no folder.")
    if url is not None and not _is_address(url):
        facts.append(f"--url is {url}; expected where the request went, such as https://api.openai.com/v1/…")
    if request is not None:
        if not request.is_file():
            facts.append(f"There is no file {request}.")
        if url is None or len(files) != 1:
            facts.append("--request is the body of one request: give --url, and one file.")
    return facts


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _files(sources: Sequence[Path], out: Path, to: str, *, with_dumps: bool) -> Iterator[Source]:
    """Yield each file once, with its place below the folder to write to."""
    endings = _ENDINGS + (_DUMPS if with_dumps else ())
    endings += tuple(f"{ending}.gz" for ending in endings)
    seen: set[Path] = set()
    written = out.resolve()
    for source in sources:
        is_folder = source.is_dir()
        root = source if is_folder else source.parent
        for path in below(source, endings) if is_folder else (source,):
            place = path.resolve()
            # The outcome of an earlier run may lie among the files that are read.
            earlier = is_folder and written != source.resolve() and place.is_relative_to(written)
            if place not in seen and not earlier:
                seen.add(place)
                yield Source(path, out / _renamed(path.relative_to(root), to), not is_folder)


def _renamed(place: Path, to: str) -> Path:
    name = place.name
    for endings in ((".gz",), _ENDINGS + _DUMPS, (".har",)):
        ending = next((each for each in endings if name.lower().endswith(each)), "")
        if ending and len(name) > len(ending):
            name = name[: -len(ending)]
    return place.with_name(name + _SUFFIX[to])


def _all_converted(err: Console, files: Sequence[Source], wish: _Wish) -> Iterator[Outcome | None]:
    written: dict[Path, Path] = {}
    for source in _with_progress(err, files):
        if source.target in written:
            told = f"{written[source.target]} was written to {source.target}: give this one another --out"
            yield Outcome(source, kind="in the way", message=told)
            continue
        outcome = _converted(source, wish)
        if outcome is not None and outcome.done is not None:
            written[source.target] = source.path
        yield outcome


def _with_progress(err: Console, files: Sequence[Source]) -> Iterable[Source]:
    if not err.is_terminal or len(files) <= _MANY:
        yield from files
        return
    columns = (TextColumn("converting"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield from progress.track(files)


def _converted(source: Source, wish: _Wish) -> Outcome | None:
    """Convert a file; None if it is no cassette, and nobody said it was."""
    from llmreplay.cassette.conversion import TargetExists  # noqa: PLC0415  brings the codecs
    from llmreplay.errors import (  # noqa: PLC0415
        BrokenCassette,
        CassetteError,
        CassetteNotFound,
        OptionError,
        SecretInCassette,
    )

    try:
        done, used_url = _written(source, wish)
    except OSError as error:
        if isinstance(error, CassetteNotFound):  # it went away since the folder was searched
            return None
        return Outcome(source, kind="not written", message=f"{source.target}: {error.strerror or error}")
    except (CassetteError, OptionError) as error:
        kinds = {TargetExists: "exists", SecretInCassette: "secret", BrokenCassette: "broken"}
        kind = next((told for each, told in kinds.items() if isinstance(error, each)), "not a cassette")
        if kind == "not a cassette" and not source.named and not isinstance(error.__cause__, OSError):
            return None
        return Outcome(source, kind=kind, message=str(error))
    return Outcome(source, done, used_url=used_url)


def _written(source: Source, wish: _Wish) -> tuple[Conversion, bool]:
    """Convert a file; return what became of it, and whether the URL was needed."""
    from llmreplay.cassette.conversion import convert  # noqa: PLC0415
    from llmreplay.errors import OptionError  # noqa: PLC0415

    if wish.url is not None:
        try:
            done = convert(
                source.path, source.target, wish.to, url=wish.url, request=wish.request, overwrite=wish.force
            )
        except OptionError:
            if wish.request is not None:
                raise
            # The file tells where its requests went: the URL is for the others.
        else:
            return done, True
    return convert(source.path, source.target, wish.to, overwrite=wish.force), False

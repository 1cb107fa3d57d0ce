"""What `llmreplay convert` says of the files that it converted, to people and to programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmreplay.cli._terminal import count, tell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from llmreplay.cassette.conversion import Conversion

__all__ = ["Outcome", "Source", "numbers", "report", "sum_up"]


@dataclass(frozen=True)
class Source:
    """A file to read, where its outcome goes, and whether somebody named it."""

    path: Path
    target: Path
    named: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a file: a conversion, or the kind of a problem and what it is."""

    source: Source
    done: Conversion | None = None
    kind: str = ""
    message: str = ""
    used_url: bool = False

    def data(self) -> dict[str, Any]:
        """Return it for a program."""
        if self.done is None:
            return {"path": str(self.source.path), "problem": {"kind": self.kind, "message": self.message}}
        done = self.done
        redacted = done.redacted
        return {
            "path": str(done.source),
            "target": str(done.target),
            "format": done.source_format,
            "exchanges": done.exchanges,
            "redacted": {
                "secrets": redacted.secrets,
                "places": redacted.places,
                "headers": list(redacted.headers),
            },
            "beside": done.beside,
            "lost": done.lost,
            "left_out": list(done.left_out),
            "problem": None,
        }


def numbers(outcomes: Sequence[Outcome], passed_over: int) -> dict[str, int]:
    done = [each.done for each in outcomes if each.done is not None]
    return {
        "converted": len(done),
        "exchanges": sum(each.exchanges for each in done),
        "secrets": sum(each.redacted.secrets for each in done),
        "problems": len(outcomes) - len(done),
        "passed_over": passed_over,
    }


def report(out: Console, outcome: Outcome, *, quiet: bool) -> None:
    done = outcome.done
    if done is None:
        fact, _, rest = outcome.message.partition("\n")
        tell(out, f"{outcome.source.path}: {outcome.kind}: {fact}", "red")
        if rest:
            tell(out, rest)
        return
    if quiet:
        return
    tell(out, f"{done.source} → {done.target}: {done.source_format}, {count(done.exchanges, 'exchange')}")
    redacted = [count(done.redacted.secrets, "secret")] if done.redacted.secrets else []
    redacted += [_listed(done.redacted.places)] if done.redacted.places else []
    redacted += [f"without {count(len(done.redacted.headers), 'header')}"] if done.redacted.headers else []
    for label, told in (
        ("redacted", "; ".join(redacted)),
        (f"only llmreplay reads, in {done.beside_in}", _listed(done.beside)),
        ("lost", _listed(done.lost)),
        ("left out", ", ".join(done.left_out)),
    ):
        if told:
            tell(out, f"  {label}: {told}", "yellow" if label in {"lost", "left out"} else "")


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{what} ({number})" for what, number in found.items())


def sum_up(out: Console, to: str, numbers: Mapping[str, int]) -> None:
    problems = numbers["problems"]
    facts = [count(problems, "problem") if problems else "no problem"]
    facts += [f"{count(numbers['secrets'], 'secret')} redacted"] if numbers["secrets"] else []
    facts += [f"{count(numbers['passed_over'], 'file')} passed over"] if numbers["passed_over"] else []
    files, exchanges = count(numbers["converted"], "file"), count(numbers["exchanges"], "exchange")
    style = "bold red" if problems else "bold green"
    tell(out, f"{files} with {exchanges} converted to {to}: {', '.join(facts)}", style)

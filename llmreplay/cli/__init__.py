"""The command line: `llmreplay demo`, `show`, `check`, `convert`.

Rules:

* One module a command. A command imports what it needs when it runs, so that `--help` is quick.
* What a person asked for goes to stdout, complaints and progress to stderr; `--json` writes nothing
  but JSON to stdout.
* Exit codes: 0 all is well, 1 something is wrong with a file or a claim, 2 the command was misused.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from llmreplay.cli._check import check
from llmreplay.cli._convert import convert
from llmreplay.cli._demo import demo
from llmreplay.cli._show import show

__all__ = ["app", "main"]

app = typer.Typer(
    name="llmreplay",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # its tracebacks show the values of local variables: secrets among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(show)
app.command()(check)
app.command()(convert)


def _version(asked: bool) -> None:  # noqa: FBT001  typer calls it with the value of the option
    if asked:
        typer.echo(f"llmreplay {version('llmreplay')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def llmreplay(
    context: typer.Context,
    *,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Record the calls that code makes to language models, and replay them in tests.

    New here? Run [bold]llmreplay demo[/]: it records an agent, replays it offline, and shows how a
    failing test looks. It needs no key and does not leave this machine.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal may know fewer characters than a model.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app()

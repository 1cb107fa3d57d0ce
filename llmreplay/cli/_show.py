"""`llmreplay show`: the conversation in a cassette, as people read it or as programs do."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from llmreplay.cli._conversation import accounts, conversation
from llmreplay.cli._terminal import NoColor, console, count, print_json, tell

if TYPE_CHECKING:
    from llmreplay.exchange import Exchange

__all__ = ["show"]


def show(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A cassette, in any format that llmreplay reads.", show_default=False
        ),
    ],
    *,
    exchange: Annotated[
        int | None,
        typer.Option("--exchange", "-n", min=1, metavar="N", help="Show only this exchange, by its number."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for a program; see below.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show headers, bodies and chunks as they crossed the wire.")
    ] = False,
    no_color: NoColor = False,
) -> None:
    """Show the conversation in a cassette: messages, tools, answers, tokens, timing, errors.

    A run of many turns reads as one conversation: what a request repeats is
    left out. Exchanges that are no call of a known model are shown as plain HTTP.

    [bold]--json[/] writes a list with one object an exchange:
      number, line        its place in the cassette and in the file, from 1
      method, url
      wire                the format it speaks, null if it asks no model
      decoded             whether llmreplay can say what it means; if not,
                          there is only HTTP, and the usage if it is told
      provider, model     null where they are not known
      stream              whether a stream was asked for
      status              null if there was no response
      ended               complete, cut (by an error) or closed (by the client)
      finished            whether the last event of a stream came
      failure             {error, phase, message, ms} or null
      timing              {first_byte_ms, first_chunk_ms, total_ms}, null if
                          it was not recorded
      chunks              how many, null if it was not recorded
      request, response   {content_type, bytes}; with --raw also headers, and
                          text or base64 (of a response in chunks, with ms)
      recorded            {at, by, client, edge, origin}
      tools               the names of those that are offered
      messages            [{role, contents}], without the first `repeated`
                          ones, which exchange `repeated_from` tells
      answers             [{index, contents, finish_reason}]
      partial             whether the answer broke off
      usage               seven numbers, null if none were reported
      error               {kind, status, code, message, retryable, retry_after,
                          request_id} or null

    Exit code: 0; 1 if the file is damaged (what can be read is shown) or is no
    cassette; 2 if there is no such file or exchange.
    """
    from llmreplay.cassette import load  # noqa: PLC0415  brings the codecs
    from llmreplay.errors import BrokenCassette, CassetteError, CassetteNotFound  # noqa: PLC0415

    out, err = console(no_color=no_color), console(no_color=no_color, stderr=True)
    lines: list[int] = []
    damaged = False
    try:
        cassette = load(file)
        exchanges: list[Exchange] = list(cassette.exchanges)
        lines = [cassette.line(number) for number in range(1, len(exchanges) + 1)]
    except BrokenCassette as error:
        tell(err, str(error), "red")
        exchanges, damaged = list(error.good), True
    except CassetteNotFound as error:
        tell(err, str(error), "red")
        raise typer.Exit(2) from None
    except CassetteError as error:
        tell(err, str(error), "red")
        raise typer.Exit(1) from None
    if exchange is not None and exchange > len(exchanges):
        tell(
            err, f"{file} has {count(len(exchanges), 'exchange')}, so there is no exchange {exchange}.", "red"
        )
        raise typer.Exit(2)
    if as_json:
        print_json(list(accounts(exchanges, only=exchange, lines=lines, raw=raw)))
    else:
        conversation(out, exchanges, only=exchange, raw=raw)
    raise typer.Exit(1 if damaged else 0)

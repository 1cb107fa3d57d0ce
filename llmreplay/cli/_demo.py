"""`llmreplay demo`: an agent is recorded, replayed offline, and refused when its prompt changes.

Rules:

* Every claim is checked before it is printed; one that does not hold is printed as such, and the
  exit code is 1.
* The provider is embedded, and the demo says so. No key is read, and nothing leaves this machine.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.syntax import Syntax
from rich.text import Text

from llmreplay.cli._excerpt import excerpt
from llmreplay.cli._terminal import NoColor, console, count, duration, size, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from llmreplay import Cassette, Exchange
    from llmreplay.cli._provider import Provider
    from llmreplay.session import RecordMode

__all__ = ["Client", "demo"]

_INSTRUCTIONS = "You are a weather service. Answer in two sentences."
_CHANGED = "You are a weather service. Answer in French."
_QUESTION = "What should I wear in Zürich today?"
_FILE = "weather.yaml"
_LABELS = {"name": "calls", "result": "tool", "text": "assistant"}


class Client(StrEnum):
    """What the agent of the demo calls the provider with."""

    AUTO = "auto"
    OPENAI = "openai"
    HTTPX = "httpx"


def demo(
    *,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="DIR", file_okay=False, help="Keep the cassette, weather.yaml, in this folder."
        ),
    ] = None,
    client: Annotated[
        Client,
        typer.Option(
            "--client", help="What the agent calls with; auto is the openai SDK if it is installed."
        ),
    ] = Client.AUTO,
    no_color: NoColor = False,
) -> None:
    """Record an agent, replay it offline, and see how a failing test looks. Takes two seconds.

    The agent has one tool and streams its answers. The provider is embedded in this program: it speaks
    OpenAI's chat wire on 127.0.0.1 and is no model. No key is needed and nothing leaves this machine.

    Exit code: 0 if everything went as told, 1 if not.
    """
    from llmreplay.cli._provider import Provider  # noqa: PLC0415

    out = console(no_color=no_color)
    with _folder(keep) as folder:
        with Provider() as provider:
            run = _Demo(out, folder / _FILE, provider, _chosen(client))
            run.introduce()
            run.record()
            run.tell_of_the_file(kept=keep is not None)
        run.replay()
        run.change_the_prompt()
    out.print()
    if run.broken:
        tell(out, f"{count(run.broken, 'claim')} did not hold: see above.", "bold red")
        raise typer.Exit(1)
    tell(out, "Everything went as told. Next: the README, or `llmreplay show` on a cassette.", "bold")


def _chosen(client: Client) -> str:
    if client is Client.HTTPX:
        return "httpx"
    try:
        from openai import DefaultHttpxClient  # noqa: F401, PLC0415  to see whether it is there, and of today
    except ImportError:
        if client is Client.OPENAI:
            problem = "--client openai needs openai, which is not installed: pip install openai"
            tell(console(stderr=True), problem, "red")
            raise typer.Exit(2) from None
        return "httpx"
    return "openai"


class _Live:
    """Prints what an agent tells, as it comes, and keeps it."""

    def __init__(self, out: Console, provider: Provider) -> None:
        self._out, self._provider = out, provider
        self.told: list[tuple[str, str]] = []

    def __call__(self, kind: str, text: str) -> None:
        if not text:
            return
        if kind in _LABELS and kind != (self.told[-1][0] if self.told else None):
            if self.told:
                self._out.print()
            self._out.print(Text(f"   {_LABELS[kind]:<11}", "bold"), end="")
        self.told.append((kind, text))
        self._out.print(Text(f"{text} " if kind == "name" else text), end="")
        self._out.file.flush()
        self._provider.seen.set()


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    folder = tempfile.mkdtemp(prefix="llmreplay-demo-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Demo:
    """One run of the demo; `broken` counts the claims that did not hold."""

    def __init__(self, out: Console, path: Path, provider: Provider, client: str) -> None:
        self.broken = 0
        self._out, self._path, self._provider, self._client = out, path, provider, client
        self._told: list[tuple[str, str]] = []

    def introduce(self) -> None:
        """Say what is going to happen, and what is not real about it."""
        tell(self._out, "llmreplay demo", "bold")
        agent = (
            f"A weather agent with one tool, calling with {self._client}. Its provider is embedded in this"
        )
        tell(self._out, agent)
        place = f"program, at {self._provider.url}, and is no model. No key; nothing leaves this machine."
        tell(self._out, place)

    def record(self) -> None:
        """Run the agent, showing its tokens as they come, and write down what crosses the wire."""
        self._title("1 Record: the agent runs, and what crosses the wire is written down")
        tell(self._out, f"   {'user':<11}{_QUESTION}")
        live = _Live(self._out, self._provider)
        cassette, took = self._run(_INSTRUCTIONS, live, record="rewrite")
        self._out.print()
        self._told = live.told
        sent = self._provider.pieces
        calls = len(cassette.calls)
        self.claim(f"{count(calls, 'call')} recorded in {duration(took)}", holds=calls == len(sent) > 0)
        self.claim(
            "the client had its tokens as they came: the last one was held back until the first was shown",
            holds=not self._provider.waited_in_vain,
        )
        pieces = [piece for answer in sent for piece in answer]
        inside = sum(map(_ends_inside_a_character, pieces))
        self.claim(
            f"{count(len(pieces), 'piece')}, cut inside events, {inside} inside a character: all kept as cut",
            holds=inside > 0 and [_chunks(call) for call in cassette.calls] == sent,
        )

    def tell_of_the_file(self, *, kept: bool) -> None:
        """Show where the cassette is, and how one reads."""
        from llmreplay.cli._agent import KEY  # noqa: PLC0415

        text = self._path.read_text(encoding="utf-8")
        self.claim("the key that the client sent is not in the file", holds=KEY not in text)
        fate = "" if kept else ", gone when the demo ends; --keep DIR keeps it"
        tell(self._out, f"   The cassette is {self._path} ({size(len(text.encode()))}{fate}):")
        self._out.print()
        shown = "\n".join(f"     {line}" for line in excerpt(text))
        self._out.print(Syntax(shown, "yaml", theme="ansi_dark", background_color="default"))
        tell(self._out, f"     … {count(text.count(chr(10)), 'line')} in all", "dim")

    def replay(self) -> None:
        """Run the same code with the provider gone."""
        from llmreplay import load  # noqa: PLC0415
        from llmreplay.cli._conversation import conversation  # noqa: PLC0415

        self._title("2 Replay: the provider is shut down, and the same code runs again")
        before = self._provider.requests
        again: list[tuple[str, str]] = []
        cassette, took = self._run(_INSTRUCTIONS, lambda kind, text: again.append((kind, text)))
        self.claim(
            f"the same tool call and the same answer, token by token, in {duration(took)}",
            holds=[told for told in again if told[1]] == self._told,
        )
        self.claim("the same pieces, cut in the same places", holds=self._replayed() == self._provider.pieces)
        reached = self._provider.requests - before
        self.claim(f"requests that reached the network: {reached}", holds=reached == 0)
        used = cassette.usage
        self.claim(
            f"the usage of the run, {used.input_tokens} tokens in and {used.output_tokens} out, as recorded",
            holds=used == load(self._path).usage and used.has_values,
        )
        tell(self._out, f"   And this is how `llmreplay show {_FILE}` tells it:")
        self._out.print()
        conversation(self._out, cassette.calls)

    def change_the_prompt(self) -> None:
        """Run the code with another prompt, which nothing recorded answers."""
        from llmreplay import UnmatchedRequest  # noqa: PLC0415
        from llmreplay.cli._agent import tell_nobody  # noqa: PLC0415

        self._title("3 A changed prompt: this is how a failing test looks")
        places: list[str] = []
        try:
            self._run(_CHANGED, tell_nobody)
        except UnmatchedRequest as refusal:
            places = [difference.path for difference in refusal.mismatch.nearest.differences]
            for line in str(refusal).split("\n"):
                tell(self._out, f"   {line}".rstrip(), "red")
            self._out.print()
        self.claim(
            "the request was refused, and the report names the place that changed",
            holds=places == ["messages[0].content"],
        )

    def claim(self, claim: str, *, holds: bool) -> None:
        """Print a claim with a mark that says whether it holds."""
        self.broken += not holds
        line = Text("   ✓ " if holds else "   ✗ not so: ", "green" if holds else "bold red")
        self._out.print(line.append(claim, "" if holds else "red"))

    def _title(self, text: str) -> None:
        self._out.print()
        tell(self._out, text, "bold cyan")

    def _run(
        self, instructions: str, tell_it: Callable[[str, str], None], record: RecordMode = "none"
    ) -> tuple[Cassette, float]:
        """Run the agent in a session; return the cassette, and how long it took in seconds."""
        from llmreplay import use_cassette  # noqa: PLC0415  slow to import
        from llmreplay.cli._agent import CLIENTS, run  # noqa: PLC0415

        began = time.perf_counter()
        client = CLIENTS[self._client](self._provider.url)
        with use_cassette(self._path, record=record) as cassette, client as ask:
            run(ask, instructions, _QUESTION, tell_it)
        return cassette, time.perf_counter() - began

    def _replayed(self) -> list[list[bytes]]:
        """Return the pieces that a client is given which takes them as they come."""
        import httpx  # noqa: PLC0415  slow to import

        from llmreplay import load, use_cassette  # noqa: PLC0415

        pieces = []
        with use_cassette(self._path), httpx.Client(trust_env=False) as client:
            for exchange in load(self._path).exchanges:
                request = exchange.request
                with client.stream(request.method, request.url, content=request.body) as response:
                    pieces.append(list(response.iter_raw()))
        return pieces


def _chunks(exchange: Exchange) -> list[bytes]:
    return [chunk.data for chunk in exchange.response.chunks] if exchange.response else []


def _ends_inside_a_character(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError as error:
        return error.end == len(piece)
    return False

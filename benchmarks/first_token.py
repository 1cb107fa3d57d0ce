"""What recording adds until the first token, against the same call without llmreplay.

A loopback server sends one event every 100 ms, and each chunk ends inside an event, in the middle of a
character where it has one of several bytes. Bare and recorded calls alternate, and so does which of the two
goes first; one unmeasured call of each goes ahead. Two clocks run from the call to the first text that the
SDK hands out, that of the wall and that of the client's thread; opening and saving the cassette are outside
of them. Nothing is held back if a text comes for each that comes without llmreplay, as many chunks are
recorded as were sent, and the first text comes less than half a chunk's delay later.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai

from benchmarks.rounds import Row, table
from tests import wires
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

NAME = "first-token"

_LIMIT_MS = 2.0

WORDS = ["Né", "e ", "à ", "Tromsø"]
MESSAGES = [{"role": "user", "content": "Where were you born?"}]


@dataclass(frozen=True)
class Sdk:
    """How to stream with an SDK, and where the text is in its events."""

    name: str
    path: str
    events: list[bytes]
    client: Callable[[str], Any]
    async_client: Callable[[str], Any]
    create: Callable[[Any], Callable[..., Any]]
    text: Callable[[Any], str | None]


@dataclass
class Side:
    """The calls of one side, bare or recorded: seconds to the first text, texts, and chunks in recordings."""

    recorded: bool
    firsts: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    texts: set[int] = field(default_factory=set)
    chunks: set[int] = field(default_factory=set)

    def context(self, path: Path) -> AbstractContextManager[Any]:
        if not self.recorded:
            return nullcontext()
        from llmreplay import use_cassette

        return use_cassette(path, record="all")

    def note(self, arrivals: list[tuple[float, float]], cassette: Any) -> None:
        self.firsts.append(arrivals[0][0])
        self.work.append(arrivals[0][1])
        self.texts.add(len(arrivals))
        if cassette is not None:
            self.chunks.add(len(cassette.exchanges[-1].response.chunks))


def _openai_text(chunk: Any) -> str | None:
    return chunk.choices[0].delta.content if chunk.choices else None


def _anthropic_text(event: Any) -> str | None:
    return event.delta.text if event.type == "content_block_delta" else None


SDKS = (
    Sdk(
        name="openai",
        path="/v1/chat/completions",
        events=wires.openai_stream(WORDS),
        client=lambda url: openai.OpenAI(base_url=f"{url}/v1", api_key="none"),
        async_client=lambda url: openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none"),
        create=lambda client: client.chat.completions.create,
        text=_openai_text,
    ),
    Sdk(
        name="anthropic",
        path="/v1/messages",
        events=wires.anthropic_stream(WORDS),
        client=lambda url: anthropic.Anthropic(base_url=url, api_key="none"),
        async_client=lambda url: anthropic.AsyncAnthropic(base_url=url, api_key="none"),
        create=lambda client: client.messages.create,
        text=_anthropic_text,
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=20, help="measured calls of each side (default: 20)")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds between two chunks (default: 0.1)")
    parser.add_argument("--bare", action="store_true", help="measure without llmreplay only")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every SDK, sync and async."""
    rows = []
    streams = {sdk.path: wires.awkward(sdk.events) for sdk in SDKS}
    routes = {path: Reply.sse(chunks, delay=arguments.delay) for path, chunks in streams.items()}
    with Server(routes) as server, tempfile.TemporaryDirectory() as folder:
        for sdk in SDKS:
            seen = _plain_chunks(server.url + sdk.path)
            for mode in ("sync", "async"):
                sides = [Side(recorded) for recorded in ((False,) if arguments.bare else (False, True))]
                turns = _turns(sides, arguments.rounds, Path(folder, f"{sdk.name}-{mode}"))
                if mode == "sync":
                    _call(sdk, server.url, turns)
                else:
                    asyncio.run(_call_async(sdk, server.url, turns))
                rows.append({"sdk": sdk.name, "mode": mode, **_figures(sides, len(streams[sdk.path]), seen)})
    told = [] if arguments.bare else [_row(figures, arguments.delay) for figures in rows]
    if not arguments.json:
        _print(rows, arguments)
        print(table(told))
    return {
        "benchmark": NAME,
        "rounds": arguments.rounds,
        "delay_ms": arguments.delay * 1e3,
        "rows": [row.as_json() for row in told],
        "figures": rows,
    }


def _row(figures: dict[str, Any], delay: float) -> Row:
    sent, more = figures["chunks_sent"], figures["work_difference_ms"]
    flows = (
        figures["chunks_recorded"] == [sent]
        and figures["texts_seen_recorded"] == figures["texts_seen_bare"]
        and figures["paired_difference_ms"] < delay * 1e3 / 2
    )
    return Row(
        f"first token of a stream with {figures['sdk']}, {figures['mode']}, while recording",
        "no llmreplay",
        f"{figures['work_recorded_ms']:.2f} ms, {figures['chunks_recorded'][0]} chunks of {sent}",
        f"{figures['work_bare_ms']:.2f} ms",
        "≤ 2 ms more, nothing held back",
        f"{more:+.2f} ms",
        more <= _LIMIT_MS and flows,
    )


def _turns(sides: list[Side], rounds: int, stem: Path) -> Iterator[tuple[Side, Path]]:
    """Say whose turn it is, and where to record; the notes of the first round are thrown away."""
    for number in range(rounds + 1):
        for side in sides if number % 2 else reversed(sides):
            yield side, stem.with_name(f"{stem.name}-{number}.yaml")
        if number == 0:
            for side in sides:
                side.firsts.clear()
                side.work.clear()


def _call(sdk: Sdk, url: str, turns: Iterator[tuple[Side, Path]]) -> None:
    with sdk.client(url) as client:
        create = sdk.create(client)
        for side, path in turns:
            with side.context(path) as cassette:
                since = _clocks()
                events = create(model="loopback", max_tokens=64, messages=MESSAGES, stream=True)
                arrivals = [since() for event in events if sdk.text(event)]
            side.note(arrivals, cassette)


async def _call_async(sdk: Sdk, url: str, turns: Iterator[tuple[Side, Path]]) -> None:
    async with sdk.async_client(url) as client:
        create = sdk.create(client)
        for side, path in turns:
            with side.context(path) as cassette:
                since = _clocks()
                events = await create(model="loopback", max_tokens=64, messages=MESSAGES, stream=True)
                arrivals = [since() async for event in events if sdk.text(event)]
            side.note(arrivals, cassette)


def _clocks() -> Callable[[], tuple[float, float]]:
    """Start both clocks; what is returned reads them."""
    wall, work = time.perf_counter(), time.thread_time()
    return lambda: (time.perf_counter() - wall, time.thread_time() - work)


def _plain_chunks(url: str) -> int:
    """Count the chunks that a client without an SDK and without llmreplay sees."""
    with httpx2.stream("POST", url) as response:
        return sum(1 for _ in response.iter_raw())


def _figures(sides: list[Side], sent: int, seen: int) -> dict[str, Any]:
    bare, recorded = sides[0], sides[1] if len(sides) > 1 else None
    figures: dict[str, Any] = {
        "chunks_sent": sent,
        "chunks_seen_bare": seen,
        "texts_seen_bare": sorted(bare.texts),
        "bare_ms": _ms(median(bare.firsts)),
        "bare_range_ms": [_ms(min(bare.firsts)), _ms(max(bare.firsts))],
        "work_bare_ms": _ms(median(bare.work)),
    }
    if recorded is not None:
        pairs = zip(bare.firsts, recorded.firsts, strict=True)
        work = zip(bare.work, recorded.work, strict=True)
        figures |= {
            "chunks_recorded": sorted(recorded.chunks),
            "texts_seen_recorded": sorted(recorded.texts),
            "recorded_ms": _ms(median(recorded.firsts)),
            "recorded_range_ms": [_ms(min(recorded.firsts)), _ms(max(recorded.firsts))],
            "difference_ms": _ms(median(recorded.firsts) - median(bare.firsts)),
            "paired_difference_ms": _ms(median(after - before for before, after in pairs)),
            "work_recorded_ms": _ms(median(recorded.work)),
            "work_difference_ms": _ms(median(after - before for before, after in work)),
        }
    return figures


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)


def _print(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    print(
        f"First token, median of {arguments.rounds} alternating rounds, one chunk every {arguments.delay:g} s"
    )
    print(f"{'':16}{'bare ms':>10}{'recorded ms':>13}{'difference':>12}   chunks sent/seen/recorded")
    for row in rows:
        after, difference = row.get("recorded_ms", "-"), row.get("difference_ms", "-")
        recorded = ",".join(map(str, row.get("chunks_recorded", "-")))
        print(f"{row['sdk']:10}{row['mode']:6}{row['bare_ms']:>10}{after:>13}{difference:>12}", end="   ")
        print(f"{row['chunks_sent']}/{row['chunks_seen_bare']}/{recorded}")

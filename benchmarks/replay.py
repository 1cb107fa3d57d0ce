"""What a replayed request costs, against a transport that returns the right answer at once.

The peer is `httpx2.MockTransport` with a function that makes the answer of that very request from constants.
Every request is distinct, and so is its answer: nothing can be kept from one to the next.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from benchmarks import samples
from benchmarks.rounds import Comparison, Row, compare, table
from llmreplay import load, use_cassette

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmreplay import Exchange

NAME = "replay"

PEER = "`httpx2.MockTransport`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--requests", type=int, default=1000, help="distinct requests (default: 1000)")
    parser.add_argument(
        "--large", type=int, default=10_000, help="size of the large cassette (default: 10000)"
    )
    parser.add_argument("--only", choices=["raw", "sdk", "stream", "growth"], help="measure one row only")
    parser.add_argument("--profile", action="store_true", help="profile the rows instead, and print that")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        measures: dict[str, Callable[[Path, argparse.Namespace], Row]] = {
            "raw": _raw,
            "sdk": _sdk,
            "stream": _stream,
            "growth": _growth,
        }
        for name, measure in measures.items():
            if arguments.only in (None, name):
                rows.append(measure(Path(folder, f"{name}.yaml"), arguments))
    if not arguments.json:
        print(table(rows))
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}


def constant(answers: list[Exchange]) -> httpx2.MockTransport:
    """Return a transport that gives the recorded answers in order."""
    ready = [
        (list(each.response.headers), each.response.body, [chunk.data for chunk in each.response.chunks])
        for each in answers
        if each.response is not None
    ]
    waiting = itertools.cycle(ready)

    def answer(_request: httpx2.Request) -> httpx2.Response:
        headers, body, chunks = next(waiting)
        if len(chunks) > 1:
            return httpx2.Response(200, headers=headers, content=iter(chunks))
        return httpx2.Response(200, headers=headers, content=body)

    return httpx2.MockTransport(answer)


def _raw(path: Path, arguments: argparse.Namespace) -> Row:
    requests = samples.raw_requests(arguments.requests)
    samples.cassette(path, samples.exchanges(requests))
    recorded = list(load(path).exchanges)
    peer = httpx2.Client(transport=constant(recorded))
    client = httpx2.Client()

    def post(by: httpx2.Client) -> Callable[[int], bytes]:
        def one(number: int) -> bytes:
            sent = requests[number]
            return by.post(sent.url, headers=sent.headers, content=sent.body).content

        return one

    with use_cassette(path):
        found = _compared(post(client), post(peer), arguments)
    return found.row(f"raw httpx2 POST, {arguments.requests:,} distinct requests", PEER, 1.25)


def _sdk(path: Path, arguments: argparse.Namespace) -> Row:
    samples.cassette(path, samples.exchanges(samples.raw_requests(arguments.requests)))
    recorded = list(load(path).exchanges)
    peer = openai.OpenAI(api_key=samples.KEY, http_client=httpx2.Client(transport=constant(recorded)))
    client = openai.OpenAI(api_key=samples.KEY)

    asked = [samples.arguments(number) for number in range(arguments.requests)]

    def chat(by: openai.OpenAI) -> Callable[[int], object]:
        return lambda number: by.chat.completions.create(**asked[number])

    with use_cassette(path):
        found = _compared(chat(client), chat(peer), arguments)
    what = f"openai {openai.__version__} SDK chat call, {arguments.requests:,} distinct requests"
    return found.row(what, PEER, 1.06)


def _stream(path: Path, arguments: argparse.Namespace) -> Row:
    count = max(arguments.requests // 10, 2)
    samples.cassette(path, samples.streams(count))
    recorded = list(load(path).exchanges)
    peer = openai.OpenAI(api_key=samples.KEY, http_client=httpx2.Client(transport=constant(recorded)))
    client = openai.OpenAI(api_key=samples.KEY)

    asked = [samples.arguments(number, stream=True) for number in range(count)]

    def chat(by: openai.OpenAI) -> Callable[[int], object]:
        def one(number: int) -> int:
            return sum(1 for _ in by.chat.completions.create(**asked[number]))

        return one

    with use_cassette(path):
        found = _compared(chat(client), chat(peer), arguments, steps=count, turn=5)
    return found.row("a 300-event stream in 180 chunks through the SDK, chunks kept", PEER, 1.03, unit="ms")


def _compared(
    ours: Callable[[int], object],
    theirs: Callable[[int], object],
    arguments: argparse.Namespace,
    *,
    steps: int | None = None,
    turn: int = 25,
) -> Comparison:
    steps = steps or arguments.requests
    if not arguments.profile:
        return compare(ours, theirs, steps=steps, turn=turn)
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    for number in range(steps):
        ours(number)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    return Comparison(1.0, 1.0, (1.0,))


def _growth(path: Path, arguments: argparse.Namespace) -> Row:
    """Replay from a large and from a small cassette by turns, a hundred requests each."""
    turn = 100
    requests = samples.raw_requests(arguments.large)
    small = path.with_name("small.yaml")
    samples.cassette(path, samples.exchanges(requests))
    samples.cassette(small, samples.exchanges(requests[:turn]))
    order = list(range(arguments.large))
    random.Random(7).shuffle(order)
    turns = list(zip(*[iter(order)] * turn, strict=False))[:40]
    client = httpx2.Client()

    def timed(numbers: tuple[int, ...]) -> float:
        before = time.process_time()
        for number in numbers:
            sent = requests[number]
            _ = client.post(sent.url, headers=sent.headers, content=sent.body).content
        return (time.process_time() - before) / len(numbers)

    large_times, small_times = [], []
    for at, numbers in enumerate(turns):
        mixed = list(range(turn))
        random.Random(at).shuffle(mixed)
        for large in (True, False) if at % 2 else (False, True):
            with use_cassette(path if large else small, unused="ignore"):
                (large_times if large else small_times).append(timed(numbers if large else tuple(mixed)))
    ratios = tuple(one / other for one, other in zip(large_times, small_times, strict=True))
    found = Comparison(median(large_times), median(small_times), ratios)
    what = f"cost per request, cassette of {arguments.large:,} against {turn}"
    return found.row(what, "itself", 1.10)

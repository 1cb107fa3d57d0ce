"""1,000 distinct requests matched by body, and a request that was not recorded, against vcrpy.

vcrpy looks through the whole cassette for every request, so its time depends on how far a run has come. It is
measured at some places of a run, with what came before marked as played, and the mean stands for the others;
`--full` plays the whole run instead, which takes minutes.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import httpx2
import vcr
from vcr.errors import CannotOverwriteExistingCassetteException

from benchmarks import samples
from benchmarks.rounds import Row, table
from llmreplay import UnmatchedRequest, load, use_cassette

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

NAME = "vcrpy"

_MATCH_ON = ("method", "uri", "body")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument(
        "--requests", type=int, default=1000, help="exchanges of the cassette (default: 1000)"
    )
    parser.add_argument(
        "--samples", type=int, default=10, help="places where vcrpy is measured (default: 10)"
    )
    parser.add_argument(
        "--full", action="store_true", help="let vcrpy play every request, which takes minutes"
    )
    parser.add_argument("--ours", action="store_true", help="measure llmreplay alone")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure both rows."""
    requests = samples.raw_requests(arguments.requests)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.yaml"), Path(folder, "theirs.yaml")
        samples.cassette(ours, samples.exchanges(requests))
        load(ours).save(theirs, format="vcr")
        rows = [_matched(ours, theirs, requests, arguments), _missed(ours, theirs, requests, arguments)]
    if not arguments.json:
        print(table(rows))
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}


def _post(client: httpx2.Client, sent: samples.Sent) -> bytes:
    return client.post(sent.url, headers=sent.headers, content=sent.body).content


def _refusal(client: httpx2.Client, sent: samples.Sent) -> str:
    try:
        _post(client, sent)
    except UnmatchedRequest as refusal:
        return str(refusal)
    raise ValueError("this request was recorded")


def _seconds(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def _vcr() -> str:
    return f"vcrpy {importlib.metadata.version('vcrpy')}"


def _matched(ours: Path, theirs: Path, requests: list[samples.Sent], arguments: argparse.Namespace) -> Row:
    client, count = httpx2.Client(), len(requests)

    def replay_all() -> None:
        with use_cassette(ours):
            for sent in requests:
                _post(client, sent)

    we = median(_seconds(replay_all) for _ in range(3))
    peer, note = (1.0, "") if arguments.ours else _vcr_run(theirs, requests, client, arguments)
    return Row(
        f"{count:,} distinct body-matched requests, opening included",
        f"{_vcr()}, matching method, URI and body{note}",
        f"{we * 1e3:,.0f} ms",
        f"{peer:,.0f} s",
        "≥ 300 times faster",
        f"{peer / we:,.0f}",
        peer / we >= 300,
    )


def _vcr_run(
    path: Path, requests: list[samples.Sent], client: httpx2.Client, arguments: argparse.Namespace
) -> tuple[float, str]:
    def replay(numbers: list[int], *, mark: bool) -> list[float]:
        times = []
        with vcr.use_cassette(str(path), match_on=_MATCH_ON, record_mode="none") as cassette:
            for number in numbers:
                if mark:
                    for place in range(number):
                        cassette.play_counts[place] = 1
                times.append(_seconds(lambda number=number: _post(client, requests[number])))
        return times

    opening = _seconds(lambda: replay([], mark=False))
    if arguments.full:
        return opening + sum(replay(list(range(len(requests))), mark=False)), ""
    step = len(requests) / arguments.samples
    places = [int(step * (number + 0.5)) for number in range(arguments.samples)]
    each = mean(replay(places, mark=True))
    return opening + each * len(requests), f"; mean of {len(places)} places, for all"


def _missed(ours: Path, theirs: Path, requests: list[samples.Sent], arguments: argparse.Namespace) -> Row:
    client = httpx2.Client()
    changed = [
        samples.Sent(sent.url, sent.headers, sent.body.replace(b"And on day ", b"And by night "))
        for sent in requests[:: max(len(requests) // 8, 1)]
    ]

    def miss() -> list[float]:
        times = []
        with use_cassette(ours, unused="ignore") as cassette:
            for sent in changed:
                before = time.process_time()
                told = _refusal(client, sent)
                times.append(time.process_time() - before)
                assert "nearest: exchange" in told
            cassette.refusals.clear()
        return times

    def miss_vcr() -> float:
        with vcr.use_cassette(str(theirs), match_on=_MATCH_ON, record_mode="none"):
            before = time.process_time()
            try:
                _post(client, changed[0])
            except CannotOverwriteExistingCassetteException:
                return time.process_time() - before
        raise AssertionError("this request was not recorded")

    we = median(itertools.chain(miss(), miss()))
    peer = 1.0 if arguments.ours else miss_vcr()
    return Row(
        f"a miss in a cassette of {len(requests):,}, with the whole report",
        _vcr(),
        f"{we * 1e3:,.1f} ms",
        f"{peer * 1e3:,.0f} ms",
        "≤ 15 ms",
        f"{we * 1e3:,.1f} ms",
        we <= 0.015,
    )

"""From a file on the disk to the first answer, and the memory it takes.

A cassette of 10 MB against `json.loads` of the same data; one of 100 MB against vcrpy; and a session over
10,000 exchanges, which may not grow. What needs a process of its own has one: peaks of memory do not fall.
"""

from __future__ import annotations

import importlib.metadata
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx2

from benchmarks import samples
from benchmarks.rounds import Row, compare, table
from llmreplay import load, use_cassette

if TYPE_CHECKING:
    import argparse

NAME = "load"

_MB = 1e6
_LARGE = 6000  # bytes of an answer in the cassettes of 10 and of 100 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--only", choices=["10", "100", "session"], help="measure one part only")
    parser.add_argument("--rounds", type=int, default=11, help="loads of 10 MB on each side (default: 11)")
    parser.add_argument("--alone", nargs=2, metavar=("SIDE", "FILE"), help="load one file in this process")
    parser.add_argument("--ours", action="store_true", help="measure llmreplay alone")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row."""
    if arguments.alone:
        return _alone(*arguments.alone)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only in (None, "10"):
            rows.append(_small(Path(folder), arguments))
        if arguments.only in (None, "100"):
            rows += _large(Path(folder), arguments)
        if arguments.only in (None, "session"):
            rows.append(_session(Path(folder)))
    if not arguments.json:
        print(table(rows))
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}


def _as_json(path: Path) -> bytes:
    """Return what a cassette holds as JSON, with bodies as text."""
    kept = [
        {
            "request": [
                each.request.method,
                each.request.url,
                dict(each.request.headers),
                each.request.body.decode(),
            ],
            "response": [each.response.status, dict(each.response.headers), each.response.body.decode()],
        }
        for each in load(path).exchanges
        if each.response is not None
    ]
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def _small(folder: Path, arguments: argparse.Namespace) -> Row:
    path, plain = folder / "10.yaml", folder / "10.json"
    requests = samples.raw_requests(1600)
    samples.cassette(path, samples.exchanges(requests, _LARGE - 2300))
    plain.write_bytes(_as_json(path))
    client, first = httpx2.Client(), requests[0]

    def ours(_number: int) -> None:
        with use_cassette(path, unused="ignore"):
            assert client.post(first.url, headers=first.headers, content=first.body).status_code == 200

    found = compare(ours, lambda _number: json.loads(plain.read_bytes()), steps=arguments.rounds, turn=1)
    size = path.stat().st_size / _MB
    return found.row(
        f"load of 1,600 exchanges ({size:.0f} MB) to the first answer", "`json.loads`", 1.2, unit="ms"
    )


def _large(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    path, theirs = folder / "100.yaml", folder / "100.vcr.yaml"
    count = 16_000
    samples.cassette(path, samples.exchanges(samples.raw_requests(count), _LARGE - 2300))
    we = _in_a_process("llmreplay", path)
    if arguments.ours:
        peer = {"seconds": 1.0, "peak_mb": 1.0}
    else:
        load(path).save(theirs, format="vcr")
        peer = _in_a_process("vcrpy", theirs)
    size = path.stat().st_size / _MB
    name = f"vcrpy {importlib.metadata.version('vcrpy')}"
    faster, share = peer["seconds"] / we["seconds"], we["peak_mb"] / peer["peak_mb"]
    return [
        Row(
            f"load of {count:,} exchanges ({size:.0f} MB)",
            name,
            f"{we['seconds'] * 1e3:,.0f} ms",
            f"{peer['seconds']:,.1f} s",
            "≥ 60 times faster",
            f"{faster:,.0f}",
            faster >= 60,
        ),
        Row(
            "the same, peak of memory over that of the imports",
            name,
            f"{we['peak_mb']:,.0f} MB",
            f"{peer['peak_mb']:,.0f} MB",
            "≤ 1/4",
            f"{share:.2f}",
            share <= 0.25,
        ),
    ]


def _in_a_process(side: str, path: Path) -> dict[str, float]:
    found = []
    for _ in range(3 if side == "llmreplay" else 1):
        command = [sys.executable, "-m", "benchmarks", NAME, "--json", "--alone", side, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
    return {name: median(one[name] for one in found) for name in ("seconds", "peak_mb")}


def _alone(side: str, path: str) -> dict[str, Any]:
    """Load one file, and say what it took."""
    if side == "session":
        return _one_session(Path(path))
    if side == "vcrpy":
        import vcr

        def action() -> None:
            with vcr.use_cassette(path, record_mode="none"):
                pass
    else:

        def action() -> None:
            with use_cassette(path, unused="ignore"):
                pass

    empty = Path(path).with_name("empty.yaml")
    if side != "vcrpy":
        with use_cassette(empty, unused="ignore"):
            pass
    peak = _peak()
    before = time.process_time()
    action()
    seconds = time.process_time() - before
    return {"seconds": seconds, "peak_mb": _peak() - peak}


def _session(folder: Path) -> Row:
    path = folder / "session.yaml"
    samples.cassette(path, samples.exchanges(samples.raw_requests(10_000)))
    command = [sys.executable, "-m", "benchmarks", NAME, "--json", "--alone", "session", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    grown = found["grown_mb"] - found["file_mb"]
    return Row(
        "memory of a session over 10,000 replayed exchanges, beyond the file",
        "the file",
        f"{found['grown_mb']:,.0f} MB",
        f"{found['file_mb']:,.0f} MB",
        "< 20 MB more",
        f"{grown:+,.1f} MB",
        grown < 20,
    )


def _peak() -> float:
    # Not that of `getrusage`, which a process inherits from the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / _MB


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MB


def _one_session(path: Path) -> dict[str, Any]:
    """Replay a whole cassette, and say by how much this process has grown."""
    requests = samples.raw_requests(10_000)
    client = httpx2.Client()

    def post(sent: samples.Sent) -> bytes:
        return client.post(sent.url, headers=sent.headers, content=sent.body).content

    warm = path.with_name("warm.yaml")
    samples.cassette(warm, samples.exchanges(requests[:100]))
    with use_cassette(warm):
        for sent in requests[:100]:
            post(sent)
    before = _resident()
    with use_cassette(path):
        for sent in requests:
            post(sent)
        after = _resident()
    return {"grown_mb": after - before, "file_mb": path.stat().st_size / _MB}

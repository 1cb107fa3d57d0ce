"""Real cassettes of others: each converts to the native format and back, and each replays.

Needs `LLMREPLAY_CORPUS`, a folder of cassettes with a MANIFEST.csv; `python -m tests.corpus.test_replay`
prints the table. All formats are here that `load` reads.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from pathlib import Path

import httpx
import httpx2
import pytest

from llmreplay import load, use_cassette
from llmreplay.codecs import is_llm_call
from llmreplay.errors import SecretInCassette
from llmreplay.exchange import Exchange, Failure
from llmreplay.redaction import Redaction
from tests.corpus import oracle

CORPUS = os.environ.get("LLMREPLAY_CORPUS")


def readable_files() -> dict[str, list[Path]]:
    """The files of the corpus in formats that are read, by the repository they come from."""
    files: dict[str, list[Path]] = defaultdict(list)
    with (Path(CORPUS) / "MANIFEST.csv").open(newline="") as manifest:
        for row in csv.DictReader(manifest):
            if row["format"] in oracle.FORMATS:
                files[row["corpus"]].append(Path(CORPUS, row["corpus"], row["file"]))
    return files


FILES = readable_files() if CORPUS else {}
by_corpus = pytest.mark.parametrize("corpus", sorted(FILES) or ["none"])
pytestmark = pytest.mark.skipif(not CORPUS, reason="LLMREPLAY_CORPUS is not set: no corpus of real cassettes")


def test_every_file_of_a_format_that_is_read_is_here():
    assert sum(len(files) for files in FILES.values()) == 502


@by_corpus
def test_every_file_converts_to_the_native_format_and_back_without_loss(corpus, tmp_path):
    for number, file in enumerate(FILES[corpus]):
        path = tmp_path / f"{number}.yaml"
        cassette = load(file)
        original = list(cassette.exchanges)
        try:
            cassette.save(path, format="llmreplay")
        except SecretInCassette:
            # What looks like a secret is refused, and taken out on demand: then only that differs.
            cassette.redact()
            original = list(cassette.exchanges)
            cassette.save(path, format="llmreplay")
        again = load(path)

        assert list(again.exchanges) == original, file
        assert again.edited == [], file
        assert Redaction().find(path.read_bytes()) == [], file


def replayed(library, exchange: Exchange) -> tuple[int, bytes]:
    """Send the recorded request again, and return the status and the decoded body."""
    request = exchange.request
    headers = [
        (name, value) for name, value in request.headers if name.lower() not in ("content-length", "host")
    ]
    with library.Client(trust_env=False) as client:
        response = client.send(
            client.build_request(request.method, request.url, headers=headers, content=request.body),
            follow_redirects=False,
        )
        return response.status_code, response.content


def passes(exchange: Exchange) -> bool:
    """Tell whether a request goes to a server on this machine and asks no model: such are not replayed."""
    return exchange.request.host in ("localhost", "127.0.0.1") and not is_llm_call(exchange.request)


def check_replay(library, file: Path) -> Counter:
    """Replay every exchange of a file, in order; the counts are for the table."""
    seen: Counter = Counter(files=1)
    recorded = list(load(file).exchanges)
    aside = [exchange for exchange in recorded if passes(exchange)]
    with use_cassette(file, unused="ignore" if aside else "fail"):
        for exchange in recorded:
            seen["exchanges"] += 1
            if exchange in aside:
                seen["passed"] += 1
                continue
            if isinstance(exchange.failure, Failure):
                seen["failures"] += 1
                with pytest.raises(library.TransportError):
                    replayed(library, exchange)
                continue
            status, body = replayed(library, exchange)
            assert (status, body) == (exchange.response.status, exchange.response.body), (
                file,
                exchange.request,
            )
            seen["replayed"] += 1
    return seen


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@by_corpus
def test_every_exchange_replays_with_the_recorded_status_and_body(corpus, library):
    seen: Counter = sum((check_replay(library, file) for file in FILES[corpus]), Counter())

    assert seen["replayed"] + seen["failures"] + seen["passed"] == seen["exchanges"] > 0


def main() -> None:
    """Print a table by corpus: files, exchanges, and those replayed through both libraries."""
    total: Counter = Counter()
    print("| corpus | files | exchanges | replayed by httpx | replayed by httpx2 |")  # noqa: T201  a program
    print("|---|---|---|---|---|")  # noqa: T201
    for corpus, files in sorted(FILES.items()):
        seen: Counter = Counter()
        for file in files:
            one, two = check_replay(httpx, file), check_replay(httpx2, file)
            seen += Counter(
                files=1, exchanges=one["exchanges"], httpx=one["replayed"], httpx2=two["replayed"]
            )
        total += seen
        print(f"| {corpus} | {seen['files']} | {seen['exchanges']} | {seen['httpx']} | {seen['httpx2']} |")  # noqa: T201
    print(f"| all | {total['files']} | {total['exchanges']} | {total['httpx']} | {total['httpx2']} |")  # noqa: T201


if __name__ == "__main__":
    main()

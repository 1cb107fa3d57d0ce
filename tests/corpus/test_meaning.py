"""Every file of the corpus that `load` reads is read, and means, what an independent reader found.

Needs `LLMREPLAY_CORPUS`, the folder of the corpus; without it these tests skip.
`python -m tests.corpus.test_meaning` prints a table by wire and corpus. Its columns: exchanges on wires that
a codec decodes; those decoded; errors that the provider reported; answers that are known to be broken off in
the file; of those decoded, the ones that agree with the oracle in all it tells (reasons, tools, text, usage,
events), those where the oracle was found wrong, those of which it says nothing; and what is left.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs, load
from llmreplay.codecs import embeddings
from llmreplay.completion import CompletionError, Final, StreamError
from llmreplay.errors import CassetteError, UnknownWire
from tests.corpus import oracle

if TYPE_CHECKING:
    from llmreplay.completion import CompletionResponse
    from llmreplay.exchange import Exchange

COLUMNS = ("exchanges", "decoded", "errors", "broken off", "agreed", "settled", "untold", "unknown")
GROUPS = sorted({(corpus, rows[0]["format"]) for (corpus, _), rows in oracle.files().items()})

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")
by_group = pytest.mark.parametrize("group", GROUPS or [("none", "none")], ids=":".join)


@cache
def exchanges(group: tuple[str, str]) -> list[tuple[dict[str, Any], Exchange]]:
    """Load all files of a corpus that have one format, and pair their exchanges with the oracle's rows."""
    found: list[tuple[dict[str, Any], Exchange]] = []
    for place, rows in oracle.files().items():
        if (place[0], rows[0]["format"]) == group:
            cassette = load(Path(oracle.FOLDER or "", *place))
            assert cassette.format == oracle.FORMATS[group[1]], place
            found += zip(rows, cassette.exchanges, strict=True)
    return found


def is_covered(exchange: Exchange) -> bool:
    """Tell whether a codec decodes the wire; of what `invoke` asks, only the models whose form it knows."""
    try:
        codecs.codec_of(exchange.request)
        if codecs.recognise(exchange.request) == "bedrock_invoke":
            codecs.decode(exchange)
    except UnknownWire:
        return False
    except CompletionError:
        pass
    return True


def verdict(row: dict[str, Any], exchange: Exchange) -> tuple[str, Any]:
    """Return the column that an exchange on a covered wire counts in, and for the last one, why."""
    try:
        if codecs.recognise(exchange.request) == "embeddings":
            return ("untold", None) if embeddings.decode(exchange) else ("unknown", "no vectors")
        response = codecs.decode(exchange)
    except CompletionError as error:
        if (row["status"] >= 400 or row["midstream_error"]) and error.kind != "unknown":
            return "errors", None
        kinds = [kind for part, (kind, _) in oracle.NO_ANSWER.items() if part in row["file"]]
        return ("broken off", None) if kinds == [error.kind] else ("unknown", error)
    return compared(row, response)


def compared(row: dict[str, Any], response: CompletionResponse) -> tuple[str, Any]:
    told = oracle.oracle().get(oracle.key(row))
    if told is None:
        return "untold", None
    ours, theirs = oracle.found(response), oracle.expected(told)
    differing = {name for name in ours if ours[name] != theirs[name]}
    if differing - oracle.settled(row["file"]).keys():
        return "unknown", {name: (ours[name], theirs[name]) for name in differing}
    return "settled" if differing else "agreed", None


def test_every_file_of_a_format_that_is_read_is_here() -> None:
    counts = Counter(rows[0]["format"] for rows in oracle.files().values())

    assert counts == {
        "vcrpy-yaml-v1": 371,
        "vcrpy-yaml-vNone": 7,
        "ruby-vcr": 52,
        "r-vcr": 13,
        "go-vcr-v2": 15,
        "httprr": 26,
        "nock": 9,
        "har-yaml": 1,
        "dd-testagent": 8,
    }


def test_files_that_hold_no_exchanges_over_http_are_no_cassettes() -> None:
    others = {
        Path(oracle.FOLDER or "", row["corpus"], row["file"])
        for row in oracle.rows("EXCHANGES.jsonl")
        if row["format"] not in oracle.FORMATS
    }
    for path in sorted(others):
        with pytest.raises(CassetteError, match="is no cassette that llmreplay reads"):
            load(path)


@by_group
def test_every_exchange_has_the_status_and_the_body_that_an_independent_reader_found(group) -> None:
    for row, exchange in exchanges(group):
        response, place = exchange.response, oracle.key(row)
        assert response is not None, place
        assert response.status == row["status"], place
        assert exchange.request.method == row["method"].upper(), place
        assert exchange.request.parts.netloc.lower() == row["host"].lower(), place
        assert response.header("content-length") in (None, str(len(response.body))), place
        if place[1:] in oracle.OTHER_BODIES:
            continue
        body = response.body
        if row["storage"] == "parsed":  # the reader spells JSON in its own way
            body = json.dumps(response.json, ensure_ascii=False).encode()
        assert sha256(body).hexdigest()[:16] == row["resp_sha"], place
        assert len(body) == row["resp_bytes"] or row["body_compressed"], place


@by_group
def test_every_answer_means_what_an_independent_reader_found(group) -> None:
    unknown = []
    for row, exchange in exchanges(group):
        if is_covered(exchange):
            column, why = verdict(row, exchange)
            unknown += [(oracle.key(row), why)] if column == "unknown" else []

    assert unknown == []


@by_group
def test_every_answer_is_told_as_it_is_decoded(group) -> None:
    for row, exchange in exchanges(group):
        if not is_covered(exchange) or codecs.recognise(exchange.request) == "embeddings":
            continue
        *_, last = codecs.events(exchange)
        try:
            response = codecs.decode(exchange)
        except CompletionError:
            assert not isinstance(last, Final), oracle.key(row)
            assert isinstance(last, StreamError) or row["status"] < 400, oracle.key(row)
        else:
            assert isinstance(last, Final), oracle.key(row)
            assert last.response == response, oracle.key(row)
            assert response.usage == codecs.usage(exchange), oracle.key(row)
            odd = any(part in row["file"] for part in oracle.ODD_SUMS)
            assert bool(response.usage.audit()) is odd, oracle.key(row)


def test_every_settled_disagreement_is_still_one() -> None:
    parts = set(oracle.SETTLED) | set(oracle.NO_ANSWER)
    seen = set()
    for group in GROUPS:
        for row, exchange in exchanges(group):
            for part in parts:
                if part in row["file"] and is_covered(exchange):
                    seen |= {part} if verdict(row, exchange)[0] in {"settled", "broken off"} else set()

    assert parts - seen == set()


def survey() -> dict[tuple[str, str], Counter[str]]:
    """Count every exchange on a covered wire, by wire and corpus."""
    table: dict[tuple[str, str], Counter[str]] = {}
    for group in GROUPS:
        for row, exchange in exchanges(group):
            if not is_covered(exchange):
                continue
            counts = table.setdefault((str(codecs.recognise(exchange.request)), group[0]), Counter())
            column, _ = verdict(row, exchange)
            counts["exchanges"] += 1
            counts[column] += 1
            counts["decoded"] += column in {"agreed", "settled", "untold"}
    return table


def main() -> None:
    """Print the table."""
    table = survey()
    total = sum(table.values(), Counter())
    print(f"| wire | corpus | {' | '.join(COLUMNS)} |")  # noqa: T201  a program
    print(f"|---|---|{'---|' * len(COLUMNS)}")  # noqa: T201
    for (wire, corpus), counts in [*sorted(table.items()), (("all", ""), total)]:
        print(f"| {wire} | {corpus} | {' | '.join(str(counts[column]) for column in COLUMNS)} |")  # noqa: T201


if __name__ == "__main__":
    main()

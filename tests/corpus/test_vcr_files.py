"""Every vcrpy cassette of the corpus is read as an independent reader found it, and written without loss.

`LLMREPLAY_CORPUS` names the folder of the corpus. As a program this file prints what is in it.
`EXCHANGES.jsonl` has the size of a body as stored, and the digest of the body decoded; a `parsed_body` it
counts as `json.dumps(…, ensure_ascii=False)` spells it.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path

import httpx
import httpx2
import pytest

from llmreplay.cassette import _foreign, _vcr, _vcr_tree

CORPUS = Path(os.environ.get("LLMREPLAY_CORPUS", ""))
FORMATS = ("vcrpy-yaml-v1", "vcrpy-yaml-vNone")
COLUMNS = ("files", "exchanges", "compressed", "stale coding", "wrong length", "parsed body")


@cache
def manifest() -> list[dict[str, str]]:
    if not os.environ.get("LLMREPLAY_CORPUS"):
        return []
    with (CORPUS / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def expected() -> dict[tuple[str, str], list[dict]]:
    """Return the rows of the independent reader by corpus and file."""
    rows: dict[tuple[str, str], list[dict]] = {}
    with (CORPUS / "EXCHANGES.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            rows.setdefault((row["corpus"], row["file"]), []).append(row)
    return rows


def files_of(corpus: str) -> list[str]:
    return [row["file"] for row in manifest() if row["corpus"] == corpus and row["format"] in FORMATS]


def corpora() -> list[str]:
    return sorted({row["corpus"] for row in manifest() if row["format"] in FORMATS})


def survey(corpus: str) -> Counter[str]:
    """Read a corpus, hold it against the independent reader, and count its oddities."""
    counts: Counter[str] = Counter()
    for file in files_of(corpus):
        path = CORPUS / corpus / file
        data, rows = path.read_bytes(), expected()[corpus, file]
        assert _vcr.looks_like(data), path
        exchanges = _vcr.read(data, path)
        assert len(exchanges) == len(rows), path
        trees = [tree["response"] for _, tree in _vcr_tree.parse(data).interactions]
        for exchange, tree, row in zip(exchanges, trees, rows, strict=True):
            place = f"{path} [{row['idx']}]"
            response, request = exchange.response, exchange.request
            assert response is not None, place
            assert response.status == row["status"], place
            assert request.method == row["method"].upper(), place
            assert request.parts.netloc.lower() == row["host"].lower(), place

            decoded, stored = response.body, _vcr._stored_body(tree)
            if row["storage"] == "parsed":
                decoded = stored = json.dumps(response.json, ensure_ascii=False).encode()
            assert len(stored) == row["resp_bytes"], place
            assert sha256(decoded).hexdigest()[:16] == row["resp_sha"], place
            asked = request.body, json.dumps(request.json, ensure_ascii=False).encode()
            assert row["req_bytes"] in map(len, asked), place

            # Nothing is left that a client would stumble over, and the clients agree.
            assert response.header("content-encoding") is None, place
            assert response.header("content-length") in (None, str(len(response.body))), place
            for library in (httpx, httpx2):
                played = library.Response(
                    response.status, headers=list(response.headers), content=response.body
                )
                assert played.content == response.body, place

            said = {name.lower(): value for name, value in _foreign.headers_of(tree)}
            assert bool(response.encoding) == (row["body_compressed"] in ("gzip", "br")), place
            counts["compressed"] += bool(response.encoding)
            counts["stale coding"] += "content-encoding" in said and not response.encoding
            length = str(len(_vcr._stored_body(tree)))
            counts["wrong length"] += said.get("content-length", length) != length
            counts["parsed body"] += "parsed_body" in tree
        assert _vcr.read(_vcr.write(exchanges), path) == exchanges, path
        counts["files"] += 1
        counts["exchanges"] += len(exchanges)
    return counts


@pytest.mark.parametrize(
    "corpus",
    corpora()
    or [pytest.param("", marks=pytest.mark.skip(reason="LLMREPLAY_CORPUS does not name the corpus"))],
)
def test_every_vcrpy_cassette_is_read_as_it_is(corpus) -> None:
    assert survey(corpus)["files"] == len(files_of(corpus)) > 0


@pytest.mark.skipif(not manifest(), reason="LLMREPLAY_CORPUS does not name the corpus")
def test_no_file_of_another_format_is_taken_for_vcrpy_s() -> None:
    others = [CORPUS / row["corpus"] / row["file"] for row in manifest() if row["format"] not in FORMATS]

    assert [path for path in others if _vcr.looks_like(path.read_bytes())] == []


def main() -> None:
    print(f"{'corpus':45}" + "".join(f"{column:>14}" for column in COLUMNS))  # noqa: T201  its whole purpose
    for corpus in corpora():
        counts = survey(corpus)
        print(f"{corpus:45}" + "".join(f"{counts[column]:14}" for column in COLUMNS))  # noqa: T201


if __name__ == "__main__":
    main()

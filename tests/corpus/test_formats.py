"""What is read, by format: every file of the corpus, its exchanges, their bodies, and what they mean.

Needs `LLMREPLAY_CORPUS`, the folder of the corpus; without it these tests skip.
`python -m tests.corpus.test_formats` prints the table. Its columns: files that the corpus has and that are
read; exchanges; those whose status and whose decoded body (size and digest) are what EXCHANGES.jsonl has;
those on a wire that is decoded, and of these the ones that mean what ORACLE.jsonl has (answers and errors);
those where the oracle was found wrong; and those of which it says nothing. Below are the files that are a
response alone, read with a URL.
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import load
from llmreplay.cassette.conversion import convert
from llmreplay.errors import BrokenCassette, CassetteError
from llmreplay.framing.eventstream import EventStreamParser
from llmreplay.framing.sse import SSEParser
from llmreplay.redaction import Redaction
from tests.corpus import oracle
from tests.corpus.test_meaning import GROUPS, exchanges, is_covered, verdict

if TYPE_CHECKING:
    from llmreplay.exchange import Exchange

COLUMNS = ("files", "read", "exchanges", "status", "body", "on a wire", "meaning", "settled", "untold")
LINES = "fixture-chunks"
ALONE = ("fixture-json", LINES, "fixture-sse", "response-json")
"""What `MANIFEST.csv` calls files that are a response alone."""

OTHERS = {"ws-yaml": 15, "xai-grpc-yaml": 9}
"""Formats of files that hold WebSockets and gRPC."""

ELSEWHERE = "https://api.example.com/other"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models/gemini"
CHAT = "https://api.openai.com/v1/chat/completions"
WIRES = {
    "messages": "https://api.anthropic.com/v1/messages",
    "cohere.chat": "https://api.cohere.com/v2/chat",
    "converse": "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse-stream",
    "responses": "https://api.openai.com/v1/responses",
    "chat.completions": CHAT,
    "generateContent": f"{GOOGLE}:streamGenerateContent?alt=sse",
    "embeddings": f"{GOOGLE}:batchEmbedContents",
}
NO_CHAT = ("aws_bedrock_meta", "gladia", "revai", "unknown", "google-vertex")
"""Who is taken for a provider of chats, or speaks another form of embeddings."""

DAMAGED = "parallel-tool-call-wrapper.1.chunks.txt"  # in two of its lines a brace is missing
GEMINI = "Gemini's answer is of its own wire, and the oracle looks for one of the chat wire"
AZURE = "Azure's stream is of the responses wire, and the oracle looks for chunks of the chat wire"
SETTLED = {
    "azure-reasoning-encrypted-content.1.chunks": AZURE,
    "azure-tool-call.1.chunks": AZURE,
    "google_gemini/chat_with_tool_calls": GEMINI,
    "google_vertex_ai/chat": GEMINI,
    "google-stream-tool-call-arguments": "arguments that come in parts have names only in their first part",
}

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


def url_of(row: dict[str, Any]) -> str:
    """Return where a response of the corpus came from, as far as its name tells."""
    if row["provider"] in NO_CHAT or "google_vertex_ai/embed" in row["file"]:  # that is of :predict
        return ELSEWHERE
    if "/azure/" in row["file"] and row["api"] == "chat.completions":
        return WIRES["responses"]
    if row["provider"].startswith("google_") and row["api"] == "chat.completions":
        return f"{GOOGLE}:generateContent"
    return WIRES.get(row["api"], ELSEWHERE)


def alone() -> list[tuple[dict[str, Any], Exchange]]:
    """Read every file that is a response alone, but the damaged one."""
    rows = [row for row in oracle.rows("EXCHANGES.jsonl") if row["format"] in ALONE]
    return [
        (row, load(path_of(row), url=url_of(row)).exchanges[0]) for row in rows if DAMAGED not in row["file"]
    ]


def path_of(row: dict[str, Any]) -> Path:
    return Path(oracle.FOLDER or "", row["corpus"], row["file"])


def is_same_body(row: dict[str, Any], exchange: Exchange) -> bool:
    """Compare a decoded body with the size and the digest of it."""
    assert exchange.response is not None
    body = exchange.response.body
    if row["format"] == LINES:
        return events_of(exchange) == [json.loads(line) for line in path_of(row).read_bytes().splitlines()]
    if row["storage"] == "parsed":  # the reader spells JSON in its own way
        body = json.dumps(exchange.response.json, ensure_ascii=False).encode()
    same_size = len(body) == row["resp_bytes"] or bool(row["body_compressed"])
    return same_size and sha256(body).hexdigest()[:16] == row["resp_sha"]


def events_of(exchange: Exchange) -> list[Any]:
    """Return the objects of a stream, as the lines of a file have them."""
    response = exchange.response
    assert response is not None
    kind = response.header("content-type") or ""
    if kind.endswith("eventstream"):
        parser = EventStreamParser()
        parser.receive(response.body)
        frames = iter(parser.next_frame, None)
        return [{frame.text(":event-type"): json.loads(frame.payload)} for frame in frames]
    if kind == "text/event-stream":
        return [json.loads(frame.data) for frame in SSEParser().feed(response.body)]
    return [json.loads(line) for line in response.body.splitlines()]


def counted(row: dict[str, Any], exchange: Exchange) -> Counter[str]:
    """Count what was found right of an exchange."""
    response = exchange.response
    assert response is not None
    # A body alone has no status: what is in it then tells the error.
    status = response.status == row["status"] or (row["format"] in ALONE and response.status == 200)
    settled = (row["file"], row["idx"]) in oracle.OTHER_BODIES
    counts = Counter(exchanges=1, status=status, body=settled or is_same_body(row, exchange))
    if is_covered(exchange):
        column, _ = verdict(row, exchange)
        if any(part in row["file"] for part in SETTLED):
            column = "settled" if column == "unknown" else "settled no more"
        names = {"agreed": "meaning", "errors": "meaning", "broken off": "settled"}
        counts += Counter({"on a wire": 1, names.get(column, column): 1})
    return counts


def survey() -> dict[str, Counter[str]]:
    """Count all files of the corpus that are read, by format."""
    table: dict[str, Counter[str]] = {}
    for rows in oracle.files().values():
        table.setdefault(rows[0]["format"], Counter()).update(files=1)
    for group in GROUPS:
        for row, exchange in exchanges(group):
            table[group[1]] += counted(row, exchange) + Counter(read=row["idx"] == 0)
    for row in oracle.rows("EXCHANGES.jsonl"):
        if row["format"] in ALONE:
            table.setdefault(row["format"], Counter()).update(files=1)
    for row, exchange in alone():
        table[row["format"]] += counted(row, exchange) + Counter(read=1)
    return table


def test_every_file_is_read_with_the_status_the_body_and_the_meaning_that_others_found() -> None:
    table = survey()

    assert {name: (counts["files"], counts["exchanges"]) for name, counts in table.items()} == {
        "vcrpy-yaml-v1": (371, 714),
        "vcrpy-yaml-vNone": (7, 17),
        "ruby-vcr": (52, 93),
        "r-vcr": (13, 40),
        "go-vcr-v2": (15, 26),
        "har-yaml": (1, 31),
        "nock": (9, 9),
        "httprr": (26, 42),
        "dd-testagent": (8, 8),
        "fixture-json": (38, 38),
        "fixture-chunks": (31, 30),
        "fixture-sse": (1, 1),
        "response-json": (4, 4),
    }
    for name, counts in table.items():
        assert counts["read"] == counts["files"] - (name == LINES), name
        assert counts["status"] == counts["body"] == counts["exchanges"], name
        assert counts["meaning"] + counts["settled"] + counts["untold"] == counts["on a wire"], name
        assert counts.keys() <= set(COLUMNS), name


@pytest.mark.parametrize("to", ["vcr", "har"])
@pytest.mark.parametrize("group", GROUPS or [("none", "none")], ids=":".join)
def test_every_file_converts_and_nothing_of_it_is_lost(group, to, tmp_path) -> None:
    for number, (place, rows) in enumerate(oracle.files().items()):
        if (place[0], rows[0]["format"]) != group:
            continue
        target = tmp_path / str(number)
        done = convert(Path(oracle.FOLDER or "", *place), target, to)
        assert (done.exchanges, done.lost) == (len(rows), {}), place
        assert load(target).format == to, place
        assert Redaction().find(target.read_bytes()) == [], place


def test_a_response_alone_is_none_whose_lines_are_damaged() -> None:
    [row] = [row for row in oracle.rows("EXCHANGES.jsonl") if DAMAGED in row["file"]]

    with pytest.raises(CassetteError, match="line 1 is no JSON object"):
        load(path_of(row), url=url_of(row))


def test_a_file_without_exchanges_over_http_is_none_with_or_without_a_url() -> None:
    rows = [row for row in oracle.rows("EXCHANGES.jsonl") if row["format"] in OTHERS]
    paths = {path_of(row): row["format"] for row in rows}

    assert Counter(paths.values()) == OTHERS
    for path in paths:
        with pytest.raises(CassetteError, match="is no cassette that llmreplay reads") as caught:
            load(path)
        assert not isinstance(caught.value, BrokenCassette)
        with pytest.raises(CassetteError, match="is no response that llmreplay knows"):
            load(path, url=CHAT)


def main() -> None:
    """Print the table."""
    table = survey()
    rows = [*table.items(), ("all", sum(table.values(), Counter()))]
    print(f"| format | {' | '.join(COLUMNS)} |")  # noqa: T201  a program
    print(f"|---|{'---|' * len(COLUMNS)}")  # noqa: T201
    for name, counts in rows:
        print(f"| {name} | {' | '.join(str(counts[column]) for column in COLUMNS)} |")  # noqa: T201


if __name__ == "__main__":
    main()

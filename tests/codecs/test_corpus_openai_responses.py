"""Real traffic on the Responses wire: what we make of it against what an independent reader found.

Needs the corpus, whose folder `LLMREPLAY_CORPUS` names; without it these tests skip. Files of other
recorders, and bare bodies, are read here by hand: what counts is what their bytes mean.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmreplay import codecs
from llmreplay.codecs.openai_responses import CODEC
from llmreplay.completion import CompletionError, Final, TextDelta, ToolCallEnd
from llmreplay.exchange import Exchange, Request, Response
from llmreplay.matching import exact_key
from tests.corpus import oracle

OPENAI = "https://api.openai.com/v1/responses"

SETTLED = oracle.NO_ANSWER | {
    "parallel-tool-call-wrapper": ("decode_error", "two of the frames are no JSON: a brace is missing"),
    "openai-error": ("quota_exhausted", "an error, as a body and in a stream"),
}
"""Parts of the names of files whose exchanges are no answers, by looking at the bytes: the kind, and why."""

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


FILES: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
for found_row in oracle.rows("EXCHANGES.jsonl"):
    if found_row["api"] == "responses":
        FILES[found_row["corpus"], found_row["file"]].append(found_row)
every_file = pytest.mark.parametrize("place", FILES, ids="/".join)


class Loader(yaml.SafeLoader):
    """YAML with the binary tag of Ruby."""


Loader.add_constructor("!binary", lambda loader, node: base64.b64decode(loader.construct_scalar(node)))


@cache
def exchanges(place: tuple[str, str]) -> list[tuple[dict[str, Any], Exchange]]:
    from llmreplay.cassette._vcr import read

    path, wanted = Path(oracle.FOLDER or "").joinpath(*place), FILES[place]
    kind = wanted[0]["format"]
    if kind.startswith("vcrpy"):
        stored = read(path.read_bytes(), path)
        return [(row, stored[row["idx"]]) for row in wanted]
    return [(row, _read(path, row)) for row in wanted]


def _read(path: Path, row: dict[str, Any]) -> Exchange:
    if row["format"] == "fixture-json":
        return _exchange(OPENAI, "{}", path.read_bytes(), row["status"])
    if row["format"] == "fixture-chunks":
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return _exchange(OPENAI, '{"stream":true}', "".join(f"data: {line}\n\n" for line in lines), 200)
    stored = yaml.load(path.read_text(encoding="utf-8"), Loader)
    found = stored.get("interactions", stored.get("http_interactions"))[row["idx"]]
    asked, answer = found["request"], found["response"]
    body, said = asked["body"], answer["body"]
    return _exchange(
        asked.get("url") or asked["uri"],
        body if isinstance(body, str) else body["string"],
        said if isinstance(said, str) else said["string"],
        row["status"],
    )


def _exchange(url: str, body: str | bytes, answer: str | bytes, status: int) -> Exchange:
    sent, got = (item if isinstance(item, bytes) else item.encode() for item in (body, answer))
    return Exchange(Request("POST", url, (), sent), Response.of(status, got))


@every_file
def test_recorded_exchanges_mean_what_an_independent_reader_found(place: tuple[str, str]) -> None:
    failed = []
    for row, exchange in exchanges(place):
        try:
            response = codecs.decode(exchange)
        except CompletionError as error:
            failed.append((row, error))
            continue
        assert oracle.found(response) == oracle.expected(oracle.oracle()[oracle.key(row)])
        assert response.usage == codecs.usage(exchange)
        assert response.usage.audit() == []
    settled = next((kind for part, (kind, _) in SETTLED.items() if part in place[1]), None)
    for row, error in failed:
        assert error.kind == settled or row["status"] >= 400
        assert error.kind != "unknown"


@every_file
def test_recorded_exchanges_are_told_as_they_are_decoded(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        *events, last = codecs.events(exchange)
        if isinstance(last, Final):
            assert last.response == codecs.decode(exchange)
            assert (
                "".join(event.text for event in events if isinstance(event, TextDelta)) == last.response.text
            )
            ended = [event.tool_call for event in events if isinstance(event, ToolCallEnd)]
            assert ended == last.response.tool_calls


@every_file
def test_recorded_answers_are_written_to_mean_the_same(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        try:
            response = codecs.decode(exchange)
        except CompletionError:
            continue
        for stream in (False, True):
            asked = {**(exchange.request.json or {}), "stream": stream}
            request = replace(exchange.request, body=json.dumps(asked).encode())
            again = codecs.decode(Exchange(request, CODEC.encode_response(response, request)))
            made_up = {"request_id", "raw", "service_tier"} | ({"message_id"} if not response.text else set())
            changed = {
                name
                for name in type(response).model_fields
                if getattr(again, name) != getattr(response, name)
            }
            assert changed - made_up == set()


@every_file
def test_recorded_requests_are_written_as_they_were_read(place: tuple[str, str]) -> None:
    for _, exchange in exchanges(place):
        if "input" not in (exchange.request.json or {}):
            continue
        found = codecs.decode_request(exchange.request)
        written = CODEC.encode_request(found, base_url=exchange.request.url.removesuffix("/responses"))
        assert exact_key(written) == exact_key(exchange.request)
        assert codecs.decode_request(written) == found


@every_file
def test_requests_that_were_accepted_break_no_rule(place: tuple[str, str]) -> None:
    for row, exchange in exchanges(place):
        rejection = CODEC.check(exchange.request)
        if row["status"] < 400:
            assert rejection is None
        elif rejection is not None:
            assert exchange.response is not None
            assert (rejection.response.status, rejection.response.json) == (
                row["status"],
                exchange.response.json,
            )


@every_file
def test_a_recorded_conversation_that_lost_a_call_or_an_output_is_rejected(place: tuple[str, str]) -> None:
    for row, exchange in exchanges(place):
        body = exchange.request.json or {}
        items = body.get("input")
        if row["status"] >= 400 or not isinstance(items, list) or body.get("previous_response_id"):
            continue
        for at, item in enumerate(items):
            if item.get("type") not in {"function_call", "function_call_output"}:
                continue
            rest = json.dumps({**body, "input": items[:at] + items[at + 1 :]}).encode()
            rejection = CODEC.check(Request("POST", OPENAI, (), rest))
            assert rejection is not None
            assert item["call_id"] in rejection.message or "reasoning" in rejection.message

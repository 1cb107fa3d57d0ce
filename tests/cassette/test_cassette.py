"""A cassette: loading, saving, sharing, mending."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from llmreplay import Cassette, Exchange, Failure, Request, Response, Usage, load
from llmreplay.cassette import repair
from llmreplay.errors import (
    BrokenCassette,
    CassetteError,
    CassetteNotFound,
    OptionError,
    SecretInCassette,
)
from llmreplay.matching import parse_ignore
from llmreplay.redaction import Redaction

RULES = Redaction(environ={})
SECRET = "sk-" + "a1B2c3D4" * 5


def chat(content: str, answer: str = "Hi.", tokens: int = 3) -> Exchange:
    asked = {"model": "gpt-5.5", "messages": [{"role": "user", "content": content}]}
    said = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5.5",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1},
    }
    headers = (("content-type", "application/json"),)
    request = Request(
        "POST", "https://api.openai.com/v1/chat/completions", headers, json.dumps(asked).encode()
    )
    return Exchange(request, Response.of(200, json.dumps(said).encode(), headers))


def asked(cassette: Cassette) -> list[str]:
    return [exchange.request.json["messages"][0]["content"] for exchange in cassette.exchanges]


def test_a_saved_cassette_is_loaded_with_its_exchanges_in_order(tmp_path):
    recorded = [chat("one"), chat("two"), chat("one")]
    Cassette(recorded).save(tmp_path / "x.yaml")

    cassette = load(tmp_path / "x.yaml")

    assert cassette.exchanges == recorded
    assert cassette.exchanges[-1] == recorded[-1]
    assert cassette.exchanges[:2] == recorded[:2]
    assert len(cassette) == 3
    assert "3 exchanges" in repr(cassette)
    assert cassette.path == tmp_path / "x.yaml"
    assert [cassette.line(number) > 0 for number in (1, 2, 3)] == [True] * 3


def test_what_a_cassette_means_is_derived_from_its_exchanges(tmp_path):
    cassette = Cassette([chat("one", tokens=3), chat("two", tokens=4)])
    weather = Request("GET", "https://weather.example/paris")
    cassette.append(Exchange(weather, Response.of(200, b"sunny")))

    assert cassette.usage == Usage(input_tokens=7, output_tokens=2, total_tokens=9)
    assert [request.messages[0].text for request in cassette.requests] == ["one", "two"]
    assert len(cassette.calls) == 3


def test_a_cassette_without_a_path_asks_for_one():
    with pytest.raises(OptionError, match="was not loaded from one"):
        Cassette().save()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(OptionError, match="llmreplay, vcr or har"):
        Cassette().save(tmp_path / "x.yaml", format="httprr")


def test_a_cassette_saved_for_vcrpy_is_loaded_again(tmp_path):
    recorded = [chat("one"), chat("two")]
    Cassette(recorded).save(tmp_path / "x.yaml", format="vcr")

    cassette = load(tmp_path / "x.yaml")

    assert cassette.format == "vcr"
    assert [(e.request, e.response.body) for e in cassette.exchanges] == [
        (e.request, e.response.body) for e in recorded
    ]


def test_a_vcrpy_cassette_that_is_added_to_stays_one(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path, format="vcr")

    load(path).commit([chat("two")], "add", RULES)

    assert load(path).format == "vcr"
    assert asked(load(path)) == ["one", "two"]


def test_there_is_no_such_cassette(tmp_path):
    with pytest.raises(CassetteNotFound, match="record='once'"):
        load(tmp_path / "x.yaml")


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)), b"a: 1\n", b"[1, 2]"])
def test_a_file_that_is_no_cassette_is_told(tmp_path, data):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)

    with pytest.raises(CassetteError, match="is no cassette that llmreplay reads"):
        load(path)


def test_a_folder_is_no_cassette(tmp_path):
    with pytest.raises(CassetteError, match="cannot be read"):
        load(tmp_path)


def test_new_exchanges_join_the_old_ones(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)

    load(path).commit([chat("two")], "add", RULES)

    assert asked(load(path)) == ["one", "two"]


def test_new_exchanges_replace_those_with_an_equal_request(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one", "old"), chat("two", "old"), chat("one", "old")]).save(path)

    load(path).commit([chat("one", "new")], "replace", RULES)

    assert [
        (name, e.response.json["choices"][0]["message"]["content"])
        for name, e in zip(asked(load(path)), load(path).exchanges, strict=True)
    ] == [("two", "old"), ("one", "new")]


def test_new_exchanges_start_a_file_over(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)

    load(path).commit([chat("two")], "rewrite", RULES)

    assert asked(load(path)) == ["two"]


def test_what_another_process_wrote_meanwhile_is_kept(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)
    ours, theirs = load(path), load(path)

    theirs.commit([chat("theirs")], "add", RULES)
    ours.commit([chat("ours")], "add", RULES)

    assert asked(load(path)) == ["one", "theirs", "ours"]


RECORDER = """
import sys
sys.path.insert(0, sys.argv[3])
from tests.cassette.test_cassette import RULES, chat
from llmreplay import Cassette
for number in range(10):
    Cassette(path=sys.argv[1]).commit([chat(f"{sys.argv[2]}-{number}")], "add", RULES)
"""


def test_two_processes_that_record_into_one_file_lose_nothing(tmp_path, request):
    path = tmp_path / "x.yaml"
    root = str(request.config.rootpath)
    recorders = [subprocess.Popen([sys.executable, "-c", RECORDER, str(path), name, root]) for name in "ab"]

    assert [recorder.wait() for recorder in recorders] == [0, 0]
    assert sorted(asked(load(path))) == sorted(f"{name}-{number}" for name in "ab" for number in range(10))


def test_adding_leaves_the_documents_that_are_there_as_they_are(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)
    before = path.read_text().removesuffix("...\n")

    load(path).commit([chat("two")], "add", RULES)

    assert path.read_text().startswith(before)


def test_a_secret_is_not_written_and_its_place_is_named(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("before")

    with pytest.raises(SecretInCassette) as caught:
        Cassette([chat("one"), chat(f"the key is {SECRET}")]).save(path)

    assert path.read_text() == "before"
    assert SECRET not in str(caught.value)
    assert len(caught.value.places) >= 1
    line = int(caught.value.places[0].split()[1].rstrip(":"))
    written = tmp_path / "y.yaml"
    Cassette([chat("one"), chat(f"the key is {'X' * len(SECRET)}")]).save(written)
    assert "X" * len(SECRET) in written.read_text().splitlines()[line - 1]


def test_a_secret_is_not_written_for_vcrpy_either(tmp_path):
    with pytest.raises(SecretInCassette):
        Cassette([chat(f"the key is {SECRET}")]).save(tmp_path / "x.yaml", format="vcr")

    assert list(tmp_path.iterdir()) == []


def test_a_redacted_cassette_can_be_saved(tmp_path):
    cassette = Cassette([chat(f"the key is {SECRET}")])

    cassette.redact()
    cassette.save(tmp_path / "x.yaml")

    assert asked(load(tmp_path / "x.yaml")) == ["the key is [redacted-1]"]


def test_a_secret_that_was_edited_into_a_document_is_found_when_it_is_written_again(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)
    path.write_text(path.read_text().replace("content: one", f"content: {SECRET}"))

    with pytest.raises(SecretInCassette):
        load(path).commit([chat("two")], "add", RULES)


def test_what_the_format_cannot_hold_is_told(tmp_path):
    lone = Exchange(Request("GET", "https://host/\ud800"), failure=Failure("ConnectError"))

    with pytest.raises(CassetteError, match="no text that YAML can hold"):
        Cassette([lone]).save(tmp_path / "x.yaml")


def test_keys_are_taken_from_the_file_unless_something_is_ignored(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one"), chat("two")]).save(path)

    plain = load(path).keys(parse_ignore(()), lambda: RULES)
    widened = load(path).keys(parse_ignore(["messages[*].content"]), lambda: RULES)

    assert len({key.exact for key in plain}) == 2
    assert len({key.exact for key in widened}) == 1


def test_a_repair_refreshes_what_was_edited(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)
    path.write_text(path.read_text().replace("content: one", "content: uno"))

    assert repair(path) == (1, None)
    assert load(path).edited == []
    assert asked(load(path)) == ["uno"]


def test_a_repair_keeps_what_can_be_read_and_the_damaged_file_beside_it(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one"), chat("two")]).save(path)
    damaged = path.read_bytes()[:-200]
    path.write_bytes(damaged)

    count, aside = repair(path)

    assert count == 1
    assert aside is not None
    assert aside.read_bytes() == damaged
    assert asked(load(path)) == ["one"]


def test_an_exchange_whose_text_was_forged_is_told_when_it_is_asked_for(tmp_path):
    from llmreplay.cassette import _native

    path = tmp_path / "x.yaml"
    text = b"request: nothing\n"
    key = Cassette([chat("one")]).keys(parse_ignore(()), lambda: RULES)[0]
    path.write_bytes(_native.HEAD + _native.opening(text, key) + text + _native.END)
    cassette = load(path)

    with pytest.raises(BrokenCassette, match="line 4: request is 'nothing'"):
        cassette.exchanges[0]


def test_a_repair_of_what_cannot_be_read_at_all_changes_nothing(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"llmreplay: 99\n--- #\nrequest: from the future\n...\n")
    before = path.read_bytes()

    with pytest.raises(BrokenCassette) as caught:
        repair(path)

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.yaml"]
    assert [line for line, _ in caught.value.problems] == [caught.value.line]


def test_a_repair_that_would_write_a_secret_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([chat("one"), chat("two")]).save(path)
    path.write_text(path.read_text().replace("content: one", f"content: {SECRET}")[:-50])
    before = path.read_bytes()

    with pytest.raises(SecretInCassette):
        repair(path)

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.yaml"]


def test_a_repair_drops_a_malformed_document_although_its_digest_holds(tmp_path):
    from llmreplay.cassette import _native

    path = tmp_path / "x.yaml"
    Cassette([chat("one")]).save(path)
    text = b"request: nothing\n"
    key = Cassette([chat("one")]).keys(parse_ignore(()), lambda: RULES)[0]
    path.write_bytes(
        path.read_bytes().removesuffix(_native.END) + _native.opening(text, key) + text + _native.END
    )

    count, aside = repair(path)

    assert (count, asked(load(path))) == (1, ["one"])
    assert aside is not None

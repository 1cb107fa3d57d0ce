"""One cassette, several processes: nothing that one of them recorded is lost by another."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import httpx
import pytest

from llmreplay import Cassette, Exchange, RecordingTransport, Request, Response, load, use_cassette
from llmreplay.cassette import _cassette, _store
from llmreplay.errors import BrokenCassette, SecretInCassette

URL = "http://127.0.0.1:9/v1/chat/completions"

RECORDER = """
import sys, time
from pathlib import Path

import httpx

from llmreplay import RecordingTransport, use_cassette

path, name, mode, blocks, each, processes = *sys.argv[1:4], *map(int, sys.argv[4:])
answer = lambda request: httpx.Response(200, json={"echo": request.content.decode()})
ready = Path(path).parent / "ready"
for block in range(blocks):
    with use_cassette(path, record=mode, unused="ignore"):
        if blocks == 1:  # all of them are open before the first of them writes
            (ready / name).touch()
            while len(list(ready.iterdir())) < processes:
                time.sleep(0.005)
        with httpx.Client(transport=RecordingTransport(httpx.MockTransport(answer))) as client:
            for number in range(each):
                content = f"{name}, {block}, {number}"
                body = {"model": "m", "messages": [{"role": "user", "content": content}]}
                client.post("http://127.0.0.1:9/v1/chat/completions", json=body)
"""


def record(path, mode, processes, blocks):
    """Record 200 exchanges, and return what each of them asked, sorted."""
    (path.parent / "ready").mkdir(exist_ok=True)
    each = 200 // processes // blocks
    commands = [
        [sys.executable, "-c", RECORDER, path, f"process {n}", mode, str(blocks), str(each), str(processes)]
        for n in range(processes)
    ]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ) for command in commands]
    for process in running:
        _, told = process.communicate(timeout=100)
        assert process.returncode == 0, told.decode()
    return sorted(
        f"process {n}, {block}, {number}"
        for n in range(processes)
        for block in range(blocks)
        for number in range(each)
    )


def asked(cassette):
    return sorted(exchange.decode_request().prompt for exchange in cassette.exchanges)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize(
    ("mode", "blocks"), [("new_episodes", 5), ("all", 5), ("once", 1), ("rewrite", 1), ("new_episodes", 1)]
)
def test_processes_record_into_one_cassette_and_nothing_is_lost(tmp_path, mode, blocks, processes):
    path = tmp_path / "shared.yaml"
    if mode == "rewrite":
        Cassette([exchange("of old")]).save(path)
    expected = record(path, mode, processes, blocks)

    cassette = load(path)
    assert asked(cassette) == expected
    assert cassette.edited == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["ready", "shared.yaml"]


def test_what_was_recorded_in_one_order_is_replayed_in_any(tmp_path):
    path = tmp_path / "shared.yaml"
    prompts = record(path, "new_episodes", 2, 1)
    random.Random(3).shuffle(prompts)

    with use_cassette(path) as cassette, httpx.Client() as client:
        for prompt in prompts:
            assert prompt in ask(client, prompt)
        assert len(cassette.calls) == 200


# one process, seen from near


def body(content):
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


def ask(client, content):
    return client.post(URL, json=body(content)).text


def exchange(content):
    request = Request(
        "POST", URL, (("content-type", "application/json"),), json.dumps(body(content)).encode()
    )
    return Exchange(request, Response.of(200, b"{}"))


def recorded(path, *contents, record="new_episodes"):
    answer = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content))
    with (
        use_cassette(path, record=record, unused="ignore"),
        httpx.Client(transport=RecordingTransport(answer)) as client,
    ):
        for content in contents:
            ask(client, content)


def test_what_is_added_costs_no_reading_and_no_writing_of_what_is_there(tmp_path, monkeypatch):
    path = tmp_path / "x.yaml"
    Cassette([exchange(f"old {n}") for n in range(50)]).save(path)
    before, stamp = path.read_bytes(), path.stat()
    read, written = [], []
    bytes_of = _cassette.bytes_of
    monkeypatch.setattr(_cassette, "bytes_of", lambda place: read.append(place) or bytes_of(place))
    monkeypatch.setattr(_store, "replace", lambda place, data: written.append(place))

    recorded(path, "new")

    assert len(read) <= 2  # when it was opened
    assert written == []
    after = path.read_bytes()
    assert after.startswith(before.removesuffix(b"...\n"))
    assert path.stat().st_ino == stamp.st_ino
    assert asked(load(path)) == sorted([f"old {n}" for n in range(50)] + ["new"])


def test_an_exchange_that_another_adds_meanwhile_is_kept_in_every_mode(tmp_path):
    for mode in ("new_episodes", "all", "rewrite"):
        path = tmp_path / f"{mode}.yaml"
        Cassette([exchange("old"), exchange("old too")]).save(path)
        answer = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content))
        with (
            use_cassette(path, record=mode, unused="ignore"),
            httpx.Client(transport=RecordingTransport(answer)) as client,
        ):
            ask(client, "old" if mode == "all" else "mine")
            other = load(path)
            other.append(exchange("theirs"))
            other.save()
        kept = {
            "new_episodes": ["mine", "old", "old too", "theirs"],
            "all": ["old", "old too", "theirs"],
            "rewrite": ["mine", "theirs"],
        }
        assert asked(load(path)) == kept[mode]


def test_what_a_test_adds_to_the_cassette_itself_is_written_with_what_it_records(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([exchange("old")]).save(path)
    with (
        use_cassette(path, record="new_episodes", unused="ignore") as cassette,
        httpx.Client(
            transport=RecordingTransport(httpx.MockTransport(lambda _: httpx.Response(200)))
        ) as client,
    ):
        cassette.append(exchange("by hand"))
        ask(client, "new")

    assert [one.decode_request().prompt for one in load(path).exchanges] == ["old", "by hand", "new"]


def test_a_file_whose_writer_died_is_read_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.yaml"
    recorded(path, "old")

    def die(file, at, data):
        file.seek(at)
        file.write(data[: len(data) // 2])
        file.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_store, "_finish", die)
        with pytest.raises(KeyboardInterrupt):
            recorded(path, "new")
    assert not path.read_bytes().endswith(b"...\n")

    assert asked(load(path)) == ["new", "old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.yaml"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BrokenCassette):
        load(path)


def test_an_edited_file_and_one_with_other_line_ends_are_written_whole(tmp_path):
    path = tmp_path / "x.yaml"
    recorded(path, "old")
    path.write_bytes(path.read_bytes().replace(b"content: old", b"content: edited"))
    recorded(path, "new")
    assert load(path).edited == []

    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    recorded(path, "newer")
    assert b"\r" not in path.read_bytes()
    assert asked(load(path)) == ["edited", "new", "newer"]


def test_a_secret_that_was_missed_is_told_with_its_line_and_nothing_is_added(tmp_path):
    path = tmp_path / "x.yaml"
    recorded(path, "old")
    before = path.read_bytes()
    cassette = load(path)
    secret = "sk-ant-api03-" + "Ab3" * 31
    cassette.append(exchange(secret))

    with pytest.raises(SecretInCassette) as refused:
        cassette.commit([], "add", cassette_redaction())
    assert path.read_bytes() == before
    line = int(refused.value.places[0].split()[1].rstrip(":"))
    assert line > before.count(b"\n")


def cassette_redaction():
    from llmreplay.redaction import Redaction

    return Redaction(environ={})

"""The files of Datadog's test agent are read, one exchange each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmreplay import load
from llmreplay.cassette import _test_agent
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response

PATH = Path("cassettes/openai_completions_post_48ee296c.json")


def written(**changes: Any) -> bytes:
    response = {
        "status": {"code": 200, "message": "OK"},
        "headers": {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Transfer-Encoding": "chunked",
        },
        "body": '{"choices":[]}',
    }
    tree = {
        "request": {
            "method": "POST",
            "url": "https://api.openai.com/v1/completions",
            "headers": {"Content-Type": "application/json"},
            "body": '{"model":"m"}',
        },
        "response": response | changes,
    }
    return json.dumps(tree, indent=2).encode()


def test_a_file_is_one_exchange(tmp_path) -> None:
    path = tmp_path / PATH.name
    path.write_bytes(written())

    loaded = load(path)

    kind = ("Content-Type", "application/json")
    assert loaded.format == "test-agent"
    assert list(loaded.exchanges) == [
        Exchange(
            Request("POST", "https://api.openai.com/v1/completions", (kind,), b'{"model":"m"}'),
            Response(200, (kind, ("Transfer-Encoding", "chunked")), (Chunk(b'{"choices":[]}'),)),
            provenance=Provenance("imported", boundaries=False),
        )
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (written()[:-3], "line 21: not JSON: Expecting ',' delimiter"),
        (written(status={}), "a response has no status code"),
        (written(body=["x"]), "a body is neither text nor bytes"),
    ],
)
def test_what_cannot_be_read_is_damage(data, problem) -> None:
    assert _test_agent.looks_like(data)
    with pytest.raises(BrokenCassette) as caught:
        _test_agent.read(data, PATH)

    assert f"{PATH} is a damaged cassette of the test agent.\n" in str(caught.value)
    assert problem in str(caught.value)

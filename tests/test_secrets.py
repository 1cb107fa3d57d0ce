"""Nothing secret reaches the disk: secrets of many kinds, planted in many places, recorded for real."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote

import httpx
import pytest

from llmreplay import load, use_cassette
from llmreplay.redaction import Redaction
from tests import wires
from tests.loopback import Reply, Server


def made_up(prefix: str, length: int, alphabet: str = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ") -> str:
    """A secret that looks like a real one, made here so that no scanner takes this file for a leak."""
    return prefix + (alphabet * 10)[3 : 3 + length]


UPPER = "Q7W2E9R4T6Y1U3I8O5P0ASDFGHJKLZXCVBNM"
SHAPES = {
    "openai": made_up("sk-", 48),
    "openai project": made_up("sk-proj-", 60),
    "openai service account": made_up("sk-svcacct-", 60),
    "anthropic": made_up("sk-ant-api03-", 80),
    "openrouter": made_up("sk-or-v1-", 64, "0a1b2c3d4e5f6789"),
    "groq": made_up("gsk_", 52),
    "xai": made_up("xai-", 70),
    "google": made_up("AIza", 35),
    "google oauth": made_up("ya29.", 80),
    "hugging face": made_up("hf_", 34),
    "replicate": made_up("r8_", 37),
    "perplexity": made_up("pplx-", 48),
    "nvidia": made_up("nvapi-", 60),
    "aws id": made_up("AKIA", 16, UPPER),
    "aws session id": made_up("ASIA", 16, UPPER),
    "github": made_up("ghp_", 36),
    "github fine-grained": made_up("github_pat_", 60),
    "slack": made_up("xoxb-", 50, "1234567890-abcDEF"),
    "jwt": ".".join((made_up("eyJ", 30), made_up("eyJ", 60), made_up("", 40))),
    "stripe": made_up("sk_live_", 24),
}
PRIVATE_KEY = "\n".join(
    (
        f"-----BEGIN {'RSA'} PRIVATE KEY-----",
        made_up("MIIE", 64),
        made_up("x", 64),
        f"-----END {'RSA'} PRIVATE KEY-----",
    )
)
ENVIRONMENT = {
    "OPENAI_API_KEY": made_up("plainvalue", 20),
    "INTERNAL_TOKEN": made_up("tok", 12),
    "DB_PASSWORD": "correct horse battery",
    "Webhook_Secret": 'with "quotes" & spaces',
}


def chunked_answer(text: str) -> list[bytes]:
    """A stream in which the text stands in one event, cut into network chunks of seven bytes."""
    stream = b"".join(wires.openai_stream(text, []))
    return [stream[at : at + 7] for at in range(0, len(stream), 7)]


def event_answer(text: str) -> list[bytes]:
    """A stream in which the text comes in events of three characters each."""

    def chunk(delta: dict) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return wires.sse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [choice],
            }
        )

    return [chunk({"content": text[at : at + 3]}) for at in range(0, len(text), 3)] + [b"data: [DONE]\n\n"]


PLACES = {
    "authorization header": lambda s: {"headers": {"authorization": f"Bearer {s}"}},
    "key header": lambda s: {"headers": {"x-api-key": s}},
    "unknown header": lambda s: {"headers": {"x-company-session": s}},
    "kept header": lambda s: {"headers": {"user-agent": f"agent/{s}"}},
    "query": lambda s: {"query": f"key={quote(s)}"},
    "query of another name": lambda s: {"query": f"state={quote(s)}"},
    "prompt": lambda s: {"prompt": f"my key is {s}, keep it"},
    "tool arguments": lambda s: {
        "prompt": json.dumps({"token_to_use": s, "nested": json.dumps({"deep": s})})
    },
    "base64": lambda s: {"prompt": base64.b64encode(f"before the key {s} after it".encode()).decode()},
    "data url": lambda s: {
        "prompt": "data:text/plain;base64," + base64.b64encode(f"a key: {s}.".encode()).decode()
    },
    "answer": lambda s: {"reply": Reply.json(wires.openai_chat(f"your key is {s}", []))},
    "answer header": lambda s: {
        "reply": Reply.json({}, headers=[("set-cookie", s), ("x-session", s), ("server", s)])
    },
    "compressed answer": lambda s: {"reply": Reply.json(wires.openai_chat(s, []), coding="gzip")},
    "stream cut by the network": lambda s: {"reply": Reply.sse(chunked_answer(s))},
    "stream cut by the provider": lambda s: {"reply": Reply.sse(event_answer(s))},
    "error": lambda s: {"reply": Reply.json({"error": {"message": f"Incorrect API key provided: {s}"}}, 401)},
}


def record(tmp_path, headers=(), query: str = "", prompt: str = "hi", reply: Reply | None = None):
    path = tmp_path / "x.yaml"
    body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": prompt}]}
    with (
        Server(reply or Reply.json(wires.openai_chat("hello", []))) as server,
        use_cassette(path, record="once"),
    ):
        url = f"{server.url}/v1/chat/completions" + (f"?{query}" if query else "")
        received = httpx.post(url, json=body, headers=dict(headers)).content
    return path, received


def spellings(secret: str) -> set[str]:
    """How a secret may stand in a file: plain, escaped for JSON, for a URL."""
    return {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")}


def seen_in(data: bytes, secret: str, depth: int = 2) -> bool:
    """Look for a secret in a file as a person with tools would: joined over lines and events, and decoded."""
    text = data.decode()
    values = re.findall(r'"content":\s*"((?:[^"\\]|\\.)*)"', text)
    views = [text, "".join(text.split()), "".join(values)]
    if any(
        "".join(spelled.split()) in "".join(view.split()) for view in views for spelled in spellings(secret)
    ):
        return True
    if not depth:
        return False
    for run in re.findall(r"[A-Za-z0-9+/_-]{24,}={0,2}", text):
        try:
            decoded = base64.b64decode(run.replace("-", "+").replace("_", "/") + "=" * (-len(run) % 4))
            inner = decoded.decode()
        except ValueError:
            continue
        if seen_in(inner.encode(), secret, depth - 1):
            return True
    return False


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SHAPES)
def test_no_secret_of_any_shape_is_on_the_disk_wherever_it_was(kind, place, tmp_path):
    secret = SHAPES[kind]

    path, _ = record(tmp_path, **PLACES[place](secret))

    data = path.read_bytes()
    assert not seen_in(data, secret)
    assert not seen_in(data, secret[len(secret) // 2 :])
    assert Redaction().find(data) == []
    assert len(load(path).exchanges) == 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ENVIRONMENT)
def test_no_value_of_the_environment_is_on_the_disk(name, place, tmp_path, monkeypatch):
    monkeypatch.setenv(name, ENVIRONMENT[name])
    if "header" in place and '"' in ENVIRONMENT[name]:
        pytest.skip("a header holds no such value")

    path, _ = record(tmp_path, **PLACES[place](ENVIRONMENT[name]))

    assert not seen_in(path.read_bytes(), ENVIRONMENT[name])


@pytest.mark.parametrize("place", [place for place in PLACES if "header" not in place])
def test_no_private_key_is_on_the_disk(place, tmp_path):
    path, _ = record(tmp_path, **PLACES[place](PRIVATE_KEY))

    for line in PRIVATE_KEY.splitlines()[1:-1]:
        assert not seen_in(path.read_bytes(), line)


def test_the_look_out_of_these_tests_does_find_what_is_there():
    secret = SHAPES["openai"]
    coded = base64.b64encode(base64.b64encode(f"key {secret}".encode())).decode()

    assert seen_in(f"x: {secret}".encode(), secret)
    assert seen_in(f"x: {coded}".encode(), secret)
    assert seen_in(b"".join(event_answer(secret)), secret)
    assert not seen_in(b"x: something else", secret)


@pytest.mark.parametrize("place", ["stream cut by the network", "stream cut by the provider"])
def test_redaction_keeps_the_number_of_chunks(place, tmp_path):
    reply = PLACES[place](SHAPES["openai"])["reply"]

    path, _ = record(tmp_path, reply=reply)

    assert len(load(path).exchanges[0].response.chunks) == len(reply.chunks)


def test_the_client_sees_what_the_cassette_does_not(tmp_path):
    secret = SHAPES["openai"]

    _, received = record(tmp_path, reply=Reply.json(wires.openai_chat(secret, [])))

    assert secret.encode() in received


def test_the_same_secret_has_the_same_placeholder_throughout(tmp_path):
    path = tmp_path / "x.yaml"
    one, two = SHAPES["openai"], SHAPES["anthropic"]
    with Server(Reply.json(wires.openai_chat(one, []))) as server, use_cassette(path, record="once"):
        for prompt in (f"{one} and {two}", two, one):
            body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": prompt}]}
            httpx.post(f"{server.url}/v1/chat/completions", json=body)

    contents = [e.request.json["messages"][0]["content"] for e in load(path).exchanges]
    assert contents == ["[redacted-1] and [redacted-2]", "[redacted-2]", "[redacted-1]"]

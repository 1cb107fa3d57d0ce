"""`llmreplay demo`, its provider and its agent."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading

import httpx
import pytest
from rich.console import Console

from llmreplay import load
from llmreplay.cli import _agent
from llmreplay.cli._agent import CLIENTS, KEY, get_weather
from llmreplay.cli._demo import _Demo, _ends_inside_a_character
from llmreplay.cli._provider import Provider, cut, events
from llmreplay.framing.sse import SSEParser

ANSWER = "In Zürich it is 4 °C with light snow. Take a scarf 🧣 and a warm coat!"


@pytest.mark.parametrize("client", ["openai", "httpx"])
def test_the_demo_tells_the_whole_story(run, tmp_path, client):
    result = run("demo", "--client", client, "--keep", tmp_path / "kept")

    lines = result.stdout.split("\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line for line in lines if re.match(r"[123] [A-Z]", line)] == [
        "1 Record: the agent runs, and what crosses the wire is written down",
        "2 Replay: the provider is shut down, and the same code runs again",
        "3 A changed prompt: this is how a failing test looks",
    ]
    assert lines.count(f"   assistant  {ANSWER}") == 2
    assert '   calls      get_weather {"city":"Zürich"}' in lines
    assert result.stdout.count("   ✓ ") == 9
    assert "   ✓ requests that reached the network: 0" in lines
    assert "   ✓ 31 pieces, cut inside events, 4 inside a character: all kept as cut" in lines
    assert "in all: 2 model calls; 93 tokens in, 21 out" in lines
    assert "   No recorded exchange answers this request." in lines
    assert '           sent     …a weather service. Answer in French."' in lines
    assert "Everything went as told." in result.stdout
    path = tmp_path / "kept" / "weather.yaml"
    assert f"The cassette is {path} (" in result.stdout
    assert KEY not in path.read_text(encoding="utf-8")
    assert len(load(path).exchanges) == 2
    assert run("check", path).exit_code == 0


def test_without_keep_nothing_stays_behind(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    result = run("demo", "--client", "httpx", "--no-color")

    assert result.exit_code == 0
    assert "gone when the demo ends; --keep DIR keeps it" in result.stdout
    assert list(tmp_path.glob("llmreplay-demo-*")) == []


def test_a_cassette_that_was_kept_is_recorded_over(run, tmp_path):
    (tmp_path / "weather.yaml").write_text("something else")

    assert run("demo", "--client", "httpx", "--keep", tmp_path).exit_code == 0


def test_without_the_sdk_the_demo_uses_httpx(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)

    assert "calling with httpx" in run("demo").stdout
    result = run("demo", "--client", "openai")
    assert result.exit_code == 2
    assert result.stderr == "--client openai needs openai, which is not installed: pip install openai\n"


def test_the_demo_runs_as_a_command_and_needs_no_key(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "llmreplay", "demo"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env={
            "PATH": "/nowhere",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "PYTHONUTF8": "1",
            "SYSTEMROOT": "C:\\Windows",
        },
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert "calling with openai" in result.stdout


def test_a_claim_that_does_not_hold_is_printed_as_such(tmp_path):
    out = Console(file=io.StringIO(), width=100)
    with Provider() as provider:
        demo = _Demo(out, tmp_path / "weather.yaml", provider, "httpx")
        demo.claim("the sky is green", holds=False)
        demo.claim("the sky is blue", holds=True)

    assert demo.broken == 1
    assert out.file.getvalue() == "   ✗ not so: the sky is green\n   ✓ the sky is blue\n"


def test_a_broken_claim_makes_the_demo_fail(run, monkeypatch):
    monkeypatch.setattr("llmreplay.cli._demo._CHANGED", "You are a weather service. Answer in two sentences.")

    result = run("demo", "--client", "httpx")

    assert result.exit_code == 1
    assert (
        "   ✗ not so: the request was refused, and the report names the place that changed\n" in result.stdout
    )
    assert "1 claim did not hold: see above.\n" in result.stdout


def test_the_tokens_arrive_while_the_provider_still_sends():
    seen: list[str] = []
    with Provider(pause=0) as provider, CLIENTS["httpx"](provider.url) as ask:

        def tell(kind, text):
            seen.append(text)
            provider.seen.set()

        answer = _agent.run(ask, "Be brief.", "Zürich?", tell)

    assert answer == ANSWER
    assert not provider.waited_in_vain
    assert "".join(seen).endswith(ANSWER)


def test_a_client_that_shows_nothing_before_the_end_is_noticed(monkeypatch):
    monkeypatch.setattr("llmreplay.cli._provider._PATIENCE", 0.01)
    with Provider(pause=0) as provider, CLIENTS["httpx"](provider.url) as ask:
        _agent.run(ask, "Be brief.", "Kraków?")

    assert provider.waited_in_vain


def test_the_agent_gives_up_on_a_model_that_only_calls_tools():
    call = {
        "index": 0,
        "id": "call_1",
        "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'},
    }

    with pytest.raises(RuntimeError, match="no answer after 5 turns"):
        _agent.run(lambda messages: iter([{"tool_calls": [call]}]), "Be brief.", "Zürich?")


def test_the_provider_speaks_the_full_form_of_the_wire():
    body = b"".join(events([{"role": "user", "content": "Zürich?"}]))

    frames = SSEParser().feed(body)
    chunks = [json.loads(frame.data) for frame in frames[:-1]]
    assert frames[-1].data == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None, "refusal": None}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 5 + ["tool_calls"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0


def test_pieces_are_cut_inside_events_and_characters():
    whole = events([{"role": "user", "content": "Zürich?"}])

    pieces = cut(whole)

    assert b"".join(pieces) == b"".join(whole)
    assert not any(piece.endswith(b"\n\n") for piece in pieces[:-1])
    assert sum(map(_ends_inside_a_character, pieces)) == 1


def test_what_the_provider_cannot_answer_is_an_error_of_the_wire():
    with Provider() as provider, httpx.Client(trust_env=False) as client:
        answers = [
            client.post(f"{provider.url}/responses", json={}),
            client.post(f"{provider.url}/chat/completions", content=b"no json"),
            client.post(f"{provider.url}/chat/completions", json={"model": "x"}),
            client.post(f"{provider.url}/chat/completions", json=[]),
        ]

    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["error"]["type"] for answer in answers} == {"invalid_request_error"}
    assert provider.requests == 0


def test_a_provider_that_was_closed_is_gone():
    before = threading.active_count()
    with Provider() as provider:
        pass

    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.post(f"{provider.url}/chat/completions", json={})
    assert threading.active_count() == before


def test_the_weather_is_the_same_every_day():
    assert [get_weather(city) for city in ("Zürich", "København", "Kraków")] == [
        "4 °C with light snow",
        "7 °C with rain",
        "11 °C with some sun",
    ]

"""What a user has after `pip install`: tried where the wheel is installed and nothing of the tree is."""

from __future__ import annotations

import importlib.metadata
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

import llmreplay
import pytest_llmreplay
from llmreplay import UnmatchedRequest, use_cassette

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rain."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def ask(url: str, content: str) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]


def test_the_wheel_is_what_is_tested():
    for package in (llmreplay, pytest_llmreplay):
        assert "site-packages" in package.__file__
        assert (Path(package.__file__).parent / "py.typed").is_file()
    assert importlib.metadata.version("llmreplay")


def test_a_call_is_recorded_and_replayed(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with use_cassette(tmp_path / "x.yaml", record="once"):
        assert ask(url, "Weather?") == "Rain."
    server.shutdown()
    server.server_close()

    with use_cassette(tmp_path / "x.yaml") as cassette:
        assert ask(url, "Weather?") == "Rain."
    assert cassette.usage.total_tokens == 4


@pytest.mark.llm_cassette(unused="ignore")
def test_the_plugin_refuses_what_is_not_recorded(llm_cassette):
    with pytest.raises(UnmatchedRequest):
        ask("http://127.0.0.1:9", "Weather?")
    llm_cassette.refusals.clear()

"""A provider that is embedded in this program: OpenAI's chat wire, streamed, on 127.0.0.1.

Rules:

* It is no model. It asks for the weather of the city in the question, then says what the tool told.
* Events have the full form that OpenAI sends: role, fragments of a tool call or of text, finish
  reason, usage, `[DONE]`.
* They do not come as whole events: each piece ends inside an event, inside a character where the
  event has one of several bytes. A piece is one HTTP chunk and one send.
* A connection serves one request, so that nothing is left to answer once `close` has returned.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CITIES", "MODEL", "Provider", "cut", "events"]

MODEL = "demo-embedded-1"
CITIES = ("Zürich", "København", "Kraków")

_CREATED = 1_790_000_000
_PAUSE = 0.012
_CALL = "call_demo_weather_1"
_PATIENCE = 2.0
_FIRST_OF_SEVERAL = 0xC0


class Provider:
    """Answers chat completions from the moment it is made until `close`.

    `requests` counts what came in; `pieces` holds the bodies that went out, cut as they were sent.
    The last piece of an answer is held back until the client sets `seen`; `waited_in_vain` tells
    that one did not, so it cannot have been given the pieces as they came.
    """

    def __init__(self, pause: float = _PAUSE) -> None:
        self.requests = 0
        self.pieces: list[list[bytes]] = []
        self.seen = threading.Event()
        self.waited_in_vain = False
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _answering(self, pause))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="demo-provider")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering, and wait until the last answer is out."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, body: Any) -> list[bytes]:
        """Return the pieces of the answer to a request."""
        pieces = cut(events(body["messages"]))
        with self._lock:
            self.requests += 1
            self.pieces.append(pieces)
        return pieces


class _Server(ThreadingTCPServer):
    # Not an HTTPServer: that one asks the resolver for a name of this machine, which can take seconds.
    allow_reuse_address = True


def _answering(provider: Provider, pause: float) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = _PATIENCE

        def do_POST(self) -> None:
            self.close_connection = True
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                if self.path != "/v1/chat/completions":
                    raise ValueError(f"no such path: {self.path}")  # noqa: TRY301  one place tells all errors
                pieces = provider.answer(json.loads(body))
            except (ValueError, LookupError, TypeError) as problem:
                self._refuse(problem)
                return
            self._stream(pieces)

        def _stream(self, pieces: list[bytes]) -> None:
            self.send_response_only(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("transfer-encoding", "chunked")
            self.send_header("connection", "close")
            self.end_headers()
            provider.seen.clear()
            for number, piece in enumerate(pieces, 1):
                time.sleep(pause)
                if number == len(pieces) and not provider.seen.wait(_PATIENCE):
                    provider.waited_in_vain = True
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

        def _refuse(self, problem: Exception) -> None:
            message = f"the embedded provider cannot answer this: {problem}"
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
            body = json.dumps({"error": error}).encode()
            self.send_response_only(400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the terminal belongs to the demo."""

    return Answering


def events(messages: list[dict[str, Any]]) -> list[bytes]:
    """Return the events that answer a conversation."""
    asked = messages[-1]
    if asked["role"] == "tool":
        text = f"In {_city(messages)} it is {asked['content']}. Take a scarf 🧣 and a warm coat!"
        return list(_events([{"content": word} for word in _words(text)], "stop", messages, text))
    arguments = json.dumps({"city": _city(messages)}, ensure_ascii=False, separators=(",", ":"))
    opening = {"id": _CALL, "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    deltas = [
        {"tool_calls": [{"index": 0, **opening}]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in _thirds(arguments)),
    ]
    return list(_events(deltas, "tool_calls", messages, arguments))


def cut(whole: Iterable[bytes]) -> list[bytes]:
    """Cut a stream inside every event: in its first character of several bytes, or else in its middle."""
    pieces, rest = [], b""
    for event in whole:
        wide = next((place for place, byte in enumerate(event) if byte >= _FIRST_OF_SEVERAL), None)
        at = len(event) // 2 if wide is None else wide + 1
        pieces.append(rest + event[:at])
        rest = event[at:]
    return [*pieces, rest]


def _events(
    deltas: list[dict[str, Any]], finish: str, messages: list[dict[str, Any]], said: str
) -> Iterator[bytes]:
    opening = {"role": "assistant", "content": None if finish == "tool_calls" else "", "refusal": None}
    for delta in (opening, *deltas):
        yield _event(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])
    yield _event(choices=[{"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}])
    yield _event(choices=[], usage=_usage(messages, said))
    yield b"data: [DONE]\n\n"


def _event(**changes: Any) -> bytes:
    body = {
        "id": "chatcmpl-demo",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_embedded",
        "usage": None,
        **changes,
    }
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def _usage(messages: list[dict[str, Any]], said: str) -> dict[str, Any]:
    """Return numbers that grow with the texts, as tokens do."""
    read = 12 + sum(4 + len(str(message.get("content") or "")) // 4 for message in messages)
    written = len(said) // 4
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _city(messages: list[dict[str, Any]]) -> str:
    asked = next(str(message["content"]) for message in reversed(messages) if message["role"] == "user")
    return next((city for city in CITIES if city in asked), CITIES[0])


def _words(text: str) -> list[str]:
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _thirds(text: str) -> list[str]:
    size = -(-len(text) // 3)
    return [text[start : start + size] for start in range(0, len(text), size)]

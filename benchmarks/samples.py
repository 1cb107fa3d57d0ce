"""Made-up traffic in the sizes of real traffic: chat requests of 2 KB, answers of 3 KB, a stream of 99 KB.

Every request is as the openai SDK sends it, byte for byte, and differs from every other in its last message.
Answers differ in id, text and the headers that a provider counts in.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from llmreplay import Cassette, Chunk, Exchange, Request, Response
from llmreplay.exchange import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HOST", "KEY", "URL", "Sent", "arguments", "cassette", "exchanges", "raw_requests", "streams"]

HOST = "https://api.openai.com"
URL = f"{HOST}/v1/chat/completions"
KEY = "not-a-key"

_WORDS = [
    "the",
    "weather",
    "in",
    "town",
    "is",
    "mild",
    "with",
    "light",
    "rain",
    "and",
    "some",
    "wind",
    "from",
    "the",
    "west",
    "while",
    "further",
    "north",
    "it",
    "stays",
    "dry",
    "so",
    "take",
    "a",
    "coat",
    "or",
    "an",
    "umbrella",
    "if",
    "you",
    "go",
    "out",
    "after",
    "noon",
    "and",
    "mind",
    "the",
    "tide",
    "near",
    "the",
    "harbour",
]
_STREAM_EVENTS, _STREAM_CHUNKS = 300, 180


@dataclass(frozen=True)
class Sent:
    """A request as a client builds it."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes


def _prose(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(words))


def _tool(name: str, about: str) -> dict[str, Any]:
    place = {"type": "string", "description": "The name of a place, with its country if that is not plain."}
    parameters = {
        "type": "object",
        "properties": {"place": place, "days": {"type": "integer"}},
        "required": ["place"],
    }
    return {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": parameters, "strict": False},
    }


_TOOLS = [
    _tool("forecast", "Say what the weather will be like at a place over the next days, day by day."),
    _tool("tides", "Say when it is high and low water at a place on the coast over the next days."),
]


def arguments(number: int, *, stream: bool = False) -> dict[str, Any]:
    """Return what `chat.completions.create` is called with for request `number`."""
    chance = random.Random(1)
    call = {"name": "forecast", "arguments": '{"place":"Bergen, Norway","days":2}'}
    return {
        "model": "gpt-5.5",
        "temperature": 0.7,
        "messages": [
            {"role": "system", "content": "You are a weather service. " + _prose(chance, 60)},
            {"role": "user", "content": "What should I wear in Bergen today?\n" + _prose(chance, 20)},
            {
                "role": "assistant",
                "tool_calls": [{"id": "call_abcDEF0123456789", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "call_abcDEF0123456789", "content": "4 °C, light snow"},
            {"role": "user", "content": f"And on day {number}? " + _prose(chance, 20)},
        ],
        "tools": _TOOLS,
        **({"stream": True} if stream else {}),
    }


def raw_requests(count: int) -> list[Sent]:
    """Return the requests that the openai SDK would send, without asking it each time."""
    first = next(_sent_by_sdk(1, stream=False))
    marker, placeholder = b"And on day 0?", b"And on day %d?"
    assert marker in first.body
    sent = []
    for number in range(count):
        body = first.body.replace(marker, placeholder % number)
        headers = [(k, str(len(body)) if k == "content-length" else v) for k, v in first.headers]
        sent.append(Sent(first.url, headers, body))
    return sent


def _sent_by_sdk(count: int, *, stream: bool) -> Iterator[Sent]:
    """Let the SDK send, and catch it at the transport."""
    caught: list[Sent] = []

    def catch(request: httpx2.Request) -> httpx2.Response:
        headers = [(name.lower(), value) for name, value in request.headers.multi_items()]
        caught.append(Sent(str(request.url), headers, request.read()))
        return httpx2.Response(200, json={}, headers={"content-type": "application/json"})

    with openai.OpenAI(
        api_key=KEY, http_client=httpx2.Client(transport=httpx2.MockTransport(catch))
    ) as client:
        for number in range(count):
            client.chat.completions.create(**arguments(number))
            if stream:
                raise ValueError("streams are made by `streams`")
            yield caught.pop()


def _answer_headers(number: int, kind: str) -> list[tuple[str, str]]:
    return [
        ("date", f"Fri, 20 Nov 2026 10:{number // 60 % 60:02}:{number % 60:02} GMT"),
        ("content-type", kind),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("access-control-expose-headers", "X-Request-ID"),
        ("openai-organization", "made-up"),
        ("openai-processing-ms", str(400 + number % 700)),
        ("openai-project", "proj_made_up"),
        ("openai-version", "2020-10-01"),
        ("x-envoy-upstream-service-time", str(410 + number % 700)),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "30000000"),
        ("x-ratelimit-remaining-requests", str(9999 - number % 50)),
        ("x-ratelimit-remaining-tokens", str(29_999_000 - number * 7 % 9000)),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", f"{number % 9}ms"),
        ("x-request-id", f"req_{number:032x}"),
        ("cf-cache-status", "DYNAMIC"),
        ("x-content-type-options", "nosniff"),
        ("server", "cloudflare"),
        ("cf-ray", f"{number:016x}-OSL"),
        ("alt-svc", 'h3=":443"; ma=86400'),
    ]


def _answer(number: int, size: int) -> bytes:
    chance = random.Random(number)
    body: dict[str, Any] = {
        "id": f"chatcmpl-{number:029x}",
        "object": "chat.completion",
        "created": 1_790_000_000 + number,
        "model": "gpt-5.5-2026-04-14",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 412,
            "completion_tokens": 411,
            "total_tokens": 823,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }
    room = size - len(json.dumps(body, indent=2))
    text = _prose(chance, room // 4)[:room]
    body["choices"][0]["message"]["content"] = text
    # The provider of the recorded traffic sends its JSON over many lines.
    return json.dumps(body, indent=2, ensure_ascii=False).encode()


def _exchange(sent: Sent, response: Response) -> Exchange:
    source = Provenance(
        at="2026-11-20T10:00:00.000Z", by="llmreplay 0.1.0", client="OpenAI/Python", edge="httpx2"
    )
    return Exchange(Request("POST", sent.url, tuple(sent.headers), sent.body), response, provenance=source)


def exchanges(requests: list[Sent], size: int = 2986) -> Iterator[Exchange]:
    """Return requests with an answer each, of `size` bytes."""
    for number, sent in enumerate(requests):
        headers = tuple(_answer_headers(number, "application/json"))
        yield _exchange(sent, Response.of(200, _answer(number, size), headers))


def _stream_body(number: int) -> bytes:
    chance = random.Random(number)
    events = []
    for place in range(_STREAM_EVENTS):
        choice = {"index": 0, "delta": {"content": chance.choice(_WORDS) + " "}, "logprobs": None}
        event = {
            "id": f"chatcmpl-{number:029x}",
            "object": "chat.completion.chunk",
            "created": 1_790_000_000 + number,
            "model": "gpt-5.5-2026-04-14",
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": [{**choice, "finish_reason": "stop" if place == _STREAM_EVENTS - 1 else None}],
            "obfuscation": "".join(chance.choice("abcdefghijklmnop") for _ in range(72)),
        }
        events.append(f"data: {json.dumps(event, separators=(',', ':'))}\n\n")
    return ("".join(events) + "data: [DONE]\n\n").encode()


def streams(count: int) -> Iterator[Exchange]:
    """Return requests for streams, each answered by 300 events in 180 chunks that are cut anywhere."""
    first = raw_requests(count)
    for number, sent in enumerate(first):
        asked = json.dumps(
            {**json.loads(sent.body), "stream": True}, separators=(",", ":"), ensure_ascii=False
        ).encode()
        body = _stream_body(number)
        cuts = sorted(random.Random(number).sample(range(1, len(body)), _STREAM_CHUNKS - 1))
        chunks = tuple(Chunk(body[a:b], 0.01) for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))
        headers = tuple(_answer_headers(number, "text/event-stream; charset=utf-8"))
        yield _exchange(Sent(sent.url, sent.headers, asked), Response(200, headers, chunks, delay=0.4))


def cassette(path: Path, recorded: Iterator[Exchange]) -> Cassette:
    """Save a cassette as a recording would: redacted."""
    kept = Cassette(recorded, path=path)
    kept.redact()
    kept.save()
    return kept

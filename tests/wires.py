"""Provider payloads in full form, for the loopback server to send: OpenAI chat and Anthropic messages.

Rules:

* All content is made up. Every key is there that the provider sends, since SDKs and frameworks differ in
  what they miss.
* JSON bodies and errors are dicts, for `Reply.json`. Streams are lists of bytes, one item an event, for
  `Reply.sse`; `awkward` cuts them where no parser likes it.
* A call is `(name, arguments)`; its id is `call_loopback_0`, or `toolu_loopback_0`, and so on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "Calls",
    "anthropic_error",
    "anthropic_error_event",
    "anthropic_message",
    "anthropic_stream",
    "awkward",
    "halves",
    "openai_chat",
    "openai_error",
    "openai_stream",
    "sse",
    "text_of",
]

Calls = Sequence[tuple[str, Mapping[str, Any]]]

_OPENAI_MODEL = "gpt-loopback-1"
_ANTHROPIC_MODEL = "claude-loopback-1"
_CREATED = 1_790_000_000

_OPENAI_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}

_ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event; data that is no text is written as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


def halves(text: str) -> list[str]:
    """A text in two pieces; one piece if it is too short."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def awkward(events: Iterable[bytes]) -> list[bytes]:
    """Cut inside every event, in its first character that takes several bytes, or else in its middle.

    Chunk k ends inside event k, and one more chunk brings the end of the last event.
    """
    chunks, rest = [], b""
    for event in events:
        wide = next((place for place, byte in enumerate(event) if byte >= 0xC0), None)
        cut = len(event) // 2 if wide is None else wide + 1
        chunks.append(rest + event[:cut])
        rest = event[cut:]
    return [*chunks, rest] if rest else chunks


def text_of(pieces: str | Sequence[str]) -> str:
    """The whole of a text that is given whole or in pieces."""
    return pieces if isinstance(pieces, str) else "".join(pieces)


def openai_chat(text: str | None = None, calls: Calls = (), **changes: Any) -> dict[str, Any]:
    """A `chat.completion`; `changes` replace its top-level keys."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if calls:
        message["tool_calls"] = [_openai_call(k, *call) for k, call in enumerate(calls)]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if calls else "stop",
    }
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": _CREATED,
        "model": _OPENAI_MODEL,
        "choices": [choice],
        "usage": _openai_usage(),
        "service_tier": "default",
        "system_fingerprint": "fp_loopback",
        **changes,
    }


def openai_stream(
    text: str | Sequence[str] = (), calls: Calls = (), *, usage: bool = True, done: bool = True
) -> list[bytes]:
    """The events of a chat stream: role, text pieces, call fragments, finish, usage, `[DONE]`.

    A text that is given whole comes in two pieces, and so do a call's arguments. Without `usage` it is the
    stream of a request that did not ask for it.
    """
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": None if calls and not text else "", "refusal": None}
    ]
    deltas += [{"content": piece} for piece in (halves(text) if isinstance(text, str) else text)]
    for k, (name, arguments) in enumerate(calls):
        whole = _openai_call(k, name, arguments)
        written = whole["function"]["arguments"]
        whole["function"]["arguments"] = ""
        deltas.append({"tool_calls": [{"index": k, **whole}]})
        deltas += [
            {"tool_calls": [{"index": k, "function": {"arguments": piece}}]} for piece in halves(written)
        ]
    frames = [_openai_chunk([_openai_choice(delta, None)], usage) for delta in deltas]
    frames.append(_openai_chunk([_openai_choice({}, "tool_calls" if calls else "stop")], usage))
    if usage:
        frames.append({**_openai_chunk([], usage), "usage": _openai_usage()})
    return [*map(sse, frames), *([sse("[DONE]")] if done else [])]


def openai_error(status: int, message: str = "Made up for a test.", **changes: Any) -> dict[str, Any]:
    """The error body OpenAI sends with a status; `changes` replace keys inside `error`."""
    kind, code = _OPENAI_ERRORS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None)
    )
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **changes}}


def anthropic_message(text: str | None = None, calls: Calls = (), **changes: Any) -> dict[str, Any]:
    """A `message`; `changes` replace its top-level keys."""
    content: list[dict[str, Any]] = [] if text is None else [{"type": "text", "text": text}]
    content += [
        {"type": "tool_use", "id": f"toolu_loopback_{k}", "name": name, "input": dict(arguments)}
        for k, (name, arguments) in enumerate(calls)
    ]
    return {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": _ANTHROPIC_MODEL,
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": _anthropic_usage(),
        **changes,
    }


def anthropic_stream(
    text: str | Sequence[str] = (), calls: Calls = (), *, ping: bool = True, stop: bool = True
) -> list[bytes]:
    """The events of a message stream, with a ping after the start of the first block.

    A text that is given whole comes in two pieces, and so does a call's input, after an empty one. Without
    `stop` it lacks its last event, as a stream does that was truncated politely.
    """
    usage = _anthropic_usage()
    start = anthropic_message(stop_reason=None, usage={**usage, "output_tokens": 1})
    frames: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if text:
        pieces = halves(text) if isinstance(text, str) else text
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in pieces]))
    for k, (name, arguments) in enumerate(calls):
        block = {"type": "tool_use", "id": f"toolu_loopback_{k}", "name": name, "input": {}}
        parts = ["", *halves(json.dumps(arguments, ensure_ascii=False))]
        blocks.append((block, [{"type": "input_json_delta", "partial_json": part} for part in parts]))
    for index, (block, deltas) in enumerate(blocks):
        frames.append({"type": "content_block_start", "index": index, "content_block": block})
        if ping and index == 0:
            frames.append({"type": "ping"})
        frames += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        frames.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    frames.append({"type": "message_delta", "delta": ending, "usage": {key: usage[key] for key in told}})
    if stop:
        frames.append({"type": "message_stop"})
    return [sse(frame, frame["type"]) for frame in frames]


def anthropic_error(status: int, message: str = "Made up for a test.") -> dict[str, Any]:
    """The error body Anthropic sends with a status."""
    kind = _ANTHROPIC_ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_loopback",
    }


def anthropic_error_event(status: int = 529, message: str = "Made up for a test.") -> bytes:
    """The event that breaks a stream which began with 200."""
    return sse(anthropic_error(status, message), "error")


def _openai_call(k: int, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    written = json.dumps(arguments, ensure_ascii=False)
    return {"id": f"call_loopback_{k}", "type": "function", "function": {"name": name, "arguments": written}}


def _openai_choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _openai_chunk(choices: list[dict[str, Any]], usage: bool) -> dict[str, Any]:  # noqa: FBT001  a private part
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": _OPENAI_MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_loopback",
        "choices": choices,
        **({"usage": None} if usage else {}),
        "obfuscation": "x7Qd",
    }


def _openai_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": 21,
        "completion_tokens": 13,
        "total_tokens": 34,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _anthropic_usage() -> dict[str, Any]:
    return {
        "input_tokens": 21,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 13,
        "service_tier": "standard",
    }

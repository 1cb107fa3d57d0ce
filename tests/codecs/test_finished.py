"""Whether a stream has told all it had to tell."""

from __future__ import annotations

import pytest
from payloads import CHAT, MESSAGES, asked, delta, plain, sse, streamed, told

from llmreplay import codecs
from llmreplay.exchange import Exchange, Failure

RESPONSES = "https://api.openai.com/v1/responses"
COHERE = "https://api.cohere.com/v2/chat"
COMPLETED = b'event: response.completed\ndata: {"type":"response.completed","response":{}}\n\n'


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (CHAT, sse(delta({"content": "a"}, "stop"))),
        (CHAT, b"data:[DONE]"),
        (CHAT, b'data: {"choices":[]}\r\n\r\ndata: [DONE]\r\n\r\n'),
        ("https://api.mistral.ai/v1/chat/completions", sse()),
        ("https://api.openai.com/v1/completions", sse()),
        ("https://api.openai.com/v1/threads/t/runs", b"event: done\ndata: [DONE]\n\n"),
        (MESSAGES, sse(*told(), done=False)),
        (MESSAGES, sse({"type": "error", "error": {}}, done=False)),
        (RESPONSES, COMPLETED),
        (RESPONSES, COMPLETED.replace(b"completed", b"incomplete")),
        (RESPONSES, COMPLETED.replace(b"completed", b"failed")),
        (COHERE, sse({"type": "message-end", "delta": {}}, done=False)),
        ("https://generativelanguage.googleapis.com/v1beta/interactions", sse()),
        ("https://sourcegraph.com/.api/completions/stream", b"event: done\ndata: {}\n\n"),
    ],
)
def test_the_terminal_of_a_wire_finishes_its_stream(url: str, body: bytes) -> None:
    assert codecs.finished(streamed(body, url))
    assert codecs.finished(streamed(body, url, ended="closed", size=3))


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (CHAT, sse(delta({"content": "a"}, "stop"), done=False)),
        (CHAT, sse(delta({"content": "\ndata: [DONE]\n"}), done=False)),
        (CHAT, b""),
        (MESSAGES, sse(*told(last=False), done=False)),
        (MESSAGES, b'event: message_stop\ndata: {"type": "message_st'),
        (MESSAGES, b'event: message_stop\ndata: {"type": "message_stop"}'),
        (RESPONSES, COMPLETED[:-20]),
        (
            RESPONSES,
            sse({"type": "response.output_text.delta", "delta": '{"type":"response.completed"}'}, done=False),
        ),
        ("https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent", sse()),
        ("https://example.org/events", sse()),
    ],
)
def test_a_stream_without_its_terminal_is_not_known_to_be_finished(url: str, body: bytes) -> None:
    assert not codecs.finished(streamed(body, url))


def test_the_terminal_is_found_however_long_the_answer() -> None:
    long = sse(*[delta({"content": "word " * 50}) for _ in range(500)], done=False)
    completed = {"type": "response.completed", "response": {"output": ["word " * 50_000]}}

    assert codecs.finished(streamed(long + b"data: [DONE]\n\n"))
    assert not codecs.finished(streamed(long))
    assert codecs.finished(streamed(sse(completed, done=False), RESPONSES))


def test_what_is_no_stream_is_never_finished() -> None:
    assert not codecs.finished(plain({"choices": []}))
    assert not codecs.finished(Exchange(asked(CHAT, {}), failure=Failure("ConnectError")))

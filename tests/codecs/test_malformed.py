"""Whatever comes over the wire, a codec answers with a value or a CompletionError."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import CHAT, MESSAGES, asked, chat, delta, message, plain, sse, streamed, told

from llmreplay import codecs
from llmreplay.completion import CompletionError, CompletionRequest, CompletionResponse

if TYPE_CHECKING:
    from llmreplay.exchange import Exchange

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(
        ["\ud800", "text", "tool_use", "function", "assistant", "error", "reasoning.text", '{"a":']
    )
)
KEYS = st.sampled_from(
    [
        *[
            "id",
            "type",
            "index",
            "role",
            "content",
            "text",
            "name",
            "input",
            "thinking",
            "signature",
            "data",
            "source",
        ],
        *[
            "choices",
            "message",
            "delta",
            "finish_reason",
            "tool_calls",
            "function",
            "custom",
            "arguments",
            "logprobs",
        ],
        *[
            "reasoning",
            "reasoning_details",
            "refusal",
            "audio",
            "images",
            "image_url",
            "url",
            "citations",
            "usage",
        ],
        *[
            "stop_reason",
            "content_block",
            "partial_json",
            "citation",
            "error",
            "code",
            "status",
            "details",
            "top_logprobs",
        ],
        *[
            "messages",
            "tools",
            "tool_choice",
            "response_format",
            "system",
            "stop",
            "logit_bias",
            "metadata",
            "\ud800",
        ],
    ]
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


def means(exchange: Exchange) -> None:
    try:
        response = codecs.decode(exchange)
    except CompletionError:
        pass
    else:
        assert isinstance(response, CompletionResponse)
        assert response.choices
    assert codecs.events(exchange)
    codecs.usage(exchange)
    codecs.finished(exchange)


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
@given(body=JSON, status=st.sampled_from([200, 200, 400, 429, 500, 302]))
@settings(max_examples=150)
def test_any_json_as_a_body(url: str, body: object, status: int) -> None:
    means(plain(body, url, status))


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
@given(bodies=st.lists(JSON, min_size=1, max_size=4))
@settings(max_examples=150)
def test_any_json_as_frames(url: str, bodies: list[object]) -> None:
    means(streamed(sse(*bodies), url))


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
@given(body=st.binary(max_size=80))
def test_any_bytes_as_a_body_or_a_stream(url: str, body: bytes) -> None:
    means(plain(body, url))
    means(streamed(body, url))


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
@given(body=st.dictionaries(KEYS, JSON, max_size=6))
@settings(max_examples=150)
def test_any_json_as_a_request(url: str, body: object) -> None:
    assert isinstance(codecs.decode_request(asked(url, body)), CompletionRequest)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: object, path: tuple[object, ...], new: object) -> object:
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


CALL = {"id": "c", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
SPEECH = {
    "content": [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]},
    ],
    "reasoning_details": [{"type": "reasoning.text", "text": "h", "signature": "s", "index": 0}],
    "tool_calls": [CALL],
    "images": [{"type": "image_url", "image_url": {"url": "https://h"}}],
}
TOKENS = {"content": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}}
CHAT_BODY = chat(SPEECH, usage=USAGE)
CHAT_BODY["choices"][0]["logprobs"] = TOKENS
CHAT_FRAMES = [delta(SPEECH, usage=USAGE), delta({"content": "a"}, "stop")]
BLOCKS = [
    {"type": "thinking", "thinking": "h", "signature": "s"},
    {"type": "text", "text": "a", "citations": [{}]},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
]
FRAMES = told(
    (BLOCKS[0], [{"type": "thinking_delta", "thinking": "h"}, {"type": "signature_delta", "signature": "s"}]),
    (BLOCKS[1], [{"type": "text_delta", "text": "a"}, {"type": "citations_delta", "citation": {}}]),
    (BLOCKS[2], [{"type": "input_json_delta", "partial_json": "{}"}]),
    (BLOCKS[3], [{"type": "input_json_delta", "partial_json": "{}"}]),
)
ODD = [None, True, -1, 1.5, "", "\ud800", [], [None], {}, {"x": []}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_any_value_in_any_place_of_an_answer(odd: object) -> None:
    for body, url in ((CHAT_BODY, CHAT), (message(BLOCKS), MESSAGES)):
        for path in places(body):
            means(plain(replaced(body, path, odd), url))
    for frames, url in ((CHAT_FRAMES, CHAT), (FRAMES, MESSAGES)):
        for path in places(frames)[1:]:
            means(streamed(sse(*replaced(frames, path, odd)), url))  # type: ignore[misc]


def test_json_that_is_nested_without_end_is_an_error() -> None:
    deep = b"[" * 200_000
    means(plain(deep))
    means(streamed(b"data: " + deep + b"\n\n"))


ITEMS = "https://api.openai.com/v1/responses"
LOCAL = "http://localhost:11434/api/chat"


@pytest.mark.parametrize("odd", [{}, [], None, 1], ids=repr)
@pytest.mark.parametrize("event", ["added", "done"])
def test_an_item_of_a_stream_whose_type_is_no_text(event: str, odd: object) -> None:
    frame = {"type": f"response.output_item.{event}", "output_index": 0, "item": {"id": "i", "type": odd}}

    means(streamed(sse(frame), ITEMS))


@pytest.mark.parametrize("odd", [{}, [], None, 1], ids=repr)
def test_a_response_at_the_end_of_a_stream_whose_status_is_no_text(odd: object) -> None:
    means(streamed(sse({"type": "response.completed", "response": {"id": "r", "status": odd}}), ITEMS))


def test_a_message_among_the_items_whose_content_is_a_text() -> None:
    spoken = {"type": "message", "id": "m", "role": "assistant", "content": "Sunny."}
    exchange = plain({"object": "response", "status": "completed", "output": [spoken]}, ITEMS)

    means(exchange)
    assert exchange.decode().text == "Sunny."


def test_arguments_of_an_object_with_half_a_character() -> None:
    call = {"function": {"name": "f", "arguments": {"city": "\ud800"}}}
    body = {"model": "m", "message": {"role": "assistant", "tool_calls": [call]}, "done": True}
    exchange = plain(body, LOCAL)

    means(exchange)
    assert exchange.decode().tool_calls[0].arguments == {"city": "\ufffd"}

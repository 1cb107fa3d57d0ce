"""Answers on the messages wire, plain and streamed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payloads import MESSAGES, message, plain, sse, streamed, told

from llmreplay import codecs
from llmreplay.completion import (
    CompletionError,
    ContentReceived,
    Final,
    Finished,
    FinishReason,
    ProviderContent,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Started,
    StreamError,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    UnknownEvent,
    Usage,
    UsageReported,
)

CITATION = {"type": "char_location", "cited_text": "Oslo"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rain"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}

BLOCKS = [
    {"type": "thinking", "thinking": "Oslo, then.", "signature": "sig"},
    {"type": "redacted_thinking", "data": "XXX"},
    SEARCH,
    FOUND,
    {"type": "text", "text": "It rains 🌧.", "citations": [CITATION]},
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "umbrella",
        "input": {"size": "big"},
        "caller": {"type": "direct"},
    },
    {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
]
CONTENTS = [
    Reasoning(parts=[ReasoningPart(text="Oslo, then.", signature="sig")]),
    Reasoning(parts=[ReasoningPart(kind="redacted", text="XXX")]),
    ProviderContent(kind="server_tool_use", raw=SEARCH),
    ProviderContent(kind="web_search_tool_result", raw=FOUND),
    Text(text="It rains 🌧.", extra={"citations": [CITATION]}),
    ToolCall(id="toolu_1", name="umbrella", arguments={"size": "big"}, extra={"caller": {"type": "direct"}}),
    ToolCall(id="toolu_2", name="clock"),
]
STREAM = sse(
    *told(
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": "Oslo, "},
                {"type": "thinking_delta", "thinking": "then."},
                {"type": "signature_delta", "signature": "sig"},
            ],
        ),
        (BLOCKS[1], []),
        (
            {**SEARCH, "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"query":', '"rain"}')],
        ),
        (FOUND, []),
        (
            {"type": "text", "text": "", "citations": []},
            [
                {"type": "citations_delta", "citation": CITATION},
                {"type": "text_delta", "text": "It rains "},
                {"type": "text_delta", "text": "🌧."},
            ],
        ),
        (
            {**BLOCKS[5], "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"size":', '"big"}')],
        ),
        (BLOCKS[6], []),
        stop="tool_use",
    ),
    done=False,
)


def test_a_plain_message_has_all_its_contents_in_order() -> None:
    response = codecs.decode(plain(message(BLOCKS, "tool_use"), MESSAGES, headers=[("request-id", "req_1")]))

    assert response.choice == CONTENTS
    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", "tool_use")
    assert response.usage == Usage(input_tokens=10, output_tokens=5)
    assert response.citations == [CITATION]
    assert (response.response_id, response.message_id, response.request_id) == ("msg_1", "msg_1", "req_1")
    assert (response.model, response.provider, response.object) == ("claude-1", "anthropic", "message")
    assert response.raw == message(BLOCKS, "tool_use")


def test_a_tool_of_the_provider_is_no_call_for_ours() -> None:
    response = codecs.decode(plain(message(BLOCKS, "tool_use"), MESSAGES))

    assert [call.name for call in response.tool_calls] == ["umbrella", "clock"]


def test_a_stream_means_the_same_as_the_plain_message() -> None:
    streamed_one = codecs.decode(streamed(STREAM, MESSAGES))

    assert streamed_one == codecs.decode(plain(message(BLOCKS, "tool_use"), MESSAGES))
    assert len(streamed_one.raw) == STREAM.count(b"data:")


def test_a_stream_is_told_piece_by_piece() -> None:
    events = codecs.events(streamed(STREAM, MESSAGES))

    assert events[:-1] == [
        Started(response_id="msg_1", model="claude-1"),
        UsageReported(usage=Usage(input_tokens=10, output_tokens=1)),
        ReasoningDelta(text="Oslo, "),
        ReasoningDelta(text="then."),
        ContentReceived(content=CONTENTS[1]),
        ContentReceived(content=CONTENTS[2]),
        ContentReceived(content=CONTENTS[3]),
        TextDelta(text="It rains "),
        TextDelta(text="🌧."),
        ToolCallStart(index=0, id="toolu_1", name="umbrella"),
        ToolCallDelta(index=0, arguments='{"size":'),
        ToolCallDelta(index=0, arguments='"big"}'),
        ToolCallEnd(index=0, tool_call=CONTENTS[5]),
        ToolCallStart(index=1, id="toolu_2", name="clock"),
        ToolCallEnd(index=1, tool_call=CONTENTS[6]),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="tool_use"),
        UsageReported(usage=Usage(input_tokens=10, output_tokens=5)),
    ]
    assert isinstance(events[-1], Final)


@given(st.integers(min_value=1, max_value=200))
def test_however_the_stream_is_split_the_events_are_the_same(size: int) -> None:
    assert codecs.events(streamed(STREAM, MESSAGES, size=size)) == codecs.events(streamed(STREAM, MESSAGES))


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        (None, None),
    ],
)
def test_stop_reasons_are_mapped_or_kept(stop: str | None, reason: str | None) -> None:
    response = codecs.decode(plain(message([{"type": "text", "text": "a"}], stop), MESSAGES))

    assert (response.finish_reason, response.raw_finish_reason) == (reason, stop)


def test_a_message_may_say_nothing() -> None:
    assert codecs.decode(plain(message([], "refusal"), MESSAGES)).choice == []
    assert codecs.decode(streamed(sse(*told(stop="refusal"), done=False), MESSAGES)).choice == []


def test_an_unknown_event_passes_through_and_unknown_deltas_do_no_harm() -> None:
    text = ({"type": "text", "text": "a"}, [{"type": "glow_delta", "glow": 1}])
    events = [*told(text)[:-1], {"type": "sparkle", "n": 1}, {"type": "message_stop"}]
    found = codecs.events(streamed(sse(*events, done=False), MESSAGES))

    assert UnknownEvent(name="sparkle", data={"type": "sparkle", "n": 1}) in found
    assert codecs.decode(streamed(sse(*events, done=False), MESSAGES)).text == "a"


def test_a_gateway_that_tries_again_in_the_stream_starts_over() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    half = told(
        ({"type": "text", "text": "No"}, []), (call, [{"type": "input_json_delta", "partial_json": '{"a'}])
    )[:-3]
    stream = sse(*half, *told(({"type": "text", "text": "Yes"}, [])), done=False)

    assert codecs.decode(streamed(stream, MESSAGES)).choice == [Text(text="Yes")]


def test_blocks_that_share_a_number_stay_apart() -> None:
    first, second = (told(({"type": "text", "text": said}, [])) for said in ("a", "b"))
    stream = sse(*first[:-2], *second[2:], done=False)

    assert codecs.decode(streamed(stream, MESSAGES)).choice == [Text(text="a"), Text(text="b")]


def test_a_delta_of_a_provider_block_is_kept() -> None:
    block = ({"type": "compaction", "content": None}, [{"type": "compaction_delta", "content": "short"}])
    response = codecs.decode(streamed(sse(*told(block), done=False), MESSAGES))

    assert response.choice == [
        ProviderContent(kind="compaction", raw={"type": "compaction", "content": "short"})
    ]


def test_input_of_a_provider_tool_that_is_not_json_stays_as_written() -> None:
    block = ({**SEARCH, "input": {}}, [{"type": "input_json_delta", "partial_json": '{"query'}])
    (found,) = codecs.decode(streamed(sse(*told(block), done=False), MESSAGES)).choice

    assert found == ProviderContent(kind="server_tool_use", raw={**SEARCH, "input": '{"query'})


def test_a_stop_reason_and_an_orderly_end_are_enough() -> None:
    text = ({"type": "text", "text": "a"}, [])

    assert codecs.decode(streamed(sse(*told(text, last=False), done=False), MESSAGES)).text == "a"


def test_a_stream_that_ends_before_its_stop_reason_is_truncated() -> None:
    text = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hel"}])
    exchange = streamed(sse(*told(text, stop=None, last=False), done=False), MESSAGES)

    with pytest.raises(CompletionError) as caught:
        codecs.decode(exchange)
    assert (caught.value.kind, caught.value.retryable) == ("stream_truncated", True)
    *events, last = codecs.events(exchange)
    assert TextDelta(text="Hel") in events
    assert isinstance(last, StreamError)


def test_a_stream_that_begins_nowhere_is_truncated_too() -> None:
    with pytest.raises(CompletionError, match="stream_truncated"):
        codecs.decode(streamed(sse({"type": "message_stop"}, done=False), MESSAGES))
    odd = sse({"type": "message_delta", "delta": {"container": "c"}}, {"type": "message_stop"}, done=False)
    assert codecs.decode(streamed(odd, MESSAGES)).choice == []


def test_an_error_in_the_stream_has_the_kind_of_its_type() -> None:
    error = {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_9",
    }
    exchange = streamed(sse(*told(stop=None, last=False), error, done=False), MESSAGES)

    with pytest.raises(CompletionError) as caught:
        codecs.decode(exchange)
    found = caught.value
    assert (found.kind, found.status, found.code) == ("overloaded", 200, "overloaded_error")
    assert (found.message, found.request_id, found.retryable, found.body) == (
        "Overloaded",
        "req_9",
        True,
        error,
    )


def test_an_error_in_a_200_is_an_error() -> None:
    with pytest.raises(CompletionError) as caught:
        codecs.decode(plain({"type": "error", "error": {"type": "x", "message": "odd"}}, MESSAGES))
    assert caught.value.kind == "error_in_200"


def test_what_is_no_message_is_an_error_of_the_response() -> None:
    with pytest.raises(CompletionError, match="has no content") as caught:
        codecs.decode(plain({"type": "message"}, MESSAGES))
    assert caught.value.kind == "response_schema"


def test_vertex_is_a_provider_of_its_own() -> None:
    url = "https://aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict"

    assert codecs.decode(plain(message([{"type": "text", "text": "Hi"}]), url)).provider == "vertex"

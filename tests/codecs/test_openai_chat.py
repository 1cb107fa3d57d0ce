"""Answers on the chat wire, plain and streamed, in the dialects of many."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payloads import CHAT, asked, chat, delta, plain, sse, streamed

from llmreplay import codecs
from llmreplay.completion import (
    Audio,
    AudioDelta,
    ContentReceived,
    Final,
    Finished,
    FinishReason,
    Image,
    LogProbs,
    ProviderContent,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    RefusalDelta,
    Started,
    StreamError,
    Text,
    TextDelta,
    TokenLogProb,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    TopLogProb,
    Usage,
    UsageReported,
)
from llmreplay.exchange import Exchange, Response

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def call(arguments: object, id: str = "call_1", name: str = "weather", **more: object) -> dict[str, object]:  # noqa: A002  the wire's word
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def test_a_plain_answer_has_text_usage_and_who_gave_it() -> None:
    body = chat({"content": "Hello"}, usage=USAGE, system_fingerprint="fp", service_tier="default")
    response = codecs.decode(plain(body, headers=[("x-request-id", "req_1")]))

    assert response.choice == [Text(text="Hello")]
    assert response.finish_reason is FinishReason.STOP
    assert response.usage == Usage(input_tokens=10, output_tokens=5)
    assert (response.response_id, response.request_id, response.model) == ("c-1", "req_1", "m-1")
    assert (response.provider, response.created, response.object) == ("openai", 1, "chat.completion")
    assert (response.system_fingerprint, response.service_tier) == ("fp", "default")
    assert response.raw == body


def test_tool_calls_keep_their_order_ids_and_arguments() -> None:
    message = {"content": None, "tool_calls": [call('{"city":"Oslo"}'), call('{"city":"Rome"}', "call_2")]}
    response = codecs.decode(plain(chat(message, "tool_calls")))

    assert [(item.id, item.name, item.arguments, item.index) for item in response.tool_calls] == [
        ("call_1", "weather", {"city": "Oslo"}, 0),
        ("call_2", "weather", {"city": "Rome"}, 1),
    ]
    assert response.content is None


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [("", {}), ('{"a":', None), ({"a": 1}, {"a": 1}), (None, {}), ("[1]", [1])],
)
def test_arguments_come_as_text_as_an_object_or_broken(arguments: object, parsed: object) -> None:
    (found,) = codecs.decode(plain(chat({"tool_calls": [call(arguments)]}, "tool_calls"))).tool_calls

    assert found.arguments == parsed
    assert (found.arguments_error is None) is (parsed is not None)


def test_a_stop_with_tool_calls_is_a_call_for_tools() -> None:
    response = codecs.decode(plain(chat({"tool_calls": [call("{}")]}, "stop")))

    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", "stop")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("weird", "weird"),
        (None, None),
    ],
)
def test_finish_reasons_are_mapped_or_kept(raw: str | None, reason: str | None) -> None:
    response = codecs.decode(plain(chat({"content": "a"}, raw)))

    assert (response.finish_reason, response.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_content": "hm", "reasoning": "hm"},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "4"},
            ]
        },
        {"content": [{"type": "thinking", "thinking": "hm"}, "4"]},
    ],
)
def test_reasoning_is_read_under_all_its_names(message: dict[str, object]) -> None:
    body = {"content": "4", **message}

    for exchange in (plain(chat(body)), streamed(sse(delta(body), delta({}, "stop")))):
        assert codecs.decode(exchange).choice == [Reasoning(parts=[ReasoningPart(text="hm")]), Text(text="4")]


def test_reasoning_details_keep_signature_summary_and_sealed_data_and_are_not_doubled() -> None:
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "index": 0},
        {"type": "reasoning.summary", "summary": "short", "index": 1},
        {"type": "reasoning.encrypted", "data": "XXX", "index": 2},
    ]
    pieces = [
        delta({"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]}),
        delta({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]}),
        delta({"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0}]}),
        delta({"reasoning_details": details[1:]}),
        delta({"content": "4"}, "stop"),
    ]
    thought = Reasoning(
        parts=[
            ReasoningPart(text="hm", signature="sig"),
            ReasoningPart(kind="summary", text="short"),
            ReasoningPart(kind="encrypted", text="XXX"),
        ]
    )

    for exchange in (
        plain(chat({"content": "4", "reasoning": "hm", "reasoning_details": details})),
        streamed(sse(*pieces)),
    ):
        assert codecs.decode(exchange).choice == [thought, Text(text="4")]


def test_sealed_details_leave_the_readable_reasoning() -> None:
    body = {
        "reasoning": "hm",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "X"}],
        "content": "4",
    }

    assert codecs.decode(plain(chat(body))).reasoning_content == "hm"


def test_a_refusal_is_no_text() -> None:
    response = codecs.decode(plain(chat({"content": None, "refusal": "I will not."})))

    assert response.choice == [Refusal(text="I will not.")]
    assert response.text == ""


def test_images_sounds_and_unknown_parts_are_contents() -> None:
    body = {
        "content": [
            {"type": "text", "text": "See "},
            {"type": "image_url", "image_url": "https://h/i.png"},
            {"type": "refusal", "refusal": "no"},
            {"type": "reference", "reference_ids": [1]},
        ],
        "audio": {"id": "a1", "data": "QUJD", "transcript": "hey", "expires_at": 9},
        "images": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
        ],
    }

    assert codecs.decode(plain(chat(body))).choice == [
        Text(text="See "),
        Image(data="https://h/i.png", source="url"),
        Refusal(text="no"),
        ProviderContent(kind="reference", raw={"type": "reference", "reference_ids": [1]}),
        Audio(data="QUJD", id="a1", transcript="hey"),
        Image(data="aGk=", media_type="image/png", detail="low"),
    ]


def test_citations_are_collected_from_answer_and_annotations() -> None:
    body = chat({"content": "Oslo [1]", "annotations": [{"type": "url_citation"}]}, citations=["https://h"])

    assert codecs.decode(plain(body)).citations == ["https://h", {"type": "url_citation"}]


def test_old_function_calls_and_custom_tools_are_tool_calls() -> None:
    old = codecs.decode(
        plain(chat({"function_call": {"name": "f", "arguments": '{"a":1}'}}, "function_call"))
    )
    custom = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    new = codecs.decode(plain(chat({"tool_calls": [custom]}, "tool_calls")))

    assert (old.tool_calls, old.finish_reason) == ([ToolCall(name="f", arguments={"a": 1})], "tool_calls")
    assert new.tool_calls == [ToolCall(id="c", name="sql", arguments="select 1", extra={"type": "custom"})]


def test_keys_that_are_there_but_empty_say_nothing() -> None:
    body = {
        "content": "4",
        "refusal": "",
        "annotations": None,
        "function_call": {"name": "", "arguments": ""},
        "audio": {"id": "", "data": "", "transcript": "", "expires_at": 0},
        "tool_calls": [{**call("{}"), "custom": {"name": "", "input": ""}}],
    }
    response = codecs.decode(plain(chat(body, "")))

    assert response.choice == [Text(text="4"), ToolCall(id="call_1", name="weather")]
    assert (response.finish_reason, response.raw_finish_reason) == (None, None)


def test_a_signature_of_gemini_is_kept_with_its_call() -> None:
    extra = {"google": {"thought_signature": "sig"}}
    (found,) = codecs.decode(plain(chat({"tool_calls": [call("{}", extra_content=extra)]}))).tool_calls

    assert (found.signature, found.extra) == ("sig", {"extra_content": extra})


def test_an_empty_text_is_a_text_and_no_content_is_none() -> None:
    assert codecs.decode(plain(chat({"content": ""}))).choice == [Text(text="")]
    assert codecs.decode(plain(chat({"content": None}, "content_filter"))).choice == []
    assert codecs.decode(plain(chat({"content": "", "tool_calls": [call("{}")]}))).content is None


def test_several_answers_stay_apart_however_their_chunks_interleave() -> None:
    stream = sse(
        delta({"content": "A"}),
        delta({"content": "X"}, index=1),
        delta({"content": "B"}),
        delta({"content": "Y"}, "length", index=1),
        delta({}, "stop"),
        delta(None, usage=USAGE),
    )
    body = chat({"content": "AB"}, usage=USAGE)
    body["choices"].insert(0, {"index": 1, "message": {"content": "XY"}, "finish_reason": "length"})

    for exchange in (streamed(stream), plain(body)):
        response = codecs.decode(exchange)
        found = [(choice.index, choice.contents, str(choice.finish_reason)) for choice in response.choices]
        assert found == [(0, [Text(text="AB")], "stop"), (1, [Text(text="XY")], "length")]
        assert response.usage.total_tokens == 15


def test_log_probabilities_are_read_and_joined_over_chunks() -> None:
    one = {
        "token": "A",
        "logprob": -0.5,
        "bytes": [65],
        "top_logprobs": [{"token": "B", "logprob": -2, "bytes": None}],
    }
    first, second = delta({"content": "A"}), delta({"content": "A"}, "stop")
    first["choices"][0]["logprobs"] = {"content": [one], "refusal": None}
    second["choices"][0]["logprobs"] = {"content": [one]}
    token = TokenLogProb(
        token="A", logprob=-0.5, bytes=[65], top_logprobs=[TopLogProb(token="B", logprob=-2)]
    )

    assert codecs.decode(streamed(sse(first, second))).logprobs == LogProbs(content=[token, token])


WEATHER = sse(
    delta({"role": "assistant", "content": ""}),
    delta({"content": "Let me "}),
    delta({"content": "see 🌧."}),
    delta({"tool_calls": [{"index": 0, **call("")}]}),
    delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
    delta({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}),
    delta({"tool_calls": [{"index": 1, **call("{}", "call_2", "clock")}]}),
    delta({}, "tool_calls"),
    delta(None, usage=USAGE),
)
OSLO = ToolCall(id="call_1", name="weather", arguments={"city": "Oslo"})
CLOCK = ToolCall(id="call_2", name="clock")


def test_a_stream_is_told_piece_by_piece_and_ends_with_the_whole_answer() -> None:
    events = codecs.events(streamed(WEATHER))

    assert events[:-1] == [
        Started(response_id="c-1", model="m-1"),
        TextDelta(text="Let me "),
        TextDelta(text="see 🌧."),
        ToolCallStart(index=0, id="call_1", name="weather"),
        ToolCallDelta(index=0, arguments='{"city":'),
        ToolCallDelta(index=0, arguments='"Oslo"}'),
        ToolCallStart(index=1, id="call_2", name="clock"),
        ToolCallDelta(index=1, arguments="{}"),
        ToolCallEnd(index=0, tool_call=OSLO),
        ToolCallEnd(index=1, tool_call=CLOCK),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="tool_calls"),
        UsageReported(usage=Usage(input_tokens=10, output_tokens=5)),
    ]
    assert isinstance(events[-1], Final)
    assert events[-1].response == codecs.decode(streamed(WEATHER))
    assert events[-1].response.choice == [Text(text="Let me see 🌧."), OSLO, CLOCK]
    assert len(events[-1].response.raw) == 9


@given(st.integers(min_value=1, max_value=200))
def test_however_the_stream_is_split_the_events_are_the_same(size: int) -> None:
    assert codecs.events(streamed(WEATHER, size=size)) == codecs.events(streamed(WEATHER))


def test_a_plain_answer_gives_the_events_of_a_stream() -> None:
    message = {
        "content": "Let me see 🌧.",
        "tool_calls": [call('{"city":"Oslo"}'), call("{}", "call_2", "clock")],
    }
    events = codecs.events(plain(chat(message, "tool_calls", usage=USAGE)))

    assert [type(event).__name__ for event in events] == [
        "Started",
        "TextDelta",
        *(["ToolCallStart", "ToolCallDelta", "ToolCallEnd"] * 2),
        "Finished",
        "UsageReported",
        "Final",
    ]


def test_text_before_and_behind_a_tool_call_are_two_texts() -> None:
    stream = sse(
        delta({"content": "a"}), delta({"tool_calls": [call("{}")]}), delta({"content": "b"}, "stop")
    )

    assert [content.type for content in codecs.decode(streamed(stream)).choice] == [
        "text",
        "tool_call",
        "text",
    ]


def test_calls_without_an_index_and_calls_that_share_one_stay_apart() -> None:
    no_index = sse(
        delta({"tool_calls": [call('{"a":')]}),
        delta({"tool_calls": [{"function": {"arguments": "1}"}}]}),
        delta({"tool_calls": [call("{}", "call_2")]}, "tool_calls"),
    )
    one_index = sse(
        delta({"tool_calls": [{"index": 0, **call("{}")}]}),
        delta({"tool_calls": [{"index": 0, **call('{"b":2}', "call_2")}]}, "tool_calls"),
    )

    assert [found.arguments for found in codecs.decode(streamed(no_index)).tool_calls] == [{"a": 1}, {}]
    assert [found.arguments for found in codecs.decode(streamed(one_index)).tool_calls] == [{}, {"b": 2}]


def test_an_id_that_is_repeated_in_each_fragment_is_one_call() -> None:
    pieces = [{"index": 0, **call(piece)} for piece in ('{"a"', ":1}")]
    stream = sse(*(delta({"tool_calls": [piece]}) for piece in pieces), delta({}, "tool_calls"))

    assert [found.arguments for found in codecs.decode(streamed(stream)).tool_calls] == [{"a": 1}]


def test_refusals_sounds_and_images_stream_too() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    stream = sse(
        delta({"refusal": "I will "}),
        delta({"refusal": "not."}),
        delta({"audio": {"id": "a1", "transcript": "he"}}),
        delta({"audio": {"data": "QUJD", "transcript": "y"}}),
        delta({"images": [picture]}),
        delta({"content": "x"}, "stop"),
        delta({}, "stop"),
    )
    events = codecs.events(streamed(stream))

    assert events[1:6] == [
        RefusalDelta(text="I will "),
        RefusalDelta(text="not."),
        AudioDelta(transcript="he"),
        AudioDelta(data="QUJD", transcript="y"),
        ContentReceived(content=Image(data="aGk=", media_type="image/png")),
    ]
    assert codecs.decode(streamed(stream)).choice == [
        Refusal(text="I will not."),
        Audio(data="QUJD", id="a1", transcript="hey"),
        Image(data="aGk=", media_type="image/png"),
        Text(text="x"),
    ]
    assert sum(isinstance(event, Finished) for event in events) == 1


def test_an_empty_text_that_is_all_there_is_streams_as_a_text() -> None:
    assert codecs.decode(streamed(sse(delta({"content": ""}), delta({}, "stop")))).content == ""


def test_comments_crlf_and_chunks_without_choices_do_no_harm() -> None:
    stream = b": PROCESSING\n\n" + sse(
        {"id": "", "choices": [], "prompt_filter_results": []}, delta({"content": "4"}), delta({}, "stop")
    )
    response = codecs.decode(streamed(stream.replace(b"\n", b"\r\n")))

    assert (response.text, response.response_id) == ("4", "c-1")


def test_half_an_emoji_in_each_of_two_chunks_is_an_emoji() -> None:
    rain = json.dumps("🌧")[1:-1]
    first, second = (
        sse(delta({"content": "HALF"}), done=False).replace(b"HALF", half.encode())
        for half in (rain[:6], rain[6:])
    )

    assert codecs.decode(streamed(first + second + sse(delta({}, "stop")))).text == "🌧"


def test_a_stream_needs_no_done_if_the_answer_is_finished() -> None:
    assert codecs.decode(streamed(sse(delta({"content": "a"}, "stop"), done=False))).text == "a"


def test_a_stream_without_a_finish_reason_is_whole_if_it_is_done() -> None:
    response = codecs.decode(streamed(sse(delta({"content": "4"}))))

    assert (response.text, response.finish_reason) == ("4", None)


def test_a_last_frame_without_its_blank_line_counts() -> None:
    stream = sse(delta({"content": "a"}), delta({}, "stop"), done=False).rstrip()

    assert codecs.decode(streamed(stream)).finish_reason == "stop"


def test_a_stream_is_told_by_its_body_where_headers_are_missing_or_wrong() -> None:
    request = asked(CHAT, {"stream": True})
    for headers in ((), (("content-type", "application/json"),)):
        exchange = Exchange(request, Response.of(200, sse(delta({"content": "a"}, "stop")), headers))
        assert codecs.decode(exchange).text == "a"


def test_a_plain_answer_to_a_request_for_a_stream_is_read_as_what_it_is() -> None:
    body = json.dumps(chat({"content": "a"})).encode()
    exchange = Exchange(
        asked(CHAT, {"stream": True}), Response.of(200, body, (("content-type", "text/event-stream"),))
    )

    assert codecs.decode(exchange).text == "a"


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://r.openai.azure.com/openai/deployments/d/chat/completions", "azure"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://api.x.ai/v1/chat/completions", "xai"),
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter"),
        ("https://eu.api.mistral.ai/v1/chat/completions", "mistral"),
        ("http://localhost:11434/v1/chat/completions", "ollama"),
        ("http://localhost:8787/groq/openai/v1/chat/completions", "groq"),
        ("http://localhost:8000/v1/chat/completions", None),
        ("https://notapi.openai.com.example/v1/chat/completions", None),
    ],
)
def test_the_provider_is_told_by_host_or_path(url: str, provider: str | None) -> None:
    assert codecs.decode(plain(chat({"content": "a"}), url)).provider == provider


def test_an_error_beside_the_choices_is_an_error_and_what_came_is_told() -> None:
    broken = delta({"content": ""}, "error", error={"code": 502, "message": "Provider disconnected"})
    events = codecs.events(streamed(sse(delta({"content": "Hel"}), broken)))

    assert events[1] == TextDelta(text="Hel")
    assert isinstance(events[-1], StreamError)
    assert (events[-1].error.kind, events[-1].error.message) == ("server_error", "Provider disconnected")


def test_reasoning_streams_in_pieces() -> None:
    stream = sse(delta({"reasoning": "h"}), delta({"reasoning": "m"}), delta({"content": "4"}, "stop"))

    assert codecs.events(streamed(stream))[1:3] == [ReasoningDelta(text="h"), ReasoningDelta(text="m")]
    assert codecs.decode(streamed(stream)).reasoning_content == "hm"

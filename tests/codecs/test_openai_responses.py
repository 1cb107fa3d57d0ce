"""Answers on the Responses wire, plain and streamed, and requests in both directions."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payloads import asked, plain, sse, streamed

from llmreplay import codecs
from llmreplay.codecs.openai_responses import CODEC
from llmreplay.completion import (
    Audio,
    CompletionError,
    CompletionRequest,
    CompletionResponse,
    ContentReceived,
    Document,
    Final,
    Finished,
    FinishReason,
    Image,
    Json,
    LogProbs,
    Message,
    ProviderContent,
    ProviderError,
    ProviderTool,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    RefusalDelta,
    RequestError,
    ResponseError,
    ResponseFormat,
    Started,
    StreamError,
    StreamOptions,
    Text,
    TextDelta,
    TokenLogProb,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    UnknownEvent,
    Usage,
    UsageReported,
    Video,
)
from llmreplay.exchange import Exchange, Request

URL = "https://api.openai.com/v1/responses"
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}}


def output_text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": [], "logprobs": [], **more}


def spoken(*parts: Any, id: str | None = "msg_1", **more: Any) -> dict[str, Any]:  # noqa: A002  the wire's word
    content = [output_text(part) if isinstance(part, str) else part for part in parts]
    return {
        "type": "message",
        "id": id,
        "status": "completed",
        "role": "assistant",
        "content": content,
        **more,
    }


def called(arguments: str = '{"city":"Oslo"}', **more: Any) -> dict[str, Any]:
    names = {"id": "fc_1", "call_id": "call_1", "name": "weather"}
    return {"type": "function_call", "status": "completed", "arguments": arguments, **names, **more}


def thought(*summary: str, **more: Any) -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": part} for part in summary]
    return {"type": "reasoning", "id": "rs_1", "summary": parts, **more}


def body(*output: Any, **more: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }
    fields = {"object": "response", "created_at": 7, "status": "completed", "error": None, "model": "m-1"}
    return {"id": "resp_1", **fields, "output": list(output), "usage": usage, **more}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def decoded(*output: Any, **more: Any) -> CompletionResponse:
    return codecs.decode(plain(body(*output, **more), URL))


def told(*events: Any) -> list[Any]:
    return codecs.events(streamed(sse(*events, done=False), URL))


def request(**fields: Any) -> Request:
    return asked(URL, {"model": "m", "input": [], **fields})


# -------------------------------------------------------------------------------------------- answers


def test_a_plain_answer_has_text_usage_and_who_gave_it() -> None:
    found = body(spoken("Hello"), service_tier="default")
    response = codecs.decode(plain(found, URL, headers=[("x-request-id", "req_1")]))

    assert response.choice == [Text(text="Hello")]
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.STOP, "completed")
    assert response.usage == Usage(
        input_tokens=10, output_tokens=5, cached_input_tokens=4, reasoning_tokens=2
    )
    assert (response.response_id, response.message_id, response.request_id) == ("resp_1", "msg_1", "req_1")
    assert (response.model, response.provider, response.created) == ("m-1", "openai", 7)
    assert (response.object, response.service_tier) == ("response", "default")
    assert response.raw == found


def test_a_call_is_paired_by_one_id_and_its_item_named_by_another() -> None:
    response = decoded(called(), called("", id="fc_2", call_id="call_2"), called("{", id=None))

    assert [(call.id, call.call_id, call.index) for call in response.tool_calls] == [
        ("call_1", "fc_1", 0),
        ("call_2", "fc_2", 1),
        ("call_1", None, 2),
    ]
    assert [call.arguments for call in response.tool_calls] == [{"city": "Oslo"}, {}, None]
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.raw_finish_reason == "completed"


def test_a_custom_call_has_what_was_written_as_its_arguments() -> None:
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "shell", "input": "ls -l"}
    response = decoded(item)

    (call,) = response.tool_calls
    assert (call.arguments, call.arguments_raw, call.extra) == ("ls -l", "ls -l", {"type": "custom"})
    assert call.arguments_error is None


def test_reasoning_has_summaries_texts_and_a_seal() -> None:
    item = thought(
        "First.", "Then.", content=[{"type": "reasoning_text", "text": "Hm."}], encrypted_content="gAA"
    )
    response = decoded(item, spoken("So."))

    assert response.choice[0] == Reasoning(
        id="rs_1",
        parts=[
            ReasoningPart(kind="summary", text="First."),
            ReasoningPart(kind="summary", text="Then."),
            ReasoningPart(text="Hm."),
            ReasoningPart(kind="encrypted", text="gAA"),
        ],
    )
    assert response.reasoning_content == "First.\nThen.\nHm."


def test_reasoning_that_shows_nothing_keeps_its_id() -> None:
    assert decoded(thought(status="completed", content=[], encrypted_content=None)).choice == [
        Reasoning(id="rs_1", parts=[])
    ]


def test_an_unknown_part_of_reasoning_stays_as_it_came() -> None:
    item = thought(summary=[{"type": "summary_text", "text": "A", "score": 1}])
    assert decoded(item).choice[0].extra == {"summary": item["summary"]}


def test_citations_stay_with_their_text_and_are_collected() -> None:
    cited = {
        "type": "url_citation",
        "url": "https://e.example",
        "start_index": 0,
        "end_index": 1,
        "title": "E",
    }
    response = decoded(spoken(output_text("One.", annotations=[cited]), "Two."))

    assert response.choice == [Text(text="One.", extra={"annotations": [cited]}), Text(text="Two.")]
    assert response.citations == [cited]


def test_a_second_message_says_its_id_and_phases_are_kept() -> None:
    response = decoded(spoken("I look.", phase="commentary"), SEARCH, spoken("Sunny.", id="msg_2"))

    assert response.message_id == "msg_1"
    assert response.choice == [
        Text(text="I look.", extra={"phase": "commentary"}),
        ProviderContent(kind="web_search_call", raw=SEARCH),
        Text(text="Sunny.", extra={"id": "msg_2"}),
    ]


def test_probabilities_are_collected_from_all_texts() -> None:
    tokens = [{"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []} for token in "ab"]
    response = decoded(spoken(output_text("a", logprobs=tokens[:1]), output_text("b", logprobs=tokens[1:])))

    assert response.logprobs == LogProbs(
        content=[TokenLogProb(token=token, logprob=-0.5, bytes=[1]) for token in "ab"]
    )


@pytest.mark.parametrize(
    ("fields", "reason", "raw"),
    [
        ({"incomplete_details": {"reason": "max_output_tokens"}}, FinishReason.LENGTH, "max_output_tokens"),
        ({"incomplete_details": {"reason": "content_filter"}}, FinishReason.CONTENT_FILTER, "content_filter"),
        ({"incomplete_details": {"reason": "steered"}}, "steered", "steered"),
        ({"incomplete_details": None}, "incomplete", "incomplete"),
    ],
)
def test_an_incomplete_answer_says_why(fields: Any, reason: str, raw: str) -> None:
    response = decoded(spoken("He", status="incomplete"), status="incomplete", **fields)

    assert (response.finish_reason, response.raw_finish_reason) == (reason, raw)
    assert response.choice == [Text(text="He")]


def test_an_answer_without_a_status_has_no_reason() -> None:
    assert decoded(spoken("Hi"), status=None).finish_reason is None


def test_empty_texts_are_left_out_unless_there_is_nothing_else() -> None:
    assert decoded(spoken("", "Hi")).choice == [Text(text="Hi")]
    assert decoded(spoken("")).choice == [Text(text="")]
    assert decoded(status="incomplete", incomplete_details={"reason": "max_output_tokens"}).choice == []


def test_a_message_with_an_unknown_part_is_kept_whole() -> None:
    item = spoken({"type": "output_hologram"})
    assert decoded(item).choice == [ProviderContent(kind="message", raw=item)]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (body(status="failed", error={"code": "server_error", "message": "boom"}), "server_error"),
        (body(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"}), "rate_limited"),
        (body(status="failed"), "error_in_200"),
        ({"error": {"message": "boom"}}, "error_in_200"),
    ],
)
def test_a_failed_response_is_an_error(found: Any, kind: str) -> None:
    with pytest.raises(ProviderError) as caught:
        codecs.decode(plain(found, URL))
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "found",
    [
        {},
        [],
        None,
        {"output": "x"},
        body(status="queued"),
        body(status="in_progress"),
        body(status="cancelled"),
    ],
)
def test_what_is_no_answer_is_an_error(found: Any) -> None:
    with pytest.raises((ResponseError, CompletionError)) as caught:
        codecs.decode(plain(found, URL))
    assert caught.value.kind in {"response_schema", "decode_error"}


# -------------------------------------------------------------------------------------------- streams


def test_a_stream_tells_what_comes_and_ends_with_the_answer() -> None:
    item = spoken("Hello", {"type": "refusal", "refusal": "No."})
    final = body(thought("Hm.", encrypted_content="gAA"), item, called())
    events = told(
        event("created", response=body(status="in_progress", usage=None)),
        event("in_progress", response=body(status="in_progress", usage=None)),
        event("output_item.added", output_index=0, item=thought(encrypted_content="g")),
        event("reasoning_summary_part.added", output_index=0, summary_index=0, part={}),
        event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm."),
        event("reasoning_summary_text.done", output_index=0, summary_index=0, text="Hm."),
        event("output_item.done", output_index=0, item=thought("Hm.", encrypted_content="gAA")),
        event("output_item.added", output_index=1, item=spoken()),
        event("content_part.added", output_index=1, content_index=0, part=output_text("")),
        event("output_text.delta", output_index=1, content_index=0, delta="Hel"),
        event("output_text.delta", output_index=1, content_index=0, delta="lo"),
        event("output_text.done", output_index=1, content_index=0, text="Hello"),
        event("refusal.delta", output_index=1, content_index=1, delta="No."),
        event("output_item.done", output_index=1, item=item),
        event("output_item.added", output_index=2, item=called("")),
        event("function_call_arguments.delta", output_index=2, delta='{"city":'),
        event("function_call_arguments.done", output_index=2, arguments='{"city":"Oslo"}'),
        event("output_item.done", output_index=2, item=called()),
        event("completed", response=final),
    )

    sealed = Reasoning(id="rs_1", parts=[ReasoningPart(kind="encrypted", text="gAA")])
    call = ToolCall.written("weather", '{"city":"Oslo"}', id="call_1", call_id="fc_1", index=0)
    response = codecs.decode(plain(final, URL))
    assert events == [
        Started(response_id="resp_1", model="m-1"),
        ReasoningDelta(text="Hm."),
        ContentReceived(content=sealed),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        RefusalDelta(text="No."),
        ToolCallStart(index=0, id="call_1", name="weather"),
        ToolCallDelta(index=0, arguments='{"city":'),
        ToolCallDelta(index=0, arguments='"Oslo"}'),
        ToolCallEnd(index=0, tool_call=call),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="completed"),
        UsageReported(usage=response.usage),
        Final(response=response),
    ]


def test_an_end_alone_tells_everything_once() -> None:
    events = told(event("completed", response=body(thought("Hm."), spoken("Hi"), SEARCH, called())))

    assert [type(item) for item in events] == [
        Started, ReasoningDelta, TextDelta, ContentReceived, ToolCallStart, ToolCallDelta, ToolCallEnd,
        Finished, UsageReported, Final,
    ]  # fmt: skip


def test_an_end_without_an_output_leaves_it_to_the_items() -> None:
    before = [
        event("created", response=body(status="in_progress")),
        event("output_item.done", output_index=1, item=called()),
        event("output_item.done", output_index=0, item=spoken("Hi")),
    ]
    *_, last = told(*before, event("completed", response=body()))

    assert isinstance(last, Final)
    assert last.response.choice == decoded(spoken("Hi"), called()).choice


def test_items_that_never_came_whole_are_made_of_their_pieces() -> None:
    *_, last = told(
        event("created", response=body(status="in_progress")),
        event("output_item.added", output_index=0, item=spoken()),
        event("output_text.delta", output_index=0, content_index=0, delta="H"),
        event("output_text.delta", output_index=0, content_index=0, delta="i"),
        event("output_item.added", output_index=1, item=called("")),
        event("function_call_arguments.delta", output_index=1, delta='{"city":"Oslo"}'),
        event("completed", response=body()),
    )

    assert last.response.choice == decoded(spoken("Hi"), called()).choice


def test_a_call_that_begins_with_its_arguments_has_no_name_yet() -> None:
    events = told(event("function_call_arguments.delta", output_index=3, delta="{}"))

    assert events[:2] == [ToolCallStart(index=0, id="", name=""), ToolCallDelta(index=0, arguments="{}")]


def test_progress_of_a_search_and_unknown_events_are_passed_on() -> None:
    progress = event("web_search_call.searching", output_index=0, item_id="ws_1")
    future = {"type": "keepalive", "sequence_number": 3}
    events = told(progress, future, event("completed", response=body(spoken("Hi"))))

    assert events[0] == UnknownEvent(name="response.web_search_call.searching", data=progress)
    assert events[1] == UnknownEvent(name="keepalive", data=future)
    assert isinstance(events[-1], Final)


@pytest.mark.parametrize(
    "broken",
    [
        event("output_text.delta", output_index=0, content_index=0),
        event("output_text.delta", output_index=0, content_index=0, delta=7),
        event("output_text.done", output_index=0, content_index=0),
        event("output_item.added", output_index=0),
        event("output_item.done", output_index=0, item="x"),
        event("created"),
        event("completed"),
    ],
)
def test_a_known_event_that_is_broken_is_an_error(broken: Any) -> None:
    stream = sse(broken, event("completed", response=body(spoken("Hi"))), done=False)

    assert any(isinstance(item, StreamError) for item in codecs.events(streamed(stream, URL)))
    with pytest.raises(ResponseError, match="has no"):
        codecs.decode(streamed(stream, URL))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "error", "code": "server_error", "message": "boom", "param": None}, "server_error"),
        ({"type": "error", "error": {"code": "server_is_overloaded", "message": "boom"}}, "overloaded"),
        (
            event("failed", response=body(status="failed", error={"code": "slow_down", "message": "boom"})),
            "overloaded",
        ),
        (
            event(
                "failed", response=body(status="failed", error={"code": "invalid_prompt", "message": "boom"})
            ),
            "content_filter",
        ),
        (event("failed", response={"message": "boom"}), "stream_error"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_errors_in_a_stream_have_four_forms(error: Any, kind: str, *, named: bool) -> None:
    opening = sse(event("created", response=body(status="in_progress")), done=False)
    stream = opening + (sse(error, done=False) if named else b"data: " + json.dumps(error).encode() + b"\n\n")

    with pytest.raises(ProviderError, match="boom") as caught:
        codecs.decode(streamed(stream, URL))
    assert caught.value.kind == kind
    assert not any(isinstance(item, Final) for item in codecs.events(streamed(stream, URL)))


def test_a_failure_that_says_nothing_says_that() -> None:
    with pytest.raises(ProviderError, match="the response failed"):
        codecs.decode(streamed(sse(event("failed", response=body(status="failed")), done=False), URL))


def test_a_stream_that_only_says_done_is_cut_short() -> None:
    stream = sse(event("output_text.delta", output_index=0, content_index=0, delta="Hi"), done=True)

    with pytest.raises(CompletionError) as caught:
        codecs.decode(streamed(stream, URL))
    assert caught.value.kind == "stream_truncated"


KNOWN = st.sampled_from(
    [
        "created", "completed", "incomplete", "failed", "output_item.added", "output_item.done",
        "output_text.delta", "output_text.done", "refusal.delta", "reasoning_summary_text.delta",
        "reasoning_text.done",
        "function_call_arguments.delta", "function_call_arguments.done", "custom_tool_call_input.delta", "x",
    ]
)  # fmt: skip
LEAF = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        10**30,
        "",
        "x",
        "\ud800",
        "message",
        "function_call",
        "reasoning",
        "output_text",
        "summary_text",
    ]
)
KEY = st.sampled_from(
    [
        "type", "id", "call_id", "name", "arguments", "input", "content", "summary", "text",
        "encrypted_content", "annotations", "logprobs", "status", "output", "usage", "error",
        "incomplete_details", "reason",
    ]
)  # fmt: skip
ANY = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=5), max_leaves=12
)
quick = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@quick
@given(
    events=st.lists(
        st.tuples(
            KNOWN,
            st.dictionaries(
                st.sampled_from(
                    ["response", "item", "delta", "text", "arguments", "output_index", "content_index"]
                ),
                ANY,
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_events_of_any_shape_are_an_answer_or_a_completion_error(events: Any) -> None:
    exchange = streamed(sse(*(event(kind, **fields) for kind, fields in events), done=False), URL)

    with suppress(CompletionError):
        assert isinstance(codecs.decode(exchange), CompletionResponse)
    assert codecs.events(exchange)
    codecs.usage(exchange)


@quick
@given(
    found=st.dictionaries(st.sampled_from(["output", "status", "usage", "error", "incomplete_details"]), ANY)
)
def test_bodies_of_any_shape_are_an_answer_or_a_completion_error(found: Any) -> None:
    for given_body in (found, body(**found) if "output" not in found else {**body(), **found}):
        with suppress(CompletionError):
            assert isinstance(codecs.decode(plain(given_body, URL)), CompletionResponse)


@quick
@given(
    found=st.dictionaries(
        st.sampled_from(
            ["input", "tools", "tool_choice", "text", "reasoning", "include", "stream", "instructions"]
        ),
        ANY,
    )
)
def test_requests_of_any_shape_are_read(found: Any) -> None:
    assert isinstance(CODEC.decode_request(asked(URL, found)), CompletionRequest)
    CODEC.check(asked(URL, found))


# ------------------------------------------------------------------------------------------- requests

CONVERSATION: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Use tools."},
        {
            "role": "user",
            "content": [
                {
                    "type": "input_text",
                    "text": "What is this?",
                    "prompt_cache_breakpoint": {"mode": "explicit"},
                },
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {"type": "input_image", "image_url": "https://e.example/i.png"},
                {"type": "input_image", "file_id": "file-1", "image_url": None},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://e.example/a.pdf"},
                {"type": "input_file", "file_id": "file-2"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "input_hologram", "data": "?"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAA"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"a": 1}',
        },
        {
            "type": "function_call",
            "call_id": "call_2",
            "name": "clock",
            "arguments": "{}",
            "status": "completed",
        },
        {"type": "custom_tool_call", "call_id": "call_3", "name": "shell", "input": "ls"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Sunny."},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "Noon"}, {"type": "input_image", "file_id": "file-3"}],
        },
        {
            "type": "custom_tool_call_output",
            "call_id": "call_3",
            "output": [{"type": "input_text", "text": "a"}],
        },
        {"type": "computer_call_output", "call_id": "call_4", "output": {"type": "computer_screenshot"}},
        {"role": "assistant", "content": "Sunny at noon."},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "item_reference", "id": "msg_0"},
        {"type": "message", "role": "user", "content": "And now?"},
        {"role": "critic", "content": [{"type": "input_text", "text": "Hm."}]},
    ],
    "tools": [
        {
            "type": "function",
            "name": "weather",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": True,
        },
        {"type": "function", "name": "clock", "parameters": None, "strict": None, "defer_loading": True},
        {"type": "web_search", "search_context_size": "low"},
    ],
    "tool_choice": {"type": "function", "name": "weather"},
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 64,
    "top_logprobs": 2,
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    "reasoning": {"effort": "low", "summary": None},
    "text": {
        "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": None, "description": "d"},
        "verbosity": "low",
    },
    "previous_response_id": "resp_0",
    "store": False,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "metadata": {"k": "v"},
    "user": "u",
    "service_tier": "flex",
    "truncation": "auto",
}


def test_every_field_of_a_request_has_its_place() -> None:
    found = CODEC.decode_request(asked(URL, CONVERSATION))

    assert found.system == "Be brief.\nUse tools."
    assert [message.role for message in found.messages] == [
        "system", "developer", "user", "assistant", "tool", "tool", "tool", "tool", "assistant", "assistant",
        "user", "user",
    ]  # fmt: skip
    _, image, linked, filed, pdf, *_ = found.messages[2].content
    assert image == Image(data="AAAA", media_type="image/png", detail="low")
    assert (linked.source, filed.source, filed.data) == ("url", "file_id", "file-1")
    assert pdf == Document(data="AAAA", media_type="application/pdf", name="a.pdf")
    reasoning, text, weather, clock, shell, search = found.messages[3].content
    assert reasoning == Reasoning(id="rs_1", parts=[ReasoningPart(kind="encrypted", text="gAA")])
    assert text.text == "I look."
    assert found.messages[3].id == "msg_1"
    assert (weather.id, weather.call_id, weather.arguments) == ("call_1", "fc_1", {"a": 1})
    assert (clock.id, clock.call_id, clock.extra) == ("call_2", None, {"status": "completed"})
    assert (shell.arguments, search.kind) == ("ls", "web_search_call")
    assert [result.id for message in found.messages for result in message.tool_results] == [
        "call_1",
        "call_2",
        "call_3",
    ]
    assert found.messages[8].text == "Sunny at noon."
    assert found.messages[9].content[0] == Refusal(text="No.")
    assert found.tool_names == ["weather", "clock"]
    assert found.tools[2] == ProviderTool(kind="web_search", config={"search_context_size": "low"})
    assert found.tool_choice == ToolChoice(mode="specific", names=["weather"])
    assert (found.max_tokens, found.top_logprobs, found.logprobs) == (64, 2, True)
    assert (found.reasoning_effort, found.stream, found.store) == ("low", True, False)
    assert found.response_format is not None
    assert (found.response_format.name, found.response_format.json_schema) == ("n", {})
    assert found.extra == {
        "include": CONVERSATION["include"],
        "reasoning": {"summary": None},
        "text": {"verbosity": "low"},
        "previous_response_id": "resp_0",
        "truncation": "auto",
    }


def test_a_request_that_was_read_is_written_as_it_was() -> None:
    found = CODEC.decode_request(asked(URL, CONVERSATION))
    written = CODEC.encode_request(found)

    assert written.json == CONVERSATION
    assert (written.method, written.url) == ("POST", URL)
    assert CODEC.decode_request(written) == found


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Hi"},
        {"input": [{"role": "user", "content": "Hi"}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]},
        {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        {"input": "Hi", "instructions": ""},
        {"input": "Hi", "instructions": None},
        {"input": [{"role": "system", "content": "A"}], "instructions": "B"},
        {"input": "Hi", "stream": False},
        {"input": [{"role": "user", "content": []}]},
        {"input": [{"type": "message", "role": "assistant", "content": [{"type": "output_hologram"}]}]},
        {
            "input": [
                {"type": "reasoning", "id": "rs_1", "summary": [], "content": [], "encrypted_content": None}
            ]
        },
        {"input": [thought("A", content=[{"type": "reasoning_text", "text": "B"}])]},
        {"input": [{"role": "assistant", "content": "A"}, {"role": "assistant", "content": "B"}]},
        {"input": 7},
        {"tool_choice": "required"},
        {"tool_choice": "sometimes"},
        {
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "a"}],
            }
        },
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}},
        {"tool_choice": {"type": "web_search"}},
        {"text": {}},
        {"text": {"format": {"type": "text"}}},
        {"reasoning": {"effort": "low"}},
        {"reasoning": {}},
        {"include": []},
        {"stream_options": {"include_usage": True, "include_obfuscation": True}},
        {"n": 3, "temperature": "hot"},
    ],
)
def test_other_spellings_are_kept(fields: Any) -> None:
    body = {"model": "m", **fields} if "input" in fields else {"model": "m", "input": "Hi", **fields}
    written = CODEC.encode_request(CODEC.decode_request(asked(URL, body)))

    if "stream_options" in body:
        body["stream_options"] = {"include_obfuscation": True}  # usage is always told
    assert written.json == body


def test_a_new_conversation_is_written_in_the_forms_of_the_wire() -> None:
    answer = decoded(thought("Hm.", encrypted_content="gAA"), spoken("I look.", phase="commentary"), called())
    asked_for = CompletionRequest(
        model="m",
        messages=[
            Message.system("Be brief."),
            Message.user(
                "Hi", Image(data="AAAA"), Document(data="text", source="text"), Document(data="AAAA")
            ),
            answer.assistant_message(),
            Message.tool_result("call_1", {"sky": "blue"}),
            Message(role="user", content=[ToolResult(id="call_2", content=[]), Text(text="So?")]),
            Message(role="tool", content=[ToolResult(id="call_3", content=[Json(value=1), Text(text="x")])]),
        ],
        max_completion_tokens=9,
        logprobs=True,
        tool_choice=ToolChoice(mode="specific", names=["a", "b"]),
        stream_options=StreamOptions(include_usage=True),
        output_schema={"type": "object"},
    )
    written = CODEC.encode_request(asked_for, base_url="http://localhost:1234/v1/")

    assert written.url == "http://localhost:1234/v1/responses"
    assert written.json == {
        "model": "m",
        "max_output_tokens": 9,
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Hi"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                    {"type": "input_text", "text": "text"},
                    {"type": "input_file", "file_data": "AAAA"},
                ],
            },
            {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "gAA",
            },
            {
                "type": "message",
                "status": "completed",
                "id": "msg_1",
                "phase": "commentary",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
            },
            {
                "id": "fc_1",
                "type": "function_call",
                "arguments": '{"city":"Oslo"}',
                "call_id": "call_1",
                "name": "weather",
            },
            {"type": "function_call_output", "call_id": "call_1", "output": '{"sky":"blue"}'},
            {"type": "function_call_output", "call_id": "call_2", "output": ""},
            {"role": "user", "content": "So?"},
            {
                "type": "function_call_output",
                "call_id": "call_3",
                "output": [{"type": "input_text", "text": "1"}, {"type": "input_text", "text": "x"}],
            },
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "b"}],
        },
        "text": {
            "format": {"type": "json_schema", "name": "output", "schema": {"type": "object"}, "strict": True}
        },
        "include": ["message.output_text.logprobs"],
    }


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"n": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"seed": 1}, "seed"),
        ({"top_k": 1}, "top_k"),
        ({"messages": [Message.user(Video(data="AAAA"))]}, "video"),
        ({"messages": [Message.user(Audio(data="https://e.example", source="url"))]}, "audio"),
        ({"messages": [Message(role="assistant", content=[Image(data="AAAA")])]}, "image"),
        (
            {
                "messages": [
                    Message.assistant(
                        Reasoning(parts=[ReasoningPart(kind="encrypted", text=word) for word in ("a", "b")])
                    )
                ]
            },
            "encrypted",
        ),
    ],
)
def test_what_the_wire_cannot_say_is_not_written(fields: Any, word: str) -> None:
    with pytest.raises(RequestError, match=word):
        CODEC.encode_request(CompletionRequest(**{"model": "m", "messages": [], **fields}))


def test_a_body_that_is_no_object_is_no_request() -> None:
    with pytest.raises(RequestError):
        CODEC.decode_request(asked(URL, [1]))


def test_azure_may_name_the_model_in_the_path() -> None:
    url = "https://mine.openai.azure.com/openai/deployments/gpt-9/responses?api-version=1"
    assert CODEC.decode_request(asked(url, {"input": "Hi"})).model == "gpt-9"


# -------------------------------------------------------------------------------------------- writing


def said(*contents: Any, **fields: Any) -> CompletionResponse:
    return CompletionResponse(choice=list(contents), **{"finish_reason": FinishReason.STOP, **fields})


def events_of(response: CompletionResponse, **fields: Any) -> list[dict[str, Any]]:
    written = CODEC.encode_response(response, request(stream=True, **fields))
    return [
        json.loads(line.removeprefix(b"data: "))
        for line in written.body.split(b"\n")
        if line.startswith(b"data: {")
    ]


def test_events_come_in_the_order_of_the_api_and_are_numbered() -> None:
    sealed = Reasoning(parts=[ReasoningPart(kind="summary", text="Hm."), ReasoningPart(text="Well.")])
    cited = {"type": "file_citation", "file_id": "f", "filename": "a", "index": 0}
    events = events_of(
        said(
            sealed,
            ProviderContent(kind="web_search_call", raw=SEARCH),
            ProviderContent(kind="mcp_approval_request", raw={"id": "mcpr_1"}),
            Text(text="Hi", extra={"annotations": [cited]}),
            ToolCall(name="weather", arguments={}),
            ToolCall(name="shell", arguments="ls", extra={"type": "custom"}),
        )
    )

    assert [item["type"].removeprefix("response.") for item in events] == [
        "created", "in_progress",
        "output_item.added",
        "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done",
        "output_item.done",
        "output_item.added",
        "web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed",
        "output_item.done",
        "output_item.added", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "output_text.annotation.added", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done",
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [item["sequence_number"] for item in events] == list(range(len(events)))
    final = events[-1]["response"]
    assert {item["response"]["id"] for item in events if "response" in item} == {final["id"]}
    for item in events:
        if "item_id" in item:
            assert item["item_id"] == final["output"][item["output_index"]]["id"]
    assert all(item["response"]["usage"] is None for item in events[:2])
    assert [item["id"].split("_")[0] for item in final["output"]] == ["rs", "ws", "mcpr", "msg", "fc", "ctc"]


def test_deltas_are_padded_unless_the_request_will_not_have_it() -> None:
    def padding(**fields: Any) -> list[str | None]:
        return [
            item.get("obfuscation")
            for item in events_of(said(Text(text="Hello")), **fields)
            if "delta" in item
        ]

    assert [len(found or "") for found in padding()] == [11]
    assert padding(stream_options={"include_obfuscation": False}) == [None]


def test_the_response_echoes_what_was_asked_for() -> None:
    tool = {"type": "function", "name": "f", "parameters": {}}
    asked_for = request(
        instructions="Be brief.",
        tools=[tool],
        temperature=0.2,
        metadata={"a": "b"},
        service_tier="auto",
        store=None,
    )
    found = CODEC.encode_response(said(Text(text="Hi")), asked_for).json

    assert (found["instructions"], found["tools"], found["temperature"]) == ("Be brief.", [tool], 0.2)
    assert (found["metadata"], found["service_tier"], found["store"]) == ({"a": "b"}, "default", True)
    assert (found["model"], found["text"]) == ("m", {"format": {"type": "text"}, "verbosity": "medium"})
    assert found["output"][0]["content"] == [output_text("Hi")]


def test_citations_that_belong_to_no_text_go_to_the_last() -> None:
    cited = {"type": "url_citation", "url": "https://e.example"}
    found = CODEC.encode_response(said(Text(text="A"), Text(text="B"), citations=[cited]), request()).json

    assert [part["annotations"] for part in found["output"][0]["content"]] == [[], [cited]]


def test_a_provider_s_own_usage_is_written_as_it_was() -> None:
    usage = {**body()["usage"], "cost": 0.5}
    response = decoded(spoken("Hi"), usage=usage)

    assert CODEC.encode_response(response, request()).json["usage"] == usage


def test_an_ending_of_another_wire_is_spelled_in_this_one() -> None:
    for reason, raw, why in (
        ("length", "max_tokens", "max_output_tokens"),
        ("content_filter", "refusal", "content_filter"),
        ("pause_turn", "pause_turn", "pause_turn"),
    ):
        response = said(Text(text="A"), finish_reason=FinishReason(reason), raw_finish_reason=raw)
        found = CODEC.encode_response(response, request()).json
        assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": why})
        assert found["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("contents", [[Image(data="AAAA")], [ProviderContent(kind="x", raw="y")]])
def test_contents_that_the_wire_has_no_item_for_are_refused(contents: Any) -> None:
    with pytest.raises(ValueError, match="has no"):
        CODEC.encode_response(said(*contents), request())


def test_several_answers_are_refused() -> None:
    several = said(Text(text="A"), others=[{"index": 1, "contents": []}])
    with pytest.raises(ValueError, match="one answer"):
        CODEC.encode_response(several, request())


def test_openrouter_names_no_events_and_says_when_it_is_done() -> None:
    url = "https://openrouter.ai/api/v1/responses"
    written = CODEC.encode_response(
        said(Text(text="Hi")), asked(url, {"model": "m", "input": "x", "stream": True})
    )

    assert b"event:" not in written.body
    assert written.body.startswith(b": \n\n")
    assert written.body.endswith(b"data: [DONE]\n\n")
    assert codecs.decode(Exchange(asked(url, {"stream": True}), written)).text == "Hi"
    error = CODEC.encode_stream_error("overloaded", asked(url, {}))
    assert error.startswith(b"data: ")


def test_an_error_says_what_it_is_told_to() -> None:
    written = CODEC.encode_error(
        "rate_limited", request(), message="Slow.", code="my_code", status=420, retry_after=2
    )

    assert written.status == 420
    assert written.json == {
        "error": {"message": "Slow.", "type": "requests", "param": None, "code": "my_code"}
    }
    assert (written.header("retry-after"), written.header("retry-after-ms")) == ("2", "2000")
    assert (written.header("x-request-id") or "").startswith("req_")


def test_providers_with_a_form_of_their_own_keep_it() -> None:
    url = "https://api.x.ai/v1/responses"
    written = CODEC.encode_error("authentication", asked(url, {"model": "m"}))

    assert written.status == 400
    assert set(written.json) == {"code", "error"}


def test_a_failure_has_a_status_only_if_one_is_given() -> None:
    with pytest.raises(ValueError, match="timeout"):
        CODEC.encode_error("timeout", request())
    written = CODEC.encode_error("timeout", request(), status=408)
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request(), written))
    assert caught.value.kind == "timeout"


def test_formats_are_written_with_what_they_say() -> None:
    form = ResponseFormat(type="json_schema", name="n", json_schema={}, strict=True, description="d")
    tool = ToolDefinition(name="f", parameters={}, strict=False)
    found = CODEC.encode_request(
        CompletionRequest(model="m", messages=[], response_format=form, tools=[tool], reasoning_effort="low")
    ).json

    assert found["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True, "description": "d"}
    }
    assert found["tools"] == [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    assert found["reasoning"] == {"effort": "low"}

"""The vocabulary: usage that adds up, finish reasons, messages, responses, events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmreplay.completion import (
    Choice,
    CompletionRequest,
    CompletionResponse,
    ContentReceived,
    Document,
    Final,
    Finished,
    FinishReason,
    Image,
    Json,
    Message,
    ProviderContent,
    ProviderTool,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    RefusalDelta,
    ResponseFormat,
    SearchParameters,
    Started,
    StreamOptions,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    Usage,
    UsageReported,
    told,
)

COUNTS = st.integers(min_value=0, max_value=10**9)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    cached_input_tokens=COUNTS,
    cache_creation_input_tokens=COUNTS,
    tool_use_prompt_tokens=COUNTS,
    reasoning_tokens=COUNTS,
)


def test_the_total_is_input_and_output_unless_the_provider_says_otherwise() -> None:
    assert Usage(input_tokens=3, output_tokens=4).total_tokens == 7
    assert Usage(input_tokens=3, output_tokens=4, total_tokens=9).total_tokens == 9


@given(st.lists(USAGES, max_size=5))
def test_the_usage_of_a_run_is_the_sum_of_its_calls(usages: list[Usage]) -> None:
    total = sum(usages, Usage())

    assert total.input_tokens == sum(usage.input_tokens for usage in usages)
    assert total.reasoning_tokens == sum(usage.reasoning_tokens for usage in usages)
    assert total.total_tokens == total.input_tokens + total.output_tokens
    assert total.has_values is any(usage.has_values for usage in usages)


def test_details_are_added_number_by_number_and_do_not_count_in_comparisons() -> None:
    one = Usage(input_tokens=1, details={"cost": 0.5, "tier": "a", "more": {"x": 1}, "note": None})
    two = Usage(input_tokens=1, details={"cost": 0.25, "tier": "b", "more": {"x": 2, "y": 3}, "note": "n"})

    assert (one + two).details == {"cost": 0.75, "tier": "b", "more": {"x": 3, "y": 3}, "note": "n"}
    assert (two + Usage(details={"tier": None})).details["tier"] == "b"
    assert one == two
    assert len({one, two}) == 1
    assert one != Usage(input_tokens=2)
    assert one != "usage"


def test_usage_cannot_be_added_to_anything_else() -> None:
    with pytest.raises(TypeError):
        Usage() + 1


def test_an_audit_names_what_cannot_be() -> None:
    assert Usage(input_tokens=5, output_tokens=5, cached_input_tokens=5, reasoning_tokens=5).audit() == []
    assert Usage(
        input_tokens=5, output_tokens=1, total_tokens=9, cached_input_tokens=6, reasoning_tokens=2
    ).audit() == [
        "cached, cache-creation and tool-use tokens (6) exceed the input (5)",
        "reasoning tokens (2) exceed the output (1)",
        "total tokens (9) are not input and output (6)",
    ]
    assert Usage(cached_input_tokens=-1).audit() == ["cached_input_tokens is negative: -1"]


def test_a_finish_reason_is_known_or_spelled_as_it_came() -> None:
    assert FinishReason("stop") is FinishReason.STOP
    assert FinishReason("pause_turn") == "pause_turn"
    assert FinishReason("pause_turn").name == "OTHER"
    assert CompletionResponse(choice=[], finish_reason="eos").finish_reason == "eos"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3"):
        FinishReason(3)


def test_an_answer_is_truncated_by_length_or_a_filter_and_by_nothing_else() -> None:
    assert [str(reason) for reason in FinishReason if reason.truncated] == ["length", "content_filter"]
    assert not FinishReason("other").truncated


def test_values_are_frozen_and_refuse_unknown_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Text(text="a").text = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="colour"):
        Text(text="a", colour="red")  # type: ignore[call-arg]


def test_raw_does_not_count_when_responses_or_requests_are_compared() -> None:
    assert CompletionResponse(choice=[], raw=1) == CompletionResponse(choice=[], raw=2)
    assert CompletionRequest(messages=[], raw=1) == CompletionRequest(messages=[], raw=2)
    assert CompletionResponse(choice=[]) != CompletionResponse(choice=[Text(text="a")])


def test_messages_are_built_by_who_speaks() -> None:
    image = Image(data="aGk=", media_type="image/png")

    assert Message.system("Be brief.").role == "system"
    assert Message.user("What is this?", image).content == [Text(text="What is this?"), image]
    assert Message.assistant("A cat.", id="msg_1").id == "msg_1"
    assert Message.tool_result("call_1", "22 C", name="weather").tool_results == [
        ToolResult(id="call_1", content=[Text(text="22 C")], name="weather")
    ]
    assert Message.tool_result("call_1", {"c": 22}, is_error=True).content == [
        ToolResult(id="call_1", content=[Json(value={"c": 22})], is_error=True)
    ]


def test_the_text_of_a_tool_result_includes_json_and_no_images() -> None:
    result = ToolResult(id="1", content=[Text(text="a "), Json(value={"b": "é"}), Image(data="x")])

    assert result.text == 'a {"b":"é"}'


@pytest.mark.parametrize(
    ("written", "arguments", "error"),
    [
        ('{"a": 1}', {"a": 1}, False),
        ("", {}, False),
        (" ", {}, False),
        ("null", None, False),
        ('{"a"', None, True),
    ],
)
def test_arguments_are_kept_as_written_beside_what_they_parse_to(
    written: str,
    arguments: object,
    error: bool,  # noqa: FBT001  parametrized
) -> None:
    call = ToolCall.written("f", written, id="1")

    assert (call.arguments, call.arguments_raw, call.arguments_error is not None) == (
        arguments,
        written,
        error,
    )


def test_arguments_nested_without_end_are_an_error_of_the_arguments() -> None:
    assert ToolCall.written("f", "[" * 100_000).arguments_error


def test_calls_are_equal_however_their_arguments_are_spelled() -> None:
    assert (
        ToolCall.written("f", '{"a":1}')
        == ToolCall.written("f", ' {"a": 1} ')
        == ToolCall(name="f", arguments={"a": 1})
    )


THOUGHT = Reasoning(
    parts=[
        ReasoningPart(text="first", signature="sig"),
        ReasoningPart(kind="summary", text="then"),
        ReasoningPart(kind="encrypted", text="XXX"),
    ]
)


def test_a_response_gives_its_parts_by_name() -> None:
    call = ToolCall(id="1", name="f")
    response = CompletionResponse(choice=[THOUGHT, Text(text="a"), call, Text(text="b")], message_id="m")

    assert response.text == response.content == "ab"
    assert response.reasoning_content == "first\nthen"
    assert response.tool_calls == [call]
    assert response.first_tool_call == call
    assert response.assistant_message() == Message(role="assistant", content=response.choice, id="m")
    assert response.assistant_message().text == "ab"
    assert response.assistant_message().tool_calls == [call]


def test_a_response_without_text_has_no_content_and_an_empty_text() -> None:
    response = CompletionResponse(choice=[])

    assert (response.text, response.content, response.reasoning_content) == ("", None, None)
    assert response.first_tool_call is None
    assert CompletionResponse(choice=[Text(text="")]).content == ""


def test_several_answers_are_all_in_choices() -> None:
    other = Choice(index=1, contents=[Text(text="b")])
    response = CompletionResponse(choice=[Text(text="a")], finish_reason=FinishReason.STOP, others=[other])

    assert response.choices == [
        Choice(contents=[Text(text="a")], finish_reason=FinishReason.STOP),
        other,
    ]


def test_a_request_survives_json_with_its_unknown_fields() -> None:
    request = CompletionRequest(
        model="m",
        messages=[
            Message.system("s"),
            Message.user("u", Document(data="text", source="text", name="d")),
            Message.assistant(
                THOUGHT, Refusal(text="no"), ToolCall(id="1", name="f"), ProviderContent(kind="k", raw=[1])
            ),
            Message.tool_result("1", {"a": None}),
        ],
        tools=[
            ToolDefinition(name="f", parameters={"type": "object"}),
            ProviderTool(kind="web_search", config={"n": 1}),
        ],
        tool_choice=ToolChoice(mode="specific", names=["f"]),
        response_format=ResponseFormat(type="json_schema", json_schema={"type": "object"}),
        stream_options=StreamOptions(include_usage=True),
        search_parameters=SearchParameters(mode="auto", sources=[{"type": "web"}]),
        logit_bias={"1": -100},
        extra={"prompt_cache_key": "k", "verbosity": {"level": ["low"]}},
    )

    assert CompletionRequest.model_validate_json(request.model_dump_json()) == request
    assert (request.system, request.prompt, request.tool_names) == ("s", "u", ["f"])


def test_a_request_without_user_text_has_an_empty_prompt() -> None:
    assert CompletionRequest(messages=[Message.assistant("a"), Message.user()]).prompt == ""


def test_a_response_survives_json() -> None:
    response = CompletionResponse(
        choice=[THOUGHT, Text(text="a", extra={"citations": [1]})],
        finish_reason=FinishReason("pause_turn"),
        usage=Usage(input_tokens=1, output_tokens=2, total_tokens=4),
    )

    again = CompletionResponse.model_validate_json(response.model_dump_json())

    assert again == response
    assert isinstance(again.finish_reason, FinishReason)


def test_a_plain_response_is_told_as_a_stream_would_tell_it() -> None:
    call = ToolCall.written("f", '{"a": 1}', id="1")
    sealed = Reasoning(parts=[ReasoningPart(kind="redacted", text="X")])
    response = CompletionResponse(
        choice=[THOUGHT, sealed, Text(text="a"), call],
        finish_reason=FinishReason.TOOL_CALLS,
        raw_finish_reason="tool_use",
        others=[Choice(index=1, contents=[Refusal(text="no")], finish_reason=FinishReason.STOP)],
        usage=Usage(input_tokens=1),
        response_id="r",
        model="m",
    )

    assert told(response) == [
        Started(response_id="r", model="m"),
        ReasoningDelta(text="first\nthen"),
        ContentReceived(content=sealed),
        TextDelta(text="a"),
        ToolCallStart(index=0, id="1", name="f"),
        ToolCallDelta(index=0, arguments='{"a": 1}'),
        ToolCallEnd(index=0, tool_call=call),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="tool_use"),
        RefusalDelta(choice_index=1, text="no"),
        Finished(choice_index=1, finish_reason=FinishReason.STOP, raw_finish_reason="stop"),
        UsageReported(usage=Usage(input_tokens=1)),
        Final(response=response),
    ]

"""Defects of ai-lib-python 1.2.0, each reproduced in a few lines: what is expected, and what happens.

A test that fails here after an update of the library tells that a defect is gone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ai_lib_python import AiClient, AiLibError, Message, ToolDefinition, TransportError
from ai_lib_python.errors import ErrorClass, RemoteError
from ai_lib_python.resilience import JitterStrategy, ResilientConfig, RetryConfig

from llmreplay import Usage, call, cut, fail, say, use_script

if TYPE_CHECKING:
    from ai_lib_python import ChatResponse, StreamingEvent

    from llmreplay.exchange import Exchange

pytestmark = pytest.mark.usefixtures("ailib")

OPENAI, ANTHROPIC = "openai/gpt-4o", "anthropic/claude-3-5-sonnet"
GEMINI = "gemini/gemini-2.0-flash"
USAGE = Usage(input_tokens=7, output_tokens=3)
RETRY = RetryConfig(max_retries=1, jitter=JitterStrategy.NONE)
WEATHER = ToolDefinition.from_function(
    "get_weather", "The weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}}
)


async def ask(model: str = OPENAI, *messages: Message, **params: Any) -> ChatResponse:
    async with await AiClient.create(model) as client:
        chat = client.chat().messages(list(messages) or [Message.user("Hello")])
        for name, value in params.items():
            chat.param(name, value)
        return await chat.execute()


async def stream(model: str = OPENAI) -> list[StreamingEvent]:
    async with await AiClient.create(model) as client:
        return [event async for event in client.chat().user("Hello").max_tokens(99).stream()]


def sent(exchange: Exchange) -> Any:
    return json.loads(exchange.request.body)


async def test_1_the_provider_stays_in_the_name_of_the_model():
    """Expected: "gpt-4o", the name that OpenAI knows. What happens: "openai/gpt-4o" is sent."""
    with use_script("Hi.") as script:
        await ask("openai/gpt-4o")

    assert sent(script.calls[0])["model"] == "openai/gpt-4o"


async def test_2_the_result_of_a_tool_is_sent_without_the_id_of_its_call():
    """Expected: `tool_call_id` beside the result. What happens: it is left out, and no provider takes that.

    A script says so by itself, in OpenAI's words. The same conversation, spelled as it should be, passes.
    """
    asked = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    spelled = [
        {"role": "user", "content": "How is Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "call_1", "content": "20 °C"},
    ]
    said = Message.user("How is Paris?"), Message.assistant(""), Message.tool("call_1", "20 °C")
    with use_script("It is warm.") as script:
        with pytest.raises(RemoteError, match="'tool'") as refused:
            await ask(OPENAI, *said)
        assert (await ask(OPENAI, messages=spelled)).content == "It is warm."

    assert said[-1].tool_call_id == "call_1"
    assert sent(script.calls[0])["messages"][-1] == {"role": "tool", "content": "20 °C"}
    assert refused.value.status_code == 400
    assert script.calls[0].response.header("x-llmreplay-strict") == "orphan-tool-result"
    assert script.calls[1].response.header("x-llmreplay-strict") is None

    with use_script("It is warm.", strict=False):
        # Without the rules the bug is not seen, as with a mock that answers whatever it is asked.
        assert (await ask(OPENAI, *said)).content == "It is warm."


async def test_3_anthropic_is_asked_as_if_it_were_openai():
    """Expected: `system` beside the messages, and `max_tokens`, without which Anthropic refuses to answer.

    What happens: a message of the role "system", and no `max_tokens`.
    """
    # What is under test is the request: a script that knew these rules would refuse it.
    with use_script("Hi.", strict=False) as script:
        await ask(ANTHROPIC, Message.system("Be brief."), Message.user("Hello"))

    request = sent(script.calls[0])
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "system" not in request
    assert "max_tokens" not in request


async def test_4_tokens_of_anthropic_are_not_counted():
    """Expected: 7 tokens and 3, as Anthropic told in the answer and in the stream. What happens: None."""
    with use_script(say("Hi.", usage=USAGE), say("Hi.", usage=USAGE)) as script:
        async with await AiClient.create(ANTHROPIC) as client:
            chat = client.chat().user("Hello").max_tokens(99)
            _, blocking = await chat.execute_with_stats()
            events, streaming = await chat.stream_with_stats()
            told = [event.as_metadata.usage async for event in events if event.is_metadata]

    assert [call.decode().usage for call in script.calls] == [USAGE, USAGE]
    assert told[-1]["output_tokens"] == 3
    for stats in (blocking, streaming):
        assert (stats.prompt_tokens, stats.completion_tokens, stats.total_tokens) == (None, None, None)


async def test_5_a_stream_that_was_cut_off_ends_as_if_it_were_whole():
    """Expected: an error, or at least no end. What happens: nothing tells it from a whole one.

    And a whole one has no `StreamEnd` either, although it ended with `[DONE]`.
    """
    whole = say("One two three.")
    with use_script(whole, cut(whole, after=3, how="end"), cut(whole, after=5, how="end")) as script:
        all_of_it, half, without_done = [await stream() for _ in range(3)]

    assert script.calls[0].response.body.endswith(b"data: [DONE]\n\n")
    assert not script.calls[1].response.body.endswith(b"[DONE]\n\n")
    assert [event.event_type for event in half] == ["PartialContentDelta"] * 2
    assert without_done == all_of_it
    assert not any(event.is_stream_end or event.is_stream_error for event in [*all_of_it, *half])


async def test_6_an_error_in_a_response_of_status_200_is_an_empty_answer():
    """Expected: the error of the provider. What happens: an answer without content."""
    with use_script(fail("overloaded", status=200)) as script:
        response = await ask()

    assert "error" in script.calls[0].response.json
    assert (response.content, response.finish_reason, response.tool_calls) == ("", None, [])


async def test_7_half_a_body_raises_an_error_that_is_not_the_librarys():
    """Expected: an `AiLibError`, which is what users catch. What happens: the parser's own error."""
    with use_script(cut(say("Hi there."), how="end")), pytest.raises(json.JSONDecodeError) as error:
        await ask()

    assert not isinstance(error.value, AiLibError)


async def test_8_a_rate_limit_is_taken_for_an_empty_account_because_of_a_word():
    """Expected: rate_limited, to be tried again. What happens: "plan" in the text makes it another class."""
    with (
        use_script(fail("rate_limited", "Rate limit reached for requests on your plan tier.")),
        pytest.raises(RemoteError) as error,
    ):
        await ask()

    assert error.value.error_class == ErrorClass.QUOTA_EXHAUSTED
    assert not error.value.retryable


async def test_9_a_date_to_wait_for_is_ignored():
    """Expected: `Retry-After` may be a date (RFC 9110, 10.2.3). What happens: only seconds are read."""
    date = {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}
    with use_script(fail("rate_limited", headers=date)), pytest.raises(RemoteError) as error:
        await ask()

    assert error.value.retry_after is None


async def test_10_a_stream_of_openai_is_not_asked_for_its_tokens():
    """Expected: `stream_options.include_usage`, since OpenAI tells none without. What happens: no tokens."""
    with use_script(say("Hi.", usage=USAGE)) as script:
        async with await AiClient.create(OPENAI) as client:
            events, stats = await client.chat().user("Hello").stream_with_stats()
            told = [event async for event in events if event.is_metadata and event.as_metadata.usage]

    assert "stream_options" not in sent(script.calls[0])
    assert (told, stats.total_tokens) == ([], None)


async def test_11_a_delta_without_text_is_dropped():
    """Expected: the first event of a stream tells that the model has begun. What happens: it is dropped.

    So the time to the first token is that of the first word, and an empty answer has no content at all.
    """
    with use_script(say("One two."), say("")) as script:
        spoken, empty = await stream(), await stream()

    (begins, *_) = [chunk.data for chunk in script.calls[0].response.chunks]
    assert json.loads(begins.removeprefix(b"data: "))["choices"][0]["delta"]["content"] == ""
    assert [event.as_content_delta.content for event in spoken if event.is_content_delta] == ["One", " two."]
    assert not any(event.is_content_delta for event in empty)


@pytest.mark.parametrize("kind", ["connection", "timeout"])
async def test_11_a_connection_that_fails_is_never_tried_again(ailib_time, kind):
    """Expected: a second attempt, as for any fault that passes. What happens: it has no class, so none."""
    with use_script(fail(kind)) as script:
        builder = AiClient.builder().model(OPENAI).with_resilience(ResilientConfig(retry=RETRY))
        async with await builder.build() as client:
            with pytest.raises(TransportError) as error:
                await client.chat().user("Hello").execute()

    assert not hasattr(error.value, "error_class")
    assert (len(script.calls), ailib_time.slept) == (1, [])


# Found here, beyond those that were known.


async def test_an_empty_account_is_asked_again_although_it_says_that_it_is_empty(ailib_time):
    """Expected: no second attempt, since `retryable` is False. What happens: the status 429 decides."""
    with use_script(fail("quota_exhausted"), "Hi.") as script:
        builder = AiClient.builder().model(OPENAI).with_resilience(ResilientConfig(retry=RETRY))
        async with await builder.build() as client:
            assert (await client.chat().user("Hello").execute()).content == "Hi."

    assert (len(script.calls), ailib_time.slept) == (2, [1.0])


async def test_an_error_that_is_a_list_breaks_the_classification():
    """Expected: an `AiLibError`. Google wraps errors in a list where it speaks OpenAI's wire.

    What happens: an `AttributeError`, which nobody catches and which is taken for worth a fallback.
    """
    with use_script(fail("rate_limited")) as script, pytest.raises(AttributeError, match="list"):
        await ask(GEMINI)

    assert script.calls[0].response.status == 429
    assert isinstance(script.calls[0].response.json, list)


async def test_anthropic_is_not_told_which_version_of_its_api_is_meant():
    """Expected: `anthropic-version`, which it requires. What happens: no header but the key is sent."""
    with use_script("Hi.") as script:
        await ask(ANTHROPIC, max_tokens=99)

    assert script.calls[0].request.header("x-api-key")
    assert script.calls[0].request.header("anthropic-version") is None


async def test_tools_are_offered_to_anthropic_as_openai_has_them():
    """Expected: `name` and `input_schema`. What happens: `function`, which Anthropic does not know."""
    with use_script(call("get_weather", city="Paris"), strict=False) as script:
        async with await AiClient.create(ANTHROPIC) as client:
            await client.chat().user("How is Paris?").max_tokens(99).tools([WEATHER]).execute()

    (tool,) = sent(script.calls[0])["tools"]
    assert sorted(tool) == ["function", "type"]


async def test_the_address_of_the_first_provider_is_used_for_the_fallback_too():
    """Expected: an override of the address is that of its provider. What happens: all are asked there."""
    with use_script(fail("overloaded"), "Hi.", strict=False) as script:
        builder = AiClient.builder().model(OPENAI).base_url("https://proxy.example/v1")
        async with await builder.with_fallbacks([ANTHROPIC]).build() as client:
            await client.chat().user("Hello").max_tokens(99).execute()

    assert [call.request.url for call in script.calls] == [
        "https://proxy.example/v1/chat/completions",
        "https://proxy.example/v1/messages",
    ]

"""ai-lib-python, unmodified: streams, and the nine kinds of events that it makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ai_lib_python import AiClient, ToolDefinition, TransportError

from llmreplay import call, cut, fail, say, turn, use_cassette, use_script
from tests import wires
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    from pathlib import Path

    from ai_lib_python import StreamingEvent

pytestmark = pytest.mark.usefixtures("ailib")

OPENAI, ANTHROPIC = "openai/gpt-4o", "anthropic/claude-3-5-sonnet"
DEEPSEEK, GEMINI = "deepseek/deepseek-reasoner", "gemini/gemini-2.0-flash"
WEATHER = ToolDefinition.from_function(
    "get_weather", "The weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
PARIS = call("get_weather", city="Paris")
EVENTS = (
    "content_delta",
    "thinking_delta",
    "tool_call_started",
    "partial_tool_call",
    "tool_call_ended",
    "metadata",
    "final_candidate",
    "stream_end",
    "stream_error",
)


async def stream(model: str, **options: Any) -> list[StreamingEvent]:
    async with await AiClient.create(model, **options) as client:
        chat = client.chat().user("Tell me a story").max_tokens(99)
        if model == OPENAI:
            chat.tools([WEATHER])
        return [event async for event in chat.stream()]


def text(events: list[StreamingEvent]) -> str:
    return "".join(event.as_content_delta.content for event in events if event.is_content_delta)


async def test_a_story_is_told_piece_by_piece():
    with use_script(say("Once upon a time.", deltas=["Once ", "upon ", "a time."])) as script:
        async with await AiClient.create(OPENAI) as client:
            told = [
                event.as_content_delta.content
                async for event in client.chat().user("Tell me a story").stream()
                if event.is_content_delta
            ]

    assert told == ["Once ", "upon ", "a time."]
    assert script.requests[0].stream


async def test_the_text_of_a_delta_is_its_content_where_the_documentation_has_text():
    with use_script("Once."):
        (event, *_) = await stream(OPENAI)

    assert event.as_content_delta.content == "Once."
    assert not hasattr(event.as_content_delta, "text")


async def test_a_stream_is_recorded_chunk_by_chunk_and_replayed_without_the_provider(tmp_path: Path):
    path = tmp_path / "story.yaml"
    pieces = ["Né", "e à ", "Tromsø."]
    reply = Reply.sse(wires.openai_stream(pieces))
    with Server({"/v1/chat/completions": reply}) as server, use_cassette(path, record="once"):
        live = await stream(OPENAI, api_key="sk-made-up-for-a-test", base_url=f"{server.url}/v1")

    with use_cassette(path):
        replayed = await stream(OPENAI, base_url=f"{server.url}/v1")

    assert [event.as_content_delta.content for event in replayed if event.is_content_delta] == pieces
    assert replayed == live
    assert len(server.requests) == 1


@pytest.mark.parametrize("split", [None, (1, 5, 2), 7], ids=str)
@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC, DEEPSEEK, GEMINI])
async def test_a_stream_of_ascii_is_read_the_same_however_its_bytes_are_cut(model, split):
    with use_script("One two three.", split=split):
        assert text(await stream(model)) == "One two three."


async def test_a_character_that_is_cut_in_two_is_spoilt_by_the_decoder():
    # Expected: the characters that were sent. The decoder takes each chunk for whole text instead.
    with use_script("Tromsø", split="bytes"):
        assert text(await stream(OPENAI)) == "Troms\ufffd\ufffd"
    with use_script("Tromsø"):
        assert text(await stream(OPENAI)) == "Tromsø"


SHOWN = {
    "content_delta": (OPENAI, say("Hi."), {"content": "Hi."}),
    "thinking_delta": (DEEPSEEK, say("Hi.", reasoning="Hm."), {"thinking": "Hm."}),
    "tool_call_started": (OPENAI, PARIS, {"tool_name": "get_weather", "index": 0}),
    "partial_tool_call": (OPENAI, PARIS, {"arguments": '{"city":', "index": 0, "is_complete": False}),
    "tool_call_ended": (ANTHROPIC, turn(say("Let me look."), PARIS), {"index": 1}),
    "metadata": (OPENAI, say("Hi.", finish_reason="length"), {"finish_reason": "length"}),
    "final_candidate": (GEMINI, say("Hi."), {"candidate_index": 0, "finish_reason": "stop"}),
    "stream_end": (ANTHROPIC, say("Hi."), {}),
    "stream_error": (ANTHROPIC, fail("overloaded", during=say("Hi."), after=3), {}),
}


@pytest.mark.parametrize("kind", EVENTS)
async def test_each_of_the_nine_events_comes_of_a_turn(kind):
    model, said, expected = SHOWN[kind]
    # Anthropic is sent OpenAI's tools, so the script could offer none there.
    with use_script(said, strict_except=["tool-not-offered"]):
        events = await stream(model)

    event = next(event for event in events if getattr(event, f"is_{kind}"))
    data = getattr(event, f"as_{kind}").model_dump()
    assert {name: data[name] for name in expected} == expected
    for other in set(EVENTS) - {kind}:
        assert not getattr(event, f"is_{other}")
        with pytest.raises(TypeError, match="Event is"):
            getattr(event, f"as_{other}")
    if kind == "stream_error":
        assert data["error"]["type"] == "overloaded_error"


async def test_the_arguments_of_a_call_come_in_fragments_that_are_the_whole_together():
    with use_script(turn(PARIS, call("get_weather", city="Oslo"))):
        events = await stream(OPENAI)

    started = [event.as_tool_call_started for event in events if event.is_tool_call_started]
    parts = [event.as_partial_tool_call for event in events if event.is_partial_tool_call]
    for index, city in enumerate(["Paris", "Oslo"]):
        of_this = [part for part in parts if part.index == index]
        assert "".join(part.arguments for part in of_this) == f'{{"city": "{city}"}}'
        assert [part.is_complete for part in of_this] == [False] * (len(of_this) - 1) + [True]
        assert {part.tool_call_id for part in of_this} == {started[index].tool_call_id}


@pytest.mark.parametrize("how", ["eof", "reset", "timeout"])
async def test_a_connection_that_breaks_in_a_stream_is_a_transport_error_after_what_came(how):
    heard = []
    with use_script(cut(say("One two three."), after=3, how=how)):
        async with await AiClient.create(OPENAI) as client:
            with pytest.raises(TransportError) as broken:
                async for event in client.chat().user("Count").stream():
                    heard.append(event)  # noqa: PERF401  what came before the break counts

    assert text(heard) == "One two"
    assert broken.value.url == "https://api.openai.com/v1/chat/completions"


async def test_a_consumer_that_stops_early_leaves_the_turn_used():
    with use_script("One two three.") as script:
        async with await AiClient.create(OPENAI) as client:
            events = client.chat().user("Count").stream()
            first = await anext(events)
            await events.aclose()

    assert first.as_content_delta.content == "One"
    assert len(script.calls) == 1

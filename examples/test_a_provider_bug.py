"""A bug of a provider, in a file small enough to attach to an issue, and a parser that copes with it.

The cassette was written by hand, after what some servers that speak OpenAI's format do: the fragments of
a streamed tool call lack their `index`. No provider was recorded; `origin: scripted` says so in the file.
"""

import json

import pytest
from openai import OpenAI

from llmreplay import call, turn

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED = {
    "model": "small-model",
    "messages": [{"role": "user", "content": "How is the weather in Paris and in Oslo?"}],
    "tools": [WEATHER],
}


def client():
    return OpenAI(base_url="https://llm.example/v1", api_key="not-needed")


def fragments(chunks):
    return [fragment for chunk in chunks for fragment in chunk.choices[0].delta.tool_calls or []]


def calls_by_index(chunks):
    """Put the calls together as the format says: each fragment goes to the call of its index."""
    calls = {}
    for fragment in fragments(chunks):
        name, arguments = calls.get(fragment.index, ("", ""))
        function = fragment.function
        calls[fragment.index] = (name + (function.name or ""), arguments + (function.arguments or ""))
    return [(name, json.loads(arguments)) for name, arguments in calls.values()]


def calls_of_any_server(chunks):
    """Put them together without trust in the index: where there is none, an id begins a call."""
    calls, place = {}, None
    for fragment in fragments(chunks):
        if fragment.index is not None or fragment.id:
            place = fragment.id if fragment.index is None else fragment.index
        name, arguments = calls.get(place, ("", ""))
        function = fragment.function
        calls[place] = (name + (function.name or ""), arguments + (function.arguments or ""))
    return [(name, json.loads(arguments)) for name, arguments in calls.values()]


BUG = "cassettes/openai_compatible/tool_calls_without_index.yaml"
EXPECTED = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})]


@pytest.mark.llm_cassette(BUG)
def test_the_sdk_hands_the_fragments_on_without_an_index():
    seen = fragments(client().chat.completions.create(**ASKED, stream=True))

    assert [fragment.index for fragment in seen] == [None, None, None, None]


@pytest.mark.llm_cassette(BUG)
def test_the_helper_of_the_sdk_gives_up():
    with client().chat.completions.stream(**ASKED) as stream, pytest.raises(TypeError, match="NoneType"):
        stream.until_done()


@pytest.mark.llm_cassette(BUG)
def test_a_parser_that_trusts_the_index_mixes_the_calls_up():
    with pytest.raises(json.JSONDecodeError):
        calls_by_index(client().chat.completions.create(**ASKED, stream=True))


@pytest.mark.llm_cassette(BUG, split="bytes")
def test_a_parser_that_does_without_it_finds_both_calls():
    assert calls_of_any_server(client().chat.completions.create(**ASKED, stream=True)) == EXPECTED


@pytest.mark.parametrize("parse", [calls_by_index, calls_of_any_server])
def test_both_parsers_read_a_server_that_keeps_to_the_format(llm_script, parse):
    llm_script.turns(turn(call("get_weather", city="Paris"), call("get_weather", city="Oslo")))

    assert parse(client().chat.completions.create(**ASKED, stream=True)) == EXPECTED

"""A chat window that paints an answer while it streams.

`deltas` says in which pieces the text comes, so that every frame can be checked; `split="bytes"` hands
the same stream over byte by byte, in the middle of characters too: nothing that is seen may change.
"""

import pytest
from openai import OpenAI

from llmreplay import call, say, turn, use_script

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}


def frames(question):
    """Yield what the window shows, each time it changes."""
    stream = OpenAI().chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": question}],
        tools=[SEARCH],
        stream=True,
    )
    shown = ""
    for chunk in stream:
        delta = chunk.choices[0].delta
        if text := delta.content or delta.refusal:
            shown += text
            yield shown
        for asked in delta.tool_calls or []:
            if asked.function.name:
                yield f"{shown} [{asked.function.name} …]"


HELLO = ["Grü", "ße ", "aus ", "Zürich ", "🧣"]


@pytest.mark.parametrize("split", [None, "bytes", (1, 5, 2), 7], ids=str)
def test_the_text_grows_by_what_came_however_the_network_cuts_it(split):
    with use_script(say("Grüße aus Zürich 🧣", deltas=HELLO), split=split):
        seen = list(frames("Say hello."))

    assert seen == ["Grü", "Grüße ", "Grüße aus ", "Grüße aus Zürich ", "Grüße aus Zürich 🧣"]


@pytest.mark.parametrize("split", [None, "bytes"])
def test_a_tool_is_announced_as_soon_as_its_name_is_known(split):
    looking = turn(say("One moment.", deltas=["One moment."]), call("search", query="scarves"))

    with use_script(looking, split=split):
        seen = list(frames("Where can I buy a scarf?"))

    assert seen == ["One moment.", "One moment. [search …]"]


def test_a_frame_is_painted_before_the_answer_is_complete(llm_script):
    llm_script.turns(say("Hello there.", deltas=["Hello", " there."]))
    window = frames("Say hello.")

    assert next(window) == "Hello"
    assert list(window) == ["Hello there."]


def test_a_refusal_that_streams_is_shown_like_any_text(llm_script):
    llm_script.turns(say(refusal="I would rather not."))

    assert list(frames("Say something rude."))[-1] == "I would rather not."

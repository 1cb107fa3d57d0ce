"""A stream that breaks off, in each of the ways in which streams do.

What came is worth keeping, but nobody may take it for the whole answer: not when the connection is
reset, not when the provider reports an error in the middle, and not when the stream simply ends.
"""

from dataclasses import dataclass

import httpx2
import pytest
from anthropic import Anthropic, APIError

from llmreplay import cut, fail, say, use_script


@dataclass
class Draft:
    text: str = ""
    complete: bool = False
    problem: str = ""


def write(topic):
    draft = Draft()
    try:
        stream = Anthropic(max_retries=0).messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[{"role": "user", "content": f"Write about {topic}."}],
            stream=True,
        )
        for event in stream:
            if event.type == "content_block_delta":
                draft.text += event.delta.text
            elif event.type == "message_stop":
                draft.complete = True
    except (APIError, httpx2.TransportError) as error:  # in a stream, the SDK lets those of httpx2 through
        draft.problem = type(error).__name__
    return draft


POEM = say("Roses are red.", deltas=["Roses ", "are ", "red."])
"""As events: two that begin it and a ping, three deltas, and three that end it."""


def test_a_whole_stream_is_complete(llm_script):
    llm_script.turns(POEM)

    assert write("roses") == Draft("Roses are red.", complete=True)


@pytest.mark.parametrize(
    ("how", "problem"),
    [("eof", "RemoteProtocolError"), ("reset", "ReadError"), ("timeout", "ReadTimeout")],
)
def test_what_came_before_the_connection_broke_is_kept(llm_script, how, problem):
    llm_script.turns(cut(POEM, after=5, how=how))

    assert write("roses") == Draft("Roses are ", complete=False, problem=problem)


def test_a_stream_that_just_ends_is_not_taken_for_complete(llm_script):
    llm_script.turns(cut(POEM, after=5, how="end"))

    assert write("roses") == Draft("Roses are ", complete=False)


def test_an_error_in_the_middle_is_told(llm_script):
    llm_script.turns(fail("overloaded", during=POEM, after=5))

    assert write("roses") == Draft("Roses are ", complete=False, problem="APIStatusError")


def test_it_never_raises_nor_lies_wherever_the_stream_is_cut():
    with use_script(POEM) as script:
        write("roses")
    [whole] = script.calls

    for size in range(0, len(whole.response.body), 37):
        with use_script(cut(POEM, after_bytes=size)):
            draft = write("roses")
        assert "Roses are red.".startswith(draft.text)
        assert draft.problem or draft.complete

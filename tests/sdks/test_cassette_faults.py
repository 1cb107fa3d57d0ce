"""Faults in cassettes, met through the official SDKs: what was recorded goes wrong on purpose."""

from __future__ import annotations

from dataclasses import replace

import httpx
import httpx2
import openai
import pytest

from llmreplay import Cassette, Chunk, Usage, fail, say, use_cassette, use_script
from tests.sdks._drivers import DRIVERS

TEXT = "One two three four five six seven."
EVENTS = {"openai-responses": 6, "anthropic": 5, "cohere": 4}
OVER = ["openai-chat", "openai-responses", "anthropic", "google-genai", "mistralai", "huggingface"]  # httpx2
UNDER = ["groq", "cohere", "ollama"]  # httpx
FAULTY = [(name, kind) for name in (*OVER, *UNDER) for kind in DRIVERS[name].kinds]
every_edge = pytest.mark.parametrize(("name", "kind"), FAULTY, ids=["-".join(pair) for pair in FAULTY])
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def recorded(path, name, kind, *, stream=False):
    """A cassette of one call whose response came in one piece, as from a fast network."""
    with use_script(say(TEXT, usage=Usage(input_tokens=3, output_tokens=9))) as script:
        DRIVERS[name].meets(kind, stream=stream)
    (call,) = script.calls
    whole = replace(call.response, chunks=(Chunk(call.response.body),))
    Cassette([replace(call, response=whole)]).save(path)
    return path


@both
@every_edge
def test_an_overloaded_provider_comes_before_the_recorded_answer(tmp_path, name, kind, stream):
    path = recorded(tmp_path / "x.yaml", name, kind, stream=stream)
    with use_cassette(path) as cassette:
        cassette.before(1, fail("overloaded"))
        heard, error = DRIVERS[name].meets(kind, stream=stream)
        if error is not None:  # this SDK does not try again
            assert heard.text == ""
            heard, error = DRIVERS[name].meets(kind, stream=stream)

    assert (heard.text, error) == (TEXT, None)
    assert [call.response.status for call in cassette.calls] == [529 if name == "anthropic" else 503, 200]
    assert cassette.usage == Usage(input_tokens=3, output_tokens=9)


@pytest.mark.parametrize(
    ("how", "met"), [("eof", "RemoteProtocolError"), ("reset", "ReadError"), ("timeout", "ReadTimeout")]
)
@every_edge
def test_a_recorded_stream_breaks_off_after_as_many_events_as_wanted(tmp_path, name, kind, how, met):
    path = recorded(tmp_path / "x.yaml", name, kind, stream=True)
    with use_cassette(path) as cassette:
        cassette.cut(1, after=EVENTS.get(name, 3), how=how)
        heard, error = DRIVERS[name].meets(kind, stream=True)

    if name.startswith("openai"):
        assert isinstance(error, openai.APIConnectionError)
        error = error.__cause__
    assert type(error) is getattr(httpx2 if name in OVER else httpx, met)
    assert heard.text.startswith("One")
    assert heard.text != TEXT
    assert heard.finish is None


@every_edge
def test_a_recorded_stream_can_end_too_early_in_good_order(tmp_path, name, kind):
    path = recorded(tmp_path / "x.yaml", name, kind, stream=True)
    with use_cassette(path) as cassette:
        cassette.cut(1, after=EVENTS.get(name, 3), how="end")
        heard, error = DRIVERS[name].meets(kind, stream=True)

    assert error is None
    assert heard.text != TEXT
    assert heard.finish is None


@every_edge
def test_an_answer_that_broke_off_is_whole_at_the_second_attempt(tmp_path, name, kind):
    path = recorded(tmp_path / "x.yaml", name, kind, stream=True)
    with use_cassette(path) as cassette:
        cassette.cut(1, after=1, again=True)
        _, error = DRIVERS[name].meets(kind, stream=True)
        heard, none = DRIVERS[name].meets(kind, stream=True)

    assert error is not None
    assert (heard.text, none) == (TEXT, None)

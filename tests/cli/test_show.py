"""`llmreplay show`."""

from __future__ import annotations

import json
import re

import pytest

from llmreplay import Cassette, Exchange, Failure, Request, Response
from tests import wires
from tests.cli.exchanges import (
    ANTHROPIC,
    JSON,
    OPENAI,
    QUESTION,
    answered,
    asked,
    imported,
    no_answer,
    streamed,
    two_turns,
)

EVENTS = wires.openai_stream("It is snowing.", usage=False)[:3]


def test_a_run_of_two_turns_reads_as_one_conversation(run, saved):
    result = run("show", saved(*two_turns()))

    assert result.exit_code == 0
    assert result.stderr == ""
    assert (
        result.stdout
        == """\
1  POST api.openai.com/v1/chat/completions
   gpt-loopback-1 · openai · openai_chat · stream · 200 · first byte after 400 ms, all after 750 ms · 7 chunks
   tools      get_weather
   system     Be brief.
   user       What is the weather in Zürich?
   calls      get_weather {"city": "Zürich"}
   end        tool_calls · 21 tokens in, 13 out (4 cached, 5 reasoning)

2  POST api.openai.com/v1/chat/completions
   gpt-loopback-1 · openai · openai_chat · 200 · first byte after 250 ms, all after 250 ms · 1 chunk
   tools      get_weather
   tool       get_weather → 4 °C
              snow
   assistant  It is 4 °C.
              Take a coat.
   end        stop · 21 tokens in, 13 out (4 cached, 5 reasoning)

in all: 2 model calls; 42 tokens in, 26 out (8 cached, 10 reasoning)
"""
    )


def test_one_exchange_is_shown_with_all_its_messages(run, saved):
    result = run("show", saved(*two_turns()), "--exchange", 2)

    assert "user       What is the weather in Zürich?" in result.stdout
    assert 'calls      get_weather {"city": "Zürich"}' in result.stdout
    assert "in all" not in result.stdout


def test_an_exchange_that_is_not_there_is_a_wrong_option(run, saved):
    result = run("show", saved(*two_turns()), "-n", 3)

    assert result.exit_code == 2
    assert result.stderr.endswith("weather.yaml has 2 exchanges, so there is no exchange 3.\n")


def test_a_conversation_that_goes_on_later_says_from_where(run, saved):
    first, second = two_turns()
    other = answered(asked([{"role": "user", "content": "Hello?"}]), wires.openai_chat("Hello."))

    result = run("show", saved(first, other, second))

    assert "   …          3 messages as told up to exchange 1\n" in result.stdout
    assert result.stdout.count("What is the weather") == 1


def test_every_error_is_told_as_the_code_under_test_meets_it(run, saved):
    request = asked([QUESTION])
    limited = Response.of(429, json.dumps(wires.openai_error(429)).encode(), (*JSON, ("retry-after", "2")))

    result = run("show", saved(no_answer(), Exchange(request, limited)))

    assert result.exit_code == 0
    assert "   error      connection: ConnectError (connect): refused (may be retried)\n" in result.stdout
    told = "rate_limited 429: Made up for a test. (code rate_limit_exceeded, may be retried, after 2.0 s)"
    assert f"   error      {told}\n" in result.stdout
    assert "no tokens reported" in result.stdout


def test_a_stream_that_was_cut_shows_what_came_before(run, saved):
    events = wires.openai_stream("It is snowing.", calls=[("get_weather", {})], usage=False)[:6]
    failure = Failure("RemoteProtocolError", "peer closed", "body", 1.5)
    request = asked([QUESTION], stream=True)

    result = run("show", saved(streamed(request, events, ended="cut", failure=failure)))

    assert "all after 2.2 s · 6 chunks · cut\n" in result.stdout
    assert "   assistant  It is snowing.\n" in result.stdout
    assert "              … here it broke off\n" in result.stdout
    assert (
        "   error      connection 200: RemoteProtocolError (body): peer closed (may be retried)\n"
        in result.stdout
    )


def test_what_came_before_a_cut_is_told_of_the_first_answer_in_the_order_it_came(run, saved):
    signed = {"type": "redacted_thinking", "data": "sealed"}
    blocks = [
        wires.sse(
            {"type": "content_block_start", "index": 9, "content_block": signed}, "content_block_start"
        ),
        wires.sse({"type": "content_block_stop", "index": 9}, "content_block_stop"),
    ]
    events = wires.anthropic_stream("Wait.", calls=[("get_weather", {"city": "Bern"})], stop=False)[:-1]
    failure = Failure("ReadTimeout", "", "body", 5.0)
    claude = asked([QUESTION], ANTHROPIC, max_tokens=99, stream=True)
    second = [
        event.replace(b'"index":0,"delta":{"content"', b'"index":1,"delta":{"content"') for event in EVENTS
    ]
    exchanges = [
        streamed(claude, [*events, *blocks], ended="cut", failure=failure),
        streamed(asked([QUESTION], stream=True), second, ended="cut", failure=failure),
    ]

    result = run("show", saved(*exchanges))

    assert (
        """\
   assistant  Wait.
   calls      get_weather {"city": "Bern"}
   reasoning  [6 characters of sealed reasoning]
              … here it broke off
   error      timeout 200: ReadTimeout (body) (may be retried)
"""
        in result.stdout
    )
    assert result.stdout.count("broke off") == 1


def test_a_stream_that_the_client_left_says_whether_it_was_at_the_end(run, saved):
    events = wires.openai_stream("It is snowing.")
    request = asked([QUESTION], stream=True)

    result = run("show", saved(*(streamed(request, part, ended="closed") for part in (events, events[:3]))))

    assert "7 chunks" not in result.stdout
    assert " · closed by the client at the end\n" in result.stdout
    assert " · closed by the client\n" in result.stdout


def test_reasoning_and_refusals_and_several_answers_are_told_apart(run, saved):
    thinking = {"type": "thinking", "thinking": "Snow, so a coat.", "signature": "c2lnbmF0dXJl"}
    hidden = {"type": "redacted_thinking", "data": "x" * 12}
    message = wires.anthropic_message("Take a coat.")
    message["content"] = [thinking, hidden, *message["content"]]
    two = wires.openai_chat("One.")
    two["choices"].append(
        {**two["choices"][0], "index": 1, "message": {"role": "assistant", "refusal": "No."}}
    )
    claude = asked([QUESTION], ANTHROPIC, max_tokens=99, system="Be kind.")

    result = run("show", saved(answered(claude, message), answered(asked([QUESTION], n=2), two)))

    assert "   system     Be kind.\n" in result.stdout
    assert "   reasoning  Snow, so a coat.\n" in result.stdout
    assert "   reasoning  [12 characters of sealed reasoning]\n" in result.stdout
    assert "   assistant  Take a coat.\n" in result.stdout
    assert "   answer 1   One.\n" in result.stdout
    assert "   answer 2   refuses: No.\n" in result.stdout


def test_media_are_named_rather_than_printed(run, saved):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0K" * 8}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    request = asked([{"role": "user", "content": parts}, {"role": "user", "content": ""}])

    result = run("show", saved(answered(request, wires.openai_chat("A cat."))))

    assert "   user       What is this?\n" in result.stdout
    assert "              [image, image/png, 64 characters of base64]\n" in result.stdout
    assert "              [image, https://example.org/cat.png]\n" in result.stdout


def test_results_of_tools_that_are_json_or_errors_are_spelled_out(run, saved):
    result_block = {
        "type": "tool_result",
        "tool_use_id": "toolu_loopback_0",
        "is_error": True,
        "content": [{"type": "text", "text": "no such city"}, {"type": "search_result", "title": "T"}],
    }
    use = {"type": "tool_use", "id": "toolu_loopback_0", "name": "get_weather", "input": {"city": "?"}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result_block]},
    ]
    claude = asked(messages, ANTHROPIC, max_tokens=99)

    result = run("show", saved(answered(claude, wires.anthropic_message("Which city?"))))

    assert "   tool       get_weather (error) → no such city\n" in result.stdout
    assert '[search_result] {"type": "search_result", "title": "T"}' in result.stdout


def test_arguments_that_are_no_json_are_shown_as_they_were_written(run, saved):
    body = wires.openai_chat(calls=[("get_weather", {})])
    body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"city": '

    result = run("show", saved(answered(asked([QUESTION]), body)))

    assert '   calls      get_weather {"city": \n              (no JSON: ' in result.stdout


def test_what_is_no_model_call_is_shown_as_plain_http(run, saved):
    page = Response.of(200, b"<html>" * 400, (("content-type", "text/html"),))
    exchanges = [
        Exchange(Request("GET", "https://user@example.org:8443/weather?city=Bern"), page),
        answered(
            Request("POST", "https://api.cohere.com/v1/chat", JSON, b'{"message": "Hi"}'), {"text": "Hello."}
        ),
        Exchange(
            Request("GET", "https://example.org/"),
            Response(200, (), ended="cut", failure=Failure("ReadTimeout", phase="body")),
        ),
        Exchange(
            Request("GET", "https://example.org/"), failure=Failure("ConnectTimeout", "slow", "connect")
        ),
    ]

    result = run("show", saved(*exchanges))

    assert "GET user@example.org:8443/weather\n   no call of a known model · 200 · " in result.stdout
    assert "   request    no body\n   response   text/html, 2.4 kB\n" in result.stdout
    assert "   cohere_v1, which llmreplay does not decode · 200" in result.stdout
    assert "   request    application/json, 17 bytes\n" in result.stdout
    assert "   cut        ReadTimeout (body)\n" in result.stdout
    assert "   no answer  ConnectTimeout (connect): slow\n" in result.stdout
    assert "in all: 1 model call, 3 other; no tokens reported\n" in result.stdout


def test_a_request_that_its_wire_does_not_know_is_an_error(run, saved):
    broken = Request("POST", OPENAI, JSON, b"[1]")

    result = run("show", saved(answered(broken, wires.openai_error(400), 400)))

    assert "   error      request_build: the body of the request is not a JSON object\n" in result.stdout


def test_an_import_says_that_its_timing_was_not_recorded(run, saved):
    result = run("show", saved(imported(two_turns()[1])))

    assert " · 200 · timing not recorded\n" in result.stdout


def test_raw_shows_each_chunk_on_a_line_of_its_own(run, saved):
    first, second = two_turns()
    cut = streamed(first.request, [b"data: \xc3", b"\xbc\n\n"])

    result = run("show", saved(cut, second, no_answer()), "--raw")

    assert " → content-type: application/json\n" in result.stdout
    assert '{"model": "gpt-loopback-1", "messages": [{"role": "system", ' in result.stdout
    assert " ← content-type: text/event-stream; charset=utf-8\n" in result.stdout
    assert "      1   +50 ms  data: \\xc3\n      2   +50 ms  \\xbc\\n\\n\n" in result.stdout
    assert '{"id": "chatcmpl-loopback", "object": "chat.completion", ' in result.stdout
    assert "   error      connection: ConnectError" in result.stdout


def test_json_tells_the_same_to_a_program(run, saved):
    result = run("show", saved(*two_turns()), "--json")

    first, second = json.loads(result.stdout)
    assert result.stdout.isascii()
    assert (first["number"], first["line"], first["wire"], first["provider"]) == (
        1,
        3,
        "openai_chat",
        "openai",
    )
    assert first["timing"] == {"first_byte_ms": 400, "first_chunk_ms": 450, "total_ms": 750}
    assert (first["tools"], first["stream"], first["finished"]) == (["get_weather"], True, True)
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert first["answers"][0]["contents"][0]["arguments"] == {"city": "Zürich"}
    assert first["answers"][0]["finish_reason"] == "tool_calls"
    assert first["usage"]["cached_input_tokens"] == 4
    assert "headers" not in first["request"]
    assert (second["repeated"], second["repeated_from"]) == (3, 1)
    assert second["messages"][0]["contents"][0]["name"] == "get_weather"
    assert second["error"] is None


def test_json_and_raw_together_give_the_bytes(run, saved):
    events = [b"data: \xc3", b"\xbc\n\n"]

    result = run("show", saved(streamed(two_turns()[0].request, events), no_answer()), "--json", "--raw")

    cut, failed = json.loads(result.stdout)
    assert cut["request"]["headers"] == [["content-type", "application/json"]]
    assert cut["request"]["text"].startswith('{"model"')
    assert cut["response"]["chunks"] == [{"ms": 50, "base64": "ZGF0YTogww=="}, {"ms": 50, "base64": "vAoK"}]
    assert cut["error"]["kind"] == "decode_error"
    assert failed["response"] is None
    assert failed["failure"] == {"error": "ConnectError", "phase": "connect", "message": "refused", "ms": 100}


def test_a_damaged_cassette_shows_its_good_exchanges_and_fails(run, saved):
    path = saved(*two_turns())
    path.write_bytes(path.read_bytes()[:-300])

    result = run("show", path)

    assert result.exit_code == 1
    assert f"{path} is damaged.\n  line " in result.stderr
    assert "1 of 2 exchanges can be read" in result.stderr
    assert "in all: 1 model call; 21 tokens in, 13 out (4 cached, 5 reasoning)\n" in result.stdout


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\x89PNG", b"just: yaml\n"], ids=["empty", "binary", "other"]
)
def test_a_file_that_is_no_cassette_is_said_to_be_none(run, tmp_path, content):
    path = tmp_path / "other.yaml"
    path.write_bytes(content)

    result = run("show", path)

    assert result.exit_code == 1
    assert f"{path} is no cassette that llmreplay reads." in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_is_a_wrong_argument(run, tmp_path):
    result = run("show", tmp_path / "none.yaml")

    assert result.exit_code == 2
    assert result.stderr.startswith("There is no cassette ")


def test_a_folder_cannot_be_shown(run, tmp_path):
    result = run("show", tmp_path)

    assert result.exit_code == 1
    assert "cannot be read" in result.stderr


def test_an_empty_cassette_is_one(run, saved):
    assert run("show", saved()).stdout == "in all: 0 model calls; no tokens reported\n"
    assert run("show", saved(), "--json").stdout == "[]\n"


def test_a_cassette_of_vcrpy_is_shown_too(run, tmp_path):
    path = tmp_path / "vcr.yaml"
    Cassette(two_turns()).save(path, format="vcr")

    result = run("show", path, "--json")

    assert [each["line"] for each in json.loads(result.stdout)] == [None, None]
    assert json.loads(result.stdout)[0]["recorded"]["origin"] == "recorded"


def test_nothing_in_a_cassette_commands_the_terminal(run, saved):
    evil = "\x1b[2J\x1b]0;owned\x07 [bold]text[/bold] \u202egnp.exe :smile: \ud83d"
    body = wires.openai_chat(evil)
    request = asked([QUESTION])
    data = json.dumps(body).encode()

    result = run(
        "show", saved(Exchange(request, Response.of(200, data, JSON))), FORCE_COLOR="1", COLUMNS="120"
    )

    assert "\x1b[2J" not in result.stdout
    assert "\x07" not in result.stdout
    assert "␛[2J␛]0;owned␇ [bold]text[/bold] \\u202egnp.exe :smile: \ufffd\n" in _unstyled(result.stdout)


def test_a_terminal_gets_colours_and_wrapped_lines(run, saved):
    long = answered(asked([QUESTION]), wires.openai_chat("word " * 30))

    coloured = run("show", saved(long), FORCE_COLOR="1", COLUMNS="60", TERM="xterm-256color")
    plain = run("show", saved(long), "--no-color", FORCE_COLOR="1", COLUMNS="60", TERM="xterm-256color")

    assert "\x1b[1;32massistant" in coloured.stdout
    assert "\x1b[1;32m" not in plain.stdout
    lines = [line for line in _unstyled(plain.stdout).split("\n") if "word" in line]
    assert lines[0].startswith("   assistant  word word")
    assert lines[1].startswith("              word word")
    assert len(lines) == 4
    assert max(map(len, lines)) <= 60


def _unstyled(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)

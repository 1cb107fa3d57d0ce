"""Why no recorded request answers, told by turns and fields."""

from __future__ import annotations

import json

import pytest

from llmreplay import Request
from llmreplay.matching import parse_ignore
from llmreplay.matching.explanation import explain

URL = "https://api.openai.com/v1/chat/completions"


def chat(*messages: str, url: str = URL, **extra) -> Request:
    body = {
        "model": "gpt-5.5",
        "messages": [
            {"role": role, "content": text} for role, _, text in (m.partition(":") for m in messages)
        ],
        **extra,
    }
    return Request("POST", url, (("content-type", "application/json"),), json.dumps(body).encode())


def told(
    sent: Request, *recorded: Request, played: tuple[int, ...] = (), ignore: tuple[str, ...] = ()
) -> list[str]:
    pairs = [(request, number in played) for number, request in enumerate(recorded, 1)]
    return explain(sent, pairs, parse_ignore(ignore)).evidence()


def tool(name: str, description: str = "d") -> dict:
    return {"type": "function", "function": {"name": name, "description": description}}


def test_the_turn_and_the_field_that_differ_are_named():
    assert told(chat("system:s", "user:40 C"), chat("system:s", "user:41 C")) == [
        "nearest: exchange 1 of 1 (not played yet)",
        "differs:",
        '  messages[1].content: "41 C" recorded, "40 C" sent',
    ]


def test_the_nearest_is_the_one_that_shares_most():
    lines = told(
        chat("system:s", "user:a", "assistant:b", "user:c"),
        chat("user:z"),
        chat("system:s", "user:a", "assistant:b", "user:d"),
        chat("system:s", "user:q"),
    )

    assert lines[0] == "nearest: exchange 2 of 3 (not played yet)"
    assert lines[2] == '  messages[3].content: "d" recorded, "c" sent'
    assert [line.split(" differs")[0] for line in lines[3:]] == ["also:    exchange 3", "also:    exchange 1"]


def test_of_two_equally_near_the_one_not_played_is_named():
    assert (
        told(chat("user:a"), chat("user:b"), chat("user:b"), played=(1,))[0]
        == "nearest: exchange 2 of 2 (not played yet)"
    )


def test_an_exchange_that_was_already_played_is_said_to_be_equal():
    lines = told(chat("user:a"), chat("user:a"), played=(1,))

    assert lines == [
        "nearest: exchange 1 of 1 (already played)",
        "differs: in nothing; the code under test asked once more than was recorded",
    ]
    assert explain(chat("user:a"), [(chat("user:a"), True)]).reason == "already_played"


def test_an_empty_cassette_is_said_to_be_empty():
    assert told(chat("user:a")) == ["nearest: none, the cassette holds no exchange"]
    assert explain(chat("user:a"), []).reason == "empty"


def test_a_message_put_in_front_is_one_difference():
    assert told(chat("system:new", "user:a", "assistant:b"), chat("user:a", "assistant:b"))[2:] == [
        '  messages[0]: added {"content": "new", "role": "system"}',
    ]


def test_a_message_left_out_is_one_difference():
    assert told(chat("user:a"), chat("user:a", "assistant:b"))[2:] == [
        '  messages[1]: removed {"content": "b", "role": "assistant"}',
    ]


def test_tools_are_told_by_name():
    sent = chat("user:a", tools=[tool("get_time"), tool("search", "new")])
    recorded = chat("user:a", tools=[tool("search", "old"), tool("get_weather")])

    assert told(sent, recorded)[2:] == [
        '  tools[get_time]: added {"function": {"description": "d", "name": "get_time"}, "type": "function"}',
        '  tools[search].function.description: "old" recorded, "new" sent',
        (
            '  tools[get_weather]: removed {"function": {"description": "d", "name": "get_weather"}, '
            '"type": "function"}'
        ),
    ]


def test_the_same_tools_in_another_order_are_said_to_be():
    sent, recorded = (
        chat("user:a", tools=[tool("b"), tool("a")]),
        chat("user:a", tools=[tool("a"), tool("b")]),
    )

    assert told(sent, recorded)[2:] == ['  tools (order): ["a", "b"] recorded, ["b", "a"] sent']


def test_fields_added_removed_and_changed_are_told():
    lines = told(chat("user:a", seed=1, top_p=0.5), chat("user:a", seed=2, user="u"))[2:]

    assert lines == ["  seed: 2 recorded, 1 sent", "  top_p: added 0.5", '  user: removed "u"']


def test_another_endpoint_is_told():
    mismatch = explain(chat("user:a", url="http://other.example:81/v2?x=1"), [(chat("user:a"), False)])

    assert mismatch.reason == "different_endpoint"
    assert [difference.path for difference in mismatch.nearest.differences] == [
        "url.scheme",
        "url.host",
        "url.port",
        "url.path",
        "url.query.x",
    ]


def test_another_method_is_told():
    assert told(Request("GET", URL), Request("DELETE", URL))[2:] == [
        '  method: "DELETE" recorded, "GET" sent'
    ]


def test_long_texts_are_cut_to_the_place_where_they_differ():
    before = "word " * 100
    lines = told(chat(f"user:{before}left{before}"), chat(f"user:{before}right{before}"))[2:]

    assert lines[0] == "  messages[0].content:"
    assert "rightword" in lines[1]
    assert "leftword" in lines[2]
    assert all(len(line) < 130 for line in lines)


def test_long_values_that_were_added_are_cut():
    assert told(chat("user:a", note="x" * 500), chat("user:a"))[2].endswith("… (502 characters)")


def test_ids_are_left_out_where_something_else_tells():
    sent = chat("user:a", tool_call_id="call_aaaa1111bbbb")
    recorded = chat("user:b", tool_call_id="call_cccc2222dddd")

    assert len(told(sent, recorded)) == 3


def test_ids_are_told_where_nothing_else_does():
    sent = chat("user:a", tool_call_id="call_aaaa1111bbbb")
    recorded = chat("user:a", tool_call_id="call_cccc2222dddd")

    assert told(sent, recorded)[2:] == [
        '  tool_call_id: "call_cccc2222dddd" recorded, "call_aaaa1111bbbb" sent'
    ]


def test_what_was_redacted_is_no_difference():
    assert len(told(chat("user:a", key="[redacted-1]"), chat("user:b", key="[redacted-2]"))) == 3


def test_no_more_than_eight_differences_are_told():
    lines = told(chat("user:a", **{f"f{n}": 1 for n in range(12)}), chat("user:a"))

    assert len(lines) == 2 + 8 + 1
    assert lines[-1] == "  … and 4 more"


def test_ignored_places_are_not_told():
    sent, recorded = (
        chat("user:a", url="https://host/a?v=1", seed=1),
        chat("user:b", url="https://host/b?v=2", seed=2),
    )

    assert told(sent, recorded, ignore=("messages[*].content", "url.path", "url.query.v"))[2:] == [
        "  seed: 2 recorded, 1 sent"
    ]
    assert told(sent, recorded, ignore=("body", "url.path"))[2:] == ['  url.query.v: "2" recorded, "1" sent']
    assert told(sent, recorded, ignore=("body", "url.query"))[2:] == ['  url.path: "/b" recorded, "/a" sent']


@pytest.mark.parametrize(("sent", "recorded"), [(b"one", b"two"), (b"[1]", b"{}"), (b"\xff", b"")])
def test_bodies_that_are_no_objects_are_told_too(sent, recorded):
    mismatch = explain(Request("POST", URL, (), sent), [(Request("POST", URL, (), recorded), False)])

    assert [difference.path for difference in mismatch.nearest.differences] == ["body"]
    assert mismatch.reason == "different"


def test_odd_names_are_quoted_in_paths():
    mismatch = explain(
        chat("user:a", metadata={"odd.name": 1}), [(chat("user:a", metadata={"odd.name": 2}), False)]
    )

    assert mismatch.nearest.differences[0].path == 'metadata["odd.name"]'
    assert parse_ignore([mismatch.nearest.differences[0].path])


def test_other_candidates_say_in_a_few_words_why_not():
    mismatch = explain(
        chat("user:a", a=1, b=2, c=3, d=4),
        [(chat("user:a", a=1, b=2, c=3, d=5), False), (chat("user:z", a=2, b=3, c=4, d=5), True)],
    )

    assert mismatch.candidates[1].reason == "differs in messages[0].content, a, b and 2 more, already played"
    assert mismatch.candidates[0].reason == "differs in d"

"""Faults that are put into a cassette: before an exchange, and in the middle of one."""

from __future__ import annotations

import json

import pytest

from llmreplay import Cassette, Exchange, Failure, Request, Response, cut, fail, load, respond, say
from llmreplay.errors import OptionError, ScriptMistake, UnmatchedRequest, UnusedExchanges
from llmreplay.session import Session

URL = "https://api.openai.com/v1/chat/completions"
JSON_TYPE = (("content-type", "application/json"),)


def chat(content: str, url: str = URL) -> Request:
    body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": content}]}
    return Request("POST", url, JSON_TYPE, json.dumps(body).encode())


def exchange(content: str, answer: str, url: str = URL) -> Exchange:
    return Exchange(chat(content, url), Response.of(200, answer.encode(), JSON_TYPE))


def answered(session: Session, content: str) -> Response:
    response = session.decide(chat(content), "test").exchange.response
    assert response is not None
    return response


@pytest.fixture
def cassette() -> Cassette:
    return Cassette([exchange("one", "first"), exchange("two", "second"), exchange("two", "third")])


def test_a_fault_comes_before_its_exchange_each_time_it_is_asked_for(cassette):
    session = Session(cassette)
    cassette.before(2, fail("overloaded"), fail(429))
    cassette.before(2, fail(500))

    assert answered(session, "one").body == b"first"
    assert [answered(session, "two").status for _ in range(4)] == [503, 429, 500, 200]
    assert answered(session, "two").body == b"third"
    assert [call.response.status for call in cassette.calls] == [200, 503, 429, 500, 200, 200]
    assert [call.origin for call in cassette.calls].count("scripted") == 3
    session.finish()


def test_a_fault_that_nobody_came_back_from_leaves_its_exchange_unused(cassette):
    session = Session(cassette)
    cassette.before(1, fail("overloaded"))
    answered(session, "one")
    answered(session, "two")
    answered(session, "two")

    with pytest.raises(UnusedExchanges, match="1"):
        session.finish()


def test_an_exchange_found_by_ids_as_equal_or_different_is_put_back_too():
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call_Qm8Kd0Zq1LmN4pQ7rT2xVb9w",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_Qm8Kd0Zq1LmN4pQ7rT2xVb9w", "content": "x"},
        ],
    }
    asked = json.dumps(body).encode()
    recorded = Request("POST", URL, JSON_TYPE, asked)
    other = Request("POST", URL, JSON_TYPE, asked.replace(b"Qm8Kd0Zq1", b"Zx7Lp3Ws5"))
    cassette = Cassette([Exchange(recorded, Response.of(200, b"found"))])
    session = Session(cassette)
    cassette.before(1, fail(503), fail(503))

    found = [session.decide(other, "test").exchange.response for _ in range(3)]
    assert [response.status for response in found] == [503, 503, 200]
    session.finish()


def test_an_answer_breaks_off_and_is_used_up(cassette):
    session = Session(cassette)
    cassette.cut(1, after_bytes=2, how="reset")

    response = answered(session, "one")
    assert (response.body, response.failure.error) == (b"fi", "ReadError")
    with pytest.raises(UnmatchedRequest):
        answered(session, "one")
    assert cassette.exchanges[0].response.body == b"first"


def test_an_answer_that_breaks_off_is_whole_when_it_is_asked_for_again(cassette):
    session = Session(cassette)
    cassette.cut(1, again=True)

    assert [answered(session, "one").body for _ in range(2)] == [b"fi", b"first"]


def test_faults_come_before_a_break(cassette):
    session = Session(cassette)
    cassette.cut(1)
    cassette.before(1, fail(500))

    assert answered(session, "one").status == 500
    assert answered(session, "one").ended == "cut"


def test_any_turn_of_a_script_can_come_first(cassette):
    session = Session(cassette)
    cassette.before(1, say("Wait."), cut(say("One two three."), after_bytes=9))

    assert answered(session, "one").json["choices"][0]["message"]["content"] == "Wait."
    assert len(answered(session, "one").body) == 9
    assert answered(session, "one").body == b"first"


def test_a_turn_that_cannot_be_rendered_is_a_refusal_that_is_kept(cassette):
    session = Session(cassette)
    cassette.before(1, respond(lambda _: 1 / 0))

    with pytest.raises(ScriptMistake) as raised:
        answered(session, "one")
    assert session.refusals == [raised.value]


def test_the_file_knows_nothing_of_faults(cassette, tmp_path):
    cassette.before(1, fail(500))
    cassette.cut(2)
    cassette.save(tmp_path / "x.yaml")

    assert [one.response for one in load(tmp_path / "x.yaml").exchanges] == [
        one.response for one in cassette.exchanges
    ]


@pytest.mark.parametrize("number", [0, 4, -1, True, "2"])
def test_a_fault_wants_the_number_of_an_exchange(cassette, number):
    with pytest.raises(OptionError, match="from 1 to 3"):
        cassette.before(number, fail(500))
    with pytest.raises(OptionError, match="from 1 to 3"):
        cassette.cut(number)


@pytest.mark.parametrize(
    "options", [{"how": "bang"}, {"after": -1}, {"after_bytes": -1}, {"after": 1, "after_bytes": 1}]
)
def test_a_break_that_makes_no_sense_is_told(cassette, options):
    with pytest.raises(OptionError):
        cassette.cut(1, **options)


def test_what_failed_before_there_was_an_answer_cannot_break_off():
    cassette = Cassette([Exchange(chat("x"), failure=Failure("ConnectError"))])
    with pytest.raises(OptionError, match="failed before it had any"):
        cassette.cut(1)


def test_no_fault_at_all_is_no_fault(cassette):
    with pytest.raises(OptionError, match="at least one fault"):
        cassette.before(1)


def test_where_nothing_is_replayed_faults_are_told_to_be_in_vain(cassette):
    Session(cassette, record="all")

    with pytest.raises(OptionError, match="nothing is replayed"):
        cassette.before(1, fail(500))
    with pytest.raises(OptionError, match="nothing is replayed"):
        cassette.cut(1)

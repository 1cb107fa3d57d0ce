"""A session that leaves its decisions to a tape."""

from __future__ import annotations

import pytest

from llmreplay.exchange import Exchange, Request, Response
from llmreplay.session import Forward, PassOn, Replay, TapedSession

ASKED = Request("GET", "http://127.0.0.1/a")


class Tape:
    """Says what it is told to."""

    def __init__(self, told):
        self.told, self.kept = told, []

    def ask(self, request, edge):
        if isinstance(self.told, Exception):
            raise self.told
        return self.kept.append if self.told == "record" else self.told


def test_what_a_tape_gives_is_played():
    session = TapedSession(Tape(Exchange(ASKED, Response.of(200, b"told"))), speed=2.0)

    decision = session.decide(ASKED, "httpx")

    assert isinstance(decision, Replay)
    assert (decision.response.body, decision.speed, session.tally.replayed) == (b"told", 2.0, 1)


def test_what_a_tape_leaves_alone_is_passed_on():
    assert TapedSession(Tape(None)).decide(ASKED, "httpx") == PassOn()


def test_what_a_tape_raises_goes_up_as_it_is():
    session = TapedSession(Tape(error := ValueError("no")))

    with pytest.raises(ValueError, match="no") as caught:
        session.decide(ASKED, "httpx")

    assert caught.value is error
    assert session.tally.refused == 1
    session.finish()


def test_a_response_that_is_still_open_is_recorded_as_far_as_it_came():
    session = TapedSession(tape := Tape("record"))
    decision = session.decide(ASKED, "httpx")
    assert isinstance(decision, Forward)
    decision.take.head(200, (("content-encoding", "gzip"),))
    decision.take.chunk(b"\x1f\x8b")

    session.finish()

    (kept,) = tape.kept
    assert (kept.response.ended, kept.response.body) == ("closed", b"\x1f\x8b")
    assert session.tally.recorded == 1


def test_what_ends_after_the_session_is_not_recorded():
    session = TapedSession(tape := Tape("record"))
    taken = session.decide(ASKED, "httpx").take
    taken.head(200, ())
    session._finished = True

    taken.complete()

    assert tape.kept == []

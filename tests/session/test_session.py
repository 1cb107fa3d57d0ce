"""The one decision for each request, and what is held against a test at the end."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmreplay import Cassette, Chunk, Exchange, Request, Response, load
from llmreplay import session as sessions
from llmreplay.errors import (
    LiveCallBlocked,
    OptionError,
    SecretInCassette,
    SwallowedRefusals,
    UnmatchedRequest,
    UnusedExchanges,
)
from llmreplay.redaction import Redaction
from llmreplay.session import Forward, PassOn, Replay, Session, is_loopback

URL = "https://api.openai.com/v1/chat/completions"
JSON_TYPE = (("content-type", "application/json"),)


def chat(content: str, url: str = URL) -> Request:
    body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": content}]}
    return Request("POST", url, JSON_TYPE, json.dumps(body).encode())


def exchange(content: str, answer: str | None = None, url: str = URL) -> Exchange:
    return Exchange(chat(content, url), Response.of(200, (answer or content).encode()))


def session(*recorded: Exchange, **options) -> Session:
    return Session(Cassette(recorded), **options)


def answer(decision: object) -> str:
    assert isinstance(decision, Replay)
    return decision.exchange.response.body.decode()


def answered(take, body: bytes = b"live") -> None:
    take.head(200, ())
    take.chunk(body)
    take.complete()


def test_each_request_gets_its_own_answer_in_any_order():
    names = [f"question {n}" for n in range(50)]
    replayed = session(*(exchange(name) for name in names))

    assert [answer(replayed.decide(chat(name), "test")) for name in reversed(names)] == list(reversed(names))
    replayed.finish()


def test_equal_requests_get_their_answers_in_the_order_of_recording_and_once():
    replayed = session(exchange("q", "first"), exchange("q", "second"))

    assert [answer(replayed.decide(chat("q"), "test")) for _ in range(2)] == ["first", "second"]
    with pytest.raises(UnmatchedRequest) as caught:
        replayed.decide(chat("q"), "test")
    assert caught.value.mismatch.reason == "already_played"


def test_an_exact_match_goes_before_one_that_differs_in_ids():
    one, two = "see call_a1B2c3D4e5f6", "see call_z9Y8x7W6v5u4"
    replayed = session(exchange(one, "one"), exchange(two, "two"))

    assert answer(replayed.decide(chat(two), "test")) == "two"
    assert answer(replayed.decide(chat("see call_qqqq1111rrrr"), "test")) == "one"


def test_threads_never_get_the_same_exchange():
    replayed = session(*(exchange("q", str(n)) for n in range(200)))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: answer(replayed.decide(chat("q"), "test")), range(200)))

    assert sorted(answers, key=int) == [str(n) for n in range(200)]
    replayed.finish()


def test_a_refusal_says_what_was_asked_where_it_was_looked_for_and_how_to_mend_it():
    replayed = session(exchange("what is the weather in Paris?"), remedy="make record")

    with pytest.raises(UnmatchedRequest) as caught:
        replayed.decide(chat("what is the weather in Oslo?"), "test")

    assert str(caught.value) == (
        "No recorded exchange answers this request.\n"
        f"  request: POST {URL} (95 bytes)\n"
        "  cassette: without a path (record=none)\n"
        "  nearest: exchange 1 of 1 (not played yet)\n"
        "  differs:\n"
        '    messages[0].content: "what is the weather in Paris?" recorded, '
        '"what is the weather in Oslo?" sent\n'
        "\n"
        "To fix this:\n"
        "  * Changed on purpose? Record again: make record\n"
        '  * Changes on every run? Ignore it: ignore=["messages[0].content"]'
    )
    assert caught.value.request.json == chat("what is the weather in Oslo?").json


def test_an_empty_cassette_says_that_nothing_is_recorded_yet():
    with pytest.raises(UnmatchedRequest, match=r"Not recorded yet\? Record again: make record"):
        session(remedy="make record").decide(chat("q"), "test")


def test_all_swallowed_refusals_are_raised_in_one_report():
    replayed = session(exchange("known"))
    for content in ("one", "two"):
        with pytest.raises(UnmatchedRequest):
            replayed.decide(chat(content), "test")

    with pytest.raises(SwallowedRefusals) as caught:
        replayed.finish()

    assert [refusal.request.json["messages"][0]["content"] for refusal in caught.value.refusals] == [
        "one",
        "two",
    ]
    assert [unused.request.json["messages"][0]["content"] for unused in caught.value.unused] == ["known"]
    text = str(caught.value)
    assert text.startswith(
        "2 requests had to be refused, and the code under test hid it.\n  1. No recorded exchange"
    )
    assert "\n  2. No recorded exchange" in text
    assert f"  unused: exchange 1, POST {URL}" in text
    assert "cassette.refusals.clear()" in text


def test_refusals_that_were_meant_can_be_acknowledged():
    replayed = session()
    with pytest.raises(UnmatchedRequest):
        replayed.decide(chat("one"), "test")

    replayed.refusals.clear()

    replayed.finish()


def test_an_error_that_holds_a_refusal_is_not_told_twice():
    replayed = session()
    with pytest.raises(UnmatchedRequest) as first:
        replayed.decide(chat("one"), "test")
    with pytest.raises(UnmatchedRequest) as second:
        replayed.decide(chat("two"), "test")

    replayed.acknowledge(BaseExceptionGroup("g", [ValueError(), BaseExceptionGroup("h", [first.value])]))

    assert replayed.refusals == [second.value]


def test_exchanges_that_nobody_asked_for_are_raised():
    replayed = session(exchange("one"), exchange("two"), exchange("three"), remedy="make record")
    replayed.decide(chat("two"), "test")

    with pytest.raises(UnusedExchanges) as caught:
        replayed.finish()

    assert str(caught.value) == (
        "2 of 3 recorded exchanges were never asked for.\n"
        "  cassette: without a path (record=none)\n"
        f"  unused: exchange 1, POST {URL}\n"
        f"  unused: exchange 3, POST {URL}\n"
        "\n"
        "To fix this:\n"
        "  * Asked no more on purpose? Record again: make record\n"
        "  * Not needed by every run? unused='ignore', or pytest --llm-unused=ignore"
    )


@pytest.mark.parametrize("unused", ["warn", "ignore"])
def test_unused_exchanges_can_be_let_pass(unused):
    session(exchange("one"), unused=unused).finish()


def test_a_failed_session_does_not_complain_of_unused_exchanges():
    session(exchange("one")).finish(failed=True)


@pytest.mark.parametrize("record", ["all", "rewrite", "once"])
def test_what_records_everything_asks_everything_anew(record):
    live = session(exchange("q"), record=record, fresh=True)

    assert isinstance(live.decide(chat("q"), "test"), Forward)


def test_once_replays_what_has_a_file():
    replayed = session(exchange("q"), record="once")

    assert answer(replayed.decide(chat("q"), "test")) == "q"
    with pytest.raises(UnmatchedRequest):
        replayed.decide(chat("other"), "test")


def test_new_episodes_records_what_is_missing(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([exchange("known")]).save(path)
    live = Session(load(path), record="new_episodes")

    assert answer(live.decide(chat("known"), "test")) == "known"
    forwarded = live.decide(chat("new"), "test")
    answered(forwarded.take)
    live.finish()

    assert [e.response.body for e in load(path).exchanges] == [b"known", b"live"]


def test_exchanges_are_kept_in_the_order_in_which_their_requests_began(tmp_path):
    path = tmp_path / "x.yaml"
    live = Session(Cassette(path=path), record="all")
    takes = [live.decide(chat("q"), "test").take for _ in range(4)]

    for number in (2, 0, 3, 1):
        answered(takes[number], str(number).encode())
    assert [call.response.body for call in live.cassette.calls] == [b"0", b"1", b"2", b"3"]
    live.finish()

    assert [e.response.body for e in load(path).exchanges] == [b"0", b"1", b"2", b"3"]


def test_the_recording_of_a_failed_session_is_kept_beside_the_good_one(tmp_path):
    path = tmp_path / "x.yaml"
    Cassette([exchange("q", "good")]).save(path)
    before = path.read_bytes()
    live = Session(load(path), record="all")

    answered(live.decide(chat("q"), "test").take, b"bad")
    live.finish(failed=True)

    assert path.read_bytes() == before
    assert live.aside == tmp_path / "x.failed.yaml"
    assert load(live.aside).exchanges[0].response.body == b"bad"


def test_a_session_that_recorded_nothing_writes_nothing(tmp_path):
    Session(Cassette(path=tmp_path / "x.yaml"), record="all").finish()

    assert list(tmp_path.iterdir()) == []


def test_a_response_that_was_never_read_to_its_end_is_one_that_the_client_closed(tmp_path):
    live = Session(Cassette(path=tmp_path / "x.yaml"), record="all")
    take = live.decide(chat("q"), "test").take
    take.head(200, ())
    take.chunk(b"so far")

    live.finish()
    take.chunk(b"too late")
    take.complete()

    recorded = load(tmp_path / "x.yaml").exchanges[0].response
    assert (recorded.body, recorded.ended) == (b"so far", "closed")


def test_a_secret_that_was_not_redacted_is_refused_with_what_else_there_is_to_say(tmp_path):
    class Blind(Redaction):
        def exchange(self, exchange: Exchange) -> Exchange:
            return exchange

    live = Session(Cassette(path=tmp_path / "x.yaml"), record="all", redaction=Blind(environ={}))
    answered(live.decide(chat("sk-" + "a1B2c3D4" * 5), "test").take)
    live.refuse(UnmatchedRequest("told as well"))

    with pytest.raises(SecretInCassette) as caught:
        live.finish()

    assert "told as well" in caught.value.__notes__[0]
    assert list(tmp_path.iterdir()) == []


def test_a_secret_in_a_request_is_no_reason_for_a_miss(tmp_path):
    path = tmp_path / "x.yaml"
    recorded, replayed = "sk-" + "a1B2c3D4" * 5, "sk-" + "z9Y8x7W6" * 5
    live = Session(Cassette(path=path), record="all")
    answered(live.decide(chat(f"my key is {recorded}", f"{URL}?key={recorded}"), "test").take)
    live.finish()

    again = Session(load(path))

    assert answer(again.decide(chat(f"my key is {replayed}", f"{URL}?key={replayed}"), "test")) == "live"
    assert recorded not in path.read_text()


OTHER = Request("GET", "https://weather.example/paris")


def test_other_http_is_replayed_too():
    replayed = session(Exchange(OTHER, Response.of(200, b"sunny")))

    assert answer(replayed.decide(OTHER, "test")) == "sunny"


def test_other_http_that_is_not_recorded_is_passed_on_and_refused_only_if_it_would_leave():
    replayed = session(exchange("q"), unused="ignore")
    passed = replayed.decide(OTHER, "test")

    assert isinstance(passed, PassOn)
    assert replayed.refusals == []
    refusal = passed.refuse(replayed.block("weather.example"))
    assert isinstance(refusal, UnmatchedRequest)
    assert replayed.refusals == [refusal]


def test_other_http_is_recorded_unless_only_model_calls_are_wanted():
    assert isinstance(session(record="all").decide(OTHER, "test"), Forward)
    assert isinstance(session(record="all", only="llm").decide(OTHER, "test"), PassOn)
    assert isinstance(session(record="all", only="llm").decide(chat("q"), "test"), Forward)


def test_other_http_to_this_machine_is_left_alone_and_model_calls_to_it_are_not():
    live = session(record="all")

    assert isinstance(live.decide(Request("GET", "http://127.0.0.1:8000/health"), "test"), PassOn)
    assert isinstance(live.decide(chat("q", "http://127.0.0.1:8000/v1/chat/completions"), "test"), Forward)


def test_an_allowed_host_is_reached_live_even_for_a_model_call():
    replayed = session(allowed_hosts=["openai.com"])

    assert isinstance(replayed.decide(chat("q"), "test"), PassOn)
    with pytest.raises(UnmatchedRequest):
        replayed.decide(chat("q", "https://notopenai.com/v1/chat/completions"), "test")


def test_a_script_answers_model_calls_and_leaves_the_rest():
    class Echo:
        left = ()

        def answer(self, request: Request) -> Exchange:
            return Exchange(request, Response.of(200, b"scripted"))

    scripted = session(script=Echo())

    assert answer(scripted.decide(chat("q"), "test")) == "scripted"
    assert isinstance(scripted.decide(OTHER, "test"), PassOn)
    scripted.finish()


def test_the_innermost_session_decides_and_passes_on_what_it_does_not_know():
    inner, outer = session(exchange("inner")), session(Exchange(OTHER, Response.of(200, b"sunny")))
    sessions.enter(outer)
    sessions.enter(inner)
    try:
        assert answer(sessions.decide(chat("inner"), "test")) == "inner"
        assert answer(sessions.decide(OTHER, "test")) == "sunny"
        with pytest.raises(UnmatchedRequest):
            sessions.decide(chat("nobody"), "test")
        assert len(inner.refusals) == 1
        assert outer.refusals == []
        missed = sessions.decide(Request("GET", "https://weather.example/oslo"), "test")
        assert missed.refuse(inner.block("weather.example")) in inner.refusals
    finally:
        sessions.leave(inner)
        sessions.leave(outer)
    assert sessions.current() is None


def test_a_closed_session_that_a_context_still_holds_is_passed_over():
    outer, inner = session(), session()
    sessions.enter(outer)
    sessions.enter(inner)

    sessions.leave(outer)
    assert sessions.current() is inner
    sessions.leave(inner)
    assert sessions.current() is None


def test_a_thread_without_the_context_belongs_to_the_session_opened_last():
    opened = session()
    sessions.enter(opened)
    found = []
    try:
        thread = threading.Thread(target=lambda: found.append(sessions.current()))
        thread.start()
        thread.join()
    finally:
        sessions.leave(opened)

    assert found == [opened]


def blocked(host: str, *opened: Session) -> LiveCallBlocked | None:
    for each in opened:
        sessions.enter(each)
    try:
        return sessions.block(host)
    finally:
        for each in reversed(opened):
            sessions.leave(each)


def test_a_connection_is_blocked_unless_a_session_may_go_live_or_allows_the_host():
    assert blocked("provider.example") is None
    assert blocked("provider.example", session(record="all")) is None
    assert blocked("provider.example", session(network="allow")) is None
    assert blocked("api.provider.example", session(allowed_hosts=["provider.example"])) is None
    assert blocked("provider.example", session(record="all"), session()) is None
    refused = session(remedy="make record")

    refusal = blocked("provider.example", refused)

    assert refused.refusals == [refusal]
    assert refusal.host == "provider.example"
    assert "A live call to provider.example was blocked." in str(refusal)
    assert "allowed_hosts=['provider.example']" in str(refusal)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("api.openai.com", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_names(host, local):
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("record", "sometimes", "one of none, once, new_episodes, all, rewrite"),
        ("unused", "explode", "one of fail, warn, ignore"),
        ("network", "open", "one of block, allow"),
        ("only", "http", "'llm' or None"),
        ("speed", -1, "0 (do not wait)"),
        ("speed", "fast", "0 (do not wait)"),
        ("speed", float("inf"), "0 (do not wait)"),
        ("speed", True, "0 (do not wait)"),
        ("split", "words", "None, 'bytes', sizes such as (1, 5, 2), or a seed such as 7"),
        ("split", (), "None, 'bytes'"),
        ("split", (1, 0), "None, 'bytes'"),
        ("split", True, "None, 'bytes'"),
        ("allowed_hosts", "example.com", "a list such as ['example.com']"),
        ("ignore", ["messages["], "a path such as"),
    ],
)
def test_an_option_that_means_nothing_is_an_error(option, value, expected):
    with pytest.raises(OptionError) as caught:
        session(**{option: value})

    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{option} is ")


STREAM = Response(200, (), (Chunk(b"abc", 1.0), Chunk(b"", 2.0), Chunk(b"defgh", 4.0)))


def pieces(**options) -> list[tuple[bytes, float]]:
    played = session(Exchange(OTHER, STREAM), **options).decide(OTHER, "test")
    return list(played.pieces())


def test_a_body_is_played_as_it_was_recorded():
    assert pieces() == [(b"abc", 0.0), (b"", 0.0), (b"defgh", 0.0)]
    assert pieces(speed=1) == [(b"abc", 1.0), (b"", 2.0), (b"defgh", 4.0)]
    assert pieces(speed=2) == [(b"abc", 0.5), (b"", 1.0), (b"defgh", 2.0)]


def test_a_body_that_is_cut_anew_keeps_its_bytes_and_its_time():
    assert pieces(split=(2, 3), speed=1) == [(b"ab", 1.0), (b"cde", 6.0), (b"fg", 0.0), (b"h", 0.0)]
    assert [piece for piece, _ in pieces(split="bytes")] == [bytes([byte]) for byte in b"abcdefgh"]
    assert sum(wait for _, wait in pieces(split="bytes", speed=1)) == 7.0
    assert b"".join(piece for piece, _ in pieces(split=7)) == b"abcdefgh"
    assert pieces(split=7) == pieces(split=7)
    assert any(pieces(split=7) != pieces(split=seed) for seed in range(8, 20))


def test_a_replay_parses_the_answer_and_not_the_request(tmp_path, monkeypatch):
    from llmreplay.cassette import _yaml

    path = tmp_path / "x.yaml"
    Cassette([exchange("0"), Exchange(chat("1"), Response.of(200, bytes(range(256))))]).save(path)
    parsed = []
    real = _yaml.parse
    monkeypatch.setattr(_yaml, "parse", lambda text: parsed.append(text) or real(text))

    replayed = Session(load(path))
    assert replayed.decide(chat("0"), "test").outcome.body == b"0"
    assert parsed == []

    # Bytes that are no text take YAML, and still no more than the answer.
    assert replayed.decide(chat("1"), "test").outcome.body == bytes(range(256))
    assert len(parsed) == 1
    assert parsed[0].startswith(b"response:")


def test_the_calls_are_what_was_asked_with_what_was_answered():
    replayed = session(exchange("recorded", "answer"), ignore=["messages[*].content"])

    replayed.decide(chat("asked"), "test")

    (call,) = replayed.cassette.calls
    assert call.request.json["messages"][0]["content"] == "asked"
    assert call.response.body == b"answer"


def test_a_recording_that_ended_early_is_named_by_its_number(tmp_path):
    left = Response(200, (), (Chunk(b"so far"),), "closed")
    replayed = session(exchange("one"), Exchange(chat("two"), left), remedy="make record")
    played = replayed.decide(chat("two"), "test")

    assert str(replayed.recording_ended(played.exchange)) == (
        "The recording ends here: the client that was recorded stopped reading.\n"
        f"  request: POST {URL} (70 bytes)\n"
        "  cassette: without a path (record=none), exchange 2\n"
        "  recorded: 6 bytes, then the client left\n"
        "\n"
        "To fix this:\n"
        "  * Read no further than the recording, or record what comes next.\n"
        "  * Changed on purpose? Record again: make record"
    )

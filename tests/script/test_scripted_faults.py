"""What goes wrong on purpose, in the words of the provider that is asked."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from llmreplay import Script, call, cut, fail, respond, say, spoil, turn
from llmreplay.completion import CompletionError, HttpError, JsonError, ProviderError
from llmreplay.errors import OptionError, ScriptMistake
from llmreplay.script._faults import How, Spoiling
from tests.script.asked import asking, claude, response, tool

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-test:generateContent"


def error_of(exchange):
    with pytest.raises(CompletionError) as raised:
        exchange.decode()
    return raised.value


# errors of the provider

STATUSES = [
    (400, "invalid_request"),
    (401, "authentication"),
    (402, "quota_exhausted"),
    (403, "permission_denied"),
    (404, "not_found"),
    (408, "timeout"),
    (409, "conflict"),
    (413, "request_too_large"),
    (418, "invalid_request"),
    (422, "invalid_request"),
    (429, "rate_limited"),
    (500, "server_error"),
    (501, "not_supported"),
    (499, "cancelled"),
    (502, "server_error"),
    (503, "overloaded"),
    (504, "timeout"),
    (529, "overloaded"),
    (599, "server_error"),
]


@pytest.mark.parametrize("make", [asking, claude], ids=["openai", "anthropic"])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_a_status_stands_for_the_kind_of_error_that_has_it(status, kind, make):
    assert fail(status).kind == kind
    error = error_of(Script(fail(status)).answer(make()))
    assert error.status == status
    if make is claude and status in {400, 401, 403, 404, 413, 429, 500, 529}:
        assert error.kind == kind


def test_an_error_has_the_body_and_the_headers_of_its_provider():
    openai = response(Script(fail("rate_limited")).answer(asking()))
    anthropic = response(Script(fail("overloaded")).answer(claude()))

    assert (openai.status, openai.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert openai.header("x-request-id").startswith("req_")
    assert (anthropic.status, anthropic.json["error"]["type"]) == (529, "overloaded_error")
    assert anthropic.header("request-id").startswith("req_")


def test_what_an_error_says_can_be_told():
    script = Script(fail("not_found", "No such thing.", code="gone", status=410, headers={"X-Id": "7"}))
    error = error_of(exchange := script.answer(asking()))

    assert (error.message, error.code, error.status) == ("No such thing.", "gone", 410)
    assert response(exchange).header("x-id") == "7"


def test_an_error_that_may_be_retried_is_retried_at_once():
    script = Script(fail(429), fail(429, retry_after=2), fail(400))
    soon, later, never = (response(script.answer(asking())) for _ in range(3))

    assert (soon.header("retry-after-ms"), soon.header("retry-after")) == ("1", None)
    assert (later.header("retry-after-ms"), later.header("retry-after")) == ("2000", "2")
    assert (never.header("retry-after-ms"), never.header("retry-after")) == (None, None)


@pytest.mark.parametrize("what", ["quota_exhausted", 408, "not_supported"])
def test_what_sdks_retry_in_vain_is_retried_at_once_too(what):
    assert response(Script(fail(what)).answer(asking())).header("retry-after-ms") == "1"


def test_a_header_of_ones_own_takes_the_place_of_the_providers():
    answer = response(Script(fail(429, headers={"Retry-After-Ms": "7"})).answer(asking()))

    assert [value for name, value in answer.headers if name.lower() == "retry-after-ms"] == ["7"]


@pytest.mark.parametrize(
    ("kind", "error", "phase"),
    [("timeout", "ReadTimeout", "headers"), ("connection", "ConnectError", "connect")],
)
def test_a_failure_of_the_network_has_no_answer(kind, error, phase):
    script = Script(fail(kind), fail(kind, "It broke."))
    exchange = script.answer(asking())

    assert exchange.response is None
    assert (exchange.failure.error, exchange.failure.phase) == (error, phase)
    assert isinstance(error_of(exchange), HttpError)
    assert script.answer(asking()).failure.message == "It broke."


def test_a_time_out_with_a_status_is_an_answer():
    assert response(Script(fail("timeout", status=408)).answer(asking())).status == 408


@pytest.mark.parametrize("make", [asking, claude], ids=["openai", "anthropic"])
def test_a_call_that_was_cancelled_is_the_same_by_its_kind_and_by_its_status(make):
    by_kind = Script(fail("cancelled", status=499)).answer(make())

    assert response(by_kind) == response(Script(fail(499)).answer(make()))
    assert (error_of(by_kind).status, error_of(by_kind).retryable) == (499, False)


def test_an_error_comes_in_a_stream_after_so_many_events():
    whole = response(Script("One two three.").answer(claude(stream=True)))
    script = Script(fail("overloaded", "Too much.", during="One two three.", after=4))
    broken = response(exchange := script.answer(claude(stream=True)))

    assert broken.status == 200
    assert broken.chunks[:4] == whole.chunks[:4]
    assert broken.chunks[4].data.startswith(b"event: error\n")
    assert len(broken.chunks) == 5
    error = error_of(exchange)
    assert (type(error), error.kind, error.message) == (ProviderError, "overloaded", "Too much.")


def test_an_error_during_a_turn_is_plain_where_no_stream_is_asked_for():
    answer = response(Script(fail("overloaded", during="One two three.")).answer(claude()))

    assert (answer.status, answer.json["error"]["type"]) == (529, "overloaded_error")


def test_a_kind_that_a_provider_has_no_answer_for_is_a_refusal():
    with pytest.raises(ScriptMistake, match="has no answer for 'stream_truncated'"):
        Script(fail("stream_truncated")).answer(asking(url="https://api.cohere.com/v2/chat"))


# answers that break off

ERRORS = {"eof": "RemoteProtocolError", "reset": "ReadError", "timeout": "ReadTimeout"}


@pytest.mark.parametrize("how", get_args(How))
def test_a_stream_breaks_off_after_so_many_events(how):
    whole = response(Script("One two three.").answer(asking(stream=True)))
    broken = response(exchange := Script(cut("One two three.", 3, how=how)).answer(asking(stream=True)))

    assert broken.chunks == whole.chunks[:3]
    error = error_of(exchange)
    if how == "end":
        assert (broken.ended, broken.failure, error.kind) == ("complete", None, "stream_truncated")
    else:
        assert (broken.ended, broken.failure.error, broken.failure.phase) == ("cut", ERRORS[how], "body")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("size", [0, 1, 60, 200])
def test_an_answer_breaks_off_after_so_many_bytes(size, stream):
    whole = response(Script("One two three.").answer(asking(stream=stream)))
    broken = response(Script(cut("One two three.", after_bytes=size)).answer(asking(stream=stream)))

    assert broken.body == whole.body[:size]
    assert (whole.status, whole.ended) == (200, "complete")
    assert (broken.status, broken.ended) == (200, "cut")


def test_an_answer_breaks_off_in_the_middle_unless_told_where():
    whole = response(Script("One two three.").answer(asking(stream=True))).body

    assert (
        response(Script(cut("One two three.")).answer(asking(stream=True))).body == whole[: len(whole) // 2]
    )


def test_a_plain_answer_has_no_events_and_breaks_off_in_the_middle():
    whole = response(Script("One two three.").answer(asking())).body
    broken = response(exchange := Script(cut("One two three.", after=7, how="end")).answer(asking()))

    assert broken.body == whole[: len(whole) // 2]
    assert broken.header("content-length") is None
    assert isinstance(error_of(exchange), JsonError)


def test_any_turn_can_break_off():
    script = Script(
        cut(call("get_weather", city="Paris"), 2),
        cut(turn("a", "b"), 2),
        cut(respond(lambda request: say(request.prompt)), 2),
        cut(respond(lambda _: fail("connection"))),
    )

    for _ in range(3):
        assert response(script.answer(asking(stream=True, tools=[tool()]))).ended == "cut"
    assert script.answer(asking()).failure.error == "ConnectError"


# answers that are none


def test_a_malformed_answer_is_no_json():
    plain = Script(spoil("Hello.")).answer(asking())

    assert response(plain).status == 200
    assert response(plain).header("content-type") == "application/json"
    with pytest.raises(json.JSONDecodeError):
        json.loads(response(plain).body)
    assert isinstance(error_of(plain), JsonError)


def test_a_malformed_stream_has_frames_that_are_no_json():
    streamed = Script(spoil("Hello.", "malformed")).answer(asking(stream=True))

    assert response(streamed).body.startswith(b'data: {"id""')
    assert isinstance(error_of(streamed), JsonError)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_page_of_a_proxy_is_no_answer(stream):
    answer = response(Script(spoil("Hello.", "content_type")).answer(asking(stream=stream)))

    assert (answer.status, answer.header("content-type")) == (200, "text/html")
    assert answer.body == b"<html><body>upstream connect error</body></html>"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer_can_be_empty(stream):
    answer = response(Script(spoil("Hello.", "empty")).answer(asking(stream=stream)))

    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", None)


@pytest.mark.parametrize("how", get_args(Spoiling))
def test_whatever_is_spoilt_decodes_as_an_error(how):
    assert error_of(Script(spoil("Hello.", how)).answer(asking())).kind in {"decode_error", "response_schema"}


# what means nothing

KINDS = (
    "a status, or one of invalid_request, authentication, permission_denied, not_found, request_too_large, "
    "conflict, rate_limited, quota_exhausted, server_error, overloaded, not_supported, timeout, connection, "
    "cancelled, content_filter, error_in_200, stream_error, stream_truncated, decode_error, response_schema, "
    "request_build, unknown"
)
WRONG = [
    (lambda: fail("no such"), f"fail is 'no such'; expected {KINDS}"),
    (lambda: fail(True), f"fail is True; expected {KINDS}"),
    (lambda: fail(200), "fail is 200; expected a status from 400 to 599, or a kind such as 'rate_limited'"),
    (lambda: fail(429, retry_after=-1), "retry_after is -1; expected seconds"),
    (lambda: fail(429, during="a", after=-1), "after is -1; expected 0 or more"),
    (lambda: cut("a", how="no such"), "how is 'no such'; expected one of eof, reset, timeout, end"),
    (lambda: cut("a", -1), "after is -1; expected 0 or more"),
    (lambda: cut("a", after_bytes=-1), "after_bytes is -1; expected 0 or more"),
    (lambda: cut("a", 1, after_bytes=1), "after_bytes is 1; expected either events or bytes"),
    (lambda: spoil("a", "no such"), "how is 'no such'; expected one of malformed, content_type, empty"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_what_means_nothing_is_told_where_it_is_written(make, message):
    with pytest.raises(OptionError) as error:
        make()
    assert str(error.value) == message


def test_a_fault_of_a_fault_is_none():
    with pytest.raises(OptionError, match="expected say"):
        cut(fail(429))

"""What goes wrong with a call: statuses, bodies of errors, broken connections, broken bodies."""

from __future__ import annotations

import json

import pytest
from payloads import CHAT, MESSAGES, STREAM, asked, chat, delta, message, plain, sse, streamed, told

from llmreplay import codecs
from llmreplay.completion import (
    CompletionError,
    Final,
    HttpError,
    JsonError,
    ProviderError,
    ResponseError,
    StreamError,
    TextDelta,
)
from llmreplay.errors import UnknownWire
from llmreplay.exchange import Chunk, Exchange, Failure, Response
from llmreplay.framing.sse import MAX_FRAME


def error_of(exchange: Exchange) -> CompletionError:
    with pytest.raises(CompletionError) as caught:
        codecs.decode(exchange)
    return caught.value


def refused(status: int, body: object, headers: object = ()) -> CompletionError:
    return error_of(plain(body, CHAT, status, headers))


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid_request", False),
        (401, "authentication", False),
        (402, "quota_exhausted", False),
        (403, "permission_denied", False),
        (404, "not_found", False),
        (408, "timeout", True),
        (409, "conflict", True),
        (413, "request_too_large", False),
        (418, "invalid_request", False),
        (422, "invalid_request", False),
        (429, "rate_limited", True),
        (498, "authentication", False),
        (499, "cancelled", False),
        (500, "server_error", True),
        (501, "not_supported", False),
        (502, "server_error", True),
        (503, "overloaded", True),
        (504, "timeout", True),
        (520, "server_error", True),
        (529, "overloaded", True),
    ],
)
def test_a_status_alone_has_a_kind(status: int, kind: str, retryable: bool) -> None:  # noqa: FBT001  parametrized
    error = refused(status, b"")

    assert isinstance(error, ProviderError)
    assert (error.kind, error.retryable, error.status) == (kind, retryable, status)
    assert error.message == f"HTTP status {status}"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "message"),
    [
        (
            400,
            {"error": {"message": "m", "type": "t", "code": "context_length_exceeded"}},
            "request_too_large",
            "context_length_exceeded",
            "m",
        ),
        (
            400,
            {"error": {"message": "m", "type": "exceed_context_size_error", "code": 400}},
            "request_too_large",
            "exceed_context_size_error",
            "m",
        ),
        (
            404,
            {"error": {"message": "m", "type": "invalid_request_error", "code": "model_not_found"}},
            "not_found",
            "model_not_found",
            "m",
        ),
        (
            400,
            {"error": {"message": "The requested model 'x' does not exist.", "code": None}},
            "not_found",
            None,
            "The requested model 'x' does not exist.",
        ),
        (
            429,
            {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}},
            "quota_exhausted",
            "insufficient_quota",
            "m",
        ),
        (
            429,
            {"error": {"message": "Rate limit of your plan tier", "code": "rate_limit_exceeded"}},
            "rate_limited",
            "rate_limit_exceeded",
            "Rate limit of your plan tier",
        ),
        (
            400,
            {
                "error": {
                    "message": "m",
                    "code": "content_filter",
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            "content_filter",
            "content_filter",
            "m",
        ),
        (
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided: xa***."},
            "authentication",
            "invalid-argument",
            "Incorrect API key provided: xa***.",
        ),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "m",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            },
            "authentication",
            "INVALID_ARGUMENT",
            "m",
        ),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "Your credit balance is too low."},
            },
            "quota_exhausted",
            "invalid_request_error",
            "Your credit balance is too low.",
        ),
        (
            429,
            {
                "error": {
                    "type": "rate_limit_error",
                    "message": "m",
                    "details": {"error_code": "enforced_spend_limit_reached"},
                }
            },
            "rate_limited",
            "rate_limit_error",
            "m",
        ),
        (401, {"detail": "Unauthorized"}, "authentication", None, "Unauthorized"),
        (
            422,
            {"detail": [{"loc": ["body", "model"], "msg": "Field required"}, {"msg": "odd"}]},
            "invalid_request",
            None,
            "body.model: Field required; odd",
        ),
        (
            400,
            {"object": "error", "message": {"detail": "d"}, "type": "invalid_model", "code": "1500"},
            "not_found",
            "invalid_model",
            "d",
        ),
        (
            404,
            {"object": "error", "message": "m", "type": "NotFoundError", "code": 404},
            "not_found",
            "NotFoundError",
            "m",
        ),
        (404, {"error": "model 'x' not found"}, "not_found", None, "model 'x' not found"),
        (503, {"error": "busy", "error_type": "overloaded"}, "overloaded", "overloaded", "busy"),
        (400, {"code": "c", "message": "m", "type": "t"}, "invalid_request", "c", "m"),
        (429, {"error": {"message": "m", "code": 429}}, "rate_limited", "429", "m"),
        (
            400,
            [{"error": {"code": 400, "message": "in a list", "status": "FAILED_PRECONDITION"}}],
            "invalid_request",
            "FAILED_PRECONDITION",
            "in a list",
        ),
        (
            502,
            b"<html>\n<h1>Bad  gateway</h1></html>",
            "server_error",
            None,
            "<html> <h1>Bad gateway</h1></html>",
        ),
        (500, [], "server_error", None, "HTTP status 500"),
        (
            500,
            {"error": {"message": "the request is too large to process"}},
            "request_too_large",
            None,
            "the request is too large to process",
        ),
        (400, 7, "invalid_request", None, "HTTP status 400"),
    ],
)
def test_bodies_of_errors_are_read_in_all_their_shapes(
    status: int, body: object, kind: str, code: str | None, message: str
) -> None:
    error = refused(status, body)

    assert (error.kind, error.code, error.message) == (kind, code, message)
    assert error.provider == "openai"


def test_the_body_is_kept_parsed_or_as_text() -> None:
    assert refused(400, {"error": "x"}).body == {"error": "x"}
    assert refused(500, b"oops").body == "oops"
    assert refused(500, b"").body is None


def test_a_header_names_the_error_of_aws() -> None:
    error = refused(400, {"message": "m"}, [("x-amzn-errortype", "ThrottlingException:http://internal")])

    assert (error.kind, error.code) == ("rate_limited", "ThrottlingException")


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ([("retry-after-ms", "1500"), ("retry-after", "9")], {}, 1.5),
        ([("Retry-After", "7")], {}, 7.0),
        ([("retry-after", "0.25")], {}, 0.25),
        (
            [("retry-after", "Fri, 20 Nov 2026 10:00:30 GMT"), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")],
            {},
            30.0,
        ),
        (
            [("retry-after", "Fri, 20 Nov 2020 10:00:30 GMT"), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")],
            {},
            0.0,
        ),
        ([("retry-after", "Thu, 01 Jan 1970 00:00:01 GMT")], {}, 0.0),
        ([("retry-after", "soon")], {}, None),
        ([], {}, None),
        ([], {"error": {"details": [{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": "7s"}]}}, 7.0),
        ([], {"error": {"details": [{"retryDelay": "0.5s"}]}}, 0.5),
        ([], {"error": {"details": [{"retryDelay": "later"}]}}, None),
        ([("retry-after", "3")], {"error": {"details": [{"retryDelay": "7s"}]}}, 3.0),
    ],
)
def test_how_long_to_wait_is_told_in_seconds(headers: object, body: object, seconds: float | None) -> None:
    assert refused(429, body, headers).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "advice", "retryable"), [(400, "true", True), (429, "false", False), (429, "?", True)]
)
def test_the_providers_advice_on_retries_wins(status: int, advice: str, retryable: bool) -> None:  # noqa: FBT001  parametrized
    assert refused(status, {}, [("x-should-retry", advice)]).retryable is retryable


def test_the_id_of_the_request_is_in_a_header_or_the_body() -> None:
    assert refused(400, {"request_id": "b"}, [("x-request-id", "h")]).request_id == "h"
    assert refused(400, {"request_id": "b"}).request_id == "b"
    assert refused(400, {"id": "b", "message": "m"}).request_id == "b"
    assert refused(400, {"id": "b", "error": {"message": "m"}}).request_id is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "m", "code": 502}}, "server_error"),
        ({"error": {"message": "m", "code": 429}}, "rate_limited"),
        ({"error": {"message": "m", "type": "server_error"}}, "server_error"),
        ({"error": {"message": "m", "status_code": 400}}, "invalid_request"),
        ({"error": {"message": "m"}}, "error_in_200"),
        ({"error": "m"}, "error_in_200"),
        ({"object": "error", "message": "m", "code": 7}, "error_in_200"),
        ({"choices": [{"error": {"message": "m", "code": 503}, "message": {}}]}, "overloaded"),
    ],
)
def test_an_error_in_a_200_is_an_error(body: object, kind: str) -> None:
    error = error_of(plain(body))

    assert isinstance(error, ProviderError)
    assert (error.kind, error.message, error.status) == (kind, "m", 200)


def test_a_body_that_is_not_json_is_a_json_error() -> None:
    for body, said in ((b'{"choices": [', "not JSON"), (b"", "empty"), (b"<html>", "not JSON")):
        error = error_of(plain(body))
        assert isinstance(error, JsonError)
        assert (error.kind, error.status) == ("decode_error", 200)
        assert said in error.message


@pytest.mark.parametrize(
    "body", [{}, [], 3, {"choices": []}, {"choices": None}, {"choices": [1]}, {"request_id": "r"}]
)
def test_json_that_is_no_completion_is_a_response_error(body: object) -> None:
    error = error_of(plain(body))

    assert isinstance(error, ResponseError)
    assert (error.kind, error.body) == ("response_schema", body)


def test_a_redirect_is_no_completion() -> None:
    assert error_of(plain(b"", status=302)).kind == "decode_error"


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("ConnectError", "connection", True),
        ("ReadTimeout", "timeout", True),
        ("ConnectTimeout", "timeout", True),
        ("ServerTimeoutError", "timeout", True),
        ("TimedOut", "timeout", True),
        ("RemoteProtocolError", "connection", True),
        ("CancelledError", "cancelled", False),
    ],
)
def test_a_request_without_a_response_failed_by_the_network(name: str, kind: str, retryable: bool) -> None:  # noqa: FBT001  parametrized
    exchange = Exchange(asked(CHAT, {}), failure=Failure(name, "why", "connect"))
    error = error_of(exchange)

    assert isinstance(error, HttpError)
    assert (error.kind, error.retryable, error.status) == (kind, retryable, None)
    assert error.message == f"{name} (connect): why"
    (event,) = codecs.events(exchange)
    assert isinstance(event, StreamError)
    assert event.error.kind == kind


RESET = Failure("RemoteProtocolError", "", "body")
HALF = sse(delta({"content": "Hel"}), done=False)


def test_a_stream_that_breaks_gives_what_came_and_the_reason() -> None:
    exchange = streamed(HALF + b'data: {"id": "c-', ended="cut", failure=RESET)
    error = error_of(exchange)
    events = codecs.events(exchange)

    assert (type(error), error.kind, error.status) == (HttpError, "connection", 200)
    assert TextDelta(text="Hel") in events
    assert isinstance(events[-1], StreamError)
    assert not any(isinstance(event, Final) for event in events)


def test_a_stream_that_times_out_is_a_timeout() -> None:
    assert (
        error_of(streamed(HALF, ended="cut", failure=Failure("ReadTimeout", phase="body"))).kind == "timeout"
    )


def test_a_stream_that_ends_too_early_in_good_order_is_truncated() -> None:
    error = error_of(streamed(HALF))

    assert (type(error), error.kind, error.retryable) == (HttpError, "stream_truncated", True)


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
def test_an_empty_stream_is_truncated(url: str) -> None:
    assert error_of(streamed(b"", url)).kind == "stream_truncated"
    assert error_of(Exchange(asked(url, {"stream": True}), Response(200))).kind == "stream_truncated"


def test_done_without_any_answer_is_truncated() -> None:
    assert error_of(streamed(sse())).kind == "stream_truncated"


def test_a_client_that_leaves_early_is_cancelled() -> None:
    assert error_of(streamed(HALF, ended="closed")).kind == "cancelled"
    assert error_of(streamed(HALF, ended="closed", failure=Failure("CancelledError"))).kind == "cancelled"
    leaving = Exchange(asked(CHAT, {}), Response(200, (), (Chunk(b'{"id"'),), "closed"))
    assert error_of(leaving).kind == "cancelled"


def test_a_client_that_leaves_when_all_is_told_missed_nothing() -> None:
    whole = streamed(sse(delta({"content": "a"}, "stop"), done=False), ended="closed")

    assert codecs.decode(whole).text == "a"


def test_a_break_behind_the_answer_counts_unless_the_terminal_had_come() -> None:
    finished = sse(delta({"content": "a"}, "stop"), done=False)
    message_told = told(({"type": "text", "text": "a"}, []))

    assert error_of(streamed(finished, ended="cut", failure=RESET)).kind == "connection"
    assert codecs.decode(streamed(finished + b"data: [DONE]\n\n", ended="cut", failure=RESET)).text == "a"
    assert (
        error_of(streamed(sse(*message_told[:-1], done=False), MESSAGES, "cut", RESET)).kind == "connection"
    )
    assert codecs.decode(streamed(sse(*message_told, done=False), MESSAGES, "cut", RESET)).text == "a"


def test_a_plain_body_that_breaks_is_an_error_of_the_connection_even_if_it_came_whole() -> None:
    body = json.dumps(chat({"content": "a"})).encode()
    for data, status in ((body, 200), (body[:9], 200), (b"{}", 429)):
        exchange = Exchange(asked(CHAT, {}), Response(status, (), (Chunk(data),), "cut", RESET))
        assert error_of(exchange).kind == "connection"


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
def test_a_frame_that_is_not_json_is_an_error_and_the_stream_goes_on(url: str) -> None:
    whole = (
        sse(delta({"content": "a"}, "stop"))
        if url == CHAT
        else sse(*told(({"type": "text", "text": "a"}, [])), done=False)
    )
    exchange = streamed(b"data: {oops\n\n" + whole, url)
    events = codecs.events(exchange)

    assert isinstance(events[0], StreamError)
    assert isinstance(events[0].error, JsonError)
    assert isinstance(events[-1], Final)
    error = error_of(exchange)
    assert (type(error), error.kind, error.body) == (JsonError, "decode_error", "{oops")


def test_the_first_error_of_a_stream_is_the_one_that_counts() -> None:
    first, second = (
        {"error": {"message": name, "code": code}} for name, code in (("first", 429), ("second", 503))
    )
    error = error_of(streamed(sse(first, second)))

    assert (error.message, error.kind) == ("first", "rate_limited")


@pytest.mark.parametrize(
    "frame",
    [
        b'event: error\ndata: {"error": {"message": "m", "code": "tool_use_failed", "status_code": 400}}\n\n',
        b'event: error\ndata: {"message": "m", "status_code": 400}\n\n',
        b'data: {"error": {"message": "m", "type": "invalid_request_error"}}\n\n',
    ],
)
def test_an_error_in_the_stream_has_the_kind_of_its_code(frame: bytes) -> None:
    error = error_of(streamed(HALF + frame))

    assert (type(error), error.message) == (ProviderError, "m")
    assert error.kind in {"invalid_request", "stream_error"}


def test_an_error_in_the_stream_that_says_nothing_is_a_stream_error() -> None:
    assert error_of(streamed(sse({"error": {"message": "m"}}))).kind == "stream_error"
    assert error_of(streamed(b"data: 3\n\n")).kind == "stream_error"


def test_a_frame_without_end_is_an_error_and_what_follows_is_not_read() -> None:
    endless = Chunk(b"data: " + b"x" * MAX_FRAME)
    last = Chunk(b"\n\n" + sse(delta({"content": "a"}, "stop")))
    exchange = Exchange(asked(CHAT, {}), Response(200, STREAM, (endless, last)))

    assert error_of(exchange).kind == "decode_error"
    assert len(codecs.events(exchange)) == 1
    assert not codecs.usage(exchange).has_values


@pytest.mark.parametrize(
    ("url", "wire"),
    [
        ("https://api.openai.com/v1/completions", "openai_completions"),
        ("https://api.anthropic.com/v1/messages/count_tokens", "count_tokens"),
        ("https://example.org/forecast", "none that asks a model"),
    ],
)
def test_a_wire_that_no_codec_knows_is_named_with_those_that_are(url: str, wire: str) -> None:
    exchange = plain(message([]), url)
    expected = (
        "No codec knows what this exchange means.\n"
        f"  request: POST {url}\n"
        f"  wire: {wire}\n"
        "  decoded: anthropic_messages, bedrock_converse, bedrock_invoke, cohere, embeddings, gemini, "
        "mistral, ollama, ollama_generate, openai_chat, openai_responses, vocabulary"
    )

    for ask in (codecs.decode, codecs.events, lambda exchange: codecs.decode_request(exchange.request)):
        with pytest.raises(UnknownWire) as caught:
            ask(exchange)
        assert str(caught.value) == expected


def test_an_exchange_knows_its_own_meaning() -> None:
    exchange = plain(chat({"content": "a"}))

    assert exchange.decode() == codecs.decode(exchange)
    assert exchange.decode_request() == codecs.decode_request(exchange.request)
    assert exchange.events() == codecs.events(exchange)


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "length", "content_filter"])
def test_an_answer_of_nothing_is_one_only_if_it_was_cut_short(finish):
    choice = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": finish}
    exchange = plain(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    )

    if finish in {"stop", "tool_calls"}:
        with pytest.raises(ResponseError, match=f"the answer is empty, and ends with {finish}") as raised:
            exchange.decode()
        error = raised.value
        assert (error.kind, error.status, error.retryable) == ("response_schema", 200, False)
    else:
        answer = exchange.decode()
        assert (answer.choice, answer.finish_reason) == ([], finish)
        assert answer.finish_reason.truncated

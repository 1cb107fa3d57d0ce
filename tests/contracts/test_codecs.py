"""The contract of every codec that writes: what is encoded decodes to the same, however it is cut.

A case that a wire has no words for is skipped with its reason, see `codecs.WIRES`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmreplay import codecs
from llmreplay.codecs._encoding import STRICT_HEADER
from llmreplay.completion import (
    Choice,
    CompletionError,
    CompletionRequest,
    CompletionResponse,
    ErrorKind,
    Final,
    JsonError,
    Message,
    ProviderError,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    StreamError,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolChoice,
)
from llmreplay.completion import Refusal as Declined
from llmreplay.errors import UnknownWire
from llmreplay.exchange import Chunk, Exchange, Failure, Request, Response
from llmreplay.script._asked import CHOOSY
from tests.contracts.codecs import CLOCK, TURNS, WEATHER, WIRES, Wire, called, generated

ADVERSARIAL = (1, 5, 2, 13, 3, 8, 21)
ABORTED = Failure("RemoteProtocolError", "peer closed connection", "body")
NO_ANSWER = {
    "timeout",
    "connection",
    "cancelled",
    "error_in_200",
    "stream_error",
    "stream_truncated",
    "decode_error",
    "response_schema",
    "request_build",
    "unknown",
}
"""Kinds for which no provider has a status that says just that."""

KINDS = [kind for kind in get_args(ErrorKind) if kind not in NO_ANSWER]
every_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
quick = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def unless(wire: Wire, case: str) -> Any:
    """Return the marks of a case: a skip with its reason, if the wire has no words for it."""
    return pytest.mark.skip(reason=wire.cannot[case]) if case in wire.cannot else ()


CASES = [
    pytest.param(wire, name, id=f"{wire.name}-{name}", marks=unless(wire, name))
    for wire in WIRES
    for name in {**TURNS, **wire.own}
]
STREAMED = [
    pytest.param(
        *case.values,
        id=case.id,
        marks=case.marks
        or unless(case.values[0], "streams")
        or unless(case.values[0], f"{case.values[1]}, streamed"),
    )
    for case in CASES
]
FAILURES = [
    pytest.param(wire, kind, id=f"{wire.name}-{kind}", marks=unless(wire, kind))
    for wire in WIRES
    for kind in KINDS
]
REWORDED = [
    pytest.param(
        *case.values, id=case.id, marks=case.marks or unless(case.values[0], f"{case.values[1]}, other words")
    )
    for case in FAILURES
]


def answered(wire: Wire, response: CompletionResponse, request: Request, **options: Any) -> Exchange:
    return Exchange(request, wire.code.encode_response(response, request, **options))


def with_chunks(exchange: Exchange, *pieces: bytes, cut: bool = False) -> Exchange:
    response = exchange.response
    assert response is not None
    ended: Any = "cut" if cut else "complete"
    chunks = tuple(Chunk(piece) for piece in pieces)
    changed = Response(response.status, response.headers, chunks, ended, ABORTED if cut else None)
    return Exchange(exchange.request, changed)


def pieces(exchange: Exchange) -> list[bytes]:
    assert exchange.response is not None
    return [chunk.data for chunk in exchange.response.chunks]


def body(exchange: Exchange) -> bytes:
    return b"".join(pieces(exchange))


def assert_same(wire: Wire, found: CompletionResponse, given: CompletionResponse) -> None:
    """Compare what was set; what was not, the codec makes up."""
    ours, theirs = wire.holds(found), wire.holds(given)
    for name in given.model_fields_set - {"raw", "raw_finish_reason"}:
        assert unnamed(getattr(ours, name)) == unnamed(getattr(theirs, name)), name


def unnamed(value: Any) -> Any:
    """Return the other answers without the wire's spelling of why they ended; all else as it is."""
    if not isinstance(value, list):
        return value
    return [
        item.model_copy(update={"raw_finish_reason": None}) if isinstance(item, Choice) else item
        for item in value
    ]


def parts(found: list[Any], kind: type) -> str:
    return "".join(event.text for event in found if type(event) is kind and event.choice_index == 0)


# ------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize(("wire", "name"), CASES)
def test_a_plain_answer_decodes_to_what_was_encoded(wire: Wire, name: str) -> None:
    turn = wire.turns[name]

    exchange = answered(wire, turn.response, wire.asked(turn))

    assert exchange.response is not None
    assert exchange.response.json is not None
    assert exchange.response.header("content-length") in {None, str(len(exchange.response.body))}
    found = codecs.decode(exchange)
    assert_same(wire, found, turn.response)
    assert found.response_id or "ids" in wire.cannot
    assert found.model


@pytest.mark.parametrize(("wire", "name"), STREAMED)
def test_a_streamed_answer_decodes_to_what_was_encoded(wire: Wire, name: str) -> None:
    turn = wire.turns[name]

    exchange = answered(wire, turn.response, wire.asked(turn, stream=True))

    assert len(pieces(exchange)) > 1
    found = codecs.decode(exchange)
    assert_same(wire, found, turn.response)
    plain = codecs.decode(answered(wire, turn.response, wire.asked(turn)))
    assert wire.holds(found).choices == wire.holds(plain).choices
    assert found.usage == codecs.usage(exchange)
    assert codecs.finished(exchange) or "terminal" in wire.cannot


@pytest.mark.parametrize(("wire", "name"), CASES)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_was_decoded_is_encoded_to_the_same_again(wire: Wire, name: str, stream: Any) -> None:
    turn = wire.turns[name]
    if stream and ("streams" in wire.cannot or f"{name}, streamed" in wire.cannot):
        pytest.skip(wire.cannot.get("streams") or wire.cannot[f"{name}, streamed"])
    request = wire.asked(turn, stream=stream)

    once = codecs.decode(answered(wire, turn.response, request))
    again = codecs.decode(answered(wire, once, request))

    assert wire.holds(again) == wire.holds(once)


@pytest.mark.parametrize(("wire", "name"), STREAMED)
def test_the_events_of_a_stream_tell_the_answer_piece_by_piece(wire: Wire, name: str) -> None:
    turn = wire.turns[name]
    exchange = answered(wire, turn.response, wire.asked(turn, stream=True))

    *told, last = codecs.events(exchange)

    answer = codecs.decode(exchange)
    assert isinstance(last, Final)
    assert last.response == answer
    assert parts(told, TextDelta) == answer.text
    assert parts(told, RefusalDelta) == "".join(
        item.text for item in answer.choice if isinstance(item, Declined)
    )
    readable = [part for item in answer.choice if isinstance(item, Reasoning) for part in item.parts]
    assert parts(told, ReasoningDelta) == "".join(
        part.text for part in readable if part.kind in {"text", "summary"}
    )
    ended = [event.tool_call for event in told if isinstance(event, ToolCallEnd) and event.choice_index == 0]
    assert ended == answer.tool_calls
    for place, call in enumerate(answer.tool_calls):
        deltas = [event for event in told if isinstance(event, ToolCallDelta) and event.choice_index == 0]
        written = "".join(event.arguments for event in deltas if event.index == place)
        if call.arguments_error is None:
            assert json.loads(written or "{}") == call.arguments


@every_wire
@quick
@given(data=st.data())
def test_generated_turns_decode_to_what_was_encoded(wire: Wire, data: st.DataObject) -> None:
    turn = data.draw(generated(wire))
    for stream in (False, True):
        if stream and "streams" in wire.cannot:
            continue
        exchange = answered(wire, turn, wire.asked(stream=stream))
        assert_same(wire, codecs.decode(exchange), turn)
        if stream:
            whole = body(exchange)
            size = data.draw(st.integers(1, 40))
            cut = [whole[at : at + size] for at in range(0, len(whole), size)]
            assert codecs.decode(with_chunks(exchange, *cut)) == codecs.decode(exchange)


@every_wire
def test_the_same_turn_is_the_same_bytes_and_another_turn_has_other_ids(wire: Wire) -> None:
    for stream in (False, True):
        if stream and "streams" in wire.cannot:
            continue
        request = wire.asked(stream=stream)
        turn = TURNS["text"].response
        first = wire.code.encode_response(turn, request)
        assert wire.code.encode_response(turn, request) == first
        if "ids" not in wire.cannot:
            second = wire.code.encode_response(turn, request, turn=1)
            ids = [codecs.decode(Exchange(request, response)).response_id for response in (first, second)]
            assert ids[0] != ids[1]


# ------------------------------------------------------------------------- however the bytes are cut


STREAMS = [
    pytest.param(wire, name, id=f"{wire.name}-{name}")
    for wire in WIRES
    for name in ("text", "text and tool call", "tricky text")
    if name not in wire.cannot and "streams" not in wire.cannot
]


@pytest.mark.parametrize(("wire", "name"), STREAMS)
def test_a_stream_means_the_same_in_pieces_of_any_size(wire: Wire, name: str) -> None:
    turn = wire.turns[name]
    exchange = answered(wire, turn.response, wire.asked(turn, stream=True))
    whole, expected, events = body(exchange), codecs.decode(exchange), codecs.events(exchange)

    at, sizes, odd = 0, list(ADVERSARIAL), []
    while at < len(whole):
        sizes.append(sizes.pop(0))
        odd.append(whole[at : at + sizes[-1]])
        at += sizes[-1]

    for cut in ([whole], odd, [whole[at : at + 1] for at in range(len(whole))]):
        assert codecs.decode(with_chunks(exchange, *cut)) == expected
        assert codecs.events(with_chunks(exchange, *cut)) == events


@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire.splits], ids=lambda wire: wire.name)
def test_a_stream_means_the_same_split_in_two_at_any_byte(wire: Wire) -> None:
    exchange = answered(wire, wire.turns["one tool call"].response, wire.asked(stream=True))
    whole, expected = body(exchange), codecs.decode(exchange)

    for at in range(len(whole)):
        assert codecs.decode(with_chunks(exchange, whole[:at], whole[at:])) == expected, at


@pytest.mark.parametrize(("wire", "name"), STREAMS)
def test_a_stream_that_breaks_off_keeps_what_came_and_has_no_final(wire: Wire, name: str) -> None:
    turn = wire.turns[name]
    exchange = answered(wire, turn.response, wire.asked(turn, stream=True))
    frames, expected = pieces(exchange), codecs.decode(exchange)
    text = ""

    for count in range(1, len(frames)):
        for cut in (True, False):
            short = with_chunks(exchange, *frames[:count], cut=cut)
            *told, last = codecs.events(short)
            assert expected.text.startswith(parts(told, TextDelta))
            assert parts(told, TextDelta).startswith(text)
            text = parts(told, TextDelta)
            if isinstance(last, Final):  # nothing but empty frames, usage or the terminal is missing
                assert not cut or codecs.finished(short)
                assert wire.holds(last.response).choices == wire.holds(expected).choices
                continue
            assert isinstance(last, StreamError)
            assert last.error.kind == ("connection" if cut else "stream_truncated")
            with pytest.raises(CompletionError, match=str(last.error.kind)):
                codecs.decode(short)
    assert text == expected.text


@pytest.mark.parametrize(("wire", "name"), STREAMS)
def test_unknown_events_are_passed_over(wire: Wire, name: str) -> None:
    turn = wire.turns[name]
    exchange = answered(wire, turn.response, wire.asked(turn, stream=True))
    frames, expected = pieces(exchange), codecs.decode(exchange)

    for at in range(1, len(frames)):
        assert codecs.decode(with_chunks(exchange, *frames[:at], wire.unknown, *frames[at:])) == expected, at


@pytest.mark.parametrize(("wire", "name"), STREAMS)
def test_a_broken_event_is_an_error_and_the_stream_goes_on(wire: Wire, name: str) -> None:
    if not wire.broken:
        pytest.skip(wire.cannot["broken events"])
    turn = wire.turns[name]
    exchange = answered(wire, turn.response, wire.asked(turn, stream=True))
    frames = pieces(exchange)
    damaged = with_chunks(exchange, *frames[:2], wire.broken, *frames[2:])

    with pytest.raises(JsonError):
        codecs.decode(damaged)
    assert any(isinstance(event, StreamError) for event in codecs.events(damaged))


# ------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(("wire", "kind"), FAILURES)
def test_an_error_decodes_to_the_kind_that_was_encoded(wire: Wire, kind: Any) -> None:
    request = wire.asked()

    response = wire.code.encode_error(kind, request)

    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, response))
    error = caught.value
    assert error.kind == kind
    assert error.status == response.status >= 400
    assert error.message
    assert response.header("retry-after") is None
    if error.retryable:
        assert response.header("retry-after-ms") == "1"
    assert wire.code.encode_error(kind, request) == response


@pytest.mark.parametrize(("wire", "kind"), REWORDED)
def test_an_error_says_what_it_is_told_to(wire: Wire, kind: Any) -> None:
    request = wire.asked()

    response = wire.code.encode_error(kind, request, message="Not today.", retry_after=2)

    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, response))
    assert caught.value.message == "Not today."
    assert caught.value.kind == kind
    assert (response.header("retry-after"), response.header("retry-after-ms")) == ("2", "2000")
    assert caught.value.retry_after == 2


@every_wire
def test_an_error_has_the_status_it_is_told_to(wire: Wire) -> None:
    assert wire.code.encode_error("server_error", wire.asked(), status=502).status == 502


@every_wire
@pytest.mark.parametrize("kind", ["timeout", "connection", "cancelled", "stream_truncated", "decode_error"])
def test_a_failure_that_is_no_answer_cannot_be_encoded(wire: Wire, kind: Any) -> None:
    with pytest.raises(ValueError, match=kind):
        wire.code.encode_error(kind, wire.asked())


@every_wire
@pytest.mark.parametrize("kind", ["timeout", "cancelled", "stream_truncated", "unknown"])
def test_a_failure_with_a_status_is_an_answer_after_all(wire: Wire, kind: Any) -> None:
    request = wire.asked()
    response = wire.code.encode_error(kind, request, status=499, message="Gone.")

    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, response))
    assert (caught.value.status, caught.value.message) == (499, "Gone.")


@every_wire
@pytest.mark.parametrize("kind", ["overloaded", "server_error", "rate_limited"])
def test_an_error_in_a_stream_ends_it(wire: Wire, kind: Any) -> None:
    for case in ("streams", "errors in a stream", f"{kind}, streamed"):
        if case in wire.cannot:
            pytest.skip(wire.cannot[case])
    exchange = answered(wire, TURNS["text"].response, wire.asked(stream=True))
    frames = pieces(exchange)
    assert len(frames) > 3
    error = wire.code.encode_stream_error(kind, exchange.request, message="Not now.")
    failing = with_chunks(exchange, *frames[:3], error)

    with pytest.raises(ProviderError) as caught:
        codecs.decode(failing)
    assert caught.value.kind == kind
    assert caught.value.message == "Not now."
    assert caught.value.status == 200
    assert not any(isinstance(event, Final) for event in codecs.events(failing))


@every_wire
@quick
@given(data=st.data())
def test_a_damaged_answer_is_an_answer_or_a_completion_error(wire: Wire, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(wire.turns)))
    stream = (
        data.draw(st.booleans()) and "streams" not in wire.cannot and f"{name}, streamed" not in wire.cannot
    )
    turn = wire.turns[name]
    exchange = answered(wire, turn.response, wire.asked(turn, stream=stream))
    whole = body(exchange)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 30)))
    junk = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999"])
    )

    damaged = with_chunks(exchange, whole[:start] + junk + whole[end:])

    with suppress(CompletionError):
        codecs.decode(damaged)
    codecs.events(damaged)
    codecs.usage(damaged)


JUNK = st.sampled_from([None, True, -1, 1.5, 10**30, "", "x", "\ud800", [], {}, [None], [[{}]], {"type": 1}])


def scarred(value: Any, data: st.DataObject) -> Any:
    """Return the JSON with something else in one place."""
    if not isinstance(value, (dict, list)) or not value or data.draw(st.integers(0, 4)) == 0:
        return data.draw(JUNK)
    places = list(value) if isinstance(value, dict) else range(len(value))
    place = data.draw(st.sampled_from(list(places)))
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place] = scarred(value[place], data)
    return changed


@every_wire
@quick
@given(data=st.data())
def test_a_plain_answer_of_any_shape_is_an_answer_or_a_completion_error(
    wire: Wire, data: st.DataObject
) -> None:
    turn = wire.turns[data.draw(st.sampled_from(sorted(wire.turns)))]
    exchange = answered(wire, turn.response, wire.asked(turn))
    assert exchange.response is not None
    changed = json.dumps(scarred(exchange.response.json, data)).encode()

    with suppress(CompletionError):
        codecs.decode(with_chunks(exchange, changed))


# ------------------------------------------------------------------------------------------- requests


@every_wire
def test_a_request_decodes_to_what_was_encoded(wire: Wire) -> None:
    choice = ToolChoice(mode="auto")
    history = [
        Message.user("And in Oslo?"),
        Message.assistant(called("call00001", city="Oslo"), called("call00002", name="get_time")),
        Message.tool_result("call00001", "Snow.", name="get_weather"),
        Message.tool_result("call00002", "Noon.", name="get_time"),
    ]
    request = wire.asked(tools=[WEATHER, CLOCK], tool_choice=choice)
    first = codecs.decode_request(request)

    asked = wire.asked(messages=[*first.messages, *history], tool_choice=choice, temperature=0.5)
    found = codecs.decode_request(asked)

    assert codecs.recognise(asked) is not None
    assert first.model == wire.model
    assert first.system == "Be brief."
    assert first.prompt == "How is the weather in Paris?"
    assert first.tool_names == ["get_weather", "get_time"]
    assert first.tool_choice == choice or "tool choice" in wire.cannot
    assert found.temperature == 0.5 or "temperature" in wire.cannot
    asked_for = [(call.name, call.arguments) for message in found.messages for call in message.tool_calls]
    assert asked_for == [("get_weather", {"city": "Oslo"}), ("get_time", {})]
    results = [result.text for message in found.messages for result in message.tool_results]
    assert results == ["Snow.", "Noon."]
    again = wire.code.encode_request(found, base_url=wire.base_url)
    assert again.url == asked.url
    assert again.json == asked.json


@every_wire
@quick
@given(data=st.data())
def test_a_request_of_any_shape_is_read_if_it_is_a_json_object(wire: Wire, data: st.DataObject) -> None:
    turn = wire.turns[data.draw(st.sampled_from(sorted(wire.turns)))]
    history = [
        Message.assistant(called("call00001", city="Oslo")),
        Message.tool_result("call00001", {"snow": 1}),
    ]
    messages = [Message.system("Be brief."), Message.user("Hi."), *history]
    request = wire.asked(turn, tools=[WEATHER, CLOCK], messages=messages)
    changed = scarred(request.json, data)
    scarred_one = replace(request, body=json.dumps(changed).encode())

    # A script relies on it: it reads a request when somebody looks, long after it was answered.
    if isinstance(changed, dict) and wire.code.name not in CHOOSY:
        assert isinstance(codecs.decode_request(scarred_one), CompletionRequest)
    else:
        with suppress(CompletionError, UnknownWire):
            codecs.decode_request(scarred_one)


@every_wire
def test_a_request_for_a_stream_says_so(wire: Wire) -> None:
    if "streams" in wire.cannot:
        pytest.skip(wire.cannot["streams"])
    assert codecs.decode_request(wire.asked(stream=True)).stream
    assert not codecs.decode_request(wire.asked()).stream or "plain requests" in wire.cannot


@every_wire
def test_a_request_carries_no_credentials(wire: Wire) -> None:
    names = {name.lower() for name, _ in wire.asked().headers}
    assert not names & {"authorization", "x-api-key", "api-key", "x-goog-api-key"}


# --------------------------------------------------------------------------------------- strict rules


def conversation(wire: Wire, *, answered_all: bool) -> Request:
    calls = [called("call00001", city="Paris"), called("call00002", city="Oslo")]
    results = [Message.tool_result(call.id, "Sunny.", name=call.name) for call in calls]
    messages = [
        Message.user("Where is it sunny?"),
        Message.assistant(*calls),
        *(results if answered_all else results[:1]),
    ]
    if answered_all:
        messages += [Message.assistant("In both."), Message.user("Thanks.")]
    return wire.asked(messages=messages)


@every_wire
def test_a_sound_conversation_is_accepted(wire: Wire) -> None:
    assert wire.code.check(wire.asked()) is None
    assert wire.code.check(conversation(wire, answered_all=True)) is None


@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire.strict], ids=lambda wire: wire.name)
def test_a_tool_call_without_its_result_is_rejected_as_the_provider_would(wire: Wire) -> None:
    request = conversation(wire, answered_all=False)

    rejection = wire.code.check(request)

    assert rejection is not None
    assert rejection.response.header(STRICT_HEADER) == rejection.rule
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(request, rejection.response))
    assert caught.value.kind == "invalid_request"
    assert caught.value.status == 400
    assert caught.value.message == rejection.message
    assert not caught.value.retryable


def test_contents_of_the_turns_are_what_the_names_say() -> None:
    assert isinstance(TURNS["text"].response.choice[0], Text)
    assert TURNS["broken arguments"].response.choice[0].arguments is None

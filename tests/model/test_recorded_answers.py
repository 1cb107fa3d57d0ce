"""A model that answers as it was recorded, whatever wire it was recorded on."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest

from llmreplay import (
    Cassette,
    CompletionRequest,
    Exchange,
    Failure,
    Message,
    ReplayModel,
    Request,
    Response,
    ToolDefinition,
    Usage,
    call,
    codecs,
    cut,
    fail,
    say,
)
from llmreplay.cassette import load
from llmreplay.codecs import codec_named
from llmreplay.completion import (
    CompletionError,
    Final,
    HttpError,
    ProviderError,
    RequestError,
    StreamError,
    StreamOptions,
    TextDelta,
    ToolChoice,
)
from llmreplay.errors import (
    CassetteNotFound,
    OptionError,
    RecordingEnded,
    SwallowedRefusals,
    UnmatchedRequest,
    UnusedExchanges,
)
from llmreplay.script import Script

WEATHER = ToolDefinition(name="get_weather", description="The weather.", parameters={"type": "object"})
QUESTION = CompletionRequest(model="m-1", messages=[Message.user("How is Paris?")], tools=[WEATHER])
USAGE = Usage(input_tokens=9, output_tokens=4)

WIRES = [
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
    "mistral",
    "cohere",
    "ollama",
    "bedrock_converse",
    "vocabulary",
]


def recorded(wire, request, *turns, stream=False):
    """Return an exchange for each turn, as this wire would have it."""
    script = Script(*turns, strict=False)
    options = StreamOptions(include_usage=True) if stream else None
    wanted = {"stream": stream, "stream_options": options}
    asked = codec_named(wire).encode_request(request.model_copy(update=wanted))
    return [
        replace(script.answer(asked), provenance=Exchange(asked, Response(200)).provenance) for _ in turns
    ]


def conversation(wire, *, stream=False):
    """Return a cassette of an agent that calls a tool and tells what it found."""
    first = recorded(wire, QUESTION, call("get_weather", city="Paris", usage=USAGE), stream=stream)[0]
    answer = first.decode()
    called = answer.tool_calls[0]
    result = Message.tool_result(called.id, "20 C", name=called.name)
    messages = [*QUESTION.messages, answer.assistant_message(), result]
    second = recorded(
        wire, QUESTION.model_copy(update={"messages": messages}), say("Sunny.", usage=USAGE), stream=stream
    )
    return Cassette([first, *second])


def loop(model, *, stream, result="20 C", request=QUESTION):
    """Run an agent by hand, and return its answer, usage and history."""
    messages, usage = list(request.messages), Usage()
    while True:
        asked = request.model_copy(update={"messages": messages})
        answer = list(model.stream_sync(asked))[-1].response if stream else model.completion_sync(asked)
        usage += answer.usage
        if not answer.tool_calls:
            return answer, usage, messages
        results = [Message.tool_result(one.id, result, name=one.name) for one in answer.tool_calls]
        messages = [*messages, answer.assistant_message(), *results]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
@pytest.mark.parametrize("recorded_as_stream", [False, True], ids=["of a plain one", "of a stream"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_loop_is_answered_from_a_recording(wire, recorded_as_stream, stream):
    cassette = conversation(wire, stream=recorded_as_stream)

    with ReplayModel(cassette) as model:
        answer, usage, messages = loop(model, stream=stream)

    assert answer.text == "Sunny."
    assert usage == model.usage == cassette.usage == USAGE + USAGE
    assert len(messages) == 3
    assert [request.stream for request in model.requests] == [stream, stream]
    assert model.calls == list(cassette.exchanges)


@pytest.mark.parametrize("wire", WIRES)
def test_the_raw_answer_is_what_was_on_the_wire(wire):
    cassette = conversation(wire)

    answer, _, _ = loop(ReplayModel(cassette), stream=False)

    response = cassette.exchanges[1].response
    assert response is not None
    if wire == "vocabulary":
        assert answer.raw is None  # its wire has no other words
    else:
        assert answer.raw == json.loads(response.body)


@pytest.mark.parametrize("format_", ["llmreplay", "vcr"])
def test_a_file_is_read_in_any_format(tmp_path, format_):
    conversation("anthropic_messages").save(tmp_path / "weather.yaml", format=format_)

    with ReplayModel(tmp_path / "weather.yaml") as model:
        assert loop(model, stream=False)[0].text == "Sunny."

    with ReplayModel(str(tmp_path / "weather.yaml")) as model:
        assert loop(model, stream=True)[0].text == "Sunny."


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CassetteNotFound):
        ReplayModel(tmp_path / "weather.yaml")


def test_what_another_framework_recorded_answers_all_the_same():
    cassette = Cassette(
        recorded(
            "anthropic_messages",
            CompletionRequest(
                model="claude-sonnet-4-5",
                max_tokens=1024,
                temperature=0.7,
                messages=[
                    Message.system("Be brief."),
                    Message.user("Hello. ", "How is Paris?"),
                ],
                tools=[WEATHER.model_copy(update={"description": "Another text."})],
                tool_choice=ToolChoice(mode="auto"),
                extra={"metadata": {"user_id": "ada"}},
            ),
            "Sunny.",
        )
    )
    request = CompletionRequest(
        messages=[
            Message(role="developer", content=Message.user("Be brief.").content),
            Message.user("Hello."),
            Message.user("How is Paris?"),
        ],
        tools=[WEATHER],
    )

    assert ReplayModel(cassette).completion_sync(request).text == "Sunny."


# ------------------------------------------------------------------------------------------ matching


def test_equal_requests_get_their_answers_in_the_order_of_recording():
    model = ReplayModel(Cassette(recorded("openai_chat", QUESTION, "One.", "Two.")))

    assert [model.completion_sync(QUESTION).text for _ in range(2)] == ["One.", "Two."]


def test_a_request_that_was_not_recorded_is_refused_and_told_why():
    with pytest.raises(UnmatchedRequest) as caught:
        loop(ReplayModel(conversation("openai_chat")), stream=False, result="21 C")

    assert not isinstance(caught.value, Exception)
    assert caught.value.mismatch.nearest.number == 2
    assert 'messages[2].content[0].content[0].text: "20 C" recorded, "21 C" sent' in str(caught.value)


@pytest.mark.parametrize("changed", ["another question", "no tools", "a tool choice", "a form"])
def test_what_was_said_counts(changed):
    request = {
        "another question": QUESTION.model_copy(update={"messages": [Message.user("How is Oslo?")]}),
        "no tools": QUESTION.model_copy(update={"tools": []}),
        "a tool choice": QUESTION.model_copy(update={"tool_choice": ToolChoice(mode="required")}),
        "a form": QUESTION.model_copy(update={"output_schema": {"type": "object"}}),
    }[changed]

    with pytest.raises(UnmatchedRequest):
        ReplayModel(conversation("openai_chat")).completion_sync(request)


def test_how_the_model_is_sampled_counts_only_if_it_is_named():
    warmer = QUESTION.model_copy(update={"temperature": 1.5, "model": "m-2"})
    cassette = Cassette(recorded("openai_chat", QUESTION, "Sunny."))

    assert ReplayModel(cassette).completion_sync(warmer).text == "Sunny."
    for named in ("temperature", "model"):
        with pytest.raises(UnmatchedRequest, match=named):
            ReplayModel(cassette, counts=("messages", named)).completion_sync(warmer)
    assert ReplayModel(cassette, counts=["model"]).completion_sync(QUESTION).text == "Sunny."


def test_places_can_be_left_out():
    other = QUESTION.model_copy(update={"messages": [Message.system("Be long."), *QUESTION.messages]})
    before = QUESTION.model_copy(update={"messages": [Message.system("Be brief."), *QUESTION.messages]})
    cassette = Cassette(recorded("openai_chat", before, "Sunny."))

    assert ReplayModel(cassette, ignore=["messages[0].content"]).completion_sync(other).text == "Sunny."


def test_the_order_of_recording_can_be_all_that_counts():
    with ReplayModel(conversation("gemini"), order="recorded") as model:
        answer, _, _ = loop(
            model, stream=False, result="21 C", request=QUESTION.model_copy(update={"tools": []})
        )

    assert answer.text == "Sunny."


@pytest.mark.parametrize(
    "options",
    [
        {"order": "random"},
        {"counts": "messages"},
        {"counts": ["mesages"]},
        {"ignore": ["messages["]},
        {"unused": "never"},
        {"speed": -1},
    ],
)
def test_an_option_that_means_nothing_is_refused(options):
    with pytest.raises(OptionError):
        ReplayModel(Cassette(), **options)


# ---------------------------------------------------------------------------------- what is left over


def test_exchanges_that_nobody_asked_for_fail_the_block():
    block = ReplayModel(conversation("openai_chat"))
    with pytest.raises(UnusedExchanges, match="1 of 2 recorded exchanges"), block as model:
        model.completion_sync(QUESTION)


def test_a_refusal_that_is_swallowed_fails_the_block():
    block = ReplayModel(conversation("openai_chat"), unused="ignore")
    told = "No recorded exchange answers"
    with pytest.raises(SwallowedRefusals, match=told), block as model, contextlib.suppress(BaseException):
        model.completion_sync(QUESTION.model_copy(update={"tools": []}))


async def test_both_are_told_without_a_block_too_and_at_the_end_of_an_async_one():
    with pytest.raises(UnusedExchanges):
        ReplayModel(conversation("openai_chat")).finish()
    with pytest.raises(UnusedExchanges):
        async with ReplayModel(conversation("openai_chat")):
            pass


def test_other_http_in_the_cassette_is_left_alone_and_numbers_are_those_of_the_file():
    page = Exchange(Request("GET", "https://weather.example/paris"), Response.of(200, b"20 C"))
    ranked = Exchange(Request("POST", "https://api.cohere.com/v2/rerank", (), b"{}"), Response.of(200, b"{}"))
    embedded = Exchange(
        Request("POST", "https://api.openai.com/v1/embeddings", (), b'{"model":"e","input":"x"}'),
        Response.of(200, b'{"object":"list","data":[]}'),
    )
    chats = list(conversation("openai_chat").exchanges)

    with ReplayModel(Cassette([page, ranked, embedded, *chats])) as model:
        assert loop(model, stream=False)[0].text == "Sunny."
    with pytest.raises(UnmatchedRequest) as caught:
        loop(ReplayModel(Cassette([page, ranked, embedded, *chats])), stream=False, result="no")

    assert caught.value.mismatch.nearest.number == 5


def test_what_was_played_and_refused_is_kept():
    model = ReplayModel(conversation("openai_chat"))
    model.completion_sync(QUESTION)
    with pytest.raises(UnmatchedRequest) as caught:
        model.completion_sync(QUESTION)

    assert [request.prompt for request in model.requests] == ["How is Paris?"] * 2
    assert len(model.calls) == 1
    assert model.refusals == [caught.value]
    assert model.session.tally.replayed == 1


# ------------------------------------------------------------------------------- errors, as recorded


def test_an_error_is_raised_as_it_was_recorded():
    model = ReplayModel(Cassette(recorded("anthropic_messages", QUESTION, fail("overloaded", retry_after=3))))

    with pytest.raises(ProviderError) as caught:
        model.completion_sync(QUESTION)

    error = caught.value
    assert (error.kind, error.status, error.retry_after, error.provider) == (
        "overloaded",
        529,
        3,
        "anthropic",
    )


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (fail("rate_limited"), "rate_limited"),
        (fail("timeout"), "timeout"),
        (fail("overloaded", during=say("It is sunny.")), "overloaded"),
        (cut(say("It is sunny."), after=3), "connection"),
        (cut(say("It is sunny."), after=3, how="end"), "stream_truncated"),
    ],
)
def test_a_failure_of_a_stream_is_one_however_it_is_asked_for(turn, kind, stream):
    model = ReplayModel(Cassette(recorded("openai_chat", QUESTION, turn, stream=True)))
    found = []

    with pytest.raises(CompletionError) as caught:
        for event in model.stream_sync(QUESTION) if stream else [model.completion_sync(QUESTION)]:
            found.append(event)  # noqa: PERF402  the loop raises

    assert caught.value.kind == kind
    assert not any(isinstance(event, Final) for event in found)
    if stream:
        assert found[-1] == StreamError(error=caught.value)
        assert found[:-1] == model.calls[0].events()[:-1]


def test_an_answer_in_a_stream_is_told_as_the_client_was_told():
    exchange = recorded("gemini", QUESTION, say("It is sunny.", usage=USAGE), stream=True)[0]

    events = list(ReplayModel(Cassette([exchange])).stream_sync(QUESTION))

    assert events == exchange.events()
    assert len([event for event in events if isinstance(event, TextDelta)]) == 3


def test_a_stream_can_be_cut_anew():
    exchange = recorded("openai_chat", QUESTION, say("Zoë 👋🏽"), stream=True)[0]

    events = list(ReplayModel(Cassette([exchange]), split="bytes").stream_sync(QUESTION))

    assert events == exchange.events()


def test_faults_of_the_cassette_are_met_here_too():
    cassette = conversation("anthropic_messages")
    cassette.before(1, fail("overloaded"))
    cassette.cut(2, after_bytes=10)
    model = ReplayModel(cassette)

    with pytest.raises(ProviderError) as overloaded:
        model.completion_sync(QUESTION)
    with pytest.raises(HttpError) as broken:
        loop(model, stream=False)

    assert overloaded.value.status == 529
    assert broken.value.kind == "connection"


def left_early(failure=None):
    exchange = recorded("openai_chat", QUESTION, say("It is sunny."), stream=True)[0]
    response = replace(
        exchange.response, chunks=exchange.response.chunks[:3], ended="closed", failure=failure
    )
    return replace(exchange, response=response)


@pytest.mark.parametrize("failure", [None, Failure("CancelledError")], ids=["closed", "cancelled"])
def test_reading_on_where_the_recorded_client_left_is_refused(failure):
    found = []

    with pytest.raises(RecordingEnded, match="exchange 1"):
        for event in ReplayModel(Cassette([left_early(failure)])).stream_sync(QUESTION):
            found.append(event)  # noqa: PERF402  the loop raises
    with pytest.raises(RecordingEnded):
        ReplayModel(Cassette([left_early(failure)])).completion_sync(QUESTION)

    assert [event.text for event in found if isinstance(event, TextDelta)] == ["It", " is"]


def test_leaving_where_the_recorded_client_left_is_not():
    with ReplayModel(Cassette([left_early()])) as model:
        events = model.stream_sync(QUESTION)
        for _ in range(2):
            next(events)
        events.close()


def test_a_client_that_was_cancelled_before_anything_came_is_refused_to_wait():
    asked = codec_named("openai_chat").encode_request(QUESTION)
    exchange = Exchange(asked, failure=Failure("CancelledError"))

    for stream in (True, False):
        with pytest.raises(RecordingEnded):
            loop(ReplayModel(Cassette([exchange])), stream=stream)


def test_a_recorded_request_that_was_none_is_answered_by_its_place():
    asked = Request("POST", "https://api.openai.com/v1/chat/completions", (), b'{"model":')
    with pytest.raises(RequestError):
        codecs.decode_request(asked)
    answer = codec_named("openai_chat").encode_error("invalid_request", asked)
    cassette = Cassette([Exchange(asked, answer)])

    with pytest.raises(ProviderError):
        ReplayModel(cassette, order="recorded").completion_sync(QUESTION)
    with pytest.raises(UnmatchedRequest):
        ReplayModel(cassette).completion_sync(QUESTION)


def test_a_cassette_is_loaded_once_for_several_models():
    cassette = conversation("openai_chat")

    for _ in range(2):
        with ReplayModel(cassette) as model:
            assert loop(model, stream=False)[0].text == "Sunny."


def test_recordings_are_played_at_their_pace_if_that_is_wanted():
    exchange = recorded(
        "openai_chat", QUESTION, say("a b", latency=0.01, tokens_per_second=1000), stream=True
    )[0]

    assert list(ReplayModel(Cassette([exchange]), speed=2).stream_sync(QUESTION))[-1].response.text == "a b"


def test_a_loaded_cassette_that_was_edited_by_hand_answers_as_edited(tmp_path):
    path = tmp_path / "weather.yaml"
    conversation("openai_chat").save(path)
    path.write_text(path.read_text().replace("Sunny.", "Rainy."))

    with ReplayModel(load(path)) as model:
        assert loop(model, stream=False)[0].text == "Rainy."

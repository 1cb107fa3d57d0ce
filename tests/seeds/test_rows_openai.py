"""The rows S3 of the features that no table of fields shows: what OpenAI's chat is asked and answers."""

from __future__ import annotations

import base64
import copy
import json
import pickle

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay import Cassette, FinishReason, Message, ProviderModel, Usage, codecs, load, say, use_script
from llmreplay.codecs.openai_chat import CODEC
from llmreplay.completion import (
    Audio,
    AudioDelta,
    CompletionRequest,
    Final,
    ResponseFormat,
    StreamOptions,
    Text,
    ToolChoice,
    ToolDefinition,
)
from llmreplay.script import Turn
from tests.seeds.answers import HI, OPENAI, SCHEMA, ask, client

SOUND = bytes(range(256)) * 40
"""Every byte there is, and more than one frame would hold."""


class Place(pydantic.BaseModel):
    city: str
    days: int = 1


def asked(**fields):
    """Ask through the SDK; give what was on the wire, and what it means."""
    with use_script("Hello.") as script:
        ask(OPENAI, **fields)
    (exchanged,) = script.calls
    assert CODEC.encode_request(script.requests[0]).json == exchanged.request.json
    return exchanged.request.json, script.requests[0]


# --------------------------------------------------------------------------------- the form of the answer

STRICT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
FORMS = {
    "text": ({"type": "text"}, ResponseFormat(type="text")),
    "json_object": ({"type": "json_object"}, ResponseFormat(type="json_object")),
    "json_schema": (
        STRICT,
        ResponseFormat(type="json_schema", name="place", json_schema=SCHEMA, strict=True),
    ),
}


@pytest.mark.parametrize(("written", "means"), FORMS.values(), ids=FORMS)
def test_an_answer_has_the_form_that_is_asked_for(written, means):
    body, request = asked(response_format=written)
    with use_script('{"city": "Paris"}') as script, ProviderModel("openai", "m-1") as model:
        answer = model.completion_request("Hi.").options(response_format=means).send_sync()

    assert body["response_format"] == written == script.calls[0].request.json["response_format"]
    assert request.response_format == means == script.requests[0].response_format
    assert json.loads(answer.text) == {"city": "Paris"}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_an_answer_of_a_schema_is_parsed_by_the_sdk(streamed):
    chat = client(OPENAI).chat.completions
    with use_script('{"city": "Paris", "days": 3}') as script:
        if streamed:
            with chat.stream(model="m-1", messages=HI, response_format=Place) as stream:
                answer = stream.get_final_completion()
        else:
            answer = chat.parse(model="m-1", messages=HI, response_format=Place)

    assert answer.choices[0].message.parsed == Place(city="Paris", days=3)
    form = script.requests[0].response_format
    assert (form.type, form.name, form.strict) == ("json_schema", "Place", True)
    assert form.json_schema["required"] == ["city", "days"]
    assert script.calls[0].request.json["response_format"]["json_schema"]["schema"] == form.json_schema


def test_an_answer_of_a_schema_that_is_cut_short_is_none_for_the_sdk():
    from openai import LengthFinishReasonError

    with use_script(say('{"city": "Par', finish_reason="length")), pytest.raises(LengthFinishReasonError):
        client(OPENAI).chat.completions.parse(model="m-1", messages=HI, response_format=Place)


def test_a_refusal_is_no_answer_of_a_schema():
    with use_script(say(refusal="I will not.")):
        answer = client(OPENAI).chat.completions.parse(model="m-1", messages=HI, response_format=Place)

    assert (answer.choices[0].message.parsed, answer.choices[0].message.refusal) == (None, "I will not.")


# --------------------------------------------------------------------------------- limits and the rest


def test_both_names_of_the_limit_are_fields_of_their_own():
    older, newer = asked(max_tokens=10), asked(max_completion_tokens=20)
    both = asked(max_tokens=10, max_completion_tokens=20)

    limits = [(request.max_tokens, request.max_completion_tokens) for _, request in (older, newer, both)]
    assert limits == [(10, None), (None, 20), (10, 20)]
    spelled = [
        [key for key in ("max_tokens", "max_completion_tokens") if key in body] for body, _ in (older, newer)
    ]
    assert spelled == [["max_tokens"], ["max_completion_tokens"]]


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "max_completion_tokens"), ("deepseek", "max_tokens")]
)
def test_a_limit_goes_by_the_name_that_the_provider_takes_and_ends_an_answer(provider, name):
    with use_script(say("It is", finish_reason="length")) as script, ProviderModel(provider, "m-1") as model:
        answer = model.completion_request("Hi.").max_tokens(2).send_sync()

    assert script.calls[0].request.json[name] == 2
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.finish_reason.truncated


OTHERS = {
    "logit_bias": {"50256": -100, "11": 5},
    "metadata": {"team": "weather", "run": "7"},
    "store": True,
    "service_tier": "flex",
    "user": "user-1",
    "seed": -7,
}


@pytest.mark.parametrize(("name", "value"), [*OTHERS.items(), ("store", False), ("seed", 0)])
def test_the_lesser_fields_are_sent_as_they_are_given_and_only_then(name, value):
    body, request = asked(**{name: value})

    assert body == {"model": "m-1", "messages": HI, name: value}
    assert getattr(request, name) == value
    assert type(body[name]) is type(value)
    assert all(getattr(request, other) is None for other in OTHERS if other != name)


def test_the_tier_that_served_is_in_the_answer():
    with use_script("Hello.") as script:
        heard = ask(OPENAI, service_tier="flex")

    assert heard.service_tier == script.calls[0].decode().service_tier == "default"


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh"])
def test_how_hard_to_think_is_a_word_of_the_provider(effort):
    body, request = asked(reasoning_effort=effort)

    assert body["reasoning_effort"] == request.reasoning_effort == effort


@pytest.mark.parametrize("value", [False, True])
def test_calls_one_at_a_time_are_asked_for_by_a_false_that_is_no_none(value):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    body, request = asked(tools=[tool], parallel_tool_calls=value)
    _, silent = asked(tools=[tool])

    assert body["parallel_tool_calls"] is request.parallel_tool_calls is value
    assert silent.parallel_tool_calls is None


# --------------------------------------------------------------------------------- sound, which is bytes


def spoken(data):
    sound = Audio(
        data=base64.b64encode(data).decode(), id="audio_1", transcript="Zoë says hi.", media_type=None
    )
    return Turn((sound,), Usage(input_tokens=9, output_tokens=30))


ASKS_SOUND = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
HEARS_SOUND = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is said here?"},
            {
                "type": "input_audio",
                "input_audio": {"data": base64.b64encode(SOUND).decode(), "format": "wav"},
            },
        ],
    }
]


def test_sound_goes_in_and_comes_out_byte_for_byte(tmp_path):
    with use_script(spoken(SOUND[::-1])) as script:
        heard = ask(OPENAI, messages=HEARS_SOUND, **ASKS_SOUND)
    request, response = script.requests[0], script.calls[0].decode()

    assert {key: script.calls[0].request.json[key] for key in ASKS_SOUND} == ASKS_SOUND
    assert script.calls[0].request.json["messages"] == HEARS_SOUND
    assert (request.modalities, request.audio) == (ASKS_SOUND["modalities"], ASKS_SOUND["audio"])
    text, sound = request.messages[0].content
    assert (text, sound.media_type) == (Text(text="What is said here?"), "audio/wav")
    assert base64.b64decode(sound.data) == SOUND

    audio = heard.choices[0].message.audio
    assert base64.b64decode(audio.data) == SOUND[::-1]
    assert (audio.id, audio.transcript) == ("audio_1", "Zoë says hi.")
    assert audio.expires_at > heard.created
    assert heard.choices[0].message.content is None
    assert response.choice == [Audio(data=audio.data, id="audio_1", transcript="Zoë says hi.")]

    Cassette(script.calls).save(tmp_path / "sound.yaml")
    (again,) = load(tmp_path / "sound.yaml").exchanges
    assert (again.request.body, again.response.body) == (
        script.calls[0].request.body,
        script.calls[0].response.body,
    )


def test_sound_streams_in_pieces_that_are_the_same_bytes():
    with use_script(spoken(SOUND)) as script:
        chunks = list(ask(OPENAI, messages=HEARS_SOUND, stream=True, **ASKS_SOUND))
    events = script.calls[0].events()

    deltas = [d for c in chunks if c.choices and (d := getattr(c.choices[0].delta, "audio", None))]
    pieces = [delta.data for delta in deltas if delta.data]
    assert len(pieces) > 1
    assert b"".join(base64.b64decode(piece) for piece in pieces) == SOUND
    assert "".join(delta.transcript or "" for delta in deltas) == "Zoë says hi."
    assert [delta.id for delta in deltas if delta.id] == ["audio_1"]
    assert deltas[-1].expires_at > chunks[0].created
    assert "".join(event.data for event in events if isinstance(event, AudioDelta)) == (
        base64.b64encode(SOUND).decode()
    )
    assert isinstance(events[-1], Final)
    assert events[-1].response.choice == [
        Audio(data=base64.b64encode(SOUND).decode(), id="audio_1", transcript="Zoë says hi.")
    ]


def test_sound_of_the_model_is_given_back_by_its_id():
    history = [*HI, {"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": "Again."}]

    body, request = asked(messages=history, **ASKS_SOUND)

    assert body["messages"] == history
    assert request.messages[1] == Message.assistant(Audio(data="", id="audio_1"))
    said = Message.assistant(*codecs.decode(_answered()).choice)
    assert CODEC.encode_request(CompletionRequest(messages=[said])).json["messages"] == [history[1]]


def _answered():
    with use_script(spoken(SOUND)) as script:
        ask(OPENAI, **ASKS_SOUND)
    return script.calls[0]


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_they_are_the_same_on_both_sides(data):
    encoded = base64.b64encode(data).decode()
    request = CompletionRequest(messages=[Message.user(Audio(data=encoded, media_type="audio/wav"))])

    body = CODEC.encode_request(request)

    assert base64.b64decode(body.json["messages"][0]["content"][0]["input_audio"]["data"]) == data
    assert codecs.decode_request(body).messages == request.messages


# --------------------------------------------------------------------------------- the request as a value

FULL = CompletionRequest(
    model="m-1",
    messages=[Message.system("Be brief."), Message.user("Hi.")],
    tools=[ToolDefinition(name="f", parameters=SCHEMA)],
    tool_choice=ToolChoice(mode="specific", names=["f"]),
    response_format=FORMS["json_schema"][1],
    stream=True,
    stream_options=StreamOptions(include_usage=True),
    stop=["a"],
    extra={"prompt_cache_key": "k"},
    **{name: value for name, value in OTHERS.items()},  # noqa: C416  as keywords
)
COPIES = {
    "model_copy": lambda request: request.model_copy(),
    "model_copy, deep": lambda request: request.model_copy(deep=True),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda request: pickle.loads(pickle.dumps(request)),
    "json": lambda request: CompletionRequest.model_validate_json(request.model_dump_json()),
    "python": lambda request: CompletionRequest.model_validate(request.model_dump()),
    "the wire": lambda request: codecs.decode_request(CODEC.encode_request(request)),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_of_a_request_is_equal_and_another_one(copied):
    found = copied(FULL)

    assert found == FULL
    assert found is not FULL
    assert found != FULL.model_copy(update={"model": "m-2"})


@pytest.mark.parametrize("name", sorted(set(CompletionRequest.model_fields) - {"raw"}))
def test_requests_are_equal_only_if_every_field_is(name):
    changed = FULL.model_copy(update={name: "something else"})

    assert changed != FULL
    assert FULL.model_copy(update={"raw": {}}) == FULL


def test_a_deep_copy_shares_nothing_that_could_be_changed():
    found = copy.deepcopy(FULL)

    found.extra["prompt_cache_key"] = "other"
    found.messages.clear()

    assert FULL.extra == {"prompt_cache_key": "k"}
    assert len(FULL.messages) == 2


def test_a_request_of_which_nothing_is_said_says_nothing():
    default = CompletionRequest(messages=[])
    said = {name: value for name, value in default.model_dump().items() if value not in (None, [], {})}

    assert said == {"stream": False}
    assert CODEC.encode_request(default).json == {"messages": []}
    assert default == CompletionRequest(messages=[])
    assert default.extra is not CompletionRequest(messages=[]).extra
    with pytest.raises(pydantic.ValidationError, match="messages"):
        CompletionRequest()

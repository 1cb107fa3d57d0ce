"""The rows S4 of the features: xAI's chat, field by field, as its API description has them.

The names and shapes are those of the types of a client library (`xai_openapi`: chat, common, search, tools,
usage), which are generated from that description.
"""

from __future__ import annotations

import copy
import json

import httpx
import pytest

from llmreplay import FinishReason, Message, ProviderModel, ToolCall, Usage, say, turn, use_script
from llmreplay.codecs.openai_chat import CODEC
from llmreplay.completion import (
    Choice,
    CompletionRequest,
    ContentReceived,
    Document,
    Final,
    Image,
    LogProbs,
    ProviderContent,
    ProviderTool,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    SearchParameters,
    Text,
    TextDelta,
    TokenLogProb,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    TopLogProb,
)
from llmreplay.script import Turn
from tests.seeds.answers import HEAD, HI, XAI, ask, exchange, frame, plain, replayed, stream

URL = f"{XAI}/chat/completions"


def asked(**fields):
    """Ask through the SDK; give what was on the wire, and what it means."""
    with use_script("Hello.") as script:
        assert ask(XAI, **fields).choices[0].message.content == "Hello."
    (exchanged,) = script.calls
    assert exchanged.request.url == URL
    # What was read is written as it was.
    assert CODEC.encode_request(script.requests[0], base_url=XAI).json == exchanged.request.json
    return exchanged.request.json, script.requests[0]


def grok():
    return ProviderModel("xai", "grok-4")


# ------------------------------------------------------------------------------------------ the search

SOURCES = {
    "web": {
        "type": "web",
        "allowed_websites": ["a.example"],
        "country": "NO",
        "safe_search": False,
    },
    "web, without": {"type": "web", "excluded_websites": ["b.example"]},
    "x": {
        "type": "x",
        "included_x_handles": ["xai"],
        "excluded_x_handles": ["grok"],
        "x_handles": ["old"],
        "post_favorite_count": 10,
        "post_view_count": 1000,
    },
    "news": {"type": "news", "country": "NO", "excluded_websites": ["c.example"]},
    "rss": {"type": "rss", "urls": ["https://d.example/feed.xml"]},
    "bare": {"type": "x"},
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_each_kind_of_source_is_searched_as_it_is_given(source):
    body, request = asked(extra_body={"search_parameters": {"mode": "on", "sources": [source]}})

    assert body["search_parameters"]["sources"] == [source]
    assert request.search_parameters == SearchParameters(mode="on", sources=[source])
    assert request.extra == {}


def test_a_search_has_limits_dates_and_citations():
    search = {
        "from_date": "2026-01-01",
        "to_date": "2026-02-01",
        "max_search_results": 15,
        "mode": "auto",
        "return_citations": False,
        "sources": list(SOURCES.values()),
    }
    body, request = asked(extra_body={"search_parameters": search})
    with use_script(say("Hello.", citations=["https://a.example/1"])) as script, grok() as model:
        builder = model.completion_request("Hi.").options(search_parameters=SearchParameters(**search))
        answer = builder.send_sync()

    assert body["search_parameters"] == search == script.calls[0].request.json["search_parameters"]
    assert request.search_parameters == SearchParameters(**search) == script.requests[0].search_parameters
    assert answer.citations == script.calls[0].response.json["citations"] == ["https://a.example/1"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"search_context_size": "high"},
        {"filters": {"allowed_domains": ["a.example"]}, "user_location": {"type": "approximate"}},
    ],
)
def test_options_of_the_web_search_of_openai_are_taken_too(options):
    body, request = asked(web_search_options=options)

    assert body["web_search_options"] == request.web_search_options == options


def test_live_search_is_a_tool_of_the_provider():
    tool = {"type": "live_search", "sources": [SOURCES["web"], SOURCES["x"]]}
    body, request = asked(tools=[tool])

    assert body["tools"] == [tool]
    assert request.tools == [ProviderTool(kind="live_search", config={"sources": tool["sources"]})]


# ------------------------------------------------------------------------------------------ what is internal

INTERNAL = {"bootstrap_host": "10.0.0.1", "bootstrap_room": 2**40 + 1}


def test_what_is_internal_is_passed_on_in_both_directions():
    body, request = asked(extra_body=INTERNAL)
    with use_script("Hello.") as script, grok() as model:
        model.completion_request("Hi.").additional_params(INTERNAL).send_sync()

    for found in (body, script.calls[0].request.json):
        assert {key: found[key] for key in INTERNAL} == INTERNAL
    assert request.extra == INTERNAL == script.requests[0].extra
    again = CompletionRequest(messages=request.messages, extra=request.extra)
    assert CODEC.encode_request(again, base_url=XAI).json == {"messages": HI, **INTERNAL}


# ------------------------------------------------------------------------------------------ who speaks

CALL = {"id": "call_123", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
ROLES = {
    "system": ({"role": "system", "content": "Be brief."}, Message.system("Be brief.")),
    "system with a name": (
        {"role": "system", "content": "Be brief.", "name": "rules"},
        Message(role="system", content=[Text(text="Be brief.")], name="rules"),
    ),
    "user": ({"role": "user", "content": "Hi."}, Message.user("Hi.")),
    "user with a name": (
        {"role": "user", "content": "Hi.", "name": "ann"},
        Message(role="user", content=[Text(text="Hi.")], name="ann"),
    ),
    "assistant": ({"role": "assistant", "content": "Hello."}, Message.assistant("Hello.")),
    "assistant that thought": (
        {"role": "assistant", "content": "4", "name": "grok", "reasoning_content": "2 and 2"},
        Message(
            role="assistant",
            content=[Reasoning(parts=[ReasoningPart(text="2 and 2")]), Text(text="4")],
            name="grok",
        ),
    ),
    "assistant that calls": (
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, "type": "function", "index": 0}]},
        Message.assistant(ToolCall(id="call_123", name="get_weather", arguments={"city": "Oslo"})),
    ),
    "tool": (
        {"role": "tool", "content": '{"c": 22}', "tool_call_id": "call_123"},
        Message.tool_result("call_123", '{"c": 22}'),
    ),
    "tool without an id": ({"role": "tool", "content": "22"}, Message.tool_result("", "22")),
    "function": (
        {"role": "function", "content": "result", "name": "my_function"},
        Message(
            role="function", content=[ToolResult(id="", content=[Text(text="result")], name="my_function")]
        ),
    ),
    "function without a name": (
        {"role": "function", "content": "result"},
        Message(role="function", content=[ToolResult(id="", content=[Text(text="result")])]),
    ),
}


@pytest.mark.parametrize(("written", "means"), ROLES.values(), ids=ROLES)
def test_whoever_speaks_is_heard_by_role_and_name(written, means):
    body, request = asked(messages=[written, *HI])

    assert body["messages"] == [written, *HI]
    assert request.messages == [means, Message.user("Hi.")]


@pytest.mark.parametrize(("written", "means"), ROLES.values(), ids=ROLES)
def test_a_message_of_ours_is_written_as_theirs(written, means):
    (found,) = CODEC.encode_request(CompletionRequest(messages=[means]), base_url=XAI).json["messages"]
    spoken = copy.deepcopy({key: value for key, value in written.items() if value is not None})
    for calls in (spoken.get("tool_calls", []), found.get("tool_calls", [])):
        for call in calls:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
            call.pop("index", None)

    assert found == spoken


# ------------------------------------------------------------------------------------------ what is shown

PARTS = {
    "text": ({"type": "text", "text": "Look."}, Text(text="Look.")),
    "image": (
        {"type": "image_url", "image_url": {"url": "https://a.example/i.png"}},
        Image(data="https://a.example/i.png", source="url"),
    ),
    "image with a detail": (
        {"type": "image_url", "image_url": {"url": "https://a.example/i.png", "detail": "low"}},
        Image(data="https://a.example/i.png", source="url", detail="low"),
    ),
    "image with its data": (
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk="}},
        Image(data="aGk=", media_type="image/jpeg"),
    ),
    "text file": (
        {"type": "text_file", "text_file": "notes.txt"},
        ProviderContent(kind="text_file", raw={"type": "text_file", "text_file": "notes.txt"}),
    ),
    "file": (
        {"type": "file", "file": {"file_id": "file_1"}},
        Document(data="file_1", source="file_id"),
    ),
}


@pytest.mark.parametrize(("part", "means"), PARTS.values(), ids=PARTS)
def test_each_part_of_a_content_means_what_it_is_and_comes_back(part, means):
    other = {"type": "text", "text": "So?"}
    messages = [{"role": "user", "content": [part, other]}]
    body, request = asked(messages=messages)

    assert body["messages"] == messages
    assert request.messages == [Message.user(means, "So?")]
    ours = CODEC.encode_request(CompletionRequest(messages=[Message.user(means, "So?")]), base_url=XAI)
    assert ours.json["messages"] == messages


def test_a_detail_may_stand_beside_the_image():
    part = {"type": "image_url", "image_url": {"url": "https://a.example/i.png"}, "detail": "high"}
    with use_script("Hello.") as script:
        ask(XAI, messages=[{"role": "user", "content": [part]}])

    assert script.requests[0].messages == [
        Message.user(Image(data="https://a.example/i.png", source="url", detail="high"))
    ]


@pytest.mark.parametrize(
    ("content", "means"),
    [
        ("Hi.", [Text(text="Hi.")]),
        ([{"type": "text", "text": "Hi."}], [Text(text="Hi.")]),
        ([part for part, _ in PARTS.values()], [means for _, means in PARTS.values()]),
    ],
    ids=["text", "one part", "all parts"],
)
def test_a_content_is_a_text_or_parts_and_stays_what_it_was(content, means):
    body, request = asked(messages=[{"role": "user", "content": content}])

    assert body["messages"][0]["content"] == content
    assert request.messages[0].content == means


# ------------------------------------------------------------------------------------------ what is answered

DETAILS = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 20,
    "prompt_tokens_details": {"text_tokens": 8, "audio_tokens": 1, "image_tokens": 3, "cached_tokens": 4},
    "completion_tokens_details": {
        "reasoning_tokens": 3,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 1,
        "rejected_prediction_tokens": 2,
    },
    "num_sources_used": 2,
}
USED = Usage(input_tokens=12, output_tokens=8, cached_input_tokens=4, reasoning_tokens=3, details=DETAILS)
DEBUG = {"attempts": 1, "request": "{}", "prompt": "Hi.", "responses": ["4"], "cache_read_count": 0}
CITED = ["https://a.example/1", "https://b.example/2"]
TOKENS = [
    {
        "token": "Zoë",
        "logprob": -0.5,
        "top_logprobs": [
            {"token": "Zoë", "logprob": -0.5, "bytes": [90, 111, 195, 171]},
            {"token": "Hi", "logprob": -1.25},
        ],
        "bytes": [90, 111, 195, 171],
    },
    {"token": "\ufffd", "logprob": -2.0, "top_logprobs": [], "bytes": [240, 159]},
    {"token": "!", "logprob": -3.5, "top_logprobs": []},
]
PROBABLE = [
    TokenLogProb(
        token="Zoë",
        logprob=-0.5,
        bytes=[90, 111, 195, 171],
        top_logprobs=[
            TopLogProb(token="Zoë", logprob=-0.5, bytes=[90, 111, 195, 171]),
            TopLogProb(token="Hi", logprob=-1.25),
        ],
    ),
    TokenLogProb(token="\ufffd", logprob=-2.0, bytes=[240, 159]),
    TokenLogProb(token="!", logprob=-3.5),
]
WHOLE = {**CALL, "type": "function"}
OSLO = ToolCall(id="call_123", name="get_weather", arguments={"city": "Oslo"})
TOP = {"usage": DETAILS, "system_fingerprint": "fp_1", "citations": CITED, "debug_output": DEBUG}


def heard_and_meant(path, body, **fields):
    """Replay an answer; give what the SDK hands out, and what it means."""
    with replayed(path, exchange(body, XAI)) as cassette:
        heard = ask(XAI, **fields)
        heard = list(heard) if fields.get("stream") else heard
    return heard, cassette.calls[0]


def test_every_field_of_an_answer_is_read_and_the_raw_one_is_kept(tmp_path):
    message = {"content": "4", "reasoning_content": "2 and 2", "refusal": None, "tool_calls": [CALL]}
    body = plain(message, "tool_calls", **TOP)
    body["choices"][0]["logprobs"] = {"content": TOKENS}
    other = {"role": "assistant", "refusal": "I will not."}
    body["choices"].append({"index": 1, "message": other, "finish_reason": "stop"})

    heard, call = heard_and_meant(tmp_path / "x.yaml", body)
    response = call.decode()

    first, second = heard.choices
    assert (first.message.role, first.message.content, first.message.reasoning_content) == (
        "assistant", "4", "2 and 2",
    )  # fmt: skip
    assert (second.index, second.message.refusal, second.message.content) == (1, "I will not.", None)
    assert (heard.citations, heard.system_fingerprint, heard.debug_output) == (CITED, "fp_1", DEBUG)
    assert response.choice == [Reasoning(parts=[ReasoningPart(text="2 and 2")]), Text(text="4"), OSLO]
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.TOOL_CALLS, "tool_calls")
    assert response.others == [
        Choice(
            index=1,
            contents=[Refusal(text="I will not.")],
            finish_reason=FinishReason.STOP,
            raw_finish_reason="stop",
        )
    ]
    assert (response.citations, response.system_fingerprint) == (CITED, "fp_1")
    assert (response.response_id, response.object, response.created, response.model) == (
        HEAD["id"], "chat.completion", HEAD["created"], HEAD["model"],
    )  # fmt: skip
    assert response.provider == "xai"
    assert (response.usage, response.usage.details) == (USED, DETAILS)
    assert response.logprobs == LogProbs(content=PROBABLE)
    assert response.raw == body
    assert response.raw["debug_output"] == DEBUG


def test_an_answer_of_the_least_there_can_be(tmp_path):
    body = plain({"content": "4"}, None)
    heard, call = heard_and_meant(tmp_path / "x.yaml", body)
    response = call.decode()

    assert (heard.usage, heard.system_fingerprint, heard.choices[0].finish_reason) == (None, None, None)
    assert (response.text, response.finish_reason, response.citations) == ("4", None, [])
    assert (response.system_fingerprint, response.logprobs, response.usage.has_values) == (None, None, False)


PICTURES = ["https://a.example/i.png", "data:image/png;base64,aGk=", "aGk="]
DRAWN = [
    Image(data="https://a.example/i.png", source="url"),
    Image(data="aGk=", media_type="image/png"),
    Image(data="aGk="),
]


def test_every_field_of_a_chunk_is_read_and_calls_and_images_come_whole(tmp_path):
    body = stream(
        frame({"role": "assistant", "content": ""}, system_fingerprint="fp_1"),
        frame({"reasoning_content": "2 and 2"}),
        frame({"content": "Zoë\ufffd!"}, logprobs={"content": TOKENS}),
        frame({"images": PICTURES}),
        frame({"tool_calls": [CALL]}),
        frame({"tool_calls": [{**WHOLE, "id": "call_124"}]}),
        frame({}, "tool_calls", citations=CITED),
        frame(usage=DETAILS, debug_output=DEBUG),
    )
    chunks, call = heard_and_meant(tmp_path / "x.yaml", body, stream=True)
    events, response = call.events(), call.decode()

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert (deltas[1].reasoning_content, deltas[3].images) == ("2 and 2", PICTURES)
    assert deltas[4].tool_calls[0].function.arguments == '{"city":"Oslo"}'
    assert (chunks[-2].citations, chunks[-1].debug_output, chunks[-1].choices) == (CITED, DEBUG, [])
    second = OSLO.model_copy(update={"id": "call_124"})
    assert events[1:12] == [
        ReasoningDelta(text="2 and 2"),
        TextDelta(text="Zoë\ufffd!"),
        *(ContentReceived(content=image) for image in DRAWN),
        ToolCallStart(index=0, id="call_123", name="get_weather"),
        ToolCallDelta(index=0, arguments='{"city":"Oslo"}'),
        ToolCallStart(index=1, id="call_124", name="get_weather"),
        ToolCallDelta(index=1, arguments='{"city":"Oslo"}'),
        ToolCallEnd(index=0, tool_call=OSLO),
        ToolCallEnd(index=1, tool_call=second),
    ]
    assert events[-1] == Final(response=response)
    assert response.choice == [
        Reasoning(parts=[ReasoningPart(text="2 and 2")]), Text(text="Zoë\ufffd!"), *DRAWN, OSLO, second,
    ]  # fmt: skip
    assert (response.object, response.citations) == ("chat.completion.chunk", CITED)
    assert response.system_fingerprint == "fp_1"
    assert (response.logprobs, response.usage) == (LogProbs(content=PROBABLE), USED)
    assert response.raw[-1]["debug_output"] == DEBUG


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_a_script_says_what_the_wire_has_a_place_for(streamed):
    said = Turn(
        (Reasoning(parts=[ReasoningPart(text="2 and 2")]), Text(text="Zoë\ufffd!"), OSLO, *DRAWN),
        USED,
        citations=tuple(CITED),
        logprobs=LogProbs(content=PROBABLE),
    )
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    with use_script(said) as script:
        heard = ask(XAI, tools=[tool], stream=streamed, logprobs=True)
        chunks = list(heard) if streamed else []
    response = script.calls[0].decode()

    assert sorted(response.choice, key=str) == sorted(said.contents, key=str)
    assert (response.usage, response.citations) == (USED, CITED)
    assert response.logprobs == LogProbs(content=PROBABLE)
    if streamed:
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert [one for d in deltas for one in getattr(d, "images", None) or []] == PICTURES
        (calls,) = [delta.tool_calls for delta in deltas if delta.tool_calls]
        assert json.loads(calls[0].function.arguments) == {"city": "Oslo"}
        assert chunks[-1].usage.num_sources_used == 2
    else:
        assert heard.choices[0].message.images == PICTURES
        assert heard.usage.num_sources_used == 2


# ------------------------------------------------------------------------------------------ probabilities


@pytest.mark.parametrize(
    ("told", "means"),
    [
        (None, None),
        ({}, LogProbs()),
        ({"content": None}, LogProbs()),
        ({"content": []}, LogProbs()),
        ({"content": TOKENS}, LogProbs(content=PROBABLE)),
        (
            {"content": TOKENS[:1], "refusal": TOKENS[1:]},
            LogProbs(content=PROBABLE[:1], refusal=PROBABLE[1:]),
        ),
    ],
    ids=["null", "empty", "null content", "no tokens", "tokens", "of a refusal"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_probabilities_have_the_bytes_that_the_wire_has(tmp_path, told, means, streamed):
    if streamed:
        body = stream(frame({"content": "Zoë\ufffd!"}, logprobs=told), frame({}, "stop"))
    else:
        body = plain({"content": "Zoë\ufffd!"})
        body["choices"][0]["logprobs"] = told
    heard, call = heard_and_meant(tmp_path / "x.yaml", body, stream=streamed, logprobs=True)

    probable = (heard[0] if streamed else heard).choices[0].logprobs
    assert call.decode().logprobs == means
    if means is not None and means.content:
        assert [token.token for token in probable.content] == [token.token for token in means.content]
        assert [getattr(t, "bytes", None) for t in probable.content] == [t.bytes for t in means.content]


def test_half_a_character_is_whole_again_by_its_bytes(tmp_path):
    halves = [
        {"token": "\ufffd", "logprob": -1.0, "top_logprobs": [], "bytes": half}
        for half in ([240, 159], [145, 139])
    ]
    body = plain({"content": "👋"})
    body["choices"][0]["logprobs"] = {"content": halves}
    _, call = heard_and_meant(tmp_path / "x.yaml", body, logprobs=True)

    spelled = b"".join(bytes(token.bytes or []) for token in call.decode().logprobs.content)
    assert spelled.decode() == "👋"


# ------------------------------------------------------------------------------------------ what was used

COUNTS = {
    # prompt, completion, reasoning, total as the wire has them; output as it is meant
    "beside the completion": (12, 5, 3, 20, 8),
    "seen in the wild": (10120, 1499, 2809, 14428, 4308),
    "inside it": (12, 8, 3, 20, 8),
    "none": (12, 8, 0, 20, 8),
    "a total that fits neither": (12, 5, 3, 99, 5),
}


@pytest.mark.parametrize(
    ("prompt", "completion", "reasoning", "total", "output"), COUNTS.values(), ids=COUNTS
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_reasoning_is_added_only_if_the_total_says_that_it_stands_beside(  # noqa: PLR0917  parametrized
    tmp_path, prompt, completion, reasoning, total, output, streamed
):
    used = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"text_tokens": prompt, "cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "num_sources_used": 7,
    }
    body = (
        stream(frame({"content": "4"}, "stop"), frame(usage=used))
        if streamed
        else plain({"content": "4"}, usage=used)
    )
    heard, call = heard_and_meant(tmp_path / "x.yaml", body, stream=streamed)
    usage = call.decode().usage

    assert usage == Usage(
        input_tokens=prompt,
        output_tokens=output,
        total_tokens=total,
        cached_input_tokens=2,
        reasoning_tokens=reasoning,
    )
    assert usage.details == used
    assert (usage.audit() == []) is (total == prompt + output)
    assert (heard[-1] if streamed else heard).usage.num_sources_used == 7


def test_usage_of_several_calls_adds_up_with_its_sources():
    with use_script(*[turn("4", usage=USED)] * 3) as script:
        for _ in range(3):
            ask(XAI)

    assert script.usage == USED + USED + USED
    assert script.usage.details["num_sources_used"] == 6
    assert script.usage.details["completion_tokens_details"]["reasoning_tokens"] == 9


def test_what_is_not_said_is_not_on_the_wire():
    """None is left out of a request; the SDK says `null` only where it is told to."""
    with use_script("Hello.", "Hello.") as script, grok() as model:
        model.completion_request("Hi.").send_sync()
        httpx.post(URL, json={"messages": HI, "temperature": None, "bootstrap_host": None})

    first, second = script.calls
    assert first.request.json == {"model": "grok-4", "messages": HI}
    assert script.requests[1].temperature is None
    assert CODEC.encode_request(script.requests[1], base_url=XAI).json == second.request.json

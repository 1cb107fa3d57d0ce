"""Rows S0 and S4.11 of the features that belong to the vocabulary: contents, raw answers, events, JSON."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llmreplay import (
    Cassette,
    CompletionModel,
    Exchange,
    FinishReason,
    Message,
    ProviderModel,
    Response,
    ScriptedModel,
    ToolCall,
    ToolDefinition,
    Usage,
    call,
    codecs,
    completion,
    cut,
    fail,
    load,
    say,
    use_cassette,
    use_script,
)
from llmreplay.codecs.vocabulary import CODEC as VOCABULARY
from llmreplay.completion import (
    RETRYABLE,
    Audio,
    CompletionError,
    CompletionRequest,
    CompletionResponse,
    ContentReceived,
    Document,
    Final,
    Finished,
    HttpError,
    Image,
    Json,
    ProviderContent,
    ProviderError,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    RequestError,
    Started,
    StreamError,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    UnknownEvent,
    UsageReported,
    Video,
    told,
)
from llmreplay.completion._value import Value
from llmreplay.script import Turn
from tests.codecs.payloads import sse
from tests.codecs.payloads import told as claude_tells
from tests.contracts.test_codecs import KINDS
from tests.model.providers import AZURE, BY_WIRE, MODELS
from tests.seeds.answers import HI, OPENAI, VLLM, client, exchange, frame, plain, replayed, stream

WEATHER = ToolDefinition(
    name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}}
)
every_wire = pytest.mark.parametrize("wire", MODELS)
both = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])


@pytest.fixture(autouse=True)
def azure(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", AZURE)


def answered(builder, *, streamed):
    """Ask, plainly or for a stream, and give the answer."""
    if not streamed:
        return builder.send_sync()
    *_, last = builder.stream_sync()
    assert isinstance(last, Final)
    return last.response


# ------------------------------------------------------------------------------------------ the raw answer

ODD = (
    '{ "id":"chatcmpl-1",\n\t"object" : "chat.completion","created":1.75e9, "model":"m-\\u0031",'
    '"zeta":{"b":1.0,"a":[1e-7,-0.0,12345678901234567890,null,true,{}]},"\\u00e9":"\\ud83d\\udc4b 👋",'
    '"choices":[{"index":0,"message":{"role":"assistant","content":"4","more":""},"finish_reason":"stop"}],'
    '"usage":{"total_tokens":3,"prompt_tokens":2,"completion_tokens":1,"cost":0.1} }\n'
).encode()


def test_a_raw_answer_is_byte_for_byte_what_the_provider_sent(tmp_path):
    with replayed(tmp_path / "x.yaml", exchange(ODD, OPENAI), exchange(ODD, OPENAI)) as cassette:
        heard = client(OPENAI).chat.completions.with_raw_response.create(model="m-1", messages=HI)
        raw = ProviderModel("openai", "m-1").completion_request("Hi.").send_sync().raw

    assert heard.content == cassette.calls[0].response.body == ODD
    assert load(tmp_path / "x.yaml").exchanges[0].response.body == ODD
    # As parsed it is whole too, to the order of its keys.
    assert json.dumps(raw) == json.dumps(json.loads(ODD)) == json.dumps(cassette.calls[0].decode().raw)


def test_a_raw_stream_is_byte_for_byte_what_the_provider_sent(tmp_path):
    frames = [frame({"content": "4"}, odd={"z": 1.0, "a": None}), frame({}, "stop"), frame(usage={"x": 1})]
    body = b": hello\r\n\r\n" + stream(*frames).replace(b"data: {", b"data:  {")
    with replayed(tmp_path / "x.yaml", exchange(body, OPENAI)) as cassette:
        heard = httpx.post(
            f"{OPENAI}/chat/completions", json={"model": "m-1", "messages": HI, "stream": True}
        )

    assert heard.content == cassette.calls[0].response.body == body
    assert cassette.calls[0].decode().raw == frames


@every_wire
@both
def test_the_raw_answer_of_every_provider_is_what_was_on_the_wire(wire, streamed):
    sunny = say("Sunny.", usage=Usage(input_tokens=3, output_tokens=2))
    with use_script(sunny) as script, ProviderModel.from_env(MODELS[wire]) as model:
        response = answered(model.completion_request("Hi."), streamed=streamed)
    sent = script.calls[0].response.body

    assert response.raw
    if streamed and sent[:1] not in {b"{", b"["}:
        lines = [
            line.removeprefix(b"data:").strip() for line in sent.splitlines() if line.startswith(b"data:")
        ]
        assert response.raw == [json.loads(line) for line in lines if line != b"[DONE]"]
    elif streamed:
        texts = sent.splitlines() if sent[:1] == b"{" else json.loads(sent)
        assert response.raw == [json.loads(one) if isinstance(one, bytes) else one for one in texts]
    else:
        assert json.dumps(response.raw) == json.dumps(json.loads(sent))


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text(max_size=6), JSON, max_size=4)


@settings(max_examples=30, deadline=None)
@given(beside=OBJECTS, inside=OBJECTS)
def test_nothing_that_is_done_with_an_answer_changes_its_raw_one(beside, inside):
    body = plain({**inside, "role": "assistant", "content": "4"}, usage={"total_tokens": 3, "more": inside})
    body = {**beside, **body}
    found = exchange(body, OPENAI)
    response = found.decode()

    told(response)
    _ = response.usage + response.usage
    codecs.codec_named("openai_chat").encode_response(response, found.request)
    response.model_dump_json()

    assert json.dumps(response.raw) == json.dumps(body) == json.dumps(json.loads(found.response.body))


# ------------------------------------------------------------------------------------------ contents

THOUGHT = Reasoning(parts=[ReasoningPart(text="So far so good.")])
SIGNED = Reasoning(parts=[ReasoningPart(text="So far so good.", signature="c2lnbmF0dXJl" * 4)])
SEALED = Reasoning(parts=[ReasoningPart(kind="redacted", text="c2VhbGVk")])
LOOK, SO, END = Text(text="Let me look. "), Text(text="And there? "), Text(text="Done.")
PARIS = ToolCall(id="call00001", name="get_weather", arguments={"city": "Paris"})
OSLO = ToolCall(id="call00002", name="get_weather", arguments={"city": "Oslo"})
PICTURE = Image(data="aGVsbG8h", media_type="image/png")

ORDERS: dict[str, list[Any]] = {
    # Wires that keep the order of what is said, with all that they can say.
    "anthropic": [SIGNED, LOOK, PARIS, SO, OSLO],
    "gemini": [THOUGHT, LOOK, PARIS, SO, PICTURE, OSLO, END],
    "openai responses": [LOOK, PARIS, SO, OSLO, END],
    # Those of one message have an order of their own: thoughts, text, calls, images.
    "openrouter": [SIGNED, LOOK, PARIS, OSLO, PICTURE],
    "vllm": [THOUGHT, LOOK, PARIS, OSLO],
    "openai": [LOOK, PARIS, OSLO],
    "deepseek": [THOUGHT, LOOK, PARIS, OSLO],
}


def bare(contents):
    """Contents without what a wire makes up: ids of items."""
    made_up = {"text": {"extra": {}}, "tool_call": {"call_id": None, "extra": {}}}
    return [content.model_copy(update=made_up.get(content.type, {})) for content in contents]


@both
@pytest.mark.parametrize("wire", ORDERS)
def test_contents_come_in_the_order_in_which_they_were_said(wire, streamed):
    with use_script(Turn(tuple(ORDERS[wire]))), ProviderModel.from_env(MODELS[wire]) as model:
        response = answered(model.completion_request("Hi.").tool(WEATHER), streamed=streamed)

    found = bare(response.choice)
    if wire == "gemini":  # which has no ids
        found = [c.model_copy(update={"id": w.id}) if c.type == "tool_call" else c
                 for c, w in zip(found, ORDERS[wire], strict=True)]  # fmt: skip
    assert found == ORDERS[wire]
    assert response.text == "".join(content.text for content in ORDERS[wire] if content.type == "text")


EVERYTHING = [
    SIGNED, LOOK, PARIS, SEALED, SO, OSLO, PICTURE, Audio(data="UklGRg==", transcript="Hi."),
    Refusal(text="No more."), ProviderContent(kind="search", raw={"q": 1}), END,
]  # fmt: skip


@both
def test_a_scripted_model_says_every_kind_of_content_in_any_order(streamed):
    backwards = tuple(reversed(EVERYTHING))
    model = ScriptedModel(Turn(tuple(EVERYTHING)), Turn(backwards))

    for contents in (EVERYTHING, list(backwards)):
        response = answered(model.completion_request("Hi.").tool(WEATHER), streamed=streamed)
        assert response.choice == contents


# ------------------------------------------------------------------------------------------ tool calls

ARGUMENTS = {"city": "Zürich 👋", "days": [1, 2.5, None, {"deep": True}], "n": 2**40, "x": {}, "e": ""}
FREE = ToolDefinition(name="get_weather", parameters={"type": "object"})


@both
@every_wire
def test_a_tool_call_has_ids_a_name_and_arguments_that_are_json(wire, streamed):
    asked_for = ToolCall(id="call00001", name="get_weather", arguments=ARGUMENTS)
    with use_script(Turn((asked_for,))) as script, ProviderModel.from_env(MODELS[wire]) as model:
        response = answered(model.completion_request("Hi.").tool(FREE), streamed=streamed)
    (found,) = response.tool_calls

    assert (found.name, found.arguments, found.arguments_error) == ("get_weather", ARGUMENTS, None)
    assert found.arguments_raw == "" or json.loads(found.arguments_raw) == ARGUMENTS
    assert response.finish_reason == FinishReason.TOOL_CALLS
    assert found.id or wire in {"gemini", "ollama"}
    if wire.endswith("responses"):
        # Two ids: the one that a result names, and that of the item.
        assert (found.id, found.call_id is not None) == ("call00001", True)
        (item,) = [one for one in _output(script.calls[0], streamed) if one["type"] == "function_call"]
        assert (item["call_id"], item["id"]) == (found.id, found.call_id)
    elif wire not in {"gemini", "ollama"}:
        assert (found.id, found.call_id) == ("call00001", None)


def _output(exchanged, streamed):
    if not streamed:
        return exchanged.response.json["output"]
    *_, last = [line for line in exchanged.response.body.splitlines() if line.startswith(b"data: {")]
    return json.loads(last.removeprefix(b"data: "))["response"]["output"]


@settings(max_examples=40, deadline=None)
@given(OBJECTS, st.booleans())
def test_any_json_can_be_an_argument(arguments, streamed):
    model = ScriptedModel(call("get_weather", arguments))

    (found,) = answered(model.completion_request("Hi.").tool(FREE), streamed=streamed).tool_calls

    assert found.arguments == arguments
    assert json.loads(found.arguments_raw) == arguments


# ------------------------------------------------------------------------------------------ what a user says

SAID: dict[str, Any] = {
    "text": Text(text="What is this?"),
    "image": PICTURE,
    "audio": Audio(data="UklGRg==", media_type="audio/wav"),
    "video": Video(data="https://a.example/v.mp4", source="url", media_type="video/mp4"),
    "document": Document(data="JVBERi0x", media_type="application/pdf", name="a.pdf"),
    "tool result": ToolResult(id="call00001", content=[Text(text="22 C")], name="get_weather"),
}
UNSAID = {
    "anthropic": {"audio", "video"},
    "cohere": {"audio", "video", "document"},
    "ollama": {"audio", "video", "document"},
    "openai responses": {"video"},
    "xai responses": {"video"},
}
"""What a wire has no place for: it is refused by name, and never left out."""
NAMELESS = {
    "gemini": {"document"},
    **{name: {"tool result"} for name in ("cohere", "openai responses", "xai responses", "anthropic")},
}
"""Where the name of a content has no place."""


@every_wire
@pytest.mark.parametrize("kind", SAID)
def test_a_user_can_say_show_and_bring_all_that_the_wire_has_a_place_for(wire, kind):
    content = SAID[kind]
    history = [Message.user("Go."), Message.assistant(PARIS)] if kind == "tool result" else []
    role: Any = "tool" if kind == "tool result" else "user"
    prompt = Message(role=role, content=[content])
    with use_script("Hello.", unused="ignore") as script, ProviderModel.from_env(MODELS[wire]) as model:
        builder = model.completion_request(prompt).messages(history).tool(WEATHER)
        if kind in UNSAID.get(wire, ()):
            with pytest.raises(RequestError, match=kind):
                builder.send_sync()
            assert script.calls == []
            return
        builder.send_sync()

    found = script.requests[0].messages[-1].content[-1]
    if kind in NAMELESS.get(wire, ()):
        content = content.model_copy(update={"name": None})
    if (wire, kind) == ("ollama", "image") or (
        kind == "video" and wire != "gemini"
    ):  # data, and nothing else
        content = content.model_copy(update={"media_type": None})
    if wire == "gemini" and kind == "tool result":  # whose results are objects
        assert (found.name, found.text) == ("get_weather", '{"result":"22 C"}') or found == content
    else:
        assert found == content
    data = content.data if hasattr(content, "data") else "22 C" if kind == "tool result" else content.text
    assert data in script.calls[0].request.body.decode()


def test_a_scripted_model_is_told_all_of_it_in_order():
    everything = [*SAID.values(), ProviderContent(kind="k", raw=[1])]
    model = ScriptedModel("Hello.", strict=False)

    model.completion_request(Message.user(*everything)).send_sync()

    assert model.requests[0].messages == [Message.user(*everything)]


# ------------------------------------------------------------------------------------------ one or many


def test_contents_are_a_plain_list_in_json():
    one, many = Message.user("Hi."), Message.user("Hi.", PICTURE)

    assert [len(json.loads(found.model_dump_json())["content"]) for found in (one, many)] == [1, 2]
    assert Message.model_validate_json(many.model_dump_json()) == many
    with pytest.raises(ValidationError):
        Message.model_validate({"role": "user", "content": {"type": "text", "text": "Hi."}})


EMPTY = [
    Message(role=role, content=[])
    for role in ("system", "developer", "user", "assistant", "tool", "function")
]


@pytest.mark.parametrize("empty", EMPTY, ids=lambda found: found.role)
@pytest.mark.parametrize("how", ["completion_sync", "stream_sync"])
def test_a_message_of_nothing_is_not_sent_to_anyone(empty, how):
    request = CompletionRequest(messages=[Message.user("Hi."), empty])
    told_off = f"messages\\[1\\] \\({empty.role}\\) has no content"

    with use_script() as script, ProviderModel("openai", "m-1") as model:
        with pytest.raises(RequestError, match=told_off):
            list(getattr(model, how)(request))
        with pytest.raises(RequestError, match=told_off):
            model.completion_request("Hi.").message("Hello.").message(empty).build()
    scripted = ScriptedModel("Hello.")
    with pytest.raises(RequestError, match=told_off):
        list(getattr(scripted, how)(request))

    assert (script.calls, scripted.calls, scripted.script.left) == ([], [], [("every call", 1)])


def test_what_was_recorded_may_hold_messages_of_nothing_and_comes_back():
    body = {
        "model": "m-1",
        "messages": [{"role": "assistant", "content": None}, {"role": "user", "content": []}],
    }
    request = exchange(plain({"content": "4"}), OPENAI).request
    found = codecs.decode_request(type(request)(request.method, request.url, (), json.dumps(body).encode()))

    assert [said.content for said in found.messages] == [[], []]
    assert codecs.codec_named("openai_chat").encode_request(found).json["messages"][1]["content"] in ([], "")


# ------------------------------------------------------------------------------------------ trying again

TRANSIENT = [kind for kind in KINDS if kind in RETRYABLE]
FATAL = [kind for kind in KINDS if kind not in RETRYABLE]


def test_every_kind_that_is_sent_is_one_or_the_other():
    assert set(TRANSIENT) == {"conflict", "rate_limited", "server_error", "overloaded"}
    assert RETRYABLE - set(TRANSIENT) == {"timeout", "connection", "stream_truncated"}
    assert {"authentication", "invalid_request", "quota_exhausted", "content_filter"} <= set(FATAL)


@both
@pytest.mark.parametrize("kind", [*TRANSIENT, "timeout", "connection"])
def test_what_may_pass_is_tried_again_and_answered(kind, streamed):
    faults = [fail(kind, retry_after=0) if kind in TRANSIENT else fail(kind)] * 2
    with use_script(*faults, "Hello.") as script, ProviderModel("openai", "m-1", retries=2) as model:
        from llmreplay.clock import Clock

        with Clock():
            response = answered(model.completion_request("Hi."), streamed=streamed)

    assert response.text == "Hello."
    assert len({found.request.body for found in script.calls}) == 1
    assert len(script.calls) == 3


@both
@pytest.mark.parametrize("kind", FATAL)
def test_what_will_not_pass_is_raised_at_once(kind, streamed):
    model = ProviderModel("openai", "m-1", retries=5)
    with use_script(fail(kind), "Hello.", unused="ignore") as script, pytest.raises(ProviderError) as caught:
        answered(model.completion_request("Hi."), streamed=streamed)

    assert (caught.value.kind, caught.value.retryable) == (kind, False)
    assert len(script.calls) == 1


@pytest.mark.parametrize("advice", [True, False])
def test_the_provider_has_the_last_word_on_that(advice):
    headers = {"x-should-retry": str(advice).lower()}
    fault = fail("invalid_request" if advice else "server_error", headers=headers)
    with use_script(fault), pytest.raises(ProviderError) as caught:
        ProviderModel("openai", "m-1").completion_request("Hi.").send_sync()

    assert caught.value.retryable is advice


def test_what_was_told_is_not_told_again():
    """A stream that broke may pass, and is not tried again by itself: half of it was heard already."""
    heard: list[Any] = []
    model = ProviderModel("openai", "m-1", retries=5)
    broken = cut("One two three.", after=4)
    with use_script(broken, "Hello.", unused="ignore") as script, pytest.raises(HttpError) as caught:
        heard.extend(model.completion_request("Hi.").stream_sync())

    assert caught.value.retryable
    assert any(isinstance(event, TextDelta) for event in heard)
    assert len(script.calls) == 1


# ------------------------------------------------------------------------------------------ events

CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
F = ToolCall(id="c1", name="f", arguments={"a": 1})


def events_of(path, body, wire="vllm", base=VLLM):
    """What a model tells of a recorded stream, and what the exchange itself says."""
    asked = BY_WIRE[wire].asked(stream=True)
    found = Exchange(asked, Response.of(200, body, (("content-type", "text/event-stream"),)))
    Cassette([found]).save(path)
    with use_cassette(path, ignore=["body"]), ProviderModel.from_env(MODELS[wire]) as model:
        events = list(model.completion_request("Hi.").tool(WEATHER).stream_sync())
    assert events == found.events()
    return events


def named(events):
    return [type(event).__name__ for event in events]


def test_pieces_are_told_and_texts_that_a_call_parts_are_two(tmp_path):
    body = stream(
        frame({"role": "assistant", "content": ""}),
        frame({"reasoning": "h"}),
        frame({"reasoning": "m"}),
        frame({"content": "a"}),
        frame({"content": "b"}),
        frame({"tool_calls": [{"index": 0, **CHAT_CALL}]}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
        frame({"content": "c"}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        frame({"content": "d"}, "tool_calls"),
        frame(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    )
    events = events_of(tmp_path / "x.yaml", body)

    assert events[:-1] == [
        Started(response_id="chatcmpl-1", model="m-1-2026"),
        ReasoningDelta(text="h"),
        ReasoningDelta(text="m"),
        TextDelta(text="a"),
        TextDelta(text="b"),
        ToolCallStart(index=0, id="c1", name="f"),
        ToolCallDelta(index=0, arguments='{"a":'),
        TextDelta(text="c"),
        ToolCallDelta(index=0, arguments="1}"),
        TextDelta(text="d"),
        ToolCallEnd(index=0, tool_call=F),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="tool_calls"),
        UsageReported(usage=Usage(input_tokens=1, output_tokens=2)),
    ]
    # The call is one, however many pieces were told; the texts around it are two.
    assert events[-1].response.choice == [
        Reasoning(parts=[ReasoningPart(text="hm")]), Text(text="ab"), F, Text(text="cd"),
    ]  # fmt: skip


def test_reasoning_between_texts_and_calls_stays_where_it_was(tmp_path):
    thinking = {"type": "thinking", "thinking": "", "signature": ""}

    def thought(text):
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in text]
        return thinking, [*deltas, {"type": "signature_delta", "signature": f"sig-{text}"}]

    def spoken(text):
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in text]

    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    arguments = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"a"', ": 1}")]
    sealed = {"type": "redacted_thinking", "data": "WA=="}
    frames = claude_tells(
        thought("hm"),
        spoken("ab"),
        (sealed, []),
        thought("so"),
        (use, arguments),
        spoken("c"),
        stop="tool_use",
    )
    odd = {"type": "odd_event", "odd": 1}
    events = events_of(tmp_path / "x.yaml", sse(*frames[:-1], odd, frames[-1], done=False), "anthropic")

    assert events[-1].response.choice == [
        Reasoning(parts=[ReasoningPart(text="hm", signature="sig-hm")]),
        Text(text="ab"),
        Reasoning(parts=[ReasoningPart(kind="redacted", text="WA==")]),
        Reasoning(parts=[ReasoningPart(text="so", signature="sig-so")]),
        ToolCall(id="toolu_1", name="f", arguments={"a": 1}),
        Text(text="c"),
    ]
    # Sealed reasoning comes whole; what nobody knows passes through, and is no part of the answer.
    assert [e.content.parts[0].kind for e in events if isinstance(e, ContentReceived)] == ["redacted"]
    assert [event for event in events if isinstance(event, UnknownEvent)] == [
        UnknownEvent(name="odd_event", data=odd)
    ]
    assert (events[-1].response.message_id, events[-1].response.response_id) == ("msg_1", "msg_1")
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "hmso"
    assert named(events).count("Final") == named(events).count("Finished") == 1


def test_what_comes_with_a_text_is_gathered_on_it(tmp_path):
    cited = [{"type": "char_location", "cited_text": text} for text in ("a", "b")]
    deltas: list[Any] = [{"type": "text_delta", "text": "Sunny."}]
    deltas += [{"type": "citations_delta", "citation": one} for one in cited]
    events = events_of(
        tmp_path / "x.yaml",
        sse(*claude_tells(({"type": "text", "text": ""}, deltas)), done=False),
        "anthropic",
    )

    assert events[-1].response.choice == [Text(text="Sunny.", extra={"citations": cited})]
    assert events[-1].response.citations == cited


def _item(kind, number, **fields):
    return {"type": kind, "output_index": number, **fields}


def test_a_whole_piece_of_reasoning_takes_the_place_of_its_pieces(tmp_path):
    whole = {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
        "encrypted_content": "Z0FB",
    }
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "So.", "annotations": []}],
    }
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m-1", "status": "in_progress"}
    delta = "response.reasoning_summary_text.delta"
    frames = [
        {"type": "response.created", "response": {**head, "output": []}},
        _item("response.output_item.added", 0, item={**whole, "summary": [], "encrypted_content": ""}),
        *(
            _item(delta, 0, item_id="rs_1", summary_index=n, delta=t)
            for n, t in enumerate(("First.", "Then."))
        ),
        _item("response.output_item.done", 0, item=whole),
        _item("response.output_item.added", 1, item={**said, "content": []}),
        _item("response.output_text.delta", 1, item_id="msg_1", content_index=0, delta="So."),
        _item("response.output_item.done", 1, item=said),
        {"type": "response.odd", "odd": 1},
        {"type": "response.completed", "response": {**head, "status": "completed", "output": [whole, said]}},
    ]
    numbered = [{**found, "sequence_number": number} for number, found in enumerate(frames)]
    events = events_of(tmp_path / "x.yaml", sse(*numbered, done=False), "openai responses")

    assert [event.text for event in events if isinstance(event, ReasoningDelta)] == ["First.", "Then."]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["So."]
    assert [event.name for event in events if isinstance(event, UnknownEvent)] == ["response.odd"]
    assert events[-1].response.choice == [
        Reasoning(
            id="rs_1",
            parts=[
                ReasoningPart(kind="summary", text="First."),
                ReasoningPart(kind="summary", text="Then."),
                ReasoningPart(kind="encrypted", text="Z0FB"),
            ],
        ),
        Text(text="So."),
    ]
    assert (events[-1].response.message_id, events[-1].response.response_id) == ("msg_1", "resp_1")


def test_only_the_first_end_is_one(tmp_path):
    body = stream(frame({"content": "a"}), frame({}, "stop"), "[DONE]", frame({}, "length"))
    events = events_of(tmp_path / "x.yaml", body)

    assert named(events).count("Final") == named(events).count("Finished") == 1
    assert events[-1].response.text == "a"


@pytest.mark.parametrize(
    ("deltas", "finish", "contents"),
    [([{}], "length", []), ([{}], "content_filter", []), ([{"content": ""}], "stop", [Text(text="")])],
)
def test_a_stream_that_says_nothing_makes_nothing_up(tmp_path, deltas, finish, contents):
    events = events_of(tmp_path / "x.yaml", stream(*map(frame, deltas), frame({}, finish)))

    assert named(events) == ["Started", "Finished", "Final"]
    assert (events[-1].response.choice, events[-1].response.finish_reason) == (contents, finish)


def test_an_error_in_a_stream_is_told_and_ends_it_without_an_answer(tmp_path):
    body = stream(frame({"content": "a"}), {"error": {"message": "aborted", "code": 500}}, done=False)
    heard: list[Any] = []
    with pytest.raises(ProviderError) as caught, replayed(tmp_path / "x.yaml", exchange(body)):
        heard.extend(ProviderModel("vllm", "m-1").completion_request("Hi.").stream_sync())

    assert named(heard) == ["Started", "TextDelta", "StreamError"]
    assert caught.value is heard[-1].error
    assert caught.value.message == "aborted"  # which is no reason to end in silence


async def test_a_stream_can_be_paused_resumed_and_cancelled():
    import anyio

    model = ScriptedModel(
        say("One two three.", usage=Usage(input_tokens=1, output_tokens=3)), "One two three."
    )
    assert isinstance(model, CompletionModel)
    events = model.completion_request("Hi.").stream()
    first = [await anext(events), await anext(events)]
    events.pause()
    with anyio.move_on_after(0.01):
        pytest.fail(f"{await anext(events)} was told although the stream is paused")
    events.resume()
    rest = [event async for event in events]
    other = model.completion_request("Hi.").stream()
    heard = [await anext(other)]
    other.cancel()
    heard += [event async for event in other]

    assert "".join(e.text for e in [*first, *rest] if isinstance(e, TextDelta)) == "One two three."
    assert (events.response.text, events.usage.total_tokens) == ("One two three.", 4)
    assert (named(heard), other.response, other.usage) == (["Started"], None, Usage())


# ------------------------------------------------------------------------------------------ as JSON

TYPES = sorted(
    (
        found
        for name in completion.__all__
        if isinstance(found := getattr(completion, name), type) and issubclass(found, Value)
    ),
    key=lambda found: found.__name__,
)
"""Every value of the vocabulary; an error, which is none, goes by `StreamError` alone."""
NOT_JSON = {StreamError}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """What a field can hold, from its type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in OF_TYPES:
        return OF_TYPES[origin](*arguments)
    if isinstance(annotation, type) and issubclass(annotation, Value):
        return st.deferred(lambda: whole(annotation))
    return PLAIN[annotation]


OF_TYPES: dict[Any, Any] = {
    typing.Annotated: lambda kind, *_: values(kind),
    typing.Union: lambda *kinds: st.one_of(*map(values, kinds)),
    types.UnionType: lambda *kinds: st.one_of(*map(values, kinds)),
    typing.Literal: lambda *words: st.sampled_from(words),
    list: lambda kind: st.lists(values(kind), max_size=2),
    dict: lambda _, kind: st.dictionaries(st.text(max_size=4), values(kind), max_size=2),
}
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=6),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    None: st.none(),
    Any: JSON,
    FinishReason: st.sampled_from([*FinishReason, FinishReason("pause_turn"), FinishReason("")]),
}


def whole(kind: type[Value]) -> st.SearchStrategy[Any]:
    """A value with some of its fields, of whatever they can hold."""
    fields = {name: values(field.annotation) for name, field in kind.model_fields.items()}
    required = {name: found for name, found in fields.items() if kind.model_fields[name].is_required()}
    optional = {name: found for name, found in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda given_: kind(**given_))


def least(kind: type[Value]) -> Any:
    """A value of which only what it must have is given."""
    given_: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if field.is_required():
            given_[name] = _LEAST.get((kind, name)) or _LEAST.get(typing.get_origin(field.annotation), "x")
            if field.annotation is int:
                given_[name] = 0
            if field.annotation is float:
                given_[name] = -0.5
    return kind(**given_)


_LEAST: dict[Any, Any] = {
    list: [],
    (completion.ToolCallEnd, "tool_call"): ToolCall(name="f"),
    (completion.ContentReceived, "content"): Text(text="x"),
    (completion.UsageReported, "usage"): Usage(),
    (completion.Finished, "finish_reason"): FinishReason.STOP,
    (completion.Final, "response"): CompletionResponse(choice=[]),
    (completion.ProviderTool, "config"): {"n": 1},
    (completion.ToolChoice, "mode"): "auto",
    (completion.Message, "role"): "user",
    (completion.StreamError, "error"): CompletionError("x"),
}


def test_every_value_of_the_vocabulary_is_tried():
    assert len(TYPES) == 41
    assert {StreamError} == {kind for kind in TYPES if CompletionError in _annotations(kind)}


def _annotations(kind):
    return {field.annotation for field in kind.model_fields.values()}


@pytest.mark.parametrize(
    "kind", [kind for kind in TYPES if kind not in NOT_JSON], ids=lambda kind: kind.__name__
)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_value_comes_back_from_json(kind, data):
    value = data.draw(whole(kind))

    again = kind.model_validate_json(value.model_dump_json())

    assert again == value
    assert again.model_dump() == value.model_dump()  # with what does not count in a comparison


@pytest.mark.parametrize(
    "kind", [kind for kind in TYPES if kind not in NOT_JSON], ids=lambda kind: kind.__name__
)
def test_what_is_none_can_be_left_out_and_comes_back_by_default(kind):
    value = least(kind)
    spelled = value.model_dump(mode="json", exclude_none=True)

    assert None not in spelled.values()
    assert kind.model_validate_json(json.dumps(spelled)) == value
    required = {name for name, field in kind.model_fields.items() if field.is_required()} | {"type"}
    given_ = {name: found for name, found in value.model_dump(mode="json").items() if name in required}
    assert kind.model_validate({name: f for name, f in given_.items() if name in kind.model_fields}) == value
    with pytest.raises(ValidationError):
        kind.model_validate({**spelled, "colour": "red"})


@settings(max_examples=30, deadline=None)
@given(whole(CompletionRequest))
def test_a_request_goes_over_a_wire_of_its_own_without_what_it_leaves_open(request_):
    sent = VOCABULARY.encode_request(request_)
    found = VOCABULARY.decode_request(sent)

    assert found == request_
    open_ = {name for name, value in request_ if value is None} | {"raw"}
    assert not open_ & sent.json.keys()


@settings(max_examples=30, deadline=None)
@given(whole(CompletionResponse))
def test_an_answer_goes_over_it_too(response):
    request = VOCABULARY.encode_request(CompletionRequest(model="m-1", messages=[Message.user("Hi.")]))

    found = VOCABULARY.decode_response(VOCABULARY.encode_response(response, request), request)

    # What an answer leaves open is made up: its id, the ids of its calls, the model.
    assert found.response_id == (response.response_id or found.response_id)
    assert closed(found, response) == closed(response, response)


def closed(found, like):
    """An answer without the ids that another one leaves open."""
    open_ = {name: None for name in ("response_id", "model") if not getattr(like, name)}

    def bare_(contents, others):
        return [
            one.model_copy(update={"id": "" if not other.id else one.id}) if one.type == "tool_call" else one
            for one, other in zip(contents, others, strict=True)
        ]

    return found.model_copy(
        update={
            **open_,
            "choice": bare_(found.choice, like.choice),
            "others": [
                one.model_copy(update={"contents": bare_(one.contents, other.contents)})
                for one, other in zip(found.others, like.others, strict=True)
            ],
        }
    )


def test_an_error_is_no_json_and_travels_as_it_is():
    import pickle

    error = ProviderError("No luck.", kind="overloaded", status=529, body={"a": 1})
    again = pickle.loads(pickle.dumps(StreamError(error=error)))

    assert (type(again.error), again.error.__dict__) == (ProviderError, error.__dict__)
    assert Json(value=None) == Json.model_validate_json(Json(value=None).model_dump_json())

"""The rows S2 of the features: a server of vLLM, asked through the SDK of OpenAI and as a model of ours."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx
import openai
import pytest

from llmreplay import (
    Cassette,
    FinishReason,
    Message,
    ProviderModel,
    ToolCall,
    ToolDefinition,
    Usage,
    call,
    codecs,
    fail,
    say,
    spoil,
    turn,
    use_cassette,
    use_script,
)
from llmreplay.completion import (
    RETRYABLE,
    CompletionError,
    Final,
    Finished,
    HttpError,
    JsonError,
    ProviderError,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    RequestError,
    ResponseError,
    Started,
    StreamError,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolChoice,
    ToolResult,
    UsageReported,
)
from tests.seeds.answers import (
    FUNCTION,
    HEAD,
    HI,
    SCHEMA,
    TOOL,
    VLLM,
    ask,
    client,
    exchange,
    frame,
    plain,
    replayed,
    stream,
)

MODEL = "Qwen/Qwen2.5-72B-Instruct"
URL = f"{VLLM}/chat/completions"
WEATHER = ToolDefinition(name="get_weather", description="The weather in a city.", parameters=SCHEMA)
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def vllm(model: str | None = MODEL, **options: Any) -> ProviderModel:
    return ProviderModel("vllm", model, **options)


def asked(**fields: Any) -> tuple[dict[str, Any], Any]:
    """Ask through the SDK; give what was on the wire, and what it means."""
    with use_script("Hello.") as script:
        assert ask(**fields).choices[0].message.content == "Hello."
    (exchanged,) = script.calls
    assert exchanged.request.url == URL
    assert codecs.codec_named("openai_chat").encode_request(script.requests[0], base_url=VLLM).json == (
        exchanged.request.json
    )
    return exchanged.request.json, script.requests[0]


# --------------------------------------------------------------------------------------- what is asked


def test_the_four_roles_are_messages_of_their_own():
    written = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [written]},
        {"role": "tool", "content": "22 C", "tool_call_id": "call_1"},
    ]

    body, request = asked(messages=messages)

    assert body["messages"] == messages
    assert request.messages == [
        Message.system("Be brief."),
        Message.user("How is the weather?"),
        Message.assistant("Let me look.", ToolCall(id="call_1", name="get_weather")),
        Message(role="tool", content=[ToolResult(id="call_1", content=[Text(text="22 C")])]),
    ]


SAMPLING = [
    ("temperature", 0.7),
    ("temperature", 0.0),
    ("temperature", 1.5),
    ("max_tokens", 1024),
    ("top_p", 0.9),
]


@pytest.mark.parametrize(("name", "value"), SAMPLING)
def test_how_to_sample_is_said_if_it_is_given_and_only_then(name, value):
    body, request = asked(**{name: value})
    bare, silent = asked()

    assert body == {**bare, name: value}
    assert getattr(request, name) == value
    assert getattr(silent, name) is None


def test_a_number_of_single_precision_is_the_number_it_was_rounded_from(tmp_path):
    (single,) = struct.unpack("f", struct.pack("f", 0.7))
    with use_script("Hello.") as script:
        ask(temperature=0.7)
    Cassette(script.calls).save(tmp_path / "x.yaml")

    with use_cassette(tmp_path / "x.yaml") as cassette:
        answer = httpx.post(URL, json={"model": "m-1", "messages": HI, "temperature": single})

    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    assert cassette.calls[0].request.json["temperature"] == single != 0.7


def test_top_k_is_a_field_of_the_body_though_the_sdk_has_no_word_for_it():
    body, request = asked(extra_body={"top_k": 50})
    with use_script("Hello.") as script:
        vllm().completion_request("Hi.").top_k(-1).send_sync()

    assert (body["top_k"], request.top_k, request.extra) == (50, 50, {})
    assert (script.calls[0].request.json["top_k"], script.requests[0].top_k) == (-1, -1)


@pytest.mark.parametrize(
    ("stop", "means"),
    [("---", ["---"]), (["END", "STOP", "\n\n"], ["END", "STOP", "\n\n"]), (["---"], ["---"])],
)
def test_a_stop_is_a_text_or_a_list_and_stays_what_it_was(stop, means):
    body, request = asked(stop=stop)

    assert body["stop"] == stop
    assert request.stop == means


def test_a_tool_is_offered_called_and_answered():
    with use_script(call("get_weather", city="Paris", id="call_1"), say("22 C.")) as script:
        first = ask(tools=[TOOL]).choices[0]
        (asked_for,) = first.message.tool_calls
        result = {"role": "tool", "tool_call_id": asked_for.id, "content": "22 C"}
        second = ask(tools=[TOOL], messages=[*HI, first.message, result]).choices[0]

    assert (asked_for.type, asked_for.function.name) == ("function", "get_weather")
    assert json.loads(asked_for.function.arguments) == {"city": "Paris"}
    assert (first.finish_reason, second.message.content) == ("tool_calls", "22 C.")
    assert [found.request.json["tools"] for found in script.calls] == [[TOOL], [TOOL]]
    assert script.requests[0].tools == [WEATHER]
    assert script.requests[1].tool_results == [ToolResult(id="call_1", content=[Text(text="22 C")])]


NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        (NAMED, ToolChoice(mode="specific", names=["get_weather"])),
    ],
    ids=["auto", "none", "required", "named"],
)
def test_tools_may_must_or_must_not_be_used_or_this_one_must(written, means):
    body, request = asked(tools=[TOOL], tool_choice=written)
    with use_script("Hello.") as script:
        vllm().completion_request("Hi.").tool(WEATHER).tool_choice(means).send_sync()

    assert body["tool_choice"] == written == script.calls[0].request.json["tool_choice"]
    assert request.tool_choice == means == script.requests[0].tool_choice


@pytest.mark.parametrize(("flag", "streams"), [(True, True), (False, False), (None, False)])
def test_an_answer_is_a_stream_if_the_flag_says_so(flag, streams):
    said = {} if flag is None else {"stream": flag}
    with use_script("Hello.") as script:
        answer = httpx.post(URL, json={"model": "m-1", "messages": HI, **said})

    assert answer.headers["content-type"].startswith("text/event-stream" if streams else "application/json")
    assert answer.text.endswith("data: [DONE]\n\n") is streams
    assert (script.requests[0].stream, script.requests[0].extra) == (streams, {})
    assert script.calls[0].decode().text == "Hello."


EXTRA = {"chat_template_kwargs": {"think_mode": True}, "reasoning_effort": "high", "temperature": 0.25}


def test_what_only_vllm_knows_is_merged_last_and_has_the_last_word():
    """`extra` of the client library and `extra_body` of the SDK write over what was said before."""
    body, request = asked(temperature=1.0, extra_body=EXTRA)
    with use_script("Hello.") as script:
        vllm("m-1").completion_request("Hi.").temperature(1.0).extra(EXTRA).send_sync()

    assert body == {"model": "m-1", "messages": HI, **EXTRA} == script.calls[0].request.json
    for found in (request, script.requests[0]):
        assert found.extra == {"chat_template_kwargs": {"think_mode": True}}
        assert (found.reasoning_effort, found.temperature) == ("high", 0.25)


# --------------------------------------------------------------------------------------- what is answered

CALLED = {"id": "chatcmpl-tool-1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
ANSWERS: dict[str, tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    # the message, why it ends, its usage, and what it means
    "text": ({"content": "4"}, "stop", {"usage": USAGE}, {"content": "4"}),
    "reasoning": (
        {"content": "4", "reasoning_content": "2 and 2"},
        "stop",
        {"usage": USAGE},
        {"content": "4", "reasoning_content": "2 and 2"},
    ),
    "no content but calls": (
        {"content": None, "tool_calls": [CALLED]},
        "tool_calls",
        {"usage": USAGE},
        {"tool_calls": [ToolCall(id="chatcmpl-tool-1", name="f", arguments={"a": 1})]},
    ),
    "cut short": ({"content": "It is"}, "length", {"usage": USAGE}, {"content": "It is"}),
    "nothing at all": ({"content": None, "reasoning_content": None}, "length", {"usage": None}, {}),
    "no usage": ({"content": "4"}, "stop", {}, {"content": "4"}),
}


@pytest.mark.parametrize(("message", "finish", "more", "means"), ANSWERS.values(), ids=ANSWERS)
def test_every_field_of_an_answer_is_read_and_the_raw_one_is_kept(tmp_path, message, finish, more, means):
    body = plain(message, finish, kv_transfer_params=None, **more)
    with replayed(tmp_path / "x.yaml", exchange(body)) as cassette:
        heard = ask()
    response = cassette.calls[0].decode()

    assert (heard.id, heard.object, heard.model) == ("chatcmpl-1", "chat.completion", "m-1-2026")
    assert heard.choices[0].message.content == message["content"]
    assert heard.usage is None if more.get("usage") is None else heard.usage.to_dict() == USAGE
    assert response.raw == body
    assert (response.response_id, response.object, response.model) == (heard.id, heard.object, heard.model)
    assert response.created == HEAD["created"]
    expected = {"content": None, "reasoning_content": None, "tool_calls": [], **means}
    assert {name: getattr(response, name) for name in expected} == expected
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason(finish), finish)
    assert response.usage == (Usage(input_tokens=10, output_tokens=5) if more.get("usage") else Usage())
    assert response.usage.has_values is bool(more.get("usage"))


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_a_stream_tells_reasoning_text_calls_and_usage_one_after_the_other(tmp_path, name):
    opened = {"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"a":', " 1}")]
    body = stream(
        frame({"role": "assistant", "content": ""}),
        frame({name: "2 and"}),
        frame({name: " 2"}),
        frame({"content": "4"}),
        *(frame({"tool_calls": [found]}) for found in (opened, *pieces)),
        frame({}, "tool_calls"),
        frame(usage=USAGE),
    )
    with replayed(tmp_path / "x.yaml", exchange(body), exchange(body)) as cassette:
        chunks = list(ask(stream=True, stream_options={"include_usage": True}))
        events = list(vllm().completion_request("Hi.").stream_sync())
    whole = ToolCall(id="t1", name="f", arguments={"a": 1}, arguments_raw='{"a": 1}')

    assert "".join(getattr(c.choices[0].delta, name, None) or "" for c in chunks if c.choices) == "2 and 2"
    assert (chunks[-1].choices, chunks[-1].usage.to_dict()) == ([], USAGE)
    assert events[:-1] == [
        Started(response_id="chatcmpl-1", model="m-1-2026"),
        ReasoningDelta(text="2 and"),
        ReasoningDelta(text=" 2"),
        TextDelta(text="4"),
        ToolCallStart(index=0, id="t1", name="f"),
        ToolCallDelta(index=0, arguments='{"a":'),
        ToolCallDelta(index=0, arguments=" 1}"),
        ToolCallEnd(index=0, tool_call=whole),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="tool_calls"),
        UsageReported(usage=Usage(input_tokens=10, output_tokens=5)),
    ]
    assert events[-1] == Final(response=cassette.calls[1].decode())
    assert events[-1].response.choice == [
        Reasoning(parts=[ReasoningPart(text="2 and 2")]),
        Text(text="4"),
        whole,
    ]


def test_an_error_in_a_stream_is_told_last_and_there_is_no_end():
    with use_script(fail("server_error", during="One two three.", after=3)), pytest.raises(ProviderError):
        for event in vllm().completion_request("Hi.").stream_sync():
            last = event

    assert isinstance(last, StreamError)
    assert (last.error.kind, last.error.retryable) == ("server_error", True)


def test_a_conversation_goes_on_with_what_was_answered():
    with use_script("Hello, Alice.", "Alice.") as script:
        said = [{"role": "user", "content": "My name is Alice"}]
        first = ask(messages=said).choices[0].message.content
        said += [{"role": "assistant", "content": first}, {"role": "user", "content": "What's my name?"}]
        assert ask(messages=said).choices[0].message.content == "Alice."

    assert script.calls[1].request.json["messages"] == said
    assert script.requests[1].messages == [
        Message.user("My name is Alice"),
        Message.assistant("Hello, Alice."),
        Message.user("What's my name?"),
    ]
    assert script.requests[1].messages[:1] == script.requests[0].messages


# --------------------------------------------------------------------------------------- how it fails

NOTHING = {"hello": "you"}
ENVELOPE = {"error": {"message": "No luck.", "code": "odd_luck"}}
VARIANTS: dict[str, tuple[Any, type[CompletionError], str, bool, str]] = {
    # What the client library calls it: what brings it on here, our class and kind, whether the library
    # thinks that a second attempt may succeed; and why we think otherwise, where we do.
    "Http": (
        fail("connection"), HttpError, "connection", False, "nobody got the request: it can be sent again",
    ),
    "Json": (spoil("4"), JsonError, "decode_error", False, ""),
    "ApiError 400": (fail(400), ProviderError, "invalid_request", False, ""),
    "ApiError 401": (fail(401), ProviderError, "authentication", False, ""),
    "ApiError 403": (fail(403), ProviderError, "permission_denied", False, ""),
    "ApiError 408": (
        fail("timeout", status=408), ProviderError, "timeout", False, "the SDKs of OpenAI try it again",
    ),
    "ApiError 409": (fail(409), ProviderError, "conflict", False, "the SDKs of OpenAI try it again"),
    "ApiError 422": (fail(422), ProviderError, "invalid_request", False, ""),
    "ApiError 429": (fail(429), ProviderError, "rate_limited", True, ""),
    "ApiError 500": (fail(500), ProviderError, "server_error", True, ""),
    "ApiError 502": (fail(502), ProviderError, "server_error", True, ""),
    "ApiError 503": (fail(503), ProviderError, "overloaded", True, ""),
    "ApiError 504": (fail("timeout", status=504), ProviderError, "timeout", True, ""),
    "ApiError 529": (fail(529), ProviderError, "overloaded", False, "an overload passes"),
    "Stream": (
        stream(frame({"content": "One"}), done=False), HttpError, "stream_truncated", False,
        "what broke off may come whole the next time",
    ),
    "Timeout": (fail("timeout"), HttpError, "timeout", True, ""),
    "ModelNotFound": (fail("not_found"), ProviderError, "not_found", False, ""),
    "MissingParameter": (None, RequestError, "request_build", False, ""),
    "NoContent": (plain(None), ResponseError, "response_schema", False, ""),
    "InvalidResponse": (NOTHING, ResponseError, "response_schema", False, ""),
    "Other": (ENVELOPE, ProviderError, "error_in_200", False, ""),
}  # fmt: skip


@pytest.mark.parametrize(("cause", "type_", "kind", "theirs", "reason"), VARIANTS.values(), ids=VARIANTS)
def test_each_variant_of_its_errors_has_a_kind_and_a_word_on_trying_again(  # noqa: PLR0917  parametrized
    tmp_path, cause, type_, kind, theirs, reason
):
    with pytest.raises(CompletionError) as caught:
        if cause is None:
            vllm(None).completion_request("Hi.").send_sync()
        elif isinstance(cause, bytes):
            with replayed(tmp_path / "x.yaml", exchange(cause)):
                list(vllm().completion_request("Hi.").stream_sync())
        elif isinstance(cause, dict):
            with replayed(tmp_path / "x.yaml", exchange(cause)):
                vllm().completion_request("Hi.").send_sync()
        else:
            with use_script(cause):
                vllm().completion_request("Hi.").send_sync()
    error = caught.value

    assert (type(error), error.kind) == (type_, kind)
    assert error.retryable is (theirs or bool(reason)) is (kind in RETRYABLE)


def test_the_ten_variants_are_all_there():
    names = {name.partition(" ")[0] for name in VARIANTS}
    assert names == {
        "Http", "Json", "ApiError", "Stream", "Timeout", "ModelNotFound", "MissingParameter", "NoContent",
        "InvalidResponse", "Other",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (fail("connection"), openai.APIConnectionError),
        (fail("timeout"), openai.APITimeoutError),
        (fail(400), openai.BadRequestError),
        (fail(401), openai.AuthenticationError),
        (fail("not_found"), openai.NotFoundError),
        (fail(422), openai.UnprocessableEntityError),
        (fail(429), openai.RateLimitError),
        (fail(503), openai.InternalServerError),
    ],
    ids=lambda found: getattr(found, "__name__", getattr(found, "kind", None)),
)
def test_the_sdk_meets_them_by_its_own_names(fault, met):
    with use_script(fault), pytest.raises(met) as caught:
        ask()

    assert type(caught.value) is met
    if isinstance(caught.value, openai.APIStatusError):
        assert set(caught.value.response.json()) == {"error"}
        assert set(caught.value.response.json()["error"]) == {"message", "type", "param", "code"}


# --------------------------------------------------------------------------------------- how it is framed

TOLD = "Zoë 👋🏽 says hi"
USUAL = (
    stream(
        frame({"role": "assistant", "content": ""}),
        *(frame({"content": piece}) for piece in ("Zoë 👋🏽", " says", " hi")),
        frame({}, "stop"),
    )
    .replace(rb"\u00eb", "ë".encode())
    .replace(rb"\ud83d\udc4b\ud83c\udffd", "👋🏽".encode())
)
FRAMINGS = {
    "usual": USUAL,
    "carriage returns": USUAL.replace(b"\n", b"\r\n"),
    "no space after the colon": USUAL.replace(b"data: ", b"data:"),
    "comments": b": ping\n\n" + USUAL.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    "no [DONE]": USUAL.removesuffix(b"data: [DONE]\n\n"),
    "no blank line at the end": USUAL.removesuffix(b"data: [DONE]\n\n").rstrip(b"\n"),
}


@pytest.mark.parametrize("split", [None, "bytes"], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("body", FRAMINGS.values(), ids=FRAMINGS)
def test_a_stream_is_read_however_it_is_framed_and_split(tmp_path, body, split):
    """What the client library gets wrong: it wants `\\n\\n` and `data: `, and decodes each chunk alone."""
    Cassette([exchange(body), exchange(body)]).save(tmp_path / "x.yaml")
    with use_cassette(tmp_path / "x.yaml", ignore=["body"], split=split):
        heard = [c.choices[0].delta.content or "" for c in ask(stream=True) if c.choices]
        *_, last = vllm().completion_request("Hi.").stream_sync()

    assert "".join(heard) == TOLD
    assert isinstance(last, Final)
    assert (last.response.text, last.response.finish_reason) == (TOLD, FinishReason.STOP)


def test_a_stream_that_ends_before_the_answer_did_is_no_answer(tmp_path):
    body = USUAL[: USUAL.index(b'" hi"')]
    with replayed(tmp_path / "x.yaml", exchange(body)), pytest.raises(HttpError) as caught:
        list(vllm().completion_request("Hi.").stream_sync())

    assert caught.value.kind == "stream_truncated"


def test_both_ways_of_asking_put_the_same_on_the_wire():
    with use_script(turn("Hello.", usage=Usage(input_tokens=1, output_tokens=1)), "Hello.") as script:
        client().chat.completions.create(model=MODEL, messages=HI, tools=[TOOL], max_tokens=5, stop=["a"])
        vllm().completion_request("Hi.").tool(WEATHER).max_tokens(5).stop("a").send_sync()

    first, second = (found.request.json for found in script.calls)
    assert first == second
    assert first["tools"][0]["function"] == FUNCTION

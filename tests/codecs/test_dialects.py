"""What tells the dialects of the chat wire apart, in the bytes that are written for each."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from payloads import CHAT, asked

from llmreplay import codecs
from llmreplay.codecs import _answer, openai_chat
from llmreplay.codecs._encoding import Cut
from llmreplay.codecs.openai_chat._dialects import COMPATIBLE, DIALECTS, dialect_of, provider_of
from llmreplay.completion import (
    Audio,
    CompletionResponse,
    FinishReason,
    Image,
    LogProbs,
    ProviderContent,
    ProviderError,
    Reasoning,
    ReasoningPart,
    ResponseError,
    Text,
    TokenLogProb,
    ToolCall,
    Usage,
)
from llmreplay.exchange import Exchange, Request, Response

CODEC = openai_chat.CODEC
USAGE = Usage(input_tokens=12, output_tokens=8, cached_input_tokens=5, reasoning_tokens=3)
SAID = CompletionResponse(choice=[Text(text="It is sunny.")], usage=USAGE, finish_reason=FinishReason.STOP)
CALLED = CompletionResponse(
    choice=[ToolCall(name="get_weather", arguments={"city": "Paris"})],
    usage=USAGE,
    finish_reason=FinishReason.TOOL_CALLS,
)


def url(name: str) -> str:
    base = DIALECTS[name].base_url
    return f"{base}/openai/deployments/m/chat/completions" if name == "azure" else f"{base}/chat/completions"


def request(name: str, **body: Any) -> Request:
    return asked(url(name), {"model": "m-1", "messages": [], **body})


def plain(name: str, response: CompletionResponse = SAID, **body: Any) -> Any:
    return CODEC.encode_response(response, request(name, **body)).json


def raw(name: str, response: CompletionResponse = SAID, **body: Any) -> Response:
    return CODEC.encode_response(response, request(name, stream=True, **body))


def frames(name: str, response: CompletionResponse = SAID, **body: Any) -> list[Any]:
    found = raw(name, response, **body).body.decode().split("\n\n")
    return [json.loads(frame.removeprefix("data: ")) for frame in found if frame.startswith("data: {")]


def there_and_back(name: str, response: CompletionResponse, **body: Any) -> CompletionResponse:
    wanted = request(name, **body)
    return _answer.decode(CODEC, Exchange(wanted, CODEC.encode_response(response, wanted)))


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_told_by_its_own_url(name: str) -> None:
    assert dialect_of(request(name)).name == name


def test_a_server_that_nobody_knows_speaks_as_openai_does() -> None:
    unknown = asked("https://models.example.org/v1/chat/completions", {"model": "m"})

    assert provider_of(unknown) is None
    assert dialect_of(unknown) is COMPATIBLE


def test_azure_is_told_by_its_path_behind_a_proxy() -> None:
    assert provider_of(asked("https://gateway.example.org/openai/deployments/m/chat/completions")) == "azure"


def places(name: str, **body: Any) -> list[bool]:
    return [bool(frame.get("usage")) for frame in frames(name, **body)]


ASK = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize("name", ["openai", "azure", "vllm", "llama.cpp", "ollama"])
def test_usage_comes_in_a_frame_of_its_own_if_it_is_asked_for(name: str) -> None:
    assert not any(places(name))
    assert places(name, **ASK).index(True) == len(places(name, **ASK)) - 1
    assert frames(name, **ASK)[-1]["choices"] == []


@pytest.mark.parametrize("name", ["xai", "openrouter", "huggingface"])
def test_usage_comes_in_a_frame_of_its_own_unasked(name: str) -> None:
    assert frames(name)[-1]["choices"] == []
    assert frames(name)[-1]["usage"]["total_tokens"] == 20


@pytest.mark.parametrize("name", ["deepseek", "together", "mistral", "cerebras", "zai", "google"])
def test_usage_comes_in_the_last_frame_with_choices(name: str) -> None:
    assert places(name) == [False] * (len(places(name)) - 1) + [True]
    assert frames(name)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("name", ["openai", "azure", "deepseek", "together"])
def test_usage_is_null_until_then(name: str) -> None:
    found = frames(name, **ASK)
    told = found[1:-1] if name == "azure" else found[:-1]  # but in the filters of the prompt
    assert all("usage" in frame and frame["usage"] is None for frame in told)


def test_groq_says_three_times_what_was_used() -> None:
    first, *_, last, alone = frames("groq", **ASK)

    assert first["x_groq"].keys() == {"id"}
    assert last["x_groq"]["usage"] == last["usage"] == alone["usage"]
    assert alone["choices"] == []
    assert len(frames("groq")) == len(frames("groq", **ASK)) - 1


def test_perplexity_counts_up_in_each_frame_and_sends_no_done() -> None:
    cited = SAID.model_copy(update={"citations": ["https://a.example", "https://b.example"]})
    found = frames("perplexity", cited)

    counted = [frame["usage"]["completion_tokens"] for frame in found]
    assert counted == sorted(counted)
    assert counted[-1] == 8
    assert all(frame["citations"] == cited.citations for frame in found)
    assert b"[DONE]" not in raw("perplexity").body
    assert there_and_back("perplexity", cited, stream=True).citations == cited.citations


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - {"perplexity"}))
def test_all_others_end_with_done(name: str) -> None:
    assert raw(name).body.endswith(b"\n\ndata: [DONE]\n\n")


def test_openrouter_sends_a_comment_first() -> None:
    assert raw("openrouter").body.startswith(b": OPENROUTER PROCESSING\n\ndata: {")
    assert frames("openrouter")[0]["provider"] == "OpenAI"


def test_openai_pads_its_frames_unless_told_not_to() -> None:
    assert all(frame["obfuscation"] for frame in frames("openai"))
    bare = frames("openai", stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in frame for frame in bare)
    assert not any("obfuscation" in frame for frame in frames("vllm"))


def test_azure_tells_its_filters() -> None:
    first, second, *_ = frames("azure")
    assert (first["choices"], first["prompt_filter_results"][0]["prompt_index"]) == ([], 0)
    assert second["choices"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}

    filtered = SAID.model_copy(update={"finish_reason": FinishReason.CONTENT_FILTER})
    assert plain("azure", filtered)["choices"][0]["content_filter_results"]["violence"]["filtered"] is True


@pytest.mark.parametrize("name", ["groq", "xai", "mistral", "ollama", "google"])
def test_some_send_each_tool_call_whole(name: str) -> None:
    calls = [
        choice["delta"]["tool_calls"]
        for frame in frames(name, CALLED)
        for choice in frame["choices"]
        if "tool_calls" in choice["delta"]
    ]

    assert len(calls) == 1
    assert json.loads(calls[0][0]["function"]["arguments"]) == {"city": "Paris"}


def test_others_send_it_in_pieces_beginning_with_the_role() -> None:
    first, *rest, last = frames("openai", CALLED)

    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert first["choices"][0]["delta"]["tool_calls"][0]["function"] == {
        "name": "get_weather",
        "arguments": "",
    }
    pieces = [frame["choices"][0]["delta"]["tool_calls"][0] for frame in rest]
    assert all(piece.keys() == {"index", "function"} for piece in pieces)
    assert json.loads("".join(piece["function"]["arguments"] for piece in pieces)) == {"city": "Paris"}
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "tool_calls")


IDS = {
    "openai": (r"chatcmpl-\w{29}", r"call_\w{24}"),
    "groq": (r"chatcmpl-[0-9a-f-]{36}", r"fc_[0-9a-f-]{36}"),
    "deepseek": (r"[0-9a-f-]{36}", r"call_00_\w{24}"),
    "openrouter": (r"gen-1767225600-\w{20}", r"call_\w{24}"),
    "vllm": (r"chatcmpl-[0-9a-f]{32}", r"chatcmpl-tool-[0-9a-f]{16}"),
    "mistral": (r"[0-9a-f]{32}", r"\w{9}"),
    "ollama": (r"chatcmpl-\d{3}", r"call_[0-9a-f]{8}"),
    "xai": (r"[0-9a-f-]{36}", r"call_\d{8}"),
}


@pytest.mark.parametrize(("name", "answer", "call"), [(name, *ids) for name, ids in IDS.items()])
def test_ids_look_as_the_provider_makes_them(name: str, answer: str, call: str) -> None:
    body = plain(name, CALLED)

    assert re.fullmatch(answer, body["id"])
    assert re.fullmatch(call, body["choices"][0]["message"]["tool_calls"][0]["id"])


HEADERS = {
    "openai": ("x-request-id", "application/json", "text/event-stream; charset=utf-8"),
    "azure": ("apim-request-id", "application/json", "text/event-stream; charset=utf-8"),
    "deepseek": ("x-ds-trace-id", "application/json", "text/event-stream; charset=utf-8"),
    "groq": ("x-request-id", "application/json", "text/event-stream"),
    "together": ("x-request-id", "application/json; charset=utf-8", "text/event-stream; charset=utf-8"),
    "openrouter": (None, "application/json", "text/event-stream"),
    "zai": (None, "application/json; charset=UTF-8", "text/event-stream;charset=UTF-8"),
}


@pytest.mark.parametrize(
    ("name", "header", "json_type", "stream_type"), [(n, *h) for n, h in HEADERS.items()]
)
def test_headers_are_those_of_the_provider(
    name: str, header: str | None, json_type: str, stream_type: str
) -> None:
    whole, streamed = CODEC.encode_response(SAID, request(name)), raw(name)

    own = {"content-type", "content-length", header} - {None}
    assert {key for key, _ in whole.headers} == own
    assert (whole.header("content-type"), streamed.header("content-type")) == (json_type, stream_type)


def test_xai_counts_reasoning_beside_the_answer_and_deepseek_the_hits_of_its_cache() -> None:
    grok, deepseek = plain("xai")["usage"], plain("deepseek")["usage"]

    assert (grok["completion_tokens"], grok["total_tokens"]) == (5, 20)
    assert grok["completion_tokens_details"]["reasoning_tokens"] == 3
    assert (deepseek["prompt_cache_hit_tokens"], deepseek["prompt_cache_miss_tokens"]) == (5, 7)
    for name in ("xai", "deepseek"):
        assert there_and_back(name, SAID).usage == USAGE


def test_tokens_that_were_written_to_a_cache_have_a_place() -> None:
    usage = Usage(input_tokens=9, output_tokens=1, cache_creation_input_tokens=4)
    assert there_and_back("openrouter", SAID.model_copy(update={"usage": usage})).usage == usage


def test_usage_that_was_read_is_written_as_it_was() -> None:
    details = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.5}
    usage = Usage(input_tokens=3, output_tokens=4, details=details)

    assert plain("openai", SAID.model_copy(update={"usage": usage}))["usage"] == details
    changed = usage.model_copy(update={"output_tokens": 5, "total_tokens": 8})
    assert plain("openai", SAID.model_copy(update={"usage": changed}))["usage"]["completion_tokens"] == 5


THOUGHT = Reasoning(
    parts=[ReasoningPart(text="Think.", signature="sig"), ReasoningPart(kind="encrypted", text="ENC")]
)
SUMMED = Reasoning(parts=[ReasoningPart(kind="summary", text="In short.")])


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("thought", [THOUGHT, SUMMED], ids=["signed and sealed", "summary"])
def test_openrouter_keeps_signed_and_sealed_reasoning(thought: Reasoning, stream: Any) -> None:
    response = CompletionResponse(choice=[thought, Text(text="So.")], finish_reason=FinishReason.STOP)

    assert there_and_back("openrouter", response, stream=stream).choice == response.choice


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_mistral_has_reasoning_among_its_contents(stream: Any) -> None:
    thought = Reasoning(parts=[ReasoningPart(text="Think.")])
    response = CompletionResponse(choice=[thought, Text(text="So.")], finish_reason=FinishReason.STOP)

    assert there_and_back("mistral", response, stream=stream).choice == response.choice
    assert plain("mistral", response)["choices"][0]["message"]["content"][0]["type"] == "thinking"


def test_openai_does_not_show_what_it_thinks() -> None:
    thought = Reasoning(parts=[ReasoningPart(text="Think.")])
    response = CompletionResponse(choice=[thought, Text(text="So.")])

    assert there_and_back("openai", response).choice == [Text(text="So.")]
    assert b"Think" not in raw("openai", response).body


MEDIA = {
    "image": Image(data="iVBORw0K", media_type="image/png"),
    "image by url": Image(data="https://e.example/a.png", source="url", detail="low"),
    "sound": Audio(data="UklGRg==", id="audio_1", transcript="Hello."),
    "something else": ProviderContent(kind="reference", raw={"type": "reference", "reference_ids": [1]}),
    "a custom tool": ToolCall(id="call_1", name="sql", arguments="SELECT 1", extra={"type": "custom"}),
    "a signed call": ToolCall(
        id="call_1",
        name="f",
        arguments={},
        signature="abc",
        extra={"extra_content": {"google": {"thought_signature": "abc"}}},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("content", MEDIA.values(), ids=MEDIA)
def test_media_and_what_only_one_provider_has_come_back(content: Any, stream: Any) -> None:
    response = CompletionResponse(choice=[Text(text="Here."), content])

    found = there_and_back("openrouter", response, stream=stream)

    assert sorted(item.type for item in found.choice) == sorted(item.type for item in response.choice)
    assert content in found.choice


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_who_asks_with_functions_is_answered_with_one(stream: Any) -> None:
    found = there_and_back("openai", CALLED, functions=[{"name": "get_weather"}], stream=stream)

    assert found.choice == [ToolCall(name="get_weather", arguments={"city": "Paris"})]
    assert found.raw_finish_reason == "function_call"


@pytest.mark.parametrize(
    ("given", "raw_reason", "spelled"),
    [
        ("stop", "eos", "eos"),
        ("stop", "end_turn", "stop"),  # another provider's word
        ("length", "model_length", "model_length"),
        ("error", "error", "error"),
        ("pause_turn", None, "pause_turn"),
        (None, None, "stop"),
    ],
)
def test_finish_reasons_are_spelled_as_they_were_where_that_is_a_word_of_this_wire(
    given: str | None, raw_reason: str | None, spelled: str
) -> None:
    reason = None if given is None else FinishReason(given)
    response = CompletionResponse(
        choice=[Text(text="So.")], finish_reason=reason, raw_finish_reason=raw_reason
    )

    assert plain("openai", response)["choices"][0]["finish_reason"] == spelled


def test_tool_calls_without_a_reason_are_one() -> None:
    assert (
        plain("openai", CompletionResponse(choice=CALLED.choice))["choices"][0]["finish_reason"]
        == "tool_calls"
    )
    stopped = CompletionResponse(
        choice=CALLED.choice, finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="stop"
    )
    assert plain("openai", stopped)["choices"][0]["finish_reason"] == "stop"


def test_a_stream_is_cut_as_it_is_told() -> None:
    cut = Cut(text=list, arguments=lambda text: [text])
    wanted = request("openai", stream=True)

    letters = CODEC.encode_response(SAID, wanted, cut=cut)
    assert len(letters.chunks) == 1 + len("It is sunny.") + 1 + 1
    assert len(CODEC.encode_response(CALLED, wanted, cut=cut).chunks) == 1 + 1 + 1 + 1


def test_probabilities_that_do_not_spell_the_text_come_at_its_end() -> None:
    odd = LogProbs(content=[TokenLogProb(token="It", logprob=-1.0)])
    response = SAID.model_copy(update={"logprobs": odd})

    assert there_and_back("openai", response, stream=True).logprobs == odd
    assert frames("openai", response)[-1]["choices"][0]["logprobs"]["content"][0]["token"] == "It"


def test_ids_and_the_rest_are_written_where_they_are_given() -> None:
    response = SAID.model_copy(
        update={
            "request_id": "req_1",
            "system_fingerprint": "fp_1",
            "service_tier": "priority",
            "response_id": "c-1",
        }
    )

    for name, stream in (("openai", False), ("openai", True), ("together", False)):
        found = there_and_back(name, response, stream=stream)
        told = (found.request_id, found.system_fingerprint, found.service_tier, found.response_id)
        assert told == ("req_1", "fp_1", "priority", "c-1")


def test_a_deferred_answer_is_promised_then_awaited_then_there() -> None:
    asking = request("xai", deferred=True)
    promise = codecs.decode(Exchange(asking, CODEC.encode_response(SAID, asking)))
    fetching = Request("GET", f"{DIALECTS['xai'].base_url}/chat/deferred-completion/{promise.request_id}")
    waiting = CompletionResponse(choice=[], finish_reason=FinishReason("deferred"))

    assert (promise.choice, promise.finish_reason) == ([], "deferred")
    assert promise.request_id
    assert CODEC.encode_response(waiting, fetching).status == 202
    assert codecs.decode(Exchange(fetching, CODEC.encode_response(waiting, fetching))) == waiting.model_copy(
        update={"provider": "xai"}
    )
    assert codecs.decode(Exchange(fetching, CODEC.encode_response(SAID, fetching))).text == "It is sunny."
    again = CODEC.encode_response(promise, asking)
    assert again.json == {"request_id": promise.request_id}


def test_a_promise_that_holds_nothing_is_no_answer() -> None:
    asking = request("xai", deferred=True)

    for body in (b"{}", b'{"choices": []}', b"[]"):
        with pytest.raises(ResponseError):
            codecs.decode(Exchange(asking, Response.of(200, body)))


@pytest.mark.parametrize("name", DIALECTS)
def test_each_provider_has_a_shape_of_its_own_for_errors(name: str) -> None:
    expected: dict[str, Any] = {
        "xai": {"code": "Some resource has been exhausted", "error": "Slow."},
        "openrouter": {
            "error": {
                "message": "Slow.",
                "code": 429,
                "metadata": {
                    "raw": "m-1 is temporarily rate-limited upstream. Please retry shortly.",
                    "provider_name": "OpenAI",
                },
            }
        },
        "huggingface": {"error": "Slow."},
        "groq": {"error": {"message": "Slow.", "type": "tokens", "code": "rate_limit_exceeded"}},
        "azure": {"error": {"code": "429", "message": "Slow."}},
        "llama.cpp": {"error": {"code": 429, "message": "Slow.", "type": "requests"}},
        "vllm": {"error": {"message": "Slow.", "type": "requests", "param": None, "code": 429}},
        "google": [{"error": {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"}}],
        "openai": {
            "error": {"message": "Slow.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
        },
    }
    response = CODEC.encode_error("rate_limited", request(name), message="Slow.")

    assert response.status == 429
    if name in expected:
        assert response.json == expected[name]
    error = CODEC.decode_error(response, request(name))
    assert (error.kind, error.message, error.provider) == (
        "rate_limited",
        "Slow.",
        provider_of(request(name)),
    )


def test_several_pieces_of_reasoning_are_one_text_where_there_is_but_one_place() -> None:
    parts = [ReasoningPart(text="One."), ReasoningPart(text="Two.")]
    response = CompletionResponse(choice=[Reasoning(parts=parts), Text(text="So.")])

    assert plain("deepseek", response)["choices"][0]["message"]["reasoning_content"] == "One.\nTwo."
    found = there_and_back("deepseek", response, stream=True)
    assert found.reasoning_content == "One.\nTwo."


def test_errors_name_the_model_and_take_a_code() -> None:
    missing = CODEC.encode_error("not_found", request("openai"))
    assert (
        missing.json["error"]["message"] == "The model `m-1` does not exist or you do not have access to it."
    )
    assert CODEC.encode_error("invalid_request", request("openai"), code="odd").json["error"]["code"] == "odd"
    assert CODEC.encode_error("not_found", asked(url("azure"), {})).status == 404


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("openai", "quota_exhausted", 429),
        ("deepseek", "quota_exhausted", 402),
        ("xai", "authentication", 400),
        ("groq", "request_too_large", 413),
        ("llama.cpp", "request_too_large", 400),
        ("llama.cpp", "not_supported", 501),
        ("perplexity", "not_found", 400),
        ("openai", "overloaded", 503),
    ],
)
def test_statuses_are_those_of_the_provider(name: str, kind: Any, status: int) -> None:
    response = CODEC.encode_error(kind, request(name))

    assert response.status == status
    assert CODEC.decode_error(response, request(name)).kind == kind


STREAM_ERRORS = {
    "openai": b'data: {"error":{"message":"Gone.","type":"server_error","param":null,"code":null}}\n\n',
    "groq": b"event: error\n"
    b'data: {"error":{"message":"Gone.","type":"internal_server_error","status_code":500}}\n\n',
    "huggingface": b'data: {"error":"Gone.","error_type":"generation"}\n\n',
    "vllm": b'data: {"error":{"message":"Gone.","type":"InternalServerError","param":null,"code":500}}\n\n'
    b"data: [DONE]\n\n",
}


@pytest.mark.parametrize(("name", "expected"), STREAM_ERRORS.items())
def test_an_error_in_a_stream_has_a_form_of_its_own(name: str, expected: bytes) -> None:
    assert CODEC.encode_stream_error("server_error", request(name), message="Gone.") == expected


def test_openrouter_puts_an_error_beside_a_last_delta_and_still_ends() -> None:
    error = CODEC.encode_stream_error("overloaded", request("openrouter"), message="Gone.")
    wanted = request("openrouter", stream=True)
    begun = [chunk.data for chunk in CODEC.encode_response(SAID, wanted).chunks[:3]]

    assert error.endswith(b"data: [DONE]\n\n")
    with pytest.raises(ProviderError) as caught:
        codecs.decode(Exchange(wanted, Response.of(200, [*begun, error])))
    assert caught.value.kind == "overloaded"


def test_reasoning_that_comes_in_pieces_between_empty_texts_is_one() -> None:
    deltas = [{"content": "", "reasoning": piece} for piece in ("One ", "thought")]
    deltas += [{"content": piece, "reasoning": ""} for piece in ("and one", " answer")]
    body = "".join(f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta}]})}\n\n" for delta in deltas)

    found = codecs.decode(Exchange(asked(CHAT), Response.of(200, f"{body}data: [DONE]\n\n".encode())))

    assert found.choice == [Reasoning(parts=[ReasoningPart(text="One thought")]), Text(text="and one answer")]

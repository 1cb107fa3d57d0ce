"""The wire whose format is the vocabulary: what is its own, beside the contract of all wires."""

from __future__ import annotations

import json

import pytest

from llmreplay import CompletionRequest, Exchange, Message, Request, Response, codecs
from llmreplay.codecs.vocabulary import CODEC, CONTENT_TYPE, URL
from llmreplay.completion import (
    CompletionError,
    Document,
    Json,
    ProviderTool,
    RequestError,
    ResponseFormat,
    SearchParameters,
    StreamError,
    StreamOptions,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    UnknownEvent,
    told,
)
from llmreplay.script import say

ASKED = CODEC.encode_request(CompletionRequest(messages=[Message.user("Hi.")]))


def answered(body, status=200, headers=()):
    return Exchange(ASKED, Response.of(status, json.dumps(body).encode(), headers))


def frames(*events):
    body = b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events)
    return Exchange(ASKED, Response.of(200, body, (("content-type", "text/event-stream"),)))


def test_every_field_of_a_request_comes_back():
    request = CompletionRequest(
        model="m",
        messages=[
            Message.system("Be brief."),
            Message(
                role="user",
                name="ada",
                id="msg_1",
                extra={"a": None},
                content=[Text(text="Hi.", extra={"b": []})],
            ),
            Message.assistant(
                ToolCall(id="c", name="t", arguments=None, arguments_raw="{", arguments_error="no")
            ),
            Message(role="tool", content=[ToolResult(id="c", content=[Json(value=None)], is_error=True)]),
        ],
        documents=[Document(data="x", source="text", name="d")],
        tools=[ToolDefinition(name="t", parameters={}), ProviderTool(kind="search", config={})],
        tool_choice=ToolChoice(mode="specific", names=["t"]),
        parallel_tool_calls=False,
        temperature=0.0,
        top_p=0.5,
        top_k=1,
        max_tokens=0,
        max_completion_tokens=2,
        n=1,
        stop=["a"],
        seed=0,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logit_bias={},
        logprobs=False,
        top_logprobs=0,
        response_format=ResponseFormat(type="json_schema", json_schema={}),
        output_schema={},
        reasoning_effort="low",
        stream=True,
        stream_options=StreamOptions(include_usage=False, extra={"x": 1}),
        modalities=[],
        audio={},
        search_parameters=SearchParameters(sources=[]),
        web_search_options={},
        deferred=False,
        user="",
        metadata={},
        store=False,
        service_tier="flex",
        extra={"later": None},
        raw={"what": "another wire said"},
    )

    written = CODEC.encode_request(request)
    found = CODEC.decode_request(written)

    assert {name for name in CompletionRequest.model_fields if name not in request.model_fields_set} == set()
    assert found == request
    assert found.raw == written.json
    assert "what" not in written.body.decode()


def test_what_is_left_open_is_left_out():
    assert ASKED.json == {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}],
        "stream": False,
    }


def test_a_request_is_known_by_its_address_or_its_content_type():
    elsewhere = CODEC.encode_request(CODEC.decode_request(ASKED), base_url="http://localhost:9/v1/")

    assert ASKED.url == URL
    assert elsewhere.url == "http://localhost:9/v1/completion"
    assert elsewhere.header("content-type") == CONTENT_TYPE
    assert codecs.recognise(ASKED) == codecs.recognise(elsewhere) == "vocabulary"
    assert codecs.recognise(Request("POST", "http://localhost:8080/completion")) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": [{"role": "nobody", "content": []}]}'])
def test_a_body_that_is_no_request_is_a_request_error(body):
    with pytest.raises(RequestError, match="messages"):
        codecs.decode_request(Request("POST", URL, (), body))
    assert CODEC.check(Request("POST", URL, (), body)) is None


def test_a_request_of_what_is_no_json_cannot_be_sent():
    with pytest.raises(RequestError, match="no JSON"):
        CODEC.encode_request(CompletionRequest(messages=[], extra={"when": object()}))


@pytest.mark.parametrize(
    "class_", ["HttpError", "JsonError", "RequestError", "ResponseError", "ProviderError"]
)
def test_an_error_is_of_the_class_that_it_names_and_has_all_it_says(class_):
    said = {
        "type": class_,
        "kind": "quota_exhausted",
        "message": "No more.",
        "code": "q1",
        "request_id": "req_1",
        "retry_after": 2.5,
        "provider": "parrot",
        "retryable": True,
    }

    for exchange in (
        answered({"error": said}, 429),
        answered({"error": said}),
        frames(("x", {"error": said})),
    ):
        with pytest.raises(CompletionError) as caught:
            exchange.decode()
        error = caught.value
        assert type(error).__name__ == class_
        assert {name: getattr(error, name) for name in said if name != "type"} == {
            name: value for name, value in said.items() if name != "type"
        }


def test_an_error_that_says_little_is_told_by_http():
    exchange = answered("nope", 503, (("x-request-id", "r1"), ("retry-after", "3")))

    with pytest.raises(CompletionError) as caught:
        exchange.decode()

    error = caught.value
    assert (error.kind, error.status, error.request_id, error.retry_after) == ("overloaded", 503, "r1", 3)


def test_a_kind_that_nobody_knows_is_not_believed():
    with pytest.raises(CompletionError) as caught:
        answered({"error": {"kind": "tired"}}, 500).decode()

    assert caught.value.kind == "server_error"


def test_an_answer_that_is_none_says_where():
    with pytest.raises(CompletionError, match="choice") as caught:
        answered({"text": "Hi."}).decode()

    assert caught.value.kind == "response_schema"


def test_an_event_that_is_none_is_an_error_and_an_unknown_one_is_passed_on():
    events = frames(("sung", {"la": 1}), ("text_delta", {"txt": "Hi."})).events()

    assert events[0] == UnknownEvent(name="sung", data={"la": 1})
    assert isinstance(events[1], StreamError)
    assert events[1].error.kind == "response_schema"


def test_the_last_event_brings_the_whole_answer():
    response = say("Hi.", finish_reason="pause_turn").response().model_copy(update={"raw": {"body": 1}})
    asked = CODEC.encode_request(CompletionRequest(messages=[], stream=True))

    exchange = Exchange(asked, CODEC.encode_response(response, asked))

    assert exchange.decode().raw == {"body": 1}
    assert exchange.events()[-1] == told(exchange.decode())[-1]
    assert codecs.finished(exchange)


def test_a_result_without_a_call_is_no_conversation():
    asked = CODEC.encode_request(CompletionRequest(messages=[Message.tool_result("call_1", "20 C")]))

    rejection = CODEC.check(asked)

    assert rejection is not None
    assert rejection.rule == "orphan-tool-result"
    assert CODEC.check(asked, ["orphan-tool-result"]) is None


def test_calls_of_one_id_are_answered_one_by_one():
    calls = [ToolCall(id="", name="t"), ToolCall(id="", name="t")]
    result = Message.tool_result("", "20 C", name="t")

    def checked(*messages):
        asked = CompletionRequest(messages=[Message.user("?"), Message.assistant(*calls), *messages])
        return CODEC.check(CODEC.encode_request(asked))

    assert checked(result, result) is None
    assert checked(result).rule == "unanswered-tool-call"
    assert checked(result, result, result).rule == "orphan-tool-result"
    assert checked(result, Message.user("And?")).rule == "unanswered-tool-call"

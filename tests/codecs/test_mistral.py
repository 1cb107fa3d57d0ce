"""What Mistral says and wants beside the common turns, whoever passes it on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs.mistral import CODEC
from llmreplay.completion import (
    CompletionRequest,
    CompletionResponse,
    Document,
    Message,
    ProviderContent,
    ProviderError,
    Text,
    ToolCall,
)
from llmreplay.exchange import Exchange, Request, Response

HOME = "https://api.mistral.ai/v1/chat/completions"
VERTEX = (
    "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/mistralai"
    "/models/mistral-medium-3:rawPredict"
)
PROXY = "https://gateway.example.org/mistral/v1/chat/completions"


def asked(url: str = HOME, **fields: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], **fields}
    return Request("POST", url, body=json.dumps(body).encode())


@pytest.mark.parametrize("url", [HOME, VERTEX, PROXY, "https://api.mistral.ai/v1/agents/completions"])
def test_it_is_mistral_that_answers_whoever_passes_it_on(url: str) -> None:
    request = asked(url)
    turn = CompletionResponse(choice=[ToolCall(name="f", arguments={})])
    response = codecs.decode(Exchange(request, CODEC.encode_response(turn, request)))

    assert codecs.recognise(request) == "mistral"
    assert response.provider == "mistral"
    assert len(response.tool_calls[0].id) == 9
    assert response.request_id


def test_vertex_names_the_model_in_the_path() -> None:
    request = Request("POST", VERTEX, body=b'{"messages": []}')

    assert codecs.decode_request(request).model == "mistral-medium-3"
    assert codecs.decode_request(Request("POST", HOME, body=b'{"messages": []}')).model is None


def test_a_seed_has_a_name_of_its_own() -> None:
    request = CompletionRequest(
        model="m", messages=[Message.user("Hi.")], seed=3, max_completion_tokens=5, stream=True
    )
    written = CODEC.encode_request(request)

    assert written.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi."}],
        "random_seed": 3,
        "max_tokens": 5,
        "stream": True,
    }
    assert codecs.decode_request(written).seed == 3
    assert codecs.decode_request(asked(random_seed="odd")).extra == {"random_seed": "odd"}


def test_contents_that_are_a_list_are_read_in_order() -> None:
    content = [
        {
            "type": "thinking",
            "thinking": [{"type": "text", "text": "Hm. "}, {"type": "text", "text": "So."}],
            "closed": True,
        },
        {"type": "text", "text": "Yes."},
        {"type": "reference", "reference_ids": [1]},
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content},
        "finish_reason": "model_length",
    }
    body = {"id": "i", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    response = codecs.decode(Exchange(asked(), Response.of(200, json.dumps(body).encode())))

    assert (response.reasoning_content, response.text, response.finish_reason) == (
        "Hm. So.",
        "Yes.",
        "length",
    )
    assert response.choice[-1].type == "provider"


def test_a_bad_key_and_a_bad_shape_are_told_as_fastapi_does() -> None:
    for kind, status, body in (
        ("authentication", None, {"detail": "Unauthorized"}),
        (
            "invalid_request",
            422,
            {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
        ),
    ):
        response = CODEC.encode_error(kind, asked(), status=status)  # type: ignore[arg-type]
        assert response.json == body
        assert response.header("content-length") == str(len(response.body))
        with pytest.raises(ProviderError) as caught:
            codecs.decode(Exchange(asked(), response))
        assert caught.value.kind == kind


def test_an_error_in_a_stream_is_an_object_that_says_so() -> None:
    request = asked(stream=True)
    whole = CODEC.encode_response(CompletionResponse(choice=[Text(text="Yes.")]), request)
    error = b'data: {"object":"error","message":"Gone.","type":"internal_server_error","code":"3700"}\n\n'
    failing = Response.of(200, [whole.chunks[0].data, error], whole.headers)

    with pytest.raises(ProviderError, match=r"Gone\.") as caught:
        codecs.decode(Exchange(request, failing))
    assert caught.value.kind == "server_error"


DOCUMENTS = {
    "by its address": (
        Document(data="https://e.example/a.pdf", source="url", name="a"),
        {"type": "document_url", "document_url": "https://e.example/a.pdf", "document_name": "a"},
    ),
    "by its data": (
        Document(data="JVBERi0=", media_type="application/pdf"),
        {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERi0="},
    ),
    "by an id": (
        Document(data="0b3f", source="file_id"),
        {"type": "file", "file_id": "0b3f"},
    ),
}


@pytest.mark.parametrize(("document", "part"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_is_a_part_of_its_own(document: Document, part: dict[str, Any]) -> None:
    question = Message.user("What does it say?")
    written = CODEC.encode_request(CompletionRequest(messages=[question], documents=[document]))

    assert written.json["messages"] == [
        {"role": "user", "content": [part]},
        {"role": "user", "content": "What does it say?"},
    ]
    assert codecs.decode_request(written).messages == [Message.user(document), question]
    assert CODEC.encode_request(codecs.decode_request(written)).json == written.json


def test_a_part_that_is_no_document_stays_what_it_is() -> None:
    odd = {"type": "document_url", "document_url": {"url": "https://e.example/a.pdf"}}
    request = asked(messages=[{"role": "user", "content": [odd]}])

    assert codecs.decode_request(request).messages[0].content == [
        ProviderContent(kind="document_url", raw=odd)
    ]

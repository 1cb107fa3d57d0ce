"""Embeddings: vectors there and back, as numbers and as base64, and in the shapes of other providers."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import asked

from llmreplay import codecs
from llmreplay.codecs import embeddings
from llmreplay.completion import (
    CompletionError,
    HttpError,
    JsonError,
    ProviderError,
    ResponseError,
    Usage,
)
from llmreplay.errors import UnknownWire
from llmreplay.exchange import Exchange, Failure, Request, Response

URL = "https://api.openai.com/v1/embeddings"
VECTORS = [[0.5, -0.25, 1.0], [0.0, 2.0, 0.125]]


def request(url: str = URL, **body: Any) -> Request:
    return asked(url, {"model": "text-embedding-3-small", "input": ["a", "b"], **body})


def answered(body: Any, status: int = 200, url: str = URL) -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(request(url), Response.of(status, data))


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_back_as_they_were_written(encoding: str) -> None:
    wanted = request(encoding_format=encoding)

    response = embeddings.encode(VECTORS, wanted, usage=Usage(input_tokens=2))

    assert embeddings.decode(Exchange(wanted, response)) == VECTORS
    assert codecs.usage(Exchange(wanted, response)).input_tokens == 2
    assert isinstance(response.json["data"][0]["embedding"], str if encoding == "base64" else list)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5), max_size=4))
def test_vectors_of_any_size_come_back(vectors: list[list[float]]) -> None:
    for encoding in ("float", "base64"):
        wanted = request(encoding_format=encoding)
        assert embeddings.decode(Exchange(wanted, embeddings.encode(vectors, wanted))) == vectors


def test_the_full_form_of_openai_is_written() -> None:
    response = embeddings.encode(VECTORS[:1], request())

    assert response.json == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": VECTORS[0]}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }
    assert response.header("content-type") == "application/json"
    assert (response.header("x-request-id") or "").startswith("req_")


def test_a_deployment_names_the_model() -> None:
    wanted = Request("POST", "https://mine.openai.azure.com/openai/deployments/ada/embeddings", (), b"{}")

    assert embeddings.encode(VECTORS, wanted).json["model"] == "ada"


def test_vectors_are_in_the_order_of_their_index() -> None:
    items = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]

    assert embeddings.decode(answered({"data": items})) == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("https://api.cohere.com/v2/embed", {"texts": ["a", "b"], "embedding_types": ["float"]}),
        ("https://api.cohere.com/v1/embed", {"texts": ["a", "b"]}),
        ("http://localhost:11434/api/embed", {"input": ["a", "b"]}),
        ("https://generativelanguage.googleapis.com/v1beta/models/e:batchEmbedContents", {"requests": []}),
        ("https://api.mistral.ai/v1/embeddings", {"input": ["a", "b"]}),
        ("https://api.voyageai.com/v1/embeddings", {"input": ["a", "b"]}),
    ],
)
def test_other_providers_have_shapes_of_their_own(url: str, body: dict[str, Any]) -> None:
    wanted = asked(url, {"model": "e", **body})

    response = embeddings.encode(VECTORS, wanted)

    assert codecs.recognise(wanted) == "embeddings"
    assert embeddings.decode(Exchange(wanted, response)) == VECTORS


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:11434/api/embeddings",
        "https://generativelanguage.googleapis.com/v1beta/models/e:embedContent",
    ],
)
def test_some_endpoints_give_one_vector(url: str) -> None:
    wanted = asked(url, {"model": "e", "prompt": "a"})

    assert embeddings.decode(Exchange(wanted, embeddings.encode(VECTORS[:1], wanted))) == VECTORS[:1]


def test_vectors_alone_are_read() -> None:
    assert embeddings.decode(answered([[1.0, 2.0]])) == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": [{}]},
        {"data": [{"embedding": "x"}]},
        {"data": [{"embedding": "AAA="}]},
        {"data": [{"embedding": [None]}]},
        {"embedding": {"values": 1}},
        {"embeddings": [[True]]},
        1,
        "text",
    ],
)
def test_an_answer_without_vectors_is_none(body: Any) -> None:
    with pytest.raises(ResponseError):
        embeddings.decode(answered(body))


def test_what_goes_wrong_is_a_completion_error() -> None:
    failure = Failure("ConnectError", "refused", "connect")
    with pytest.raises(HttpError):
        embeddings.decode(Exchange(request(), None, failure))
    with pytest.raises(HttpError):
        embeddings.decode(Exchange(request(), Response(200, ended="cut", failure=failure)))
    with pytest.raises(HttpError):
        embeddings.decode(Exchange(request(), Response(200, ended="closed")))
    with pytest.raises(JsonError):
        embeddings.decode(answered(b"<html>"))
    with pytest.raises(ProviderError):
        embeddings.decode(answered({"error": {"message": "No.", "code": 502}}))


@pytest.mark.parametrize("kind", ["authentication", "not_found", "rate_limited", "server_error"])
def test_an_error_has_the_kind_that_was_encoded(kind: Any) -> None:
    exchange = Exchange(request(), embeddings.encode_error(kind, request()))

    with pytest.raises(CompletionError) as caught:
        embeddings.decode(exchange)
    assert caught.value.kind == kind
    with pytest.raises(CompletionError) as caught:
        codecs.decode(exchange)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "url",
    [
        "https://api.cohere.com/v2/embed",
        "http://localhost:11434/api/embed",
        "https://generativelanguage.googleapis.com/v1beta/models/e:embedContent",
    ],
)
def test_an_error_is_spelled_as_the_provider_spells_it(url: str) -> None:
    wanted = asked(url, {"model": "e", "texts": ["a"]})

    response = embeddings.encode_error("rate_limited", wanted, message="Slow down.")

    with pytest.raises(ProviderError) as caught:
        embeddings.decode(Exchange(wanted, response))
    assert (caught.value.kind, caught.value.message) == ("rate_limited", "Slow down.")


def test_who_wants_a_completion_is_told_that_there_is_none() -> None:
    exchange = Exchange(request(), embeddings.encode(VECTORS, request()))
    stream = Exchange(request(), Response.of(200, b"data: {}\n\n", (("content-type", "text/event-stream"),)))

    for ask in (
        lambda: codecs.decode(exchange),
        lambda: codecs.decode(stream),
        lambda: codecs.decode_request(exchange.request),
        lambda: embeddings.CODEC.encode_response(None, request()),
        lambda: embeddings.CODEC.encode_request(None),
    ):
        with pytest.raises(UnknownWire, match="Embeddings are no completion"):
            ask()
    assert embeddings.CODEC.check(request()) is None
    assert embeddings.CODEC.provider(request()) == "openai"
    assert b"No." in embeddings.CODEC.encode_stream_error("server_error", request(), message="No.")


def test_the_sdk_of_openai_reads_both_forms() -> None:
    httpx2, openai = pytest.importorskip("httpx2"), pytest.importorskip("openai")
    forms = []

    def handle(sent: Any) -> Any:
        ours = Request(sent.method, str(sent.url), tuple(sent.headers.items()), sent.content)
        forms.append(ours.json.get("encoding_format"))
        response = embeddings.encode(VECTORS, ours)
        return httpx2.Response(response.status, headers=list(response.headers), content=response.body)

    client = openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(handle)))
    for form in ({}, {"encoding_format": "float"}):
        answer = client.embeddings.create(model="e", input=["a", "b"], **form)
        assert [item.embedding for item in answer.data] == VECTORS
    assert forms == ["base64", "float"]


def test_floats_of_32_bits_are_little_endian() -> None:
    wanted = request(encoding_format="base64")

    spelled = embeddings.encode([[0.1]], wanted).json["data"][0]["embedding"]

    assert spelled == "zczMPQ=="
    assert embeddings.decode(answered({"data": [{"embedding": spelled}]})) == [
        list(struct.unpack("<f", struct.pack("<f", 0.1)))
    ]

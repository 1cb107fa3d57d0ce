"""How a call of each provider fails: the class, kind, status, code, id and delay of every error there is."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from llmreplay import (
    Cassette,
    Exchange,
    ProviderModel,
    Response,
    cut,
    fail,
    say,
    spoil,
    use_cassette,
    use_script,
)
from llmreplay.completion import (
    RETRYABLE,
    CompletionError,
    Final,
    HttpError,
    JsonError,
    Message,
    ProviderError,
    RequestError,
    ResponseError,
    StreamError,
)
from llmreplay.completion._errors import ErrorKind
from tests.contracts.test_codecs import KINDS
from tests.model.providers import AZURE, BY_WIRE, MODELS

REQUEST_IDS = {
    "openai": "x-request-id",
    "openai responses": "x-request-id",
    "azure": "apim-request-id",
    "anthropic": "request-id",
    "mistral": "mistral-correlation-id",
    "groq": "x-request-id",
    "xai": "x-request-id",
    "cohere": "x-debug-trace-id",
    "deepseek": "x-ds-trace-id",
}
"""Headers that hold the provider's id of a request; of the others, it is None, or somewhere in the answer."""

EVERYWHERE = frozenset(KINDS)
REPORTED = [
    pytest.param(wire, kind, id=f"{wire}-{kind}")
    for wire in MODELS
    for kind in KINDS
    if kind not in BY_WIRE[wire].cannot
]
every_wire = pytest.mark.parametrize("wire", MODELS)
every_way = pytest.mark.parametrize("how", ["plain", "streaming", "async", "async streaming"])
some_ways = pytest.mark.parametrize("how", ["plain", "async streaming"])


@pytest.fixture(autouse=True)
def addresses(monkeypatch):
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", AZURE)


def request_of(wire):
    return ProviderModel.from_env(MODELS[wire]).completion_request(Message.user("How is Paris?"))


async def failing(builder, how):
    """Ask in one of four ways; return the error, and what a stream told before."""
    found = []
    error = None
    try:
        if how == "plain":
            builder.send_sync()
        elif how == "async":
            await builder.send()
        elif how == "streaming":
            for event in builder.stream_sync():
                found.append(event)  # noqa: PERF402  the loop raises
        else:
            async for event in builder.stream():
                found.append(event)  # noqa: PERF401  likewise
    except CompletionError as problem:
        error = problem
    assert error is not None
    assert not any(isinstance(event, Final) for event in found)
    assert "streaming" not in how or StreamError(error=error) in found
    return error, found


def in_body(body, code):
    return code in json.dumps(body, ensure_ascii=False)


@some_ways
@pytest.mark.parametrize(("wire", "kind"), REPORTED)
async def test_what_a_provider_reports_has_all_it_says(wire, kind, how):
    with use_script(fail(kind, retry_after=7)) as script:
        error, _ = await failing(request_of(wire), how)

    response = script.calls[0].response
    assert type(error) is ProviderError
    assert error.kind == kind
    assert error.retryable == (kind in RETRYABLE)
    assert error.status == response.status >= 400
    assert error.retry_after == 7
    assert error.body == response.json
    assert error.message
    assert error.message in json.dumps(response.json, ensure_ascii=False).replace('\\"', '"')
    if error.code is not None:
        assert in_body(response.json, error.code)
    if wire in REQUEST_IDS:
        assert error.request_id == response.header(REQUEST_IDS[wire]) is not None
    else:
        assert (
            error.request_id is None
            or any(value == error.request_id for _, value in response.headers)
            or in_body(response.json, error.request_id)
        )


@every_way
@pytest.mark.parametrize(
    ("wire", "kind"), [("openai", "rate_limited"), ("anthropic", "overloaded"), ("gemini", "timeout")]
)
async def test_the_same_is_raised_however_it_is_asked(wire, kind, how):
    with use_script(fail(kind, retry_after=7), fail(kind, retry_after=7)):
        error, _ = await failing(request_of(wire), how)
        first, _ = await failing(request_of(wire), "plain")

    assert type(error) is type(first)
    ids = {"request_id": None, "body": None}  # which has the id in it, with some
    assert {**error.__dict__, **ids} == {**first.__dict__, **ids}


@pytest.mark.parametrize(
    ("wire", "kind", "status", "code", "provider"),
    [
        ("openai", "rate_limited", 429, "rate_limit_exceeded", "openai"),
        ("openai", "quota_exhausted", 429, "insufficient_quota", "openai"),
        ("openai", "request_too_large", 400, "context_length_exceeded", "openai"),
        ("openai", "authentication", 401, "invalid_api_key", "openai"),
        ("azure", "content_filter", 400, "content_filter", "azure"),
        ("anthropic", "overloaded", 529, "overloaded_error", "anthropic"),
        ("anthropic", "authentication", 401, "authentication_error", "anthropic"),
        ("gemini", "rate_limited", 429, "RESOURCE_EXHAUSTED", "google"),
        ("gemini", "overloaded", 503, "UNAVAILABLE", "google"),
        ("mistral", "authentication", 401, None, "mistral"),
        ("cohere", "rate_limited", 429, None, "cohere"),
        ("xai", "authentication", 400, "invalid-argument", "xai"),
        ("ollama", "not_found", 404, None, "ollama"),
    ],
)
def test_some_of_them_by_name(wire, kind, status, code, provider):
    with use_script(fail(kind)), pytest.raises(ProviderError) as caught:
        request_of(wire).send_sync()

    error = caught.value
    assert (error.status, error.code, error.provider) == (status, code, provider)


@some_ways
@every_wire
@pytest.mark.parametrize("kind", ["timeout", "connection"])
async def test_what_never_got_an_answer_is_an_http_error(wire, kind, how):
    with use_script(fail(kind)):
        error, _ = await failing(request_of(wire), how)

    assert type(error) is HttpError
    assert (error.kind, error.retryable, error.status, error.body) == (kind, True, None, None)


@some_ways
@every_wire
async def test_a_body_that_breaks_off_is_an_http_error(wire, how):
    with use_script(cut(say("It is sunny."))):
        error, _ = await failing(request_of(wire), how)

    assert type(error) is HttpError
    assert (error.kind, error.retryable, error.status) == ("connection", True, 200)


@pytest.mark.parametrize("how", ["async streaming"])
@every_wire
async def test_a_stream_without_its_end_is_truncated(wire, how):
    if "terminal" in BY_WIRE[wire].cannot:
        pytest.skip(BY_WIRE[wire].cannot["terminal"])
    with use_script(cut(say("It is sunny."), after=2, how="end")):
        error, _ = await failing(request_of(wire), how)

    assert type(error) is HttpError
    assert (error.kind, error.retryable, error.status) == ("stream_truncated", True, 200)


@some_ways
@every_wire
@pytest.mark.parametrize("spoiling", ["malformed", "content_type", "empty"])
async def test_a_body_that_cannot_be_read_is_a_json_error(wire, spoiling, how):
    with use_script(spoil(say("It is sunny."), spoiling)):
        error, _ = await failing(request_of(wire), how)

    # To a stream of lines, a page is a line that was cut off.
    ended = "streaming" in how and (spoiling == "empty" or (wire, spoiling) == ("ollama", "content_type"))
    assert type(error) is (HttpError if ended else JsonError)
    assert error.kind == ("stream_truncated" if ended else "decode_error")
    assert error.status == 200


@pytest.mark.parametrize("kind", ["overloaded", "server_error", "rate_limited"])
@pytest.mark.parametrize("how", ["async streaming"])
@every_wire
async def test_an_error_in_a_stream_is_the_providers(wire, kind, how):
    for case in ("errors in a stream", f"{kind}, streamed"):
        if case in BY_WIRE[wire].cannot:
            pytest.skip(BY_WIRE[wire].cannot[case])
    with use_script(fail(kind, during=say("It is sunny."), after=2)):
        error, found = await failing(request_of(wire), how)

    assert type(error) is ProviderError
    assert (error.kind, error.status, error.retryable) == (kind, 200, True)
    assert len(found) > 1


def replayed(wire, how, response, path):
    """Return a block in which a provider answers with these bytes."""
    builder = request_of(wire)
    with use_script("Sunny.") as script:
        list(builder.stream_sync()) if "streaming" in how else builder.send_sync()
    Cassette([Exchange(script.calls[0].request, response)]).save(path)
    return use_cassette(path)


@pytest.mark.parametrize("how", ["plain", "async streaming"])
@every_wire
@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b'{"error": {"message": "No luck.", "code": "odd_luck"}}', 200, (ProviderError, "error_in_200")),
        (b'{"hello": "you"}', 200, (ResponseError, "response_schema")),
        (b'{"error": {"message": "Gone."}}', 499, (ProviderError, "cancelled")),
        (b'{"detail": "Out of memory"}', 502, (ProviderError, "server_error")),
        (b"upstream connect error", 504, (ProviderError, "timeout")),
        (b"", 418, (ProviderError, "invalid_request")),
    ],
    ids=["error in a 200", "no answer", "cancelled", "bad gateway", "gateway timeout", "teapot"],
)
async def test_an_answer_that_no_provider_documents(tmp_path, wire, body, status, expected, how):  # noqa: PLR0917  parameters, by name
    response = Response.of(status, body, (("content-type", "application/json"),))
    with replayed(wire, how, response, tmp_path / "odd.yaml"):
        error, _ = await failing(request_of(wire), how)

    assert (type(error), error.kind) == expected
    assert error.status == status
    assert error.retryable == (error.kind in RETRYABLE)


@every_wire
def test_a_request_that_cannot_be_built_is_a_request_error(wire):
    with use_script(), pytest.raises(RequestError) as caught:
        request_of(wire).options(extra_={}) if False else request_of(wire).additional_params(
            x=object()
        ).send_sync()

    assert (caught.value.kind, caught.value.retryable, caught.value.status) == ("request_build", False, None)


def test_every_kind_of_the_taxonomy_was_met_above():
    met = EVERYWHERE | {
        "timeout",
        "connection",
        "stream_truncated",
        "decode_error",
        "error_in_200",
        "response_schema",
        "cancelled",
        "request_build",
    }

    assert set(get_args(ErrorKind)) - met == {"stream_error", "unknown"}


@pytest.mark.parametrize("wire", ["openai", "mistral", "anthropic", "cohere"])
async def test_an_error_in_a_stream_whose_word_nobody_knows_is_a_stream_error(tmp_path, wire):
    frames = [b": hello\n\n", b'event: error\ndata: {"error": {"message": "Odd."}}\n\n']
    response = Response.of(200, frames, (("content-type", "text/event-stream"),))
    with replayed(wire, "streaming", response, tmp_path / "odd.yaml"):
        error, _ = await failing(request_of(wire), "async streaming")

    assert type(error) is ProviderError
    assert (error.kind, error.message, error.status) == ("stream_error", "Odd.", 200)

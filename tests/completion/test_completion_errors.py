"""The errors of a call to a model: one tree, one set of attributes."""

from __future__ import annotations

import pickle

import pytest

from llmreplay.completion import (
    RETRYABLE,
    CompletionError,
    HttpError,
    JsonError,
    ProviderError,
    RequestError,
    ResponseError,
)
from llmreplay.errors import LLMReplayError


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (HttpError, "connection", True),
        (JsonError, "decode_error", False),
        (RequestError, "request_build", False),
        (ResponseError, "response_schema", False),
        (ProviderError, "unknown", False),
    ],
)
def test_each_error_is_a_completion_error_with_a_kind_of_its_own(
    error: type[CompletionError],
    kind: str,
    retryable: bool,  # noqa: FBT001  parametrized
) -> None:
    raised = error("what happened")

    assert isinstance(raised, CompletionError)
    assert (raised.kind, raised.retryable, raised.message) == (kind, retryable, "what happened")


def test_errors_of_a_model_are_no_misuse_of_llmreplay() -> None:
    assert issubclass(CompletionError, Exception)
    assert not issubclass(CompletionError, LLMReplayError)


def test_whether_a_retry_helps_follows_from_the_kind_unless_the_provider_says() -> None:
    assert all(CompletionError("", kind=kind).retryable for kind in RETRYABLE)
    assert not CompletionError("", kind="quota_exhausted").retryable
    assert CompletionError("", kind="invalid_request", retryable=True).retryable
    assert not CompletionError("", kind="rate_limited", retryable=False).retryable


def test_an_error_reads_as_kind_status_and_message() -> None:
    assert str(ProviderError("Slow down.", kind="rate_limited", status=429)) == "rate_limited 429: Slow down."
    assert str(HttpError("refused")) == "connection: refused"


def test_an_error_survives_the_way_between_processes() -> None:
    error = ProviderError(
        "Slow down.",
        kind="rate_limited",
        status=429,
        code="rate_limit_exceeded",
        request_id="req_1",
        retry_after=2.5,
        retryable=False,
        body={"error": {}},
        provider="openai",
    )

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is ProviderError
    assert vars(again) == vars(error)
    assert str(again) == str(error)

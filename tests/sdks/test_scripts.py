"""One script, the official SDKs unmodified: conversations with tools, errors, faults, usage, strictness."""

from __future__ import annotations

import json
import time

import anthropic
import anyio
import cohere
import groq
import httpx
import httpx2
import huggingface_hub
import mistralai.client as mistralai
import ollama
import openai
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from google import genai
from huggingface_hub import errors as hub_errors

from llmreplay import Usage, call, cut, fail, say, spoil, turn, use_script
from llmreplay.intercept import _httpx_streams
from tests.sdks._drivers import DRIVERS, QUESTION

FIRST = turn(
    say("Let me look."),
    call("get_weather", city="Paris", days=3),
    call("get_weather", city="Oslo"),
    usage=Usage(input_tokens=12, output_tokens=7),
)
LAST = say("20 °C in Paris, 8 °C in Oslo.", usage=Usage(input_tokens=30, output_tokens=9))
RESULTS = ["20 °C", "8 °C"]
PAIRS = [(name, kind) for name, driver in DRIVERS.items() for kind in driver.kinds]
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
every_sdk = pytest.mark.parametrize(("name", "kind"), PAIRS, ids=["-".join(pair) for pair in PAIRS])


# the conversation with tools that is written once


@both
@every_sdk
def test_a_conversation_with_tools_is_heard_as_it_was_written(name, kind, stream):
    driver = DRIVERS[name]
    with use_script(FIRST, LAST) as script:
        first, last = driver.converse(kind, list(RESULTS), stream=stream)

    assert first.text == "Let me look."
    assert first.calls == [("get_weather", {"city": "Paris", "days": 3}), ("get_weather", {"city": "Oslo"})]
    assert len(set(first.ids)) == (2 if driver.has_ids else 1)
    assert (last.text, last.calls) == ("20 °C in Paris, 8 °C in Oslo.", [])
    assert (first.finish, last.finish) == driver.finishes
    assert (first.tokens, last.tokens) == ((12, 7), (30, 9))
    assert (len(last.deltas) > 1) is stream

    assert [request.prompt for request in script.requests] == [QUESTION] * 2
    assert [found.text for found in script.requests[1].tool_results] == RESULTS
    assert script.requests[0].tool_names == ["get_weather"]
    assert [request.stream for request in script.requests] == [stream] * 2
    assert script.usage == Usage(input_tokens=42, output_tokens=16)


@every_sdk
def test_a_stream_is_read_the_same_however_its_bytes_are_cut(name, kind):
    for split in ("bytes", (1, 5, 2), 7):
        with use_script(FIRST, LAST, split=split):
            first, last = DRIVERS[name].converse(kind, list(RESULTS), stream=True)
        assert [asked["city"] for _, asked in first.calls] == ["Paris", "Oslo"]
        assert (last.text, last.tokens) == ("20 °C in Paris, 8 °C in Oslo.", (30, 9))


@every_sdk
def test_a_stream_comes_in_the_pieces_that_are_written(name, kind):
    pieces = ["Né", "e à ", "Tromsø."]
    with use_script(say("Née à Tromsø.", deltas=pieces)):
        assert DRIVERS[name].says(kind, stream=True).deltas == pieces


# errors of the providers

OPENAI = {
    "invalid_request": (openai.BadRequestError, 400),
    "authentication": (openai.AuthenticationError, 401),
    "permission_denied": (openai.PermissionDeniedError, 403),
    "not_found": (openai.NotFoundError, 404),
    "request_too_large": (openai.BadRequestError, 400),
    "conflict": (openai.ConflictError, 409),
    "rate_limited": (openai.RateLimitError, 429),
    "quota_exhausted": (openai.RateLimitError, 429),
    "server_error": (openai.InternalServerError, 500),
    "overloaded": (openai.InternalServerError, 503),
    "timeout": (openai.APITimeoutError, None),
    "connection": (openai.APIConnectionError, None),
}
CODES = {
    "authentication": "invalid_api_key",
    "not_found": "model_not_found",
    "request_too_large": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "quota_exhausted": "insufficient_quota",
}
GROQ = {kind: (getattr(groq, error.__name__), status) for kind, (error, status) in OPENAI.items()}
BY_STATUS = {
    "invalid_request": 400,
    "authentication": 401,
    "permission_denied": 403,
    "not_found": 404,
    "conflict": 409,
    "rate_limited": 429,
    "server_error": 500,
    "overloaded": 503,
}
ERRORS = {
    "openai-chat": OPENAI,
    "openai-responses": {**OPENAI, "not_found": (openai.BadRequestError, 400)},
    "azure": OPENAI,
    "xai": {
        **OPENAI,
        "authentication": (openai.BadRequestError, 400),
        "quota_exhausted": (openai.APIStatusError, 402),
    },
    "vllm": OPENAI,
    "anthropic": {
        **{kind: (getattr(anthropic, error.__name__), status) for kind, (error, status) in OPENAI.items()},
        "request_too_large": (anthropic.ContentTooLargeError, 413),
        "quota_exhausted": (anthropic.PaymentRequiredError, 402),
        "overloaded": (anthropic.OverloadedError, 529),
    },
    "google-genai": {
        **{
            kind: (genai.errors.ServerError if status >= 500 else genai.errors.ClientError, status)
            for kind, status in BY_STATUS.items()
        },
        "authentication": (genai.errors.ClientError, 400),
        "timeout": (httpx2.ReadTimeout, None),
        "connection": (httpx2.ConnectError, None),
    },
    "mistralai": {
        **{kind: (mistralai.errors.SDKError, status) for kind, status in BY_STATUS.items()},
        "not_found": (mistralai.errors.SDKError, 400),
        "timeout": (httpx2.ReadTimeout, None),
        "connection": (httpx2.ConnectError, None),
    },
    "cohere": {
        "invalid_request": (cohere.BadRequestError, 400),
        "authentication": (cohere.UnauthorizedError, 401),
        "permission_denied": (cohere.ForbiddenError, 403),
        "not_found": (cohere.NotFoundError, 404),
        "conflict": (cohere.core.ApiError, 409),
        "rate_limited": (cohere.TooManyRequestsError, 429),
        "quota_exhausted": (cohere.core.ApiError, 402),
        "server_error": (cohere.InternalServerError, 500),
        "overloaded": (cohere.ServiceUnavailableError, 503),
        "timeout": (httpx.ReadTimeout, None),
        "connection": (httpx.ConnectError, None),
    },
    "groq": {**GROQ, "request_too_large": (groq.APIStatusError, 413)},
    "ollama": {
        **{kind: (ollama.ResponseError, status) for kind, status in BY_STATUS.items() if kind != "conflict"},
        "timeout": (httpx.ReadTimeout, None),
        "connection": (ConnectionError, None),
    },
    "huggingface": {
        **{kind: (hub_errors.HfHubHTTPError, status) for kind, status in BY_STATUS.items()},
        "invalid_request": (hub_errors.HfHubHTTPError, 422),
        "timeout": (huggingface_hub.InferenceTimeoutError, None),
        "connection": (httpx2.ConnectError, None),
    },
    "boto3": {
        **{kind: (ClientError, status) for kind, status in BY_STATUS.items() if kind != "conflict"},
        "authentication": (ClientError, 403),
        "timeout": (ReadTimeoutError, None),
        "connection": (EndpointConnectionError, None),
    },
}
RETRYING = {"openai-chat", "openai-responses", "azure", "xai", "vllm", "anthropic", "groq"}
RETRIED = {"conflict", "rate_limited", "quota_exhausted", "server_error", "overloaded"}


def attempts(name: str, kind: str, status: int | None, *, stream: bool) -> int:
    """How often an SDK asks, with its own defaults."""
    if name in RETRYING:
        return 3 if kind in {*RETRIED, "timeout", "connection"} and status != 402 else 1
    if name == "cohere" and not stream:
        return 3 if kind in {*RETRIED, "connection"} and status != 402 else 1
    return 1


def status_of(error):
    found = getattr(error, "status_code", None) or getattr(
        getattr(error, "response", None), "status_code", None
    )
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return found or (error.code if isinstance(error, genai.errors.APIError) else None)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that SDKs wait before they try again, which pass at once."""
    waits: list[float] = []
    real = anyio.sleep

    async def sleep(seconds: float, *_: object) -> None:
        waits.extend([seconds] if seconds else [])
        await real(0)

    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(_httpx_streams, "sleep", waits.append)
    monkeypatch.setattr(anyio, "sleep", sleep)
    return waits


@both
@every_sdk
def test_each_kind_of_error_is_the_sdks_own_after_as_many_attempts_as_it_makes(name, kind, stream, slept):
    for what, (expected, status) in ERRORS[name].items():
        slept.clear()
        if name == "cohere" and what == "connection" and kind == "async":
            continue  # it waits in asyncio.sleep, which is nobody's to take away
        count = attempts(name, what, status, stream=stream)
        with use_script(*[fail(what)] * count) as script:
            _, error = DRIVERS[name].meets(kind, stream=stream)

        # Ollama's own error is for plain answers only.
        leaks = name == "ollama" and what == "connection" and stream
        # botocore makes a class for each error of the service, when it first needs it.
        found = ClientError if isinstance(error, ClientError) else type(error)
        assert found is (httpx.ConnectError if leaks else expected), (what, error)
        assert status_of(error) == status, what
        assert len(script.calls) == count, what
        if status is not None:
            assert set(slept) <= {0.001}, what


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", ["openai-chat", "openai-responses"])
def test_openais_code_and_its_id_of_the_request_are_attributes(name, kind):
    for what, code in CODES.items():
        count = attempts(name, what, 429, stream=False)
        with use_script(*[fail(what, "Because.")] * count) as script:
            _, error = DRIVERS[name].meets(kind)
        assert error.code == code
        assert error.request_id == script.calls[0].response.header("x-request-id")
        assert error.request_id.startswith("req_")
        assert error.body["message"] == "Because."


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_anthropics_type_and_its_id_of_the_request_are_attributes(kind):
    types = {
        "invalid_request": "invalid_request_error",
        "rate_limited": "rate_limit_error",
        "overloaded": "overloaded_error",
        "quota_exhausted": "billing_error",
    }
    for what, type_ in types.items():
        with use_script(
            *[fail(what)] * attempts("anthropic", what, None, stream=False), unused="ignore"
        ) as script:
            _, error = DRIVERS["anthropic"].meets(kind)
        assert error.type == type_
        assert error.request_id == script.calls[0].response.header("request-id")


WAITING = [name for name in ERRORS if name not in {"google-genai", "ollama", "boto3"}]


@pytest.mark.parametrize("name", WAITING)
def test_how_long_to_wait_is_told_by_a_header_and_kept_to(name, slept):
    count = attempts(name, "rate_limited", 429, stream=False)
    with use_script(*[fail("rate_limited", retry_after=7)] * count):
        _, error = DRIVERS[name].meets("sync")
    headers = getattr(error, "headers", None) or error.response.headers

    assert headers["retry-after"] == "7"
    assert slept == [7.0] * (count - 1)


@every_sdk
def test_a_retry_that_succeeds_is_an_answer(name, kind):
    again = attempts(name, "rate_limited", 429, stream=False) > 1
    with use_script(*[fail(429)] * again, "At last."):
        assert DRIVERS[name].says(kind).text == "At last."


# faults

OVER = ["openai-chat", "openai-responses", "anthropic", "google-genai", "mistralai", "huggingface"]  # httpx2
UNDER = ["groq", "cohere", "ollama"]  # httpx
FAULTY = [(name, kind) for name in (*OVER, *UNDER) for kind in DRIVERS[name].kinds]
every_edge = pytest.mark.parametrize(("name", "kind"), FAULTY, ids=["-".join(pair) for pair in FAULTY])
TEXT = "One two three four five six seven."
EVENTS = {"openai-responses": 6, "anthropic": 5, "cohere": 4}
BROKEN = {"eof": "RemoteProtocolError", "reset": "ReadError", "timeout": "ReadTimeout"}


@pytest.mark.parametrize("how", BROKEN)
@every_edge
def test_a_stream_that_breaks_is_an_error_after_what_came(name, kind, how):
    with use_script(cut(TEXT, EVENTS.get(name, 3), how=how)) as script:
        heard, error = DRIVERS[name].meets(kind, stream=True)

    library = httpx2 if name in OVER else httpx
    if name.startswith("openai"):
        assert type(error) is (openai.APITimeoutError if how == "timeout" else openai.APIConnectionError)
        error = error.__cause__
    assert type(error) is getattr(library, BROKEN[how])
    assert heard.text.startswith("One")
    assert heard.text != TEXT
    assert heard.finish is None
    assert len(script.calls) == 1  # nobody tries again once something came


@every_edge
def test_a_stream_that_ends_too_early_in_good_order_is_silent(name, kind):
    with use_script(cut(TEXT, EVENTS.get(name, 3), how="end")):
        heard, error = DRIVERS[name].meets(kind, stream=True)

    assert error is None
    assert heard.text.startswith("One")
    assert heard.text != TEXT
    assert heard.finish is None


DURING = {
    "openai-chat": openai.APIError,
    "openai-responses": openai.APIError,
    "anthropic": anthropic.APIStatusError,
    "google-genai": genai.errors.ServerError,
    "mistralai": mistralai.errors.ResponseValidationError,
    "huggingface": hub_errors.OverloadedError,
    "groq": groq.APIError,
    "cohere": type(None),
    "ollama": ollama.ResponseError,
}


@every_edge
def test_an_error_inside_a_stream_is_what_the_sdk_makes_of_it(name, kind):
    with use_script(fail("overloaded", "Too much.", during=TEXT, after=EVENTS.get(name, 3))):
        heard, error = DRIVERS[name].meets(kind, stream=True)

    assert type(error) is DURING[name]
    assert heard.text.startswith("One")
    assert heard.finish == ("ERROR" if name == "cohere" else None)
    if name == "anthropic":
        assert (error.status_code, error.type) == (200, "overloaded_error")
    elif name == "ollama":
        assert error.status_code == -1
    elif name not in {"cohere", "mistralai"}:
        assert "Too much." in str(error)


NO_JSON = {
    "mistralai": mistralai.errors.ResponseValidationError,
    "cohere": cohere.core.ApiError,
}


@pytest.mark.parametrize("step", [spoil(TEXT), cut(TEXT, how="end")], ids=["malformed", "cut short"])
@every_edge
def test_an_answer_that_is_no_json_is_rarely_an_error_of_the_sdks_own(name, kind, step):
    with use_script(step) as script:
        _, error = DRIVERS[name].meets(kind)

    assert type(error) is NO_JSON.get(name, json.JSONDecodeError)
    assert len(script.calls) == 1


FRAMES = {
    "google-genai": genai.errors.UnknownApiResponseError,
    "mistralai": mistralai.errors.ResponseValidationError,
    "cohere": type(None),
}


@every_edge
def test_a_frame_that_is_no_json_is_rarely_an_error_of_the_sdks_own(name, kind):
    with use_script(spoil(TEXT)):
        heard, error = DRIVERS[name].meets(kind, stream=True)

    assert type(error) is FRAMES.get(name, json.JSONDecodeError)
    assert heard.text == ""


PAGES = {
    "openai-chat": (AttributeError, type(None)),
    "openai-responses": (AttributeError, type(None)),
    "anthropic": (AttributeError, type(None)),
    "groq": (AttributeError, type(None)),
    "google-genai": (json.JSONDecodeError, genai.errors.UnknownApiResponseError),
    "mistralai": (mistralai.errors.SDKError, mistralai.errors.SDKError),
    "cohere": (cohere.core.ApiError, httpx.TransportError),
    "ollama": (json.JSONDecodeError, json.JSONDecodeError),
    "huggingface": (json.JSONDecodeError, type(None)),
}


@both
@every_edge
def test_a_page_of_a_proxy_is_a_text_or_nothing_to_most_sdks(name, kind, stream):
    with use_script(spoil(TEXT, "content_type")):
        heard, error = DRIVERS[name].meets(kind, stream=stream)

    if name == "cohere" and stream:
        assert type(error).__name__ == "SSEError"
    else:
        assert type(error) is PAGES[name][stream]
    assert heard.text == ""


@both
@every_edge
def test_an_empty_answer_is_an_error_and_an_empty_stream_is_none(name, kind, stream):
    with use_script(spoil(TEXT, "empty")):
        heard, error = DRIVERS[name].meets(kind, stream=stream)

    if name == "google-genai" and not stream:
        assert type(error) is TypeError  # it raises nothing itself: the answer has no candidates to look at
    else:
        assert type(error) is (type(None) if stream else NO_JSON.get(name, json.JSONDecodeError))
    assert heard.text == ""


@every_edge
def test_a_slow_first_token_and_a_pace_pass_only_where_time_does(name, kind, slept):
    slow = say(TEXT, latency=30, tokens_per_second=4)
    with use_script(slow):
        assert DRIVERS[name].says(kind, stream=True).text == TEXT
    assert slept == []
    with use_script(slow, speed=1):
        assert DRIVERS[name].says(kind, stream=True).text == TEXT
    assert slept[0] == 30.0
    assert set(slept[1:]) == {0.25}


# usage


@both
def test_five_turns_over_three_providers_add_up_to_the_seven_numbers(stream):
    turns = [
        (
            "openai-chat",
            Usage(input_tokens=100, output_tokens=20, cached_input_tokens=40, reasoning_tokens=5),
        ),
        (
            "anthropic",
            Usage(input_tokens=200, output_tokens=30, cached_input_tokens=64, cache_creation_input_tokens=32),
        ),
        (
            "google-genai",
            Usage(input_tokens=50, output_tokens=10, tool_use_prompt_tokens=8, reasoning_tokens=3),
        ),
        ("openai-chat", Usage(input_tokens=7, output_tokens=1)),
        ("anthropic", Usage(input_tokens=11, output_tokens=2)),
    ]
    with use_script(*(say("Yes.", usage=usage) for _, usage in turns)) as script:
        for name, _ in turns:
            assert DRIVERS[name].says("sync", stream=stream).text == "Yes."

    assert script.usage == Usage(
        input_tokens=368,
        output_tokens=63,
        total_tokens=431,
        cached_input_tokens=104,
        cache_creation_input_tokens=32,
        tool_use_prompt_tokens=8,
        reasoning_tokens=8,
    )


# strict conversations


def dropped(messages):
    """An agent that loses the last result."""
    last = messages[-1]
    for key in ("parts", "content"):
        if isinstance(last, dict) and isinstance(last.get(key), list):
            return [*messages[:-1], {**last, key: last[key][:-1]}]
    return messages[:-1]


def unknown(messages):
    """An agent that answers a call that nobody made."""
    told = json.dumps(messages)
    last = messages[-1]
    block = last["content"][-1] if isinstance(last.get("content"), list) else last
    key = next(key for key in ("tool_call_id", "tool_use_id", "call_id") if key in block)
    at = told.rindex(block[key])
    return json.loads(told[:at] + "Z" * len(block[key]) + told[at + len(block[key]) :])


def reordered(messages):
    """An agent that puts the results before the calls."""
    calls = [message for message in messages[1:] if _asks(message)]
    results = [message for message in messages[1:] if not _asks(message)]
    return [messages[0], *results, *calls]


def _asks(message):
    return message.get("role") in {"assistant", "model"} or message.get("type") == "function_call"


STRICT = [
    ("openai-chat", dropped, "did not have response messages: call_"),
    ("openai-chat", unknown, "must be a response to a preceeding message with 'tool_calls'"),
    ("openai-chat", reordered, "must be a response to a preceeding message with 'tool_calls'"),
    ("openai-responses", dropped, "No tool output found for function call call_"),
    ("openai-responses", unknown, "No tool call found for function call output with call_id ZZZ"),
    (
        "anthropic",
        dropped,
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_",
    ),
    ("anthropic", unknown, "toolu_"),
    ("anthropic", reordered, "unexpected `tool_use_id` found in `tool_result` blocks: toolu_"),
    (
        "google-genai",
        dropped,
        "number of function response parts is equal to the number of function call parts",
    ),
    ("google-genai", reordered, "Please ensure that function "),
    ("mistralai", dropped, "Not the same number of function calls and responses"),
    (
        "mistralai",
        reordered,
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
    ),
]
REJECTED = {
    "openai-chat": openai.BadRequestError,
    "openai-responses": openai.BadRequestError,
    "anthropic": anthropic.BadRequestError,
    "google-genai": genai.errors.ClientError,
    "mistralai": mistralai.errors.SDKError,
}


@both
@pytest.mark.parametrize(("name", "broken", "text"), STRICT)
def test_an_agent_that_breaks_the_rules_gets_the_providers_own_error(name, broken, text, stream):
    driver = DRIVERS[name]
    messages = driver.conversation()
    with use_script(FIRST, LAST) as script:
        first = driver.says("sync", *messages)
        good = [*messages, *driver.results(first, list(RESULTS))]
        _, error = driver.meets("sync", *broken(good), stream=stream)

        assert type(error) is REJECTED[name]
        assert status_of(error) == 400
        assert text in str(error)
        assert script.calls[1].response.header("x-llmreplay-strict")
        # No turn was used, and an agent that mends its ways goes on.
        assert driver.says("sync", *good, stream=stream).text == "20 °C in Paris, 8 °C in Oslo."


@pytest.mark.parametrize("name", REJECTED)
def test_strictness_can_be_switched_off(name):
    driver = DRIVERS[name]
    messages = driver.conversation()
    with use_script(FIRST, LAST, strict=False):
        first = driver.says("sync", *messages)
        bad = dropped([*messages, *driver.results(first, list(RESULTS))])
        assert driver.says("sync", *bad).text == "20 °C in Paris, 8 °C in Oslo."

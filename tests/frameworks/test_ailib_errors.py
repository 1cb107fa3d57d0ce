"""ai-lib-python, unmodified: the thirteen classes of its errors, and what comes with them."""

from __future__ import annotations

import pytest
from ai_lib_python import AiClient, AiLibError, TransportError
from ai_lib_python.errors import ErrorClass, RemoteError

from llmreplay import fail, use_script

pytestmark = pytest.mark.usefixtures("ailib")

CLASSES = {
    # its fault, code and status; whether it may pass, and whether another model may succeed
    "invalid_request": (fail("invalid_request"), "E1001", 400, False, False),
    "authentication": (fail("authentication"), "E1002", 401, False, True),
    "permission_denied": (fail("permission_denied"), "E1003", 403, False, False),
    "not_found": (fail("not_found"), "E1004", 404, False, False),
    "request_too_large": (fail("request_too_large"), "E1005", 400, False, False),
    "rate_limited": (fail("rate_limited"), "E2001", 429, True, True),
    "quota_exhausted": (fail("quota_exhausted"), "E2002", 429, False, True),
    "server_error": (fail("server_error"), "E3001", 500, True, True),
    "overloaded": (fail("overloaded"), "E3002", 503, True, True),
    "timeout": (fail("timeout", status=504), "E3003", 504, True, True),
    "conflict": (fail("conflict"), "E4001", 409, True, False),
    "cancelled": (fail(499), "E4002", 499, False, False),
    # No status is classed so by itself; the manifest has one that is.
    "other": (fail(418), "E9999", 418, False, False),
}
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


async def raised(model: str = "openai/gpt-4o", *, stream: bool = False) -> AiLibError:
    """What is raised for a question of which the script says how it fails."""
    with pytest.raises(AiLibError) as error:
        async with await AiClient.create(model) as client:
            chat = client.chat().user("Hello").max_tokens(99)
            if stream:
                [_ async for _ in chat.stream()]
            else:
                await chat.execute()
    return error.value


@both
@pytest.mark.parametrize("name", CLASSES)
async def test_each_class_of_errors_comes_of_a_fault(name, stream):
    fault, code, status, retryable, fallbackable = CLASSES[name]
    with use_script(fault) as script:
        error = await raised(stream=stream)

    assert isinstance(error, RemoteError)
    assert (error.error_class, error.standard_code.code) == (ErrorClass(name), code)
    assert (error.status_code, error.retryable, error.fallbackable) == (status, retryable, fallbackable)
    response = script.calls[0].response
    assert error.request_id == response.header("x-request-id") is not None
    assert error.message == response.json["error"]["message"]
    assert error.raw_error == response.json
    assert error.retry_after is None


def test_all_thirteen_classes_are_shown():
    assert sorted(CLASSES) == sorted(one.value for one in ErrorClass)
    assert len(CLASSES) == 13


@both
async def test_seconds_to_wait_are_told_as_the_provider_says_them(stream):
    with use_script(fail("rate_limited", retry_after=7.5)):
        error = await raised(stream=stream)

    assert error.retry_after == 7.5


@pytest.mark.parametrize(
    ("status", "name"),
    [(402, "invalid_request"), (422, "invalid_request"), (502, "server_error"), (529, "overloaded")],
)
async def test_other_statuses_are_classed_by_their_range(status, name):
    with use_script(fail(status)):
        assert (await raised()).error_class == ErrorClass(name)


async def test_anthropics_own_id_of_a_request_is_told():
    with use_script(fail("overloaded")) as script:
        error = await raised("anthropic/claude-3-5-sonnet")

    assert (error.status_code, error.error_class) == (529, ErrorClass.OVERLOADED)
    assert error.request_id == script.calls[0].response.header("request-id") is not None


@both
@pytest.mark.parametrize("kind", ["timeout", "connection"])
async def test_a_network_without_an_answer_is_a_transport_error(kind, stream):
    with use_script(fail(kind)):
        error = await raised(stream=stream)

    assert isinstance(error, TransportError)
    assert error.url == "https://api.openai.com/v1/chat/completions"
    assert type(error.__cause__).__name__ == {"timeout": "ReadTimeout", "connection": "ConnectError"}[kind]

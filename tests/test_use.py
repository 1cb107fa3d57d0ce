"""use_cassette: a session around a block of code."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from llmreplay import UnmatchedRequest, load, use, use_cassette
from llmreplay.environment import DUMMY_KEY
from llmreplay.errors import (
    BrokenCassette,
    CassetteError,
    OptionError,
    SwallowedRefusals,
    UndecidedRequest,
    UnusedExchanges,
)
from tests import wires
from tests.loopback import Reply, Server


def ask(url: str, content: str = "hi") -> str:
    body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": content}]}
    response = httpx.post(f"{url}/v1/chat/completions", json=body)
    return response.json()["choices"][0]["message"]["content"]


@pytest.fixture
def provider():
    with Server(
        lambda received: Reply.json(wires.openai_chat(f"to {received.json['messages'][0]['content']}", []))
    ) as server:
        yield server


@pytest.fixture
def recorded(tmp_path, provider):
    path = tmp_path / "x.yaml"
    with use_cassette(path, record="once"):
        assert ask(provider.url) == "to hi"
    return path


def test_what_was_recorded_is_replayed_without_the_provider(recorded, provider):
    provider.close()

    with use_cassette(recorded) as cassette:
        assert ask(provider.url) == "to hi"

    assert len(cassette.calls) == 1
    assert cassette.requests[0].messages[0].text == "hi"
    assert cassette.usage == load(recorded).usage
    assert cassette.usage.has_values


async def test_it_is_an_async_context_manager(recorded, provider):
    async with use_cassette(recorded), httpx.AsyncClient() as client:
        body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}
        response = await client.post(f"{provider.url}/v1/chat/completions", json=body)

    assert response.status_code == 200
    assert len(provider.requests) == 1


def test_it_decorates_functions_with_a_session_for_each_call(recorded, provider):
    @use_cassette(recorded)
    def run(content: str) -> str:
        """Ask once."""
        return ask(provider.url, content)

    assert run.__doc__ == "Ask once."
    assert [run("hi"), run(content="hi")] == ["to hi", "to hi"]
    assert len(provider.requests) == 1
    with pytest.raises(UnmatchedRequest):
        run("ho")


async def test_it_decorates_coroutine_functions(recorded, provider):
    @use_cassette(recorded)
    async def run() -> str:
        return await asyncio.to_thread(ask, provider.url)

    assert asyncio.iscoroutinefunction(run)
    assert await run() == "to hi"
    assert len(provider.requests) == 1


def test_it_does_not_decorate_generators(recorded):
    with pytest.raises(TypeError, match="as a context manager inside"):

        @use_cassette(recorded)
        def run():
            yield


def test_one_object_is_for_one_block_at_a_time(recorded):
    block = use_cassette(recorded, unused="ignore")
    with block, pytest.raises(OptionError, match="one block at a time"):
        block.__enter__()
    with block:
        pass


def test_a_swallowed_refusal_is_raised_at_the_end(recorded, provider):
    def agent() -> str:
        try:
            return ask(provider.url, "something new")
        except BaseException:
            return "sorry"

    with (
        pytest.raises(SwallowedRefusals, match="No recorded exchange answers this request"),
        use_cassette(recorded),
    ):
        assert agent() == "sorry"


def test_a_refusal_swallowed_in_a_thread_pool_is_raised_at_the_end(recorded, provider):
    with pytest.raises(SwallowedRefusals), use_cassette(recorded), ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(ask, provider.url, "something new").exception(), UnmatchedRequest)


def test_a_refusal_that_ends_the_block_is_raised_once(recorded, provider):
    with pytest.raises(UnmatchedRequest) as caught, use_cassette(recorded):
        ask(provider.url, "something new")

    assert not hasattr(caught.value, "__notes__")


def test_another_error_tells_the_swallowed_refusals_that_may_have_caused_it(recorded, provider):
    with pytest.raises(AssertionError, match="sorry") as caught, use_cassette(recorded):
        try:
            ask(provider.url, "something new")
        except BaseException:
            answer = "sorry"
        raise AssertionError(answer)

    assert "1 request had to be refused" in caught.value.__notes__[0]


def test_an_unused_exchange_is_raised_at_the_end(recorded):
    with pytest.raises(UnusedExchanges), use_cassette(recorded):
        pass


def test_an_unused_exchange_can_be_a_warning(recorded):
    with (
        pytest.warns(use.UnusedExchangesWarning, match="never asked for: 1"),
        use_cassette(recorded, unused="warn"),
    ):
        pass


def test_a_block_that_fails_does_not_record_over_a_good_cassette(recorded, provider):
    before = recorded.read_bytes()

    with pytest.raises(ZeroDivisionError) as caught, use_cassette(recorded, record="all"):
        ask(provider.url)
        raise ZeroDivisionError

    assert recorded.read_bytes() == before
    aside = recorded.with_name("x.failed.yaml")
    assert len(load(aside).exchanges) == 1
    assert caught.value.__notes__ == [f"What this run recorded is kept in {aside}; {recorded} is as it was."]


def test_a_missing_cassette_is_an_empty_one(tmp_path, provider):
    with (
        pytest.raises(UnmatchedRequest, match=r"Not recorded yet\?") as caught,
        use_cassette(tmp_path / "x.yaml"),
    ):
        ask(provider.url)

    assert 'record="rewrite"' in str(caught.value)
    assert "(record=none, no such file yet)" in str(caught.value)
    assert not provider.requests
    assert list(tmp_path.iterdir()) == []


def test_a_broken_cassette_is_told_before_anything_happens(recorded):
    recorded.write_bytes(recorded.read_bytes()[:-20])

    with pytest.raises(BrokenCassette), use_cassette(recorded):
        pytest.fail("the block was entered")


def test_a_broken_cassette_can_be_written_anew(recorded, provider):
    recorded.write_bytes(b"broken")

    with use_cassette(recorded, record="rewrite"):
        ask(provider.url)

    assert len(load(recorded).exchanges) == 1


@pytest.mark.parametrize(
    "options", [{"record": "maybe"}, {"redact": "sk-.*"}, {"speed": None}, {"allowed_hosts": "x.example"}]
)
def test_a_wrong_option_is_told_and_leaves_nothing_behind(recorded, options):
    with pytest.raises(OptionError), use_cassette(recorded, **options):
        pytest.fail("the block was entered")

    assert not hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")
    assert "llmreplay" not in httpx.HTTPTransport.handle_request.__module__


def test_one_path_to_ignore_need_not_be_a_list(recorded, provider):
    with use_cassette(recorded, ignore="messages[*].content"):
        assert ask(provider.url, "something else") == "to hi"


def test_keys_that_are_missing_are_lent_while_nothing_goes_live(recorded, provider, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "my own")

    with use_cassette(recorded, unused="ignore"):
        with use_cassette(recorded, unused="ignore"):
            assert os.environ["OPENAI_API_KEY"] == DUMMY_KEY
        assert os.environ["OPENAI_API_KEY"] == DUMMY_KEY
        assert os.environ["ANTHROPIC_API_KEY"] == "my own"

    assert "OPENAI_API_KEY" not in os.environ
    assert os.environ["ANTHROPIC_API_KEY"] == "my own"


def test_a_key_that_the_test_sets_itself_is_left_to_it(recorded, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with use_cassette(recorded, unused="ignore"):
        os.environ["OPENAI_API_KEY"] = "set inside"

    assert os.environ.pop("OPENAI_API_KEY") == "set inside"


def test_no_key_is_lent_while_recording(recorded, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with use_cassette(recorded, record="all"):
        assert "OPENAI_API_KEY" not in os.environ


def test_patterns_of_the_users_own_are_redacted_and_do_not_count(tmp_path, provider):
    path = tmp_path / "x.yaml"
    with use_cassette(
        path, record="once", redact=[r"acct-\d+", lambda text: text.replace("Paula", "[name]")]
    ):
        ask(provider.url, "acct-12345 of Paula")

    assert "acct-12345" not in path.read_text()
    assert "Paula" not in path.read_text()
    with use_cassette(path, redact=[r"acct-\d+", lambda text: text.replace("Paula", "[name]")]):
        ask(provider.url, "acct-67890 of Paula")


def test_headers_are_recorded_by_choice(tmp_path):
    path = tmp_path / "x.yaml"
    headers = [("x-team", "blue"), ("x-other", "red"), ("set-cookie", "session=1")]
    reply = Reply.json(wires.openai_chat("hi", []), headers=headers)
    kept = ["X-Team", "Set-Cookie"]
    with Server(reply) as provider, use_cassette(path, record="once", keep_headers=kept):
        ask(provider.url)

    response = load(path).exchanges[0].response
    assert response.header("x-team") == "blue"
    assert response.header("x-other") is None
    assert response.header("set-cookie") is None


def test_placeholders_go_on_where_a_cassette_has_got_to(tmp_path, provider):
    path = tmp_path / "x.yaml"
    for number in (1, 2):
        with use_cassette(path, record="new_episodes", redact=[r"acct-\d+"]):
            ask(provider.url, f"acct-{number}0000 of call {number}")

    contents = [exchange.request.json["messages"][0]["content"] for exchange in load(path).exchanges]
    assert contents == ["[redacted-1] of call 1", "[redacted-2] of call 2"]


@pytest.mark.parametrize("record", ["new_episodes", "all", "rewrite"])
def test_a_cassette_of_a_format_that_is_only_read_is_not_recorded_to(tmp_path, record):
    path = tmp_path / "x.yaml"
    path.write_text("---\nhttp_interactions: []\nrecorded_with: VCR 6.2.0\n")

    refused = pytest.raises(CassetteError, match="reads and does not record to")
    with refused, use_cassette(path, record=record):
        pytest.fail("the block was entered")


def test_a_redact_function_that_fails_is_a_refusal_that_no_sdk_hides(recorded, provider):
    def careless(text: str) -> str:
        raise KeyError("no such name")

    def agent() -> str:
        try:
            # What is spelled as it was recorded holds no secret, and no function is asked about it.
            return ask(provider.url, "something else")
        except Exception:
            return "fallback"

    refused = pytest.raises(UndecidedRequest, match="problem: KeyError: 'no such name'")
    with refused as caught, use_cassette(recorded, redact=[careless], unused="ignore"):
        agent()

    assert isinstance(caught.value.__cause__, KeyError)


def test_a_document_that_proves_malformed_is_a_refusal_that_no_sdk_hides(recorded, provider):
    from llmreplay.cassette import _native

    # The digest holds, so that it is read when it is asked for, and not before.
    head, text = recorded.read_bytes().removesuffix(_native.END).split(b"\n--- ", 1)
    keys = text.split(b"\n", 1)[0].split()[1]
    damaged = text.split(b"\n", 1)[1].replace(b"status: 200", b"status: none")
    opening = b"--- # %s %s\n" % (keys, _native.digest(damaged).encode())
    recorded.write_bytes(head + b"\n" + opening + damaged + _native.END)

    with pytest.raises(UndecidedRequest, match=r"response\.status is 'none'"), use_cassette(recorded):
        ask(provider.url)

"""What replay does not do: speed, shown by counting work and not by a clock."""

from __future__ import annotations

import gc
import json
import ssl
import subprocess
import sys
import weakref

import httpx
import httpx2
import openai
import pytest

from llmreplay import (
    Cassette,
    Exchange,
    Request,
    Response,
    UnmatchedRequest,
    load,
    say,
    use_cassette,
    use_script,
)
from llmreplay import session as sessions
from llmreplay.cassette import _document, _likeness, _yaml
from llmreplay.matching import explanation
from llmreplay.redaction import Redaction
from llmreplay.session import Session, _session

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)


def chat(content: str, **more: object) -> Request:
    body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": content}], **more}
    return Request("POST", URL, JSON, json.dumps(body, separators=(",", ":")).encode())


def post(request: Request) -> bytes:
    return httpx2.post(request.url, content=request.body, headers=dict(request.headers)).content


@pytest.fixture
def recorded(tmp_path):
    """A cassette of 60 exchanges, of which none is parsed for being there."""
    path = tmp_path / "x.yaml"
    Cassette([Exchange(chat(f"question {n}"), Response.of(200, b"%d" % n, JSON)) for n in range(60)]).save(
        path
    )
    return path


@pytest.fixture
def parsed(monkeypatch):
    """The texts that the YAML parser is given."""
    texts: list[bytes] = []
    real = _yaml.parse
    monkeypatch.setattr(_yaml, "parse", lambda text: texts.append(text) or real(text))
    return texts


@pytest.fixture
def redacted(monkeypatch):
    """The requests that are searched for secrets."""
    requests: list[Request] = []
    real = Redaction.request
    monkeypatch.setattr(
        Redaction, "request", lambda self, request: requests.append(request) or real(self, request)
    )
    return requests


def test_a_request_as_it_was_recorded_is_answered_without_yaml_redaction_or_a_difference(
    recorded, parsed, redacted, monkeypatch
):
    def unwanted(*_: object) -> None:
        pytest.fail("nothing is compared on a hit")

    monkeypatch.setattr(explanation, "explain", unwanted)
    monkeypatch.setattr(explanation, "SequenceMatcher", unwanted)
    monkeypatch.setattr(_likeness, "nearest", unwanted)

    with use_cassette(recorded, unused="ignore"):
        assert post(chat("question 41")) == b"41"

    assert parsed == []
    assert redacted == []


def test_a_request_that_is_spelled_otherwise_is_redacted_once_and_parses_no_document(
    recorded, parsed, redacted
):
    spaced = Request("POST", URL, JSON, json.dumps(chat("question 7").json).encode())

    with use_cassette(recorded, unused="ignore"):
        assert post(spaced) == b"7"

    assert parsed == []
    assert [request.body for request in redacted] == [spaced.body]


def test_a_session_that_is_opened_and_closed_parses_nothing(recorded, parsed):
    with use_cassette(recorded, unused="ignore"):
        pass

    assert parsed == []


def test_a_miss_parses_no_more_than_the_requests_it_compares(recorded, parsed):
    with use_cassette(recorded, unused="ignore") as cassette:
        with pytest.raises(UnmatchedRequest, match="nearest: exchange 8 of 60"):
            post(chat("question 7", temperature=0.5))
        cassette.refusals.clear()

    documents = [text for text in parsed if b"temperature" not in text]
    assert 0 < len(documents) <= _session._COMPARED
    assert all(b"response:" not in text for text in documents)


def test_the_nearest_of_many_is_the_one_that_differs_least(tmp_path):
    path = tmp_path / "x.yaml"
    asked = [chat(f"question {n}", metadata={"a": str(n), "b": "same"}) for n in range(40)]
    Cassette([Exchange(request, Response.of(200, b"{}")) for request in asked]).save(path)
    replayed = Session(load(path), unused="ignore")

    with pytest.raises(UnmatchedRequest) as caught:
        replayed.decide(chat("question 31", metadata={"a": "31", "b": "other"}), "test")

    assert caught.value.mismatch.nearest.number == 32
    assert [one.path for one in caught.value.mismatch.nearest.differences] == ["metadata.b"]
    assert caught.value.mismatch.total == 40


def test_of_exchanges_that_are_in_memory_the_nearest_is_found_too():
    asked = [chat(f"question {n}", metadata={"a": str(n)}) for n in range(40)]
    replayed = Session(Cassette([Exchange(request, Response.of(200, b"{}")) for request in asked]))

    with pytest.raises(UnmatchedRequest) as caught:
        replayed.decide(chat("question 31", metadata={"a": "31"}, seed=1), "test")

    assert caught.value.mismatch.nearest.number == 32


def test_equal_requests_are_answered_in_order_however_they_are_spelled(tmp_path):
    path = tmp_path / "x.yaml"
    one, other = b'{"model":"m","messages":[]}', b'{"messages":[],"model":"m"}'
    spelled = [one, other, one]
    Cassette(
        Exchange(Request("POST", URL, JSON, body), Response.of(200, b"%d" % n))
        for n, body in enumerate(spelled)
    ).save(path)

    with use_cassette(path):
        # The second asks as the first was recorded, and still gets what comes next.
        assert [post(Request("POST", URL, JSON, body)) for body in (other, one, one)] == [b"0", b"1", b"2"]


def test_a_request_that_is_spelled_as_recorded_is_told_with_its_own_headers_and_without_its_secrets(recorded):
    request = chat("question 3")
    with use_cassette(recorded, unused="ignore") as cassette:
        httpx2.post(
            URL,
            content=request.body,
            headers={"authorization": "Bearer abc", "x-title": "mine", **dict(JSON)},
        )

    (call,) = cassette.calls
    assert call.request.body == request.body
    assert call.request.header("x-title") == "mine"
    assert call.request.header("authorization") is None
    assert call.response.body == b"3"
    assert cassette.calls[0] is call


def test_of_what_was_played_only_the_first_answers_are_kept_in_memory(recorded):
    replayed = Session(load(recorded), unused="ignore")
    answers = [weakref.ref(replayed.decide(chat(f"question {n}"), "test").outcome) for n in range(60)]
    gc.collect()

    assert sum(answer() is not None for answer in answers) == _session._KEPT
    assert [call.response.body for call in replayed.cassette.calls] == [b"%d" % n for n in range(60)]


def test_a_session_leaves_nothing_to_the_garbage_collector(recorded):
    def replay():
        with use_cassette(recorded, unused="ignore") as cassette:
            session = weakref.ref(sessions.current())
            assert post(chat("question 5")) == b"5"
        return session, weakref.ref(cassette)

    gc.collect()
    gc.disable()
    try:
        assert [gone() for gone in replay()] == [None, None]
    finally:
        gc.enable()


def test_files_without_the_key_of_a_spelling_are_replayed_as_ever(recorded, redacted):
    # As llmreplay wrote them before there was one.
    lines = recorded.read_text().splitlines()
    for at, line in enumerate(lines):
        if line.startswith("--- # "):
            keys, digest = line.removeprefix("--- # ").split()
            lines[at] = f"--- # {keys.rsplit('.', 1)[0]} {digest}"
    recorded.write_text("\n".join(lines) + "\n")

    assert load(recorded).edited == []
    with use_cassette(recorded, unused="ignore"):
        assert post(chat("question 9")) == b"9"
    assert len(redacted) == 1


def test_every_document_that_is_written_has_been_read_back(monkeypatch):
    # If the reader without YAML took something for what it is not, the text would not be used.
    lying = Response.of(200, b"something else")
    monkeypatch.setattr(_document._common_form, "read", lambda *_: lying)

    with pytest.raises(_document.Damaged):
        _document.write(Exchange(chat("hi"), Response.of(200, b"answer")))


def modules_brought_by(statement: str) -> list[str]:
    program = (
        f"import sys, pytest; before = set(sys.modules); {statement}; "
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", ["llmreplay", "pytest_llmreplay"])
def test_on_top_of_pytest_an_import_brings_no_module_but_itself(module):
    assert modules_brought_by(f"import {module}") == [module]


def test_replaying_through_one_client_brings_no_other():
    brought = modules_brought_by(
        "import httpx2; before |= set(sys.modules); from llmreplay import load, use_cassette; "
        "block = use_cassette('none.yaml'); block.__enter__(); block.__exit__(None, None, None)"
    )

    assert {name.partition(".")[0] for name in brought} & {"httpx", "aiohttp", "requests", "openai"} == set()


def test_a_replay_with_its_tokens_brings_none_of_what_only_others_need(recorded):
    brought = modules_brought_by(
        "import httpx2; before |= set(sys.modules); from llmreplay.use import open_session, close; "
        f"session = open_session(__import__('pathlib').Path({str(recorded)!r}), unused='ignore'); "
        f"httpx2.post({URL!r}, json={chat('question 1').json!r}); session.tokens; close(session)"
    )

    unused = [
        "redaction",
        "script",
        "completion",
        "cassette._vcr",
        "cassette._har_write",
        "matching.explanation",
    ]
    assert {"pydantic", "yaml", "asyncio", *(f"llmreplay.{name}" for name in unused)} & set(brought) == set()
    assert "llmreplay.codecs._counts" in brought


# TLS


@pytest.fixture
def contexts(monkeypatch):
    """The contexts that the two libraries make, as if none had been made before."""
    from llmreplay.intercept import _tls

    monkeypatch.setattr(_tls, "_contexts", {})
    return _tls._contexts


def context_of(client) -> ssl.SSLContext:
    transport = getattr(client, "_transport", None) or client._client._transport
    return transport._pool._ssl_context


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_clients_that_are_built_in_replay_share_one_context_that_verifies(library, contexts):
    with use_script():
        built = [library.Client(), library.Client(), library.AsyncClient()]
    live = library.Client()

    shared = {context_of(client) for client in built}
    assert shared == set(contexts.values())
    (context,) = shared
    # A client may outlive its session and go live: it is what the library makes by itself.
    own = context_of(live)
    assert own is not context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (context.options, context.minimum_version) == (own.options, own.minimum_version)
    assert context.cert_store_stats() == own.cert_store_stats()


def test_sdk_clients_share_it_too(contexts):
    with use_script(say("hello"), unused="ignore"):
        built = [openai.OpenAI(api_key="k"), openai.OpenAI(api_key="k")]

    assert {context_of(client) for client in built} == set(contexts.values())


@pytest.mark.parametrize(
    "options", [{"share_tls": False}, {"network": "allow"}, {"allowed_hosts": ["h.example"]}]
)
def test_contexts_are_not_shared_where_something_may_go_live_or_nobody_wants_it(options, contexts):
    with use_script(**options):
        one, other = httpx2.Client(), httpx2.Client()

    assert context_of(one) is not context_of(other)
    assert contexts == {}


def test_a_recording_shares_no_context(tmp_path, contexts):
    with use_cassette(tmp_path / "x.yaml", record="all"):
        httpx2.Client()

    assert contexts == {}


def test_a_client_with_a_context_of_its_own_keeps_it(contexts):
    mine = ssl.create_default_context()
    with use_script():
        assert context_of(httpx2.Client(verify=mine)) is mine
        assert context_of(httpx2.Client(verify=False)).verify_mode == ssl.CERT_NONE

    assert contexts == {}


def test_what_is_set_on_a_context_by_connecting_or_the_environment_makes_it_another(
    contexts, monkeypatch, tmp_path
):
    with use_script():
        one = context_of(httpx2.Client())
        untrusting = context_of(httpx2.Client(trust_env=False))
        of_another_protocol = httpx2.HTTPTransport(http2=True)._pool._ssl_context
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        other = context_of(httpx2.Client())

    assert len({one, untrusting, of_another_protocol, other}) == 4
    assert len(contexts) == 4

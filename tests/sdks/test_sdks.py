"""The official SDKs, unmodified: live while recorded, the same on replay, and not retried when refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import certifi
import groq
import openai
import pytest

from llmreplay import UnmatchedRequest, load, use_cassette
from llmreplay.errors import SwallowedRefusals
from tests import wires
from tests.loopback import Reply, Server, refused_port

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = ["Né", "e ", "à ", "Tromsø"]
NOWHERE = "http://provider.invalid"


def nothing(*_: Any) -> None:
    """Do nothing, whatever happened."""


@dataclass(frozen=True)
class Sdk:
    """An SDK, sync or async: the same verbs for each."""

    module: Any
    kind: str

    def __repr__(self) -> str:
        return f"{self.module.__name__}-{self.kind}"

    @property
    def is_anthropic(self) -> bool:
        return self.module is anthropic

    @property
    def path(self) -> str:
        paths = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
        return paths.get(self.module.__name__, "/openai/v1/chat/completions")

    def events(self, *text: str) -> list[bytes]:
        """A stream in which every event is one that the SDK hands out, but for the last of a chat."""
        return wires.anthropic_stream(text, ping=False) if self.is_anthropic else wires.openai_stream(text)

    def body(self, text: str) -> dict[str, Any]:
        return wires.anthropic_message(text) if self.is_anthropic else wires.openai_chat(text)

    def error_body(self, status: int) -> dict[str, Any]:
        return wires.anthropic_error(status) if self.is_anthropic else wires.openai_error(status)

    def ask(self, url: str, question: str = "Où?", **options: Any) -> dict[str, Any]:
        """Ask for a whole answer, and give it as JSON values."""

        async def ask_async() -> Any:
            async with self._client(url, options) as client:
                return await self._create(client)(**self._question(question))

        if self.kind == "async":
            return asyncio.run(ask_async()).model_dump()
        with self._client(url, options) as client:
            return self._create(client)(**self._question(question)).model_dump()

    def stream(self, url: str, before: Callable[[], Any] = nothing, **options: Any) -> list[dict[str, Any]]:
        """Ask for a stream, and give its events; `before` is called before each of them is waited for."""
        return self._stream(url, before, [], options)

    def broken_stream(
        self, url: str, before: Callable[[], Any] = nothing, take: int | None = None
    ) -> tuple[list[dict[str, Any]], Any]:
        """Give the events up to an error, or as many as are to be taken, and the error."""
        events: list[dict[str, Any]] = []
        try:
            self._stream(url, before, events, {"max_retries": 0}, take)
        except Exception as error:  # which one it is, the test says
            return events, error
        return events, None

    def raw_chunks(self, url: str) -> list[bytes]:
        """Ask for a stream, and give the bytes that reach the SDK, as they do."""

        async def read_async() -> list[bytes]:
            async with self._client(url, {}) as client:
                raw = self._resource(client).with_streaming_response
                async with raw.create(**self._question(), stream=True) as response:
                    return [chunk async for chunk in response.iter_bytes()]

        if self.kind == "async":
            return asyncio.run(read_async())
        with self._client(url, {}) as client:
            raw = self._resource(client).with_streaming_response
            with raw.create(**self._question(), stream=True) as response:
                return [*response.iter_bytes()]

    def keyless(self) -> Any:
        """A client without a key."""
        return self._client(NOWHERE, {"api_key": None})

    def _stream(
        self, url: str, before: Any, events: list[Any], options: dict[str, Any], take: int | None = None
    ) -> list[Any]:
        async def stream_async() -> None:
            async with (
                self._client(url, options) as client,
                await self._create(client)(**self._question(), stream=True) as stream,
            ):
                before()
                async for event in stream:
                    events.append(event.model_dump())
                    if len(events) == take:
                        break
                    before()

        if self.kind == "async":
            asyncio.run(stream_async())
            return events
        with (
            self._client(url, options) as client,
            self._create(client)(**self._question(), stream=True) as stream,
        ):
            before()
            for event in stream:
                events.append(event.model_dump())
                if len(events) == take:
                    break
                before()
        return events

    def _client(self, url: str, options: dict[str, Any]) -> Any:
        name = {"openai": "OpenAI", "anthropic": "Anthropic", "groq": "Groq"}[self.module.__name__]
        made = getattr(self.module, f"Async{name}" if self.kind == "async" else name)
        base = f"{url}/v1" if self.module is openai else url
        return made(base_url=base, **{"api_key": "none", **options})

    def _resource(self, client: Any) -> Any:
        return client.messages if self.is_anthropic else client.chat.completions

    def _create(self, client: Any) -> Any:
        return self._resource(client).create

    def _question(self, question: str = "Où?") -> dict[str, Any]:
        return {"model": "loopback", "max_tokens": 64, "messages": [{"role": "user", "content": question}]}


SDKS = [Sdk(module, kind) for module in (openai, anthropic, groq) for kind in ("sync", "async")]


@pytest.fixture(params=SDKS, ids=repr)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """One SDK, sync or async."""
    return request.param


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Where a cassette goes."""
    return tmp_path / "tape.yaml"


@pytest.fixture(scope="module")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with one certificate: an SDK reads all of them for each client that it makes."""
    whole = Path(certifi.where()).read_text()
    path = tmp_path_factory.mktemp("certificates") / "one.pem"
    path.write_text(whole[whole.index("-----BEGIN") :].partition("\n\n")[0])
    return path


@pytest.fixture(autouse=True)
def quick_clients(one_certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that are made at once."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))


def record(path: Path) -> use_cassette:
    return use_cassette(path, record="rewrite")


def test_a_whole_answer_is_the_same_live_and_replayed(sdk, tape):
    with Server({sdk.path: Reply.json(sdk.body("Née à Tromsø"))}) as server:
        bare = sdk.ask(server.url)
        with record(tape):
            live = sdk.ask(server.url)
    with use_cassette(tape) as cassette:
        assert sdk.ask(server.url) == live == bare
    assert cassette.exchanges[0].decode().text == "Née à Tromsø"


def test_a_stream_is_seen_live_while_recorded_and_comes_again_chunk_for_chunk(sdk, tape):
    # Every chunk ends inside an event, in the middle of a character where there is one of several bytes,
    # and the server sends the next one only when the event before has been seen.
    chunks = wires.awkward(sdk.events(*WORDS))
    with Server({sdk.path: Reply.sse(chunks, lockstep=True)}) as server, record(tape):
        live = sdk.stream(server.url, server.step)
    recorded = load(tape).exchanges[0]
    with use_cassette(tape):
        played = sdk.stream(server.url)
    with use_cassette(tape):
        raw = sdk.raw_chunks(server.url)

    assert played == live
    assert [chunk.data for chunk in recorded.response.chunks] == raw == chunks
    assert recorded.decode().text == "".join(WORDS)


@pytest.mark.parametrize("split", ["bytes", (1, 5, 2), 7], ids=str)
def test_a_stream_means_the_same_however_it_is_cut(sdk, tape, split):
    with Server({sdk.path: Reply.sse(sdk.events(*WORDS))}) as server, record(tape):
        live = sdk.stream(server.url)
    with use_cassette(tape, split=split):
        assert sdk.stream(server.url) == live


def test_a_stream_that_is_left_early_gets_as_far_again(sdk, tape):
    chunks = sdk.events(*WORDS)
    with Server({sdk.path: Reply.sse(chunks, lockstep=True)}) as server, record(tape):
        live, _ = sdk.broken_stream(server.url, server.step, take=3)
    with use_cassette(tape):
        played, error = sdk.broken_stream(server.url, take=3)
    assert (played, error) == (live, None)
    assert len(played) == 3


@pytest.mark.parametrize("ending", ["cut", "reset"])
def test_a_stream_that_breaks_gives_the_same_events_and_the_same_error(sdk, tape, ending):
    chunks = sdk.events(*WORDS)[:4]
    with Server({sdk.path: Reply.sse(chunks, lockstep=True, ending=ending)}) as server:
        bare, bare_error = sdk.broken_stream(server.url, server.step)
        with record(tape):
            live, live_error = sdk.broken_stream(server.url, server.step)
    with use_cassette(tape):
        played, played_error = sdk.broken_stream(server.url)

    assert bare == live == played
    assert len(live) == 4
    assert type(bare_error) is type(live_error) is type(played_error)
    assert str(bare_error) == str(live_error) == str(played_error)
    assert isinstance(played_error, Exception)


def test_a_refused_connection_is_the_same_error_again(sdk, tape):
    with refused_port() as port, record(tape):
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(sdk.module.APIConnectionError) as live:
            sdk.ask(url, max_retries=0)
    with use_cassette(tape), pytest.raises(sdk.module.APIConnectionError) as played:
        sdk.ask(url, max_retries=0)
    assert type(played.value) is type(live.value)
    assert type(played.value.__cause__) is type(live.value.__cause__)


def test_a_time_out_is_the_same_error_again(sdk, tape):
    with Server(Reply(ending="stall")) as server, record(tape), pytest.raises(sdk.module.APITimeoutError):
        sdk.ask(server.url, max_retries=0, timeout=0.05)
    with use_cassette(tape), pytest.raises(sdk.module.APITimeoutError):
        sdk.ask(server.url, max_retries=0)


def test_each_attempt_of_a_retry_is_an_exchange_of_its_own(sdk, tape):
    limited = Reply.json(sdk.error_body(429), 429, headers={"retry-after-ms": "1"})
    answer = Reply.json(sdk.body("At last"))
    with Server({sdk.path: [limited, limited, answer]}) as server, record(tape):
        live = sdk.ask(server.url)
    with use_cassette(tape) as cassette:
        assert sdk.ask(server.url) == live
    assert [exchange.response.status for exchange in cassette.calls] == [429, 429, 200]


def test_an_error_that_outlasts_all_retries_is_the_same_again(sdk, tape):
    limited = Reply.json(sdk.error_body(429), 429, headers={"retry-after-ms": "1"})
    server = Server({sdk.path: [limited] * 3})
    with server, record(tape), pytest.raises(sdk.module.RateLimitError) as live:
        sdk.ask(server.url)
    with use_cassette(tape) as cassette, pytest.raises(sdk.module.RateLimitError) as played:
        sdk.ask(server.url)
    assert played.value.body == live.value.body
    assert len(cassette.calls) == 3


def test_two_swapped_questions_get_their_own_answers(sdk, tape):
    def echo(received: Any) -> Reply:
        return Reply.json(sdk.body(received.json["messages"][0]["content"].upper()))

    with Server(echo) as server, record(tape):
        live = [sdk.ask(server.url, question) for question in ("a", "b")]
    with use_cassette(tape):
        played = [sdk.ask(server.url, question) for question in ("b", "a")]
    assert played == live[::-1]
    assert played[0] != played[1]


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streaming"])
def test_a_live_call_is_refused_as_it_is_and_not_retried(sdk, tape, streaming):
    call = sdk.stream if streaming else sdk.ask
    with pytest.raises(UnmatchedRequest), use_cassette(tape) as cassette:
        try:
            call(NOWHERE)
        finally:
            assert len(cassette.refusals) == 1


def test_a_refusal_that_is_caught_after_all_fails_the_session(sdk, tape):
    def careless() -> None:
        with pytest.raises(UnmatchedRequest):
            sdk.ask(NOWHERE)

    with pytest.raises(SwallowedRefusals, match="1 request had to be refused"), use_cassette(tape):
        careless()


def test_a_client_can_be_made_without_a_key_while_nothing_is_live(sdk, tape, monkeypatch):
    name = f"{sdk.module.__name__.upper()}_API_KEY"
    monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    with use_cassette(tape):
        assert sdk.keyless().api_key == "llmreplay-dummy-key"

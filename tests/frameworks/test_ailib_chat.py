"""ai-lib-python, unmodified: chats recorded, replayed and scripted, over four providers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from ai_lib_python import AiClient, Message, ProtocolError, ToolDefinition
from ai_lib_python.types.tool import ToolChoice

from llmreplay import Usage, call, say, turn, use_cassette, use_script
from llmreplay.cassette import Cassette
from llmreplay.environment import DUMMY_KEY
from llmreplay.errors import UnmatchedRequest
from llmreplay.exchange import Chunk, Exchange, Request, Response
from tests import wires
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ailib")

KEY = "sk-made-up-for-a-test"
USAGE = Usage(input_tokens=7, output_tokens=3)
WEATHER = ToolDefinition.from_function(
    "get_weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@dataclass(frozen=True)
class Provider:
    """What a manifest says of a provider, as it must be seen on the wire."""

    model: str
    url: str
    auth: tuple[str, str]
    max_tokens: str
    stop: str
    done: bool


PROVIDERS = {
    "openai": Provider(
        "openai/gpt-4o",
        "https://api.openai.com/v1/chat/completions",
        ("authorization", f"Bearer {DUMMY_KEY}"),
        "max_completion_tokens",
        "stop",
        done=True,
    ),
    "anthropic": Provider(
        "anthropic/claude-3-5-sonnet",
        "https://api.anthropic.com/v1/messages",
        ("x-api-key", DUMMY_KEY),
        "max_tokens",
        "stop_sequences",
        done=False,
    ),
    "deepseek": Provider(
        "deepseek/deepseek-chat",
        "https://api.deepseek.com/chat/completions",
        ("authorization", f"Bearer {DUMMY_KEY}"),
        "max_tokens",
        "stop",
        done=True,
    ),
    "gemini": Provider(
        "gemini/gemini-2.0-flash",
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        ("authorization", f"Bearer {DUMMY_KEY}"),
        "max_tokens",
        "stop",
        done=True,
    ),
}
every_provider = pytest.mark.parametrize("name", PROVIDERS)


async def ask(question: str, model: str = "openai/gpt-4o", **options: Any) -> Any:
    async with await AiClient.create(model, **options) as client:
        return await client.chat().user(question).execute()


def sent(exchange: Exchange) -> Any:
    return json.loads(exchange.request.body)


# ------------------------------------------------------------------------------- recorded, and offline


async def test_a_chat_is_recorded_once_and_replayed_without_the_provider(tmp_path: Path):
    path = tmp_path / "hello.yaml"
    reply = Reply.json(wires.openai_chat("Hi there."))
    with Server({"/v1/chat/completions": reply}) as server, use_cassette(path, record="once"):
        live = await ask("Hello", api_key=KEY, base_url=f"{server.url}/v1")
    assert len(server.requests) == 1
    assert KEY not in path.read_text()

    with use_cassette(path) as cassette:  # no key, and the server is gone
        replayed = await ask("Hello", base_url=f"{server.url}/v1")

    assert (live.content, live.usage) == (replayed.content, replayed.usage)
    assert replayed.content == "Hi there."
    assert cassette.requests[0].prompt == "Hello"
    assert cassette.usage.output_tokens == replayed.completion_tokens


async def test_a_client_is_created_as_in_its_documentation_and_replayed_offline(tmp_path: Path):
    path = tmp_path / "hello.yaml"
    with use_script(say("Hi there.", usage=USAGE)) as script:
        await ask("Hello")
    Cassette(script.calls).save(path)

    with use_cassette(path):
        client = await AiClient.create("openai/gpt-4o")
        response = await client.chat().user("Hello").execute()
        await client.close()

    assert response.content == "Hi there."
    assert (client.provider_id, client.model_id) == ("openai", "openai/gpt-4o")


async def test_another_question_is_refused_and_the_library_cannot_take_it_for_a_bad_connection(
    tmp_path: Path,
):
    path = tmp_path / "hello.yaml"
    with use_script(say("Hi there.")) as script:
        await ask("Hello")
    Cassette(script.calls).save(path)

    with (
        pytest.raises(UnmatchedRequest, match=r"Hello"),
        use_cassette(path, unused="ignore"),
    ):
        await ask("Goodbye")


# ----------------------------------------------------------------------------------------- what is asked


async def test_a_question_is_answered_with_its_content():
    with use_script("Hi there.") as script:
        response = await ask("Hello, world!")

    assert response.content == "Hi there."
    assert response.finish_reason == "stop"
    assert script.requests[0].prompt == "Hello, world!"


async def test_a_system_message_goes_first():
    with use_script("It captures variables.") as script:
        async with await AiClient.create("openai/gpt-4o") as client:
            chat = client.chat().system("You are a coding assistant.").user("Explain closures")
            assert (await chat.execute()).content == "It captures variables."

    assert script.requests[0].system == "You are a coding assistant."
    assert [message["role"] for message in sent(script.calls[0])["messages"]] == ["system", "user"]


async def test_a_conversation_of_many_turns_is_sent_in_order():
    messages = [
        Message.system("You are a tutor."),
        Message.user("What is recursion?"),
        Message.assistant("When a function calls itself."),
        Message.user("Can you show an example?"),
    ]
    with use_script("def f(): f()") as script:
        async with await AiClient.create("openai/gpt-4o") as client:
            response = await client.chat().messages(messages).execute()
            # What it said goes into the next turn.
            script.turns("It never ends.")
            asked = [*messages, response.to_message(), Message.user("And then?")]
            await client.chat().messages(asked).execute()

    first, second = script.requests
    assert [(message.role, message.text) for message in first.messages][-2:] == [
        ("assistant", "When a function calls itself."),
        ("user", "Can you show an example?"),
    ]
    assert second.messages[-2].text == "def f(): f()"
    assert second.prompt == "And then?"


async def test_parameters_are_on_the_wire_and_only_if_they_were_given():
    with use_script("A poem.", "Another.") as script:
        async with await AiClient.create("deepseek/deepseek-chat") as client:
            poem = client.chat().user("Write a poem").temperature(0.9).max_tokens(200).top_p(0.95)
            await poem.stop(["END", "\n\n"]).execute()
            await client.chat().user("Another one").execute()

    full, bare = map(sent, script.calls)
    assert full["temperature"] == 0.9
    assert full["max_tokens"] == 200
    assert full["top_p"] == 0.95
    assert full["stop"] == ["END", "\n\n"]
    assert sorted(bare) == ["messages", "model"]
    asked = script.requests[0]
    assert (asked.temperature, asked.max_tokens) == (0.9, 200)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice.AUTO, "auto"),
        (ToolChoice.NONE, "none"),
        (ToolChoice.REQUIRED, "required"),
        ({"type": "function", "function": {"name": "get_weather"}},) * 2,
    ],
    ids=["auto", "none", "required", "named"],
)
async def test_tools_a_choice_among_them_and_any_other_parameter_are_sent(choice, expected):
    with use_script(call("get_weather", city="Paris")) as script:
        async with await AiClient.create("openai/gpt-4o") as client:
            chat = client.chat().user("How is Paris?").tools([WEATHER]).tool_choice(choice).param("seed", 7)
            response = await chat.execute()

    assert response.has_tool_calls
    assert [(one.function_name, one.arguments) for one in response.tool_calls] == [
        ("get_weather", {"city": "Paris"})
    ]
    assert response.tool_calls[0].arguments_raw == '{"city": "Paris"}'
    assert sent(script.calls[0])["tool_choice"] == expected
    assert sent(script.calls[0])["seed"] == 7
    assert script.requests[0].tool_names == ["get_weather"]


async def test_parallel_calls_of_tools_come_in_order_with_ids_of_their_own():
    both = turn(say("Let me look."), call("get_weather", city="Paris"), call("get_weather", city="Oslo"))
    for model in ("openai/gpt-4o", "anthropic/claude-3-5-sonnet"):
        # OpenAI's tools are sent to Anthropic too, which would not take them: no tool is offered there.
        with use_script(both, strict=False):
            async with await AiClient.create(model) as client:
                response = await client.chat().user("How are they?").max_tokens(99).execute()

        assert response.content == "Let me look."
        assert [one.arguments["city"] for one in response.tool_calls] == ["Paris", "Oslo"]
        assert len({one.id for one in response.tool_calls}) == 2


# ------------------------------------------------------------------------------------------- providers


@every_provider
async def test_the_same_code_asks_every_provider(name):
    provider = PROVIDERS[name]
    with use_script(say("It is warm.", usage=USAGE), say("It is warm.", usage=USAGE)) as script:
        async with await AiClient.create(provider.model) as client:
            chat = client.chat().user("How is Paris?").max_tokens(99)
            response = await chat.execute()
            pieces = [
                event.as_content_delta.content async for event in chat.stream() if event.is_content_delta
            ]

    assert client.provider_id == name
    assert response.content == "".join(pieces) == "It is warm."
    assert len(pieces) > 1
    assert response.finish_reason in ("stop", "end_turn")
    assert [request.prompt for request in script.requests] == ["How is Paris?"] * 2
    assert [request.stream for request in script.requests] == [False, True]
    # Whatever a provider calls its tokens, and whether it was asked for them in a stream or not:
    assert script.calls[0].decode().usage == USAGE


@every_provider
async def test_a_manifest_says_the_address_the_key_the_names_and_the_format_of_a_stream(name):
    provider = PROVIDERS[name]
    with use_script("One two.", "One two.") as script:
        async with await AiClient.create(provider.model) as client:
            chat = client.chat().user("Count").max_tokens(99).stop(["three"])
            await chat.execute()
            events = [event async for event in chat.stream()]

    for exchange, accept, stream in zip(
        script.calls, ["application/json", "text/event-stream"], [False, True], strict=True
    ):
        request = exchange.request
        assert (request.method, request.url) == ("POST", provider.url)
        assert request.header(provider.auth[0]) == provider.auth[1]
        assert request.header("accept") == accept
        assert sent(exchange)[provider.max_tokens] == 99
        assert sent(exchange)[provider.stop] == ["three"]
        assert sent(exchange).get("stream", False) is stream
    streamed = script.calls[1].response
    assert streamed.header("content-type").startswith("text/event-stream")
    assert streamed.body.endswith(b"data: [DONE]\n\n") is provider.done
    assert streamed.body.startswith(b"event: message_start" if name == "anthropic" else b"data: {")
    assert [one.as_content_delta.content for one in events if one.is_content_delta] == ["One", " two."]


# ------------------------------------------------------------------------- manifests that are fetched


@pytest.fixture
def no_manifests(ailib: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No directory of manifests, named or lying about: the library asks GitHub for them."""
    monkeypatch.delenv("AI_PROTOCOL_DIR")
    monkeypatch.chdir(tmp_path)


MANIFEST = {
    "id": "tiny",
    "endpoint": {"base_url": "https://llm.example/v1"},
    "auth": {"type": "bearer", "token_env": "OPENAI_API_KEY"},
    "endpoints": {"chat": {"path": "/chat/completions"}},
}
GITHUB = "raw.githubusercontent.com/ailib-official/ai-protocol/main"


def fetched(version: str, status: int, body: bytes) -> Exchange:
    """A hand-made answer of GitHub."""
    request = Request("GET", f"https://{GITHUB}/dist/{version}/providers/tiny.json")
    return Exchange(request, Response(status, chunks=(Chunk(body),)))


@pytest.mark.usefixtures("no_manifests")
async def test_a_manifest_that_comes_from_github_is_replayed_like_any_other_exchange(tmp_path: Path):
    path = tmp_path / "tiny.yaml"
    cassette = Cassette(
        [fetched("v2", 404, b"404: Not Found"), fetched("v1", 200, json.dumps(MANIFEST).encode())]
    )
    cassette.save(path)

    with use_cassette(path) as manifests, use_script("Hi there.") as script:
        response = await ask("Hello", "tiny/model")

    assert response.content == "Hi there."
    assert script.calls[0].request.url == "https://llm.example/v1/chat/completions"
    assert len(manifests) == 2


@pytest.mark.usefixtures("no_manifests")
async def test_a_manifest_and_the_chat_after_it_are_recorded_into_one_cassette(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    routes = {
        "/ailib-official/ai-protocol/main/dist/v2/providers/tiny.json": Reply.json(MANIFEST),
        "/v1/chat/completions": Reply.json(wires.openai_chat("Hi there.")),
    }
    path = tmp_path / "tiny.yaml"
    # The loader has no option for where it fetches from; over HTTP a proxy can stand in for GitHub.
    monkeypatch.setattr("ai_lib_python.protocol.loader._GITHUB_RAW_BASE", f"http://{GITHUB}")
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(routes) as server, monkeypatch.context() as proxied:
        proxied.setenv("http_proxy", server.url)
        with use_cassette(path, record="once"):
            live = await ask("Hello", "tiny/model", api_key=KEY, base_url=f"{server.url}/v1")
    assert [received.method for received in server.requests] == ["GET", "POST"]

    with use_cassette(path) as cassette:
        replayed = await ask("Hello", "tiny/model", base_url=f"{server.url}/v1")
    assert replayed.content == live.content == "Hi there."
    manifest, _ = cassette.exchanges
    assert (manifest.request.method, manifest.request.host) == ("GET", "raw.githubusercontent.com")
    assert len(cassette.requests) == 1  # a manifest is no call of a model


@pytest.mark.usefixtures("no_manifests")
async def test_without_manifests_and_without_a_recording_the_fetch_is_refused_and_not_swallowed():
    with pytest.raises(BaseException, match=r"raw\.githubusercontent\.com") as refused, use_script():
        await AiClient.create("openai/gpt-4o")

    assert not isinstance(refused.value, Exception)  # the loader catches every Exception, and goes on
    assert not isinstance(refused.value, ProtocolError)

"""A provider as a model: what it sends, and what it makes of the answer, under a script."""

from __future__ import annotations

import json
import os

import pytest

from llmreplay import (
    CompletionModel,
    FinishReason,
    Message,
    ProviderModel,
    ToolDefinition,
    Usage,
    call,
    cut,
    fail,
    respond,
    say,
    spoil,
    turn,
    use_cassette,
    use_script,
)
from llmreplay.clock import Clock
from llmreplay.codecs import codec_named
from llmreplay.completion import (
    CompletionError,
    CompletionRequest,
    Document,
    Final,
    HttpError,
    ProviderError,
    ProviderTool,
    RequestError,
    StreamError,
    TextDelta,
)
from llmreplay.errors import OptionError, ScriptExhausted
from llmreplay.model import PROVIDERS
from tests.model.providers import AZURE, MODELS

WEATHER = ToolDefinition(
    name="get_weather",
    description="The weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
USAGE = Usage(input_tokens=9, output_tokens=4)
every_model = pytest.mark.parametrize("name", MODELS.values())

KEYS = sorted({key for provider in PROVIDERS.values() for key in provider.keys})
BASES = sorted({base for provider in PROVIDERS.values() for base in provider.bases})


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Neither keys nor addresses, but where Azure lives."""
    for name in (*KEYS, *BASES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", AZURE)
    return monkeypatch


def asked(model, text="How is Paris?"):
    return model.completion_request(text).preamble("Be brief.").tool(WEATHER)


@every_model
def test_an_answer_is_had_without_a_key_under_a_script(name):
    both = turn("Let me look.", call("get_weather", city="Paris"), usage=USAGE)
    with use_script(both, say("Sunny.", usage=USAGE)) as script, ProviderModel.from_env(name) as model:
        first = asked(model).send_sync()
        assert first.text == "Let me look."
        assert first.tool_calls[0].arguments == {"city": "Paris"}
        assert (first.finish_reason, first.usage) == (FinishReason.TOOL_CALLS, USAGE)
        result = Message.tool_result(first.tool_calls[0].id, "20 C", name="get_weather")
        history = [Message.user("How is Paris?"), first.assistant_message()]
        second = model.completion_request(result).messages(history).tool(WEATHER).send_sync()

    assert second.text == "Sunny."
    assert script.requests[0].system == "Be brief."
    assert script.requests[0].tool_names == ["get_weather"]
    assert script.requests[1].tool_results[0].text == "20 C"
    assert script.usage == USAGE + USAGE
    assert isinstance(model, CompletionModel)


@every_model
async def test_a_stream_tells_the_same_and_its_usage(name):
    both = turn("Let me look.", call("get_weather", city="Paris"), usage=USAGE)
    with use_script(both, both, both):
        async with ProviderModel.from_env(name) as model:
            plain = await asked(model).send()
            async with asked(model).stream() as stream:
                events = [event async for event in stream]
            told = list(asked(model).stream_sync())

    assert isinstance(events[-1], Final)
    assert stream.usage == plain.usage == USAGE
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Let me look."
    for final in (events[-1].response, told[-1].response):
        assert (final.text, final.finish_reason) == (plain.text, plain.finish_reason)
        assert [call.arguments for call in final.tool_calls] == [{"city": "Paris"}]
    assert [type(event) for event in events] == [type(event) for event in told]


@every_model
def test_the_raw_answer_is_what_was_on_the_wire(name):
    with use_script("Sunny.") as script:
        response = asked(ProviderModel.from_env(name)).send_sync()

    assert response.raw == json.loads(script.calls[0].response.body)


def test_every_provider_has_a_wire_an_address_and_a_key():
    for name, provider in PROVIDERS.items():
        assert hasattr(codec_named(provider.wire), "encode_request")
        assert provider.base_url or name in {"azure", "compatible"}
        assert provider.keys or not provider.key_needed


# ----------------------------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    ("name", "url", "header"),
    [
        ("openai/gpt-5.5", "https://api.openai.com/v1/chat/completions", ("authorization", "Bearer k")),
        ("openai-responses/gpt-5.5", "https://api.openai.com/v1/responses", ("authorization", "Bearer k")),
        (
            "azure/mine",
            f"{AZURE}/openai/deployments/mine/chat/completions?api-version=2024-10-21",
            ("api-key", "k"),
        ),
        ("anthropic/claude-sonnet-4-5", "https://api.anthropic.com/v1/messages", ("x-api-key", "k")),
        (
            "gemini/gemini-2.5-flash",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
            ("x-goog-api-key", "k"),
        ),
        ("mistral/m", "https://api.mistral.ai/v1/chat/completions", ("authorization", "Bearer k")),
        ("cohere/c", "https://api.cohere.com/v2/chat", ("authorization", "Bearer k")),
        ("groq/g", "https://api.groq.com/openai/v1/chat/completions", ("authorization", "Bearer k")),
        ("xai/x", "https://api.x.ai/v1/chat/completions", ("authorization", "Bearer k")),
        ("deepseek/d", "https://api.deepseek.com/chat/completions", ("authorization", "Bearer k")),
        ("openrouter/a/b", "https://openrouter.ai/api/v1/chat/completions", ("authorization", "Bearer k")),
        ("ollama/l", "http://localhost:11434/api/chat", ("authorization", "Bearer k")),
        ("vllm/q", "http://localhost:8000/v1/chat/completions", ("authorization", "Bearer k")),
        (
            "fireworks/f",
            "https://api.fireworks.ai/inference/v1/chat/completions",
            ("authorization", "Bearer k"),
        ),
    ],
)
def test_each_provider_is_asked_at_its_address_with_its_key(environment, name, url, header):
    key = PROVIDERS[name.partition("/")[0]].keys[0]
    environment.setenv(key, "k")
    with use_script("Sunny.", "Sunny.") as script:
        asked(ProviderModel.from_env(name)).send_sync()
        environment.delenv(key)
        asked(ProviderModel.from_env(name, api_key="k")).send_sync()

    for exchange in script.calls:
        assert exchange.request.url == url
        assert exchange.request.header(header[0]) == header[1]


def test_the_second_name_of_a_key_is_looked_for_too(environment):
    environment.setenv("GOOGLE_API_KEY", "other")
    with use_script("Sunny.") as script:
        os.environ.pop("GEMINI_API_KEY", None)  # which the block has lent
        asked(ProviderModel.from_env("gemini/g")).send_sync()

    assert script.calls[0].request.header("x-goog-api-key") == "other"


def test_a_server_of_ones_own_needs_no_key(environment):
    with use_script("Sunny.", "Sunny.", "Sunny.") as script:
        asked(ProviderModel.from_env("vllm/q", base_url="http://localhost:8000/v1")).send_sync()
        asked(ProviderModel.from_env("ollama/l")).send_sync()
        asked(ProviderModel.from_env("compatible/x", base_url="http://localhost:1234/v1")).send_sync()

    assert [exchange.request.header("authorization") for exchange in script.calls] == [None] * 3


@pytest.mark.parametrize(
    ("variable", "value", "name", "url"),
    [
        ("OPENAI_BASE_URL", "http://localhost:9/v1", "openai/x", "http://localhost:9/v1/chat/completions"),
        ("ANTHROPIC_BASE_URL", "http://localhost:9", "anthropic/x", "http://localhost:9/v1/messages"),
        ("OLLAMA_HOST", "box:11434", "ollama/x", "http://box:11434/api/chat"),
        ("OLLAMA_HOST", "https://box", "ollama/x", "https://box/api/chat"),
    ],
)
def test_the_environment_may_say_where_a_provider_lives(environment, variable, value, name, url):
    environment.setenv(variable, value)
    with use_script("Sunny.") as script:
        asked(ProviderModel.from_env(name)).send_sync()

    assert script.calls[0].request.url == url


def test_further_headers_are_sent_and_take_the_place_of_ours():
    headers = {"OpenAI-Project": "p", "Authorization": "Basic x"}
    with use_script("Sunny.") as script:
        asked(ProviderModel.from_env("openai/x", headers=headers)).send_sync()

    request = script.calls[0].request
    assert request.header("openai-project") == "p"
    assert [value for name, value in request.headers if name.lower() == "authorization"] == ["Basic x"]


def test_a_request_may_name_another_model():
    with use_script("Sunny.", "Sunny.") as script:
        asked(ProviderModel.from_env("gemini/one")).model("two").send_sync()
        asked(ProviderModel("openai")).model("three").send_sync()

    assert "/models/two:" in script.calls[0].request.url
    assert script.requests[1].model == "three"


@pytest.mark.parametrize("name", ["openai/x", "azure/x"])
def test_the_limit_has_the_name_that_all_models_of_openai_take(name):
    with use_script("Sunny.", "Sunny.", "Sunny.") as script:
        model = ProviderModel.from_env(name)
        asked(model).max_tokens(9).send_sync()
        asked(model).max_tokens(9).options(max_completion_tokens=7).send_sync()
        asked(ProviderModel.from_env("groq/x")).max_tokens(9).send_sync()

    bodies = [exchange.request.json for exchange in script.calls]
    assert bodies[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in bodies[0]
    assert (bodies[1]["max_completion_tokens"], bodies[1]["max_tokens"]) == (7, 9)
    assert bodies[2]["max_tokens"] == 9


def test_what_only_a_provider_knows_is_sent_last():
    with use_script("Sunny.") as script:
        builder = asked(ProviderModel.from_env("vllm/q")).temperature(0.1)
        builder.additional_params({"chat_template_kwargs": {"enable_thinking": False}}).extra(temperature=0.9)
        builder.top_k(5).top_p(0.5).stop("END").provider_tool("web_search").send_sync()

    body = script.calls[0].request.json
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert (body["temperature"], body["top_k"], body["top_p"], body["stop"]) == (0.9, 5, 0.5, ["END"])
    assert {"type": "web_search"} in body["tools"]


@every_model
def test_documents_stand_before_the_first_message_that_is_not_of_the_system(name):
    with use_script("Sunny.") as script:
        asked(ProviderModel.from_env(name)).document("It rains.", name="log").send_sync()

    request = script.requests[0]
    texts = [message.text for message in request.messages if message.role == "user"]
    assert "".join(texts).startswith("<file id: log>\nIt rains.\n</file>\n")
    assert "".join(texts).endswith("How is Paris?")
    assert request.system == "Be brief."


def test_a_document_that_is_no_text_is_spelled_by_the_wire():
    with use_script("Sunny.") as script:
        document = Document(data="JVBERi0=", media_type="application/pdf")
        asked(ProviderModel.from_env("anthropic/x")).document(document).document("A.").send_sync()

    blocks = script.calls[0].request.json["messages"][0]["content"]
    assert [block["type"] for block in blocks] == ["document", "text"]
    assert blocks[1]["text"] == "<file>\nA.\n</file>\n"


def test_options_of_a_stream_are_asked_for_in_a_stream_alone():
    with use_script(*["Sunny."] * 4) as script:
        model = ProviderModel.from_env("openai/x")
        asked(model).send_sync()
        list(asked(model).stream_sync())
        list(asked(ProviderModel.from_env("mistral/x")).stream_sync())
        list(asked(ProviderModel.from_env("groq/x")).stream_sync())

    options = [exchange.request.json.get("stream_options") for exchange in script.calls]
    assert options == [None, {"include_usage": True}, None, None]


# ------------------------------------------------------------------------------- what cannot be sent


@pytest.mark.parametrize("stream", [False, True])
def test_a_missing_key_is_told_before_anything_is_sent(stream):
    builder = asked(ProviderModel.from_env("gemini/x"))

    with pytest.raises(RequestError, match="There is no key for gemini") as caught:
        list(builder.stream_sync()) if stream else builder.send_sync()

    assert caught.value.kind == "authentication"
    assert "GEMINI_API_KEY, GOOGLE_API_KEY" in str(caught.value)
    assert not caught.value.retryable


def test_a_missing_key_is_told_while_a_cassette_is_recorded(tmp_path):
    with use_cassette(tmp_path / "x.yaml", record="once"), pytest.raises(RequestError, match="no key"):
        asked(ProviderModel.from_env("openai/x")).send_sync()


def test_a_provider_that_lends_no_key_is_replayed_without_one(environment):
    with use_script("Sunny."):
        assert asked(ProviderModel.from_env("zai/x")).send_sync().text == "Sunny."


@pytest.mark.parametrize(
    ("model", "request_", "told"),
    [
        (ProviderModel("openai"), CompletionRequest(messages=[Message.user("Hi.")]), "names no model"),
        (ProviderModel.from_env("openai/x"), CompletionRequest(messages=[]), "has no message"),
        (
            ProviderModel.from_env("openai/x"),
            CompletionRequest(messages=[Message.user("Hi.")], extra={"x": object()}),
            "no JSON",
        ),
        (
            ProviderModel.from_env("openai-responses/x"),
            CompletionRequest(messages=[Message.user("Hi.")], top_k=1),
            "top_k",
        ),
        (
            ProviderModel.from_env("compatible/x"),
            CompletionRequest(messages=[Message.user("Hi.")]),
            "no address of its own",
        ),
        (
            ProviderModel.from_env("openai/x", base_url="localhost:8000/v1"),
            CompletionRequest(messages=[Message.user("Hi.")]),
            "cannot be asked at 'localhost:8000/v1'",
        ),
        (
            ProviderModel.from_env("openai/x", base_url="http://[half/v1"),
            CompletionRequest(messages=[Message.user("Hi.")]),
            "that is no http address",
        ),
        (
            ProviderModel.from_env("openai/x", headers={"x": "é\n☃"}),
            CompletionRequest(messages=[Message.user("Hi.")]),
            "cannot be sent to",
        ),
    ],
)
@pytest.mark.parametrize("how", ["plain", "streaming", "async"])
async def test_what_cannot_be_sent_is_a_request_error(model, request_, told, how):
    with use_script(), pytest.raises(RequestError, match=told) as caught:
        if how == "plain":
            model.completion_sync(request_)
        elif how == "streaming":
            list(model.stream_sync(request_))
        else:
            await model.completion(request_)

    assert caught.value.kind == "request_build"
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nobody/x", {}),
        ("gpt-5.5", {}),
        ("openai/", {}),
        ("openai/x", {"retries": -1}),
        ("openai/x", {"retries": 1.5}),
        ("openai/x", {"timeout": 0}),
    ],
)
def test_an_option_that_means_nothing_is_refused(name, options):
    with pytest.raises(OptionError):
        ProviderModel.from_env(name, **options)


def test_a_model_says_which_one_it_is():
    assert repr(ProviderModel.from_env("openai/gpt-5.5")) == "<ProviderModel openai/gpt-5.5>"
    assert repr(ProviderModel("openai")) == "<ProviderModel openai/(as asked)>"


# ------------------------------------------------------------------------------------------- retries


async def had(builder, how):
    """Ask in one of four ways, and return the text of the answer."""
    if how == "plain":
        return builder.send_sync().text
    if how == "streaming":
        return list(builder.stream_sync())[-1].response.text
    if how == "async":
        return (await builder.send()).text
    return [event async for event in builder.stream()][-1].response.text


every_way = pytest.mark.parametrize("how", ["plain", "streaming", "async", "async streaming"])


@every_way
async def test_nothing_is_retried_unless_it_is_wanted(how):
    with use_script(fail("overloaded")) as script, pytest.raises(ProviderError):
        await had(asked(ProviderModel.from_env("anthropic/x")), how)

    assert len(script.calls) == 1


@every_way
async def test_what_may_pass_is_tried_again_after_as_long_as_the_provider_says(how):
    turns = (fail("rate_limited", retry_after=7), fail("timeout"), fail("connection"), "Sunny.")
    with Clock() as clock, use_script(*turns):
        assert await had(asked(ProviderModel.from_env("openai/x", retries=3)), how) == "Sunny."

    assert clock.slept == [7.0, 0.5, 1.0]


@every_way
async def test_the_last_error_is_raised_when_no_retry_is_left(how):
    block = use_script(*[fail("server_error", retry_after=1)] * 3)
    with Clock() as clock, block as script, pytest.raises(ProviderError) as caught:
        await had(asked(ProviderModel.from_env("openai/x", retries=2)), how)

    assert caught.value.kind == "server_error"
    assert len(script.calls) == 3
    assert clock.slept == [1, 1]


@every_way
@pytest.mark.parametrize(
    "turn_", [fail("authentication"), fail("quota_exhausted"), fail("rate_limited", retry_after=600)]
)
async def test_what_will_not_pass_is_raised_at_once(how, turn_):
    with Clock() as clock, use_script(turn_), pytest.raises(ProviderError):
        await had(asked(ProviderModel.from_env("openai/x", retries=2)), how)

    assert clock.slept == []


@pytest.mark.parametrize("how", ["streaming", "async streaming"])
async def test_a_stream_is_not_tried_again_once_something_was_told(how):
    with use_script(cut(say("It is sunny."), after=3)) as script, pytest.raises(HttpError):
        await had(asked(ProviderModel.from_env("openai/x", retries=2)), how)

    assert len(script.calls) == 1


def test_an_attempt_that_is_followed_by_another_tells_nothing():
    with Clock(), use_script(fail("overloaded"), "Sunny."):
        events = list(asked(ProviderModel.from_env("anthropic/x", retries=1)).stream_sync())

    assert not any(isinstance(event, StreamError) for event in events)


@every_way
async def test_a_refusal_is_neither_tried_again_nor_hidden(how):
    with pytest.raises(ScriptExhausted), use_script() as script:
        await had(asked(ProviderModel.from_env("openai/x", retries=2)), how)

    assert script.calls == []


# -------------------------------------------------------------------------------- switching providers


def agent(name):
    """Be an agent whose provider is one string."""
    with ProviderModel.from_env(name) as model:
        messages = [Message.user("How is Paris?")]
        while True:
            answer = model.completion_request(messages[-1]).messages(messages[:-1]).tool(WEATHER).send_sync()
            if not answer.tool_calls:
                return answer.text
            results = [Message.tool_result(one.id, "20 C", name=one.name) for one in answer.tool_calls]
            messages += [answer.assistant_message(), *results]


@every_model
def test_switching_the_provider_is_a_change_of_one_string(name):
    seen = respond(lambda request: f"It has {request.tool_results[0].text}.")
    with use_script(call("get_weather", city="Paris"), seen):
        assert agent(name) == "It has 20 C."


def test_a_spoilt_answer_is_an_error_and_provider_tools_are_sent():
    with use_script(spoil("Sunny."), "Sunny.") as script:
        model = ProviderModel.from_env("anthropic/x")
        with pytest.raises(CompletionError):
            asked(model).send_sync()
        search = ProviderTool(kind="web_search_20250305", config={"name": "web_search"})
        model.completion_request("Hi.").tool(search).send_sync()

    assert script.calls[1].request.json["tools"] == [{"type": "web_search_20250305", "name": "web_search"}]


# ----------------------------------------------------------------------------- every field, on the wire


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.9),
        ("max_completion_tokens", 9),
        ("n", 2),
        ("stop", ["a", "b"]),
        ("seed", 7),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
        ("logit_bias", {"42": -1.0}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("parallel_tool_calls", False),
        ("reasoning_effort", "low"),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("web_search_options", {"search_context_size": "low"}),
        ("user", "ada"),
        ("metadata", {"a": "b"}),
        ("store", False),
        ("service_tier", "flex"),
    ],
)
@pytest.mark.parametrize("name", ["openai/x", "xai/x"])
def test_a_field_is_on_the_wire_if_it_is_said_and_only_then(name, field, value):
    with use_script("Sunny.", "Sunny.") as script:
        model = ProviderModel.from_env(name)
        model.completion_request("Hi.").options(**{field: value}).send_sync()
        model.completion_request("Hi.").send_sync()

    said, bare = (exchange.request.json for exchange in script.calls)
    assert said[field] == value
    assert bare == {"model": "x", "messages": [{"role": "user", "content": "Hi."}]}
    assert getattr(script.requests[0], field) == value


@pytest.mark.parametrize(
    "key", ["prediction", "prompt_cache_key", "safety_identifier", "verbosity", "bootstrap_host"]
)
def test_a_parameter_that_has_no_name_here_reaches_the_provider(key):
    with use_script("Sunny.") as script:
        asked(ProviderModel.from_env("xai/x")).extra({key: {"any": "thing"}}).send_sync()

    assert script.calls[0].request.json[key] == {"any": "thing"}
    assert script.requests[0].extra[key] == {"any": "thing"}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (("auto",), "auto"),
        (("none",), "none"),
        (("required",), "required"),
        (("specific", "get_weather"), {"type": "function", "function": {"name": "get_weather"}}),
    ],
)
def test_a_tool_choice_is_spelled_as_the_provider_has_it(choice, written):
    with use_script("Sunny.") as script:
        asked(ProviderModel.from_env("openai/x")).tool_choice(*choice).send_sync()

    assert script.calls[0].request.json["tool_choice"] == written


def test_a_schema_is_the_form_of_the_answer_whoever_is_asked():
    schema = {"title": "Place", "type": "object", "properties": {"city": {"type": "string"}}}
    with use_script(*['{"city": "Paris"}'] * 3) as script:
        for name in ("openai/x", "gemini/x", "ollama/x"):
            ProviderModel.from_env(name).completion_request("Where?").output_schema(schema).send_sync()

    bodies = [exchange.request.json for exchange in script.calls]
    assert bodies[0]["response_format"]["json_schema"]["schema"] == schema
    assert bodies[1]["generationConfig"]["responseMimeType"] == "application/json"
    assert bodies[2]["format"] == schema

"""The SDK of OpenAI reads what the chat codec writes, from every provider it is used with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmreplay.codecs import openai_chat
from llmreplay.codecs.openai_chat._dialects import COMPATIBLE, DIALECTS
from llmreplay.completion import (
    Choice,
    CompletionResponse,
    FinishReason,
    LogProbs,
    Reasoning,
    ReasoningPart,
    Refusal,
    Text,
    TokenLogProb,
    ToolCall,
    Usage,
)
from llmreplay.exchange import Request

httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = openai_chat.CODEC
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Paris?"}]
USAGE = Usage(input_tokens=12, output_tokens=7, cached_input_tokens=4, reasoning_tokens=2)
TEXT = CompletionResponse(
    choice=[Text(text="It is sunny in Paris.")], usage=USAGE, finish_reason=FinishReason.STOP
)
CALLS = CompletionResponse(
    choice=[
        ToolCall(id="call_1", name="get_weather", arguments={"city": "Paris"}),
        ToolCall(id="call_2", name="get_weather", arguments={"city": "Oslo"}),
    ],
    usage=USAGE,
    finish_reason=FinishReason.TOOL_CALLS,
)

SERVERS = {
    **{name: dialect.base_url for name, dialect in DIALECTS.items() if name not in {"azure", "mistral"}},
    "a proxy": COMPATIBLE.base_url,
}
every_server = pytest.mark.parametrize("base_url", SERVERS.values(), ids=SERVERS)
both = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def served(answer: Callable[[Request], Any]) -> Any:
    """Return an HTTP client that answers with what a function makes of our request."""

    def handle(request: Any) -> Any:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        response = answer(ours)
        return httpx2.Response(response.status, headers=list(response.headers), content=response.body)

    return httpx2.Client(transport=httpx2.MockTransport(handle))


def client(base_url: str, answer: Callable[[Request], Any], **options: Any) -> Any:
    options = {"max_retries": 0, "api_key": "sk-none", **options}
    return openai.OpenAI(base_url=base_url, http_client=served(answer), **options)


def saying(response: CompletionResponse) -> Callable[[Request], Any]:
    return lambda request: CODEC.encode_response(response, request)


def collected(chunks: Any) -> dict[str, Any]:
    """Put the chunks of a stream together as everyone does."""
    text, calls, finish, usage = "", {}, None, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                kept = calls.setdefault(call.index, {"id": None, "name": None, "arguments": ""})
                kept["id"], kept["name"] = kept["id"] or call.id, kept["name"] or call.function.name
                kept["arguments"] += call.function.arguments or ""
    return {"text": text, "calls": list(calls.values()), "finish": finish, "usage": usage}


@every_server
def test_a_plain_text_is_read(base_url: str) -> None:
    answer = client(base_url, saying(TEXT)).chat.completions.create(model="m-1", messages=ASKED)

    assert answer.choices[0].message.content == "It is sunny in Paris."
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert (answer.id, answer.model, answer.created) == (answer.id, "m-1", 1_767_225_600)
    assert answer.usage.prompt_tokens == 12
    assert answer.usage.total_tokens == 19


@every_server
def test_a_plain_answer_with_tool_calls_is_read(base_url: str) -> None:
    answer = client(base_url, saying(CALLS)).chat.completions.create(model="m-1", messages=ASKED)

    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [
        (call.type, call.id, call.function.name, json.loads(call.function.arguments)) for call in calls
    ] == [
        ("function", "call_1", "get_weather", {"city": "Paris"}),
        ("function", "call_2", "get_weather", {"city": "Oslo"}),
    ]


@every_server
def test_a_streamed_text_is_read(base_url: str) -> None:
    chunks = client(base_url, saying(TEXT)).chat.completions.create(
        model="m-1", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )

    found = collected(chunks)
    assert (found["text"], found["finish"]) == ("It is sunny in Paris.", "stop")
    assert found["usage"].total_tokens == 19


@every_server
def test_streamed_tool_calls_are_read(base_url: str) -> None:
    chunks = client(base_url, saying(CALLS)).chat.completions.create(model="m-1", messages=ASKED, stream=True)

    found = collected(chunks)
    assert [(call["id"], call["name"], json.loads(call["arguments"])) for call in found["calls"]] == [
        ("call_1", "get_weather", {"city": "Paris"}),
        ("call_2", "get_weather", {"city": "Oslo"}),
    ]
    assert found["finish"] == "tool_calls"


@pytest.mark.parametrize("response", [TEXT, CALLS], ids=["text", "calls"])
def test_the_stream_helper_accumulates_the_answer(response: CompletionResponse) -> None:
    with client(SERVERS["openai"], saying(response)).chat.completions.stream(
        model="m-1", messages=ASKED, stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()

    assert {"chunk"} < kinds
    assert (answer.choices[0].message.content or "") == response.text
    calls = answer.choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [
        call.arguments for call in response.tool_calls
    ]
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


class Place(pydantic.BaseModel):
    city: str


def test_structured_output_is_parsed() -> None:
    response = CompletionResponse(choice=[Text(text='{"city":"Paris"}')], finish_reason=FinishReason.STOP)

    answer = client(SERVERS["openai"], saying(response)).chat.completions.parse(
        model="m-1", messages=ASKED, response_format=Place
    )

    assert answer.choices[0].message.parsed == Place(city="Paris")


def test_a_refusal_is_no_parsed_value() -> None:
    response = CompletionResponse(choice=[Refusal(text="I will not.")], finish_reason=FinishReason.STOP)

    answer = client(SERVERS["openai"], saying(response)).chat.completions.parse(
        model="m-1", messages=ASKED, response_format=Place
    )

    assert answer.choices[0].message.parsed is None
    assert answer.choices[0].message.refusal == "I will not."


@pytest.mark.parametrize(
    ("finish", "error"),
    [("length", "LengthFinishReasonError"), ("content_filter", "ContentFilterFinishReasonError")],
)
def test_an_answer_cut_short_is_no_parsed_value(finish: str, error: str) -> None:
    response = CompletionResponse(choice=[Text(text='{"ci')], finish_reason=FinishReason(finish))

    with pytest.raises(getattr(openai, error)):
        client(SERVERS["openai"], saying(response)).chat.completions.parse(
            model="m-1", messages=ASKED, response_format=Place
        )


@both
def test_several_answers_and_their_probabilities_are_read(stream: Any) -> None:
    spelled = [TokenLogProb(token=token, logprob=-0.5) for token in ("Yes", ".")]
    response = CompletionResponse(
        choice=[Text(text="Yes.")],
        finish_reason=FinishReason.STOP,
        logprobs=LogProbs(content=spelled),
        others=[Choice(index=1, contents=[Text(text="No.")], finish_reason=FinishReason.STOP)],
    )

    answer = client(SERVERS["openai"], saying(response)).chat.completions.create(
        model="m-1", messages=ASKED, n=2, logprobs=True, stream=stream
    )

    if stream:
        chunks = list(answer)
        texts = {0: "", 1: ""}
        tokens = []
        for choice in (choice for chunk in chunks for choice in chunk.choices):
            texts[choice.index] += choice.delta.content or ""
            tokens += choice.logprobs.content or [] if choice.logprobs else []
        assert texts == {0: "Yes.", 1: "No."}
    else:
        assert [choice.message.content for choice in answer.choices] == ["Yes.", "No."]
        tokens = answer.choices[0].logprobs.content
    assert [token.token for token in tokens] == ["Yes", "."]


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("deepseek", "reasoning_content"),
        ("xai", "reasoning_content"),
        ("vllm", "reasoning"),
        ("vllm", "reasoning_content"),
        ("openrouter", "reasoning"),
        ("groq", "reasoning"),
    ],
)
@both
def test_reasoning_is_read_where_the_provider_puts_it(server: str, key: str, stream: Any) -> None:
    thought = Reasoning(parts=[ReasoningPart(text="So be it.")])
    response = CompletionResponse(choice=[thought, Text(text="Yes.")], finish_reason=FinishReason.STOP)

    answer = client(SERVERS[server], saying(response)).chat.completions.create(
        model="m-1", messages=ASKED, stream=stream
    )

    if stream:
        deltas = [choice.delta for chunk in answer for choice in chunk.choices]
        assert "".join(getattr(delta, key, None) or "" for delta in deltas) == "So be it."
    else:
        assert getattr(answer.choices[0].message, key) == "So be it."


def test_citations_are_read() -> None:
    note = {
        "type": "url_citation",
        "url_citation": {"start_index": 0, "end_index": 5, "title": "T", "url": "https://e.example"},
    }
    response = CompletionResponse(
        choice=[Text(text="Paris.")], citations=[note], finish_reason=FinishReason.STOP
    )

    answer = client(SERVERS["openai"], saying(response)).chat.completions.create(model="m-1", messages=ASKED)

    assert answer.choices[0].message.annotations[0].url_citation.url == "https://e.example"


def azure(answer: Callable[[Request], Any]) -> Any:
    return openai.AzureOpenAI(
        azure_endpoint="https://mine.openai.azure.com",
        api_version="2024-10-21",
        api_key="none",
        http_client=served(answer),
        max_retries=0,
    )


@both
def test_the_client_of_azure_reads_its_filters_too(stream: Any) -> None:
    answer = azure(saying(TEXT)).chat.completions.create(model="gpt-4o", messages=ASKED, stream=stream)

    if stream:
        chunks = list(answer)
        assert chunks[0].choices == []
        assert chunks[0].prompt_filter_results[0]["prompt_index"] == 0
        assert chunks[2].choices[0].content_filter_results["hate"]["filtered"] is False
        assert collected(chunks)["text"] == "It is sunny in Paris."
    else:
        assert answer.prompt_filter_results[0]["prompt_index"] == 0
        assert answer.choices[0].message.content == "It is sunny in Paris."


def test_a_prompt_that_azure_filters_is_a_bad_request() -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        azure(lambda request: CODEC.encode_error("content_filter", request)).chat.completions.create(
            model="gpt-4o", messages=ASKED
        )

    assert caught.value.code == "content_filter"
    assert caught.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"


CLASSES = {
    "invalid_request": "BadRequestError",
    "authentication": "AuthenticationError",
    "permission_denied": "PermissionDeniedError",
    "not_found": "NotFoundError",
    "request_too_large": "BadRequestError",
    "conflict": "ConflictError",
    "rate_limited": "RateLimitError",
    "quota_exhausted": "RateLimitError",
    "server_error": "InternalServerError",
    "overloaded": "InternalServerError",
    "not_supported": "InternalServerError",
    "content_filter": "BadRequestError",
}
BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "APIStatusError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    413: "APIStatusError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    501: "InternalServerError",
    503: "InternalServerError",
}


@pytest.mark.parametrize(("kind", "error"), CLASSES.items())
def test_an_error_of_openai_is_the_exception_of_its_kind(kind: Any, error: str) -> None:
    failing = client(SERVERS["openai"], lambda request: CODEC.encode_error(kind, request, message="No."))

    with pytest.raises(openai.APIStatusError) as caught:
        failing.chat.completions.create(model="m-1", messages=ASKED)

    assert type(caught.value).__name__ == error
    assert caught.value.body["message"] == "No."
    assert caught.value.request_id.startswith("req_")


@every_server
@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_of_anyone_is_the_exception_of_its_status(base_url: str, kind: Any) -> None:
    written = []

    def fail(request: Request) -> Any:
        written.append(CODEC.encode_error(kind, request))
        return written[0]

    with pytest.raises(openai.APIStatusError) as caught:
        client(base_url, fail).chat.completions.create(model="m-1", messages=ASKED)

    assert type(caught.value).__name__ == BY_STATUS[written[0].status]


def test_codes_of_errors_are_read() -> None:
    codes = {
        "authentication": "invalid_api_key",
        "not_found": "model_not_found",
        "quota_exhausted": "insufficient_quota",
    }
    for kind, code in codes.items():
        with pytest.raises(openai.APIStatusError) as caught:
            client(
                SERVERS["openai"], lambda request, kind=kind: CODEC.encode_error(kind, request)
            ).chat.completions.create(model="m-1", messages=ASKED)
        assert caught.value.code == code


@pytest.mark.parametrize("server", ["openai", "deepseek", "openrouter", "xai", "vllm", "together", "a proxy"])
def test_an_error_in_a_stream_is_raised_when_it_comes(server: str) -> None:
    def fail(request: Request) -> Any:
        whole = CODEC.encode_response(TEXT, request)
        begun = [chunk.data for chunk in whole.chunks[:4]]
        error = CODEC.encode_stream_error("server_error", request, message="Gone.")
        return type(whole).of(200, [*begun, error], whole.headers)

    chunks = client(SERVERS[server], fail).chat.completions.create(model="m-1", messages=ASKED, stream=True)
    with pytest.raises(openai.APIError):
        list(chunks)


def test_a_retried_request_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["overloaded", "rate_limited", None]
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)

    def answer(request: Request) -> Any:
        kind: Any = answers.pop(0)
        return CODEC.encode_error(kind, request) if kind else CODEC.encode_response(TEXT, request)

    found = client(SERVERS["openai"], answer, max_retries=2).chat.completions.create(
        model="m-1", messages=ASKED
    )

    assert found.choices[0].message.content == "It is sunny in Paris."
    assert slept == [0.001, 0.001]


def test_a_deferred_answer_of_xai_is_a_promise_and_then_the_answer() -> None:
    raw = client(SERVERS["xai"], saying(TEXT)).chat.completions.with_raw_response.create(
        model="grok-4", messages=ASKED, extra_body={"deferred": True}
    )
    promise = raw.http_response.json()["request_id"]

    later = client(SERVERS["xai"], saying(TEXT)).get(
        f"/chat/deferred-completion/{promise}", cast_to=httpx2.Response
    )

    assert later.json()["choices"][0]["message"]["content"] == "It is sunny in Paris."

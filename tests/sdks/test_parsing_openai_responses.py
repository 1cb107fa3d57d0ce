"""What the Responses codec writes, read by the official SDK of OpenAI: answers, streams and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

openai = pytest.importorskip("openai")
httpx2 = pytest.importorskip("httpx2")

from pydantic import BaseModel  # noqa: E402  behind the skip

from llmreplay.codecs.openai_responses import CODEC  # noqa: E402
from llmreplay.completion import (  # noqa: E402
    CompletionResponse,
    FinishReason,
    LogProbs,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    Text,
    TokenLogProb,
    ToolCall,
    TopLogProb,
    Usage,
)
from llmreplay.exchange import Request, Response  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CITED = {"type": "url_citation", "start_index": 0, "end_index": 5, "title": "P", "url": "https://e.example"}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}
PARIS = ToolCall(id="call_1", call_id="fc_1", name="get_weather", arguments={"city": "Paris"})
OSLO = ToolCall(id="call_2", call_id="fc_2", name="get_weather", arguments={"city": "Oslo"})
SHELL = ToolCall(
    id="call_3", name="shell", arguments="ls -l", arguments_raw="ls -l", extra={"type": "custom"}
)
SEALED = Reasoning(
    id="rs_1",
    parts=[
        ReasoningPart(kind="summary", text="I should look."),
        ReasoningPart(kind="encrypted", text="gAAAA" * 8),
    ],
)
OPEN = Reasoning(parts=[ReasoningPart(text="Let me think.")])
USAGE = Usage(input_tokens=12, output_tokens=7, cached_input_tokens=4, reasoning_tokens=3)


class City(BaseModel):
    """What the model is asked for."""

    city: str


class Provider:
    """A transport that answers with what the codec writes."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.requests = list(answers), []
        self.client = openai.OpenAI(
            api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(self.answer))
        )

    def answer(self, given: Any) -> Any:
        response = self.respond(given)
        chunks = (chunk.data for chunk in response.chunks)
        return httpx2.Response(response.status, headers=response.headers, content=chunks)

    async def answer_async(self, given: Any) -> Any:
        response = self.respond(given)

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in response.chunks:
                yield chunk.data

        return httpx2.Response(response.status, headers=response.headers, content=chunks())

    def respond(self, given: Any) -> Response:
        headers = tuple((name.lower(), value) for name, value in given.headers.items())
        request = Request(given.method, str(given.url), headers, given.read())
        self.requests.append(request)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        response: Response = found(request) if callable(found) else CODEC.encode_response(found, request)
        return response


def says(*contents: Any, finish: str = "stop", **fields: Any) -> CompletionResponse:
    return CompletionResponse(
        choice=list(contents), finish_reason=FinishReason(finish), usage=USAGE, **fields
    )


def ask(**fields: Any) -> dict[str, Any]:
    return {"model": "m-1", "input": "How is the weather?", **fields}


TURNS = {
    "text": says(Text(text="It is sunny.")),
    "call": says(PARIS, finish="tool_calls"),
    "parallel calls": says(Text(text="Let me look."), PARIS, OSLO, finish="tool_calls"),
    "sealed reasoning": says(SEALED, PARIS, finish="tool_calls"),
    "open reasoning": says(OPEN, Text(text="Sunny.")),
    "refusal": says(Refusal(text="No.")),
    "search": says(
        ProviderContent(kind="web_search_call", raw=SEARCH),
        Text(text="Paris is sunny.", extra={"annotations": [CITED]}),
    ),
    "custom call": says(SHELL, finish="tool_calls"),
    "nothing": says(Text(text="")),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_plain_answer_is_parsed(name: str) -> None:
    turn = TURNS[name]

    found = Provider(turn).client.responses.create(**ask())

    assert (found.object, found.status, found.model) == ("response", "completed", "m-1")
    assert found.output_text == turn.text
    assert [item.call_id for item in found.output if "call_id" in item.model_fields_set] == [
        call.id for call in turn.tool_calls
    ]
    assert found.usage.input_tokens == 12
    assert found.usage.input_tokens_details.cached_tokens == 4
    assert found.usage.output_tokens_details.reasoning_tokens == 3
    assert found.usage.total_tokens == 19
    assert found._request_id.startswith("req_")
    assert set(found.model_extra) == {
        "frequency_penalty",
        "presence_penalty",
        "store",
    }  # recorded, but undocumented
    for item in found.output:
        assert set(item.model_extra or {}) <= {"status"}  # of a custom call: undocumented
        assert type(item).model_validate(item.model_dump(mode="json"))


@pytest.mark.parametrize("name", TURNS)
def test_the_stream_helper_reads_a_stream_to_the_same_answer(name: str) -> None:
    turn = TURNS[name]
    told: list[Any] = []

    with Provider(turn).client.responses.stream(**ask()) as stream:
        told += stream
        found = stream.get_final_response()

    assert [event.sequence_number for event in told] == list(range(len(told)))
    assert "".join(event.delta for event in told if event.type == "response.output_text.delta") == turn.text
    assert [event.type for event in told[:2]] == ["response.created", "response.in_progress"]
    assert told[-1].type == "response.completed"
    plain = Provider(turn).client.responses.create(**ask())
    assert found.output_text == plain.output_text
    assert [item.type for item in found.output] == [item.type for item in plain.output]
    assert found.usage == plain.usage
    assert found.created_at == plain.created_at


@pytest.mark.parametrize("name", TURNS)
def test_a_raw_stream_has_events_that_the_sdk_knows(name: str) -> None:
    events = list(Provider(TURNS[name]).client.responses.create(**ask(stream=True)))

    ids = {event.response.id for event in events if hasattr(event, "response")}
    assert len(ids) == 1
    items = events[-1].response.output
    for event in events:
        assert type(event).__name__ != "ResponseErrorEvent" or event.type == "error"
        assert set(event.model_extra or {}) <= {"obfuscation"}
        if hasattr(event, "item_id"):
            assert event.item_id == items[event.output_index].id
        assert type(event).model_validate(event.model_dump(mode="json"))


def test_parse_gives_the_object_that_was_asked_for() -> None:
    provider = Provider(says(Text(text='{"city":"Paris"}')))

    found = provider.client.responses.parse(**ask(text_format=City))

    assert found.output_parsed == City(city="Paris")
    assert found.text.format.type == "json_schema"
    asked = CODEC.decode_request(provider.requests[0])
    assert asked.response_format is not None
    assert asked.response_format.json_schema["properties"] == {"city": {"title": "City", "type": "string"}}


def test_a_streamed_object_is_parsed() -> None:
    with Provider(says(Text(text='{"city":"Paris"}'))).client.responses.stream(
        **ask(text_format=City)
    ) as stream:
        assert stream.get_final_response().output_parsed == City(city="Paris")


def test_parsed_calls_have_their_arguments() -> None:
    tool = openai.pydantic_function_tool(City, name="get_weather")["function"]

    found = Provider(says(PARIS, finish="tool_calls")).client.responses.parse(
        **ask(tools=[{"type": "function", **tool}])
    )

    (call,) = found.output
    assert call.parsed_arguments == {"city": "Paris"}


def test_parse_of_a_refusal_gives_nothing() -> None:
    found = Provider(says(Refusal(text="No."))).client.responses.parse(**ask(text_format=City))

    assert found.output_parsed is None
    assert found.output[0].content[0].refusal == "No."


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_incomplete_answer_says_why(finish: str, reason: str) -> None:
    turn = says(Text(text="It is"), finish=finish)

    found = Provider(turn).client.responses.create(**ask())
    *_, last = Provider(turn).client.responses.create(**ask(stream=True))

    for response in (found, last.response):
        assert response.status == "incomplete"
        assert response.incomplete_details.reason == reason
        assert response.output[0].status == "incomplete"
    assert last.type == "response.incomplete"
    with Provider(turn).client.responses.stream(**ask()) as stream, pytest.raises(RuntimeError):
        stream.get_final_response()


def test_probabilities_come_with_the_text_and_its_pieces() -> None:
    tokens = [
        TokenLogProb(
            token=token,
            logprob=-0.5,
            bytes=list(token.encode()),
            top_logprobs=[TopLogProb(token="No", logprob=-4.0, bytes=[78, 111])],
        )
        for token in ("It", " is", " sun", "ny.")
    ]
    turn = says(Text(text="It is sunny."), logprobs=LogProbs(content=tokens))

    found = Provider(turn).client.responses.create(**ask(include=["message.output_text.logprobs"]))
    events = list(Provider(turn).client.responses.create(**ask(stream=True)))

    (part,) = found.output[0].content
    assert [token.token for token in part.logprobs] == ["It", " is", " sun", "ny."]
    assert part.logprobs[0].top_logprobs[0].logprob == -4.0
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [[token.token for token in event.logprobs] for event in deltas] == [
        ["It"],
        [" is"],
        [" sun", "ny."],
    ]


def test_sealed_reasoning_is_whole_only_when_its_item_is_done() -> None:
    events = list(Provider(says(SEALED, Text(text="So."))).client.responses.create(**ask(stream=True)))

    added = next(event for event in events if event.type == "response.output_item.added")
    done = next(event for event in events if event.type == "response.output_item.done")
    assert done.item.encrypted_content == "gAAAA" * 8
    assert added.item.encrypted_content not in {None, "", done.item.encrypted_content}
    assert (added.item.id, added.item.summary) == (done.item.id, [])


def test_an_agent_can_send_back_what_it_got() -> None:
    provider = Provider(says(SEALED, PARIS, OSLO, finish="tool_calls"), says(Text(text="Sunny.")))
    first = provider.client.responses.create(**ask(tools=[TOOL]))
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sun"}
        for item in first.output
        if item.type == "function_call"
    ]

    second = provider.client.responses.create(
        model="m-1", tools=[TOOL], input=[{"role": "user", "content": "Weather?"}, *first.output, *results]
    )

    assert second.output_text == "Sunny."
    assert CODEC.check(provider.requests[1]) is None
    asked = CODEC.decode_request(provider.requests[1])
    assert [message.role for message in asked.messages] == ["user", "assistant", "tool", "tool"]
    assert asked.messages[1].content[0].parts == SEALED.parts
    assert [(call.id, call.call_id) for call in asked.messages[1].tool_calls] == [
        ("call_1", "fc_1"),
        ("call_2", "fc_2"),
    ]
    assert [result.id for message in asked.messages for result in message.tool_results] == [
        "call_1",
        "call_2",
    ]


RAISED = [
    ("invalid_request", 400, "BadRequestError", "missing_required_parameter"),
    ("authentication", 401, "AuthenticationError", "invalid_api_key"),
    ("permission_denied", 403, "PermissionDeniedError", "missing_scope"),
    ("not_found", 400, "BadRequestError", "model_not_found"),
    ("request_too_large", 400, "BadRequestError", "context_length_exceeded"),
    ("conflict", 409, "ConflictError", "conversation_locked"),
    ("rate_limited", 429, "RateLimitError", "rate_limit_exceeded"),
    ("quota_exhausted", 429, "RateLimitError", "insufficient_quota"),
    ("server_error", 500, "InternalServerError", "server_error"),
    ("overloaded", 503, "InternalServerError", "server_is_overloaded"),
    ("not_supported", 501, "InternalServerError", None),
    ("content_filter", 400, "BadRequestError", "invalid_prompt"),
]


@pytest.mark.parametrize(("kind", "status", "name", "code"), RAISED)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_raises_the_class_of_its_status(
    kind: Any, status: int, name: str, code: str | None, *, stream: bool
) -> None:
    provider = Provider(lambda request: CODEC.encode_error(kind, request))

    with pytest.raises(openai.APIStatusError) as caught:
        provider.client.with_options(max_retries=0).responses.create(**ask(stream=stream))

    error = caught.value
    assert type(error) is getattr(openai, name)
    assert (error.status_code, error.code) == (status, code)
    assert error.request_id.startswith("req_")
    assert error.body["message"]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (402, "APIStatusError"),
        (404, "NotFoundError"),
        (408, "APIStatusError"),
        (413, "APIStatusError"),
        (422, "UnprocessableEntityError"),
        (502, "InternalServerError"),
    ],
)
def test_a_status_that_is_asked_for_raises_its_class(status: int, name: str) -> None:
    provider = Provider(lambda request: CODEC.encode_error("unknown", request, status=status))

    with pytest.raises(openai.APIStatusError) as caught:
        provider.client.with_options(max_retries=0).responses.create(**ask())

    assert type(caught.value) is getattr(openai, name)


def test_a_retryable_error_is_tried_again_at_once() -> None:
    provider = Provider(
        lambda request: CODEC.encode_error("rate_limited", request),
        lambda request: CODEC.encode_error("overloaded", request),
        says(Text(text="At last.")),
    )

    assert provider.client.responses.create(**ask()).output_text == "At last."
    assert len(provider.requests) == 3


def test_a_rejection_of_the_strict_rules_raises_as_the_real_one_does() -> None:
    orphan = {"type": "function_call_output", "call_id": "call_9", "output": "sun"}

    def judge(request: Request) -> Response:
        rejection = CODEC.check(request)
        assert rejection is not None
        return rejection.response

    with pytest.raises(openai.BadRequestError, match="No tool call found") as caught:
        Provider(judge).client.responses.create(**ask(input=[orphan]))
    assert caught.value.param == "input"
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("helper", [False, True])
def test_an_error_in_a_stream_raises(*, helper: bool) -> None:
    def broken(request: Request) -> Response:
        frames = CODEC.encode_response(says(Text(text="It is sunny.")), request).chunks[:5]
        error = CODEC.encode_stream_error("overloaded", request)
        return Response.of(
            200, [*(chunk.data for chunk in frames), error], (("content-type", "text/event-stream"),)
        )

    client = Provider(broken).client
    with pytest.raises(openai.APIError, match="overloaded") as caught:
        if helper:
            with client.responses.stream(**ask()) as stream:
                stream.until_done()
        else:
            list(client.responses.create(**ask(stream=True)))
    assert caught.value.code == "server_is_overloaded"
    assert not isinstance(caught.value, openai.APIStatusError)


def test_azure_and_openrouter_are_read_by_the_same_sdk() -> None:
    turn = says(SEALED, Text(text="It is sunny."))
    client = Provider(turn).client
    for url in (
        "https://mine.openai.azure.com/openai/v1",
        "https://openrouter.ai/api/v1",
        "https://api.deepseek.com",
    ):
        with client.with_options(base_url=url).responses.stream(**ask()) as stream:
            assert stream.get_final_response().output_text == "It is sunny."


async def test_the_async_client_reads_a_stream_too() -> None:
    provider = Provider(TURNS["parallel calls"])
    transport = httpx2.MockTransport(provider.answer_async)
    client = openai.AsyncOpenAI(api_key="none", http_client=httpx2.AsyncClient(transport=transport))

    async with client.responses.stream(**ask()) as stream:
        found = await stream.get_final_response()

    assert [item.type for item in found.output] == ["message", "function_call", "function_call"]
    await client.close()

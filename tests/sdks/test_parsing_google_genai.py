"""Google's SDK reads what the Gemini codec writes, here and at Vertex, and raises what its errors are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import gemini
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    LogProbs,
    Reasoning,
    ReasoningPart,
    Text,
    TokenLogProb,
    ToolCall,
    TopLogProb,
    Usage,
)
from llmreplay.exchange import Request, Response

httpx2 = pytest.importorskip("httpx2")
genai = pytest.importorskip("google.genai")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODEC = gemini.CODEC
MODEL = "gemini-2.5-flash"
TURN = CompletionResponse(
    choice=[
        Reasoning(parts=[ReasoningPart(text="Look it up.")]),
        Text(text="Let me look."),
        ToolCall(name="get_weather", arguments={"city": "Paris"}, signature="c2ln"),
        ToolCall(name="get_weather", arguments={"city": "Oslo"}),
    ],
    usage=Usage(input_tokens=12, output_tokens=7, reasoning_tokens=3, cached_input_tokens=4),
    finish_reason=FinishReason.TOOL_CALLS,
)
Answer = "Callable[[Request], Response]"


class Served:
    """A client whose requests are answered in process, and the requests."""

    def __init__(self, *, vertex: bool) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Response] = lambda request: CODEC.encode_response(TURN, request)
        options = genai.types.HttpOptions(
            httpx_client=httpx2.Client(transport=httpx2.MockTransport(self._handle)),
            base_url="https://aiplatform.googleapis.com" if vertex else None,
        )
        where: dict[str, Any] = {"api_key": "none"}
        self.client = genai.Client(vertexai=vertex, http_options=options, **where)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        ours = Request(request.method, str(request.url), tuple(request.headers.items()), request.content)
        self.requests.append(ours)
        response = self.answer(ours)
        pieces = (chunk.data for chunk in response.chunks)
        return httpx2.Response(response.status, headers=list(response.headers), content=pieces)


@pytest.fixture(params=[False, True], ids=["AI Studio", "Vertex"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    found = Served(vertex=request.param)
    yield found
    found.client.close()


def test_a_plain_answer_is_read(served: Served) -> None:
    answer = served.client.models.generate_content(model=MODEL, contents="How is the weather?")

    candidate = answer.candidates[0]
    thought, said, *calls = candidate.content.parts
    assert (thought.text, thought.thought, said.text) == ("Look it up.", True, "Let me look.")
    assert [call.function_call.args for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert (calls[0].thought_signature, calls[1].thought_signature) == (b"sig", None)
    assert candidate.finish_reason == "STOP"
    assert candidate.index == 0
    assert candidate.content.role == "model"
    used = answer.usage_metadata
    assert (used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count) == (12, 4, 3)
    assert (used.cached_content_token_count, used.total_token_count) == (4, 19)
    assert answer.model_version == MODEL
    assert answer.response_id
    assert codecs.recognise(served.requests[0]) == "gemini"
    assert codecs.decode_request(served.requests[0]).prompt == "How is the weather?"


def test_a_stream_is_read_piece_by_piece(served: Served) -> None:
    chunks = list(served.client.models.generate_content_stream(model=MODEL, contents="How is the weather?"))

    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text for part in parts if part.text and part.thought) == "Look it up."
    assert "".join(part.text for part in parts if part.text and not part.thought) == "Let me look."
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Oslo"}),
    ]
    assert [chunk.candidates[0].finish_reason for chunk in chunks[-2:]] == [None, "STOP"]
    assert all(chunk.usage_metadata for chunk in chunks)
    assert chunks[-1].usage_metadata.total_token_count == 19
    assert len(chunks) > 5
    assert codecs.decode_request(served.requests[0]).stream


def test_a_request_with_tools_and_a_schema_is_understood(served: Served) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"function_declarations": [{"name": "get_weather", "parameters_json_schema": schema}]}
    served.client.models.generate_content(
        model=MODEL,
        contents="Where?",
        config={
            "system_instruction": "Be brief.",
            "tools": [tool],
            "temperature": 0.5,
            "max_output_tokens": 9,
            "response_mime_type": "application/json",
            "response_json_schema": schema,
            "automatic_function_calling": {"disable": True},
        },
    )

    asked = codecs.decode_request(served.requests[0])
    assert (asked.system, asked.tool_names, asked.temperature, asked.max_tokens) == (
        "Be brief.",
        ["get_weather"],
        0.5,
        9,
    )
    assert asked.response_format is not None
    assert (asked.response_format.type, asked.response_format.json_schema) == ("json_schema", schema)
    assert asked.tools[0].parameters == schema  # type: ignore[union-attr]
    assert CODEC.encode_request(asked).json == served.requests[0].json


def test_an_agent_loop_goes_on_and_is_sound(served: Served) -> None:
    def answer(request: Request) -> Response:
        assert CODEC.check(request) is None
        if codecs.decode_request(request).messages[-1].tool_results:
            return CODEC.encode_response(CompletionResponse(choice=[Text(text="Sunny.")]), request, turn=1)
        return CODEC.encode_response(TURN, request)

    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"sunny in {city}"

    served.answer = answer
    found = served.client.models.generate_content(
        model="gemini-3-pro-preview", contents="How is the weather?", config={"tools": [get_weather]}
    )

    assert found.text == "Sunny."
    results = codecs.decode_request(served.requests[1]).messages[-1].tool_results
    assert [(result.name, result.text) for result in results] == [
        ("get_weather", "sunny in Paris"),
        ("get_weather", "sunny in Oslo"),
    ]


def test_a_filter_citations_and_probabilities_are_read(served: Served) -> None:
    token = TokenLogProb(token="Yes", logprob=-0.25, top_logprobs=[TopLogProb(token="No", logprob=-2)])
    served.answer = lambda request: CODEC.encode_response(
        CompletionResponse(
            choice=[Text(text="Yes")],
            citations=[{"web": {"uri": "https://e.example", "title": "E"}}, {"uri": "https://q.example"}],
            logprobs=LogProbs(content=[token]),
            finish_reason=FinishReason.LENGTH,
        ),
        request,
    )
    candidate = served.client.models.generate_content(model=MODEL, contents="Sure?").candidates[0]
    assert candidate.finish_reason == "MAX_TOKENS"
    assert candidate.grounding_metadata.grounding_chunks[0].web.title == "E"
    assert candidate.logprobs_result.chosen_candidates[0].log_probability == -0.25
    assert candidate.logprobs_result.top_candidates[0].candidates[0].token == "No"

    served.answer = lambda request: CODEC.encode_response(
        CompletionResponse(choice=[], finish_reason=FinishReason.CONTENT_FILTER), request
    )
    candidate = served.client.models.generate_content(model=MODEL, contents="Sure?").candidates[0]
    assert (candidate.finish_reason, candidate.content) == ("SAFETY", None)


@pytest.mark.parametrize(
    ("kind", "status", "vertex_status"),
    [
        ("invalid_request", 400, 400),
        ("authentication", 400, 401),
        ("permission_denied", 403, 403),
        ("not_found", 404, 404),
        ("request_too_large", 400, 400),
        ("conflict", 409, 409),
        ("rate_limited", 429, 429),
        ("quota_exhausted", 429, 429),
        ("server_error", 500, 500),
        ("not_supported", 501, 501),
        ("overloaded", 503, 503),
    ],
)
def test_an_error_is_the_exception_of_its_status(
    served: Served, kind: Any, status: int, vertex_status: int
) -> None:
    served.answer = lambda request: CODEC.encode_error(kind, request, message="No.")
    expected = genai.errors.ClientError if status < 500 else genai.errors.ServerError
    vertex = served.client.vertexai

    for call in ("generate_content", "generate_content_stream"):
        with pytest.raises(expected, match=r"No\.") as caught:
            list(getattr(served.client.models, call)(model=MODEL, contents="Hi."))
        assert caught.value.code == (vertex_status if vertex else status)
        assert caught.value.status
        assert caught.value.message == "No."


def test_an_error_in_a_stream_is_raised_when_it_comes(served: Served) -> None:
    def fail(request: Request) -> Response:
        whole = CODEC.encode_response(TURN, request)
        error = CODEC.encode_stream_error("overloaded", request, message="Gone.")
        return Response.of(200, [*(chunk.data for chunk in whole.chunks[:3]), error], whole.headers)

    served.answer = fail
    read: list[Any] = []
    with pytest.raises(genai.errors.ServerError, match=r"Gone\."):
        read.extend(served.client.models.generate_content_stream(model=MODEL, contents="Hi."))
    assert codecs.recognise(served.requests[0]) == "gemini"

"""What the contract of the codecs is tried on: turns by name, and wires, each one entry of a table.

A wire that is added here is held to everything in `test_codecs.py`. What it cannot spell stands in
its `cannot`, with the reason; a turn that it spells in a way of its own stands in its `own`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from llmreplay.codecs.anthropic_messages._signature import is_ours
from llmreplay.completion import (
    Choice,
    CompletionRequest,
    CompletionResponse,
    FinishReason,
    LogProbs,
    Message,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    ResponseFormat,
    StreamOptions,
    Text,
    TokenLogProb,
    ToolCall,
    ToolDefinition,
    TopLogProb,
    Usage,
)
from llmreplay.framing import eventstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmreplay.exchange import Request

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = ToolDefinition(name="get_weather", description="The weather in a city.", parameters=SCHEMA)
CLOCK = ToolDefinition(
    name="get_time", description="The time.", parameters={"type": "object", "properties": {}}
)

CONVERSATION = CompletionRequest(
    model="m-1",
    messages=[Message.system("Be brief."), Message.user("How is the weather in Paris?")],
    tools=[WEATHER, CLOCK],
)
"""What the turns below answer."""

USAGE = Usage(input_tokens=12, output_tokens=7)


@dataclass(frozen=True)
class Turn:
    """What a model says, and what has to be asked for it to say so (fields of the request)."""

    response: CompletionResponse
    asks: Mapping[str, Any] = field(default_factory=dict)


def said(*contents: Any, finish: str = "stop", asks: Mapping[str, Any] | None = None, **fields: Any) -> Turn:
    """Return a turn of these contents."""
    fields = {"usage": USAGE, "finish_reason": FinishReason(finish), **fields}
    return Turn(CompletionResponse(choice=list(contents), **fields), asks or {})


def called(id: str, name: str = "get_weather", **arguments: Any) -> ToolCall:  # noqa: A002  the wires' word
    """Return a tool call; its id is nine letters or digits, since Mistral takes no other."""
    return ToolCall(id=id, name=name, arguments=arguments)


def thought(text: str, signature: str | None = None) -> Reasoning:
    """Return reasoning of one part."""
    return Reasoning(parts=[ReasoningPart(text=text, signature=signature)])


def probable(token: str, logprob: float) -> TokenLogProb:
    """Return a token with what could have been in its place."""
    spelled = list(token.encode())
    other = TopLogProb(token="No", logprob=-4.25, bytes=[78, 111])
    same = TopLogProb(token=token, logprob=logprob, bytes=spelled)
    return TokenLogProb(token=token, logprob=logprob, bytes=spelled, top_logprobs=[same, other])


TRICKY = (
    'data: [DONE]\n\nevent: error\r\n"quoted" \\ back\u2028slash, Zoë 👋🏽, {"choices": [}, \t\x07</think>'
)

TURNS: dict[str, Turn] = {
    "text": said(Text(text="It is sunny in Paris. ☀️")),
    "tricky text": said(Text(text=TRICKY)),
    "nothing": said(finish="length"),
    "one tool call": said(called("call00001", city="Paris"), finish="tool_calls"),
    "parallel tool calls": said(
        called("call00001", city="Paris"),
        called("call00002", city="Zürich", days=[1, 2.5, None, {"deep": True}]),
        called("call00003", name="get_time"),
        finish="tool_calls",
    ),
    "text and tool call": said(
        Text(text="Let me look."), called("call00001", city="Paris"), finish="tool_calls"
    ),
    "broken arguments": said(
        ToolCall.written("get_weather", '{"city": "Par', id="call00001"), finish="tool_calls"
    ),
    "reasoning": said(thought("The user asks about Paris.\nSo look."), Text(text="Sunny.")),
    "reasoning with signature": said(
        thought("The user asks.", signature="c2lnbmF0dXJl" * 4), Text(text="Sunny.")
    ),
    "reasoning and tool call": said(
        thought("I need the weather."), called("call00001", city="Paris"), finish="tool_calls"
    ),
    "refusal": said(Refusal(text="I cannot help with that.")),
    "length": said(Text(text="It is sunny in"), finish="length"),
    "content filter": said(Text(text="It is"), finish="content_filter"),
    "citations": said(
        Text(text="Paris is sunny."),
        citations=[
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": 0,
                    "end_index": 5,
                    "title": "Paris",
                    "url": "https://e.example/p",
                },
            }
        ],
    ),
    "structured output": said(
        Text(text='{"city":"Paris"}'),
        asks={
            "response_format": ResponseFormat(
                type="json_schema", name="place", json_schema=SCHEMA, strict=True
            )
        },
    ),
    "three answers": said(
        Text(text="Sunny."),
        others=[
            Choice(index=1, contents=[Text(text="Rather sunny.")], finish_reason=FinishReason.LENGTH),
            Choice(
                index=2, contents=[called("call00009", city="Oslo")], finish_reason=FinishReason.TOOL_CALLS
            ),
        ],
        asks={"n": 3},
    ),
    "log probabilities": said(
        Text(text="Yes, sure"),
        logprobs=LogProbs(content=[probable("Yes", -0.25), probable(",", -0.5), probable(" sure", -1.125)]),
        asks={"logprobs": True, "top_logprobs": 2},
    ),
    "cached input": said(
        Text(text="Hi."), usage=Usage(input_tokens=90, output_tokens=3, cached_input_tokens=64)
    ),
    "reasoning tokens": said(
        Text(text="Hi."), usage=Usage(input_tokens=9, output_tokens=30, reasoning_tokens=20)
    ),
    "no usage": said(Text(text="Hi."), usage=Usage()),
    "ids and time": said(
        Text(text="Hi."), response_id="id-of-the-answer", model="m-1-2026-01-01", created=1_750_000_000
    ),
}
"""What a model can say, by name; `cannot` of a wire names those that it has no words for."""

UNKNOWN = b'event: llmreplay.unknown\ndata: {"type":"llmreplay.unknown","sequence_number":1}\n\n'
BROKEN = b'data: {"id": "x", "choices": [\n\n'


@dataclass(frozen=True)
class Wire:
    """A wire, or a dialect of one, as the contract sees it.

    Attributes:
        name: How tests call it.
        codec: The module below `llmreplay.codecs` that has the `CODEC`.
        base_url: Handed to `encode_request`; None is the provider's own.
        model: The model that is asked for.
        cannot: Turns (by name), kinds of errors and other cases that the wire has no words for, and why.
        own: Turns that this wire spells in a way of its own, instead of or beside the common ones.
        holds: What of an answer the wire can hold; applied to both sides of each comparison.
        unknown: A frame of a stream that no reader knows, to be passed over.
        broken: A frame of a stream that cannot be read; empty if the wire has no frames.
        strict: Whether `check` knows rules of this wire.
        splits: Whether each split of a stream is tried: once for each codec is enough.
    """

    name: str
    codec: str
    base_url: str | None = None
    model: str = "m-1"
    cannot: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, Turn] = field(default_factory=dict)
    holds: Callable[[CompletionResponse], CompletionResponse] = lambda response: response
    unknown: bytes = UNKNOWN
    broken: bytes = BROKEN
    strict: bool = True
    splits: bool = False

    @property
    def code(self) -> Any:
        """The codec."""
        return import_module(f"llmreplay.codecs.{self.codec}").CODEC

    @property
    def turns(self) -> dict[str, Turn]:
        """The turns that this wire is tried on."""
        return {name: turn for name, turn in {**TURNS, **self.own}.items() if name not in self.cannot}

    def asked(self, turn: Turn | None = None, *, stream: bool = False, **fields: Any) -> Request:
        """Return the request that asks for a turn."""
        wanted = {**(turn.asks if turn else {}), **fields}
        if stream:
            wanted |= {"stream": True, "stream_options": StreamOptions(include_usage=True)}
        request = CONVERSATION.model_copy(update={"model": self.model, **wanted})
        found: Request = self.code.encode_request(request, base_url=self.base_url)
        return found


NO_SIGNATURE = "the dialect has no place for a signature"
NO_REASONING = "the provider does not show what the model thinks"
NO_REFUSAL = "the dialect has no field for a refusal"

NO_OTHER_WORDS = "the kind is told by the words of the message alone"
NO_CODE = "the dialect has a status for it that says something else"

NO_FILTER = "the provider has no filter, or no error for it"
NO_TERMINAL = "the provider sends no [DONE]"
NO_LOGPROBS = "the provider tells no probabilities"
NO_STREAM_KIND = "an error in a stream tells only what kind of work failed"


def chat(
    name: str, base_url: str | None = None, *, signs: bool = False, shy: bool = False, **fields: Any
) -> Wire:
    """Return a dialect of OpenAI's chat wire; `shy` ones do not show what the model thinks."""
    cannot: dict[str, str] = {} if signs else {"reasoning with signature": NO_SIGNATURE}
    if shy:
        cannot |= {"reasoning": NO_REASONING, "reasoning and tool call": NO_REASONING}
    cannot |= fields.pop("cannot", {})
    return Wire(name, "openai_chat", base_url=base_url, cannot=cannot, **fields)


PROSE = {"request_too_large, other words": NO_OTHER_WORDS}

NO_NUMBER = "the wire gives one answer, not several"
NO_SEAL = "what vouches for reasoning is encrypted content, a part of its own"

CITED = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 5,
    "title": "Paris",
    "url": "https://e.example/p",
}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "weather in Paris"},
}
ITEMS = {
    "citations": said(
        Text(text="Paris is sunny.", extra={"annotations": [CITED]}), Text(text=" So."), citations=[CITED]
    ),
    "sealed reasoning": said(
        Reasoning(
            id="rs_1",
            parts=[
                ReasoningPart(kind="summary", text="First."),
                ReasoningPart(kind="summary", text="Then."),
                ReasoningPart(kind="encrypted", text="Z0FBQUE" * 9),
            ],
        ),
        ToolCall(id="call00001", call_id="fc_1", name="get_time"),
        finish="tool_calls",
    ),
    "two messages": said(
        Text(text="I will look.", extra={"phase": "commentary"}),
        ProviderContent(kind="web_search_call", raw=SEARCH),
        Text(text="It is sunny.", extra={"id": "msg_2", "phase": "final_answer"}),
        message_id="msg_1",
    ),
    "text and refusal": said(Text(text="Well, "), Refusal(text="no."), Text(text=" Sorry.")),
}
"""What a wire of items spells in a way of its own."""


def without_item_ids(response: CompletionResponse) -> CompletionResponse:
    """Return an answer without the ids of its items, which are made up where none are given."""
    names = {"tool_call": "call_id", "reasoning": "id"}
    choice = [
        content.model_copy(update={names[content.type]: None}) if content.type in names else content
        for content in response.choice
    ]
    return response.model_copy(update={"choice": choice})


def responses(name: str, base_url: str | None = None, **fields: Any) -> Wire:
    """Return a dialect of OpenAI's Responses wire."""
    cannot = {"three answers": NO_NUMBER, "reasoning with signature": NO_SEAL, **fields.pop("cannot", {})}
    fields = {"own": ITEMS, "holds": without_item_ids, **fields}
    return Wire(name, "openai_responses", base_url=base_url, cannot=cannot, **fields)


ONE_ANSWER = {
    "three answers": "the wire gives one answer",
    "log probabilities": "the wire tells no probabilities",
}
AS_OBJECT = {"broken arguments": "a plain answer holds arguments as an object; only a stream could say them"}

CLAUDE_REFUSES = said(Refusal(text="I cannot help with that."), finish="content_filter")
CLAUDE_CITES = [
    {
        "type": "char_location",
        "cited_text": "Paris is sunny.",
        "document_index": 0,
        "document_title": "Weather",
        "start_char_index": 0,
        "end_char_index": 15,
        "file_id": None,
    }
]
BEDROCK_CITES = [
    {
        "title": "Weather",
        "sourceContent": [{"text": "Paris is sunny."}],
        "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 15}},
    }
]


def signed_by_others(response: CompletionResponse) -> CompletionResponse:
    """Return the response without the signatures that the codec made up, and without a time."""
    choice = [
        content.model_copy(
            update={
                "parts": [
                    part.model_copy(update={"signature": None}) if is_ours(part.signature or "") else part
                    for part in content.parts
                ]
            }
        )
        if isinstance(content, Reasoning)
        else content
        for content in response.choice
    ]
    return response.model_copy(update={"choice": choice, "created": None})


def cited(citations: list[Any]) -> Turn:
    """Return a turn whose citations belong to its text."""
    spoken = Text(text="Paris is sunny.", extra={"citations": citations})
    return said(Text(text="Well: "), spoken, citations=citations)


def claude(name: str, codec: str = "anthropic_messages", **fields: Any) -> Wire:
    """Return a wire that carries messages of Anthropic."""
    own = {"a refusal that stops": CLAUDE_REFUSES, "citations of a text": cited(CLAUDE_CITES)}
    cannot = {
        **ONE_ANSWER,
        **AS_OBJECT,
        "refusal": "a refusal is a stop reason of its own",
        "citations": "citations belong to a text",
        "content_filter, other words": NO_OTHER_WORDS,
        **fields.pop("cannot", {}),
    }
    return Wire(name, codec, own=own, cannot=cannot, holds=signed_by_others, **fields)


BEDROCK_FAILURES = {
    "request_too_large, other words": NO_OTHER_WORDS,
    "conflict": "Bedrock has no exception for it",
    "not_supported": "Bedrock has no exception for it",
    "content_filter": "a guardrail stops an answer, it is no error",
}
UNKNOWN_FRAME = eventstream.write(eventstream.event("llmreplay", b'{"p":"abc"}'))
BROKEN_FRAME = eventstream.write(eventstream.event("contentBlockDelta", b'{"contentBlockIndex": '))
UNKNOWN_CHUNK = eventstream.write(
    eventstream.event("chunk", json.dumps({"bytes": b64encode(b'{"type":"llmreplay"}').decode()}).encode())
)
BROKEN_CHUNK = eventstream.write(eventstream.event("chunk", b'{"bytes":"e30"}'))


ALIKE = "nothing but the message tells it from any other bad request"
OBJECTS = "arguments are an object on the wire, so they cannot be broken"

PAGES = [
    {"startIndex": 0, "endIndex": 5, "uri": "https://e.example/q", "license": ""},
    {"web": {"uri": "https://e.example/p", "title": "Paris"}},
]


def unspelled(*tokens: str) -> LogProbs:
    """Return probabilities as wires have them that do not give the bytes of a token."""
    found = [probable(token, -0.25 - place) for place, token in enumerate(tokens)]
    plain = [
        token.model_copy(
            update={
                "bytes": None,
                "top_logprobs": [top.model_copy(update={"bytes": None}) for top in token.top_logprobs],
            }
        )
        for token in found
    ]
    return LogProbs(content=plain)


UNFILTERED = "it has no filter, and no word for one"

NO_CACHE = "what it read from a cache is not told"
NO_THINKING_COUNT = "what went into thinking is not told"

_GEMINI_CANNOT = {
    "broken arguments": OBJECTS,
    "refusal": "there is no refusal, but a text or a reason to stop",
    "request_too_large": ALIKE,
    "content_filter": "a prompt that is blocked is answered with 200 and the reason",
    "terminal": "no event says that it is the last",
}
_GEMINI_OWN = {
    "citations": said(Text(text="Paris is sunny."), citations=PAGES),
    "log probabilities": said(
        Text(text="Yes, sure"),
        logprobs=unspelled("Yes", ",", " sure"),
        asks={"logprobs": True, "top_logprobs": 2},
    ),
    "tool use tokens": said(
        Text(text="Hi."), usage=Usage(input_tokens=90, output_tokens=3, tool_use_prompt_tokens=64)
    ),
    "signed text": said(Text(text="So it is.", extra={"thoughtSignature": "c2ln"})),
    "signed call": said(
        called("call00001", city="Paris").model_copy(update={"signature": "c2ln"}), finish="tool_calls"
    ),
}


@dataclass(frozen=True)
class ArrayWire(Wire):
    """A wire of Google's whose streams are JSON arrays: those that `alt=sse` is not asked for."""

    def asked(self, turn: Turn | None = None, *, stream: bool = False, **fields: Any) -> Request:
        """Return the request that asks for a turn."""
        request = super().asked(turn, stream=stream, **fields)
        return replace(request, url=request.url.removesuffix("?alt=sse"))


WIRES: tuple[Wire, ...] = (
    Wire(
        "vocabulary",
        "vocabulary",
        own={
            "everything": said(
                thought("I will look.", signature="c2ln"),
                Text(text="Look: ", extra={"index": 0}),
                ProviderContent(kind="search", raw={"query": None, "hits": []}),
                Refusal(text="No."),
                usage=Usage(input_tokens=9, output_tokens=30, total_tokens=45, details={"prompt": 9}),
                finish="pause_turn",
                raw_finish_reason="pause",
                provider="parrot",
                message_id="msg_1",
                request_id="req_1",
                citations=[None, {"url": "https://e.example/p"}],
                raw={"body": [None, {}]},
            ),
        },
        broken=b'event: text_delta\ndata: {"text": \n\n',
        splits=True,
    ),
    Wire(
        "mistral",
        "mistral",
        cannot={
            "refusal": NO_REFUSAL,
            "reasoning with signature": NO_SIGNATURE,
            "log probabilities": "it tells no probabilities",
        },
        holds=lambda response: response.model_copy(update={"system_fingerprint": None}),
    ),
    Wire(
        "mistral, elsewhere",
        "mistral",
        base_url="https://gateway.example.org/mistral/v1",
        cannot={
            "refusal": NO_REFUSAL,
            "reasoning with signature": NO_SIGNATURE,
            "log probabilities": "it tells no probabilities",
        },
    ),
    Wire(
        "cohere",
        "cohere",
        cannot={
            "refusal": NO_REFUSAL,
            "reasoning with signature": NO_SIGNATURE,
            "content filter": UNFILTERED,
            "content_filter": UNFILTERED,
            "three answers": NO_NUMBER,
            "tool choice": "the model chooses unless it is told to use tools, or not to",
            "request_too_large": ALIKE,
            "errors in a stream": "an error that ends a message does not tell the kind",
        },
        own={
            "citations": said(
                Text(text="Paris is sunny."),
                citations=[{"start": 0, "end": 5, "text": "Paris", "type": "TEXT_CONTENT", "sources": []}],
            ),
            "log probabilities": said(
                Text(text="Yes, sure"),
                logprobs=LogProbs(
                    content=[
                        TokenLogProb(token="Yes,", logprob=-0.25),
                        TokenLogProb(token=" sure", logprob=-1.0),
                    ]
                ),
                asks={"logprobs": True},
            ),
            "plan": said(
                Reasoning(parts=[ReasoningPart(text="I will look.")], extra={"type": "tool_plan"}),
                called("call00001", city="Paris"),
                finish="tool_calls",
            ),
        },
        holds=lambda response: response.model_copy(update={"created": None, "model": None}),
        strict=False,
        splits=True,
    ),
    Wire(
        "gemini",
        "gemini",
        model="gemini-2.5-flash",
        cannot=_GEMINI_CANNOT,
        own=_GEMINI_OWN,
        holds=lambda response: response.model_copy(update={"created": None}),
        unknown=b'data: {"llmreplay": "unknown"}\r\n\r\n',
        splits=True,
    ),
    Wire(
        "vertex",
        "gemini",
        base_url="https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google",
        model="gemini-2.5-flash",
        cannot=_GEMINI_CANNOT,
        own=_GEMINI_OWN,
    ),
    ArrayWire(
        "gemini, array",
        "gemini",
        model="gemini-2.5-flash",
        cannot=_GEMINI_CANNOT,
        own=_GEMINI_OWN,
        holds=lambda response: response.model_copy(update={"created": None}),
        unknown=b',\r\n{"llmreplay": "unknown"}',
        broken=b',\r\n{"candidates": tru}',
        splits=True,
    ),
    Wire(
        "ollama",
        "ollama",
        cannot={
            "broken arguments": OBJECTS,
            "refusal": NO_REFUSAL,
            "reasoning with signature": NO_SIGNATURE,
            "content filter": UNFILTERED,
            "content_filter": UNFILTERED,
            "citations": "it cites nothing",
            "three answers": NO_NUMBER,
            "cached input": NO_CACHE,
            "reasoning tokens": NO_THINKING_COUNT,
            "ids": "an answer has no id",
            "tool choice": "the model chooses",
            "request_too_large": ALIKE,
            "quota_exhausted": "its cloud tells it as it tells a rate limit",
            "conflict": "it has no such status",
            "not_supported": "it has no such status",
            "errors in a stream": "a line with nothing but a message does not tell the kind",
        },
        holds=lambda response: response.model_copy(update={"response_id": None}),
        unknown=b'{"llmreplay":"unknown"}\n',
        broken=b'{"model": "x", "message": \n',
        strict=False,
        splits=True,
    ),
    chat("openai", shy=True, splits=True),
    chat("azure", "https://mine.openai.azure.com", shy=True),
    chat("groq", "https://api.groq.com/openai/v1"),
    chat(
        "xai",
        "https://api.x.ai/v1",
        strict=False,
        cannot={**PROSE, "authentication, other words": NO_OTHER_WORDS},
    ),
    chat("deepseek", "https://api.deepseek.com", strict=False),
    chat(
        "openrouter",
        "https://openrouter.ai/api/v1",
        signs=True,
        strict=False,
        cannot={**PROSE, "content_filter": NO_CODE},
    ),
    chat(
        "huggingface",
        "https://router.huggingface.co/v1",
        strict=False,
        cannot={"content_filter": NO_FILTER, "rate_limited, streamed": NO_STREAM_KIND},
    ),
    chat("together", "https://api.together.xyz/v1", strict=False),
    chat(
        "perplexity",
        "https://api.perplexity.ai",
        strict=False,
        cannot={
            **PROSE,
            "content_filter": NO_FILTER,
            "terminal": NO_TERMINAL,
            "log probabilities": NO_LOGPROBS,
        },
    ),
    chat("vllm", "http://localhost:8000/v1", strict=False, cannot={**PROSE, "content_filter": NO_FILTER}),
    chat(
        "crusoe",
        "https://api.inference.crusoecloud.com/v1",
        strict=False,
        cannot={**PROSE, "content_filter": NO_FILTER},
    ),
    chat("snowflake", "https://mine.snowflakecomputing.com/api/v2/cortex/v1", signs=True, strict=False),
    chat("llama.cpp", "http://localhost:8080/v1", strict=False, cannot={"content_filter": NO_FILTER}),
    chat("ollama, compatible", "http://localhost:11434/v1", strict=False),
    chat("cerebras", "https://api.cerebras.ai/v1", strict=False),
    chat("zai", "https://api.z.ai/api/paas/v4", strict=False, cannot={"log probabilities": NO_LOGPROBS}),
    chat(
        "gemini, compatible",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        strict=False,
        cannot={**PROSE, "content_filter": NO_FILTER},
    ),
    chat("unknown server", "https://models.example.org/v1", strict=False),
    responses("openai responses", splits=True),
    responses("azure responses", "https://mine.openai.azure.com/openai/v1"),
    responses(
        "openrouter responses",
        "https://openrouter.ai/api/v1",
        strict=False,
        cannot={**PROSE, "content_filter": NO_CODE},
    ),
    responses(
        "xai responses",
        "https://api.x.ai/v1",
        strict=False,
        cannot={**PROSE, "authentication, other words": NO_OTHER_WORDS},
    ),
    responses("deepseek responses", "https://api.deepseek.com"),
    claude("anthropic", model="claude-sonnet-4-5", splits=True, unknown=UNKNOWN),
    claude(
        "anthropic on vertex",
        base_url="https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5",
        model="claude-sonnet-4-5@20250929",
    ),
    claude(
        "anthropic on bedrock",
        "bedrock_invoke",
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        unknown=UNKNOWN_CHUNK,
        broken=BROKEN_CHUNK,
        cannot=BEDROCK_FAILURES,
    ),
    Wire(
        "bedrock converse",
        "bedrock_converse",
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        own={"citations of a text": cited(BEDROCK_CITES)},
        holds=signed_by_others,
        unknown=UNKNOWN_FRAME,
        broken=BROKEN_FRAME,
        splits=True,
        cannot={
            **ONE_ANSWER,
            **AS_OBJECT,
            **BEDROCK_FAILURES,
            "refusal": "the wire has no word for it but text",
            "citations": "citations belong to a text",
            "reasoning tokens": "the wire does not count them",
            "ids and time": "an answer has no id, and names no model",
            "ids": "an answer has no id but that of the request",
        },
    ),
)
"""Every wire and dialect that is held to the contract."""


def generated(wire: Wire) -> st.SearchStrategy[CompletionResponse]:
    """Return a strategy of turns that this wire can hold."""
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    json = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=6,
    )
    arguments = st.dictionaries(text, json, max_size=3)
    calls = st.lists(arguments, max_size=3).map(
        lambda found: [
            ToolCall(id=f"call0000{place}", name="get_weather", arguments=given)
            for place, given in enumerate(found)
        ]
    )
    thoughts = st.just([])
    if "reasoning" not in wire.cannot:
        thoughts = st.just([]) | text.map(lambda words: [thought(words)])
    words = st.just([]) | text.map(lambda found: [Text(text=found)])
    usage = st.builds(Usage, input_tokens=st.integers(1, 10**6), output_tokens=st.integers(1, 10**6))

    def answer(parts: tuple[list[Any], list[Any], list[Any], Usage]) -> CompletionResponse:
        reasoning, spoken, asked, used = parts
        if not spoken and not asked:
            spoken = [Text(text="So.")]
        reason = FinishReason.TOOL_CALLS if asked else FinishReason.STOP
        return CompletionResponse(choice=[*reasoning, *spoken, *asked], finish_reason=reason, usage=used)

    return st.tuples(thoughts, words, calls, usage).map(answer)

"""Each field of a chat request of OpenAI and of xAI: written where it is set, left out where it is not.

The names are those of the request types of two client libraries: 27 fields of OpenAI's chat with its
escape hatch, and 27 of xAI's, of which most are the same.
"""

from __future__ import annotations

from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.codecs import openai_chat
from llmreplay.completion import (
    CompletionRequest,
    Message,
    ResponseFormat,
    SearchParameters,
    StreamOptions,
    ToolChoice,
    ToolDefinition,
)

CODEC = openai_chat.CODEC
XAI = "https://api.x.ai/v1"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT = ResponseFormat(type="json_schema", name="place", json_schema=SCHEMA, strict=True)
TOOL = ToolDefinition(name="get_weather", description="The weather.", parameters=SCHEMA, strict=True)
WRITTEN_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA, "strict": True},
}
WRITTEN_FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}

BOTH: dict[str, tuple[Any, Any]] = {
    "model": ("m-1", "m-1"),
    "messages": ([Message.user("Hi.")], [{"role": "user", "content": "Hi."}]),
    "frequency_penalty": (0.5, 0.5),
    "logprobs": (True, True),
    "max_completion_tokens": (20, 20),
    "max_tokens": (10, 10),
    "n": (2, 2),
    "presence_penalty": (-0.5, -0.5),
    "response_format": (FORMAT, WRITTEN_FORMAT),
    "seed": (7, 7),
    "stop": (["a", "b"], ["a", "b"]),
    "stream": (True, True),
    "stream_options": (StreamOptions(include_usage=True), {"include_usage": True}),
    "temperature": (0.0, 0.0),
    "tool_choice": (
        ToolChoice(mode="specific", names=["get_weather"]),
        {"type": "function", "function": {"name": "get_weather"}},
    ),
    "tools": ([TOOL], [WRITTEN_TOOL]),
    "top_logprobs": (3, 3),
    "top_p": (0.9, 0.9),
    "user": ("u-1", "u-1"),
    "reasoning_effort": ("low", "low"),
    "parallel_tool_calls": (False, False),
    "logit_bias": ({"50256": -100}, {"50256": -100}),
}
OPENAI: dict[str, tuple[Any, Any]] = {
    **BOTH,
    "metadata": ({"k": "v"}, {"k": "v"}),
    "store": (False, False),
    "service_tier": ("flex", "flex"),
    "modalities": (["text", "audio"], ["text", "audio"]),
    "audio": ({"voice": "alloy", "format": "wav"}, {"voice": "alloy", "format": "wav"}),
}
SEARCH = SearchParameters(
    mode="on",
    from_date="2026-01-01",
    to_date="2026-02-01",
    max_search_results=5,
    return_citations=True,
    sources=[{"type": "web"}],
)
WRITTEN_SEARCH = {
    "mode": "on",
    "from_date": "2026-01-01",
    "to_date": "2026-02-01",
    "max_search_results": 5,
    "return_citations": True,
    "sources": [{"type": "web"}],
}
GROK: dict[str, tuple[Any, Any]] = {
    **BOTH,
    "search_parameters": (SEARCH, WRITTEN_SEARCH),
    "web_search_options": ({"search_context_size": "low"}, {"search_context_size": "low"}),
    "deferred": (True, True),
}
INTERNAL: dict[str, Any] = {"bootstrap_host": "10.0.0.1", "bootstrap_room": 42}
"""Fields of xAI that it calls internal: they have no name in the vocabulary."""

FIELDS = [
    *(pytest.param(None, name, *values, id=f"openai-{name}") for name, values in OPENAI.items()),
    *(pytest.param(XAI, name, *values, id=f"xai-{name}") for name, values in GROK.items()),
]


def written(base_url: str | None, **fields: Any) -> dict[str, Any]:
    request = CompletionRequest(**{"messages": [], **fields})
    body: dict[str, Any] = CODEC.encode_request(request, base_url=base_url).json
    return body


def test_no_field_is_forgotten() -> None:
    assert len(OPENAI) + 1 == 28  # and `extra`
    assert len(GROK) + len(INTERNAL) == 27


@pytest.mark.parametrize(("base_url", "name", "value", "spelled"), FIELDS)
def test_a_field_that_is_set_is_written_and_read(
    base_url: str | None, name: str, value: Any, spelled: Any
) -> None:
    request = CODEC.encode_request(CompletionRequest(**{"messages": [], name: value}), base_url=base_url)

    assert request.json[name] == spelled
    assert type(request.json[name]) is type(spelled)
    assert getattr(codecs.decode_request(request), name) == value


@pytest.mark.parametrize(("base_url", "name", "value", "spelled"), FIELDS)
def test_a_field_that_is_not_set_is_left_out(
    base_url: str | None, name: str, value: Any, spelled: Any
) -> None:
    others = {key: given for key, (given, _) in (GROK if base_url else OPENAI).items() if key != name}

    body = written(base_url, **others)

    assert body.keys() - {"messages"} == others.keys() - {"messages"}


@pytest.mark.parametrize("base_url", [None, XAI], ids=["openai", "xai"])
def test_fields_without_a_name_here_lie_in_extra_and_come_back(base_url: str | None) -> None:
    unknown = {**INTERNAL, "prediction": {"type": "content"}, "verbosity": None, "guided_json": SCHEMA}

    body = written(base_url, model="m-1", extra=unknown)
    request = codecs.decode_request(CODEC.encode_request(CompletionRequest(messages=[], extra=unknown)))

    assert {key: body[key] for key in unknown} == unknown
    assert request.extra == unknown


def test_a_request_of_nothing_has_messages_alone() -> None:
    assert written(None) == {"messages": []}


def test_all_fields_at_once_come_back() -> None:
    for base_url, table in ((None, OPENAI), (XAI, GROK)):
        fields = {name: value for name, (value, _) in table.items()}
        request = CODEC.encode_request(CompletionRequest(**fields), base_url=base_url)
        assert codecs.decode_request(request) == CompletionRequest(**fields)
        assert CODEC.encode_request(codecs.decode_request(request), base_url=base_url).json == request.json

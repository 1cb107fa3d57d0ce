"""What a request means, on the wires that are decoded."""

from __future__ import annotations

import pytest
from payloads import CHAT, MESSAGES, asked

from llmreplay import codecs
from llmreplay.completion import (
    Audio,
    CompletionRequest,
    Document,
    Image,
    Message,
    ProviderContent,
    ProviderTool,
    Reasoning,
    ReasoningPart,
    RequestError,
    ResponseFormat,
    SearchParameters,
    StreamOptions,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    Video,
)
from llmreplay.exchange import Request

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def chat_request(**body: object) -> CompletionRequest:
    return codecs.decode_request(asked(CHAT, {"model": "m", "messages": [], **body}))


def messages_request(**body: object) -> CompletionRequest:
    return codecs.decode_request(asked(MESSAGES, {"model": "m", "messages": [], **body}))


def test_every_field_of_a_chat_request_has_its_place() -> None:
    same = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "max_tokens": 10,
        "max_completion_tokens": 20,
        "n": 2,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 3,
        "parallel_tool_calls": False,
        "deferred": True,
        "store": False,
        "reasoning_effort": "low",
        "user": "u",
        "service_tier": "flex",
        "metadata": {"k": "v"},
        "audio": {"voice": "alloy"},
        "web_search_options": {},
        "modalities": ["text", "audio"],
        "logit_bias": {"50256": -100},
        "stream": True,
    }
    body = {
        **same,
        "stop": ["a", "b"],
        "tool_choice": "required",
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "search_parameters": {
            "mode": "on",
            "sources": [{"type": "x"}],
            "max_search_results": 5,
            "safe": True,
        },
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
        },
        "prompt_cache_key": "k",
        "verbosity": "low",
    }
    request = chat_request(**body)

    assert {name: getattr(request, name) for name in same} == same
    assert request.stop == ["a", "b"]
    assert request.tool_choice == ToolChoice(mode="required")
    assert request.stream_options == StreamOptions(include_usage=True, extra={"include_obfuscation": False})
    assert request.search_parameters == SearchParameters(
        mode="on", sources=[{"type": "x"}], max_search_results=5, extra={"safe": True}
    )
    assert request.response_format == ResponseFormat(
        type="json_schema", name="n", json_schema=SCHEMA, strict=True, description="d"
    )
    assert request.extra == {"prompt_cache_key": "k", "verbosity": "low"}
    assert request.raw == {"model": "m", "messages": [], **body}
    assert CompletionRequest.model_validate_json(request.model_dump_json()) == request


def test_fields_that_are_absent_or_null_are_none() -> None:
    request = chat_request(temperature=None, stop=None, tool_choice=None)

    assert (request.temperature, request.stop, request.tool_choice, request.n) == (None, [], None, None)
    assert request.stream is False


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": "hot"},
        {"tool_choice": "sometimes"},
        {"tool_choice": {"type": "function"}},
        {"tool_choice": 3},
        {"response_format": {"kind": "x"}},
        {"stream_options": True},
        {"search_parameters": []},
        {"logit_bias": {"a": "b"}},
        {"modalities": "text"},
        {"stop": 1},
        {"n": True},
        {"messages": ["Invalid", "prompt"]},
        {"messages": "hi"},
        {"tools": [1]},
        {"stream": "yes"},
    ],
)
def test_a_field_of_an_unknown_shape_is_kept_as_it_came(body: dict[str, object]) -> None:
    assert chat_request(**body).extra == body


def test_a_chat_conversation_keeps_roles_contents_and_everything_else() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    request = chat_request(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "And kind.", "cache_control": {}}]},
            {"role": "user", "content": "Hi", "name": "ann"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "reasoning_content": "hm",
                "tool_calls": [call],
                "prefix": True,
            },
            {"role": "tool", "tool_call_id": "c1", "content": "22 C", "name": "f"},
            {"role": "function", "name": "old", "content": "x"},
            {"role": "narrator", "content": None},
        ]
    )

    assert request.messages == [
        Message(role="developer", content=[Text(text="Be brief.")]),
        Message(role="system", content=[Text(text="And kind.", extra={"cache_control": {}})]),
        Message(role="user", content=[Text(text="Hi")], name="ann"),
        Message(
            role="assistant",
            content=[
                Reasoning(parts=[ReasoningPart(text="hm")]),
                Text(text="Let me see."),
                ToolCall(id="c1", name="f", arguments={"a": 1}),
            ],
            extra={"prefix": True},
        ),
        Message(role="tool", content=[ToolResult(id="c1", content=[Text(text="22 C")], name="f")]),
        Message(
            role="function", content=[ToolResult(id="", content=[Text(text="x")], name="old")], name=None
        ),
        Message(role="user", content=[], extra={"role": "narrator"}),
    ]
    assert request.system == "Be brief.\nAnd kind."
    assert request.prompt == "Hi"


def test_a_user_can_show_and_play_things() -> None:
    (message,) = chat_request(
        messages=[
            {
                "role": "user",
                "content": [
                    "Look:",
                    {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                    {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                    {"type": "video_url", "video_url": {"url": "https://h/v.mp4"}},
                    {"type": "file", "file": {"file_id": "file-1", "filename": "a.pdf"}},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
                    },
                    {"type": "hologram", "hologram": 1},
                ],
            }
        ]
    ).messages

    assert message.content == [
        Text(text="Look:"),
        Image(data="https://h/i.png", source="url", detail="low"),
        Image(data="aGk=", media_type="image/png"),
        Audio(data="QUJD", media_type="audio/wav"),
        Video(data="https://h/v.mp4", source="url"),
        Document(data="file-1", source="file_id", name="a.pdf"),
        Document(data="QUJD", media_type="application/pdf", name="a.pdf"),
        ProviderContent(kind="hologram", raw={"type": "hologram", "hologram": 1}),
    ]


def test_chat_tools_are_functions_or_the_providers_own() -> None:
    function = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True, "x": 1}
    request = chat_request(
        tools=[{"type": "function", "function": function, "cache": 2}, {"type": "live_search", "n": 1}]
    )

    assert request.tools == [
        ToolDefinition(name="f", description="d", parameters=SCHEMA, strict=True, extra={"cache": 2, "x": 1}),
        ProviderTool(kind="live_search", config={"n": 1}),
    ]
    assert request.tool_names == ["f"]


@pytest.mark.parametrize(
    ("spelled", "choice"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("any", ToolChoice(mode="required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(mode="specific", names=["f"])),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice(mode="specific", names=["c"])),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
            },
            ToolChoice(mode="specific", names=["f"], extra={"mode": "auto"}),
        ),
    ],
)
def test_a_chat_tool_choice_is_a_mode_and_names(spelled: object, choice: ToolChoice) -> None:
    assert chat_request(tool_choice=spelled).tool_choice == choice


def test_a_stop_is_a_list_even_if_it_is_one() -> None:
    assert chat_request(stop="END").stop == ["END"]


def test_azure_names_the_model_in_the_path() -> None:
    url = "https://r.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=1"

    assert codecs.decode_request(asked(url, {"messages": []})).model == "gpt-4o"
    assert codecs.decode_request(asked(CHAT, {"messages": []})).model is None


def test_every_field_of_a_messages_request_has_its_place() -> None:
    request = messages_request(
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["END"],
        stream=True,
        service_tier="auto",
        metadata={"user_id": "u"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}, "x": 1},
        tools=[
            {"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": {}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
        ],
    )

    assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (100, 0.5, 0.9, 4)
    assert (request.stop, request.stream, request.service_tier) == (["END"], True, "auto")
    assert request.metadata == {"user_id": "u"}
    assert request.tool_choice == ToolChoice(mode="specific", names=["f"])
    assert request.parallel_tool_calls is False
    assert request.reasoning_effort == "low"
    assert request.response_format == ResponseFormat(type="json_schema", json_schema=SCHEMA)
    assert request.tools == [
        ToolDefinition(name="f", description="d", parameters=SCHEMA, extra={"cache_control": {}}),
        ProviderTool(kind="web_search_20250305", config={"name": "web_search", "max_uses": 1}),
    ]
    assert request.extra == {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"x": 1},
    }


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        ({"output_config": {"effort": "low"}}, {}),
        ({"output_config": {"format": 1}}, {"output_config": {"format": 1}}),
        ({"output_format": {"type": "json_schema"}}, {}),
        ({"output_format": "json"}, {"output_format": "json"}),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"stop_sequences": "END"}, {"stop_sequences": "END"}),
        ({"messages": ["Invalid"]}, {"messages": ["Invalid"]}),
        ({"system": {"text": "a"}}, {"system": {"text": "a"}}),
        ({"stream": False}, {}),
    ],
)
def test_what_of_a_messages_request_has_no_place_is_extra(
    body: dict[str, object], extra: dict[str, object]
) -> None:
    assert messages_request(**body).extra == extra


@pytest.mark.parametrize(("kind", "mode"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_a_messages_tool_choice_is_a_mode(kind: str, mode: str) -> None:
    request = messages_request(tool_choice={"type": kind})

    assert request.tool_choice == ToolChoice(mode=mode)  # type: ignore[arg-type]
    assert request.parallel_tool_calls is None


def test_a_messages_conversation_keeps_its_blocks() -> None:
    base64 = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content_document = {"type": "document", "source": {"type": "content", "content": "c"}}
    search_result = {"type": "search_result", "source": "s"}
    request = messages_request(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image", "source": base64, "cache_control": {}},
                    {"type": "image", "source": {"type": "url", "url": "https://h"}},
                    {
                        "type": "document",
                        "source": {"type": "file", "file_id": "f"},
                        "title": "t",
                        "context": "c",
                    },
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                    content_document,
                    search_result,
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "22 C", "is_error": True},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t2",
                        "content": [{"type": "image", "source": base64}],
                    },
                    {"type": "tool_result", "tool_use_id": "t3"},
                ],
            },
            {"role": "assistant", "content": "{"},
        ],
    )

    assert request.messages == [
        Message(
            role="system", content=[Text(text="Be brief.", extra={"cache_control": {"type": "ephemeral"}})]
        ),
        Message(
            role="user",
            content=[
                Text(text="Look"),
                Image(data="aGk=", media_type="image/png", extra={"cache_control": {}}),
                Image(data="https://h", source="url"),
                Document(data="f", source="file_id", name="t", extra={"context": "c"}),
                Document(data="d", source="text", media_type="text/plain"),
                ProviderContent(kind="document", raw=content_document),
                ProviderContent(kind="search_result", raw=search_result),
            ],
        ),
        Message(
            role="assistant",
            content=[
                Reasoning(parts=[ReasoningPart(text="hm", signature="s")]),
                ToolCall(id="t1", name="f", arguments={"a": 1}),
            ],
        ),
        Message(
            role="user",
            content=[
                ToolResult(id="t1", content=[Text(text="22 C")], is_error=True),
                ToolResult(id="t2", content=[Image(data="aGk=", media_type="image/png")]),
                ToolResult(id="t3", content=[]),
            ],
        ),
        Message(role="assistant", content=[Text(text="{")]),
    ]
    assert request.system == "Be brief."


def test_a_plain_system_prompt_and_a_system_message_are_both_the_system() -> None:
    request = messages_request(system="A", messages=[{"role": "system", "content": "B"}])

    assert request.system == "A\nB"


def test_vertex_names_the_model_in_the_path() -> None:
    url = "https://h/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict"

    assert codecs.decode_request(asked(url, {"messages": []})).model == "claude@1"
    assert codecs.decode_request(asked(MESSAGES, {"messages": []})).model is None


@pytest.mark.parametrize("url", [CHAT, MESSAGES])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000])
def test_a_body_that_is_no_object_is_an_error_of_the_request(url: str, body: bytes) -> None:
    with pytest.raises(RequestError, match="not a JSON object"):
        codecs.decode_request(Request("POST", url, body=body))

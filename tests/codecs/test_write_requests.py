"""What a message can hold, written for the chat wire; and what this wire has no form for."""

from __future__ import annotations

from typing import Any

import pytest
from payloads import CHAT, asked

from llmreplay import codecs
from llmreplay.codecs import openai_chat
from llmreplay.completion import (
    Audio,
    CompletionRequest,
    Document,
    Image,
    Json,
    Message,
    ProviderContent,
    ProviderTool,
    Reasoning,
    ReasoningPart,
    Refusal,
    RequestError,
    ResponseFormat,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    Video,
)

CODEC = openai_chat.CODEC


def body(base_url: str | None = None, **fields: Any) -> dict[str, Any]:
    request = CompletionRequest(**{"messages": [], **fields})
    written: dict[str, Any] = CODEC.encode_request(request, base_url=base_url).json
    return written


def one(message: Message, base_url: str | None = None) -> dict[str, Any]:
    (written,) = body(base_url, messages=[message])["messages"]
    return dict(written)


PARTS = {
    "text with more": (
        Text(text="a", extra={"cache_control": {}}),
        {"type": "text", "text": "a", "cache_control": {}},
    ),
    "image": (
        Image(data="iVBO", media_type="image/png", detail="low"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "low"}},
    ),
    "audio": (
        Audio(data="UklG", media_type="audio/mp3"),
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
    ),
    "video": (
        Video(data="https://e.example/v", source="url"),
        {"type": "video_url", "video_url": {"url": "https://e.example/v"}},
    ),
    "file": (
        Document(data="JVBE", media_type="application/pdf", name="a.pdf"),
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
    ),
    "file by id": (
        Document(data="file-1", source="file_id"),
        {"type": "file", "file": {"file_id": "file-1"}},
    ),
    "text document": (Document(data="Words.", source="text"), {"type": "text", "text": "Words."}),
    "text document with a name": (
        Document(data="Words.", source="text", name="log", extra={"cache_control": {}}),
        {"type": "text", "text": "<file id: log>\nWords.\n</file>\n", "cache_control": {}},
    ),
    "something else": (ProviderContent(kind="x", raw={"type": "x", "x": 1}), {"type": "x", "x": 1}),
}


@pytest.mark.parametrize(("content", "part"), PARTS.values(), ids=PARTS)
def test_a_content_of_a_user_is_a_part(content: Any, part: dict[str, Any]) -> None:
    assert one(Message(role="user", content=[Text(text="See:"), content]))["content"] == [
        {"type": "text", "text": "See:"},
        part,
    ]


@pytest.mark.parametrize(
    "content",
    [
        Video(data="AAAA"),
        Document(data="https://e.example/d", source="url"),
        ProviderContent(kind="x", raw=1),
        Reasoning(parts=[]),
    ],
)
def test_what_the_wire_has_no_form_for_cannot_be_written(content: Any) -> None:
    with pytest.raises(RequestError):
        one(Message(role="user", content=[content]))


def test_a_text_alone_is_a_string_and_nothing_an_empty_one() -> None:
    assert one(Message.user("Hi.")) == {"role": "user", "content": "Hi."}
    assert one(Message(role="user", content=[])) == {"role": "user", "content": ""}
    assert one(Message(role="developer", content=[Text(text="Be brief.")], name="n")) == {
        "role": "developer",
        "content": "Be brief.",
        "name": "n",
    }


def test_each_result_of_a_tool_is_a_message_of_its_own() -> None:
    results = [
        ToolResult(id="a", content=[Text(text="Sunny.")], name="get_weather"),
        ToolResult(id="b", content=[Json(value={"t": 21})]),
        ToolResult(id="c", content=[Text(text="Look:"), Image(data="https://e.example/i", source="url")]),
    ]

    written = body(messages=[Message(role="user", content=[*results, Text(text="And?")])])["messages"]

    assert [message["role"] for message in written] == ["tool", "tool", "tool", "user"]
    assert written[0] == {"role": "tool", "tool_call_id": "a", "name": "get_weather", "content": "Sunny."}
    assert written[1]["content"] == '{"t":21}'
    assert [part["type"] for part in written[2]["content"]] == ["text", "image_url"]


def test_an_old_function_result_has_a_name_and_no_id() -> None:
    result = ToolResult(id="", content=[Text(text="Sunny.")], name="get_weather")

    assert one(Message(role="function", content=[result])) == {
        "role": "function",
        "name": "get_weather",
        "content": "Sunny.",
    }


def test_a_message_of_the_model_goes_back_with_all_it_holds() -> None:
    message = Message.assistant(
        Reasoning(parts=[ReasoningPart(text="Think.")]),
        "Let me look.",
        ToolCall(id="call_1", name="f", arguments={"a": 1}),
        ToolCall(id="call_2", name="sql", arguments="SELECT 1", extra={"type": "custom"}, index=1),
    )

    assert one(message, "https://api.deepseek.com") == {
        "role": "assistant",
        "reasoning_content": "Think.",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}, "index": 1},
        ],
    }
    assert "reasoning_content" not in one(message)


def test_refusals_sounds_and_images_of_the_model_go_back() -> None:
    assert one(Message.assistant(Refusal(text="No.")))["refusal"] == "No."
    assert one(Message.assistant(Audio(data="", id="audio_1")))["audio"] == {"id": "audio_1"}
    image = Image(data="https://e.example/i", source="url")
    assert one(Message.assistant(image))["images"][0]["image_url"] == {"url": "https://e.example/i"}


def test_sealed_reasoning_goes_back_to_who_sealed_it() -> None:
    sealed = Reasoning(
        parts=[ReasoningPart(text="So.", signature="s"), ReasoningPart(kind="encrypted", text="E")]
    )

    details = one(Message.assistant(sealed, "Yes."), "https://openrouter.ai/api/v1")["reasoning_details"]

    assert [(item["type"], item["index"]) for item in details] == [
        ("reasoning.text", 0),
        ("reasoning.encrypted", 1),
    ]
    assert (details[0]["signature"], details[1]["data"]) == ("s", "E")


def test_mistral_takes_reasoning_among_the_contents() -> None:
    message = Message.assistant(Reasoning(parts=[ReasoningPart(text="So.")]), "Yes.")

    assert one(message, "https://api.mistral.ai/v1")["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "So."}]},
        {"type": "text", "text": "Yes."},
    ]


def test_documents_stand_before_what_the_user_asks() -> None:
    written = body(
        messages=[Message.system("Be brief."), Message.user("What does it say?")],
        documents=[Document(data="Words.", source="text")],
    )["messages"]

    assert [message["role"] for message in written] == ["system", "user", "user"]
    assert written[1]["content"] == "<file>\nWords.\n</file>\n"


def test_a_schema_of_the_output_is_a_response_format() -> None:
    assert body(output_schema={"type": "object"})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": True},
    }
    form = ResponseFormat(type="json_object")
    with pytest.raises(RequestError, match="output_schema"):
        body(output_schema={"type": "object"}, response_format=form)


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="specific", names=["f"]), {"type": "function", "function": {"name": "f"}}),
        (
            ToolChoice(mode="specific", names=["f", "g"], extra={"mode": "auto"}),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")],
                },
            },
        ),
    ],
)
def test_tool_choices_are_written_and_read(choice: ToolChoice, written: Any) -> None:
    request = CODEC.encode_request(CompletionRequest(messages=[], tool_choice=choice))

    assert request.json["tool_choice"] == written
    assert codecs.decode_request(request).tool_choice == choice


def test_providers_have_words_of_their_own_for_tools() -> None:
    tool = ToolDefinition(name="f")
    mistral = body("https://api.mistral.ai/v1", tools=[tool], tool_choice=ToolChoice(mode="required"))
    router = body("https://router.huggingface.co/v1", tool_choice=ToolChoice(mode="specific", names=["f"]))

    assert (mistral["tools"], mistral["tool_choice"]) == ([{"function": {"name": "f"}}], "any")
    assert router["tool_choice"] == {"function": {"name": "f"}}


def test_what_else_is_said_of_a_tool_stands_where_it_stood() -> None:
    tool = ToolDefinition(
        name="f", extra={"cache_control": {"type": "ephemeral"}, "requires_confirmation": True}
    )

    assert body(tools=[tool, ProviderTool(kind="web_search", config={"max_uses": 2})])["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "requires_confirmation": True},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search", "max_uses": 2},
    ]


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.openai.com/v1/chat/completions"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/chat/completions"),
        (
            "https://mine.openai.azure.com",
            "https://mine.openai.azure.com/openai/deployments/m-1/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://mine.openai.azure.com/openai/deployments/d",
            "https://mine.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://mine.openai.azure.com/openai/v1",
            "https://mine.openai.azure.com/openai/v1/chat/completions",
        ),
    ],
)
def test_the_url_is_that_of_the_provider(base_url: str | None, url: str) -> None:
    request = CODEC.encode_request(CompletionRequest(model="m-1", messages=[]), base_url=base_url)

    assert (request.method, request.url) == ("POST", url)
    assert request.headers == (("content-type", "application/json"),)
    assert codecs.recognise(request) == "openai_chat"


def test_the_spelling_of_a_request_that_was_read_is_kept() -> None:
    sent = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi."}]},
            {"role": "assistant", "content": None, "tool_calls": [], "audio": None},
            {"role": "assistant", "content": ""},
        ],
        "stream": False,
        "tools": [],
        "temperature": None,
    }
    request = codecs.decode_request(asked(CHAT, sent))

    assert CODEC.encode_request(request).json == sent
    changed = request.model_copy(update={"messages": [Message.user("Bye.")], "stream": True})
    assert CODEC.encode_request(changed).json["messages"] == [{"role": "user", "content": "Bye."}]
    assert CODEC.encode_request(changed).json["stream"] is True

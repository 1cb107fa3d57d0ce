"""Each field of a request on each wire: written, so that it is read again, or refused by its name.

Nothing that somebody sets is left out in silence. A field that comes back under another name, or in a form
of its own, has an entry in `EQUIVALENT`; a value that asks for nothing but what the wire does anyway stands
in `GRANTED`, and may be left out.
"""

from __future__ import annotations

from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.completion import (
    CompletionRequest,
    Document,
    Message,
    ProviderTool,
    RequestError,
    ResponseFormat,
    SearchParameters,
    StreamOptions,
    Text,
    ToolChoice,
    ToolDefinition,
)
from tests.contracts.codecs import CLOCK, SCHEMA, WEATHER, WIRES, Wire

PDF = Document(data="JVBERi0=", media_type="application/pdf", name="report")
LOG = Document(data="It rains.", source="text", media_type="text/plain", name="log")
PLACE = ResponseFormat(type="json_schema", name="place", json_schema=SCHEMA, strict=True)

VALUES: dict[str, list[Any]] = {
    "model": ["m-2"],
    "messages": [
        [Message.system("Be kind."), Message.user("Hi."), Message.assistant("Ho."), Message.user("He.")]
    ],
    "documents": [
        [LOG],
        [LOG.model_copy(update={"name": None})],
        [PDF],
        [Document(data="https://e.example/report.pdf", source="url", media_type="application/pdf")],
        [Document(data="file-1", source="file_id")],
        [LOG, PDF],
    ],
    "tools": [
        [WEATHER],
        [WEATHER, CLOCK],
        [WEATHER.model_copy(update={"strict": True})],
        [ToolDefinition(name="nothing_else")],
        [ProviderTool(kind="web_search", config={"max_uses": 2})],
    ],
    "tool_choice": [
        ToolChoice(mode="auto"),
        ToolChoice(mode="none"),
        ToolChoice(mode="required"),
        ToolChoice(mode="specific", names=["get_weather"]),
        ToolChoice(mode="specific", names=["get_weather", "get_time"]),
    ],
    "parallel_tool_calls": [True, False],
    "temperature": [0.0, 0.5],
    "top_p": [0.0, 0.9],
    "top_k": [0, 5],
    "max_tokens": [0, 100],
    "max_completion_tokens": [0, 100],
    "n": [1, 2],
    "stop": [["END"], ["a", "b"]],
    "seed": [0, 7],
    "frequency_penalty": [0.0, 0.5],
    "presence_penalty": [0.0, -0.5],
    "logit_bias": [{}, {"42": -1.0}],
    "logprobs": [True, False],
    "top_logprobs": [0, 3],
    "response_format": [
        ResponseFormat(type="text"),
        ResponseFormat(type="json_object"),
        PLACE,
        PLACE.model_copy(update={"description": "Where."}),
        ResponseFormat(type="json_schema", name="place"),
        ResponseFormat(type="grammar"),
    ],
    "output_schema": [SCHEMA, {}],
    "reasoning_effort": ["low"],
    "stream": [True, False],
    "stream_options": [
        StreamOptions(include_usage=True),
        StreamOptions(include_usage=False),
        StreamOptions(extra={"include_obfuscation": False}),
    ],
    "modalities": [["text", "audio"]],
    "audio": [{"voice": "alloy", "format": "wav"}],
    "search_parameters": [SearchParameters(mode="on", sources=[{"type": "web"}])],
    "web_search_options": [{"search_context_size": "low"}, {}],
    "deferred": [True, False],
    "user": ["ada"],
    "metadata": [{"run": "7"}, ["run 7"]],
    "store": [True, False],
    "service_tier": ["flex"],
    "extra": [{"llmreplay_unknown": {"any": "thing"}}],
}
"""What each field is set to, one at a time; `raw` is what another wire said, and is set by no one."""

GRANTED: dict[str, list[Any]] = {
    "tool_choice": [ToolChoice(mode="auto")],
    "parallel_tool_calls": [True],
    "n": [1],
    "logprobs": [False],
    "deferred": [False],
    "store": [False],
    "response_format": [ResponseFormat(type="text")],
    "stream_options": [StreamOptions(include_usage=True)],
}
"""What every wire does that has no word for it, without being told."""

NAMES = {
    "anthropic_messages": "messages",
    "bedrock_invoke": "messages",
    "bedrock_converse": "converse",
    "openai_chat": "chat",
    "openai_responses": "Responses",
    "gemini": "Gemini",
    "cohere": "Cohere",
    "ollama": "Ollama",
    "mistral": "Mistral",
}
"""What a wire is called in its errors."""

CASES = [
    pytest.param(wire, name, value, id=f"{wire.name}-{name}-{place}")
    for wire in WIRES
    for name, values in VALUES.items()
    for place, value in enumerate(values)
]

HELLO = CompletionRequest(messages=[Message.system("Be brief."), Message.user("How is Paris?")])


def asked(wire: Wire, **fields: Any) -> CompletionRequest:
    """Return a request that says these fields, and what no wire can do without."""
    offered = (
        {"tools": [WEATHER, CLOCK]} if "tool_choice" in fields or "parallel_tool_calls" in fields else {}
    )
    return HELLO.model_copy(update={"model": wire.model, **offered, **fields})


def there_and_back(wire: Wire, request: CompletionRequest) -> CompletionRequest:
    """Return what a request means once it was written."""
    return codecs.decode_request(wire.code.encode_request(request, base_url=wire.base_url))


def tried(wire: Wire, **fields: Any) -> CompletionRequest | str:
    """Return what a request means once it was written, or the words by which it was refused."""
    try:
        return there_and_back(wire, asked(wire, **fields))
    except RequestError as refusal:
        return refusal.message


def knows(documents: list[Document], found: CompletionRequest) -> bool:
    """Return whether the documents are there: as such, or in what is said before the question."""
    first, *_ = (message for message in found.messages if message.role == "user")
    said = [*found.documents, *first.content]
    return all(_is_there(document, said) for document in documents)


def _is_there(document: Document, said: list[Any]) -> bool:
    named = "" if document.name is None else f" id: {document.name}"
    spelled = f"<file{named}>\n{document.data}\n</file>\n"
    for one in said:
        if isinstance(one, Text) and document.source == "text" and one.text == spelled:
            return True
        if (
            isinstance(one, Document)
            and one.data == document.data
            and one.name in {document.name, None, "document"}
        ):
            return True
    return False


def goes_on(messages: list[Message], found: CompletionRequest) -> bool:
    """Return whether the messages are there in their order; documents may stand before them."""
    ahead = iter(found.messages)
    return all(
        any(one.role == message.role and one.text.endswith(message.text) for one in ahead)
        for message in messages
    )


def tools_of(found: CompletionRequest) -> list[Any]:
    """Return the tools; one without parameters takes nothing, and wires may say so."""
    return [
        tool.model_copy(
            update={"parameters": tool.parameters or {"type": "object", "properties": {}}, "extra": {}}
        )
        if isinstance(tool, ToolDefinition)
        else tool
        for tool in found.tools
    ]


def chooses(choice: ToolChoice, found: CompletionRequest) -> bool:
    """Return whether the same tools may be used; all of them may be named by none."""
    back = found.tool_choice
    if back is None:
        return False
    every = back.mode == "required" and set(choice.names) == set(found.tool_names)
    return every or (back.mode, back.names) == (choice.mode, choice.names)


def limit_of(found: CompletionRequest) -> int | None:
    """Return the limit, by whichever of its names the wire has."""
    return found.max_tokens if found.max_completion_tokens is None else found.max_completion_tokens


def form_of(found: CompletionRequest) -> Any:
    """Return the form of an answer without its label, and whether it is held to it: others always do."""
    form = found.response_format
    return form and (form.type, form.json_schema, form.description)


EQUIVALENT: dict[str, Any] = {
    "messages": goes_on,
    "documents": knows,
    "tools": lambda value, found: tools_of(found) == tools_of(found.model_copy(update={"tools": value})),
    "tool_choice": chooses,
    "max_tokens": lambda value, found: limit_of(found) == value,
    "max_completion_tokens": lambda value, found: limit_of(found) == value,
    "response_format": lambda value, found: (
        form_of(found) == form_of(found.model_copy(update={"response_format": value}))
    ),
    "output_schema": lambda value, found: (
        found.response_format is not None and found.response_format.json_schema == value
    ),
    "user": lambda value, found: (
        found.user == value or (isinstance(found.metadata, dict) and value in found.metadata.values())
    ),
    "extra": lambda value, found: value.items() <= found.extra.items(),
}
"""Fields that may come back in another form: whether what came back means the same."""


def same(name: str, value: Any, found: CompletionRequest) -> bool:
    """Return whether a field came back as it was, or as its equivalent."""
    back = getattr(found, name)
    return bool(back == value or (name in EQUIVALENT and EQUIVALENT[name](value, found)))


def test_no_field_is_forgotten() -> None:
    assert VALUES.keys() == CompletionRequest.model_fields.keys() - {"raw"}


@pytest.mark.parametrize(("wire", "name", "value"), CASES)
def test_a_field_that_is_set_is_written_or_refused_by_its_name(wire: Wire, name: str, value: Any) -> None:
    found = tried(wire, **{name: value})

    if value in GRANTED.get(name, []):
        assert isinstance(found, CompletionRequest)
    elif isinstance(found, str):
        assert name in found
        assert f"the {NAMES[wire.codec]} wire" in found
    else:
        assert same(name, value, found)


PAIRS: dict[str, dict[str, Any]] = {
    "two limits": {"max_tokens": 9, "max_completion_tokens": 8},
    "one limit, said twice": {"max_tokens": 9, "max_completion_tokens": 9},
    "two forms": {"response_format": PLACE, "output_schema": {"type": "object"}},
    "one form, said twice": {"response_format": PLACE, "output_schema": SCHEMA},
    "a schema and no form": {"response_format": ResponseFormat(type="text"), "output_schema": SCHEMA},
    "a user and metadata": {"user": "ada", "metadata": {"run": "7"}},
    "a user and metadata of another kind": {"user": "ada", "metadata": ["run 7"]},
}
"""Fields that share a place on some wires."""


@pytest.mark.parametrize("fields", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_of_two_fields_with_one_place_none_is_lost(wire: Wire, fields: dict[str, Any]) -> None:
    found = tried(wire, **fields)
    if isinstance(found, str):
        assert any(name in found for name in fields)
        assert fields not in (PAIRS["one limit, said twice"], PAIRS["one form, said twice"])
        return
    for name, value in fields.items():
        both = name == "metadata" and isinstance(value, dict) and value.items() <= found.metadata.items()
        assert both or same(name, value, found)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_everything_that_a_wire_takes_it_takes_at_once(wire: Wire) -> None:
    taken: dict[str, Any] = {}
    for name, values in VALUES.items():
        if name == "output_schema":
            continue
        for value in values:
            found = tried(wire, **{**taken, name: value})
            if isinstance(found, CompletionRequest) and same(name, value, found):
                taken[name] = value

    whole = there_and_back(wire, asked(wire, **taken))

    assert {name for name, value in taken.items() if not same(name, value, whole)} == set()
    assert {"model", "messages", "documents", "tools", "temperature", "stream"} <= taken.keys()


def test_a_prompt_of_ollama_is_of_one_question_and_nothing_is_left_out() -> None:
    wire = next(wire for wire in WIRES if wire.name == "ollama")
    prompt = {"extra": {"prompt": ""}}
    more = [*HELLO.messages, Message.assistant("Fine."), Message.user("Sure?")]

    assert wire.code.encode_request(asked(wire, **prompt)).json["prompt"] == "How is Paris?"
    assert getattr(tried(wire, **prompt, tools=[CLOCK]), "tool_names", None) == ["get_time"]
    for refused in ({"messages": more}, {"documents": [LOG]}):
        (name,) = refused
        assert name in str(tried(wire, **prompt, **refused))

"""What of a request counts when a recorded answer is looked for: what was said, and not how it was spelled.

Rules:

* A conversation is one, whatever wire it was recorded on and whatever framework spoke: messages of one
  side are one, texts beside each other are one, results of tools stand by themselves in the order of
  their calls, and ids of calls are their numbers.
* What the model thought, and what its provider put there (searches, signatures), is left out: it comes
  back in one framework and not in another, and the model has said it itself.
* A result that is an object of one key (`result`, `output`, `content`), as Gemini has to have it, is
  what the key holds; a text that is JSON is that JSON.
* Of a tool its name counts, and how tools and the form of the answer are chosen. How the model is to be
  sampled does not count unless `counts` names it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._documents import with_documents
from llmreplay.completion import (
    CompletionRequest,
    Json,
    Message,
    ProviderContent,
    ProviderTool,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolResult,
)
from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["COUNTED", "checked_counts", "counted"]

COUNTED = ("messages", "tools", "tool_choice", "output_schema")
"""What counts unless it is said otherwise."""

_KNOWN = frozenset(CompletionRequest.model_fields) - {"raw", "stream", "response_format", "documents"}
_WRAPPERS = frozenset({"result", "output", "content"})
_SIDES = {"developer": "system", "function": "tool"}


def checked_counts(counts: Iterable[str]) -> frozenset[str]:
    """Return the fields that count; raise `OptionError` if one is none."""
    if isinstance(counts, str):
        raise OptionError("counts", counts, f"a list such as [{counts!r}]")
    found = frozenset(counts)
    if unknown := sorted(found - _KNOWN):
        raise OptionError("counts", unknown, f"some of {', '.join(sorted(_KNOWN))}")
    return found


def counted(request: CompletionRequest, counts: frozenset[str] = frozenset(COUNTED)) -> CompletionRequest:
    """Return a request with what counts of it, in the one spelling that all requests have that say it."""
    fields: dict[str, Any] = {
        name: getattr(request, name) for name in counts if name not in {"messages", "tools", "output_schema"}
    }
    if "tool_choice" in fields:
        fields["tool_choice"] = _choice(request.tool_choice)
    if "tools" in counts:
        fields["tools"] = _tools(request)
    if "output_schema" in counts:
        fields["output_schema"] = _schema(request)
    return CompletionRequest(messages=_conversation(request) if "messages" in counts else [], **fields)


def _tools(request: CompletionRequest) -> list[ToolDefinition]:
    names = {tool.kind if isinstance(tool, ProviderTool) else tool.name for tool in request.tools}
    return [ToolDefinition(name=name) for name in sorted(names)]


def _choice(choice: ToolChoice | None) -> ToolChoice | None:
    if choice is None or choice.mode == "auto":  # which is what it is without being said
        return None
    return ToolChoice(mode=choice.mode, names=sorted(choice.names))


def _schema(request: CompletionRequest) -> Any:
    """Return whether the answer has a form, and which: wires change schemas too much to compare them."""
    form = request.response_format
    if request.output_schema is not None or (form is not None and form.json_schema is not None):
        return "schema"
    return "json" if form is not None and form.type == "json_object" else None


def _conversation(request: CompletionRequest) -> list[Message]:
    found: list[Message] = []
    calls = _Calls()
    sided = [(_SIDES.get(message.role, message.role), message) for message in with_documents(request)]
    # Most wires have one place for what the developer says, in front of everything.
    for side, message in sorted(sided, key=lambda found: found[0] != "system"):
        results = sorted((calls.answered(result) for result in message.tool_results), key=_place)
        said = [one for content in message.content if (one := calls.spelled(content)) is not None]
        for role, contents in (("tool", results), (side, said)):
            if contents:
                _add(found, role, contents)
    return found


def _add(found: list[Message], role: Any, contents: list[Any]) -> None:
    before: list[Any] = []
    if found and found[-1].role == role:
        before = found.pop().content
    joined = sorted([*before, *contents], key=_place) if role == "tool" else [*_joined([*before, *contents])]
    if joined:
        found.append(Message(role=role, content=joined))


def _joined(contents: list[Any]) -> Iterator[Any]:
    """Yield contents, texts that follow each other as one."""
    text: list[str] = []
    for content in [*contents, None]:
        if isinstance(content, Text):
            text.append(content.text)
            continue
        whole = "\n".join(part for piece in text if (part := piece.strip()))
        if whole:
            yield Text(text=whole)
        text = []
        if content is not None:
            yield content


def _place(result: ToolResult) -> int:
    return int(result.id.removeprefix("call "))


class _Calls:
    """The calls of a conversation so far, by number, and which of them have no result yet."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[int, ToolCall]] = []

    def spelled(self, content: Any) -> Any:
        """Return a content as it counts; None if it does not."""
        if isinstance(content, ToolCall):
            self._count += 1
            self._open.append((self._count, content))
            return ToolCall(id=f"call {self._count}", name=content.name, arguments=content.arguments)
        if isinstance(content, Text | Refusal):
            return Text(text=content.text)
        if isinstance(content, Reasoning | ProviderContent | ToolResult):
            return None
        return type(content)(data=content.data, source=content.source)

    def answered(self, result: ToolResult) -> ToolResult:
        """Return a result with the number of its call: by its id, else by its name, else the next."""
        matches = (
            lambda call: bool(result.id) and result.id in {call.id, call.call_id},
            lambda call: result.name == call.name,
            lambda _call: True,
        )
        number = 0
        for fits in matches:
            place = next((place for place, (_, call) in enumerate(self._open) if fits(call)), None)
            if place is not None:
                number = self._open.pop(place)[0]
                break
        return ToolResult(id=f"call {number}", content=[_plain(result)])


def _plain(result: ToolResult) -> Text | Json:
    contents = result.content
    if len(contents) == 1 and isinstance(contents[0], Json):
        value = contents[0].value
    else:
        value = result.text
        media = [content for content in contents if not isinstance(content, Text | Json)]
        if media:
            return Json(
                value=[value, *(content.model_dump(mode="json", exclude={"extra"}) for content in media)]
            )
    value = _parsed(value)
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= _WRAPPERS:
        value = _parsed(next(iter(value.values())))
    return Text(text=value.strip()) if isinstance(value, str) else Json(value=value)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value

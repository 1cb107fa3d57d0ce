"""The items of which inputs and outputs consist, as contents, and contents as items.

https://platform.openai.com/docs/api-reference/responses/object

Rules:

* An item is a content, except a message, which holds texts and refusals.
* A call has two ids: `call_…` pairs it with its result and is `ToolCall.id`, as on every other wire;
  `fc_…` names the item and is `ToolCall.call_id`.
* What the provider runs itself (a search, a container, an image) is a content of the provider.
* Sent back (`whole`), an item is what it was, to the last null; in an answer, `status` and whatever
  is empty are left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from llmreplay.codecs._json import each, listed, mapping, optional, text, without
from llmreplay.codecs.openai_chat._message import log_probs
from llmreplay.completion import LogProbs, ProviderContent, Reasoning, ReasoningPart, Refusal, Text, ToolCall

if TYPE_CHECKING:
    from llmreplay.completion import AssistantContent

__all__ = [
    "WRITTEN",
    "Output",
    "arguments_of",
    "read_item",
    "read_output",
    "read_parts",
    "write_call",
    "write_reasoning",
]

WRITTEN = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that ask for a tool, and where in them stands what the model wrote."""

_THOUGHTS: tuple[tuple[str, str, Any], ...] = (
    ("summary", "summary_text", "summary"),
    ("content", "reasoning_text", "text"),
)
"""The lists of a reasoning item, the type of their parts, and the kind of part that it is."""

_OF_MESSAGE = ("type", "role", "content")


class Output(NamedTuple):
    """What the items of an answer say."""

    contents: list[AssistantContent]
    message_id: str | None
    logprobs: LogProbs | None
    citations: list[Any]


def read_output(items: list[dict[str, Any]]) -> Output:
    """Return what the items of an answer say, in their order."""
    contents: list[AssistantContent] = []
    tokens: list[Any] = []
    ids: list[str | None] = []
    calls = 0
    for item in items:
        parts = read_parts(item) if item.get("type") == "message" else None
        if parts is None:
            content = read_item(item)
            if isinstance(content, ToolCall):
                content, calls = content.model_copy(update={"index": calls}), calls + 1
            contents.append(content)
            continue
        told = _told(without(item, *_OF_MESSAGE, "status", *(() if ids else ("id",))))
        ids.append(optional(item.get("id")))
        body = item.get("content")
        for part, spelled in zip(parts, [{}] if isinstance(body, str) else each(body), strict=True):
            own = {**told, **part.extra} if isinstance(part, Text) else {}
            contents.append(part.model_copy(update={"extra": own}) if own else part)
            found = log_probs({"content": spelled.get("logprobs")})
            tokens += found.content if found else []
    said = [content for content in contents if not isinstance(content, (Text, Refusal)) or content.text]
    texts = [content for content in contents if isinstance(content, Text)]
    return Output(
        contents=said or list(texts[:1]),
        message_id=ids[0] if ids else None,
        logprobs=LogProbs(content=tokens) if tokens else None,
        citations=[citation for content in texts for citation in listed(content.extra.get("annotations"))],
    )


def read_parts(message: dict[str, Any], *, whole: bool = False) -> list[Text | Refusal] | None:
    """Return the texts and refusals of the model's message; None if it holds anything else."""
    content = message.get("content")
    if isinstance(content, str):
        return [Text(text=text(content))]
    parts: list[Text | Refusal] = []
    for part in listed(content):
        kind = text(mapping(part).get("type"))
        if kind in {"output_text", "text"}:
            extra = without(part, "type", "text", *(() if whole else ("logprobs",)))
            parts.append(Text(text=text(part.get("text")), extra=extra if whole else _told(extra)))
        elif kind == "refusal":
            parts.append(Refusal(text=text(part.get("refusal"))))
        else:
            return None
    return parts


def read_item(item: dict[str, Any], *, whole: bool = False) -> ToolCall | Reasoning | ProviderContent:
    """Return what an item other than a message says."""
    kind = text(item.get("type"))
    if kind == "reasoning":
        return _reasoning(item, whole=whole)
    if kind not in WRITTEN:
        return ProviderContent(kind=kind, raw=item)
    extra = without(
        item, "type", "call_id", "name", WRITTEN[kind], *(("id",) if optional(item.get("id")) else ())
    )
    written = text(item.get(WRITTEN[kind]))
    call = ToolCall.written(
        text(item.get("name")),
        "" if kind == "custom_tool_call" else written,
        id=text(item.get("call_id")),
        call_id=optional(item.get("id")),
        extra=extra if whole else _told(without(extra, "status")),
    )
    if kind == "custom_tool_call":  # what the model wrote is no JSON, and need not be
        own = {"arguments": written, "arguments_raw": written, "extra": {**call.extra, "type": "custom"}}
        return call.model_copy(update=own)
    return call


def _reasoning(item: dict[str, Any], *, whole: bool) -> Reasoning:
    parts: list[ReasoningPart] = []
    extra = without(item, "type", *(() if whole else ("status",)))
    for key, kind, word in _THOUGHTS:
        found = item.get(key)
        readable = [part for part in each(found) if set(part) == {"type", "text"} and part["type"] == kind]
        if isinstance(found, list) and len(readable) == len(found):
            parts += [ReasoningPart(kind=word, text=text(part["text"])) for part in readable]
            if found or key == "summary":  # which is always written
                del extra[key]
    for key in ("id", "encrypted_content"):
        if optional(item.get(key)) is not None:
            del extra[key]
    sealed = optional(item.get("encrypted_content"))
    if sealed is not None:
        parts.append(ReasoningPart(kind="encrypted", text=sealed))
    return Reasoning(parts=parts, id=optional(item.get("id")), extra=extra if whole else _told(extra))


def _told(extra: dict[str, Any]) -> dict[str, Any]:
    """Return what an object says, without what says nothing."""
    return {key: value for key, value in extra.items() if value not in (None, "", [], {})}


def arguments_of(call: ToolCall) -> str:
    """Return the arguments of a call as the model wrote them, or would have."""
    if call.arguments_raw or call.arguments is None:
        return call.arguments_raw
    return json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))


def write_call(call: ToolCall) -> dict[str, Any]:
    """Return the item of a call, with the ids that it has."""
    kind = "custom_tool_call" if call.extra.get("type") == "custom" else "function_call"
    written = arguments_of(call)
    if kind == "custom_tool_call" and isinstance(call.arguments, str):
        written = call.arguments
    ids = {"id": call.call_id} if call.call_id else {}
    own = without(call.extra, "type")
    return {**ids, "type": kind, WRITTEN[kind]: written, "call_id": call.id, "name": call.name, **own}


def write_reasoning(reasoning: Reasoning) -> dict[str, Any]:
    """Return the item of a reasoning; raise ValueError if it has two sealed parts: it can hold one."""
    item: dict[str, Any] = {"id": reasoning.id} if reasoning.id else {}
    item["type"] = "reasoning"
    for key, kind, word in _THOUGHTS:
        parts = [{"type": kind, "text": part.text} for part in reasoning.parts if part.kind == word]
        if parts or key == "summary":
            item[key] = parts
    sealed = [part.text for part in reasoning.parts if part.kind in {"encrypted", "redacted"}]
    if len(sealed) > 1:
        raise ValueError("a reasoning item holds one piece of encrypted content, not two")
    if sealed:
        item["encrypted_content"] = sealed[0]
    return {**item, **reasoning.extra}

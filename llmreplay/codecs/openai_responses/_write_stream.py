"""The events in which a finished `response` object comes, in the order of the API.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import compact
from llmreplay.codecs._json import listed
from llmreplay.codecs.openai_responses._items import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmreplay.codecs._encoding import Cut, Ids

__all__ = ["events", "frame"]

_BLOCK = 16
"""OpenAI pads deltas to a multiple of so many characters."""

_STEPS = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
}
"""What is told of a tool that the provider runs, while it runs."""


def events(whole: dict[str, Any], cut: Cut, padding: Ids | None) -> Iterator[dict[str, Any]]:
    """Yield the events, numbered; with `padding`, deltas are padded from these ids."""
    for number, (kind, fields) in enumerate(_events(whole, cut)):
        padded = {}
        if padding is not None and kind.endswith(".delta"):
            padded["obfuscation"] = padding.new("", _BLOCK - len(fields["delta"]) % _BLOCK)
        yield {"type": f"response.{kind}", "sequence_number": number, **fields, **padded}


def frame(event: dict[str, Any], *, named: bool) -> bytes:
    """Return the frame of an event."""
    name = f"event: {event['type']}\n".encode() if named else b""
    return name + b"data: " + compact(event) + b"\n\n"


def _events(whole: dict[str, Any], cut: Cut) -> Iterator[tuple[str, dict[str, Any]]]:
    began = {
        **whole,
        "status": "in_progress",
        "completed_at": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    yield "created", {"response": began}
    yield "in_progress", {"response": began}
    for index, item in enumerate(whole["output"]):
        yield "output_item.added", {"output_index": index, "item": _begun(item)}
        place = {"item_id": item.get("id"), "output_index": index}
        yield from _inside(item, place, cut)
        yield "output_item.done", {"output_index": index, "item": item}
    yield whole["status"], {"response": whole}


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as it is when nothing of it has come."""
    begun = dict(item)
    kind = item["type"]
    if "status" in item:
        begun["status"] = "in_progress"
    for key in ("content", "summary"):
        if kind in {"message", "reasoning"} and key in item:
            begun[key] = []
    if kind in WRITTEN:
        begun[WRITTEN[kind]] = ""
    if kind == "reasoning" and item.get("encrypted_content"):
        sealed = item["encrypted_content"]
        begun["encrypted_content"] = sealed[: len(sealed) // 2]
    return begun


def _inside(item: dict[str, Any], place: dict[str, Any], cut: Cut) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = item["type"]
    if kind in WRITTEN:
        key = WRITTEN[kind]
        for piece in cut.arguments(item[key]):
            yield f"{kind}_{key}.delta", {**place, "delta": piece}
        yield f"{kind}_{key}.done", {**place, key: item[key]}
        return
    if kind not in {"message", "reasoning"}:
        for step in _STEPS.get(kind, ()):
            yield f"{kind}.{step}", place
        return
    for number, part in enumerate(item.get("summary", ())):
        here = {**place, "summary_index": number}
        yield "reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}
        yield from _pieces("reasoning_summary_text", "text", here, cut.text(part["text"]))
        yield "reasoning_summary_part.done", {**here, "part": part}
    for number, part in enumerate(item.get("content", ())):
        here = {**place, "content_index": number}
        key = "refusal" if part["type"] == "refusal" else "text"
        empty = {**part, key: "", **{name: [] for name in ("annotations", "logprobs") if name in part}}
        yield "content_part.added", {**here, "part": empty}
        tokens = part.get("logprobs")
        yield from _pieces(part["type"], key, here, cut.text(part[key]), tokens)
        for at, annotation in enumerate(listed(part.get("annotations"))):
            told = {"annotation_index": at, "annotation": annotation}
            yield "output_text.annotation.added", {**here, **told}
        yield "content_part.done", {**here, "part": part}


def _pieces(
    kind: str,
    key: str,
    here: dict[str, Any],
    pieces: Sequence[str],
    tokens: list[Any] | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the deltas of a text and its end; each token comes with the piece in which it begins."""
    left, whole = list(tokens or []), "".join(pieces)
    ahead = 0  # characters of tokens that were told before their piece
    for number, piece in enumerate(pieces):
        told: list[Any] = []
        while left and (ahead < len(piece) or number == len(pieces) - 1):
            ahead += max(1, len(left[0]["token"]))
            told.append(left.pop(0))
        ahead -= len(piece)
        yield f"{kind}.delta", {**here, "delta": piece, **({} if tokens is None else {"logprobs": told})}
    yield f"{kind}.done", {**here, key: whole, **({} if tokens is None else {"logprobs": tokens})}

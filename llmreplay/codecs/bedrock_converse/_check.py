"""The rules by which Bedrock refuses a conversation, with its own words.

Texts as reported by users (genkit aws-bedrock-js-plugin#664, agno#6698, pydantic-ai#2327).

Rules:

* Results stand in the one message behind the calls: split over two, they are refused.
* A tool that the provider runs itself (`server_tool_use`) is answered where it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import each, mapping, text
from llmreplay.codecs._rules import first
from llmreplay.codecs.anthropic_messages._check import Broken
from llmreplay.codecs.bedrock_converse._blocks import OURS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["broken_rule"]


def broken_rule(body: Any, excepted: Collection[str]) -> Broken | None:
    """Return the first rule that a request breaks; None if it is sound, or no request at all."""
    messages = each(mapping(body).get("messages"))
    return first(_broken(messages, configured="toolConfig" in mapping(body)), excepted)


def _broken(messages: list[dict[str, Any]], *, configured: bool) -> Iterator[Broken]:
    used = [ids for message in messages for kind in ("toolUse", "toolResult") for ids in _ids(message, kind)]
    if used and not configured:
        yield Broken(
            "tool-config",
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        )
    asked: list[str] = []
    for index, message in enumerate([*messages, {}]):
        answered = [] if message.get("role") == "assistant" else _ids(message, "toolResult")
        missing = [name for name in asked if name not in answered]
        if missing:
            yield Broken(
                "unanswered-tool-call",
                f"Expected toolResult blocks at messages.{index}.content for the following Ids: "
                + ", ".join(missing),
            )
        if any(name not in asked for name in answered) or len(answered) > len(asked):
            yield Broken(
                "orphan-tool-result",
                f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse "
                "blocks of previous turn.",
            )
        asked = _ids(message, "toolUse") if message.get("role") == "assistant" else []


def _ids(message: dict[str, Any], kind: str) -> list[str]:
    blocks = [mapping(block.get(kind)) for block in each(message.get("content")) if kind in block]
    return [text(block.get("toolUseId")) for block in blocks if block.get("type") != OURS]

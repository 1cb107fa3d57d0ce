"""The rules by which Anthropic refuses a conversation, with its own words.

Texts as reported by users of the API (claude-code#8612, claude-code#13460, pydantic-ai#2040,
opencode-mem#50; of Bedrock: code-gpt-docs#300).

Rules:

* The body is looked at before the conversation: there is no answer without `max_tokens`.
* Messages of one role that follow each other are one turn; messages of the system are in no turn.
* A message of the system among the messages is no mistake: models before Claude Opus 4.8 refuse it, those
  since take it behind what the user said (recorded requests have it), and which model is which only
  Anthropic knows.
* Ids are not looked at but as equal or different: Anthropic accepts those of others (`call_…`).
* A turn of thinking has to begin with it only where thinking is `enabled`; with `adaptive` it need not.
* A signature is judged only if we made it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import each, mapping, text
from llmreplay.codecs._rules import Rule, first
from llmreplay.codecs.anthropic_messages._signature import is_forged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["Broken", "broken_rule"]

_REQUIRED = "{}: Field required"

_THINKING = (
    "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
    "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
    "lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
    "previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a conversation breaks, and what Anthropic says to it."""

    rule: Rule
    message: str


@dataclass(frozen=True, slots=True)
class _Block:
    message: int
    place: int
    block: dict[str, Any]

    @property
    def kind(self) -> str:
        return text(self.block.get("type"))


_Turn = tuple[str, list[_Block]]


def broken_rule(body: Any, excepted: Collection[str], required: str | None = _REQUIRED) -> Broken | None:
    """Return the first rule that a request breaks; None if it is sound, or no request at all.

    `required` is how a field is missed, None if none is.
    """
    messages = each(mapping(body).get("messages"))
    turns = _turns(messages)
    thinks = mapping(mapping(body).get("thinking")).get("type") == "enabled"
    conversation = chain(_pairs(turns), _signatures(turns), _thinking(turns) if thinks else ())
    missing: list[Broken] = []
    asks = bool(messages) and messages == body["messages"]
    if required is not None and asks and "max_tokens" not in body:
        missing = [Broken("required-field", required.format("max_tokens"))]
    return first(chain(missing, conversation), excepted)


def _turns(messages: Iterable[dict[str, Any]]) -> list[_Turn]:
    turns: list[_Turn] = []
    for index, message in enumerate(messages):
        role = text(message.get("role"))
        if role == "system":
            continue
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        blocks = each(message.get("content")) or [{"type": "text"}]
        turns[-1][1].extend(_Block(index, place, block) for place, block in enumerate(blocks))
    return turns


def _pairs(turns: list[_Turn]) -> Iterator[Broken]:
    """Each `tool_use` has its `tool_result` in the next turn, and the other way round."""
    asked: list[_Block] = []
    for role, blocks in [*turns, ("user", [])]:
        if role != "assistant":
            results = [block for block in blocks if block.kind == "tool_result"]
            answered = {text(block.block.get("tool_use_id")) for block in results}
            known = {text(block.block.get("id")) for block in asked}
            open_ids = [block for block in asked if text(block.block.get("id")) not in answered]
            if open_ids:
                spelled = ", ".join(text(block.block.get("id")) for block in open_ids)
                yield Broken(
                    "unanswered-tool-call",
                    f"messages.{open_ids[0].message}: `tool_use` ids were found without `tool_result` blocks "
                    f"immediately after: {spelled}. Each `tool_use` block must have a corresponding "
                    "`tool_result` block in the next message.",
                )
            for block in results:
                name = text(block.block.get("tool_use_id"))
                if name not in known:
                    yield Broken(
                        "orphan-tool-result",
                        f"messages.{block.message}.content.{block.place}: unexpected `tool_use_id` found in "
                        f"`tool_result` blocks: {name}. Each `tool_result` block must have a corresponding "
                        "`tool_use` block in the previous message.",
                    )
        asked = [block for block in blocks if block.kind == "tool_use"] if role == "assistant" else []


def _signatures(turns: list[_Turn]) -> Iterator[Broken]:
    for _, blocks in turns:
        for block in blocks:
            if block.kind == "thinking" and is_forged(
                text(block.block.get("thinking")), text(block.block.get("signature"))
            ):
                yield Broken(
                    "reasoning-signature",
                    f"messages.{block.message}.content.{block.place}: "
                    "Invalid `signature` in `thinking` block",
                )


def _thinking(turns: list[_Turn]) -> Iterator[Broken]:
    """The turn that is going on begins with thinking, if it has called tools."""
    first: _Block | None = None
    for role, blocks in reversed(turns):
        if role == "assistant":
            if not any(block.kind == "tool_use" for block in blocks):
                break
            first = blocks[0]
        elif any(block.kind != "tool_result" for block in blocks):
            break
    if first is not None and first.kind not in {"thinking", "redacted_thinking"}:
        yield Broken("reasoning-order", _THINKING.format(index=first.message, found=first.kind))

"""Writing an answer of the converse wire, whole or as the events of a stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html: `messageStart`,
then each block (`contentBlockStart` only where there is something to say, its deltas, and
`contentBlockStop`), `messageStop`, and last `metadata` with the usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs import _aws
from llmreplay.codecs._encoding import Ids
from llmreplay.codecs._json import mapping, without
from llmreplay.codecs._usage import normalise
from llmreplay.codecs.anthropic_messages._signature import sign
from llmreplay.codecs.anthropic_messages._write import arguments_text
from llmreplay.codecs.bedrock_converse._blocks import write_block, write_reasoning
from llmreplay.codecs.bedrock_converse._stream import FINISH, NAME
from llmreplay.completion import FinishReason, Reasoning, Refusal, RequestError, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.codecs._encoding import Cut
    from llmreplay.completion import CompletionResponse, Usage
    from llmreplay.exchange import Request

__all__ = ["events", "message"]

_SPELLED = {reason: raw for raw, reason in reversed(FINISH.items())}
_METRICS = {"latencyMs": 1}


def message(response: CompletionResponse, request: Request, turn: int) -> dict[str, Any]:
    """Return a whole answer; raise ValueError if the wire has no word for it."""
    content = [_dict_of(block, written) for block, written in _blocks(response, request, turn)]
    return {
        "metrics": _METRICS,
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": _stop_reason(response),
        "usage": _usage(response.usage),
        **_tier(response),
    }


def events(
    response: CompletionResponse, request: Request, turn: int, cut: Cut
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a stream, each with its name."""
    yield "messageStart", {"role": "assistant"}
    for index, (block, written) in enumerate(_blocks(response, request, turn)):
        start, deltas = _grown(block, written, cut)
        if start is not None:
            yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
        for delta in deltas:
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": _stop_reason(response)}
    yield "metadata", {"metrics": _METRICS, "usage": _usage(response.usage), **_tier(response)}


def _tier(response: CompletionResponse) -> dict[str, Any]:
    return {"serviceTier": {"type": response.service_tier}} if response.service_tier else {}


def _dict_of(block: dict[str, Any], written: str | None) -> dict[str, Any]:
    if written is not None and not isinstance(block["toolUse"]["input"], dict):
        raise ValueError(f"only a stream can hold arguments that are no JSON object: {written!r}")
    return block


def _blocks(
    response: CompletionResponse, request: Request, turn: int
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield the content blocks, and of a tool call its arguments as text."""
    if response.others:
        raise ValueError("an answer of Bedrock is one, not several")
    ids = Ids(request, turn)
    claude = "claude" in (_aws.model_of(request) or "")  # which signs what it thinks
    texts = [content for content in response.choice if isinstance(content, Text)]
    beside = [] if any("citations" in said.extra for said in texts) else response.citations
    for content in response.choice:
        if isinstance(content, ToolCall):
            use = {"toolUseId": content.id or ids.new("tooluse_", 22), "name": content.name}
            block = {"toolUse": {**use, "input": content.arguments, **content.extra}}
            yield block, arguments_text(content)
        elif isinstance(content, Reasoning):
            for part in content.parts:
                yield write_reasoning(part, sign(part.text) if claude else None), None
        elif isinstance(content, Text) and beside and content is texts[-1]:
            yield write_block(Text(text=content.text, extra={"citations": beside})), None
        else:
            yield _written(content), None


def _written(content: Any) -> dict[str, Any]:
    try:
        return write_block(content)
    except RequestError as problem:
        raise ValueError(problem.message) from problem


def _stop_reason(response: CompletionResponse) -> str:
    reason, raw = response.finish_reason, response.raw_finish_reason
    if any(isinstance(content, Refusal) for content in response.choice):
        reason = FinishReason.CONTENT_FILTER
    if reason is None:
        reason = FinishReason.TOOL_CALLS if response.tool_calls else FinishReason.STOP
    if raw is not None and FINISH.get(raw) == reason:
        return raw
    if reason == FinishReason.STOP and response.tool_calls:
        return "tool_use"
    return _SPELLED.get(reason, str(reason))


def _grown(
    block: dict[str, Any], written: str | None, cut: Cut
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Return how a block begins in a stream, None if nothing is said then, and the deltas it grows by."""
    kind = next(iter(block), "")
    value: Any = block.get(kind)
    if kind == "text":
        return None, [{"text": piece} for piece in cut.text(value or "")]
    if kind == "citationsContent":
        deltas = [{"text": piece} for said in value["content"] for piece in cut.text(said["text"])]
        return None, [*deltas, *({"citation": cited} for cited in value["citations"])]
    if kind == "reasoningContent":
        return None, [{"reasoningContent": delta} for delta in _thought(value, cut)]
    if kind == "toolUse":
        spelled = (
            arguments_text(ToolCall(name="", arguments=value.get("input"))) if written is None else written
        )
        pieces = ["", *cut.arguments(spelled)]
        return {kind: without(value, "input")}, [{kind: {"input": piece}} for piece in pieces]
    if kind == "toolResult":
        return {kind: without(value, "content")}, [{kind: [piece]} for piece in value.get("content", [])]
    if kind == "image":
        return {kind: without(value, "source")}, [{kind: {"source": value["source"]}}]
    raise ValueError(f"a stream of Bedrock has no word for {kind!r}")


def _thought(value: dict[str, Any], cut: Cut) -> Iterator[dict[str, Any]]:
    if "redactedContent" in value:
        yield value
        return
    said = mapping(value.get("reasoningText"))
    for piece in cut.text(said["text"]):
        yield {"text": piece}
    if "signature" in said:
        yield {"signature": said["signature"]}


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the usage object: the provider's own where it says the same, else one from the numbers."""
    if usage.details and normalise(NAME, usage.details) == usage and "inputTokens" in usage.details:
        return usage.details
    cached, created = usage.cached_input_tokens, usage.cache_creation_input_tokens
    return {
        "inputTokens": max(0, usage.input_tokens - cached - created),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokenCount": cached,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokenCount": created,
        "cacheWriteInputTokens": created,
        "serverToolUsage": {},
    }

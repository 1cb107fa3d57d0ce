"""Writing a message, whole or as the events of a stream.

https://docs.claude.com/en/docs/build-with-claude/streaming: `message_start`, then each content block
(`content_block_start`, its deltas, `content_block_stop`), `message_delta` with the stop reason and
all that was used, `message_stop`. A `ping` follows the first `content_block_start`.

Reasoning without a signature gets one of our own, from which `check` knows later whether the text
came back as it was.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import Ids, compact
from llmreplay.codecs._json import listed, mapping, parse, without
from llmreplay.codecs._usage import normalise
from llmreplay.codecs.anthropic_messages._request import model_of
from llmreplay.codecs.anthropic_messages._signature import sign
from llmreplay.codecs.anthropic_messages._stream import FINISH, NAME
from llmreplay.completion import FinishReason, ProviderContent, Reasoning, Refusal, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.codecs._encoding import Cut
    from llmreplay.completion import CompletionResponse, ReasoningPart, Usage
    from llmreplay.exchange import Request

__all__ = ["Written", "arguments_text", "blocks", "event", "stop_reason"]

_SPELLED = {reason: raw for raw, reason in reversed(FINISH.items())}
_BEDROCK_NAME = re.compile(r"(?:.*/)?(?:[\w-]+\.)?anthropic\.(?P<name>[\w.-]+?)(?:-v\d+:\d+)?")


class Written:
    """A message in writing: ids, model, usage and stop reason are those of the response, or made up.

    `tag` is what Vertex and Bedrock put into ids.
    """

    def __init__(
        self, response: CompletionResponse, request: Request, turn: int = 0, *, tag: str = ""
    ) -> None:
        if response.others:
            raise ValueError("a message of Anthropic holds one answer, not several")
        self._response, self._request, self._tag = response, request, tag
        ids = Ids(request, turn)
        self._id = response.response_id or ids.new(f"msg_{tag}01", 22)
        self._blocks = list(blocks(response, ids, tag))
        self._usage = _usage(response.usage, response.service_tier, tag)

    def message(self) -> dict[str, Any]:
        """Return the whole message; raise ValueError if arguments are no JSON object."""
        for block, written in self._blocks:
            if written is not None and not isinstance(block["input"], dict):
                raise ValueError(f"only a stream can hold arguments that are no JSON object: {written!r}")
        content = [block for block, _ in self._blocks]
        return {**self._envelope(content), **self._stop(), "usage": self._usage}

    def events(self, cut: Cut) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream."""
        begun = {**self._usage, "output_tokens": min(1, self._usage["output_tokens"])}
        start = {**self._envelope([]), "stop_reason": None, "stop_sequence": None, "usage": begun}
        yield {"type": "message_start", "message": start}
        for index, (block, written) in enumerate(self._blocks):
            start, deltas = _grown(block, written, cut)
            yield {"type": "content_block_start", "index": index, "content_block": start}
            if index == 0:
                yield {"type": "ping"}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        # Cumulative, with the input: langchain-anthropic reads it here and nowhere else.
        used = without(self._usage, "service_tier", "cache_creation", "inference_geo")
        yield {"type": "message_delta", "delta": self._stop(), "usage": used}
        yield {"type": "message_stop", **self._metrics()}

    def counts(self) -> tuple[int, int]:
        """Return the tokens of prompt and answer, as Bedrock counts them beside the message."""
        return self._usage["input_tokens"], self._usage["output_tokens"]

    def _metrics(self) -> dict[str, Any]:
        if self._tag != "bdrk_":
            return {}
        asked, answered = self.counts()
        counts = {"inputTokenCount": asked, "outputTokenCount": answered}
        return {"amazon-bedrock-invocationMetrics": {**counts, "invocationLatency": 1, "firstByteLatency": 1}}

    def _envelope(self, content: list[Any]) -> dict[str, Any]:
        return {
            "model": self._response.model or _plain_name(model_of(self._request) or ""),
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "content": content,
        }

    def _stop(self) -> dict[str, Any]:
        reason = stop_reason(self._response)
        stops = listed(mapping(self._request.json).get("stop_sequences"))
        stop: dict[str, Any] = {
            "stop_reason": reason,
            "stop_sequence": stops[0] if stops and reason == "stop_sequence" else None,
        }
        if reason == "refusal":
            said = "".join(part.text for part in self._response.choice if isinstance(part, Refusal))
            stop["stop_details"] = {"type": "refusal", "category": None, "explanation": said or None}
        return stop


def event(data: dict[str, Any]) -> bytes:
    """Return the bytes of an event, which has the name of its type."""
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + compact(data) + b"\n\n"


def stop_reason(response: CompletionResponse) -> str:
    """Return the stop reason, in the wire's spelling."""
    if any(isinstance(content, Refusal) for content in response.choice):
        return "refusal"
    reason, raw = response.finish_reason, response.raw_finish_reason
    if reason is None:
        reason = FinishReason.TOOL_CALLS if response.tool_calls else FinishReason.STOP
    if raw is not None and FINISH.get(raw) == reason:
        return raw
    if reason == FinishReason.STOP and response.tool_calls:
        return "tool_use"
    return _SPELLED.get(reason, str(reason))


def blocks(response: CompletionResponse, ids: Ids, tag: str) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield the content blocks, and of a tool call its arguments as text.

    Raises ValueError if the wire has no word for a content.
    """
    texts = [content for content in response.choice if isinstance(content, Text)]
    beside = [] if any("citations" in said.extra for said in texts) else response.citations
    for content in response.choice:
        if isinstance(content, Text):
            own = {"citations": beside} if beside and content is texts[-1] else {}
            yield {"type": "text", "text": content.text, **own, **content.extra}, None
        elif isinstance(content, ToolCall):
            name = content.id or ids.new(f"toolu_{tag}01", 22)
            block = {"type": "tool_use", "id": name, "name": content.name, "input": content.arguments}
            yield {**block, **content.extra}, arguments_text(content)
        elif isinstance(content, Reasoning):
            for part in content.parts:
                yield thinking(part), None
        elif isinstance(content, ProviderContent):
            yield dict(mapping(content.raw)) or {"type": content.kind}, None
        elif not isinstance(content, Refusal):
            raise ValueError(  # noqa: TRY004  the value is of a known type, and cannot be said
                f"a message of Anthropic has no word for {content.type!r}"
            )


def thinking(part: ReasoningPart) -> dict[str, Any]:
    """Return the block of a piece of reasoning."""
    if part.kind in {"redacted", "encrypted"}:
        return {"type": "redacted_thinking", "data": part.text}
    signature = sign(part.text) if part.signature is None else part.signature
    return {"type": "thinking", "thinking": part.text, "signature": signature}


def arguments_text(call: ToolCall) -> str:
    """Return the arguments of a call as the model wrote them, or would have."""
    if call.arguments_error is not None:
        return call.arguments_raw
    try:
        if call.arguments_raw and parse(call.arguments_raw) == call.arguments:
            return call.arguments_raw
    except ValueError:
        pass
    return json.dumps(call.arguments, ensure_ascii=False) if call.arguments else ""


def _grown(
    block: dict[str, Any], written: str | None, cut: Cut
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a block begins in a stream, and the deltas it grows by."""
    kind = block.get("type")
    if kind == "text":
        cited = listed(block.get("citations"))
        deltas = [{"type": "citations_delta", "citation": citation} for citation in cited]
        deltas += [{"type": "text_delta", "text": piece} for piece in cut.text(block["text"])]
        return {**block, "text": "", **({"citations": []} if cited else {})}, deltas
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut.text(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    if written is None and str(kind).endswith("tool_use") and isinstance(block.get("input"), dict):
        written = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
    if written is None:
        return block, []
    pieces = ["", *cut.arguments(written)]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _usage(usage: Usage, service_tier: str | None, tag: str) -> dict[str, Any]:
    """Return the usage object: the provider's own where it says the same, else one from the numbers."""
    if usage.details and normalise(NAME, usage.details) == usage and "input_tokens" in usage.details:
        return {"output_tokens": 0, **usage.details}
    cached, created = usage.cached_input_tokens, usage.cache_creation_input_tokens
    written: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - cached - created),
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": created, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if service_tier or not tag:
        written["service_tier"] = service_tier or "standard"
    return written


def _plain_name(model: str) -> str:
    """Return the name of a model without what Bedrock writes around it."""
    found = _BEDROCK_NAME.fullmatch(model)
    return found["name"] if found else model

"""What a call used, from the usage object of any wire: its numbers by name, and nothing else built.

Rules:

* Buckets are inclusive, see `llmreplay.completion.Usage`; providers that count beside each other
  (Anthropic, Gemini, Bedrock) are added up here.
* In a stream the last report wins, field by field. Reports are cumulative: adding them up counts
  twice, and taking the largest misses that Gemini's may go down.
* A number that is missing or no number is 0, and nothing here raises.
* Every test with a recording asks for its total: nothing here needs pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import each, integer, mapping, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmreplay.exchange import Response

__all__ = ["Counts", "counted", "latest", "merge", "report", "reported", "total"]

Counts = dict[str, int]
"""The numbers of `llmreplay.completion.Usage` by their names; one that is left out is 0."""


def total(wire: str, response: Response) -> int:
    """Return how many tokens a response says were used; 0 if it does not say."""
    raw = reported(wire, response)
    return counted(wire, raw)["total_tokens"] if raw else 0


def reported(wire: str, response: Response) -> dict[str, Any]:
    """Return the usage object of a response, whole or broken off; empty if it has none."""
    raw: dict[str, Any] = {}
    for body in _bodies(response):
        raw = latest(wire, raw, report(wire, body))
    return raw


def counted(wire: str, raw: dict[str, Any]) -> Counts:
    """Return the numbers of a wire's usage object."""
    return _RULES.get(wire, _chat)(raw)


def report(wire: str, body: Any) -> dict[str, Any]:
    """Return the usage object of a body, or of a frame of a stream; empty if it has none."""
    top = mapping(body)
    if wire in {"ollama", "ollama_generate"}:
        return {key: top[key] for key in ("prompt_eval_count", "eval_count") if key in top}
    for place in _PLACES:
        if place[0] not in top:
            continue
        found: Any = top
        for key in place:
            found = mapping(found).get(key)
        if found and isinstance(found, dict):
            return found
    return {}


_PLACES = (
    ("usage",),
    ("usageMetadata",),
    ("x_groq", "usage"),
    ("message", "usage"),  # message_start of Anthropic
    ("response", "usage"),  # response.completed of OpenAI
    ("delta", "usage"),  # message-end of Cohere
    ("response", "meta"),  # stream-end of Cohere v1
    ("interaction", "usage"),  # Gemini's interaction.complete
    ("meta",),
)


def merge(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return two reports of one stream as one: the later wins, field by field."""
    kept = {key: value for key, value in later.items() if value is not None}
    # Gateways send Anthropic's message_delta with a zero input, which message_start knew.
    for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        if earlier.get(key) and not kept.get(key, True):
            del kept[key]
    return {**earlier, **kept}


def latest(wire: str, earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return what two reports of one stream come to.

    Gemini's are whole: a count that the later one leaves out is none any more, as its total shows.
    """
    if wire == "gemini" and ("totalTokenCount" in later or "candidatesTokenCount" in later):
        return later
    return merge(earlier, later)


def _bodies(response: Response) -> Iterator[Any]:
    """Yield whatever could hold a report: the body, or the frames or lines that name one."""
    body = response.body
    if body[:1] in {b"{", b"["} or body.lstrip()[:1] in {b"{", b"["}:
        whole = response.json
        if whole is not None:
            yield from each(whole) if isinstance(whole, list) else [whole]
            return
        if body.lstrip()[:1] == b"[":
            yield from _elements(body)
            return
        for line in body.splitlines():
            yield from _parsed(line.decode("utf-8", "replace"))
        return
    from llmreplay.framing.eventstream import begins  # noqa: PLC0415  most answers are no stream

    if begins(body):
        from llmreplay.codecs._aws_frames import bodies  # noqa: PLC0415

        yield from (data for _, data in bodies(body))
        return
    from llmreplay.framing.sse import FrameTooLong, SSEParser  # noqa: PLC0415

    parser = SSEParser()
    try:
        for frame in [*parser.feed(body), *parser.close()]:
            if "sage" in frame.data or '"meta"' in frame.data:
                yield from _parsed(frame.data)
    except FrameTooLong:
        return


def _elements(body: bytes) -> Iterator[Any]:
    """Yield the elements of an array that broke off."""
    from llmreplay.framing.jsonarray import JSONArrayParser  # noqa: PLC0415  see `_bodies`

    parser = JSONArrayParser()
    try:
        for element in parser.feed(body):
            yield from _parsed(element)
    except ValueError:  # it is none, or too long
        return


def _parsed(data: str) -> list[Any]:
    try:
        return [parse(data)]
    except ValueError:
        return []


def _count(raw: dict[str, Any], *keys: str) -> int:
    """Return the first of these numbers that is there."""
    for key in keys:
        value = raw.get(key)
        if value is not None and (found := integer(value)) is not None:
            return found
    return 0


def _usage(*, input: int, output: int, total: int = 0, **others: int) -> Counts:  # noqa: A002  the word of the vocabulary
    return {
        "input_tokens": input,
        "output_tokens": output,
        "total_tokens": total or input + output,
        **others,
    }


def _chat(raw: dict[str, Any]) -> Counts:
    """OpenAI chat and its dialects, embeddings and legacy completions."""
    inputs = mapping(raw.get("prompt_tokens_details") or raw.get("prompt_token_details"))
    outputs = mapping(raw.get("completion_tokens_details"))
    prompt, total = _count(raw, "prompt_tokens", "input_tokens"), _count(raw, "total_tokens")
    completion = _count(raw, "completion_tokens", "output_tokens")
    if total > prompt and "prompt_tokens" in raw and "completion_tokens" not in raw:
        completion = total - prompt
    reasoning = _count(outputs, "reasoning_tokens") or _count(raw, "reasoning_tokens")
    # xAI and Perplexity count reasoning beside the completion, Mistral sound beside the prompt, the
    # others inside: the total tells who is who.
    sound, thought = _count(inputs, "audio_tokens"), reasoning + _count(raw, "citation_tokens")
    for more_input, more_output in ((0, 0), (0, thought), (sound, 0), (sound, thought)):
        if total == prompt + more_input + completion + more_output:
            prompt, completion = prompt + more_input, completion + more_output
            break
    return _usage(
        input=prompt,
        output=completion,
        total=total,
        cached_input_tokens=_count(inputs, "cached_tokens")
        or _count(raw, "num_cached_tokens", "prompt_cache_hit_tokens"),
        cache_creation_input_tokens=_count(inputs, "cache_write_tokens"),
        reasoning_tokens=reasoning,
    )


def _responses(raw: dict[str, Any]) -> Counts:
    inputs, outputs = mapping(raw.get("input_tokens_details")), mapping(raw.get("output_tokens_details"))
    return _usage(
        input=_count(raw, "input_tokens"),
        output=_count(raw, "output_tokens"),
        total=_count(raw, "total_tokens"),
        cached_input_tokens=_count(inputs, "cached_tokens"),
        cache_creation_input_tokens=_count(inputs, "cache_write_tokens"),
        reasoning_tokens=_count(outputs, "reasoning_tokens"),
    )


def _anthropic(raw: dict[str, Any]) -> Counts:
    cached, created = _count(raw, "cache_read_input_tokens"), _count(raw, "cache_creation_input_tokens")
    return _usage(
        input=_count(raw, "input_tokens") + cached + created,
        output=_count(raw, "output_tokens"),
        cached_input_tokens=cached,
        cache_creation_input_tokens=created,
        reasoning_tokens=_count(mapping(raw.get("output_tokens_details")), "thinking_tokens"),
    )


def _gemini(raw: dict[str, Any]) -> Counts:
    tools, thoughts = _count(raw, "toolUsePromptTokenCount"), _count(raw, "thoughtsTokenCount")
    return _usage(
        input=_count(raw, "promptTokenCount") + tools,
        output=_count(raw, "candidatesTokenCount") + thoughts,
        total=_count(raw, "totalTokenCount"),
        cached_input_tokens=_count(raw, "cachedContentTokenCount"),
        tool_use_prompt_tokens=tools,
        reasoning_tokens=thoughts,
    )


def _interactions(raw: dict[str, Any]) -> Counts:
    tools, thoughts = _count(raw, "total_tool_use_tokens"), _count(raw, "total_thought_tokens")
    return _usage(
        input=_count(raw, "total_input_tokens") + tools,
        output=_count(raw, "total_output_tokens") + thoughts,
        total=_count(raw, "total_tokens"),
        cached_input_tokens=_count(raw, "total_cached_tokens"),
        tool_use_prompt_tokens=tools,
        reasoning_tokens=thoughts,
    )


def _cohere(raw: dict[str, Any]) -> Counts:
    # `billed_units` are lower: they leave out what Cohere adds to the prompt.
    tokens = mapping(raw.get("tokens")) or mapping(raw.get("billed_units"))
    return _usage(
        input=_count(tokens, "input_tokens"),
        output=_count(tokens, "output_tokens"),
        cached_input_tokens=_count(raw, "cached_tokens"),
        reasoning_tokens=_count(tokens, "reasoning_tokens"),
    )


def _ollama(raw: dict[str, Any]) -> Counts:
    return _usage(input=_count(raw, "prompt_eval_count"), output=_count(raw, "eval_count"))


def _bedrock(raw: dict[str, Any]) -> Counts:
    cached = _count(raw, "cacheReadInputTokens", "cacheReadInputTokenCount")
    created = _count(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    return _usage(
        input=_count(raw, "inputTokens") + cached + created,
        output=_count(raw, "outputTokens"),
        total=_count(raw, "totalTokens"),
        cached_input_tokens=cached,
        cache_creation_input_tokens=created,
    )


def _invoke(raw: dict[str, Any]) -> Counts:
    """Whatever the model behind Bedrock's `invoke` says: Claude, Nova, or a dialect of OpenAI's."""
    if "inputTokens" in raw:
        return _bedrock(raw)
    return _anthropic(raw) if "input_tokens" in raw else _chat(raw)


def _vocabulary(raw: dict[str, Any]) -> Counts:
    """Our own words."""
    return _usage(
        input=_count(raw, "input_tokens"),
        output=_count(raw, "output_tokens"),
        total=_count(raw, "total_tokens"),
        cached_input_tokens=_count(raw, "cached_input_tokens"),
        cache_creation_input_tokens=_count(raw, "cache_creation_input_tokens"),
        tool_use_prompt_tokens=_count(raw, "tool_use_prompt_tokens"),
        reasoning_tokens=_count(raw, "reasoning_tokens"),
    )


def _embeddings(raw: dict[str, Any]) -> Counts:
    return _cohere(raw) if "billed_units" in raw else _chat(raw)


_RULES: dict[str, Callable[[dict[str, Any]], Counts]] = {
    "openai_responses": _responses,
    "anthropic_messages": _anthropic,
    "gemini": _gemini,
    "gemini_interactions": _interactions,
    "cohere": _cohere,
    "cohere_v1": _cohere,
    "ollama": _ollama,
    "ollama_generate": _ollama,
    "bedrock_converse": _bedrock,
    "bedrock_invoke": _invoke,
    "embeddings": _embeddings,
    "vocabulary": _vocabulary,
}

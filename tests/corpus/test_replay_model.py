"""An agent over recordings of others: real conversations with tools, answered by `ReplayModel`.

Needs `LLMREPLAY_CORPUS`, the folder of the corpus; without it these tests skip. The agent is ours, the
cassettes are those of other frameworks, of a dozen providers: its first prompt and its tools are those of
the first recorded request, its tools give what they gave then, and everything after that it says itself.
`python -m tests.corpus.test_replay_model` prints what came of each file.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llmreplay import Agent, CompletionRequest, ReplayModel, ToolDefinition, Usage, codecs, load
from llmreplay.agent import RunFinished, Tool
from llmreplay.completion import CompletionError, Json, ToolResult
from llmreplay.errors import Refusal, UnknownWire, UnmatchedRequest
from tests.corpus import oracle

pytestmark = pytest.mark.skipif(oracle.FOLDER is None, reason="LLMREPLAY_CORPUS does not name the corpus")


@dataclass(frozen=True)
class Conversation:
    """A file whose model calls tools, and is told what came of them."""

    place: tuple[str, str]
    provider: str
    first: CompletionRequest
    results: dict[str, Any]


@cache
def conversations() -> list[Conversation]:
    """Return the files in which the first answer calls tools that the second request brings back."""
    found = []
    for place in oracle.files():
        asked = []
        for exchange in load(Path(oracle.FOLDER or "", *place)).exchanges:
            try:
                asked.append((exchange, exchange.decode_request()))
            except (UnknownWire, CompletionError):
                continue
        if len(asked) < 2 or not asked[1][1].tool_results:
            continue
        exchange, first = asked[0]
        try:
            if not exchange.decode().tool_calls:
                continue
        except CompletionError:
            continue
        codec = codecs.codec_of(exchange.request)
        provider = codec.provider(exchange.request) or codec.name
        results = {}
        for _, request in asked:
            results.update(_results(request))
        found.append(Conversation(place, provider, first.model_copy(update={"raw": None}), results))
    return found


def _results(request: CompletionRequest) -> dict[str, Any]:
    """Return what tools gave back, by their names and arguments."""
    calls = [call for message in request.messages for call in message.tool_calls]
    given = [result for message in request.messages for result in message.tool_results]
    found = {}
    for place, call in enumerate(calls):
        by_id = (result for result in given if result.id and result.id in {call.id, call.call_id})
        result = next(by_id, given[place] if place < len(given) else None)
        if result is not None:
            found[_key(call.name, call.arguments)] = _value(result)
    return found


def _key(name: str, arguments: Any) -> str:
    return f"{name} {json.dumps(arguments, sort_keys=True)}"


def _value(result: ToolResult) -> Any:
    content = result.content
    return content[0].value if len(content) == 1 and isinstance(content[0], Json) else result.text


def agent_of(model: ReplayModel, conversation: Conversation) -> Agent:
    """Return an agent that has been told what the recorded one had been told."""

    def tool(definition: ToolDefinition) -> Tool[..., Any]:
        def given(**arguments: Any) -> Any:
            return conversation.results[_key(definition.name, arguments)]

        # The model of then may have sent what its own schema does not take.
        return Tool.from_definition(definition.model_copy(update={"parameters": {}}), given)

    first = conversation.first
    tools = [tool(one) if isinstance(one, ToolDefinition) else one for one in first.tools]
    common = first.model_copy(update={"messages": [], "tools": [], "stream": False})
    return Agent(model, tools=tools, request=common, max_turns=10)


async def run(conversation: Conversation, *, streamed: bool) -> tuple[ReplayModel, Usage]:
    """Let the agent talk; return the model, and the usage of the run."""
    model = ReplayModel(load(Path(oracle.FOLDER or "", *conversation.place)))
    *history, prompt = conversation.first.messages
    request = agent_of(model, conversation).prompt(prompt, history=history)
    if not streamed:
        return model, (await request.extended_details()).usage
    async with request.stream() as events:
        finished = [event async for event in events if isinstance(event, RunFinished)]
    return model, finished[0].response.usage


def told(conversation: Conversation, model: ReplayModel) -> tuple[int, int, int] | None:
    """Return the sum of what the oracle found in the exchanges that were played; None if it found none."""
    places = [
        place
        for place, exchange in enumerate(load(Path(oracle.FOLDER or "", *conversation.place)).exchanges)
        if any(exchange.response == played.response for played in model.calls)
    ]
    rows = [oracle.oracle().get((*conversation.place, place)) for place in places]
    if len(rows) != len(model.calls) or any(row is None for row in rows):
        return None
    sums = [oracle.expected(row)["usage"] for row in rows if row is not None]
    return tuple(sum(column) for column in zip(*sums, strict=True))  # type: ignore[return-value]  # three


async def outcomes(*, streamed: bool) -> dict[str, Counter[str]]:
    """Return what came of each file, by provider; raise where the usage is not that of the oracle."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for conversation in conversations():
        try:
            model, usage = await run(conversation, streamed=streamed)
        except Refusal:
            found[conversation.provider]["refused"] += 1
            continue
        except Exception as error:
            found[conversation.provider][type(error).__name__] += 1
            continue
        sums = told(conversation, model)
        if sums is None:
            found[conversation.provider]["answered, untold"] += 1
            continue
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == sums, conversation.place
        assert usage == model.usage
        found[conversation.provider]["answered"] += 1
        if len(model.calls) > 2:
            found[conversation.provider]["in three turns or more"] += 1
    return found


FOUND = {
    "anthropic": {"answered": 3, "refused": 2},
    "azure": {"answered": 3, "refused": 1},
    "bedrock": {"answered": 5, "in three turns or more": 3, "answered, untold": 3, "refused": 8},
    "cohere": {"answered, untold": 3, "refused": 1},
    "crusoe": {"answered": 1},
    "deepseek": {"answered": 2, "refused": 1},
    "google": {"answered": 11, "refused": 2},
    "groq": {"answered": 1, "refused": 2},
    "mistral": {"answered": 1},
    "ollama": {"answered": 4, "refused": 1},
    "openai": {"answered": 18, "in three turns or more": 2, "refused": 8},
    "openrouter": {"answered": 5, "refused": 2},
    "snowflake": {"answered": 2},
    "vertex": {"refused": 4, "CompletionFailed": 1, "UnknownToolCall": 1},
}
"""What comes of the files. Refused are those in which the recorded agent went on as ours does not: it changed
its tools or how one is chosen, sent media beside a result, handed over to another agent, or asked again."""


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streaming"])
async def test_an_agent_is_answered_from_recordings_of_many_providers(streamed: Any) -> None:
    """The usage of each run is compared with the oracle's on the way."""
    found = await outcomes(streamed=streamed)

    assert {provider: dict(counts) for provider, counts in found.items()} == FOUND


async def test_a_recording_is_matched_by_what_was_said() -> None:
    """A result that was another one then is refused, and the refusal names it."""
    conversation = next(one for one in conversations() if one.provider == "anthropic")
    changed = replace(conversation, results=dict.fromkeys(conversation.results, "something else"))

    with pytest.raises(UnmatchedRequest, match="something else"):
        await run(changed, streamed=False)


if __name__ == "__main__":
    import asyncio
    import sys

    for provider, counts in sorted(asyncio.run(outcomes(streamed=False)).items()):
        sys.stdout.write(f"{provider} {dict(counts)}\n")

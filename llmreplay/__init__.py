"""Record, script and replay the calls that code makes to language models.

    from llmreplay import use_cassette

    with use_cassette("weather.yaml", record="once") as cassette:
        agent("What is the weather in Paris?")

Names are imported when they are first used, so that `import llmreplay` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmreplay.agent import Agent as Agent
    from llmreplay.agent import tool as tool
    from llmreplay.cassette import Cassette as Cassette
    from llmreplay.cassette import load as load
    from llmreplay.completion import CompletionError as CompletionError
    from llmreplay.completion import CompletionRequest as CompletionRequest
    from llmreplay.completion import CompletionResponse as CompletionResponse
    from llmreplay.completion import FinishReason as FinishReason
    from llmreplay.completion import Message as Message
    from llmreplay.completion import StreamEvent as StreamEvent
    from llmreplay.completion import ToolCall as ToolCall
    from llmreplay.completion import ToolDefinition as ToolDefinition
    from llmreplay.completion import Usage as Usage
    from llmreplay.errors import LiveCallBlocked as LiveCallBlocked
    from llmreplay.errors import LLMReplayError as LLMReplayError
    from llmreplay.errors import RecordingEnded as RecordingEnded
    from llmreplay.errors import Refusal as Refusal
    from llmreplay.errors import ScriptExhausted as ScriptExhausted
    from llmreplay.errors import UnmatchedRequest as UnmatchedRequest
    from llmreplay.exchange import Chunk as Chunk
    from llmreplay.exchange import Exchange as Exchange
    from llmreplay.exchange import Failure as Failure
    from llmreplay.exchange import Request as Request
    from llmreplay.exchange import Response as Response
    from llmreplay.intercept import AsyncRecordingTransport as AsyncRecordingTransport
    from llmreplay.intercept import RecordingTransport as RecordingTransport
    from llmreplay.model import CompletionModel as CompletionModel
    from llmreplay.model import CompletionRequestBuilder as CompletionRequestBuilder
    from llmreplay.model import ProviderModel as ProviderModel
    from llmreplay.model import ReplayModel as ReplayModel
    from llmreplay.model import ScriptedModel as ScriptedModel
    from llmreplay.script import Script as Script
    from llmreplay.script import call as call
    from llmreplay.script import cut as cut
    from llmreplay.script import fail as fail
    from llmreplay.script import respond as respond
    from llmreplay.script import say as say
    from llmreplay.script import spoil as spoil
    from llmreplay.script import turn as turn
    from llmreplay.use import use_cassette as use_cassette
    from llmreplay.use import use_script as use_script

_ROOMS = {
    "agent": ("Agent", "tool"),
    "cassette": ("Cassette", "load"),
    "completion": (
        "CompletionError",
        "CompletionRequest",
        "CompletionResponse",
        "FinishReason",
        "Message",
        "StreamEvent",
        "ToolCall",
        "ToolDefinition",
        "Usage",
    ),
    "errors": (
        "LLMReplayError",
        "LiveCallBlocked",
        "RecordingEnded",
        "Refusal",
        "ScriptExhausted",
        "UnmatchedRequest",
    ),
    "exchange": ("Chunk", "Exchange", "Failure", "Request", "Response"),
    "intercept": ("AsyncRecordingTransport", "RecordingTransport"),
    "model": ("CompletionModel", "CompletionRequestBuilder", "ProviderModel", "ReplayModel", "ScriptedModel"),
    "script": ("Script", "call", "cut", "fail", "respond", "say", "spoil", "turn"),
    "use": ("use_cassette", "use_script"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_ROOM_OF)  # noqa: PLE0605  a list of names, made from the table above


if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> Any:
        room = _ROOM_OF.get(name)
        if room is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"llmreplay.{room}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

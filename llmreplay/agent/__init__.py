"""An agent, small enough to be read: a model, tools, and the loop between them.

Agent               prompt, chat, prompt_typed, extractor, and their streams
tool, Tool          typed Python functions that a model may call
AgentRun            the loop itself, without input or output; it can be stored and gone on with
Hook                what code may see and change on the way
AgentEvent          what a stream tells
AgentError          how it fails

Rules:

* It needs nothing of a model but `completion` and `stream`.
* Blocking and streaming drive the same `AgentRun`: same history, usage and errors.
* What is data can be stored; what is code (model, tools, hooks, memory) belongs to the agent.
"""

from __future__ import annotations

from llmreplay.agent._agent import Agent
from llmreplay.agent._errors import (
    AgentError,
    CompletionFailed,
    DeserializationError,
    EmptyResponse,
    ExtractionError,
    ExtractionFailed,
    InvalidData,
    MaxTurnsError,
    MemoryFailed,
    NoData,
    PromptCancelled,
    PromptError,
    StructuredOutputError,
    TypedPromptFailed,
    UnknownToolCall,
)
from llmreplay.agent._events import (
    AgentEvent,
    CallCompleted,
    ModelEvent,
    RunFinished,
    ToolCommitted,
    ToolReturned,
    TurnRetried,
)
from llmreplay.agent._extractor import Extraction, Extractor
from llmreplay.agent._hook import (
    Continue,
    Fail,
    Hook,
    InvalidToolCall,
    Repair,
    RequestPatch,
    Retry,
    Rewrite,
    Skip,
    Stop,
    ToolOutcome,
)
from llmreplay.agent._memory import ListMemory, Memory
from llmreplay.agent._output import OutputMode
from llmreplay.agent._prompt import DetailedRequest, PromptRequest
from llmreplay.agent._run import AgentRun
from llmreplay.agent._steps import CallModel, CallTools, CompletionCall, Done, PromptResponse, RunSettings
from llmreplay.agent._stream import AgentStream
from llmreplay.agent._tool import Tool, tool
from llmreplay.agent._tool_error import ToolError, ToolErrorKind

__all__ = [
    "Agent",
    "AgentError",
    "AgentEvent",
    "AgentRun",
    "AgentStream",
    "CallCompleted",
    "CallModel",
    "CallTools",
    "CompletionCall",
    "CompletionFailed",
    "Continue",
    "DeserializationError",
    "DetailedRequest",
    "Done",
    "EmptyResponse",
    "Extraction",
    "ExtractionError",
    "ExtractionFailed",
    "Extractor",
    "Fail",
    "Hook",
    "InvalidData",
    "InvalidToolCall",
    "ListMemory",
    "MaxTurnsError",
    "Memory",
    "MemoryFailed",
    "ModelEvent",
    "NoData",
    "OutputMode",
    "PromptCancelled",
    "PromptError",
    "PromptRequest",
    "PromptResponse",
    "Repair",
    "RequestPatch",
    "Retry",
    "Rewrite",
    "RunFinished",
    "RunSettings",
    "Skip",
    "Stop",
    "StructuredOutputError",
    "Tool",
    "ToolCommitted",
    "ToolError",
    "ToolErrorKind",
    "ToolOutcome",
    "ToolReturned",
    "TurnRetried",
    "TypedPromptFailed",
    "UnknownToolCall",
    "tool",
]

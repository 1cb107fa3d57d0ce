"""What an exchange meant, in one vocabulary for all providers.

Rules:

* Values are frozen, and unknown fields are refused; what a wire says beyond the vocabulary lies
  in `extra` (requests, contents) or `raw` (responses), untouched.
* `raw` and `Usage.details` do not count in comparisons: two providers can mean the same.
* Errors are ordinary exceptions, since they are what the code under test has to handle.
* Nothing here knows a wire; `llmreplay.codecs` does.
"""

from __future__ import annotations

from llmreplay.completion._contents import (
    AssistantContent,
    Audio,
    Document,
    Image,
    Json,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    ToolResultContent,
    UserContent,
    Video,
)
from llmreplay.completion._errors import (
    RETRYABLE,
    CompletionError,
    ErrorKind,
    HttpError,
    JsonError,
    ProviderError,
    RequestError,
    ResponseError,
)
from llmreplay.completion._events import (
    AudioDelta,
    ContentReceived,
    Final,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamError,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    UnknownEvent,
    UsageReported,
    told,
)
from llmreplay.completion._request import (
    CompletionRequest,
    Message,
    ProviderTool,
    ResponseFormat,
    Role,
    SearchParameters,
    StreamOptions,
    ToolChoice,
    ToolDefinition,
)
from llmreplay.completion._response import (
    Choice,
    CompletionResponse,
    FinishReason,
    LogProbs,
    TokenLogProb,
    TopLogProb,
)
from llmreplay.completion._usage import Usage

__all__ = [
    "RETRYABLE",
    "AssistantContent",
    "Audio",
    "AudioDelta",
    "Choice",
    "CompletionError",
    "CompletionRequest",
    "CompletionResponse",
    "ContentReceived",
    "Document",
    "ErrorKind",
    "Final",
    "FinishReason",
    "Finished",
    "HttpError",
    "Image",
    "Json",
    "JsonError",
    "LogProbs",
    "Message",
    "ProviderContent",
    "ProviderError",
    "ProviderTool",
    "Reasoning",
    "ReasoningDelta",
    "ReasoningPart",
    "Refusal",
    "RefusalDelta",
    "RequestError",
    "ResponseError",
    "ResponseFormat",
    "Role",
    "SearchParameters",
    "Source",
    "Started",
    "StreamError",
    "StreamEvent",
    "StreamOptions",
    "Text",
    "TextDelta",
    "TokenLogProb",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEnd",
    "ToolCallStart",
    "ToolChoice",
    "ToolDefinition",
    "ToolResult",
    "ToolResultContent",
    "TopLogProb",
    "UnknownEvent",
    "Usage",
    "UsageReported",
    "UserContent",
    "Video",
    "told",
]

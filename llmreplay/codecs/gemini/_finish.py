"""Why Gemini stops, in its words and in ours.

https://ai.google.dev/api/generate-content#FinishReason; with `enum-encoding=int` the words are numbers, of
which the first four are the same in all of Google's APIs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmreplay.completion import FinishReason

if TYPE_CHECKING:
    from llmreplay.completion import Choice

__all__ = ["FINISH", "UNSPECIFIED", "spelled_reason"]

FINISH: dict[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "1": FinishReason.STOP,
    "2": FinishReason.LENGTH,
    "3": FinishReason.CONTENT_FILTER,
    "4": FinishReason.CONTENT_FILTER,
}

UNSPECIFIED = frozenset({"", "0", "FINISH_REASON_UNSPECIFIED"})
"""What means that the model goes on."""

_SPELLED = {"tool_calls": "STOP", "stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


def spelled_reason(choice: Choice) -> str:
    """Return Google's word for why an answer stopped."""
    if choice.raw_finish_reason in FINISH:
        return choice.raw_finish_reason
    return _SPELLED.get(choice.finish_reason or "stop") or str(choice.finish_reason)

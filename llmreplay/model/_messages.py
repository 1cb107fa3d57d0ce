"""What may be sent to a model: messages that each hold something.

A provider that is sent nothing answers with an error, or with something it made up. What was recorded may
well hold such messages, and is read as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmreplay.completion import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.completion import Message

__all__ = ["refuse_empty"]


def refuse_empty(messages: Sequence[Message], provider: str | None = None) -> None:
    """Raise `RequestError` if a message has no content."""
    for place, message in enumerate(messages):
        if not message.content:
            raise RequestError(f"messages[{place}] ({message.role}) has no content", provider=provider)

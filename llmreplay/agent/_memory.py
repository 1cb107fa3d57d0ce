"""Conversations that an agent remembers from one prompt to the next."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.completion import Message

__all__ = ["ListMemory", "Memory"]


@runtime_checkable
class Memory(Protocol):
    """Where conversations are kept.

    Loading that fails fails the prompt. What a run adds is appended when it has its answer; if that
    fails, it is logged, and the answer stands.
    """

    async def load(self, conversation: str) -> Sequence[Message]:
        """Return what was said so far; nothing, if it is new."""
        ...

    async def append(self, conversation: str, messages: Sequence[Message]) -> None:
        """Add what a run said."""
        ...


class ListMemory:
    """Conversations in lists, as long as the object lives."""

    def __init__(self) -> None:
        self.conversations: dict[str, list[Message]] = defaultdict(list)

    async def load(self, conversation: str) -> list[Message]:
        """Return what was said so far."""
        return list(self.conversations[conversation])

    async def append(self, conversation: str, messages: Sequence[Message]) -> None:
        """Add what a run said."""
        self.conversations[conversation].extend(messages)

"""Whether a stream has told all it had to tell: a client that leaves after that missed nothing.

Server-sent events, JSON lines and the event streams of AWS. A wire that is not listed has no terminal
event, or none that is known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmreplay.exchange import Response

__all__ = ["reached"]

# A line end cannot stand inside JSON, nor an unescaped quote inside a string of it: what is found
# here is no text of the model. The line must be whole, or the client has not seen the event.
_DONE = r"(?:\A|[\r\n])data: ?\[DONE\]"
_TYPED = r'(?:\A|[\r\n])data: ?\{{[^\r\n]*"type" ?: ?"(?:{})"[^\r\n]*[\r\n]'


def _typed(types: str, *, done: bool = False) -> re.Pattern[bytes]:
    pattern = _TYPED.format(types)
    return re.compile(f"{pattern}|{_DONE}".encode() if done else pattern.encode())


_CHAT = re.compile(_DONE.encode())

_TERMINALS = {
    "openai_chat": _CHAT,
    "openai_completions": _CHAT,
    "mistral": _CHAT,
    "mistral_fim": _CHAT,
    "openai_assistants": re.compile((_DONE + r"|(?:\A|[\r\n])event: ?done[\r\n]").encode()),
    "openai_responses": _typed(r"response\.(?:completed|incomplete|failed)|error", done=True),
    "anthropic_messages": _typed("message_stop|error"),
    "cohere": _typed("message-end", done=True),
    "gemini_interactions": _CHAT,
    "vocabulary": re.compile(rb"(?:\A|[\r\n])event: ?(?:final|stream_error)[\r\n]"),
    "sourcegraph": re.compile(rb"(?:\A|[\r\n])event: ?done[\r\n]"),
}

# A line that is done, and holds no other flag that would be of a tool's arguments.
_LINE_DONE = re.compile(rb'(?:\A|[\r\n])\{(?![^\r\n]*"done" ?: ?false)[^\r\n]*"done" ?: ?true[^\r\n]*[\r\n]')
_TERMINALS |= {"ollama": _LINE_DONE, "ollama_generate": _LINE_DONE}


_TAIL = 16 * 1024
"""Bytes at the end of a body that are searched: a terminal is short, and nothing of size follows it."""

_WHOLE = frozenset({"openai_responses", "vocabulary"})
"""Wires whose terminal event holds the whole answer."""


def reached(wire: str, response: Response) -> bool:
    """Return whether the body holds the terminal event of its wire; False where that is not known."""
    if wire in _AWS:
        return _aws_reached(response.body)
    pattern = _TERMINALS.get(wire)
    if pattern is None:
        return False
    body = response.body
    return pattern.search(body, 0 if wire in _WHOLE else max(0, len(body) - _TAIL)) is not None


_AWS = frozenset({"bedrock_converse", "bedrock_invoke"})


def _aws_reached(body: bytes) -> bool:
    """Return whether the last event is `metadata`, Anthropic's `message_stop`, or an exception."""
    from llmreplay.codecs._aws_frames import bodies  # noqa: PLC0415  this module is always loaded

    name, data = "", None
    for name, data in bodies(body):  # noqa: B007  the last one counts
        pass
    stopped = isinstance(data, dict) and data.get("type") == "message_stop"
    return name == "metadata" or name.endswith("Exception") or stopped

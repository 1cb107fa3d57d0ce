"""Where the frames of a body end, and a response that breaks off at one of them, or anywhere.

Rules:

* What counts as a frame is what a client is told at once: an event, a line, an element of an array.
  Comments of an event stream are none.
* A break keeps the boundaries and delays of what came before it.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from llmreplay.exchange import Chunk, Failure, Response
from llmreplay.framing.jsonarray import JSONArrayParser, NotAnArray
from llmreplay.framing.sse import FrameTooLong

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["How", "break_off", "frame_ends"]

How = Literal["eof", "reset", "timeout", "end"]
"""How a stream breaks: the connection is closed too early, or reset, or nothing comes any more; or the
stream ends in good order without what should have ended it, which most SDKs take for a whole answer."""

_BREAKS: dict[str, Failure] = {
    "eof": Failure(
        "RemoteProtocolError",
        "peer closed connection without sending complete message body (incomplete chunked read)",
        "body",
    ),
    "reset": Failure("ReadError", "[Errno 104] Connection reset by peer", "body"),
    "timeout": Failure("ReadTimeout", "The read operation timed out", "body"),
}
# A group that does not give back: CR LF is one line end, never two.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)+")
_FIELD = re.compile(rb"(?<![^\r\n])[^:\r\n]")  # at the start of a line, with any line end before it
_LENGTH = 4


def break_off(
    response: Response, *, after: int | None = None, after_bytes: int | None = None, how: How = "eof"
) -> Response:
    """Return a response that breaks off after so many frames, or so many bytes.

    Without either, and where the body has no frames, it breaks off in the middle.
    """
    at = len(response.body) // 2 if after_bytes is None else after_bytes
    if after is not None and (ends := frame_ends(response)):
        at = ends[min(after, len(ends)) - 1] if after else 0
    chunks = tuple(_up_to(response.chunks, at))
    if how == "end":
        # The length that was announced is that of the whole; without it, what came is all there is.
        headers = tuple(pair for pair in response.headers if pair[0].lower() != "content-length")
        return replace(response, headers=headers, chunks=chunks)
    return replace(response, chunks=chunks, ended="cut", failure=_BREAKS[how])


def _up_to(chunks: Iterable[Chunk], size: int) -> Iterable[Chunk]:
    for chunk in chunks:
        if size <= 0:
            return
        yield Chunk(chunk.data[:size], chunk.delay)
        size -= len(chunk.data)


def frame_ends(response: Response) -> list[int]:
    """Return where each frame of a streamed body ends, in bytes; empty for a body without frames."""
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    body = response.body
    if kind == "text/event-stream":
        return _events(body)
    if kind == "application/vnd.amazon.eventstream":
        return _messages(body)
    if kind in {"application/x-ndjson", "application/jsonl", "application/stream+json"}:
        return [match.end() for match in re.finditer(rb"[^\n]*\S[^\n]*(?:\n|\Z)", body)]
    if kind == "application/json" and body.lstrip().startswith(b"["):
        return _elements(body)
    return []


def _events(body: bytes) -> list[int]:
    ends, start = [], 0
    for match in _BLANK_LINE.finditer(body):
        if _FIELD.search(body, start, match.start()):
            ends.append(match.end())
        start = match.end()
    return [*ends, len(body)] if _FIELD.search(body, start) else ends


def _messages(body: bytes) -> list[int]:
    ends, at = [], 0
    while at + _LENGTH <= len(body) and (size := int.from_bytes(body[at : at + _LENGTH], "big")) > _LENGTH:
        at += size
        ends.append(min(at, len(body)))
    return ends


def _elements(body: bytes) -> list[int]:
    parser = JSONArrayParser()
    ends: list[int] = []
    # What cannot be read any further has no frames there.
    with contextlib.suppress(NotAnArray, FrameTooLong, ValueError):
        ends.extend(at + 1 for at in range(len(body)) if parser.feed(body[at : at + 1]))
    return ends

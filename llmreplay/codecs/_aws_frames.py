"""The events of an AWS event stream as names and JSON, and nothing else built."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import parse
from llmreplay.framing import eventstream

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bodies", "parsed", "unwrapped"]


def parsed(data: bytes) -> Any:
    """Return the parsed JSON; None where it is none."""
    try:
        return parse(data)
    except ValueError:
        return None


def bodies(body: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the events of a stream, as name and JSON; a `chunk` is what it holds.

    Stops where the stream is damaged.
    """
    parser = eventstream.EventStreamParser()
    parser.receive(body)
    try:
        while (frame := parser.next_frame()) is not None:
            name = frame.text(":event-type") or frame.text(":exception-type") or ""
            data = parsed(frame.payload)
            yield name, parsed(unwrapped(data)) if name == "chunk" else data
    except ValueError:
        return


def unwrapped(chunk: Any) -> bytes:
    """Return the bytes that a `chunk` event holds; raise ValueError if it has none."""
    if not isinstance(chunk, dict) or not isinstance(chunk.get("bytes"), str):
        raise ValueError("the chunk has no bytes")  # noqa: TRY004  one error for all that cannot be read
    return base64.b64decode(chunk["bytes"], validate=True)

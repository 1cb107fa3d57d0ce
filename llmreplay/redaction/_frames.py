"""Rewriting what AWS event stream frames carry, with their lengths and checksums made right again.

A frame is: total length, length of its headers, CRC-32 of those eight bytes; headers; payload; CRC-32
of all before (https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html). The payloads
are searched as lines of one text, since a stream spells a text over many frames.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

from llmreplay.redaction._rewrite import move

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmreplay.redaction._rewrite import Edit

    Rewrite = Callable[[bytes], tuple[bytes, list[list[Edit]]]]

__all__ = ["is_event_stream", "rewrite_frames"]

_PRELUDE = struct.Struct(">III")
_OVERHEAD = 16


def _frames(body: bytes) -> list[tuple[int, int, int]] | None:
    """Where each whole frame starts, its payload starts, and it ends; None if this is no event stream."""
    frames: list[tuple[int, int, int]] = []
    start = 0
    while start + _PRELUDE.size <= len(body):
        total, headers, checksum = _PRELUDE.unpack_from(body, start)
        if total < headers + _OVERHEAD or zlib.crc32(body[start : start + 8]) != checksum:
            return None
        if start + total > len(body):  # cut off by a failure
            break
        frames.append((start, start + _PRELUDE.size + headers, start + total))
        start += total
    return frames or None


def is_event_stream(body: bytes) -> bool:
    """Whether a body begins as an AWS event stream does."""
    return len(body) > _OVERHEAD and body[0] == 0 and zlib.crc32(body[:8]).to_bytes(4) == body[8:12]


def rewrite_frames(body: bytes, places: Sequence[int], rewrite: Rewrite) -> tuple[bytes, list[int]] | None:
    """Rewrite the payloads of a body; return it with the places moved, or None if it cannot be read."""
    frames = _frames(body)
    if frames is None:
        return None
    payloads = [body[payload : end - 4] for _, payload, end in frames]
    text = b"\n".join(payloads)
    new_text, steps = rewrite(text)
    edges = [0]
    for payload in payloads:
        edges += (edges[-1] + len(payload), edges[-1] + len(payload) + 1)
    inside = [edges[index] for index in range(len(edges) - 1)]
    moved = _through(inside, steps)
    pieces: list[bytes] = []
    marks: list[tuple[int, int]] = [(0, 0)]
    length = 0
    for number, (start, inner, end) in enumerate(frames):
        new = new_text[moved[2 * number] : moved[2 * number + 1]]
        frame = body[start:end] if new == payloads[number] else _frame(body[start + 12 : inner], new)
        marks += (
            (inner, length + inner - start),
            (end - 4, length + len(frame) - 4),
            (end, length + len(frame)),
        )
        pieces.append(frame)
        length += len(frame)
    rest = body[frames[-1][2] :]
    marks.append((len(body), length + len(rest)))
    return b"".join([*pieces, rest]), [_between(marks, place) for place in places]


def _through(places: Sequence[int], steps: Sequence[Sequence[Edit]]) -> list[int]:
    moved = list(places)
    for edits in steps:
        moved = move(moved, edits)
    return moved


def _frame(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", len(headers) + len(payload) + _OVERHEAD, len(headers))
    head = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))


def _between(marks: Sequence[tuple[int, int]], place: int) -> int:
    """Move a place with the mark before it, at most up to the mark after it."""
    for (old, new), (old_next, new_next) in pairwise(marks):
        if old <= place < old_next:
            return min(new + place - old, new_next)
    return marks[-1][1]

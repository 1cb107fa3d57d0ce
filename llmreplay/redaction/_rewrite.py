"""Replacing spans of some bytes while remembering where every other place went.

Rules:

* Edits do not overlap. Whatever lies between them is copied byte for byte.
* A place inside a replaced span moves into its replacement; every other place keeps its
  neighbours. So the number of chunks, and their delays, survive any edit.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from llmreplay.exchange import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Edit", "apply", "cut_places", "cut_up", "difference", "move"]


class Edit(NamedTuple):
    """Put `text` where `start:end` was."""

    start: int
    end: int
    text: bytes


def apply(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Carry out edits, which are sorted by their start."""
    pieces: list[bytes] = []
    position = 0
    for edit in edits:
        pieces += (data[position : edit.start], edit.text)
        position = edit.end
    pieces.append(data[position:])
    return b"".join(pieces)


def move(places: Sequence[int], edits: Sequence[Edit]) -> list[int]:
    """Say where places, sorted, are found after the edits, sorted too."""
    moved: list[int] = []
    shift = index = 0
    for place in places:
        while index < len(edits) and edits[index].end <= place:
            shift += len(edits[index].text) - (edits[index].end - edits[index].start)
            index += 1
        if index < len(edits) and edits[index].start < place:
            edit = edits[index]
            moved.append(edit.start + shift + min(place - edit.start, len(edit.text)))
        else:
            moved.append(place + shift)
    return moved


def cut_places(chunks: Sequence[Chunk]) -> list[int]:
    """Where each chunk ends, counted from the start of the body."""
    return list(accumulate(len(chunk.data) for chunk in chunks))


def cut_up(body: bytes, places: Sequence[int], chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Cut a body at the given places, with the delays of the chunks it came in."""
    starts = (0, *places[:-1])
    return tuple(
        Chunk(body[start:end], chunk.delay) for start, end, chunk in zip(starts, places, chunks, strict=True)
    )


def difference(old: bytes, new: bytes) -> list[Edit]:
    """Say what has changed: by line where it kept the lines, else as one span."""
    if old == new:
        return []
    lines, new_lines = old.split(b"\n"), new.split(b"\n")
    if len(lines) != len(new_lines):
        lines, new_lines = [old], [new]
    edits: list[Edit] = []
    position = 0
    for line, new_line in zip(lines, new_lines, strict=True):
        if line != new_line:
            start = _shared(line, new_line)
            end = _shared(line[start:][::-1], new_line[start:][::-1])
            text = new_line[start : len(new_line) - end]
            edits.append(Edit(position + start, position + len(line) - end, text))
        position += len(line) + 1
    return edits


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))

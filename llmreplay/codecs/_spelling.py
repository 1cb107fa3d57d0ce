"""Where a wire spells one thing in two ways, the spelling of the request that was read is kept.

A text alone is a string or a list of one block, a stop is one or a list of one, a false flag is there
or left out: the vocabulary does not tell them apart, and its reader need not. Whoever writes a request
that was read compares with its `raw`, and takes from there what means the same, and nothing else.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["respelled"]


def respelled(written: Any, raw: Any, defaults: dict[str, str] | None = None) -> Any:
    """Return what was written, with the spelling of `raw` where both mean the same.

    `defaults` are the words that may be left out, by their key.
    """
    defaults = defaults or {}
    if isinstance(written, dict) and isinstance(raw, dict):
        kept = {key: respelled(value, raw.get(key), defaults) for key, value in written.items()}
        return kept | {
            key: value
            for key, value in raw.items()
            if key not in written and (_is_empty(value) or (key in defaults and defaults[key] == value))
        }
    if isinstance(written, list) and isinstance(raw, list):
        rest: list[Any] = [None] * (len(written) - len(raw))
        return [
            respelled(value, old, defaults)
            for value, old in zip(written, [*raw, *rest][: len(written)], strict=True)
        ]
    return raw if _same(written, raw) else written


def _same(written: Any, raw: Any) -> bool:
    if isinstance(written, str) and isinstance(raw, list):
        return bool(written) and _block(raw) == written
    if isinstance(written, list) and isinstance(raw, str):
        return bool(raw) and (_block(written) == raw or written == [raw])
    if isinstance(written, str) and isinstance(raw, str) and written[:1] in {"{", "["}:  # JSON in a string
        try:
            return bool(json.loads(written) == json.loads(raw))
        except (ValueError, RecursionError):
            return False
    return False


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, (str, list, dict)) and not value)


def _block(blocks: list[Any]) -> Any:
    """Return the text of a list of one block that is nothing but text."""
    block = blocks[0] if len(blocks) == 1 and isinstance(blocks[0], dict) else {}
    block = {key: value for key, value in block.items() if key == "text" or not _is_empty(value)}
    known = block.keys() == {"text"} or (block.keys() == {"type", "text"} and block["type"] == "text")
    return block["text"] if known else None

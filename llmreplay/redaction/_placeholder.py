"""What stands where a secret was, and which number it carries."""

from __future__ import annotations

import re
import threading

__all__ = ["PLACEHOLDERS", "Numbering", "is_only_placeholders", "placeholder"]

PLACEHOLDERS = re.compile(r"(?:\[|%5[Bb])redacted-\d+(?:\]|%5[Dd])")
"""Every placeholder in a text, also as it is spelled where a URL allows no brackets."""

PLACEHOLDER_BYTES = re.compile(PLACEHOLDERS.pattern.encode())
_ANY_LETTER_OR_DIGIT = re.compile(rb"[A-Za-z0-9\x80-\xff]")


def placeholder(number: int) -> str:
    """Return the placeholder of the secret with this number, e.g. `[redacted-1]`."""
    return f"[redacted-{number}]"


def is_only_placeholders(data: bytes, start: int, end: int) -> bool:
    """Whether a span holds nothing but placeholders, or lies inside one."""
    if b"redacted-" not in data[max(0, start - 10) : end + 10]:
        return False
    span = PLACEHOLDER_BYTES.sub(b"", data[start:end])
    if not _ANY_LETTER_OR_DIGIT.search(span):
        return True
    return any(
        match.start() <= start and end <= match.end()
        for match in PLACEHOLDER_BYTES.finditer(data, max(0, start - 32), end + 32)
    )


class Numbering:
    """Gives each secret its number: the same for the same secret, whoever asks."""

    def __init__(self, first: int) -> None:
        self._lock = threading.Lock()
        self._next = first
        self._numbers: dict[bytes, int] = {}

    def of(self, secret: bytes) -> int:
        """Return the number of a secret, a new one where it is met for the first time."""
        with self._lock:
            number = self._numbers.get(secret)
            if number is None:
                number = self._numbers[secret] = self._next
                self._next += 1
            return number

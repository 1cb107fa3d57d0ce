"""Signatures of reasoning that we made up, and can check later without having kept them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import blake2b

__all__ = ["is_forged", "is_ours", "sign"]

_MARK = b"llmreplay"


def sign(thinking: str) -> str:
    """Return the signature of a text: ours is always the same."""
    return b64encode(
        _MARK + blake2b(thinking.encode("utf-8", "surrogatepass"), digest_size=54).digest()
    ).decode()


def is_ours(signature: str) -> bool:
    """Return whether we made a signature up."""
    try:
        return b64decode(signature, validate=True).startswith(_MARK)
    except ValueError:
        return False


def is_forged(thinking: str, signature: str) -> bool:
    """Return whether a signature is ours, but of another text."""
    return is_ours(signature) and signature != sign(thinking)

"""Request x recorded requests -> the one that answers, or why none does.

    key(request)                what two requests must share to be the same question
    explanation.explain(...)    the nearest recorded request, and where it differs

Rules are in `_keys` (what counts) and `explanation` (how a difference is told), which is imported for a
miss alone.
"""

from __future__ import annotations

from llmreplay.matching._index import Index
from llmreplay.matching._keys import Ignore, Key, exact_key, key, loose_key, parse_ignore, verbatim_key

__all__ = ["Ignore", "Index", "Key", "exact_key", "key", "loose_key", "parse_ignore", "verbatim_key"]

"""Request x recorded requests -> the one that answers, or why none does.

    key(request)        what two requests must share to be the same question
    explain(...)        the nearest recorded request, and where it differs

Rules are in `_keys` (what counts) and `_explain` (how a difference is told).
"""

from __future__ import annotations

from llmreplay.matching._explain import Candidate, Difference, Mismatch, explain
from llmreplay.matching._index import Index
from llmreplay.matching._keys import Ignore, Key, exact_key, key, loose_key, parse_ignore, verbatim_key

__all__ = [
    "Candidate",
    "Difference",
    "Ignore",
    "Index",
    "Key",
    "Mismatch",
    "exact_key",
    "explain",
    "key",
    "loose_key",
    "parse_ignore",
    "verbatim_key",
]

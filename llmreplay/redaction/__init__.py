r"""Exchanges that may be committed: secrets taken out before, and looked for again after, a write.

    rules = Redaction(patterns=[r"acct-\d+"])
    stored = rules.exchange(exchange)        # the same bytes, chunks and delays, without the secrets
    assert not rules.find(document)          # the last look at what is about to be written

What counts as a secret: anything that looks like one (`_shapes`), the value of a field or parameter
named like one (`_fields`), the values of secret-named environment variables (`_values`), and what the
user adds. Headers are kept by allow-list (`_headers`).
"""

from __future__ import annotations

from llmreplay.redaction._headers import is_credential
from llmreplay.redaction._placeholder import PLACEHOLDERS, placeholder
from llmreplay.redaction._redaction import Finding, Redaction

__all__ = ["PLACEHOLDERS", "Finding", "Redaction", "is_credential", "placeholder"]

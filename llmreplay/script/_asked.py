"""What one call asked: the bytes at once, their meaning when somebody wants to know it.

Rules:

* A condition, a function, a tool call, a promise or a person wants to know; a text that is said does not.
* What cannot be read is refused at once. Codecs read every JSON object (their contract), but for those in
  `CHOOSY`, so that what is put off here does not fail later.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._json import mapping

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest
    from llmreplay.exchange import Request

__all__ = ["CHOOSY", "Asked"]

CHOOSY = frozenset({"vocabulary", "bedrock_invoke", "embeddings"})
"""Wires that do not take every JSON object: ours takes what the vocabulary takes, what a body of Bedrock's
`invoke` is only its fields tell, and embeddings are no completion."""


class Asked:
    """What one call asked, `raw` as it came; `deferred` says whether the answer may be put off.

    Raises `CompletionError` if that is no request of its wire.
    """

    def __init__(self, raw: Request, codec: Any) -> None:
        self.raw, self._codec = raw, codec
        if codec.name in CHOOSY or not isinstance(raw.json, dict):
            _ = self.request
        self.deferred = mapping(raw.json).get("deferred") is True and self.request.deferred is True

    @cached_property
    def request(self) -> CompletionRequest:
        """What was asked, in the words of the vocabulary."""
        request: CompletionRequest = self._codec.decode_request(self.raw)
        return request

    def settle(self) -> None:
        """Keep no more in memory than came: a script may be asked thousands of times."""
        vars(self.raw).pop("json", None)

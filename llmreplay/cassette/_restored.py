"""Reads back what `_kept` keeps beside a response in the formats of others.

Rules:

* What llmreplay wrote itself is read back as it was, and corrected nowhere, as long as the chunk sizes
  add up to the body; of a body that was edited, the body counts.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, get_args

from llmreplay.cassette._foreign import Trouble
from llmreplay.cassette._kept import PROVENANCE
from llmreplay.cassette._vcr_tree import meaning, text_of
from llmreplay.exchange import Chunk, Ended, Exchange, Failure, Origin, Phase, Provenance

if TYPE_CHECKING:
    from llmreplay.exchange import Headers, Request, Response

__all__ = ["Kept"]


class Kept:
    """What was kept of one exchange.

    Args:
        name: what the format calls it, for whoever has to mend it.
        tree: the mapping itself.
        part: where it stands in the file.
        at: when the exchange was recorded, if it does not say so itself.
    """

    def __init__(self, name: str, tree: dict[str, Any], part: dict[str, Any], at: str | None) -> None:
        self._name, self._tree, self._part, self._at = name, tree, part, at

    @property
    def failed(self) -> bool:
        """Whether there was no response, but a failure."""
        return "failure" in self._tree and "ended" not in self._tree

    def exchange(self, request: Request, plain: Response | None, headers: Headers, body: bytes) -> Exchange:
        """Return the exchange that was written.

        Args:
            request: the request as it was stored.
            plain: the response as anybody would read it; None if it failed.
            headers: the headers of the response as they were stored.
            body: its body as it was stored.
        """
        provenance = self._provenance()
        if plain is None:
            return Exchange(request, failure=self._failure(), provenance=provenance)
        response, restored = self._response(plain, headers, body)
        if not restored:
            provenance = replace(provenance, boundaries=False)
        return Exchange(request, response, provenance=provenance)

    def _provenance(self) -> Provenance:
        known: dict[str, Any] = {"at": self._at}
        known |= {name: text_of(self._tree[name]) for name in PROVENANCE if name in self._tree}
        boundaries = meaning(self._tree.get("boundaries")) is not False
        origin = self._one_of(Origin, self._tree, "origin", "imported")
        return Provenance(origin, boundaries=boundaries, **known)

    def _response(self, plain: Response, headers: Headers, body: bytes) -> tuple[Response, bool]:
        """Return the response, and whether its chunks are still those of its body."""
        tree = self._tree
        known = replace(
            plain,
            ended=self._one_of(Ended, tree, "ended", "complete"),
            failure=self._failure() if "failure" in tree else None,
            delay=self._seconds(tree.get("delay", "0")),
            http_version=text_of(tree.get("http_version")) or plain.http_version,
            reason=text_of(tree["reason"]) if "reason" in tree else plain.reason,
            encoding=text_of(tree.get("encoding")) or plain.encoding,
        )
        chunks, at = [], 0
        for chunk in str(tree.get("chunks", "")).split():
            size, _, delay = chunk.partition("+")
            if not size.isdecimal():
                problem = f"{self._name} has a chunk {chunk!r}; expected its size and delay, such as 13+0.5"
                raise Trouble(problem, self._part)
            chunks.append(Chunk(body[at : at + int(size)], self._seconds(delay or "0")))
            at += int(size)
        if "chunks" not in tree or at != len(body):
            return known, False  # edited by hand: the body counts, and its headers are put right
        encoding = text_of(tree.get("encoding"))
        return replace(known, headers=headers, chunks=tuple(chunks), encoding=encoding), True

    def _failure(self) -> Failure:
        tree = self._tree["failure"]
        failure: dict[str, Any] = tree if isinstance(tree, dict) else {}
        error = text_of(failure.get("error"))
        if not error:
            raise Trouble(f"{self._name} has a failure without the name of its error", self._part)
        phase = self._one_of(Phase, failure, "phase", "headers")
        message = text_of(failure.get("message")) or ""
        return Failure(error, message, phase, self._seconds(failure.get("delay", "0")))

    def _one_of(self, values: Any, tree: dict[str, Any], name: str, default: str) -> Any:
        value = text_of(tree.get(name, default))
        if value not in get_args(values):
            expected = f"expected one of {', '.join(get_args(values))}"
            raise Trouble(f"{self._name} has {name}: {value}; {expected}", self._part)
        return value

    def _seconds(self, milliseconds: Any) -> float:
        try:
            return float(Decimal(str(milliseconds)).scaleb(-3))
        except InvalidOperation:
            problem = f"{self._name} has a delay {milliseconds!r}; expected milliseconds"
            raise Trouble(problem, self._part) from None

"""A model that answers as it was recorded: any cassette, of any wire, decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from llmreplay import codecs
from llmreplay.cassette import Cassette, load
from llmreplay.codecs.vocabulary import CODEC
from llmreplay.completion import CompletionError, CompletionRequest
from llmreplay.errors import OptionError, UnknownWire
from llmreplay.exchange import Exchange
from llmreplay.model._counting import COUNTED, checked_counts, counted
from llmreplay.model._session import SessionModel
from llmreplay.session import Session, Split, Unused

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from llmreplay.exchange import Request
    from llmreplay.session import Replay

__all__ = ["ReplayModel"]

Order = Literal["match", "recorded"]
"""Which exchange answers: the first unplayed one of an equal request, or simply the next."""

_NO_ANSWERS = frozenset({"embeddings"})
"""Wires that are decoded, and answer nothing that a model is asked here."""


class ReplayModel(SessionModel):
    """A model that answers from recorded exchanges, by decoding them.

        with ReplayModel("cassettes/weather.yaml") as model:
            assert agent(model, "How is Paris?") == "Sunny."

    Each exchange answers once. Requests are compared by what they say (see `counts`), so that what was
    recorded through one SDK or framework answers another. `raw` of an answer is what was on the wire; an
    error is raised as it was recorded; a plain answer can be streamed, and a stream asked for as one.

    Other HTTP in the cassette, and what no codec decodes, is left alone.

    Args:
        cassette: a cassette, or the path of one in any format that `load` reads.
        order: `match` looks for an equal request; `recorded` gives the next exchange, whatever is asked.
        counts: the fields of a request that are compared. `temperature`, `model`, `max_tokens` … may be
            named; by default, what is said, the names of the tools, and how one is chosen.
        ignore: places that do not count either, such as `"messages[0]"`; see `use_cassette`. Messages are
            numbered as the report of a refusal has them.
        speed: 0 answers without waiting, 1 as fast as recorded.
        split: cuts streams anew; see `use_cassette`.
        unused: what exchanges that nobody asked for do at the end of a block: `fail`, `warn`, `ignore`.
    """

    def __init__(  # noqa: PLR0913  options, each by name
        self,
        cassette: Cassette | str | os.PathLike[str],
        *,
        order: Order = "match",
        counts: Iterable[str] = COUNTED,
        ignore: Iterable[str] = (),
        speed: float = 0.0,
        split: Split | Sequence[int] = None,
        unused: Unused = "fail",
    ) -> None:
        if order not in ("match", "recorded"):
            raise OptionError("order", order, "'match' or 'recorded'")
        self.cassette = cassette if isinstance(cassette, Cassette) else load(cassette)
        self._counts = checked_counts(counts)
        asked = _AsAsked(self.cassette, self._counts)
        super().__init__(
            Session(
                asked,
                ignore=["body"] if order == "recorded" else ignore,
                speed=speed,
                split=split,
                unused=unused,
                skip=asked.others,
            )
        )
        self._asked: list[CompletionRequest] = []

    @property
    def requests(self) -> list[CompletionRequest]:
        """What the model was asked, call by call."""
        return list(self._asked)

    def _meant(self, replay: Replay) -> Exchange:
        if not replay.call.number:  # a fault, which is no exchange of the cassette
            return replay.exchange
        # The answer belongs to the request as it was recorded: its wire decodes it.
        recorded = self.cassette.exchanges[replay.call.number - 1]
        return replace(replay.exchange, request=recorded.request)

    def _wire(self, request: CompletionRequest) -> Request:
        self._asked.append(request)
        return CODEC.encode_request(counted(request, self._counts))


class _AsAsked(Cassette):
    """A cassette whose requests are what counts of those of another, and whose faults are the other's."""

    def __init__(self, recorded: Cassette, counts: frozenset[str]) -> None:
        self.others: list[int] = []
        found: list[Exchange] = []
        for at, exchange in enumerate(recorded.exchanges):
            asked = _request(exchange, counts)
            if asked is None:
                self.others.append(at)
            found.append(Exchange(asked or exchange.request, exchange.response, exchange.failure))
        super().__init__(found, path=recorded.path)
        self._recorded = recorded

    def answer(self, at: int, request: Request) -> Exchange:
        return self._recorded.answer(at, request)

    def interruption(self, at: int, request: Request) -> Exchange | None:  # noqa: ARG002  a fault is of the wire
        return self._recorded.interruption(at, self._recorded.exchanges[at].request)

    def interferes(self, at: int) -> bool:
        return self._recorded.interferes(at)


def _request(exchange: Exchange, counts: frozenset[str]) -> Request | None:
    """Return what counts of a recorded request; None if it asks no model for an answer."""
    if codecs.recognise(exchange.request) in _NO_ANSWERS:
        return None
    try:
        asked = exchange.decode_request()
    except UnknownWire:
        return None
    except CompletionError:
        # It was no request, and its answer tells so; it is asked for by its place alone.
        asked = CompletionRequest(messages=[], extra={"body": exchange.request.json})
        return CODEC.encode_request(asked)
    return CODEC.encode_request(counted(asked, counts))

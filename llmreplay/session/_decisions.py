"""What can become of a request: it is answered from a recording, forwarded, or passed on.

The fourth outcome, a refusal, is an exception (`llmreplay.errors.Refusal`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Literal, NamedTuple

from llmreplay import codecs
from llmreplay.errors import OptionError, Refusal
from llmreplay.exchange import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmreplay.cassette import Call
    from llmreplay.exchange import Exchange, Failure
    from llmreplay.session._session import Session
    from llmreplay.session._take import Take

__all__ = ["Forward", "PassOn", "Replay", "Split", "checked_speed", "checked_split"]

Split = Literal["bytes"] | int | tuple[int, ...] | None
"""How a replayed body is cut: as recorded (None), byte by byte, in the given sizes over and over, or
at places chosen by a seed."""

_SEEDED_SIZES = (1, 16)


class Replay(NamedTuple):
    """The answer to a request is what came of this call, played at a pace and cut as wanted."""

    call: Call
    outcome: Response | Failure
    session: Session
    speed: float = 0.0
    split: Split = None

    @property
    def exchange(self) -> Exchange:
        """The whole exchange, which is put together for that."""
        return self.call.exchange

    @property
    def response(self) -> Response | None:
        """The response, None if there was a failure in its place."""
        return self.outcome if isinstance(self.outcome, Response) else None

    @property
    def at_once(self) -> bool:
        """Whether the body is played as it was cut, and without waiting."""
        return not self.speed and self.split is None

    def wait(self, delay: float) -> float:
        """Return how long to wait where the recording waited `delay` seconds."""
        return delay / self.speed if self.speed else 0.0

    def pieces(self) -> Iterator[tuple[bytes, float]]:
        """Yield the body in pieces, each with the seconds to wait before it."""
        response = self.response
        if response is None:
            return
        if self.split is None:
            for chunk in response.chunks:
                yield chunk.data, self.wait(chunk.delay)
            return
        yield from self._cut(response)

    def _cut(self, response: Response) -> Iterator[tuple[bytes, float]]:
        """Cut the body anew; a piece waits for all chunks that it takes its bytes from."""
        sizes = _sizes(self.split)
        arrivals: list[tuple[int, float]] = []
        end = 0
        for chunk in response.chunks:
            end += len(chunk.data)
            arrivals.append((end, self.wait(chunk.delay)))
        waiting = deque(arrivals)
        body, start = response.body, 0
        while start < len(body):
            stop = min(start + next(sizes), len(body))
            wait, ready = 0.0, 0
            while waiting and ready < stop:
                ready, delay = waiting[0]
                wait += delay
                if ready <= stop:
                    waiting.popleft()
                else:
                    waiting[0] = (ready, 0.0)
            yield body[start:stop], wait
            start = stop

    def missed_nothing(self) -> bool:
        """Tell whether the recorded client, which left early, had been told everything."""
        return codecs.finished(self.exchange)


def _sizes(split: Split) -> Iterator[int]:
    if split == "bytes":
        return cycle((1,))
    if isinstance(split, tuple):
        return cycle(split)
    chance = random.Random(split)  # noqa: S311  a seed that makes a test repeatable
    return iter(lambda: chance.randint(*_SEEDED_SIZES), 0)


@dataclass(frozen=True, slots=True)
class Forward:
    """The request goes to the network, and what comes back is noted in the take."""

    take: Take
    model_call: bool


@dataclass(frozen=True, slots=True)
class PassOn:
    """The request is left to whatever lies below; `refuse` is called if that is the network."""

    refuse: Callable[[BaseException], Refusal] | None = None


def checked_speed(speed: object) -> float:
    if isinstance(speed, int | float) and not isinstance(speed, bool) and 0 <= speed < float("inf"):
        return float(speed)
    raise OptionError("speed", speed, "0 (do not wait), 1 (as recorded) or another factor")


def checked_split(split: Split | Sequence[int]) -> Split:
    if split is None or split == "bytes":
        return split
    if isinstance(split, int) and not isinstance(split, bool):
        return split
    if (
        isinstance(split, Sequence)
        and not isinstance(split, str)
        and split
        and all(_is_size(size) for size in split)
    ):
        return tuple(split)
    raise OptionError("split", split, "None, 'bytes', sizes such as (1, 5, 2), or a seed such as 7")


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0

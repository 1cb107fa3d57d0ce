"""Turns a file of recorded exchanges into one of another format, and says what became of it on the way.

Rules:

* What is written is redacted as a recording is, and searched again: an old file may hold secrets.
* What was written is read back before it is put in its place: what differs is reported as lost, by what
  it is and in how many exchanges, and not by what a format is thought to hold.
* A file that is there is written over only if that was said; the file that is read, never.
* A damaged file is not converted in part.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmreplay.cassette import _har_write, _reading, _store
from llmreplay.cassette._cassette import Cassette, load, same
from llmreplay.errors import CassetteError, render
from llmreplay.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from llmreplay.cassette._cassette import Format
    from llmreplay.exchange import Exchange

__all__ = ["Conversion", "Redacted", "TargetExists", "convert"]

_NUMBER = re.compile(r"(?:\[|%5[Bb])redacted-(\d+)")
_BESIDE = {"vcr": "x-llmreplay", "har": _har_write.OURS}


class TargetExists(CassetteError):
    """There is a file where the outcome would go, and nobody said that it may be written over."""


@dataclass(frozen=True)
class Redacted:
    """What was taken out: how many secrets, where they stood, and which headers were not kept."""

    secrets: int = 0
    places: dict[str, int] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversion:
    """What became of one file.

    `beside` counts the exchanges with something that the format has no word for: it stands in a field
    (`beside_in`) that only llmreplay reads. `lost` counts those with something that was not kept at all.
    `left_out` is what the source holds besides exchanges over HTTP.
    """

    source: Path
    target: Path
    source_format: str
    target_format: Format
    exchanges: int
    redacted: Redacted
    beside: dict[str, int]
    beside_in: str | None
    lost: dict[str, int]
    left_out: tuple[str, ...]


def convert(  # noqa: PLR0913  what to read, what to write, and how
    source: Path,
    target: Path,
    to: Format,
    *,
    url: str | None = None,
    request: Path | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write the exchanges of one file to another, in another format.

    Args:
        source: A file in any format that `load` reads.
        target: Where to write; its folders are made.
        to: The format to write.
        url: For a file that does not tell where its requests went, as `load` has it.
        request: A file with the body of the request, for a response alone.
        overwrite: Whether a file at `target` may be replaced.

    Raises `TargetExists`, and what `load` and `Cassette.save` raise; nothing was written then.
    """
    if same(source, target):
        fact = f"{target} is the file that is read, and is not written over."
        raise TargetExists(render(fact, remedies=["Choose another folder."]), path=target)
    loaded = load(source, url=url, request=request)
    original = list(loaded.exchanges)
    first = loaded.first_placeholder()
    rules = Redaction(first=first)
    stored = [rules.exchange(exchange) for exchange in original]
    with _store.locked(target):
        if target.exists() and not overwrite:
            raise TargetExists(
                render(
                    f"{target} exists, and was left as it is.",
                    remedies=["Write over it: --force, or overwrite=True"],
                ),
                path=target,
            )
        data = Cassette(stored)._spelled(target, to, rules)  # noqa: SLF001  of this room
        again = [entry.exchange for entry in _reading.read(target, data)[0]]
        _store.replace(target, data)
    return Conversion(
        source,
        target,
        loaded.format,
        to,
        len(stored),
        _redacted(original, stored, first),
        _counted(_without_word(exchange, to) for exchange in stored),
        _BESIDE.get(to),
        _counted(_differing(one, other) for one, other in zip(stored, again, strict=True)),
        _left_out(source, loaded.format),
    )


def _counted(found: Iterable[Iterable[str]]) -> dict[str, int]:
    return dict(Counter(name for names in found for name in names))


def _without_word(exchange: Exchange, to: Format) -> Iterator[str]:
    """Yield what the words of a format cannot say of an exchange."""
    if to == "llmreplay":
        return
    response, source = exchange.response, exchange.provenance
    if response is not None:
        delays = [response.delay, *(chunk.delay for chunk in response.chunks)]
        told = {
            "chunk boundaries": len(response.chunks) > 1,
            "delays": any(delays),
            "how the stream ended": response.ended != "complete",
            "content coding": response.encoding is not None,
            "HTTP version": to == "vcr" and response.http_version != "HTTP/1.1",
        }
        yield from (name for name, is_there in told.items() if is_there)
    else:
        yield "failure without a response"
    known = [source.by, source.client, source.edge, source.at if to == "vcr" else None]
    if any(known) or source.origin != "imported":
        yield "who recorded it"


def _differing(one: Exchange, other: Exchange) -> Iterator[str]:
    """Yield in what an exchange that was written differs from what is read of it."""
    mine, theirs = _parts(one), _parts(other)
    for name, value in mine.items():
        found = theirs[name]
        if value == found:
            continue
        if name.endswith("headers") and sorted(value) == sorted(found):
            yield f"order of {name}"
        else:
            yield name


def _parts(exchange: Exchange) -> dict[str, Any]:
    request, response = exchange.request, exchange.response
    return {
        "request method": request.method,
        "request URL": request.url,
        "request headers": request.headers,
        "request body": request.body,
        "response status": response and (response.status, response.reason, response.http_version),
        "response headers": response.headers if response else (),
        "response body": response and response.body,
        "chunks and delays": response and (response.chunks, response.delay),
        "how the stream ended": response and (response.ended, response.failure),
        "content coding": response and response.encoding,
        "failure": exchange.failure,
        "who recorded it": exchange.provenance,
    }


def _redacted(original: Sequence[Exchange], stored: Sequence[Exchange], first: int) -> Redacted:
    places: Counter[str] = Counter()
    dropped: set[str] = set()
    numbers: set[int] = set()
    for before, after in zip(original, stored, strict=True):
        kept = {(part, name.lower()) for part, name, _ in _headers(after)}
        was, became = _texts(before, kept), _texts(after, kept)
        places.update(place for place in was if was[place] != became[place])
        dropped |= {name.lower() for part, name, _ in _headers(before) if (part, name.lower()) not in kept}
        numbers |= {int(number) for number in _NUMBER.findall(str(became))}
    secrets = sum(number >= first for number in numbers)
    return Redacted(secrets, dict(places), tuple(sorted(dropped)))


def _headers(exchange: Exchange) -> Iterator[tuple[str, str, str]]:
    """Yield the headers of both parts, but for lengths, which follow their bodies."""
    for part, message in (("request", exchange.request), ("response", exchange.response)):
        for name, value in message.headers if message is not None else ():
            if name.lower() != "content-length":
                yield part, name, value


def _texts(exchange: Exchange, kept: set[tuple[str, str]]) -> dict[str, Any]:
    """Return the texts of an exchange by their place; of the headers those that are kept."""
    request, response = exchange.request, exchange.response
    headers = [each for each in _headers(exchange) if (each[0], each[1].lower()) in kept]
    failures = (exchange.failure, response and response.failure)
    return {
        "request URL": request.url,
        "request headers": [each for each in headers if each[0] == "request"],
        "request body": request.body,
        "response headers": [each for each in headers if each[0] == "response"],
        "response body": response.body if response else b"",
        "failure": [each.message for each in failures if each],
        "client": exchange.provenance.client,
    }


def _left_out(source: Path, known: str) -> tuple[str, ...]:
    if known not in ("cassetter", "har"):
        return ()
    module = import_module(f"llmreplay.cassette.{_reading.FOREIGN[known]}")
    return tuple(module.left_out(_reading.bytes_of(source) or b""))

"""Damaged answers of every wire: `python -m tests.contracts.fuzz [--count 100000] [--seed 0]`.

Rules:

* A case is a seed and a number, and gives the same bytes on every machine; `--case` runs one alone.
* What an answer means may be a value or a `CompletionError`. Its events, its usage and whether it is
  finished are always values.
* Damage is done to bytes, to chunks, and to JSON in its place, with the frame around it made whole
  again: what is only broken JSON never gets far into a codec.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from base64 import b64decode, b64encode
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

from llmreplay import codecs
from llmreplay.completion import CompletionError
from llmreplay.exchange import Chunk, Exchange, Failure, Response
from llmreplay.framing import eventstream
from tests.contracts.codecs import WIRES, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ERRORS = ("rate_limited", "server_error", "invalid_request", "content_filter")
ABORTED = Failure("RemoteProtocolError", "peer closed connection", "body")
OUTCOMES = ("answer", "JsonError", "ProviderError", "ResponseError", "HttpError")
RAW = "\x00raw:"  # begins a string that stands for JSON that json.dumps would not write

JUNK = (
    *(b"", b"\x00", b"\n", b"\n\n", b"\r", b"data: ", b"event: error\n", b"data: [DONE]\n\n", b"{", b"}"),
    *(b"[", b"]", b'"', b"\\", b"\\u", b"\\ud800", b",", b":", b"null", b"[]", b"{}", b'"x"', b"-1"),
    *(b"1e999", b"NaN", b"9" * 5000, b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f", b"\xef\xbb\xbf"),
)
"""What is put into bytes: ends and beginnings of everything, and UTF-8 that is none."""

VALUES = (
    *(None, True, False, 0, -1, 1, 1.5, 2**31, 2**63, -(2**63), 10**30, 1e308),
    *("", "x", "0", "\ud800", "\x00", "{", "[]", "tool_use", "error", "stop", "Zoë 👋🏽"),
    *([], {}, [None], [[]], [{}], {"": None}, {"type": 1}, {"type": "text"}, {"text": None}, [1, "a", {}]),
    *(f"{RAW}{text}" for text in ("1e999", "-1e999", "NaN", "-0.0", "9" * 400, "9" * 5000, '"\\ud800"')),
)
"""What is put in the place of a value, most of it of another type."""

STATUSES = (200, 202, 204, 302, 400, 401, 404, 429, 500, 529, 599)
NESTS = (("[", "]"), ('{"a":', "}"), ('{"content":[', "]}"))
DEPTHS = (3, 40, 200, 450, 900, 1500, 20_000)


@dataclass(frozen=True)
class Sample:
    """An answer that is whole: to be damaged."""

    name: str
    exchange: Exchange
    pieces: tuple[bytes, ...]


@dataclass(frozen=True)
class Case:
    """A damaged answer, and what was done to it."""

    wire: Wire
    exchange: Exchange
    damage: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; 0 if nothing came out that must not, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.fuzz", description="Damage answers.")
    parser.add_argument("--count", type=int, default=100_000, help="how many cases (default: 100000)")
    parser.add_argument("--seed", type=int, default=0, help="which cases (default: 0)")
    parser.add_argument("--case", type=int, help="run only the case of this number")
    chosen = parser.parse_args(arguments)
    numbers = range(chosen.count) if chosen.case is None else [chosen.case]
    counts: dict[str, Counter[str]] = {wire.name: Counter() for wire in WIRES}
    failed = 0
    for number in numbers:
        case = made(chosen.seed, number)
        try:
            counts[case.wire.name][outcome(case.exchange)] += 1
        except Exception:  # whatever it is, it must not come out
            failed += 1
            counts[case.wire.name]["FAILED"] += 1
            tell(case, chosen.seed, number)
    summarise(counts)
    return 1 if failed else 0


def outcome(exchange: Exchange) -> str:
    """Ask everything of an exchange, and return what its answer is: a value, or which error."""
    assert codecs.events(exchange)
    codecs.usage(exchange)
    codecs.finished(exchange)
    try:
        exchange.decode()
    except CompletionError as error:
        return type(error).__name__
    return "answer"


def tell(case: Case, seed: int, number: int) -> None:
    """Print what came out, and all that is needed to see it again."""
    response = case.exchange.response
    assert response is not None
    told = [
        f"case {number} of seed {seed}: {case.wire.name}, {', '.join(case.damage)}",
        traceback.format_exc(limit=-3).rstrip(),
        f"{case.exchange.request.method} {case.exchange.request.url}",
        f"status {response.status}, {response.ended}, headers {response.headers}",
        *(repr(chunk.data) for chunk in response.chunks),
        f"again: python -m tests.contracts.fuzz --seed {seed} --case {number}",
    ]
    sys.stdout.write("\n".join(told) + "\n\n")


def summarise(counts: dict[str, Counter[str]]) -> None:
    """Print how many cases of each wire had which outcome."""
    columns = [*OUTCOMES, *sorted({name for row in counts.values() for name in row} - {*OUTCOMES})]
    wide = max(len(name) for name in counts)
    total: Counter[str] = sum(counts.values(), Counter())
    sys.stdout.write(" ".join([" " * wide, *(f"{name:>13}" for name in columns)]) + "\n")
    for wire, row in [*counts.items(), ("all", total)]:
        sys.stdout.write(" ".join([f"{wire:{wide}}", *(f"{row[name]:13}" for name in columns)]) + "\n")


# ------------------------------------------------------------------------------------------- the cases


BY_NAME = {wire.name: wire for wire in WIRES}
NAMES = tuple(BY_NAME)


@cache
def samples(name: str) -> tuple[Sample, ...]:
    """Return every answer that a wire has words for, plain and streamed, and a few of its errors."""
    wire = BY_NAME[name]
    found: list[tuple[str, Exchange]] = []
    for case, turn in wire.turns.items():
        for stream in (False, True):
            if stream and ("streams" in wire.cannot or f"{case}, streamed" in wire.cannot):
                continue
            request = wire.asked(turn, stream=stream)
            found.append((case, Exchange(request, wire.code.encode_response(turn.response, request))))
    for kind in ERRORS:
        if kind not in wire.cannot:
            request = wire.asked()
            found.append((kind, Exchange(request, wire.code.encode_error(kind, request))))
    return tuple(
        Sample(case, exchange, tuple(chunk.data for chunk in exchange.response.chunks))
        for case, exchange in found
        if exchange.response is not None
    )


def made(seed: int, number: int) -> Case:
    """Return a case: an answer of a wire, damaged once or more often."""
    random = Random(f"{seed}/{number}")
    wire = random.choice(WIRES)
    sample = random.choice(samples(wire.name))
    pieces, damage = [*sample.pieces], [sample.name]
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        change = random.choice(CHANGES)
        damage.append(change.__name__)
        pieces = change(pieces, random) or [b""]
    response = sample.exchange.response
    assert response is not None
    if random.random() < 0.1:
        damage.append("another envelope")
        response = another_envelope(response, random)
    chunks = tuple(Chunk(piece) for piece in pieces)
    return Case(wire, Exchange(sample.exchange.request, replace(response, chunks=chunks)), tuple(damage))


def another_envelope(response: Response, random: Random) -> Response:
    """Return the response with another status, other headers, or an end that is none."""
    kind = random.choice(("status", "headers", "cut", "closed"))
    if kind == "status":
        return replace(response, status=random.choice(STATUSES))
    if kind == "headers":
        odd = (("retry-after", random.choice(("", "soon", "-1", "1e999", "9" * 400, "Wed, 99 Foo 2026"))),)
        return replace(response, headers=random.choice(((), odd, (*response.headers, *odd))))
    if kind == "cut":
        return replace(response, ended="cut", failure=ABORTED)
    return replace(response, ended="closed")


# --------------------------------------------------------------------------------- damage done to bytes


def anywhere(pieces: list[bytes], random: Random) -> tuple[list[bytes], int, int]:
    """Return the pieces as a list of one's own, which of them, and a place in it."""
    index = random.randrange(len(pieces))
    return [*pieces], index, random.randint(0, len(pieces[index]))


def flip(pieces: list[bytes], random: Random) -> list[bytes]:
    """Change bits of a few bytes."""
    changed, index, _ = anywhere(pieces, random)
    data = bytearray(changed[index])
    for _ in range(random.randint(1, 3)):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    changed[index] = bytes(data)
    return changed


def cut(pieces: list[bytes], random: Random) -> list[bytes]:
    """Leave out all that follows a byte."""
    changed, index, at = anywhere(pieces, random)
    return [*changed[:index], changed[index][:at]]


def drop(pieces: list[bytes], random: Random) -> list[bytes]:
    """Leave out a few bytes."""
    changed, index, at = anywhere(pieces, random)
    changed[index] = changed[index][:at] + changed[index][at + random.randint(1, 30) :]
    return changed


def insert(pieces: list[bytes], random: Random) -> list[bytes]:
    """Put in what belongs elsewhere, or nowhere."""
    changed, index, at = anywhere(pieces, random)
    changed[index] = changed[index][:at] + random.choice(JUNK) + changed[index][at:]
    return changed


def break_text(pieces: list[bytes], random: Random) -> list[bytes]:
    """Leave out one byte of a character that has several, or put in a byte that is none."""
    changed, index, at = anywhere(pieces, random)
    data = changed[index]
    multiple = [place for place, byte in enumerate(data) if byte >= 0x80]
    place = random.choice(multiple) if multiple else at
    changed[index] = data[:place] + (b"" if multiple else b"\xff") + data[place + bool(multiple) :]
    return changed


def splice(pieces: list[bytes], random: Random) -> list[bytes]:
    """Go on in the midst of another answer, perhaps that of another wire."""
    changed, index, at = anywhere(pieces, random)
    others, other, start = anywhere([*random.choice(samples(random.choice(NAMES))).pieces], random)
    return [*changed[:index], changed[index][:at] + others[other][start:], *others[other + 1 :]]


def split(pieces: list[bytes], random: Random) -> list[bytes]:
    """Cut the chunks anew."""
    whole, size = b"".join(pieces), random.randint(1, 40)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


# -------------------------------------------------------------------------------- damage done to chunks


def duplicate(pieces: list[bytes], random: Random) -> list[bytes]:
    """Send a chunk again, now or later."""
    changed, index, _ = anywhere(pieces, random)
    changed.insert(random.randint(index, len(changed)), changed[index])
    return changed


def swap(pieces: list[bytes], random: Random) -> list[bytes]:
    """Send two chunks in each other's place."""
    changed, one, _ = anywhere(pieces, random)
    other = random.randrange(len(changed))
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def lose(pieces: list[bytes], random: Random) -> list[bytes]:
    """Leave out a chunk."""
    changed, index, _ = anywhere(pieces, random)
    del changed[index]
    return changed


def adopt(pieces: list[bytes], random: Random) -> list[bytes]:
    """Send a chunk of another answer in between."""
    changed, index, _ = anywhere(pieces, random)
    others, other, _ = anywhere([*random.choice(samples(random.choice(NAMES))).pieces], random)
    changed.insert(index, others[other])
    return changed


def damage_checksum(pieces: list[bytes], random: Random) -> list[bytes]:
    """Change a checksum of a frame of AWS, or the lengths that the first of them is of; or the end."""
    changed, index, _ = anywhere(pieces, random)
    data = bytearray(changed[index])
    place = random.choice([*range(12), *range(len(data) - 4, len(data))])
    if 0 <= place < len(data):
        data[place] = random.randrange(256)
    changed[index] = bytes(data)
    return changed


# ---------------------------------------------------------------------------------- damage done to JSON


def mistype(pieces: list[bytes], random: Random) -> list[bytes]:
    """Put another value in the place of one."""
    return in_json(pieces, random, lambda value: placed(value, random, lambda _: random.choice(VALUES)))


def nest(pieces: list[bytes], random: Random) -> list[bytes]:
    """Put a value deep into others."""
    depth, (start, end) = random.choice(DEPTHS), random.choice(NESTS)
    deep = f"{RAW}{start * depth}1{end * depth}"
    return in_json(pieces, random, lambda value: placed(value, random, lambda _: deep))


def wrap(pieces: list[bytes], random: Random) -> list[bytes]:
    """Put a value into a list or an object, twice perhaps."""
    forms: tuple[Callable[[Any], Any], ...] = (
        lambda found: [found],
        lambda found: [found, found],
        lambda found: {"type": "text", "value": found},
        json.dumps,
    )
    return in_json(pieces, random, lambda value: placed(value, random, random.choice(forms)))


def unset(pieces: list[bytes], random: Random) -> list[bytes]:
    """Leave out keys and items of one object or list, or give a key another name."""

    def fewer(found: Any) -> Any:
        if isinstance(found, dict) and found:
            gone = random.choice(sorted(found))
            kept = {key: value for key, value in found.items() if key != gone}
            return {**kept, random.choice(sorted(found)): found[gone]} if random.random() < 0.3 else kept
        return found[1:] if isinstance(found, list | str) else None

    return in_json(pieces, random, lambda value: placed(value, random, fewer))


def swap_values(pieces: list[bytes], random: Random) -> list[bytes]:
    """Put a value of one place into another."""

    def other(value: Any) -> Any:
        taken: list[Any] = []
        placed(value, random, taken.append)
        return placed(value, random, lambda _: taken[0])

    return in_json(pieces, random, other)


def placed(value: Any, random: Random, change: Callable[[Any], Any]) -> Any:
    """Return JSON with one place changed, at any depth."""
    inner = isinstance(value, dict | list) and bool(value)
    if not inner or random.random() < 0.12:
        return change(value)
    changed: Any = value.copy()
    place = random.choice([*value] if isinstance(value, dict) else range(len(value)))
    changed[place] = placed(value[place], random, change)
    return changed


def in_json(pieces: list[bytes], random: Random, change: Callable[[Any], Any]) -> list[bytes]:
    """Return the pieces with the JSON of one of them changed, and all around it as it has to be."""
    changed, index, _ = anywhere(pieces, random)
    data = changed[index]
    if eventstream.begins(data):
        changed[index] = in_frame(data, change)
        return changed
    text = data.decode("utf-8", "surrogateescape")
    at = min((place for place in (text.find("{"), text.find("[")) if place >= 0), default=-1)
    if at >= 0:
        with suppress(ValueError, RecursionError):
            value, end = json.JSONDecoder().raw_decode(text, at)
            changed[index] = (
                data[: len(text[:at].encode("utf-8", "surrogateescape"))]
                + written(change(value))
                + text[end:].encode("utf-8", "surrogateescape")
            )
    return changed


def in_frame(data: bytes, change: Callable[[Any], Any]) -> bytes:
    """Return a frame of AWS with its JSON changed, or the JSON that is in it as base64, and new checksums."""
    parser = eventstream.EventStreamParser()
    parser.receive(data)
    with suppress(ValueError, RecursionError):
        frame = parser.next_frame()
        if frame is not None:
            value = json.loads(frame.payload)
            if isinstance(value, dict) and isinstance(value.get("bytes"), str):
                inner = written(change(json.loads(b64decode(value["bytes"]))))
                payload = json.dumps({**value, "bytes": b64encode(inner).decode()}).encode()
            else:
                payload = written(change(value))
            return eventstream.write(replace(frame, payload=payload))
    return data


def written(value: Any) -> bytes:
    """Return JSON as bytes, with what stands for raw text as that text."""
    text = json.dumps(value)
    mark = json.dumps(RAW)[1:-1]
    while (start := text.find(f'"{mark}')) >= 0:
        string, end = json.JSONDecoder().raw_decode(text, start)
        text = text[:start] + string.removeprefix(RAW) + text[end:]
    return text.encode()


CHANGES = (
    *(flip, cut, drop, insert, break_text, splice, split),
    *(duplicate, swap, lose, adopt, damage_checksum),
    *(mistype, mistype, mistype, nest, wrap, unset, unset, swap_values),
)
"""What may be done to an answer; what gets furthest into a codec is done most."""


if __name__ == "__main__":
    sys.exit(main())

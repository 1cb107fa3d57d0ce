"""Why no recorded request answers: the nearest one, and where it differs, told by turns and fields.

Rules:

* Lists are aligned before they are compared: one message put in front does not make every message
  differ. Tools are aligned by name.
* Ids that were generated are not reported where everything else tells the requests apart.
* It runs once, on a miss, and may take its time; nothing here runs on a hit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from llmreplay.matching._keys import GENERATED, NOTHING, Ignore, content
from llmreplay.redaction import PLACEHOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmreplay.exchange import Request

__all__ = ["Candidate", "Difference", "Mismatch", "explain"]

_SHOWN = 8
_WIDTH = 88
_OTHERS = 3


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two requests differ; a side that lacks it is `ABSENT`."""

    path: str
    recorded: Any
    sent: Any

    @property
    def what(self) -> str:
        """Say `added`, `removed` or `changed`, as seen from the recording."""
        if self.recorded is ABSENT:
            return "added"
        return "removed" if self.sent is ABSENT else "changed"

    def lines(self) -> list[str]:
        """Tell the difference in one line, or in two where the values are long."""
        if self.what != "changed":
            value = self.sent if self.what == "added" else self.recorded
            return [f"{self.path}: {self.what} {_short(_spell(value))}"]
        recorded, sent = _spell(self.recorded), _spell(self.sent)
        if len(recorded) + len(sent) + len(self.path) <= _WIDTH:
            return [f"{self.path}: {recorded} recorded, {sent} sent"]
        recorded, sent = _window(recorded, sent)
        return [f"{self.path}:", f"    recorded {recorded}", f"    sent     {sent}"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recorded request that might have been meant. `number` counts from 1, as people do."""

    number: int
    played: bool
    differences: tuple[Difference, ...]

    @property
    def reason(self) -> str:
        """Say in a few words why this one does not answer."""
        if not self.differences:
            return "equal, and already played"
        paths = [difference.path for difference in self.differences]
        told = ", ".join(paths[:_OTHERS]) + (
            f" and {len(paths) - _OTHERS} more" if len(paths) > _OTHERS else ""
        )
        return f"differs in {told}" + (", already played" if self.played else "")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a request found no answer: the nearest recorded requests, best first."""

    total: int
    candidates: tuple[Candidate, ...]

    @property
    def nearest(self) -> Candidate | None:
        """The recorded request that differs least, or None if there are none."""
        return self.candidates[0] if self.candidates else None

    @property
    def reason(self) -> str:
        """Say `empty`, `already_played`, `different_endpoint` or `different`, for machines."""
        if self.nearest is None:
            return "empty"
        if not self.nearest.differences:
            return "already_played"
        if any(difference.path in _ADDRESS for difference in self.nearest.differences):
            return "different_endpoint"
        return "different"

    def evidence(self) -> list[str]:
        """Tell it in lines for a report."""
        nearest = self.nearest
        if nearest is None:
            return ["nearest: none, the cassette holds no exchange"]
        state = "already played" if nearest.played else "not played yet"
        lines = [f"nearest: exchange {nearest.number} of {self.total} ({state})"]
        if nearest.differences:
            lines.append("differs:")
            for difference in nearest.differences[:_SHOWN]:
                lines += [f"  {line}" for line in difference.lines()]
            if len(nearest.differences) > _SHOWN:
                lines.append(f"  … and {len(nearest.differences) - _SHOWN} more")
        else:
            lines.append("differs: in nothing; the code under test asked once more than was recorded")
        lines += [f"also:    exchange {other.number} {other.reason}" for other in self.candidates[1:]]
        return lines


_ADDRESS = ("method", "url.scheme", "url.host", "url.port", "url.path")


def explain(
    request: Request,
    recorded: Sequence[tuple[Request, bool]],
    ignore: Ignore = NOTHING,
    *,
    numbers: Sequence[int] = (),
    total: int | None = None,
) -> Mismatch:
    """Compare a request with the recorded ones, given in order with whether each was played.

    Where these are only some of them, `numbers` says which, from 1, and `total` how many there are.
    """
    said = content(request, ignore)
    ranked: list[tuple[float, int]] = []
    for at, (other, played) in enumerate(recorded):
        likeness = _likeness(request, said, other, content(other, ignore), ignore)
        # Of two that are equally near, the one that still waits for its request was meant.
        ranked.append((likeness - (0.01 if played else 0), -at))
    ranked.sort(reverse=True)
    candidates = []
    for _, negative in ranked[: _OTHERS + 1]:
        other, played = recorded[-negative]
        found = tuple(_without_noise(list(_differences(request, said, other, ignore))))
        candidates.append(Candidate(numbers[-negative] if numbers else 1 - negative, played, found))
    return Mismatch(len(recorded) if total is None else total, tuple(candidates))


def _likeness(request: Request, said: Any, other: Request, other_said: Any, ignore: Ignore) -> float:
    same = sum(not ignore_part for ignore_part in _address_differences(request, other, ignore).values())
    ours, theirs = _pieces(said), _pieces(other_said)
    shared = len(ours & theirs)
    return same + 10 * (2 * shared / (len(ours) + len(theirs)) if ours or theirs else 1.0)


def _pieces(value: Any) -> set[str]:
    """Return what a body is made of, down to its turns and fields, as a set that compares quickly."""
    if isinstance(value, dict):
        return {
            piece
            for name, item in value.items()
            for piece in (
                [f"{name}:{_spell(part)}" for part in item]
                if isinstance(item, list)
                else [f"{name}:{_spell(item)}"]
            )
        }
    if isinstance(value, list):
        return {_spell(item) for item in value}
    return set() if value is None else {str(value)}


def _address_differences(
    request: Request, other: Request, ignore: Ignore
) -> dict[str, tuple[Any, Any] | None]:
    sides: dict[str, tuple[Any, Any]] = {
        "method": (other.method.upper(), request.method.upper()),
        "url.scheme": (other.parts.scheme, request.parts.scheme),
        "url.host": (other.host, request.host),
        "url.port": (other.port, request.port),
        "url.path": (unquote(other.path), unquote(request.path)),
    }
    return {
        path: pair if pair[0] != pair[1] and path.removeprefix("url.") not in ignore.url else None
        for path, pair in sides.items()
    }


def _differences(request: Request, said: Any, other: Request, ignore: Ignore) -> Iterator[Difference]:
    for path, pair in _address_differences(request, other, ignore).items():
        if pair is not None:
            yield Difference(path, *pair)
    if "query" not in ignore.url:
        ours, theirs = dict(request.query), dict(other.query)
        for name in sorted(ours.keys() | theirs.keys()):
            pair = (theirs.get(name, ABSENT), ours.get(name, ABSENT))
            if pair[0] != pair[1] and name not in ignore.query:
                yield Difference(f"url.query.{name}", *pair)
    if not ignore.whole_body:
        yield from _compare("", content(other, ignore), said)


def _compare(path: str, recorded: Any, sent: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in [*sent, *(name for name in recorded if name not in sent)]:
            below = _join(path, name)
            if name not in recorded:
                yield Difference(below, ABSENT, sent[name])
            elif name not in sent:
                yield Difference(below, recorded[name], ABSENT)
            else:
                yield from _compare(below, recorded[name], sent[name])
    elif isinstance(recorded, list) and isinstance(sent, list):
        theirs, ours = _by_name(recorded), _by_name(sent)
        if theirs is not None and ours is not None:
            yield from _compare_named(path, theirs, ours)
        else:
            yield from _compare_turns(path, recorded, sent)
    elif recorded != sent and not _both_redacted(recorded, sent):
        yield Difference(path or "body", recorded, sent)


def _both_redacted(recorded: Any, sent: Any) -> bool:
    if not isinstance(recorded, str) or not isinstance(sent, str) or "redacted-" not in recorded:
        return False
    return PLACEHOLDERS.sub("", recorded) == PLACEHOLDERS.sub("", sent)


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Return tools by their name, or None if these are no tools or share a name."""
    named: dict[str, Any] = {}
    for item in items:
        inner = item.get("function", item) if isinstance(item, dict) else None
        if not isinstance(inner, dict) or "role" in item or "arguments" in inner:
            # A message or a call: these are told by their place.
            return None
        name = inner.get("name")
        if not isinstance(name, str) or name in named:
            return None
        named[name] = item
    return named or None


def _compare_named(path: str, recorded: dict[str, Any], sent: dict[str, Any]) -> Iterator[Difference]:
    for name in [*sent, *(name for name in recorded if name not in sent)]:
        below = f"{path}[{name}]"
        if name not in recorded:
            yield Difference(below, ABSENT, sent[name])
        elif name not in sent:
            yield Difference(below, recorded[name], ABSENT)
        else:
            yield from _compare(below, recorded[name], sent[name])
    shared = [name for name in recorded if name in sent]
    if shared != [name for name in sent if name in recorded]:
        yield Difference(f"{path} (order)", list(recorded), list(sent))


def _compare_turns(path: str, recorded: list[Any], sent: list[Any]) -> Iterator[Difference]:
    matcher = SequenceMatcher(
        None, [_blurred(item) for item in recorded], [_blurred(item) for item in sent], autojunk=False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                yield from _compare(f"{path}[{j}]", recorded[i], sent[j])
            continue
        paired = min(i2 - i1, j2 - j1)
        for step in range(paired):
            yield from _compare(f"{path}[{j1 + step}]", recorded[i1 + step], sent[j1 + step])
        for j in range(j1 + paired, j2):
            yield Difference(f"{path}[{j}]", ABSENT, sent[j])
        for i in range(i1 + paired, i2):
            yield Difference(f"{path}[{i}]", recorded[i], ABSENT)


def _without_noise(found: Iterable[Difference]) -> list[Difference]:
    """Leave out differences that are only ids, unless there is nothing else to tell."""
    found = list(found)
    telling = [
        difference
        for difference in found
        if difference.what != "changed" or _blurred(difference.recorded) != _blurred(difference.sent)
    ]
    return telling or found


def _join(path: str, name: str) -> str:
    if not name or set(name) & set('.[]*"'):
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name


def _spell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _blurred(value: Any) -> str:
    return GENERATED.sub("<id>", _spell(value))


def _short(text: str, width: int = _WIDTH) -> str:
    return text if len(text) <= width else f"{text[:width]}… ({len(text)} characters)"


def _window(recorded: str, sent: str) -> tuple[str, str]:
    """Cut two long texts to the neighbourhood of their first difference."""
    first = next(
        (at for at, (a, b) in enumerate(zip(recorded, sent, strict=False)) if a != b),
        min(len(recorded), len(sent)),
    )
    start = max(0, first - _WIDTH // 3)

    def cut(text: str) -> str:
        end = start + _WIDTH
        return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")

    return cut(recorded), cut(sent)

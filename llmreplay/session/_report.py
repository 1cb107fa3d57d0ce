"""The words of every refusal and complaint: the fact, the evidence, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmreplay.errors import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.errors import Refusal
    from llmreplay.exchange import Exchange, Request
    from llmreplay.matching.explanation import Mismatch

__all__ = ["blocked", "recording_ended", "swallowed", "undecided", "unmatched", "unused", "unused_turns"]


def unmatched(request: Request, mismatch: Mismatch, where: str, remedy: str) -> str:
    """Tell of a request that no recorded exchange answers, and which is nearest."""
    remedies = _record_again("Changed on purpose?" if mismatch.total else "Not recorded yet?", remedy)
    varying = _body_path(mismatch)
    if varying:
        remedies.append(f'Changes on every run? Ignore it: ignore=["{varying}"]')
    asked = f"request: {request.method} {request.url} ({len(request.body)} bytes)"
    return render(
        "No recorded exchange answers this request.", [asked, where, *mismatch.evidence()], remedies
    )


def undecided(request: Request, error: Exception, where: str) -> str:
    """Tell of a request for which the look-up itself failed."""
    return render(
        "An answer could not be looked for.",
        [
            f"request: {request.method} {request.url} ({len(request.body)} bytes)",
            where,
            f"problem: {type(error).__name__}: {error}",
        ],
        [
            "A function given as `redact` that raised? Correct it.",
            "A damaged cassette? `llmreplay check` names the line.",
        ],
    )


def blocked(host: str, where: str, remedy: str) -> str:
    """Tell of a connection that would have left this machine."""
    return render(
        f"A live call to {host} was blocked.",
        [where, "something below llmreplay's HTTP edges tried to connect, or it looked the name up"],
        [
            f"Meant to go out? Allow it: allowed_hosts=[{host!r}], or pytest --llm-network=allow",
            *_record_again("Part of the recording?", remedy),
        ],
    )


def recording_ended(exchange: Exchange, number: int | None, where: str, remedy: str) -> str:
    """Tell a client that reads on that the recorded one had left here."""
    received = len(exchange.response.body) if exchange.response else 0
    return render(
        "The recording ends here: the client that was recorded stopped reading.",
        [
            f"request: {exchange.request.method} {exchange.request.url} ({len(exchange.request.body)} bytes)",
            where + (f", exchange {number}" if number else ""),
            f"recorded: {received} bytes, then the client left",
        ],
        [
            "Read no further than the recording, or record what comes next.",
            *_record_again("Changed on purpose?", remedy),
        ],
    )


def swallowed(refusals: Sequence[Refusal], left: Sequence[tuple[int, Exchange]]) -> str:
    """Tell all refusals that the code under test hid, and what was never asked for beside them."""
    evidence: list[str] = []
    for number, refusal in enumerate(refusals, 1):
        evidence += ["", *f"{number}. {refusal}".split("\n")]
    if left:
        evidence += ["", *_unused_lines(left)]
    requests = "1 request" if len(refusals) == 1 else f"{len(refusals)} requests"
    return render(
        f"{requests} had to be refused, and the code under test hid it.",
        evidence[1:],
        ["Refused on purpose? Say so: cassette.refusals.clear()"],
    )


def unused(left: Sequence[tuple[int, Exchange]], total: int, where: str, remedy: str) -> str:
    """Tell which recorded exchanges nobody asked for."""
    exchanges = "1 recorded exchange" if total == 1 else f"{total} recorded exchanges"
    return render(
        f"{len(left)} of {exchanges} {'was' if len(left) == 1 else 'were'} never asked for.",
        [where, *_unused_lines(left)],
        [
            *_record_again("Asked no more on purpose?", remedy),
            "Not needed by every run? unused='ignore', or pytest --llm-unused=ignore",
        ],
    )


def unused_turns(left: Sequence[tuple[str, int]]) -> str:
    """Tell which turns of a script nobody asked for."""
    total = sum(count for _, count in left)
    return render(
        f"{total} {'turn of the script was' if total == 1 else 'turns of the script were'} never asked for.",
        [f"left: {count} for {queue}" for queue, count in left],
        [
            "Asked no more on purpose? Take the turns out.",
            "Not needed by every run? unused='ignore'",
        ],
    )


def _record_again(when: str, remedy: str) -> list[str]:
    return [f"{when} Record again: {remedy}"] if remedy else []


def _unused_lines(left: Sequence[tuple[int, Exchange]]) -> list[str]:
    return [
        f"unused: exchange {number}, {exchange.request.method} {exchange.request.url}"
        for number, exchange in left
    ]


def _body_path(mismatch: Mismatch) -> str | None:
    """Return where the nearest request differs, if it is one place of the body that merely changed."""
    if mismatch.nearest is None or len(mismatch.nearest.differences) != 1:
        return None
    difference = mismatch.nearest.differences[0]
    return (
        difference.path if difference.what == "changed" and not difference.path.startswith("url.") else None
    )

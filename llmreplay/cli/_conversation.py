"""Exchanges as one conversation, printed: where each went, what was said, how it ended."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from rich.text import Text

from llmreplay.cli._spelling import error, failure, spelled, tokens
from llmreplay.cli._terminal import block, count, duration, harmless, size, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from llmreplay.exchange import Exchange

__all__ = ["accounts", "conversation"]

_COLOURS = {"system": "magenta", "developer": "magenta", "user": "cyan", "assistant": "green"}
_LABELS = {"tool_result": "tool", "reasoning": "reasoning", "tool_call": "calls"}


def accounts(
    exchanges: Iterable[Exchange], *, only: int | None = None, lines: Sequence[int] = (), raw: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield what each exchange says, or only the one with this number."""
    from llmreplay.cli._account import Known, describe, wire_bytes  # noqa: PLC0415  brings pydantic

    known = Known()
    for number, exchange in enumerate(exchanges, 1):
        if only in (None, number):
            line = lines[number - 1] if number <= len(lines) else 0
            account = describe(exchange, number, known, line or None)
            yield account | wire_bytes(exchange) if raw else account


def conversation(
    out: Console, exchanges: Iterable[Exchange], *, only: int | None = None, raw: bool = False
) -> None:
    """Print exchanges as one conversation, and the sum of what they used."""
    from llmreplay import codecs  # noqa: PLC0415
    from llmreplay.completion import Usage  # noqa: PLC0415  brings pydantic

    shown = list(exchanges)
    for account in accounts(shown, only=only, raw=raw):
        _title(out, account)
        if raw:
            _wire(out, account)
        else:
            _said(out, account)
        out.print()
    if only is None:
        usage = sum((codecs.usage(exchange) for exchange in shown), Usage())
        calls = sum(codecs.is_llm_call(exchange.request) for exchange in shown)
        rest = f", {len(shown) - calls} other" if len(shown) > calls else ""
        told = tokens(dict(usage)) if usage.has_values else "no tokens reported"
        out.print(Text(f"in all: {count(calls, 'model call')}{rest}; {told}", "bold"))


def _title(out: Console, account: dict[str, Any]) -> None:
    place = account["url"].partition("://")[2].partition("?")[0]
    tell(out, f"{account['number']:<3}{account['method']} {place}", "bold blue")
    facts = [account["model"], account["provider"], account["wire"] or "no call of a known model"]
    if account["wire"] and not account["decoded"]:
        facts[-1] = f"{account['wire']}, which llmreplay does not decode"
    facts += ["stream" if account["stream"] else None, account["status"], *_timing(account)]
    tell(out, "   " + " · ".join(str(fact) for fact in facts if fact is not None), "dim")


def _timing(account: dict[str, Any]) -> Iterator[str]:
    timing = account["timing"]
    if timing is not None:
        first, total = timing["first_byte_ms"] / 1000, timing["total_ms"] / 1000
        yield f"first byte after {duration(first)}, all after {duration(total)}"
        yield count(account["chunks"], "chunk")
    elif account["status"] is not None:
        yield "timing not recorded"
    if account["ended"] == "cut":
        yield "cut"
    elif account["ended"] == "closed":
        yield "closed by the client" + (" at the end" if account["finished"] else "")


def _said(out: Console, account: dict[str, Any]) -> None:
    if account["tools"]:
        block(out, "tools", ", ".join(account["tools"]), style="dim", label_style="dim")
    if account["repeated"] and account["repeated_from"] != account["number"] - 1:
        told = f"{count(account['repeated'], 'message')} as told up to exchange {account['repeated_from']}"
        block(out, "…", told, style="dim", label_style="dim")
    for message in account["messages"]:
        _contents(out, message["role"], message["contents"])
    for answer in account["answers"]:
        label = "assistant" if len(account["answers"]) == 1 else f"answer {answer['index'] + 1}"
        _contents(out, label, answer["contents"], colour="green")
    if account["partial"]:
        block(out, "", "… here it broke off", style="dim")
    _ending(out, account)


def _contents(out: Console, role: str, contents: list[dict[str, Any]], colour: str = "") -> None:
    label = role
    for content in contents or [{"type": "text", "text": "(nothing)"}]:
        kind = content["type"]
        named = _LABELS.get(kind, label)
        style = f"bold {colour or _COLOURS.get(role, 'yellow')}"
        body = "dim" if kind == "reasoning" else ""
        block(out, named, spelled(content), style=body, label_style="dim" if body else style)
        label = "" if named == label else label


def _ending(out: Console, account: dict[str, Any]) -> None:
    if account["error"] is not None:
        block(out, "error", error(account["error"]), style="red", label_style="bold red")
    elif account["failure"] is not None:
        what = "cut" if account["status"] is not None else "no answer"
        block(out, what, failure(account["failure"]), style="red", label_style="bold red")
    if not account["decoded"]:
        for side in ("request", "response"):
            part = account[side]
            if part is not None:
                told = f"{part['content_type'] or 'no content type'}, {size(part['bytes'])}"
                block(out, side, told if part["bytes"] else "no body", style="dim", label_style="dim")
    reasons = {str(answer["finish_reason"]) for answer in account["answers"] if answer["finish_reason"]}
    told = " · ".join([*sorted(reasons), *([tokens(account["usage"])] if account["usage"] else [])])
    if told:
        block(out, "end", told, style="dim", label_style="dim")


def _wire(out: Console, account: dict[str, Any]) -> None:
    request, response = account["request"], account["response"]
    _headers(out, "→", request)
    if request["bytes"]:
        tell(out, _body(request))
    if response is None:
        _ending(out, account)
        return
    _headers(out, "←", response)
    if len(response["chunks"]) == 1:
        tell(out, _body(response["chunks"][0]))
        return
    for number, chunk in enumerate(response["chunks"], 1):
        head = Text(f"   {number:>4} {'+' + duration(chunk['ms'] / 1000):>8}  ", "dim")
        out.print(head.append(harmless(_body(chunk).replace("\n", "\\n")), ""))


def _headers(out: Console, arrow: str, part: dict[str, Any]) -> None:
    for name, value in part["headers"]:
        tell(out, f" {arrow} {name}: {value}", "dim")


def _body(part: dict[str, Any]) -> str:
    """Return bytes as text; what is none, as half of a character is not, as escapes."""
    if "text" in part:
        return str(part["text"])
    return base64.b64decode(part["base64"]).decode("utf-8", "backslashreplace")

"""Writes the small part of YAML that a cassette needs, so that a prompt reads as a prompt.

Rules:

* Text of several lines becomes a literal block, whatever spaces its lines end in (PyYAML's own
  emitter would quote those); so does text that quotes would fill with backslashes. Text of one line
  stays plain where no reader could take it for something else, and is double-quoted otherwise.
* What cannot be said (a lone surrogate) raises `Unspeakable`: the caller stores bytes instead.
* PyYAML's C loader reads it all back. The caller checks that it does.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

__all__ = ["Literal", "SyntaxTrouble", "Unspeakable", "emit", "parse", "quotable", "writable_as_block"]

# Line breaks of YAML 1.1 other than \n, control characters, and what no YAML stream may hold.
_UNFIT_FOR_BLOCKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN = re.compile(r"[^\W\d_](?:[^:#\n\t]|:(?=\S)|(?<=\S)#)*(?<![:\s])", re.ASCII)
_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


class Literal(str):
    """Text that is written as a literal block, even where it is one line."""

    __slots__ = ()


class Unspeakable(ValueError):
    """A value has no form in the YAML that is written here."""


class SyntaxTrouble(ValueError):
    """Text is not the YAML that was expected; `line` counts from 0 within it."""

    def __init__(self, problem: str, line: int) -> None:
        self.problem, self.line = problem, line
        super().__init__(problem)


def parse(text: bytes) -> Any:
    """Read one document with safe constructors only; raises `SyntaxTrouble`."""
    import yaml  # noqa: PLC0415  answers of the common form are read without it

    try:
        loader = _loader()(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        # A quote that is never closed is told where it opens, not at the end of the text.
        unclosed = error.context_mark is not None and "quoted" in (error.context or "")
        mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
        raise SyntaxTrouble(error.problem or str(error), mark.line if mark else 0) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SyntaxTrouble(str(error), 0) from None


@cache
def _loader() -> type[Any]:
    import yaml  # noqa: PLC0415  see `parse`

    found: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return found


def writable_as_block(text: str) -> bool:
    """Tell whether a literal block can hold the text and give it back."""
    return _UNFIT_FOR_BLOCKS.search(text) is None and text.strip("\n") != ""


def quotable(text: str) -> bool:
    """Tell whether a quoted string of the text would still be read by a person."""
    return len(_UNFIT_FOR_BLOCKS.findall(text)) * 20 <= len(text)


def emit(value: dict[str, Any]) -> str:
    """Write a mapping of JSON values as block YAML; raises `Unspeakable`."""
    lines: list[str] = []
    for key, item in value.items():
        _node(lines, item, f"{_scalar(key)}:", "  ", "")
    return "\n".join(lines) + "\n"


def _node(lines: list[str], value: Any, lead: str, pad: str, dashes: str) -> None:
    """Write a value after `lead`, its children at `pad`; a list's dashes stand at `dashes`."""
    if isinstance(value, dict) and value:
        after_dash = lead.endswith("-")
        if not after_dash:
            lines.append(lead)
        for key, item in value.items():
            opening = f"{lead} " if after_dash else pad
            after_dash = False
            _node(lines, item, f"{opening}{_scalar(key)}:", pad + "  ", pad)
    elif isinstance(value, list) and value:
        after_dash = lead.endswith("-")
        if after_dash:
            dashes = pad
        else:
            lines.append(lead)
        for item in value:
            opening = f"{lead} " if after_dash else dashes
            after_dash = False
            _node(lines, item, f"{opening}-", dashes + "  ", dashes + "  ")
    elif isinstance(value, str) and _better_as_block(value) and writable_as_block(value):
        lines.append(f"{lead} {_block_header(value)}")
        _block(lines, value, pad)
    else:
        lines.append(f"{lead} {_scalar(value)}")


def _better_as_block(text: str) -> bool:
    return "\n" in text or isinstance(text, Literal) or ('"' in text or "\\" in text)


def _block_header(text: str) -> str:
    # The indentation is stated where the first line could be taken for it.
    indent = "2" if text[0] in " \t\n" else ""
    if not text.endswith("\n"):
        return f"|{indent}-"
    return f"|{indent}+" if text.endswith("\n\n") else f"|{indent}"


def _block(lines: list[str], text: str, pad: str) -> None:
    body = text.removesuffix("\n")
    lines.extend(f"{pad}{line}" if line else "" for line in body.split("\n"))


def _scalar(value: Any) -> str:  # noqa: PLR0911  one a kind of JSON value
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.isprintable() and value.lower() not in _RESERVED:
            return value
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    raise Unspeakable(f"{type(value).__name__} is no JSON value")


def _quoted(text: str) -> str:
    if _SURROGATE.search(text):
        raise Unspeakable("text with a lone surrogate")
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _float(value: float) -> str:
    if value != value:  # noqa: PLR0124  not a number
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 takes 1e-05 for text: a float needs its point.
    return text if "." in text else text.replace("e", ".0e")

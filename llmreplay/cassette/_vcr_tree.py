"""What a file of vcrpy or its like says, as plain trees that know their lines, whatever state the file is in.

Rules:

* A tree is made of `Table`, `list`, `str`, `bytes` and, from JSON, numbers, booleans and None.
* A YAML scalar that is no string stays its text (`Plain`); what it means is asked for where JSON is expected.
* A foreign tag (`!!python/object/apply:…`) is read past: the data in it is taken, nothing is ever executed.
* Damage costs the interactions it touches and no other.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Self

import yaml

__all__ = ["Parsed", "Plain", "Table", "meaning", "parse", "text_of"]

# The loader in C, where PyYAML was built with it, is ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BEYOND = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


class Plain(str):
    """The text of a YAML scalar that YAML 1.1 takes for a number, a date, a boolean or null."""

    __slots__ = ("tag",)
    tag: str

    def __new__(cls, text: str, tag: str) -> Self:
        """Keep the text, and the tag that YAML gave it."""
        plain = super().__new__(cls, text)
        plain.tag = tag
        return plain


class Table(dict[str, Any]):
    """A mapping with text for keys, and the line it begins on."""

    __slots__ = ("line",)

    def __init__(self, line: int | None = None) -> None:
        super().__init__()
        self.line = line


@dataclass
class Parsed:
    """The interactions of a file with the lines they begin on, and what is wrong with the rest."""

    interactions: list[tuple[int | None, Any]] = field(default_factory=list)
    problems: list[tuple[int | None, str]] = field(default_factory=list)


def meaning(tree: Any) -> Any:
    """Return a tree as JSON has it: numbers, booleans and null where the text means them."""
    if isinstance(tree, Plain):
        return _scalar(tree)
    if isinstance(tree, dict):
        return {key: meaning(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [meaning(value) for value in tree]
    return tree.decode("utf-8", "replace") if isinstance(tree, bytes) else tree


def text_of(tree: Any) -> str | None:
    """Return a scalar as the text of a header, a URI or the like; None if it is no scalar."""
    if isinstance(tree, bytes):
        return tree.decode("latin-1")
    if isinstance(tree, str):
        return str(tree)
    return None if tree is None or isinstance(tree, dict | list) else json.dumps(tree)


def parse(
    data: bytes, within: tuple[str, ...] = ("interactions",), opens: str = "request|response"
) -> Parsed:
    """Take a file apart; what cannot be read is among the problems.

    `within` are the keys that lead to the list of interactions, none if the file is that list; `opens` the
    keys that an interaction may begin with, by which those are found that damage did not touch.
    """
    # A lone surrogate, as `surrogateescape` makes of a bad byte, is damage that YAML reports with its place.
    text = data.decode("utf-8-sig", "surrogateescape")
    if not text.strip():
        return Parsed(problems=[(1, "the file is empty")])
    return _parse_json(text, within) if text.lstrip()[0] in "{[" else _parse_yaml(text, within, opens)


def _parse_yaml(text: str, within: tuple[str, ...], opens: str) -> Parsed:
    try:
        root = yaml.compose(text, _LOADER)
    except (yaml.YAMLError, UnicodeError) as error:
        return _salvage(text, _problem_of(error, text, 0), opens)
    node: yaml.Node | None = root
    for name in within:
        if not isinstance(node, yaml.MappingNode):
            by = ", as vcrpy 1.0 and later write" if name == "interactions" else ""
            return Parsed(problems=[(1, f"the file is no mapping with `{name}`{by}")])
        found = [value for key, value in node.value if key.value == name]
        if not found:
            return Parsed(problems=[(1, f"the file has no `{name}`")])
        node = found[0]
    return _items(node, 0, within)


def _items(node: yaml.Node | None, above: int, within: tuple[str, ...] = ("interactions",)) -> Parsed:
    if isinstance(node, yaml.SequenceNode):
        found = Parsed()
        for item in node.value:
            try:
                found.interactions.append((_line(item) + above, _tree(item, above)))
            except RecursionError:
                found.problems.append(
                    (_line(item) + above, "an interaction is nested too deeply, or in itself")
                )
        return found
    if node is None or node.tag == f"{_TAG}null":
        return Parsed()
    return Parsed(problems=[(_line(node) + above, f"`{within[-1]}` is no list")])


def _salvage(text: str, problem: tuple[int | None, str], opens: str) -> Parsed:
    """Read every interaction on its own, since the file as a whole is not YAML."""
    found = Parsed(problems=[problem])
    first = re.search(rf"^( *)- +(?:{opens}):", text, re.MULTILINE)
    if first is None:
        return found
    indent = first[1]
    begin = re.compile(rf"^{indent}- +(?:{opens}):", re.MULTILINE)
    end = re.compile(rf"^ {{0,{len(indent)}}}[A-Za-z]\w*:", re.MULTILINE)
    starts = [match.start() for match in begin.finditer(text)]
    for start, stop in zip(starts, [*starts[1:], len(text)], strict=True):
        after = end.search(text, start, stop)
        piece = text[start : after.start() if after else stop]
        above = text.count("\n", 0, start)
        try:
            items = _items(yaml.compose(piece, _LOADER), above)
        except (yaml.YAMLError, UnicodeError) as error:
            line, why = _problem_of(error, piece, above)
            # The same damage, seen again from inside the interaction: the better place to point at.
            if len(found.problems) == 1 and found.problems[0] is problem:
                found.problems.clear()
            found.problems.append((line, why))
        else:
            found.interactions += items.interactions
            found.problems += items.problems
    return found


def _problem_of(error: Exception, text: str, above: int) -> tuple[int, str]:
    if isinstance(error, UnicodeEncodeError):
        return text.count("\n", 0, error.start) + above + 1, "a byte is not UTF-8"
    if isinstance(error, yaml.MarkedYAMLError):
        # A quote that is never closed is noticed at the end, and to be mended where it begins.
        scanning = error.context is not None and error.context.startswith("while scanning")
        mark = (error.context_mark if scanning else None) or error.problem_mark or error.context_mark
        return (mark.line if mark else 0) + above + 1, f"not YAML: {error.problem or error.context}"
    position = getattr(error, "position", 0)  # the pure reader has no mark, the one in C no place at all
    return text.count("\n", 0, position) + above + 1, f"not YAML: {getattr(error, 'reason', error)}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _tree(node: yaml.Node, above: int) -> Any:
    tag = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.ScalarNode):
        if tag in ("str", "python/str", "python/unicode"):
            return str(node.value)
        if tag in ("binary", "!binary"):  # the second is Ruby's
            return _binary(node.value)
        return Plain(node.value, tag) if tag in ("null", "bool", "int", "float") else str(node.value)
    foreign = tag.startswith(("python/object/apply:", "python/object/new:"))
    if isinstance(node, yaml.SequenceNode):
        values = [_tree(item, above) for item in node.value]
        return values[0] if foreign and len(values) == 1 else values
    table = Table(_line(node) + above)
    for key_node, value_node in node.value:
        key, value = text_of(_tree(key_node, above)) or "", _tree(value_node, above)
        if isinstance(value, list) and isinstance(table.get(key), list):  # two spellings of one header name
            value = [*table[key], *value]
        table[key] = value
    if not foreign:
        return table
    # The arguments of a call, or the state of an object such as BytesIO, is in the first part of these.
    parts = next(
        (table[name] for name in ("args", "state", "dictitems", "listitems") if table.get(name)), None
    )
    return parts[0] if isinstance(parts, list) else parts


def _binary(text: str) -> Any:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return text


def _scalar(plain: Plain) -> Any:
    """Read numbers, booleans and null as JSON does; 12:30 and `yes` are text to everyone but YAML 1.1."""
    lowered = plain.lower()
    if plain.tag == "null":
        return None
    if plain.tag == "bool" and lowered in ("true", "false"):
        return lowered == "true"
    if plain.tag == "int" and _INTEGER.fullmatch(plain):
        return int(plain)
    if plain.tag == "float" and ":" not in plain:
        return _BEYOND[lowered] if lowered in _BEYOND else float(plain.replace("_", ""))
    return str(plain)


def _parse_json(text: str, within: tuple[str, ...]) -> Parsed:
    if within:
        name, start = f"`{within[-1]}`", re.search(rf'(?<!\\)"{within[-1]}"\s*:\s*\[', text)
    else:
        name, start = "the list", re.match(r"\s*\[", text)
    if start is None:
        return Parsed(problems=[(1, f"the file has no {name} list" if within else "the file is no list")])
    breaks = [match.start() for match in re.finditer("\n", text)]
    found, decode, at = Parsed(), json.JSONDecoder().raw_decode, start.end()
    blank = re.compile(r"[\s,]*")
    while (at := blank.match(text, at).end()) < len(text):  # type: ignore[union-attr]  # it matches nothing too
        if text[at] == "]":
            return found
        line = bisect_right(breaks, at) + 1
        try:
            value, at = decode(text, at)
        except json.JSONDecodeError as error:
            found.problems.append((error.lineno, f"not JSON: {error.msg}"))
            return found
        except RecursionError:
            found.problems.append((line, "not JSON that can be read: nested too deeply"))
            return found
        found.interactions.append((line, value))
    found.problems.append((len(breaks) + 1, f"not JSON: the file ends within {name}"))
    return found

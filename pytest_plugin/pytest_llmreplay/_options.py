"""What one test asks for: its cassette's path, and its options, from command line, marker and ini.

Rules:

* The command line wins over the marker, the marker over the ini file. Markers of module, class,
  function and parameter add up: lists become longer, of all else the nearest wins.
* A cassette is named for its test, `<llm_cassette_dir>/<module>/<test>.yaml`, by characters that
  every file system takes. The name does not change when decorators are put in another order.
"""

from __future__ import annotations

import os
import re
import shlex
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["file_name", "of", "of_network", "shares"]

_LISTS = ("ignore", "allowed_hosts", "redact", "keep_headers")
_KNOWN = ("path", "record", "ignore", "unused", "speed", "split", "only", "max_age", "scope", *_LISTS[1:])
_SCOPES = ("function", "class", "module", "package", "session")
_LONGEST = 120
_OF_THE_RUN = pytest.StashKey[tuple[dict[str, Any], dict[str, Any]]]()
_UNFIT = re.compile(r"[^A-Za-z0-9_.=,+@\[\]-]+")


def of(item: pytest.Item, redact: Iterable[Any], owners: dict[str, str]) -> tuple[Path, dict[str, Any], str]:
    """Return where the cassette of a test is, the options to open it with, and which tests share it.

    `owners` remembers which test a path was given to, so that no two get the same one by their names.
    Raises `pytest.UsageError` for a marker that means nothing.
    """
    config = item.config
    marked = _marked(item)
    given, scope = marked.pop("path", None), marked.pop("scope", "function")
    if scope not in _SCOPES:
        raise pytest.UsageError(
            f"scope of the marker llm_cassette is {scope!r}; expected one of {', '.join(_SCOPES)}"
        )
    if scope != "function" and given is None:
        raise pytest.UsageError(f"the marker llm_cassette has scope={scope!r}: give the cassette a path, too")
    path = _named(item, owners) if given is None else _given(item, given)
    asked, by_default = _of_the_run(config)
    # Starting over would take the recordings of the others out of a cassette that tests share.
    anew = "rewrite" if given is None or _is_alone(item) else "all"
    options = {**by_default, **marked, **asked}
    options["allowed_hosts"] = [*by_default["allowed_hosts"], *marked.get("allowed_hosts", ())]
    options["redact"] = [*redact, *marked.get("redact", ())]
    options["remedy"] = f"pytest --llm-record={anew} {shlex.quote(item.nodeid)}"
    return path, options, scope


def of_network(config: pytest.Config) -> dict[str, Any]:
    """Return the options of a run that say what may reach the network."""
    asked, by_default = _of_the_run(config)
    found = {**by_default, **asked}
    return {name: found[name] for name in ("network", "allowed_hosts", "share_tls")}


def _of_the_run(config: pytest.Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the command line says, and what goes without saying; every test of a run asks."""
    found = config.stash.get(_OF_THE_RUN, None)
    if found is None:
        named = ("record", "unused", "network", "max_age")
        found = config.stash[_OF_THE_RUN] = (
            {name: value for name in named if (value := config.getoption(f"llm_{name}"))},
            {
                **{name: config.getini(f"llm_{name}") or None for name in named},
                "share_tls": config.getini("llm_share_tls"),
                "allowed_hosts": [*config.getini("llm_allow_host"), *config.getoption("llm_allow_host")],
            },
        )
    return found


def shares(item: pytest.Item, path: Path, scope: str) -> bool:
    """Tell whether a test takes from a cassette that is shared."""
    marked = _marked(item)
    given = marked.get("path")
    return marked.get("scope") == scope and given is not None and _given(item, given) == path


def _marked(item: pytest.Item) -> dict[str, Any]:
    marked: dict[str, Any] = {}
    callspec = getattr(item, "callspec", None)
    # From far to near; pytest lists the marks of a parameter after those of the function.
    markers = list(item.iter_markers("llm_cassette"))[::-1]
    markers.sort(key=lambda marker: callspec is not None and marker in callspec.marks)
    for marker in markers:
        if len(marker.args) > 1:
            raise pytest.UsageError("the marker llm_cassette takes one path; its options go by name")
        options = {**({"path": marker.args[0]} if marker.args else {}), **marker.kwargs}
        for name, value in options.items():
            if name not in _KNOWN:
                known = ", ".join(_KNOWN)
                raise pytest.UsageError(f"the marker llm_cassette knows no {name!r}; expected one of {known}")
            marked[name] = [*marked.get(name, ()), *_listed(name, value)] if name in _LISTS else value
    # `speed=None` and the like say no more than leaving them out.
    return {name: value for name, value in marked.items() if value is not None}


def _listed(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | re.Pattern) or callable(value):
        return [value]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    raise pytest.UsageError(f"{name} of the marker llm_cassette is {value!r}; expected a list of texts")


def _is_alone(item: pytest.Item) -> bool:
    """Tell whether the marker that gives the path belongs to this test and no other."""
    paths = [marker for marker in item.own_markers if marker.args or "path" in marker.kwargs]
    return getattr(item, "callspec", None) is None and any(marker.name == "llm_cassette" for marker in paths)


def _given(item: pytest.Item, given: Any) -> Path:
    """Return where a path of a marker leads: from the test file, or else from the root."""
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise pytest.UsageError(
            f"path of the marker llm_cassette is {given!r}; expected the path of a cassette"
        )
    candidates: list[Path] = [item.path.parent / given, item.config.rootpath / given]
    # Where there is no such file yet, the folder that it would be in decides.
    there = [path for path in candidates if path.exists()] or [p for p in candidates if p.parent.is_dir()]
    return (there or candidates)[0]


def _named(item: pytest.Item, owners: dict[str, str]) -> Path:
    """Return the path that is made of the names of a test and its module."""
    configured: str = item.config.getini("llm_cassette_dir")
    if configured:
        # In one folder for all, modules go by their full names: stems may be equal.
        module: str = getattr(getattr(item, "module", None), "__name__", item.path.stem)
        folder = str(item.config.rootpath / configured / module)
    else:
        folder = _beside(item.path)
    path = Path(f"{folder}{os.sep}{file_name(item)}.yaml")
    # Some file systems do not tell upper from lower case.
    owner = owners.setdefault(str(path).casefold(), item.nodeid)
    if owner != item.nodeid:
        raise pytest.UsageError(
            f"{path} would be that of {owner} too, where upper and lower case are one: "
            "give one of them another name, id or path"
        )
    return path


@lru_cache(maxsize=8)
def _beside(module: Path) -> str:
    return str(module.parent / "cassettes" / module.stem)


def file_name(item: pytest.Item) -> str:
    """Return the name of a test's cassette, without the ending."""
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    function = getattr(item, "originalname", None) or item.name
    name = fit = ".".join([*classes, function])
    callspec = getattr(item, "callspec", None)
    parameters = _parameters(item, callspec) if callspec is not None and item.name != function else []
    if len(parameters) == 1:
        name = fit = f"{name}[{parameters[0][1]}]"
    elif parameters:
        name, fit = (
            f"{name}[{','.join(f'{label}={spell(value)}' for label, value in parameters)}]"
            # What parts the parameters must not stand inside of one.
            for spell in (str, lambda value: re.sub("[,=]", "-", value))
        )
    fit = _UNFIT.sub("-", fit)[:_LONGEST]
    if fit == name:
        return name
    # What was lost in spelling must not bring two tests to one file.
    whole = repr((classes, function, parameters))
    return f"{fit}-{blake2b(whole.encode('utf-8', 'backslashreplace'), digest_size=4).hexdigest()}"


def _parameters(item: pytest.Item, callspec: Any) -> list[tuple[str, str]]:
    """Return the parameters by name, each with its id; those of one decorator are one.

    The id that pytest makes of several depends on the order of their decorators, names do not.
    """
    if len(callspec.params) == 1:
        return [("", callspec.id)]
    together: dict[str, str] = {}
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        if isinstance(names, str):
            names = [name.strip() for name in names.split(",") if name.strip()]
        together.update(dict.fromkeys(names, "+".join(names)))
    labels = list(dict.fromkeys(together.get(name, name) for name in callspec.params))
    ids = getattr(callspec, "_idlist", ())
    if len(labels) == 1 or len(labels) != len(ids):
        # Where an id is hidden, or pytest keeps them no more, its own order must do.
        return [("", callspec.id)]
    return sorted(zip(labels, ids, strict=True))

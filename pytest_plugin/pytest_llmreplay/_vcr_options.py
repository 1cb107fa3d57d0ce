"""What a test in the manner of pytest-recording asks for: its cassette's name and options, and its tape.

Rules:

* Options of the fixture `vcr_config` come first, those of markers over them, the nearest last.
* An option that vcrpy does not know, and would pass over in silence, is warned of.
"""

from __future__ import annotations

import inspect
import os
import warnings
from copy import deepcopy
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from vcr import VCR  # type: ignore[import-untyped]  # vcrpy has no types

from llmreplay.cassette.vcr_tape import Files, VcrTape, load_tape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["UnknownVcrOptionWarning", "check_block_network", "default_name", "merged", "tape"]

_UNFIT = "<>?%*:|\"'/\\"
_LONGEST = os.pathconf(".", "PC_NAME_MAX") if hasattr(os, "pathconf") else 255

_KNOWN = {
    *inspect.signature(VCR.__init__).parameters,
    "additional_matchers",
    "allow_playback_repeats",
    "allowed_hosts",
    "persister",
    "with_current_defaults",
}


class UnknownVcrOptionWarning(UserWarning):
    """An option of a cassette is none that vcrpy knows."""


def default_name(item: pytest.Item, of_class: type | None) -> str:
    """Return the name of a test's own cassette."""
    marker = item.get_closest_marker("default_cassette")
    if marker is not None:
        if not marker.args:
            raise pytest.UsageError(
                f"{item.nodeid}: the marker `default_cassette` has no name; "
                'write it as an argument: @pytest.mark.default_cassette("name.yaml")'
            )
        return str(marker.args[0])
    name = f"{of_class.__name__}.{item.name}" if of_class else item.name
    return name.translate(dict.fromkeys(map(ord, _UNFIT), "-"))


def merged(config: Mapping[str, Any], markers: Sequence[pytest.Mark]) -> dict[str, Any]:
    """Return the options of the fixture and of all markers, which are given the nearest first."""
    options = dict(deepcopy(config))
    for marker in reversed(markers):
        options.update(marker.kwargs)
    return options


def check_block_network(marker: pytest.Mark) -> None:
    """Refuse a marker `block_network` with arguments that mean nothing."""
    if marker.args or set(marker.kwargs) - {"allowed_hosts"}:
        raise pytest.UsageError(
            "Invalid arguments to `block_network`. It accepts only the following keyword arguments: "
            f"`allowed_hosts`. Got args: {marker.args!r}; kwargs: {marker.kwargs!r}"
        )


def tape(  # noqa: PLR0913  the fixtures it is made of, each by name
    item: pytest.Item,
    *,
    name: str,
    folder: str,
    mode: str,
    config: Mapping[str, Any],
    markers: Sequence[pytest.Mark],
    pytestconfig: pytest.Config,
) -> tuple[VcrTape, bool]:
    """Return the tape of a test, and whether it is saved even if the test fails."""
    if item.get_closest_marker("llm_cassette") is not None:
        raise pytest.UsageError(f"{item.nodeid} has the markers `vcr` and `llm_cassette`: decide on one")
    options = merged(config, markers)
    _warn_of_unknown(options)
    mode = options.get("record_mode", mode)
    anew = mode == "rewrite"
    if anew:
        mode = "new_episodes"
        if "record_mode" in options:
            options["record_mode"] = mode
    ending = f".{options['serializer']}" if "serializer" in options else ".yaml"
    maker = VCR(path_transformer=VCR.ensure_suffix(ending), cassette_library_dir=folder, record_mode=mode)
    maker.register_persister(Files([*_extra(markers, folder)]))
    pytestconfig.hook.pytest_recording_configure(config=pytestconfig, vcr=maker)
    keeps_failures = bool(options.get("record_on_exception", maker.record_on_exception))
    path = _shortened(name, str(options.get("serializer", ".yaml")))
    return load_tape(maker, path, options, anew=anew), keeps_failures


def _extra(markers: Iterable[pytest.Mark], folder: str) -> Iterable[Path]:
    # The folder may not be there yet: what leads out of it must not ask for it.
    return (Path(os.path.normpath(Path(folder, path))) for marker in markers for path in marker.args)


def _warn_of_unknown(options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - _KNOWN)
    if unknown:
        told = f"vcrpy knows no option {', '.join(map(repr, unknown))}: it has no effect"
        warnings.warn(told, UnknownVcrOptionWarning, stacklevel=2)


def _shortened(name: str, ending: str) -> str:
    """Return a name that the file system takes, made as pytest-recording makes it."""
    if len(name) + len(ending) <= _LONGEST:
        return name
    digest = md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{name[: _LONGEST - len(ending) - len(digest) - 3]}...{digest}"

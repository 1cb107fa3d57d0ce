"""Cassettes: files of recorded exchanges.

load(path)                  any format that llmreplay reads -> Cassette
Cassette.save(path)         the native format (`_native`), vcrpy's (`_vcr`), or an archive (`_har_write`)
conversion.convert(…)       from one to another, redacted, with a report of what could not be kept
"""

from __future__ import annotations

from llmreplay.cassette._calls import Call, Played
from llmreplay.cassette._cassette import Cassette, Format, anew, load, repair, watchers

__all__ = ["Call", "Cassette", "Format", "Played", "anew", "load", "repair", "watchers"]

"""Cassettes: files of recorded exchanges.

load(path)                  any format that llmreplay reads -> Cassette
Cassette.save(path)         the native format (`_native`), or vcrpy's (`_vcr`)
"""

from __future__ import annotations

from llmreplay.cassette._cassette import Cassette, Format, load, repair

__all__ = ["Cassette", "Format", "load", "repair"]

"""A suite that knows nothing but pytest-recording's and vcrpy's documentation.

`VCR_SUITE_URL` is where a server (`echo.py`) is while it is recorded, and was when it is replayed. Tests that
ask live in either case have a server of their own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import echo
import pytest

SHARED = Path(__file__).parent / "shared"


@pytest.fixture(scope="session")
def url():
    return os.environ["VCR_SUITE_URL"]


@pytest.fixture
def recording(record_mode):
    """Whether this run records."""
    return record_mode != "none"


@pytest.fixture
def live():
    """A server that is there whether or not the suite records."""
    with echo.serving() as server:
        yield server


class Lines:
    """A serializer: one line of JSON for each interaction."""

    @staticmethod
    def serialize(cassette):
        return "".join(json.dumps(one) + "\n" for one in cassette["interactions"])

    @staticmethod
    def deserialize(text):
        return {"version": 1, "interactions": [json.loads(line) for line in text.splitlines()]}


def jurassic(one, other):
    assert one.uri == other.uri
    assert b"JURASSIC PARK" in one.body, "required string (JURASSIC PARK) not found in request body"


def same_length(one, other):
    return len(one.body or b"") == len(other.body or b"")


def pytest_recording_configure(config, vcr):
    assert isinstance(config, pytest.Config)
    vcr.register_serializer("lines", Lines)
    vcr.register_matcher("jurassic", jurassic)
    vcr.register_matcher("same_length", same_length)

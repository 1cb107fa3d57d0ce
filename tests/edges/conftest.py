"""Every behaviour of an edge is tested with each HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.edges._blob_clients import BLOB_EDGES
from tests.edges._clients import ASYNC_EDGES, EDGES, Edge

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=[*EDGES, *BLOB_EDGES], ids=repr)
def edge(request: pytest.FixtureRequest) -> Edge:
    """One HTTP client."""
    if reason := request.param.not_for(request.node.name):
        pytest.skip(reason)
    return request.param


@pytest.fixture(params=ASYNC_EDGES, ids=repr)
def async_edge(request: pytest.FixtureRequest) -> Edge:
    """One HTTP client that is used in tasks."""
    return request.param


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Where a cassette goes."""
    return tmp_path / "tape.yaml"

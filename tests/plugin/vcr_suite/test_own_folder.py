"""Fixtures that a module overrides."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

pytestmark = [pytest.mark.vcr(filter_query_parameters=["token"])]

FOLDER = Path(__file__).parent / "recorded"


@pytest.fixture(scope="module")
def vcr_cassette_dir():
    return str(FOLDER)


@pytest.fixture(scope="module")
def vcr_config():
    return {"filter_headers": ["authorization"], "filter_query_parameters": ["overridden"]}


def test_the_folder_can_be_chosen(vcr, url):
    assert Path(vcr._path) == FOLDER / "test_the_folder_can_be_chosen.yaml"
    assert requests.get(f"{url}/folder").ok


def test_options_of_the_fixture_and_of_the_module_add_up(vcr, url):
    requests.get(f"{url}/a?token=t&q=1", headers={"authorization": "me"})

    assert vcr.requests[0].uri == f"{url}/a?q=1"
    assert "authorization" not in vcr.requests[0].headers


@pytest.mark.vcr(filter_headers=[])
def test_the_nearest_marker_wins(vcr, url):
    requests.get(f"{url}/a?token=t", headers={"authorization": "me"})

    assert vcr.requests[0].headers["authorization"] == "me"
    assert "token" not in vcr.requests[0].uri


@pytest.mark.vcr(filter_query_parameters=["class"])
class TestMarkers:
    def test_of_the_class(self, vcr, url):
        requests.get(f"{url}/a?class=c&overridden=o&token=t")
        assert vcr.requests[0].uri == f"{url}/a?overridden=o&token=t"

    @pytest.mark.vcr(filter_query_parameters=[("class", "hidden")])
    def test_of_the_function(self, vcr, url):
        requests.get(f"{url}/a?class=c&token=t")
        assert vcr.requests[0].uri == f"{url}/a?class=hidden&token=t"

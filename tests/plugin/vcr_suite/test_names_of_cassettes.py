"""Which cassette belongs to which test."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import httpx
import pytest
import requests

SHARED = Path(__file__).parent / "shared"
FOLDER = Path(__file__).parent / "cassettes" / "test_names_of_cassettes"


@pytest.mark.vcr
def test_a_test_has_a_cassette_of_its_name(vcr, url):
    assert Path(vcr._path) == FOLDER / "test_a_test_has_a_cassette_of_its_name.yaml"
    assert requests.get(f"{url}/a").json()["path"] == "/a"


@pytest.mark.vcr()  # noqa: PT023  that is what is tested
def test_the_marker_may_be_called(vcr, url):
    assert Path(vcr._path).name == "test_the_marker_may_be_called.yaml"
    assert httpx.get(f"{url}/a").json()["path"] == "/a"


class TestOfClass:
    @pytest.mark.vcr
    def test_method(self, vcr, url):
        assert Path(vcr._path) == FOLDER / "TestOfClass.test_method.yaml"
        assert requests.get(f"{url}/method").ok


@pytest.mark.vcr
class TestMarkedClass:
    def test_it(self, vcr, url):
        assert Path(vcr._path).name == "TestMarkedClass.test_it.yaml"
        assert requests.get(f"{url}/in-class").ok

    def test_another(self, vcr, url):
        assert requests.get(f"{url}/in-class").ok
        assert len(vcr) == 1


class TestUnit(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _given(self, vcr, url):
        self.cassette, self.url = vcr, url

    @pytest.mark.vcr
    def test_it(self):
        assert Path(self.cassette._path).name == "TestUnit.test_it.yaml"
        assert requests.get(f"{self.url}/unit").ok


@pytest.mark.vcr
@pytest.mark.parametrize("place", ["a/b", "c:d?", "plain"])
def test_cases(vcr, url, place):
    spelled = place.translate(str.maketrans("/:?", "---"))
    assert Path(vcr._path).name == f"test_cases[{spelled}].yaml"
    assert requests.get(url, params={"place": place}).ok


@pytest.mark.vcr
@pytest.mark.default_cassette("example.yaml")
def test_a_name_can_be_given(vcr, url):
    assert Path(vcr._path) == FOLDER / "example.yaml"
    assert requests.get(f"{url}/named").ok


@pytest.mark.vcr
@pytest.mark.default_cassette("without-ending")
def test_a_name_without_its_ending(vcr, url):
    assert Path(vcr._path).name == "without-ending.yaml"
    assert requests.get(f"{url}/named").ok


@pytest.mark.vcr
@pytest.mark.parametrize("text", ["x" * 300], ids=["x" * 300])
def test_a_name_that_is_too_long(vcr, url, text):
    assert len(Path(vcr._path).name) <= 255
    assert Path(vcr._path).name.startswith("test_a_name_that_is_too_long[xxx")
    assert requests.get(f"{url}/long").ok


def test_a_test_without_the_marker_has_no_cassette(vcr):
    assert vcr is None


def test_a_test_without_the_marker_asks_live(live):
    assert requests.get(live.url).ok
    assert httpx.get(live.url).is_success
    assert len(live.asked) == 2


@pytest.mark.vcr(SHARED / "known.yaml")
def test_extra_cassettes_are_played(vcr):
    assert requests.get("http://recorded.test/one?a=1&b=2").text == "first"
    assert vcr.play_count == 1
    assert Path(vcr._path).name == "test_extra_cassettes_are_played.yaml"


@pytest.mark.vcr("../../shared/known.yaml")
def test_extra_cassettes_are_relative_to_the_folder(vcr):
    assert httpx.get("http://recorded.test/one?a=1&b=2").text == "first"


@pytest.mark.vcr(str(SHARED / "known.yaml"), str(SHARED / "other.yaml"))
def test_several_extra_cassettes():
    assert requests.get("http://recorded.test/one?a=1&b=2").text == "first"
    assert requests.get("https://other.test/three").text == "third"


@pytest.mark.vcr(str(SHARED / "known.yaml"))
@pytest.mark.vcr(str(SHARED / "other.yaml"))
def test_extra_cassettes_of_several_markers(vcr):
    assert requests.get("https://other.test/three").text == "third"
    assert requests.get("http://recorded.test/one?a=1&b=2").text == "first"
    assert len(vcr) == 5


@pytest.mark.vcr(str(SHARED / "known.yaml"), record_mode="new_episodes")
def test_extra_cassettes_beside_a_recording(vcr, url):
    assert requests.get("http://recorded.test/one?a=1&b=2").text == "first"
    assert requests.get(f"{url}/new").json()["path"] == "/new"


@pytest.mark.vcr(str(SHARED / "known.yaml"), str(SHARED / "there-is-none.yaml"))
def test_extra_cassettes_may_be_missing():
    assert requests.get("http://recorded.test/one?a=1&b=2").text == "first"


@pytest.mark.vcr(serializer="json")
def test_json(vcr, url, recording):
    assert Path(vcr._path).name == "test_json.json"
    assert requests.get(f"{url}/json").json()["path"] == "/json"
    if not recording:
        stored = json.loads(Path(vcr._path).read_text())
        assert stored["interactions"][0]["request"]["uri"] == f"{url}/json"


@pytest.mark.vcr(serializer="lines")
def test_a_serializer_that_was_registered(vcr, url, recording):
    assert Path(vcr._path).name == "test_a_serializer_that_was_registered.lines"
    assert httpx.get(f"{url}/lines").json()["path"] == "/lines"
    if not recording:
        (line,) = Path(vcr._path).read_text().splitlines()
        assert json.loads(line)["request"]["uri"] == f"{url}/lines"


@pytest.mark.vcr(path_transformer=lambda path: f"{path}.cassette")
def test_a_path_can_be_transformed(vcr, url):
    assert Path(vcr._path).name == "test_a_path_can_be_transformed.cassette"
    assert requests.get(f"{url}/transformed").ok


@pytest.mark.vcr(cassette_library_dir=str(FOLDER / "library"))
def test_a_library_can_be_given(vcr, url):
    assert Path(vcr._path) == FOLDER / "library" / "test_a_library_can_be_given.yaml"
    assert requests.get(f"{url}/library").ok

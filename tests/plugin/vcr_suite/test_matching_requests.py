"""When a request is that which was recorded."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import requests
from vcr.errors import CannotOverwriteExistingCassetteException

KNOWN = pytest.mark.vcr(str(Path(__file__).parent / "shared" / "known.yaml"))
OTHER = pytest.mark.vcr(str(Path(__file__).parent / "shared" / "other.yaml"))
pytestmark = pytest.mark.vcr(record_mode="none")

ONE = "http://recorded.test/one?a=1&b=2"
TWO = "http://recorded.test/two"


def refused():
    return pytest.raises(CannotOverwriteExistingCassetteException)


@KNOWN
def test_bodies_do_not_count_by_default():
    assert requests.post(TWO, json={"quite": "another"}).text == "second"


@KNOWN
def test_the_order_of_parameters_does_not_count():
    assert requests.get("http://recorded.test/one?b=2&a=1").text == "first"


@KNOWN
@pytest.mark.parametrize(
    "address",
    [
        "https://recorded.test/one?a=1&b=2",
        "http://elsewhere.test/one?a=1&b=2",
        "http://recorded.test:81/one?a=1&b=2",
        "http://recorded.test/two?a=1&b=2",
        "http://recorded.test/one?a=1&b=3",
    ],
    ids=["scheme", "host", "port", "path", "query"],
)
def test_every_part_of_an_address_counts(address):
    with refused():
        requests.get(address)


@KNOWN
def test_methods_count():
    with refused():
        requests.delete(ONE)


@KNOWN
@pytest.mark.vcr(match_on=["method", "host"])
def test_parts_can_be_left_out():
    assert requests.get("https://recorded.test:99/anything").text == "first"


@KNOWN
@pytest.mark.vcr(match_on=["uri"])
def test_the_uri_is_compared_as_it_is_spelled():
    with refused():
        requests.get("http://recorded.test/one?b=2&a=1")
    assert requests.put(ONE).text == "first"


@KNOWN
@pytest.mark.vcr(match_on=["method", "uri", "body"])
def test_bodies_are_compared_as_what_they_mean():
    with refused():
        requests.post(TWO, json={"a": 1, "b": 3})
    assert requests.post(TWO, json={"b": 2, "a": 1}).text == "second"


@KNOWN
@pytest.mark.vcr(match_on=["method", "uri", "raw_body"])
def test_raw_bodies_are_compared_byte_for_byte():
    with refused():
        requests.post(TWO, json={"b": 2, "a": 1})
    assert requests.post(TWO, json={"a": 1, "b": 2}).text == "second"


@KNOWN
@pytest.mark.vcr(match_on=["uri", "headers"], filter_headers=["user-agent", "accept-encoding", "connection"])
def test_headers():
    with refused():
        requests.get(ONE, headers={"X-Kind": "fancy"})
    assert requests.get(ONE, headers={"X-Kind": "plain"}).text == "first"


@KNOWN
@pytest.mark.vcr(additional_matchers=["body"])
def test_matchers_can_be_added():
    with refused():
        requests.post(TWO, json={"a": 2})
    assert requests.post(TWO, json={"a": 1, "b": 2}).text == "second"


@KNOWN
@pytest.mark.vcr(match_on=["jurassic"])
def test_a_matcher_that_asserts():
    with refused():
        requests.post(TWO, data="no dinosaurs")
    assert requests.post(TWO, data="JURASSIC PARK").text == "second"


@KNOWN
@pytest.mark.vcr(match_on=["method", "same_length"])
def test_a_matcher_that_returns():
    with refused():
        requests.post("http://anywhere.test/", data="x")
    assert requests.post("http://anywhere.test/", data="x" * 16).text == "second"


@KNOWN
def test_a_matcher_that_differs_is_named():
    with pytest.raises(CannotOverwriteExistingCassetteException) as caught:
        requests.get("http://recorded.test/one?a=1&b=9")
    assert [name for name, _ in caught.value.similar_requests[0][2]] == ["query"]


@OTHER
def test_https_is_played():
    assert requests.get("https://other.test/three").text == "third"


@OTHER
def test_https_is_played_to_httpx():
    assert httpx.get("https://other.test/three").text == "third"


@KNOWN
def test_what_requests_recorded_is_played_to_httpx():
    response = httpx.get(ONE)
    assert response.text == "first"
    assert response.headers.get_list("x-multi") == ["a", "b"]


@pytest.mark.vcr(
    match_on=["method", "uri", "headers"],
    filter_headers=["accept-encoding", "user-agent"],  # of another environment
    record_mode="once",
)
def test_recorded_headers_match(url):
    assert requests.get(f"{url}/h", headers={"authorization": "Bearer abcdef", "x-a": "b"}).ok

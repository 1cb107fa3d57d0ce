"""What is recorded, and what is refused."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import requests
from vcr.errors import CannotOverwriteExistingCassetteException

SHARED = str(Path(__file__).parent / "shared" / "known.yaml")


@pytest.mark.vcr(record_mode="none")
def test_none_refuses_what_is_not_recorded(url):
    with pytest.raises(CannotOverwriteExistingCassetteException) as caught:
        requests.get(f"{url}/nothing")
    assert caught.value.reason == "cassette_not_found"
    assert caught.value.failed_request.uri == f"{url}/nothing"


@pytest.mark.vcr(record_mode="none")
def test_none_refuses_httpx_too(vcr, url):
    with pytest.raises(CannotOverwriteExistingCassetteException, match="the cassette doesn't exist"):
        httpx.get(f"{url}/nothing")
    assert len(vcr) == vcr.play_count == 0


@pytest.mark.vcr(SHARED, record_mode="none")
def test_a_refusal_names_the_nearest(vcr):
    with pytest.raises(CannotOverwriteExistingCassetteException, match="path differs") as caught:
        requests.get("http://recorded.test/elsewhere?a=1&b=2")
    assert caught.value.reason == "no_match"
    assert caught.value.cassette is vcr
    assert caught.value.similar_requests[0][0].path == "/one"


@pytest.mark.vcr(SHARED, record_mode="none")
def test_a_refusal_says_what_was_played_already(vcr):
    requests.get("http://recorded.test/one?a=1&b=2")
    with pytest.raises(CannotOverwriteExistingCassetteException) as caught:
        requests.get("http://recorded.test/one?a=1&b=2")
    assert caught.value.reason == "already_played"


@pytest.mark.vcr(SHARED, record_mode="none")
def test_code_that_hides_a_refusal_goes_on(vcr):
    try:
        requests.get("http://recorded.test/unknown")
    except Exception:
        hidden = True
    assert hidden
    assert vcr.play_count == 0


@pytest.mark.vcr(SHARED, record_mode="once")
def test_once_adds_nothing_to_what_is_there(url):
    assert requests.get("http://recorded.test/one?a=1&b=2").text == "first"
    with pytest.raises(CannotOverwriteExistingCassetteException):
        requests.get(f"{url}/more")


@pytest.mark.vcr(SHARED, record_mode="once")
def test_equal_requests_are_played_in_order(vcr):
    told = [requests.get("http://recorded.test/twice").text for _ in range(2)]
    assert told == ["the first time", "the second time"]
    assert dict(vcr.play_counts) == {2: 1, 3: 1}


@pytest.mark.vcr(SHARED, allow_playback_repeats=True, record_mode="none")
def test_playback_repeats(vcr):
    told = {requests.get("http://recorded.test/one?a=1&b=2").text for _ in range(3)}
    assert told == {"first"}
    assert vcr.play_counts[0] == 3


@pytest.mark.vcr(allow_playback_repeats=True)
def test_playback_repeats_of_what_was_just_recorded(vcr, url, recording):
    told = {requests.get(f"{url}/count/repeated").text for _ in range(3)}
    assert len(told) == 1
    assert len(vcr) == 1
    assert vcr.play_count == (2 if recording else 3)


@pytest.mark.vcr
def test_repeated_requests_are_recorded_one_by_one(vcr, url):
    told = [int(requests.get(f"{url}/count/one-by-one").text) for _ in range(3)]
    assert told == sorted(set(told))
    assert len(vcr) == 3


@pytest.mark.vcr(record_mode="new_episodes")
def test_new_episodes(vcr, url, recording):
    assert requests.get(f"{url}/episode").ok
    assert vcr.play_count == (0 if recording else 1)


@pytest.mark.vcr(record_mode="all")
def test_all_asks_each_time(vcr, live):
    assert requests.get(live.url).ok
    assert live.asked == ["/"]
    assert vcr.play_count == 0


@pytest.mark.vcr(record_mode="rewrite")
def test_rewrite_starts_over(vcr, live):
    assert len(vcr) == 0
    assert requests.get(live.url).ok
    assert live.asked == ["/"]
    assert len(vcr) == 1


@pytest.mark.vcr
def test_loopback_is_recorded(vcr, url, recording):
    assert httpx.get(f"{url}/local").json()["path"] == "/local"
    assert len(vcr) == 1
    assert vcr.rewound is not recording

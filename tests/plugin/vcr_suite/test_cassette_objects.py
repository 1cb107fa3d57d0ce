"""What a cassette tells."""

from __future__ import annotations

import httpx
import pytest
import requests


def ask(url, *places):
    return [requests.get(f"{url}/{place}").text for place in places]


@pytest.mark.vcr
def test_play_count(vcr, url, recording):
    ask(url, "get", "ip")
    assert vcr.play_count == (0 if recording else 2)


@pytest.mark.vcr
def test_play_counts(vcr, url, recording):
    ask(url, "get", "ip")
    assert dict(vcr.play_counts) == ({} if recording else {0: 1, 1: 1})


@pytest.mark.vcr
def test_all_played(vcr, url, recording):
    ask(url, "get")
    assert vcr.all_played is not recording
    assert len(vcr) == 1


@pytest.mark.vcr
def test_rewound(vcr, url, recording):
    assert vcr.rewound is not recording
    ask(url, "get")


@pytest.mark.vcr
def test_requests(vcr, url):
    requests.post(f"{url}/post", json={"a": 1}, headers={"X-Mine": "yes"})
    (request,) = vcr.requests
    assert (request.method, request.uri, request.body) == ("POST", f"{url}/post", b'{"a": 1}')
    assert request.headers["x-mine"] == "yes"
    assert (request.scheme, request.host, request.path) == ("http", "127.0.0.1", "/post")
    assert request.port == httpx.URL(url).port
    assert request.url == request.uri


@pytest.mark.vcr
def test_the_query_of_a_request(vcr, url):
    requests.get(f"{url}/q?b=2&a=1")
    assert vcr.requests[0].query == [("a", "1"), ("b", "2")]


@pytest.mark.vcr
def test_responses(vcr, url):
    requests.get(f"{url}/status/418")
    (response,) = vcr.responses
    assert response["status"] == {"code": 418, "message": "I'm a Teapot"}
    assert response["body"]["string"] == b"status 418"
    assert response["headers"]["Content-Type"] == ["text/plain"]


@pytest.mark.vcr
def test_responses_to_httpx(vcr, url):
    httpx.get(f"{url}/status/404")
    (response,) = vcr.responses
    assert response["status"] == {"code": 404, "message": "Not Found"}
    assert response["headers"]["content-type"] == ["text/plain"]
    assert response["body"] == {"string": b"status 404"}


@pytest.mark.vcr
def test_length(vcr, url, recording):
    assert len(vcr) == (0 if recording else 3)
    ask(url, "a", "b", "c")
    assert len(vcr) == 3


@pytest.mark.vcr
def test_responses_of(vcr, url):
    ask(url, "get")
    (response,) = vcr.responses_of(vcr.requests[0])
    assert response is vcr.responses[0]


@pytest.mark.vcr
def test_containing(vcr, url, recording):
    ask(url, "get")
    assert (vcr.requests[0] in vcr) is recording  # it has been played otherwise


@pytest.mark.vcr
def test_rewinding(vcr, url, recording):
    first = ask(url, "count")
    vcr.rewind()
    assert vcr.play_count == 0
    if not recording:
        assert ask(url, "count") == first


@pytest.mark.vcr
def test_nearest_requests(vcr, url):
    ask(url, "a")
    near = vcr.find_requests_with_most_matches(type(vcr.requests[0])("GET", f"{url}/b", None, {}))
    assert near[0][0].uri == f"{url}/a"
    assert [name for name, _ in near[0][2]] == ["path"]


@pytest.mark.vcr
def test_its_text(vcr, url):
    ask(url, "a")
    assert str(vcr) == "<Cassette containing 1 recorded response(s)>"

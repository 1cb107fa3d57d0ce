"""What clients see of a recording."""

from __future__ import annotations

import asyncio
import json
from urllib.error import HTTPError
from urllib.request import urlopen

import httpx
import pytest
import requests

pytestmark = pytest.mark.vcr


@pytest.mark.parametrize("get", [requests.get, httpx.get], ids=["requests", "httpx"])
@pytest.mark.parametrize("status", [200, 204, 404, 500])
def test_status(url, get, status):
    response = get(f"{url}/status/{status}")
    assert response.status_code == status
    assert response.text == ("" if status == 204 else f"status {status}")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(vcr, url, method):
    assert requests.request(method, f"{url}/m").json()["method"] == method
    assert vcr.requests[0].method == method


@pytest.mark.parametrize("get", [requests.get, httpx.get], ids=["requests", "httpx"])
def test_bytes(url, get):
    assert get(f"{url}/bytes").content == bytes(range(256))


@pytest.mark.parametrize("get", [requests.get, httpx.get], ids=["requests", "httpx"])
def test_a_stream_as_a_whole(url, get):
    assert get(f"{url}/stream").content.decode() == "one, zwölf, three"


def test_a_stream_piece_by_piece(url):
    with httpx.stream("GET", f"{url}/stream") as response:
        assert "".join(response.iter_text()) == "one, zwölf, three"


def test_a_stream_of_requests(url):
    with requests.get(f"{url}/stream", stream=True) as response:
        assert b"".join(response.iter_content(4)).decode() == "one, zwölf, three"


def test_redirects(vcr, url):
    response = requests.get(f"{url}/redirect")
    assert response.json()["path"] == "/landed"
    assert [past.status_code for past in response.history] == [302]
    assert [request.path for request in vcr.requests] == ["/redirect", "/landed"]


def test_redirects_of_httpx(vcr, url):
    assert httpx.get(f"{url}/redirect", follow_redirects=True).json()["path"] == "/landed"
    assert len(vcr) == 2


def test_cookies(url):
    with requests.Session() as client:
        assert client.get(f"{url}/cookies").cookies["flavour"] == "oat"
        assert client.get(f"{url}/next").json()["headers"]["cookie"] == "flavour=oat; size=big"


def test_urllib(vcr, url):
    with urlopen(f"{url}/urllib") as response:
        assert json.load(response)["path"] == "/urllib"
    assert len(vcr) == 1


def test_urllib_and_errors(url):
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{url}/status/404")
    with caught.value as error:
        assert error.code == 404


def test_async_httpx(vcr, url):
    async def ask():
        async with httpx.AsyncClient() as client:
            answers = await asyncio.gather(*(client.get(f"{url}/{place}") for place in "abc"))
        return [answer.json()["path"] for answer in answers]

    assert asyncio.run(ask()) == ["/a", "/b", "/c"]
    assert len(vcr) == 3


def test_bodies(vcr, url):
    assert requests.post(f"{url}/b", data=b"\x00\xff").json()["body"] == "\x00\xff"
    assert vcr.requests[0].body == b"\x00\xff"


def test_a_session_of_requests(url):
    with requests.Session() as client:
        told = [client.get(f"{url}/{place}").json()["path"] for place in ("a", "b")]
    assert told == ["/a", "/b"]


def test_a_client_of_httpx(url):
    with httpx.Client(base_url=url) as client:
        assert client.get("/a").json()["path"] == "/a"
        assert client.post("/b", json={"x": "é"}).json()["method"] == "POST"

"""What is kept of requests and responses, and what is left alone."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs

import httpx
import pytest
import requests

SECRET = {"authorization": "Bearer me"}


@pytest.mark.vcr(filter_headers=["authorization"])
def test_headers_are_left_out(vcr, url):
    assert requests.get(f"{url}/h", headers=SECRET).json()["headers"]["authorization"] == "Bearer me"
    assert "authorization" not in vcr.requests[0].headers


@pytest.mark.vcr(filter_headers=[("Authorization", "XXX"), ("x-other", None)])
def test_headers_are_replaced(vcr, url):
    httpx.get(f"{url}/h", headers={**SECRET, "x-other": "1"})
    assert vcr.requests[0].headers["authorization"] == "XXX"
    assert "x-other" not in vcr.requests[0].headers


def shortened(key, value, request):
    assert request.method == "GET"
    return f"{key} hidden"


@pytest.mark.vcr(filter_headers=[("authorization", shortened)])
def test_headers_are_replaced_by_a_function(vcr, url):
    requests.get(f"{url}/h", headers=SECRET)
    assert vcr.requests[0].headers["authorization"] == "authorization hidden"


@pytest.mark.vcr
def test_headers_are_kept_without_a_filter(vcr, url):
    requests.get(f"{url}/h", headers={**SECRET, "x-mine": "1"})
    assert vcr.requests[0].headers["authorization"] == "Bearer me"
    assert vcr.requests[0].headers["x-mine"] == "1"


@pytest.mark.vcr(filter_query_parameters=["api_key"])
def test_parameters_are_left_out(vcr, url):
    assert "api_key=k" in requests.get(f"{url}/q?api_key=k&a=1").json()["query"]
    assert vcr.requests[0].uri == f"{url}/q?a=1"


@pytest.mark.vcr(
    filter_query_parameters=[
        ("api_key", "XXX"),
        ("b", None),
        ("c", lambda key, value, request: value.upper()),
    ]
)
def test_parameters_are_replaced(vcr, url):
    requests.get(f"{url}/q?api_key=k&b=1&c=d")
    assert vcr.requests[0].uri == f"{url}/q?api_key=XXX&c=D"


@pytest.mark.vcr
def test_parameters_are_kept_without_a_filter(vcr, url):
    requests.get(f"{url}/q?api_key=something-long-enough")
    assert vcr.requests[0].uri == f"{url}/q?api_key=something-long-enough"


@pytest.mark.vcr(filter_post_data_parameters=["password"])
def test_fields_of_a_form_are_left_out(vcr, url):
    requests.post(f"{url}/f", data={"user": "u", "password": "p"})
    assert parse_qs(vcr.requests[0].body.decode()) == {"user": ["u"]}


@pytest.mark.vcr(
    filter_post_data_parameters=[("password", "XXX"), ("user", lambda key, value, request: value.upper())]
)
def test_fields_of_a_form_are_replaced(vcr, url):
    requests.post(f"{url}/f", data={"user": "u", "password": "p"})
    assert parse_qs(vcr.requests[0].body.decode()) == {"user": ["U"], "password": ["XXX"]}


@pytest.mark.vcr(filter_post_data_parameters=["password"])
def test_fields_of_json_are_left_out(vcr, url):
    httpx.post(f"{url}/f", json={"user": "u", "password": "p"})
    assert json.loads(vcr.requests[0].body) == {"user": "u"}


@pytest.mark.vcr(filter_post_data_parameters=[("password", "X")], filter_nested_post_data_parameters=True)
def test_fields_within_json_are_replaced(vcr, url):
    requests.post(f"{url}/f", json={"in": [{"password": "p"}]})
    assert json.loads(vcr.requests[0].body) == {"in": [{"password": "X"}]}


def without_health(request):
    return None if request.path == "/health" else request


@pytest.mark.vcr(before_record_request=without_health, record_mode="new_episodes")
def test_a_request_that_a_hook_drops_goes_live(vcr, live):
    assert requests.get(f"{live.url}/health").ok
    assert httpx.get(f"{live.url}/health").is_success
    assert live.asked == ["/health", "/health"]
    assert len(vcr) == 0


@pytest.mark.vcr(before_record_request=without_health, record_mode="none")
def test_a_request_that_a_hook_drops_is_never_refused(live):
    assert requests.get(f"{live.url}/health").ok


def renamed(request):
    request.uri = request.uri.replace("secret", "public")
    return request


@pytest.mark.vcr(before_record_request=renamed)
def test_a_hook_changes_what_is_recorded_and_not_what_is_sent(vcr, url):
    assert requests.get(f"{url}/secret").json()["path"] == "/secret"
    assert vcr.requests[0].path == "/public"


def tagged(request):
    request.headers["X-Tag"] = "tagged"
    return request


@pytest.mark.vcr(before_record_request=[renamed, tagged])
def test_hooks_on_requests_are_called_in_order(vcr, url):
    requests.get(f"{url}/secret")
    assert (vcr.requests[0].path, vcr.requests[0].headers["x-tag"]) == ("/public", "tagged")


def censored(response):
    response["body"]["string"] = response["body"]["string"].replace(b"status", b"censored")
    return response


@pytest.mark.vcr(before_record_response=censored)
def test_a_hook_changes_the_response_that_is_recorded(vcr, url, recording):
    told = requests.get(f"{url}/status/200").text
    assert vcr.responses[0]["body"]["string"] == b"censored 200"
    assert recording or told == "censored 200"


@pytest.mark.vcr(before_record_response=lambda response: None, record_mode="all")
def test_a_response_that_a_hook_drops_is_not_recorded(vcr, live):
    assert requests.get(live.url).ok
    assert len(vcr) == 0


@pytest.mark.vcr(before_record_response=[censored, lambda response: {**response, "headers": {}}])
def test_hooks_on_responses_are_called_in_order(vcr, url):
    requests.get(f"{url}/status/200")
    assert vcr.responses[0]["body"]["string"] == b"censored 200"
    assert vcr.responses[0]["headers"] == {}


@pytest.mark.vcr(ignore_localhost=True, record_mode="none")
def test_this_machine_can_be_ignored(vcr, live):
    assert requests.get(f"{live.url}/a").ok
    assert httpx.get(f"{live.url}/b").is_success
    assert live.asked == ["/a", "/b"]
    assert len(vcr) == 0


@pytest.mark.vcr(ignore_hosts=["127.0.0.1"], record_mode="once")
def test_hosts_can_be_ignored(vcr, live):
    assert requests.get(live.url).ok
    assert len(vcr) == 0


@pytest.mark.vcr(ignore_hosts=[re.compile(r"127\..*")], record_mode="none")
def test_hosts_can_be_ignored_by_a_pattern(vcr, live):
    assert requests.get(live.url).ok
    assert len(vcr) == 0


@pytest.mark.vcr(ignore_hosts=["elsewhere.test"])
def test_other_hosts_are_not_ignored(vcr, url):
    assert requests.get(f"{url}/not-ignored").ok
    assert len(vcr) == 1


@pytest.mark.vcr(decode_compressed_response=True)
def test_compressed_responses_are_decoded(vcr, url):
    assert requests.get(f"{url}/gzip").json() == {"compressed": True}
    (response,) = vcr.responses
    assert response["body"]["string"] == b'{"compressed": true}'
    assert "content-encoding" not in {name.lower() for name in response["headers"]}


@pytest.mark.vcr(decode_compressed_response=True)
def test_compressed_responses_to_httpx_are_decoded(vcr, url):
    assert httpx.get(f"{url}/gzip").json() == {"compressed": True}
    assert vcr.responses[0]["body"]["string"] == b'{"compressed": true}'


@pytest.mark.vcr
def test_compressed_responses_are_kept_as_they_came(vcr, url):
    response = httpx.get(f"{url}/gzip")
    assert response.json() == {"compressed": True}
    assert response.headers["content-encoding"] == "gzip"
    assert vcr.responses[0]["body"]["string"].startswith(b"\x1f\x8b")


@pytest.mark.vcr
def test_compressed_responses_to_requests_are_kept_as_it_reads_them(vcr, url):
    response = requests.get(f"{url}/gzip")
    assert response.json() == {"compressed": True}
    assert response.headers["content-encoding"] == "gzip"
    assert vcr.responses[0]["body"]["string"] == b'{"compressed": true}'
    assert vcr.responses[0]["headers"]["Content-Encoding"] == ["gzip"]


@pytest.mark.vcr(filter_sensitive_data={"A-WORD": "sesame"})
def test_sensitive_data_is_there_in_the_test(vcr, url, recording):
    assert requests.get(f"{url}/open/sesame").json()["path"] == "/open/sesame"
    assert vcr.requests[0].path == "/open/sesame"
    if not recording:
        with open(vcr._path) as file:  # noqa: PTH123  the path is a text
            stored = file.read()
        assert "sesame" not in stored
        assert "A-WORD" in stored


def shouted(request, response):
    response["body"]["string"] = response["body"]["string"].upper()
    return request, response


@pytest.mark.vcr(before_save_interaction=shouted)
def test_a_hook_on_what_is_saved(url, recording):
    assert requests.get(f"{url}/status/200").text == ("status 200" if recording else "STATUS 200")


@pytest.mark.vcr(after_load_interaction=shouted)
def test_a_hook_on_what_is_loaded(url, recording):
    assert requests.get(f"{url}/status/200").text == ("status 200" if recording else "STATUS 200")

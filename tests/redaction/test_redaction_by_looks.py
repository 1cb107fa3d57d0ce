"""Redaction for whoever decides about names himself."""

from __future__ import annotations

import pytest

from llmreplay.exchange import Request
from llmreplay.redaction import Redaction, is_credential

KEY = "sk-proj-" + "aB3dE5fG7h" * 5
FORM = (("content-type", "application/x-www-form-urlencoded"),)


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "http://host.test/?api_key=something-secret"),
        Request("POST", "http://host.test/", (), b'{"password": "something-secret"}'),
        Request("POST", "http://host.test/", FORM, b"password=something-secret"),
    ],
    ids=["url", "json", "form"],
)
def test_what_is_secret_by_its_name_alone_is_left_alone(request_):
    rules = Redaction(environ={})

    assert rules.by_looks().request(request_) == request_
    assert rules.request(request_) != request_
    assert rules.by_looks().find(request_.body) == []


def test_what_looks_like_a_secret_has_one_number_for_both():
    rules = Redaction(environ={"MY_KEY": "of-the-environment"})

    assert rules.by_looks().text(f"{KEY} of-the-environment") == "[redacted-1] [redacted-2]"
    assert rules.text(f"of-the-environment {KEY}") == "[redacted-2] [redacted-1]"


def test_a_text_can_be_called_a_secret():
    rules = Redaction(environ={})

    assert [rules.secret(text) for text in ("one", "two", "one", "[redacted-2]")] == [
        "[redacted-1]",
        "[redacted-2]",
        "[redacted-1]",
        "[redacted-2]",
    ]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("Authorization", True), ("X-Api-Key", True), ("Set-Cookie", True), ("X-Total-Tokens", False)],
)
def test_names_of_credentials(name, is_one):
    assert is_credential(name) is is_one

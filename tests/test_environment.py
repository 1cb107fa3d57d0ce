"""Dummies for provider keys, and what counts as a secret of the environment."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from unittest import mock

import httpx2
import pytest

from llmreplay import UnmatchedRequest, use_cassette, use_script
from llmreplay.environment import DUMMY_KEY, KEYS, secrets


@pytest.fixture(autouse=True)
def without_keys(monkeypatch):
    """An environment that has none of the keys."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def test_every_key_without_a_value_has_a_dummy_and_nothing_is_left_of_it(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "")
    monkeypatch.setenv("XAI_API_KEY", "own")
    before = dict(os.environ)

    with use_script():
        assert {name: os.environ[name] for name in KEYS} == {
            **dict.fromkeys(KEYS, DUMMY_KEY),
            "XAI_API_KEY": "own",
        }
        assert os.getenv("GROQ_API_KEY") == DUMMY_KEY
        assert "OPENAI_API_KEY" in os.environ
        assert os.environ.get("SURELY_NOT_SET", "no") == "no"

    assert dict(os.environ) == before


def test_all_ways_to_look_at_the_environment_agree(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "")
    with use_script():
        listed = list(os.environ)
        assert len(listed) == len(set(listed)) == len(os.environ) == len(os.environ.copy())
        assert dict(os.environ.items()) == os.environ.copy() == {**os.environ}
        assert set(KEYS) <= set(listed)


def test_what_is_set_or_unset_in_a_session_stays_so():
    with use_script():
        os.environ["OPENAI_API_KEY"] = "own"
        assert os.environ["OPENAI_API_KEY"] == "own"
        del os.environ["GROQ_API_KEY"]
        assert "GROQ_API_KEY" not in os.environ
        with pytest.raises(KeyError):
            del os.environ["GROQ_API_KEY"]
        assert os.environ.pop("XAI_API_KEY") == DUMMY_KEY
        assert os.environ.pop("XAI_API_KEY", None) is None
        os.environ["CO_API_KEY"] = ""
        assert os.environ["CO_API_KEY"] == ""
        with use_script():
            assert "GROQ_API_KEY" not in os.environ

    assert os.environ.pop("OPENAI_API_KEY") == "own"
    assert os.environ.pop("CO_API_KEY") == ""


def test_who_saves_the_environment_and_puts_it_back_sets_no_dummy(monkeypatch):
    with use_script():
        with mock.patch.dict(os.environ, {"OPENAI_API_KEY": "for now"}, clear=True):
            assert dict(os.environ) == {"OPENAI_API_KEY": "for now"}
        assert os.environ["OPENAI_API_KEY"] == os.environ["GROQ_API_KEY"] == DUMMY_KEY
        with monkeypatch.context() as patched:
            patched.setenv("OPENAI_API_KEY", "for now")
            patched.delenv("GROQ_API_KEY")
            assert "GROQ_API_KEY" not in os.environ
        assert os.environ["OPENAI_API_KEY"] == os.environ["GROQ_API_KEY"] == DUMMY_KEY

    assert not set(KEYS) & set(os.environ)


def test_child_processes_see_no_dummy():
    program = "import os; print(os.environ.get('OPENAI_API_KEY'))"
    with use_script():
        told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert told.stdout.strip() == "None"


def test_a_copy_that_outlives_the_session_has_no_dummy():
    with use_script():
        taken = copy.copy(os.environ)  # noqa: PLW1507  this one shares what is below

    assert "OPENAI_API_KEY" not in taken


def test_an_environment_that_a_test_has_made_up_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(os, "environ", {"PATH": "nowhere"})

    with use_script():
        assert os.environ == {"PATH": "nowhere"}


def test_sessions_that_record_lend_nothing(tmp_path):
    with use_cassette(tmp_path / "x.yaml", record="once"):
        assert "OPENAI_API_KEY" not in os.environ


def test_secrets_are_told_by_their_names_and_a_dummy_is_none(monkeypatch):
    monkeypatch.setenv("MY_PASSWORD", "open sesame")
    monkeypatch.setenv("SHORT_KEY", "1234567")
    monkeypatch.setenv("KEYS_OF_MINE", "not a secret")

    with use_script():
        found = secrets()

    assert found["MY_PASSWORD"] == "open sesame"
    assert not {"SHORT_KEY", "KEYS_OF_MINE", *KEYS} & set(found)
    assert secrets({"token": "12345678"}) == {"token": "12345678"}


def test_a_secret_of_the_environment_is_one_although_it_is_unset_before_it_is_met(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "open sesame")

    with use_cassette(tmp_path / "x.yaml") as cassette:
        monkeypatch.delenv("MY_TOKEN")
        with pytest.raises(UnmatchedRequest) as refused:
            httpx2.post("https://api.openai.com/v1/responses", json={"model": "open sesame"})
        cassette.refusals.clear()

    assert "open sesame" not in str(refused.value)
    assert b"[redacted-1]" in refused.value.request.body

"""What each record mode does to a cassette, and what a test that did not pass does to it: nothing."""

from __future__ import annotations

import pytest

from llmreplay import load
from tests.plugin.conftest import told

LIVE = ["once", "new_episodes", "all", "rewrite"]
OVER = ["new_episodes", "all", "rewrite"]


def test_nothing_is_recorded_unless_that_is_asked_for(project):
    project.tests('def test_it(llm_cassette): ask("hi")')

    project.run().assert_outcomes(failed=1)

    assert project.cassettes() == set()


def test_once_records_and_the_next_run_needs_no_provider(project):
    project.tests("""
        def test_it(llm_cassette):
            assert ask("hi") == "re hi"
            assert llm_cassette.usage.total_tokens == 34
    """)
    project.record()
    project.provider.close()

    project.run().assert_outcomes(passed=1)
    project.run("--llm-record=once").assert_outcomes(passed=1)
    assert project.cassettes() == {"cassettes/test_it/test_it.yaml"}


@pytest.mark.parametrize("sdk", ["ask_openai", "ask_anthropic"])
def test_an_sdk_is_recorded_and_replayed(project, monkeypatch, sdk):
    project.tests(f"""
        def test_it(llm_cassette):
            assert {sdk}("hi") == "re hi"
    """)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-user-0123456789")
    project.record()
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    project.provider.close()

    project.run().assert_outcomes(passed=1)
    assert "sk-of-the-user" not in project.cassette().read_text()


def test_new_episodes_adds_only_what_is_missing(project):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    before = project.cassette().read_text()
    project.tests('def test_it(llm_cassette): ask("a"), ask("b")')

    project.run("--llm-record=new_episodes").assert_outcomes(passed=1)

    assert project.asked == ["a", "b"]
    assert project.prompts() == ["a", "b"]
    assert project.cassette().read_text().startswith(before.removesuffix("...\n"))


def test_all_asks_anew_and_keeps_what_was_not_asked(project):
    project.tests('def test_it(llm_cassette): ask("a"), ask("b")')
    project.record()
    project.voice = "new"
    project.tests('def test_it(llm_cassette): assert ask("b") == "new b"')

    project.run("--llm-record=all").assert_outcomes(passed=1)

    assert project.answers() == ["re a", "new b"]


def test_rewrite_starts_over(project):
    project.tests('def test_it(llm_cassette): ask("a"), ask("b")')
    project.record()
    project.voice = "new"
    project.tests('def test_it(llm_cassette): assert ask("b") == "new b"')

    project.run("--llm-record=rewrite").assert_outcomes(passed=1)

    assert project.answers() == ["new b"]


@pytest.mark.parametrize("mode", OVER)
def test_recording_one_test_leaves_the_other_cassettes_alone(project, mode):
    project.tests("""
        def test_one(llm_cassette): ask("a")
        def test_two(llm_cassette): ask("b")
    """)
    project.record(passed=2)
    other = project.cassette("test_it/test_two")
    before = (other.read_bytes(), other.stat().st_mtime_ns)

    project.run(f"--llm-record={mode}", "test_it.py::test_one").assert_outcomes(passed=1)

    assert (other.read_bytes(), other.stat().st_mtime_ns) == before


@pytest.mark.parametrize("mode", OVER)
def test_a_test_that_fails_leaves_its_cassette_as_it_was_and_its_recording_beside_it(project, mode):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    before = project.cassette().read_bytes()
    project.tests('def test_it(llm_cassette): assert ask("b") == "wrong"')

    result = project.run(f"--llm-record={mode}")

    result.assert_outcomes(failed=1)
    assert project.cassette().read_bytes() == before
    assert project.prompts("test_it/test_it.failed") == ["b"]
    result.stdout.fnmatch_lines(
        ["*llmreplay*", "*what it recorded is kept in *test_it.failed.yaml; *test_it.yaml is as it was."]
    )


def test_a_first_recording_of_a_test_that_fails_is_no_cassette(project):
    project.tests('def test_it(llm_cassette): assert ask("b") == "wrong"')

    project.run("--llm-record=once").assert_outcomes(failed=1)

    assert project.cassettes() == {"cassettes/test_it/test_it.failed.yaml"}


@pytest.mark.parametrize("mode", LIVE)
def test_a_test_that_fails_before_it_asks_leaves_nothing(project, mode):
    project.tests("def test_it(llm_cassette): assert False")

    result = project.run(f"--llm-record={mode}")

    result.assert_outcomes(failed=1)
    assert project.cassettes() == set()
    assert "failed.yaml" not in told(result)


def test_a_replay_that_fails_leaves_nothing(project):
    project.tests('def test_it(llm_cassette): assert ask("a") == "re a"')
    project.record()
    project.tests('def test_it(llm_cassette): assert ask("a") == "wrong"')

    project.run().assert_outcomes(failed=1)

    assert project.cassettes() == {"cassettes/test_it/test_it.yaml"}


NOT_PASSED = {
    "an assertion": 'def test_it(llm_cassette): assert ask("b") == "wrong"',
    "a unittest.TestCase": """
        import unittest

        @pytest.mark.llm_cassette("cassettes/test_it/test_it.yaml")
        class TestIt(unittest.TestCase):
            def test_it(self):
                self.assertEqual(ask("b"), "wrong")
    """,
    "a subtest": """
        def test_it(llm_cassette, subtests):
            with subtests.test("one"):
                assert ask("b") == "wrong"
            with subtests.test("two"):
                pass
    """,
    "a set-up": """
        @pytest.fixture
        def broken():
            ask("b")
            raise OSError("no such thing")

        def test_it(llm_cassette, broken):
            pass
    """,
    "a skip": """
        def test_it(llm_cassette):
            ask("b")
            pytest.skip("not today")
    """,
    "an expected failure": """
        @pytest.mark.xfail(strict=True)
        def test_it(llm_cassette):
            assert ask("b") == "wrong"
    """,
    "an expected failure that passes": """
        @pytest.mark.xfail(strict=True)
        def test_it(llm_cassette):
            ask("b")
    """,
    "the end of the run": """
        def test_it(llm_cassette):
            ask("b")
            pytest.exit("enough")
    """,
}


@pytest.mark.parametrize("test", NOT_PASSED.values(), ids=NOT_PASSED)
def test_whatever_does_not_pass_takes_no_place_of_a_good_recording(project, test):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    before = project.cassette().read_bytes()
    project.tests(test)

    project.run("--llm-record=rewrite")

    assert project.asked == ["a", "b"]
    assert project.cassette().read_bytes() == before
    assert project.prompts("test_it/test_it.failed") == ["b"]


def test_an_expected_failure_is_recorded_where_there_is_no_recording_and_replays(project):
    project.tests("""
        @pytest.mark.xfail(strict=True, raises=AssertionError)
        def test_it(llm_cassette):
            assert ask("a") == "wrong"
    """)
    project.record(xfailed=1)
    assert project.cassettes() == {"cassettes/test_it/test_it.yaml"}
    project.provider.close()

    project.run().assert_outcomes(xfailed=1)


def test_tests_that_share_a_cassette_are_recorded_into_it_together(project):
    project.tests("""
        pytestmark = pytest.mark.llm_cassette("shared.yaml", unused="ignore")

        def test_one(): ask("a")
        def test_two(): ask("b")
        def test_three(): ask("c")
    """)
    shared = project.root / "shared.yaml"

    for mode in ("once", "rewrite"):
        project.run(f"--llm-record={mode}").assert_outcomes(passed=3)
        assert sorted(request.messages[-1].text for request in load(shared).requests) == ["a", "b", "c"]

    project.provider.close()
    project.run().assert_outcomes(passed=3)


def test_a_test_that_shares_its_cassette_is_not_told_to_rewrite_it(project):
    project.tests("""
        pytestmark = pytest.mark.llm_cassette("shared.yaml")

        def test_one(): ask("a")

        @pytest.mark.llm_cassette("alone.yaml")
        def test_two(): ask("b")
    """)

    result = project.run("-p", "no:randomly")

    result.stdout.fnmatch_lines(
        [
            "*pytest --llm-record=all test_it.py::test_one",
            "*pytest --llm-record=rewrite test_it.py::test_two",
        ]
    )


KEYS = """
    import os

    def test_it(llm_cassette):
        assert os.environ.get("OPENAI_API_KEY") == {key!r}

    def test_without():
        assert "OPENAI_API_KEY" not in os.environ
"""


@pytest.mark.parametrize("options", [[], ["--llm-record=none"], ["--llm-network=allow"]], ids="|".join)
def test_in_replay_provider_keys_have_a_dummy_value(project, options):
    project.tests(KEYS.format(key="llmreplay-dummy-key"))

    project.run(*options).assert_outcomes(passed=2)


@pytest.mark.parametrize("mode", LIVE)
def test_where_calls_go_live_the_keys_are_those_of_the_user(project, mode):
    project.tests(KEYS.format(key=None))

    project.run(f"--llm-record={mode}").assert_outcomes(passed=2)


def test_a_key_that_the_user_has_set_is_left_alone(project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-user")
    project.tests("""
        import os

        def test_it(llm_cassette):
            assert os.environ["OPENAI_API_KEY"] == "of-the-user"
    """)

    project.run().assert_outcomes(passed=1)


def test_use_cassette_inside_of_a_test_with_a_cassette_has_its_own(project):
    project.tests("""
        from llmreplay import use_cassette

        @pytest.mark.llm_cassette
        def test_it(record_mode, tmp_path_factory):
            ask("outer")
            with use_cassette("inner.yaml", record=record_mode) as inner:
                assert ask("inner") == "re inner"
            assert len(inner.exchanges) == 1
            ask("outer again")

        @pytest.fixture
        def record_mode(request):
            return request.config.getoption("llm_record") or "none"
    """)
    project.record()
    project.provider.close()

    assert project.prompts() == ["outer", "outer again"]
    project.run().assert_outcomes(passed=1)


def test_what_an_inner_cassette_refuses_is_told_once(project):
    project.tests("""
        from llmreplay import use_cassette

        def test_it(llm_cassette):
            with use_cassette("inner.yaml"):
                ask("hi")
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    assert told(result).count("No recorded exchange answers this request.") == 1
    assert "cassette: inner.yaml" in told(result)


def test_a_secret_that_redaction_does_not_know_can_be_told_of(project):
    project.tests("""
        def test_it(llm_cassette):
            ask("the word is xyzzy-12345")
    """)
    project.ini("llm_redact =", "  xyzzy-[0-9]+")

    project.record()

    assert "xyzzy" not in project.cassette().read_text()
    project.run().assert_outcomes(passed=1)


def test_secrets_can_be_told_of_by_a_fixture_too(project):
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def llm_redact():
            return [lambda text: text.replace("xyzzy-12345", "HIDDEN")]
    """,
    )
    project.tests("""
        @pytest.mark.llm_cassette(redact="plugh-[0-9]+")
        def test_it():
            ask("the words are xyzzy-12345 and plugh-67890")
    """)

    project.record()

    assert "HIDDEN" in project.cassette().read_text()
    assert "xyzzy" not in project.cassette().read_text()
    assert "plugh" not in project.cassette().read_text()

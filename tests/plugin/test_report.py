"""What a run says: failures that can be read, one line of numbers, and the same under xdist."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import told

MESSAGE = "No recorded exchange answers this request."


def test_a_refusal_deep_in_an_sdk_is_shown_at_the_line_of_the_project_that_asked(project):
    project.tests("""
        @pytest.mark.llm_cassette
        def test_it():
            careful("hi", ask_openai)
    """)

    result = project.run()

    section = told(result).partition("FAILURES")[2]
    assert section.count(MESSAGE) == 1
    assert "site-packages" not in section
    assert "llmreplay/session" not in section
    result.stdout.fnmatch_lines(
        [
            "E  *llmreplay.errors.UnmatchedRequest: No recorded exchange answers this request.",
            "E  *request: POST http://127.0.0.1:*/v1/chat/completions (* bytes)",
            "E  *cassette: *cassettes/test_it/test_it.yaml (record=none*",
            "E  *nearest: none, the cassette holds no exchange",
            "E  *To fix this:",
            "E  ** Not recorded yet? Record again: pytest --llm-record=rewrite test_it.py::test_it",
            "",
            "agent.py:*: UnmatchedRequest",
            "llmreplay: 0 exchanges replayed, 0 recorded, 1 live call refused",
            "FAILED test_it.py::test_it - llmreplay.errors.UnmatchedRequest: *",
        ]
    )


def test_the_remedy_that_a_failure_names_mends_it(project):
    project.tests("""
        @pytest.mark.parametrize("text", ["it's a $5 \\"word\\""])
        @pytest.mark.llm_cassette
        def test_it(text): ask(text)
    """)
    remedy = re.search(r"Record again: pytest (.*)", told(project.run()))
    assert remedy is not None

    import shlex

    project.run(*shlex.split(remedy[1])).assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_full_trace_shows_the_frames_of_the_sdk_too(project):
    project.tests('def test_it(llm_cassette): ask("hi")')

    assert "site-packages" in told(project.run("--full-trace"))


def test_a_refusal_in_a_task_group_is_shown_without_the_frames_of_the_client(project):
    project.tests("""
        @pytest.mark.asyncio
        async def test_it(llm_cassette):
            async with asyncio.TaskGroup() as group:
                group.create_task(ask_async("hi"))
    """)

    section = told(project.run()).partition("FAILURES")[2]

    assert section.count(MESSAGE) == 1
    assert "httpx/_client.py" not in section


def test_a_project_that_is_installed_beside_the_libraries_is_still_the_project(project, monkeypatch):
    from pytest_llmreplay import _verdict

    project.write("myagent/__init__.py", "")
    project.write(
        "myagent/talk.py",
        """
        from agent import ask

        def talk():
            return ask("hi")
        """,
    )
    monkeypatch.setattr(_verdict, "_libraries", lambda: (f"{project.root}/", "/"))
    project.tests("""
        from myagent.talk import talk

        def test_it(llm_cassette): talk()
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["myagent?talk.py:*: UnmatchedRequest"])


def test_an_error_with_no_line_of_the_project_is_shown_as_it_is(project, monkeypatch):
    from pytest_llmreplay import _verdict

    monkeypatch.setattr(_verdict, "_libraries", lambda: ("/",))
    project.tests('def test_it(llm_cassette): ask("hi")')

    result = project.run()

    result.assert_outcomes(failed=1)
    assert MESSAGE in told(result)


def test_a_refusal_that_was_swallowed_before_another_failure_is_told_with_it(project):
    project.tests("""
        def test_it(llm_cassette):
            assert pooled("hi") == "re hi"
    """)

    result = project.run()

    result.stdout.fnmatch_lines(
        [
            "E*AssertionError*",
            "E*1 request had to be refused, and the code under test hid it.",
            f"E*{MESSAGE}",
        ]
    )
    assert told(result).count(MESSAGE) == 1


def test_a_refusal_that_an_agent_raises_as_an_error_of_its_own_is_told_once(project):
    project.tests("""
        def test_it(llm_cassette):
            try:
                ask("hi")
            except BaseException as error:
                raise RuntimeError("the agent failed") from error
    """)

    result = project.run()

    result.stdout.fnmatch_lines([f"E*{MESSAGE}", "E*RuntimeError: the agent failed"])
    assert told(result).count(MESSAGE) == 1


def test_errors_that_go_round_in_a_circle_are_told_all_the_same(project):
    project.tests("""
        def test_it(llm_cassette):
            one, two = ValueError("one"), ValueError("two")
            one.__cause__, two.__cause__ = two, one
            raise one
    """)

    project.run("--tb=native").assert_outcomes(failed=1)


def test_a_damaged_cassette_is_told_plainly_and_left_alone(project):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    damaged = project.cassette().read_bytes()[:-40]
    project.cassette().write_bytes(damaged)

    result = project.run("--llm-record=all")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it.py::test_it cannot use its cassette: *test_it.yaml is damaged."])
    assert project.cassette().read_bytes() == damaged


def test_a_run_sums_up_what_was_replayed_recorded_and_refused(project):
    project.tests("""
        def test_one(llm_cassette): ask("a"), ask("b")
        def test_two(llm_cassette): ask("c")
        def test_none(llm_cassette): pass
    """)
    result = project.record(passed=3)
    result.stdout.fnmatch_lines(["llmreplay: 0 exchanges replayed, 3 recorded, 0 live calls refused"])

    result = project.run()
    result.stdout.fnmatch_lines(
        ["llmreplay: 3 exchanges replayed, 0 recorded, 0 live calls refused, 102 tokens served from *"]
    )

    result = project.run("-k", "two", "-q")
    result.stdout.fnmatch_lines(
        ["llmreplay: 1 exchange replayed, 0 recorded, 0 live calls refused, 34 tokens served from recordings"]
    )


def test_a_run_without_calls_says_nothing(project):
    project.tests("def test_it(llm_cassette): pass")

    assert "llmreplay:" not in told(project.run())


MANY = """
    @pytest.mark.parametrize("number", range(12))
    def test_it(number, llm_cassette):
        assert ask(f"what is {number}?") == f"re what is {number}?"

    @pytest.mark.llm_cassette
    def test_other():
        assert pooled("hi") == "re hi"
"""


def test_under_xdist_all_is_recorded_replayed_and_summed_up(project):
    project.tests(MANY)
    result = project.run_alone("-n", "2", "--llm-record=once")
    result.assert_outcomes(passed=13)
    result.stdout.fnmatch_lines(["llmreplay: 0 exchanges replayed, 13 recorded, 0 live calls refused"])
    assert len(project.cassettes()) == 13
    project.provider.close()

    project.cassette("test_it/test_other").unlink()
    result = project.run_alone("-n", "2", "-p", "randomly")
    result.assert_outcomes(passed=12, failed=1)
    result.stdout.fnmatch_lines(
        ["llmreplay: 12 exchanges replayed, 0 recorded, 1 live call refused, 408 tokens served from *"]
    )


def test_under_xdist_tests_may_add_to_a_cassette_that_they_share(project):
    project.tests("""
        pytestmark = pytest.mark.llm_cassette("cassettes/shared.yaml", unused="ignore")

        @pytest.mark.parametrize("number", range(8))
        def test_it(number): ask(f"{number}")
    """)

    project.run_alone("-n", "2", "--llm-record=new_episodes").assert_outcomes(passed=8)

    assert sorted(project.prompts("shared")) == list("01234567")


def test_under_xdist_what_a_failed_test_recorded_is_told_of_too(project):
    project.tests('def test_it(llm_cassette): assert ask("a") == "wrong"')

    result = project.run_alone("-n", "2", "--llm-record=once")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*what it recorded is kept in *test_it.failed.yaml;*"])


def test_a_worker_that_crashes_does_not_spoil_the_sum(project):
    project.tests("""
        import os

        def test_it(llm_cassette): ask("a")

        def test_crash(): os._exit(3)
    """)

    result = project.run_alone("-n", "2", "--llm-record=once", "-p", "no:randomly")

    result.assert_outcomes(passed=1, failed=1)
    assert "INTERNALERROR" not in told(result)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_the_tests_does_not_matter(project, seed):
    project.tests(MANY)
    project.record("-p", "no:randomly", passed=13)
    project.provider.close()

    project.run("-p", "randomly", f"--randomly-seed={seed}").assert_outcomes(passed=13)

"""A test that uses nothing of llmreplay is not touched, and pays for nothing."""

from __future__ import annotations

import pytest

BYSTANDER = """
    import os
    import socket

    import httpx2

    REAL = (
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
        httpx2.HTTPTransport.handle_request,
        socket.socket.connect,
        socket.getaddrinfo,
    )
    ENVIRONMENT = dict(os.environ)

    def undisturbed():
        return ask("hi") == "re hi" and REAL == (
            httpx.HTTPTransport.handle_request,
            httpx.AsyncHTTPTransport.handle_async_request,
            httpx2.HTTPTransport.handle_request,
            socket.socket.connect,
            socket.getaddrinfo,
        )

    def test_before():
        assert undisturbed()
        # pytest itself says in the environment which test runs.
        assert {**os.environ, "PYTEST_CURRENT_TEST": ""} == {**ENVIRONMENT, "PYTEST_CURRENT_TEST": ""}

    @pytest.mark.llm_cassette
    def test_of_llmreplay():
        assert not undisturbed()

    def test_after():
        test_before()

    class TestAfter:
        def test_too(self):
            test_before()
"""


def test_tests_around_one_with_a_cassette_ask_live_as_ever(project):
    project.tests(BYSTANDER)

    result = project.run("-v", "-p", "no:randomly")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*::test_of_llmreplay FAILED*", "*::test_after PASSED*"])
    assert project.asked == ["hi"] * 3


@pytest.mark.parametrize("option", ["--llm-record=all", "--llm-unused=fail", "--llm-network=block"])
def test_options_say_nothing_to_a_test_without_a_cassette(project, option):
    project.tests("""
        def test_it():
            assert ask("hi") == "re hi"
    """)

    result = project.run(option)

    result.assert_outcomes(passed=1)
    assert "llmreplay:" not in result.stdout.str()
    assert project.cassettes() == set()


def test_a_run_that_does_not_use_llmreplay_imports_nothing_of_it_but_the_plugin(project):
    project.write(
        "test_it.py",
        """
        import sys

        def test_it():
            ours = [name for name in sys.modules if name.startswith(("llmreplay", "pytest_llmreplay"))]
            assert ours == ["pytest_llmreplay"]
            assert not {"httpx", "httpx2", "pydantic", "yaml", "vcr"} & set(sys.modules)
        """,
    )

    project.run_alone("-p", "no:asyncio").assert_outcomes(passed=1)


def test_the_plugin_imports_nothing_but_pytest(project):
    project.write(
        "look.py",
        """
        import sys
        import pytest
        before = set(sys.modules)
        import pytest_llmreplay
        print(sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
        """,
    )

    assert project.pytester.runpython(project.root / "look.py").outlines == ["['pytest_llmreplay']"]


def test_the_plugin_can_be_turned_off(project):
    project.tests("""
        def test_it(request):
            assert not request.config.pluginmanager.has_plugin("llmreplay")
            assert not hasattr(request.config.option, "llm_record")
            assert ask("hi") == "re hi"

        def test_fixture(llm_cassette): pass
    """)

    result = project.run_alone("-p", "no:llmreplay")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'llm_cassette' not found"])


def test_strict_markers_and_strict_config_know_the_names(project):
    project.ini("llm_record = none", "llm_cassette_dir = recorded", "xfail_strict = true")
    project.tests("""
        @pytest.mark.llm_cassette
        def test_it(): pass
    """)

    project.run("--strict-markers", "--strict-config").assert_outcomes(passed=1)


@pytest.mark.parametrize("option", ["--collect-only", "--setup-only", "--setup-plan", "--fixtures-per-test"])
def test_runs_that_run_no_test_complain_of_nothing(project, option):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()

    assert project.run(option).ret == 0

"""A test that uses nothing of llmreplay is not touched, and pays for nothing."""

from __future__ import annotations

import httpx
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


def test_between_two_tests_with_cassettes_nothing_is_answered_and_no_key_is_lent(project):
    project.tests("""
        import sys
        import httpx2

        @pytest.fixture(scope="class")
        def live():  # set up before the cassette, torn down after it
            assert "OPENAI_API_KEY" not in os.environ
            yield ask("set-up")
            assert "OPENAI_API_KEY" not in os.environ
            assert ask("teardown") == "re teardown"

        EDGES = []

        @pytest.fixture
        def edge():
            EDGES.append(httpx.HTTPTransport.handle_request)

        @pytest.mark.llm_cassette
        class TestOne:
            def test_it(self, live, edge):
                assert (live, ask("one")) == ("re set-up", "re one")

        @pytest.mark.llm_cassette
        class TestOther:
            def test_it(self, live, edge):
                assert (live, ask("other")) == ("re set-up", "re other")
                assert EDGES[0] is EDGES[1]  # it was left where it was

        def test_without():
            assert httpx.HTTPTransport.handle_request is not EDGES[0]
            assert not [finder for finder in sys.meta_path if "llmreplay" in type(finder).__module__]
    """)
    project.record("-p", "no:randomly", passed=3)

    project.run("-p", "no:randomly").assert_outcomes(passed=3)
    assert project.asked.count("set-up") == project.asked.count("teardown") == 4
    assert project.asked.count("one") == 1


@pytest.fixture
def visited(project):
    """A run that tells which folders and files pytest asks about."""
    project.write(
        "conftest.py",
        """
        VISITED = []

        def pytest_collect_file(file_path):
            VISITED.append(file_path.name)

        def pytest_terminal_summary(terminalreporter):
            terminalreporter.write_line(f"visited: {sorted(VISITED)}")
        """,
    )

    def run(*args):
        (told,) = [line for line in project.run(*args).outlines if line.startswith("visited: ")]
        return told.removeprefix("visited: ")

    return run


RECORDED = """
    @pytest.mark.llm_cassette
    def test_it():
        assert ask("one") == "re one"
"""


@pytest.mark.parametrize("folder", ["", "recorded/by_llmreplay"])
def test_pytest_is_not_asked_about_each_cassette(project, visited, folder):
    if folder:
        project.ini(f"llm_cassette_dir = {folder}")
    project.tests(RECORDED)
    project.record()
    (cassette,) = project.root.rglob("*.yaml")
    cassette.with_name("test_it.failed.yaml").write_bytes(cassette.read_bytes())

    assert "test_it.yaml" not in visited()
    assert "test_it.py" in visited()
    # Whoever names one means it.
    assert "test_it.yaml" in visited(str(cassette.parent.parent))


@pytest.mark.parametrize(
    ("name", "text"),
    [("cassettes/test_more.py", "def test_more(): pass"), ("cassettes/deep/case.yml", "name: a case")],
)
def test_a_folder_of_cassettes_with_something_else_in_it_is_looked_at(project, visited, name, text):
    project.tests(RECORDED)
    project.record()
    project.write(name, text)

    assert name.rpartition("/")[2] in visited()


@pytest.mark.parametrize("text", ["", "stages: []", "interactions: []"])
def test_files_of_others_in_a_folder_of_that_name_are_looked_at(project, visited, text):
    project.tests("def test_it(): pass")
    project.write("cassettes/test_it/case.yaml", text)

    assert "case.yaml" in visited()


def test_an_empty_folder_of_that_name_is_nothing_to_anybody(project, visited):
    project.tests("def test_it(): pass")
    (project.root / "cassettes").mkdir()

    assert "test_it.py" in visited()


def test_the_edges_are_taken_out_at_the_end_of_a_run(project):
    before = httpx.HTTPTransport.handle_request
    project.tests("""
        @pytest.mark.llm_cassette
        def test_it():
            assert ask("one") == "re one"
    """)
    project.record()
    project.run().assert_outcomes(passed=1)

    assert httpx.HTTPTransport.handle_request is before


def test_fixtures_may_be_asked_for_by_name_in_the_course_of_a_test(project):
    project.tests("""
        def test_it(request):
            assert request.getfixturevalue("llm_cassette").path.name == "test_it.yaml"
            assert ask("one") == "re one"

        @pytest.fixture
        def agent(request):
            request.getfixturevalue("llm_cassette")
            return ask

        def test_other(agent):
            assert agent("two") == "re two"
    """)
    project.record(passed=2)

    project.run().assert_outcomes(passed=2)
    assert sorted(project.asked) == ["one", "two"]


def test_a_session_that_is_asked_for_in_the_course_of_a_test_fails_the_test_itself(project):
    project.tests("""
        import contextlib

        def test_it(request):
            request.getfixturevalue("llm_cassette")
            with contextlib.suppress(BaseException):
                ask("never recorded")
    """)

    result = project.run()

    # Not its teardown: that would be an error beside a test that passed.
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 request had to be refused, and the code under test hid it*"])


def test_a_fixture_that_is_asked_for_when_the_test_is_over_says_so(project):
    project.tests("""
        @pytest.fixture
        def late(request):
            yield
            request.getfixturevalue("llm_cassette")

        def test_it(late): pass
    """)

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*llm_cassette*"])


@pytest.mark.parametrize("fixture", ["llm_cassette", "llm_script", "llm_model"])
def test_a_fixture_that_another_thread_asks_for_says_so(project, fixture):
    project.tests(f"""
        def test_it(request):
            with ThreadPoolExecutor() as pool:
                pool.submit(request.getfixturevalue, "{fixture}").result()
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{fixture} is for a test: ask for it in the set-up of one*"])


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

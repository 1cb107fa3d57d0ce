"""A test must not pass on answers that nobody recorded, nor while recordings go unused."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import told


@pytest.mark.parametrize("asking", ["ask", "ask_openai", "ask_anthropic"])
def test_an_agent_that_falls_back_on_any_exception_fails_without_a_cassette(project, asking):
    project.tests(f"""
        @pytest.mark.llm_cassette
        def test_it():
            assert careful("hi", {asking}) == "fallback"
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*UnmatchedRequest: No recorded exchange answers this request."])
    assert project.asked == []


def test_a_refusal_that_is_swallowed_in_a_thread_pool_fails_the_test(project):
    project.tests("""
        def test_it(llm_cassette):
            assert pooled("hi") == "fallback"
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["1 request had to be refused, and the code under test hid it."])
    assert project.asked == []


def test_a_refusal_that_gather_returns_fails_the_test(project):
    project.ini("asyncio_mode = auto")
    project.tests("""
        async def test_it(llm_cassette):
            await asyncio.gather(ask_async("a"), ask_async("b"), return_exceptions=True)
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["2 requests had to be refused, and the code under test hid it."])


def test_an_exchange_that_nobody_asked_for_fails_the_test(project):
    project.tests('def test_it(llm_cassette): ask("a"), ask("b")')
    project.record()
    project.tests('def test_it(llm_cassette): ask("a")')

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "1 of 2 recorded exchanges was never asked for.",
            "  unused: exchange 2, POST http://127.0.0.1:*/v1/chat/completions",
            "  * Asked no more on purpose? Record again: pytest --llm-record=rewrite test_it.py::test_it",
        ]
    )


def test_a_test_that_asks_nothing_of_its_cassette_any_more_fails(project):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    project.tests("def test_it(llm_cassette): pass")

    project.run().assert_outcomes(failed=1)


def test_two_swapped_calls_of_one_endpoint_get_their_own_answers(project):
    project.tests("""
        def test_it(llm_cassette):
            assert [ask("a"), ask("b")] == ["re a", "re b"]
    """)
    project.record()
    project.provider.close()
    project.tests("""
        def test_it(llm_cassette):
            assert [ask("b"), ask("a")] == ["re b", "re a"]
    """)

    project.run().assert_outcomes(passed=1)


def test_another_prompt_is_not_answered_by_the_recording_of_the_first(project):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    project.tests('def test_it(llm_cassette): assert careful("b") == "fallback"')

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['E*messages?0?.content: "a" recorded, "b" sent'])


def test_asking_once_more_than_was_recorded_fails(project):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    project.tests('def test_it(llm_cassette): ask("a"), pooled("a")')

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the code under test asked once more than was recorded"])


def test_a_refusal_that_a_test_expects_must_be_acknowledged(project):
    project.tests("""
        from llmreplay import UnmatchedRequest

        def test_seen(llm_cassette):
            with pytest.raises(UnmatchedRequest):
                ask("hi")

        def test_acknowledged(llm_cassette):
            with pytest.raises(UnmatchedRequest):
                ask("hi")
            assert len(llm_cassette.refusals) == 1
            llm_cassette.refusals.clear()
    """)

    result = project.run("-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*::test_acknowledged PASSED*"])
    result.stdout.fnmatch_lines(["  * Refused on purpose? Say so: cassette.refusals.clear()"])


def test_what_would_leave_the_machine_is_refused_even_below_http(project):
    project.tests("""
        import socket

        def test_it(llm_cassette):
            try:
                socket.getaddrinfo("192.0.2.1", 80, flags=socket.AI_NUMERICHOST)
            except BaseException:
                pass
    """)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*A live call to 192.0.2.1 was blocked.", "*--llm-network=allow"])
    project.run("--llm-network=allow").assert_outcomes(passed=1)
    project.run("--llm-allow-host=192.0.2.1").assert_outcomes(passed=1)


def test_a_host_that_is_allowed_may_be_asked_live_and_nothing_of_it_is_recorded(project):
    project.tests("""
        def test_it(llm_cassette):
            assert ask("hi") == "re hi"
    """)

    project.run("--llm-allow-host=127.0.0.1").assert_outcomes(passed=1)
    project.run("--llm-allow-host=127.0.0.1", "--llm-record=all").assert_outcomes(passed=1)

    project.ini("llm_allow_host =", "  example.com", "  127.0.0.1")
    project.run().assert_outcomes(passed=1)
    assert project.asked == ["hi"] * 3
    assert project.cassettes() == set()


def test_a_refusal_in_a_teardown_is_told_and_the_other_fixtures_are_torn_down(project):
    project.tests("""
        torn_down = []

        @pytest.fixture
        def first(llm_cassette):
            yield
            torn_down.append("first")

        @pytest.fixture
        def second(first):
            yield
            ask("bye")

        @pytest.fixture
        def third(second):
            yield
            ask("bye bye")

        def test_it(third):
            pass

        def test_next():
            assert torn_down == ["first"]
    """)

    result = project.run("-p", "no:randomly")

    result.assert_outcomes(passed=2, errors=1)
    assert told(result).count("No recorded exchange answers this request.") == 2
    assert "_api.py" not in told(result)
    assert project.asked == []


def test_a_refusal_that_is_swallowed_in_a_teardown_is_an_error(project):
    project.tests("""
        @pytest.fixture
        def model(llm_cassette):
            yield
            pooled("bye")

        def test_it(model):
            pass
    """)

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["1 request had to be refused, and the code under test hid it."])
    result.stdout.no_fnmatch_line("*__init__.py*")

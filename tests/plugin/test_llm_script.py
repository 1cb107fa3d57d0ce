"""The fixture `llm_script`: turns by hand in a test."""

from __future__ import annotations


def test_a_script_answers_whatever_sdk_the_code_uses(project):
    project.tests(
        """

        from llmreplay import Usage, say

        @pytest.mark.parametrize("asking", [ask, ask_openai, ask_anthropic])
        def test_it(llm_script, asking):
            llm_script.turns(say("scripted", usage=Usage(input_tokens=3, output_tokens=2)))
            assert asking("hi") == "scripted"
            assert llm_script.requests[0].prompt == "hi"
            assert llm_script.usage.total_tokens == 5
        """
    )

    result = project.run()

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["llmreplay: 0 exchanges replayed, 3 scripted, 0 recorded, 0 live calls refused"]
    )
    assert project.asked == []


def test_turns_that_are_left_over_fail_the_test(project):
    project.tests(
        """

        def test_it(llm_script):
            llm_script.turns("one", "two", "three")
            assert ask("hi") == "one"
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["2 turns of the script were never asked for.", "*left: 2 for every call"])


def test_a_script_that_ran_out_fails_the_test_although_the_agent_swallows_it(project):
    project.tests(
        """

        def careful(text):
            try:
                return ask(text)
            except BaseException:
                return "fallback"

        def test_it(llm_script):
            llm_script.turns("one")
            assert [careful("a"), careful("b")] == ["one", "fallback"]
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*1 request had to be refused*", "*The script has no turn left for this request.*"]
    )


def test_a_script_and_a_cassette_in_one_test_are_both_judged(project):
    project.tests(
        """

        @pytest.mark.llm_cassette
        def test_it(llm_cassette, llm_script):
            llm_script.turns("scripted", "left over")
            assert ask("hi") == "scripted"
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["1 turn of the script was never asked for."])

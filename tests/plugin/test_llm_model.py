"""The fixture `llm_model`: a model that a test gives to its code."""

from __future__ import annotations


def test_a_test_is_given_a_model(project):
    project.tests(
        """
        from llmreplay import say

        def test_it(llm_model):
            llm_model.turns(say("scripted"))
            assert llm_model.completion_request("hi").send_sync().text == "scripted"
            assert llm_model.requests[0].prompt == "hi"
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 scripted*"])


def test_turns_that_nobody_asked_for_fail_the_test(project):
    project.tests(
        """
        def test_it(llm_model):
            llm_model.turns("one", "two")
            llm_model.completion_request("hi").send_sync()
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 turn of the script was never asked for.*"])


def test_a_refusal_that_is_swallowed_fails_the_test_itself(project):
    project.tests(
        """
        def test_it(llm_model):
            try:
                llm_model.completion_request("hi").send_sync()
            except BaseException:
                pass
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 request had to be refused*"])


def test_http_is_left_alone_and_a_script_beside_it_answers(project):
    project.tests(
        """
        def test_it(llm_model, llm_script):
            llm_model.turns("of the model")
            llm_script.turns("of the wire")
            assert ask("hi") == "of the wire"
            assert llm_model.completion_request("hi").send_sync().text == "of the model"
        """
    )

    project.run().assert_outcomes(passed=1)

"""What is tried again, how often, and what happens then.

An error of a script is the provider's own and asks to be retried at once: the SDK's retries run for
real, and take no time.
"""

import pytest
from openai import AuthenticationError, InternalServerError, OpenAI

from llmreplay import fail, say


def ask(question, models=("gpt-5",), max_retries=2):
    client = OpenAI(max_retries=max_retries)
    *others, last = models
    for model in others:
        try:
            return _ask(client, model, question)
        except InternalServerError:
            continue
    return _ask(client, last, question)


def _ask(client, model, question):
    reply = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
    return reply.choices[0].message.content


@pytest.mark.parametrize("error", ["rate_limited", "server_error", "overloaded", 502, 504])
def test_what_passes_is_tried_again(llm_script, error):
    llm_script.turns(fail(error), say("Paris."))

    assert ask("The capital of France?") == "Paris."

    first, second = llm_script.requests
    assert first == second


def test_what_does_not_pass_is_not_tried_again(llm_script):
    llm_script.turns(fail("authentication"))

    with pytest.raises(AuthenticationError):
        ask("The capital of France?")

    assert len(llm_script.requests) == 1


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_it_gives_up_after_as_many_retries_as_it_was_told(llm_script, max_retries):
    llm_script.turns(*[fail("server_error", "Try me again.")] * (1 + max_retries))

    with pytest.raises(InternalServerError, match=r"Try me again\."):
        ask("The capital of France?", max_retries=max_retries)

    assert len(llm_script.requests) == 1 + max_retries


def test_the_server_is_told_which_attempt_it_is(llm_script):
    llm_script.turns(fail("overloaded"), fail("overloaded"), say("Paris."))

    ask("The capital of France?")

    attempts = [call.request.header("x-stainless-retry-count") for call in llm_script.calls]
    assert attempts == ["0", "1", "2"]


def test_a_model_that_stays_overloaded_is_left_for_the_next(llm_script):
    llm_script.when(model="gpt-5").turns(*[fail("overloaded")] * 3)
    llm_script.when(model="gpt-5-mini").turns("Paris.")

    assert ask("The capital of France?", models=("gpt-5", "gpt-5-mini")) == "Paris."

"""A worker that puts a job off when the provider says to wait, for as long as it says.

Rate limits do not come when a test calls for them, and an exhausted quota has the same status.
The script answers with the provider's own headers and body, and the SDK raises its own error.
"""

import anthropic
import openai
import pytest

from llmreplay import fail, say

BUSY = (openai.RateLimitError, anthropic.RateLimitError)


def ask_openai(question):
    client = openai.OpenAI(max_retries=0)
    reply = client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": question}])
    return reply.choices[0].message.content


def ask_anthropic(question):
    client = anthropic.Anthropic(max_retries=0)
    messages = [{"role": "user", "content": question}]
    reply = client.messages.create(model="claude-sonnet-5-5", max_tokens=100, messages=messages)
    return reply.content[0].text


def work(ask, question):
    """Return what is done, and the seconds until it should be tried again."""
    try:
        return ask(question), None
    except BUSY as error:
        if getattr(error, "code", None) == "insufficient_quota":
            raise  # waiting does not help
        return None, float(error.response.headers.get("retry-after", 60))


both = pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])


@both
def test_a_job_is_put_off_for_as_long_as_the_provider_says(llm_script, ask):
    llm_script.turns(fail("rate_limited", retry_after=20), say("Done."))

    assert work(ask, "Translate this.") == (None, 20)
    assert work(ask, "Translate this.") == ("Done.", None)


@both
def test_it_waits_a_minute_if_the_provider_does_not_say(llm_script, ask):
    llm_script.turns(fail("rate_limited"))

    assert work(ask, "Translate this.") == (None, 60)


def test_an_exhausted_quota_is_not_waited_for(llm_script):
    llm_script.turns(fail("quota_exhausted"))

    with pytest.raises(openai.RateLimitError, match="exceeded your current quota"):
        work(ask_openai, "Translate this.")


def test_the_error_of_openai_looks_as_in_production(llm_script):
    llm_script.turns(fail("rate_limited", "Limit reached for gpt-5.", retry_after=1.5))

    with pytest.raises(openai.RateLimitError, match=r"Limit reached for gpt-5\.") as caught:
        ask_openai("Translate this.")

    assert caught.value.status_code == 429
    assert caught.value.code == "rate_limit_exceeded"


def test_the_error_of_anthropic_looks_as_in_production(llm_script):
    llm_script.turns(fail("rate_limited", "Too many tokens.", retry_after=20))

    with pytest.raises(anthropic.RateLimitError, match=r"Too many tokens\.") as caught:
        ask_anthropic("Translate this.")

    assert caught.value.status_code == 429
    assert caught.value.body["error"]["type"] == "rate_limit_error"

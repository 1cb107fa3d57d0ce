"""One interface over three providers, and one set of tests for all of them.

The same script is answered in the wire format of whoever is asked: the adapters are held to the same
behaviour, and each runs on the official SDK.
"""

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from llmreplay import Usage, fail, say


class Busy(Exception):
    """The provider has too much to do."""


def ask_openai(system, question):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    try:
        reply = openai.OpenAI(max_retries=0).chat.completions.create(model="gpt-5", messages=messages)
    except openai.RateLimitError as error:
        raise Busy from error
    return reply.choices[0].message.content, reply.usage.total_tokens


def ask_anthropic(system, question):
    try:
        reply = anthropic.Anthropic(max_retries=0).messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            system=system,
            messages=[{"role": "user", "content": question}],
        )
    except anthropic.RateLimitError as error:
        raise Busy from error
    return reply.content[0].text, reply.usage.input_tokens + reply.usage.output_tokens


def ask_google(system, question):
    with genai.Client() as client:
        try:
            reply = client.models.generate_content(
                model="gemini-2.5-flash",
                contents=question,
                config=types.GenerateContentConfig(system_instruction=system),
            )
        except errors.ClientError as error:
            if error.code != 429:
                raise
            raise Busy from error
    return reply.text, reply.usage_metadata.total_token_count


ADAPTERS = {"openai": ask_openai, "anthropic": ask_anthropic, "google": ask_google}


@pytest.fixture(params=ADAPTERS)
def ask(request):
    return ADAPTERS[request.param]


def test_every_provider_gives_the_text_and_the_tokens(llm_script, ask):
    llm_script.turns(say("Bonjour.", usage=Usage(input_tokens=12, output_tokens=3)))

    assert ask("You translate into French.", "Good morning.") == ("Bonjour.", 15)


def test_every_provider_is_asked_the_same(llm_script, ask):
    llm_script.turns("Bonjour.")

    ask("You translate into French.", "Good morning.")

    [request] = llm_script.requests
    assert (request.system, request.prompt) == ("You translate into French.", "Good morning.")


def test_a_rate_limit_is_the_same_error_for_all(llm_script, ask):
    llm_script.turns(fail("rate_limited"))

    with pytest.raises(Busy):
        ask("You translate into French.", "Good morning.")

"""A model that asks for several tools at once, and an agent that runs them in threads.

All results belong into one message, each with the id of its call. The script checks that as the
provider does: an agent that forgets one gets the provider's own error, in a test and not in production.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from anthropic import Anthropic, BadRequestError

from llmreplay import call, say, turn

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "get_weather", "input_schema": CITY}, {"name": "get_time", "input_schema": CITY}]


def use_tool(name, arguments):
    return {"get_weather": "20 °C", "get_time": "12:30"}[name] + " in " + arguments["city"]


def agent(question, at_most=None):
    client = Anthropic()
    messages = [{"role": "user", "content": question}]
    while True:
        reply = client.messages.create(
            model="claude-sonnet-5-5", max_tokens=1024, messages=messages, tools=TOOLS
        )
        calls = [block for block in reply.content if block.type == "tool_use"][:at_most]
        if not calls:
            return reply.content[0].text
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda asked: use_tool(asked.name, asked.input), calls))
        messages += [
            {"role": "assistant", "content": reply.content},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": asked.id, "content": result}
                    for asked, result in zip(calls, results, strict=True)
                ],
            },
        ]


BOTH = turn(
    say("Let me look at both."),
    call("get_weather", city="Paris", id="toolu_weather"),
    call("get_time", city="Oslo", id="toolu_time"),
)


def test_both_results_go_back_in_one_message(llm_script):
    llm_script.turns(BOTH, say("20 °C in Paris, and lunch time in Oslo."))

    assert agent("Weather in Paris, time in Oslo?") == "20 °C in Paris, and lunch time in Oslo."

    results = llm_script.requests[1].messages[-1].tool_results
    assert [(result.id, result.text) for result in results] == [
        ("toolu_weather", "20 °C in Paris"),
        ("toolu_time", "12:30 in Oslo"),
    ]


def test_what_the_model_said_before_it_asked_is_kept(llm_script):
    llm_script.turns(BOTH, say("Done."))

    agent("Weather in Paris, time in Oslo?")

    _, assistant, _ = llm_script.requests[1].messages
    assert assistant.text == "Let me look at both."
    assert [asked.name for asked in assistant.tool_calls] == ["get_weather", "get_time"]


def test_an_agent_that_forgets_a_result_is_rejected_as_the_provider_would(llm_script):
    llm_script.turns(BOTH)

    with pytest.raises(BadRequestError, match="toolu_time"):
        agent("Weather in Paris, time in Oslo?", at_most=1)

"""An agent with a tool, tested without a key, a network or a model.

What the model says is written down turn by turn; the agent and the SDK of OpenAI run as they are.
"""

import json

from openai import OpenAI

from llmreplay import call, say

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TEMPERATURES = {"Paris": "20 °C", "Oslo": "4 °C"}


def use_tool(name, arguments):
    try:
        return TEMPERATURES[json.loads(arguments)["city"]]
    except (ValueError, KeyError) as error:
        return f"{name} failed: {type(error).__name__}"


def agent(question, max_steps=4):
    client = OpenAI()
    messages = [{"role": "user", "content": question}]
    for _ in range(max_steps):
        reply = client.chat.completions.create(model="gpt-5", messages=messages, tools=[WEATHER])
        message = reply.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message)
        for asked in message.tool_calls:
            result = use_tool(asked.function.name, asked.function.arguments)
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": result})
    return "I could not find out."


def test_it_answers_with_what_the_tool_says(llm_script):
    llm_script.turns(call("get_weather", city="Paris"), say("It is 20 °C in Paris."))

    assert agent("How warm is it in Paris?") == "It is 20 °C in Paris."

    first, second = llm_script.requests
    assert first.prompt == "How warm is it in Paris?"
    assert second.tool_results[0].text == "20 °C"


def test_it_answers_at_once_if_the_model_needs_no_tool(llm_script):
    llm_script.turns("Hello!")

    assert agent("Hi.") == "Hello!"


def test_the_model_is_told_of_a_city_that_nobody_knows(llm_script):
    llm_script.turns(call("get_weather", city="Atlantis"), say("I do not know Atlantis."))

    agent("How warm is it in Atlantis?")

    assert llm_script.requests[1].tool_results[0].text == "get_weather failed: KeyError"


def test_arguments_that_are_no_json_do_not_break_it(llm_script):
    llm_script.turns(call("get_weather", '{"city": "Par'), call("get_weather", city="Paris"), say("20 °C."))

    assert agent("How warm is it in Paris?") == "20 °C."

    assert [request.tool_results[0].text for request in llm_script.requests[1:]] == [
        "get_weather failed: JSONDecodeError",
        "20 °C",
    ]


def test_it_gives_up_on_a_model_that_never_stops_asking(llm_script):
    llm_script.turns(*[call("get_weather", city="Oslo")] * 3)

    assert agent("How warm is it in Oslo?", max_steps=3) == "I could not find out."

"""An agent that asks several others at once, in whatever order they come.

A queue of its own for each of them (`when`) says who gets which answers: the test gives the same
result however tasks and threads take turns.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import AsyncOpenAI, OpenAI

from llmreplay import fail

PLANNER = "You plan trips. Name two topics, separated by a comma."
RESEARCHER = "You look up one topic."
EDITOR = "You write the final plan."


def asked(system, text):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return {"model": "gpt-5", "messages": messages}


def plan_in_threads(wish):
    client = OpenAI()

    def ask(system, text):
        return client.chat.completions.create(**asked(system, text)).choices[0].message.content

    topics = ask(PLANNER, wish).split(", ")
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda topic: ask(RESEARCHER, topic), topics))
    return ask(EDITOR, "\n".join(found))


def plan_in_tasks(wish):
    async def main():
        async with AsyncOpenAI() as client:

            async def ask(system, text):
                reply = await client.chat.completions.create(**asked(system, text))
                return reply.choices[0].message.content

            topics = (await ask(PLANNER, wish)).split(", ")
            found = await asyncio.gather(*(ask(RESEARCHER, topic) for topic in topics))
            return await ask(EDITOR, "\n".join(found))

    return asyncio.run(main())


@pytest.fixture(params=[plan_in_threads, plan_in_tasks])
def plan(request):
    return request.param


@pytest.fixture
def team(llm_script):
    llm_script.when(system="You plan").turns("trains, hotels")
    llm_script.when(system="You write").turns("Take the 9:15, sleep at the Ritz.")
    return llm_script


def test_the_editor_gets_what_all_found_in_the_order_of_the_topics(team, plan):
    team.when(system="You look up", contains="trains").turns("A train at 9:15.")
    team.when(system="You look up", contains="hotels").turns("The Ritz has a room.")

    assert plan("A night in London") == "Take the 9:15, sleep at the Ritz."

    assert team.requests[-1].prompt == "A train at 9:15.\nThe Ritz has a room."


def test_one_that_has_to_try_again_takes_no_turn_of_the_others(team, plan):
    team.when(system="You look up", contains="trains").turns(fail("overloaded"), "A train at 9:15.")
    team.when(system="You look up", contains="hotels").turns("The Ritz has a room.")

    plan("A night in London")

    assert team.requests[-1].prompt == "A train at 9:15.\nThe Ritz has a room."
    assert len(team.requests) == 5

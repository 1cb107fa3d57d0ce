"""Conversations that an agent remembers."""

from __future__ import annotations

import logging

import pytest

from llmreplay import Agent, Message, ScriptedModel, fail, say
from llmreplay.agent import CompletionFailed, ListMemory, Memory, MemoryFailed, RunFinished, TypedPromptFailed

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["blocking", "streaming"])


class Broken(ListMemory):
    def __init__(self, *what: str) -> None:
        super().__init__()
        self._what = what

    async def load(self, conversation):
        if "load" in self._what:
            raise OSError("the disk is gone")
        return await super().load(conversation)

    async def append(self, conversation, messages):
        if "append" in self._what:
            raise OSError("the disk is full")
        await super().append(conversation, messages)


async def answer(request, *, streamed: bool) -> str:
    return await (request.stream().text() if streamed else request)


def texts(messages) -> list[str]:
    return [message.text for message in messages]


@STREAMED
async def test_a_conversation_is_loaded_before_and_added_to_after(streamed):
    memory, model = ListMemory(), ScriptedModel(say("Nice."), say("Paris."), say("I do not know."))
    agent = Agent(model, memory=memory)

    await answer(agent.prompt("I am in Paris."), streamed=streamed)
    await answer(agent.prompt("Where am I?"), streamed=streamed)
    await answer(agent.prompt("Where am I?").conversation("another"), streamed=streamed)

    assert texts(model.requests[1].messages) == ["I am in Paris.", "Nice.", "Where am I?"]
    assert texts(memory.conversations["default"]) == ["I am in Paris.", "Nice.", "Where am I?", "Paris."]
    assert texts(memory.conversations["another"]) == ["Where am I?", "I do not know."]
    assert isinstance(memory, Memory)


@STREAMED
async def test_a_prompt_that_fails_is_not_remembered(streamed):
    memory = ListMemory()

    with pytest.raises(CompletionFailed):
        await answer(Agent(ScriptedModel(fail(500)), memory=memory).prompt("Hi."), streamed=streamed)

    assert memory.conversations["default"] == []


async def test_a_history_that_is_given_takes_the_place_of_the_memory():
    memory, model = Broken("load"), ScriptedModel(say("Fine."), say("Fine."))
    agent = Agent(model, memory=memory)
    history: list[Message] = []

    await agent.prompt("How are you?").history([Message.user("Hi.")])
    await agent.chat("And you?", history)

    assert texts(model.requests[0].messages) == ["Hi.", "How are you?"]
    assert memory.conversations == {}


@STREAMED
async def test_a_memory_that_cannot_be_loaded_fails_the_prompt(streamed):
    model = ScriptedModel()
    agent = Agent(model, memory=Broken("load"))

    with pytest.raises(
        MemoryFailed, match="the conversation 'home' could not be loaded: the disk is gone"
    ) as error:
        await answer(agent.prompt("Hi.", conversation="home"), streamed=streamed)

    assert isinstance(error.value.__cause__, OSError)
    assert error.value.completion_error is None
    assert model.requests == []


async def test_a_typed_prompt_tells_of_it_in_its_own_way():
    with pytest.raises(TypedPromptFailed) as error:
        await Agent(ScriptedModel(), memory=Broken("load")).prompt_typed(int, "How many?")

    assert isinstance(error.value.prompt_error, MemoryFailed)


@STREAMED
async def test_a_memory_that_cannot_be_added_to_is_logged_and_the_answer_stands(streamed, caplog):
    agent = Agent(ScriptedModel(say("Hello.")), memory=Broken("append"))

    with caplog.at_level(logging.WARNING, "llmreplay.agent"):
        assert await answer(agent.prompt("Hi."), streamed=streamed) == "Hello."

    (record,) = caplog.records
    assert record.getMessage() == "the conversation 'default' could not be stored"
    assert isinstance(record.exc_info[1], OSError)


async def test_it_is_remembered_before_the_answer_is_told():
    memory = ListMemory()

    async for event in Agent(ScriptedModel(say("Hello.")), memory=memory).stream_prompt("Hi."):
        kept = texts(memory.conversations["default"])
        assert kept == (["Hi.", "Hello."] if isinstance(event, RunFinished) else [])

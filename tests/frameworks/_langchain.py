"""langchain behind the verb of `Driver`: the agent of its own, and the loop that people write by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.frameworks._behaviours import QUESTION, Driver, Heard, get_weather

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ASKED = {"messages": [{"role": "user", "content": QUESTION}]}
MODES = ["messages", "values"]


def model(wire: str) -> Any:
    """The chat model of a wire."""
    if wire == "anthropic_messages":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model="claude-haiku-4-5")
    if wire == "gemini":
        from langchain_google_genai import ChatGoogleGenerativeAI

        return ChatGoogleGenerativeAI(model="gemini-2.5-flash")
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-5", use_responses_api=wire == "openai_responses")


def noted(message: Any, heard: Heard) -> None:
    """Note the calls of a message, and its tokens."""
    for asked in message.tool_calls:
        if asked["name"] == "get_weather":
            heard.asks(asked["name"], asked["args"])
    if message.usage_metadata:
        heard.spends(message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"])


class OwnAgent(Driver):
    """What `create_agent` makes: a graph."""

    def __init__(self, name: str, wire: str) -> None:
        self.name, self.wire = f"langchain-agent-{name}", wire

    def ask(
        self, way: str, heard: Heard, *, tools: bool = False, output: type[BaseModel] | None = None
    ) -> Any:
        from langchain.agents import create_agent

        agent: Any = create_agent(
            model(self.wire),
            [get_weather] if tools else [],
            **({"response_format": output} if output else {}),
        )
        if way.startswith("async"):
            return self.run(agent, heard) if way == "async" else self.streamed(agent, heard)
        if way == "sync":
            state = agent.invoke(ASKED)
            heard.says(state["messages"][-1].text)
        else:
            for mode, part in agent.stream(ASKED, stream_mode=MODES):
                state = self.heard(mode, part, heard)
        return self.ended(state, heard)

    async def run(self, agent: Any, heard: Heard) -> None:
        state = await agent.ainvoke(ASKED)
        heard.says(state["messages"][-1].text)
        self.ended(state, heard)

    async def streamed(self, agent: Any, heard: Heard) -> None:
        async for mode, part in agent.astream(ASKED, stream_mode=MODES):
            state = self.heard(mode, part, heard)
        self.ended(state, heard)

    def heard(self, mode: str, part: Any, heard: Heard) -> Any:
        if mode == "messages" and part[0].type == "AIMessageChunk":
            heard.says(part[0].text)
        return part

    def ended(self, state: Any, heard: Heard) -> None:
        for message in state["messages"]:
            if message.type == "ai":
                noted(message, heard)
        heard.object = state.get("structured_response")


class ByHand(Driver):
    """`bind_tools` with a loop around it, and `with_structured_output`."""

    def __init__(self, name: str, wire: str) -> None:
        self.name, self.wire = f"langchain-{name}", wire

    def ask(
        self, way: str, heard: Heard, *, tools: bool = False, output: type[BaseModel] | None = None
    ) -> Any:
        chat = model(self.wire)
        if output:
            chat = chat.with_structured_output(output, include_raw=True)
        elif tools:
            chat = chat.bind_tools([get_weather])
        turns = self.conversation(heard, output)
        messages = next(turns)
        if way.startswith("async"):
            return self.awaited(chat, turns, messages, heard, stream=way == "async-stream")
        while messages is not None:
            if way == "sync":
                answer = chat.invoke(messages)
                heard.says("" if output else answer.text)
            else:
                answer = None
                for part in chat.stream(messages):
                    answer = self.added(answer, part, heard)
            messages = turns.send(answer)
        return None

    async def awaited(self, chat: Any, turns: Any, messages: Any, heard: Heard, *, stream: bool) -> None:
        while messages is not None:
            if stream:
                answer = None
                async for part in chat.astream(messages):
                    answer = self.added(answer, part, heard)
            else:
                answer = await chat.ainvoke(messages)
                heard.says("" if isinstance(answer, dict) else answer.text)
            messages = turns.send(answer)

    def added(self, answer: Any, part: Any, heard: Heard) -> Any:
        if not isinstance(part, dict):
            heard.says(part.text)
        if answer is None:
            return part
        return {**answer, **part} if isinstance(part, dict) else answer + part

    def conversation(self, heard: Heard, output: Any) -> Iterator[Any]:
        """What is asked, turn by turn, of what was answered."""
        from langchain_core.messages import ToolMessage

        messages: list[Any] = [("user", QUESTION)]
        while True:
            answer: Any = yield messages
            if output:
                heard.object = answer["parsed"]
                noted(answer["raw"], heard)
                break
            noted(answer, heard)
            if not answer.tool_calls:
                break
            messages.append(answer)
            messages += [
                ToolMessage(get_weather(**asked["args"]), tool_call_id=asked["id"])
                for asked in answer.tool_calls
            ]
        yield None


WIRES = {"chat": "openai_chat", "responses": "openai_responses", "anthropic": "anthropic_messages"}
AGENTS = [OwnAgent(name, wire) for name, wire in WIRES.items()]
LOOPS = [ByHand(name, wire) for name, wire in WIRES.items()]

"""pydantic-ai behind the verb of `Driver`: its agent, by the names of models that its users write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.frameworks._behaviours import QUESTION, Driver, a_loop_of_its_own, get_weather

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.frameworks._behaviours import Heard


class PydanticAI(Driver):
    """An `Agent`, run in the four ways it can be run."""

    def __init__(self, name: str, model: str, wire: str) -> None:
        self.name, self.model, self.wire = f"pydantic-ai-{name}", model, wire

    def streams(self, way: str) -> bool:
        # Over Anthropic it always does.
        return self.wire == "anthropic_messages" or super().streams(way)

    def ask(
        self, way: str, heard: Heard, *, tools: bool = False, output: type[BaseModel] | None = None
    ) -> Any:
        from pydantic_ai import Agent

        agent: Any = Agent(
            self.model, tools=[get_weather] if tools else [], **({"output_type": output} if output else {})
        )
        if way.startswith("async"):
            return self.streamed(agent, heard, output) if way == "async-stream" else self.run(agent, heard)
        with a_loop_of_its_own():
            if way == "sync":
                return self.whole(agent.run_sync(QUESTION), heard)
            result = agent.run_stream_sync(QUESTION)
            if output:
                for heard.object in result.stream_output(debounce_by=None):
                    pass
            else:
                for piece in result.stream_text(delta=True, debounce_by=None):
                    heard.says(piece)
            return self.ended(result, heard)

    async def run(self, agent: Any, heard: Heard) -> None:
        self.whole(await agent.run(QUESTION), heard)

    async def streamed(self, agent: Any, heard: Heard, output: Any) -> None:
        async with agent.run_stream(QUESTION) as result:
            if output:
                async for heard.object in result.stream_output(debounce_by=None):
                    pass
            else:
                async for piece in result.stream_text(delta=True, debounce_by=None):
                    heard.says(piece)
            self.ended(result, heard)

    def whole(self, result: Any, heard: Heard) -> None:
        if isinstance(result.output, str):
            heard.says(result.output)
        else:
            heard.object = result.output
        self.ended(result, heard)

    def ended(self, result: Any, heard: Heard) -> None:
        for message in result.all_messages():
            for part in message.parts:
                if part.part_kind == "tool-call" and part.tool_name == "get_weather":
                    heard.asks(part.tool_name, part.args)
        heard.spends(result.usage.input_tokens, result.usage.output_tokens)


DRIVERS = [
    PydanticAI("chat", "openai-chat:gpt-5", "openai_chat"),
    PydanticAI("responses", "openai-responses:gpt-5", "openai_responses"),
    PydanticAI("anthropic", "anthropic:claude-sonnet-5-5", "anthropic_messages"),
]

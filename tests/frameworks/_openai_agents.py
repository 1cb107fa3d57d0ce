"""openai-agents behind the verb of `Driver`: its runner, over both APIs of OpenAI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.frameworks._behaviours import QUESTION, Driver, a_loop_of_its_own, get_weather

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.frameworks._behaviours import Heard


class OpenAIAgents(Driver):
    """An `Agent`, run by `Runner`; without tracing, which would call out from a thread."""

    ways = ("sync", "async", "async-stream")

    def __init__(self, name: str, wire: str) -> None:
        self.name, self.wire = f"openai-agents-{name}", wire

    def agent(self, *, tools: bool = False, output: type[BaseModel] | None = None) -> Any:
        from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, function_tool
        from openai import AsyncOpenAI

        made = OpenAIResponsesModel if self.wire == "openai_responses" else OpenAIChatCompletionsModel
        return Agent(
            "weather",
            model=made("gpt-5", AsyncOpenAI()),
            tools=[function_tool(get_weather)] if tools else [],
            output_type=output,
        )

    def ask(
        self, way: str, heard: Heard, *, tools: bool = False, output: type[BaseModel] | None = None
    ) -> Any:
        from agents import RunConfig, Runner

        agent, config = self.agent(tools=tools, output=output), RunConfig(tracing_disabled=True)
        if way == "sync":
            with a_loop_of_its_own():
                return self.whole(Runner.run_sync(agent, QUESTION, run_config=config), heard)
        if way == "async":
            return self.run(Runner.run(agent, QUESTION, run_config=config), heard)
        return self.streamed(agent, config, heard)

    async def run(self, running: Any, heard: Heard) -> None:
        self.whole(await running, heard)

    async def streamed(self, agent: Any, config: Any, heard: Heard) -> None:
        from agents import Runner

        result = Runner.run_streamed(agent, QUESTION, run_config=config)
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                heard.says(event.data.delta)
        if not isinstance(result.final_output, str):
            heard.object = result.final_output
        self.ended(result, heard)

    def whole(self, result: Any, heard: Heard) -> None:
        if isinstance(result.final_output, str):
            heard.says(result.final_output)
        else:
            heard.object = result.final_output
        self.ended(result, heard)

    def ended(self, result: Any, heard: Heard) -> None:
        for item in result.new_items:
            if item.type == "tool_call_item":
                heard.asks(item.raw_item.name, item.raw_item.arguments)
        usage = result.context_wrapper.usage
        heard.spends(usage.input_tokens, usage.output_tokens)


DRIVERS = [OpenAIAgents("chat", "openai_chat"), OpenAIAgents("responses", "openai_responses")]

"""The types of an agent, as a type checker sees them; never run, only checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from pydantic import BaseModel

from llmreplay import (
    Agent,
    CompletionError,
    CompletionModel,
    CompletionRequest,
    Message,
    ToolCall,
    Usage,
    tool,
)
from llmreplay.agent import (
    AgentError,
    AgentEvent,
    AgentRun,
    AgentStream,
    CallModel,
    CallTools,
    Done,
    Extraction,
    Extractor,
    Hook,
    ListMemory,
    Memory,
    PromptRequest,
    PromptResponse,
    RequestPatch,
    Rewrite,
    RunFinished,
    Skip,
    Stop,
    Tool,
    ToolOutcome,
    UnknownToolCall,
)
from llmreplay.completion import CompletionResponse, ToolResult
from llmreplay.model import CompletionRequestBuilder


class City(BaseModel):
    """A value that is asked for."""

    name: str


@tool
def get_weather(city: str, days: int = 1) -> str:
    """Keep its signature."""
    return city * days


@tool(name="later")
async def get_weather_later(city: str) -> float:
    """Keep its signature too."""
    return len(city)


async def a_tool_is_called_as_its_function() -> None:
    assert_type(get_weather("Paris", days=2), str)
    assert_type(await get_weather_later("Paris"), float)
    get_weather(7)  # type: ignore[arg-type]  # it takes text
    assert_type(get_weather.name, str)


async def a_prompt_gives_what_it_is_asked_for(model: CompletionModel) -> None:
    agent = Agent(model, tools=[get_weather, get_weather_later, len], max_turns=3, output_mode="tool")
    history: list[Message] = []
    assert_type(agent.prompt("Hi."), PromptRequest[str])
    assert_type(await agent.prompt("Hi.").max_turns(3).tool_concurrency(2).history(history), str)
    assert_type(await agent.prompt("Hi.", max_turns=3, history=history, hooks=[]), str)
    assert_type(await agent.chat(Message.user("Hi."), history), str)
    assert_type(await agent.prompt_typed(City, "Which?"), City)
    assert_type(await agent.prompt_typed(list[City], "Which?"), list[City])
    assert_type(await agent.prompt_typed(City, "Which?").extended_details(), PromptResponse[City])
    assert_type((await agent.prompt("Hi.").extended_details()).usage, Usage)
    assert_type(agent.prompt_sync("Hi."), str)
    assert_type(agent.prompt_typed_sync(City, "Which?"), City)
    agent.prompt("Hi.", max_turn=3)  # type: ignore[call-arg]  # no such option
    agent.prompt("Hi.", max_turns="3")  # type: ignore[arg-type]  # a number
    agent.chat("Hi.", history, history=history)  # type: ignore[misc]  # it is given already
    Agent(model, output_mode="loud")  # type: ignore[arg-type]  # no such way
    Agent("gpt-5")  # type: ignore[arg-type]  # a name is no model


async def a_stream_tells_events(agent: Agent) -> None:
    stream = agent.prompt_typed(City, "Which?").stream()
    assert_type(stream, AgentStream[City])
    async for event in stream:
        assert_type(event, AgentEvent)
        if isinstance(event, RunFinished):
            break
    assert_type(stream.response, PromptResponse[City] | None)
    assert_type(await agent.stream_prompt("Hi.").text(), str)
    assert_type(agent.stream_prompt_sync("Hi."), Iterator[AgentEvent])


async def a_single_request_is_made_ready(agent: Agent) -> None:
    assert_type(agent.completion("Hi."), CompletionRequestBuilder)
    assert_type(await agent.completion("Hi.").temperature(0.1).send(), CompletionResponse)


async def an_extractor_gives_values(agent: Agent) -> None:
    extractor = agent.extractor(City, retries=2)
    assert_type(extractor, Extractor[City])
    assert_type(await extractor.extract("Paris."), City)
    assert_type(await extractor.extract_with_usage("Paris."), Extraction[City])


async def a_run_is_driven_by_hand(run: AgentRun, model: CompletionModel) -> None:
    step = run.next_step()
    assert_type(step, CallModel | CallTools | Done)
    match step:
        case CallModel(request=request):
            assert_type(request, CompletionRequest)
            run.answered(await model.completion(request))
        case CallTools(calls=calls):
            assert_type(calls, tuple[ToolCall, ...])
            run.returned([ToolResult(id=call.id, content=[]) for call in calls])
        case Done(response=response):
            assert_type(response.output, str)


class OwnHook(Hook):
    """Methods may be sync or async."""

    def on_completion_call(self, turn: int, request: CompletionRequest) -> RequestPatch | None:
        """Say one thing of many."""
        return RequestPatch(temperature=turn / 10) if request.tools else None

    async def on_tool_call(self, turn: int, call: ToolCall) -> Rewrite | Skip | Stop | None:
        """Take one's time."""
        return Skip(call.name) if turn else None

    async def on_tool_result(self, turn: int, outcome: ToolOutcome) -> Retry | None:  # type: ignore[override]  # not here
        """Say what cannot be said."""
        raise NotImplementedError(turn, outcome)


class Retry:
    """Something else."""


def a_memory_is_anything_that_remembers(model: CompletionModel) -> None:
    memory: Memory = ListMemory()
    Agent(model, memory=memory, hooks=[OwnHook()])


def errors_answer_for_the_provider(error: AgentError, unknown: UnknownToolCall) -> None:
    assert_type(error.completion_error, CompletionError | None)
    assert_type(error.status, int | None)
    assert_type(error.retryable, bool)
    assert_type(unknown.allowed_tools, list[str])
    ordinary: Exception = error
    assert ordinary is error


def a_tool_has_a_type(given: Tool[[str], int]) -> None:
    assert_type(given("x"), int)

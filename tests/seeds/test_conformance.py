"""What every provider adapter is held to (row S0.46): fifteen scenarios of a model, fifteen of a stream.

The names are those of the two conformance suites of Rig. A scenario is written once: those of a model run an
agent over a script and over providers, blocking and streaming; those of a stream spell their frames for each
wire. What a wire cannot spell is skipped with its reason, and only that is.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from llmreplay import (
    Agent,
    Cassette,
    Exchange,
    Failure,
    FinishReason,
    ProviderModel,
    Response,
    ScriptedModel,
    ToolCall,
    Usage,
    call,
    say,
    turn,
    use_cassette,
    use_script,
)
from llmreplay.agent import (
    Hook,
    MaxTurnsError,
    PromptCancelled,
    RequestPatch,
    Retry,
    Rewrite,
    Stop,
    UnknownToolCall,
)
from llmreplay.completion import (
    CompletionError,
    Final,
    HttpError,
    JsonError,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    Refusal,
    RefusalDelta,
    ResponseError,
    StreamError,
    Text,
    TextDelta,
    ToolChoice,
    ToolDefinition,
    UnknownEvent,
)
from tests.codecs.payloads import sse
from tests.codecs.payloads import told as claude
from tests.model.providers import BY_WIRE, MODELS
from tests.seeds.answers import frame, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# ------------------------------------------------------------------------------------------ of a model


class City(BaseModel):
    name: str
    people: int


class Ran:
    """Tools that note how they were called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def get_weather(self, city: str, days: int = 1, *, note: str | None = None) -> str:
        """Tell the weather of a city."""
        self.calls.append((city, days, note))
        return f"20 C in {city}"

    def now(self) -> str:
        """Tell the time."""
        self.calls.append(())
        return "12:00"

    def plan(self, stops: list[City], options: dict[str, list[float]]) -> int:
        """Plan a journey."""
        self.calls.append((stops, options))
        return len(stops)

    def facts(self, kind: str) -> Any:
        """Tell something of any kind."""
        return RESULTS[kind][0]


RESULTS: dict[str, tuple[Any, Any]] = {
    "text": ("It is 20 C. ☀", "It is 20 C. ☀"),
    "object": ({"c": 20.5, "sky": ["blue"]}, {"c": 20.5, "sky": ["blue"]}),
    "list": ([1, "two", None], [1, "two", None]),
    "number": (42, 42),
    "value": (City(name="Oslo", people=7), {"name": "Oslo", "people": 7}),
}


def read(result: Any) -> Any:
    """What a result says, without the object that Gemini puts around it."""
    text = result.text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    wrapped = isinstance(found, dict) and (found.keys() == {"result"} or found.keys() == {"output"})
    return next(iter(found.values())) if wrapped else found


@dataclass
class Setting:
    """A model with its turns, and how it is asked."""

    name: str
    streamed: bool

    @contextmanager
    def model(self, *turns: Any, strict: bool = True) -> Iterator[tuple[Any, Any]]:
        """Give the model, and what keeps what it was asked."""
        rules = {} if strict else {"strict_except": ["tool-not-offered", "arguments"]}
        if self.name == "scripted":
            with ScriptedModel(*turns, **rules) as model:
                yield model, model
        else:
            with use_script(*turns, **rules) as script, ProviderModel.from_env(MODELS[self.name]) as model:
                yield model, script

    async def ask(self, request: Any) -> Any:
        """Give the details of a run."""
        if not self.streamed:
            return await request.extended_details()
        async with request.stream() as events:
            async for _ in events:
                pass
        return events.response


async def parallel_tools(setting: Setting) -> None:
    ran = Ran()
    two = turn(call("get_weather", city="Paris"), call("get_weather", city="Oslo"))
    with setting.model(two, "Warm.") as (model, asked):
        told = await setting.ask(Agent(model, tools=[ran.get_weather], max_turns=2).prompt("How is it?"))

    assert (told.output, ran.calls) == ("Warm.", [("Paris", 1, None), ("Oslo", 1, None)])
    assert [read(one) for one in asked.requests[1].tool_results] == ["20 C in Paris", "20 C in Oslo"]


async def zero_argument_tool(setting: Setting) -> None:
    ran = Ran()
    with setting.model(call("now"), "Noon.") as (model, asked):
        told = await setting.ask(Agent(model, tools=[ran.now], max_turns=2).prompt("What time is it?"))

    assert (told.output, ran.calls) == ("Noon.", [()])
    assert asked.requests[0].tool_names == ["now"]
    assert [read(one) for one in asked.requests[1].tool_results] == ["12:00"]


async def tool_output_serialization(setting: Setting) -> None:
    turns = [call("facts", kind=kind) for kind in RESULTS]
    with setting.model(*turns, "So.") as (model, asked):
        agent = Agent(model, tools=[Ran().facts], max_turns=len(turns) + 1)
        await setting.ask(agent.prompt("Tell me everything."))

    found = [read(request.tool_results[0]) for request in asked.requests[1:]]
    assert found == [expected for _, expected in RESULTS.values()]


async def complex_tool_arguments(setting: Setting) -> None:
    ran = Ran()
    stops = [{"name": "Zürich", "people": 400_000}, {"name": 'a "b" \\ 👋', "people": 0}]
    with setting.model(call("plan", stops=stops, options={"x": [0.5, -1.0], "": []}), "2") as (model, _):
        told = await setting.ask(Agent(model, tools=[ran.plan], max_turns=2).prompt("Plan it."))

    assert told.output == "2"
    assert ran.calls == [([City(**one) for one in stops], {"x": [0.5, -1.0], "": []})]


async def buffered_streaming_text_parity(setting: Setting) -> None:
    text = "One, two,\n\nthree: Zoë 👋🏽 says data: [DONE]"
    usage = Usage(input_tokens=5, output_tokens=9)
    heard = []
    with setting.model(*[say(text, usage=usage)] * 2) as (model, _):
        for streamed in (False, True):
            told = await Setting(setting.name, streamed).ask(Agent(model).prompt("Count."))
            heard.append((told.output, told.usage, [one.content for one in told.messages]))

    assert heard[0] == heard[1]
    assert heard[0][:2] == (text, usage)


async def structured_extraction(setting: Setting) -> None:
    with setting.model('{"name": "Oslo", "people": 7}') as (model, asked):
        told = await setting.ask(Agent(model).prompt_typed(City, "Which city?"))

    form = asked.requests[0]
    schema = form.output_schema or form.response_format.json_schema
    assert told.output == City(name="Oslo", people=7)
    assert schema["required"] == ["name", "people"]


async def invalid_tool_recovery(setting: Setting) -> None:
    class Told(Hook):
        def on_invalid_tool_call(self, turn: int, invalid: Any) -> Any:
            return Retry(f"There is no {invalid.call.name}.")

    ran = Ran()
    turns = (call("fly", city="Oslo"), call("get_weather", city="Oslo"), "Warm.")
    options: dict[str, Any] = {"tools": [ran.get_weather], "max_turns": 3}
    with setting.model(*turns, strict=False) as (model, asked):
        agent = Agent(model, hooks=[Told()], max_invalid_tool_call_retries=1, **options)
        told = await setting.ask(agent.prompt("How is it?"))
    with setting.model(call("fly"), strict=False) as (model, _), pytest.raises(UnknownToolCall):
        await setting.ask(Agent(model, **options).prompt("How is it?"))

    assert (told.output, ran.calls) == ("Warm.", [("Oslo", 1, None)])
    assert "There is no fly." in asked.calls[1].request.body.decode()


async def hook_rewrites_and_request_patch(setting: Setting) -> None:
    class Changes(Hook):
        def on_completion_call(self, turn: int, request: Any) -> Any:
            return RequestPatch(temperature=0.25, preamble="Be kind.") if turn == 0 else None

        def on_tool_call(self, turn: int, call: Any) -> Any:
            return Rewrite({**call.arguments, "days": 3})

        def on_tool_result(self, turn: int, outcome: Any) -> Any:
            return Rewrite("nothing to see")

    ran = Ran()
    with setting.model(call("get_weather", city="Oslo"), "So.") as (model, asked):
        agent = Agent(model, preamble="Be brief.", tools=[ran.get_weather], max_turns=2, hooks=[Changes()])
        await setting.ask(agent.prompt("How is it?"))

    first, second = asked.requests
    assert ran.calls == [("Oslo", 3, None)]
    assert [(one.temperature, one.system) for one in (first, second)] == [
        (0.25, "Be kind."), (None, "Be brief."),
    ]  # fmt: skip
    assert [read(one) for one in second.tool_results] == ["nothing to see"]


async def cancellation_and_max_turns(setting: Setting) -> None:
    class Enough(Hook):
        def on_tool_call(self, turn: int, call: Any) -> Any:
            return Stop("enough") if call.arguments["city"] == "Rome" else None

    ran = Ran()
    with setting.model(call("get_weather", city="Rome")) as (model, _):
        agent = Agent(model, tools=[ran.get_weather], max_turns=9, hooks=[Enough()])
        with pytest.raises(PromptCancelled) as cancelled:
            await setting.ask(agent.prompt("How is it?"))
    turns = (call("get_weather", city="Oslo"), call("get_weather", city="Bern"))
    with setting.model(*turns) as (model, asked), pytest.raises(MaxTurnsError) as exhausted:
        await setting.ask(Agent(model, tools=[ran.get_weather], max_turns=2).prompt("How is it?"))

    assert (cancelled.value.reason, exhausted.value.max_turns, len(asked.requests)) == ("enough", 2, 2)
    assert [city for city, *_ in ran.calls] == ["Oslo", "Bern"]


async def optional_argument(setting: Setting) -> None:
    ran = Ran()
    turns = (
        call("get_weather", city="Oslo"),
        call("get_weather", city="Oslo", days=2, note=None),
        call("get_weather", city="Oslo", note="soon"),
    )
    with setting.model(*turns, "So.") as (model, asked):
        await setting.ask(Agent(model, tools=[ran.get_weather], max_turns=4).prompt("How is it?"))

    (tool,) = asked.requests[0].tools
    assert ran.calls == [("Oslo", 1, None), ("Oslo", 2, None), ("Oslo", 1, "soon")]
    assert tool.parameters["required"] == ["city"]


async def sequential_tools(setting: Setting) -> None:
    ran = Ran()
    usage = Usage(input_tokens=4, output_tokens=2)
    turns = (call("now", usage=usage), call("get_weather", city="Oslo", usage=usage), say("So.", usage=usage))
    with setting.model(*turns) as (model, asked):
        told = await setting.ask(Agent(model, tools=[ran.now, ran.get_weather], max_turns=3).prompt("When?"))

    assert (told.output, told.usage, ran.calls) == ("So.", usage + usage + usage, [(), ("Oslo", 1, None)])
    assert [read(one.tool_results[0]) for one in asked.requests[1:]] == ["12:00", "20 C in Oslo"]
    assert [len(one.messages) for one in asked.requests] == [1, 3, 5]


async def streaming_tool(setting: Setting) -> None:
    ran = Ran()
    with setting.model(turn("Let me look.", call("get_weather", city="Oslo")), "Warm.") as (model, _):
        agent = Agent(model, tools=[ran.get_weather], max_turns=2)
        async with agent.prompt("How is it?").stream() as events:
            told = [type(event).__name__ async for event in events]

    assert events.response.output == "Warm."
    assert told.count("ToolReturned") == told.count("ToolCommitted") == told.count("RunFinished") == 1
    assert told.index("ToolCommitted") < told.index("ToolReturned") < told.index("RunFinished")
    assert told.count("CallCompleted") == 2


async def structured_after_tool(setting: Setting) -> None:
    ran = Ran()
    turns = (call("get_weather", city="Oslo"), '{"name": "Oslo", "people": 7}')
    with setting.model(*turns) as (model, asked):
        agent = Agent(model, tools=[ran.get_weather], max_turns=2, output_mode="native")
        told = await setting.ask(agent.prompt_typed(City, "Where is it warm?"))

    assert (told.output, ran.calls) == (City(name="Oslo", people=7), [("Oslo", 1, None)])
    assert [read(one) for one in asked.requests[1].tool_results] == ["20 C in Oslo"]


async def tool_choice_modes(setting: Setting) -> None:
    weather = ToolDefinition(name="get_weather", parameters={"type": "object", "properties": {}})
    choices = [
        ToolChoice(mode="auto"),
        ToolChoice(mode="none"),
        ToolChoice(mode="required"),
        ToolChoice(mode="specific", names=["get_weather"]),
    ]
    with setting.model(*["So."] * 4) as (model, asked):
        for choice in choices:
            builder = model.completion_request("Hi.").tool(weather).tool_choice(choice)
            if setting.streamed:
                assert [event async for event in builder.stream()]
            else:
                await builder.send()

    assert [request.tool_choice for request in asked.requests] == choices


async def streaming_structured_after_tool(setting: Setting) -> None:
    ran = Ran()
    with setting.model(call("now"), '{"name": "Oslo", "people": 7}') as (model, _):
        agent = Agent(model, tools=[ran.now], max_turns=2, output_mode="native")
        async with agent.prompt_typed(City, "Where is it noon?").stream() as events:
            told = [type(event).__name__ async for event in events]

    assert events.response.output == City(name="Oslo", people=7)
    assert told.index("ToolReturned") < told.index("RunFinished") == len(told) - 1


SCENARIOS: list[Callable[[Setting], Any]] = [
    parallel_tools, zero_argument_tool, tool_output_serialization, complex_tool_arguments,
    buffered_streaming_text_parity, structured_extraction, invalid_tool_recovery,
    hook_rewrites_and_request_patch, cancellation_and_max_turns, optional_argument, sequential_tools,
    streaming_tool, structured_after_tool, tool_choice_modes,
    streaming_structured_after_tool,
]  # fmt: skip
PROVIDERS = ["scripted", "openai", "openai responses", "anthropic", "gemini", "vllm"]


@pytest.mark.parametrize("streamed", [False, True], ids=["blocking", "streaming"])
@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda found: found.__name__)
async def test_a_model_conforms(scenario, name, streamed):
    await scenario(Setting(name, streamed))


# ------------------------------------------------------------------------------------------ of a stream

USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CHAT_CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CLAUDE_CALL = (
    {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    [{"type": "input_json_delta", "partial_json": '{"a": 1}'}],
)
CALLED = ToolCall(id="c1", name="f", arguments={"a": 1})
HEAD = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m-1", "status": "in_progress"}
BAD = b'data: {"id": "x", "choi\n\n'
ODD = b'event: odd_event\ndata: {"type":"odd_event","odd":1}\n\n'


def texts(*pieces: str) -> Any:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]


def thoughts(text: str, signature: str = "sig") -> Any:
    deltas = [
        {"type": "thinking_delta", "thinking": text},
        {"type": "signature_delta", "signature": signature},
    ]
    return {"type": "thinking", "thinking": "", "signature": ""}, deltas


def spoken(*blocks: Any, stop: str | None = "end_turn") -> list[Any]:
    """The frames of a message of Anthropic, without its last."""
    return claude(*blocks, stop=stop)[:-1]


def item(number: int, found: dict[str, Any], *pieces: Any) -> list[Any]:
    """The events of an item of OpenAI's Responses."""
    empty = {**found, **{key: [] for key in ("content", "summary") if key in found}}
    added = {"type": "response.output_item.added", "output_index": number, "item": empty}
    done = {"type": "response.output_item.done", "output_index": number, "item": found}
    return [added, *({**piece, "output_index": number, "item_id": found["id"]} for piece in pieces), done]


def response(*items: list[Any], usage: Any = None, end: bool = True, more: Any = ()) -> bytes:
    """A stream of OpenAI's Responses; `more` are items that only its terminal has."""
    whole = [events[-1]["item"] for events in (*items, *more)]
    last = {"response": {**HEAD, "status": "completed", "output": whole, "usage": usage}}
    frames = [{"type": "response.created", "response": {**HEAD, "output": []}}, *chain(*items)]
    frames += [{"type": "response.completed", **last}] if end else []
    return sse(*({**one, "sequence_number": place} for place, one in enumerate(frames)), done=False)


def message(id_: str, text: str, kind: str = "output_text") -> list[Any]:
    key = "refusal" if kind == "refusal" else "text"
    found = {"id": id_, "type": "message", "role": "assistant", "status": "completed"}
    content = [{"type": kind, key: text, **({} if kind == "refusal" else {"annotations": []})}]
    return item(
        int(id_[-1]), {**found, "content": content},
        {"type": f"response.{kind}.delta", "content_index": 0, "delta": text},
    )  # fmt: skip


def summed(id_: str, *parts: str) -> list[Any]:
    found = {"id": id_, "type": "reasoning", "summary": [{"type": "summary_text", "text": p} for p in parts]}
    deltas = [
        {"type": "response.reasoning_summary_text.delta", "summary_index": n, "delta": piece}
        for n, piece in enumerate(parts)
    ]
    return item(int(id_[-1]), found, *deltas)


def function(id_: str) -> list[Any]:
    found = {"id": id_, "type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
    delta = {"type": "response.function_call_arguments.delta", "delta": '{"a": 1}'}
    return item(int(id_[-1]), {**found, "status": "completed"}, delta)


def ended(*frames: Any) -> bytes:
    """A stream of chat with its end."""
    return stream(*frames, frame({}, "stop"), frame(usage=USED))


CHAT, CLAUDE, RESPONSES = "vllm", "anthropic", "openai responses"
WIRES = (CHAT, CLAUDE, RESPONSES)
STOPPED = {"type": "message_stop"}

FRAMES: dict[str, dict[str, Any]] = {
    "truncation_preserves_content_without_terminal": {
        CHAT: stream(frame({"content": "Hel"}), done=False),
        CLAUDE: sse(*claude(texts("Hel"), stop=None)[:-2], done=False),
        RESPONSES: response(message("m_0", "Hel")).partition(b"event: response.output_item.done")[0],
    },
    "transport_error_after_tool_call_yields_err_then_end": {
        CHAT: stream(frame({"tool_calls": [CHAT_CALL]}), done=False),
        CLAUDE: sse(*claude(CLAUDE_CALL, stop=None)[:-1], done=False),
        RESPONSES: response(function("f_0"), end=False),
    },
    "malformed_frame_surfaces_err_and_terminal_still_completes": {
        CHAT: stream(frame({"content": "a"}), done=False) + BAD + ended(frame({"content": "b"})),
        CLAUDE: sse(*spoken(texts("ab"))[:-1], done=False)
        + BAD
        + sse(*spoken(texts("ab"))[-1:], STOPPED, done=False),
        RESPONSES: BAD + response(message("m_0", "ab")),
    },
    "unknown_event_is_skipped": {
        CHAT: "the wire has no names for its events: what has no choices tells nothing",
        CLAUDE: sse(*spoken(texts("ab")), done=False) + ODD + sse(STOPPED, done=False),
        RESPONSES: ODD + response(message("m_0", "ab")),
    },
    "defective_known_event_surfaces_err": {
        CHAT: "nothing in a frame has to be there: what lacks a field tells the others",
        CLAUDE: "nothing in a frame has to be there: what lacks a field tells the others",
        RESPONSES: sse({"type": "response.created", "sequence_number": 0}, done=False),
    },
    "delta_less_choice_prelude_is_a_noop": {
        CHAT: stream({**frame(), "choices": [{"index": 0}]}, done=False) + ended(frame({"content": "ab"})),
        CLAUDE: sse({"type": "ping"}, *spoken(texts("ab")), STOPPED, done=False),
        RESPONSES: "the wire has no choices",
    },
    "refusal_frames_deliver_text_without_error": {
        CHAT: ended(frame({"refusal": "I will "}), frame({"refusal": "not."})),
        CLAUDE: "a refusal is a reason to stop",
        RESPONSES: response(message("m_0", "I will not.", "refusal")),
    },
    "terminal_body_content_merges_per_kind": {
        CHAT: "the terminal has no body",
        CLAUDE: "the terminal has no body",
        RESPONSES: response(message("m_0", "ab"), more=[function("f_1"), message("m_2", "cd")]),
    },
    "bare_terminal_after_only_unparseable_frames_fabricates_nothing": {
        CHAT: BAD + b"data: [DONE]\n\n",
        CLAUDE: BAD + sse(STOPPED, done=False),
        RESPONSES: BAD + BAD,
    },
    "reasoning_summary_deltas_are_superseded_without_duplication": {
        CHAT: "there is no whole piece of reasoning behind its pieces",
        CLAUDE: "there is no whole piece of reasoning behind its pieces",
        RESPONSES: response(summed("r_0", "First."), message("m_1", "So.")),
    },
    "multi_part_same_id_reasoning_keeps_every_part": {
        CHAT: "reasoning has no parts",
        CLAUDE: "reasoning has no parts",
        RESPONSES: response(summed("r_0", "First.", "Then."), message("m_1", "So.")),
    },
    "interleaved_reasoning_text": {
        CHAT: ended(*(frame({("content" if text in "bd" else "reasoning"): text}) for text in "abcd")),
        CLAUDE: sse(*spoken(thoughts("a"), texts("b"), thoughts("c"), texts("d")), STOPPED, done=False),
        RESPONSES: response(summed("r_0", "a"), message("m_1", "b"), summed("r_2", "c"), message("m_3", "d")),
    },
    "interleaved_reasoning_tool_call": {
        CHAT: ended(frame({"reasoning": "a"}), frame({"tool_calls": [CHAT_CALL]}), frame({"reasoning": "c"})),
        CLAUDE: sse(*spoken(thoughts("a"), CLAUDE_CALL, thoughts("c"), stop="tool_use"), STOPPED, done=False),
        RESPONSES: response(summed("r_0", "a"), function("f_1"), summed("r_2", "c")),
    },
    "interleaved_reasoning_blocks_stay_apart": {
        CHAT: "pieces of reasoning that follow each other are one: the wire has no blocks",
        CLAUDE: sse(*spoken(thoughts("a", "s1"), thoughts("b", "s2"), texts("c")), STOPPED, done=False),
        RESPONSES: response(summed("r_0", "a"), summed("r_1", "b"), message("m_2", "c")),
    },
}  # fmt: skip
USAGES: dict[str, list[tuple[Any, int]]] = {
    CHAT: [
        (ended(frame({"content": "a"})), 5),
        (stream(frame({"content": "a"}, "stop", usage=USED)), 5),
        (stream(frame({"content": "a"}, "stop", usage=None)), 0),
        (stream(frame({"content": "a"}, "stop")), 0),
    ],
    CLAUDE: [
        (sse(*spoken(texts("a")), STOPPED, done=False), 15),
        (sse(*spoken(texts("a")), STOPPED, done=False).replace(b'"usage"', b'"odd"'), 0),
    ],
    RESPONSES: [
        (response(message("m_0", "a"), usage={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}), 5),
        (response(message("m_0", "a")), 0),
    ],
}
"""usage_variants_are_reported_or_zero_sentinel: streams, and the tokens that they report."""


@dataclass
class Heard:
    """What a model told of a stream, and what it raised."""

    events: list[Any]
    error: CompletionError | None
    recorded: list[Any]

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def choice(self) -> list[Any]:
        """The contents of the answer, without the ids that a wire gives them."""
        (final,) = self.of(Final)
        assert self.error is None
        names = {"reasoning": "id", "tool_call": "call_id"}
        return [
            one.model_copy(update={"extra": {}, **({names[one.type]: None} if one.type in names else {})})
            if one.type != "refusal"
            else one
            for one in final.response.choice
        ]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(TextDelta))


def heard(path: Any, wire: str, body: bytes, *, broken: bool = False) -> Heard:
    head = (("content-type", "text/event-stream"),)
    whole = Response.of(200, body, head)
    cut = Response(200, head, whole.chunks, "cut", Failure("ReadError", "reset", "body"))
    exchange = Exchange(BY_WIRE[wire].asked(stream=True), cut if broken else whole)
    Cassette([exchange]).save(path)
    found = Heard([], None, exchange.events())
    with use_cassette(path, ignore=["body"]), ProviderModel.from_env(MODELS[wire]) as model:
        try:
            found.events.extend(model.completion_request("Hi.").stream_sync())
        except CompletionError as error:
            found.error = error
    return found


def thought(text: str, wire: str, signature: str = "sig") -> Reasoning:
    kind: Any = "summary" if wire == RESPONSES else "text"
    return Reasoning(
        parts=[ReasoningPart(kind=kind, text=text, signature=signature if wire == CLAUDE else None)]
    )


def _truncated(found: Heard, _wire: str) -> None:
    assert (found.text, found.of(Final)) == ("Hel", [])
    assert type(found.error) is HttpError
    assert found.error.kind == "stream_truncated"


def _broken(found: Heard, _wire: str) -> None:
    assert type(found.events[-1]) is StreamError
    assert found.events[-1].error is found.error
    assert (type(found.error), found.of(Final)) == (HttpError, [])
    assert any("ToolCall" in type(event).__name__ for event in found.events[:-1])


def _malformed(found: Heard, _wire: str) -> None:
    """The error is told where it stands, and all that follows; the call has failed all the same."""
    assert [type(event.error) for event in found.of(StreamError)] == [JsonError]
    assert (type(found.error), found.of(Final)) == (JsonError, [])
    assert found.text == "ab"
    last = found.recorded[-1]
    assert isinstance(last, Final)  # which is what came, for who looks at the exchange
    assert last.response.text == "ab"


def _unknown(found: Heard, _wire: str) -> None:
    assert found.choice == [Text(text="ab")]
    assert [event.name for event in found.of(UnknownEvent)] == ["odd_event"]


def _defective(found: Heard, _wire: str) -> None:
    assert found.error is found.of(StreamError)[0].error
    assert found.of(Final) == []
    assert (type(found.error), found.error.kind) == (ResponseError, "response_schema")


def _noop(found: Heard, _wire: str) -> None:
    assert found.choice == [Text(text="ab")]
    assert found.of(StreamError) == []


def _refused(found: Heard, _wire: str) -> None:
    assert found.choice == [Refusal(text="I will not.")]
    assert "".join(event.text for event in found.of(RefusalDelta)) == "I will not."


def _merged(found: Heard, _wire: str) -> None:
    assert found.choice == [Text(text="ab"), CALLED, Text(text="cd")]
    assert found.of(Final)[0].response.finish_reason == FinishReason.TOOL_CALLS


def _nothing(found: Heard, _wire: str) -> None:
    assert type(found.error) is JsonError
    assert all(isinstance(event, StreamError) for event in [*found.events, *found.recorded])


def _superseded(found: Heard, wire: str) -> None:
    assert found.choice == [thought("First.", wire), Text(text="So.")]
    assert [event.text for event in found.of(ReasoningDelta)] == ["First."]


def _several(found: Heard, _wire: str) -> None:
    parts = [ReasoningPart(kind="summary", text=text) for text in ("First.", "Then.")]
    assert found.choice == [Reasoning(parts=parts), Text(text="So.")]


def _between_texts(found: Heard, wire: str) -> None:
    assert found.choice == [thought("a", wire), Text(text="b"), thought("c", wire), Text(text="d")]


def _around_calls(found: Heard, wire: str) -> None:
    assert found.choice == [thought("a", wire), CALLED, thought("c", wire)]


def _apart(found: Heard, wire: str) -> None:
    assert found.choice == [thought("a", wire, "s1"), thought("b", wire, "s2"), Text(text="c")]


HOLDS: dict[str, Callable[[Heard, str], None]] = dict(
    zip(
        FRAMES,
        [
            _truncated, _broken, _malformed, _unknown, _defective, _noop, _refused, _merged, _nothing,
            _superseded, _several, _between_texts, _around_calls, _apart,
        ],
        strict=True,
    )
)  # fmt: skip


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("scenario", FRAMES)
def test_a_stream_conforms(tmp_path, scenario, wire):
    body = FRAMES[scenario][wire]
    if isinstance(body, str):
        pytest.skip(body)

    HOLDS[scenario](heard(tmp_path / "x.yaml", wire, body, broken="transport" in scenario), wire)


@pytest.mark.parametrize(("wire", "place"), [(wire, n) for wire in WIRES for n in range(len(USAGES[wire]))])
def test_usage_of_a_stream_is_reported_or_all_zero(tmp_path, wire, place):
    body, total = USAGES[wire][place]

    found = heard(tmp_path / "x.yaml", wire, body)

    (final,) = found.of(Final)
    assert (final.response.usage.total_tokens, final.response.usage.has_values) == (total, total > 0)


def test_no_scenario_is_skipped_on_every_wire():
    assert len(FRAMES) + 1 == 15  # and that of usage
    assert len(SCENARIOS) == 15
    assert all(any(isinstance(body, bytes) for body in bodies.values()) for bodies in FRAMES.values())
    assert all(bodies.keys() == set(WIRES) for bodies in FRAMES.values())

"""Taking a value out of a text: one call of the model, one tool that takes the value."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import ValidationError

from llmreplay.agent._drive import drive
from llmreplay.agent._errors import (
    ExtractionError,
    ExtractionFailed,
    InvalidData,
    NoData,
    PromptError,
    UnknownToolCall,
)
from llmreplay.agent._output import Output, json_in
from llmreplay.agent._reading import Typed
from llmreplay.agent._run import AgentRun
from llmreplay.agent._schema import problems_of, schema_of
from llmreplay.completion import ToolChoice, Usage
from llmreplay.model import run_sync

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmreplay.agent._drive import Means
    from llmreplay.agent._steps import RunSettings
    from llmreplay.completion import Message

__all__ = ["Extraction", "Extractor"]

T = TypeVar("T")

_INSTRUCTIONS = (
    "Take the data out of what the user says, and submit it by calling the tool `submit`. "
    "Submit what is there, and make nothing up."
)


@dataclass(frozen=True, slots=True)
class Extraction(Generic[T]):
    """A value, and the tokens of all attempts that it took."""

    data: T
    usage: Usage


class Extractor(Generic[T]):
    """Takes values of a type out of texts.

    Each attempt is one call of the model. Data that is missing or wrong is asked for again, up to
    `retries` times, and so is a call that failed and may succeed; other failures are final.
    """

    def __init__(self, kind: type[T], settings: RunSettings, means: Means, retries: int) -> None:
        self._typed, self._means, self._retries = Typed(kind), means, retries
        output = Output(mode="tool", json_schema=schema_of(kind), tool_name="submit", corrections=0)
        said = [settings.preamble, _INSTRUCTIONS]
        changes = {
            "output": output,
            "max_turns": 1,
            "preamble": "\n\n".join(text for text in said if text),
            "request": settings.request.model_copy(
                update={"tools": [], "tool_choice": ToolChoice(mode="required")}
            ),
        }
        self._settings = settings.model_copy(update=changes)

    async def extract(self, text: str | Message, *, history: Sequence[Message] = ()) -> T:
        """Return the value that is in a text.

        Raises:
            NoData: The model did not submit anything.
            InvalidData: What it submitted is no such value.
            ExtractionFailed: The call failed.
        """
        return (await self.extract_with_usage(text, history=history)).data

    async def extract_with_usage(
        self, text: str | Message, *, history: Sequence[Message] = ()
    ) -> Extraction[T]:
        """Return the value, and the tokens of all attempts; raise what `extract` raises."""
        usage = Usage()
        left = self._retries
        while True:
            run = AgentRun.start(text, self._settings, history=history)
            try:
                data = await self._attempt(run)
            except ExtractionError as error:
                usage += run.usage
                error.usage = usage
                final = isinstance(error, ExtractionFailed) and not error.retryable
                if final or not left:
                    raise
                left -= 1
            else:
                return Extraction(data, usage + run.usage)

    def extract_sync(self, text: str | Message, *, history: Sequence[Message] = ()) -> T:
        """Do what `extract` does, for callers that are not async."""
        return run_sync(lambda: self.extract(text, history=history))

    async def _attempt(self, run: AgentRun) -> T:
        try:
            async with aclosing(drive(run, self._means, streamed=False)) as events:
                async for _ in events:
                    pass
        except UnknownToolCall as error:  # it called something else, and nothing was submitted
            raise NoData(f"nothing was submitted: {error}") from error
        except PromptError as error:
            raise ExtractionFailed(error) from error
        if not run.submitted:
            raise NoData(f"nothing was submitted; the model says: {run.messages[-1].text!r}")
        submitted = json_in(run.messages[-1].text)
        try:
            return self._typed.value(submitted)
        except ValidationError as error:
            raise InvalidData(submitted, problems_of(error)) from error

"""What the text of an answer is read as, and what fails if it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from llmreplay.agent._errors import (
    AgentError,
    DeserializationError,
    EmptyResponse,
    PromptError,
    TypedPromptFailed,
)
from llmreplay.agent._output import json_in
from llmreplay.agent._schema import problems_of

if TYPE_CHECKING:
    from llmreplay.agent._steps import PromptResponse

__all__ = ["AsText", "Reading", "Typed"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Reading(Protocol[T_co]):
    """How an answer becomes what the caller asked for."""

    def read(self, response: PromptResponse[str]) -> T_co:
        """Return what the answer is; raise `AgentError` if it is none."""
        ...

    def failed(self, error: PromptError) -> AgentError:
        """Return what a prompt without an answer fails with."""
        ...


class AsText:
    """An answer is its text."""

    def read(self, response: PromptResponse[str]) -> str:
        """Return the text."""
        return response.output

    def failed(self, error: PromptError) -> AgentError:
        """Return the error as it is."""
        return error


class Typed(Generic[T]):
    """An answer is a value of a type."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def read(self, response: PromptResponse[str]) -> T:
        """Return the value that the text is, or contains.

        Raises:
            EmptyResponse: There is no text.
            DeserializationError: There is no such value in it.
        """
        text = response.output
        if not text.strip():
            raise EmptyResponse("the answer is empty", usage=response.usage)
        try:
            return self._adapter.validate_python(json_in(text))
        except ValidationError as error:
            raise DeserializationError(text, problems_of(error), usage=response.usage) from error
        except ValueError as error:
            raise DeserializationError(text, str(error), usage=response.usage) from error

    def failed(self, error: PromptError) -> AgentError:
        """Return the error that says so of a typed prompt."""
        return TypedPromptFailed(error)

    def value(self, data: Any) -> T:
        """Return the value that some JSON is; raise `ValidationError` if it is none."""
        return self._adapter.validate_python(data)

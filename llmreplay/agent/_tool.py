"""Tools: typed Python functions that a model may call.

Rules:

* The schema is that of the function's parameters, by pydantic; so are the checks of what the model
  sends. Descriptions come from the docstring, or from `Annotated[…, Field(description=…)]`.
* A tool that is decorated stays a function: it can be called, and tested, as it was.
* Whatever goes wrong in a call is a `ToolError`; what is no `Exception` (a cancelled task, a refusal
  of a session) goes up.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import anyio.to_thread
from pydantic import ValidationError

from llmreplay.agent._docstring import described
from llmreplay.agent._schema import Parameters, misfit, problems_of
from llmreplay.agent._tool_error import ToolError
from llmreplay.completion import ToolDefinition
from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Tool", "as_tool", "tool", "unparsed"]

P = ParamSpec("P")
R = TypeVar("R")


class Tool(Generic[P, R]):
    """A function, and what a model is told of it.

    Attributes:
        definition: Name, description, and the JSON Schema of the arguments.
        function: The function itself, sync or async.
    """

    def __init__(
        self, function: Callable[P, R], *, name: str | None = None, description: str | None = None
    ) -> None:
        told, parameters = described(function)
        self.function = function
        self._parameters: Parameters | None = Parameters(function, parameters)
        self.definition = ToolDefinition(
            name=name or str(getattr(function, "__name__", type(function).__name__)),
            description=description or told,
            parameters=self._parameters.schema,
        )
        self.__doc__ = function.__doc__

    @classmethod
    def from_definition(cls, definition: ToolDefinition, function: Callable[P, R]) -> Tool[P, R]:
        """Make a tool of a schema written by hand; the function takes the arguments by name.

        What the model sends is checked against the schema.
        """
        made = cls.__new__(cls)
        made.function, made.definition, made._parameters = function, definition, None  # noqa: SLF001  it is one of these
        return made

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    async def run(self, arguments: Any, *, in_thread: bool = False) -> Any:
        """Return what the function gives for the arguments that a model sent.

        Args:
            arguments: what was sent, as parsed.
            in_thread: run a sync function in a thread, where others are to run at the same time.

        Raises:
            ToolError: The arguments are not those of the tool, or the function failed.
        """
        args, kwargs = self._bound({} if arguments is None else arguments)
        try:
            if in_thread and not inspect.iscoroutinefunction(self.function):
                result = await anyio.to_thread.run_sync(lambda: self.function(*args, **kwargs))
            else:
                result = self.function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        except ToolError:
            raise
        except Exception as error:
            raise ToolError.from_error(error) from error

    def _bound(self, arguments: Any) -> tuple[list[Any], dict[str, Any]]:
        if not isinstance(arguments, dict):
            raise unparsed(f"they are no object: {arguments!r}")
        if self._parameters is not None:
            try:
                return self._parameters.bound(arguments)
            except ValidationError as error:
                raise unparsed(problems_of(error)) from error
        problem = misfit(arguments, self.definition.parameters or {})
        if problem is not None:
            raise unparsed(problem)
        return [], arguments


def unparsed(problem: str) -> ToolError:
    """Return the error of arguments that are not those of the tool."""
    return ToolError(f"failed to parse tool arguments: {problem}", kind="invalid_args")


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None, /, *, name: str | None = None, description: str | None = None
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a tool of a typed function, sync or async.

        @tool
        def get_weather(city: str, days: int = 1) -> str:
            \"\"\"Tell the weather of a city.\"\"\"

    Args:
        function: the function; every parameter needs a type that pydantic knows.
        name: what the model calls it; the name of the function if left out.
        description: what the model reads of it; what the docstring says if left out.

    Raises:
        OptionError: The function has parameters that no JSON object can fill.
    """
    if function is None:
        return lambda decorated: Tool(decorated, name=name, description=description)
    return Tool(function, name=name, description=description)


def as_tool(given: Any) -> Tool[..., Any]:
    """Take a function for the tool that it could be decorated as."""
    if isinstance(given, Tool):
        return given
    if not callable(given):
        raise OptionError("tools", given, "functions, tools made with @tool, or ProviderTool")
    return Tool(given)

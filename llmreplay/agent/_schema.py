"""Parameters of a function as a JSON Schema, and JSON as the arguments of the function."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from llmreplay.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Parameters", "misfit", "problems_of", "schema_of"]


class _Plain(GenerateJsonSchema):
    """Schemas without the titles that pydantic makes of names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  pydantic asks of each
        return False


class Parameters:
    """What a function takes, as a model of pydantic.

    Fields are numbered, and named by their alias: a parameter may have any name.
    """

    def __init__(self, function: Callable[..., Any], descriptions: Mapping[str, str]) -> None:
        name = getattr(function, "__name__", "function")
        fields: dict[str, Any] = {}
        self._positional: list[str] = []
        self._named: dict[str, str] = {}
        extra: Literal["allow", "forbid"] = "forbid"
        for parameter, hint in _hints(function, name):
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                extra = "allow"
                continue
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                raise OptionError("tool", function, f"a function without *{parameter.name}")
            field = f"p{len(fields)}"
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                self._positional.append(field)
            else:
                self._named[parameter.name] = field
            fields[field] = _field(parameter, hint, descriptions.get(parameter.name))
        try:
            self._model: type[BaseModel] = create_model(
                name,
                __config__=ConfigDict(extra=extra),
                **fields,
            )
            self.schema: dict[str, Any] = self._model.model_json_schema(schema_generator=_Plain)
        except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as error:
            raise OptionError("tool", function, f"parameters that pydantic knows: {error}") from error
        self.schema.pop("title", None)

    def bound(self, arguments: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments by position and by name; raise `ValidationError` if they do not fit."""
        fitted = self._model.model_validate(arguments)
        named = {name: getattr(fitted, field) for name, field in self._named.items()}
        return [getattr(fitted, field) for field in self._positional], {**named, **(fitted.model_extra or {})}


def _hints(function: Callable[..., Any], name: str) -> list[tuple[inspect.Parameter, Any]]:
    inner = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004  its hints
    try:
        hints = get_type_hints(inner, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        raise OptionError("tool", name, f"a function with types that can be read: {error}") from error
    return [(parameter, hints.get(parameter.name, Any)) for parameter in parameters]


def _field(parameter: inspect.Parameter, hint: Any, described: str | None) -> Any:
    default = parameter.default
    if isinstance(default, FieldInfo):
        hint, default = Annotated[hint, default], default.get_default(call_default_factory=False)
    told = None if FieldInfo.from_annotation(hint).description else described
    given: dict[str, Any] = {} if told is None else {"description": told}
    if default is inspect.Parameter.empty:
        return (hint, Field(alias=parameter.name, **given))
    return (hint, Field(default, alias=parameter.name, **given))


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type; a schema is its own."""
    if isinstance(kind, dict):
        return kind
    try:
        return TypeAdapter(kind).json_schema(schema_generator=_Plain)
    except PydanticSchemaGenerationError as error:
        raise OptionError("output type", kind, "a type that pydantic knows, or a JSON Schema") from error


def problems_of(error: ValidationError) -> str:
    """Say what is wrong in one line, each field by its path."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the whole'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )


def misfit(value: Any, schema: dict[str, Any]) -> str | None:
    """Say what keeps a value from fitting a JSON Schema, None if it fits."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415  few agents need it, and it takes a while
    from jsonschema.validators import validator_for  # noqa: PLC0415  likewise

    problem = best_match(validator_for(schema)(schema).iter_errors(value))
    return None if problem is None else f"{problem.json_path}: {problem.message}"

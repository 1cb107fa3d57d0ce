"""The base of every value of the vocabulary."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

__all__ = ["Extra", "Raw", "Value"]

Extra = Annotated[dict[str, Any], SkipValidation]
"""What a wire says beyond the vocabulary, by its own keys, as parsed."""

Raw = Annotated[Any, Field(repr=False)]
"""What the wire said, as parsed; it does not count in comparisons."""


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uncompared: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not count when two values are compared."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value) or type(other) is not type(self):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash((type(self), *self._compared().values()))

    def _compared(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self.uncompared}

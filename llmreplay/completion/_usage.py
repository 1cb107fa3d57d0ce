"""What a call used, in tokens: seven numbers, whatever the provider."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from llmreplay.completion._value import Extra, Value

__all__ = ["Usage"]

_NUMBERS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_creation_input_tokens",
    "tool_use_prompt_tokens",
    "reasoning_tokens",
)


def _sum(data: dict[str, Any]) -> int:
    return int(data["input_tokens"]) + int(data["output_tokens"])


class Usage(Value):
    """Tokens used by a call, or by many: `a + b`, `sum(usages, Usage())`.

    Buckets are inclusive: the input contains what was read from a cache, written to it, and spent
    on the prompts of the provider's own tools; the output contains the reasoning. `total_tokens` is
    what the provider says, or input and output together. All zero means that nothing was reported.

    `details` is the provider's own object; it does not count in comparisons.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = Field(default_factory=_sum)
    cached_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    tool_use_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    details: Extra = Field(default_factory=dict, repr=False)

    uncompared: ClassVar[frozenset[str]] = frozenset({"details"})

    def __add__(self, other: Usage) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        numbers = {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        return Usage(**numbers, details=_add(self.details, other.details))

    @property
    def has_values(self) -> bool:
        """Whether the provider reported anything."""
        return any(getattr(self, name) for name in _NUMBERS)

    def audit(self) -> list[str]:
        """Return what cannot be: defects of a provider, or of a codec."""
        warnings = [
            f"{name} is negative: {getattr(self, name)}" for name in _NUMBERS if getattr(self, name) < 0
        ]
        parts = self.cached_input_tokens + self.cache_creation_input_tokens + self.tool_use_prompt_tokens
        if parts > self.input_tokens:
            warnings.append(
                f"cached, cache-creation and tool-use tokens ({parts}) exceed the input ({self.input_tokens})"
            )
        if self.reasoning_tokens > self.output_tokens:
            warnings.append(
                f"reasoning tokens ({self.reasoning_tokens}) exceed the output ({self.output_tokens})"
            )
        if self.total_tokens != self.input_tokens + self.output_tokens:
            both = self.input_tokens + self.output_tokens
            warnings.append(f"total tokens ({self.total_tokens}) are not input and output ({both})")
        return warnings


def _add(left: Any, right: Any) -> Any:
    """Add two objects of a provider: numbers are added, and of all else the later one stays."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {
            **left,
            **{key: _add(left[key], value) if key in left else value for key, value in right.items()},
        }
    if isinstance(left, (int, float)) and isinstance(right, (int, float)) and not isinstance(right, bool):
        return left + right
    return left if right is None else right

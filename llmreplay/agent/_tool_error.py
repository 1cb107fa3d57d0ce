"""How a tool fails, and what the model is told of it.

An exception that a tool raises on purpose (`ToolError`) shows the model its message; any other may say
what is nobody's business, such as a path or a password, so that the model reads only that it failed.
"""

from __future__ import annotations

from typing import Any, Literal, Self

__all__ = ["REDACTED", "ToolError", "ToolErrorKind"]

ToolErrorKind = Literal[
    "invalid_args",
    "timeout",
    "cancelled",
    "not_found",
    "permission_denied",
    "rate_limited",
    "provider",
    "network",
    "other",
]
"""What went wrong with a tool."""

_RETRYABLE: dict[str, bool | None] = {
    "timeout": True,
    "rate_limited": True,
    "network": True,
    "invalid_args": False,
    "cancelled": False,
    "not_found": False,
    "permission_denied": False,
}

REDACTED = "the tool failed"
"""What the model reads of an exception that was not meant for it."""


class ToolError(Exception):
    """A tool failed, and the model is told: `raise ToolError("no such city", kind="not_found")`.

    Attributes:
        message: What went wrong, for hooks and logs.
        kind: The same in one word.
        model_output: What the model reads; the message, unless told otherwise.
        retryable: Whether a second attempt may succeed; None where nobody knows.
        code: The tool's own code for it.
        http_status: The HTTP status behind it, if there is one.
        refusal: Whether the tool would not, rather than could not.
    """

    def __init__(  # noqa: PLR0913  one keyword an attribute
        self,
        message: str,
        *,
        kind: ToolErrorKind = "other",
        model_output: str | None = None,
        retryable: bool | None = None,
        code: str | None = None,
        http_status: int | None = None,
        refusal: bool = False,
    ) -> None:
        self.message, self.kind = message, kind
        self.model_output = message if model_output is None else model_output
        self.retryable = _RETRYABLE.get(kind) if retryable is None else retryable
        self.code, self.http_status, self.refusal = code, http_status, refusal
        super().__init__(message)

    @classmethod
    def from_error(cls, error: Exception) -> Self:
        """Take any exception of a tool for what it is; the model does not read its message."""
        made = cls(f"{type(error).__name__}: {error}", model_output=REDACTED)
        made.__cause__ = error
        return made

    def __repr__(self) -> str:
        # What the model reads may be long, or private; what went wrong is enough here.
        return f"{type(self).__name__}({self.message!r}, kind={self.kind!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.message, self.__dict__)


def _again(kind: type[ToolError], message: str, fields: dict[str, Any]) -> ToolError:
    error = kind(message)
    error.__dict__.update(fields)
    return error

"""Transports to put into a client by hand, where it does not end in the library's own `HTTPTransport`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llmreplay import session
from llmreplay.intercept._httpx import LIBRARIES, Below, answer, answer_async

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["AsyncRecordingTransport", "RecordingTransport"]

T = TypeVar("T")

# It may be made of anything, and all that it answers is kept.
_BY_HAND = Below(lambda _outcome: True, leaves=False)


def RecordingTransport(inner: T) -> T:  # noqa: N802  it stands where a transport class would
    """Return a transport that records and replays what goes through a transport of your own.

    For stacks that do not end in the library's `HTTPTransport`. The library (httpx or httpx2) is that
    of `inner`; without an open session the request goes straight through.
    """
    return cast("T", _recording(_owner(inner), "BaseTransport", inner))


def AsyncRecordingTransport(inner: T) -> T:  # noqa: N802
    """Return an async transport that records and replays what goes through a transport of your own."""
    return cast("T", _recording(_owner(inner), "AsyncBaseTransport", inner))


def _owner(transport: object) -> ModuleType:
    # Not by the name of its module: openai and groq write their own into `BaseTransport`.
    for library in (sys.modules.get(name) for name in LIBRARIES):
        if library and isinstance(transport, (library.BaseTransport, library.AsyncBaseTransport)):
            return library
    raise TypeError(f"{type(transport).__name__} is no transport of httpx or httpx2")


def _recording(library: ModuleType, base_name: str, inner: Any) -> Any:
    base: Any = getattr(library, base_name)
    if not isinstance(inner, base):
        raise TypeError(f"{type(inner).__name__} is no {library.__name__}.{base_name}")

    class Sync(base):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return inner.handle_request(request)
            send = partial(inner.handle_request, request)
            return answer(library, request, send, _BY_HAND)

        def close(self) -> None:
            inner.close()

    class Async(base):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            if session.current() is None or session.is_forwarding():
                return await inner.handle_async_request(request)
            send = partial(inner.handle_async_request, request)
            return await answer_async(library, request, send, _BY_HAND)

        async def aclose(self) -> None:
            await inner.aclose()

    return Async() if base_name.startswith("Async") else Sync()

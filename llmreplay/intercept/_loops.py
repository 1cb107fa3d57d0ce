"""The guard at the event loop: asyncio looks names up in threads, and uvloop connects below Python.

Rules:

* uvloop's sockets are libuv's: nothing in Python sees them, so that the methods of its loop that reach
  out are the last place to ask. Without uvloop this costs nothing, and imports nothing.
* asyncio is asked about a name before the look-up goes to a thread, which belongs to no task, and so
  may belong to another session. A run without async code does not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.intercept._libraries import Patches, when_imported
from llmreplay.intercept._socket import check, known

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["install", "uninstall"]

_patches = Patches()


def install() -> None:
    """Put the guard in place."""
    when_imported("asyncio", _put_into_asyncio)
    when_imported("uvloop", _put_into_uvloop)


def uninstall() -> None:
    """Take the guard away, where nobody has put something else over it."""
    _patches.take_out()


def _put_into_asyncio(library: ModuleType) -> None:
    _patches.put(library.BaseEventLoop, "getaddrinfo", _looking_up)
    _patches.put(library.BaseEventLoop, "getnameinfo", _looking_up_back)


def _put_into_uvloop(library: ModuleType) -> None:
    from llmreplay.intercept._datagrams import opening  # noqa: PLC0415  brings asyncio

    loop = library.Loop
    _patches.put(loop, "getaddrinfo", _looking_up)
    _patches.put(loop, "getnameinfo", _looking_up_back)
    _patches.put(loop, "create_connection", _connecting)
    _patches.put(loop, "create_datagram_endpoint", opening)


def _looking_up(real: Any) -> Any:
    async def getaddrinfo(self: Any, host: Any, port: Any, **options: Any) -> Any:
        check(host, looked_up=True)
        found = await real(self, host, port, **options)
        known(host, found)
        return found

    return getaddrinfo


def _looking_up_back(real: Any) -> Any:
    async def getnameinfo(self: Any, sockaddr: Any, flags: int = 0) -> Any:
        check(sockaddr[0], looked_up=True)
        return await real(self, sockaddr, flags)

    return getnameinfo


def _connecting(real: Any) -> Any:
    async def create_connection(
        self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        check(host)
        return await real(self, protocol_factory, host, port, **options)

    return create_connection

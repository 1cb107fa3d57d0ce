"""The guard at the event loop: asyncio looks names up in threads, and uvloop connects below Python.

Rules:

* uvloop's sockets are libuv's: nothing in Python sees them, so that the methods of its loop that reach
  out are the last place to ask. Without uvloop this costs nothing, and imports nothing.
* asyncio is asked about a name before the look-up goes to a thread, which belongs to no task, and so
  may belong to another session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmreplay.intercept._libraries import Patches, when_imported
from llmreplay.intercept._socket import check, known

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["install", "uninstall"]

_patches = Patches()


def install() -> None:
    """Put the guard in place."""
    _patches.put(asyncio.BaseEventLoop, "getaddrinfo", _looking_up)
    _patches.put(asyncio.BaseEventLoop, "getnameinfo", _looking_up_back)
    when_imported("uvloop", _put_into_uvloop)


def uninstall() -> None:
    """Take the guard away, where nobody has put something else over it."""
    _patches.take_out()


def _put_into_uvloop(library: ModuleType) -> None:
    loop = library.Loop
    _patches.put(loop, "getaddrinfo", _looking_up)
    _patches.put(loop, "getnameinfo", _looking_up_back)
    _patches.put(loop, "create_connection", _connecting)
    _patches.put(loop, "create_datagram_endpoint", _opening)


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


def _opening(real: Any) -> Any:
    async def create_datagram_endpoint(
        self: Any, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        if isinstance(remote_addr, tuple):
            check(remote_addr[0])
            return await real(self, protocol_factory, local_addr, remote_addr, **options)
        # It may send to anybody, and each datagram says to whom.
        between: list[_Between] = []

        def factory() -> _Between:
            between.append(_Between(protocol_factory()))
            return between[0]

        await real(self, factory, local_addr, remote_addr, **options)
        return between[0].transport, between[0].protocol

    return create_datagram_endpoint


class _Datagrams(asyncio.DatagramTransport):
    """A transport that asks before it sends."""

    def __init__(self, real: Any) -> None:
        super().__init__()
        self._real = real

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram, if its address may be reached."""
        if isinstance(addr, tuple):
            check(addr[0])
        self._real.sendto(data, addr)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._real.get_extra_info(name, default)

    def is_closing(self) -> bool:
        closing: bool = self._real.is_closing()
        return closing

    def close(self) -> None:
        self._real.close()

    def abort(self) -> None:
        self._real.abort()


class _Between(asyncio.DatagramProtocol):
    """Gives a protocol the transport that asks."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = _Datagrams(transport)
        self.protocol.connection_made(self.transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.protocol.datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        self.protocol.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

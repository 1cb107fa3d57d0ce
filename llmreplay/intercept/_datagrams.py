"""Datagrams of uvloop: an endpoint without an address may send to anybody, so each one is asked about."""

from __future__ import annotations

import asyncio
from typing import Any

from llmreplay.intercept._socket import check

__all__ = ["opening"]


def opening(real: Any) -> Any:
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

"""The guard at the socket: in replay, what would leave this machine is refused here.

Rules:

* Everything above it has had its say: the edges, and mocks below the edges. What arrives here is on
  its way to the network.
* Loopback addresses and Unix sockets pass. A name is looked up only if it may be connected to.
* It stands only while a session is open, and asks the sessions each time (`session.block`).
"""

from __future__ import annotations

import socket
from typing import Any

from llmreplay import session

__all__ = ["install", "uninstall"]

_METHODS = ("connect", "connect_ex", "sendto")
_LOOK_UPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
_INTERNET = (socket.AF_INET, socket.AF_INET6)

_real: dict[str, Any] = {}
_ours: dict[str, Any] = {}
# Addresses that an allowed name was looked up to.
_known: set[str] = set()


def install() -> None:
    """Put the guard in place."""
    _known.clear()
    # Ours may be there from an earlier session: somebody who came after us put it back.
    for name in _METHODS:
        if getattr(socket.socket, name) is not _ours.get(name):
            _real[name] = getattr(socket.socket, name)
            _ours[name] = _guarded(name, _real[name])
            setattr(socket.socket, name, _ours[name])
    for name in _LOOK_UPS:
        if getattr(socket, name) is not _ours.get(name):
            _real[name] = getattr(socket, name)
            _ours[name] = _looking_up(name, _real[name])
            setattr(socket, name, _ours[name])


def uninstall() -> None:
    """Take the guard away, where nobody has put something else over it."""
    for name in _METHODS:
        if socket.socket.__dict__.get(name) is _ours[name]:
            if _real[name] is getattr(socket.socket.__base__, name, None):
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, _real[name])
    for name in _LOOK_UPS:
        if getattr(socket, name) is _ours[name]:
            setattr(socket, name, _real[name])


def _guarded(name: str, real: Any) -> Any:
    def guard(self: socket.socket, *args: Any) -> Any:
        # sendto's address is its last argument, after data and flags.
        address = args[-1] if args else None
        if self.family in _INTERNET and isinstance(address, tuple) and address:
            _check(address[0])
        return real(self, *args)

    guard.__name__ = name
    return guard


def _looking_up(kind: str, real: Any) -> Any:
    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name:
            _check(name)
        found = real(host, *args, **options)
        if name and kind == "getaddrinfo" and not session.is_loopback(name):
            _known.update(address[4][0] for address in found)
        return found

    look_up.__name__ = kind
    return look_up


def _check(host: str) -> None:
    if not host or host in _known or session.is_loopback(host) or host in ("0.0.0.0", "::"):  # noqa: S104  not bound
        return
    refusal = session.block(host)
    if refusal is not None:
        raise refusal

"""The guard at the socket: in replay, what would leave this machine is refused here.

Rules:

* Everything above it has had its say: the edges, and mocks below the edges. What arrives here is on
  its way to the network.
* Loopback addresses and Unix sockets pass. A name is looked up only if it may be connected to, or is
  this machine's own.
* It stands only while a session is open, and asks the sessions each time (`session.block`).
* It stands twice: in the place of Python's functions, where a refusal comes before anything else is
  done, and as an audit hook below them, for whoever took hold of a function earlier or uses `_socket`
  itself. An audit hook stays for good; without a session it says nothing.
* Event loops that do not use Python's sockets have a guard of their own (`_loops`). Extensions that
  open sockets in C (pycurl, grpc, pycares) pass unseen.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from llmreplay import session

__all__ = ["check", "install", "known", "uninstall"]

# Where each has its address.
_METHODS = {"connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}
_LOOK_UPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKING_UP = frozenset(
    {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}
)

_real: dict[str, Any] = {}
_ours: dict[str, Any] = {}
# Addresses that an allowed name was looked up to.
_known: set[str] = set()
_audit = {"added": False, "on": False}


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
    if not _audit["added"]:
        _audit["added"] = True
        sys.addaudithook(_below)
    _audit["on"] = True


def uninstall() -> None:
    """Take the guard away, where nobody has put something else over it."""
    _audit["on"] = False
    for name in _METHODS:
        if socket.socket.__dict__.get(name) is _ours[name]:
            if _real[name] is getattr(socket.socket.__base__, name, None):
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, _real[name])
    for name in _LOOK_UPS:
        if getattr(socket, name) is _ours[name]:
            setattr(socket, name, _real[name])


def check(host: object, *, looked_up: bool = False) -> None:
    """Refuse a host, by name or address, that may not be reached; raises `LiveCallBlocked`."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    if not name or not isinstance(name, str) or name in _known:
        return
    if session.is_loopback(name) or name in ("0.0.0.0", "::"):  # noqa: S104  not bound
        return
    if looked_up and name == socket.gethostname():
        return
    refusal = session.block(name)
    if refusal is not None:
        raise refusal


def known(name: object, found: Any) -> None:
    """Note what an allowed name was looked up to, so that it may be connected to."""
    told = name.decode("ascii", "replace") if isinstance(name, bytes | bytearray) else name
    if isinstance(told, str) and told and not session.is_loopback(told):
        _known.update(address[4][0] for address in found)


def _guarded(name: str, real: Any) -> Any:
    at = _METHODS[name]

    def guard(self: socket.socket, *args: Any) -> Any:
        if len(args) > at:
            _check_address(self, args[at])
        return real(self, *args)

    guard.__name__ = name
    return guard


def _check_address(sock: socket.socket, address: object) -> None:
    if isinstance(address, tuple) and address and sock.family in _INTERNET:
        check(address[0])


def _looking_up(kind: str, real: Any) -> Any:
    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        check(host[0] if isinstance(host, tuple) else host, looked_up=True)
        found = real(host, *args, **options)
        if kind == "getaddrinfo":
            known(host, found)
        return found

    look_up.__name__ = kind
    return look_up


def _below(event: str, args: tuple[Any, ...]) -> None:  # pragma: no cover  an audit hook is not traced
    # Called for everything that happens in the process: the cheap question first.
    if not _audit["on"]:
        return
    if event in _SENDING:
        _check_address(args[0], args[1])
    elif event in _LOOKING_UP:
        host = args[0]
        check(host[0] if isinstance(host, tuple) else host, looked_up=True)

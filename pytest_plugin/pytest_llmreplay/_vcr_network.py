"""A test that may reach no host, or only those that match: at the sockets of Python, and in pycurl.

Rules:

* It stands where a connection is made, so that servers on this machine can be started; they are hosts
  like any other.
* The sockets that Windows connects to make a pair of them are no network.
* pycurl opens its sockets in C: its handles are asked before they perform.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["blocked", "release_pycurl", "watch_pycurl"]

_CONNECTING = ("connect", "connect_ex")

_pairing = threading.local()
# What is asked about a host, by each block that is open.
_checks: list[Callable[[Any], None]] = []
# pycurl's own classes, while ours stand in their place.
_curls: dict[str, Any] = {}


@contextmanager
def blocked(allowed: Sequence[str] | None) -> Iterator[None]:
    """Let nothing be connected to but hosts at whose beginning one of the expressions matches.

    Raises `RuntimeError` where a connection is tried.
    """
    allows = re.compile("|".join(f"(?:{one})" for one in allowed)) if allowed else None

    def check(host: Any) -> None:
        name = host.decode() if isinstance(host, bytes | bytearray) else host
        if allows is None or not allows.match(name):
            raise RuntimeError(f"Network is disabled for host {host!r}")

    before = {name: socket.socket.__dict__.get(name) for name in _CONNECTING}
    pair = socket.socketpair
    for name in _CONNECTING:
        setattr(socket.socket, name, _asking(getattr(socket.socket, name), check))
    _put(socket, "socketpair", _exempt(pair))
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)
        _put(socket, "socketpair", pair)
        for name, method in before.items():
            if method is None:  # it was inherited
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, method)


def _asking(real: Callable[..., Any], check: Callable[[Any], None]) -> Any:
    def connect(self: socket.socket, address: Any, *args: Any) -> Any:
        if not getattr(_pairing, "now", False):
            check(_host(self, address))
        return real(self, address, *args)

    return connect


def _host(sock: socket.socket, address: Any) -> Any:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return address[0]
    return address if sock.family == getattr(socket, "AF_UNIX", None) else ""


def _exempt(real: Callable[..., Any]) -> Any:
    def socketpair(*args: Any, **options: Any) -> Any:
        _pairing.now = True
        try:
            return real(*args, **options)
        finally:
            _pairing.now = False

    return socketpair


def watch_pycurl() -> None:
    """Have the handles of pycurl, if it is installed, ask before they perform."""
    if find_spec("pycurl") is None or _curls:
        return
    library: Any = import_module("pycurl")

    class Curl(library.Curl):  # type: ignore[misc]  # it has no types
        """pycurl's own, which knows where it leads."""

        leads_to = ""

        def setopt(self, option: int, value: Any) -> None:
            if option == library.URL:
                self.leads_to = value.decode() if isinstance(value, bytes) else value
            super().setopt(option, value)

        def perform(self) -> None:
            _ask(self)
            super().perform()

    class CurlMulti(library.CurlMulti):  # type: ignore[misc]
        """pycurl's own, whose handles ask when they come in."""

        def add_handle(self, handle: Any) -> None:
            _ask(handle)
            super().add_handle(handle)

    for ours in (Curl, CurlMulti):
        _curls[ours.__name__] = getattr(library, ours.__name__)
        setattr(library, ours.__name__, ours)


def release_pycurl() -> None:
    """Put pycurl's own classes back."""
    while _curls:
        name, real = _curls.popitem()
        setattr(import_module("pycurl"), name, real)


def _ask(handle: Any) -> None:
    url = getattr(handle, "leads_to", "")
    for check in _checks:
        check(urlsplit(url if "://" in url else f"//{url}").hostname or "")


def _put(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)

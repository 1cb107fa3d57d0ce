"""The rim: client libraries' requests and responses translated to ours, and nothing more.

    install(), uninstall()      every edge, while at least one session is open
    RecordingTransport(inner)   an edge to put into a client by hand, where its transport is its own

One module an edge: `_httpx` (httpx and httpx2; `_by_hand` wraps other transports of theirs), and
`_socket` (the guard below all of them).
"""

from __future__ import annotations

import threading

from llmreplay.intercept import _httpx, _socket
from llmreplay.intercept._by_hand import AsyncRecordingTransport, RecordingTransport

__all__ = ["AsyncRecordingTransport", "RecordingTransport", "install", "uninstall"]

_lock = threading.Lock()
_installed = 0


def install() -> None:
    """Put every edge in place; each call needs one of `uninstall`."""
    global _installed  # noqa: PLW0603  the edges belong to the process
    with _lock:
        _installed += 1
        if _installed == 1:
            _socket.install()
        # Each time, since a library may have been installed or imported meanwhile.
        _httpx.install()


def uninstall() -> None:
    """Take the edges out again when nobody needs them any more."""
    global _installed  # noqa: PLW0603
    with _lock:
        _installed -= 1
        if _installed == 0:
            _httpx.uninstall()
            _socket.uninstall()

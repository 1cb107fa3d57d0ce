"""The rim: client libraries' requests and responses translated to ours, and nothing more.

    install(), uninstall()      every edge, while at least one session is open
    hold(), release()           leaves them in place where one session follows another
    RecordingTransport(inner)   an edge to put into a client by hand, where its transport is its own

One module an edge: `_httpx` (httpx and httpx2; `_by_hand` wraps other transports of theirs), `_aiohttp`,
`_vcrpy` (requests, urllib3, botocore, httplib2, `http.client`, with `_tornado` for tornado), and `_socket`
(the guard below all of them, with `_loops` for event loops). `_libraries` puts edges into libraries, also
into those that are imported later.
"""

from __future__ import annotations

import threading

from llmreplay.intercept import _aiohttp, _httpx, _libraries, _loops, _socket, _vcrpy
from llmreplay.intercept._by_hand import AsyncRecordingTransport, RecordingTransport

__all__ = ["AsyncRecordingTransport", "RecordingTransport", "hold", "install", "release", "uninstall"]

_lock = threading.Lock()
_installed = 0
_holds = 0
_complete = False


def install() -> None:
    """Put every edge in place; each call needs one of `uninstall`."""
    global _installed, _complete  # noqa: PLW0603  the edges belong to the process
    with _lock:
        _installed += 1
        if _installed == 1:
            _socket.install()
        # Each time, since somebody may have put something over them meanwhile.
        if not (_complete and _libraries.untouched()):
            _httpx.install()
            _aiohttp.install()
            _vcrpy.install()
            _loops.install()
            _complete = True


def uninstall() -> None:
    """Take the edges out again when nobody needs them any more."""
    global _installed, _complete  # noqa: PLW0603
    with _lock:
        _installed -= 1
        if _installed == 0:
            _complete = _complete and not _vcrpy.sleep()
            _take_out_unless_held()


def hold() -> None:
    """Leave the edges in place when the last session ends, for the next one; each call needs a `release`.

    Without a session they hand everything on.
    """
    global _holds  # noqa: PLW0603
    with _lock:
        _holds += 1


def release() -> None:
    """Take the edges out with the last session again, now if it has ended."""
    global _holds  # noqa: PLW0603
    with _lock:
        _holds -= 1
        if _installed == 0:
            _take_out_unless_held()


def _take_out_unless_held() -> None:
    global _complete  # noqa: PLW0603
    if _holds:
        return
    _complete = False
    _libraries.stop_watching()
    _loops.uninstall()
    _vcrpy.uninstall()
    _aiohttp.uninstall()
    _httpx.uninstall()
    _socket.uninstall()

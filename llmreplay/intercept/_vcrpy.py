"""requests, urllib3, botocore, httplib2, tornado and `http.client`: vcrpy knows where, a session decides.

Rules:

* vcrpy costs a third of a second to import, since it imports every HTTP library there is. So it is
  imported when the first of these libraries is about to ask for something while a session is open.
* What is there before is cheap: an alarm in each library, also in one that is imported later.
* Chunk boundaries are not kept: such an exchange has its body as one chunk, and says so. While it is
  recorded, the client gets what comes as it comes all the same.
* A connection of `http.client`'s kind that does not come from here may still be asked to leave this
  machine, by a pool of somebody's own or from before the session: that is refused before it sends.
"""

from __future__ import annotations

import _socket
import http.client
import threading
from functools import cache, partial
from types import FunctionType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmreplay import session
from llmreplay.intercept._libraries import REAL, Patches, when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["install", "sleep", "uninstall"]


def _class_of_its_own(name: str) -> Any:
    there = getattr(http.client, name)
    # Under a cassette of vcrpy's, a stub goes by that name.
    return getattr(there, "_baseclass", there)


_HTTP, _HTTPS = _class_of_its_own("HTTPConnection"), _class_of_its_own("HTTPSConnection")

_patches = Patches()
_lock = threading.RLock()
# What vcrpy gives, while it is awake: where everything goes, and what empties the pools in the end.
_awake: tuple[list[Any], list[Any]] | None = None


def install() -> None:
    """Put the alarms in place, and, if one went off already, all the rest."""
    _patches.put(_HTTP, "putrequest", _guarded)
    _patches.put(_HTTPS, "__init__", _by_its_own_name)
    _patches.put(http.client, "HTTPConnection", partial(_woken, secure=False))
    _patches.put(http.client, "HTTPSConnection", partial(_woken, secure=True))
    when_imported("urllib3.connectionpool", _alarm_urllib3)
    when_imported("httplib2", _alarm_httplib2)
    for name in ("tornado.simple_httpclient", "tornado.curl_httpclient"):
        when_imported(name, _alarm_tornado)
    with _lock:
        if _awake is not None:
            _put_places()


def sleep() -> bool:
    """Take out everything if vcrpy is awake, and tell whether it was; the next session puts in the alarms."""
    global _awake  # noqa: PLW0603  the edges belong to the process
    with _lock:
        if _awake is not None:
            for remover in _awake[1]:
                remover.__exit__(None, None, None)
            _awake = None
            _patches.take_out()
            return True
    return False


def uninstall() -> None:
    """Take everything out, where nobody has put something else over it."""
    sleep()
    with _lock:
        _patches.take_out()


def _wake() -> None:
    global _awake  # noqa: PLW0603
    from llmreplay.intercept import _vcrpy_stubs  # noqa: PLC0415  now it is worth its price

    with _lock:
        if _awake is None and session.open_sessions():
            _awake = _vcrpy_stubs.places()
            _put_places()


def _put_places() -> None:
    if _awake is not None:
        for owner, attribute, replacement in _awake[0]:
            _patches.put(owner, attribute, partial(_instead, replacement))


def _instead(ours: Any, _: object) -> Any:
    return ours


def _concerned() -> bool:
    return session.current() is not None and not session.is_forwarding()


# http.client


def _guarded(real: Any) -> Any:
    def putrequest(self: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        if _concerned():
            _check(self, url)
        return real(self, method, url, *args, **options)

    return putrequest


def _check(connection: Any, url: str) -> None:
    """Refuse a request over a connection that the guard at the socket saw too early, or up to a proxy."""
    host = (urlsplit(url).hostname if "://" in url else None) or connection._tunnel_host or connection.host  # noqa: SLF001  there is no other way to know
    if session.is_loopback(host):
        return
    # What is no socket of Python's is a mock's, and its business.
    if (connection.host != host or isinstance(connection.sock, _socket.socket)) and (
        refusal := session.block(host)
    ) is not None:
        raise refusal


@cache
def _by_its_own_name(real: Any) -> Any:
    """Return `HTTPSConnection.__init__` that still finds its class, whatever goes by its name meanwhile."""
    names = {**real.__globals__, "HTTPSConnection": _HTTPS}
    again = FunctionType(real.__code__, names, real.__name__, real.__defaults__, real.__closure__)
    again.__kwdefaults__ = real.__kwdefaults__
    again.__qualname__ = real.__qualname__
    return again


@cache
def _woken(real: Any, *, secure: bool) -> Any:
    """Return a class that stands for one of `http.client`'s: who makes a connection of it wakes vcrpy."""

    class Waking(type(real)):  # type: ignore[misc]  # both are chosen at run time
        def __call__(cls, *args: Any, **options: Any) -> Any:
            if cls is not Connection:
                return super().__call__(*args, **options)  # a class of somebody's own
            if not _concerned():
                return real(*args, **options)
            from llmreplay.intercept._vcrpy_stubs import connection_classes  # noqa: PLC0415  see `_wake`

            stub = connection_classes()[secure]
            setattr(stub, REAL, real)
            return stub(*args, **options)

    # Not by a `__new__`, since vcrpy's stubs take over what is static in the class of this name.
    class Connection(real, metaclass=Waking):  # type: ignore[misc]
        pass

    Connection.__name__ = Connection.__qualname__ = real.__name__
    Connection.__module__ = real.__module__
    return Connection


# The others


def _alarm_urllib3(library: ModuleType) -> None:
    # requests and botocore ask here too.
    _patches.put(library.HTTPConnectionPool, "urlopen", _waking)


def _waking(real: Any) -> Any:
    def ask(self: Any, *args: Any, **options: Any) -> Any:
        if _awake is None and _concerned():
            _wake()
        return real(self, *args, **options)

    return ask


def _alarm_httplib2(library: ModuleType) -> None:
    def waking(real: Callable[..., Any]) -> Any:
        def request(self: Any, *args: Any, **options: Any) -> Any:
            if _concerned():
                if _awake is None:
                    _wake()
                known = tuple(library.SCHEME_TO_CONNECTION.values())
                # Connections from before the session know nothing of it.
                for key, connection in list(self.connections.items()):
                    if not isinstance(connection, known):
                        self.connections.pop(key).close()
            return real(self, *args, **options)

        return request

    _patches.put(library.Http, "request", waking)


def _alarm_tornado(library: ModuleType) -> None:
    from llmreplay.intercept._tornado import edge  # noqa: PLC0415  tornado is there

    client = getattr(library, "SimpleAsyncHTTPClient", None) or library.CurlAsyncHTTPClient
    _patches.put(client, "fetch_impl", edge)

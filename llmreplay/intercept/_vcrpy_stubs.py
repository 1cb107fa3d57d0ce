"""vcrpy's stubs of the connections of urllib3, botocore, httplib2 and `http.client`: a session decides.

vcrpy knows the places of each library, and how to stand where a connection stands. What is asked there, a
session decides. Importing this module imports vcrpy, which imports every HTTP library that is installed.

Rules:

* A request is decided when it is sent, so that what fails fails where it fails without us.
* What is forwarded or passed on goes over the connection that stood there before: the library's own, or
  that of a cassette of vcrpy's which is open around us. Nothing of it is held back.
* vcrpy takes all its patches out, for all threads, while a stub connects. These stubs never do.

It stays one module, a little above the usual length: builder and stubs know each other by what they note.
"""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from errno import ECONNRESET, EPIPE
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import vcr.patch  # type: ignore[import-untyped]  # vcrpy has no types
from vcr.patch import CassettePatcherBuilder, ConnectionRemover
from vcr.stubs import (  # type: ignore[import-untyped]
    VCRConnection,
    VCRHTTPConnection,
    VCRHTTPResponse,
    VCRHTTPSConnection,
)

from llmreplay import session
from llmreplay.errors import LiveCallBlocked
from llmreplay.exchange import Request
from llmreplay.intercept._http_client import PlayedSocket, noting, pause
from llmreplay.intercept._http_failures import error_of, of_urllib3, told_of
from llmreplay.intercept._httpx_streams import CANCELLED
from llmreplay.intercept._libraries import REAL
from llmreplay.session import Forward, PassOn, Replay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Place", "connection_classes", "places"]

# Its stubs derive from what they find by the libraries' names, which are about to be ours.
for _name in ("requests_stubs", "urllib3_stubs", "boto3_stubs", "httplib2_stubs"):
    with suppress(ImportError):
        importlib.import_module(f"vcr.stubs.{_name}")
# vcrpy has just noted what it takes for the libraries' own methods: ours are in place already.
for _name, _value in list(vars(vcr.patch).items()):
    if REAL in getattr(_value, "__dict__", ()):
        setattr(vcr.patch, _name, getattr(_value, REAL))
for _stub in (VCRHTTPConnection, VCRHTTPSConnection):
    _stub._baseclass = vars(_stub._baseclass).get(REAL, _stub._baseclass)  # noqa: SLF001  as any stub says it

# The edges of our own, what `http.client` has in `_vcrpy`, tornado in `_tornado`; requests goes over urllib3.
_SKIPPED = ("httplib", "requests", "tornado", "aiohttp", "httpx", "httpx2")
_LIBRARIES = {"urllib3_stubs": "urllib3", "boto3_stubs": "botocore", "httplib2_stubs": "httplib2"}
# Kept in the stub alone: what is set on a stub is set on its real connection too.
_ASKED, _URL = "_llmreplay_asked", "_llmreplay_url"
_ANSWERED = (EPIPE, ECONNRESET)
_NONE: dict[str, str] = {}


class _Cassette:
    """What vcrpy's builder asks of a cassette; its stubs, as they are here, ask nothing."""

    _path = ""
    skip_patchers = _SKIPPED
    custom_patches = ()


class Place(NamedTuple):
    """Where something of vcrpy's goes: an attribute of a class or of a module."""

    owner: Any
    attribute: str
    replacement: Any


class _Schemes(dict[str, Any]):
    """A table of httplib2, which has to bear a note of what it stands for."""


class _Builder(CassettePatcherBuilder):  # type: ignore[misc]  # vcrpy has no types
    """vcrpy's patchers as places, with stubs that ask a session."""

    _stubs: dict[type, type] = {}  # noqa: RUF012  one class for each, whatever the session

    def _build_patcher(self, owner: Any, attribute: str, replacement: Any) -> Place | None:
        if not hasattr(owner, attribute) or attribute.endswith("WithTimeout"):
            # The classes of httplib2 call each other by these names; its clients look into its table.
            return None
        made = self._recursively_apply_get_cassette_subclass(replacement)
        return Place(owner, attribute, _Schemes(made) if isinstance(made, dict) else made)

    def _get_cassette_subclass(self, klass: type) -> type:
        if klass not in self._stubs:
            known = {
                "cassette": self._cassette,
                "library": _LIBRARIES.get(klass.__module__.rpartition(".")[2], "http.client"),
            }
            self._stubs[klass] = type(klass.__name__, (_Decided, klass), known)
        return self._stubs[klass]

    def _patched_get_conn(self, pool_class: Any, _: object) -> Any:
        # vcrpy's own asks on until it gets a stub; a pool with connections of its own never gives one.
        real = pool_class._get_conn  # noqa: SLF001  where urllib3 takes a connection from a pool

        @functools.wraps(real)
        def get_conn(pool: Any, timeout: Any = None, **options: Any) -> Any:
            connection = real(pool, timeout, **options)
            while type(connection) is vars(pool.ConnectionCls).get(REAL):
                # Older than the session. Its slot stays, or a pool that blocks runs out of them.
                connection.close()
                pool._put_conn(None)  # noqa: SLF001
                connection = real(pool, timeout, **options)
            return connection

        return get_conn


def places() -> tuple[list[Place], list[ConnectionRemover]]:
    """Return what goes where, and what takes our connections out of the pools in the end."""
    built = [*_Builder(_Cassette()).build()]
    return (
        [found for found in built if isinstance(found, Place)],
        [found for found in built if isinstance(found, ConnectionRemover)],
    )


def connection_classes() -> tuple[type, type]:
    """Return the stubs for `http.client`: of HTTP and of HTTPS."""
    stub_of = _Builder(_Cassette())._get_cassette_subclass  # noqa: SLF001  it overrides vcrpy's
    return stub_of(VCRHTTPConnection), stub_of(VCRHTTPSConnection)


@dataclass
class _Asked:
    """A request that has been decided, and how its response is asked for."""

    decision: Replay | Forward | PassOn
    method: str
    ask: Callable[..., None]
    broken: Exception | None = None

    def drop(self) -> None:
        """Note that nobody wants the response any more."""
        if not isinstance(self.decision, Forward):
            return
        if self.broken is not None:
            self.decision.take.fail(*told_of(self.broken, "send"))
        else:
            self.decision.take.leave()


class _Decided:
    """A connection over which a session decides; mixed into a stub of vcrpy's."""

    library: str
    cassette: Any
    real_connection: Any
    _vcr_request: Any
    _baseclass: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        # Not always the library's own: where a cassette of vcrpy's is open around us, its stub.
        below = vars(type(self)).get(REAL, self._baseclass)
        self.real_connection = below(*args, **options)
        self._sock = None

    def connect(self, *_: Any, **__: Any) -> None:
        """Connect to nothing: the real connection does, if anything is sent."""

    def close(self) -> None:
        """Close the real connection, and leave what was asked over it."""
        if (asked := self.__dict__.pop(_ASKED, None)) is not None:
            asked.drop()
        VCRConnection.close(self)
        self._sock = None

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **options: Any
    ) -> None:
        """Ask for something, and have it decided at once."""
        body = _whole(body)
        VCRConnection.request(self, method, url, body, headers)
        self.__dict__.pop(_URL, None)
        self._decide(url, body, headers or {}, *args, **options)

    def _real_host(self) -> str:
        host = str(VCRConnection._real_host(self))  # noqa: SLF001  vcrpy writes addresses of IPv6 without brackets
        return f"[{host}]" if ":" in host and not host.startswith("[") else host

    def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:
        """Begin a request that comes in parts, and is decided when its response is asked for."""
        VCRConnection.putrequest(self, method, url, *args, **options)
        self.__dict__[_URL] = url

    def endheaders(self, message_body: Any = None, **_: Any) -> None:
        """End the headers of a request that comes in parts."""
        VCRConnection.endheaders(self, _whole(message_body))

    def send(self, data: Any) -> None:
        """Take a part of the body of a request that comes in parts."""
        VCRConnection.send(self, _whole(data))

    def getresponse(self, *args: Any, **options: Any) -> Any:
        """Return the response: the recorded one, or that of the real connection."""
        if (url := self.__dict__.pop(_URL, None)) is not None:
            request = self._vcr_request
            self._decide(url, request.body_bytes or None, dict(request.headers))
        asked: _Asked | None = self.__dict__.pop(_ASKED, None)
        if asked is None or isinstance(asked.decision, PassOn):
            return self.real_connection.getresponse(*args, **options)
        if isinstance(asked.decision, Replay):
            return self._played(asked, asked.decision).getresponse(*args, **options)
        return self._noted(asked.decision, partial(self.real_connection.getresponse, *args, **options))

    def _decide(self, url: str, body: Any, headers: Any, *args: Any, **options: Any) -> None:
        request, method = _request(self._vcr_request), self._vcr_request.method

        def ask(connection: Any, body: Any = None, headers: Any = _NONE) -> None:
            connection.request(method, url, body, headers, *args, **options)

        if session.current() is None or session.is_forwarding():
            ask(self.real_connection, body, headers)
            return
        decision = session.decide(request, self.library)
        asked = _Asked(decision, method, ask)
        if isinstance(decision, Replay):
            self._meet(decision)
        elif isinstance(decision, PassOn):
            try:
                ask(self.real_connection, body, headers)
            except LiveCallBlocked as blocked:
                raise (decision.refuse(blocked) if decision.refuse is not None else blocked) from None
        else:
            decision.take.boundaries = False
            self._forward(asked, decision, body, headers)
        self.__dict__[_ASKED] = asked

    def _forward(self, asked: _Asked, forward: Forward, body: Any, headers: Any) -> None:
        try:
            with session.forwarding():
                asked.ask(self.real_connection, body, headers)
        except Exception as error:
            connected = self.real_connection.sock is not None
            if connected and getattr(error, "errno", None) in _ANSWERED:
                # The server closed while we spoke: there may be an answer, and urllib3 looks for it.
                asked.broken = error
                self.__dict__[_ASKED] = asked
            else:
                forward.take.fail(*told_of(error, "send" if connected else "connect"))
            raise
        except BaseException:
            # A refusal, a keyboard interrupt: nothing that the provider did.
            forward.take.discard()
            raise

    def _noted(self, forward: Forward, receive: Callable[[], Any]) -> Any:
        real, take = self.real_connection, forward.take
        makes = real.response_class
        real.response_class = noting(makes, take)
        try:
            with session.forwarding():
                response = receive()
        except Exception as error:
            take.fail(*told_of(error, "headers"))
            raise
        except BaseException:
            take.discard()
            raise
        finally:
            real.response_class = makes
        if isinstance(response, VCRHTTPResponse):
            _note_recorded(forward, response.recorded_response)
        return response

    def _played(self, asked: _Asked, replay: Replay) -> Any:
        # A copy: the real connection may have an answer to come, or a socket to be kept.
        played = copy.copy(_own(self.real_connection))
        played.sock = PlayedSocket(replay, asked.method)
        with session.forwarding():
            asked.ask(played)
        return played

    def _meet(self, replay: Replay) -> None:
        """Raise what was recorded of a request that could not be sent."""
        failure = replay.exchange.failure
        if failure is None or failure.phase not in ("connect", "tls", "send") or failure.error in CANCELLED:
            return
        pause(replay.wait(failure.delay))
        error = error_of(failure)
        if failure.phase != "connect" or self.library not in ("urllib3", "botocore"):
            raise error
        raise of_urllib3(error, _own(self.real_connection)) from error


def _own(connection: Any) -> Any:
    """Return the connection of the library, below all stubs."""
    while isinstance(connection, VCRConnection):
        connection = connection.real_connection
    return connection


def _whole(body: Any) -> Any:
    """Return a body that can be looked at, and sent, more than once."""
    if hasattr(body, "read"):
        body = body.read()
    elif isinstance(body, Iterable) and not isinstance(body, (bytes, bytearray, memoryview, str)):
        body = b"".join(piece.encode() if isinstance(piece, str) else bytes(piece) for piece in body)
    return body.encode() if isinstance(body, str) else body


def _request(asked: Any) -> Request:
    headers = tuple((_text(name), _text(value)) for name, value in asked.headers.items())
    return Request(asked.method, asked.uri, headers, bytes(asked.body_bytes or b""))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _note_recorded(forward: Forward, recorded: dict[str, Any]) -> None:
    """Note what came from a cassette of vcrpy's below us, which is its business unless it is a model's."""
    take = forward.take
    if not forward.model_call:
        take.discard()
        return
    headers = tuple((name, value) for name, values in recorded["headers"].items() for value in values)
    take.head(recorded["status"]["code"], headers, reason=recorded["status"]["message"])
    if recorded["body"]["string"]:
        take.chunk(recorded["body"]["string"])
    take.complete()

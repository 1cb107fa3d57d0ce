"""The failures of `http.client`, in the words that cassettes use, which are those of httpx, and back."""

from __future__ import annotations

import builtins
import http.client
import re
import socket
import ssl
from contextlib import suppress
from errno import ECONNREFUSED, ECONNRESET
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmreplay.exchange import Failure, Phase

__all__ = ["error_of", "of_urllib3", "told_of"]

_NUMBERED = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
_TIME_OUTS: dict[str, str] = {"connect": "ConnectTimeout", "tls": "ConnectTimeout", "send": "WriteTimeout"}


def told_of(error: Exception, phase: Phase) -> tuple[str, str, Phase]:
    """Return the kind of a failure, in httpx's words, with its message and its phase."""
    # urllib3 raises its own from that of the socket, and writes the address around it.
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    told = str(cause)
    timed_out = isinstance(cause, TimeoutError)
    if isinstance(cause, ssl.SSLError) and not timed_out and phase in ("connect", "send"):
        return "ConnectError", told, "tls"
    if timed_out:
        return _TIME_OUTS.get(phase, "ReadTimeout"), told, phase
    if isinstance(cause, http.client.HTTPException):
        return "RemoteProtocolError", told, phase
    if isinstance(cause, OSError):
        kinds = {"connect": "ConnectError", "send": "WriteError"}
        return kinds.get(phase, "ReadError"), told, phase
    names = (kind.__name__ for kind in type(cause).__mro__)
    return next(name for name in names if hasattr(builtins, name)), told, phase


def error_of(failure: Failure) -> Exception:  # noqa: PLR0911  a table in code
    """Return the exception that a socket, or `http.client`, raises for a recorded failure."""
    told = failure.message
    if failure.error.endswith("Timeout") or failure.error == "TimeoutError":
        return TimeoutError(told or "timed out")
    if failure.phase == "tls":
        refused = ssl.SSLCertVerificationError if "CERTIFICATE" in told else ssl.SSLError
        return refused(ssl.SSL_ERROR_SSL, told)
    if numbered := _NUMBERED.fullmatch(told):
        number, text = int(numbered[1]), numbered[2]
        return socket.gaierror(number, text) if number < 0 else OSError(number, text)
    if failure.error == "ConnectError":
        return ConnectionRefusedError(ECONNREFUSED, told or "Connection refused")
    if failure.error in ("ReadError", "WriteError", "CloseError"):
        return ConnectionResetError(ECONNRESET, told or "Connection reset by peer")
    kind = getattr(builtins, failure.error, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        # Some cannot be made of a message alone.
        with suppress(TypeError):
            return kind(told)
    return OSError(f"{failure.error}: {told}")


def of_urllib3(error: Exception, connection: Any) -> Exception:
    """Return what urllib3 makes of an exception while it connects."""
    from urllib3.exceptions import (  # noqa: PLC0415  it is there: it asks
        ConnectTimeoutError,
        NameResolutionError,
        NewConnectionError,
    )

    if isinstance(error, TimeoutError):
        told = f"Connection to {connection.host} timed out. (connect timeout={connection.timeout})"
        return ConnectTimeoutError(connection, told)
    if isinstance(error, socket.gaierror):
        return NameResolutionError(connection.host, connection, error)
    return NewConnectionError(connection, f"Failed to establish a new connection: {error}")

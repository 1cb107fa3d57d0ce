"""The failures of aiohttp in the words that cassettes use, which are httpx's, and back again.

Rules:

* A cassette says `ConnectError`, `ReadTimeout`, `RemoteProtocolError`, whichever library it was recorded
  with, so that each library raises on replay what it raises for that fault.
* A message is noted as the cause gave it, without the address that aiohttp writes around it: aiohttp
  writes it again.
* aiohttp has one exception for several faults (`ClientPayloadError`) and several for one; the phase and
  the message tell which.
"""

from __future__ import annotations

import builtins
import re
import ssl
from typing import TYPE_CHECKING, Any

from llmreplay.intercept._httpx_streams import CANCELLED

if TYPE_CHECKING:
    from llmreplay.exchange import Failure, Phase
    from llmreplay.session import Take

__all__ = ["as_error", "is_of_the_connection", "note_failure"]

# What aiohttp's own clock for a whole request did; its exception has no text.
_TOTAL = "the total time-out of the request"
_NUMBERED = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
# The exception of the socket, which aiohttp writes after what was left incomplete.
_RESET = re.compile(r">\. \w+\(")
_NO_NAME = re.compile(
    r"name or service|name resolution|nodename nor servname|getaddrinfo|no address", re.IGNORECASE
)
_INCOMPLETE = "Response payload is not completed"
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


def note_failure(take: Take, error: BaseException, phase: Phase, timer: object) -> None:
    """End a take by what a request met: `phase` is where it was, `timer` its clock."""
    if isinstance(error, TimeoutError) and type(error) is TimeoutError and phase != "connect":
        take.fail("ReadTimeout", _TOTAL, phase)
    elif isinstance(error, Exception):
        take.fail(*_named(error, phase))
    elif type(error).__name__ not in CANCELLED:
        # A refusal, a keyboard interrupt: nothing that the provider did.
        take.discard()
    elif getattr(timer, "_cancelled", False):
        # The clock cancels the task, and turns that into a time-out further up.
        take.fail("ConnectTimeout" if phase == "connect" else "ReadTimeout", _TOTAL, phase)
    else:
        take.cancel()


def _named(error: Exception, phase: Phase) -> tuple[str, str, Phase]:  # noqa: C901, PLR0911  a table in code
    import aiohttp  # noqa: PLC0415  it is there: it has failed

    told = str(error)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "ProxyError", str(error.os_error), "connect"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return "ProxyError", f"{error.status} {error.message}", "connect"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "ConnectError", str(error.certificate_error), "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        tls = isinstance(error, aiohttp.ClientSSLError)
        return "ConnectError", str(error.os_error), "tls" if tls else "connect"
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return "ConnectError", repr(error), "tls"
    if isinstance(error, TimeoutError):
        return ("ConnectTimeout" if phase == "connect" else "ReadTimeout"), told, phase
    if isinstance(error, aiohttp.ClientPayloadError):
        if "content-encoding" in told:
            return "DecodingError", told, phase
        return ("ReadError" if _RESET.search(told) else "RemoteProtocolError"), told, phase
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "RemoteProtocolError", told, phase
    if isinstance(error, aiohttp.ClientResponseError):
        return "RemoteProtocolError", error.message, phase
    if isinstance(error, aiohttp.ClientOSError):
        return ("WriteError", told, "send") if "write" in told.lower() else ("ReadError", told, phase)
    if isinstance(error, aiohttp.ClientConnectionError):
        return ("ConnectError", told, phase) if phase == "connect" else ("WriteError", told, "send")
    return _nearest_builtin(error), told, phase


def _nearest_builtin(error: Exception) -> str:
    names: list[str] = [
        kind.__name__ for kind in type(error).__mro__ if vars(builtins).get(kind.__name__) is kind
    ]
    return names[0]


def is_of_the_connection(failure: Failure) -> bool:
    """Tell whether a request failed before there was a connection to send it over."""
    return (
        failure.phase in ("connect", "tls") and failure.message != _TOTAL and failure.error not in CANCELLED
    )


def as_error(failure: Failure, request: Any) -> Exception:
    """Return the exception that aiohttp raises for a recorded failure of a request."""
    if failure.message == _TOTAL:
        return TimeoutError()
    if failure.phase == "body":
        return _of_the_body(failure)
    connecting = _of_the_connection(failure, request)
    if connecting is not None:
        return connecting
    return _of_the_answer(failure)


def _of_the_body(failure: Failure) -> Exception:
    import aiohttp  # noqa: PLC0415

    told = failure.message or _INCOMPLETE
    if failure.error in ("ReadTimeout", "TimeoutError"):
        return aiohttp.SocketTimeoutError(told)
    if failure.error in ("RemoteProtocolError", "ReadError", "DecodingError"):
        return aiohttp.ClientPayloadError(told)
    return _builtin(failure) or aiohttp.ClientPayloadError(f"{failure.error}: {told}")


def _of_the_connection(failure: Failure, request: Any) -> Exception | None:
    import aiohttp  # noqa: PLC0415

    key, told = request.connection_key, failure.message
    if failure.error in ("ConnectTimeout", "PoolTimeout"):
        return TimeoutError(told)  # which aiohttp turns into its own
    if failure.error == "ProxyError":
        return aiohttp.ClientProxyConnectionError(key, _os_error(told))
    if failure.phase == "tls":
        if _CERTIFICATE in told:
            return aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError(1, told))
        return aiohttp.ClientConnectorSSLError(key, ssl.SSLError(1, told))
    if failure.error == "ConnectError" or (failure.phase == "connect" and _builtin(failure) is None):
        kind = aiohttp.ClientConnectorDNSError if _NO_NAME.search(told) else aiohttp.ClientConnectorError
        return kind(key, _os_error(told))
    return None


def _of_the_answer(failure: Failure) -> Exception:
    import aiohttp  # noqa: PLC0415
    from aiohttp.http_exceptions import BadHttpMessage  # noqa: PLC0415

    told = failure.message
    if failure.error == "ReadTimeout":
        return aiohttp.SocketTimeoutError(told or "Timeout on reading data from socket")
    if failure.error == "WriteTimeout":
        return aiohttp.ServerTimeoutError(told)
    if failure.error == "RemoteProtocolError":
        # aiohttp makes the error of an answer that is no HTTP of this one.
        gone = not told or "disconnect" in told.lower()
        return aiohttp.ServerDisconnectedError(told or None) if gone else BadHttpMessage(told)
    if failure.error == "LocalProtocolError":
        return aiohttp.ClientConnectionError(told)
    if failure.error in ("ReadError", "WriteError", "CloseError"):
        error = _os_error(told)
        return aiohttp.ClientOSError(*error.args)
    return _builtin(failure) or aiohttp.ClientOSError(f"{failure.error}: {told}")


def _builtin(failure: Failure) -> Exception | None:
    kind = getattr(builtins, failure.error, None)
    return kind(failure.message) if isinstance(kind, type) and issubclass(kind, Exception) else None


def _os_error(told: str) -> OSError:
    numbered = _NUMBERED.fullmatch(told)
    return OSError(int(numbered[1]), numbered[2]) if numbered else OSError(0, told)

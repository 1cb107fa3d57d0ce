"""One TLS context for the clients that are built while nothing may go to the network.

Rules:

* Loading the certificates of the machine takes 20 ms, nearly all of the time that building an SDK client
  takes. While a session only replays, clients share one context for each way to build it.
* It is the library's own default context and verifies as ever: a client that outlives its session and
  goes live is as safe as any other.
* A client with `verify` or `cert` of its own keeps them. Those for HTTP/2 share another context, since
  the protocols that a connection offers are set on it.
"""

from __future__ import annotations

import os
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from llmreplay import session

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

__all__ = ["sharing"]

_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")

_contexts: dict[tuple[Any, ...], ssl.SSLContext] = {}
_lock = threading.Lock()


def sharing(library: ModuleType) -> Any:
    """Return the edge around the constructor of a transport of a library."""

    def edge(real: Any) -> Any:
        @wraps(real)
        def __init__(self: Any, *given: Any, **options: Any) -> None:  # noqa: N807  it takes the place of one
            innermost = session.current()
            if innermost is not None and innermost.shares_tls and not given and _is_default(options):
                trust_env, http2 = options.get("trust_env", True), options.get("http2", False)
                options["verify"] = _context(library, trust_env=bool(trust_env), http2=bool(http2))
            real(self, *given, **options)

        return __init__

    return edge


def _is_default(options: dict[str, Any]) -> bool:
    return options.get("verify", True) is True and options.get("cert") is None


def _context(library: ModuleType, *, trust_env: bool, http2: bool) -> ssl.SSLContext:
    key = (library.__name__, trust_env, http2, *map(os.environ.get, _ENVIRONMENT))
    with _lock:
        if key not in _contexts:
            _contexts[key] = library.create_ssl_context(verify=True, trust_env=trust_env)
        return _contexts[key]

"""Writes HTTP archives (HAR 1.2) that browsers, proxies and libraries open, and `_har` reads back whole.

Rules:

* Bodies that are UTF-8, streams among them, are text; others base64. HAR has no word for bytes in a
  request: the text of `postData` is then base64, and its `_encoding` says so.
* `timings` has what was waited for the headers and for the rest. Connecting was not measured: -1.
* What HAR has no word for (chunk boundaries, how a stream ended, what failed) is in `_llmreplay` of the
  entry; a failure without a response has the status 0, as browsers write it.
* Cookies stand in the headers only: their lists are empty.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from llmreplay.cassette._foreign import instant
from llmreplay.cassette._kept import kept, phrase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmreplay.exchange import Exchange, Failure, Headers, Request, Response

__all__ = ["OURS", "is_ours", "write"]

OURS = "_llmreplay"

_CREATOR = re.compile(
    rb'\s*\{\s*"log"\s*:\s*\{\s*"version"\s*:\s*"1\.2"\s*,\s*"creator"\s*:\s*\{\s*"name"\s*:\s*"llmreplay"'
)
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
_UNKNOWN_KIND = "x-unknown"
_NOT_MEASURED = {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1}


def write(exchanges: Iterable[Exchange]) -> bytes:
    """Return an archive that reads back as these exchanges."""
    log = {
        "version": "1.2",
        "creator": {"name": "llmreplay", "version": _version()},
        "pages": [],
        "entries": [_entry(exchange) for exchange in exchanges],
    }
    try:
        return (json.dumps({"log": log}, ensure_ascii=False, indent=1) + "\n").encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return (json.dumps({"log": log}, indent=1) + "\n").encode()


def is_ours(data: bytes | None) -> bool:
    """Tell whether llmreplay wrote an archive, so that nothing in it is lost when it is written anew."""
    return data is not None and _CREATOR.match(data) is not None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  slow, and for few

    try:
        return version("llmreplay")
    except PackageNotFoundError:  # pragma: no cover  run from a folder that was never installed
        return "unknown"


def _entry(exchange: Exchange) -> dict[str, Any]:
    response, failure = exchange.response, exchange.failure
    timings = _timings(response, failure)
    return {
        "startedDateTime": instant(exchange.provenance.at) or _UNKNOWN_TIME,
        "time": sum(timings.values()),
        "request": _request(exchange.request, response.http_version if response else "HTTP/1.1"),
        "response": _failed(failure) if response is None else _response(response),
        "cache": {},
        "timings": timings | _NOT_MEASURED,
        OURS: kept(exchange),
    }


def _timings(response: Response | None, failure: Failure | None) -> dict[str, float]:
    """Return the milliseconds of sending, waiting and receiving."""
    if response is None:
        wait, receive = failure.delay if failure else 0.0, 0.0
    else:
        wait, receive = response.delay, sum(chunk.delay for chunk in response.chunks)
        receive += response.failure.delay if response.failure else 0.0
    return {"send": 0, "wait": round(wait * 1000, 3), "receive": round(receive * 1000, 3)}


def _request(request: Request, http_version: str) -> dict[str, Any]:
    form: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "httpVersion": http_version,
        "cookies": [],
        "headers": _headers(request.headers),
        "queryString": _query(request),
        "headersSize": -1,
        "bodySize": len(request.body),
    }
    if request.body:
        form["postData"] = {
            "mimeType": request.header("content-type") or _UNKNOWN_KIND,
            **_text(request.body, "_encoding"),
        }
    return form


def _query(request: Request) -> list[dict[str, str]]:
    try:
        return [{"name": name, "value": value} for name, value in request.query]
    except ValueError:  # what is no URL has no query
        return []


def _response(response: Response) -> dict[str, Any]:
    body = response.body
    told = {"_error": response.failure.message or response.failure.error} if response.failure else {}
    return {
        "status": response.status,
        "statusText": phrase(response.status) if response.reason is None else response.reason,
        "httpVersion": response.http_version,
        "cookies": [],
        "headers": _headers(response.headers),
        "content": {
            "size": len(body),
            "mimeType": response.header("content-type") or _UNKNOWN_KIND,
            **_text(body, "encoding"),
        },
        "redirectURL": response.header("location") or "",
        "headersSize": -1,
        "bodySize": len(body) if response.encoding is None else -1,
        **told,
    }


def _failed(failure: Failure | None) -> dict[str, Any]:
    told = "" if failure is None else failure.message or failure.error
    return {
        "status": 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [],
        "content": {"size": 0, "mimeType": _UNKNOWN_KIND},
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
        "_error": told,
    }


def _headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _text(body: bytes, encoding: str) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), encoding: "base64"}

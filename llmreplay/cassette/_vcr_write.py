"""Writes vcrpy cassettes that stock vcrpy plays, and that read back as the exchanges they were made of.

Rules:

* What vcrpy's form cannot hold goes into `x-llmreplay` in the response, which vcrpy keeps and ignores.
* A failure without a response becomes a response of status 599 that says so, for vcrpy has no word for it.
* ASCII only: stock vcrpy opens its files in the encoding of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from llmreplay.cassette._kept import kept, phrase, speakable
from llmreplay.exchange import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmreplay.exchange import Exchange, Headers, Request

__all__ = ["OURS", "phrase", "write"]

OURS = "x-llmreplay"

_FAILURE_STATUS = 599
_NO_FOLDING = 2**31 - 1


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # the one in C, if there is one
    """Writes text of several lines as a block, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the signature is PyYAML's
        return True

    def represent_text(self, text: str) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def write(exchanges: Iterable[Exchange]) -> bytes:
    """Return a cassette in vcrpy's format that reads back as these exchanges."""
    interactions = [{"request": _request(each.request), "response": _response(each)} for each in exchanges]
    cassette = {"version": 1, "interactions": interactions}
    return str(yaml.dump(cassette, Dumper=_Dumper, sort_keys=False, width=_NO_FOLDING)).encode("ascii")


def _request(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "uri": request.url,
        "headers": _headers(request.headers),
        "body": _text_or_bytes(request.body),
    }


def _response(exchange: Exchange) -> dict[str, Any]:
    response, failure = exchange.response, exchange.failure
    if response is None:
        assert failure is not None  # noqa: S101  an exchange has the one or the other
        told = f"llmreplay: recorded {failure.error} ({failure.phase}): {failure.message}"
        response = Response.of(
            _FAILURE_STATUS, told.encode(), (("content-type", "text/plain; charset=utf-8"),)
        )
    message = response.reason if speakable(response.reason) else phrase(response.status)
    return {
        "status": {"code": response.status, "message": message},
        "headers": _headers(response.headers),
        "body": {"string": _text_or_bytes(response.body)},
        OURS: kept(exchange),
    }


def _headers(headers: Headers) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    for name, value in headers:
        form.setdefault(name, []).append(value)
    return form


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body

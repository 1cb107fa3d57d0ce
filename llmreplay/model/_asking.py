"""From a completion request to the HTTP request of a provider, with what its wire needs beside it.

Rules:

* What the codec cannot say is a `RequestError`, before anything is sent.
* The key is looked for when it is needed, not when the model is made: a model of a module can be made
  on a machine without keys, and replayed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmreplay import codecs, session
from llmreplay.codecs._documents import with_documents
from llmreplay.completion import RequestError, StreamOptions
from llmreplay.environment import DUMMY_KEY
from llmreplay.errors import render
from llmreplay.model._messages import refuse_empty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmreplay.completion import CompletionRequest
    from llmreplay.exchange import Request
    from llmreplay.model._providers import Provider

__all__ = ["base_url_of", "written"]

_LIMIT = "max_tokens"


def written(  # noqa: PLR0913  all that a request is made of, each by name
    request: CompletionRequest,
    provider: Provider,
    *,
    model: str | None,
    base_url: str | None,
    key: str | None,
    headers: Mapping[str, str],
    stream: bool,
) -> Request:
    """Return the HTTP request, with its key; raise `RequestError` if there is none to be made."""
    asked = _whole(request, provider, model, stream=stream)
    codec: Any = codecs.codec_named(provider.wire)
    base = base_url_of(provider, base_url)
    try:
        found: Request = codec.encode_request(asked, base_url=base)
    except (TypeError, ValueError) as problem:
        raise RequestError(
            f"the request holds what is no JSON: {problem}", provider=provider.name
        ) from problem
    name, before = provider.header
    secret = key or _key(provider)
    own = ((name, f"{before}{secret}"),) if secret else ()
    given = {header.lower() for header in headers}
    kept = tuple(pair for pair in (*found.headers, *own) if pair[0].lower() not in given)
    return replace(found, headers=(*kept, *headers.items()))


def base_url_of(provider: Provider, base_url: str | None) -> str:
    """Return where a provider lives: as told, as the environment has it, or as everybody knows."""
    found = base_url or next((value for name in provider.bases if (value := os.environ.get(name))), None)
    found = found or provider.base_url
    if found is None:
        names = "".join(f", or in {name}" for name in provider.bases)
        raise RequestError(f"{provider.name} has no address of its own: give it as base_url{names}")
    if "OLLAMA_HOST" in provider.bases and "://" not in found:
        found = f"http://{found}"  # as Ollama itself spells it
    try:
        parts = urlsplit(found)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise RequestError(f"{provider.name} cannot be asked at {found!r}: that is no http address")
    return found


def _whole(
    request: CompletionRequest, provider: Provider, model: str | None, *, stream: bool
) -> CompletionRequest:
    name = request.model or model
    if not name:
        raise RequestError("the request names no model", provider=provider.name)
    if not request.messages:
        raise RequestError("the request has no message", provider=provider.name)
    refuse_empty(request.messages, provider.name)
    if stream and request.deferred:
        raise RequestError("a stream cannot be put off (deferred)", provider=provider.name)
    fields: dict[str, Any] = {"model": name, "stream": stream, "documents": []}
    fields["messages"] = with_documents(request)
    if stream and provider.asks_usage and request.stream_options is None:
        fields["stream_options"] = StreamOptions(include_usage=True)
    if not stream:
        fields["stream_options"] = None
    if (
        request.max_tokens is not None
        and provider.limit != _LIMIT
        and getattr(request, provider.limit) is None
    ):
        fields |= {_LIMIT: None, provider.limit: request.max_tokens}
    return request.model_copy(update=fields)


def _key(provider: Provider) -> str | None:
    found = next((value for name in provider.keys if (value := os.environ.get(name))), None)
    if found is not None or not provider.key_needed:
        return found
    current = session.current()
    if current is not None and not current.records:
        return DUMMY_KEY
    message = render(
        f"There is no key for {provider.name}.",
        [f"looked for: {', '.join(provider.keys)} in the environment"],
        [
            f"Set {provider.keys[0]}, or give it: ProviderModel.from_env(..., api_key=...)",
            "Meant to be replayed? Open use_cassette or use_script around it: no key is needed there.",
        ],
    )
    raise RequestError(message, kind="authentication", provider=provider.name)

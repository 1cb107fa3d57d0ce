"""What exchanges mean: which wire a request speaks, and its bytes as values of `completion`.

Rules:

* Pure: no socket, no clock but for `retry-after` dates, no file.
* Recognising a request is cheap and imports nothing; a codec is imported when it is first needed.
* A wire that is recognised but not decoded yet raises `UnknownWire`, never a guess.
* What is malformed raises a `CompletionError`, and nothing else.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from llmreplay.codecs._recognise import recognise
from llmreplay.errors import UnknownWire, render

if TYPE_CHECKING:
    from llmreplay.codecs._base import Codec
    from llmreplay.completion import CompletionRequest, CompletionResponse, StreamEvent, Usage
    from llmreplay.exchange import Exchange, Request, Response

__all__ = [
    "codec_named",
    "codec_of",
    "decode",
    "decode_request",
    "events",
    "finished",
    "is_llm_call",
    "recognise",
    "tokens",
    "usage",
]

_CODECS = {
    "openai_chat": "openai_chat",
    "mistral": "mistral",
    "anthropic_messages": "anthropic_messages",
    "bedrock_converse": "bedrock_converse",
    "bedrock_invoke": "bedrock_invoke",
    "cohere": "cohere",
    "embeddings": "embeddings",
    "gemini": "gemini",
    "ollama": "ollama",
    "ollama_generate": "ollama",
    "openai_responses": "openai_responses",
    "vocabulary": "vocabulary",
}
"""Which module decodes a wire; each has a `CODEC`."""


def is_llm_call(request: Request) -> bool:
    """Return whether a request asks a model something."""
    return recognise(request) is not None


def codec_of(request: Request) -> Codec:
    """Return the codec of the wire that a request speaks; raise `UnknownWire` if there is none."""
    wire = recognise(request)
    if wire not in _CODECS:
        raise UnknownWire(
            render(
                "No codec knows what this exchange means.",
                [
                    f"request: {request.method} {request.url}",
                    f"wire: {wire or 'none that asks a model'}",
                    f"decoded: {', '.join(sorted(_CODECS))}",
                ],
            )
        )
    return _load(_CODECS[wire])


def codec_named(wire: str) -> Codec:
    """Return the codec of a wire, by its name; raise KeyError if there is none."""
    return _load(_CODECS[wire])


@cache
def _load(module: str) -> Codec:
    codec: Codec = import_module(f"{__name__}.{module}").CODEC
    return codec


def decode(exchange: Exchange) -> CompletionResponse:
    """Say what the response of an exchange means.

    Raises `CompletionError` where the provider or the network reported an error, where the answer
    broke off, or is none; and `UnknownWire` if no codec knows the endpoint.
    """
    from llmreplay.codecs import _answer  # noqa: PLC0415  brings pydantic

    return _answer.decode(codec_of(exchange.request), exchange)


def decode_request(request: Request) -> CompletionRequest:
    """Say what a request means.

    Raises `RequestError` if its body is none of that wire, and `UnknownWire` if no codec knows the
    endpoint.
    """
    return codec_of(request).decode_request(request)


def events(exchange: Exchange) -> list[StreamEvent]:
    """Return what the client was told, in order; a plain response gives the same events.

    An error is a `StreamError`, and only an answer that is whole ends with a `Final`. Raises
    `UnknownWire` if no codec knows the endpoint.
    """
    from llmreplay.codecs import _answer  # noqa: PLC0415  brings pydantic

    return _answer.events(codec_of(exchange.request), exchange)


def usage(exchange: Exchange) -> Usage:
    """Return what a call used, whole or broken off; all zero where that is not told. Never raises."""
    from llmreplay.codecs import _usage  # noqa: PLC0415  brings pydantic

    wire = recognise(exchange.request)
    if wire is None or exchange.response is None:
        return _usage.NOTHING
    return _usage.reported(wire, exchange.response)


def tokens(wire: str, response: Response) -> int:
    """Return how many tokens the answer of a wire says were used; 0 if it does not say. Never raises."""
    from llmreplay.codecs._counts import total  # noqa: PLC0415  most sessions ask for no tokens

    return total(wire, response)


def finished(exchange: Exchange) -> bool:
    """Return whether a streamed response has reached the terminal event of its wire.

    A client that closed after it has missed nothing. False where the wire has no such event, or
    none that is known.
    """
    from llmreplay.codecs._terminals import reached  # noqa: PLC0415  most clients read to the end

    wire = recognise(exchange.request)
    return wire is not None and exchange.response is not None and reached(wire, exchange.response)

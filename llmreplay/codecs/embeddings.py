"""Embeddings: texts go in, and vectors come out; no completion, so this wire has verbs of its own.

    decode(exchange)            -> the vectors, one for each text, in the order of the texts
    encode(vectors, request)    -> the answer that holds them, in the form that the request asks for

Vectors come as numbers, or as base64 of little-endian floats of 32 bits, which is what the SDK of
OpenAI asks for unless told otherwise (https://platform.openai.com/docs/api-reference/embeddings).
Voyage, Mistral, Azure and the compatible servers say the same; Cohere, Gemini and Ollama have shapes
of their own. What a call used is told by `llmreplay.codecs.usage`, as everywhere.

`CODEC` reads and writes the errors of these endpoints; asked for a completion, it says `UnknownWire`.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from llmreplay.codecs import _errors
from llmreplay.codecs._encoding import Ids, json_response
from llmreplay.codecs._json import each, integer, listed, mapping, number
from llmreplay.codecs.openai_chat._dialects import dialect_of, provider_of
from llmreplay.codecs.openai_chat._write import request_headers, spelled
from llmreplay.codecs.openai_chat._write_errors import write_error, write_stream_error
from llmreplay.completion import Usage
from llmreplay.errors import UnknownWire, render

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from llmreplay.codecs._encoding import Encoder
    from llmreplay.completion import CompletionError, ErrorKind
    from llmreplay.exchange import Exchange, Request, Response

__all__ = ["CODEC", "decode", "encode", "encode_error"]

Vectors = list[list[float]]


def decode(exchange: Exchange) -> Vectors:
    """Return the vectors of an answer, in the order of the texts.

    Raises `CompletionError` where the provider or the network reported an error, or where the answer
    holds no vectors.
    """
    provider, response = provider_of(exchange.request), exchange.response
    if response is None:
        assert exchange.failure is not None  # noqa: S101  an exchange has one or the other
        raise _errors.failed(exchange.failure, provider)
    if response.ended == "cut" and response.failure is not None:
        raise _errors.broken(response.failure, response, provider)
    if response.status >= 400:  # noqa: PLR2004  the statuses of errors
        raise _errors.refused(response, provider)
    body = response.json
    if body is None:
        closed = response.ended == "closed"
        raise _errors.left(response, provider) if closed else _errors.not_json(response, provider)
    found = _vectors(body)
    if found is None or any(vector is None for vector in found):
        if mapping(body).get("error") or mapping(body).get("object") == "error":
            raise _errors.reported(body, response, provider, otherwise="error_in_200")
        raise _errors.no_answer("the body of the response holds no vectors", response, provider)
    return [vector for vector in found if vector is not None]


def encode(
    vectors: Sequence[Sequence[float]],
    request: Request,
    *,
    usage: Usage | None = None,
    model: str | None = None,
    turn: int = 0,
) -> Response:
    """Return the answer that holds these vectors, as the provider of the request spells it.

    Numbers go out as they are, unless the request asks for base64: then as floats of 32 bits.
    """
    told = usage or Usage()
    body = mapping(request.json)
    dialect, ids = dialect_of(request), Ids(request, turn)
    name = (
        model or body.get("model") or request.path.partition("/deployments/")[2].partition("/")[0] or "model"
    )
    wanted = [[float(value) for value in vector] for vector in vectors]
    written = _writer(request)(wanted, request, told, name)
    if "id" in written:
        written["id"] = spelled("{h8}-{h4}-4{h3}-a{h3}-{h12}", ids)
    return json_response(written, headers=request_headers(dialect, ids), content_type=dialect.json_type)


def encode_error(  # noqa: PLR0913  what an error can say, each by name
    kind: ErrorKind,
    request: Request,
    *,
    status: int | None = None,
    message: str | None = None,
    code: str | None = None,
    retry_after: float | None = None,
) -> Response:
    """Return the provider's own status, body and headers for a kind of error, as its chat does."""
    told: dict[str, Any] = {"status": status, "message": message, "code": code, "retry_after": retry_after}
    neighbour = _NEIGHBOURS.get(_writer(request).__name__)
    if neighbour is None:
        return write_error(kind, request, **told)
    encoder: Encoder = import_module(f"llmreplay.codecs.{neighbour}").CODEC
    return encoder.encode_error(kind, request, **told)


# ------------------------------------------------------------------------------------------ reading


def _vectors(body: Any) -> list[list[float] | None] | None:
    """Return what is in the place of the vectors; None if there is no such place."""
    top = mapping(body)
    if isinstance(top.get("data"), list):  # OpenAI and who follows it
        items = each(top["data"])
        places = [integer(item.get("index")) for item in items]
        order = sorted(range(len(items)), key=lambda at: (places[at] if places[at] is not None else at, at))
        return [_vector(items[at].get("embedding")) for at in order]
    several = top.get("embeddings")
    if isinstance(several, dict):  # Cohere, by type
        several = several.get("float") or several.get("base64")
    if isinstance(several, list):  # Cohere and Ollama, and Gemini with `values`
        return [_vector(mapping(item).get("values") if isinstance(item, dict) else item) for item in several]
    if "embedding" in top:  # Gemini and Ollama, one at a time
        one = top["embedding"]
        return [_vector(one.get("values") if isinstance(one, dict) else one)]
    if isinstance(body, list):  # text-embeddings-inference
        return [_vector(item) for item in body]
    return None


def _vector(found: Any) -> list[float] | None:
    if isinstance(found, str):
        try:
            data = base64.b64decode(found, validate=True)
            return list(struct.unpack(f"<{len(data) // 4}f", data))
        except (binascii.Error, ValueError, struct.error):
            return None
    values = [number(value) for value in listed(found)]
    if not isinstance(found, list) or any(value is None or math.isnan(value) for value in values):
        return None
    return [value for value in values if value is not None]


# ------------------------------------------------------------------------------------------ writing


def _openai(vectors: Vectors, request: Request, usage: Usage, model: str) -> dict[str, Any]:
    body = mapping(request.json)
    packed = body.get("encoding_format") == "base64"
    spelled_as = [_packed(vector) if packed else vector for vector in vectors]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(spelled_as)
        ],
        "model": model,
        "usage": {"prompt_tokens": usage.input_tokens, "total_tokens": usage.total_tokens},
    }


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _cohere(vectors: Vectors, request: Request, usage: Usage, _model: str) -> dict[str, Any]:
    body = mapping(request.json)
    typed_by = body.get("embedding_types") or "/v2/" in request.path
    return {
        "id": "",
        "texts": listed(body.get("texts")),
        "embeddings": {"float": vectors} if typed_by else vectors,
        "meta": {
            "api_version": {"version": "2" if "/v2/" in request.path else "1"},
            "billed_units": {"input_tokens": usage.input_tokens},
        },
        "response_type": "embeddings_by_type" if typed_by else "embeddings_floats",
    }


def _ollama(vectors: Vectors, request: Request, usage: Usage, model: str) -> dict[str, Any]:
    if request.path.rstrip("/").endswith("/embeddings"):
        return {"embedding": vectors[0] if vectors else []}
    times = {"total_duration": 14_143_917, "load_duration": 1_019_500}
    return {"model": model, "embeddings": vectors, **times, "prompt_eval_count": usage.input_tokens}


def _gemini(vectors: Vectors, request: Request, _usage: Usage, _model: str) -> dict[str, Any]:
    if request.path.endswith(":batchEmbedContents"):
        return {"embeddings": [{"values": vector} for vector in vectors]}
    return {"embedding": {"values": vectors[0] if vectors else []}}


def _writer(request: Request) -> Callable[[Vectors, Request, Usage, str], dict[str, Any]]:
    path = request.path.rstrip("/")
    if path.endswith(("/api/embed", "/api/embeddings")):
        return _ollama
    if path.endswith("/embed"):
        return _cohere
    return _gemini if path.endswith(("mbedContent", "mbedContents")) else _openai


_NEIGHBOURS = {"_cohere": "cohere", "_ollama": "ollama", "_gemini": "gemini"}
"""Whose errors these endpoints have, where it is not OpenAI's chat."""


class _Embeddings:
    """Reads and writes the errors of these endpoints, and tells who wants a completion of them."""

    name = "embeddings"

    def provider(self, request: Request) -> str | None:
        return provider_of(request)

    def decode_request(self, request: Request) -> NoReturn:
        raise _no_completion(request)

    def decode_response(self, _response: Response, request: Request) -> NoReturn:
        raise _no_completion(request)

    def decode_stream(self, _response: Response, request: Request) -> NoReturn:
        raise _no_completion(request)

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        return _errors.refused(response, provider_of(request))

    def encode_request(self, _request: Any, *, base_url: str | None = None) -> NoReturn:
        raise UnknownWire(
            f"Embeddings are no completion: there is no request to make at {base_url or 'any host'}."
        )

    def encode_response(self, _response: Any, request: Request, **_options: Any) -> NoReturn:
        raise _no_completion(request)

    encode_error = staticmethod(encode_error)
    encode_stream_error = staticmethod(write_stream_error)

    def check(self, _request: Request, _excepted: Collection[str] = ()) -> None:
        """Nothing is known that a provider would not take."""


def _no_completion(request: Request) -> UnknownWire:
    return UnknownWire(
        render(
            "Embeddings are no completion: an answer of theirs has vectors, and no words.",
            [f"request: {request.method} {request.url}"],
            [
                "Read the vectors with llmreplay.codecs.embeddings.decode(exchange).",
                "Write them with llmreplay.codecs.embeddings.encode(vectors, request).",
            ],
        )
    )


CODEC = _Embeddings()

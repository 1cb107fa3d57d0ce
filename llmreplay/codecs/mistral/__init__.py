"""Mistral's chat wire: that of OpenAI in a dialect, with rules of its own for conversations.

https://docs.mistral.ai/api; the dialect is data of `openai_chat`. What differs beyond it:

* Whoever the host is, it is Mistral that answers: proxies keep its path, Vertex passes it on.
* A seed is `random_seed`, and the limit is `max_tokens` whatever the model.
* A document is a part of its own: `document_url`, which can hold its data, or `file` with an id.
* A bad key and a body of the wrong shape are told in `detail`, as FastAPI does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmreplay.codecs import openai_chat
from llmreplay.codecs._base import Codec
from llmreplay.codecs._documents import with_documents
from llmreplay.codecs._encoding import STRICT_HEADER, Cut, Encoder, Rejection, compact, json_response
from llmreplay.codecs._json import integer, mapping, optional, text, without
from llmreplay.codecs._unspoken import limit_of
from llmreplay.codecs.mistral._check import broken_rule
from llmreplay.completion import Document, ProviderContent
from llmreplay.exchange import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from llmreplay.codecs._base import StreamDecoder
    from llmreplay.completion import (
        CompletionError,
        CompletionRequest,
        CompletionResponse,
        ErrorKind,
        Message,
    )
    from llmreplay.exchange import Request, Response

__all__ = ["CODEC"]

_CHAT = openai_chat.CODEC
_HOME = "https://api.mistral.ai/v1"
_PROVIDER = "mistral"
_UNPROCESSABLE = 422


def _at_home(request: Request) -> Request:
    """Return the request as Mistral itself would get it, since dialects are told by the host."""
    return replace(request, url=f"{_HOME}/chat/completions")


def _with_body(response: Response, body: Any) -> Response:
    data = compact(body)
    headers = tuple(
        (name, str(len(data)) if name == "content-length" else value) for name, value in response.headers
    )
    return replace(response, headers=headers, chunks=(Chunk(data),))


def _each_content(message: Message, change: Callable[[Any], Any]) -> Message:
    """Return a message with its contents changed, the same one if none is."""
    changed = [change(content) for content in message.content]
    same = all(new is old for new, old in zip(changed, message.content, strict=True))
    return message if same else message.model_copy(update={"content": changed})


def _read(content: Any) -> Any:
    """Return the document that a part is; any other content as it is."""
    if isinstance(content, ProviderContent) and content.kind == "document_url":
        raw = mapping(content.raw)
        if isinstance(raw.get("document_url"), str):
            start, found, data = text(raw["document_url"]).partition(";base64,")
            told: dict[str, Any] = {"data": data, "media_type": start.removeprefix("data:") or None}
            if not (found and start.startswith("data:")):
                told = {"data": text(raw["document_url"]), "source": "url"}
            extra = without(raw, "type", "document_url", "document_name")
            return Document(**told, name=optional(raw.get("document_name")), extra=extra)
    if isinstance(content, Document) and isinstance(content.extra.get("file_id"), str):
        file_id = text(content.extra["file_id"])
        return Document(data=file_id, source="file_id", extra=without(content.extra, "file_id"))
    return content


def _written(content: Any) -> Any:
    """Return the part that a document is, unless it is a text; any other content as it is."""
    if not isinstance(content, Document) or content.source == "text":
        return content
    if content.source == "file_id":
        part: dict[str, Any] = {"type": "file", "file_id": content.data}
    else:
        data = f"data:{content.media_type or 'application/pdf'};base64,{content.data}"
        part = {"type": "document_url", "document_url": content.data if content.source == "url" else data}
        if content.name is not None:
            part["document_name"] = content.name
    return ProviderContent(kind=part["type"], raw={**part, **content.extra})


class _Mistral(Codec, Encoder):
    name = "mistral"

    def provider(self, request: Request) -> str:  # noqa: ARG002  see above
        return _PROVIDER

    def decode_request(self, request: Request) -> CompletionRequest:
        found = _CHAT.decode_request(_at_home(request))
        fields: dict[str, Any] = {}
        vertex = request.path.rpartition("/models/")[2].partition(":")[0]  # names the model there
        if found.model is None and vertex != request.path:
            fields["model"] = optional(vertex)
        seed = integer(found.extra.get("random_seed"))
        if seed is not None and found.seed is None:
            fields |= {"seed": seed, "extra": without(found.extra, "random_seed")}
        fields["messages"] = [_each_content(message, _read) for message in found.messages]
        return found.model_copy(update=fields)

    def decode_response(self, response: Response, request: Request) -> CompletionResponse:
        return _CHAT.decode_response(response, _at_home(request))

    def decode_stream(self, response: Response, request: Request) -> StreamDecoder:
        return _CHAT.decode_stream(response, _at_home(request))

    def decode_error(self, response: Response, request: Request) -> CompletionError:
        return _CHAT.decode_error(response, _at_home(request))

    def encode_request(self, request: CompletionRequest, *, base_url: str | None = None) -> Request:
        extra = dict(request.extra)
        if request.seed is not None:
            extra["random_seed"] = request.seed
        own: dict[str, Any] = {"extra": extra, "seed": None, "documents": []}
        own |= {"max_tokens": limit_of(request, "Mistral"), "max_completion_tokens": None}
        own["messages"] = [_each_content(message, _written) for message in with_documents(request)]
        written = _CHAT.encode_request(request.model_copy(update=own), base_url=_HOME)
        return replace(written, url=f"{(base_url or _HOME).rstrip('/')}/chat/completions")

    def encode_response(
        self,
        response: CompletionResponse,
        request: Request,
        *,
        turn: int = 0,
        cut: Cut = Cut(),
    ) -> Response:
        return _CHAT.encode_response(response, _at_home(request), turn=turn, cut=cut)

    def encode_error(  # noqa: PLR0913  what an error can say, each by name
        self,
        kind: ErrorKind,
        request: Request,
        *,
        status: int | None = None,
        message: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> Response:
        answer = _CHAT.encode_error(
            kind, _at_home(request), status=status, message=message, code=code, retry_after=retry_after
        )
        if kind == "authentication":
            return _with_body(answer, {"detail": message or "Unauthorized"})
        if answer.status == _UNPROCESSABLE:
            said = message or "Field required"
            return _with_body(
                answer, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": said}]}
            )
        return answer

    def encode_stream_error(self, kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
        return _CHAT.encode_stream_error(kind, _at_home(request), message=message)

    def check(self, request: Request, excepted: Collection[str] = ()) -> Rejection | None:
        broken = broken_rule(request.json, excepted)
        if broken is None:
            return None
        body = {
            "object": "error",
            "message": broken.message,
            "type": broken.type,
            "param": None,
            "code": broken.code,
        }
        like = _CHAT.encode_error("invalid_request", _at_home(request))
        headers = tuple(header for header in like.headers if not header[0].startswith("content-"))
        answer = json_response(mapping(body), 400, (*headers, (STRICT_HEADER, broken.rule)))
        return Rejection(broken.rule, broken.message, answer)


CODEC = _Mistral()

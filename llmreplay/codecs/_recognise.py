"""Which wire a request speaks, told from its method and URL alone wherever they are enough.

Rules:

* Called for every HTTP request of a process: string operations only, no JSON, no pydantic; an address is
  looked at once.
* The end of the path decides, so that version prefixes, base paths of proxies, Azure deployments
  and Vertex projects need no list. Where others use the same end (`/messages`, `/chat`), the host,
  a header or a key in the body has to confirm it.
* A name stands for one family of bodies; `llmreplay.codecs` knows which of them it can decode.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmreplay.exchange import Request

__all__ = ["recognise"]

_METHODS = frozenset({"POST", "post"})
_VENDOR = "application/vnd.llmreplay+json"


def recognise(request: Request) -> str | None:
    """Return the name of the wire that a request speaks; None if it asks no model.

    Names are `openai_chat`, `openai_responses`, `openai_completions`, `openai_assistants`,
    `anthropic_messages`, `anthropic_complete`, `gemini`, `gemini_interactions`, `vertex_predict`,
    `mistral`, `mistral_fim`, `mistral_conversations`, `cohere`, `cohere_v1`, `cohere_generate`,
    `ollama`, `ollama_generate`, `bedrock_converse`, `bedrock_invoke`, `huggingface`, `replicate`,
    `writer`, `sourcegraph`, and our own `vocabulary`; and by purpose, whatever the provider: `embeddings`,
    `rerank`, `count_tokens`, `images`, `audio`, `moderations`.
    """
    told = _by_address(request.method, request.url)
    return told if told is None or isinstance(told, str) else told(request)


@lru_cache(maxsize=256)  # a suite asks at few addresses
def _by_address(method: str, url: str) -> str | Callable[[Request], str | None] | None:
    """Return what method and URL tell of the wire; what decides about the rest, where they are not enough."""
    if method not in _METHODS:
        # The only answer of a model that is fetched: xAI's, if it was asked to defer it.
        return "openai_chat" if "/chat/deferred-completion/" in url and method == "GET" else None
    path = url.partition("?")[0].partition("#")[0].rstrip("/")
    head, _, last = path.rpartition("/")
    told = _BY_END.get(last)
    if told is None:
        return _by_action(head, last.rpartition(":")[2]) if ":" in last else _huggingface(path)
    return told if isinstance(told, str) else partial(told, path, head)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _asks(body: bytes, *keys: bytes) -> bool:
    """Whether all these keys occur in a JSON body."""
    return all(b'"' + key + b'"' in body for key in keys)


def _versioned(head: str) -> bool:
    """Whether the path so far ends as that of an API does: `v1`, `v1beta`, `openai` and the like."""
    segment = head.rpartition("/")[2]
    return (segment[:1] == "v" and segment[1:2].isdigit()) or segment in {"openai", "codex", "beta"}


def _completions(path: str, head: str, _request: Request) -> str:
    if head.endswith("/chat"):
        host = _host(path)
        if host.endswith("mistral.ai") or f"//{host}/mistral/" in path:
            return "mistral"
        return "openai_chat"
    if head.endswith("/fim"):
        return "mistral_fim"
    if head.endswith("/agents"):
        return "mistral"
    return "openai_completions"


def _responses(_path: str, head: str, request: Request) -> str | None:
    if _versioned(head) or _asks(request.body, b"model") or ".deepseek.com" in head:
        return "openai_responses"
    return None


def _messages(path: str, head: str, request: Request) -> str | None:
    if "/threads/" in head:
        return None
    if "anthropic" in path or _asks(request.body, b"max_tokens", b"messages"):
        return "anthropic_messages"
    return "anthropic_messages" if request.header("anthropic-version") else None


def _chat(path: str, head: str, request: Request) -> str | None:
    if head.endswith("/api"):
        ollama = ":11434/" in path or "ollama" in path or _asks(request.body, b"model", b"messages")
        return "ollama" if ollama else None
    if "cohere" in path:
        return "cohere" if head.endswith("/v2") else "cohere_v1"
    if "writer.com" in path:
        return "writer"
    if head.endswith("/v2") and _asks(request.body, b"model", b"messages"):
        return "cohere"
    return None


def _generate(path: str, head: str, request: Request) -> str | None:
    if head.endswith("/api"):
        return "ollama_generate" if ":11434/" in path or _asks(request.body, b"model", b"prompt") else None
    if "cohere" in path:
        return "cohere_generate"
    return "huggingface" if _asks(request.body, b"inputs") else None


def _embed(path: str, _head: str, request: Request) -> str | None:
    known = (
        "cohere" in path
        or ":11434/" in path
        or _asks(request.body, b"model")
        or _asks(request.body, b"inputs")
    )
    return "embeddings" if known else None


def _behind(part: str, name: str) -> Callable[[str, str, Request], str | None]:
    return lambda _path, head, _request: name if part in head else None


def _below(end: str, name: str) -> Callable[[str, str, Request], str | None]:
    return lambda _path, head, _request: name if head.endswith(end) else None


def _conversations(path: str, _head: str, _request: Request) -> str | None:
    return "mistral_conversations" if "mistral" in path else None


def _interactions(path: str, head: str, request: Request) -> str | None:
    gemini = "googleapis.com" in path or head.endswith("/v1beta") or _asks(request.body, b"model", b"input")
    return "gemini_interactions" if gemini else None


def _rerank(_path: str, head: str, request: Request) -> str | None:
    return "rerank" if _versioned(head) or _asks(request.body, b"query", b"documents") else None


def _moderations(_path: str, head: str, request: Request) -> str | None:
    return "moderations" if _versioned(head) and _asks(request.body, b"input") else None


def _vocabulary(path: str, _head: str, request: Request) -> str | None:
    ours = "//model.llmreplay.invalid/" in path or _VENDOR in (request.header("content-type") or "")
    return "vocabulary" if ours else None


_ACTIONS = {
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "countTokens": "count_tokens",
    "computeTokens": "count_tokens",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
    "predict": "vertex_predict",
    "rawPredict": "raw",
    "streamRawPredict": "raw",
}

_RAW = {"anthropic": "anthropic_messages", "mistralai": "mistral", "meta": "openai_chat"}


def _by_action(head: str, action: str) -> str | None:
    name = _ACTIONS.get(action)
    if name is None or "/models" not in head:
        return None
    if name == "raw":  # Vertex passes these on to the publisher as they are.
        return _RAW.get(head.partition("/publishers/")[2].partition("/")[0])
    return name if name != "vertex_predict" or "/publishers/" in head else None


def _huggingface(path: str) -> str | None:
    if "huggingface.co/" not in path:
        return None
    return "huggingface" if "/models/" in path or "/pipeline/" in path else None


_BY_END: dict[str, str | Callable[[str, str, Request], str | None]] = {
    "completion": _vocabulary,
    "completions": _completions,
    "responses": _responses,
    "compact": _below("/responses", "openai_responses"),
    "input_tokens": _below("/responses", "count_tokens"),
    "messages": _messages,
    "count_tokens": _below("/messages", "count_tokens"),
    "count-tokens": _behind("/model/", "count_tokens"),
    "complete": lambda path, _head, _request: "anthropic_complete" if "anthropic" in path else None,
    "chat": _chat,
    "generate": _generate,
    "generate_stream": _generate,
    "converse": _behind("/model/", "bedrock_converse"),
    "converse-stream": _behind("/model/", "bedrock_converse"),
    "invoke": _behind("/model/", "bedrock_invoke"),
    "invoke-with-response-stream": _behind("/model/", "bedrock_invoke"),
    "interactions": _interactions,
    "conversations": _conversations,
    "embeddings": "embeddings",
    "embed": _embed,
    "rerank": _rerank,
    "moderations": _moderations,
    "generations": _below("/images", "images"),
    "edits": _below("/images", "images"),
    "variations": _below("/images", "images"),
    "speech": _below("/audio", "audio"),
    "transcriptions": _below("/audio", "audio"),
    "translations": _below("/audio", "audio"),
    "runs": _behind("/threads", "openai_assistants"),
    "submit_tool_outputs": _behind("/threads/", "openai_assistants"),
    "predictions": _behind("replicate", "replicate"),
    "stream": _below("/.api/completions", "sourcegraph"),
}

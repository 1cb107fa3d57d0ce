"""Writing errors of the chat wire: each provider's own status, body and headers, whole or in a stream.

A dialect names a shape, and the shape a function; the words are in tables, by kind of error. Sources:
recorded bodies of OpenAI, Azure, Groq and OpenRouter; the source of vLLM and of llama.cpp; for the
others their documentation and reports of users. Most of the module is these tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import Ids, compact, json_response, retry_headers
from llmreplay.codecs._json import mapping
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.codecs.openai_chat._write import request_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmreplay.codecs.openai_chat._dialects import Dialect
    from llmreplay.completion import ErrorKind
    from llmreplay.exchange import Request, Response

__all__ = ["body_of", "write_error", "write_stream_error"]


@dataclass(frozen=True, slots=True)
class _Words:
    """What a provider says: `type`, `code`, `param`; `more` stands beside the message."""

    status: int
    message: str
    type: str | None = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    more: Mapping[str, Any] | None = None


_OPENAI: dict[str, _Words] = {
    "invalid_request": _Words(400, "We could not parse the JSON body of your request."),
    "authentication": _Words(
        401,
        "Incorrect API key provided. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    ),
    "permission_denied": _Words(
        403, "You have insufficient permissions for this operation.", type="permission_error"
    ),
    "not_found": _Words(
        404, "The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    ),
    "request_too_large": _Words(
        400,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 "
        "tokens. Please reduce the length of the messages.",
        code="context_length_exceeded",
        param="messages",
    ),
    "conflict": _Words(409, "The resource was changed by another request.", type="conflict"),
    "rate_limited": _Words(
        429,
        "Rate limit reached for {model} on requests per min (RPM): Limit 500, Used 500, Requested 1. "
        "Please try again in 120ms.",
        type="requests",
        code="rate_limit_exceeded",
    ),
    "quota_exhausted": _Words(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        type="insufficient_quota",
        code="insufficient_quota",
    ),
    "server_error": _Words(
        500, "The server had an error while processing your request. Sorry about that!", type="server_error"
    ),
    "overloaded": _Words(
        503, "The engine is currently overloaded, please try again later.", type="overloaded"
    ),
    "not_supported": _Words(501, "This is not supported.", type="not_supported_error"),
    "content_filter": _Words(
        400,
        "Your request was rejected as a result of our safety system.",
        code="content_policy_violation",
    ),
}

_ANY = _Words(500, "The request failed.", type="server_error")
"""What is said where only the status is known."""

_AZURE: dict[str, _Words] = {
    "authentication": _Words(
        401,
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid "
        "key for an active subscription and use a correct regional API endpoint for your resource.",
        type=None,
        code="401",
    ),
    "not_found": _Words(
        404,
        "The API deployment for this resource does not exist. If you created the deployment within the last "
        "5 minutes, please wait a moment and try again.",
        code="DeploymentNotFound",
    ),
    "rate_limited": _Words(
        429,
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate "
        "limit of your current OpenAI S0 pricing tier.",
        type=None,
        code="429",
    ),
    "content_filter": _Words(
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry.",
        type=None,
        code="content_filter",
        param="prompt",
        more={
            "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    "hate": {"filtered": False, "severity": "safe"},
                    "self_harm": {"filtered": False, "severity": "safe"},
                    "sexual": {"filtered": False, "severity": "safe"},
                    "violence": {"filtered": True, "severity": "medium"},
                },
            },
        },
    ),
}

_GROQ: dict[str, _Words] = {
    "authentication": _Words(401, "Invalid API Key", code="invalid_api_key"),
    "request_too_large": _Words(
        413, "Request Entity Too Large", type="invalid_request_error", code="request_too_large"
    ),
    "rate_limited": _Words(
        429,
        "Rate limit reached for model `{model}` on tokens per minute (TPM): Limit 6000, Used 5900, Requested "
        "200. Please try again in 1s.",
        type="tokens",
        code="rate_limit_exceeded",
    ),
    "server_error": _Words(500, "Internal Server Error", type="internal_server_error"),
    "overloaded": _Words(
        503, "{model} is currently over capacity. Please try again and back off exponentially.",
        type="internal_server_error",
    ),
}  # fmt: skip

_INVALID = "Client specified an invalid argument"
_XAI: dict[str, _Words] = {
    "invalid_request": _Words(400, "Request body is invalid.", code=_INVALID),
    "authentication": _Words(
        400,
        "Incorrect API key provided. You can obtain an API key from https://console.x.ai.",
        code="invalid-argument",
    ),
    "permission_denied": _Words(
        403,
        "Your API key does not have access to this model.",
        code="The caller does not have permission to execute the specified operation",
    ),
    "not_found": _Words(
        404,
        "The model {model} does not exist or your team does not have access to it.",
        code="Some requested entity was not found",
    ),
    "request_too_large": _Words(
        400,
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        code=_INVALID,
    ),
    "rate_limited": _Words(
        429, "Too many requests for team. Please slow down.", code="Some resource has been exhausted"
    ),
    "quota_exhausted": _Words(
        402, "Your team has used all its credits.", code="Your team has run out of credits"
    ),
    "server_error": _Words(500, "Something went wrong.", code="Internal error"),
    "overloaded": _Words(
        503, "The model is at capacity. Please try again later.", code="The service is currently unavailable"
    ),
    "content_filter": _Words(403, "Content violates usage guidelines.", code="content_policy_violation"),
}

_DEEPSEEK: dict[str, _Words] = {
    "authentication": _Words(
        401,
        "Authentication Fails, Your api key is invalid",
        type="authentication_error",
        code="invalid_request_error",
    ),
    "not_found": _Words(400, "Model Not Exist", code="model_not_found"),
    "quota_exhausted": _Words(
        402, "Insufficient Balance", type="unknown_error", code="invalid_request_error"
    ),
    "overloaded": _Words(
        503, "Service is too busy. We advise users to retry later.", type="service_unavailable_error"
    ),
}

_OPENROUTER: dict[str, _Words] = {
    "authentication": _Words(401, "No auth credentials found"),
    "permission_denied": _Words(403, "This API key is not allowed to do that"),
    "not_found": _Words(404, "No endpoints found for {model}."),
    "request_too_large": _Words(
        400,
        "This endpoint's maximum context length is 128000 tokens. However, you requested about 130000 "
        "tokens.",
    ),
    "rate_limited": _Words(
        429,
        "Provider returned error",
        more={
            "metadata": {
                "raw": "{model} is temporarily rate-limited upstream. Please retry shortly.",
                "provider_name": "OpenAI",
            }
        },
    ),
    "quota_exhausted": _Words(
        402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"
    ),
    "server_error": _Words(500, "Internal Server Error"),
    "overloaded": _Words(503, "There is no available model provider that meets your routing requirements"),
    "content_filter": _Words(
        403,
        "The model requires moderation, and your input was flagged",
        more={"metadata": {"reasons": ["violence"], "flagged_input": "", "provider_name": "OpenAI"}},
    ),
}

_HUGGINGFACE: dict[str, _Words] = {
    "authentication": _Words(401, "Invalid username or password."),
    "permission_denied": _Words(
        403, "This authentication method does not have sufficient permissions to call Inference Providers"
    ),
    "not_found": _Words(404, "Model {model} does not exist"),
    "request_too_large": _Words(413, "The prompt and `max_new_tokens` are longer than the model takes"),
    "rate_limited": _Words(429, "Too Many Requests"),
    "quota_exhausted": _Words(
        402, "You have exceeded your monthly included credits for Inference Providers."
    ),
    "server_error": _Words(500, "Internal Server Error", type="generation"),
    "overloaded": _Words(503, "Model is overloaded", type="overloaded"),
    "invalid_request": _Words(422, "Input validation error", type="validation"),
}

_VLLM: dict[str, _Words] = {
    "invalid_request": _Words(400, "The request is invalid.", type="BadRequestError"),
    "authentication": _Words(401, "Unauthorized", type="AuthenticationError"),
    "not_found": _Words(404, "The model `{model}` does not exist.", type="NotFoundError", param="model"),
    "request_too_large": _Words(
        400,
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        type="BadRequestError",
    ),
    "server_error": _Words(500, "Internal server error", type="InternalServerError"),
    "overloaded": _Words(503, "The engine is not ready.", type="ServiceUnavailableError"),
    "not_supported": _Words(501, "This is not implemented.", type="NotImplementedError"),
}

_LLAMA_CPP: dict[str, _Words] = {
    "authentication": _Words(401, "Invalid API Key", type="authentication_error"),
    "not_found": _Words(404, "File Not Found", type="not_found_error"),
    "request_too_large": _Words(
        400,
        "the request exceeds the available context size, try increasing it",
        type="exceed_context_size_error",
        more={"n_prompt_tokens": 9000, "n_ctx": 8192},
    ),
    "server_error": _Words(500, "Internal Server Error", type="server_error"),
    "overloaded": _Words(503, "Loading model", type="unavailable_error"),
    "not_supported": _Words(501, "This feature is not supported by this server", type="not_supported_error"),
    "permission_denied": _Words(403, "Permission denied", type="permission_error"),
}

_MISTRAL: dict[str, _Words] = {
    "invalid_request": _Words(400, "The request is invalid.", type="invalid_request_error", code="3051"),
    "authentication": _Words(401, "Unauthorized", type="authentication_error", code="1000"),
    "not_found": _Words(400, "Invalid model: {model}", type="invalid_model", code="1500"),
    "rate_limited": _Words(429, "Rate limit exceeded", type="rate_limited", code="1300"),
    "overloaded": _Words(503, "Service unavailable.", type="unavailable", code="3000"),
    "server_error": _Words(500, "Service internal error.", type="internal_server_error", code="3700"),
}

_PERPLEXITY: dict[str, _Words] = {
    "not_found": _Words(400, "Invalid model '{model}'.", type="invalid_model"),
    "authentication": _Words(401, "Invalid API key provided.", type="authentication_error"),
    "rate_limited": _Words(429, "Request rate limit exceeded.", type="request_rate_limit_exceeded"),
}

_CEREBRAS: dict[str, _Words] = {
    "authentication": _Words(401, "Wrong API Key", code="wrong_api_key"),
    "not_found": _Words(
        404,
        "Model {model} does not exist or you do not have access to it.",
        type="not_found_error",
        code="model_not_found",
        param="model",
    ),
    "rate_limited": _Words(
        429,
        "Requests per minute limit exceeded - too many requests sent.",
        type="too_many_requests_error",
        code="request_quota_exceeded",
    ),
}

_GOOGLE: dict[str, _Words] = {
    "invalid_request": _Words(400, "Request contains an invalid argument.", type="INVALID_ARGUMENT"),
    "authentication": _Words(401, "Request had invalid authentication credentials.", type="UNAUTHENTICATED"),
    "permission_denied": _Words(403, "The caller does not have permission", type="PERMISSION_DENIED"),
    "not_found": _Words(404, "models/{model} is not found for API version v1main.", type="NOT_FOUND"),
    "request_too_large": _Words(
        400,
        "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
        type="INVALID_ARGUMENT",
    ),
    "conflict": _Words(409, "The operation was aborted.", type="ABORTED"),
    "rate_limited": _Words(429, "Resource has been exhausted (e.g. check quota).", type="RESOURCE_EXHAUSTED"),
    "server_error": _Words(500, "An internal error has occurred.", type="INTERNAL"),
    "overloaded": _Words(503, "The model is overloaded. Please try again later.", type="UNAVAILABLE"),
    "not_supported": _Words(501, "The operation is not implemented.", type="UNIMPLEMENTED"),
}


def _nested(words: _Words, _model: str) -> Any:
    return {"error": {"message": words.message, "type": words.type, "param": words.param, "code": words.code}}


def _azure(words: _Words, _model: str) -> Any:
    if words.type is None and words.more is None:  # the gateway's, before the model is asked
        return {"error": {"code": words.code, "message": words.message}}
    return {"error": {**_nested(words, _model)["error"], **(words.more or {})}}


def _groq(words: _Words, _model: str) -> Any:
    found = {"message": words.message, "type": words.type, "code": words.code, "param": words.param}
    return {"error": {key: value for key, value in found.items() if value is not None}}


def _xai(words: _Words, _model: str) -> Any:
    return {"code": words.code or _INVALID, "error": words.message}


def _openrouter(words: _Words, model: str) -> Any:
    metadata = mapping((words.more or {}).get("metadata"))
    filled = {
        key: value.format(model=model) if isinstance(value, str) else value for key, value in metadata.items()
    }
    more = {"metadata": filled} if filled else {}
    return {"error": {"message": words.message, "code": words.status, **more}}


def _huggingface(words: _Words, _model: str) -> Any:
    return {"error": words.message}


def _vllm(words: _Words, _model: str) -> Any:
    return {
        "error": {"message": words.message, "type": words.type, "param": words.param, "code": words.status}
    }


def _llama(words: _Words, _model: str) -> Any:
    return {
        "error": {"code": words.status, "message": words.message, "type": words.type, **(words.more or {})}
    }


def _flat(words: _Words, _model: str) -> Any:
    return {"message": words.message, "type": words.type, "param": words.param, "code": words.code}


def _mistral(words: _Words, model: str) -> Any:
    return {"object": "error", **_flat(words, model), "raw_status_code": words.status}


def _perplexity(words: _Words, _model: str) -> Any:
    return {"error": {"message": words.message, "type": words.type, "code": words.status}}


def _google(words: _Words, _model: str) -> Any:
    return [{"error": {"code": words.status, "message": words.message, "status": words.type}}]


_SHAPES: dict[str, tuple[Callable[[_Words, str], Any], dict[str, _Words]]] = {
    "openai": (_nested, {}),
    "azure": (_azure, _AZURE),
    "groq": (_groq, _GROQ),
    "xai": (_xai, _XAI),
    "deepseek": (_nested, _DEEPSEEK),
    "openrouter": (_openrouter, _OPENROUTER),
    "huggingface": (_huggingface, _HUGGINGFACE),
    "vllm": (_vllm, _VLLM),
    "llama.cpp": (_llama, _LLAMA_CPP),
    "mistral": (_mistral, _MISTRAL),
    "perplexity": (_perplexity, _PERPLEXITY),
    "flat": (_flat, _CEREBRAS),
    "google": (_google, _GOOGLE),
}

_ONLY_BEFORE = frozenset({"azure", "flat"})
"""Shapes of errors that are reported before there is a stream; in one, these say what OpenAI says."""


def write_error(  # noqa: PLR0913  what an error can say, each by name
    kind: ErrorKind,
    request: Request,
    *,
    status: int | None = None,
    message: str | None = None,
    code: str | None = None,
    retry_after: float | None = None,
) -> Response:
    """Return the provider's own status, body and headers for a kind of error."""
    dialect = dialect_of(request)
    words = _words(kind, dialect, request, message=message, code=code, status=status)
    body = _SHAPES[dialect.errors][0](words, _model(request))
    headers = (*request_headers(dialect, Ids(request)), *retry_headers(kind, retry_after))
    return json_response(body, words.status, headers, dialect.json_type)


def write_stream_error(kind: ErrorKind, request: Request, *, message: str | None = None) -> bytes:
    """Return the frame of an error in a stream, and the terminal where the provider still sends it.

    Groq names the event, OpenRouter puts the error beside a last delta, Hugging Face says its type;
    all others send the body of the error.
    """
    dialect = dialect_of(request)
    if dialect.errors in _ONLY_BEFORE:
        dialect = replace(dialect, errors="openai")
    words = _words(kind, dialect, request, message=message)
    body = _SHAPES[dialect.errors][0](words, _model(request))
    if dialect.errors == "groq":
        body["error"]["status_code"] = words.status
        return b"event: error\ndata: " + compact(body) + b"\n\n"
    if dialect.errors == "openrouter":
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
        head = {"id": "gen-error", "object": "chat.completion.chunk", "model": _model(request)}
        return b"data: " + compact({**head, **body, "choices": [choice]}) + b"\n\ndata: [DONE]\n\n"
    if dialect.errors == "huggingface":
        body["error_type"] = words.type
    ending = b"data: [DONE]\n\n" if dialect.errors == "vllm" else b""
    return b"data: " + compact(body) + b"\n\n" + ending


def body_of(request: Request, message: str, *, code: str | None = None, param: str | None = None) -> Any:
    """Return the body with which a provider rejects a request."""
    words = _Words(400, message, code=code, param=param)
    return _SHAPES[dialect_of(request).errors][0](words, _model(request))


def _words(  # noqa: PLR0913  likewise
    kind: ErrorKind,
    dialect: Dialect,
    request: Request,
    *,
    message: str | None = None,
    code: str | None = None,
    status: int | None = None,
) -> _Words:
    words = _SHAPES[dialect.errors][1].get(kind) or _OPENAI.get(kind)
    if words is None and status is None:
        raise ValueError(f"{kind} is a failure, not an answer: there is no status for it")
    words = words or _ANY
    said = words.message.format(model=_model(request)) if message is None else message
    return replace(words, message=said, code=code or words.code, status=status or words.status)


def _model(request: Request) -> str:
    deployment = request.path.partition("/deployments/")[2].partition("/")[0]
    return str(mapping(request.json).get("model") or deployment or "model")

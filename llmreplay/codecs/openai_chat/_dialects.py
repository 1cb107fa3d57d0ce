"""Who speaks the chat wire of OpenAI, told from the URL, and how: a dialect is data.

Reading needs only the name: what dialects say beyond OpenAI (`reasoning`, `citations`, `x_groq` …)
never clashes, so all of it is read from everyone. Writing needs the rest of the entry.

Sources: recorded traffic of each provider where there is any (OpenAI, Azure, Groq, DeepSeek,
OpenRouter, Hugging Face, Together, Mistral, Ollama, Cerebras, Z.ai, vLLM behind Crusoe, Snowflake, xAI,
Perplexity, Gemini's compatible endpoint), else their documentation and source (vLLM, llama.cpp). The
module is long since it is a table: one entry a provider, and no branch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from llmreplay.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMPATIBLE", "DIALECTS", "Dialect", "dialect_of", "provider_of"]

_HOSTS: tuple[tuple[str, str], ...] = (
    ("api.openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "xai"),
    ("api.deepseek.com", "deepseek"),
    ("openrouter.ai", "openrouter"),
    ("router.huggingface.co", "huggingface"),
    ("api-inference.huggingface.co", "huggingface"),
    (".endpoints.huggingface.cloud", "huggingface"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    (".mistral.ai", "mistral"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
    ("api.fireworks.ai", "fireworks"),
    ("api.z.ai", "zai"),
    ("api.moonshot.ai", "moonshot"),
    ("api.moonshot.cn", "moonshot"),
    ("dashscope.aliyuncs.com", "alibaba"),
    ("dashscope-intl.aliyuncs.com", "alibaba"),
    ("generativelanguage.googleapis.com", "google"),
    ("aiplatform.googleapis.com", "vertex"),
    (".snowflakecomputing.com", "snowflake"),
    (".inference.heroku.com", "heroku"),
    ("api.inference.crusoecloud.com", "crusoe"),
    ("api.portkey.ai", "portkey"),
    ("api.githubcopilot.com", "copilot"),
    ("models.github.ai", "github"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("api.sambanova.ai", "sambanova"),
    ("api.venice.ai", "venice"),
    ("api.deepinfra.com", "deepinfra"),
    ("ollama.com", "ollama"),
    (".api.aws", "bedrock"),
    (".amazonaws.com", "bedrock"),
)

_SEGMENTS = {
    "groq": "groq",
    "mistral": "mistral",
    "xai": "xai",
    "deepseek": "deepseek",
    "openrouter": "openrouter",
}
"""First segments of the path by which proxies tell providers apart."""

_OLLAMA_PORT = 11434

_LOCAL = {8000: "vllm", 8080: "llama.cpp"}
"""Servers that are told by their default port, if only to write as they do."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104  a name to compare with


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider spells what it answers.

    Attributes:
        name: The provider.
        base_url: Where it lives; what stands before `/chat/completions`.
        answer_id: Its ids of answers: `{a8}` are letters and digits, `{h8}` hexadecimal, `{d8}` decimal.
        call_id: Its ids of tool calls.
        request_id: The header with its id of a request, and the id; None if it has none.
        json_type: Its content type of a plain answer.
        stream_type: Its content type of a stream.
        fingerprint: Its `system_fingerprint`; None if it sends null, empty if it has no such key.
        tier: Its `service_tier`; None if it has no such key.
        reasoning: The keys in which it shows what the model thinks; the text stands in each of them.
        details: Whether it gives `reasoning_details` too, which can hold signatures and sealed reasoning.
        refusals: Whether it has the key `refusal`.
        logprobs: Whether it has the key `logprobs`.
        citations: The key of its citations: `annotations` in a message, or `citations` beside `choices`.
        no_text: What the content is where the model only calls tools.
        whole_calls: Whether a stream has each tool call in one delta.
        call_index: Whether tool calls of a plain answer have an index.
        bare_images: Whether an image that the model drew is a text, rather than an `image_url` part (xAI).
        usage: Where a stream tells it: in a frame without choices if `asked`, in one always (`alone`),
            in the `last` frame with choices, or in `each`.
        null_usage: Whether the other frames then have `usage: null`.
        inputs: The keys of `prompt_tokens_details` that are always there.
        outputs: The keys of `completion_tokens_details` that are always there.
        usage_more: What else its usage says.
        cache_hits: Whether it counts hits and misses of its cache (DeepSeek).
        beside: Whether its completion tokens leave out the reasoning (xAI).
        done: Whether a stream ends with `[DONE]`.
        padding: Whether frames are padded with `obfuscation`.
        comment: The comment before the first frame.
        x_groq: Whether the first and the last frame say what they call `x_groq`.
        prologue: What a first frame without choices says.
        message_more: What else a message of a plain answer says.
        choice_more: What else a choice says.
        more: What else a plain answer says, beside `choices`.
        frame_more: What else a frame says, beside `choices`.
        errors: How it spells errors, see `_write_errors`.
        strict: Whether its rules for conversations are known.
        bare_tools: Whether its SDK leaves out the type of a tool.
        bare_choice: Whether its SDK leaves out the type of a tool that is to be used.
        required: Its word for a tool choice of `required`.
        contents: Whether reasoning is a part of the contents (Mistral).
    """

    name: str
    base_url: str = ""
    answer_id: str = "chatcmpl-{a29}"
    call_id: str = "call_{a24}"
    request_id: tuple[str, str] | None = ("x-request-id", "req_{h32}")
    json_type: str = "application/json"
    stream_type: str = "text/event-stream; charset=utf-8"
    fingerprint: str | None = "fp_{h10}"
    tier: str | None = None
    reasoning: tuple[str, ...] = ("reasoning_content",)
    details: bool = False
    refusals: bool = True
    logprobs: bool = True
    citations: Literal["annotations", "citations"] = "annotations"
    no_text: str | None = None
    whole_calls: bool = False
    call_index: bool = False
    bare_images: bool = False
    usage: Literal["asked", "alone", "last", "each"] = "asked"
    null_usage: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    usage_more: Mapping[str, Any] = field(default_factory=dict)
    cache_hits: bool = False
    beside: bool = False
    done: bool = True
    padding: bool = False
    comment: str | None = None
    x_groq: bool = False
    prologue: Mapping[str, Any] | None = None
    message_more: Mapping[str, Any] = field(default_factory=dict)
    choice_more: Mapping[str, Any] = field(default_factory=dict)
    frame_more: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    errors: str = "openai"
    strict: bool = False
    bare_tools: bool = False
    bare_choice: bool = False
    required: str = "required"
    contents: bool = False


_UUID = "{h8}-{h4}-4{h3}-a{h3}-{h12}"
_INPUTS = ("cached_tokens", "audio_tokens")
_FILTERS = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
_PROMPT_FILTERS = [{"prompt_index": 0, "content_filter_results": _FILTERS}]
_OUTPUTS = ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")

COMPATIBLE = Dialect("compatible", base_url="http://localhost/v1", inputs=_INPUTS, outputs=_OUTPUTS)
"""A server that nobody knows: OpenAI's form, and reasoning where most of them put it."""

_ALL = (
    Dialect(
        "openai",
        base_url="https://api.openai.com/v1",
        tier="default",
        reasoning=(),
        null_usage=True,
        inputs=_INPUTS,
        outputs=_OUTPUTS,
        padding=True,
        message_more={"annotations": []},
        strict=True,
    ),
    Dialect(
        "azure",
        base_url="https://resource.openai.azure.com",
        request_id=("apim-request-id", _UUID),
        reasoning=(),
        null_usage=True,
        inputs=_INPUTS,
        outputs=_OUTPUTS,
        prologue={
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": _PROMPT_FILTERS,
        },
        message_more={"annotations": []},
        choice_more={"content_filter_results": _FILTERS},
        more={"prompt_filter_results": _PROMPT_FILTERS},
        errors="azure",
        strict=True,
    ),
    Dialect(
        "groq",
        base_url="https://api.groq.com/openai/v1",
        answer_id=f"chatcmpl-{_UUID}",
        call_id=f"fc_{_UUID}",
        stream_type="text/event-stream",
        tier="on_demand",
        reasoning=("reasoning",),
        refusals=False,
        whole_calls=True,
        usage="last",
        usage_more={"queue_time": 0.01, "prompt_time": 0.01, "completion_time": 0.02, "total_time": 0.03},
        x_groq=True,
        errors="groq",
        strict=True,
    ),
    Dialect(
        "xai",
        base_url="https://api.x.ai/v1",
        answer_id=_UUID,
        call_id="call_{d8}",
        request_id=("x-request-id", _UUID),
        citations="citations",
        no_text="",
        whole_calls=True,
        bare_images=True,
        usage="alone",
        inputs=("text_tokens", "audio_tokens", "image_tokens", "cached_tokens"),
        outputs=_OUTPUTS,
        usage_more={"num_sources_used": 0},
        beside=True,
        errors="xai",
    ),
    Dialect(
        "deepseek",
        base_url="https://api.deepseek.com",
        answer_id=_UUID,
        call_id="call_00_{a24}",
        request_id=("x-ds-trace-id", "{h32}"),
        refusals=False,
        no_text="",
        call_index=True,
        usage="last",
        null_usage=True,
        inputs=("cached_tokens",),
        cache_hits=True,
        errors="deepseek",
    ),
    Dialect(
        "openrouter",
        base_url="https://openrouter.ai/api/v1",
        answer_id="gen-{created}-{a20}",
        request_id=None,
        stream_type="text/event-stream",
        fingerprint=None,
        reasoning=("reasoning",),
        details=True,
        no_text="",
        call_index=True,
        usage="alone",
        inputs=("cached_tokens", "cache_write_tokens", "audio_tokens", "video_tokens"),
        outputs=("reasoning_tokens", "image_tokens", "audio_tokens"),
        usage_more={"cost": 0, "is_byok": False},
        comment="OPENROUTER PROCESSING",
        more={"provider": "OpenAI"},
        frame_more={"provider": "OpenAI"},
        errors="openrouter",
    ),
    Dialect(
        "huggingface",
        base_url="https://router.huggingface.co/v1",
        answer_id="chatcmpl-{h32}",
        request_id=("x-request-id", f"Root=1-{_UUID}"),
        stream_type="text/event-stream",
        fingerprint=None,
        usage="alone",
        errors="huggingface",
        bare_choice=True,
    ),
    Dialect(
        "together",
        base_url="https://api.together.xyz/v1",
        answer_id="o{a6}-{a6}-{h16}",
        request_id=("x-request-id", _UUID),
        json_type="application/json; charset=utf-8",
        fingerprint="",
        refusals=False,
        reasoning=("reasoning",),
        call_index=True,
        usage="last",
        null_usage=True,
        usage_more={"cached_tokens": 0},
        choice_more={"seed": None},
    ),
    Dialect(
        "mistral",
        base_url="https://api.mistral.ai/v1",
        answer_id="{h32}",
        call_id="{a9}",
        request_id=("mistral-correlation-id", _UUID),
        fingerprint="",
        reasoning=(),
        refusals=False,
        no_text="",
        whole_calls=True,
        call_index=True,
        usage="last",
        errors="mistral",
        bare_tools=True,
        required="any",
        contents=True,
    ),
    Dialect(
        "perplexity",
        base_url="https://api.perplexity.ai",
        answer_id=_UUID,
        request_id=None,
        fingerprint="",
        refusals=False,
        logprobs=False,
        citations="citations",
        usage="each",
        done=False,
        errors="perplexity",
    ),
    Dialect(
        "vllm",
        base_url="http://localhost:8000/v1",
        answer_id="chatcmpl-{h32}",
        call_id="chatcmpl-tool-{h16}",
        request_id=None,
        fingerprint=None,
        # The field was renamed; servers of both ages are about, and clients read either.
        reasoning=("reasoning", "reasoning_content"),
        more={"prompt_logprobs": None, "kv_transfer_params": None},
        choice_more={"stop_reason": None, "token_ids": None},
        errors="vllm",
    ),
    Dialect(
        "crusoe",
        base_url="https://api.inference.crusoecloud.com/v1",
        answer_id="chatcmpl-{h16}",
        call_id="chatcmpl-tool-{h16}",
        request_id=None,
        fingerprint=None,
        reasoning=("reasoning",),
        more={"prompt_logprobs": None, "kv_transfer_params": None},
        choice_more={"stop_reason": None, "token_ids": None},
        errors="vllm",
    ),
    Dialect(
        "snowflake",
        base_url="https://account.snowflakecomputing.com/api/v2/cortex/v1",
        request_id=None,
        stream_type="text/event-stream",
        fingerprint="",
        reasoning=(),
        details=True,
        inputs=_INPUTS,
        outputs=_OUTPUTS,
        errors="flat",
    ),
    Dialect(
        "llama.cpp",
        base_url="http://localhost:8080/v1",
        answer_id="chatcmpl-{a32}",
        call_id="{a32}",
        request_id=None,
        json_type="application/json; charset=utf-8",
        stream_type="text/event-stream",
        fingerprint="b6000-{h8}",
        refusals=False,
        errors="llama.cpp",
    ),
    Dialect(
        "ollama",
        base_url="http://localhost:11434/v1",
        answer_id="chatcmpl-{d3}",
        call_id="call_{h8}",
        request_id=None,
        stream_type="text/event-stream",
        fingerprint="fp_ollama",
        reasoning=("reasoning",),
        refusals=False,
        no_text="",
        call_index=True,
        whole_calls=True,
    ),
    Dialect(
        "cerebras",
        base_url="https://api.cerebras.ai/v1",
        answer_id=f"chatcmpl-{_UUID}",
        call_id="{h9}",
        request_id=None,
        fingerprint="fp_{h20}",
        reasoning=("reasoning",),
        refusals=False,
        usage="last",
        inputs=("cached_tokens",),
        more={
            "time_info": {
                "queue_time": 0.01,
                "prompt_time": 0.01,
                "completion_time": 0.02,
                "total_time": 0.04,
            }
        },
        errors="flat",
    ),
    Dialect(
        "zai",
        base_url="https://api.z.ai/api/paas/v4",
        answer_id="{d14}{h16}",
        request_id=None,
        json_type="application/json; charset=UTF-8",
        stream_type="text/event-stream;charset=UTF-8",
        fingerprint="",
        refusals=False,
        logprobs=False,
        call_index=True,
        usage="last",
        inputs=("cached_tokens",),
    ),
    Dialect(
        "google",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        answer_id="{a22}",
        call_id="function-call-{d18}",
        request_id=None,
        stream_type="text/event-stream",
        fingerprint="",
        refusals=False,
        whole_calls=True,
        usage="last",
        errors="google",
    ),
)

DIALECTS = {dialect.name: dialect for dialect in _ALL}
"""The dialects that differ in more than their name."""


def provider_of(request: Request) -> str | None:
    """Return the provider behind the host, or behind the first segment of a proxy's path."""
    return _provider_at(request.url)


@lru_cache(maxsize=64)  # a script is asked at the same address again and again
def _provider_at(url: str) -> str | None:
    request = Request("POST", url)
    host = request.host
    for suffix, name in _HOSTS:
        if host == suffix or host.endswith(suffix if suffix[0] == "." else f".{suffix}"):
            return name
    if request.port == _OLLAMA_PORT:
        return "ollama"
    if "/openai/deployments/" in request.path:
        return "azure"
    return _SEGMENTS.get(request.path.split("/")[1])


def dialect_of(request: Request) -> Dialect:
    """Return the dialect that answers a request: the provider's, a local server's, or OpenAI's form."""
    name = provider_of(request)
    if name is None and request.host in _LOOPBACK:
        name = _LOCAL.get(request.port or 0)
    return DIALECTS.get(name or "", COMPATIBLE)

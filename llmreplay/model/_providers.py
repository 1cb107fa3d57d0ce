"""Who answers under which name: the wire, the address, the key, and nothing that is code.

A provider is an entry here. What differs in the bodies of those that speak one wire lies in the dialects
of `llmreplay.codecs.openai_chat`, which are told from the address.

Bedrock is not here: its requests are signed, which is more than HTTP with a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmreplay.errors import OptionError

__all__ = ["PROVIDERS", "Provider", "provider_named"]


@dataclass(frozen=True, slots=True)
class Provider:
    """How to reach one provider.

    Attributes:
        name: What stands before the `/` of a model.
        wire: Its codec.
        base_url: Where it lives; None if that has to be told.
        keys: Environment variables that hold its key, the first that is set.
        bases: Environment variables that hold another base URL.
        key_needed: Whether it answers nobody without a key.
        header: The header of the key, and what stands before it.
        asks_usage: Whether a stream tells its usage only if it is asked to (`stream_options`).
        limit: The field of a request in which it takes `max_tokens`.
    """

    name: str
    wire: str
    base_url: str | None
    keys: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    key_needed: bool = True
    header: tuple[str, str] = ("authorization", "Bearer ")
    asks_usage: bool = False
    limit: str = "max_tokens"


def _chat(name: str, base_url: str | None, *keys: str, **fields: Any) -> Provider:
    return Provider(name, "openai_chat", base_url, keys, **{"asks_usage": True, **fields})


_OPENAI = "https://api.openai.com/v1"
_AZURE = {"bases": ("AZURE_OPENAI_ENDPOINT",), "header": ("api-key", "")}
_NEWER = "max_completion_tokens"  # which all models of OpenAI take; the reasoning ones take no `max_tokens`

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        _chat("openai", _OPENAI, "OPENAI_API_KEY", bases=("OPENAI_BASE_URL",), limit=_NEWER),
        Provider(
            "openai-responses", "openai_responses", _OPENAI, ("OPENAI_API_KEY",), bases=("OPENAI_BASE_URL",)
        ),
        _chat("azure", None, "AZURE_OPENAI_API_KEY", limit=_NEWER, **_AZURE),
        Provider(
            "anthropic",
            "anthropic_messages",
            "https://api.anthropic.com",
            ("ANTHROPIC_API_KEY",),
            bases=("ANTHROPIC_BASE_URL",),
            header=("x-api-key", ""),
        ),
        Provider(
            "gemini",
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            header=("x-goog-api-key", ""),
        ),
        Provider("mistral", "mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
        Provider("cohere", "cohere", "https://api.cohere.com", ("COHERE_API_KEY", "CO_API_KEY")),
        _chat("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", asks_usage=False),
        _chat("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
        Provider("xai-responses", "openai_responses", "https://api.x.ai/v1", ("XAI_API_KEY",)),
        _chat("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        _chat("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        Provider(
            "ollama",
            "ollama",
            "http://localhost:11434",
            ("OLLAMA_API_KEY",),
            bases=("OLLAMA_HOST",),
            key_needed=False,
        ),
        _chat("vllm", "http://localhost:8000/v1", "VLLM_API_KEY", key_needed=False),
        _chat("llamacpp", "http://localhost:8080/v1", "LLAMA_API_KEY", key_needed=False),
        _chat("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
        _chat("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
        _chat("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", asks_usage=False),
        _chat("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
        _chat("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
        _chat("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
        _chat("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
        _chat("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
        _chat("github", "https://models.github.ai/inference", "GITHUB_TOKEN"),
        _chat("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
        _chat("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
        # Whatever speaks as OpenAI does.
        _chat("compatible", None, key_needed=False),
    )
}


def provider_named(name: str) -> Provider:
    """Return a provider by its name; raise `OptionError` if there is none."""
    found = PROVIDERS.get(name)
    if found is None:
        raise OptionError("provider", name, f"one of {', '.join(PROVIDERS)}")
    return found

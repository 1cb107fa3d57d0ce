"""Who speaks the chat wire of OpenAI, told from the URL; a dialect is data.

What dialects say beyond OpenAI (`reasoning`, `citations`, `x_groq` …) never clashes, so the codec
reads all of it from everyone. What is left is their name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmreplay.exchange import Request

__all__ = ["provider_of"]

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


def provider_of(request: Request) -> str | None:
    """Return the provider behind the host, or behind the first segment of a proxy's path."""
    host = request.host
    for suffix, name in _HOSTS:
        if host == suffix or host.endswith(suffix if suffix[0] == "." else f".{suffix}"):
            return name
    if request.port == _OLLAMA_PORT:
        return "ollama"
    return _SEGMENTS.get(request.path.split("/")[1])

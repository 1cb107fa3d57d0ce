"""The providers that the tests of `ProviderModel` go through: one for each wire, and for each dialect."""

from __future__ import annotations

from tests.contracts.codecs import WIRES, Wire

MODELS = {
    "openai": "openai/gpt-5.5",
    "openai responses": "openai-responses/gpt-5.5",
    "azure": "azure/my-deployment",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "mistral": "mistral/mistral-large-latest",
    "cohere": "cohere/command-a",
    "groq": "groq/llama-3.3-70b",
    "xai": "xai/grok-4",
    "xai responses": "xai-responses/grok-4",
    "deepseek": "deepseek/deepseek-chat",
    "openrouter": "openrouter/anthropic/claude-sonnet-4.5",
    "ollama": "ollama/llama3.2",
    "vllm": "vllm/Qwen/Qwen3-8B",
    "llama.cpp": "llamacpp/any",
    "huggingface": "huggingface/meta-llama/Llama-3.3-70B",
    "together": "together/meta-llama/Llama-3.3-70B",
    "perplexity": "perplexity/sonar",
    "cerebras": "cerebras/llama-3.3-70b",
    "zai": "zai/glm-4.6",
}
"""Names of models by the wire of the contract that their provider speaks."""

AZURE = "https://mine.openai.azure.com"

BY_WIRE: dict[str, Wire] = {wire.name: wire for wire in WIRES if wire.name in MODELS}

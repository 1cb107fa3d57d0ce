"""Which wire a request speaks, and which requests ask no model."""

from __future__ import annotations

import subprocess
import sys

import pytest
from payloads import asked

from llmreplay import codecs
from llmreplay.exchange import Request

CALLS = [
    ("https://api.openai.com/v1/chat/completions", "openai_chat"),
    ("https://api.openai.com/v1/chat/completions/?beta=1#stream", "openai_chat"),
    ("http://localhost:8000/v1/chat/completions", "openai_chat"),
    ("http://0.0.0.0:4000/chat/completions", "openai_chat"),
    (
        "https://r.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01",
        "openai_chat",
    ),
    ("https://r.openai.azure.com/openai/deployments/mistral-large/chat/completions", "openai_chat"),
    ("https://api.groq.com/openai/v1/chat/completions", "openai_chat"),
    ("https://openrouter.ai/api/v1/chat/completions", "openai_chat"),
    ("https://router.huggingface.co/novita/v3/openai/chat/completions", "openai_chat"),
    ("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions", "openai_chat"),
    ("http://proxy:8787/groq/openai/v1/chat/completions", "openai_chat"),
    ("https://api.mistral.ai/v1/chat/completions#stream", "mistral"),
    ("http://127.0.0.1:9/mistral/v1/chat/completions", "mistral"),
    ("https://api.mistral.ai/v1/agents/completions", "mistral"),
    ("https://codestral.mistral.ai/v1/fim/completions", "mistral_fim"),
    ("https://api.mistral.ai/v1/conversations", "mistral_conversations"),
    ("https://api.openai.com/v1/completions", "openai_completions"),
    ("https://api.openai.com/v1/responses", "openai_responses"),
    ("https://api.deepseek.com/responses", "openai_responses"),
    ("https://chatgpt.com/backend-api/codex/responses", "openai_responses"),
    ("https://api.openai.com/v1/responses/compact", "openai_responses"),
    ("https://api.openai.com/v1/responses/input_tokens", "count_tokens"),
    ("https://api.openai.com/v1/threads/thread_1/runs", "openai_assistants"),
    ("https://api.openai.com/v1/threads/runs", "openai_assistants"),
    ("https://api.openai.com/v1/threads/t/runs/r/submit_tool_outputs", "openai_assistants"),
    ("https://api.anthropic.com/v1/messages?beta=true", "anthropic_messages"),
    ("http://proxy:1/anthropic/v1/messages", "anthropic_messages"),
    (
        "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/c:streamRawPredict",
        "anthropic_messages",
    ),
    ("https://h/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict", "mistral"),
    ("https://api.anthropic.com/v1/messages/count_tokens?beta=true", "count_tokens"),
    ("https://api.anthropic.com/v1/complete", "anthropic_complete"),
    ("https://generativelanguage.googleapis.com/v1beta/models/g:generateContent", "gemini"),
    ("https://generativelanguage.googleapis.com/v1/models/g:streamGenerateContent?alt=sse", "gemini"),
    ("https://h/v1beta1/projects/p/locations/l/publishers/google/models/g:generateContent", "gemini"),
    ("https://generativelanguage.googleapis.com/v1beta/models/g:countTokens", "count_tokens"),
    ("https://generativelanguage.googleapis.com/v1beta/models/g:batchEmbedContents", "embeddings"),
    ("https://generativelanguage.googleapis.com/v1beta/interactions", "gemini_interactions"),
    ("https://h/v1/projects/p/locations/l/publishers/google/models/e:predict", "vertex_predict"),
    ("https://api.cohere.com/v2/chat", "cohere"),
    ("https://api.cohere.com/v1/chat", "cohere_v1"),
    ("https://api.cohere.com/v1/generate", "cohere_generate"),
    ("https://api.cohere.com/v2/embed", "embeddings"),
    ("https://api.cohere.com/v2/rerank", "rerank"),
    ("https://api.voyageai.com/v1/embeddings", "embeddings"),
    ("https://api.writer.com/v1/chat", "writer"),
    ("http://localhost:11434/api/chat", "ollama"),
    ("http://localhost:11434/api/generate", "ollama_generate"),
    ("http://localhost:11434/api/embed", "embeddings"),
    (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-pro-v1%3A0/converse",
        "bedrock_converse",
    ),
    ("https://b.amazonaws.com/model/us.anthropic.claude-v1:0/converse-stream", "bedrock_converse"),
    ("https://b.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ap%2Fx/invoke", "bedrock_invoke"),
    ("https://b.amazonaws.com/model/m/invoke-with-response-stream", "bedrock_invoke"),
    ("https://b.amazonaws.com/model/m/count-tokens", "count_tokens"),
    ("https://api-inference.huggingface.co/models/HuggingFaceH4/zephyr-7b-beta", "huggingface"),
    ("https://router.huggingface.co/hf-inference/models/a/b/pipeline/feature-extraction", "huggingface"),
    ("https://api.replicate.com/v1/models/meta/llama/predictions", "replicate"),
    ("https://api.openai.com/v1/images/generations", "images"),
    ("https://api.openai.com/v1/images/edits", "images"),
    ("https://api.openai.com/v1/audio/speech", "audio"),
    ("https://sourcegraph.com/.api/completions/stream?api-version=2", "sourcegraph"),
]


@pytest.mark.parametrize(("url", "wire"), CALLS)
def test_a_call_is_recognised_by_its_url(url: str, wire: str) -> None:
    assert codecs.recognise(asked(url)) == wire
    assert codecs.recognise(asked(url, method="post")) == wire
    assert codecs.is_llm_call(asked(url))


@pytest.mark.parametrize(
    ("url", "body", "wire"),
    [
        ("http://gateway/v1/messages", {"max_tokens": 1, "messages": []}, "anthropic_messages"),
        ("http://gateway/custom/responses", {"model": "m", "input": "x"}, "openai_responses"),
        ("http://gateway/api/chat", {"model": "m", "messages": []}, "ollama"),
        ("http://gateway/api/generate", {"model": "m", "prompt": "x"}, "ollama_generate"),
        ("http://gateway/v2/chat", {"model": "m", "messages": []}, "cohere"),
        ("http://gateway/generate_stream", {"inputs": "x"}, "huggingface"),
        ("http://gateway/embed", {"inputs": "x"}, "embeddings"),
        ("http://gateway/rerank", {"query": "q", "documents": []}, "rerank"),
        ("http://gateway/x/interactions", {"model": "m", "input": "x"}, "gemini_interactions"),
        ("http://gateway/v1/moderations", {"input": "x"}, "moderations"),
    ],
)
def test_where_others_use_the_same_path_the_body_tells(url: str, body: object, wire: str) -> None:
    assert codecs.recognise(asked(url, body)) == wire
    assert codecs.recognise(asked(url, {"text": "hi"})) is None


def test_a_version_header_tells_a_message_to_anthropic() -> None:
    request = asked("http://gateway/v1/messages", headers=[("Anthropic-Version", "2023-06-01")])

    assert codecs.recognise(request) == "anthropic_messages"


def test_a_deferred_answer_is_the_only_call_that_is_fetched() -> None:
    deferred = "https://api.x.ai/v1/chat/deferred-completion/1234"

    assert codecs.recognise(asked(deferred, method="GET")) == "openai_chat"
    assert all(codecs.recognise(asked(url, method="GET")) is None for url, _ in CALLS)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.weather.example/v1/forecast?city=Oslo",
        "https://api.github.com/repos/a/b/issues",
        "https://example.org",
        "https://example.org/",
        "https://example.org/#/chat/completions",
        "https://example.org/?next=/v1/chat/completions",
        "https://example.org/surveys/7/responses",
        "https://discord.com/api/v10/channels/1/messages",
        "https://api.openai.com/v1/threads/thread_1/messages",
        "https://api.openai.com/v1/files",
        "https://api.openai.com/v1/models",
        "https://api.anthropic.com/v1/messages/batches",
        "https://example.org/api/chat",
        "https://example.org/v1/chat",
        "https://example.org/v1/complete",
        "https://example.org/model",
        "https://example.org/data:predict",
        "https://example.org/projects/models/m:predict",
        "https://example.org/models/m:train",
        "https://example.org/models/m:rawPredict",
        "https://example.org/conversations",
        "https://example.org/predictions",
        "https://huggingface.co/api/whoami-v2",
        "http://localhost:11434/api/pull",
        "https://oauth2.googleapis.com/token",
        "not a url",
        "",
    ],
)
def test_other_traffic_is_left_alone(url: str) -> None:
    assert codecs.recognise(asked(url, {"text": "hi"})) is None
    assert not codecs.is_llm_call(Request("GET", url))


def test_recognising_imports_neither_pydantic_nor_a_codec() -> None:
    program = (
        "import sys\n"
        "from llmreplay import codecs\n"
        "from llmreplay.exchange import Exchange, Request, Response\n"
        "request = Request('POST', 'https://api.openai.com/v1/chat/completions')\n"
        "assert codecs.is_llm_call(request)\n"
        "assert not codecs.finished(Exchange(request, Response.of(200, b'')))\n"
        "bad = [name for name in sys.modules if name.startswith(('pydantic', 'llmreplay.completion'))]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

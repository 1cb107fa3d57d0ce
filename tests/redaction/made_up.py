"""Made-up secrets, put together at run time so that no scanner takes this repository for a leak."""

from __future__ import annotations

import base64

MIXED = "a1B2" * 12
HEX = "0a1b2c3d" * 8
UPPER = "Q7XK" * 12


def segment(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


JWT = ".".join([segment('{"alg":"HS256","typ":"JWT"}'), segment('{"sub":"1234567890"}'), MIXED[:43]])
PEM_BODY = "\n".join(["MIIE" + MIXED + "+/3xYz09"] * 4)


def pem(label: str) -> str:
    return f"-----BEGIN {label}-----\n{PEM_BODY}\n-----END {label}-----\n"


SHAPED = {
    "openai legacy": "sk-" + MIXED,
    "openai project": "sk-" + "proj-" + MIXED + "_" + MIXED,
    "openai service account": "sk-" + "svcacct-" + MIXED,
    "openai admin": "sk-" + "admin-" + MIXED,
    "openai without digits": "sk-" + "AbCdEfGh" * 5,
    "openai ephemeral": "ek_" + HEX[:32],
    "deepseek": "sk-" + HEX[:32],
    "litellm": "sk-" + "Zt4_kQ-9sLmWx2Rb7Uv1pA",
    "anthropic": "sk-" + "ant-api03-" + MIXED + "-" + MIXED + "AA",
    "openrouter": "sk-" + "or-v1-" + HEX,
    "groq": "gsk_" + MIXED,
    "xai": "xai-" + MIXED + MIXED,
    "google": "AIza" + "SyA1-b2_C3d4E5f6G7h8I9j0K1l2M3n4O5p"[:35],
    "google oauth": "ya29." + "a0Af_" + MIXED,
    "google client secret": "GOCSPX-" + MIXED[:28],
    "hugging face": "hf_" + MIXED[:34],
    "replicate": "r8_" + MIXED[:37],
    "perplexity": "pplx-" + MIXED,
    "fireworks": "fw_" + MIXED[:24],
    "nvidia": "nvapi-" + MIXED + "-" + MIXED[:16],
    "cerebras": "csk-" + HEX[:48],
    "tavily": "tvly-" + "dev-" + MIXED[:32],
    "langsmith": "lsv2_" + "pt_" + HEX[:32] + "_" + HEX[:10],
    "langfuse": "sk-" + "lf-12345678-1234-1234-1234-1234567890ab",
    "jina": "jina_" + HEX[:32] + MIXED[:28],
    "pinecone": "pcsk_" + "5Tq2_" + MIXED,
    "databricks": "dapi" + HEX[:32],
    "bedrock": "ABSK" + MIXED + MIXED + "0==",
    "aws id": "AKIA" + UPPER[:16],
    "aws temporary id": "ASIA" + UPPER[:16],
    "github": "ghp_" + MIXED[:36],
    "github server": "ghs_" + MIXED[:36],
    "github fine-grained": "github_" + "pat_" + MIXED[:22] + "_" + MIXED,
    "gitlab": "glpat-" + MIXED[:20],
    "slack": "xox" + "b-123456789012-1234567890123-" + MIXED[:24],
    "stripe": "sk_" + "live_" + MIXED[:24],
    "stripe restricted": "rk_" + "live_" + MIXED[:24],
    "sendgrid": "SG." + MIXED[:22] + "." + MIXED[:43],
    "npm": "npm_" + MIXED[:36],
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + MIXED,
    "jwt": JWT,
}
"""Secrets that are recognised wherever they stand, by what they look like."""

NAMES = (
    "api_key",
    "apikey",
    "api-key",
    "apiKey",
    "X-Api-Key",
    "OPENAI_API_KEY",
    "mistral_api_key",
    "openaiApiKey",
    "access_token",
    "accessToken",
    "refresh_token",
    "id_token",
    "idToken",
    "client_secret",
    "password",
    "db_password",
    "passwd",
    "passphrase",
    "secret_key",
    "secret_access_key",
    "aws_secret_access_key",
    "session_token",
    "aws_session_token",
    "private_key",
    "authorization",
    "Proxy-Authorization",
    "HF_TOKEN",
    "APP_SECRET",
)
"""Names of fields whose value is a secret."""

from __future__ import annotations

import base64
import json
import os
import random
from pathlib import Path

import pytest
import yaml
from made_up import SHAPED

from llmreplay.exchange import Exchange, Request, Response
from llmreplay.redaction import Redaction

# Blobs need not be unpredictable, only the same on each run.
RANDOM = random.Random(7)


def blob(size: int, *, url_safe: bool = False) -> str:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    return encode(RANDOM.randbytes(size)).decode()


HARMLESS = {
    "token counts": {
        "max_tokens": 1024,
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21, "cached_tokens": 0},
        "max_completion_tokens": 5,
        "budget_tokens": "1024",
    },
    "logprobs": {
        "content": [{"token": "Hello", "logprob": -0.31, "bytes": [72], "top_logprobs": [{"token": "Hi"}]}],
    },
    "types": {"type": "secret", "name": "password", "required": ["api_key", "token"], "secret": "Hello"},
    "pages": {
        "next_page_token": "CAESBgoEABAB1234567890abcdef",
        "pageToken": "a1b2c3d4e5f6g7h8",
        "page_token": "x1",
    },
    "keys that are none": {
        "key": "a1b2c3d4e5f6a7b8c9d0",
        "cache_key": "user-123-session-456",
        "prompt_cache_key": "5f0c1a62",
        "idempotency_key": "f7c1c7f0-1c7e-4d6a-9a49-6a1b2c3d4e5f",
        "primary_key": "id9f8e7d6c5b4a",
        "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUsO4",
        "clientToken": "3b1f4c2a9d8e7f6a5b4c",
    },
    "ids": {
        "id": "chatcmpl-9vXkT5hTn0HfBqkS2nYc3mXoWb7Zp",
        "tool": "call_62136354a1b2c3d4e5f6g7h8",
        "anthropic": "toolu_01A09q90qw90lq917835lq9",
        "message": "msg_013Zva2CMHLNnjNjJKqJ2EF",
        "request": "req_011CSHoEeqs5C35K2UUqR7Fy",
        "response": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "reasoning": "rs_67ccd3acc8d48190a77525dc6de64b4104becb25c45c1d41",
        "thread": "thread_abc123DEF456ghi789JKL012",
        "file": "file-9vXkT5hTn0HfBqkS2nYc3mXo",
        "uuid": "0f2c1a62-8a4e-4ab0-a9a8-1f27e37c8a1d",
        "fingerprint": "fp_50cad350e4a1b2c3d4",
        "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "arn": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-20241022-v2:0",
        "model": "accounts/fireworks/models/llama-v3p1-405b-instruct",
    },
    "signatures": {
        "signature": blob(300),
        "thought_signature": blob(200),
        "thoughtSignature": blob(200, url_safe=True),
        "encrypted_content": "gAAAAAB" + blob(600, url_safe=True),
        "data": blob(400),
    },
    "words with a hyphen": (
        "Use sk-learn, then sk-learn-pipeline-for-classification-v2; the task-a1b2c3d4e5f6a7b8c9d0e1f2 "
        "ran on disk-0123456789abcdef0123456789 with mask-rcnn, risk-adjusted-return-calculations and "
        "xai-explainability."
    ),
    "other prefixes": (
        "hf_transformers_pipeline, gsk_pharmaceuticals, fw_version, r8_something, npm_package_version, "
        "pypi-server, pplx-online, fc-layer, csk-team, glpat-what, SG.Server.Name, xai-research-programme-two"
    ),
    "masks": {
        "content": "[REDACTED] <redacted> sk-... sk-*** sk-xxxx ***",
        "api_key": "***",
        "password": "[REDACTED]",
    },
    "templates": {
        "api_key": "${OPENAI_API_KEY}",
        "authorization": "Bearer {token}",
        "password": "<your password>",
        "client_secret": "{{ secret }}",
        "access_token": "your-access-token",
        "code": "client = OpenAI(api_key=os.environ['OPENAI_API_KEY'], password=getpass2())",
    },
    "empty values": {
        "api_key": "",
        "password": None,
        "access_token": 12345678,
        "client_secret": ["", {}],
        "passwd": True,
    },
    "schema": {
        "properties": {
            "api_key": {"type": "string", "description": "The API key."},
            "password": {"type": "string", "format": "password"},
        },
        "required": ["api_key", "password"],
    },
    "flat schema": {
        "api_key": "string",
        "authorization": "the value of the header to send",
        "password": "str",
    },
    "docstring": (
        "Args:\n    api_key: The API key to use.\n    password: str, optional\n"
        "    access_token (str): a token\n    client_secret: Optional[str] = None\n\nExample::\n\n"
        "    login(password=password, api_key=config.api_key2)\n"
    ),
    "prose": (
        "My password: I forgot it. Bearer authentication is what 'Authorization: Bearer <token>' means; "
        "basic understanding suffices. What is an access_token = ? Set api_key=YOUR_API_KEY or api_key=None. "
        "The bearer of-this-very-long-letter. -----BEGIN PRIVATE KEY----- is how such a file starts."
    ),
    "certificates": "-----BEGIN CERTIFICATE-----\nMIIE" + blob(60) + "\n-----END CERTIFICATE-----\n",
    "urls": [
        "https://user@example.com/a?code=abc&page=2&max_tokens=5",
        "https://example.com/?key=value&token=abc",
        "https://example.com/path/to/some/quite/long/resource-name-1234567890.html#section-12",
        "postgres://user:password@localhost:5432/db",
        "postgres://user:${PASSWORD}@localhost/db",
        "ssh git@github.com:a/b.git; http://[::1]:8080/x@y:z",
    ],
    "image": {"url": "data:image/png;base64," + blob(3000)},
    "source": (
        "def f(access_token: str, *, password: str = '') -> None:\n    self.api_key = api_key\n"
        "    if token == key:\n"
    ),
    "html": '<input type="password" name="password"><label>Password</label><code>api_key</code>',
    "unicode": "Schlüssel: äöü — 鍵は秘密です: パスワード 🔑 \u2028 key",
    "escapes": "C:\\users\\nsk\\new\\table and \\u0041\\u0042",
}


def exchange_of(body: bytes) -> Exchange:
    kind = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Exchange(Request("POST", "https://h/v1", kind, body), Response.of(200, [body[:9], body[9:]], kind))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_secret_stays_as_it_is_and_is_not_found(name):
    redaction = Redaction(environ={})
    value = HARMLESS[name]
    for body in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False, indent=2),
        json.dumps({"arguments": json.dumps(value)}),
        yaml.safe_dump(value, allow_unicode=True),
        value if isinstance(value, str) else "",
    ):
        exchange = exchange_of(body.encode())

        assert redaction.exchange(exchange) == exchange
        assert redaction.find(body.encode()) == []


def test_a_long_conversation_of_ids_and_blobs_in_a_stream_stays():
    events = [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": blob(90)},
        }
        for _ in range(50)
    ] + [
        {"id": f"chatcmpl-{blob(20, url_safe=True)}", "choices": [{"delta": {"content": f"w{n} "}}]}
        for n in range(50)
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    redaction = Redaction(environ={})

    assert redaction.exchange(exchange_of(body)) == exchange_of(body)
    assert redaction.find(body) == []


CORPUS = os.environ.get("LLMREPLAY_CORPUS")

KNOWN = (
    "FAKE-SESSION-TOKEN",
    "AWS4-HMAC-SHA256 ",
    '"api_key": "phc_',
    "Authorization: Bearer ",
)
"""What stands in front of, or in, values that a human left in a public recording under a secret's name."""


@pytest.mark.skipif(not CORPUS, reason="LLMREPLAY_CORPUS names no folder of recordings")
def test_in_public_recordings_only_plausible_secrets_are_found():
    redaction = Redaction(environ={})
    files = [path for path in sorted(Path(CORPUS or ".").rglob("*")) if path.is_file()]
    surprising = []

    for path in files:
        data = path.read_bytes()
        lines = data.split(b"\n")
        for finding in redaction.find(data):
            line = lines[finding.line - 1].decode("latin-1")
            if "base64" not in finding.kind and not any(known in line for known in KNOWN):
                surprising.append(
                    f"{path.relative_to(CORPUS or '.')}:{finding.line}:{finding.column} {finding.kind}"
                )

    assert files
    assert surprising == []


@pytest.mark.skipif(not CORPUS, reason="LLMREPLAY_CORPUS names no folder of recordings")
def test_public_recordings_are_clean_once_redacted():
    redaction = Redaction(environ={}, patterns=[])
    bodies = [path.read_bytes() for path in sorted(Path(CORPUS or ".").rglob("*")) if path.is_file()]

    for body in bodies:
        planted = body + b"\n" + SHAPED["openai project"].encode() + b"\n"
        stored = redaction.exchange(exchange_of(planted)).response.body
        assert stored.endswith(b"\n[redacted-1]\n") or b"[redacted-1]" in stored
        assert redaction.find(stored) == []

"""What secrets look like: the shapes of keys and tokens, wherever they stand.

Rules:

* A shape with a prefix of its own (`sk-ant-`, `AKIA`) is a secret whatever follows. A loose one
  (`sk-`, `xai-`) is one unless what follows reads like words: `sk-learn-pipeline` is prose.
* Every shape holds 16 characters of `RUN` in a row, so that a look at the long runs of a text is
  a look at all of it; a private key and what follows "Bearer" are found by their opening words.
* Repetition is possessive: no input, however hostile, makes a pattern try again.
"""

from __future__ import annotations

import binascii
import re

__all__ = [
    "BEARER",
    "LONG",
    "PRIVATE_KEY",
    "RUN",
    "SHAPES",
    "basic_credentials",
    "kind_of",
    "looks_like_words",
]

RUN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/.=%~-:@?&;"
"""Characters that hold a key, a URL or base64 together."""

LONG = 16
"""The length from which a run is worth a look."""

_STRICT = (
    ("Anthropic key", r"sk-ant-[\w-]{16,}+"),
    ("OpenAI key", r"sk-(?:proj|svcacct|admin|None|service)-[\w-]{16,}+"),
    ("OpenRouter key", r"sk-or-(?:v1-)?+[\w-]{16,}+"),
    ("Langfuse key", r"[sp]k-lf-[\w-]{16,}+"),
    ("OpenAI ephemeral key", r"ek_[0-9a-f]{24,}+"),
    ("Google API key", r"AIza[\w-]{30,}+"),
    ("Google token", r"ya29\.[\w.-]{20,}+"),
    ("Google client secret", r"GOCSPX-[\w-]{20,}+"),
    ("AWS access key id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("Bedrock API key", r"ABSK[A-Za-z0-9+/]{60,}+={0,2}+"),
    ("Bedrock API key", r"bedrock-api-key-[A-Za-z0-9+/_=-]{40,}+"),
    ("GitHub token", r"gh[pousr]_[A-Za-z0-9]{30,}+"),
    ("GitHub token", r"github_pat_\w{30,}+"),
    ("GitLab token", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[\w.-]{20,}+"),
    ("Slack token", r"xox[abeoprs](?:\.xox[bp])?+-[A-Za-z0-9-]{12,}+"),
    ("Slack token", r"xapp-\d-[A-Za-z0-9-]{16,}+"),
    ("Stripe key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+"),
    ("webhook secret", r"whsec_[A-Za-z0-9+/]{24,}+={0,2}+"),
    ("SendGrid key", r"SG\.[\w-]{16,}+\.[\w-]{16,}+"),
    ("npm token", r"npm_[A-Za-z0-9]{30,}+"),
    ("PyPI token", r"pypi-[\w-]{50,}+"),
    ("LangSmith key", r"lsv2_(?:pt|sk)_\w{20,}+"),
    ("JSON web token", r"(?<![\w-])eyJ[\w-]{10,}+\.[\w-]{10,}+\.[\w-]{10,}+(?:\.[\w-]++){0,2}+"),
    ("Atlassian token", r"ATATT3[\w=-]{30,}+"),
    ("Vault token", r"hv[sb]\.[\w-]{24,}+"),
    ("Grafana token", r"gl(?:sa|c)_\w{30,}+"),
    ("DigitalOcean token", r"do[opr]_v1_[0-9a-f]{40,}+"),
    ("Shopify token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{30,}+"),
    ("Tailscale key", r"tskey-[a-z]++-[\w-]{16,}+"),
    ("age key", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}+"),
    ("request signature", r"(?<=[Ss]ignature=)[0-9a-f]{64}"),
)

_LOOSE = (
    ("API key", r"sk-[\w-]{20,}+"),
    ("Groq key", r"gsk_[A-Za-z0-9]{20,}+"),
    ("xAI key", r"xai-[A-Za-z0-9]{20,}+"),
    ("Hugging Face token", r"(?:hf|api_org)_[A-Za-z0-9]{20,}+"),
    ("Replicate token", r"r8_[A-Za-z0-9]{30,}+"),
    ("Perplexity key", r"pplx-[A-Za-z0-9]{30,}+"),
    ("Fireworks key", r"fw_[A-Za-z0-9]{20,}+"),
    ("NVIDIA key", r"nvapi-[\w-]{30,}+"),
    ("Cerebras key", r"csk-[A-Za-z0-9]{30,}+"),
    ("Tavily key", r"tvly-(?:dev-|prod-)?+[\w-]{20,}+"),
    ("Databricks token", r"dapi[0-9a-f]{32}"),
    ("Jina key", r"jina_\w{40,}+"),
    ("Pinecone key", r"pcsk_\w{40,}+"),
    ("LlamaCloud key", r"llx-[A-Za-z0-9]{30,}+"),
    ("E2B key", r"e2b_[0-9a-f]{30,}+"),
    ("Firecrawl key", r"fc-[0-9a-f]{30,}+"),
    ("Linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{30,}+"),
    ("Notion token", r"ntn_[A-Za-z0-9]{30,}+"),
    ("Supabase token", r"sb[p]_[A-Za-z0-9]{30,}+"),
    ("Vercel key", r"vc[kp]_[A-Za-z0-9]{30,}+"),
)

_GROUPS = "|".join(f"({shape})" for _, shape in (*_STRICT, *_LOOSE))
SHAPES = re.compile(rf"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-F]{{2}}))(?:{_GROUPS})".encode())
"""One alternation of all shapes; the number of the group that matched names the kind."""

_KINDS = tuple(kind for kind, _ in (*_STRICT, *_LOOSE))

PRIVATE_KEY = re.compile(
    rb"-----BEGIN[ +%][A-Z0-9 +%]{0,48}PRIVATE(?:[ +]|%20)KEY(?:(?:[ +]|%20)BLOCK)?-----"
    rb"(?:[\s\\nr]*+(?:Proc-Type|DEK-Info|Version|Comment): ?(?:[\w ,.()/:]|-(?!-)){1,80}+)*+"
    rb"[A-Za-z0-9+/=\s\\%]{16,}+"
    rb"(?:-----END[ +%][A-Z0-9 +%]{0,48}PRIVATE(?:[ +]|%20)KEY(?:(?:[ +]|%20)BLOCK)?-----)?"
)
"""A private key in PEM form, plain, escaped as in JSON or in a URL, or cut off by its end."""

BEARER = re.compile(rb"(?:[Bb]earer|BEARER)(?:[ +]|%20)$")
"""What stands just before a bearer token."""

_WORD = re.compile(rb"(?:(?:[A-Z]?[a-z]{1,14}|[A-Z]{1,12}){1,3}+\d{0,3}|\d{1,4}|(?:19|20)\d{6}|)")
_SEPARATOR = re.compile(rb"[-_./+=:~@?&;,%]")


_WITHOUT_PUNCTUATION = (
    b"AIza",
    b"AKIA",
    b"ASIA",
    b"ABIA",
    b"ACCA",
    b"ABSK",
    b"ATATT3",
    b"dapi",
    b"ignature=",
)


def may_hold_shapes(run: bytes) -> bool:
    """Whether a long run is worth a search; an image in base64, which has no punctuation, is not."""
    if b"-" in run or b"_" in run or b"." in run:
        return True
    return any(start in run for start in _WITHOUT_PUNCTUATION)


def looks_like_words(text: bytes) -> bool:
    """Whether a text consists of words, numbers and dates, as names do and random strings do not."""
    return all(len(part) <= LONG and _WORD.fullmatch(part) for part in _SEPARATOR.split(text))


def kind_of(match: re.Match[bytes]) -> str | None:
    """Name what a match of `SHAPES` is, or None where it only reads like one."""
    index = (match.lastindex or 1) - 1
    if index >= len(_STRICT) and looks_like_words(match.group()):
        return None
    return _KINDS[index]


def basic_credentials(token: bytes) -> bool:
    """Whether a text is `user:password` in base64, as "Basic" authentication sends it."""
    try:
        pair = binascii.a2b_base64(token + b"=" * (-len(token) % 4))
    except binascii.Error:
        return False
    return b":" in pair and len(pair) > 2 and all(0x20 <= byte < 0x7F for byte in pair)  # noqa: PLR2004  a:b

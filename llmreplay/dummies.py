"""Keys of providers that are lent a dummy value while no call of a model may go to the network.

SDK clients can then be built on a machine that has none. A key that is set stays as it is.
"""

from __future__ import annotations

import os
import threading

__all__ = ["DUMMY_KEY", "KEYS", "lend", "take_back"]

DUMMY_KEY = "llmreplay-dummy-key"
"""What a provider key is set to while nothing may go to the network and it has no value."""

KEYS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "MISTRAL_API_KEY",
    "COHERE_API_KEY",
    "CO_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
    "FIREWORKS_API_KEY",
    "PERPLEXITY_API_KEY",
    "CEREBRAS_API_KEY",
    "HF_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""The variables that SDKs look for their keys in."""


class _Dummies:
    """Provider keys that are lent a dummy value while at least one session only replays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._borrowers = 0
        self._before: dict[str, str | None] = {}

    def lend(self) -> None:
        with self._lock:
            self._borrowers += 1
            if self._borrowers == 1:
                # To look for a name that is not there is slow, twenty of them in each test.
                there = set(os.environ)
                self._before = {name: None for name in KEYS if name not in there}
                self._before |= {name: "" for name in KEYS if name in there and not os.environ[name]}
                os.environ.update(dict.fromkeys(self._before, DUMMY_KEY))

    def take_back(self) -> None:
        with self._lock:
            self._borrowers -= 1
            if self._borrowers == 0:
                for name, value in self._before.items():
                    if os.environ.get(name) == DUMMY_KEY:
                        del os.environ[name]
                        if value is not None:
                            os.environ[name] = value
                self._before = {}


_dummies = _Dummies()
lend, take_back = _dummies.lend, _dummies.take_back

"""What the environment of the process holds: keys of providers, and whatever else is secret by its name.

Rules:

* A variable is secret whose name ends in KEY, TOKEN, SECRET or PASSWORD, with a value of 8 characters
  or more. Nothing is guessed about the value: `MODE_KEY=production` hides the word "production".
* Keys of providers that are not set are lent a dummy value while no call of a model may go to the
  network, so that SDK clients can be built on a machine that has none. A dummy is no secret.
* Every test asks, so names are judged once.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["DUMMY_KEY", "KEYS", "SHORTEST", "lend", "secrets", "take_back"]

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

SHORTEST = 8
"""A shorter value is no secret: it would be found everywhere."""

_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)


def secrets(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that are secret, with their values; of the process if no others are given."""
    there: Mapping[str, str] = os.environ if environ is None else environ
    named = ((name, there.get(name, "")) for name in _secret_names(tuple(there)))
    return {name: value for name, value in named if len(value) >= SHORTEST and value != DUMMY_KEY}


@lru_cache(maxsize=8)
def _secret_names(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _SECRET_NAME.search(name)]


_value = os._Environ.__getitem__  # noqa: SLF001  it has no other name


class _Lending(os._Environ[str]):  # noqa: SLF001
    """The environment with a dummy for each key of a provider that has no value.

    This class takes the place of that of `os.environ`: nothing is set that would have to be unset, twenty
    variables in each test, and no child process sees any of it.
    """

    def __getitem__(self, key: str) -> str:
        if key not in _lent:
            return _value(self, key)
        try:
            return _value(self, key) or DUMMY_KEY
        except KeyError:
            return DUMMY_KEY

    def __setitem__(self, key: str, value: str) -> None:
        if value == DUMMY_KEY and key in KEYS:
            # Somebody who has saved the environment puts it back.
            with suppress(KeyError):
                super().__delitem__(key)
            _lent.add(key)
        else:
            super().__setitem__(key, value)
            _lent.discard(key)

    def __delitem__(self, key: str) -> None:
        if key not in _lent:
            super().__delitem__(key)
            return
        _lent.discard(key)
        with suppress(KeyError):
            super().__delitem__(key)

    def __iter__(self) -> Iterator[str]:
        there = list(super().__iter__())
        yield from there
        yield from sorted(_lent.difference(there))

    def __len__(self) -> int:
        return len(list(iter(self)))


class _Loan:
    """Who is lent dummies, and the environment that has them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._borrowers = 0
        self._lending: os._Environ[str] | None = None

    def lend(self) -> None:
        """Lend a dummy to every key without a value; each call needs one of `take_back`.

        An environment that somebody has put in the place of the real one is left as it is.
        """
        with self._lock:
            self._borrowers += 1
            if self._borrowers == 1 and type(os.environ) is os._Environ:  # noqa: SLF001
                _lent.update(KEYS)
                self._lending = os.environ
                self._lending.__class__ = _Lending

    def take_back(self) -> None:
        """Take the dummies back with the last of those who borrowed them."""
        with self._lock:
            self._borrowers -= 1
            if self._borrowers == 0 and self._lending is not None:
                self._lending.__class__ = os._Environ  # noqa: SLF001
                self._lending = None
                _lent.clear()


_lent: set[str] = set()
_loan = _Loan()
lend, take_back = _loan.lend, _loan.take_back

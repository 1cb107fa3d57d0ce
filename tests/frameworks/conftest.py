"""What the tests of client libraries and frameworks share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmreplay.clock import Clock

AILIB_MANIFESTS = Path(__file__).parent / "ailib" / "manifests"
_AILIB_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY")
_AILIB_OPTIONS = ("AI_PROTOCOL_PATH", "AI_HTTP_TIMEOUT_SECS", "AI_TIMEOUT_SECS", "AI_HTTP_TRUST_ENV")
_AILIB_CLOCKS = (
    "ai_lib_python.client.response",
    "ai_lib_python.resilience.circuit_breaker",
    "ai_lib_python.resilience.rate_limiter",
)


@pytest.fixture
def ailib(monkeypatch: pytest.MonkeyPatch) -> Path:
    """ai-lib-python with the manifests of these tests, and without keys or options of the machine."""
    for name in (*_AILIB_KEYS, *_AILIB_OPTIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AI_PROTOCOL_DIR", str(AILIB_MANIFESTS))
    return AILIB_MANIFESTS


@pytest.fixture
def ailib_time(ailib: Path, llm_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock by which ai-lib-python sleeps, and by which it measures too: what really passes is not seen."""
    measured = SimpleNamespace(time=lambda: llm_clock.now, monotonic=lambda: llm_clock.now)
    for name in _AILIB_CLOCKS:
        monkeypatch.setattr(f"{name}.time", measured)
    return llm_clock

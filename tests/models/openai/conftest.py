"""Short waits for what waits seconds."""

from __future__ import annotations

import pytest

from toolgen_hf import _utils
from toolgen_hf.models.openai import adaptations, limits, sender


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps, each a twentieth of its time or so."""
    monkeypatch.setattr(sender, "backoff", lambda attempt, base=0.5: _utils.backoff(attempt, base / 20))
    monkeypatch.setattr(limits, "FIRST_PATIENCE", 0.3)
    monkeypatch.setattr(limits, "PAUSE", 0.05)
    monkeypatch.setattr(limits.Window, "PERIOD", 0.05)


@pytest.fixture(autouse=True)
def servers_stop_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgen_hf.testing.server._LINGER", 0.001)


@pytest.fixture(autouse=True)
def no_keys_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_PATH", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def engines_are_new() -> None:
    """What a server of an earlier test, perhaps on the same port, wanted otherwise."""
    adaptations.shape_of.cache_clear()

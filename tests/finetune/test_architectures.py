"""Adapters on models that are no llama: which layers are found, and that the loss is the model's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, MambaConfig, MambaForCausalLM

from tests.finetune.support import INSTRUCTION, ROWS
from toolgen_hf.ask import Prompt, Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune import FinetuneConfig, finetune, lora
from toolgen_hf.finetune.lora import collate, find_targets, fitting
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.local import LocalGenerator

SIZE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SMALL: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256},
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "opt": {**SIZE, "ffn_dim": 64, "word_embed_proj_dim": 32, "pad_token_id": 1},
    "mixtral": {**SIZE, "num_local_experts": 2},
    "deepseek_v3": {
        **SIZE,
        "num_key_value_heads": 4,
        "head_dim": 4,
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 8,
        "n_routed_experts": 2,
        "num_experts_per_tok": 1,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 16,
    },
}
FOUND = {
    "llama": ["q_proj", "v_proj"],
    "qwen2": ["q_proj", "v_proj"],
    "qwen3": ["q_proj", "v_proj"],
    "gemma2": ["q_proj", "v_proj"],
    "mixtral": ["q_proj", "v_proj"],
    "cohere": ["q_proj", "v_proj"],
    "opt": ["q_proj", "v_proj"],
    "phi": ["q_proj", "v_proj"],
    "gpt2": ["c_attn"],
    "gpt_neox": ["query_key_value"],
    "falcon": ["query_key_value"],
    "bloom": ["query_key_value"],
    "mpt": ["Wqkv"],
    "phi3": ["o_proj", "qkv_proj"],
    "deepseek_v3": ["kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "q_a_proj", "q_b_proj"],
}


def small(kind: str, vocab_size: int = 99) -> Any:
    torch.manual_seed(0)
    settings = SMALL.get(kind, SIZE)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=vocab_size, **settings))


@pytest.mark.parametrize(("kind", "expected"), FOUND.items())
def test_the_attention_projections_are_found(kind: str, expected: list[str]) -> None:
    model = small(kind)
    assert find_targets(model, None, kind) == expected
    layers = fitting(expected, dict(model.named_modules()))
    assert len(layers) >= 2
    assert all("att" in layer for layer in layers)


@pytest.mark.parametrize("kind", FOUND)
def test_the_loss_is_the_models_own(kind: str, config: FinetuneConfig, tmp_path: Path) -> None:
    features = [
        {"input_ids": [5, 6, 7, 8, 9, 2], "labels": [-100, -100, -100, 8, 9, 2]},
        {"input_ids": [11, 12, 13, 2], "labels": [-100, -100, 13, 2]},
        {"input_ids": [21, 22, 23], "labels": [-100, -100, 23]},
    ]
    trainer = trainer_of(small(kind), kind, config, tmp_path)
    trainer.model.eval()
    for batch in (features, features[:1]):
        expected = trainer.model(**collate(batch)).loss
        got = trainer.compute_loss(trainer.model, collate(batch))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_the_logits_are_of_the_learned_positions_only(config: FinetuneConfig, tmp_path: Path) -> None:
    trainer = trainer_of(small("llama"), "llama", config, tmp_path)
    batch = collate([{"input_ids": [5, 6, 7, 2], "labels": [-100, -100, 7, 2]}] * 3)
    _, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    assert outputs.logits.shape == (1, 6, 99)
    assert trainer.model(batch["input_ids"]).logits.shape == (3, 4, 99)


def trainer_of(model: Any, kind: str, config: FinetuneConfig, folder: Path) -> Any:
    adapted = lora._with_lora(model, find_targets(model, None, kind), config)
    return lora._OutputTrainer(model=adapted, args=lora._arguments(config, folder, "float32", "cpu"))


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "phi3", "qwen3", "mixtral"])
def test_an_adapter_of_another_architecture_is_trained_and_used(
    kind: str, smollm: Path, config: FinetuneConfig, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    folder = tmp_path / kind
    small(kind, 49152).save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm).save_pretrained(folder)
    result = finetune(
        ROWS, config.model_copy(update={"model": str(folder), "max_steps": 2}), tmp_path / "out"
    )
    assert list(result.target_modules) == FOUND[kind]
    written = json.loads((result.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert written["target_modules"] == FOUND[kind]
    assert not [str(w.message) for w in recwarn if "fan_in_fan_out" in str(w.message)]
    used = LocalConfig(model=str(folder), adapter=str(result.adapter), template="alpaca", max_new_tokens=2)
    [[(at, _)]] = LocalGenerator(used).generate([Request(Prompt(INSTRUCTION, ROWS[0]["input"]))])
    assert at == 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("c_attn",), r"\('c_attn',\) do not fit the model 'm': it has no linear layer 'c_attn'; its linear layers "
                      r"are down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj, or leave"),
        (("q_proj", "proj"), "it has no linear layer 'proj'"),
        ((), "there is none; its linear layers are"),
    ],
)  # fmt: skip
def test_layers_the_model_does_not_have(wanted: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_targets(small("llama"), wanted, "m")


def test_layers_that_are_given(config: FinetuneConfig, tmp_path: Path) -> None:
    model = small("llama")
    assert find_targets(model, ("v_proj", "layers.1.mlp.down_proj"), "m") == [
        "layers.1.mlp.down_proj",
        "v_proj",
    ]
    assert find_targets(model, ("lm_head",), "m") == ["lm_head"]
    with pytest.raises(ConfigError, match=r"target_modules=\('c_attn',\) do not fit the model"):
        finetune(ROWS, config.model_copy(update={"target_modules": ("c_attn",)}), tmp_path)


def test_a_model_without_attention() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=99, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(
        ConfigError, match=r"no attention projections .* \(MambaForCausalLM\); .* are dt_proj, in_p"
    ):
        find_targets(model, None, "m")

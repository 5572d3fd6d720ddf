"""Every architecture says over slots, or batch by batch, what transformers' `generate` says of each prompt alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from toolgen_hf.ask import Prompt, Request
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding import forward
from toolgen_hf.models.decoding.attention import ATTENTION
from toolgen_hf.models.loading import load, unload
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.weights import resolve_model

SMALL = {
    "vocab_size": 49152,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
SLIDING = {"sliding_window": 6}
HALF = {"layer_types": ["sliding_attention", "full_attention"]}

SLOTTED: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": SLIDING,
    "mixtral": {"num_local_experts": 2},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {**SLIDING, **HALF, "head_dim": 8, "attn_logit_softcapping": 5.0},
    "gemma3_text": {**SLIDING, **HALF, "head_dim": 8},
    "phi3": {},
    "gpt_neox": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "olmo2": {},
    "granite": {},
    "starcoder2": {},
    "smollm3": {},
    "cohere": {},
}
WHOLE: dict[str, dict[str, Any]] = {
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "rotary_dim": 4},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"alibi": True},
    "gpt_oss": {**SLIDING, **HALF, "head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1},
    "mamba": {"state_size": 4},
}
PROMPTS = [
    "Q: How many legs do 4 dogs have?\nA:",
    "Q: What is 3 * 19, and what is half of that, rounded up to a whole number of dollars?\nA:",
    "Q: Say yes.\nA:",
    "Q: A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total?\nA:",
    "Q: 2+2?\nA:",
]


@pytest.fixture
def saved(smollm: Path, tmp_path: Path) -> Callable[[str, dict[str, Any]], Path]:
    """Writes a small random model of an architecture, with a real tokenizer."""

    def save(kind: str, settings: dict[str, Any]) -> Path:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SMALL, **settings}))
        model.save_pretrained(tmp_path / kind)
        AutoTokenizer.from_pretrained(smollm).save_pretrained(tmp_path / kind)
        return tmp_path / kind

    return save


def alone(folder: Path, **settings: Any) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    made = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        config = GenerationConfig(
            max_new_tokens=14, do_sample=False, eos_token_id=2, pad_token_id=2, **settings
        )
        [ids] = model.generate(**inputs, generation_config=config)
        made.append(tokenizer.decode(ids[inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return made


def ours(folder: Path, **settings: Any) -> list[str]:
    local = LocalConfig(model=str(folder), template="completion", max_new_tokens=14, device="cpu", **settings)
    requests = [Request(Prompt("", prompt)) for prompt in PROMPTS]
    pairs = [pair for chunk in LocalGenerator(local).generate(requests) for pair in chunk]
    return [text.text for _, text in sorted(pairs)]


@pytest.mark.parametrize("kind", [*SLOTTED, *WHOLE])
def test_it_says_what_transformers_says(kind: str, saved: Callable[[str, dict[str, Any]], Path]) -> None:
    folder = saved(kind, SLOTTED.get(kind, WHOLE.get(kind, {})))
    expected = alone(folder)
    assert len(set(expected)) > 3, "these texts could not be told apart"
    assert ours(folder) == expected
    loaded = load(resolve_model(str(folder)), "float32", "cpu")
    assert loaded.has_slots is (kind in SLOTTED)
    assert (loaded.model.config._attn_implementation == ATTENTION) is (kind in SLOTTED)
    assert ours(folder, num_beams=3) == alone(folder, num_beams=3)
    unload()


def test_slots_that_are_few_are_used_again(saved: Callable[[str, dict[str, Any]], Path]) -> None:
    for kind in ("llama", "gemma2"):
        folder = saved(kind, SLOTTED[kind])
        for beams in (1, 2):
            expected = alone(folder, num_beams=beams)
            assert ours(folder, num_beams=beams, batch_size=2 * beams) == expected


def test_an_attention_that_is_not_understood_is_found_out(
    saved: Callable[[str, dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved("llama", {})
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert forward.fits(model)
    probe = forward._probe
    monkeypatch.setattr(forward, "_probe", lambda model, ids: probe(model, ids) + 1.0)
    model.set_attn_implementation("sdpa")
    assert not forward.fits(model)
    assert model.config._attn_implementation == "sdpa"

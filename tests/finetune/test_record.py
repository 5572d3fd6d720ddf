from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.support import ROWS, same
from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune import RECORD, FinetuneConfig, finetune


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


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_damaged_adapter_is_trained_again(config: FinetuneConfig, tmp_path: Path, file: str) -> None:
    first = finetune(ROWS, config, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    victim = first.checkpoints[1] / file
    content = victim.read_bytes()
    victim.write_bytes(content[:-40] + b"0" * 40)
    again = finetune(ROWS, config, tmp_path / "run")
    assert not again.cached
    assert victim.read_bytes() == content
    assert all(same(one, tmp_path / "copy" / one.name) for one in again.checkpoints)


def test_a_run_that_was_recorded_without_digests_is_taken(config: FinetuneConfig, tmp_path: Path) -> None:
    finetune(ROWS, config, tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    del record["digests"]
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert finetune(ROWS, config, tmp_path).cached


@pytest.mark.parametrize("record", ["{", "[]", "3"])
def test_a_damaged_record_is_named(config: FinetuneConfig, tmp_path: Path, record: str) -> None:
    (tmp_path / RECORD).write_text(record)
    with pytest.raises(ConfigError, match="delete its folder to begin anew"):
        finetune(ROWS, config, tmp_path)


def test_foreign_checkpoints_are_left_alone(config: FinetuneConfig, tmp_path: Path) -> None:
    (tmp_path / "checkpoint-500").mkdir()
    with pytest.raises(ConfigError, match="holds checkpoints of something else; give another folder"):
        finetune(ROWS, config, tmp_path)
    assert (tmp_path / "checkpoint-500").is_dir()

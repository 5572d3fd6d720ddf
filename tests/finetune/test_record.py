from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.support import ROWS
from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune import FinetuneConfig, finetune


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

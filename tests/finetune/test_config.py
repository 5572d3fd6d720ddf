from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.finetune.support import ROWS
from toolgen_hf.errors import DataError
from toolgen_hf.finetune import FinetuneConfig, finetune


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows to finetune on"),
        (
            [{**ROWS[0], "output": None}],
            "row '0' is not of stage 1: it needs the texts instruction, output and, if there is one, input",
        ),
        ([*ROWS, {**ROWS[0], "id": "x", "output": " "}], "row 'x' has an empty output"),
        ([{**ROWS[0], "input": 3}], "row '0' is not of stage 1"),
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
        ({"batch_size": 12, "micro_batch_size": 8}, "micro_batch_size=8 must divide batch_size=12"),
        ({"max_steps": 0}, "max_steps"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(model="m", **settings)


@pytest.mark.parametrize(
    ("settings", "at_once"),
    [
        ({}, 4),
        ({"batch_size": 6}, 3),
        ({"batch_size": 7}, 1),
        ({"batch_size": 2}, 2),
        ({"micro_batch_size": 8}, 8),
        ({"micro_batch_size": 99}, 8),
    ],
)
def test_how_many_rows_at_once(settings: dict[str, Any], at_once: int) -> None:
    assert FinetuneConfig(model="m", **settings).rows_at_once == at_once

"""The LoRA fine-tuning of the method, on a merged file: ``{"instruction", "input", "output"}`` a line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolgen_hf._utils import check_apart
from toolgen_hf.builders.inputs import from_files
from toolgen_hf.builders.rows import read_rows
from toolgen_hf.finetune import FinetuneConfig, finetune
from toolgen_hf.published.command import checked


def finetune_lora(source: Path, output: Path, settings: Mapping[str, Any], epochs: int | None = None) -> Path:
    """Train an adapter for a few steps; the checkpoint to use.

    Args:
        settings: of `FinetuneConfig`.
        epochs: how often each row is seen, where ``settings`` has no ``max_steps``.

    Raises:
        ConfigError: a setting, the model or the output cannot be used.
        DataError: the input is malformed, or holds no row.
        GenerationError: the training failed.
    """
    check_apart({"--data_path": source}, {"--output_dir": output})
    ((path,),) = from_files(source, "train").values()
    rows = [{"id": where, **row} for where, row in read_rows(path)]
    if epochs is not None and "max_steps" not in settings:
        rows_a_step = settings.get("batch_size", FinetuneConfig.model_fields["batch_size"].default)
        settings = {**settings, "max_steps": max(1, epochs * math.ceil(len(rows) / rows_a_step))}
    return finetune(rows, checked(FinetuneConfig, **settings), output, output.name).adapter

"""The questions that a recipe asks for, through the builders.

dataset: {builder: gsm8k, rows: {train: 48}}   ->   {"train": 48 rows of schemas.RAW}
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict

from toolgen_hf.builders import GSM8K, QA, load
from toolgen_hf.errors import DataError
from toolgen_hf.recipe import DatasetConfig

BUILDERS = {"gsm8k": GSM8K, "qa": QA}


@dataclass(frozen=True)
class Origin:
    """Where questions come from: a dataset's name, licence, home page and citation, as its builder says."""

    name: str
    license: str
    homepage: str
    citation: str


def load_raw(config: DatasetConfig) -> tuple[DatasetDict, Origin]:
    """The questions (``schemas.RAW``), and where they come from.

    Raises:
        DataError: a file is malformed, or a split is not there or cannot be named as it is.
    """
    options = config.model_dump(include={"source", "revision", "data_dir", "data_files", "columns"})
    options |= {"dataset_name": config.name, "config_name": config.config}
    builder = BUILDERS[config.builder](**{key: value for key, value in options.items() if value is not None})
    splits = load(builder)
    wanted = config.rows or dict.fromkeys(str(split) for split in splits)
    if missing := [split for split in wanted if split not in splits]:
        raise DataError(f"dataset.rows asks for the splits {missing}, but there are only {list(splits)}")
    if taken := [split for split in wanted if split in ("right", "wrong")]:
        raise DataError(f"a split cannot be called {taken[0]!r}: the exports name other files so; rename it")
    raw = {split: _draw(splits[split], count, config.seed) for split, count in wanted.items()}
    info = builder.info
    origin = Origin(
        builder.config.dataset, info.license or "unknown", info.homepage or "", info.citation or ""
    )
    return DatasetDict(raw), origin


def _draw(rows: Dataset, count: int | None, seed: int) -> Dataset:
    """``count`` rows drawn by ``seed``, in their own order."""
    if count is None or count >= len(rows):
        return rows
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.select(sorted(drawn.tolist()))

"""One stage at a time, from a file to a file, with the settings of a recipe.

run_stage("answer", Path("raw.jsonl"), Path("answered.jsonl"), recipe, None, workspace)
in   {"id": "GSM8K-train-0", "question": "Natalia sold ...", "answer": ["72"], "solution": "..."}
out  {"id": "GSM8K-train-0", ..., "response": "The answer is 72.", "prediction": "72.0", "correct": true}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from datasets import DatasetDict, Features, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import check_apart, check_parents, column
from toolgen_hf.data.export import PUBLISHED
from toolgen_hf.data.tables import (
    check_path,
    check_table_target,
    read_candidates,
    read_kept,
    read_sources,
    read_table,
    write_table,
)
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune import FinetuneConfig, FinetuneResult, finetune
from toolgen_hf.flow.make import warn_of_fewer
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.mistakes import validated
from toolgen_hf.recipe.questions import load_raw
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages import STAGES
from toolgen_hf.stages.score import gather


def run_stage(
    stage: str,
    source: Path,
    target: Path,
    recipe: Recipe,
    name: str | None,
    workspace: Workspace,
    mode: str = "w",
) -> None:
    """Run ``stage`` on the table at ``source`` and write its output to ``target``; in a dry run, write nothing.

    Args:
        name: for ``respond`` the source, by its name in the recipe.
        mode: ``"w"`` writes the output anew; ``"a"`` keeps the rows that it has and adds those with new ids.

    Raises:
        ConfigError: the recipe has no such source, or ``target`` cannot hold the output or is the input.
        DataError: the input is malformed or lacks a column.
    """
    recipe.require_one_dataset()
    if stage == "respond":
        generator = _entry(recipe.sources, name, "sources").generator
        if generator.trained_adapter is not None:
            raise ConfigError(
                f"sources.{name} needs the adapter {generator.adapter!r}, which only a whole run trains: train it "
                f"with 'toolgen-hf finetune' and give --set sources.{name}.generator.adapter=ITS_CHECKPOINT"
            )
    check_apart({"the input": source}, {"the output": target})
    check_path(target)
    entry = STAGES[stage.replace("-", "_")]
    rows = _read(stage, source, recipe, entry.stage.reads, workspace)
    check_table_target(list(rows), target)
    kept: dict[str, Any] = {}
    if mode == "a":
        features = entry.stage.features
        kept = {split: one.rows for split, one in read_kept(target, features, rows, name).items()}
    ids = {key for table in kept.values() for key in column(table, "id")}
    new = {
        split: table.select([at for at, key in enumerate(column(table, "id")) if key not in ids])
        if ids
        else table
        for split, table in rows.items()
    }
    made = entry.function(DatasetDict(new), recipe, workspace, name)
    if stage == "score":  # a file has the published columns alone
        made = made.select_columns(list(PUBLISHED["stage2"]))
    if workspace.plan is None:
        both = {
            str(split): concatenate_datasets([*([kept[split]] if split in kept else []), table])
            for split, table in made.items()
        }
        write_table(DatasetDict(both), target)


def write_raw(target: Path, recipe: Recipe) -> None:
    """Write the questions that the recipe asks for to ``target``."""
    recipe.require_one_dataset()
    check_path(target)
    raw, _ = load_raw(recipe.dataset)
    warn_of_fewer(raw, recipe)
    write_table(raw, target)


def train(
    source: Path,
    target: Path,
    recipe: Recipe,
    name: str,
    changes: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> FinetuneResult:
    """Train one of the recipe's adapters on the stage 1 rows at ``source``.

    Args:
        changes: settings of `FinetuneConfig` that replace the recipe's, such as ``{"checkpoint": "last"}``.

    Raises:
        ConfigError: the recipe has no such adapter, a setting makes no sense, or the model or the output cannot be
            used.
        DataError: the input is malformed or lacks a column.
    """
    recipe.require_one_dataset()
    config = _entry(recipe.finetune, name, "finetune")
    check_apart({"the input": source}, {"the output": target})
    check_parents(target)
    if changes:
        changed = {**config.model_dump(), **changes}
        config = validated(FinetuneConfig, changed, f"finetune.{name} with {dict(changes)}")
    columns = ("id", "instruction", "input", "output")  # a published file has no more than the last three
    features = Features({name: schemas.STAGE1[name] for name in columns})
    table = read_table(
        source, features, optional=["input"]
    )  # rows in Alpaca's form may have an instruction alone
    if "train" not in table and len(table) > 1:
        raise DataError(f"{str(source)!r} has no split 'train' to train on; there are {list(table)}")
    rows = table["train"] if "train" in table else next(iter(table.values()))
    return finetune(rows, config, target, name, progress)


def _read(
    stage: str, source: Path, recipe: Recipe, columns: Features | None, workspace: Workspace
) -> DatasetDict:
    """The input of a stage: a table with these columns, or responses of several sources for ``score``."""
    if stage == "score":
        by_source = read_sources(source)
        return (
            gather(by_source, recipe.task)
            if by_source
            else read_candidates(source, recipe.equipped, workspace)
        )
    return read_table(source, columns or Features())


T = TypeVar("T")


def _entry(among: Mapping[str, T], name: str | None, where: str) -> T:
    if name is None or name not in among:
        raise ConfigError(f"the recipe has no {where}.{name}; it has: {', '.join(among) or 'none'}")
    return among[name]

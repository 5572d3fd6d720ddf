"""One stage at a time, from a file to a file, with the settings of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune import finetune
from toolgen_hf.pipeline import run_answer, run_tool_api
from toolgen_hf.questions import load_raw
from toolgen_hf.recipe import Recipe
from toolgen_hf.stages.execute import execute
from toolgen_hf.stages.respond import respond
from toolgen_hf.stages.score import gather, score
from toolgen_hf.stages.stage1 import gold, stage1
from toolgen_hf.tables import check_suffix, read_candidates, read_sources, read_table, write_table
from toolgen_hf.workspace import Workspace


def run_stage(
    stage: str, source: Path, target: Path, recipe: Recipe, name: str | None, workspace: Workspace
) -> None:
    """Run ``stage`` on the table at ``source`` and write its output to ``target``.

    Args:
        name: for ``respond`` the source, by its name in the recipe.

    Raises:
        ConfigError: the recipe has no such source, or ``target`` cannot hold the output.
        DataError: the input is malformed or lacks a column.
    """
    check_suffix(target)
    write_table(STAGES[stage](source, recipe, name, workspace), target)


def write_raw(target: Path, recipe: Recipe) -> None:
    """Write the questions that the recipe asks for to ``target``."""
    write_table(load_raw(recipe.dataset)[0], target)


def train(source: Path, target: Path, recipe: Recipe, name: str) -> Path:
    """Train one of the recipe's adapters on the stage 1 rows at ``source``; the checkpoint to use.

    Raises:
        ConfigError: the recipe has no such adapter, or the model cannot be used.
        DataError: the input is malformed or lacks a column.
    """
    table = read_table(source, schemas.STAGE1)
    if "train" not in table and len(table) > 1:
        raise DataError(f"{str(source)!r} has no split 'train' to train on; there are {list(table)}")
    rows = table["train"] if "train" in table else next(iter(table.values()))
    return finetune(rows, _named(recipe.finetune, name, "finetune"), target).adapter


def _answer(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return run_answer(read_table(source, schemas.RAW), recipe, workspace)


def _tool_api(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return run_tool_api(read_table(source, schemas.ANSWERED), recipe, workspace)


def _stage1(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return stage1(read_table(source, schemas.CALLED), workspace, recipe.task)


def _gold(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return gold(read_table(source, schemas.STAGE1), workspace)


def _respond(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    config = _named(recipe.sources, name, "sources")
    if config.generator.trained_adapter is not None:
        raise ConfigError(
            f"sources.{name} wants the adapter {config.generator.adapter!r}, which a whole run would train: train it "
            f"with 'toolgen-hf finetune' and give --set sources.{name}.generator.adapter=ITS_CHECKPOINT"
        )
    return respond(read_table(source, schemas.RAW), str(name), config, workspace, recipe.task)


def _execute(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return execute(read_table(source, schemas.RESPONSES), workspace, recipe.task)


def _score(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    by_source = read_sources(source)
    candidates = gather(by_source, recipe.task) if by_source else read_candidates(source, recipe.task)
    scored = score(candidates, workspace, recipe.task, recipe.score.strategy)
    published = ["query", "responses", "origin", "scores", "answer"]
    return DatasetDict({split: rows.select_columns(published) for split, rows in scored.items()})


T = TypeVar("T")

STAGES: dict[str, Callable[[Path, Recipe, str | None, Workspace], DatasetDict]] = {
    "answer": _answer,
    "tool-api": _tool_api,
    "stage1": _stage1,
    "gold": _gold,
    "respond": _respond,
    "execute": _execute,
    "score": _score,
}


def _named(among: Mapping[str, T], name: str | None, where: str) -> T:
    if name is None or name not in among:
        raise ConfigError(f"the recipe has no {where}.{name}; it has: {', '.join(among) or 'none'}")
    return among[name]

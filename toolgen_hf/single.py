"""One stage at a time, from a file to a file, with the settings of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune import finetune
from toolgen_hf.recipe import Recipe
from toolgen_hf.stages.answer import answer
from toolgen_hf.stages.execute import execute
from toolgen_hf.stages.respond import respond
from toolgen_hf.stages.score import score
from toolgen_hf.stages.stage1 import stage1
from toolgen_hf.stages.tool_api import tool_api
from toolgen_hf.tables import read_candidates, read_table, write_table
from toolgen_hf.workspace import Workspace


def run_stage(
    stage: str, source: Path, target: Path, recipe: Recipe, name: str | None, workspace: Workspace
) -> None:
    """Run ``stage`` on the table at ``source`` and write its output to ``target``.

    Args:
        name: for ``respond`` the source, for ``finetune`` the adapter, by its name in the recipe.

    Raises:
        ConfigError: the recipe has no such source or adapter, or ``target`` cannot hold the output.
        DataError: the input is malformed or lacks a column.
    """
    if stage == "finetune":
        rows = read_table(source, schemas.STAGE1)
        config = _named(recipe.finetune, name, "finetune")
        finetune(rows["train"], config, target)
        return
    write_table(STAGES[stage](source, recipe, name, workspace), target)


def _answer(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    raw = read_table(source, schemas.RAW)
    return answer(raw, recipe.answer.generator, workspace, recipe.task, recipe.answer.instruction)


def _tool_api(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    answered = read_table(source, schemas.ANSWERED)
    return tool_api(answered, recipe.tool_api.teachers, workspace, recipe.task, recipe.tool_api.max_attempts)


def _stage1(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return stage1(read_table(source, schemas.CALLED), workspace, recipe.task)


def _respond(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    config = _named(recipe.sources, name, "sources")
    return respond(read_table(source, schemas.RAW), str(name), config, workspace, recipe.task)


def _execute(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    return execute(read_table(source, schemas.RESPONSES), workspace, recipe.task)


def _score(source: Path, recipe: Recipe, name: str | None, workspace: Workspace) -> DatasetDict:
    candidates = read_candidates(source, recipe.task)
    scored = score(candidates, workspace, recipe.task, recipe.score.strategy)
    published = [column for column in schemas.STAGE2 if column != "id"]
    return DatasetDict({split: rows.select_columns(published) for split, rows in scored.items()})


T = TypeVar("T")

STAGES: dict[str, Callable[[Path, Recipe, str | None, Workspace], DatasetDict]] = {
    "answer": _answer,
    "tool-api": _tool_api,
    "stage1": _stage1,
    "respond": _respond,
    "execute": _execute,
    "score": _score,
}


def _named(among: Mapping[str, T], name: str | None, where: str) -> T:
    if name not in among:
        raise ConfigError(f"the recipe has no {where}.{name}; it has: {', '.join(among) or 'none'}")
    return among[name]

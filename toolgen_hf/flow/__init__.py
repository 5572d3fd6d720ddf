"""From a recipe to a produced directory.

make        every stage for one dataset: read this first
mixed       several datasets as one set
mix_files   the same for files
single      one stage, from a file to a file
counts      checks that every question is kept or rejected
manifest    what is recorded about a result
write       writes the directory
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import DatasetDict

from toolgen_hf._utils import digest, expanded, library_version
from toolgen_hf.data.produced import check_target
from toolgen_hf.flow.make import check_template, fingerprints, make, rehearse
from toolgen_hf.flow.mixed import make_mix
from toolgen_hf.flow.write import is_current, write_produced
from toolgen_hf.models.weights import forget_commits
from toolgen_hf.recipe import Recipe, key_prefix
from toolgen_hf.recipe.roles import check_models, missing_texts, require_texts
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.runner import Runner
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.runtime.workspace import Workspace, make_runner

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """The result of a run: its directory, a summary, and the tables by config."""

    directory: Path
    summary: Summary
    configs: Mapping[str, DatasetDict]


def run(
    recipe: Recipe,
    output: str | Path | None = None,
    workspace: Workspace | None = None,
    runner: Runner | None = None,
) -> Result:
    """Build everything that a recipe asks for, and write it to a directory.

    A rerun costs nothing, because every stage comes from the cache. After a change, only the stages that depend on it
    run, and texts that were generated before come from the store.

    Args:
        output: the directory of the result; the default is the recipe's ``output``.
        workspace: cache and store; the default is the user's own.
        runner: what runs the stages; the default is the recipe's, or else the workspace's.

    Raises:
        ConfigError: the output directory or a model cannot be used, or a role cannot generate texts that are not in
            the store.
        DataError: the questions cannot be used, or two parts of a mix have the same dataset name.
        HubError: a version of a produced set cannot be read.
        GenerationError: a model failed. Texts that were generated are stored; run again to continue.
    """
    directory = expanded(output or recipe.output_dir)
    check_target(directory)
    forget_commits()
    own = workspace is None
    workspace = workspace or Workspace()
    if runner is None:
        runner = workspace.runner if recipe.runner is None else make_runner(recipe.runner)
    with workspace if own else nullcontext(), workspace.using(runner):
        _check(recipe, workspace)
        started = time.monotonic()
        made = make(recipe, workspace) if recipe.mix is None else make_mix(recipe, workspace)
        summary = made.summary
        summary.seconds = time.monotonic() - started
        content = [recipe.to_yaml(), library_version("toolgen_hf"), fingerprints(made.configs), made.source]
        key = digest(content)
        if is_current(directory, key):
            summary.up_to_date = True
        else:
            facts = {"key": key, **made.manifest()}
            write_produced(directory, made.configs, made.export, recipe.to_yaml(), facts)
        summary.seconds = time.monotonic() - started
    return Result(directory, summary, made.configs)


def _check(recipe: Recipe, workspace: Workspace) -> None:
    """Check every model, and that a role without an engine has all its texts in the store, before any work."""
    parts = {part: (each, key_prefix(part)) for part, each in recipe.recipes.items()}
    for each, prefix in parts.values():
        check_template(each, prefix)
    unavailable = {
        part: check_models(each, workspace.meter, prefix) for part, (each, prefix) in parts.items()
    }
    missing = []
    for part, (each, prefix) in parts.items():
        if unavailable[part]:
            missing += missing_texts(each, rehearse(each, workspace), unavailable[part], prefix)
    require_texts(missing)


def plan(recipe: Recipe, workspace: Workspace) -> Plan:
    """What ``run`` would ask of models and engines, without asking them.

    A stage may depend on texts that do not exist yet: the teachers' calls depend on the student's answers. Then the
    plan gives an upper limit, in which every question without an answer needs a call.

    Raises:
        ConfigError: a model cannot be used.
        DataError: the questions cannot be used.
    """
    for part, each in recipe.recipes.items():
        prefix = key_prefix(part)
        for key, reason in check_models(each, workspace.meter, prefix).items():
            logger.warning("%s%s: %s; only texts that are in the store can be used", prefix, key, reason)
    return Plan(
        [
            replace(entry, stage=f"{part}: {entry.stage}" if part else entry.stage)
            for part, each in recipe.recipes.items()
            for entry in rehearse(each, workspace).entries
        ]
    )

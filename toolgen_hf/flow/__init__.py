"""From a recipe to a produced directory.

make        every stage of one recipe: read this first
mixed       several datasets as one set
single      one stage, from a file to a file
counts      that every question is accounted for
manifest    what is recorded of a result
write       the directory
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from datasets import DatasetDict

from toolgen_hf._utils import digest, expanded, library_version
from toolgen_hf.data.produced import check_target
from toolgen_hf.flow.make import check_template, fingerprints, make, rehearse
from toolgen_hf.flow.manifest import manifest_facts
from toolgen_hf.flow.mixed import plan_mix, run_mix
from toolgen_hf.flow.write import is_current, write_produced
from toolgen_hf.models.weights import forget_commits
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.mix import MixRecipe
from toolgen_hf.recipe.roles import check_models, require_said, unsaid
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.runtime.workspace import Workspace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a run gave: where it lies, what happened, and the tables themselves."""

    directory: Path
    summary: Summary
    configs: Mapping[str, DatasetDict]


def run(
    recipe: Recipe | MixRecipe, output: str | Path | None = None, workspace: Workspace | None = None
) -> Result:
    """Build everything that a recipe asks for, and write it to a directory.

    Running it again costs nothing: every stage comes from the cache. After a change, the stages that
    depend on it run; texts that were generated before are taken from the store.

    Args:
        recipe: one dataset's, or a mix of several.
        output: where the result goes; default the recipe's ``output``.
        workspace: cache and store; default those of this user.

    Raises:
        ConfigError: the output directory or a model cannot be used, or an engine cannot be asked and not all of its
            texts are in the store.
        DataError: the questions cannot be used.
        GenerationError: a model failed. What was generated is safe; run again to go on.
    """
    directory = expanded(output or recipe.output_dir)
    check_target(directory)
    forget_commits()
    own = workspace is None
    workspace = workspace or Workspace()
    with workspace if own else nullcontext():
        if isinstance(recipe, MixRecipe):
            return Result(directory, *run_mix(recipe, directory, workspace))
        check_template(recipe)
        if silent := check_models(recipe, workspace.meter):
            require_said(unsaid(recipe, rehearse(recipe, workspace), silent))
        started = time.monotonic()
        made = make(recipe, workspace)
        summary, source = made.summary, made.origin.source
        summary.seconds = time.monotonic() - started
        key = digest([recipe.to_yaml(), library_version("toolgen_hf"), fingerprints(made.configs), source])
        if is_current(directory, key):
            summary.up_to_date = True
        else:
            facts = manifest_facts(recipe, made.sources, made.origin, summary)
            write_produced(directory, made.configs, made.export, recipe.to_yaml(), {"key": key, **facts})
    summary.seconds = time.monotonic() - started
    return Result(directory, summary, made.configs)


def plan(recipe: Recipe | MixRecipe, workspace: Workspace) -> Plan:
    """What ``run`` would ask of models and engines, without asking.

    Of a stage that depends on texts which are not there yet (the teachers' calls on the student's answers), it is
    the most that there can be: every question without an answer counts as one that needs a call.

    Raises:
        ConfigError: a model cannot be used.
        DataError: the questions cannot be used.
    """
    if isinstance(recipe, MixRecipe):
        return plan_mix(recipe, workspace)
    for key, reason in check_models(recipe, workspace.meter).items():
        logger.warning("%s: %s; only texts that are in the store can be used", key, reason)
    return rehearse(recipe, workspace)

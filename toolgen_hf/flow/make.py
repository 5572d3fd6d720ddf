"""The whole method for one dataset, from top to bottom.

builders ── raw ──> answer ──> right ─────────────────────┐
                       └────> wrong ──> tool_api ─────────┴──> stage1 ──> finetune
gold (stage1's output) + every source's responses ──> execute ──> score ──> stage2
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf._utils import Job
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.data.export import export_json
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune import FinetuneResult, finetune, training_key
from toolgen_hf.flow.counts import (
    check_counts,
    collect_rejected,
    require_right,
    require_usable,
    with_left_over,
)
from toolgen_hf.flow.manifest import facts_of, manifest
from toolgen_hf.models import build
from toolgen_hf.models.config import FileConfig
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.questions import as_questions, fewer, load_raw
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.summary import Summary, summarize
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages import answer, tool_api
from toolgen_hf.stages import configs as described
from toolgen_hf.stages.chat_template import check_rows, sample
from toolgen_hf.stages.execute import execute
from toolgen_hf.stages.near_duplicates import NearDuplicates, near_counts, with_near_column
from toolgen_hf.stages.respond import SourceConfig, respond, respond_from_file
from toolgen_hf.stages.score import gather, score
from toolgen_hf.stages.stage1 import gold, stage1
from toolgen_hf.stages.training import preference, sft, tool_calling
from toolgen_hf.tasks import get_task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """Everything that a recipe gives, before it is written."""

    configs: Mapping[str, DatasetDict]
    """The tables, by config."""
    summary: Summary
    manifest: Callable[[], Mapping[str, Any]]
    """What the manifest records: everything but the key and the files, which are known last."""
    export: Callable[[Path], Sequence[Job]]
    """The jobs that write the JSON exports below a folder."""
    source: Any
    """The version of the produced set that it is made from, which is part of the result's key."""
    dataset: str = ""
    """The label of its rows in the column ``dataset`` of a mix."""
    task: str = ""
    """The label of its rows in the column ``task`` of a mix."""


def make(recipe: Recipe, workspace: Workspace) -> Made:
    """Run every stage for one dataset. Only the caches and the store are written."""
    recipe.require_one_dataset()
    reported = len(workspace.reports)
    loaded, origin = load_raw(recipe.dataset)
    warn_of_fewer(loaded, recipe)
    if recipe.answer is None:  # the rows of a stage 1 are the questions, and no model is asked
        cloned = loaded
        raw, called = as_questions(cloned)
        near = NearDuplicates(raw)
    else:
        raw = loaded
        near = NearDuplicates(raw)
        answered = answer.run(raw, recipe, workspace, near=near)
        require_usable(answered)
        called = tool_api.run(answered, recipe, workspace)
        cloned = stage1(called, workspace, recipe.task)
    run_calls = partial(execute, workspace=workspace, task=recipe.equipped)
    executed = {"gold": run_calls(gold(cloned, workspace), label="execute gold")}
    if recipe.answer is None:
        require_right(executed["gold"], recipe.dataset.source)
    sources = _with_adapters(recipe, cloned, workspace)
    given = {  # first, so that a fault in a file is found before any model is asked
        name: respond_from_file(raw, name, config.generator, workspace)
        for name, config in sources.items()
        if isinstance(config.generator, FileConfig)
    }
    for name, config in sources.items():
        responses = given[name][0] if name in given else respond(raw, name, config, workspace, recipe.task)
        executed[name] = run_calls(responses, label=f"execute {name}")
    candidates = gather(executed, recipe.task, workspace)
    scored = score(candidates, workspace, recipe.task, recipe.score.strategy)
    rejected = with_left_over(
        collect_rejected(called),
        cloned,
        {name: executed[name] for name in given},
        [row for _, left in given.values() for row in left],
    )
    check_counts(raw, cloned, executed["gold"], scored, rejected)
    configs = {
        "stage2": scored,
        "stage1": cloned,
        **_for_training(cloned, scored, recipe, workspace),
        "raw": raw,
        "rejected": rejected,
        **{f"{RESPONSES}{name}": table for name, table in executed.items()},
    }
    rejected_as_near = near.leaks() if recipe.dataset.near_duplicates == "drop" else ()
    pairs = near.between_splits(rejected_as_near)
    for name, known in described().items():
        if known.has_near and name in configs:
            configs[name] = with_near_column(configs[name], pairs)
    asked = called if recipe.answer is not None else DatasetDict()
    summary = summarize(recipe.name, workspace.reports[reported:], asked, configs, executed)
    summary.near_duplicates = near_counts(raw, pairs)
    summary.moved = origin.moved
    return Made(
        configs,
        summary,
        manifest=lambda: manifest(recipe, facts_of(recipe, sources, origin), summary),
        export=lambda root: export_json(
            root, origin.name, called, configs["stage1"], executed, configs["stage2"]
        ),
        source=origin.source,
        dataset=origin.name,
        task=get_task(recipe.task).name,
    )


def rehearse(recipe: Recipe, workspace: Workspace) -> Plan:
    """What ``make`` would ask of models and engines, without asking them. All of them must be usable."""
    with workspace.rehearsal() as found:
        if recipe.answer is None:
            raw, _ = as_questions(load_raw(recipe.dataset)[0])
        else:
            raw, _ = load_raw(recipe.dataset)
            tool_api.run(answer.run(raw, recipe, workspace), recipe, workspace)
        for name, source in recipe.sources.items():
            if source.generator.trained_adapter is None:
                respond(raw, name, source, workspace, recipe.task)
            else:  # the adapter may not be trained yet, so it is not known which texts are in the store
                base = source.generator.model_copy(update={"adapter": None})
                found.add_all(f"respond {name}", build(base), sum(map(len, raw.values())))
    return found


def check_template(recipe: Recipe, prefix: str = "") -> None:
    """Check that the chat template of ``tool_calling.tokenizer`` renders tool calls.

    Raises:
        ConfigError: it leaves them out, or the model does not exist.
    """
    calling = recipe.tool_calling
    if calling.tokenizer is not None:
        try:
            check_rows([sample(get_task(recipe.task).tool)], calling.tokenizer, calling.revision)
        except ConfigError as error:
            raise ConfigError(f"{prefix}tool_calling.tokenizer: {error}") from error


def warn_of_fewer(rows: DatasetDict, recipe: Recipe) -> None:
    """Warn about splits with fewer rows than the recipe asks for."""
    for remark in fewer(rows, recipe.dataset):
        logger.warning("%s", remark)


def _for_training(
    cloned: DatasetDict, scored: DatasetDict, recipe: Recipe, workspace: Workspace
) -> dict[str, DatasetDict]:
    """Stage 1 and stage 2 in the forms that trainers read."""
    config, calling = recipe.preference, recipe.tool_calling
    return {
        "sft": sft(cloned, workspace),
        "tool_calling": tool_calling(cloned, workspace, recipe.equipped, calling.tokenizer, calling.revision),
        "preference": preference(scored, workspace, config.pairs, config.margin),
    }


def _with_adapters(recipe: Recipe, cloned: DatasetDict, workspace: Workspace) -> dict[str, SourceConfig]:
    """Train the adapters that the sources use. Returns the sources with the paths of their adapters.

    Raises:
        DataError: the train split does not exist or is empty.
    """
    trained = {name: train_adapter(name, recipe, cloned, workspace) for name in recipe.trained}

    def fill(source: SourceConfig) -> SourceConfig:
        name = source.generator.trained_adapter
        if name is None:
            return source
        adapter = {"adapter": str(trained[name].adapter)}
        return source.model_copy(update={"generator": source.generator.model_copy(update=adapter)})

    return {name: fill(source) for name, source in recipe.sources.items()}


def train_adapter(name: str, recipe: Recipe, cloned: DatasetDict, workspace: Workspace) -> FinetuneResult:
    """Train one adapter on the train split of stage 1, unless it is trained already."""
    if "train" not in cloned or len(cloned["train"]) == 0:
        raise DataError(
            f"finetune {name!r} needs stage 1 rows in a split named 'train'; there are only "
            f"{ {str(split): len(rows) for split, rows in cloned.items()} }"
        )
    started = time.monotonic()
    rows, config = cloned["train"], recipe.finetune[name]
    key = training_key(rows, config)
    output = workspace.cache_dir / "adapters" / f"{name}-{key[:16]}"
    result = finetune(rows, config, output, name, workspace.meter.show)
    workspace.report(
        stage=f"finetune {name}",
        split="train",
        rows_in=len(rows),
        rows_out=result.rows,
        rejected={"the prompt fills cutoff_len": left_out} if (left_out := result.lengths.left_out) else {},
        cached=result.cached,
        seconds=time.monotonic() - started,
    )
    return result


def fingerprints(configs: Mapping[str, DatasetDict]) -> list[Any]:
    """The identity of a result's tables."""
    return [
        [name, str(split), rows._fingerprint]
        for name, splits in configs.items()
        for split, rows in splits.items()
        if name != "rejected"  # follows from the others
    ]

"""A mix, from its recipe to a produced directory: every part is made or found, and then they are mixed.

part: {recipe: ...} ──> all its stages ─┐
part: {recipe: ...} ──> all its stages ─┼──> mix ──> stage1, stage2 and all the other tables, as one set
part: {source: ...} ──> its tables ─────┘
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf._utils import digest, library_version
from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.data.export import MIX, export_mix
from toolgen_hf.errors import DataError
from toolgen_hf.flow.make import check_template, fingerprints, make, rehearse
from toolgen_hf.flow.manifest import manifest_facts
from toolgen_hf.flow.mix_manifest import mix_manifest
from toolgen_hf.flow.write import is_current, write_produced
from toolgen_hf.hub.fetch import Found, find
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.mix import MixRecipe
from toolgen_hf.recipe.questions import load_raw, load_stage1
from toolgen_hf.recipe.roles import Unsaid, check_models, require_said, unsaid
from toolgen_hf.runtime.door import Usage
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.summary import Summary, summarize
from toolgen_hf.runtime.workspace import StageReport, Workspace
from toolgen_hf.stages.draw import MixConfig, Take
from toolgen_hf.stages.mix import Mixed, MixPart, mix
from toolgen_hf.stages.near_duplicates import facts, read_marks
from toolgen_hf.tasks import get_task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingredient:
    """A part as it was made or found: its tables, and what the mix says and exports of it."""

    tables: MixPart
    summary: Summary
    facts: Callable[[], Mapping[str, Any]]
    export: Callable[[Path], None]
    reports: list[StageReport]
    commit: str | None = None


def run_mix(
    recipe: MixRecipe, directory: Path, workspace: Workspace
) -> tuple[Summary, dict[str, DatasetDict]]:
    """Make every part and mix them; write the result unless it is there already.

    Raises:
        ConfigError: a model, a part or the output cannot be used.
        DataError: a part's data cannot be used, or two parts are of one dataset's name.
        HubError: a version cannot be read.
    """
    started = time.monotonic()
    left: list[Unsaid] = []
    for name, part in recipe.recipes.items():
        check_template(part, _key(name))
    for name, silent in check_parts(recipe, workspace).items():
        part = recipe.recipes[name]
        left += unsaid(part, rehearse(part, workspace), silent, _key(name))
    require_said(left)
    found = {name: find(part.source, whole=True) for name, part in recipe.mix.parts.items() if part.source}
    _check_names(recipe, found)
    parts = {
        name: _found(found[name]) if part.recipe is None else _made(name, part.recipe, workspace)
        for name, part in recipe.mix.parts.items()
    }
    reported = len(workspace.reports)
    mixed = mix({name: part.tables for name, part in parts.items()}, workspace, _config(recipe))
    summary = _summarize(recipe, parts, mixed, workspace.reports[reported:])
    summary.seconds = time.monotonic() - started
    commits = [part.commit for part in parts.values()]
    key = digest([recipe.to_yaml(), library_version("toolgen_hf"), fingerprints(mixed.configs), commits])
    if is_current(directory, key):
        summary.up_to_date = True
    else:

        def export(root: Path) -> None:
            for part in parts.values():
                part.export(root)
            export_mix(root, mixed.configs)

        facts = mix_manifest(recipe, {name: part.facts() for name, part in parts.items()}, summary)
        write_produced(directory, mixed.configs, export, recipe.to_yaml(), {"key": key, **facts})
    summary.seconds = time.monotonic() - started
    return summary, mixed.configs


def plan_mix(recipe: MixRecipe, workspace: Workspace) -> Plan:
    """What ``run_mix`` would ask of models and engines, part by part, without asking."""
    for name, silent in check_parts(recipe, workspace).items():
        for key, reason in silent.items():
            logger.warning("%s%s: %s; only texts that are in the store can be used", _key(name), key, reason)
    entries = [
        replace(entry, stage=f"{name}: {entry.stage}")
        for name, part in recipe.recipes.items()
        for entry in rehearse(part, workspace).entries
    ]
    return Plan(entries)


def check_parts(recipe: MixRecipe, workspace: Workspace) -> dict[str, dict[str, str]]:
    """Find the models of every part before the first text is generated.

    Why only texts that are in the store can be used, by part and by the key in its recipe.

    Raises:
        ConfigError: one is not there; names the recipe's key.
    """
    silent = {name: check_models(part, workspace.meter, _key(name)) for name, part in recipe.recipes.items()}
    return {name: reasons for name, reasons in silent.items() if reasons}


def _key(part: str) -> str:
    """What the keys of a part's recipe begin with."""
    return f"mix.parts.{part}.recipe."


def _check_names(recipe: MixRecipe, found: Mapping[str, Found]) -> None:
    """Every part has exports of its own: of the names of its datasets, which are in its rows' ids too."""
    taken: dict[str, str | None] = {MIX: None}
    for name, part in recipe.mix.parts.items():
        if part.recipe is None:
            names = _exported(found[name])
        else:
            origin = (load_stage1 if part.recipe.answer is None else load_raw)(part.recipe.dataset)[1]
            names = {origin.name}
        for dataset in sorted(names):
            if dataset in taken:
                other = taken[dataset]
                named = [one for one in (name, other) if one in recipe.recipes]  # a set keeps its name
                way = f"set mix.parts.{named[0]}.recipe.dataset.name to another, or " if named else ""
                raise DataError(
                    f"part {name!r} is of the dataset {dataset!r}, and so is "
                    f"{'the mix itself' if other is None else f'part {other!r}'}: {way}mix one of them"
                )
            taken[dataset] = name


def _made(name: str, recipe: Recipe, workspace: Workspace) -> Ingredient:
    logger.info("part %s", name)
    reported = len(workspace.reports)
    made = make(recipe, workspace)
    return Ingredient(
        MixPart(made.configs, made.origin.name, get_task(recipe.task).name),
        made.summary,
        lambda: manifest_facts(recipe, made.sources, made.origin, made.summary),
        made.export,
        [replace(report, stage=f"{name}: {report.stage}") for report in workspace.reports[reported:]],
    )


def _found(found: Found) -> Ingredient:
    summary = found.manifest.summary
    configs = {name: load(Produced(name, data_dir=found.directory)) for name in summary.configs}
    dataset = found.manifest.source_dataset or found.manifest.name
    task = found.manifest.task or "math"
    source = {"source_dataset": found.repo_id, "revision": found.revision, "commit": found.commit}

    def export(root: Path) -> None:
        for name in _exports(found):
            target = root.joinpath(*Path(name).parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found.directory / name, target)

    return Ingredient(
        MixPart(configs, dataset, task),
        summary,
        lambda: {**found.manifest.data, **({"source": source} if found.repo_id else {})},
        export,
        [],
        found.commit,
    )


def _exports(found: Found) -> list[str]:
    """The JSON exports of a set, ``data/stage1/GSM8K/GSM8K.json``, without those of a mix, which is mixed anew."""
    names = [name for name in found.manifest.files if name.startswith("data/") and name.count("/") == 3]
    return [name for name in names if name.split("/")[2] != MIX]


def _exported(found: Found) -> set[str]:
    return {name.split("/")[2] for name in _exports(found)}


def _config(recipe: MixRecipe) -> MixConfig:
    """The settings of the stage alone: what the parts are made from is in their tables."""
    parts = {name: Take(weight=part.weight, count=part.count) for name, part in recipe.mix.parts.items()}
    return MixConfig(parts=parts, **recipe.mix.model_dump(exclude={"parts"}))


def _summarize(
    recipe: MixRecipe, parts: Mapping[str, Ingredient], mixed: Mixed, reports: list[StageReport]
) -> Summary:
    """Students and teachers as they did in the parts; sources, scores and examples of what is in the mix."""
    every = [report for part in parts.values() for report in part.reports] + reports
    executed = {
        name.removeprefix(RESPONSES): table
        for name, table in mixed.configs.items()
        if name.startswith(RESPONSES)
    }
    summary = summarize(recipe.name, every, DatasetDict(), mixed.configs, {"gold": DatasetDict(), **executed})
    told = [part.summary for part in parts.values()]
    rejected = Counter(reason for rows in mixed.configs["rejected"].values() for reason in rows["reason"])
    used = [Usage(**part.summary.used) if part.summary.used else Usage(cost=None) for part in parts.values()]
    places = {name: {"source": part.source} for name, part in recipe.mix.parts.items()}
    return replace(
        summary,
        student={"splits": _students(told)},
        calls_needed=sum(part.calls_needed for part in told),
        teachers=dict(sum((Counter(part.teachers) for part in told), Counter()).most_common()),
        rejected=dict(rejected.most_common()),
        used=asdict(Usage.total(used)),
        near_duplicates=_near_duplicates(mixed),
        moved=sum(part.moved for part in told),
        mix={
            **mixed.facts,
            "parts": {name: {**places[name], **facts} for name, facts in mixed.facts["parts"].items()},
        },
    )


def _near_duplicates(mixed: Mixed) -> list[dict[str, Any]] | None:
    """Those over the splits of the mix; None of one whose parts have no ``raw``."""
    raw = mixed.configs.get("raw")
    return None if raw is None else facts(raw, read_marks(raw))


def _students(told: list[Summary]) -> dict[str, dict[str, int]]:
    """How the students did, by split, all parts together."""
    splits: dict[str, Counter[str]] = {}
    for part in told:
        for split, counts in part.student["splits"].items():
            splits.setdefault(split, Counter()).update(counts)
    return {
        split: {name: counts[name] for name in ("asked", "correct", "truncated")}
        for split, counts in splits.items()
    }

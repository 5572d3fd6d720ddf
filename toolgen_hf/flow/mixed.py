"""A mix: every part is made or read, and then the parts are mixed.

part: {recipe: ...} ──> all its stages ─┐
part: {recipe: ...} ──> all its stages ─┼──> mix ──> stage1, stage2 and all the other tables, as one set
part: {source: ...} ──> its tables ─────┘
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf._utils import Job, column
from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.data.export import MIX, export_mix
from toolgen_hf.errors import DataError
from toolgen_hf.flow.make import Made, make
from toolgen_hf.flow.manifest import facts_of_parts, manifest
from toolgen_hf.hub.fetch import Found, find
from toolgen_hf.recipe import Recipe, key_prefix
from toolgen_hf.recipe.questions import load_raw
from toolgen_hf.runtime.summary import Summary, summarize
from toolgen_hf.runtime.texts import Usage
from toolgen_hf.runtime.workspace import StageReport, Workspace
from toolgen_hf.stages.mix import Mixed, MixPart, mix
from toolgen_hf.stages.near_duplicates import near_column, near_counts

logger = logging.getLogger(__name__)


def make_mix(recipe: Recipe, workspace: Workspace) -> Made:
    """Make every part of a mix and mix them; only the caches and the store are written.

    Raises:
        DataError: a part's data cannot be used, or two parts have the same dataset name.
        HubError: a version of a produced set cannot be read.
    """
    assert recipe.mix is not None
    found = {name: find(part.source, whole=True) for name, part in recipe.mix.parts.items() if part.source}
    _check_names(recipe, found)
    parts: dict[str, Made] = {}
    reports: list[StageReport] = []
    for name in recipe.mix.parts:
        before = len(workspace.reports)
        if name in found:
            parts[name] = _read(found[name])
        else:
            logger.info("part %s", name)
            parts[name] = make(recipe.recipes[name], workspace)
        reports += [replace(report, stage=f"{name}: {report.stage}") for report in workspace.reports[before:]]
    before = len(workspace.reports)
    tables = {name: MixPart(part.configs, part.dataset, part.task) for name, part in parts.items()}
    mixed = mix(tables, workspace, recipe.mix)
    summary = _summarize(recipe, parts, mixed, reports + workspace.reports[before:])

    def export(root: Path) -> list[Job]:
        jobs = [job for part in parts.values() for job in part.export(root)]
        return [*jobs, *export_mix(root, mixed.configs)]

    return Made(
        mixed.configs,
        summary,
        manifest=lambda: manifest(recipe, facts_of_parts(_manifests(parts)), summary),
        export=export,
        source=[part.source for part in parts.values()],
    )


def _manifests(parts: Mapping[str, Made]) -> dict[str, Mapping[str, Any]]:
    return {name: part.manifest() for name, part in parts.items()}


def _check_names(recipe: Recipe, found: Mapping[str, Found]) -> None:
    """Check that no two parts have the same dataset name, which is in their rows' ids and names their exports."""
    assert recipe.mix is not None
    taken: dict[str, str | None] = {MIX: None}
    for name in recipe.mix.parts:
        if name in found:
            names = {export.split("/")[2] for export in _exports(found[name])}
        else:
            names = {load_raw(recipe.recipes[name].dataset)[1].name}
        for dataset in sorted(names):
            if dataset in taken:
                other = taken[dataset]
                renamable = [
                    part for part in (name, other) if part in recipe.recipes
                ]  # a set's name is fixed
                way = f"set {key_prefix(renamable[0])}dataset.name to another, or " if renamable else ""
                raise DataError(
                    f"part {name!r} is of the dataset {dataset!r}, and so is "
                    f"{'the mix itself' if other is None else f'part {other!r}'}: {way}mix one of them"
                )
            taken[dataset] = name


def _read(found: Found) -> Made:
    """A part that exists already."""
    manifest_of = found.manifest
    source = {"source_dataset": found.repo_id, "revision": found.revision, "commit": found.commit}

    def export(root: Path) -> list[Job]:
        return [
            partial(_copy, found.directory / name, root.joinpath(*Path(name).parts[1:]))
            for name in _exports(found)
        ]

    return Made(
        {name: load(Produced(name, data_dir=found.directory)) for name in manifest_of.summary.configs},
        manifest_of.summary,
        manifest=lambda: {**manifest_of.data, **({"source": source} if found.repo_id else {})},
        export=export,
        source=found.commit,
        dataset=manifest_of.source_dataset or manifest_of.name,
        task=manifest_of.task or "math",
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _exports(found: Found) -> list[str]:
    """The JSON exports of a set, such as ``data/stage1/GSM8K/GSM8K.json``, without those of a mix."""
    names = [name for name in found.manifest.files if name.startswith("data/") and name.count("/") == 3]
    return [name for name in names if name.split("/")[2] != MIX]


def _summarize(
    recipe: Recipe, parts: Mapping[str, Made], mixed: Mixed, reports: list[StageReport]
) -> Summary:
    """Counts of students and teachers are the sums of the parts. Sources, scores and examples are those of the mix."""
    assert recipe.mix is not None
    executed = {
        name.removeprefix(RESPONSES): table
        for name, table in mixed.configs.items()
        if name.startswith(RESPONSES)
    }
    summary = summarize(
        recipe.name, reports, DatasetDict(), mixed.configs, {"gold": DatasetDict(), **executed}
    )
    made = [part.summary for part in parts.values()]
    rejected = Counter(
        reason for rows in mixed.configs["rejected"].values() for reason in column(rows, "reason")
    )
    students: dict[str, Counter[str]] = {}
    for part in made:
        for split, counts in part.student["splits"].items():
            students.setdefault(split, Counter()).update(counts)
    raw = mixed.configs.get("raw")  # parts from files have none
    sources = {name: {"source": part.source} for name, part in recipe.mix.parts.items()}
    return replace(
        summary,
        student={
            "splits": {
                split: {name: counts[name] for name in ("asked", "correct", "truncated")}
                for split, counts in students.items()
            }
        },
        calls_needed=sum(part.calls_needed for part in made),
        teachers=dict(sum((Counter(part.teachers) for part in made), Counter()).most_common()),
        rejected=dict(rejected.most_common()),
        used=asdict(Usage.total(Usage(**part.used) if part.used else Usage(cost=None) for part in made)),
        near_duplicates=None if raw is None else near_counts(raw, near_column(raw)),
        moved=sum(part.moved for part in made),
        mix={
            **mixed.facts,
            "parts": {name: {**sources[name], **part} for name, part in mixed.facts["parts"].items()},
        },
    )

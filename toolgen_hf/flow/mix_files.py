"""The mix of files: somebody's stage 1 or stage 2 as published, from a file each to one.

mix_files({"gsm8k": Path("data/stage1/gsm8k/gsm8k.json"), "svamp": Path("data/stage1/svamp/svamp.json")}, workspace)
-> rows of stage 1, each with "id", "dataset" and "task" beside the published columns

A row without an id gets one by its place, ``gsm8k-train-0``, so the same weights and seed draw the same questions from
the files of stage 1 and from those of stage 2. A file is of the split that its name ends with: ``gsm8k_test.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from datasets import Dataset, DatasetDict

from toolgen_hf._utils import digest
from toolgen_hf.builders.inputs import SPLITS, Inputs, from_files, from_folder
from toolgen_hf.builders.layout import name_and_split
from toolgen_hf.builders.produced import KINDS
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.data.export import stem
from toolgen_hf.errors import DataError
from toolgen_hf.models.config import unique
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.draw import MixConfig, Take
from toolgen_hf.stages.mix import STAGES, Mixed, MixPart, mix
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task


def mix_files(
    parts: Mapping[str, Path],
    workspace: Workspace,
    config: MixConfig = MixConfig(),  # noqa: B008
    task: str | Task = "math",
    held_out: Mapping[str, Path] | None = None,
) -> Mixed:
    """Mix files of stage 1, or files of stage 2 (``export_mix`` writes what comes of it in the published layout).

    Args:
        parts: by name a file, a folder with one file a split (``train.json``, ``test.json``), or a folder of the
            published layout (``data/stage1/GSM8K`` with ``GSM8K.json``, ``GSM8K_test.json``). The name is the
            dataset's.
        held_out: by name other files, such as those that `beside` finds. Their questions keep the same ones out of
            splits nearer to training, and none of their rows is in the mix.

    Raises:
        ConfigError: the config names a part that is not there, or there is no such task.
        DataError: a file is malformed, or some are of stage 1 and others of stage 2.
    """
    label = get_task(task).name
    made = {name: _read(name, path, label) for name, path in parts.items()}
    splits = {split for part in made.values() for tables in part.configs.values() for split in tables}
    held = held_out or {}
    made |= {
        name: replace(_read(name, path, label, own_ids=False), splits_of=_beside(path, parts))
        for name, path in held.items()
    }
    stages = {name: next(iter(part.configs)) for name, part in made.items()}
    if len(set(stages.values())) > 1:
        raise DataError(
            f"some of these files are of stage 1 and others of stage 2: {stages}; mix each by itself"
        )
    takes = {**config.parts, **dict.fromkeys(held, Take(count=0))}
    mixed = mix(made, workspace, config.model_copy(update={"parts": takes}))
    configs = {
        name: DatasetDict({split: rows for split, rows in tables.items() if split in splits})
        for name, tables in mixed.configs.items()
    }
    return Mixed(configs, mixed.facts)


def beside(parts: Mapping[str, Path]) -> dict[str, Path]:
    """The files of other splits that lie beside train files and are not given: ``GSM8K_test.json`` of ``GSM8K.json``.

    By names that no part has.
    """
    given = {path.resolve() for path in parts.values()}
    train = [(path, *name_and_split(path)) for path in parts.values() if path.is_file()]
    others = [
        path.with_stem(stem(name, other) if name else other)
        for path, name, split in train
        if split == "train"
        for other in SPLITS[1:]
    ]
    found = {path.resolve(): path for path in others if path.is_file() and path.stat().st_size}
    new = [path for where, path in found.items() if where not in given]
    names = unique([*parts, *(path.stem for path in new)])
    return dict(zip(names[len(parts) :], new, strict=True))


def _beside(path: Path, parts: Mapping[str, Path]) -> str | None:
    """The part whose file lies beside another split's."""
    dataset = name_and_split(path)[0]
    same = (
        name
        for name, given in parts.items()
        if given.resolve().parent == path.resolve().parent and name_and_split(given)[0] == dataset
    )
    return next(same, None)


def _read(name: str, path: Path, task: str, own_ids: bool = True) -> MixPart:
    stages: dict[str, str] = {}
    splits = {}
    for split, files in _inputs(path).items():
        rows: list[Row] = []
        for where, row in (pair for file in files for pair in read_rows(file)):
            stage = STAGES["responses" in row]
            if stages.setdefault(stage, where) and len(stages) > 1:
                raise fault(
                    where, f"this is a row of {stage}, but that of {next(iter(stages.values()))} is none"
                )
            kind = KINDS[stage]
            told = row if own_ids else {**row, "id": None}
            rows.append(kind.row(kind.completed(told), where, f"{name}-{split}-{len(rows)}"))
        if not rows:
            raise DataError(f"{', '.join(map(str, files))}: no row in this file")
        splits[split] = rows
    (stage,) = stages
    return MixPart(
        {stage: DatasetDict({split: _table(stage, split, rows) for split, rows in splits.items()})},
        name,
        task,
    )


def _table(stage: str, split: str, rows: list[dict[str, object]]) -> Dataset:
    features = KINDS[stage].features
    columns = {name: [row[name] for row in rows] for name in features}
    made = Dataset.from_dict(columns, features=features, split=split)
    made._fingerprint = digest([split, columns])[:32]
    return made


def _inputs(path: Path) -> Inputs:
    if not path.is_dir():
        return by_split(file for files in from_files(path, "train").values() for file in files)
    published = {"train": path / f"{path.name}.json"} | {
        s: path / f"{path.name}_{s}.json" for s in SPLITS[1:]
    }
    there = {split: str(file) for split, file in published.items() if file.is_file()}
    return from_files(there) if there else from_folder(path, "train")


def by_split(files: Iterable[Path]) -> Inputs:
    """Files by the split that their names end with."""
    splits: dict[str, list[Path]] = {}
    for path in files:
        splits.setdefault(name_and_split(path)[1], []).append(path)
    return from_files(splits)

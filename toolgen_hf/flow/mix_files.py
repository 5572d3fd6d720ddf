"""The mix of files in the published form: stage 1 or stage 2, one file or folder a dataset.

mix_files(read_parts({"gsm8k": Path("data/stage1/gsm8k/gsm8k.json"), "svamp": Path("data/stage1/svamp/svamp.json")}), workspace)
-> rows of stage 1, each with "id", "dataset" and "task" beside the published columns

A row without an id gets one by its place, ``gsm8k-train-0``, so that the same weights and seed draw the same questions
from the files of stage 1 and from those of stage 2. The end of a file's name is its split: ``gsm8k_test.json``.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from datasets import DatasetDict

from toolgen_hf.builders.inputs import SPLITS, Inputs, from_files, from_folder
from toolgen_hf.builders.layout import name_and_split
from toolgen_hf.builders.produced import KINDS
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.data.export import stem
from toolgen_hf.data.tables import Table, read_split
from toolgen_hf.errors import DataError
from toolgen_hf.models.config import unique
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.draw import MixConfig, Take
from toolgen_hf.stages.mix import STAGES, Mixed, MixPart, mix
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task


@dataclass(frozen=True)
class FilePart:
    """The files of one dataset: ``stage1`` or ``stage2``, and a table for each split."""

    path: Path
    stage: str
    tables: Mapping[str, Table]


def read_parts(paths: Mapping[str, Path], *, own_ids: bool = True) -> dict[str, FilePart]:
    """Read the files of several datasets.

    Args:
        paths: by the dataset's name a file, a folder with one file a split (``train.json``, ``test.json``), or a
            folder of the published layout (``data/stage1/GSM8K`` with ``GSM8K.json``, ``GSM8K_test.json``).
        own_ids: a row keeps the id that it has.

    Raises:
        DataError: a file is malformed or empty, or one dataset has rows of stage 1 and rows of stage 2.
    """
    return {name: _read(name, path, own_ids) for name, path in paths.items()}


def mix_files(
    parts: Mapping[str, FilePart],
    workspace: Workspace,
    config: MixConfig = MixConfig(),  # noqa: B008
    task: str | Task = "math",
    held_out: Mapping[str, Path] | None = None,
) -> Mixed:
    """Mix files of stage 1, or files of stage 2.

    Args:
        held_out: by name other files, such as those that `beside` finds. Their questions keep the same questions out
            of splits nearer to training, and none of their rows is in the mix.

    Raises:
        ConfigError: the config names a part that does not exist, or the task is unknown.
        DataError: a file is malformed, or some files are of stage 1 and others of stage 2.
    """
    label, kept_out = get_task(task).name, read_parts(held_out or {}, own_ids=False)
    stages = {name: part.stage for name, part in {**parts, **kept_out}.items()}
    if len(set(stages.values())) > 1:
        raise DataError(
            f"some of these files are of stage 1 and others of stage 2: {stages}; mix them in two runs"
        )
    made = {
        name: MixPart(
            {part.stage: DatasetDict({split: table.rows for split, table in part.tables.items()})},
            name,
            label,
            splits_of=_same_dataset(part.path, parts) if name in kept_out else None,
        )
        for name, part in {**parts, **kept_out}.items()
    }
    takes = {**config.parts, **dict.fromkeys(kept_out, Take(count=0))}
    mixed = mix(made, workspace, config.model_copy(update={"parts": takes}))
    splits = {split for part in parts.values() for split in part.tables}
    configs = {
        name: DatasetDict({split: rows for split, rows in tables.items() if split in splits})
        for name, tables in mixed.configs.items()
    }
    return Mixed(configs, mixed.facts)


def beside(paths: Mapping[str, Path]) -> dict[str, Path]:
    """The files of other splits that lie beside train files and are not given: ``GSM8K_test.json`` of ``GSM8K.json``.

    Each has a name that no part has.
    """
    given = {path.resolve() for path in paths.values()}
    train = [(path, *name_and_split(path)) for path in paths.values() if path.is_file()]
    others = [
        path.with_stem(stem(name, other) if name else other)
        for path, name, split in train
        if split == "train"
        for other in SPLITS[1:]
    ]
    found = {path.resolve(): path for path in others if path.is_file() and path.stat().st_size}
    new = [path for where, path in found.items() if where not in given]
    names = unique([*paths, *(path.stem for path in new)])
    return dict(zip(names[len(paths) :], new, strict=True))


def by_split(files: Iterable[Path]) -> Inputs:
    """Files by the split that their names end with."""
    splits: dict[str, list[Path]] = {}
    for path in files:
        splits.setdefault(name_and_split(path)[1], []).append(path)
    return from_files(splits)


def _same_dataset(path: Path, parts: Mapping[str, FilePart]) -> str | None:
    """The part whose file lies beside ``path`` and is of the same dataset."""
    dataset = name_and_split(path)[0]
    return next(
        (
            name
            for name, part in parts.items()
            if part.path.resolve().parent == path.resolve().parent and name_and_split(part.path)[0] == dataset
        ),
        None,
    )


def _read(name: str, path: Path, own_ids: bool) -> FilePart:
    inputs = _inputs(path)
    stage, tables = "", {}
    for split, files in inputs.items():
        first = next((row for file in files for _, row in read_rows(file)), None)
        if first is None:
            raise DataError(f"{', '.join(map(str, files))}: no row in this file")
        stage = stage or STAGES["responses" in first]
        tables[split] = _read_split(files, split, stage, name, own_ids)
    return FilePart(path, stage, tables)


def _read_split(files: Iterable[Path], split: str, stage: str, name: str, own_ids: bool) -> Table:
    kind, numbers = KINDS[stage], count()

    def convert(row: Row, where: str) -> Row:
        own = STAGES["responses" in row]
        if own != stage:
            raise fault(where, f"this is a row of {own}, but the first row of {name!r} is one of {stage}")
        row = row if own_ids else {**row, "id": None}
        return kind.row(kind.completed(row), where, f"{name}-{split}-{next(numbers)}")

    return read_split(files, split, kind.features, convert, ids_are_unique=False)


def _inputs(path: Path) -> Inputs:
    if not path.is_dir():
        return by_split(file for files in from_files(path, "train").values() for file in files)
    published = {"train": path / f"{path.name}.json"} | {
        s: path / f"{path.name}_{s}.json" for s in SPLITS[1:]
    }
    there = {split: str(file) for split, file in published.items() if file.is_file()}
    return from_files(there) if there else from_folder(path, "train")

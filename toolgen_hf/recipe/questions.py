"""The questions that a recipe starts from, or the stage 1 of an earlier run.

dataset: {builder: gsm8k, rows: {train: 48}}               ->   {"train": 48 rows of schemas.RAW}
dataset: {source: "hub:user/repo@v1.1.0#stage1"}           ->   every split of schemas.STAGE1
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, NamedSplit, ReadInstruction, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import column, expanded
from toolgen_hf.builders import GSM8K, QA, Factbook, Produced, load
from toolgen_hf.data.manifest import MANIFEST
from toolgen_hf.errors import DataError
from toolgen_hf.hub.fetch import Found, find, published_starts
from toolgen_hf.hub.repo import HUB, split_source
from toolgen_hf.recipe.recipe import NAME, DatasetConfig
from toolgen_hf.stages.near_duplicates import find as find_near

BUILDERS = {"gsm8k": GSM8K, "qa": QA, "factbook": Factbook}


@dataclass(frozen=True)
class Origin:
    """Where questions come from: the dataset's name, licence, home page and citation.

    For a produced set these are what its manifest says about its questions, and ``source`` names the set. ``moved`` is
    the number of rows that are in another split than ``dataset.splits`` says, to be with their near duplicates.
    """

    name: str
    license: str
    homepage: str
    citation: str
    source: Mapping[str, Any] | None = None
    moved: int = 0


def load_raw(config: DatasetConfig) -> tuple[DatasetDict, Origin]:
    """The questions (``schemas.RAW``), or the stage 1 (``schemas.STAGE1``) of a produced set, and where it is from.

    Raises:
        DataError: a file is malformed, or a split does not exist or has a name that is not allowed.
        HubError: the version of a produced set cannot be read.
    """
    if config.builder == "produced":
        return _load_produced(config)
    options = config.model_dump(include={"source", "revision", "data_dir", "data_files", "columns"})
    if config.folder is not None:
        options |= {"data_dir": str(Path(config.folder, config.data_dir or ""))}
    options |= {"dataset_name": config.name, "config_name": config.config}
    builder = BUILDERS[config.builder](**{key: value for key, value in options.items() if value is not None})
    raw, moved = _chosen(load(builder), config)
    info = builder.info
    facts = (info.license or "unknown", info.homepage or "", info.citation or "")
    return raw, Origin(builder.config.dataset, *facts, moved=moved)


def fewer(rows: DatasetDict, config: DatasetConfig) -> list[str]:
    """Warnings about splits that have fewer rows than the recipe asks for; then all are used."""
    return [
        f"dataset.rows.{split}: {count} are asked for, and there are only {len(rows[split])}"
        for split, count in (config.rows or {}).items()
        if count is not None and count > len(rows[split])
    ]


def as_questions(stage1: DatasetDict) -> tuple[DatasetDict, DatasetDict]:
    """The questions of a stage 1, as rows of ``schemas.RAW`` and as rows of ``CALLED`` without answer and call."""

    def rows(split: Dataset) -> Dataset:
        columns = {name: [None] * len(split) for name in schemas.CALLED}
        known = {"id": "id", "question": "input", "answer": "answer", "fewshot_overlap": "fewshot_overlap"}
        columns |= {name: split[other][:] for name, other in known.items()}
        return Dataset.from_dict(columns, features=schemas.CALLED, split=split.split)

    unasked = DatasetDict({split: rows(table) for split, table in stage1.items()})
    return unasked.select_columns(list(schemas.RAW)), unasked


def _load_produced(config: DatasetConfig) -> tuple[DatasetDict, Origin]:
    """From a produced set, or from a folder of the published layout: ``data/raw/GSM8K/GSM8K.json``."""
    place, start = split_source(config.source or "")
    directory = expanded(place)
    is_layout = start in published_starts(directory) and not (directory / MANIFEST).exists()
    if place.startswith(HUB) or not is_layout:
        found = find(place, start)
        table, moved = _chosen(load(Produced(start, data_dir=found.directory)), config)
        return table, replace(_origin(config, found, start), moved=moved)
    builder = Produced(start, data_dir=directory, dataset_name=config.name)
    table = load(builder)
    for split, rows in table.items():
        if any(answer is None for answer in column(rows, "answer")):
            raise DataError(
                f"{config.source}: stage 1's split {str(split)!r} has rows without an answer, and nothing to grade "
                "responses by: start from #raw, or merge it anew with the answers (scripts/merge.py)"
            )
    name = config.name or builder.config.dataset
    table, moved = _chosen(table, config)
    return table, Origin(name, "unknown", "", "", moved=moved)


def _origin(config: DatasetConfig, found: Found, start: str) -> Origin:
    """The licence and citation of the questions, from the set's manifest, and which version of the set it is."""
    manifest = found.manifest
    name = config.name or manifest.source_dataset or manifest.name
    if not re.match(NAME, name):
        raise DataError(
            f"{config.source}: its questions are called {name!r}, which cannot be the name of a file: set dataset.name"
        )
    source = {
        "source_dataset": found.repo_id or manifest.name,
        "config": start,
        "revision": found.revision,
        "commit": found.commit,
        "key": manifest.key,
        "models": manifest.models if start == "stage1" else {},
    }
    return Origin(name, manifest.license or "unknown", manifest.homepage, manifest.citation, source)


def _chosen(splits: DatasetDict, config: DatasetConfig) -> tuple[DatasetDict, int]:
    """The splits and rows that a recipe asks for, and how many rows moved to another split."""
    moved = 0
    if config.splits:
        splits, moved = _cut(splits, config.splits, apart=config.near_duplicates != "keep")
    wanted = config.rows or dict.fromkeys(str(split) for split in splits)
    if missing := [split for split in wanted if split not in splits]:
        raise DataError(f"dataset.rows asks for the splits {missing}, but there are only {list(splits)}")
    if taken := [split for split in wanted if split in ("right", "wrong")]:
        raise DataError(f"a split cannot be called {taken[0]!r}: the exports name other files so; rename it")
    return DatasetDict({split: _draw(splits[split], n, config.seed) for split, n in wanted.items()}), moved


def _draw(rows: Dataset, count: int | None, seed: int) -> Dataset:
    """``count`` random rows, in their own order."""
    if count is None or count >= len(rows):
        return rows
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.select(sorted(drawn.tolist()))


def _cut(splits: DatasetDict, wanted: Mapping[str, str], apart: bool) -> tuple[DatasetDict, int]:
    """Splits cut from others, ``{"train": "test[:70%]"}``, and how many rows moved to another split.

    Args:
        apart: near duplicates stay together, in one of the splits that are cut from the same split.

    Raises:
        DataError: a slice does not exist, or two slices share a row.
    """
    lengths = {str(split): len(rows) for split, rows in splits.items()}
    home: dict[tuple[str, int], str] = {}  # (split, row) -> new split
    for name, spec in wanted.items():
        try:
            parts = ReadInstruction.from_spec(spec).to_absolute(lengths)
        except (ValueError, KeyError, AssertionError) as error:
            known = f"of {', '.join(f'{split} ({n} rows)' for split, n in lengths.items())}"
            raise DataError(f"dataset.splits.{name}: {spec!r} is not a slice {known}: {error}") from error
        for row in ((part.splitname, at) for part in parts for at in range(part.from_, part.to)):
            if home.setdefault(row, name) != name:
                raise DataError(
                    f"dataset.splits: row {row[1]} of {row[0]} is in {home[row]!r} and in {name!r}"
                )
    moved = _moved(splits, home) if apart else {}
    home |= moved
    made: dict[str, Dataset] = {}
    for name in wanted:
        rows: dict[str, list[int]] = {}
        for (split, at), where in sorted(home.items()) if moved else home.items():
            if where == name:
                rows.setdefault(split, []).append(at)
        cut = [splits[split].select(_range(places)) for split, places in rows.items()]
        cut = cut or [next(iter(splits.values())).select([])]
        made[name] = cut[0] if len(cut) == 1 else concatenate_datasets(cut)
        made[name]._split = NamedSplit(name)
    return DatasetDict(made), len(moved)


def _range(places: list[int]) -> Iterable[int]:
    """A range for consecutive places: ``select`` gives another fingerprint for a list."""
    whole = range(places[0], places[0] + len(places))
    return whole if places == list(whole) else places


def _moved(splits: DatasetDict, home: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    """The rows that must move to another split, so that no question has a near duplicate in another split.

    Near duplicates are moved together, the largest group first, to the one of their splits that most lacks rows, so the
    splits keep about their written sizes. If a split would lose more than half of its rows, for example because all
    questions tell one story, nothing moves.
    """
    moved: dict[tuple[str, int], str] = {}
    for split, rows in splits.items():
        where = {at: name for (one, at), name in sorted(home.items()) if one == split}  # row -> new split
        if len(set(where.values())) < 2:
            continue
        texts = rows["question" if "question" in rows.column_names else "input"]
        numbers = find_near([texts[at] for at in where]).chains()
        groups: dict[int, list[int]] = {}
        for number, at in zip(numbers, where, strict=True):
            groups.setdefault(number, []).append(at)
        counts = {number: Counter(where[at] for at in group) for number, group in groups.items()}
        written = Counter(where.values())
        lacking = written.copy()
        for count in counts.values():
            if len(count) == 1:
                lacking.subtract(count)
        found: dict[tuple[str, int], str] = {}
        divided = [number for number, count in counts.items() if len(count) > 1]
        for number in sorted(divided, key=lambda number: (-len(groups[number]), groups[number][0])):
            best = max(counts[number], key=lambda name: (lacking[name], counts[number][name], name))
            lacking[best] -= len(groups[number])
            found |= {(str(split), at): best for at in groups[number] if where[at] != best}
        if all(
            2 * lacking[name] <= count for name, count in written.items()
        ):  # what is lacking are the rows lost
            moved |= found
    return moved

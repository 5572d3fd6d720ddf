"""What a recipe starts from, through the builders: questions, or a stage 1 that was made before.

dataset: {builder: gsm8k, rows: {train: 48}}               ->   {"train": 48 rows of schemas.RAW}
dataset: {source: "hub:user/repo@v1.1.0#stage1"}           ->   every split of schemas.STAGE1
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, NamedSplit, ReadInstruction, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import expanded
from toolgen_hf.builders import GSM8K, QA, Produced, load
from toolgen_hf.data.manifest import MANIFEST
from toolgen_hf.errors import DataError
from toolgen_hf.hub.fetch import Found, find, published_starts
from toolgen_hf.hub.repo import HUB, split_source
from toolgen_hf.recipe.recipe import NAME, DatasetConfig
from toolgen_hf.stages.near_duplicates import find as find_near

logger = logging.getLogger(__name__)

BUILDERS = {"gsm8k": GSM8K, "qa": QA}


@dataclass(frozen=True)
class Origin:
    """Where questions come from: a dataset's name, licence, home page and citation, as its builder says.

    Those of a produced set are of the questions that it was made from; ``source`` says which set it is. ``moved``: how
    many rows are in another split than ``dataset.splits`` writes, to be with their near duplicates.
    """

    name: str
    license: str
    homepage: str
    citation: str
    source: Mapping[str, Any] | None = None
    moved: int = 0


def load_raw(config: DatasetConfig) -> tuple[DatasetDict, Origin]:
    """The questions (``schemas.RAW``), and where they come from.

    Raises:
        DataError: a file is malformed, or a split is not there or cannot be named as it is.
        HubError: a version of a produced set cannot be read.
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
    told = (info.license or "unknown", info.homepage or "", info.citation or "")
    return raw, Origin(builder.config.dataset, *told, moved=moved)


def load_stage1(config: DatasetConfig) -> tuple[DatasetDict, Origin]:
    """The stage 1 (``schemas.STAGE1``) of a produced set, and where it comes from.

    Raises:
        DataError: a split is not there.
        HubError: the version cannot be read.
    """
    return _load_produced(config)


def fewer(rows: DatasetDict, config: DatasetConfig) -> list[str]:
    """What to say of splits that have fewer rows than are asked for: all of them are taken."""
    wanted = {split: count for split, count in (config.rows or {}).items() if count is not None}
    return [
        f"dataset.rows.{split}: {count} are asked for, and there are only {len(rows[split])}"
        for split, count in wanted.items()
        if count > len(rows[split])
    ]


def as_questions(stage1: DatasetDict) -> tuple[DatasetDict, DatasetDict]:
    """The questions of a stage 1 (``schemas.RAW``), and the same as rows that nobody was asked (``CALLED``)."""

    def rows(split: Dataset) -> Dataset:
        columns = {name: [None] * len(split) for name in schemas.CALLED}
        known = {"id": "id", "question": "input", "answer": "answer", "fewshot_overlap": "fewshot_overlap"}
        columns |= {name: split[other] for name, other in known.items()}
        return Dataset.from_dict(columns, features=schemas.CALLED, split=split.split)

    unasked = DatasetDict({split: rows(table) for split, table in stage1.items()})
    return unasked.select_columns(list(schemas.RAW)), unasked


def _load_produced(config: DatasetConfig) -> tuple[DatasetDict, Origin]:
    place, name = split_source(config.source or "")
    directory = expanded(place)
    is_layout = name in published_starts(directory) and not (directory / MANIFEST).exists()
    if not place.startswith(HUB) and is_layout:
        return _load_layout(config, directory, name)
    found = find(place, name)
    table, moved = _chosen(load(Produced(name, data_dir=found.directory)), config)
    return table, replace(_origin(config, found, name), moved=moved)


def _load_layout(config: DatasetConfig, directory: Path, start: str) -> tuple[DatasetDict, Origin]:
    """From a folder that somebody put together in the published layout: ``data/raw/GSM8K/GSM8K.json``.

    Raises:
        DataError: there are no such files, several datasets and ``name`` chooses none, or stage 1 has no answers.
    """
    builder = Produced(start, data_dir=directory, dataset_name=config.name)
    table = load(builder)
    for split, rows in table.items():
        if any(answer is None for answer in rows["answer"]):
            raise DataError(
                f"{config.source}: stage 1's split {str(split)!r} has rows without an answer, and nothing to grade "
                "responses by: start from #raw, or merge it anew with the answers (scripts/merge.py)"
            )
    name = config.name or builder.config.dataset
    table, moved = _chosen(table, config)
    return table, Origin(name, "unknown", "", "", moved=moved)


def _origin(config: DatasetConfig, found: Found, start: str) -> Origin:
    """The questions' licence and citation as the set's manifest has them, and which version of it this is."""
    told = found.manifest
    name = config.name or told.source_dataset or told.name
    if not re.match(NAME, name):
        raise DataError(
            f"{config.source}: its questions are called {name!r}, which names no file: set dataset.name"
        )
    source = {
        "source_dataset": found.repo_id or told.name,
        "config": start,
        "revision": found.revision,
        "commit": found.commit,
        "key": told.key,
        "models": told.models if start == "stage1" else {},
    }
    return Origin(name, told.license or "unknown", told.homepage, told.citation, source)


def _cut(splits: DatasetDict, wanted: Mapping[str, str], apart: bool) -> tuple[DatasetDict, int]:
    """Splits cut from others, ``{"train": "test[:70%]"}``, and how many rows are in another one than is written.

    Args:
        apart: near duplicates of one split stay together, in one of the splits that are cut from it.

    Raises:
        DataError: one cannot be cut so, or two have a row in common.
    """
    lengths = {str(split): len(rows) for split, rows in splits.items()}
    home: dict[tuple[str, int], str] = {}
    for name, spec in wanted.items():
        try:
            parts = ReadInstruction.from_spec(spec).to_absolute(lengths)
        except (ValueError, KeyError, AssertionError) as error:
            known = f"of {', '.join(f'{split} ({n} rows)' for split, n in lengths.items())}"
            raise DataError(f"dataset.splits.{name}: {spec!r} is no slice {known}: {error}") from error
        for row in ((part.splitname, at) for part in parts for at in range(part.from_, part.to)):
            if home.setdefault(row, name) != name:
                raise DataError(
                    f"dataset.splits: row {row[1]} of {row[0]} is in {home[row]!r} and in {name!r}"
                )
    moved = _kept_together(splits, home) if apart else {}
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
    """Places as a range where they are one, by which a cut keeps the fingerprint that it always had."""
    whole = range(places[0], places[0] + len(places))
    return whole if places == list(whole) else places


def _kept_together(splits: DatasetDict, home: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    """The rows that go to another split than is written, so that none has a near duplicate in another one.

    A family goes to that of its splits in which most room is left for it: splits stay about as large as is written.
    Where one would lose more than half of its rows, as where all questions tell one story, the cut is as written.
    """
    moved: dict[tuple[str, int], str] = {}
    for split, rows in splits.items():
        places = sorted(at for name, at in home if name == split)
        if len({home[str(split), at] for at in places}) < 2:
            continue
        column = "question" if "question" in rows.column_names else "input"
        texts = rows[column]
        numbers = find_near([texts[at] for at in places]).families()
        families: dict[int, list[int]] = {}
        for number, at in zip(numbers, places, strict=True):
            families.setdefault(number, []).append(at)
        homes = {
            number: Counter(home[str(split), at] for at in family) for number, family in families.items()
        }
        written: Counter[str] = sum(homes.values(), Counter())
        room = written.copy()
        for counts in homes.values():
            if len(counts) == 1:
                room.subtract(counts)
        found: dict[tuple[str, int], str] = {}
        astride = [number for number, counts in homes.items() if len(counts) > 1]
        for number in sorted(astride, key=lambda number: (-len(families[number]), families[number][0])):
            where = max(homes[number], key=lambda name: (room[name], homes[number][name], name))
            room[where] -= len(families[number])
            changed = [at for at in families[number] if home[str(split), at] != where]
            found |= {(str(split), at): where for at in changed}
        if all(
            2 * room[name] <= count for name, count in written.items()
        ):  # room that is left is rows that are lost
            moved |= found
    return moved


def _chosen(splits: DatasetDict, config: DatasetConfig) -> tuple[DatasetDict, int]:
    """The splits and rows that are asked for, and how many rows went to another split than is written."""
    moved = 0
    if config.splits:
        splits, moved = _cut(splits, config.splits, apart=config.near_duplicates != "keep")
    wanted = config.rows or dict.fromkeys(str(split) for split in splits)
    if missing := [split for split in wanted if split not in splits]:
        raise DataError(f"dataset.rows asks for the splits {missing}, but there are only {list(splits)}")
    if taken := [split for split in wanted if split in ("right", "wrong")]:
        raise DataError(f"a split cannot be called {taken[0]!r}: the exports name other files so; rename it")
    drawn = {split: _draw(splits[split], count, config.seed) for split, count in wanted.items()}
    return DatasetDict(drawn), moved


def _draw(rows: Dataset, count: int | None, seed: int) -> Dataset:
    """``count`` rows drawn by ``seed``, in their own order."""
    if count is None or count >= len(rows):
        return rows
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.select(sorted(drawn.tolist()))

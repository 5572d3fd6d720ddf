"""The tables of a mix, put together as its plan says.

plan row  {"part": "svamp", "split": "train", "id": "SVAMP-train-7", "place": 3, "reason": null, ...}
gives     the rows of that id in every table of the part ``svamp``, at the same place in each
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import digest, quiet_datasets
from toolgen_hf.errors import DataError
from toolgen_hf.stages import configs as described
from toolgen_hf.stages.near_duplicates import marked, read_marks

DRAWN_ALONE = ("stage1", "stage2", "sft", "tool_calling", "preference")
"""The configs with rows of the mix alone. The others also have questions that an earlier stage rejected."""

Tables = Mapping[str, Mapping[str, DatasetDict]]
"""Part -> config -> table."""
Labels = Mapping[str, Mapping[str, str]]
"""Part -> its values of the columns ``dataset`` and ``task``."""
Key = tuple[str, str]
"""The name of a part and the id of a row."""


def mixed_tables(tables: Tables, labels: Labels, plan: DatasetDict) -> dict[str, DatasetDict]:
    """Every config of the mix, with the rows at their places, and ``rejected``."""
    configs = dict.fromkeys(config for part in tables.values() for config in part)
    made: dict[str, DatasetDict] = {}
    near, known = read_marks(plan), described()
    with quiet_datasets():
        for config in dict.fromkeys([*configs, "rejected"]):
            made[config] = (_rejected if config == "rejected" else _mixed)(config, tables, labels, plan)
            if config in known and known[config].has_near:
                made[config] = marked(made[config], near)
    return made


def _mixed(config: str, tables: Tables, labels: Labels, plan: DatasetDict) -> DatasetDict:
    made = {}
    for split, rows in plan.items():
        parts = {name: part[config] for name, part in tables.items() if config in part}
        there = {name: splits[split] for name, splits in parts.items() if split in splits}
        if not there:
            like = next(iter(next(iter(parts.values())).values()))
            made[split] = _labelled(like.select([]), {"dataset": "", "task": ""})
            continue
        table = _concatenated(config, {name: _labelled(part, labels[name]) for name, part in there.items()})
        index: dict[Key, list[int]] = {}
        for at, key in enumerate((name, key) for name, part in there.items() for key in part["id"]):
            index.setdefault(key, []).append(at)
        keys = _keys(rows, config in DRAWN_ALONE)
        made[split] = table.select([at for key in keys for at in index.get(key, ())])
        parts_of = [[name, part._fingerprint, dict(labels[name])] for name, part in there.items()]
        made[split]._fingerprint = digest([rows._fingerprint, config, parts_of])[:32]
    return DatasetDict(made)


def _keys(plan: Dataset, drawn_alone: bool) -> list[Key]:
    """The rows of the mix in order, then the questions that an earlier stage rejected; each id once."""
    columns = [plan[name] for name in ("part", "id", "place", "in_raw")]
    rows = sorted(
        (place is None, place or 0, at, part, key)
        for at, (part, key, place, in_raw) in enumerate(zip(*columns, strict=True))
        if (place is not None if drawn_alone else in_raw)
    )
    once: dict[str, Key] = {}
    for *_, part, key in rows:
        once.setdefault(key, (part, key))
    return list(once.values())


def _labelled(rows: Dataset, labels: Mapping[str, str]) -> Dataset:
    """Add the columns ``dataset`` and ``task``, unless the rows are of a mix and have them."""
    rows = rows.remove_columns([name for name in (schemas.NEAR,) if name in rows.column_names])
    features = schemas.mixed(rows.features)
    for name in ("dataset", "task"):
        if name not in rows.column_names:
            rows = rows.add_column(name, [labels[name]] * len(rows), feature=features[name])
    return rows


def _concatenated(config: str, parts: Mapping[str, Dataset]) -> Dataset:
    """All parts as one table. Columns that older versions did not write are null."""
    later = (*schemas.LATER, *(["correct"] if config == "stage2" else []))
    newest = max((rows.features for rows in parts.values()), key=len)
    completed = {}
    for name, rows in parts.items():
        for column in newest:
            if column in later and column not in rows.column_names:
                rows = rows.add_column(column, [None] * len(rows), feature=newest[column])
        same = {*rows.column_names} == {*newest}
        completed[name] = rows.select_columns(list(newest)) if same else rows
    first, *others = completed
    for name in others:
        one, other = completed[first].features, completed[name].features
        differ = [column for column in sorted({*one, *other}) if one.get(column) != other.get(column)]
        if differ:
            raise DataError(
                f"{config} of part {name!r} has not the columns of part {first!r}: they differ in {', '.join(differ)}"
            )
    return concatenate_datasets([rows.with_format(None) for rows in completed.values()])


def _rejected(_: str, tables: Tables, labels: Labels, plan: DatasetDict) -> DatasetDict:
    """What the parts rejected, and then what the mix rejected."""
    made = {}
    for split, planned in plan.items():
        rows: list[dict[str, Any]] = [
            {**labels[name], **row}
            for name, part in tables.items()
            for row in part.get("rejected", {}).get(split, ())
        ]
        new = [row for row in planned if row["is_new"]]
        for row, detail in zip(new, _details(new, tables, str(split)), strict=True):
            told = {"id": row["id"], "stage": "mix", "reason": row["reason"]}
            rows.append({**told, "detail": json.dumps(detail, ensure_ascii=False), **labels[row["part"]]})
        features = schemas.mixed(schemas.REJECTED)
        columns = {name: [row[name] for row in rows] for name in features}
        made[split] = Dataset.from_dict(columns, features=features, split=planned.split)
    return DatasetDict(made)


def _details(rows: Sequence[Mapping[str, Any]], tables: Tables, split: str) -> list[dict[str, Any]]:
    """What is known about rows that the mix rejects: question, answer, stages 1 and 2, and what they repeat."""
    wanted = {(row["part"], row["id"]) for row in rows}
    held: dict[str, dict[Key, Any]] = {
        config: {
            (name, row["id"]): dict(row)
            for name, part in tables.items()
            if wanted and split in part.get(config, {})
            for row in part[config][split]
            if (name, row["id"]) in wanted
        }
        for config in ("raw", "stage1", "stage2")
    }
    made = []
    for row in rows:
        raw, one, two = (held[config].get((row["part"], row["id"])) for config in ("raw", "stage1", "stage2"))
        found: dict[str, Any] = raw or {}
        if not raw and one:
            found = {"question": one["input"], "answer": one["answer"]}
        repeats = {name: row[f"of_{name}"] for name in ("part", "split", "id")} | {"match": row["match"]}
        told = {
            "question": found.get("question"),
            "answer": found.get("answer"),
            "stage1": one,
            "stage2": two,
        }
        made.append({**told, "repeats": repeats if row["match"] else None})
    return made

"""The tables of a mix, put together as its plan says, and what there is to report of it.

plan row  {"part": "svamp", "split": "train", "id": "SVAMP-train-7", "place": 3, "reason": null, ...}
gives     the rows of that id in every table of the part ``svamp``, at the same place in each
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, DatasetDict, Features, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import digest, quiet_datasets
from toolgen_hf.errors import DataError
from toolgen_hf.stages.draw import MixConfig, Take
from toolgen_hf.stages.near_duplicates import marked, read_marks

DRAWN_ALONE = ("stage1", "stage2", "sft", "tool_calling", "preference")
"""The configs that hold nothing but the mix's own rows; the others also have questions that a stage rejected."""

REPEAT = ("part", "split", "of", "of_split", "match", "dropped")

Tables = Mapping[str, Mapping[str, DatasetDict]]
"""Tables by part and config."""
Labels = Mapping[str, Mapping[str, str]]
"""The columns ``dataset`` and ``task`` by part."""
Key = tuple[str, str]
"""A part's name and a row's id."""


def mixed_tables(tables: Tables, labels: Labels, plan: DatasetDict) -> dict[str, DatasetDict]:
    """Every config of the mix, the rows at their places; ``rejected`` with what the mix rejected."""
    configs = dict.fromkeys(config for part in tables.values() for config in part)
    made: dict[str, DatasetDict] = {}
    near = read_marks(plan)
    with quiet_datasets():
        for config in configs:
            if config != "rejected":
                mixed = _mixed(config, tables, labels, plan)
                made[config] = marked(mixed, near) if config in schemas.MARKED else mixed
        made["rejected"] = _rejected(tables, labels, plan)
    return {config: made[config] for config in dict.fromkeys([*configs, "rejected"])}


def _mixed(config: str, tables: Tables, labels: Labels, plan: DatasetDict) -> DatasetDict:
    made = {}
    for split, rows in plan.items():
        parts = {name: part[config] for name, part in tables.items() if config in part}
        there = {name: splits[split] for name, splits in parts.items() if split in splits}
        if not there:
            like = next(iter(next(iter(parts.values())).values()))
            made[split] = _labelled(like.select([]), {"dataset": "", "task": ""})
            continue
        keys = _keys(rows, config in DRAWN_ALONE)
        table = _concatenated(config, {name: _labelled(part, labels[name]) for name, part in there.items()})
        index: dict[Key, list[int]] = {}
        origins = ((name, key) for name, part in there.items() for key in part["id"])
        for at, key in enumerate(origins):
            index.setdefault(key, []).append(at)
        made[split] = table.select([at for key in keys for at in index.get(key, ())])
        parts_of = [[name, part._fingerprint, dict(labels[name])] for name, part in there.items()]
        made[split]._fingerprint = digest([rows._fingerprint, config, parts_of])[:32]
    return DatasetDict(made)


def _keys(plan: Dataset, drawn_alone: bool) -> list[Key]:
    """The mix's rows in their order, and after them the questions that fell out before, each id once."""
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
    """With the columns that say where a row is from, unless it has them: a mix of mixes keeps those of the first."""
    rows = rows.remove_columns([name for name in (schemas.NEAR,) if name in rows.column_names])
    features = schemas.mixed(rows.features)
    for name in ("dataset", "task"):
        if name not in rows.column_names:
            rows = rows.add_column(name, [labels[name]] * len(rows), feature=features[name])
    return rows


def _concatenated(config: str, parts: Mapping[str, Dataset]) -> Dataset:
    later = (*schemas.LATER, *(["correct"] if config == "stage2" else []))
    newest = max((rows.features for rows in parts.values()), key=len)
    parts = {name: _completed(rows, newest, later) for name, rows in parts.items()}
    first, *others = parts
    for name in others:
        one, other = parts[first].features, parts[name].features
        differ = [column for column in sorted({*one, *other}) if one.get(column) != other.get(column)]
        if differ:
            raise DataError(
                f"{config} of part {name!r} has not the columns of part {first!r}: they differ in {', '.join(differ)}"
            )
    return concatenate_datasets([rows.with_format(None) for rows in parts.values()])


def _completed(rows: Dataset, newest: Features, later: Sequence[str]) -> Dataset:
    """With the columns that sets of older versions lack and the newest one has, null."""
    lacks = [name for name in newest if name in later and name not in rows.column_names]
    for name in lacks:
        rows = rows.add_column(name, [None] * len(rows), feature=newest[name])
    return rows.select_columns(list(newest)) if {*rows.column_names} == {*newest} else rows


def _rejected(tables: Tables, labels: Labels, plan: DatasetDict) -> DatasetDict:
    """What the parts rejected, as they have it, and then what the mix rejected."""
    made = {}
    for split, planned in plan.items():
        rows: list[dict[str, Any]] = []
        for name, part in tables.items():
            before = part.get("rejected", {}).get(split)
            rows += [{**labels[name], **row} for row in before] if before is not None else []
        new = [row for row in planned if row["is_new"]]
        details = _details(new, tables, str(split))
        for row, detail in zip(new, details, strict=True):
            told = {"id": row["id"], "stage": "mix", "reason": row["reason"]}
            rows.append({**told, "detail": json.dumps(detail, ensure_ascii=False), **labels[row["part"]]})
        features = schemas.mixed(schemas.REJECTED)
        columns = {name: [row[name] for row in rows] for name in features}
        made[split] = Dataset.from_dict(columns, features=features, split=planned.split)
    return DatasetDict(made)


def _details(rows: Sequence[Mapping[str, Any]], tables: Tables, split: str) -> list[dict[str, Any]]:
    """What there is of rows that the mix rejects: their question and answer, stages 1 and 2, and what they repeat."""
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
        known = {
            "question": found.get("question"),
            "answer": found.get("answer"),
            "stage1": one,
            "stage2": two,
        }
        made.append({**known, "repeats": repeats if row["match"] else None})
    return made


def mix_facts(labels: Labels, pool: DatasetDict, plan: DatasetDict, config: MixConfig) -> dict[str, Any]:
    """What was mixed, as plain data.

    ``parts``: per part its dataset and task, what was asked for, and by split the questions (``questions``), of these
    how many fell out before (``before``) or in the mix (``rejected``), were not drawn (``undrawn``), and are in it
    (``rows``). ``repeats``: the questions that stand twice, by where and how alike they are, with their number and the
    ids of the first two.
    """
    counts: dict[str, dict[str, Counter[str]]] = {name: {} for name in labels}
    repeats: Counter[tuple[Any, ...]] = Counter()
    examples: dict[tuple[Any, ...], list[str]] = {}
    for split, rows in pool.items():
        for part, count in Counter(rows["part"]).items():
            counts[part][str(split)] = Counter(questions=count, undrawn=count)
        for row in plan[split]:
            counts[row["part"]][str(split)].update({_became(row): 1, "undrawn": -1})
            if row["match"]:
                where = (row["part"], split, row["of_part"], row["of_split"], row["match"], row["is_new"])
                repeats[where] += 1
                examples.setdefault(where, [row["id"], row["of_id"]])
    kinds = ("questions", "before", "rejected", "undrawn", "rows")
    return {
        "order": config.order,
        "seed": config.seed,
        "duplicates": config.duplicates,
        "parts": {
            name: {
                **labels[name],
                **config.parts.get(name, Take()).model_dump(mode="json", include={"weight", "count"}),
                "splits": {split: {kind: found[kind] for kind in kinds} for split, found in splits.items()},
            }
            for name, splits in counts.items()
        },
        "near_duplicates": config.near_duplicates,
        "repeats": [
            {**dict(zip(REPEAT, key, strict=True)), "count": count, "example": examples[key]}
            for key, count in repeats.items()
        ],
    }


def _became(row: Mapping[str, Any]) -> str:
    return "rows" if row["reason"] is None else "rejected" if row["is_new"] else "before"

"""The mix: several datasets and tasks as one stage 1 and one stage 2 with the same questions.

    in   {"gsm8k": MixPart({"stage1": ..., "stage2": ...}, "GSM8K"), "svamp": MixPart(..., "SVAMP")}
    out  {"id": "GSM8K-train-0", "instruction": ..., "input": ..., "output": ..., "dataset": "GSM8K", "task": "math"}
         {"id": "SVAMP-train-0", ...}

Every row keeps its id, and gets the columns ``dataset`` and ``task``. A question is rejected with a reason if it
repeats another one, if it is also in a test split, or if it is in train and has a near duplicate in another part's test
split. Questions that weights and counts leave out are only counted. draw.py has the rules. A plan says for each
question what happens to it, and every table of the mix is put together as the plan says:

    plan row  {"part": "svamp", "split": "train", "id": "SVAMP-train-7", "place": 3, "reason": null, ...}
    gives     the rows with that id in every table of the part ``svamp``, at the same place in each
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from datasets import Dataset, DatasetDict, Features, Value, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import column, digest, quiet_datasets, rows_as_tuples
from toolgen_hf.errors import ConfigError, DataError, closest
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages import configs, near_duplicates
from toolgen_hf.stages.base import Batch, Stage
from toolgen_hf.stages.draw import Candidate, MixConfig, Repeat, Take, arranged, draw, judge, quotas
from toolgen_hf.stages.near_duplicates import Groups, near_column, protected_first, with_near_column

STAGES = ("stage1", "stage2")
UNDRAWN = "not drawn"
"""The reason of a question that weights and counts leave out. It is neither kept nor rejected."""
_POOL = Features(
    {
        **{name: Value("string") for name in ("part", "split", "id", "question")},
        "at": Value("int64"),  # the place of the row in the pool of its split
        "reason": Value("string"),  # why an earlier stage rejected it
        "lacks": Value("string"),  # why it cannot be mixed
    }
)
_PLAN = Features(
    {
        **{name: Value("string") for name in ("part", "split", "id", "reason")},
        "place": Value("int64"),  # the place of the row in the mix; null if it is not in the mix
        "is_new": Value("bool"),  # the mix rejects it, not an earlier stage
        "in_raw": Value("bool"),  # in the mix, or it would be if no earlier stage had rejected it
        **{name: Value("string") for name in ("of_part", "of_split", "of_id", "match")},  # what it repeats
        schemas.NEAR: Value("string"),  # its nearest near duplicate in another split of the mix
    }
)
STAGE = Stage("mix", version=3, features=_PLAN)
ALIKE = {
    "id": "same id",
    "exact": "exact text",
    "normalised": "normalised text",
    "near": "near duplicate",
}
"""How alike two questions are, in words."""
_DRAWN_ALONE = ("stage1", "stage2", "sft", "tool_calling", "preference")
"""The configs that only have rows of the mix. The others also have questions that an earlier stage rejected."""
_REPEAT = ("part", "split", "of", "of_split", "match", "dropped")


@dataclass(frozen=True)
class MixPart:
    """One set of a mix: its tables by config, the name of its dataset, and its task.

    It needs ``stage1`` or ``stage2`` or both. ``raw`` and ``rejected`` are mixed too, and so is any other table whose
    rows have the ids of the questions. A table that has the columns ``dataset`` and ``task``, because it is of a mix,
    keeps them. The task is only a label, since nothing is graded here.
    """

    configs: Mapping[str, DatasetDict]
    dataset: str
    task: str = "math"
    splits_of: str | None = None
    """The part that this one has other splits of, if one dataset is given as several parts."""

    @property
    def labels(self) -> dict[str, str]:
        """Its values of the columns ``dataset`` and ``task``."""
        return {"dataset": self.dataset, "task": self.task}


@dataclass(frozen=True)
class Mixed:
    """The tables of a mix by config, and what was mixed as plain data (see `mix`)."""

    configs: dict[str, DatasetDict]
    facts: dict[str, Any]


def mix(parts: Mapping[str, MixPart], workspace: Workspace, config: MixConfig = MixConfig()) -> Mixed:  # noqa: B008
    """Mix several sets into one. Stage 1 and stage 2 have the same questions in the same order.

    Of equal questions in one split, the first part keeps its own. ``rejected`` has what the parts rejected, and what
    the mix rejected, with the stage ``mix``.

    Returns:
        The tables, and as facts: the settings; ``parts``, with the dataset and task of each, what was asked for, and by
        split the number of ``questions``, of those that an earlier stage rejected (``before``), that the mix rejected
        (``rejected``), that are ``undrawn``, and that are in the mix (``rows``); and ``repeats``, the questions that
        repeat another one: where, how alike, how many, and the ids of the first two.

    Raises:
        ConfigError: the config names a part or a split that does not exist.
        DataError: a part lacks a stage that the others have, or two questions have one id.
    """
    _check(parts, config)
    pool = _pool(parts)
    sets = {name: part.splits_of for name, part in parts.items() if part.splits_of is not None}
    settings = {
        "sets": sets,
        "config": {
            **config.model_dump(mode="json", exclude={"parts"}),
            "parts": _taken(config, config.parts),
        },
        "pool": {str(split): rows._fingerprint for split, rows in pool.items()},
        "normalise": near_duplicates.NORMALISE_VERSION,
        "near_duplicates": near_duplicates.VERSION,
    }

    @cache
    def decided() -> dict[str, Batch]:
        return decide({str(split): rows[:] for split, rows in pool.items()}, config, sets)

    def look_up(batch: Batch) -> Batch:
        """Whether a row is used depends on the whole pool, so all rows are decided together, once."""
        found = [decided()[split] for split in batch["split"]]
        rows = [(f, at) for f, at in zip(found, batch["at"], strict=True) if f["reason"][at] != UNDRAWN]
        return {name: [f[name][at] for f, at in rows] for name in _PLAN}

    plan = STAGE.run(pool, look_up, settings, workspace)
    return Mixed(_tables(parts, plan), _facts(parts, pool, plan, config))


def _taken(config: MixConfig, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The weight and count of each part as plain data."""
    takes = {name: config.parts.get(name, Take()) for name in names}
    return {name: take.model_dump(mode="json", include={"weight", "count"}) for name, take in takes.items()}


def decide(
    pool: Mapping[str, Batch], config: MixConfig, sets: Mapping[str, str] | None = None
) -> dict[str, Batch]:
    """Decide about every row: by split, columns of ``_POOL`` in and columns of ``_PLAN`` out.

    Args:
        sets: the parts that have other splits of another part, with that part.
    """
    columns = ("part", "id", "question", "reason", "lacks")
    candidates = [
        Candidate(part, split, key, question, reason is None and lacks is None)
        for split, rows in pool.items()
        for part, key, question, reason, lacks in zip(*(rows[name] for name in columns), strict=True)
    ]
    groups = near_duplicates.find([candidate.question for candidate in candidates])
    repeats = iter(_repeats(candidates, groups, config, sets or {}))
    decided = {
        split: _decide_split(rows, [next(repeats) for _ in rows["id"]], config)
        for split, rows in pool.items()
    }
    in_it = [is_in for fate in decided.values() for is_in in fate["in_raw"]]
    labels = [(c.split, is_in) for c, is_in in zip(candidates, in_it, strict=True)]
    nearest = iter(groups.nearest(labels, lambda one, other: one[0] != other[0] and one[1] and other[1]))
    for fate in decided.values():
        found = [next(nearest) for _ in fate["id"]]
        fate[schemas.NEAR] = [None if at is None else candidates[at].id for at in found]
    return decided


def _repeats(
    candidates: Sequence[Candidate], groups: Groups, config: MixConfig, sets: Mapping[str, str]
) -> list[Repeat | None]:
    """The question that each one repeats: the same one, or else a near duplicate in a split further from training."""
    judged = judge(candidates)
    if config.near_duplicates == "keep":
        return judged
    order = protected_first([candidate.split for candidate in candidates])
    is_apart = config.near_duplicates == "apart"

    def leaks(one: tuple[str, str], other: tuple[str, str]) -> bool:
        return order.index(other[1]) < order.index(one[1]) and not (is_apart and one[0] == other[0])

    nearest = groups.nearest([(sets.get(c.part, c.part), c.split) for c in candidates], leaks)
    return [
        repeat
        if at is None or (repeat is not None and repeat.is_leak)
        else Repeat(candidates[at], "near", True)
        for repeat, at in zip(judged, nearest, strict=True)
    ]


def _decide_split(rows: Batch, repeats: Sequence[Repeat | None], config: MixConfig) -> Batch:
    reasons: list[str | None] = []
    out: list[bool] = []
    for split, reason, lacks, repeat in zip(
        rows["split"], rows["reason"], rows["lacks"], repeats, strict=True
    ):
        is_out = repeat is not None and (
            repeat.is_leak or repeat.match == "id" or config.duplicates == "drop"
        )
        out.append(is_out)
        reasons.append(reason or lacks or (_reason(split, repeat) if repeat is not None and is_out else None))
    places = _places(rows, [at for at, reason in enumerate(reasons) if reason is None], config)
    before = [reason is not None for reason in rows["reason"]]
    of = [None if before[at] or rows["lacks"][at] else repeat for at, repeat in enumerate(repeats)]
    return {
        **{name: rows[name] for name in ("part", "split", "id")},
        "reason": [UNDRAWN if r is None and at not in places else r for at, r in enumerate(reasons)],
        "place": [places.get(at) for at in range(len(reasons))],
        "is_new": [reason is not None and not before[at] for at, reason in enumerate(reasons)],
        "in_raw": [at in places or (before[at] and not out[at]) for at in range(len(reasons))],
        "of_part": [None if r is None else r.of.part for r in of],
        "of_split": [None if r is None else r.of.split for r in of],
        "of_id": [None if r is None else r.of.id for r in of],
        "match": [None if r is None else r.match for r in of],
    }


def _places(rows: Batch, usable: Sequence[int], config: MixConfig) -> dict[int, int]:
    """The place in the mix of each row that is drawn."""
    by_part: dict[str, list[int]] = {}
    for at in usable:
        by_part.setdefault(rows["part"][at], []).append(at)
    sizes = {part: len(found) for part, found in by_part.items()}
    takes = {part: config.parts.get(part, Take()) for part in by_part}
    drawn = [
        [by_part[part][at] for at in draw([rows["id"][row] for row in by_part[part]], count, config.seed)]
        for part, count in quotas(sizes, takes, next(iter(rows["split"]), "")).items()
    ]
    order = arranged([len(found) for found in drawn], config.order)
    return {drawn[part][row]: place for place, (part, row) in enumerate(order)}


def _reason(split: str, repeat: Repeat) -> str:
    alike, of = ALIKE[repeat.match], repeat.of
    if repeat.is_leak:
        return f"kept out of {split}: it is in the {of.split} split of {of.part} ({alike})"
    return f"duplicate of a question of {of.part} ({alike})"


def _check(parts: Mapping[str, MixPart], config: MixConfig) -> None:
    if not parts:
        raise ConfigError("there is nothing to mix: give at least one part")
    for name, take in config.parts.items():
        if name not in parts:
            near = closest(name, parts)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"the mix has no part {name!r}{hint} (there is: {', '.join(parts)})")
        splits = sorted({str(s) for stage in _stages(parts[name]) for s in parts[name].configs[stage]})
        for asked in (take.weight, take.count):
            if isinstance(asked, dict) and (missing := [split for split in asked if split not in splits]):
                raise ConfigError(f"part {name!r} has no split {missing[0]!r}; it has: {', '.join(splits)}")
    have = {name: _stages(part) for name, part in parts.items()}
    if any(stages != next(iter(have.values())) or not stages for stages in have.values()):
        raise DataError(
            f"all parts must have the same of stage1 and stage2, so that both are mixed alike: {have}"
        )


def _stages(part: MixPart) -> list[str]:
    return [stage for stage in STAGES if stage in part.configs]


def _pool(parts: Mapping[str, MixPart]) -> DatasetDict:
    """All questions of all parts, by split (``_POOL``)."""
    splits = dict.fromkeys(
        str(split)
        for part in parts.values()
        for name in (*STAGES, "raw")
        for split in part.configs.get(name, ())
    )
    made = {}
    for split in splits:
        rows = [
            {"part": name, "split": split, **row}
            for name, part in parts.items()
            for row in _questions(name, part, split)
        ]
        columns: Batch = {name: [row.get(name) for row in rows] for name in _POOL}
        columns["at"] = list(range(len(rows)))
        made[split] = Dataset.from_dict(columns, features=_POOL, split=split)
        made[split]._fingerprint = digest(columns)[:32]
    return DatasetDict(made)


def _questions(name: str, part: MixPart, split: str) -> Iterator[dict[str, Any]]:
    """The questions of one part and split. Those that an earlier stage rejected come last."""

    def column(config: str, values: str) -> dict[str, Any]:
        rows = part.configs.get(config, {}).get(split)
        found = {} if rows is None else dict(rows_as_tuples(rows, "id", values))
        if rows is not None and len(found) < len(rows) and config != "rejected":
            key = next(key for key, count in Counter(rows["id"]).items() if count > 1)
            raise DataError(
                f"the id {key!r} comes twice in {config}/{split} of part {name!r}: ids must be unique"
            )
        return found

    one, two, raw = column("stage1", "input"), column("stage2", "query"), column("raw", "question")
    for key in {**one, **two}:
        question = str(one[key] if key in one else two[key].partition("\n")[2] or two[key])
        if key in one and key in two and not two[key].strip().endswith(question.strip()):
            raise DataError(
                f"{key!r} of part {name!r} is {question[:80]!r} in stage 1 and {two[key][:80]!r} in stage 2: are both "
                "made from the same questions?"
            )
        there = {"stage1": key in one, "stage2": key in two}
        lacks = [f"it is not in {stage} of its part" for stage in _stages(part) if not there[stage]]
        yield {"id": key, "question": question, "lacks": next(iter(lacks), None)}
    reasons = column("rejected", "reason")
    for key in raw:
        if key not in one and key not in two:
            yield {"id": key, "question": raw[key], "reason": reasons.get(key, "rejected")}


def _facts(
    parts: Mapping[str, MixPart], pool: DatasetDict, plan: DatasetDict, config: MixConfig
) -> dict[str, Any]:
    counts: dict[str, dict[str, Counter[str]]] = {name: {} for name in parts}
    repeats: Counter[tuple[Any, ...]] = Counter()
    examples: dict[tuple[Any, ...], list[str]] = {}
    for split, rows in pool.items():
        for part, count in Counter(rows["part"]).items():
            counts[part][str(split)] = Counter(questions=count, undrawn=count)
        for row in plan[split]:
            became = "rows" if row["reason"] is None else "rejected" if row["is_new"] else "before"
            counts[row["part"]][str(split)].update({became: 1, "undrawn": -1})
            if row["match"]:
                where = (row["part"], split, row["of_part"], row["of_split"], row["match"], row["is_new"])
                repeats[where] += 1
                examples.setdefault(where, [row["id"], row["of_id"]])
    kinds = ("questions", "before", "rejected", "undrawn", "rows")
    taken = _taken(config, parts)
    return {
        "order": config.order,
        "seed": config.seed,
        "duplicates": config.duplicates,
        "parts": {
            name: {
                **parts[name].labels,
                **taken[name],
                "splits": {split: {kind: found[kind] for kind in kinds} for split, found in splits.items()},
            }
            for name, splits in counts.items()
        },
        "near_duplicates": config.near_duplicates,
        "repeats": [
            {**dict(zip(_REPEAT, key, strict=True)), "count": count, "example": examples[key]}
            for key, count in repeats.items()
        ],
    }


def _tables(parts: Mapping[str, MixPart], plan: DatasetDict) -> dict[str, DatasetDict]:
    """Every config of the mix, with the rows at their places, and ``rejected``."""
    made: dict[str, DatasetDict] = {}
    near, known = near_column(plan), configs()
    with quiet_datasets():
        for config in dict.fromkeys(
            [*(config for part in parts.values() for config in part.configs), "rejected"]
        ):
            made[config] = _rejected(parts, plan) if config == "rejected" else _mixed(config, parts, plan)
            if config in known and known[config].has_near:
                made[config] = with_near_column(made[config], near)
    return made


def _mixed(config: str, parts: Mapping[str, MixPart], plan: DatasetDict) -> DatasetDict:
    tables = {name: part.configs[config] for name, part in parts.items() if config in part.configs}
    made = {}
    for split, rows in plan.items():
        there = {name: splits[split] for name, splits in tables.items() if split in splits}
        if not there:
            like = next(iter(next(iter(tables.values())).values()))
            made[split] = _labelled(like.select([]), {"dataset": "", "task": ""})
            continue
        labelled = {name: _labelled(table, parts[name].labels) for name, table in there.items()}
        index: dict[tuple[str, str], list[int]] = {}  # (part, id) -> its rows
        for at, key in enumerate((name, key) for name, table in there.items() for key in column(table, "id")):
            index.setdefault(key, []).append(at)
        keys = _keys(rows, config in _DRAWN_ALONE)
        made[split] = _concatenated(config, labelled).select(
            [at for key in keys for at in index.get(key, ())]
        )
        parts_of = [[name, table._fingerprint, parts[name].labels] for name, table in there.items()]
        made[split]._fingerprint = digest([rows._fingerprint, config, parts_of])[:32]
    return DatasetDict(made)


def _keys(plan: Dataset, drawn_alone: bool) -> list[tuple[str, str]]:
    """Part and id of the rows of the mix in order, then of questions that an earlier stage rejected; each id once."""
    columns = [plan[name] for name in ("part", "id", "place", "in_raw")]
    rows = sorted(
        (place is None, place or 0, at, part, key)
        for at, (part, key, place, in_raw) in enumerate(zip(*columns, strict=True))
        if (place is not None if drawn_alone else in_raw)
    )
    once: dict[str, tuple[str, str]] = {}
    for *_, part, key in rows:
        once.setdefault(key, (part, key))
    return list(once.values())


def _labelled(rows: Dataset, labels: Mapping[str, str]) -> Dataset:
    """Add the columns ``dataset`` and ``task``, unless the rows are of a mix and have them."""
    if schemas.NEAR in rows.column_names:
        rows = rows.remove_columns(schemas.NEAR)
    features = schemas.mixed(rows.features)
    for name in schemas.OF_A_MIX:
        if name not in rows.column_names:
            rows = rows.add_column(name, [labels[name]] * len(rows), feature=features[name])
    return rows


def _concatenated(config: str, parts: Mapping[str, Dataset]) -> Dataset:
    """All parts as one table. Columns that older versions did not write are null."""
    later = (*schemas.LATER, *(["correct"] if config == "stage2" else []))
    newest = max((rows.features for rows in parts.values()), key=len)
    completed = {}
    for name, rows in parts.items():
        for lacking in newest:
            if lacking in later and lacking not in rows.column_names:
                rows = rows.add_column(lacking, [None] * len(rows), feature=newest[lacking])
        same = {*rows.column_names} == {*newest}
        completed[name] = rows.select_columns(list(newest)) if same else rows
    first, *others = completed
    for name in others:
        one, other = completed[first].features, completed[name].features
        differ = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
        if differ:
            raise DataError(
                f"{config} of part {name!r} does not have the columns of part {first!r}: they differ in "
                f"{', '.join(differ)}"
            )
    return concatenate_datasets([rows.with_format(None) for rows in completed.values()])


def _rejected(parts: Mapping[str, MixPart], plan: DatasetDict) -> DatasetDict:
    """What the parts rejected, and then what the mix rejected."""
    features = schemas.mixed(schemas.REJECTED)
    made = {}
    for split, planned in plan.items():
        rows: list[dict[str, Any]] = [
            {**part.labels, **row}
            for part in parts.values()
            for row in part.configs.get("rejected", {}).get(split, ())
        ]
        new = [row for row in planned if row["is_new"]]
        for row, detail in zip(new, _details(new, parts, str(split)), strict=True):
            rejected = {"id": row["id"], "stage": "mix", "reason": row["reason"]}
            rejected["detail"] = json.dumps(detail, ensure_ascii=False)
            rows.append({**rejected, **parts[row["part"]].labels})
        columns = {name: [row[name] for row in rows] for name in features}
        made[split] = Dataset.from_dict(columns, features=features, split=planned.split)
    return DatasetDict(made)


def _details(
    rows: Sequence[Mapping[str, Any]], parts: Mapping[str, MixPart], split: str
) -> Iterator[dict[str, Any]]:
    """What is known about rows that the mix rejects: question, answer, stages 1 and 2, and what they repeat."""
    wanted = {(row["part"], row["id"]) for row in rows}
    known: dict[str, dict[tuple[str, str], Any]] = {
        config: {
            (name, row["id"]): dict(row)
            for name, part in parts.items()
            if wanted and split in part.configs.get(config, {})
            for row in part.configs[config][split]
            if (name, row["id"]) in wanted
        }
        for config in ("raw", "stage1", "stage2")
    }
    for row in rows:
        raw, one, two = (rows_of.get((row["part"], row["id"])) for rows_of in known.values())
        question = raw or ({"question": one["input"], "answer": one["answer"]} if one else {})
        repeats = {name: row[f"of_{name}"] for name in ("part", "split", "id")} | {"match": row["match"]}
        yield {
            "question": question.get("question"),
            "answer": question.get("answer"),
            "stage1": one,
            "stage2": two,
            "repeats": repeats if row["match"] else None,
        }

"""Checks that every question is kept or rejected with a reason, and that the numbers add up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from datasets import Dataset, DatasetDict, concatenate_datasets

from toolgen_hf import schemas
from toolgen_hf._utils import column, rows_as_tuples
from toolgen_hf.builders.rows import shorten
from toolgen_hf.errors import DataError
from toolgen_hf.models.file import MISSING, unanswered
from toolgen_hf.models.file import STAGE as RESPOND
from toolgen_hf.runtime.runner import rows_as_dicts


def collect_rejected(called: DatasetDict) -> DatasetDict:
    """The rejected rows (``schemas.REJECTED``): the stage, the reason, and the row as JSON."""

    def table(rows: Dataset) -> Dataset:
        out = [at for at, reason in enumerate(column(rows, "reason")) if reason is not None]
        made: dict[str, list[str]] = {name: [] for name in schemas.REJECTED}
        for row in rows_as_dicts(rows.select(out)):
            made["id"].append(row["id"])
            made["stage"].append("answer" if row["response"] is None else "tool_api")
            made["reason"].append(row["reason"])
            made["detail"].append(json.dumps(row, ensure_ascii=False))
        return Dataset.from_dict(made, features=schemas.REJECTED, split=rows.split)

    return DatasetDict({split: table(rows) for split, rows in called.items()})


def with_left_over(
    rejected: DatasetDict,
    cloned: DatasetDict,
    given: Mapping[str, DatasetDict],
    left: Sequence[Mapping[str, str]],
) -> DatasetDict:
    """Add the rows of stage 1 that a file of responses lacks, and to the first split the rows that it has too many.

    Args:
        rejected: what was rejected before.
        given: the responses of each file (``schemas.EXECUTED``).
        left: the rows of the files that answer no question.
    """
    made, first = {}, next(iter(rejected))
    for split, rows in rejected.items():
        lacking = {
            (name, key)
            for name, splits in given.items()
            for key, reason in rows_as_tuples(splits[split], "id", "finish_reason")
            if reason == MISSING
        }
        asked = list(rows_as_tuples(cloned[split], "id", "input")) if lacking else []
        more = [
            unanswered(name, key, question)
            for name in given
            for key, question in asked
            if (name, key) in lacking
        ]
        more += [dict(row) for row in left] if split == first else []
        columns = {name: [row[name] for row in more] for name in schemas.REJECTED}
        added = Dataset.from_dict(columns, features=schemas.REJECTED, split=rows.split)
        made[split] = concatenate_datasets([rows, added]) if more else rows
    return DatasetDict(made)


def check_counts(
    raw: DatasetDict, cloned: DatasetDict, gold: DatasetDict, scored: DatasetDict, rejected: DatasetDict
) -> None:
    """Every question is in stage 1 or rejected. Every row of stage 1 is right, and is in stage 2 or rejected.

    Raises:
        DataError: this does not hold, which is a defect of this library.
    """
    if wrong := [
        key for rows in gold.values() for key, right in rows_as_tuples(rows, "id", "correct") if not right
    ]:
        raise DataError(
            f"{len(wrong)} rows of stage 1 do not give their answer, such as {wrong[0]!r}; please report this"
        )
    for split in raw:
        asked, kept = len(raw[split]), len(cloned[split])
        stages = list(rows_as_tuples(rejected[split], "id", "stage"))
        out = sum(stage != RESPOND for _, stage in stages)
        unscored = {*column(cloned[split], "id")} - {*column(scored[split], "id")}
        lost = unscored - {key for key, stage in stages if stage == RESPOND}
        if asked != kept + out or kept != len(scored[split]) + len(unscored) or lost:
            raise DataError(
                f"rows were lost in split {str(split)!r}: {asked} questions, {kept} in stage 1, {out} rejected, "
                f"{len(scored[split])} in stage 2; please report this"
            )


def require_right(gold: DatasetDict, source: str | None) -> None:
    """Check that every row of a stage 1 from an earlier run gives its answer.

    Args:
        gold: its outputs, executed (``schemas.EXECUTED``).
        source: the set it is from, for the message.

    Raises:
        DataError: a row does not.
    """
    wrong = [
        (split, at)
        for split, rows in gold.items()
        for at, right in enumerate(column(rows, "correct"))
        if not right
    ]
    if wrong:
        split, row = wrong[0][0], gold[wrong[0][0]][wrong[0][1]]
        given = row["error"] or row["prediction"]
        raise DataError(
            f"dataset.source {source!r}: {len(wrong)} of its rows do not give their answer, such as {row['id']!r} of "
            f"split {str(split)!r}: its output {shorten(row['response'])} gives "
            f"{'no answer' if given is None else repr(given)}, and its answer is {row['answer']!r}. Mend such rows or "
            "leave them out, or make this stage 1 anew from its questions"
        )


def require_usable(answered: DatasetDict) -> None:
    """Check that at least one question can be used.

    Raises:
        DataError: none can; says why the first one cannot.
    """
    first = next((rows[0] for rows in answered.values() if len(rows)), None)
    if first is None:
        raise DataError("there are no questions: every split is empty")
    reasons = (reason for rows in answered.values() for reason in column(rows, "reason"))
    if all(reason is not None for reason in reasons):
        raise DataError(
            f"no question can be used: {first['reason']}, such as {first['answer']!r} of {first['id']!r}; "
            "check which column is mapped to 'answer'"
        )

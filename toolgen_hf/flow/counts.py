"""Checks that every question is kept or rejected with a reason, and that the numbers add up."""

from __future__ import annotations

import json
from collections.abc import Sequence

from datasets import Dataset, DatasetDict

from toolgen_hf import schemas
from toolgen_hf.builders.rows import shorten
from toolgen_hf.errors import DataError
from toolgen_hf.models.file import STAGE as RESPOND
from toolgen_hf.models.file import Given


def collect_rejected(called: DatasetDict) -> DatasetDict:
    """The rejected rows (``schemas.REJECTED``): the stage, the reason, and the row as JSON."""

    def table(rows: Dataset) -> Dataset:
        out = [row for row in rows if row["reason"] is not None]
        made = {
            "id": [row["id"] for row in out],
            "stage": ["answer" if row["response"] is None else "tool_api" for row in out],
            "reason": [row["reason"] for row in out],
            "detail": [json.dumps(row, ensure_ascii=False) for row in out],
        }
        return Dataset.from_dict(made, features=schemas.REJECTED, split=rows.split)

    return DatasetDict({split: table(rows) for split, rows in called.items()})


def with_left_over(rejected: DatasetDict, cloned: DatasetDict, given: Sequence[Given]) -> DatasetDict:
    """Add the rows of stage 1 that a file of responses lacks, and to the first split the rows that it has too many.

    Args:
        rejected: what was rejected before.
        given: what each file was found to hold.
    """
    made, first = {}, next(iter(rejected))
    for split, rows in rejected.items():
        asked = dict(zip(cloned[split]["id"], cloned[split]["input"], strict=True))
        more = [row for one in given for row in one.missing(asked)]
        more += [row for one in given for row in one.rejected if split == first]
        columns = {name: [*rows[name], *(row[name] for row in more)] for name in schemas.REJECTED}
        made[split] = Dataset.from_dict(columns, features=schemas.REJECTED, split=rows.split)
    return DatasetDict(made)


def check_counts(
    raw: DatasetDict, cloned: DatasetDict, gold: DatasetDict, scored: DatasetDict, rejected: DatasetDict
) -> None:
    """Every question is in stage 1 or rejected. Every row of stage 1 is right, and is in stage 2 or rejected.

    Raises:
        DataError: this does not hold, which is a defect of this library.
    """
    if wrong := [row["id"] for rows in gold.values() for row in rows if not row["correct"]]:
        raise DataError(
            f"{len(wrong)} rows of stage 1 do not give their answer, such as {wrong[0]!r}; please report this"
        )
    for split in raw:
        asked, kept = len(raw[split]), len(cloned[split])
        stages = list(zip(rejected[split]["id"], rejected[split]["stage"], strict=True))
        out = sum(stage != RESPOND for _, stage in stages)
        unscored = {*cloned[split]["id"]} - {*scored[split]["id"]}
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
    wrong = [(split, row) for split, rows in gold.items() for row in rows if not row["correct"]]
    if wrong:
        split, row = wrong[0]
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
    first = next((row for rows in answered.values() for row in rows), None)
    if first is None:
        raise DataError("there are no questions: every split is empty")
    if all(reason is not None for rows in answered.values() for reason in rows["reason"]):
        raise DataError(
            f"no question can be used: {first['reason']}, such as {first['answer']!r} of {first['id']!r}; "
            "check which column is mapped to 'answer'"
        )

"""That every question is accounted for: what fell out is kept with its reason, and counts add up."""

from __future__ import annotations

import json

from datasets import Dataset, DatasetDict

from toolgen_hf import schemas
from toolgen_hf.errors import DataError


def collect_rejected(called: DatasetDict) -> DatasetDict:
    """The rows that fell out, with the stage, the reason and what there was of them."""

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


def check_counts(
    raw: DatasetDict, cloned: DatasetDict, gold: DatasetDict, scored: DatasetDict, rejected: DatasetDict
) -> None:
    """Every question is in stage 1 or in rejected, all of stage 1 is in stage 2, and all of it is right.

    Raises:
        DataError: one of these does not hold, which is a defect of this library.
    """
    if wrong := [row["id"] for rows in gold.values() for row in rows if not row["correct"]]:
        raise DataError(
            f"{len(wrong)} rows of stage 1 do not give their answer, such as {wrong[0]!r}; please report this"
        )
    for split in raw:
        asked, kept, out = len(raw[split]), len(cloned[split]), len(rejected[split])
        if asked != kept + out or kept != len(scored[split]):
            raise DataError(
                f"rows were lost in split {str(split)!r}: {asked} questions, {kept} in stage 1, {out} rejected, "
                f"{len(scored[split])} in stage 2; please report this"
            )


def require_usable(answered: DatasetDict) -> None:
    """Check that there is a question that can be used.

    Raises:
        DataError: there is none; says why the first cannot.
    """
    first = next((row for rows in answered.values() for row in rows), None)
    if first is None:
        raise DataError("there are no questions: every split is empty")
    if all(reason is not None for rows in answered.values() for reason in rows["reason"]):
        raise DataError(
            f"no question can be used: {first['reason']}, such as {first['answer']!r} of {first['id']!r}; "
            "check which column is mapped to 'answer'"
        )

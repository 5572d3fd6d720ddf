"""Stage 1: the student's response where it was right, the tool call where it was wrong; and the gold responses."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from toolgen_hf import Workspace, schemas
from toolgen_hf.errors import DataError
from toolgen_hf.stages.stage1 import gold, stage1, stage1_batch
from toolgen_hf.tasks import get_task

MATH = get_task("math")
NATALIA = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many?"
)
CALLED: dict[str, Any] = {
    **dict.fromkeys(schemas.CALLED),
    "id": "GSM8K-train-0",
    "question": NATALIA,
    "answer": ["72"],
    "response": "The answer is 48.",
    "truncated": False,
    "correct": False,
    "fewshot_overlap": False,
    "tool_call": "calculator(48+48/2)",
    "teacher": "annotations",
    "verified_by": "execution+solution",
    "soundness": "explained",
    "attempts": [],
}


def table(*rows: dict[str, Any]) -> DatasetDict:
    return DatasetDict(train=Dataset.from_list(list(rows), features=schemas.CALLED))


def test_a_row_in_and_out() -> None:
    right = {**CALLED, "id": "b", "correct": True, "response": "The answer is 72.", "tool_call": None}
    rejected = {**CALLED, "id": "c", "reason": "no teacher's call was verified"}
    with Workspace(progress=False) as workspace:
        cloned = stage1(table(CALLED, {**right, "verified_by": None, "soundness": None}, rejected), workspace)
        responses = gold(cloned, workspace)
    assert list(cloned["train"]) == [
        {
            "id": "GSM8K-train-0",
            "instruction": MATH.instruction,
            "input": NATALIA,
            "output": "calculator(48+48/2)",
            "answer": ["72"],
            "fewshot_overlap": False,
            "verified_by": "execution+solution",
            "soundness": "explained",
        },
        {
            "id": "b",
            "instruction": MATH.instruction,
            "input": NATALIA,
            "output": "The answer is 72.",
            "answer": ["72"],
            "fewshot_overlap": False,
            "verified_by": None,
            "soundness": None,
        },
    ]
    assert responses["train"][0] == {
        "id": "GSM8K-train-0",
        "question": NATALIA,
        "answer": ["72"],
        "source": "gold",
        "response": "calculator(48+48/2)",
        "finish_reason": None,
    }


def test_columns_of_later_versions_are_null() -> None:
    old = table(CALLED).remove_columns(["verified_by", "soundness"])
    with Workspace(progress=False) as workspace:
        (row,) = stage1(old, workspace)["train"]
    assert (row["output"], row["verified_by"], row["soundness"]) == ("calculator(48+48/2)", None, None)


def test_a_missing_column_is_named() -> None:
    with (
        Workspace(progress=False) as workspace,
        pytest.raises(DataError, match=r"stage1 needs the columns \['tool_call'\]"),
    ):
        stage1(table(CALLED).remove_columns("tool_call"), workspace)


def test_of_a_table_by_others_stage1_teaches_the_response_alone() -> None:
    row = {"id": "a", "question": "40 less 24?", "answer": ["16"], "fewshot_overlap": False, "reason": None}
    made = [
        {**row, "correct": True, "response": "<think>?</think>16<|im_end|>", "tool_call": None},
        {**row, "correct": False, "response": "17", "tool_call": "calculator(40-24)\nQuestion: 2+2?"},
    ]
    batch = {name: [each[name] for each in made] for name in made[0]}
    assert stage1_batch(batch, MATH)["output"] == ["16", "calculator(40-24)"]

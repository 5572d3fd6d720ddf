"""Stage 1, behavior cloning: the student's response where it was right, the tool call where it was wrong.

    in   {"id": "GSM8K-train-0", ..., "correct": false, "tool_call": "calculator(48+48/2)", "reason": null}
    out  {"id": "GSM8K-train-0", "instruction": "Given a math problem, ...", "input": "Natalia sold ...",
          "output": "calculator(48+48/2)", "answer": ["72"], "verified_by": "execution+solution",
          "soundness": "explained"}

Rejected rows are left out. The input has them, with their reasons.
"""

from __future__ import annotations

from typing import Any

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.responses import final_response

STAGE = Stage("stage1", version=3, features=schemas.STAGE1, reads=schemas.CALLED)
GOLD = Stage("gold", version=2, features=schemas.RESPONSES, reads=schemas.STAGE1)


def stage1_batch(batch: Batch, task: Task) -> Batch:
    """Keep the rows without a reason. The output is the response alone, without thinking and invented text."""
    kept = [i for i, reason in enumerate(batch["reason"]) if reason is None]
    return {
        "id": [batch["id"][i] for i in kept],
        "instruction": [task.instruction] * len(kept),
        "input": [batch["question"][i] for i in kept],
        "output": [
            text and final_response(text)
            for i in kept
            for text in [batch["response"][i] if batch["correct"][i] else batch["tool_call"][i]]
        ],
        "answer": [batch["answer"][i] for i in kept],
        "fewshot_overlap": [batch["fewshot_overlap"][i] for i in kept],
        **{
            name: [batch[name][i] if name in batch else None for i in kept]
            for name in ("verified_by", "soundness")
        },
    }


def gold_batch(batch: Batch) -> Batch:
    """Stage 1's outputs as the responses of a source named ``gold``."""
    return {
        "id": batch["id"],
        "question": batch["input"],
        "answer": batch["answer"],
        "source": ["gold"] * len(batch["id"]),
        "response": batch["output"],
        "finish_reason": [None] * len(batch["id"]),
    }


def stage1(called: DatasetDict, workspace: Workspace, task: str | Task = "math") -> DatasetDict:
    """Assemble the behavior cloning set (columns ``schemas.CALLED`` -> ``STAGE1``).

    Raises:
        DataError: a column is missing.
    """
    require_columns(called, schemas.CALLED, "stage1")
    grader = get_task(task)
    settings = {"task": identity(grader), "instruction": grader.instruction}
    return STAGE.run(called, lambda batch: stage1_batch(batch, grader), settings, workspace)


def gold(stage1_rows: DatasetDict, workspace: Workspace) -> DatasetDict:
    """The gold responses for stage 2 (columns ``schemas.STAGE1`` -> ``RESPONSES``)."""
    require_columns(stage1_rows, schemas.STAGE1, "gold")
    return GOLD.run(stage1_rows, gold_batch, {}, workspace)


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """Run the stage with the settings of a `toolgen_hf.Recipe`."""
    return stage1(rows, workspace, recipe.task)


def run_gold(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """`gold`, which needs no settings."""
    return gold(rows, workspace)

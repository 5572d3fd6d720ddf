"""The rows that pages show: their question is the dataset's, their calls run, and their scores are due."""

from __future__ import annotations

from typing import Any

from toolgen_hf import schemas
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.stages.score import STRATEGIES
from toolgen_hf.tasks import get_task

CONFIGS = {"raw": schemas.RAW, "stage1": schemas.STAGE1, "stage2": schemas.SCORED, "sft": schemas.SFT,
           "tool_calling": schemas.TOOL_CALLING, "preference": schemas.PREFERENCE}  # fmt: skip
FEATURES = {
    **{name: schemas.marked(features) for name, features in CONFIGS.items()},
    **{"answered": schemas.ANSWERED, "called": schemas.CALLED, "executed": schemas.EXECUTED},
    "rejected": schemas.REJECTED,
}


def check_row(row: dict[str, Any], config: str) -> None:
    """A whole row of ``config`` about a GSM8K question; of one that is scored, every score is computed again."""
    config, _, strategy = config.partition(" by ")
    assert list(row) == list(FEATURES[config])
    question = _question(row["id"])
    for column in ("question", "input"):
        assert row.get(column, question["question"]) == question["question"]
    if config in ("raw", "answered", "called", "stage1", "executed"):
        assert row["answer"] == question["answer"]
    if config == "stage1":
        assert row["instruction"] == get_task("math").instruction
        assert _execute([row["output"]], question)["correct"] == [True]
    if config == "stage2":
        _check_scores(row, question, strategy or "distance")


def _check_scores(row: dict[str, Any], question: dict[str, Any], strategy: str) -> None:
    task, ran = get_task("math"), _execute(row["responses"], question, row["answer"])
    assert row["query"] == f"{task.query_instruction}\n{question['question']}"
    assert row["answer"] == [prediction or "" for prediction in ran["prediction"]]
    scores = STRATEGIES[strategy](ran["prediction"], ran["uses_tool"], question["answer"], task)
    assert row["scores"] == scores


def _execute(
    responses: list[str], question: dict[str, Any], stated: list[str] | None = None
) -> dict[str, list[Any]]:
    """Run them; a text that has no answer in ``stated`` was cut, which a row of stage 2 does not say."""
    task = get_task("math")
    ends = [not said for said in stated or responses]
    done = [execute_response(text, task, is_cut) for text, is_cut in zip(responses, ends, strict=True)]
    return {
        "prediction": [one.prediction for one in done],
        "uses_tool": [one.uses_tool for one in done],
        "correct": [task.is_correct(one.prediction, question["answer"]) for one in done],
    }


def _question(key: str) -> dict[str, Any]:
    _, split, number = key.split("-")
    found: dict[str, Any] = load(GSM8K())[split][int(number)]
    assert found["id"] == key
    return found

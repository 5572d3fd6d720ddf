"""Scores: the responses to one question, ranked for RLEF.

    in   {"query": "Given a math problem, ...", "responses": ["calculator(3*19)", ..., "Jean has $54."],
          "origin": ["gold", ...], "predictions": ["57.0", ..., "54.0"], "answer": ["57"], ...}
    out  {"query": ..., "responses": ..., "origin": ..., "scores": [20, ..., 15], "answer": ["57.0", ..., "54.0"],
          "correct": [true, ..., false]}

Two published strategies:

``distance`` (the default; the released code and example of TRICE): gold 20; right with gold's tool decision
20; right with the other decision 15; wrong ones by distance to the gold answer, nearest first, on the levels
that are left of 20/15/10/5/0 (15 is taken once there is a right response with the other decision). Equal
distance, equal score; no answer, 0.

``consistency`` (the paper): right or wrong first, then whether the tool decision is gold's: 20, 15, 10, 5;
no answer, 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from datasets import Dataset, DatasetDict
from datasets.fingerprint import Hasher

from toolgen_hf import schemas
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.models.file import MISSING
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.prompts import examples_digest, is_example

STAGE = Stage("score", version=4, features=schemas.SCORED, reads=schemas.CANDIDATES)
_LEVELS = (20, 15, 10, 5, 0)
SCORES = tuple(map(str, _LEVELS))
"""The scores as keys of a JSON object."""

Strategy = Literal["distance", "consistency"]


def score_distance(
    predictions: Sequence[str | None], uses_tool: Sequence[bool], answer: Sequence[str], task: Task
) -> list[int]:
    """Scores by answer, tool decision and distance. The gold response must come first."""
    right = [task.is_correct(prediction, answer) for prediction in predictions]
    other = [uses != uses_tool[0] for uses in uses_tool]
    free = _LEVELS[2:] if any(r and o for r, o in zip(right[1:], other[1:], strict=True)) else _LEVELS[1:]
    distances = [
        task.distance(prediction, answer) if prediction is not None and not r else None
        for prediction, r in zip(predictions, right, strict=True)
    ]
    nearest_first = sorted({distance for distance in distances[1:] if distance is not None})

    def score(i: int) -> int:
        if right[i]:
            return _LEVELS[1] if other[i] else _LEVELS[0]
        distance = distances[i]
        rank = len(free) if distance is None else nearest_first.index(distance)
        return free[rank] if rank < len(free) else 0

    return [_LEVELS[0], *(score(i) for i in range(1, len(predictions)))]


def score_consistency(
    predictions: Sequence[str | None], uses_tool: Sequence[bool], answer: Sequence[str], task: Task
) -> list[int]:
    """Scores by answer, then by tool decision. The gold response must come first."""

    def score(prediction: str | None, uses: bool) -> int:
        if prediction is None:
            return 0
        return _LEVELS[2 * (not task.is_correct(prediction, answer)) + (uses != uses_tool[0])]

    return [_LEVELS[0], *(score(p, u) for p, u in zip(predictions[1:], uses_tool[1:], strict=True))]


STRATEGIES: dict[str, Callable[[Sequence[str | None], Sequence[bool], Sequence[str], Task], list[int]]] = {
    "distance": score_distance,
    "consistency": score_consistency,
}


def score_batch(batch: Batch, strategy: str, task: Task) -> Batch:
    """Score every row's responses."""
    rows = zip(batch["predictions"], batch["uses_tool"], batch["answer"], strict=True)
    return {
        **{name: batch[name] for name in ("id", "query", "responses", "origin", "fewshot_overlap")},
        # Trainers add an end token to each text, so a missing text is empty and not null.
        "responses": [[text or "" for text in texts] for texts in batch["responses"]],
        "scores": [STRATEGIES[strategy](p, u, a, task) for p, u, a in rows],
        "answer": [["" if p is None else p for p in predictions] for predictions in batch["predictions"]],
        "correct": [
            [task.is_correct(prediction, answer) for prediction in predictions]
            for predictions, answer in zip(batch["predictions"], batch["answer"], strict=True)
        ],
    }


def score(
    candidates: DatasetDict, workspace: Workspace, task: str | Task = "math", strategy: Strategy = "distance"
) -> DatasetDict:
    """Score the responses of every question (columns ``schemas.CANDIDATES`` -> ``SCORED``).

    Raises:
        ConfigError: the strategy is unknown.
        DataError: a column is missing.
    """
    require_columns(candidates, schemas.CANDIDATES, "score")
    if strategy not in STRATEGIES:
        raise ConfigError(f"unknown scoring strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    grader = get_task(task)
    settings = {"strategy": strategy, "task": identity(grader)}
    return STAGE.run(candidates, lambda batch: score_batch(batch, strategy, grader), settings, workspace)


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """Run the stage with the settings of a `toolgen_hf.Recipe`."""
    return score(rows, workspace, recipe.task, recipe.score.strategy)


def gather(executed: Mapping[str, DatasetDict], task: str | Task = "math") -> DatasetDict:
    """Put the executed responses of all sources together: one row for each question with a gold response.

    Args:
        executed: the responses by source (``schemas.EXECUTED``). ``gold`` decides which questions there are,
            and their order.

    Returns:
        ``schemas.CANDIDATES`` rows, with gold first and then the sources in the given order. A question to which a file
        of responses has no response is left out.

    Raises:
        DataError: a source lacks a question that gold has.
    """
    if "gold" not in executed:
        raise DataError(
            f"there are no gold responses among the sources {list(executed)}: they are the outputs of stage 1"
        )
    for name, source in executed.items():
        if missing := [split for split in executed["gold"] if split not in source]:
            raise DataError(
                f"source {name!r} has no split {missing[0]!r}, but gold has; it has {list(source)}"
            )
    return DatasetDict(
        {
            split: _gather_split({name: source[split] for name, source in executed.items()}, get_task(task))
            for split in executed["gold"]
        }
    )


def _gather_split(executed: Mapping[str, Dataset], task: Task) -> Dataset:
    ordered = {"gold": executed["gold"]} | dict(executed)
    by_id: dict[str, dict[str, Mapping[str, Any]]] = {
        name: {row["id"]: row for row in rows} for name, rows in ordered.items()
    }
    for name, rows in by_id.items():
        if missing := [key for key in by_id["gold"] if key not in rows]:
            raise DataError(
                f"source {name!r} has no response to {len(missing)} of {len(by_id['gold'])} questions, "
                f"the first being {missing[0]!r}; let it answer them too, or leave the source out"
            )
    absent = {r["id"] for rows in by_id.values() for r in rows.values() if r["finish_reason"] == MISSING}
    made: Batch = {name: [] for name in schemas.CANDIDATES}
    for key, gold in by_id["gold"].items():
        if key in absent:
            continue
        candidates = [source[key] for source in by_id.values()]
        made["id"].append(key)
        made["query"].append(f"{task.query_instruction}\n{gold['question']}")
        made["answer"].append(gold["answer"])
        made["responses"].append([row["response"] for row in candidates])
        made["origin"].append(list(by_id))
        made["predictions"].append([row["prediction"] for row in candidates])
        made["uses_tool"].append([row["uses_tool"] for row in candidates])
        made["fewshot_overlap"].append(is_example(task, gold["question"]))
    gathered = Dataset.from_dict(made, features=schemas.CANDIDATES, split=executed["gold"].split)
    parts = [[name, rows._fingerprint] for name, rows in ordered.items()]
    gathered._fingerprint = Hasher.hash([*parts, task.query_instruction, examples_digest(task)])
    return gathered

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

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from datasets.fingerprint import Hasher

from toolgen_hf import schemas
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.models.file import MISSING
from toolgen_hf.runtime.cache import kept_batches
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.prompts import examples_digest, is_example

_AT_ONCE = 1000
"""Questions that are put together at once."""
STAGE = Stage("score", version=4, features=schemas.SCORED, reads=schemas.CANDIDATES)
_LEVELS = (20, 15, 10, 5, 0)
SCORES = tuple(map(str, _LEVELS))
"""The scores as keys of a JSON object."""

_Places: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
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


def gather(
    executed: Mapping[str, DatasetDict], task: str | Task = "math", workspace: Workspace | None = None
) -> DatasetDict:
    """Put the executed responses of all sources together: one row for each question with a gold response.

    Args:
        executed: the responses by source (``schemas.EXECUTED``). ``gold`` decides which questions there are,
            and their order.
        workspace: keeps the result in its cache and not in memory.

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
            split: _gather_split(
                {name: source[split] for name, source in executed.items()}, get_task(task), workspace
            )
            for split in executed["gold"]
        }
    )


def _gather_split(executed: Mapping[str, Dataset], task: Task, workspace: Workspace | None) -> Dataset:
    ordered = {"gold": executed["gold"]} | dict(executed)
    parts = [[name, rows._fingerprint] for name, rows in ordered.items()]
    fingerprint = Hasher.hash([*parts, task.query_instruction, examples_digest(task)])
    path = None if workspace is None else workspace.cache_dir / "stages" / f"gather-{fingerprint}.arrow"
    gold = executed["gold"]
    places = cache(lambda: {name: _places(name, rows, gold) for name, rows in ordered.items()})

    def batches(start: int, stop: int) -> Iterator[Batch]:
        return _gathered(ordered, places(), task, start, stop)

    return kept_batches(batches, len(gold), schemas.CANDIDATES, gold, fingerprint, path)


def _gathered(
    executed: Mapping[str, Dataset], places: Mapping[str, _Places], task: Task, first: int, stop: int
) -> Iterator[Batch]:
    """Batches of candidates. The rows of a source are usually in gold's order, so a batch of it is one slice."""
    columns = ["id", "response", "prediction", "uses_tool", "finish_reason"]
    plain = {name: rows.with_format(None) for name, rows in executed.items()}
    questions = plain["gold"].select_columns(["id", "question", "answer"])
    plain = {name: rows.select_columns(columns) for name, rows in plain.items()}
    for start in range(first, stop, _AT_ONCE):
        end = min(start + _AT_ONCE, stop)
        asked = questions[start:end]
        found = [_rows_at(rows, places[name][start:end]) for name, rows in plain.items()]
        there = [
            at for at in range(len(asked["id"])) if all(p["finish_reason"][at] != MISSING for p in found)
        ]
        yield {
            "id": [asked["id"][at] for at in there],
            "query": [f"{task.query_instruction}\n{asked['question'][at]}" for at in there],
            "answer": [asked["answer"][at] for at in there],
            "responses": [[part["response"][at] for part in found] for at in there],
            "origin": [list(executed)] * len(there),
            "predictions": [[part["prediction"][at] for part in found] for at in there],
            "uses_tool": [[part["uses_tool"][at] for part in found] for at in there],
            "fewshot_overlap": [is_example(task, asked["question"][at]) for at in there],
        }


def _places(name: str, rows: Dataset, gold: Dataset) -> _Places:
    """The row of a source for each row of gold."""
    wanted, there = (table.with_format("arrow")[:]["id"] for table in (_ids(gold), _ids(rows)))
    if wanted.equals(there):
        return np.arange(len(gold))
    found = pc.index_in(wanted, value_set=there) if len(there) else pa.nulls(len(gold), pa.int32())
    if found.null_count:
        lacking = wanted.filter(found.is_null())
        raise DataError(
            f"source {name!r} has no response to {len(lacking)} of {len(gold)} questions, "
            f"the first being {lacking[0].as_py()!r}; let it answer them too, or leave the source out"
        )
    made: _Places = found.to_numpy().astype(np.int64)
    return made


def _ids(rows: Dataset) -> Dataset:
    return rows.select_columns(["id"])


def _rows_at(rows: Dataset, places: _Places) -> Batch:
    first, last = int(places.min()), int(places.max())
    if last - first >= 4 * len(places):
        scattered: Batch = rows[places.tolist()]
        return scattered
    batch = rows[first : last + 1]
    return {name: [values[at - first] for at in places.tolist()] for name, values in batch.items()}

"""Golden rows: for each stage a few input rows and what they become, as JSON Lines.

After a change of behaviour that is meant:  python -m tests.stages.golden
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from toolgen_hf.ask import Ask, Generation, Keyed, Request, RowRun
from toolgen_hf.runtime.door import replay
from toolgen_hf.stages import STAGES
from toolgen_hf.stages.answer import answer_row
from toolgen_hf.stages.base import Batch
from toolgen_hf.stages.execute import execute_row
from toolgen_hf.stages.score import score_batch
from toolgen_hf.stages.stage1 import gold_batch, stage1_batch
from toolgen_hf.stages.tool_api import Case, Proposal, Teacher, tool_api_row
from toolgen_hf.stages.training import preference_batch, sft_batch, tool_calling_row
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.math.compose import VERSION as ANNOTATIONS_VERSION
from toolgen_hf.tasks.math.compose import compose
from toolgen_hf.tasks.prompts import load_prompts

FOLDER = Path(__file__).parent.parent / "data" / "golden"
VERSIONS = FOLDER / "versions.json"
MATH = get_task("math")


class Student:
    """A model that answers 72 to everything, but is cut off where Ann is asked about."""

    def keyed(self, request: Request) -> Keyed:
        return Keyed(request.prompt.user, request)

    def find(self, wanted: Iterable[Keyed]) -> dict[str, Generation]:
        text = "48 + 24 = 72, so the answer is 72."
        return {one.key: Generation(text, "length" if "Ann" in one.key else "stop") for one in wanted}

    def use(self, key: str, made: Generation) -> None: ...


async def annotations(case: Case, ask: Ask) -> Proposal:
    made = compose(case.question, case.solution, case.answer, MATH)
    call = f"calculator({made.formula})" if made.formula else None
    return Proposal(call, made.reason, soundness=made.soundness)


def by_row(function: Callable[[dict[str, Any]], RowRun[dict[str, Any]]], batch: Batch) -> Batch:
    return to_batch(replay([function(row) for row in to_rows(batch)]))


def answer(batch: Batch) -> Batch:
    student: Any = Student()
    prompts = load_prompts("math", "answer")
    return by_row(lambda row: answer_row(row, Ask(), student, MATH, prompts), batch)


def tool_api(batch: Batch) -> Batch:
    teacher = Teacher("annotations", 1, annotations, {}, accepts=["explained"])
    return by_row(lambda row: tool_api_row(row, Ask(), MATH, [teacher]), batch)


def stage1(batch: Batch) -> Batch:
    return stage1_batch(batch, MATH)


def execute(batch: Batch) -> Batch:
    return by_row(lambda row: execute_row(row, Ask(), MATH), batch)


def score_distance(batch: Batch) -> Batch:
    return score_batch(batch, "distance", MATH)


def score_consistency(batch: Batch) -> Batch:
    return score_batch(batch, "consistency", MATH)


def tool_calling(batch: Batch) -> Batch:
    return by_row(lambda row: tool_calling_row(row, Ask(), MATH), batch)


BATCH_FUNCTIONS: dict[str, Callable[[Batch], Batch]] = {
    "answer": answer,
    "tool_api": tool_api,
    "stage1": stage1,
    "gold": gold_batch,
    "execute": execute,
    "score_distance": score_distance,
    "score_consistency": score_consistency,
    "sft": sft_batch,
    "tool_calling": tool_calling,
    "preference": preference_batch,
}


def to_batch(rows: Sequence[dict[str, Any]]) -> Batch:
    """Rows to columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def to_rows(batch: Batch) -> list[dict[str, Any]]:
    """Columns to rows."""
    return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


def read(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The input rows of a stage, and the output rows that are expected."""
    text = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [line["in"] for line in lines], [row for line in lines for row in line["out"]]


def versions(name: str) -> list[object]:
    """What names a cached output of a stage: all of these go up when the output may change."""
    stage = STAGES["score" if name.startswith("score") else name].stage
    return [stage.version, MATH.version, MATH.tool.version, ANNOTATIONS_VERSION]


def regenerate() -> None:
    """Write every file's expected rows anew, each input row mapped by itself.

    Refuses to do so for a stage whose rows changed and whose version did not: old caches would be taken for new.
    """
    known = json.loads(VERSIONS.read_text(encoding="utf-8")) if VERSIONS.exists() else {}
    for name, function in BATCH_FUNCTIONS.items():
        rows, expected = read(name)
        made = [to_rows(function(to_batch([row]))) for row in rows]
        if [row for out in made for row in out] != expected and known.get(name) == versions(name):
            raise SystemExit(
                f"the rows of {name!r} changed: raise its VERSION (or its task's or tool's) first"
            )
        known[name] = versions(name)
        lines = [{"in": row, "out": out} for row, out in zip(rows, made, strict=True)]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")
    VERSIONS.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    regenerate()

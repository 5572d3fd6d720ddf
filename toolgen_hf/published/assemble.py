"""Stage 1 from its parts: the merge of right responses and tool calls, and its outputs as gold responses.

    merge          GSM8K_right.json, stage1's GSM8K_wrong.json  ->  {"instruction", "input", "output", "id", "answer"}
    gold_response  stage1's GSM8K.json  ->  {"id", "instruction", "input", "output", "answer", "pred"}

Whoever wrote these files, every output is checked: its calls are run, or its answer read, and the answer must be an
accepted one.
A response is right here as the published code has it, by its last number too, for that is how such files were graded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolgen_hf import schemas
from toolgen_hf._utils import words
from toolgen_hf.builders.rows import Row
from toolgen_hf.data.published import WRITERS, Outcome, Rows, check_output, finish, read, rows_of, table
from toolgen_hf.errors import DataError
from toolgen_hf.models.given import rejected
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.answer import unusable_answer
from toolgen_hf.stages.execute import execute, execute_response
from toolgen_hf.stages.stage1 import gold, stage1
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task

UNVERIFIED = "the output does not give the answer"
TWICE = "another row has this id"


def merge(right: Path, wrong: Path, output: Path, workspace: Workspace, task: str = "math") -> Outcome:
    """Put right responses and tool calls together as stage 1, right ones first.

    A row has the three published fields first; ``id``, ``answer`` and what else it brought come after them.

    Raises:
        DataError: an input is malformed.
    """
    check_output(output, right, wrong)
    grader = get_task(task)
    parts = {
        "response": read(right, "right", ids_are_unique=False, may_be_empty=True),
        "tool_call": read(wrong, "stage1_wrong", ids_are_unique=False, may_be_empty=True),
    }
    if not any(parts.values()):
        raise DataError(
            f"{str(right)!r} and {str(wrong)!r} hold no row; "
            f"{WRITERS['right']} and {WRITERS['stage1_wrong']} write them"
        )
    taken: dict[str, Row] = {}
    extras: dict[str, Row] = {}
    fallen: list[Row] = []
    for column, rows in parts.items():
        for row, extra in zip(rows_of(rows.table), rows.extras(), strict=True):
            ran = execute_response(row[column], grader)
            call = ran.verified(row["answer"], grader) if column == "tool_call" else None
            is_right = call is not None or (
                column == "response" and grader.is_correct(ran.prediction, row["answer"])
            )
            reason = unverified(is_right, row["answer"], grader)
            if column == "tool_call" and not ran.uses_tool and reason in (None, UNVERIFIED):
                reason = f"the tool is no call of {grader.tool.name!r}"
            reason = TWICE if row["id"] in taken else reason
            if reason is not None:
                fallen.append(rejected(row["id"], "merge", reason, row))
                continue
            whole = {**dict.fromkeys(schemas.CALLED), **row, "attempts": []}
            called = {"tool_call": str(call.call)} if call else {}  # without a text around it
            taken[row["id"]] = {**whole, **called, "correct": column == "response"}
            extras[row["id"]] = extra
    columns = {name: [row[name] for row in taken.values()] for name in schemas.CALLED}
    cloned = stage1(table(columns, schemas.CALLED), workspace, grader.name)
    first = ("instruction", "input", "output", "id", "answer")
    made = [{name: row[name] for name in first} | extras[row["id"]] for row in rows_of(cloned)]
    return finish(sum(map(len, parts.values())), {output: made}, fallen, output)


def unverified(is_right: bool, answer: Sequence[str], task: Task) -> str | None:
    """Why an output cannot be used, which gives an accepted answer or does not; None if it can."""
    if reason := unusable_answer(answer, task):
        return reason
    return None if is_right else UNVERIFIED


def gold_response(
    source: Path, output: Path, workspace: Workspace, raw: Path | None = None, task: str = "math"
) -> Outcome:
    """Turn stage 1's outputs into the responses of the source ``gold``.

    Args:
        raw: the questions, which give id and answer to rows that have only the three published fields.

    Raises:
        DataError: an input is malformed, or a row has no answer and there is no ``raw``.
    """
    check_output(output, source, *([raw] if raw is not None else []))
    rows = read(source, "stage1", ids_are_unique=False)
    named = _named_by(rows, read(raw, "raw") if raw is not None else None, source)
    columns = {name: [row[name] for row in named if row["id"]] for name in schemas.STAGE1}
    cloned = table(columns, schemas.STAGE1)
    grader = get_task(task)
    ran = iter(rows_of(execute(gold(cloned, workspace), workspace, grader, "execute gold")))
    made: dict[str, Row] = {}
    fallen: list[Row] = []
    for row, extra in zip(named, rows.extras(), strict=True):
        done = next(ran) if row["id"] else None
        if done is None:
            reason = "the question is not among the raw ones"
        else:
            found = unverified(done["correct"], done["answer"], grader)
            reason = found or (TWICE if row["id"] in made else "")
        if reason or done is None:
            fallen.append(rejected(row["id"] or row["input"], "gold", reason, row))
        else:
            told = {name: row[name] for name in ("id", "instruction", "input", "output", "answer")}
            made[row["id"]] = {**told, "pred": done["prediction"], **extra}
    return finish(len(rows), {output: list(made.values())}, fallen, output)


def _named_by(rows: Rows, raw: Rows | None, source: Path) -> list[Row]:
    """Stage 1's rows with id and answer: their own, or those of the raw question with the same words, if any."""
    if raw is None:
        for row in rows_of(rows.table):
            if row["answer"] is None:
                raise DataError(
                    f"{str(source)!r}: the row about {row['input'][:60]!r} has no answer; give the questions with --raw"
                )
        return list(rows_of(rows.table))
    known = {words(row["question"]): row for row in rows_of(raw.table)}
    unknown = {"id": "", "answer": None}
    return [
        {**row, **{name: known.get(words(row["input"]), unknown)[name] for name in unknown}}
        for row in rows_of(rows.table)
    ]

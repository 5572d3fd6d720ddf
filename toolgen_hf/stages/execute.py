"""Execution: a response with a tool call is run, and its answer is the result.

    in   {"id": "GSM8K-train-0", ..., "source": "vicuna", "response": "calculator(48+48/2)"}
    out  {..., "uses_tool": true, "prediction": "72.0", "error": null, "correct": true}

A response without a call has the answer that its text states, and none if it was cut at the token limit: whatever
number it ends on is on the way. A call that cannot be run has no answer, and ``error`` says why.
"""

from __future__ import annotations

from dataclasses import dataclass

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.errors import CallSyntaxError, ToolError
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.workspace import Workspace

STAGE = Stage("execute", version=3, features=schemas.EXECUTED)


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of one response. ``call`` is the tool call as it should be written, if there is a whole one."""

    uses_tool: bool
    call: str | None = None
    prediction: str | None = None
    error: str | None = None


def execute_response(response: str | None, task: Task, is_cut: bool = False) -> Execution:
    """Run the response's first tool call, or read the answer from its text, which one that ``is_cut`` did not reach."""
    if response is None:
        return Execution(uses_tool=False)
    try:
        call = task.tool.find_call(response)
    except CallSyntaxError as error:
        return Execution(uses_tool=True, error=f"{error.code}: {error}")
    if call is None:
        return Execution(uses_tool=False, prediction=None if is_cut else task.extract(response))
    try:
        result = task.tool.run(call.argument)
    except ToolError as error:
        return Execution(uses_tool=True, call=str(call), error=f"{error.code}: {error}")
    return Execution(uses_tool=True, call=str(call), prediction=task.normalize(result))


def execute_batch(batch: Batch, task: Task) -> Batch:
    """Execute and grade every response."""
    cut = [reason == "length" for reason in batch["finish_reason"]]
    done = [execute_response(text, task, is_cut) for text, is_cut in zip(batch["response"], cut, strict=True)]
    return {
        **{name: batch[name] for name in schemas.RESPONSES},
        "uses_tool": [e.uses_tool for e in done],
        "prediction": [e.prediction for e in done],
        "error": [e.error for e in done],
        "correct": [task.is_correct(e.prediction, a) for e, a in zip(done, batch["answer"], strict=True)],
    }


def execute(
    responses: DatasetDict, workspace: Workspace, task: str | Task = "math", label: str | None = None
) -> DatasetDict:
    """Execute every response (columns ``schemas.RESPONSES`` -> ``EXECUTED``).

    Raises:
        DataError: a column is missing.
    """
    require_columns(responses, schemas.RESPONSES, "execute")
    grader = get_task(task)
    settings = {"task": identity(grader), "tool": identity(grader.tool)}
    return STAGE.run(responses, lambda batch: execute_batch(batch, grader), settings, workspace, label)

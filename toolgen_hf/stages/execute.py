"""Execution: the tool calls of a response are run, and its answer is read.

    in   {"id": "GSM8K-train-0", ..., "source": "vicuna", "response": "calculator(48+48/2)"}
    out  {..., "uses_tool": true, "calls": [{"call": "calculator(48+48/2)", "result": "72.0", "error": null}],
          "prediction": "72.0", "error": null, "correct": true}

The model's thinking and whatever it invents after its answer are split off here.

    calculator(48+48/2)                                   72.0   a call alone: its result, as published
    calculator(48/2) in May, so calculator(48+24).        72.0   several: each is run, the last one's result counts
    calculator(48/2) in May. The answer is 72.            72.0   an answer that is stated counts
    The answer is 72.                                     72.0   no call: the answer that the text states

If a call cannot be run there is no answer, whatever the text states: it was written without that result. A text without
calls that was cut at the token limit has no answer either: its last number is an intermediate one. ``error`` says why
a call could not be run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.ask import Ask
from toolgen_hf.errors import ToolError
from toolgen_hf.models import build
from toolgen_hf.models.config import GeneratorConfig
from toolgen_hf.runtime.door import replay
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Row, Stage, require_columns
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.responses import Response, read_response
from toolgen_hf.tools import ToolCall, find_calls, has_call

STAGE = Stage("execute", version=4, features=schemas.EXECUTED, reads=schemas.RESPONSES)

_CLAIM = re.compile(r"[`*_]{0,3}\s{0,3}(?:=|≈|→|->|=>)\s{0,3}\S{1,40}?(?=[,.;:!?)`*_]{0,4}(?:\s|$))")
"""The result that a response claims for a call: `` = 18``."""


@dataclass(frozen=True, slots=True)
class Run:
    """A call that was run: its result as the tool gave it and the answer that follows from it, or the error."""

    call: ToolCall
    result: str | None = None
    error: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """An executed response. ``response`` is None if there was no text.

    ``error`` says why a call could not be run or is not complete; ``calls`` has the complete ones.
    """

    uses_tool: bool
    response: Response | None = None
    calls: tuple[Run, ...] = ()
    prediction: str | None = None
    error: str | None = None

    def right(self, answer: Sequence[str], task: Task) -> list[Run]:
        """The calls that lead to an accepted answer by themselves, whatever the text states."""
        return [run for run in self.calls if task.is_correct(run.answer, answer)]

    def verified(self, question: str, answer: Sequence[str], task: Task) -> Run | None:
        """The last of these that does not hold the answer, which its writer knew; None if there is none."""
        right = reversed(self.right(answer, task))
        return next((run for run in right if not task.leaks(question, str(run.call), answer)), None)


def execute_response(text: str | None, task: Task, is_cut: bool = False) -> Execution:
    """`execute_text` for a task that needs no model to read a tool's result.

    Args:
        text: as the model wrote it.
        is_cut: it was cut at the token limit.
    """
    [done] = replay([execute_text(text, task, Ask(), is_cut=is_cut)])
    return done


def calls_tool(text: str | None, task: Task) -> bool:
    """Whether a response has a tool call, complete or not. Nothing is run."""
    return text is not None and has_call(task.tool, read_response(text).text)


async def execute_text(
    text: str | None, task: Task, ask: Ask, question: str = "", is_cut: bool = False
) -> Execution:
    """Run every tool call of a response to ``question``, and read its answer."""
    if text is None:
        return Execution(uses_tool=False)
    response = read_response(text, is_cut)
    try:
        calls = find_calls(task.tool, response.text)
    except ToolError as error:
        return Execution(uses_tool=True, response=response, error=f"{error.code}: {error}")
    if not calls:
        prediction = None if response.is_cut else task.extract(response.text)
        return Execution(uses_tool=False, response=response, prediction=prediction)
    runs = tuple([await _run(call, task, ask, question) for call in calls])
    failed = next((run.error for run in runs if run.error is not None), None)
    prediction = _prediction(response, runs, task) if failed is None else None
    return Execution(True, response, runs, prediction, failed)


async def _run(call: ToolCall, task: Task, ask: Ask, question: str) -> Run:
    given = await ask.call(task.tool, call.argument)
    answer = None if given.result is None else await task.conclude(question, call, given.result, ask)
    return Run(call, given.result, given.error, answer)


def _prediction(response: Response, runs: Sequence[Run], task: Task) -> str | None:
    """The answer that the text states around its calls; if it states none, the answer of the last call."""
    stated = None
    if not response.is_cut and _tells_statements(task):
        text, around = _with_results(response.text, runs)
        stated = task.stated_answer(text) if any(map(str.isalnum, around)) else None
    return runs[-1].answer if stated is None else stated


def _with_results(text: str, runs: Sequence[Run]) -> tuple[str, str]:
    """The text with each call replaced by its result, and the text without the calls."""
    around: list[str] = []
    whole = ""
    start = 0
    for run in runs:
        around.append(text[start : run.call.start])
        whole += f"{around[-1]}{run.result}"
        claim = _CLAIM.match(text, run.call.end)
        start = claim.end() if claim else run.call.end
    around.append(text[start:])
    return whole + around[-1], "".join(around)


def _tells_statements(task: Task) -> bool:
    """Whether a task tells a stated answer from a guessed one."""
    return getattr(type(task), "stated_answer", Task.stated_answer) is not Task.stated_answer


async def execute_row(row: Row, ask: Ask, task: Task) -> Row:
    """Execute and grade one response."""
    reason = row["finish_reason"]
    done = await execute_text(row["response"], task, ask, row["question"], reason == "length")
    said = done.response
    return {
        **{name: row[name] for name in schemas.RESPONSES},
        "response": said and said.text,
        "finish_reason": _finish_reason(reason, said),
        "thinking": said and said.thinking,
        "uses_tool": done.uses_tool,
        "calls": [{"call": str(run.call), "result": run.result, "error": run.error} for run in done.calls],
        "prediction": done.prediction,
        "error": done.error,
        "correct": task.is_correct(done.prediction, row["answer"]),
    }


def _finish_reason(reason: str | None, response: Response | None) -> str | None:
    """The finish reason of the response alone: it may be cut where the whole text was not, and the reverse."""
    if response is not None and response.is_cut:
        return "length"
    return "stop" if response is not None and reason == "length" else reason


def execute(
    responses: DatasetDict,
    workspace: Workspace,
    task: str | Task = "math",
    label: str | None = None,
    reader: GeneratorConfig | None = None,
) -> DatasetDict:
    """Execute every response (columns ``schemas.RESPONSES`` -> ``EXECUTED``).

    Args:
        reader: the model that reads tool results, for a task that needs one.

    Raises:
        DataError: a column is missing.
        ConfigError: the task needs a reader.
        GenerationError: the reader failed; texts written before are in the store.
    """
    require_columns(responses, schemas.RESPONSES, "execute")
    grader = get_task(task)
    texts = reader_texts(reader, workspace, label or STAGE.name)
    settings = {"task": identity(grader), "tool": identity(grader.tool), **reader_settings(texts)}

    async def function(row: Row) -> Row:
        return await execute_row(row, Ask(*texts), grader)

    return STAGE.run(responses, function, settings, workspace, label, texts)


def reader_texts(reader: GeneratorConfig | None, workspace: Workspace, label: str) -> list[Texts]:
    """The model that reads tool results, or an empty list."""
    return [] if reader is None else [workspace.texts(build(reader), f"{label} reader", None)]


def reader_settings(texts: Sequence[Texts]) -> dict[str, Any]:
    """What the output of a stage owes to the reader."""
    return {"reader": texts[0].settings} if texts else {}


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """Run the stage with the settings of a `toolgen_hf.Recipe`."""
    return execute(rows, workspace, recipe.task, reader=recipe.reader)

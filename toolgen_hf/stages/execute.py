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
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.ask import Ask, RowRun
from toolgen_hf.errors import ToolError
from toolgen_hf.runtime.door import Generating, replay
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Row, Stage, require_columns
from toolgen_hf.stages.connect import connect
from toolgen_hf.tasks import Equipped, TaskLike, get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.responses import Response, read_response
from toolgen_hf.tools import ToolCall, find_calls, has_call

STAGE = Stage("execute", version=5, features=schemas.EXECUTED, reads=schemas.RESPONSES)

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
        """The last of these that does not hold the answer, which its writer knew; None if there is none.

        Where a model reads all results so far, it is the first one.
        """
        right = self.right(answer, task)
        kept = [run for run in right if not task.leaks(question, self.taught(run, task), answer)]
        return next(iter(kept if task.reads else reversed(kept)), None)

    def taught(self, run: Run, task: Task) -> str:
        """A call as stage 1 teaches it: with those before it, where a model reads all results so far."""
        calls = self.calls[: self.calls.index(run) + 1] if task.reads else (run,)
        return " ".join(str(each.call) for each in calls)


def execute_response(text: str | None, task: Task, is_cut: bool = False) -> Execution:
    """`execute_text` for a task that needs no model to read a tool's result.

    Args:
        text: as the model wrote it.
        is_cut: it was cut at the token limit.
    """
    [done] = replay([execute_text(text, task, Ask(), is_cut=is_cut)])
    return done


@dataclass(frozen=True, slots=True)
class Asked:
    """A text to execute. ``is_cut``: it was cut at the token limit."""

    text: str | None
    question: str = ""
    is_cut: bool = False


def execute_texts(
    asked: Sequence[Asked], task: TaskLike, workspace: Workspace | None = None
) -> list[Execution]:
    """Execute texts that are not in a dataset. What is asked for them is recorded in the store.

    Args:
        workspace: needed only for a task whose tools are services; default one in the cache folder.

    Raises:
        ConfigError: the task needs a reader, or a tool.
        GenerationError: the reader or a tool failed.
    """
    grader = get_task(task)
    if not isinstance(task, Equipped) or not (task.tools or task.reader):
        return replay([execute_text(one.text, grader, Ask(), one.question, one.is_cut) for one in asked])
    with nullcontext(workspace) if workspace else Workspace(progress=False) as workspace:
        connected = connect(task, workspace, STAGE.name)

        def runs() -> Iterator[RowRun[Execution]]:
            for one in asked:
                yield execute_text(one.text, grader, connected.ask(), one.question, one.is_cut)

        if connected.texts:
            Generating((("", run) for run in runs()), connected.texts, STAGE.name, len(asked)).run()
        return replay(list(runs()))


def calls_tool(text: str | None, task: Task) -> bool:
    """Whether a response has a tool call, complete or not. Nothing is run."""
    return text is not None and has_call(task.tools, read_response(text).text)


async def execute_text(
    text: str | None, task: Task, ask: Ask, question: str = "", is_cut: bool = False
) -> Execution:
    """Run every tool call of a response to ``question``, and read its answer."""
    if text is None:
        return Execution(uses_tool=False)
    response = read_response(text, is_cut)
    try:
        calls = find_calls(ask.tools or task.tools, response.text)
    except ToolError as error:
        return Execution(uses_tool=True, response=response, error=f"{error.code}: {error}")
    if not calls:
        prediction = None if response.is_cut else task.extract(response.text)
        return Execution(uses_tool=False, response=response, prediction=prediction)
    runs: list[Run] = []
    for call in calls:
        runs.append(await _run(call, runs, task, ask, question))
    failed = next((run.error for run in runs if run.error is not None), None)
    prediction = _prediction(response, runs, task) if failed is None else None
    return Execution(True, response, tuple(runs), prediction, failed)


async def _run(call: ToolCall, before: Sequence[Run], task: Task, ask: Ask, question: str) -> Run:
    tool = next(tool for tool in ask.tools or task.tools if tool.name == call.tool)
    given = await ask.call(tool, call.argument)
    if given.result is None:
        return Run(call, error=given.error)
    results = [run.result for run in before if run.result is not None]
    return Run(call, given.result, answer=await task.conclude(question, call, [*results, given.result], ask))


def _prediction(response: Response, runs: Sequence[Run], task: Task) -> str | None:
    """The answer that the text states around its calls; if it states none, the answer of the last call."""
    stated = None
    if not response.is_cut and _tells_statements(task):
        text, around = _with_results(response.text, runs)
        said = around if task.reads else text  # passages may state anything
        stated = task.stated_answer(said) if any(map(str.isalnum, around)) else None
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
    task: TaskLike = "math",
    label: str | None = None,
) -> DatasetDict:
    """Execute every response (columns ``schemas.RESPONSES`` -> ``EXECUTED``).

    Raises:
        DataError: a column is missing.
        ConfigError: the task needs a reader, or a tool.
        GenerationError: the reader or a tool failed; texts written before are in the store.
    """
    require_columns(responses, schemas.RESPONSES, "execute")
    grader = get_task(task)
    connected = connect(task, workspace, label or STAGE.name)

    async def function(row: Row) -> Row:
        return await execute_row(row, connected.ask(), grader)

    return STAGE.run(responses, function, connected.settings, workspace, label, connected.texts)


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """Run the stage with the settings of a `toolgen_hf.Recipe`."""
    return execute(rows, workspace, recipe.equipped)

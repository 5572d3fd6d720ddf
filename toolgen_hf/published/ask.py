"""The published steps that generate text: answers, tool calls, responses.

answer_questions   raw/GSM8K/GSM8K.json              -> the same rows in GSM8K_right.json and GSM8K_wrong.json
generate_tool_api  {"question": ..., "answer": "72"} -> {..., "tool": "calculator(48+48/2)"}
generate_response  {"input": ..., "answer": "72"}    -> {..., "response": "...", "pred": "72.0"}
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from toolgen_hf.builders.columns import nearest, pick, text
from toolgen_hf.builders.layout import RESPONSE
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.data.tables import Table
from toolgen_hf.errors import ConfigError
from toolgen_hf.flow.counts import collect_rejected
from toolgen_hf.models.config import GeneratorConfig, TeacherConfig
from toolgen_hf.published.files import (
    Mode,
    Outcome,
    check_output,
    finish,
    kept,
    read,
    rows_of,
    splits_of,
)
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.answer import answer
from toolgen_hf.stages.execute import execute
from toolgen_hf.stages.respond import SourceConfig, respond
from toolgen_hf.stages.tool_api import tool_api
from toolgen_hf.tasks import TaskLike, get_task
from toolgen_hf.tasks.prompts import Example, PromptSet

_DATASETS = {
    **dict.fromkeys(("GSM8K", "SVAMP", "ASDiv"), "math"),
    **dict.fromkeys(("WebQ", "NaturalQ", "TriviaQA"), "qa"),
    "T-REx": "lama",
    "MLQA": "mlqa",
}
"""The task of each published dataset."""

logger = logging.getLogger(__name__)


def answer_questions(
    source: Path, folder: Path, student: GeneratorConfig, workspace: Workspace, task: TaskLike = "math"
) -> Outcome | None:
    """Let the model answer without a tool, and split the rows: ``GSM8K_right.json``, ``GSM8K_wrong.json``.

    A row gets ``response`` and ``prediction``. Returns None in a dry run, which writes nothing; so do the other steps.

    Raises:
        ConfigError: the folder is a file.
        DataError: the input is malformed.
        GenerationError: the model failed; the texts that it wrote are in the store.
    """
    if folder.is_file():
        raise ConfigError(
            f"the output {str(folder)!r} is a file: give the folder for the files of right and wrong"
        )
    rows = read(source, "raw")
    answered = answer(splits_of(rows), student, workspace, get_task(task))
    if workspace.plan is not None:
        return None
    parts: dict[bool, list[Row]] = {True: [], False: []}
    for given, row in zip(rows.given, rows_of(answered), strict=True):
        if row["reason"] is None:
            added = {"response": row["response"], "prediction": row["prediction"]}
            parts[row["correct"]].append({**given, **added})
    target = folder / source.with_suffix(".json").name
    outputs = {
        target.with_stem(f"{target.stem}_{verdict}"): parts[is_right]
        for verdict, is_right in (("right", True), ("wrong", False))
    }
    return finish(len(rows), outputs, list(rows_of(collect_rejected(answered))), target)


def generate_tool_api(
    source: Path,
    output: Path,
    teachers: Sequence[TeacherConfig],
    workspace: Workspace,
    task: TaskLike = "math",
    mode: Mode = "w",
    max_attempts: int = 2,
) -> Outcome | None:
    """Get a tool call for every question. Each call is run, and accepted if its result is the gold answer.

    A row gets ``tool``. One without a verified call goes to ``..._rejected.json``, with every attempt.

    Raises:
        ConfigError: in mode ``a``, the output has other questions under the same ids.
        DataError: the input is malformed.
        GenerationError: a teacher failed; the texts that it wrote are in the store.
    """
    check_output(output, source)
    rows = read(source, "wrong", may_be_empty=True)  # the student may have answered everything right
    there, new = _there_and_new(rows, output, mode)
    called = tool_api(splits_of(new), teachers, workspace, task, max_attempts)
    if workspace.plan is not None:
        return None
    made = [
        {**given, "tool": row["tool_call"]}
        for given, row in zip(new.given, rows_of(called), strict=True)
        if row["reason"] is None
    ]
    dropped = [{**row, "stage": "tool_api"} for row in rows_of(collect_rejected(called))]
    return finish(len(rows), {output: [*there, *made]}, dropped, output)


def generate_response(
    source: Path,
    output: Path,
    config: SourceConfig,
    workspace: Workspace,
    task: TaskLike = "math",
    mode: Mode = "w",
    field: str = "response",
    prompts: PromptSet | None = None,
) -> Outcome | None:
    """Let one source respond to every question.

    A row gets ``response``; ``pred``, the result of the response's call or the answer that it states; and
    ``finish_reason``, which tells whether the response was cut.

    Args:
        output: such as ``GSM8K_davinci_response.json``; reports call the source ``davinci``.
        field: the field that the response is written to.
        prompts: the examples in the prompt; default the published ones.

    Raises:
        ConfigError: ``field`` would replace the question; or, in mode ``a``, the output has other questions under the
            same ids.
        DataError: the input is malformed.
        GenerationError: the source failed; the texts that it wrote are in the store.
    """
    if field in ("id", "question", "input", "answer"):
        raise ConfigError(f"output_text={field!r} would overwrite each row's own; choose response or output")
    check_output(output, source)
    rows = read(source, "raw")
    there, new = _there_and_new(rows, output, mode)
    name = source_name(output)
    responses = respond(splits_of(new), name, config, workspace, get_task(task), prompts)
    if workspace.plan is not None:
        return None
    ran = rows_of(execute(responses, workspace, task, f"execute {name}"))
    made = [
        {
            **given,
            field: row["response"] or "",
            "pred": row["prediction"],
            "finish_reason": row["finish_reason"],
        }
        for given, row in zip(new.given, ran, strict=True)
    ]
    return finish(len(rows), {output: [*there, *made]}, [], output)


def _there_and_new(rows: Table, output: Path, mode: Mode) -> tuple[list[Row], Table]:
    """The rows that an output keeps, and the rows of the input that it lacks."""
    there = kept(output, mode, rows)
    return ([], rows) if there is None else (there.given, rows.without(set(there.rows["id"])))


def task_of(dataset: str) -> str:
    """The task of a dataset: its own if it is a published one, else math."""
    if (known := {name.lower(): task for name, task in _DATASETS.items()}.get(dataset.lower())) is not None:
        return known
    logger.warning(
        "--dataset_name %r is none of %s: taken as one of math problems%s",
        dataset,
        ", ".join(_DATASETS),
        nearest(dataset, _DATASETS),
    )
    return "math"


def source_name(output: Path) -> str:
    """The source in a file's name: ``GSM8K_davinci_response.json -> "davinci"``."""
    return output.stem.removesuffix(RESPONSE).rpartition("_")[2] or output.stem


def examples(path: Path, task: str) -> PromptSet:
    """A few-shot prompt from a file of the published form: ``{"instruction", "input", "output"}`` a line.

    Args:
        path: the file, or a folder with ``math.json``.

    Raises:
        ConfigError: there is no such file, or it has no example.
        DataError: it is malformed.
    """
    file = path / f"{task.lower()}.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(
            f"no examples at {str(file)!r}; without --example_file, the published ones are shown"
        )
    rows = list(read_rows(file))
    if not rows:
        raise ConfigError(f"{str(file)!r} holds no example")
    where, first = rows[0]
    shown = tuple(Example(text(row, "input", at), text(row, "output", at)) for at, row in rows)
    return PromptSet(str(pick(first, "instruction", where)), shown)

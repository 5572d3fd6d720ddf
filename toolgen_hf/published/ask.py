"""The steps that ask a model or an engine: the LM's answers, tool calls, responses.

generate_tool_api    {"question": "Natalia ...", "answer": "72", ...}  ->  {..., "tool": "calculator(48+48/2)"}
generate_response    {"input": "Natalia ...", "answer": "72", ...}     ->  {..., "response": "...", "pred": "72.0"}
answer_questions     the same rows, in two files: right, and wrong
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolgen_hf.builders.rows import Row
from toolgen_hf.data.published import Mode, Outcome, check_output, finish, kept, read, rows_of
from toolgen_hf.errors import ConfigError
from toolgen_hf.flow.counts import collect_rejected
from toolgen_hf.models.config import GeneratorConfig, TeacherConfig
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.answer import answer
from toolgen_hf.stages.execute import execute
from toolgen_hf.stages.respond import SourceConfig, respond
from toolgen_hf.stages.tool_api import tool_api
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.prompts import PromptSet


def answer_questions(
    source: Path, folder: Path, student: GeneratorConfig, workspace: Workspace, task: str = "math"
) -> Outcome | None:
    """Let the LM answer without a tool, and split the rows: ``GSM8K_right.json``, ``GSM8K_wrong.json``.

    A row gets ``response`` and ``prediction``. Rows that cannot be used go to ``GSM8K_rejected.json``.
    None in a dry run, which writes nothing; so have the other steps it.

    Raises:
        ConfigError: the folder is a file.
        DataError: the input is malformed.
        GenerationError: the model failed; what it wrote is in the store.
    """
    if folder.is_file():
        raise ConfigError(
            f"the output {str(folder)!r} is a file: give the folder for the files of right and wrong"
        )
    rows = read(source, "raw")
    answered = answer(rows.table, student, workspace, get_task(task))
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
    task: str = "math",
    mode: Mode = "w",
    max_attempts: int = 2,
) -> Outcome | None:
    """Get a tool call for every question; each is run, and accepted if its result is the gold answer.

    A row gets ``tool``. One whose call cannot be verified goes to ``..._rejected.json``, with every attempt.

    Raises:
        ConfigError: mode ``a``, and the output is of other questions.
        DataError: the input is malformed.
        GenerationError: a teacher failed; what it wrote is in the store.
    """
    check_output(output, source)
    rows = read(source, "wrong", may_be_empty=True)  # the student may have got everything right
    there = kept(output, mode, rows)
    new = rows.without(there)
    called = tool_api(new.table, teachers, workspace, get_task(task), max_attempts)
    if workspace.plan is not None:
        return None
    made = [
        {**given, "tool": row["tool_call"]}
        for given, row in zip(new.given, rows_of(called), strict=True)
        if row["reason"] is None
    ]
    rejected = [{**row, "stage": "tool_api"} for row in rows_of(collect_rejected(called))]
    return finish(len(rows), {output: [*there, *made]}, rejected, output)


def generate_response(
    source: Path,
    output: Path,
    name: str,
    config: SourceConfig,
    workspace: Workspace,
    task: str = "math",
    mode: Mode = "w",
    field: str = "response",
    prompts: PromptSet | None = None,
) -> Outcome | None:
    """Let one source respond to every question.

    A row gets ``response``; ``pred``, what the response's call gives, or the answer that it states; and
    ``finish_reason``, by which one that was cut is known again.

    Args:
        name: what reports call the source.
        field: the name that the response is written under.
        prompts: the examples that it is shown; default the published ones.

    Raises:
        ConfigError: mode ``a``, and the output is of other questions; or ``field`` would replace the question.
        DataError: the input is malformed.
        GenerationError: the source failed; what it wrote is in the store.
    """
    if field in ("id", "question", "input", "answer"):
        raise ConfigError(f"output_text={field!r} would overwrite each row's own; choose response or output")
    check_output(output, source)
    rows = read(source, "raw")
    there = kept(output, mode, rows)
    new = rows.without(there)
    grader = get_task(task)
    responses = respond(new.table, name, config, workspace, grader, prompts)
    if workspace.plan is not None:
        return None
    ran = rows_of(execute(responses, workspace, grader, f"execute {name}"))
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

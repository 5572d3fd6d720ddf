"""The figures of every source of a produced directory or a predictions file, by split and over all.

evaluate_target("outputs/quickstart").sources["vicuna"]["splits"]["test"]["accuracy"]
evaluate_target("mine.jsonl", references="outputs/quickstart").notes   # what was left out, and why
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolgen_hf.builders.columns import known, nearest
from toolgen_hf.data.produced import task_of
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.metrics.compute import figures, judge
from toolgen_hf.metrics.reading import Reference, Response, is_produced, read_references, read_responses
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.execute import Asked, Execution, calls_tool, execute_texts
from toolgen_hf.tasks import Equipped, TaskLike, get_task, is_service
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Board:
    """The result of an evaluation.

    ``sources``: by source, gold first and then the best one, ``{"overall": figures, "splits": {split: figures},
    "datasets": {dataset: figures}}`` with the figures of ``tool_use``. Splits are those that the rows name; only a
    mix has datasets. ``unknown``: by source the responses without an accepted answer. ``missing``: by source the
    questions of the references without a response. Both are in no figure, and given as ``{"count", "first"}``.
    ``task``: the name of the task, in a mix of several of all of them.
    """

    target: str
    references: str | None
    task: str
    sources: dict[str, dict[str, Any]]
    unknown: dict[str, dict[str, Any]]
    missing: dict[str, dict[str, Any]]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def evaluate_target(
    target: StrPath,
    references: StrPath | None = None,
    source: str | None = None,
    split: str | None = None,
    task: TaskLike | None = None,
    workspace: Workspace | None = None,
) -> Board:
    """Evaluate the responses of a produced directory, or of any file with ids and responses.

    Args:
        references: a produced directory or a file with ``id`` and ``answer``; default the directory itself, or the
            answers in the file.
        source, split: only the responses of this one.
        task: default the directory's own (in a mix of several, each row's), else ``math``. A task that is given grades
            every row, except those that a mix says to be of another task. `toolgen_hf.tasks.Equipped` if its tools are
            services: the calls are then made, unless the store has their results.
        workspace: where results are stored; default the cache folder.

    Raises:
        ConfigError: there is no such task, or the directory's is not known here.
        DataError: the input is malformed, there is no such source or split, or no response has an answer.
    """
    path, given = Path(target), None if references is None else Path(references)
    named_by = given if given and task_of(path) is None else path
    graders = Graders(get_task(task) if task else None, task_of(named_by), str(named_by))
    read, notes = read_responses(path, graders)
    known_by = given or (path if is_produced(path) else None)
    by_id = {} if known_by is None else read_references(known_by, graders)
    rows = _with_needs([_informed(row, by_id.get(row.id), given is not None) for row in read], graders)
    rows = _only(_only(rows, "source", source), "split", split)
    if all(row.answer is None for row in rows):
        raise DataError(_no_answers(rows[0], path, given, by_id))
    sources: dict[str, list[Response]] = {}
    for row in rows:
        sources.setdefault(row.source, []).append(row)
    evaluated = {name: _evaluate(part, graders, task, workspace) for name, part in sources.items()}
    return Board(
        target=str(path),
        references=None if given is None else str(given),
        task=", ".join(dict.fromkeys(graders.of(row.task).name for row in rows)),
        sources=dict(
            sorted(
                evaluated.items(), key=lambda one: (one[0] != "gold", -(one[1]["overall"]["accuracy"] or 0))
            )
        ),
        unknown=_counted({name: [r.id for r in part if r.answer is None] for name, part in sources.items()}),
        missing=_counted({name: _missing(part, by_id) for name, part in sources.items()} if given else {}),
        notes=notes,
    )


def _informed(row: Response, found: Reference | None, strict: bool) -> Response:
    """A response with what the references say about its question. ``strict``: drop the answer of its own row."""
    if found is None:
        return replace(row, answer=None) if strict else row
    is_mixed = (found.dataset, found.task) != (None, None)
    return replace(
        row,
        answer=found.answer,
        question=found.question or row.question,
        split=found.split or row.split,
        needs_tool=row.needs_tool if found.needs_tool is None else found.needs_tool,
        dataset=found.dataset if is_mixed else row.dataset,
        task=found.task if is_mixed else row.task,
    )


def _with_needs(rows: Sequence[Response], graders: Graders) -> list[Response]:
    """Where nothing else says whether a question needs the tool, gold's response to it does."""
    gold = {
        (row.split, row.id): calls_tool(row.text, graders.of(row.task))
        for row in rows
        if row.source == "gold"
    }
    return [
        replace(row, needs_tool=gold.get((row.split, row.id))) if row.needs_tool is None else row
        for row in rows
    ]


def _only(rows: list[Response], field: str, wanted: str | None) -> list[Response]:
    if wanted is None:
        return rows
    kept = [row for row in rows if getattr(row, field) == wanted]
    if not kept:
        there = sorted({value for row in rows if (value := getattr(row, field)) is not None})
        choices = f"there is {known(there)}" if there else f"no row of these says its {field}"
        raise DataError(f"there is no {field} {wanted!r}; {choices}{nearest(wanted, there)}")
    return kept


def _evaluate(
    rows: Sequence[Response], graders: Graders, task: TaskLike | None, workspace: Workspace | None
) -> dict[str, Any]:
    """One source's figures: over all of its responses, by split, and by dataset."""
    known = [row for row in rows if row.answer]
    by_task: dict[Task, list[Response]] = {}
    for row in known:
        by_task.setdefault(graders.of(row.task), []).append(row)
    judged = []
    for grader, part in by_task.items():
        ran = _executed(part, task if task and grader is graders.asked else grader, workspace)
        judged += [
            (row, judge(done, row.answer or [], row.needs_tool, grader))
            for row, done in zip(part, ran, strict=True)
        ]

    def by(field: str) -> dict[str, Any]:
        parts: dict[str, list[Any]] = {}
        for row, outcome in judged:
            if (value := getattr(row, field)) is not None:
                parts.setdefault(value, []).append(outcome)
        return {name: figures(outcomes) for name, outcomes in parts.items()}

    overall = figures([outcome for _, outcome in judged])
    return {"overall": overall, "splits": by("split"), "datasets": by("dataset")}


def _executed(rows: Sequence[Response], task: TaskLike, workspace: Workspace | None) -> list[Execution]:
    """The responses, executed; those of a run whose tools are services as the run recorded them.

    Raises:
        ConfigError: the task needs tools or a reader, and there is neither a recipe nor a record.
    """
    recorded = [row.recorded for row in rows if row.recorded is not None]
    if not isinstance(task, Equipped) and is_service(get_task(task)):
        if len(recorded) == len(rows):
            return recorded
        try:
            Equipped(task).require()
        except ConfigError as error:
            raise ConfigError(f"{error}; evaluate takes them from a recipe, with --recipe") from error
    return execute_texts([Asked(row.text, row.question or "", row.is_cut) for row in rows], task, workspace)


def _missing(rows: Sequence[Response], by_id: Mapping[str, Reference]) -> list[str]:
    """The questions without a response, in the splits that have any response."""
    splits, ids = {row.split for row in rows}, {row.id for row in rows}
    return [key for key, found in by_id.items() if found.split in (None, *splits) and key not in ids]


def _counted(ids: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    return {name: {"count": len(part), "first": part[0]} for name, part in ids.items() if part}


def _no_answers(row: Response, target: Path, given: Path | None, by_id: Mapping[str, Reference]) -> str:
    if given is None:
        return (
            f"{row.where}: no accepted answers: there is no column 'answer'; add it, or say where the answers "
            "are with --references (references= in Python): a produced directory, or a file with id and answer"
        )
    return (
        f"no id of {str(target)!r} is among the references {str(given)!r}: the first is {row.id!r} here and "
        f"{next(iter(by_id), None)!r} there; give the references that these responses are to"
    )

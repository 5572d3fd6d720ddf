"""References from what is on disk: the accepted answers by id, and which questions need the tool.

{"id": "GSM8K-test-0", "answer": "72"}  ->  {"GSM8K-test-0": Reference(["72"], "test", None)}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.columns import answers, as_text
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.errors import DataError
from toolgen_hf.metrics.reading import (
    NOWHERE,
    Origin,
    files_of,
    flag,
    id_of_row,
    is_produced,
    origin_of,
)
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders


@dataclass(slots=True)
class Reference:
    """What is known of a question."""

    answer: list[str]
    split: str | None
    needs_tool: bool | None = None
    origin: Origin = NOWHERE


def read_references(path: Path, graders: Graders) -> dict[str, Reference]:
    """The accepted answers by id, and which questions need the tool: from a produced directory or a raw file.

    Stage 1 tells the need: its output for a question calls the tool if the student was wrong without it.
    A file may have a column ``needs_tool``.

    Raises:
        DataError: an id comes twice, or a row has no id or answer; names the file and line.
    """
    found: dict[str, Reference] = {}
    places: dict[str, str] = {}
    is_ours = is_produced(path)
    for split, where, row in _reference_rows(path):
        key = id_of_row(row, where)
        if is_ours and (key in places or row["answer"] is None):
            continue  # a mix may repeat rows, and its published form has no answers
        if key in places:
            raise fault(where, f"the id {key!r} is already that of {places[key]}; ids must be unique")
        places[key] = where
        origin = origin_of(row) if is_ours else NOWHERE
        need = _stated_need(row, where, graders.of(origin.task))
        found[key] = Reference(answers(row, "answer", where), split, need, origin)
    if is_ours:
        for key, need in _needs(path, graders).items():
            if key in found:
                found[key].needs_tool = need
    return found


def _reference_rows(path: Path) -> Iterator[tuple[str | None, str, Row]]:
    if not is_produced(path):
        for split, file in files_of(path):
            yield from ((split, where, row) for where, row in read_rows(file))
        return
    config = "raw" if _has(path, "raw") else "stage1"
    for name, rows in load(Produced(config, data_dir=path)).items():
        yield from ((str(name), f"{path}, {config} {name}", dict(row)) for row in rows)


def _needs(path: Path, graders: Graders) -> dict[str, bool]:
    """By id, whether stage 1's output calls the tool."""
    if not _has(path, "stage1"):
        return {}
    tables = load(Produced("stage1", data_dir=path)).values()
    return {
        row["id"]: execute_response(row["output"], graders.of(origin_of(row).task)).uses_tool
        for rows in tables
        for row in rows
    }


def _has(path: Path, config: str) -> bool:
    try:
        Produced(config, data_dir=path)
    except DataError:
        return False
    return True


def _stated_need(row: Row, where: str, task: Task) -> bool | None:
    """The column ``needs_tool``; of a stage 1 row, whether its output calls the tool."""
    if "needs_tool" not in row and {"instruction", "output"} <= row.keys() and row["output"] is not None:
        return execute_response(as_text(row["output"], "output", where), task).uses_tool
    return flag(row, where)

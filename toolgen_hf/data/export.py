"""JSON exports in the layout that the method published (JSON Lines in ``.json``, UTF-8).

    data/raw/{name}/{name}.json             {"id", "question", "answer", "solution"}
    data/raw/{name}/{name}_right.json       ... and the student's "response", "prediction"
    data/raw/{name}/{name}_wrong.json
    data/stage1/{name}/{name}_wrong.json    {"id", "question", "answer", "tool"}
    data/stage1/{name}/{name}.json          {"instruction", "input", "output"}
    data/stage2/{name}/{name}_{source}_response.json     {"id", "input", "answer", "response", "pred", "finish_reason"}
    data/stage2/{name}/{name}.json          {"query", "responses", "origin", "scores", "answer"}
    data/stage1/mix/mix.json                of a mix: as {name}.json, of all its datasets
    data/stage2/mix/mix.json

The train split has the plain name, as published; another split adds its own: ``{name}_test.json``,
``{name}_test_right.json``. Equal content gives equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from toolgen_hf._utils import Job, replacing
from toolgen_hf.runtime.runner import rows_as_dicts

Row = Mapping[str, Any]
RowOf = Callable[..., Row | None]

_UNPAIRED = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can spell and UTF-8 cannot hold."""
MIX = "mix"
"""The name of several datasets together in the published layout."""
PUBLISHED = {
    "stage1": ("instruction", "input", "output"),
    "stage2": ("query", "responses", "origin", "scores", "answer"),
}
"""The published columns of each stage."""


def stem(name: str, split: str) -> str:
    """The start of a split's file names: ``GSM8K``, ``GSM8K_test``."""
    return name if split == "train" else f"{name}_{split}"


def write_json_lines(path: Path, rows: Iterable[Row]) -> None:
    """Write one JSON object a line, in the rows' own field order."""
    with replacing(path) as scratch, scratch.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False)
            if not line.isascii() and _UNPAIRED.search(line):  # it stays an escape
                line = json.dumps(row)
            file.write(line + "\n")


def export_json(
    root: Path,
    name: str,
    called: DatasetDict,
    stage1: DatasetDict,
    executed: Mapping[str, DatasetDict],
    stage2: DatasetDict,
) -> list[Job]:
    """The jobs that write the whole published layout for one dataset under ``root``, one for each file.

    Args:
        name: the dataset's name, such as ``GSM8K``.
        called: every question with the student's response (``schemas.CALLED``).
        executed: the responses by source, including ``gold`` (``schemas.EXECUTED``).
    """
    jobs: list[Job] = []
    for split in called:

        def add(stage: str, ending: str, row_of: RowOf, *tables: DatasetDict, split: str = split) -> None:
            path = root / stage / name / f"{stem(name, str(split))}{ending}.json"
            jobs.append(partial(_write, path, row_of, [table[split] for table in tables]))

        add("raw", "", partial(_picked, ("id", "question", "answer", "solution")), called)
        add("raw", "_right", partial(_graded, True), called)
        add("raw", "_wrong", partial(_graded, False), called)
        add("stage1", "_wrong", _call, called)
        add("stage1", "", partial(_picked, PUBLISHED["stage1"]), stage1)
        add("stage2", "_gold_response", _gold, stage1, executed["gold"])
        for source in (source for source in executed if source != "gold"):
            add("stage2", f"_{source}_response", _response, executed[source])
        add("stage2", "", partial(_picked, PUBLISHED["stage2"]), stage2)
    return jobs


def export_mix(root: Path, configs: Mapping[str, DatasetDict]) -> list[Job]:
    """The jobs that write the stages of a mix under ``root``: ``stage1/mix/mix.json``, ``stage1/mix/mix_test.json``."""
    return [
        partial(_write, root / stage / MIX / f"{stem(MIX, str(split))}.json", partial(_picked, names), [rows])
        for stage, names in PUBLISHED.items()
        for split, rows in configs.get(stage, {}).items()
    ]


def _write(path: Path, row_of: RowOf, tables: Sequence[Dataset]) -> None:
    """Write what ``row_of`` makes of the rows of ``tables`` at one place; it may leave rows out."""
    rows = (row_of(*rows) for rows in zip(*map(rows_as_dicts, tables), strict=True))
    write_json_lines(path, (row for row in rows if row is not None))


def _picked(names: Sequence[str], row: Row) -> Row:
    return {name: row[name] for name in names}


def _graded(is_correct: bool, row: Row) -> Row | None:
    if row["response"] is None or row["correct"] != is_correct:
        return None
    return _picked(("id", "question", "answer", "response", "prediction"), row)


def _call(row: Row) -> Row | None:
    return (
        {**_picked(("id", "question", "answer"), row), "tool": row["tool_call"]} if row["tool_call"] else None
    )


def _gold(row: Row, ran: Row) -> Row:
    return {**_picked(("id", "instruction", "input", "output", "answer"), row), "pred": ran["prediction"]}


def _response(row: Row) -> Row:
    return {
        "id": row["id"],
        "input": row["question"],
        "answer": row["answer"],
        "response": row["response"] or "",
        "pred": row["prediction"],
        "finish_reason": row["finish_reason"],  # tells whether the response was cut
    }

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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf._utils import replacing

Row = Mapping[str, Any]

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
) -> None:
    """Write the whole published layout for one dataset under ``root``.

    Args:
        name: the dataset's name, such as ``GSM8K``.
        called: every question with the student's response (``schemas.CALLED``).
        executed: the responses by source, including ``gold`` (``schemas.EXECUTED``).
    """
    graded = ("id", "question", "answer", "response", "prediction")
    for split in called:
        first = stem(name, str(split))

        def write(stage: str, ending: str, rows: Iterable[Row], *fields: str, first: str = first) -> None:
            picked = (_pick(row, *fields) if fields else row for row in rows)
            write_json_lines(root / stage / name / f"{first}{ending}.json", picked)

        rows = called[split].to_list()
        answered = [row for row in rows if row["response"] is not None]
        write("raw", "", rows, "id", "question", "answer", "solution")
        write("raw", "_right", (row for row in answered if row["correct"]), *graded)
        write("raw", "_wrong", (row for row in answered if not row["correct"]), *graded)
        calls = ({**row, "tool": row["tool_call"]} for row in rows if row["tool_call"])
        write("stage1", "_wrong", calls, "id", "question", "answer", "tool")
        write("stage1", "", stage1[split], *PUBLISHED["stage1"])
        gold = (
            {**_pick(row, "id", "instruction", "input", "output", "answer"), "pred": ran["prediction"]}
            for row, ran in zip(stage1[split], executed["gold"][split], strict=True)
        )
        write("stage2", "_gold_response", gold)
        for source in (source for source in executed if source != "gold"):
            write("stage2", f"_{source}_response", map(_response, executed[source][split]))
        write("stage2", "", stage2[split], *PUBLISHED["stage2"])


def export_mix(root: Path, configs: Mapping[str, DatasetDict]) -> None:
    """Write the stages that a mix has under ``root``: ``stage1/mix/mix.json``, ``stage1/mix/mix_test.json``."""
    for stage, fields in PUBLISHED.items():
        for split, rows in configs.get(stage, {}).items():
            path = root / stage / MIX / f"{stem(MIX, str(split))}.json"
            write_json_lines(path, (_pick(row, *fields) for row in rows))


def _response(row: Row) -> Row:
    return {
        "id": row["id"],
        "input": row["question"],
        "answer": row["answer"],
        "response": row["response"] or "",
        "pred": row["prediction"],
        "finish_reason": row["finish_reason"],  # tells whether the response was cut
    }


def _pick(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}

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
"""Half of a character, as JSON can spell it."""
MIX = "mix"
"""What the published layout calls several datasets together."""
PUBLISHED = {
    "stage1": ("instruction", "input", "output"),
    "stage2": ("query", "responses", "origin", "scores", "answer"),
}
"""The published columns of each stage."""
_GRADED = ("id", "question", "answer", "response", "prediction")


def stem(name: str, split: str) -> str:
    """The start of a split's file names: ``GSM8K``, ``GSM8K_test``."""
    return name if split == "train" else f"{name}_{split}"


def write_json_lines(path: Path, rows: Iterable[Row]) -> None:
    """Write one JSON object a line, in the rows' own field order."""
    with replacing(path) as scratch, scratch.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False)
            if not line.isascii() and _UNPAIRED.search(line):  # no UTF-8 has it, so it stays an escape
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
        executed: the responses by source, ``gold`` among them (``schemas.EXECUTED``).
    """
    for split in called:
        first = stem(name, str(split))
        raw, one, two = (root / stage / name for stage in ("raw", "stage1", "stage2"))
        rows = called[split].to_list()
        usable = [row for row in rows if row["response"] is not None]
        write_json_lines(
            raw / f"{first}.json", (_pick(r, "id", "question", "answer", "solution") for r in rows)
        )
        write_json_lines(raw / f"{first}_right.json", (_pick(r, *_GRADED) for r in usable if r["correct"]))
        write_json_lines(
            raw / f"{first}_wrong.json", (_pick(r, *_GRADED) for r in usable if not r["correct"])
        )
        calls = (
            {**_pick(r, "id", "question", "answer"), "tool": r["tool_call"]} for r in rows if r["tool_call"]
        )
        write_json_lines(one / f"{first}_wrong.json", calls)
        write_json_lines(one / f"{first}.json", (_pick(r, *PUBLISHED["stage1"]) for r in stage1[split]))
        write_json_lines(two / f"{first}_gold_response.json", _gold(stage1[split], executed["gold"][split]))
        for source in (source for source in executed if source != "gold"):
            responses = (_response(row) for row in executed[source][split])
            write_json_lines(two / f"{first}_{source}_response.json", responses)
        write_json_lines(two / f"{first}.json", (_pick(r, *PUBLISHED["stage2"]) for r in stage2[split]))


def export_mix(root: Path, configs: Mapping[str, DatasetDict]) -> None:
    """Write the mix's stages under ``root``, as far as there are any: ``stage1/mix/mix.json``, ``mix_test.json``."""
    for stage, fields in PUBLISHED.items():
        for split, rows in configs.get(stage, {}).items():
            path = root / stage / MIX / f"{stem(MIX, str(split))}.json"
            write_json_lines(path, (_pick(row, *fields) for row in rows))


def _gold(stage1: Iterable[Row], executed: Iterable[Row]) -> Iterable[Row]:
    for row, ran in zip(stage1, executed, strict=True):
        yield {**_pick(row, "id", "instruction", "input", "output", "answer"), "pred": ran["prediction"]}


def _response(row: Row) -> Row:
    return {
        "id": row["id"],
        "input": row["question"],
        "answer": row["answer"],
        "response": row["response"] or "",
        "pred": row["prediction"],
        "finish_reason": row["finish_reason"],  # by which one that was cut is known again
    }


def _pick(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}

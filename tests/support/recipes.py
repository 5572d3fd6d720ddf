"""A recipe over a few sums, with scripted models in every role: the whole flow in a second."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from toolgen_hf import Recipe

ROWS = [
    {
        "question": f"Ann has {n} pens and buys {n % 3 + 2} more. How many pens has she?",
        "answer": str(n + n % 3 + 2),
        "solution": f"She has {n}+{n % 3 + 2}=<<{n}+{n % 3 + 2}={n + n % 3 + 2}>>{n + n % 3 + 2} pens.",
    }
    for n in range(10, 22)
]

BASE: dict[str, Any] = {
    "name": "sums",
    "dataset": {"builder": "qa", "name": "Sums", "columns": {"solution": "solution"}},
    "answer": {"generator": {"kind": "local", "model": "half"}},
    "sources": {
        "talker": {"generator": {"kind": "local", "model": "right"}},
        "caller": {"generator": {"kind": "local", "model": "call"}, "prompt": "few_shot"},
        "failer": {"generator": {"kind": "local", "model": "broken"}},
    },
}


def write_questions(folder: Path, rows: list[dict[str, Any]] = ROWS, test_rows: int = 4) -> dict[str, str]:
    """The questions as JSON Lines, the last ``test_rows`` of them as the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": rows[: len(rows) - test_rows], "test": rows[len(rows) - test_rows :]}
    for split, part in parts.items():
        lines = [json.dumps(row) + "\n" for row in part]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return {split: str(folder / f"{split}.jsonl") for split in parts}


def sums_data(folder: Path, **changes: Any) -> dict[str, Any]:
    """The recipe as plain data; ``changes`` by dotted key with ``__`` for the dot."""
    data = copy.deepcopy(BASE)
    data["dataset"]["data_files"] = write_questions(folder)
    for key, value in changes.items():
        *parents, last = key.split("__")
        target = data
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return data


def sums_recipe(folder: Path, **changes: Any) -> Recipe:
    """The recipe, validated."""
    return Recipe.parse(sums_data(folder, **changes))


def few_rows(name: str) -> list[str]:
    """``--set`` arguments that make a shipped recipe read few rows, so that it is quick to check."""
    return [] if name in ("math-mix", "two-tasks") else ["--set", "dataset.rows={train: 60, test: 20}"]

"""Produced directories for the report's tests, written without a run: any size, any text."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features

from toolgen_hf import schemas
from toolgen_hf.flow.write import write_produced
from toolgen_hf.runtime.summary import summarize

EVIL = '</script><img src=x onerror="window.hacked=1"><script>window.hacked=2</script><b>&amp;'
SOURCES = ("gold", "talker", "caller")


def make_result(
    folder: Path,
    rows: int = 30,
    test_rows: int = 5,
    sources: Sequence[str] = SOURCES,
    rejected: int = 3,
    words: str = "and then some more",
    **facts: Any,
) -> Path:
    """A directory with ``rows`` questions, of which the last ``rejected`` of each split are rejected.

    Question n: "What is n plus 2?". ``gold`` calls the tool and is right; of the others, even ones say a right
    number and odd ones make a call that fails.
    """
    sizes = {"train": rows - test_rows, "test": test_rows} if test_rows else {"train": rows}
    called = {
        split: [_called(split, n, n >= size - rejected) for n in range(size)] for split, size in sizes.items()
    }
    kept = {split: [row for row in table if row["reason"] is None] for split, table in called.items()}
    out = {split: [row for row in table if row["reason"] is not None] for split, table in called.items()}
    configs = {
        "stage2": _table(schemas.STAGE2, kept, lambda row: _stage2(row, sources, words)),
        "stage1": _table(schemas.STAGE1, kept, _stage1),
        "raw": _table(schemas.RAW, called, lambda row: {name: row[name] for name in schemas.RAW}),
        "rejected": _table(schemas.REJECTED, out, _rejected),
    }
    executed = {name: _executed(configs["stage2"], at, name) for at, name in enumerate(sources)}
    summary = summarize("made up", [], _table(schemas.CALLED, called, dict), configs, executed)
    manifest = {
        "key": "-", "name": "made up", "description": "", "toolgen_hf": "0", "versions": {"python": "3"},
        "created_at": "2026-01-01T00:00:00Z", "source_dataset": "Sums", "homepage": "https://example.org/sums",
        "license": "MIT", "citation": "", "strategy": "distance", "models": {"student": "`half`"}, "generators": {},
        "summary": summary.to_dict(), **facts,
    }  # fmt: skip
    write_produced(folder, configs, lambda root: [], "name: made-up\ntask: math\n", manifest)
    return folder


def _table(features: Features, rows: dict[str, list[Any]], make: Any) -> DatasetDict:
    made = {split: [make(row) for row in table] for split, table in rows.items()}
    columns = {
        split: {name: [row[name] for row in table] for name in features} for split, table in made.items()
    }
    return DatasetDict(
        {split: Dataset.from_dict(table, features=features) for split, table in columns.items()}
    )


def _called(split: str, n: int, is_rejected: bool) -> dict[str, Any]:
    attempt = {"teacher": "writer", "output": f"calculator({n}+1)", "thinking": None, "result": f"{n + 1}.0",
               "reason": "the result is not the gold answer"}  # fmt: skip
    return {
        "id": f"sums-{split}-{n}", "question": f"What is {n} plus 2?", "answer": [str(n + 2)],
        "solution": f"{n}+2={n + 2}", "response": f"The answer is {n}.", "thinking": None,
        "truncated": False,
        "prediction": f"{n}.0", "correct": False, "fewshot_overlap": False,
        "reason": "no verified tool call (writer: the result is not the gold answer)" if is_rejected else None,
        "tool_call": None if is_rejected else f"calculator({n}+2)",
        "teacher": None if is_rejected else "writer", "verified_by": None if is_rejected else "execution",
        "soundness": None if is_rejected else "explained", "attempts": [attempt] if is_rejected else [],
    }  # fmt: skip


def _stage1(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "instruction": "Solve it.", "input": row["question"], "output": row["tool_call"],
            "answer": row["answer"], "fewshot_overlap": False, "verified_by": row["verified_by"],
            "soundness": row["soundness"]}  # fmt: skip


def _stage2(row: dict[str, Any], sources: Sequence[str], words: str) -> dict[str, Any]:
    right = f"{row['answer'][0]}.0"
    said = [
        (row["tool_call"], right, 20)
        if at == 0
        else ("calculator(3+", "", 0)
        if at % 2 == 0
        else (f"{row['question']} {words} The answer is {row['answer'][0]}.", right, 15)
        for at in range(len(sources))
    ]
    responses, answers, scores = zip(*said, strict=True)
    return {"id": row["id"], "query": f"Solve it.\n{row['question']}", "responses": responses, "answer": answers,
            "origin": list(sources), "scores": scores, "fewshot_overlap": False}  # fmt: skip


def _rejected(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "stage": "tool_api", "reason": row["reason"], "detail": json.dumps(row)}


def _executed(stage2: DatasetDict, at: int, source: str) -> DatasetDict:
    def columns(rows: Dataset) -> dict[str, list[Any]]:
        said = [row["responses"][at] for row in rows]
        return {
            "id": rows["id"],
            "uses_tool": ["calculator(" in text for text in said],
            "error": ["syntax" if text == "calculator(3+" else None for text in said],
            "correct": [row["answer"][at] != "" for row in rows],
        }

    return DatasetDict({split: Dataset.from_dict(columns(rows)) for split, rows in stage2.items()})


def questions_of(page: str) -> list[dict[str, Any]]:
    """The rows that a page carries."""
    (data,) = re.findall(r'<script id="data" type="text/plain">([A-Za-z0-9+/=]*)</script>', page)
    found: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(data)))["questions"]
    return found

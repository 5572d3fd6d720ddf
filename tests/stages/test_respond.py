"""Responses: one source answers every question, from a model or from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from toolgen_hf import Workspace, schemas
from toolgen_hf.ask import Ask, Generation, Prompt
from toolgen_hf.errors import DataError
from toolgen_hf.models.config import FileConfig
from toolgen_hf.stages.respond import SourceConfig, respond, respond_from_file, respond_row

ROW = {"id": "a", "question": "40 less 24?", "answer": ["16"], "solution": None}
OTHER = {"id": "b", "question": "3 times 19?", "answer": ["57"], "solution": None}
RAW = DatasetDict(train=Dataset.from_list([ROW, OTHER], features=schemas.RAW))


@pytest.mark.parametrize(
    ("made", "response", "finish_reason"),
    [
        (Generation("calculator(40-24)", "stop"), "calculator(40-24)", "stop"),
        (Generation("40 less 24 is", "length"), "40 less 24 is", "length"),
        (Generation("", "content_filter"), "", "content_filter"),
    ],
)
def test_a_row_in_and_out(made: Generation, response: str, finish_reason: str) -> None:
    coroutine = respond_row(ROW, Ask(), "few", None, lambda question: Prompt("Answer.", question))  # type: ignore[arg-type]
    coroutine.send(None)
    with pytest.raises(StopIteration) as end:
        coroutine.send(made)
    assert end.value.value == {
        "id": "a",
        "question": "40 less 24?",
        "answer": ["16"],
        "source": "few",
        "response": response,
        "finish_reason": finish_reason,
    }


def written(folder: Path, *rows: dict[str, Any]) -> FileConfig:
    path = folder / "responses.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return FileConfig(kind="file", path=str(path))


def test_a_file_of_responses(tmp_path: Path) -> None:
    """A row belongs to the question with its id or its words. A row that answers no question is left over."""
    config = written(
        tmp_path,
        {"id": "x", "question": "40 LESS 24?", "response": "The answer is 16."},
        {"id": "y", "question": "What is 5 + 5?", "response": "10"},
    )
    with Workspace(progress=False) as workspace:
        made, left = respond_from_file(RAW, "few", config, workspace)
    assert [(row["id"], row["response"], row["finish_reason"]) for row in made["train"]] == [
        ("a", "The answer is 16.", None),
        ("b", None, "missing"),
    ]
    assert [(row["id"], row["reason"]) for row in left] == [("y", "few: no such question")]


def test_a_row_without_a_response_is_named(tmp_path: Path) -> None:
    config = SourceConfig(generator=written(tmp_path, {"id": "a", "answer": "16"}))
    message = r"responses\.jsonl:1: no column 'response'"
    with Workspace(progress=False) as workspace, pytest.raises(DataError, match=message):
        respond(RAW, "few", config, workspace)

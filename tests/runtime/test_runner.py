"""`MapRunner`: one process or several give the same rows, and the first fault of one ends the stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from toolgen_hf import Workspace, execute, schemas
from toolgen_hf.ask import Prompt, Request
from toolgen_hf.errors import DataError
from toolgen_hf.models import build
from toolgen_hf.models.config import FileConfig
from toolgen_hf.models.file import TextsOnDisk
from toolgen_hf.runtime.runner import Batch, MapRunner, Stage


def responses(count: int) -> DatasetDict:
    rows = [
        {
            "id": f"q-{at}",
            "question": f"What is {at} + 1?",
            "answer": [str(at + 1)],
            "source": "few",
            "response": f"calculator({at}+1)" if at % 3 else f"The answer is {at}.",
            "finish_reason": None,
        }
        for at in range(count)
    ]
    return DatasetDict(train=Dataset.from_list(rows, features=schemas.RESPONSES))


def executed(folder: Path, processes: int | None, count: int = 2500) -> Dataset:
    runner = MapRunner(processes)
    with Workspace(folder, progress=False, runner=runner) as workspace:
        return execute(responses(count), workspace)["train"]


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_give_the_rows_of_one(tmp_path: Path, processes: int) -> None:
    one, many = executed(tmp_path / "one", 1), executed(tmp_path / "many", processes)
    assert many[:] == one[:]
    assert many._fingerprint == one._fingerprint
    assert [path.suffix for path in (tmp_path / "many" / "stages").iterdir()] in (
        [".arrow", ".json"],
        [".json", ".arrow"],
    )


def test_more_processes_than_rows(tmp_path: Path) -> None:
    assert executed(tmp_path / "many", 4, count=2)[:] == executed(tmp_path / "one", 1, count=2)[:]


def test_the_fault_of_one_process_is_that_of_the_stage(tmp_path: Path) -> None:
    def refuse(batch: Batch) -> Batch:
        if "q-2000" in batch["id"]:
            raise DataError("row 'q-2000' is bad")
        return {name: batch[name] for name in schemas.RESPONSES}

    stage = Stage("refuse", 1, schemas.RESPONSES)
    runner = MapRunner(2)
    with (
        Workspace(tmp_path, progress=False, runner=runner) as workspace,
        pytest.raises(DataError, match="row 'q-2000' is bad"),
    ):
        stage.run(responses(2500), refuse, {}, workspace)
    assert not list((tmp_path / "stages").iterdir())


def written(folder: Path, *rows: dict[str, Any]) -> FileConfig:
    path = folder / "given.jsonl"
    Dataset.from_list(list(rows)).to_json(str(path), force_ascii=False)
    return FileConfig(kind="file", path=str(path))


def test_given_texts_are_found_by_the_words_of_their_question(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        {"question": "What is  1 + 1?", "response": "2"},
        {"question": "what is 1 + 1?", "response": "second"},
        {"question": "Was ist 2 + 2? 🙂", "response": "vier"},
    )
    file = build(config)
    asked = [Request(Prompt("", question)) for question in ("WHAT is 1 + 1?", "was ist 2 + 2? 🙂", "Other?")]
    made = [text for chunk in file.generate(asked) for _, text in chunk]
    assert [(text.text, text.finish_reason) for text in made] == [
        ("2", "stop"),
        ("vier", "stop"),
        ("", "missing"),
    ]


def test_questions_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgen_hf.models.file._hash", lambda question: 7)
    rows = [(str(at), {"question": f"Q{at}", "response": f"R{at}"}) for at in range(5)]
    texts = TextsOnDisk(rows, lambda row, where: (row["response"], None))
    assert [found.text for at in range(5) if (found := texts.get(f"q{at}"))] == [f"R{at}" for at in range(5)]
    assert texts.get("Q9") is None

"""Rows are cached by the bytes they came from: edited files give new rows, others none are made for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from tests.builders.conftest import Write
from toolgen_hf.builders import GSM8K, QA, load
from toolgen_hf.errors import DataError

LOAD = """
import sys
from toolgen_hf.builders import QA, load
rows = load(QA(data_files=sys.argv[1], columns={"question": "q", "answer": "a"}))["train"]
print(rows._fingerprint, rows.num_rows)
assert "torch" not in sys.modules
"""


def _rows_made(cache: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(cache.rglob("*.arrow"))}


def test_an_edit_in_place_gives_new_rows(write: Write, cache: Path) -> None:
    path = write("train.jsonl", [{"question": "Q", "answer": "1"}])
    before, clock = load(QA(data_files=path, cache_dir=cache))["train"], path.stat()
    write("train.jsonl", [{"question": "Q", "answer": "2"}])
    os.utime(path, ns=(clock.st_atime_ns, clock.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (clock.st_size, clock.st_mtime_ns)

    after = load(QA(data_files=path, cache_dir=cache))["train"]
    assert (before[0]["answer"], after[0]["answer"]) == (["1"], ["2"])
    assert before._fingerprint != after._fingerprint


def test_the_same_bytes_elsewhere_are_not_read_again(write: Write, cache: Path) -> None:
    rows = [{"question": "Q", "answer": "1"}]
    load(QA(data_files=write("here/train.jsonl", rows), cache_dir=cache))
    made = _rows_made(cache)
    load(QA(data_files=write("there/train.jsonl", rows), cache_dir=cache))
    assert _rows_made(cache) == made
    load(QA(data_files=write("here/train.jsonl", rows), dataset_name="Other", cache_dir=cache))
    assert len(_rows_made(cache)) == 2, "another name gives other ids"


@pytest.mark.parametrize("damaged", ["qa-train.arrow", "toolgen_hf.json"])
def test_damaged_rows_are_read_again(
    write: Write, cache: Path, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("train.jsonl", [{"question": "Which letter?", "answer": "zzzz"}])
    before = load(QA(data_files=path, cache_dir=cache))["train"].to_list()
    (file,) = cache.rglob(damaged)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"zzzz", b"yyyy") if b"zzzz" in content else content[:-3])
    assert load(QA(data_files=path, cache_dir=cache))["train"].to_list() == before
    assert "are damaged and are read again" in caplog.text


def test_rows_that_were_cached_without_digests_are_taken(write: Write, cache: Path) -> None:
    path = write("train.jsonl", [{"question": "Q", "answer": "1"}])
    load(QA(data_files=path, cache_dir=cache))
    made = _rows_made(cache)
    next(cache.rglob("toolgen_hf.json")).unlink()
    load(QA(data_files=path, cache_dir=cache))
    assert _rows_made(cache) == made


def test_two_processes_at_once_and_one_later(write: Write, tmp_path: Path) -> None:
    path = write("train.jsonl", [{"q": f"Q{i}", "a": i} for i in range(2000)])
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "shared")}
    command = [sys.executable, "-c", LOAD, str(path)]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    made = _rows_made(tmp_path / "shared")
    assert len(made) == 1

    later = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert _rows_made(tmp_path / "shared") == made
    assert {later.stdout, *(stdout for stdout, _ in outputs)} == {later.stdout}
    assert [later.stderr, *(stderr for _, stderr in outputs)] == ["", "", ""], "no progress bars, no warnings"


def test_nothing_is_left_of_a_failed_load(write: Write, cache: Path) -> None:
    good = [{"question": f"Q{i}", "answer": "1"} for i in range(3000)]  # more than one batch of the writer
    train, path = write("train.jsonl", good), write("test.jsonl", [*good, {"question": "Q"}])
    with pytest.raises(DataError, match=r"test.jsonl:3001: no column 'answer'"):
        load(QA(data_files=[train, path], cache_dir=cache))
    assert not list(cache.rglob("*.arrow"))
    assert not [found for found in cache.rglob("*incomplete*") if found.is_dir()]

    write("test.jsonl", good)
    assert load(QA(data_files=[train, path], cache_dir=cache)).num_rows == {"train": 3000, "test": 3000}


def test_a_file_edited_after_the_builder_was_made_is_not_cached(write: Write, cache: Path) -> None:
    path = write("train.jsonl", [{"question": "Q", "answer": "1"}])
    builder = QA(data_files=path, cache_dir=cache)
    write("train.jsonl", [{"question": "Q", "answer": "2"}])
    with pytest.raises(DataError, match="changed since this QA was made: make a new one"):
        load(builder)
    assert not list(cache.rglob("*.arrow"))


def test_a_builder_is_a_datasets_builder(cache: Path) -> None:
    builder = GSM8K(cache_dir=cache)
    assert isinstance(builder, datasets.GeneratorBasedBuilder)
    builder.download_and_prepare()
    assert builder.as_dataset(split="test[:2]").num_rows == 2
    assert builder.info.splits["train"].num_examples == 7473
    assert next(iter(builder.as_streaming_dataset("train")))["answer"] == ["72"]


def test_progress_bars_are_as_before(write: Write, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write("train.jsonl", [{"question": "Q", "answer": "1"}])
    disabled = datasets.are_progress_bars_disabled()
    load(QA(data_files=path, cache_dir=cache))
    assert datasets.are_progress_bars_disabled() == disabled
    assert capfd.readouterr() == ("", "")

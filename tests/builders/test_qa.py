"""Anyone's questions: every kind of file gives the same rows, and each fault is named with its place."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders.conftest import Write
from toolgen_hf.builders import QA, load
from toolgen_hf.builders.columns import as_text
from toolgen_hf.builders.inputs import bundled
from toolgen_hf.builders.qa import join
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.schemas import RAW

COLUMNS = {"question": "prompt", "answer": "gold", "solution": "how", "context": "about", "id": "key"}
ROWS = [
    {"key": "a", "about": "Ann has 3 pens", "prompt": "How many?", "gold": 3, "how": "3"},
    {"key": "b", "about": "", "prompt": "Où est-ce ?", "gold": 51, "how": None},
]
EXPECTED = [
    {"id": "a", "question": "Ann has 3 pens. How many?", "answer": ["3"], "solution": "3"},
    {"id": "b", "question": "Où est-ce ?", "answer": ["51"], "solution": None},
]


def _write_as(kind: str, path: Path) -> Path:
    if kind == "lines.json":
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    elif kind.endswith(".csv"):
        text = "key,about,prompt,gold,how\na,Ann has 3 pens,How many?,3,3\nb,,Où est-ce ?,51,\n"
    else:
        text = json.dumps(ROWS, indent=2)
    path = path / kind
    path.write_text(text, encoding="utf-8")
    if kind.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("kind", ["lines.json", "array.json", "rows.csv", "rows.parquet"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, cache: Path, kind: str) -> None:
    data = load(QA(data_files=_write_as(kind, tmp_path), columns=COLUMNS, cache_dir=cache))
    assert data["train"].features == RAW
    assert data["train"].to_list() == EXPECTED


def test_svamp_ships(cache: Path) -> None:
    data = load(QA("svamp", cache_dir=cache))
    assert list(data) == ["test"]
    assert data["test"].num_rows == 1000
    assert data["test"][0] == {
        "id": "SVAMP-test-0",
        "question": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack. "
        "How much do you have to pay to buy each pack?",
        "answer": ["51"],
        "solution": "( 76.0 - 25.0 )",
    }
    assert data["test"][2]["question"].startswith("Paco had 26 salty cookies and 17 sweet cookies. He ate")
    doubled = [row["id"] for row in data["test"] if ".. " in row["question"]]
    assert doubled == ["SVAMP-test-409"], "the official file has one of its own"
    assert "patel2021svamp" in data["test"].info.citation


def test_svamp_is_the_official_file() -> None:
    record = json.loads(bundled("svamp/SOURCE.json").read_text())["files"]["SVAMP.json"]
    content = bundled("svamp/SVAMP.json").read_bytes()
    assert len(json.loads(content)) == record["rows"]
    assert hashlib.sha256(content).hexdigest() == record["sha256"]


def test_svamp_own_file_goes_through_the_same_config(write: Write, cache: Path) -> None:
    row = {
        "ID": "chal-9",
        "Body": "A.",
        "Question": "B?",
        "Equation": "( 1.5 + 1.0 )",
        "Answer": 2.5,
        "Type": "Sum",
    }
    path = write("SVAMP.json", json.dumps([row], indent=4))
    (loaded,) = load(QA("svamp", data_dir=path.parent, cache_dir=cache))["test"].to_list()
    assert loaded == {
        "id": "SVAMP-test-0",
        "question": "A. B?",
        "answer": ["2.5"],
        "solution": "( 1.5 + 1.0 )",
    }


def test_ids_count_across_the_files_of_a_split(write: Write, cache: Path) -> None:
    row = {"question": "Q", "answer": "A"}
    write("d/train-00000-of-00002.jsonl", [row, row])
    write("d/train-00001-of-00002.jsonl", [row])
    write("d/test.jsonl", [row])
    write("d/README.md", "not data")
    data = load(QA(data_dir=write("d/notes.txt", "").parent, dataset_name="FAQ", cache_dir=cache))
    assert list(data) == ["train", "test"]
    assert list(data["train"]["id"]) == ["FAQ-train-0", "FAQ-train-1", "FAQ-train-2"]
    assert list(data["test"]["id"]) == ["FAQ-test-0"]


def test_data_files_take_patterns(write: Write, cache: Path) -> None:
    for name in "ab":
        path = write(f"d/{name}.jsonl", [{"question": name, "answer": ["x", "y"]}])
    data = load(QA(data_files={"dev": str(path.parent / "*.jsonl")}, cache_dir=cache))
    assert [(row["id"], row["question"], row["answer"]) for row in data["dev"]] == [
        ("QA-dev-0", "a", ["x", "y"]),
        ("QA-dev-1", "b", ["x", "y"]),
    ]


@pytest.mark.parametrize(
    ("context", "joined"),
    [
        (None, "Q?"),
        ("Ann has 3", "Ann has 3. Q?"),
        ("Ann has 3. ", "Ann has 3. Q?"),
        ("Who?", "Who? Q?"),
        ('He said "no."', 'He said "no." Q?'),
        ("If she has 3,", "If she has 3, Q?"),
    ],
)
def test_join(context: str | None, joined: str) -> None:
    assert join(context, "Q?") == joined


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (51.0, "51"),
        (51, "51"),
        (-0.5, "-0.5"),
        (1e-07, "0.0000001"),
        (1e16, "10000000000000000"),
        (" x ", " x "),
    ],
)
def test_as_text(value: object, text: str) -> None:
    assert as_text(value, "answer", "here") == text


GOOD = {"question": "Q", "answer": "A"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"question": "Q"}, "no column 'answer'; there is 'question'"),
        ({"question": "Q", "Answer": "A"}, "Did you mean 'Answer'?"),
        ({"question": None, "answer": "A"}, "'question' is null"),
        ({"question": "\n", "answer": "A"}, "'question' is blank"),
        ({"question": "Q", "answer": None}, "'answer' is null"),
        ({"question": "Q", "answer": " "}, "'answer' is blank"),
        ({"question": "Q", "answer": []}, "'answer' is an empty list"),
        ({"question": "Q", "answer": ["A", ""]}, "'answer' is blank"),
        ({"question": "Q", "answer": True}, "'answer' is True, neither text nor a number"),
        ({"question": "Q", "answer": {"a": 1}}, "'answer' is {'a': 1}, neither text nor a number"),
        ({"question": "Q", "answer": float("nan")}, "'answer' is nan"),
        ({"question": "Q", "answer": float("inf")}, "'answer' is inf"),
    ],
)
def test_bad_rows(write: Write, cache: Path, bad: dict[str, Any], message: str) -> None:
    path = write("train.jsonl", [GOOD, bad])
    with pytest.raises(DataError) as caught:
        load(QA(data_files=path, cache_dir=cache))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)


def test_half_a_surrogate_pair(write: Write, cache: Path) -> None:
    path = write("train.jsonl", '{"question": "a\\ud83d", "answer": "A"}')
    with pytest.raises(DataError, match=r"train.jsonl:1: 'question' holds '\\ud83d', half of a character"):
        load(QA(data_files=path, cache_dir=cache))


def test_duplicate_ids_name_both_lines(write: Write, cache: Path) -> None:
    path = write("train.jsonl", [{**GOOD, "id": 7}, {**GOOD, "id": 8}, {**GOOD, "id": "7"}])
    with pytest.raises(DataError) as caught:
        load(QA(data_files=path, columns={"id": "id"}, cache_dir=cache))
    assert str(caught.value) == f"{path}:3: id '7' stands at {path}:1 already: ids must differ"


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", ""), ("a.json", "[]"), ("a.csv", "question,answer\n")]
)
def test_empty_files(write: Write, cache: Path, name: str, content: str) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as caught:
        load(QA(data_files=path, cache_dir=cache))
    assert str(caught.value) == f"{path}: holds no rows"


def test_bad_inputs(write: Write, tmp_path: Path) -> None:
    path = write("d/faq.jsonl", [GOOD])
    cases: list[tuple[dict[str, Any], str]] = [
        ({"data_files": "https://example.org/faq.jsonl"}, "only local files are read: download it first"),
        ({"data_files": path.with_name("fqa.jsonl")}, "there is no such file; .* holds 'faq.jsonl'"),
        (
            {"data_files": write("faq.xlsx", "")},
            "unknown suffix '.xlsx'; known are .json, .jsonl, .csv, .parquet",
        ),
        ({"data_files": path.parent}, "is a folder: give it as data_dir"),
        ({"data_files": []}, "names no file"),
        ({"data_files": {"all": path}}, "'all' cannot name a split"),
        ({"data_files": {"te/st": path}}, "'te/st' cannot name a split"),
        ({"data_dir": path}, "is a file: give it as data_files"),
        ({"data_dir": tmp_path / "none"}, "there is no such folder"),
        ({"data_dir": write("empty/x.txt", "").parent}, r"no data file \(.*which holds 'x.txt'"),
    ]
    for arguments, message in cases:
        with pytest.raises(DataError, match=message):
            QA(**arguments)


def test_bad_arguments(write: Write) -> None:
    path = write("faq.jsonl", [GOOD])
    with pytest.raises(ConfigError, match="QA has no files: give data_files"):
        QA()
    with pytest.raises(
        ConfigError, match=r"no config 'svmap'; there is 'default', 'svamp'. Did you mean 'svamp'"
    ):
        QA("svmap")
    with pytest.raises(ConfigError, match=r"'anwser' is not a field of a row; .*Did you mean 'answer'"):
        QA(data_files=path, columns={"anwser": "A"})
    with pytest.raises(ConfigError, match="'answer' must name a column of the file, not ''"):
        QA(data_files=path, columns={"answer": ""})

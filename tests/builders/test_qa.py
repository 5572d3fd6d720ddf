"""Questions of any dataset: every kind of file gives the same rows, and each fault is named with its place."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("folder", ["d", "d[1]", "d *"])
def test_data_files_take_patterns(write: Write, cache: Path, folder: str) -> None:
    for name in "ab":
        path = write(f"{folder}/{name}.jsonl", [{"question": name, "answer": ["x", "y"]}])
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
        (10**400, "1" + "0" * 400),
        (5e-324, "0." + "0" * 323 + "5"),
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
        (
            {"question": ["Q", "R"], "answer": 1},
            "'question' is a list of 2: name one of its items, such as 'question.0'",
        ),
        ({"question": [], "answer": 1}, "'question' is [], neither text nor a number"),
    ],
)
def test_bad_rows(write: Write, cache: Path, bad: dict[str, Any], message: str) -> None:
    path = write("train.jsonl", [GOOD, bad])
    with pytest.raises(DataError) as caught:
        load(QA(data_files=path, cache_dir=cache))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)


NESTED = {
    "question": "How many legs has a spider?",
    "answer": {"value": "8", "aliases": ["8", "eight"]},
    "answers": {"text": ["8"], "answer_start": [0]},
    "spans": [{"text": "8"}, {"text": "eight"}],
    "choices": [{"text": "6"}, {"text": 8}],
    "notes": [{"short": [{"text": ["8"]}, {"text": ["eight", "Eight"]}]}],
    "gold.text": "literal",
    "a": {"b.c": {"d": "deep"}},
    "empty": None,
}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("answer.value", ["8"]),
        ("answer.aliases", ["8", "eight"]),
        ("answers.text", ["8"]),
        ("answers.answer_start", ["0"]),
        ("spans.text", ["8", "eight"]),
        ("spans.1.text", ["eight"]),
        ("choices.1.text", ["8"]),
        ("notes.short.text", ["8", "eight", "Eight"]),
        ("gold.text", ["literal"]),
        ("a.b.c.d", ["deep"]),
    ],
)
def test_a_column_may_be_a_path(write: Write, cache: Path, column: str, expected: list[str]) -> None:
    path = write("train.jsonl", [NESTED, NESTED])
    rows = load(QA(data_files=path, columns={"answer": column}, cache_dir=cache))["train"]
    assert rows[1]["answer"] == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("answer.valeu", "no column 'valeu' in 'answer'; there is 'value', 'aliases'. Did you mean 'value'?"),
        ("answr.value", "no column 'answr.value'; there is 'question', 'answer',"),
        ("answer.value.x", "no column 'answer.value.x': 'answer.value' is '8', which has no parts"),
        ("spans.1.txt", "no column 'txt' in 'spans.1'; there is 'text'. Did you mean 'text'?"),
        ("spans.txt", "no column 'txt' in 'spans.0'; there is 'text'. Did you mean 'text'?"),
        ("spans.7.text", "no column 'spans.7.text': 'spans' has 2 items, counted from 0"),
        ("empty.x", "no column 'empty.x': 'empty' is null"),
        ("answer", "'answer' is {'value': '8', 'aliases': ['8', 'eight']}, neither text nor a number"),
    ],
)
def test_a_path_that_leads_nowhere(write: Write, cache: Path, column: str, message: str) -> None:
    path = write("train.jsonl", [NESTED])
    with pytest.raises(DataError) as caught:
        load(QA(data_files=path, columns={"answer": column}, cache_dir=cache))
    assert str(caught.value).startswith(f"{path}:1: {message}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["X=(7.0+5.0)"], "X=(7.0+5.0)"),
        (["12+5=17", "17*2=34"], "12+5=17\n17*2=34"),
        ([], None),
        (None, None),
        (12, "12"),
    ],
)
def test_a_solution_may_be_a_list_of_its_steps(
    write: Write, cache: Path, given: Any, expected: str | None
) -> None:
    row = {"sQuestion": ["Q"], "lEquations": given, "lSolutions": [12.0]}
    columns = {"question": "sQuestion", "answer": "lSolutions", "solution": "lEquations"}
    (loaded,) = load(QA(data_files=write("train.json", [row]), columns=columns, cache_dir=cache))["train"]
    assert loaded == {"id": "QA-train-0", "question": "Q", "answer": ["12"], "solution": expected}


def test_splits_by_name_whatever_the_ending(write: Write, cache: Path) -> None:
    for name in ("TRAIN.JSONL", "test", "dev.ndjson"):
        path = write(f"d/{name}", [GOOD])
    write("d/validation.csv.gz", gzip.compress(b"question;answer\nQ;A\n"))
    data = load(QA(data_dir=path.parent, cache_dir=cache))
    assert list(data) == ["train", "validation", "dev", "test"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abq.{", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
cells = st.text('ab,;|\t"\r\n{[é\0 ', max_size=6)
hostile = (
    st.binary(max_size=60)
    | st.builds(
        bytes.__add__, st.sampled_from([b"PAR1", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"]), st.binary()
    )
    | st.builds(lambda value: json.dumps(value).encode(), json_values)
    | st.builds(
        lambda rows, end: end.join(json.dumps(row) for row in rows).encode(),
        st.lists(st.dictionaries(st.sampled_from(["question", "answer", "data"]), json_values), max_size=4),
        st.sampled_from(["\n", "\r\n", ",\n", ""]),
    )
    | st.builds(
        lambda rows, encoding: "\n".join(";".join(row) for row in rows).encode(encoding),
        st.lists(st.lists(cells, max_size=3), max_size=4),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]),
    )
)


@settings(max_examples=300, deadline=None)
@given(content=hostile, name=st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.parquet", "a.gz", "train"]))
def test_any_content_gives_rows_or_an_error_with_its_place(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("hostile") / name
    path.write_bytes(content)
    builder = QA(data_files={"train": path})
    try:
        rows = [row for _, row in builder._generate_examples("train")]
    except DataError as error:
        assert str(error).startswith(str(path))  # noqa: PT017
    else:
        RAW.encode_example(rows[0])
        pa.array([row["question"] for row in rows], pa.string())


def test_half_a_surrogate_pair(write: Write, cache: Path) -> None:
    path = write("train.jsonl", '{"question": "a\\ud83d", "answer": "A"}')
    with pytest.raises(DataError, match=r"train.jsonl:1: 'question' holds '\\ud83d', half of a character"):
        load(QA(data_files=path, cache_dir=cache))


def test_duplicate_ids_name_both_lines(write: Write, cache: Path) -> None:
    path = write("train.jsonl", [{**GOOD, "id": 7}, {**GOOD, "id": 8}, {**GOOD, "id": "7"}])
    with pytest.raises(DataError) as caught:
        load(QA(data_files=path, columns={"id": "id"}, cache_dir=cache))
    assert str(caught.value) == f"{path}:3: the id '7' is already that of {path}:1; ids must be unique"


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
        ({"data_files": "a\0b.jsonl"}, "a path holds no NUL"),
        ({"data_files": "x" * 300}, "this path cannot be looked up"),
        ({"data_files": "a**b"}, "this path cannot be looked up"),
        ({"data_files": "/dev/null"}, "is a pipe or a device"),
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
        ConfigError, match=r"no config 'svmap'; there is 'default', 'svamp', .*Did you mean 'svamp'"
    ):
        QA("svmap")
    with pytest.raises(ConfigError, match=r"'anwser' is not a field of a row; .*Did you mean 'answer'"):
        QA(data_files=path, columns={"anwser": "A"})
    with pytest.raises(ConfigError, match="'answer' must name a column of the file, not ''"):
        QA(data_files=path, columns={"answer": ""})

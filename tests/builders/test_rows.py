"""Every file that can be read is, with the place of each row; every other names its fault and its place."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders.conftest import Write
from toolgen_hf.builders import content
from toolgen_hf.builders.rows import read_rows
from toolgen_hf.errors import DataError


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"q": 1}\n\n{"q": 2}', [(1, {"q": 1}), (3, {"q": 2})]),
        ("a.json", '{"q": 1}\r\n{"q": 2}\r\n', [(1, {"q": 1}), (2, {"q": 2})]),
        (
            "a.json",
            '[\n {"q": 1},\n\n {"q":\n 2}, {"q": 3}\n]\n',
            [(2, {"q": 1}), (4, {"q": 2}), (5, {"q": 3})],
        ),
        ("a.json", "\n [ ]", []),
        ("a.json", "", []),
        ("bom.jsonl", b'\xef\xbb\xbf{"q": 1}', [(1, {"q": 1})]),
        ("bom.json", b'\xef\xbb\xbf[{"q": 1}]', [(1, {"q": 1})]),
        ("separator.jsonl", '{"q": "a\u2028b"}\n{"q": 2}', [(1, {"q": "a\u2028b"}), (2, {"q": 2})]),
        (
            "a.csv",
            'q,r\n"1\n2",x\n\n3,"a ""b"", c"\n',
            [(2, {"q": "1\n2", "r": "x"}), (5, {"q": "3", "r": 'a "b", c'})],
        ),
        ("bom.csv", b"\xef\xbb\xbfq\r\n51.0\r\n", [(2, {"q": "51.0"})]),
        ("header.csv", "q,r\n", []),
    ],
)
def test_rows_and_their_lines(write: Write, name: str, content: str, expected: list[tuple[int, Any]]) -> None:
    path = write(name, content)
    assert list(read_rows(path)) == [(f"{path}:{line}", row) for line, row in expected]


TABLE = "question,answer\nHow many?,5\n"
LINES = '{"question": "How many?", "answer": "5"}\n'
ROW = {"question": "How many?", "answer": "5"}


def _zstd(text: str) -> bytes:
    made = pa.BufferOutputStream()
    with pa.CompressedOutputStream(made, "zstd") as file:
        file.write(text.encode())
    return bytes(made.getvalue())


def _parquet() -> bytes:
    made = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([ROW]), made)
    return bytes(made.getvalue())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("A.CSV", TABLE),
        ("A.JSONL", LINES),
        ("A.Parquet", _parquet()),
        ("a.ndjson", LINES),
        ("a.txt", TABLE),
        ("train", LINES),
        ("train", TABLE),
        ("train", _parquet()),
        ("lines.csv", LINES),
        ("table.json", TABLE),
        ("array.csv", f"[{LINES}]"),
        ("parquet.jsonl", _parquet()),
        ("a.csv.gz", gzip.compress(TABLE.encode(), mtime=0)),
        ("a.jsonl.bz2", bz2.compress(LINES.encode())),
        ("a.json.xz", lzma.compress(LINES.encode())),
        ("a.jsonl.zst", _zstd(LINES)),
        ("a.jsonl", gzip.compress(LINES.encode(), mtime=0)),
        ("a.csv", TABLE.encode("utf-16")),
        ("a.jsonl", LINES.encode("utf-16-be")),
        ("a.csv", TABLE.encode("utf-32")),
        ("a.csv", TABLE.replace("\n", "\r")),
        ("a.csv", TABLE.replace(",", ", ")),
        ("a.csv", TABLE.replace(",", ";")),
        ("a.csv", "sep=;\r\n" + TABLE.replace(",", ";")),
        ("a.csv", '"question";"answer"\r\n"How many?";"5"\r\n'),
        ("a.csv", "question,answer,,\nHow many?,5,,\n,,,\n"),
        ("a.tsv", TABLE.replace(",", "\t")),
        ("a.csv", TABLE.replace(",", "|")),
        ("a.json", '{\n "question": "How many?",\n "answer": "5"\n}\n'),
        ("a.json", f'{{"version": "1", "data": [{LINES}], "tags": []}}'),
        ("a.json", f'{{"Problems": [{LINES}]}}'),
    ],
)
def test_content_decides_and_not_the_name(write: Write, name: str, content: str | bytes) -> None:
    ((_, row),) = read_rows(write(name, content))
    assert {key: value for key, value in row.items() if key} == ROW


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("question;answer", "Ann, Bob and Cy?;3,5", {"question": "Ann, Bob and Cy?", "answer": "3,5"}),
        ("question,answer", "Ann; Bob; Cy?,3", {"question": "Ann; Bob; Cy?", "answer": "3"}),
        ("question,answer;note", "a,b;c", {"question": "a", "answer;note": "b;c"}),
        ("question;answer, in euros", "Ann, Bob?;3", {"question": "Ann, Bob?", "answer, in euros": "3"}),
        ("question|id,answer", '"a|b",3', {"question|id": "a|b", "answer": "3"}),
        ("question\tanswer", "a,b;c|d\t3", {"question": "a,b;c|d", "answer": "3"}),
        ("[id],question", "7,How many?", {"[id]": "7", "question": "How many?"}),
        ('{"id",question', "7,How many?", {'{"id"': "7", "question": "How many?"}),
    ],
)
def test_the_delimiter_is_seen_in_the_header(
    write: Write, header: str, row: str, expected: dict[str, str]
) -> None:
    path = write("a.csv", f"{header}\n{row}\n{row}\n")
    assert [found for _, found in read_rows(path, {"question", "answer"})] == [expected] * 2


def test_the_rows_of_a_list_in_an_object_have_their_lines(write: Write) -> None:
    path = write("a.json", '{"version": 1,\n"data": [\n{"q": 1},\n\n{"q": 2}],\n"n": 2}')
    assert list(read_rows(path)) == [(f"{path}:3", {"q": 1}), (f"{path}:5", {"q": 2})]


@pytest.mark.parametrize(
    "row", [{"question": "Q", "attempts": [{"id": 1}]}, {"prompt": "Q", "turns": [{"a": 1}]}]
)
def test_one_row_that_holds_a_list_is_a_row(write: Write, row: dict[str, Any]) -> None:
    assert [found for _, found in read_rows(write("a.jsonl", [row]))] == [row]


def test_an_object_with_a_wanted_column_is_a_row(write: Write) -> None:
    path = write("a.jsonl", [{"problem": "Q", "choices": [{"text": "5"}]}])
    assert [row for _, row in read_rows(path)] == [{"text": "5"}]
    assert [row for _, row in read_rows(path, {"problem"})] == [{"problem": "Q", "choices": [{"text": "5"}]}]


def test_squad(write: Write) -> None:
    questions = [{"id": n, "question": f"Q{n}?", "answers": [{"text": "5"}]} for n in "ab"]
    article = {"title": "T", "paragraphs": [{"context": "C.", "qas": questions}]}
    path = write("dev.json", json.dumps({"version": "1.1", "data": [article]}))
    assert [row for _, row in read_rows(path)] == [
        {"title": "T", "context": "C.", **question} for question in questions
    ]


@pytest.mark.parametrize(("size", "column"), [(3_000_000, "q"), (300, "q")])
def test_a_row_may_be_larger_than_what_is_read_at_once(write: Write, size: int, column: str) -> None:
    rows = [{column: "x" * size}, {column: 12345678901}, {column: '\\"é' * 1000}]
    path = write("a.json", json.dumps(rows * 3))
    assert [row for _, row in read_rows(path)] == rows * 3


def test_a_number_too_long_for_python_is_text(write: Write) -> None:
    path = write("a.jsonl", f'{{"q": {"9" * 5000}, "r": {"1" * 401}}}')
    assert [row for _, row in read_rows(path)] == [{"q": "9" * 5000, "r": int("1" * 401)}]


def test_what_is_decompressed_is_bounded(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_MAX_SIZE", 10_000)
    path = write("a.jsonl.bz2", bz2.compress(b'{"q": 1}' + b"\n" * 10_000_000))
    with pytest.raises(DataError, match=r"holds more than .* bytes: decompress it first"):
        list(read_rows(path))


def test_parquet_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"q": ["x", None], "n": [[1], [2, 3]]}), path, row_group_size=1)
    assert list(read_rows(path)) == [
        (f"{path}, row 0", {"q": "x", "n": [1]}),
        (f"{path}, row 1", {"q": None, "n": [2, 3]}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "place", "message"),
    [
        ("a.jsonl", '{"q": 1}\n{"q": \n', ":2", "Each line must hold one JSON object, or the file one array"),
        ("a.jsonl", '{"q": 1}\n' + "x" * 500, ":2", "xxx..."),
        ("a.jsonl", '{"q": 1}\n"text"\n', ":2", "expected an object with named columns, found 'text'"),
        ("a.jsonl", "[" * 100_000, ":1", "not valid JSON"),
        ("a.json", '[\n{"q": 1},\n[2]]', ":3", "found [2]"),
        ("a.json", '[\n{"q": 1},\n{"q": "tw', ":3", "Is the file cut short?"),
        ("a.json", '[\n{"q": 1},\n', ":3", "Is the file cut short?"),
        ("a.json", '[\n{"q": 1}\n', ":3", "is it cut short?"),
        ("a.json", '[\n{"q": 1}\n{"q": 2}]', ":3", "expected ',' or ']' after an item of the array, found"),
        ("a.json", '[{"q": 1}]\n[{"q": 2}]', ":2", "expected one array"),
        ("a.json", '[\n{"q": 1},\n{"q": nope}]', ":3", "not valid JSON in the row that starts here"),
        ("a.json", '[\n{\n"q": nope}]', ":2", "the row that starts here (Expecting value in line 3)"),
        ("a.json", '[{"q": 1},\n]', ":2", "there is a comma before the closing ']': delete it"),
        ("a.jsonl", '{"q": 1},\n{"q": 2},\n', ":1", "not valid JSON (Extra data"),
        ("a.json", '{"data": [\n{"q": 1},\n{"q": }\n]}', ":3", "not valid JSON in the row that starts here"),
        (
            "a.json",
            '{"train": [{"q": 1}], "test": [{"q": 2}]}',
            ":1",
            "one object with the lists 'train', 'test': save the list of each split in a file of its own",
        ),
        ("a.jsonl", b'{"q": 1}\n{"q": "caf\xe9"}\n', ":2", "byte 0xe9 at position 10 is not UTF-8"),
        ("a.json", b'[\n{"q": "caf\xe9"}]', ":2", "is not UTF-8"),
        ("a.csv", b"q\nx\ncaf\xe9\n", ":3", "is not UTF-8"),
        ("a.csv", "q,r\n1,2\n1,2,3\n", ":3", "3 cells ['1', '2', '3'] under 2 columns ['q', 'r']"),
        ("a.csv", "q;r\n1;2;3\n", ":2", "Quote a cell that holds ';', which separates the columns"),
        (
            "a.csv",
            'q,r\n1,"2\n3,4\n',
            ":2",
            "not valid CSV with columns separated by ',' (unexpected end of data)",
        ),
        ("a.csv", "q,r,q\n", ":1", "two columns are called 'q'"),
        ("a.parquet", b"PAR1 not really", "", "cannot be read as Parquet"),
        ("a.parquet", b"", "", "cannot be read as Parquet"),
        (
            "a.csv",
            "q;r\nü;1\n".encode("utf-16")[:-1],
            "",
            "byte 16 of the file does not fit its encoding, UTF-16",
        ),
        ("a.xlsx", b"PK\x03\x04...", "", "an Excel workbook: unpack it, or save the sheet as CSV"),
        ("a.jsonl", "\n<!DOCTYPE html><html>", "", "is a web page: download the file itself"),
        ("a.parquet", "version https://git-lfs.github.com/spec/v1\noid", "", "run 'git lfs pull'"),
        ("a.bin", b"\x01\x02\x00\x03" * 9, "", "JSON, JSON Lines, CSV and Parquet are read"),
        ("a.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], "", "cannot be decompressed"),
        ("a.gz", gzip.compress(b"PAR1...", mtime=0), "", "is a compressed Parquet file: decompress it first"),
    ],
)
def test_faults(write: Write, name: str, content: str | bytes, place: str, message: str) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert message in str(caught.value)

"""Every file that can be read is, with the place of each row; every other names its fault and its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders.conftest import Write
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
        ("a.jsonl", '{"q": %s}' % ("9" * 5000), ":1", "not valid JSON"),
        ("a.json", '[\n{"q": 1},\n[2]]', ":3", "found [2]"),
        ("a.json", '[\n{"q": 1},\n{"q": "tw', ":3", "is the file cut short?"),
        ("a.json", '[\n{"q": 1},\n', ":3", "is the file cut short?"),
        ("a.json", '[\n{"q": 1}\n', ":3", "is it cut short?"),
        ("a.json", '[\n{"q": 1}\n{"q": 2}]', ":3", "expected one array"),
        ("a.json", '[{"q": 1}]\n[{"q": 2}]', ":1", "expected one array"),
        ("a.json", '[\n{"q": 1},\n{"q": nope}]', ":3", "not valid JSON in the row that starts here"),
        ("a.jsonl", b'{"q": 1}\n{"q": "caf\xe9"}\n', ":2", "byte 0xe9 at position 10 is not UTF-8"),
        ("a.json", b'[\n{"q": "caf\xe9"}]', ":2", "is not UTF-8"),
        ("a.csv", b"q\nx\ncaf\xe9\n", ":3", "is not UTF-8"),
        ("a.csv", "q,r\n1,2\n1,2,3\n", ":3", "3 cells ['1', '2', '3'] under 2 columns ['q', 'r']"),
        ("a.csv", 'q,r\n1,"2\n3,4\n', ":2", "not valid CSV (unexpected end of data)"),
        ("a.csv", "q,r,q\n", ":1", "two columns are called 'q'"),
        ("a.parquet", b"PAR1 not really", "", "cannot be read as Parquet"),
    ],
)
def test_faults(write: Write, name: str, content: str | bytes, place: str, message: str) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert message in str(caught.value)
